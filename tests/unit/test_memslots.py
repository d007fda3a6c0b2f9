"""The memslot table: splitting, numbers, flags, limits. tests/property changes whole topologies at random."""

from __future__ import annotations

import pytest

from ramslot.vm.accel import default_max_memslot_size, open_accelerator
from ramslot.vm.accel.memslots import Memslot, MemslotTable
from ramslot.vm.errors import VMError
from ramslot.vm.host.linux import LinuxHost
from ramslot.vm.memory.address_space import MemoryTopology
from ramslot.vm.memory.ramblock import RAMBlock
from ramslot.vm.memory.region import MemoryRegion

PAGE = 4096
MIB = 1 << 20
GIB = 1 << 30
TIB = 1 << 40


class Host:
    address = 0x7F0000000000
    page_size = PAGE


class World:
    """An address space that a table follows."""

    def __init__(self, max_size: int = GIB, max_slots: int = 8, table: MemslotTable | None = None) -> None:
        self.topology = MemoryTopology()
        self.system = self.topology.container("system")
        self.space = self.topology.add_space("memory", self.system)
        self.table = MemslotTable(PAGE, max_size, max_slots) if table is None else table
        self.space.add_listener(self.table.follower(0))

    def plug(self, gpa: int, size: int, kind: str = "ram") -> MemoryRegion:
        block = RAMBlock(kind, size, size, Host())  # type: ignore[arg-type]  # only these two are looked at
        region: MemoryRegion = getattr(self.topology, kind)(kind, size, block)
        self.system.add_subregion(gpa, region)
        return region

    @property
    def slots(self) -> list[tuple[int, int, int, int]]:
        """Number, gpa, size and offset of each slot."""
        return [(memslot.slot, memslot.gpa, memslot.size, memslot.offset) for memslot in self.table]

    @property
    def flags(self) -> list[tuple[bool, bool]]:
        return [(memslot.readonly, memslot.log_dirty) for memslot in self.table]


def test_a_large_section_is_split_over_consecutive_slots() -> None:
    world = World(max_size=4 * MIB)
    world.plug(GIB, 10 * MIB)
    assert world.slots == [
        (0, GIB, 4 * MIB, 0),
        (1, GIB + 4 * MIB, 4 * MIB, 4 * MIB),
        (2, GIB + 8 * MIB, 2 * MIB, 8 * MIB),
    ]
    assert [memslot.hva - Host.address for memslot in world.table] == [0, 4 * MIB, 8 * MIB]
    assert len(world.table) == 3


def test_s390_guests_of_twelve_tebibytes_take_three_slots() -> None:
    world = World(max_size=default_max_memslot_size("s390x", PAGE))
    world.plug(0, 12 * TIB)
    assert [size for _, _, size, _ in world.slots] == [4 * TIB] * 3


def test_largest_slots() -> None:
    assert default_max_memslot_size("s390x", PAGE) == 4 * TIB
    assert default_max_memslot_size("x86_64", PAGE) == 8 * TIB - 2 * MIB


def test_only_whole_pages_of_memory_are_mapped() -> None:
    world = World()
    world.plug(0x800, 3 * PAGE)
    assert world.slots == [], "its pages are not where the host's are"
    odd = world.plug(GIB, 2 * PAGE + 5)
    assert world.slots == [(0, GIB, 2 * PAGE, 0)]
    odd.add_subregion(0x10, world.topology.io("registers", 0x10))
    assert world.slots == [(0, GIB + PAGE, PAGE, PAGE)]
    world.plug(2 * GIB, PAGE - 1)
    world.system.add_subregion(3 * GIB, world.topology.io("device", PAGE))
    world.system.add_subregion(4 * GIB, world.topology.reservation("reserved", PAGE))
    assert len(world.table) == 1


