"""Slots of the address space that CPUs of a PC see in system management mode, in a KVM that has it.

The KVM here is none: it takes every slot as a kernel with `KVM_CAP_X86_SMM` and two address spaces would.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from ramslot.vm.accel import Accelerator
from ramslot.vm.accel.memslots import MemslotTable
from ramslot.vm.config import Config
from ramslot.vm.errors import VMError
from ramslot.vm.machine import VirtualMachine

MIB = 1 << 20


class SMMTable(MemslotTable):
    has_smm = True


@contextmanager
def machine(monkeypatch: pytest.MonkeyPatch, name: str, table: type[MemslotTable], **options: Any) -> Iterator[Any]:
    accelerator = Accelerator("kvm", table(4096, 1 << 40, 32764), in_kernel=True)
    monkeypatch.setattr("ramslot.vm.starting.choose_accelerator", lambda *_arguments, **_options: accelerator)
    config = Config()
    config.machine_type, config.ram_size, config.accelerators = name, 128 * MIB, [("kvm", {})]
    config.machine_options = options
    with VirtualMachine(config) as vm:
        yield vm


def slots(vm: VirtualMachine, as_id: int) -> list[tuple[int, int, str]]:
    table = [slot for slot in vm.accelerator.slots if slot.as_id == as_id]
    return sorted((slot.gpa, slot.size, slot.block.name) for slot in table)


@pytest.mark.parametrize("name", ["pc", "q35"])
def test_smram_is_seen_below_the_roms(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    with machine(monkeypatch, name, SMMTable) as vm:
        assert [space.name for space in vm.topology.spaces][-1] != "cpu-smm-0"
        assert "KVM-SMRAM" in [space.name for space in vm.topology.spaces]
        assert (0xA0000, 0x20000) not in [(gpa, size) for gpa, size, _ in slots(vm, 1)]
        assert slots(vm, 0) == slots(vm, 1), "as long as no window of SMRAM is open, there is no difference"
        before = slots(vm, 0)
        window = vm.machine.ram_window("window", 0xC0000, 0x20000)
        next(space for space in vm.topology.spaces if space.name == "KVM-SMRAM").root.add_subregion(0xC0000, window, 20)
        assert slots(vm, 0) == before
        assert next(row for row in slots(vm, 1) if row[0] <= 0xC0000 < row[0] + row[1])[2] == "pc.ram"


@pytest.mark.parametrize("name", ["pc", "q35", "microvm", "isapc"])
def test_without_smm_there_is_one_address_space(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    with machine(monkeypatch, name, SMMTable, smm="off") as vm:
        assert not slots(vm, 1)
    with machine(monkeypatch, name, MemslotTable) as vm:
        assert {slot.as_id for slot in vm.accelerator.slots} == {0}


@pytest.mark.parametrize("name", ["pc", "q35"])
def test_smm_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    text = r"^System Management Mode not supported by this hypervisor\.$"
    with pytest.raises(VMError, match=text), machine(monkeypatch, name, MemslotTable, smm="on"):
        pass
    with machine(monkeypatch, name, SMMTable, smm="on") as vm:
        assert slots(vm, 1)
