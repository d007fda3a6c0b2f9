"""Why an address shows what it shows: the regions on the way to it, and those that something else hides there.

The way is that of `flatview.render` for one byte, but what loses is remembered as well.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from .region import MemoryRegion


class Step:
    """A region on the way down from the root; its first byte is at the address `start` of the space.

    Behind an alias `start` is where the whole target would begin, which may be below zero.
    """

    __slots__ = ("region", "start")

    def __init__(self, region: MemoryRegion, start: int) -> None:
        self.region = region
        self.start = start

    def same(self, other: Step) -> bool:
        """Whether both are the same region in the same place."""
        return self.region is other.region and self.start == other.start


class Way:
    """The regions from the root to one that would answer at an address."""

    __slots__ = ("address", "steps")

    def __init__(self, address: int, steps: tuple[Step, ...]) -> None:
        self.address = address
        self.steps = steps

    @property
    def region(self) -> MemoryRegion:
        """The region that would answer."""
        return self.steps[-1].region

    @property
    def offset(self) -> int:
        """Where in it the address is, in bytes."""
        return self.address - self.steps[-1].start

    @property
    def disabled(self) -> MemoryRegion | None:
        """The first region on the way that is disabled."""
        return next((step.region for step in self.steps if not step.region.enabled), None)

    @property
    def readonly(self) -> MemoryRegion | None:
        """The first region on the way that lets no write through."""
        return next((step.region for step in self.steps if step.region.readonly), None)


class Shadowed:
    """A way that is not taken at an address.

    `reason` is `disabled`, then `by` is the disabled region itself; or why the region `by` is seen before `loser`: it
    has a higher `priority`, it was added later (`order`), or it lies inside the region itself (`subregion`).
    """

    __slots__ = ("by", "loser", "reason", "way")

    def __init__(self, way: Way, reason: str, by: MemoryRegion, loser: MemoryRegion) -> None:
        self.way = way
        self.reason = reason
        self.by = by
        self.loser = loser


def explain(root: MemoryRegion, address: int) -> tuple[Way | None, list[Shadowed]]:
    """The way that is taken to `address` of a tree, None if nothing answers there; and all others, seen first first."""
    ways = list(_ways(root, -root.address, address, ()))
    taken = next((way for way in ways if way.disabled is None), None)
    return taken, [_shadowed(way, taken) for way in ways if way is not taken]


def _ways(region: MemoryRegion, base: int, address: int, above: tuple[Step, ...]) -> Iterator[Way]:
    """All ways through `region`, whose container's first byte is at `base`, in the order in which they are seen."""
    base += region.address
    if not base <= address < base + region.size:
        return
    steps = (*above, Step(region, base))
    if region.alias is not None:
        yield from _ways(region.alias, base - region.alias.address - region.alias_offset, address, steps)
        return
    for child in region.visible_subregions(address - base, address - base + 1):
        yield from _ways(child, base, address, steps)
    if region.terminates:
        yield Way(address, steps)


def borders(root: MemoryRegion) -> list[int]:
    """The addresses of a tree, in order, at which a way begins or behind which one ends.

    From one to the next all addresses are explained alike: by the same regions, taken or hidden for the same reasons.
    """
    found: set[int] = set()
    _add_borders(root, -root.address, 0, root.address + root.size, found)
    return sorted(found)


def _add_borders(region: MemoryRegion, base: int, low: int, high: int, found: set[int]) -> None:
    """Add what `region`, whose container's first byte is at `base`, has of them within `[low, high)`."""
    base += region.address
    low, high = max(low, base), min(high, base + region.size)
    if low >= high:
        return
    if region.alias is not None:
        _add_borders(region.alias, base - region.alias.address - region.alias_offset, low, high, found)
        return
    for child in region.visible_subregions(low - base, high - base):
        _add_borders(child, base, low, high, found)
    if region.terminates:
        found.update((low, high))


def _shadowed(way: Way, taken: Way | None) -> Shadowed:
    if way.disabled is not None:
        return Shadowed(way, "disabled", way.disabled, way.region)
    assert taken is not None, "a way without a disabled region would have been taken"
    fork = 0
    while fork < len(way.steps) and way.steps[fork].same(taken.steps[fork]):
        fork += 1
    winner = taken.steps[fork].region
    if fork == len(way.steps):
        return Shadowed(way, "subregion", winner, way.region)
    loser = way.steps[fork].region
    return Shadowed(way, "priority" if winner.priority > loser.priority else "order", winner, loser)
