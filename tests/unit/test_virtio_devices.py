"""Devices on PCI and behind VirtIO: their places against a slow model, what is refused, and what is foretold."""

from __future__ import annotations

import gc
import os
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ramslot.commands.explain import query_address
from ramslot.commands.map import query_map
from ramslot.commands.what_if import what_if_device_add
from ramslot.vm.devices.pci import PCIDevice
from ramslot.vm.devices.preview import preview
from ramslot.vm.errors import VMError
from ramslot.vm.machine import VirtualMachine
from ramslot.vm.memory.region import MemoryRegion
from ramslot.vm.steps import run_now

from .memory_devices import BLOCK, GIB, MIB, Asked, V, add_backend, add_memory, machine, state, vm, want

__all__ = ("vm",)

PLACES = st.lists(
    st.tuples(st.one_of(st.none(), st.integers(0, 63)), st.booleans(), st.booleans()), min_size=1, max_size=24
)


def model_of_place(taken: dict[int, bool], wanted: int | None, several: bool) -> int | None:
    """Where a device goes, cold, given who is there and says that its slot has several functions; None if nowhere."""
    if wanted is None:
        wanted = next((slot * 8 for slot in range(32) if slot * 8 not in taken), None)
    if wanted is None or wanted in taken:
        return None
    first = wanted // 8 * 8
    if wanted != first:
        return wanted if taken.get(first, True) else None
    return wanted if several or not any(first + other in taken for other in range(1, 8)) else None


@settings(max_examples=60, deadline=None)
@given(PLACES)
def test_places_on_the_bus_follow_a_model(steps: list[tuple[int | None, bool, bool]]) -> None:
    with machine() as vm:
        taken = {0x00: False, 0x08: True, 0x09: True, 0x0B: True}
        placed: list[PCIDevice] = []
        for number, (wanted, several, leave) in enumerate(steps):
            if leave and placed:
                gone = placed.pop(number % len(placed))
                assert gone.devfn is not None
                del taken[gone.devfn]
                vm.plugging.remove(gone)
                continue
            add_backend(vm, f"m{number}", MIB)
            address = {} if wanted is None else {"addr": f"{wanted // 8:x}.{wanted % 8}"}
            arguments = {"driver": "ivshmem-plain", "memdev": f"m{number}", "multifunction": several, **address}
            expected = model_of_place(taken, wanted, several)
            try:
                made = vm.plugging.add(arguments, hot=False)
            except VMError:
                assert expected is None
                continue
            assert isinstance(made, PCIDevice) and made.devfn is not None
            assert made.devfn == expected
            taken[made.devfn] = several
            placed.append(made)


REFUSED: tuple[dict[str, Any], ...] = (
    {"memdev": "absent"}, {"memdev": "used"}, {"addr": "1"}, {"addr": []}, {"addr": "x"}, {"addr": True}, {"addr": 1 << 70},
    {"requested-size": 1}, {"requested-size": {}}, {"block-size": 3}, {"block-size": 1 << 63}, {"memaddr": 7}, {"node": 3},
    {"memaddr": 1 << 63}, {"romfile": "x"}, {"failover_pair_id": "n"}, {"bus": "isa.0"}, {"bus": "absent"}, {"vectors": -1},
    {"disable-legacy": 5}, {"dynamic-memslots": True, "unplugged-inaccessible": "off"}, {"acpi-index": 1 << 20},
    {"memdev": "preallocated"}, {"size": 4}, {"virtio-backend": "x"}, {"busnr": 3}, {"sriov-pf": "q"}, {"realized": True},
)  # fmt: skip


@pytest.mark.parametrize("change", REFUSED)
def test_what_is_refused_changes_nothing(vm: VirtualMachine, change: dict[str, Any]) -> None:
    for name in ("used", "free"):
        add_backend(vm, name, 64 * MIB)
    add_backend(vm, "preallocated", 4 * MIB, prealloc=True)
    vm.plugging.add({"driver": "virtio-mem-pci", "memdev": "used", "id": "u"}, hot=True)
    arguments = {"driver": "virtio-mem-pci", "memdev": "free", "id": "v"}
    before, spaces = state(vm), [space.name for space in vm.topology.spaces]
    with pytest.raises(VMError):
        vm.plugging.add({**arguments, **change}, hot=True)
    assert (state(vm), [space.name for space in vm.topology.spaces]) == (before, spaces)
    vm.plugging.add(arguments, hot=True)


