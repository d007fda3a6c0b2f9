"""The Heterogeneous Memory Attribute Table (HMAT): latencies, bandwidths and memory-side caches of NUMA nodes.

The rules are those of ACPI 6.3, 5.2.27: an entry of a table has 16 bits, of which the last value is reserved, and all
entries of a table count in one unit.
"""

from __future__ import annotations

from ..errors import VMError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from . import NumaNode

MAX_ENTRY = 0xFFFF
"""What an entry of a table must be less than."""
MAX_LEVEL = 3
BANDWIDTH_UNIT = 1 << 20
LATENCY_LIMIT = (
    "Latency {0} between initiator={1} and target={2} should not differ from previously entered min or max values on "
    "more than {3}"
)
BANDWIDTH_LIMIT = (
    "Bandwidth {0} between initiator={1} and target={2} should not differ from previously entered values on more than "
    "{3}"
)


class Table:
    """What is known of one data type in one memory hierarchy: `entries` by initiator and target, in nanoseconds or in
    bytes per second."""

    __slots__ = ("_base", "_range", "entries", "is_latency")

    def __init__(self, is_latency: bool) -> None:
        self.is_latency = is_latency
        self.entries: dict[tuple[int, int], int] = {}
        self._base = (1 << 64) - 1 if is_latency else 1
        self._range = 0
        """The largest latency in units of the base; of bandwidths, all bits that any has."""

    def add(self, initiator: int, target: int, value: int) -> None:
        """Keep one value; 0 means that nothing is known."""
        if not self.is_latency and value % BANDWIDTH_UNIT:
            raise VMError(f"Bandwidth {value} between initiator={initiator} and target={target} should be 1MB aligned")
        if (initiator, target) in self.entries:
            kind = "latency" if self.is_latency else "bandwidth"
            raise VMError(f"Duplicate configuration of the {kind} for initiator={initiator} and target={target}")
        if value:
            text = LATENCY_LIMIT if self.is_latency else BANDWIDTH_LIMIT
            fits = self._fit_latency(value) if self.is_latency else self._fit_bandwidth(value)
            if not fits:
                raise VMError(text.format(value, initiator, target, MAX_ENTRY - 1))
        self.entries[initiator, target] = value

    def _fit_latency(self, value: int) -> bool:
        unit, rest = 1, value
        while rest % 10 == 0:
            unit, rest = unit * 10, rest // 10
        # QEMU counts in the unit of the values before, not in the one that this value may make smaller.
        largest = max(self._range, value // self._base)
        if largest >= MAX_ENTRY:
            return False
        self._base, self._range = min(self._base, unit), largest
        return True

    def _fit_bandwidth(self, value: int) -> bool:
        bits = self._range | value
        unit = bits & -bits
        if bits.bit_length() - (unit.bit_length() - 1) > MAX_ENTRY.bit_length() or value // unit >= MAX_ENTRY:
            return False
        self._base, self._range = unit, bits
        return True


class HMAT:
    """All that was said of a machine's memory attributes. Everything raises `VMError`, with nothing changed."""

    __slots__ = ("caches", "tables")

    def __init__(self) -> None:
        self.tables: dict[tuple[str, str], Table] = {}
        """By hierarchy and data type."""
        self.caches: dict[tuple[int, int], dict[str, Any]] = {}
        """By node and level: the members of `-numa hmat-cache`."""

    def add(self, options: dict[str, Any], nodes: dict[int, NumaNode], initiators: set[int]) -> None:
        """Take one `-numa hmat-lb` or `-numa hmat-cache`; `initiators` are the nodes with CPUs."""
        if options["type"] == "hmat-lb":
            self._add_value(options, nodes, initiators)
        else:
            self._add_cache(options, nodes)

    def _add_value(self, options: dict[str, Any], nodes: dict[int, NumaNode], initiators: set[int]) -> None:
        initiator, target = options["initiator"], options["target"]
        for name, node_id in (("initiator", initiator), ("target", target)):
            if node_id > len(nodes):  # the number just behind the last is refused below
                raise VMError(f"Invalid {name}={node_id}, it should be less than {len(nodes)}")
        if initiator not in initiators:
            raise VMError(f"Invalid initiator={initiator}, it isn't an initiator proximity domain")
        if target not in nodes:
            raise VMError(f"The target={target} should point to an existing node")
        kind = options["data-type"].rpartition("-")[2]
        other = "bandwidth" if kind == "latency" else "latency"
        if kind not in options:
            raise VMError(f"Missing '{kind}' option")
        if other in options:
            raise VMError(f"Invalid option '{other}' since the data type is {kind}")
        key = (options["hierarchy"], options["data-type"])
        table = self.tables.get(key) or Table(kind == "latency")
        table.add(initiator, target, options[kind])
        self.tables[key] = table

    def _add_cache(self, options: dict[str, Any], nodes: dict[int, NumaNode]) -> None:
        node_id, level, size = options["node-id"], options["level"], options["size"]
        if node_id >= len(nodes):
            raise VMError(f"Invalid node-id={node_id}, it should be less than {len(nodes)}")
        known = {
            table.is_latency
            for table in self.tables.values()
            for (_initiator, target), value in table.entries.items()
            if target == node_id and value
        }
        if len(known) < 2:
            raise VMError(
                f"The latency and bandwidth information of node-id={node_id} should be provided before memory side "
                "cache attributes"
            )
        if not 1 <= level <= MAX_LEVEL:
            raise VMError(f"Invalid level={level}, it should be larger than 0 and less than or equal to {MAX_LEVEL}")
        if (node_id, level) in self.caches:
            raise VMError(f"Duplicate configuration of the side cache for node-id={node_id} and level={level}")
        self._check_size(node_id, level, size)
        members = ("size", "level", "associativity", "policy", "line")
        self.caches[node_id, level] = {name: options[name] for name in members}

    def _check_size(self, node_id: int, level: int, size: int) -> None:
        """A cache is larger than that of the level below, which comes first."""
        if level == 1:
            return
        below = self.caches.get((node_id, level - 1))
        if below is None:
            raise VMError(f"Cache level={level - 1} shall be defined first")
        if size <= below["size"]:
            raise VMError(
                f"Invalid size={size}, the size of level={level} should be larger than the size({below['size']}) of "
                f"level={level - 1}"
            )


def check_initiators(nodes: list[NumaNode], with_cpus: set[int]) -> None:
    """Raise `VMError` for an initiator that has no CPUs."""
    for node in nodes:
        if node.initiator is None:
            continue
        if node.initiator >= len(nodes):
            raise VMError(f"NUMA node {node.initiator} is missing, use '-numa node' option to declare it first")
        if node.initiator not in with_cpus:
            raise VMError(f"The initiator of NUMA node {node.node_id} is invalid")
