"""Runs of pages: which pages there are, and what is known of each, without an entry for each.

Pure arithmetic on page numbers. A value that lies over a run is the same for all its pages; where pages of an
interleaved run are, `spread` counts.
"""

from __future__ import annotations

from bisect import bisect_left

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

    Stripe: TypeAlias = tuple[int, ...]
    Run: TypeAlias = tuple[int, int, Stripe]

RESERVED: Stripe = ()
"""The value of pages that are promised and not there yet."""


class Runs:
    """Disjoint runs `[start, end)` of pages, in order; neighbours with the same value are one run.

    The value is a stripe: page `i` is on node `stripe[i % len(stripe)]`.
    """

    __slots__ = ("_runs",)

    def __init__(self) -> None:
        self._runs: list[Run] = []

    def __bool__(self) -> bool:
        return bool(self._runs)

    def _first(self, start: int) -> int:
        """The position of the first run that ends after `start`."""
        position = bisect_left(self._runs, (start,))
        return position - 1 if position and self._runs[position - 1][1] > start else position

    def within(self, start: int, end: int) -> list[Run]:
        """The runs within an interval, cut at its ends."""
        found = []
        position = self._first(start)
        while position < len(self._runs) and self._runs[position][0] < end:
            first, last, stripe = self._runs[position]
            found.append((max(first, start), min(last, end), stripe))
            position += 1
        return found

    def gaps(self, start: int, end: int) -> list[tuple[int, int]]:
        """What of an interval is in no run."""
        found = []
        for first, last, _ in self.within(start, end):
            if first > start:
                found.append((start, first))
            start = last
        if start < end:
            found.append((start, end))
        return found

    def add(self, start: int, end: int, stripe: Stripe) -> None:
        """Add pages that are not there."""
        if start >= end:
            return
        position = bisect_left(self._runs, (start,))
        stop = position
        if position and self._runs[position - 1][1:] == (start, stripe):
            position -= 1
            start = self._runs[position][0]
        if stop < len(self._runs) and self._runs[stop][0] == end and self._runs[stop][2] == stripe:
            end = self._runs[stop][1]
            stop += 1
        self._runs[position:stop] = [(start, end, stripe)]

    def remove(self, start: int, end: int) -> list[Run]:
        """Remove what is there of an interval, and return it."""
        removed = self.within(start, end)
        if not removed:
            return removed
        position = self._first(start)
        stop = position + len(removed)
        kept = []
        first, last = self._runs[position], self._runs[stop - 1]
        if first[0] < start:
            kept.append((first[0], start, first[2]))
        if last[1] > end:
            kept.append((end, last[1], last[2]))
        self._runs[position:stop] = kept
        return removed


def spread(run: Run) -> dict[int, int]:
    """How many pages of a run are on each node."""
    start, end, stripe = run
    cycles, rest = divmod(end - start, len(stripe))
    counts: dict[int, int] = {}
    for offset in range(len(stripe)):
        count = cycles + (offset < rest)
        if count:
            node = stripe[(start + offset) % len(stripe)]
            counts[node] = counts.get(node, 0) + count
    return counts
