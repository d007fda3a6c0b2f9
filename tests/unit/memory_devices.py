"""Machines that memory devices are plugged into, DIMMs and memory behind VirtIO, and what of it is shown."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from ramslot.vm.config import Config
from ramslot.vm.devices.virtio_mem import VirtIOMem
from ramslot.vm.devices.virtio_mem_proxy import VirtIOMemProxy
from ramslot.vm.machine import VirtualMachine
from ramslot.vm.releases import NEWEST
from ramslot.vm.steps import run_now

MIB = 1 << 20
GIB = 1 << 30
BLOCK = 2 * MIB
V = "/machine/peripheral/v"


def machine(
    release: str = NEWEST, machine_type: str = "pc", slots: int = 8, accelerator: str = "sim"
) -> VirtualMachine:
    config = Config()
    config.machine_type, config.qemu = machine_type, release
    config.ram_size, config.max_ram_size, config.ram_slots = GIB, 16 * GIB, slots
    config.accelerators = [(accelerator, {})]
    return VirtualMachine(config)


def few_slots(count: int) -> VirtualMachine:
    config = Config()
    config.machine_type, config.ram_size, config.max_ram_size, config.ram_slots = "pc", GIB, 8 * GIB, 4
    config.accelerators = [("sim", {"max-memslots": str(count)})]
    return VirtualMachine(config)


@pytest.fixture
def vm() -> Iterator[VirtualMachine]:
    with machine() as made:
        yield made


class Asked:
    """All that the command looks at of its context."""

    def __init__(self, vm: VirtualMachine) -> None:
        self.vm = vm


def state(vm: VirtualMachine) -> Any:
    """Everything that a failure must leave as it was."""
    return (
        [(block.name, block.offset, block.used_length) for block in vm.topology.ram_blocks],
        [(found.start, found.end, found.region.name) for found in vm.machine.memory_space.view.ranges],
        [backend.in_use for backend in vm.objects.backends()],
        [(device.device_id, device.address) for device in vm.memory_devices],
        sorted(vm.machine.children["peripheral"].children),
        [(memslot.slot, memslot.gpa, memslot.size, memslot.block.name) for memslot in vm.accelerator.slots],
    )


def add_backend(vm: VirtualMachine, name: str, size: int = 4 * MIB, **more: Any) -> None:
    run_now(vm.objects.add({"qom-type": "memory-backend-ram", "id": name, "size": size, **more}))


def add_memory(vm: VirtualMachine, size: int = 64 * MIB, **more: Any) -> VirtIOMem:
    """A virtio-mem device `v` with a backend of its own."""
    add_backend(vm, "b", size, reserve=False)
    device = vm.plugging.add({"driver": "virtio-mem-pci", "id": "v", "memdev": "b", **more}, hot=True)
    assert isinstance(device, VirtIOMemProxy)
    return device.virtio


def want(vm: VirtualMachine, size: int) -> None:
    vm.tree.resolve(V).set("requested-size", size)


def listen(vm: VirtualMachine) -> list[tuple[str, Any]]:
    events: list[tuple[str, Any]] = []
    vm.observers.append(lambda name, data: events.append((name, data)))
    return events


def shown_bytes(vm: VirtualMachine) -> int:
    """Bytes of the backend that the guest sees."""
    ranges = vm.machine.memory_space.view.ranges
    return sum(found.end - found.start for found in ranges if found.region.name == "b")
