"""Memslots beside the bare ioctl: python tests/benchmarks/slots.py [SLOTS] [PAIRS]

Times, in KVM, the registration of many slots of a page each, and a region of one slot that is added to the machine and removed
again while it has few or many slots. `bare` is a loop that makes the same ioctls in this process and nothing else. The two
alternate; what is printed is the fastest of each, their ratio, and the median of the ratios of the pairs. Judges nothing.

Then, beside real QEMU, what a running pc is reconfigured by: its BIOS area shows RAM and ROM in turn (PAM). QEMU is told so by its
monitor's `o`, and what a port write takes that changes nothing is subtracted; ours is the same change of regions.
"""

from __future__ import annotations

import gc
import json
import shutil
import statistics
import subprocess
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
    backend = run_now(vm.objects.add({"qom-type": "memory-backend-ram", "id": "m", "size": slots * PAGE}))
    assert isinstance(backend, MemoryBackend)
    return vm, backend.take()


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


SHADOWED = 0xF0000
PAM_RAM, PAM_ROM = 0x30, 0x00


def pam_qemu() -> float:
    """Seconds that one change takes in real QEMU."""
    options = ["-M", "pc", "-m", "128M", "-accel", "kvm", "-S", "-display", "none", "-nodefaults", "-qmp", "stdio"]
    process = subprocess.Popen(
        ["qemu-system-x86_64", *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert process.stdin is not None and process.stdout is not None
    stdin, stdout = process.stdin, process.stdout

    def call(command: str, **arguments: str) -> None:
        stdin.write(json.dumps({"execute": command, "arguments": arguments}).encode())
        stdin.flush()
        while "return" not in json.loads(stdout.readline()):
            pass

    def write_pam(value: int) -> float:
        begin = time.perf_counter()
        call("human-monitor-command", **{"command-line": f"o /b 0xcfd {value:#x}"})
        return time.perf_counter() - begin

    stdout.readline()
    call("qmp_capabilities")
    call("human-monitor-command", **{"command-line": "o /w 0xcf8 0x80000058"})
    changes = [write_pam(PAM_ROM if number % 2 else PAM_RAM) for number in range(CHANGES)]
    nothing = [write_pam(PAM_ROM) for _ in range(CHANGES)]
    call("quit")
    process.communicate()
    return statistics.median(changes) - statistics.median(nothing)


def pam_ours() -> float:
    """Seconds that the same change takes here."""
    config = Config()
    config.machine_type, config.ram_size, config.accelerators = "pc", 128 << 20, [("kvm", {})]
    with VirtualMachine(config) as vm:
        windows = [region for region in vm.machine.system.subregions if region.address == SHADOWED]
        (ram,) = (region for region in windows if region.name == "pam-ram")
        (rom,) = (region for region in windows if region.name == "pam-pci" and region.enabled)
        taken = []
        for number in range(CHANGES):
            begin = time.perf_counter()
            with vm.topology.transaction():
                rom.set_enabled(bool(number % 2))
                ram.set_enabled(not number % 2)
            taken.append(time.perf_counter() - begin)
        return statistics.median(taken)


def report(
    name: str, bare: Callable[[], float], ours: Callable[[], float], pairs: int, *, beside: str = "bare"
) -> None:
    found = [(bare(), ours()) if number % 2 else (ours(), bare())[::-1] for number in range(pairs)]
    ratio = statistics.median(mine / theirs for theirs, mine in found)
    theirs, mine = (min(times) for times in zip(*found, strict=True))
    times = f"{beside} {theirs * 1e6:7.2f} us   ramslot {mine * 1e6:7.2f} us"
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
    if shutil.which("qemu-system-x86_64"):
        report("a pc's BIOS area becomes RAM or ROM", pam_qemu, pam_ours, pairs, beside="QEMU")
    else:
        print("qemu-system-x86_64 is not installed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
