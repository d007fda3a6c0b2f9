"""Pieces of migration streams, written one by one as QEMU writes them: what our bulk writer is held against."""

from __future__ import annotations

from ramslot.vm.migration import format as fmt
from ramslot.vm.migration import writing


def pages(block: str, offset: int, data: bytes | memoryview, page_size: int, *, follows: bool) -> bytes:
    """Whole pages with contents; `follows` says that the page before was of the same block."""
    pieces: list[bytes | memoryview] = []
    for start in range(0, len(data), page_size):
        word = (offset + start | fmt.PAGE | fmt.CONTINUE).to_bytes(8)
        pieces += word if follows else writing.page_head(block, offset + start), data[start : start + page_size]
        follows = True
    return b"".join(pieces)
