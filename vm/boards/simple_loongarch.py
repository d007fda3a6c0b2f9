"""Simple boards: LoongArch's virt, which can have NUMA nodes and memory devices since QEMU 10.0 at the latest."""

from __future__ import annotations

from ..errors import VMError
from ..qom import Property
from .machine import HMAT, switch
from .simple import Row, SimpleMachine
from .simple_parts import GIB, KIB, MIB, RAM, Alias, Block, Flash, Rom, SizeRule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .board import Board
    from .machine_type import MachineType

LOW_RAM_SIZE = 256 * MIB
HIGH_RAM_ADDRESS = 0x80000000
MAX_RAM_SLOTS = 256

# Bytes of ACPI tables, as found by trying.
TABLES_PER_CPU = 153
TABLES_PER_CPU_WITH_NODES = 6
TABLES_PER_GROUP = 20
"""For each socket but the first, and each core that has threads."""
TABLES_FOR_ATTRIBUTES = 44
TABLES_PER_RANGE = 40
TABLES_FOR_SLOTS = 967
TABLES_PER_SLOT = 123


class LoongArchVirtMachine(SimpleMachine):
    """RAM from 0 on, beyond 256 MiB from 2 GiB on, and room for memory devices right behind it."""

    numa_supported = True
    numa_mem_supported = True
    implicit_node_with_slots = True
    implicit_node_with_max_ram = True
    pluggable = ("pc-dimm",)
    fixed_tables_size = 5321
    """Bytes of ACPI tables that there are whatever there is to describe."""

    def __init__(self, machine_type: MachineType, board: Board) -> None:
        super().__init__(machine_type, board)
        self.switches["acpi"] = "auto"

    def cpu_place(self, index: int) -> dict[str, int]:
        """Socket, core and thread."""
        index, thread = divmod(index, self.smp["threads"])
        socket, core = divmod(index, self.smp["cores"])
        return {"socket-id": socket, "core-id": core, "thread-id": thread}

    def default_node(self, cpu: int, nodes: int) -> int:
        """CPUs of one socket are on one node."""
        return self.cpu_place(cpu)["socket-id"] % nodes

    def build(self) -> None:
        """Put all parts in place, then room for memory devices, and the tables last."""
        for number in range(self.board.cpus):
            self.cpus.append(self.add_device(self.board.cpu_type))
            self.add_space(f"cpu-memory-{number}", self.system)
        super().build()
        with self.topology.transaction():
            if self.max_ram_size > self.ram_size:
                self._add_device_memory()

    def add_tables(self) -> None:
        """The ACPI tables for the firmware, where there are any."""
        if self.switches["acpi"] != "off":
            for part in (
                Rom("/rom@etc/acpi/tables", self._tables_size(), max_size=2 * MIB),
                Rom("/rom@etc/table-loader", 4 * KIB, max_size=64 * KIB),
                Rom("/rom@etc/acpi/rsdp", 4 * KIB),
            ):
                part.put(self, self.system)

    def _add_device_memory(self) -> None:
        if self.ram_slots > MAX_RAM_SLOTS:
            raise VMError(f"unsupported amount of memory slots: {self.ram_slots}")
        unit = self.board.target.page_size
        if self.max_ram_size % unit:
            raise VMError(f"maximum memory size must by aligned to multiple of {unit} bytes")
        high = self.ram_size - LOW_RAM_SIZE
        self.add_device_memory(
            HIGH_RAM_ADDRESS + high if high > 0 else self.ram_size, self.max_ram_size - self.ram_size
        )

    def _tables_size(self) -> int:
        """Whole pages of what describes CPUs, nodes, ranges of memory and slots for more."""
        size = self.fixed_tables_size + TABLES_PER_CPU * self.smp["maxcpus"]
        end = 0
        for node in self.numa_nodes:
            start, end = end, end + node.size
            size += TABLES_PER_RANGE * ((start < end) + (start < LOW_RAM_SIZE < end))
        size += TABLES_PER_GROUP * (self.smp["sockets"] - 1)
        if self.smp["threads"] > 1:
            size += TABLES_PER_GROUP * self.smp["sockets"] * self.smp["cores"]
        if self.numa_nodes and self.switches["hmat"] == "on":
            size += TABLES_FOR_ATTRIBUTES + TABLES_PER_RANGE * len(self.numa_nodes)
        if self.numa_nodes:
            size += TABLES_PER_CPU_WITH_NODES * self.smp["maxcpus"] - TABLES_PER_RANGE
            size += sum((slot.node_id or 0) > 1 for slot in self.cpu_slots)  # numbers that need a byte more
        elif self.ram_size > LOW_RAM_SIZE:
            size += TABLES_PER_RANGE
        if self.max_ram_size > self.ram_size:
            size += TABLES_PER_RANGE
        if self.ram_slots:
            size += TABLES_FOR_SLOTS + TABLES_PER_SLOT * self.ram_slots
        return -(-size // (4 * KIB)) * 4 * KIB

    properties: tuple[Property, ...] = (HMAT, switch("acpi", "Enable ACPI"))


VIRT_7_2 = (
    Alias("loongarch.lowram", 0, RAM, 0, LOW_RAM_SIZE),
    Alias("loongarch.highmem", 0x90000000, RAM, LOW_RAM_SIZE),
    Block("/rom@etc/acpi/tables", 16 * KIB, max_size=2 * MIB),
    Block("/rom@etc/table-loader", 16 * KIB, max_size=64 * KIB),
    Block("/rom@etc/acpi/rsdp", 16 * KIB),
)
VIRT = (
    Alias("loongarch.lowram", 0, RAM, 0, LOW_RAM_SIZE),
    Alias("loongarch.highram", HIGH_RAM_ADDRESS, RAM, LOW_RAM_SIZE),
    Flash("virt.flash0", 16 * MIB, 0x1C000000),
    Flash("virt.flash1", 16 * MIB, 0x1D000000),
)


def virt(name: str, description: str, version: str | None, since: str | None, until: str | None) -> Row:
    """The board since QEMU 10.0 at the latest, which has versions since 11.1."""
    return Row(
        name,
        description,
        "loongarch.ram",
        128 * MIB,
        VIRT,
        cpu="la464",
        max_cpus=256,
        alias="virt" if version else None,
        default_of=("loongarch64",),
        machine=LoongArchVirtMachine,
        hotpluggable_cpus=True,
        version=version,
        since=since,
        until=until,
    )


ROWS = (
    Row(
        "virt",
        "Loongson-3A5000 LS7A1000 machine",
        "loongarch.ram",
        GIB,
        VIRT_7_2,
        (SizeRule("ram_size must be greater than 1G.", minimum=GIB),),
        cpu="la464",
        max_cpus=4,
        default_of=("loongarch64",),
        since="7.2",
        until="7.2",
    ),
    virt("virt", "QEMU LoongArch Virtual Machine", None, "10.0", "10.0"),
    virt("virt-11.1", "QEMU 11.1 LoongArch Virtual Machine", "11.1", None, None),
)
