"""Memslots of virtio-mem: its pieces, what others may need, and tables that are full."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ramslot.vm.devices.memslots import piece_size
from ramslot.vm.errors import VMError
from ramslot.vm.machine import VirtualMachine
from ramslot.vm.steps import run_now

from .memory_devices import GIB, MIB, add_backend, add_memory, few_slots, shown_bytes, state, vm, want

__all__ = ("vm",)

NO_SLOTS = "^hypervisor has not enough free memory slots left$"


@given(st.integers(1, 1 << 20), st.sampled_from([1, 2, 8, 512, 4096]), st.integers(1, 300))
def test_pieces_cover_the_memory_and_are_no_more_than_allowed(units: int, block: int, limit: int) -> None:
    """In units of a MiB."""
    size, block_size = units * block * MIB, block * MIB
    piece = piece_size(size, block_size, limit)
    count = -(-size // piece)
    assert count <= limit
    assert piece == size or (piece % block_size == 0 and piece >= GIB)
    if count > 1 and piece > GIB and piece > block_size:
        assert -(-size // (piece - block_size)) > limit, "they are not larger than they need be"


def test_a_device_with_one_piece_has_its_memslot(vm: VirtualMachine) -> None:
    add_memory(vm, 64 * MIB, **{"dynamic-memslots": True})
    add_backend(vm, "m", 4 * MIB)
    vm.accelerator.slots.max_slots = len(list(vm.accelerator.slots)) + 1
    with pytest.raises(VMError, match=NO_SLOTS):
        vm.plugging.add({"driver": "pc-dimm", "memdev": "m"}, hot=True)
    vm.plugging.guest.follow("accept")
    want(vm, 64 * MIB)
    assert shown_bytes(vm) == 64 * MIB


def test_memslots_that_others_may_need_are_theirs() -> None:
    with few_slots(520) as vm:
        add_memory(vm, 3 * GIB, **{"dynamic-memslots": True})
        add_backend(vm, "m", MIB * 4)
        vm.accelerator.slots.max_slots = len(list(vm.accelerator.slots)) + 3
        before = state(vm)
        with pytest.raises(VMError, match=NO_SLOTS):
            vm.plugging.add({"driver": "pc-dimm", "memdev": "m"}, hot=True)
        assert state(vm) == before
        vm.accelerator.slots.max_slots += 1
        vm.plugging.add({"driver": "pc-dimm", "memdev": "m"}, hot=True)
        vm.plugging.guest.follow("accept")
        want(vm, 3 * GIB)
        assert shown_bytes(vm) == 3 * GIB


def test_a_full_slot_table_refuses_and_changes_nothing() -> None:
    with few_slots(5) as vm:
        add_backend(vm, "b", 64 * MIB)
        before, spaces = state(vm), len(vm.topology.spaces)
        with pytest.raises(VMError, match=NO_SLOTS):
            vm.plugging.add({"driver": "virtio-mem-pci", "memdev": "b", "id": "v"}, hot=True)
        assert (state(vm), len(vm.topology.spaces)) == (before, spaces)
        run_now(vm.objects.delete("b"))


def test_a_guest_for_which_there_are_no_slots_fails_and_people_are_told() -> None:
    with few_slots(600) as vm:
        memory = add_memory(vm, 3 * GIB, **{"dynamic-memslots": True})
        told: list[str] = []
        vm.on_warning = told.append
        slots = vm.accelerator.slots
        slots.max_slots = len(list(slots)) + 1
        vm.plugging.guest.follow("accept")
        want(vm, GIB)
        assert memory.plugged == GIB and not told
        want(vm, 2 * GIB)
        assert memory.plugged == GIB and shown_bytes(vm) == GIB
        assert len(told) == 1 and "the guest failed" in told[0]
        want(vm, 0)
        assert memory.plugged == 0


def test_contents_stay_where_plugging_fails(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"contents" + bytes(64 * MIB - 8))
    with few_slots(5) as vm:
        path = str(tmp_path / "file")
        properties = {"qom-type": "memory-backend-file", "id": "f", "size": 64 * MIB, "mem-path": path, "share": True}
        run_now(vm.objects.add(properties))
        with pytest.raises(VMError, match=NO_SLOTS):
            vm.plugging.add({"driver": "virtio-mem-pci", "memdev": "f"}, hot=True)
    assert (tmp_path / "file").read_bytes()[:8] == b"contents"
