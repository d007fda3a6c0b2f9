"""FlatViews: what the addresses of a region tree finally show, as sorted ranges that do not overlap.

`render` paints any interval of a tree; a `FlatView` holds the ranges of a whole address space and takes repaired pieces
in.
"""

from __future__ import annotations

from _bisect import bisect_left, bisect_right
from _operator import attrgetter

from .intervals import IntervalSet
from .region import RAM, ROM, ROM_DEVICE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .region import MemoryRegion

_start, _end = attrgetter("start"), attrgetter("end")


class FlatRange:
    """Addresses `[start, end)` of a view that show `region` from `offset` on. Immutable."""

    __slots__ = (
        "dirty_log_mask",
        "end",
        "nonvolatile",
        "offset",
        "readonly",
        "region",
        "romd_mode",
        "start",
        "whole",
    )

    def __init__(
        self,
        start: int,
        end: int,
        region: MemoryRegion,
        offset: int,
        readonly: bool,
        nonvolatile: bool,
        whole: MemoryRegion | None = None,
    ) -> None:
        self.start = start
        self.end = end
        self.region = region
        self.offset = offset
        self.readonly = readonly
        self.nonvolatile = nonvolatile
        self.whole = whole
        """What shows it and is never united with what it continues; None where nothing is so."""
        self.romd_mode = region.romd_mode
        self.dirty_log_mask = region.dirty_log_mask | region.topology.dirty_log_mask

    def part(self, start: int, end: int) -> FlatRange:
        """The piece of this range within `[start, end)`, which must overlap it."""
        piece = FlatRange.__new__(FlatRange)
        piece.start = max(start, self.start)
        piece.end = min(end, self.end)
        piece.region = self.region
        piece.offset = self.offset + piece.start - self.start
        piece.readonly = self.readonly
        piece.nonvolatile = self.nonvolatile
        piece.whole = self.whole
        piece.romd_mode = self.romd_mode
        piece.dirty_log_mask = self.dirty_log_mask
        return piece

    @property
    def is_memory(self) -> bool:
        """Whether the range is host memory which a memslot may map."""
        return self.region.kind in (RAM, ROM) or (self.region.kind == ROM_DEVICE and self.romd_mode)

    def same_place(self, other: FlatRange) -> bool:
        """Whether both map the same memory to the same addresses in the same way, dirty logging apart."""
        return (
            self.start == other.start
            and self.end == other.end
            and self.region is other.region
            and self.offset == other.offset
            and self.readonly == other.readonly
            and self.romd_mode == other.romd_mode
            and self.nonvolatile == other.nonvolatile
            and self.whole is other.whole
        )

    def same(self, other: FlatRange) -> bool:
        """Whether both are equal in everything."""
        return self.same_place(other) and self.dirty_log_mask == other.dirty_log_mask

    def continues(self, before: FlatRange) -> bool:
        """Whether `before` and this range are one range that was cut."""
        return (
            before.end == self.start
            and before.region is self.region
            and before.offset + (before.end - before.start) == self.offset
            and before.readonly == self.readonly
            and before.romd_mode == self.romd_mode
            and before.nonvolatile == self.nonvolatile
            and before.whole is self.whole
            and before.dirty_log_mask == self.dirty_log_mask
        )

    def __repr__(self) -> str:
        return f"<FlatRange {self.start:#x}-{self.end - 1:#x} {self.region.name}@{self.offset:#x}>"


def render(root: MemoryRegion, start: int, end: int) -> list[FlatRange]:
    """What `[start, end)` of a tree shows, in the order in which it is seen; costs as much as what overlaps it.

    `arranged` makes of it what a view holds.
    """
    ranges: list[FlatRange] = []
    _paint(root, -root.address, start, end, False, False, None, IntervalSet(), ranges)
    return ranges


