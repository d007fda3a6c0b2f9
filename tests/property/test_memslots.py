"""The memslot table after any change, against one built from nothing and against a kernel that refuses at random."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from ramslot.vm.accel.memslots import Memslot, MemslotTable
from ramslot.vm.errors import VMError
from ramslot.vm.memory.address_space import MemoryTopology
from ramslot.vm.memory.ramblock import RAMBlock

if TYPE_CHECKING:
    from ramslot.vm.memory.address_space import AddressSpace
    from ramslot.vm.memory.region import MemoryRegion

    Row = tuple[str, int, int, int]
    Operation = tuple[str, int, int]

PAGE = 4096
UNIT = PAGE // 2
"""Addresses and sizes are multiples of half a page, so that sections begin and end within pages."""
KINDS = ("ram", "ram", "rom", "romd", "i/o", "alias")
PLENTY = 1000


class Host:
    page_size = PAGE

    def __init__(self, address: int) -> None:
        self.address = address


class Kernel(MemslotTable):
    """A table whose slots a kernel holds, with a kernel's own checks; it refuses the `refuse_at`-th call."""

    def __init__(self, max_size: int, max_slots: int) -> None:
        super().__init__(PAGE, max_size, max_slots)
        self.held: dict[tuple[int, int], Memslot] = {}
        self.refuse_at: int | None = None

    def put(self, memslot: Memslot) -> None:
        self.count()
        assert 0 <= memslot.slot < self.max_slots
        assert memslot.gpa % PAGE == memslot.size % PAGE == memslot.hva % PAGE == 0
        assert 0 < memslot.size <= self.max_size
        key = memslot.as_id, memslot.slot
        if key in self.held:
            assert memslot.same_memory(self.held[key]), "only flags of a slot that exists may change"
        for other, held in self.held.items():
            assert (
                other == key
                or other[0] != memslot.as_id
                or held.gpa + held.size <= memslot.gpa
                or memslot.gpa + memslot.size <= held.gpa
            )
        self.held[key] = memslot

    def take(self, memslot: Memslot) -> None:
        self.count()
        assert self.held.pop((memslot.as_id, memslot.slot)).same_memory(memslot)

    def count(self) -> None:
        if self.refuse_at is not None:
            self.refuse_at -= 1
            if self.refuse_at < 0:
                self.refuse_at = None
                raise VMError("refused")


class World:
    """Two address spaces of which the second sees a part of the first, followed by a table each of their own ids."""

    def __init__(self, rows: list[Row], max_size: int, max_slots: int) -> None:
        self.topology = MemoryTopology()
        self.system = self.topology.container("system")
        self.regions: list[MemoryRegion] = []
        for number, (kind, address, size, offset) in enumerate(rows):
            region = self.make(kind, number, size * UNIT, offset * UNIT)
            self.regions.append(region)
            self.system.add_subregion(address * UNIT, region, number % 2)
        window = self.topology.alias("window", self.system, 16 * UNIT, 40 * UNIT)
        self.spaces = [self.topology.add_space("memory", self.system), self.topology.add_space("window", window)]
        self.kernel = Kernel(max_size, PLENTY)
        for as_id, space in enumerate(self.spaces):
            space.add_listener(self.kernel.follower(as_id))
        self.kernel.max_slots = max(max_slots, *(len(self.slots(as_id)) for as_id in (0, 1)))

    def make(self, kind: str, number: int, size: int, offset: int) -> MemoryRegion:
        topology, name = self.topology, str(number)
        if kind == "alias" and self.regions:
            return topology.alias(name, self.regions[offset % len(self.regions)], offset, size)
        if kind == "i/o":
            return topology.io(name, size)
        host = Host((number + 1) << 32)
        block = RAMBlock(name, size, size, host)  # type: ignore[arg-type]  # only these two are looked at
        factory = {"rom": topology.rom, "romd": topology.rom_device}.get(kind, topology.ram)
        return factory(name, size, block)

    def slots(self, as_id: int) -> list[Memslot]:
        return [memslot for memslot in self.kernel if memslot.as_id == as_id]

    def run(self, operation: Operation) -> None:
        name, number, value = operation
        region = self.regions[number % len(self.regions)]
        if name == "move":
            region.set_address(value * UNIT)
        elif name == "resize" and region.ram_block is None:
            region.set_size(value * UNIT)
        elif name == "enable":
            region.set_enabled(value % 2 == 1)
        elif name == "protect":
            region.set_readonly(value % 2 == 1)
        elif name == "romd" and region.kind == "rom device":
            region.set_romd_mode(value % 2 == 1)
        elif name == "log":
            region.set_dirty_log_mask(value % 2)


