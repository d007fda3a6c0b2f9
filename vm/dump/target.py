"""Which kind of ELF file the dump of a machine is.

As QEMU has it of machines whose CPUs are as a reset leaves them, and so are ours always: an x86 CPU is in no long
mode then, and POWER's is big-endian.
"""

from __future__ import annotations

from ..boards import find_machine_type
from ..errors import VMError
from .elf import CoreFormat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..machine import VirtualMachine

UNSUPPORTED = "dumping guest memory is not supported on this target"
FOUR_GIB = 1 << 32
ALWAYS_64 = -1
EM_386, EM_PPC, EM_PPC64, EM_S390, EM_ARM, EM_AARCH64, EM_RISCV, EM_LOONGARCH = 3, 20, 21, 22, 40, 183, 243, 258
CPUS_OF_64_BITS = (
    *("cortex-a35", "cortex-a53", "cortex-a55", "cortex-a57", "cortex-a72", "cortex-a76", "cortex-a78", "cortex-a710"),
    *("a64fx", "neoverse-", "max-", "host-"),
)
"""How the types of Arm's CPUs begin that have 64 bits."""


class Row:
    """The kind of file of an architecture: of 64 bits where the memory ends above `narrow_end`."""

    __slots__ = ("machine", "narrow_end", "needs_cpu", "order", "since")

    def __init__(
        self, machine: int, narrow_end: int, order: str = "<", *, needs_cpu: bool = True, since: str | None = None
    ) -> None:
        self.machine = machine
        self.narrow_end = narrow_end
        self.order = order
        self.needs_cpu = needs_cpu
        """Whether a machine without CPUs cannot be dumped."""
        self.since = since


ROWS = {
    "i386": Row(EM_386, FOUR_GIB - 1, needs_cpu=False),
    "x86_64": Row(EM_386, FOUR_GIB - 1, needs_cpu=False),
    "s390x": Row(EM_S390, ALWAYS_64, ">", needs_cpu=False),
    "arm": Row(EM_ARM, FOUR_GIB),
    "aarch64": Row(EM_AARCH64, ALWAYS_64),
    "ppc": Row(EM_PPC, FOUR_GIB, ">"),
    "ppc64": Row(EM_PPC64, ALWAYS_64, ">"),
    "riscv32": Row(EM_RISCV, FOUR_GIB, since="6.0"),
    "riscv64": Row(EM_RISCV, ALWAYS_64, since="6.0"),
    "loongarch64": Row(EM_LOONGARCH, ALWAYS_64, since="8.0"),
}
"""QEMU has those that end at 4 GiB in a file of 32 bits, and cuts off what is above; here that makes it one of 64."""


def core_format(vm: VirtualMachine, end: int) -> CoreFormat:
    """The kind of file of this machine, whose dumped memory ends at the address `end`; raises `VMError`."""
    arch = vm.target.arch
    if arch == "aarch64" and not _has_64_bits(vm):
        arch = "arm"
    row = ROWS.get(arch)
    if row is None or not vm.release.covers(row.since) or (row.needs_cpu and not vm.has_cpus):
        raise VMError(vm.release.text("cannot be dumped", UNSUPPORTED))
    return CoreFormat(64 if end > row.narrow_end else 32, row.order, row.machine)


def _has_64_bits(vm: VirtualMachine) -> bool:
    """Whether the CPUs of this machine of the target aarch64 have; where no model is known, boards of the target arm
    have 32."""
    board = vm.machine.board
    if not board.cpu_type:
        try:
            find_machine_type(vm.machine_type.name, "arm", vm.release)
        except VMError:
            return True
        return False
    return board.cpu_type.startswith(CPUS_OF_64_BITS) and board.cpu_options.get("aarch64") != "off"
