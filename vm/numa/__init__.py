"""The guest's NUMA nodes: read from `-numa` and `set-numa-node`, checked in QEMU's order and words, given their CPUs.

Distances and the Heterogeneous Memory Attribute Table (HMAT) have modules of their own, loaded when they are named.
"""

from __future__ import annotations

from ..errors import VMError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from ..boards.machine import Machine
    from ..boards.smp import CPUSlot
    from ..hostmem.backend import MemoryBackend
    from ..object_tree import ObjectTree
    from ..objects import UserCreatable
    from .hmat import HMAT

MAX_NODES = 128
MEM_REFUSED = "Parameter -numa node,mem is not supported by this machine type"
MEM_DEPRECATED = "Parameter -numa node,mem is deprecated, use -numa node,memdev instead"
LEVELS = ("thread-id", "core-id", "module-id", "cluster-id", "die-id", "socket-id", "book-id", "drawer-id")
"""Where a CPU may be said to be, in the order in which QEMU looks."""
PARTIAL = (
    "All CPU(s) up to maxcpus should be described in NUMA config, ability to start up with partial NUMA mappings is "
    "obsoleted and will be removed in future"
)
MIXED = "numa configuration should use either mem= or memdev=,mixing both is not allowed"
NODE_UNKNOWN = (
    "Invalid node-id={0}, NUMA node must be defined with -numa node,nodeid=ID before it's used with "
    "-numa cpu,node-id=ID"
)
HMAT_DISABLED = (
    "ACPI Heterogeneous Memory Attribute Table (HMAT) is disabled, enable it with -machine hmat=on before using any "
    "of hmat specific options"
)


class NumaNode:
    """One node: `size` in bytes, and the backend that is its memory, if it has one of its own."""

    __slots__ = ("backend", "distances", "initiator", "node_id", "size")

    def __init__(self, node_id: int) -> None:
        self.node_id = node_id
        self.size = 0
        self.backend: MemoryBackend | None = None
        self.distances: dict[int, int] = {}
        """To other nodes and itself, by their numbers; 10 is local. Empty where no distances were given."""
        self.initiator: int | None = None
        """The node whose CPUs are nearest to the memory, where HMAT is on."""


