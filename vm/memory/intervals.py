"""Intervals on a line: an index that answers "what overlaps [start, end)?", and a set that unites what touches."""

from __future__ import annotations

from _bisect import bisect_left, bisect_right
from _bisect import insort_right as insort

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from .region import MemoryRegion


class IntervalIndex:
    """Regions by an interval of theirs; intervals may overlap, a look-up costs O(log n + answers).

    Entries are kept by size class (powers of two), sorted by start within each. An entry of a class that overlaps an
    interval starts less than the class's size before it, so every class is one bisection, and there are at most 65.
    """

    __slots__ = ("_classes", "_sequence")

    def __init__(self) -> None:
        self._classes: dict[int, list[tuple[int, int, int, MemoryRegion]]] = {}
        self._sequence = 0

    def __bool__(self) -> bool:
        return bool(self._classes)

    def add(self, start: int, size: int, region: MemoryRegion) -> None:
        """Add `region` at `[start, start + size)`; a size of zero is never found."""
        self._sequence += 1
        entries = self._classes.setdefault(size.bit_length(), [])
        insort(entries, (start, self._sequence, start + size, region))

    def remove(self, start: int, size: int, region: MemoryRegion) -> None:
        """Remove what `add` added with the same arguments; raises `KeyError` if it is not there."""
        size_class = size.bit_length()
        entries = self._classes.get(size_class, [])
        position = bisect_left(entries, (start,))
        while position < len(entries) and entries[position][0] == start:
            if entries[position][3] is region:
                del entries[position]
                if not entries:
                    del self._classes[size_class]
                return
            position += 1
        raise KeyError((start, size))

    def all(self) -> list[MemoryRegion]:
        """All regions, in no particular order."""
        return [entry[3] for entries in self._classes.values() for entry in entries]

    def overlapping(self, start: int, end: int) -> list[MemoryRegion]:
        """The regions that share at least one byte with `[start, end)`, in no particular order."""
        found = []
        for size_class, entries in self._classes.items():
            first = bisect_right(entries, (start - (1 << size_class),))
            for position in range(first, len(entries)):
                region_start, _, region_end, region = entries[position]
                if region_start >= end:
                    break
                if region_end > start and region_end > region_start:
                    found.append(region)
        return found


class IntervalSet:
    """A set of bytes as sorted intervals that neither overlap nor touch."""

    __slots__ = ("_ends", "_starts")

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []

    def add(self, start: int, end: int) -> None:
        """Add `[start, end)`, uniting it with what it overlaps or touches."""
        if start >= end:
            return
        first = bisect_left(self._ends, start)
        last = bisect_right(self._starts, end)
        if first < last:
            start = min(start, self._starts[first])
            end = max(end, self._ends[last - 1])
        self._starts[first:last] = [start]
        self._ends[first:last] = [end]

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return zip(self._starts, self._ends, strict=True)

    def __bool__(self) -> bool:
        return bool(self._starts)

    def covers(self, start: int, end: int) -> bool:
        """Whether all of `[start, end)`, which is not empty, is in the set."""
        position = bisect_left(self._ends, end)
        return position < len(self._starts) and self._starts[position] <= start

    def gaps(self, start: int, end: int) -> list[tuple[int, int]]:
        """What of `[start, end)` is not in the set."""
        gaps = []
        position = bisect_right(self._ends, start)
        while start < end and position < len(self._starts) and self._starts[position] < end:
            if self._starts[position] > start:
                gaps.append((start, self._starts[position]))
            start = self._ends[position]
            position += 1
        if start < end:
            gaps.append((start, end))
        return gaps
