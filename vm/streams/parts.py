"""What `walk` finds in a stream. Places `at`, `body` and `end` are in the walker's buffer until more bytes are read."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

    Part: TypeAlias = "Configuration | Section | BlockList | PageRun | DeviceBytes"

WORD_BYTES = 8


class Configuration:
    """What the source says of itself. Machine types before 2.4 say nothing (`machine_type` is None)."""

    __slots__ = ("capabilities", "machine_type", "page_bits", "uuid")

    def __init__(self, machine_type: str | None) -> None:
        self.machine_type = machine_type
        self.page_bits: int | None = None
        self.capabilities: list[str] = []
        self.uuid: bytes | None = None


class Section:
    """A section of the setup or of a device that is sent while the guest runs begins, or a command."""

    __slots__ = ("kind", "name", "section_id")

    def __init__(self, kind: int, section_id: int, name: str) -> None:
        self.kind = kind
        self.section_id = section_id
        self.name = name


class BlockList:
    """The RAMBlocks: name, used bytes, and the address of the region where that is told."""

    __slots__ = ("at", "blocks", "end")

    def __init__(self, at: int, end: int, blocks: list[tuple[str, int, int | None]]) -> None:
        self.at = at
        self.end = end
        self.blocks = blocks


class PageRun:
    """Pages of one block that follow each other, from `offset` on, all of one `kind` (`format.PAGE`, `ZERO`, ...).

    The first one's word is at `at` and its content at `body`; between the two is the block's name, if it is `named`.
    The content of each is `size` bytes, and behind it are the word and the content of the next. Pages that have fixed
    places in the file (`is_mapped`) have no words; they come once, in order.
    """

    __slots__ = ("at", "block", "body", "count", "fill", "is_mapped", "kind", "named", "offset", "size")

    def __init__(self, kind: int, block: str, offset: int, at: int, body: int, size: int, *, named: bool) -> None:
        self.kind = kind
        self.block = block
        self.offset = offset
        self.at = at
        self.body = body
        self.size = size
        self.named = named
        self.count = 1
        self.fill = 0
        """Of pages that are all one byte (`format.ZERO`): the byte, which is zero but for streams of old."""
        self.is_mapped = False

    @property
    def step(self) -> int:
        """Bytes from a page's content to the next one's."""
        return self.size if self.is_mapped else self.size + WORD_BYTES


class DeviceBytes:
    """Some of what follows the RAM, from `at` to `end`: sections of devices and their description."""

    __slots__ = ("at", "end")

    def __init__(self, at: int, end: int) -> None:
        self.at = at
        self.end = end
