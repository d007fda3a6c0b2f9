"""Writes the pieces of a migration stream: values in, bytes out."""

from __future__ import annotations

from functools import cache, lru_cache
from struct import pack

from . import format as fmt

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    Buffers = list[bytes | memoryview]

ENTRY = 9
"""Bytes that tell of a zero page which continues a block: a word, and what it is filled with."""
WINDOW = 1 << 24
"""Bytes of memory whose zero pages are told in the same words but for the first columns of bytes."""
WINDOW_COLUMN = 5


def header(
    machine_type: str | None,
    *,
    page_bits: int | None = None,
    capabilities: Sequence[str] = (),
    uuid: bytes | None = None,
) -> bytes:
    """The beginning of a stream; old machine types (None) have no configuration in it."""
    start = pack(">II", fmt.MAGIC, fmt.VERSION)
    if machine_type is None:
        return start
    name = machine_type.encode()
    data = start + pack(">BI", fmt.CONFIGURATION, len(name)) + name
    if page_bits is not None:
        data += _subsection("configuration/target-page-bits", pack(">I", page_bits))
    if capabilities:
        listed = b"".join(_name(capability) for capability in capabilities)
        data += _subsection("configuration/capabilities", pack(">I", len(capabilities)) + listed)
    if uuid is not None:
        data += _subsection("configuration/uuid", uuid)
    return data


def _subsection(name: str, content: bytes) -> bytes:
    return pack(">BB", fmt.SUBSECTION, len(name)) + name.encode() + pack(">I", 1) + content


def section(kind: int, section_id: int, content: bytes, *, footers: bool = True) -> bytes:
    """A RAM section with its content."""
    return section_head(kind, section_id) + content + section_tail(section_id, footers=footers)


def section_head(kind: int, section_id: int) -> bytes:
    """What a RAM section begins with."""
    head = pack(">BI", kind, section_id)
    if kind == fmt.SECTION_START:
        head += pack(">B", len(fmt.RAM)) + fmt.RAM.encode() + pack(">II", 0, fmt.RAM_VERSION)
    return head


def section_tail(section_id: int, *, footers: bool = True) -> bytes:
    """What a RAM section ends with, the end of its content included."""
    end = pack(">Q", fmt.END_OF_SECTION)
    return end + pack(">BI", fmt.FOOTER, section_id) if footers else end


def live_part(kind: int, section_id: int, head: bytes, content: bytes, *, footers: bool = True) -> bytes:
    """A section of a device that is sent while the guest runs."""
    data = pack(">BI", kind, section_id) + head + content
    return data + pack(">BI", fmt.FOOTER, section_id) if footers else data


def block_list(blocks: Iterable[tuple[str, int]], addresses: Sequence[int] | None = None) -> bytes:
    """The names and used lengths of all RAMBlocks, and where shared memory may stay away, their addresses."""
    listed = list(blocks)
    places = [None] * len(listed) if addresses is None else addresses
    entries = [block_entry(name, length, place) for (name, length), place in zip(listed, places, strict=True)]
    return block_total(sum(length for _name, length in listed)) + b"".join(entries)


def block_total(total: int) -> bytes:
    """How many bytes all RAMBlocks have, which their list begins with."""
    return pack(">Q", total | fmt.MEM_SIZE)


def block_entry(name: str, length: int, address: int | None = None) -> bytes:
    """One RAMBlock of the list."""
    return _name(name) + pack(">Q", length) + (b"" if address is None else pack(">Q", address))


def command(number: int, data: bytes = b"") -> bytes:
    """A command to who receives."""
    return pack(">BHH", fmt.COMMAND, number, len(data)) + data


def _name(name: str) -> bytes:
    encoded = name.encode()
    return pack(">B", len(encoded)) + encoded


def zero_pages(block: str, offset: int, count: int, page_size: int, *, follows: bool) -> bytes:
    """Pages of zeros; `follows` says that the page before was of the same block."""
    first = b"" if follows else zero_head(block, offset)
    return first + zero_words(offset if follows else offset + page_size, count - (not follows), page_size)


def zero_words(offset: int, count: int, page_size: int) -> bytes:
    """What tells of pages of zeros that continue a block."""
    words = []
    end = offset + count * page_size
    while offset < end:
        window, first = divmod(offset, WINDOW)
        limit = min(end - window * WINDOW, WINDOW)
        words.append(_zero_window(window, page_size)[first // page_size * ENTRY : limit // page_size * ENTRY])
        offset = window * WINDOW + limit
    return words[0] if len(words) == 1 else b"".join(words)


def zero_head(block: str, offset: int) -> bytes:
    """What tells of a page of zeros that does not continue a block."""
    return pack(">Q", offset | fmt.ZERO) + _name(block) + b"\0"


@lru_cache(4)
def _zero_window(window: int, page_size: int) -> bytes:
    """What tells of the zero pages of a whole window; it differs from the first in a few columns of bytes alone."""
    words = bytearray(_first_zero_window(page_size))
    for column, byte in enumerate(window.to_bytes(WINDOW_COLUMN)):
        words[column::ENTRY] = bytes([byte]) * (WINDOW // page_size)
    return bytes(words)


@cache
def _first_zero_window(page_size: int) -> bytes:
    flags = fmt.ZERO | fmt.CONTINUE
    return b"".join([(offset | flags).to_bytes(8) + b"\0" for offset in range(0, WINDOW, page_size)])


def page_head(block: str, offset: int) -> bytes:
    """What tells of a page that does not continue a block."""
    return pack(">Q", offset | fmt.PAGE) + _name(block)


def answer(kind: int, value: int | None = None) -> bytes:
    """A message on the way back to the source."""
    return pack(">HH", kind, 0) if value is None else pack(">HHI", kind, 4, value)