def test_numbers_are_reused_lowest_first() -> None:
    world = World()
    regions = [world.plug(number * GIB, MIB) for number in range(5)]
    for number in (3, 1):
        world.system.remove_subregion(regions[number])
    world.plug(8 * GIB, MIB)
    world.plug(9 * GIB, MIB)
    world.plug(10 * GIB, MIB)
    assert {gpa // GIB: slot for slot, gpa, _, _ in world.slots} == {0: 0, 2: 2, 4: 4, 8: 1, 9: 3, 10: 5}


def test_flags_follow_the_region() -> None:
    world = World()
    ram, rom, flash = world.plug(0, PAGE), world.plug(GIB, PAGE, "rom"), world.plug(2 * GIB, PAGE, "rom_device")
    assert world.flags == [(False, False), (True, False), (True, False)]
    ram.set_dirty_log_mask(2)
    rom.set_dirty_log_mask(1)
    assert world.flags == [(False, True), (True, True), (True, False)]
    ram.set_readonly(True)
    assert world.flags[0] == (True, True)
    flash.set_romd_mode(False)
    assert [slot for slot, _, _, _ in world.slots] == [0, 1]
    flash.set_romd_mode(True)
    assert [slot for slot, _, _, _ in world.slots] == [0, 1, 2]


class Log(MemslotTable):
    """Remembers what a kernel would be told."""

    def __init__(self) -> None:
        super().__init__(PAGE, MIB, 8)
        self.calls: list[tuple[str, int, bool]] = []

    def put(self, memslot: Memslot) -> None:
        self.calls.append(("put", memslot.slot, memslot.log_dirty))

    def take(self, memslot: Memslot) -> None:
        self.calls.append(("take", memslot.slot, memslot.log_dirty))


def test_dirty_logging_changes_slots_in_place() -> None:
    """A slot that went and came would lose its dirty log."""
    log = Log()
    world = World(table=log)
    ram = world.plug(0, 2 * MIB)
    ram.set_dirty_log_mask(1)
    assert log.calls == [("put", 0, False), ("put", 1, False), ("put", 0, True), ("put", 1, True)]


def test_a_change_deletes_before_it_adds() -> None:
    log = Log()
    world = World(table=log)
    ram = world.plug(0, MIB)
    ram.set_address(PAGE)
    assert log.calls == [("put", 0, False), ("take", 0, False), ("put", 0, False)]


def test_a_change_that_needs_too_many_slots_is_refused_whole() -> None:
    world = World(max_size=MIB, max_slots=4)
    world.plug(0, 3 * MIB)
    before = world.slots
    with pytest.raises(VMError, match=r"^not enough memslots: 2 needed, 1 free of 4$"):
        world.plug(GIB, 2 * MIB)
    assert (world.slots, len(world.space.view.ranges)) == (before, 1)
    world.plug(GIB, MIB)
    assert len(world.table) == 4


def test_slots_that_only_change_flags_are_not_free() -> None:
    world = World(max_slots=2)
    ram = world.plug(0, PAGE)
    world.plug(GIB, PAGE)
    with pytest.raises(VMError, match=r"^not enough memslots: 1 needed, 0 free of 2$"), world.topology.transaction():
        ram.set_dirty_log_mask(1)
        world.plug(2 * GIB, PAGE)
    assert world.flags == [(False, False), (False, False)]


def test_address_spaces_have_slots_of_their_own() -> None:
    world = World(max_slots=1)
    world.plug(0, PAGE)
    other = world.topology.add_space("smm", world.system)
    other.add_listener(world.table.follower(1))
    assert [(memslot.as_id, memslot.slot, memslot.gpa) for memslot in world.table] == [(0, 0, 0), (1, 0, 0)]
    world.topology.remove_space(other)
    assert world.slots == [(0, 0, PAGE, 0)]


def test_plugging_costs_the_same_late_as_early(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted: the slots that a plug looks at, by how many are made."""
    made: list[int] = []
    make = Memslot.__init__

    def count(memslot: Memslot, *arguments: object) -> None:
        made.append(1)
        make(memslot, *arguments)  # type: ignore[arg-type]  # passed on as they came

    monkeypatch.setattr(Memslot, "__init__", count)
    world = World(max_slots=20_000)
    costs = []
    for number in range(3000):
        made.clear()
        world.plug(number * 2 * PAGE, PAGE)
        costs.append(len(made))
    assert set(costs) == {1}


def test_the_simulated_accelerator_has_kvms_limits() -> None:
    accelerator = open_accelerator("sim", LinuxHost(), "x86_64", None, None)
    assert (accelerator.name, accelerator.in_kernel, accelerator.follows) == ("sim", False, True)
    assert (accelerator.slots.max_slots, accelerator.slots.max_size) == (32764, 8 * TIB - 2 * MIB)
    smaller = open_accelerator("sim", LinuxHost(), "x86_64", 16 * MIB, 10)
    assert (smaller.slots.max_slots, smaller.slots.max_size) == (10, 16 * MIB)
    with pytest.raises(VMError, match="max-memslots 1048576 is more than the accelerator's 32764"):
        open_accelerator("sim", LinuxHost(), "x86_64", None, 1 << 20)
    with pytest.raises(VMError, match="max-memslot-size 0x100000000000 is more than the accelerator's 0x7ffffe00000"):
        open_accelerator("sim", LinuxHost(), "x86_64", 16 * TIB, None)
    smaller.close()
    smaller.close()


@pytest.mark.parametrize("size", [0, 1, PAGE - 1, PAGE + 1])
def test_the_largest_slot_is_a_number_of_pages(size: int) -> None:
    needed = "a multiple of" if size else "at least"
    with pytest.raises(VMError, match=f"^max-memslot-size {size:#x} must be {needed} page size 0x1000$"):
        open_accelerator("sim", LinuxHost(), "x86_64", size, None)


def test_no_slots_at_all_are_refused() -> None:
    with pytest.raises(VMError, match=r"^max-memslots must be at least 1$"):
        open_accelerator("sim", LinuxHost(), "x86_64", None, 0)
