"""DIMMs: where they go, against a slow obvious model; what failing and unplugging leave behind; the guest's part."""

from __future__ import annotations

import os
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ramslot.commands.what_if import what_if_device_add
from ramslot.vm.config import Config
from ramslot.vm.devices.device import MemoryDevice
from ramslot.vm.devices.preview import preview
from ramslot.vm.devices.space import DeviceMemory
from ramslot.vm.errors import VMError
from ramslot.vm.machine import VirtualMachine
from ramslot.vm.memory.address_space import MemoryTopology
from ramslot.vm.releases import NEWEST, find_release
from ramslot.vm.steps import Cancellation, run_now

from .memory_devices import GIB, MIB, Asked, add_backend, machine, state, vm

__all__ = ("vm",)


def plug(vm: VirtualMachine, name: str, **more: Any) -> Any:
    return vm.plugging.add({"driver": "pc-dimm", "id": f"dimm-{name}", "memdev": name, **more}, hot=True)


class Fake:
    """A device of which only address and length are looked at."""

    device_id = None

    memslots = used_memslots = 1

    def __init__(self, topology: MemoryTopology, address: int, length: int) -> None:
        self.address = address
        self.length = length
        self.region = topology.container("fake", length)


def lowest(taken: list[tuple[int, int]], first: int, end: int, length: int, alignment: int) -> int | None:
    """By trying one address after the other."""
    for address in range(-(-first // alignment) * alignment, end - length + 1, alignment):
        if all(address + length <= start or start + size <= address for start, size in taken):
            return address
    return None


STEPS = st.lists(
    st.tuples(st.integers(1, 6), st.sampled_from([1, 2, 4]), st.one_of(st.just(0), st.integers(8, 30)), st.booleans()),
    max_size=25,
)


@given(steps=STEPS)
@settings(max_examples=300, deadline=None)
def test_addresses_and_slots_are_the_lowest_that_are_free(steps: list[tuple[int, int, int, bool]]) -> None:
    topology = MemoryTopology()
    room = DeviceMemory(topology.container("device-memory", 24), 8, 20, 5)
    release = find_release(NEWEST)
    placed: dict[int, Fake] = {}
    for units, alignment, wanted, leave in steps:
        if leave and placed:
            slot = sorted(placed)[units % len(placed)]
            room.take(placed.pop(slot))  # type: ignore[arg-type]  # of which only those attributes are looked at
            continue
        taken = [(device.address, device.length) for device in placed.values()]
        try:
            slot = room.choose_slot(-1)
            address = room.choose_address(wanted, units, alignment, release, lambda _text: None)
        except VMError:
            full = len(placed) == 5 or sum(length for _start, length in taken) + units > 20
            fits = lowest(taken, 8, 32, units, alignment) is not None
            assert full or wanted or units % alignment or not fits
            continue
        assert slot == min(set(range(6)) - set(placed))
        if not wanted:
            assert address == lowest(taken, 8, 32, units, alignment)
        else:
            assert address == wanted
            assert all(address + units <= start or start + size <= address for start, size in taken)
        device = Fake(topology, address, units)
        room.put(device, slot)  # type: ignore[arg-type]  # see above
        placed[slot] = device
    assert room.used == sum(device.length for device in placed.values())


REFUSED: tuple[dict[str, Any], ...] = (
    {"slot": 9}, {"addr": 5}, {"node": 3}, {"foo": 1}, {"id": "1x"}, {"memdev": "absent"}, {"bus": "b"}, {"driver": "x"},
    {"id": "type"}, {"as-option": True}, {"addr": [1]}, {"slot": None}, {"node": {}}, {"memdev": 1.5}, {"driver": []},
    {"addr": 1 << 60}, {"memdev": "used"}, {"memdev": "pc.ram"}, {"memdev": "small"},
)  # fmt: skip


@pytest.mark.parametrize("change", REFUSED)
def test_what_is_refused_changes_nothing(vm: VirtualMachine, change: dict[str, Any]) -> None:
    add_backend(vm, "used")
    add_backend(vm, "free")
    add_backend(vm, "small", 4096)
    plug(vm, "used")
    before = state(vm)
    with pytest.raises(VMError):
        plug(vm, "free", **change)
    assert state(vm) == before
    plug(vm, "free")


def test_a_full_slot_table_refuses_and_changes_nothing() -> None:
    config = Config()
    config.machine_type, config.ram_size, config.max_ram_size, config.ram_slots = "pc", GIB, 2 * GIB, 4
    config.accelerators = [("sim", {"max-memslots": "5"})]
    with VirtualMachine(config) as vm:
        add_backend(vm, "m")
        before = state(vm)
        with pytest.raises(VMError):
            plug(vm, "m")
        assert state(vm) == before
        run_now(vm.objects.delete("m"))


@pytest.mark.parametrize("accepts", [True, False])
def test_the_guest_lets_go_or_does_not(vm: VirtualMachine, accepts: bool) -> None:
    events: list[Any] = []
    vm.observers.append(lambda name, data: events.append((name, data)))
    add_backend(vm, "m")
    device = plug(vm, "m")
    vm.plugging.request_removal(device)
    assert not events and vm.memory_devices == [device]
    vm.plugging.guest.follow("accept" if accepts else "refuse")  # which answers what was asked before
    told: dict[str, Any] = {"slot": "0", "slot-type": "DIMM", "source": 3, "status": 0 if accepts else 1}
    if accepts:
        path = "/machine/peripheral/dimm-m"
        assert events == [
            ("DEVICE_DELETED", {"device": "dimm-m", "path": path}),
            ("ACPI_DEVICE_OST", {"info": told}),
        ]
        run_now(vm.objects.delete("m"))
    else:
        assert events == [("ACPI_DEVICE_OST", {"info": {**told, "device": "dimm-m"}})]
        with pytest.raises(VMError, match="mapped"):
            run_now(vm.objects.delete("m"))


WHAT_IF: tuple[tuple[dict[str, Any], str | None], ...] = (
    ({"memdev": "free"}, None),
    ({"memdev": "free", "addr": 5}, "leave out addr=; it goes to 0x100400000 then"),
    ({"memdev": "free", "slot": 99}, "leave out slot="),
    ({"memdev": "free", "node": 3}, "leave out node="),
    ({"memdev": "free", "slot": 99, "addr": 5}, "leave out addr=, slot=; it goes to 0x100400000 then"),
    ({"memdev": "used"}, "make a memory backend of its own for it"),
    ({"memdev": "odd"}, "make the backend 2M large, a multiple of 2M"),
    ({"memdev": "absent"}, "name a memory backend that exists: memdev=ID"),
    ({"memdev": "free", "driver": "x"}, ""),
    ({"memdev": "huge"}, "start the machine with -m …,maxmem=20484M"),
)


@pytest.mark.parametrize(("arguments", "fix"), WHAT_IF)
def test_what_would_become_of_it(vm: VirtualMachine, arguments: dict[str, Any], fix: str | None) -> None:
    for name, size in (("used", 4 * MIB), ("free", 4 * MIB), ("odd", 1000001), ("huge", 19 * GIB)):
        add_backend(vm, name, size, reserve=False)
    plug(vm, "used")
    before = state(vm)
    arguments = {"driver": "pc-dimm", **arguments}
    found = preview(vm.plugging, arguments)
    assert state(vm) == before
    if fix is None:
        device = vm.plugging.add(arguments, hot=True)
        assert found.error is None
        assert isinstance(found.device, MemoryDevice) and isinstance(device, MemoryDevice)
        assert found.device.describe_place(vm.plugging.rooms) == device.describe_place(vm.plugging.rooms)
        return
    assert found.fix == (fix or None)
    with pytest.raises(VMError) as caught:
        vm.plugging.add(arguments, hot=True)
    assert str(caught.value) == str(found.error)


def test_the_machine_that_was_advised_takes_it() -> None:
    config = Config()
    config.machine_type, config.ram_size, config.max_ram_size, config.ram_slots = "pc", GIB, 20484 * MIB, 8
    with VirtualMachine(config) as vm:
        add_backend(vm, "used")
        add_backend(vm, "huge", 19 * GIB, reserve=False)
        plug(vm, "used")
        plug(vm, "huge")


@pytest.mark.parametrize("accelerator", ["sim", "tcg"])
def test_what_the_command_tells(accelerator: str) -> None:
    with machine(accelerator=accelerator) as vm:
        add_backend(vm, "m", 256 * MIB)
        context: Any = Asked(vm)
        answer = what_if_device_add(context, {"driver": "pc-dimm", "memdev": "m"})
        free = vm.accelerator.slots.max_slots - len(list(vm.accelerator.slots))
        kernel = answer.pop("kernel-memory", None)
        place = {"addr": 4 * GIB, "slot": 0, "node": 0, "size": 256 * MIB}
        slots = {"memslots": 1, "free-memslots": free} if accelerator == "sim" else {}
        assert answer == {"fits": True, "free": 15 * GIB, "free-slots": 8, **place, **slots}
        assert (kernel is not None and kernel >= 516) == (accelerator == "sim")


def test_too_few_memslots_are_foreseen() -> None:
    config = Config()
    config.machine_type, config.ram_size, config.max_ram_size, config.ram_slots = "pc", GIB, 2 * GIB, 4
    config.accelerators = [("sim", {"max-memslots": "5"})]
    with VirtualMachine(config) as vm:
        add_backend(vm, "m")
        context: Any = Asked(vm)
        answer = what_if_device_add(context, {"driver": "pc-dimm", "memdev": "m"})
        with pytest.raises(VMError) as caught:
            plug(vm, "m")
        assert (answer["fits"], answer["error"]) == (False, str(caught.value))


def test_the_map_shows_the_room(vm: VirtualMachine) -> None:
    from ramslot.commands.map_ranges import _holes

    room = vm.machine.device_memory
    assert room is not None
    kinds = [(shown["kind"], shown["start"]) for shown in _holes(vm, 4 * GIB, (1 << 64) - 1, "hole")]
    assert kinds == [("room", 4 * GIB), ("hole", 4 * GIB + room.size)]


def test_a_block_that_goes_while_the_dirty_rate_is_measured_counts_for_nothing(vm: VirtualMachine) -> None:
    add_backend(vm, "m")
    device = plug(vm, "m")
    vm.plugging.guest.follow("accept")
    task = vm.dirty_rate.start(50, "millisecond", 512, "page-sampling")
    step = next(task)
    samples = step(Cancellation())
    vm.plugging.request_removal(device)
    run_now(vm.objects.delete("m"))
    step = task.send(samples)
    while True:
        try:
            step = task.send(step(Cancellation()))
        except StopIteration:
            break
    assert vm.dirty_rate.status == "measured" and vm.dirty_rate.megabytes_per_second == 0


def test_many_rounds_leave_nothing(vm: VirtualMachine) -> None:
    vm.plugging.guest.follow("accept")

    def rounds(count: int) -> tuple[int, int]:
        for number in range(count):
            add_backend(vm, f"m{number % 3}")
            vm.plugging.request_removal(plug(vm, f"m{number % 3}"))
            run_now(vm.objects.delete(f"m{number % 3}"))
        with open("/proc/self/maps") as maps:
            return len(os.listdir("/proc/self/fd")), len(maps.readlines())

    rounds(50)
    before, blocks = rounds(50), state(vm)
    after = rounds(2000)
    assert state(vm) == blocks
    assert after[0] == before[0] and abs(after[1] - before[1]) < 10


def test_a_name_is_found_as_quickly_among_many(vm: VirtualMachine) -> None:
    """And as rightly: an ambiguous one is refused, a link leads on, what is gone is not found."""
    add_backend(vm, "twice")
    assert vm.tree.find("twice") == [vm.tree.objects.children["twice"]]
    add_backend(vm, "m")
    device = plug(vm, "m", id="twice")
    assert set(vm.tree.find("twice")) == {vm.tree.objects.children["twice"], device}
    assert vm.tree.find("twice/memdev") == [vm.tree.objects.children["m"]]
    assert vm.tree.find("m/m[0]")
    vm.plugging.guest.follow("accept")
    vm.plugging.request_removal(device)
    run_now(vm.objects.delete("m"))
    assert vm.tree.find("twice") == [vm.tree.objects.children["twice"]]
    assert not vm.tree.find("m") and not vm.tree.find("m/m[0]")
