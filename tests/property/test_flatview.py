"""Flat views after changes, against a painter of single bytes, a render from nothing, and what listeners were told."""

from __future__ import annotations

import copy
from itertools import pairwise
from random import Random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ramslot.vm.memory.address_space import MemoryTopology
from ramslot.vm.memory.explain import explain
from ramslot.vm.memory.flatview import FlatRange, arranged, render
from ramslot.vm.memory.ramblock import RAMBlock

if TYPE_CHECKING:
    from collections.abc import Callable

    from ramslot.vm.host import HostMemory
    from ramslot.vm.memory.address_space import AddressSpace
    from ramslot.vm.memory.region import MemoryRegion

    Byte = tuple[str, int, bool, bool, int, str | None]

Row = tuple[str, int, int, int]
Operation = tuple[str, int, int, int]
Transaction = tuple[str, list[Operation], int]

SPACE = 32
"""Addresses that the painter looks at; the real ones are these times a scale, up to 2^64 in all."""
SYSTEM: Row = ("container", SPACE, 0, 0)
"""The last region of all, where half of the others go."""
KINDS = ("container", "ram", "rom", "romd", "i/o", "reservation", "alias")


class Host:
    """Host memory that is never touched."""

    address = 0
    page_size = 4096


class Node:
    """What a region should be: the painter's copy of it, in units of the scale. Regions are named by number."""

    def __init__(self, kind: str, size: int, target: int, offset: int) -> None:
        self.kind = kind
        self.size = size
        self.target = target
        self.alias_offset = offset
        self.enabled = True
        self.readonly = kind == "rom"
        self.romd_mode = kind == "romd"
        self.unmergeable = False
        self.dirty_log_mask = 0
        self.address = 0
        self.children: list[tuple[int, int]] = []
        """(priority, number), the one added last at the end."""


