"""Pieces of migration streams, written one by one as QEMU writes them: what our bulk writer is held against."""

from __future__ import annotations

from ramslot.vm.migration import format as fmt
from ramslot.vm.migration import mapped, writing


def pages(block: str, offset: int, data: bytes | memoryview, page_size: int, *, follows: bool) -> bytes:
    """Whole pages with contents; `follows` says that the page before was of the same block."""
    pieces: list[bytes | memoryview] = []
    for start in range(0, len(data), page_size):
        word = (offset + start | fmt.PAGE | fmt.CONTINUE).to_bytes(8)
        pieces += word if follows else writing.page_head(block, offset + start), data[start : start + page_size]
        follows = True
    return b"".join(pieces)


def mapped_file(blocks: dict[str, bytes], devices: bytes, origin: int = 0, page_size: int = 4096) -> bytes:
    """A file with pages at fixed places (capability `mapped-ram`), whose stream begins at `origin`."""
    data = bytearray(origin) + writing.header("none", capabilities=["mapped-ram"])
    data += writing.section_head(fmt.SECTION_START, 2) + writing.block_total(sum(map(len, blocks.values())))
    for name, content in blocks.items():
        data += writing.block_entry(name, len(content), None)
        count = len(content) // page_size
        there = [any(content[page * page_size : (page + 1) * page_size]) for page in range(count)]
        bits = sum(1 << page for page in range(count) if there[page])
        bitmap = bits.to_bytes(mapped.bitmap_bytes(len(content), page_size), "little")
        at = len(data) + mapped.HEAD.size
        pages_at = mapped.pages_after(at + len(bitmap))
        data += mapped.head(page_size, at, pages_at) + bitmap
        data += bytes(pages_at - len(data)) + content
    return bytes(data + writing.section_tail(2) + writing.section(fmt.SECTION_END, 2, b"") + devices)
