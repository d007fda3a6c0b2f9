"""Which pages were written: bitmaps over RAMBlocks. Pure arithmetic; who collects the bits is the accelerator's matter.

A bitmap's bits are handed about as ints, the lowest bit being the first page.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from .ramblock import RAMBlock


class DirtyBitmap:
    """One bit for each of `pages` pages, all clear at first."""

    __slots__ = ("_bits", "pages")

    def __init__(self, pages: int) -> None:
        self.pages = pages
        self._bits = bytearray(-(-pages // 8))

    def merge(self, first: int, bits: int) -> None:
        """Set pages: bit 0 of `bits` is page `first`. What is beyond the last page is left out."""
        position, shift = divmod(first, 8)
        bits = (bits & (1 << max(self.pages - first, 0)) - 1) << shift
        end = position + -(-bits.bit_length() // 8)
        merged = int.from_bytes(self._bits[position:end], "little") | bits
        self._bits[position:end] = merged.to_bytes(end - position, "little")

    def bits(self, first: int = 0, count: int | None = None) -> int:
        """The bits of `count` pages from `first` on; of all that follow without a count."""
        end = self.pages if count is None else min(first + count, self.pages)
        position, shift = divmod(first, 8)
        found = int.from_bytes(self._bits[position : -(-end // 8)], "little") >> shift
        return found & (1 << max(end - first, 0)) - 1

    def take(self, first: int = 0, count: int | None = None) -> int:
        """Return the bits of pages as `bits` does, and clear them."""
        found = self.bits(first, count)
        position, shift = divmod(first, 8)
        end = position + -(-(found.bit_length() + shift) // 8)
        if found:
            left = int.from_bytes(self._bits[position:end], "little") & ~(found << shift)
            self._bits[position:end] = left.to_bytes(end - position, "little")
        return found

    def count(self) -> int:
        """How many pages are set."""
        return int.from_bytes(self._bits, "little").bit_count()

    def runs(self) -> Iterator[tuple[int, int]]:
        """The set pages, ascending, as first page and number of those that follow each other."""
        bits = int.from_bytes(self._bits, "little")
        first = 0
        while bits:
            clear = (bits & -bits).bit_length() - 1
            bits >>= clear
            first += clear
            length = (~bits & bits + 1).bit_length() - 1
            yield first, length
            bits >>= length
            first += length


class DirtyPages:
    """The pages of all RAMBlocks that were written since somebody began to watch, or last took them."""

    __slots__ = ("blocks", "page_size")

    def __init__(self, page_size: int) -> None:
        self.page_size = page_size
        self.blocks: dict[RAMBlock, DirtyBitmap] = {}
        """A block that is absent has no written page."""

    def mark(self, block: RAMBlock, first: int, bits: int) -> None:
        """Note written pages of a block, bit 0 of `bits` being its page `first`."""
        bitmap = self.blocks.get(block)
        if bitmap is None:
            bitmap = self.blocks[block] = DirtyBitmap(-(-block.max_length // self.page_size))
        bitmap.merge(first, bits)

    def count(self, block: RAMBlock | None = None) -> int:
        """How many pages are set, of one block or of all."""
        bitmaps = self.blocks.values() if block is None else filter(None, [self.blocks.get(block)])
        return sum(bitmap.count() for bitmap in bitmaps)

    def clear(self) -> None:
        """Forget all."""
        self.blocks.clear()
