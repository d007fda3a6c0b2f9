"""The guest's NUMA nodes: read from `-numa node`, checked in QEMU's order and words, given their CPUs and memory."""

from __future__ import annotations

from .errors import VMError
from .hostmem.backend import MemoryBackend

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .boards.machine import Machine
    from .qom import ObjectTree

MAX_NODES = 128
MEM_REFUSED = "Parameter -numa node,mem is not supported by this machine type"
MEM_DEPRECATED = "Parameter -numa node,mem is deprecated, use -numa node,memdev instead"
PLACE = ("socket-id", "die-id", "cluster-id", "core-id", "thread-id")
PARTIAL = (
    "All CPU(s) up to maxcpus should be described in NUMA config, ability to start up with partial NUMA mappings is "
    "obsoleted and will be removed in future"
)
MIXED = "numa configuration should use either mem= or memdev=,mixing both is not allowed"


class NumaNode:
    """One node: `size` in bytes, the numbers of its CPUs, and the backend that is its memory, if it has one of its
    own."""

    __slots__ = ("backend", "cpus", "node_id", "size")

    def __init__(self, node_id: int) -> None:
        self.node_id = node_id
        self.size = 0
        self.backend: MemoryBackend | None = None
        self.cpus: list[int] = []


class NumaConfiguration:
    """The nodes of a machine while its options are read. Raises `VMError`, whose text names the option."""

    def __init__(self, machine: Machine, tree: ObjectTree, warnings: list[str]) -> None:
        self._machine = machine
        self._tree = tree
        self._warnings = warnings
        self._nodes: dict[int, NumaNode] = {}
        self._uses_mem = False

    @property
    def uses_backends(self) -> bool:
        """Whether nodes have backends of their own."""
        return any(node.backend is not None for node in self._nodes.values())

    def add(self, origin: str, options: dict[str, Any]) -> None:
        """Take one `-numa node`; `origin` is the option as it was spelled."""
        try:
            self._add(origin, options)
        except VMError as error:
            raise VMError(f"{origin}: {error}", details=error.details) from None

    def _add(self, origin: str, options: dict[str, Any]) -> None:
        if not self._machine.numa_supported:
            raise VMError("NUMA is not supported by this machine-type")
        node_id = options.get("nodeid", len(self._nodes))
        if node_id >= MAX_NODES:
            raise VMError(f"Max number of NUMA nodes reached: {node_id}")
        if node_id in self._nodes:
            raise VMError(f"Duplicate NUMA nodeid: {node_id}")
        node = NumaNode(node_id)
        for cpu in options.get("cpus", ()):
            self._assign(node, cpu)
        self._take_memory(node, origin, options)
        self._nodes[node_id] = node

    def _assign(self, node: NumaNode, cpu: int) -> None:
        maximum = self._machine.smp["maxcpus"]
        if cpu >= maximum:
            raise VMError(f"CPU index ({cpu}) should be smaller than maxcpus ({maximum})")
        for other in self._nodes.values():
            if cpu in other.cpus:
                raise VMError(f"CPU is already assigned to node-id: {other.node_id}")
        node.cpus.append(cpu)

    def _take_memory(self, node: NumaNode, origin: str, options: dict[str, Any]) -> None:
        if ("mem" in options and self.uses_backends) or ("memdev" in options and (self._uses_mem or "mem" in options)):
            raise VMError(MIXED)
        if "mem" in options:
            if not self._machine.numa_mem_supported:
                raise VMError(MEM_REFUSED, details="Use -numa node,memdev instead")
            self._warnings.append(f"{origin}: warning: {MEM_DEPRECATED}")
            self._uses_mem = True
            node.size = options["mem"]
        elif "memdev" in options:
            found = [each for each in self._tree.find(options["memdev"]) if isinstance(each, MemoryBackend)]
            if len(found) != 1:
                raise VMError(f"memdev={options['memdev']} is ambiguous")
            node.backend = found[0]
            node.size = node.backend.size

    def finish(self) -> list[NumaNode]:
        """The nodes by number, with all their CPUs; raises `VMError` if they do not make up the machine."""
        machine = self._machine
        if not self._nodes and machine.has_implicit_node():
            self._nodes[0] = NumaNode(0)
            self._nodes[0].size = machine.ram_size
        for missing in reversed(range(max(self._nodes, default=0))):
            if missing not in self._nodes:
                raise VMError(f"numa: Node ID missing: {missing}")
        nodes = [self._nodes[node_id] for node_id in sorted(self._nodes)]
        total = sum(node.size for node in nodes)
        if nodes and total != machine.ram_size:
            raise VMError(f"total memory for NUMA nodes ({total:#x}) should equal RAM size ({machine.ram_size:#x})")
        if self.uses_backends and machine.memory_backend_id is not None:
            raise VMError("'-machine memory-backend' and '-numa memdev' properties are mutually exclusive")
        self._assign_remaining(nodes)
        return nodes

    def _assign_remaining(self, nodes: list[NumaNode]) -> None:
        """CPUs that no option names: all by their place in the topology; or, where some are named, to node 0."""
        named = {cpu for node in nodes for cpu in node.cpus}
        if named:
            self._warn_of_unnamed([cpu for cpu in range(self._machine.smp["maxcpus"]) if cpu not in named])
        for cpu in range(self._machine.board.cpus if nodes else 0):
            if cpu not in named:
                nodes[0 if named else self._machine.default_node(cpu, len(nodes))].cpus.append(cpu)
        for node in nodes:
            node.cpus = sorted(cpu for cpu in node.cpus if cpu < self._machine.board.cpus)

    def _warn_of_unnamed(self, cpus: list[int]) -> None:
        if not cpus:
            return
        places = []
        for cpu in cpus:
            properties = self._machine.cpu_properties(cpu)
            place = ", ".join(f"{level}: {properties[level]}" for level in PLACE if level in properties)
            places.append(f"CPU {cpu} [{place}]")
        self._warnings.append(f"warning: CPU(s) not present in any NUMA nodes: {', '.join(places)}")
        self._warnings.append(f"warning: {PARTIAL}")