def test_many_rounds_leave_nothing(vm: VirtualMachine) -> None:
    vm.plugging.guest.follow("accept")

    def rounds(count: int) -> tuple[int, int, int]:
        for _ in range(count):
            add_memory(vm, 2 * GIB, **{"dynamic-memslots": True, "requested-size": BLOCK})
            want(vm, 2 * GIB)
            want(vm, 0)
            vm.plugging.add({"driver": "virtio-balloon-pci", "id": "n"}, hot=True)
            vm.plugging.resize_balloon(GIB // 2)
            for device in list(vm.plugging.devices):
                vm.plugging.request_removal(device)
            run_now(vm.objects.delete("b"))
        gc.collect()
        regions = sum(isinstance(found, MemoryRegion) for found in gc.get_objects())
        with open("/proc/self/maps") as maps:
            return len(os.listdir("/proc/self/fd")), regions, len(maps.readlines())

    rounds(20)
    before, blocks = rounds(20), state(vm)
    after = rounds(300)
    assert state(vm) == blocks
    assert after[:2] == before[:2] and abs(after[2] - before[2]) < 10


WHAT_IF: tuple[tuple[str, dict[str, Any], str | None], ...] = (
    ("pc", {"driver": "virtio-mem-pci", "memdev": "free"}, None),
    ("pc", {"driver": "virtio-mem-pci", "memdev": "free", "addr": "1"}, "leave out addr="),
    (
        "pc",
        {"driver": "virtio-mem-pci", "memdev": "free", "memaddr": 5},
        "leave out memaddr=; it goes to 0x100000000 then",
    ),
    ("pc", {"driver": "virtio-mem-pci", "memdev": "odd"}, "make the backend 4M or 6M large, a multiple of 2M"),
    ("pc", {"driver": "virtio-mem-pci", "memdev": "absent"}, "name a memory backend that exists: memdev=ID"),
    ("pc", {"driver": "virtio-mem-pci", "memdev": "huge"}, "start the machine with -m …,maxmem=20G"),
    ("pc", {"driver": "virtio-balloon-pci"}, None),
    ("pc", {"driver": "virtio-balloon-pci", "bus": "isa.0"}, ""),
    (
        "q35",
        {"driver": "virtio-mem-pci", "memdev": "free"},
        "have it from the start: -device virtio-mem-pci,memdev=free",
    ),
    ("q35", {"driver": "virtio-balloon"}, "have it from the start: -device virtio-balloon"),
)


@pytest.mark.parametrize(("machine_type", "arguments", "fix"), WHAT_IF)
def test_what_would_become_of_it(machine_type: str, arguments: dict[str, Any], fix: str | None) -> None:
    with machine(machine_type=machine_type) as vm:
        for name, size in (("free", 64 * MIB), ("odd", 5 * MIB), ("huge", 19 * GIB)):
            add_backend(vm, name, size, reserve=False)
        before = state(vm)
        told: list[str] = []
        vm.on_warning = told.append
        found = preview(vm.plugging, {**arguments, "block-size": MIB} if "memdev" in arguments else arguments)
        assert state(vm) == before and not told
        found = preview(vm.plugging, arguments)
        assert found.fix == (fix or None)
        context: Any = Asked(vm)
        answer = what_if_device_add(context, arguments)
        assert answer["fits"] == (fix is None)
        if fix is None:
            assert answer["function"] == "0000:00:02.0"
            vm.plugging.add(arguments, hot=True)


def test_dynamic_memslots_are_foreseen(vm: VirtualMachine) -> None:
    add_backend(vm, "b", 3 * GIB, reserve=False)
    context: Any = Asked(vm)
    arguments = {"driver": "virtio-mem-pci", "memdev": "b", "dynamic-memslots": True}
    assert what_if_device_add(context, arguments)["memslots"] == 3
    assert what_if_device_add(context, {**arguments, "dynamic-memslots": False})["memslots"] == 1


def test_map_and_why_tell_what_is_plugged(vm: VirtualMachine) -> None:
    vm.plugging.guest.follow("accept")
    add_memory(vm, 3 * GIB, **{"dynamic-memslots": True, "requested-size": GIB // 2})
    context: Any = Asked(vm)
    kinds = [
        (shown["kind"], shown["name"], shown["start"]) for shown in query_map(context, {}) if shown["start"] >= 4 * GIB
    ]
    assert kinds[:3] == [("ram", "b", 4 * GIB), ("unplugged", "v", 5 * GIB), ("room", "", 7 * GIB)]
    told = [
        query_address(context, {"address": address}).get("device") for address in (4 * GIB, 4 * GIB + GIB // 2, 5 * GIB)
    ]
    device = {"path": V, "type": "virtio-mem-pci"}
    assert told == [{**device, "plugged": True}, {**device, "plugged": False}, {**device, "plugged": False}]
    assert query_address(context, {"address": 7 * GIB})["room"]
    assert "room" not in query_address(context, {"address": 1 << 45})