def content(slots: list[Memslot]) -> dict[int, tuple[int, int, bool, bool]]:
    """What slots map, without their numbers: by guest address."""
    return {slot.gpa: (slot.size, slot.hva, slot.readonly, slot.log_dirty) for slot in slots}


def pages(slots: list[Memslot]) -> dict[int, tuple[int, bool, bool]]:
    """Host address and flags of each guest page."""
    mapped: dict[int, tuple[int, bool, bool]] = {}
    for slot in slots:
        for distance in range(0, slot.size, PAGE):
            assert slot.gpa + distance not in mapped, "no two slots overlap"
            mapped[slot.gpa + distance] = slot.hva + distance, slot.readonly, slot.log_dirty
    return mapped


def expected_pages(space: AddressSpace) -> dict[int, tuple[int, bool, bool]]:
    """Every page that a view wholly shows, where it is host memory at the start of a host page."""
    expected = {}
    for shown in space.view.ranges:
        region, block = shown.region, shown.region.ram_block
        memory = region.kind in ("ram", "rom") or (region.kind == "rom device" and region.romd_mode)
        for page in range(shown.start // PAGE * PAGE, shown.end, PAGE):
            hva = (block.host.address if block else 0) + shown.offset + page - shown.start
            if memory and page >= shown.start and page + PAGE <= shown.end and hva % PAGE == 0:
                readonly = shown.readonly or region.kind == "rom device"
                expected[page] = hva, readonly, shown.dirty_log_mask != 0
    return expected


def check(world: World, before: list[list[Memslot]], *, refused: bool) -> None:
    assert {(slot.as_id, slot.slot): slot for slot in world.kernel} == world.kernel.held, "table and kernel agree"
    for as_id, space in enumerate(world.spaces):
        slots, old = world.slots(as_id), content(before[as_id])
        if refused:
            assert content(slots) == old
            assert [slot.slot for slot in slots] == [slot.slot for slot in before[as_id]]
            assert [slot.gpa for slot in slots] == [slot.gpa for slot in before[as_id]]
        assert pages(slots) == expected_pages(space)
        for start in range(0, 70 * PAGE, PAGE):
            for end in (start + 1, start + PAGE, start + 9 * PAGE):
                there = [slot for slot in slots if slot.gpa < end and slot.gpa + slot.size > start]
                assert world.kernel.within(as_id, start, end) == sorted(there, key=lambda slot: slot.gpa)
        anew = MemslotTable(PAGE, world.kernel.max_size, PLENTY)
        anew.follower(0).update([], list(space.view.ranges))
        assert content(slots) == content(list(anew)), "as built from nothing"
        numbers = {slot.gpa: slot.slot for slot in before[as_id]}
        kept = [slot for slot in slots if slot.gpa in old and old[slot.gpa][:3] == content([slot])[slot.gpa][:3]]
        assert {slot.slot for slot in kept} == {numbers[slot.gpa] for slot in kept}
        fresh = sorted((slot for slot in slots if slot not in kept), key=lambda slot: slot.gpa)
        free = (number for number in range(PLENTY) if number not in {slot.slot for slot in kept})
        assert [slot.slot for slot in fresh] == [next(free) for _ in fresh], "lowest numbers first"


HALF_PAGES = st.integers(0, 64)
EVEN = st.integers(0, 32).map(lambda pages: 2 * pages)
PLACES = EVEN | HALF_PAGES
ROWS = st.lists(st.tuples(st.sampled_from(KINDS), PLACES, PLACES, PLACES), min_size=1, max_size=6)
NAMES = st.sampled_from(("move", "resize", "enable", "protect", "romd", "log"))
CHANGES = st.lists(st.tuples(NAMES, st.integers(0, 5), PLACES), min_size=1, max_size=4)
TRANSACTIONS = st.lists(st.tuples(CHANGES, st.none() | st.integers(0, 9)), max_size=6)


@settings(max_examples=300, deadline=None)
@given(ROWS, st.integers(1, 8), st.integers(1, 12) | st.just(PLENTY), TRANSACTIONS)
def test_slots_follow_every_change(
    rows: list[Row], max_pages: int, max_slots: int, transactions: list[tuple[list[Operation], int | None]]
) -> None:
    world = World(rows, max_pages * PAGE, max_slots)
    check(world, [[], []], refused=False)
    for operations, refuse_at in transactions:
        before = [world.slots(as_id) for as_id in (0, 1)]
        world.kernel.refuse_at = refuse_at
        refused = False
        try:
            with world.topology.transaction():
                for operation in operations:
                    world.run(operation)
        except VMError as error:
            refused = True
            assert str(error) == "refused" or str(error).startswith("not enough memslots: ")
        world.kernel.refuse_at = None
        check(world, before, refused=refused)
    for space in world.spaces:
        world.topology.remove_space(space)
    assert not len(world.kernel)
    assert not world.kernel.held
