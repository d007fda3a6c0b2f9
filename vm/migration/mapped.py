"""Pages at fixed places of a file (capability `mapped-ram`): where they are, and which there are, as a bitmap tells.

Behind a RAMBlock's name and length the stream tells of the bitmap, then it goes on behind the pages. The bitmap has a
bit for each page, the first the lowest of the first byte, in words of 8 bytes. Observed of QEMU 10.0 and 11.1.
"""

from __future__ import annotations

from struct import Struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

HEAD = Struct(">IQQQ")
VERSION = 1
ALIGNMENT = 1 << 20
"""Pages begin at a multiple of this in the file."""
FULL, EMPTY = b"\xff", b"\0"
CHUNK = 4096
"""Bytes of a bitmap that are looked at together."""


def bitmap_bytes(length: int, page_size: int) -> int:
    """How long the bitmap of a block is."""
    return -(-length // page_size // 64) * 8


def head(page_size: int, bitmap_offset: int, pages_offset: int) -> bytes:
    """What tells where a block's bitmap and pages are."""
    return HEAD.pack(VERSION, page_size, bitmap_offset, pages_offset)


def pages_after(bitmap_end: int) -> int:
    """Where pages begin behind a bitmap."""
    return -(-bitmap_end // ALIGNMENT) * ALIGNMENT


def mark(bitmap: bytearray, first: int, end: int, *, there: bool) -> None:
    """Say of some pages whether they are there."""
    fill = FULL if there else EMPTY
    first_byte, last_byte = -(-first // 8), end // 8
    if first_byte <= last_byte:
        bitmap[first_byte:last_byte] = fill * (last_byte - first_byte)
        edges = (*range(first, first_byte * 8), *range(last_byte * 8, end))
    else:
        edges = (*range(first, end),)
    for page in edges:
        if there:
            bitmap[page // 8] |= 1 << page % 8
        else:
            bitmap[page // 8] &= ~(1 << page % 8)


def runs(bitmap: bytes | bytearray, count: int) -> Iterator[tuple[int, int, bool]]:
    """All pages as runs: the first, the end, and whether they are there."""
    start, kind = 0, False
    for base in range(0, count, CHUNK * 8):
        bits = int.from_bytes(bitmap[base // 8 : base // 8 + CHUNK], "little")
        left = min(CHUNK * 8, count - base)
        position = 0
        while position < left:
            rest = bits >> position
            length = _ones(rest) if kind else _zeros(rest, left - position)
            position += min(length, left - position)
            if position < left:
                if base + position > start:
                    yield start, base + position, kind
                start, kind = base + position, not kind
    if start < count:
        yield start, count, kind


def _ones(bits: int) -> int:
    """How many bits are set, from the lowest on."""
    return (~bits & (bits + 1)).bit_length() - 1


def _zeros(bits: int, limit: int) -> int:
    """How many bits are clear, from the lowest on."""
    return (bits & -bits).bit_length() - 1 if bits else limit
