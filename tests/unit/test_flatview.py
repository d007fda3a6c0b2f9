"""Flat views: looking up, sharing, and address spaces that come and go."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ramslot.vm.memory.address_space import MemoryTopology
from ramslot.vm.memory.flatview import FlatRange, arranged, render
from ramslot.vm.memory.intervals import IntervalIndex, IntervalSet
from ramslot.vm.memory.ramblock import RAMBlock
from ramslot.vm.memory.region import WHOLE_SPACE, MemoryRegion


class Host:
    address = 0
    page_size = 4096


def ram(topology: MemoryTopology, name: str, size: int) -> MemoryRegion:
    block = RAMBlock(name, size, size, Host())  # type: ignore[arg-type]  # only these two are looked at
    return topology.ram(name, size, block)


@pytest.fixture
def topology() -> MemoryTopology:
    return MemoryTopology()


def test_low_ram_of_a_pc(topology: MemoryTopology) -> None:
    """RAM shows through around the VGA window and the ROM, as every PC has it."""
    system, memory = topology.container("system"), ram(topology, "pc.ram", 0x8000000)
    system.add_subregion(0, topology.alias("ram-below-4g", memory, 0, 0x8000000))
    system.add_subregion(0xA0000, topology.io("vga", 0x20000), 1)
    system.add_subregion(0xC0000, topology.rom("rom", 0x40000, RAMBlock("", 1, 1, memory.ram_block.host)), 1)  # type: ignore[union-attr]  # RAM has a block
    view = topology.add_space("memory", system).view
    assert [(flat.start, flat.end, flat.region.name, flat.offset, flat.readonly) for flat in view.ranges] == [
        (0, 0xA0000, "pc.ram", 0, False),
        (0xA0000, 0xC0000, "vga", 0, False),
        (0xC0000, 0x100000, "rom", 0, True),
        (0x100000, 0x8000000, "pc.ram", 0x100000, False),
    ]
    found = view.find(0x100000)
    assert found is view.ranges[3]
    assert view.find(0xBFFFF) is view.ranges[1]
    assert view.find(0x8000000) is None


def test_the_whole_space_of_2_64_bytes(topology: MemoryTopology) -> None:
    system = topology.container("system")
    space = topology.add_space("memory", system)
    system.add_subregion(0, topology.io("all", WHOLE_SPACE), -1)
    system.add_subregion(WHOLE_SPACE - 16, topology.io("end", 16))
    last = WHOLE_SPACE - 16
    assert [(flat.start, flat.end) for flat in space.view.ranges] == [(0, last), (last, WHOLE_SPACE)]
    assert space.view.find(WHOLE_SPACE - 1) is space.view.ranges[1]


def test_touching_windows_of_the_same_memory_are_one_range(topology: MemoryTopology) -> None:
    system, memory = topology.container("system"), ram(topology, "ram", 0x4000)
    space = topology.add_space("memory", system)
    system.add_subregion(0, topology.alias("low", memory, 0, 0x1000))
    system.add_subregion(0x1000, topology.alias("high", memory, 0x1000, 0x1000))
    assert [(flat.start, flat.end) for flat in space.view.ranges] == [(0, 0x2000)]
    hole = topology.io("hole", 0x10)
    system.add_subregion(0xFF8, hole, 1)
    assert [(flat.start, flat.end, flat.offset) for flat in space.view.ranges] == [
        (0, 0xFF8, 0),
        (0xFF8, 0x1008, 0),
        (0x1008, 0x2000, 0x1008),
    ]
    system.remove_subregion(hole)
    assert [(flat.start, flat.end) for flat in space.view.ranges] == [(0, 0x2000)]


def test_views_are_shared_by_the_region_that_decides(topology: MemoryTopology) -> None:
    system, memory = topology.container("system"), ram(topology, "ram", 0x1000)
    system.add_subregion(0, memory)
    whole = topology.alias("bus master", system, 0, WHOLE_SPACE)
    master = topology.container("bus master container")
    master.add_subregion(0, whole)
    window = topology.alias("window", system, 0, 0x800)
    first, second, third = (topology.add_space(root.name, root) for root in (system, master, window))
    assert first.view is second.view
    assert first.view.root is memory
    assert third.view.root is window
    whole.set_enabled(False)
    assert (second.view.root, second.view.ranges) == (None, [])
    assert second.view is topology.add_space("empty", topology.container("nothing")).view
    whole.set_enabled(True)
    assert first.view is second.view
    system.add_subregion(0x1000, topology.io("device", 0x10))
    assert first.view is second.view
    assert first.view.root is system
    assert [flat.region.name for flat in second.view.ranges] == ["ram", "device"]


def test_a_space_that_joins_a_view_hears_of_what_changes_with_it(topology: MemoryTopology) -> None:
    system = topology.container("system")
    system.add_subregion(0, ram(topology, "ram", 0x1000))
    system.add_subregion(0x1000, topology.io("device", 0x10))
    master = topology.container("bus master container")
    window = topology.alias("bus master", system, 0, WHOLE_SPACE)
    window.set_enabled(False)
    master.add_subregion(0, window)
    topology.add_space("memory", system)
    joining = topology.add_space("master", master)
    told: list[str] = []

    class Listener:
        def update(self, gone: list[FlatRange], new: list[FlatRange]) -> Callable[[], None]:
            told.extend(flat.region.name for flat in new)
            return told.clear

    joining.add_listener(Listener())
    with topology.transaction():
        window.set_enabled(True)
        system.add_subregion(0x2000, topology.io("plugged", 0x10))
    assert told == ["ram", "device", "plugged"]


def test_a_space_may_begin_anywhere_in_a_tree(topology: MemoryTopology) -> None:
    system, part = topology.container("system"), topology.container("part", 0x2000)
    system.add_subregion(0x8000, part)
    part.add_subregion(0x1000, ram(topology, "ram", 0x1000))
    space = topology.add_space("part", part)
    assert [(flat.start, flat.end) for flat in space.view.ranges] == [(0x1000, 0x2000)]


def test_listeners_hear_of_a_space_that_goes(topology: MemoryTopology) -> None:
    system = topology.container("system")
    system.add_subregion(0, ram(topology, "ram", 0x1000))
    space = topology.add_space("memory", system)
    told: list[tuple[int, int]] = []

    class Listener:
        def update(self, gone: list[FlatRange], new: list[FlatRange]) -> Callable[[], None]:
            told.append((len(gone), len(new)))
            return told.clear

    listener = Listener()
    space.add_listener(listener)
    space.remove_listener(listener)
    space.add_listener(listener)
    topology.remove_space(space)
    assert told == [(0, 1), (1, 0), (0, 1), (1, 0)]
    assert (topology.spaces, system.spaces) == ([], [])


def test_a_part_of_a_tree_can_be_rendered(topology: MemoryTopology) -> None:
    system = topology.container("system")
    for number in range(4):
        system.add_subregion(number << 12, ram(topology, str(number), 0x1000))
    assert [(flat.start, flat.end, flat.offset) for flat in arranged(render(system, 0x1800, 0x2800))] == [
        (0x1800, 0x2000, 0x800),
        (0x2000, 0x2800, 0),
    ]


# Intervals


def test_an_interval_set_unites_what_touches() -> None:
    intervals = IntervalSet()
    assert not intervals
    for start, end in ((10, 20), (30, 40), (20, 25), (50, 50), (26, 30)):
        intervals.add(start, end)
    assert list(intervals) == [(10, 25), (26, 40)]
    assert intervals.gaps(0, 50) == [(0, 10), (25, 26), (40, 50)]
    assert intervals.gaps(12, 24) == []
    intervals.add(0, 100)
    assert list(intervals) == [(0, 100)]


def test_an_interval_index_finds_every_overlap(topology: MemoryTopology) -> None:
    index, regions = IntervalIndex(), {}
    for start, size in ((0, 100), (10, 1), (10, 0), (64, 64), (90, 1 << 60)):
        regions[start, size] = topology.io(f"{start}+{size}", size)
        index.add(start, size, regions[start, size])
    assert {region.name for region in index.overlapping(10, 11)} == {"0+100", "10+1"}
    assert {region.name for region in index.overlapping(99, 101)} == {"0+100", "64+64", f"90+{1 << 60}"}
    index.remove(0, 100, regions[0, 100])
    assert index.overlapping(0, 10) == []
    with pytest.raises(KeyError):
        index.remove(0, 100, regions[0, 100])
