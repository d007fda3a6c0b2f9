"""Memslots beside the bare ioctl: python tests/benchmarks/slots.py [SLOTS] [PAIRS]

Times, in KVM, the registration of many slots of a page each, and a region of one slot that is added to the machine and removed
again while it has few or many slots. `bare` is a loop that makes the same ioctls in this process and nothing else. The two
alternate; what is printed is the fastest of each, their ratio, and the median of the ratios of the pairs. Judges nothing.

Real QEMU is not in it: it cannot be given a largest memslot, and what it can be told to reconfigure while it runs (memory
hotplug) is mostly the work of devices.
"""

from __future__ import annotations

import gc
import statistics
import sys
import time
from typing import TYPE_CHECKING

from ramslot.vm.config import Config
from ramslot.vm.host.kvm import KVM, KVMError
from ramslot.vm.host.libc import ffi, lib
from ramslot.vm.host.linux import LinuxHost
from ramslot.vm.hostmem.backend import MemoryBackend
from ramslot.vm.machine import VirtualMachine
from ramslot.vm.steps import run_now

if TYPE_CHECKING:
    from collections.abc import Callable

    from ramslot.vm.memory.region import MemoryRegion

PAGE = 4096
CHANGES = 200
HOT_ADDRESS = 1 << 40


class Bare:
    """A virtual machine of KVM and one struct, filled anew for each ioctl."""

    def __init__(self) -> None:
        self.host = LinuxHost()
        self.device = KVM(self.host)
        self.vm = self.device.create_vm()
        self.region = ffi.new("struct kvm_userspace_memory_region *")

    def register(self, slot: int, gpa: int, size: int, hva: int) -> None:
        region = self.region
        region.slot = slot
        region.flags = 0
        region.guest_phys_addr = gpa
        region.memory_size = size
        region.userspace_addr = hva
        if lib.ioctl(self.vm.fd, lib.KVM_SET_USER_MEMORY_REGION, region):
            raise OSError(ffi.errno)

    def close(self) -> None:
        self.vm.close()
        self.device.close()


def machine(slots: int) -> tuple[VirtualMachine, MemoryRegion]:
    """A machine in KVM whose slots have a page each, and memory for so many of them that is not mapped yet."""
    config = Config()
    config.machine_type, config.accelerators = "none", [("kvm", {"max-memslot-size": str(PAGE)})]
    vm = VirtualMachine(config)
    backend = run_now(vm.add_object({"qom-type": "memory-backend-ram", "id": "m", "size": slots * PAGE}))
    assert isinstance(backend, MemoryBackend)
    return vm, vm.use_backend(backend)


def timed(work: Callable[[], object]) -> float:
    gc.collect()
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def register_bare(slots: int) -> float:
    bare = Bare()
    memory = bare.host.map_anonymous(slots * PAGE)

    def work() -> None:
        for slot in range(slots):
            bare.register(slot, slot * PAGE, PAGE, memory.address + slot * PAGE)

    seconds = timed(work) / slots
    bare.close()
    memory.close()
    return seconds


def register_ours(slots: int) -> float:
    vm, region = machine(slots)
    with vm:
        return timed(lambda: vm.machine.system.add_subregion(0, region)) / slots


def change_bare(slots: int) -> float:
    bare = Bare()
    memory = bare.host.map_anonymous(slots * PAGE)
    for slot in range(slots):
        bare.register(slot, slot * PAGE, PAGE, memory.address + slot * PAGE)

    def work() -> None:
        for _ in range(CHANGES):
            bare.register(slots, HOT_ADDRESS, PAGE, memory.address)
            bare.register(slots, HOT_ADDRESS, 0, memory.address)

    seconds = timed(work) / CHANGES
    bare.close()
    memory.close()
    return seconds


def change_ours(slots: int) -> float:
    vm, region = machine(slots)
    with vm:
        vm.machine.system.add_subregion(0, region)
        window = vm.topology.alias("window", region, 0, PAGE)

        def work() -> None:
            for _ in range(CHANGES):
                vm.machine.system.add_subregion(HOT_ADDRESS, window)
                vm.machine.system.remove_subregion(window)

        return timed(work) / CHANGES


def report(name: str, bare: Callable[[], float], ours: Callable[[], float], pairs: int) -> None:
    found = [(bare(), ours()) if number % 2 else (ours(), bare())[::-1] for number in range(pairs)]
    ratio = statistics.median(mine / theirs for theirs, mine in found)
    theirs, mine = (min(times) for times in zip(*found, strict=True))
    times = f"bare {theirs * 1e6:7.2f} us   ramslot {mine * 1e6:7.2f} us"
    print(f"{name:50} {times}   ratio {mine / theirs:.2f}, median {ratio:.2f}")


def main() -> int:
    slots = int(sys.argv[1]) if len(sys.argv) > 1 else 32000
    pairs = int(sys.argv[2]) if len(sys.argv) > 2 else 7
    try:
        KVM(LinuxHost()).close()
    except KVMError as error:
        print(error.reason)
        return 1
    report(
        f"registration of {slots} slots, per slot", lambda: register_bare(slots), lambda: register_ours(slots), pairs
    )
    for count in (1, slots):
        name = f"a region comes and goes, {count} slots beside it"
        report(name, lambda count=count: change_bare(count), lambda count=count: change_ours(count), pairs)  # type: ignore[misc]
    return 0


if __name__ == "__main__":
    sys.exit(main())