class World:
    """A topology and its model, changed together. A region contains, or is an alias of, only regions made before it."""

    def __init__(self, scale: int, rows: list[Row]) -> None:
        self.scale = scale
        self.topology = MemoryTopology()
        self.nodes: list[Node] = []
        self.regions: list[MemoryRegion] = []
        self.container: list[int | None] = []
        for number, (kind, size, target, offset) in enumerate([*rows, SYSTEM]):
            real_kind = "ram" if kind == "alias" and number == 0 else kind
            self.nodes.append(Node(real_kind, size, target % max(number, 1), offset))
            self.regions.append(self.make(number))
            self.container.append(None)

    def make(self, number: int) -> MemoryRegion:
        node, name, topology = self.nodes[number], str(number), self.topology
        size = node.size * self.scale
        host: HostMemory = Host()  # type: ignore[assignment]  # only its address and page size are looked at
        block = RAMBlock(name, size, size, host)
        factories: dict[str, Callable[[], MemoryRegion]] = {
            "alias": lambda: topology.alias(name, self.regions[node.target], node.alias_offset * self.scale, size),
            "container": lambda: topology.container(name, size),
            "i/o": lambda: topology.io(name, size),
            "reservation": lambda: topology.reservation(name, size),
            "ram": lambda: topology.ram(name, size, block),
            "rom": lambda: topology.rom(name, size, block),
            "romd": lambda: topology.rom_device(name, size, block),
        }
        made = factories[node.kind]()
        made.unmergeable = node.unmergeable = number % 3 == 0
        return made

    # Changes, to both

    def run(self, operation: Operation) -> None:
        name, first, second, third = operation
        getattr(self, name)(first % len(self.nodes), second, third)

    def add(self, number: int, container: int, place: int) -> None:
        homes = [home for home in range(number + 1, len(self.nodes)) if self.nodes[home].kind != "alias"]
        if self.container[number] is not None or not homes:
            return
        home = homes[container % len(homes)] if container % 2 else homes[-1]
        address, priority = place % SPACE, place % 3 - 1
        self.regions[home].add_subregion(address * self.scale, self.regions[number], priority)
        self.container[number] = home
        self.nodes[number].address = address
        self.nodes[home].children.append((priority, number))

    def remove(self, number: int, _second: int, _third: int) -> None:
        home = self.container[number]
        if home is not None:
            self.regions[home].remove_subregion(self.regions[number])
            self.nodes[home].children = [child for child in self.nodes[home].children if child[1] != number]
            self.container[number] = None

    def move(self, number: int, _second: int, place: int) -> None:
        home, address = self.container[number], place % SPACE
        if home is None or address == self.nodes[number].address:
            return
        self.regions[number].set_address(address * self.scale)
        self.nodes[number].address = address
        self.nodes[home].children.sort(key=lambda child: child[1] == number)

    def resize(self, number: int, _second: int, size: int) -> None:
        self.regions[number].set_size(size * self.scale)
        self.nodes[number].size = size

    def shift(self, number: int, _second: int, offset: int) -> None:
        if self.nodes[number].kind == "alias":
            self.regions[number].set_alias_offset(offset * self.scale)
            self.nodes[number].alias_offset = offset

    def enable(self, number: int, _second: int, value: int) -> None:
        self.regions[number].set_enabled(value % 2 == 1)
        self.nodes[number].enabled = value % 2 == 1

    def protect(self, number: int, _second: int, value: int) -> None:
        self.regions[number].set_readonly(value % 2 == 1)
        self.nodes[number].readonly = value % 2 == 1

    def romd(self, number: int, _second: int, value: int) -> None:
        if self.nodes[number].kind == "romd":
            self.regions[number].set_romd_mode(value % 2 == 1)
            self.nodes[number].romd_mode = value % 2 == 1

    def log(self, number: int, _second: int, value: int) -> None:
        self.regions[number].set_dirty_log_mask(value % 4)
        self.nodes[self.target(number)].dirty_log_mask = value % 4

    def target(self, number: int) -> int:
        """The region that an alias, or an alias of one, shows in the end; any other itself."""
        node = self.nodes[number]
        return self.target(node.target) if node.kind == "alias" else number

    # The painter

    def byte(self, number: int, offset: int) -> Byte | None:
        """What the byte (the unit) at `offset` of a region shows."""
        node, found = self.nodes[number], None
        if not node.enabled or not 0 <= offset < node.size:
            return None
        if node.kind == "alias":
            found = self.byte(node.target, offset + node.alias_offset)
        else:
            for _, child in visible_first(node):
                found = found or self.byte(child, offset - self.nodes[child].address)
            if found is None and node.kind != "container":
                found = (str(number), offset, False, node.romd_mode, node.dirty_log_mask, None)
        if found is not None and node.readonly:
            found = (*found[:2], True, *found[3:])
        if found is not None and node.unmergeable and found[5] is None:
            return (*found[:5], str(number))
        return found

    def expected(self, space: AddressSpace) -> list[Byte | None]:
        """What each byte shows of what decides alone what the space shows."""
        root = space.root.flatview_root()
        return [self.byte(int((root or space.root).name), offset) for offset in range(SPACE)]

    def shown(self, space: AddressSpace) -> list[Byte | None]:
        bytes_shown: list[Byte | None] = [None] * SPACE
        for shown in space.view.ranges:
            assert shown.start % self.scale == shown.end % self.scale == shown.offset % self.scale == 0
            for unit in range(shown.start // self.scale, shown.end // self.scale):
                offset = unit + (shown.offset - shown.start) // self.scale
                values = shown.readonly, shown.romd_mode, shown.dirty_log_mask
                whole = shown.whole.name if shown.whole is not None else None
                bytes_shown[unit] = (shown.region.name, offset, *values, whole)
        return bytes_shown


def visible_first(node: Node) -> list[tuple[int, int]]:
    """The children by priority, the youngest first among equals."""
    youngest_first = node.children[::-1]
    return sorted(youngest_first, key=lambda child: -child[0])


class Replayer:
    """A listener that keeps what it was told, and refuses when it is asked to."""

    def __init__(self, space: AddressSpace) -> None:
        self.shown: dict[int, FlatRange] = {}
        self.refuses = False
        space.add_listener(self)

    def update(self, gone: list[FlatRange], new: list[FlatRange]) -> Callable[[], None]:
        before = dict(self.shown)
        if self.refuses:
            raise BufferError("refused")
        assert in_order(gone)
        assert in_order(new)
        for flat_range in gone:
            assert same([flat_range], [self.shown.pop(flat_range.start)]), "gone is what was shown"
        for flat_range in new:
            assert flat_range.start not in self.shown
            self.shown[flat_range.start] = flat_range
        return lambda: setattr(self, "shown", before)

    @property
    def ranges(self) -> list[FlatRange]:
        return [self.shown[start] for start in sorted(self.shown)]


def in_order(ranges: list[FlatRange]) -> bool:
    return all(before.end <= after.start for before, after in pairwise(ranges))


def same(left: list[FlatRange], right: list[FlatRange]) -> bool:
    fields = [slot for slot in FlatRange.__slots__ if slot != "region"]

    def values(flat: FlatRange) -> list[object]:
        return [flat.region.name, *(getattr(flat, field) for field in fields)]

    return list(map(values, left)) == list(map(values, right))


def explained(root: MemoryRegion, address: int) -> tuple[MemoryRegion, int, bool] | None:
    """What `explain` says of an address; each way that it says is shadowed has to have lost to what it says."""
    way, shadowed = explain(root, address)
    for each in shadowed:
        if each.reason == "disabled":
            assert not each.by.enabled
            continue
        assert way is not None and each.by in [step.region for step in way.steps]
        assert each.loser in [step.region for step in each.way.steps]
        if each.reason == "subregion":
            assert each.by.container is each.loser is each.way.region
        else:
            assert each.by.container is each.loser.container
            assert (each.by.priority > each.loser.priority) == (each.reason == "priority")
    return None if way is None else (way.region, way.offset, way.readonly is not None)


def looked_up(space: AddressSpace, address: int) -> tuple[MemoryRegion, int, bool] | None:
    found = space.view.find(address)
    return None if found is None else (found.region, found.offset + address - found.start, found.readonly)


def check(world: World, replayers: dict[AddressSpace, Replayer]) -> None:
    for space, replayer in replayers.items():
        ranges = space.view.ranges
        assert world.shown(space) == world.expected(space), space.root
        assert in_order(ranges)
        assert not any(after.continues(before) for before, after in pairwise(ranges)), "united"
        root = space.root.flatview_root()
        assert space.view.root is root
        assert same(ranges, arranged(render(root, 0, 1 << 64)) if root is not None else []), "rendered from nothing"
        assert same(replayer.ranges, ranges), "replayed from what the listener was told"
        for address in range(0, SPACE * world.scale, world.scale):
            assert explained(space.root, address) == looked_up(space, address), "explained"
        for other in replayers:
            assert (other.view is space.view) == (other.view.root is space.view.root), "views are shared by root"
    for number, (node, region) in enumerate(zip(world.nodes, world.regions, strict=True)):
        state = (region.size, region.enabled, region.readonly, region.romd_mode, region.dirty_log_mask)
        size, mask = node.size * world.scale, world.nodes[world.target(number)].dirty_log_mask
        assert state == (size, node.enabled, node.readonly, node.romd_mode, mask)
        assert [child.name for child in region.subregions] == [str(number) for _, number in visible_first(node)]
        by_address = sorted(region.subregions, key=lambda child: child.address)
        assert [child for _, _, child in region.subregions_by_address] == by_address


NAMES = ("add", "add", "add", "remove", "move", "resize", "shift", "enable", "protect", "romd", "log")
ENDINGS = ("commit", "commit", "commit", "raise", "refuse")
SCALES = (1, 4096, (1 << 64) // SPACE)

NUMBERS = st.integers(0, 11)
UNITS = st.integers(0, SPACE)
OPERATIONS = st.lists(st.tuples(st.sampled_from(NAMES), NUMBERS, NUMBERS, UNITS), max_size=6)
ROWS = st.lists(st.tuples(st.sampled_from(KINDS), UNITS, NUMBERS, UNITS), min_size=2, max_size=9)
ROOTS = st.lists(st.integers(0, 3), min_size=1, max_size=4)
TRANSACTIONS = st.lists(st.tuples(st.sampled_from(ENDINGS), OPERATIONS, NUMBERS), max_size=6)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(SCALES), ROWS, OPERATIONS, ROOTS, TRANSACTIONS)
def test_views_follow_every_change(
    scale: int, rows: list[Row], beginning: list[Operation], roots: list[int], transactions: list[Transaction]
) -> None:
    follow(scale, rows, beginning, roots, transactions)


@pytest.mark.parametrize("seed", range(300))
def test_views_follow_every_change_of_larger_trees(seed: int) -> None:
    """The same with trees that are denser than hypothesis makes them, which finds what needs several things at once."""
    random = Random(seed)

    def operation(name: str) -> Operation:
        return (name, random.randrange(12), random.randrange(12), random.randrange(SPACE + 1))

    def size() -> int:
        return random.choice((SPACE, random.randrange(SPACE + 1)))

    def offset() -> int:
        return random.choice((0, random.randrange(SPACE + 1)))

    rows = [(random.choice((*KINDS, "alias", "alias")), size(), random.randrange(12), offset()) for _ in range(9)]
    transactions = [
        (random.choice(ENDINGS), [operation(random.choice(NAMES)) for _ in range(random.randint(1, 4))], seed)
        for _ in range(8)
    ]
    roots = [random.randrange(5) for _ in range(4)]
    follow(random.choice(SCALES), rows, [operation("add") for _ in range(9)], roots, transactions)


def follow(
    scale: int, rows: list[Row], beginning: list[Operation], roots: list[int], transactions: list[Transaction]
) -> None:
    """Make all changes, and look at everything after each transaction."""
    world = World(scale, rows)
    for operation in beginning:
        world.run(operation)
    replayers: dict[AddressSpace, Replayer] = {}
    for number, root in enumerate(roots):
        space = world.topology.add_space(str(number), world.regions[-1 - root % len(rows)])
        replayers[space] = Replayer(space)
    check(world, replayers)
    for ending, operations, refuser in transactions:
        nodes, container = copy.deepcopy(world.nodes), list(world.container)
        views = {space: (space.view, list(space.view.ranges)) for space in replayers}
        list(replayers.values())[refuser % len(roots)].refuses = ending == "refuse"
        if not attempt(world, operations, raises=ending == "raise"):
            world.nodes, world.container = nodes, container
            for space, (view, ranges) in views.items():
                assert space.view is view
                assert view.ranges == ranges
        for replayer in replayers.values():
            replayer.refuses = False
        check(world, replayers)
    for space, replayer in replayers.items():
        world.topology.remove_space(space)
        assert not replayer.shown


def attempt(world: World, operations: list[Operation], *, raises: bool) -> bool:
    """Make changes in one transaction; False if it did not come through."""
    try:
        with world.topology.transaction():
            for operation in operations:
                world.run(operation)
            if raises:
                raise BufferError("half way")
    except BufferError:
        return False
    return True


@pytest.mark.parametrize("count", [10, 10_000])
def test_a_change_of_a_big_view_visits_little(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The ten-thousandth plug paints as many regions, and tells listeners of as many ranges, as the tenth."""
    topology = MemoryTopology()
    system = topology.container("system")
    space = topology.add_space("memory", system)
    host: HostMemory = Host()  # type: ignore[assignment]  # only its address and page size are looked at

    def plug(number: int) -> MemoryRegion:
        region = topology.ram(str(number), 4096, RAMBlock("", 4096, 4096, host))
        system.add_subregion(number * 8192, region)
        return region

    with topology.transaction():
        for number in range(count):
            plug(number)
    told: list[tuple[int, int]] = []

    class Listener:
        def update(self, gone: list[FlatRange], new: list[FlatRange]) -> Callable[[], None]:
            told.append((len(gone), len(new)))
            return told.clear

    space.add_listener(Listener())
    painted: list[object] = []
    look_up = type(system).visible_subregions

    def visible_subregions(region: MemoryRegion, start: int, end: int) -> list[MemoryRegion]:
        painted.append(region)
        return look_up(region, start, end)

    monkeypatch.setattr(type(system), "visible_subregions", visible_subregions)
    plugged = plug(count)
    assert painted == [system, plugged]
    plugged.set_readonly(True)
    system.remove_subregion(plugged)
    assert painted == [system, plugged, system, plugged, system]
    assert told == [(0, count), (0, 1), (1, 1), (1, 0)]
