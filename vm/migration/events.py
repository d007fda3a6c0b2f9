"""What a migration stream tells, piece by piece."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import TypeAlias

    Event: TypeAlias = (
        "Configuration | RAMStart | RAMBlockEntry | MappedPages | RAMEntries | Pages | FilledPage | Flush | "
        "SectionEnd | LivePart | Command | Devices"
    )
    PageRun: TypeAlias = tuple[int, int, memoryview | None]
    PacketEvent: TypeAlias = "Pages | Synchronized"


class NeedData:
    """Nothing can be told before more bytes come."""


NEED_DATA = NeedData()


class Configuration:
    """What the source says of itself first; None for what it does not say."""

    __slots__ = ("capabilities", "machine_type", "page_bits", "uuid")

    def __init__(self, machine_type: str) -> None:
        self.machine_type = machine_type
        self.page_bits: int | None = None
        self.capabilities: list[str] | None = None
        self.uuid: bytes | None = None


class RAMStart:
    """The RAM section begins."""

    __slots__ = ("section_id", "total")

    def __init__(self, section_id: int, total: int) -> None:
        self.section_id = section_id
        self.total = total
        """Bytes of all RAMBlocks."""


class RAMBlockEntry:
    """A RAMBlock of the source: its name, how many bytes of it are used, and where told its region's address."""

    __slots__ = ("address", "length", "name")

    def __init__(self, name: str, length: int, address: int | None = None) -> None:
        self.name = name
        self.length = length
        self.address = address


class MappedPages:
    """Where in the file the pages of the RAMBlock are that was told of last; the stream goes on behind them."""

    __slots__ = ("bitmap_offset", "block", "length", "page_size", "pages_offset")

    def __init__(self, block: str, length: int, bitmap_offset: int, pages_offset: int, page_size: int) -> None:
        self.block = block
        self.length = length
        self.bitmap_offset = bitmap_offset
        self.pages_offset = pages_offset
        self.page_size = page_size


class RAMEntries:
    """All RAMBlocks were told."""


class Pages:
    """Pages of a block, in runs of some that follow each other.

    A run is the offset of its first page, how many they are, and their contents, each `stride` bytes behind the last;
    None for zeros.
    """

    __slots__ = ("block", "runs", "stride")

    def __init__(self, block: str, runs: Sequence[PageRun], stride: int) -> None:
        self.block = block
        self.runs = runs
        self.stride = stride

    def each(self, page_size: int) -> Iterator[tuple[int, memoryview | bytes]]:
        """Every page: its offset, and what is in it."""
        for offset, count, contents in self.runs:
            for number in range(count):
                start = number * self.stride
                page = bytes(page_size) if contents is None else contents[start : start + page_size]
                yield offset + number * page_size, page


class FilledPage:
    """A page of a block that is all of one byte which is not zero: streams of old have such."""

    __slots__ = ("block", "fill", "offset")

    def __init__(self, block: str, offset: int, fill: int) -> None:
        self.block = block
        self.offset = offset
        self.fill = fill


class Flush:
    """All channels of pages are to be waited for."""


class SectionEnd:
    """A section of RAM ends."""


class Synchronized:
    """A channel of pages is where all are to be waited for."""


class LivePart:
    """A part of the state of a device that is sent while the guest runs: one section, of some kind, and its content."""

    __slots__ = ("content", "head", "kind", "section_id")

    def __init__(self, kind: int, section_id: int, head: bytes, content: bytes) -> None:
        self.kind = kind
        self.section_id = section_id
        self.head = head
        """What a first section tells of the device: its name, which of several it is, and a version."""
        self.content = content


class Command:
    """The source wants something done."""

    __slots__ = ("data", "number")

    def __init__(self, number: int, data: bytes) -> None:
        self.number = number
        self.data = data


class Devices:
    """All that followed the RAM, sections of devices and their description, as it came; the stream is complete."""

    __slots__ = ("data",)

    def __init__(self, data: bytes) -> None:
        self.data = data
