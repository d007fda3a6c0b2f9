"""Which pages were written: bitmaps over RAMBlocks. Pure arithmetic; who collects the bits is the accelerator's matter.

A bitmap's bits are handed about as ints, the lowest bit being the first page.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from .ramblock import RAMBlock


CHUNK = 1 << 15
"""Pages whose bits are kept together: 4 KiB of them. Memory in which nothing was written has no chunk."""


class DirtyBitmap:
    """One bit for each page, all clear at first; it costs what was written, however large the memory is."""

    __slots__ = ("_chunks",)

    def __init__(self) -> None:
        self._chunks: dict[int, bytearray] = {}

    def __bool__(self) -> bool:
        return bool(self._chunks)

    def _chunk(self, number: int) -> bytearray:
        chunk = self._chunks.get(number)
        if chunk is None:
            chunk = self._chunks[number] = bytearray(CHUNK // 8)
        return chunk

    def set(self, page: int) -> None:
        """Set one page."""
        number, bit = divmod(page, CHUNK)
        self._chunk(number)[bit >> 3] |= 1 << (bit & 7)

    def merge(self, first: int, bits: int) -> None:
        """Set pages: bit 0 of `bits` is page `first`."""
        number, shift = divmod(first, CHUNK)
        data = (bits << shift).to_bytes(-(-(bits.bit_length() + shift) // 8), "little")
        for start in range(0, len(data), CHUNK // 8):
            piece = data[start : start + CHUNK // 8]
            added = int.from_bytes(piece, "little")
            if added:
                chunk = self._chunk(number)
                merged = int.from_bytes(chunk[: len(piece)], "little") | added
                chunk[: len(piece)] = merged.to_bytes(len(piece), "little")
            number += 1

    def merge_run(self, first: int, count: int) -> None:
        """Set `count` pages from `first` on."""
        while count:
            step = min(count, CHUNK - first % CHUNK)
            self.merge(first, (1 << step) - 1)
            first += step
            count -= step

    def count(self) -> int:
        """How many pages are set."""
        return sum(int.from_bytes(chunk, "little").bit_count() for chunk in self._chunks.values())

    def runs(self) -> Iterator[tuple[int, int]]:
        """The set pages, ascending, as first page and number of those that follow each other."""
        begun = end = 0
        for number in sorted(self._chunks):
            for first, last in _runs(self._chunks[number], number * CHUNK):
                if first > end:
                    if end > begun:
                        yield begun, end - begun
                    begun = first
                elif end == begun:
                    begun = first
                end = last
        if end > begun:
            yield begun, end - begun


def _runs(chunk: bytearray, base: int) -> Iterator[tuple[int, int]]:
    """The runs of set bits in a chunk as first page and the page behind the last."""
    bits = f"{int.from_bytes(chunk, 'little'):b}"[::-1]
    first = bits.find("1")
    while first >= 0:
        last = bits.find("0", first)
        last = len(bits) if last < 0 else last
        yield base + first, base + last
        first = bits.find("1", last)


class DirtyPages:
    """The pages of all RAMBlocks that were written since somebody began to watch, or last took them."""

    __slots__ = ("blocks", "page_size")

    def __init__(self, page_size: int) -> None:
        self.page_size = page_size
        self.blocks: dict[RAMBlock, DirtyBitmap] = {}
        """A block that is absent has no written page."""

    def mark(self, block: RAMBlock, first: int, bits: int) -> None:
        """Note written pages of a block, bit 0 of `bits` being its page `first`."""
        self.bitmap(block).merge(first, bits)

    def bitmap(self, block: RAMBlock) -> DirtyBitmap:
        """The bitmap of a block, made if it has none yet."""
        bitmap = self.blocks.get(block)
        if bitmap is None:
            bitmap = self.blocks[block] = DirtyBitmap()
        return bitmap

    def count(self, block: RAMBlock | None = None) -> int:
        """How many pages are set, of one block or of all."""
        bitmaps = self.blocks.values() if block is None else filter(None, [self.blocks.get(block)])
        return sum(bitmap.count() for bitmap in bitmaps)

    def clear(self) -> None:
        """Forget all."""
        self.blocks.clear()
