"""Virtual addresses of CPUs that are as a reset leaves them, and so are ours always: none has paging on.

What each architecture makes of an address then was looked up in real QEMU, 5.2 to 11.1.
"""

from __future__ import annotations

from .errors import VMError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .machine import VirtualMachine

ADDRESS_BITS = {
    "x86_64": 52,
    "i386": 52,
    "s390x": 64,
    "aarch64": 64,
    "arm": 64,
    "ppc64": 60,
    "riscv64": 64,
    "riscv32": 64,
    "loongarch64": 48,
}
"""How many of its lower bits make a virtual address the physical one."""
NARROW = "i386", "arm", "riscv32"
"""Targets whose registers have 32 bits."""
NO_CPU_NUMBER = "Parameter 'cpu-index' expects a CPU number"


def check_cpu(vm: VirtualMachine, index: int | None) -> None:
    """Raise `VMError` if the machine has no such CPU; None is the first."""
    if not vm.has_cpus or not 0 <= (index or 0) < vm.machine.board.cpus:
        raise VMError(NO_CPU_NUMBER)


def is_narrow(vm: VirtualMachine) -> bool:
    """Whether its CPUs' addresses have 32 bits."""
    return vm.target.arch in NARROW


def shown_address(vm: VirtualMachine, address: int) -> int:
    """What `x` makes of a number that is to be an address: older versions cut it off."""
    return address & 0xFFFFFFFF if is_narrow(vm) and not vm.release.covers("11.0") else address


def physical_address(vm: VirtualMachine, address: int) -> int:
    """The guest-physical address that a CPU means by a virtual one.

    Raises `VMError` where that is not known.
    """
    arch = vm.target.arch
    bits = ADDRESS_BITS.get(arch)
    if vm.has_foreign_cpus:
        raise VMError("what the CPUs have mapped came with a migration and is not known: ask for physical addresses")
    if bits is None or (arch == "ppc64" and not vm.machine_type.name.startswith("pseries-")):
        raise VMError(
            f"what virtual addresses mean on '{vm.machine_type.name}' of {arch} is not modelled (QEMU has it)"
        )
    return address & (1 << bits) - 1