def _paint(
    region: MemoryRegion,
    base: int,
    start: int,
    end: int,
    readonly: bool,
    nonvolatile: bool,
    whole: MemoryRegion | None,
    painted: IntervalSet,
    ranges: list[FlatRange],
) -> None:
    """Paint what is still free of `[start, end)` with `region`, whose container's first byte is at `base`."""
    if not region.enabled:
        return
    base += region.address
    start, end = max(start, base), min(end, base + region.size)
    if start >= end:
        return
    readonly = readonly or region.readonly
    nonvolatile = nonvolatile or region.nonvolatile
    if region.unmergeable:
        whole = region
    if region.alias is not None:
        target = region.alias
        below = base - target.address - region.alias_offset
        _paint(target, below, start, end, readonly, nonvolatile, whole, painted, ranges)
        return
    for child in region.visible_subregions(start - base, end - base):
        _paint(child, base, start, end, readonly, nonvolatile, whole, painted, ranges)
        if painted.covers(start, end):
            return
    if region.terminates:
        for gap_start, gap_end in painted.gaps(start, end):
            ranges.append(FlatRange(gap_start, gap_end, region, gap_start - base, readonly, nonvolatile, whole))
        painted.add(start, end)


def arranged(ranges: list[FlatRange]) -> list[FlatRange]:
    """The same ranges sorted, those that merely continue each other made one."""
    result: list[FlatRange] = []
    for flat_range in sorted(ranges, key=_start):
        if result and flat_range.continues(result[-1]):
            whole = result[-1].part(result[-1].start, result[-1].end)
            whole.end = flat_range.end
            result[-1] = whole
        else:
            result.append(flat_range)
    return result


class Repair:
    """A piece of a view rendered anew: `gone` is to be replaced by `new` at `position` of its ranges."""

    __slots__ = ("gone", "new", "position")

    def __init__(self, position: int, gone: list[FlatRange], new: list[FlatRange]) -> None:
        self.position = position
        self.gone = gone
        self.new = new


class FlatView:
    """The sorted ranges that everything with the root `root` shows; shared by all address spaces that have it.

    A root of None shows nothing.
    """

    __slots__ = ("ranges", "root", "shown", "shown_to")

    def __init__(self, root: MemoryRegion | None, ranges: list[FlatRange]) -> None:
        self.root = root
        self.ranges = ranges
        self.shown: list[Any] = [None] * len(ranges)
        """What was last told of each range, or None if nothing was told of it yet."""
        self.shown_to: object = None
        """What that depended on beside the range."""

    def keep_shown(self, shown_to: object) -> list[Any]:
        """The list to keep in what is told of each range; it is emptied where that depends on something else now."""
        if self.shown_to != shown_to:
            self.shown_to = shown_to
            self.shown = [None] * len(self.ranges)
        return self.shown

    def find(self, address: int) -> FlatRange | None:
        """The range that holds `address`, if any."""
        position = bisect_right(self.ranges, address, key=_start) - 1
        if position >= 0 and address < self.ranges[position].end:
            return self.ranges[position]
        return None

    def repairs(self, root: MemoryRegion | None, damage: IntervalSet) -> list[Repair]:
        """Render what was damaged anew from `root`; the view itself is left as it is.

        A repair reaches over the neighbours of its damage, so that ranges unite across the border.
        """
        groups: list[tuple[int, int, list[FlatRange]]] = []
        for start, end in damage:
            first = bisect_left(self.ranges, start, key=_end)
            last = bisect_right(self.ranges, end, key=_start)
            rendered = render(root, start, end) if root is not None else []
            if groups and first < groups[-1][1]:
                first, _, earlier = groups.pop()
                rendered = earlier + rendered
            groups.append((first, last, rendered))
        return [self._repair(first, last, rendered, damage) for first, last, rendered in groups]

    def _repair(self, first: int, last: int, rendered: list[FlatRange], damage: IntervalSet) -> Repair:
        gone = self.ranges[first:last]
        undamaged = [old.part(start, end) for old in gone for start, end in damage.gaps(old.start, old.end)]
        return Repair(first, gone, arranged(undamaged + rendered))

    def apply(self, repairs: list[Repair]) -> None:
        """Put repairs in, which were made of this view as it is now."""
        for repair in reversed(repairs):
            end = repair.position + len(repair.gone)
            self.ranges[repair.position : end] = repair.new
            self.shown[repair.position : end] = [None] * len(repair.new)


def difference(old: list[FlatRange], new: list[FlatRange]) -> tuple[list[FlatRange], list[FlatRange]]:
    """What of two sorted lists is only in the first, and only in the second."""
    before = {flat_range.start: flat_range for flat_range in old}
    kept = {start for flat_range in new if (start := flat_range.start) in before and flat_range.same(before[start])}
    if not kept:
        return old, new
    return (
        [flat_range for flat_range in old if flat_range.start not in kept],
        [flat_range for flat_range in new if flat_range.start not in kept],
    )
