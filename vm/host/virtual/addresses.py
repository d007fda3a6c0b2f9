"""The addresses of the process on a virtual host: mappings get places as mmap gives them, from the top down."""

from __future__ import annotations

from bisect import bisect_left, insort

LOWEST = 64 << 10
"""No mapping begins below (vm.mmap_min_addr)."""


class AddressSpace:
    """Which addresses are taken."""

    __slots__ = ("_areas", "_top")

    def __init__(self, bits: int, page_size: int) -> None:
        self._areas: list[tuple[int, int]] = []
        self._top = (1 << bits) - page_size

    def take(self, size: int, align: int, guard: int) -> int | None:
        """The address, a multiple of `align`, of `size` bytes with a guard behind; None where there is no room.

        Room for `size` and the larger of the other two is needed, as the real host reserves so much.
        """
        needed = size + max(align, guard)
        for low, high in self._holes():
            if high - low >= needed:
                start = -(-(high - needed) // align) * align
                insort(self._areas, (start, start + size + guard))
                return start
        return None

    def _holes(self) -> list[tuple[int, int]]:
        """The hole below everything first, which is nearly always large enough; then the others from the top down."""
        if not self._areas or self._areas[0][0] - LOWEST >= self._top // 2:
            return [(LOWEST, self._areas[0][0] if self._areas else self._top)]
        starts = [start for start, _ in self._areas] + [self._top]
        ends = [LOWEST] + [end for _, end in self._areas]
        holes = list(zip(ends, starts, strict=True))
        return holes[:1] + holes[:0:-1]

    def give(self, start: int) -> None:
        """Free the area that begins at an address."""
        del self._areas[bisect_left(self._areas, (start,))]
