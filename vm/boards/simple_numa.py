"""Simple boards that can have NUMA nodes: what their CPUs are called by, and which nodes RISC-V's can have."""

from __future__ import annotations

from ..errors import VMError
from ..qom import Property
from .machine import HMAT, switch
from .simple import SimpleMachine
from .simple_parts import KIB, MIB, Rom

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .board import Board
    from .machine_type import MachineType

ACPI_TABLES = (
    Rom("/rom@etc/acpi/tables", 128 * KIB, max_size=2 * MIB),
    Rom("/rom@etc/table-loader", 4 * KIB, max_size=64 * KIB),
    Rom("/rom@etc/acpi/rsdp", 4 * KIB),
)
RAM_ADDRESS = 0x80000000
"""Where RISC-V's boards have their RAM."""


class SBSAMachine(SimpleMachine):
    """sbsa-ref: CPUs are threads, and nodes take turns."""

    numa_supported = True
    default_cpus = 4
    cpu_level = "thread-id"

    def cpu_place(self, index: int) -> dict[str, int]:
        """The CPU's number, under one name."""
        return {self.cpu_level: index}

    properties: tuple[Property, ...] = (HMAT,)


class RISCVMachine(SBSAMachine):
    """Each node is a socket, and its CPUs (harts) follow one another."""

    numa_mem_supported = True
    default_cpus = 1
    expects_whole_clusters = True
    counted_cpus = "cpus"
    tells_whole_place = True
    """Whether the place of a CPU has all levels; else it is a number alone."""
    max_sockets = 4

    def cpu_place(self, index: int) -> dict[str, int]:
        """Socket, cluster, core and thread, or the core alone."""
        if not self.tells_whole_place:
            return {"core-id": index}
        place = {}
        for level in ("threads", "cores", "clusters"):
            index, place[f"{level[:-1]}-id"] = divmod(index, self.smp[level])
        return {"socket-id": index, **place}

    def default_node(self, cpu: int, nodes: int) -> int:
        """Nodes have equally many CPUs, but for the last one, which has the rest."""
        cpus = self.board.cpus
        if nodes > cpus:
            available = self.smp[self.counted_cpus]
            raise VMError(f"Number of NUMA nodes ({nodes}) cannot exceed the number of available CPUs ({available}).")
        return min(cpu // (cpus // nodes), nodes - 1)

    def check_ram(self) -> None:
        """QEMU looks at the sockets first."""
        self._check_sockets()
        super().check_ram()
        self._check_addresses()

    def _check_addresses(self) -> None:
        """Each node's memory is described by its address, so that none can be empty but the last."""
        address = RAM_ADDRESS
        for node in self.numa_nodes[:-1]:
            if not node.size:
                name = f"/memory@{address:x}"
                raise VMError(f"qemu_fdt_add_subnode: Failed to create subnode {name}: FDT_ERR_EXISTS")
            address += node.size

    def _check_sockets(self) -> None:
        nodes = self.numa_nodes
        if len(nodes) > self.max_sockets:
            raise VMError(f"number of sockets/nodes should be less than {self.max_sockets}")
        places = [self.cpu_slot(cpu).node_id for cpu in range(self.board.cpus)]
        for node in nodes:
            count = places.count(node.node_id)
            first = places.index(node.node_id) if count else 0
            if set(places[first : first + count]) != {node.node_id}:
                raise VMError(f"discontinuous hartids in socket{node.node_id}")
        if nodes and places != sorted(places, key=lambda place: place or 0):
            # QEMU dies of it.
            raise VMError("CPUs of NUMA nodes must be in the order of the nodes")


class RISCVVirtMachine(RISCVMachine):
    """virt, which has ACPI tables since QEMU 10.0."""

    def __init__(self, machine_type: MachineType, board: Board) -> None:
        super().__init__(machine_type, board)
        self.switches["acpi"] = "auto"

    def add_tables(self) -> None:
        """Those of newer versions."""
        super().add_tables()
        if self.board.release.covers("10.0") and self.switches["acpi"] != "off":
            for part in ACPI_TABLES:
                part.put(self, self.system)

    properties: tuple[Property, ...] = (switch("acpi", "Enable ACPI", since="10.0"),)