class NumaConfiguration:
    """The nodes of a machine. Everything raises `VMError` for what cannot be, with nothing changed."""

    def __init__(self, machine: Machine, tree: ObjectTree, warnings: list[str]) -> None:
        self._machine = machine
        self._tree = tree
        self._warnings = warnings
        self._nodes: dict[int, NumaNode] = {}
        self._uses_mem = False
        self.hmat: HMAT | None = None
        """What was said of latencies, bandwidths and caches, if anything."""

    @property
    def uses_backends(self) -> bool:
        """Whether nodes have backends of their own."""
        return any(node.backend is not None for node in self._nodes.values())

    @property
    def nodes(self) -> list[NumaNode]:
        """The nodes that there are so far, by number."""
        return [self._nodes[node_id] for node_id in sorted(self._nodes)]

    def uses(self, backend: UserCreatable) -> bool:
        """Whether `backend` is the memory of a node."""
        return any(node.backend is backend for node in self._nodes.values())

    def cpus_of(self, node: NumaNode) -> list[int]:
        """The numbers of the node's CPUs, of those that are there."""
        return [cpu for cpu in range(self._machine.board.cpus) if self._machine.cpu_slot(cpu).node_id == node.node_id]

    # What is said of nodes, piece by piece

    def add(self, options: dict[str, Any], origin: str = "") -> None:
        """Take one `-numa`, or the arguments of one `set-numa-node`; `origin` is the option as it was spelled."""
        try:
            if not self._machine.numa_supported:
                raise VMError("NUMA is not supported by this machine-type")
            kind = options["type"]
            if kind == "node":
                self._add_node(options, origin)
            elif kind == "dist":
                from .distances import add_distance

                add_distance(self._nodes, options["src"], options["dst"], options["val"])
            elif kind == "cpu":
                self._add_cpu(options)
            else:
                self._add_hmat(options)
        except VMError as error:
            if not origin:
                raise
            raise VMError(f"{origin}: {error}", details=error.details) from None

    def _add_node(self, options: dict[str, Any], origin: str) -> None:
        node_id = options.get("nodeid", len(self._nodes))
        if node_id >= MAX_NODES:
            raise VMError(f"Max number of NUMA nodes reached: {node_id}")
        if node_id in self._nodes:
            raise VMError(f"Duplicate NUMA nodeid: {node_id}")
        node = NumaNode(node_id)
        if "initiator" in options:
            self._require_hmat()
            node.initiator = options["initiator"]
            if node.initiator >= MAX_NODES:
                raise VMError(f"The initiator id {node.initiator} expects an integer between 0 and {MAX_NODES - 1}")
        slots = []
        for cpu in options.get("cpus", ()):
            maximum = self._machine.smp["maxcpus"]
            if cpu >= maximum:
                raise VMError(f"CPU index ({cpu}) should be smaller than maxcpus ({maximum})")
            slots.append(self._machine.cpu_slot(cpu))
            self._check_free(slots[-1:], node)
        self._take_memory(node, options, origin)
        self._nodes[node_id] = node
        self._assign(slots, node)

    def _take_memory(self, node: NumaNode, options: dict[str, Any], origin: str) -> None:
        if ("mem" in options and self.uses_backends) or ("memdev" in options and (self._uses_mem or "mem" in options)):
            raise VMError(MIXED)
        if "mem" in options:
            if not self._machine.numa_mem_supported:
                raise VMError(MEM_REFUSED, details="Use -numa node,memdev instead")
            self._warnings.append(f"{origin}{': ' if origin else ''}warning: {MEM_DEPRECATED}")
            self._uses_mem = True
            node.size = options["mem"]
        elif "memdev" in options:
            from ..hostmem.backend import MemoryBackend

            found = [each for each in self._tree.find(options["memdev"]) if isinstance(each, MemoryBackend)]
            if len(found) != 1:
                raise VMError(f"memdev={options['memdev']} is ambiguous")
            node.backend = found[0]
            node.size = node.backend.size

    def _add_cpu(self, options: dict[str, Any]) -> None:
        node_id = options.get("node-id")
        if node_id is None:
            raise VMError("Missing mandatory node-id property")
        if node_id not in self._nodes:
            raise VMError(NODE_UNKNOWN.format(node_id))
        slots = self._machine.cpu_slots
        wanted = {level: options[level] for level in LEVELS if level in options}
        for level in wanted:
            if level not in slots[0].place:
                raise VMError(f"{level} is not supported")
        matching = [slot for slot in slots if wanted.items() <= slot.place.items()]
        self._check_free(matching, self._nodes[node_id])
        if not matching:
            raise VMError("no match found")
        self._assign(matching, self._nodes[node_id])

    def _add_hmat(self, options: dict[str, Any]) -> None:
        self._require_hmat()
        from .hmat import HMAT

        hmat = self.hmat or HMAT()
        hmat.add(options, self._nodes, self._initiators())
        self.hmat = hmat

    # CPUs

    @property
    def _has_hmat(self) -> bool:
        return self._machine.switches["hmat"] == "on"

    def _require_hmat(self) -> None:
        if not self._has_hmat:
            raise VMError(HMAT_DISABLED)

    def _initiators(self) -> set[int]:
        """The nodes that have CPUs, or places for some."""
        return {slot.node_id for slot in self._machine.cpu_slots if slot.node_id is not None}

    def _check_free(self, slots: Iterable[CPUSlot], node: NumaNode) -> None:
        """Raise `VMError` if one of the slots cannot go to the node."""
        for slot in slots:
            if slot.node_id not in (None, node.node_id):
                raise VMError(f"CPU is already assigned to node-id: {slot.node_id}")
            if self._has_hmat and node.initiator not in (None, node.node_id):
                raise VMError(f"The initiator of CPU NUMA node {node.node_id} should be itself (got {node.initiator})")

    def _assign(self, slots: Iterable[CPUSlot], node: NumaNode) -> None:
        for slot in slots:
            slot.node_id = node.node_id
            if self._has_hmat:
                node.initiator = node.node_id

    # All of it together

    def finish(self) -> list[NumaNode]:
        """The nodes by number; raises `VMError` if they do not make up the machine."""
        machine = self._machine
        if not self._nodes and machine.has_implicit_node():
            self._nodes[0] = NumaNode(0)
            self._nodes[0].size = machine.ram_size
        for missing in reversed(range(max(self._nodes, default=0))):
            if missing not in self._nodes:
                raise VMError(f"numa: Node ID missing: {missing}")
        nodes = self.nodes
        total = sum(node.size for node in nodes)
        if nodes and total != machine.ram_size:
            raise VMError(f"total memory for NUMA nodes ({total:#x}) should equal RAM size ({machine.ram_size:#x})")
        if self.uses_backends and machine.memory_backend_id is not None:
            raise VMError("'-machine memory-backend' and '-numa memdev' properties are mutually exclusive")
        return nodes

    def connect(self) -> None:
        """Complete the distances, and give nodes the CPUs that no option names."""
        nodes = self.nodes
        if any(node.distances for node in nodes):
            from .distances import complete_distances

            complete_distances(nodes)
        if nodes:
            self._assign_remaining(nodes)

    def _assign_remaining(self, nodes: list[NumaNode]) -> None:
        """CPUs that no option names: all by their place in the topology; or, where some are named, to node 0."""
        slots = self._machine.cpu_slots
        remaining = [(index, slot) for index, slot in enumerate(slots) if slot.node_id is None]
        any_named = len(remaining) < len(slots)
        for index, slot in remaining:
            default = self._machine.default_node(index, len(nodes))
            node = nodes[0 if any_named else default]
            self._check_free([slot], node)
            self._assign([slot], node)
        if self._has_hmat:
            from .hmat import check_initiators

            check_initiators(nodes, self._initiators())
        if remaining and any_named:
            unnamed = ", ".join(f"CPU {index} [{slot}]" for index, slot in remaining)
            self._warnings.append(f"warning: CPU(s) not present in any NUMA nodes: {unnamed}")
            self._warnings.append(f"warning: {PARTIAL}")
        if self._machine.expects_whole_clusters and len(nodes) > 1:
            self._warn_of_divided_clusters(slots)

    def _warn_of_divided_clusters(self, slots: list[CPUSlot]) -> None:
        for number, slot in enumerate(slots):
            cluster = slot.place.get("socket-id"), slot.place.get("cluster-id")
            for other in range(number + 1, len(slots)):
                place, node_id = slots[other].place, slots[other].node_id
                if node_id != slot.node_id and (place.get("socket-id"), place.get("cluster-id")) == cluster:
                    self._warnings.append(
                        f"warning: CPU-{number} and CPU-{other} in socket-{cluster[0]}-cluster-{cluster[1]} have been "
                        f"associated with node-{slot.node_id} and node-{node_id} respectively. "
                        "It can cause OSes like Linux to misbehave"
                    )
