"""What a host is, as data: nodes, pools of huge pages, the overcommit rule, limits, mounts.

`Host.describe` makes one of what is there now, the real host as well as a virtual one; a virtual host is made of one.
Written as JSON it is what `host export` prints and `--host` reads.
"""

from __future__ import annotations

from dataclasses import dataclass, field

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

OVERCOMMIT_POLICIES = ("heuristic", "always", "never")
"""The kernel's vm.overcommit_memory, by number."""
LOCAL_DISTANCE = 10
REMOTE_DISTANCE = 20
"""What firmware says of nodes when it does not know better (ACPI's SLIT)."""
_SUFFIXES = "KMGTPE"


@dataclass
class PoolDescription:
    """The huge pages of one size on one node."""

    total: int
    free: int


@dataclass
class NodeDescription:
    """One NUMA node. Sizes are in bytes."""

    node: int
    memory: int
    """All its memory, huge pages included."""
    available: int
    """What could be had in ordinary pages, without swapping."""
    huge_pages: dict[int, PoolDescription] = field(default_factory=dict)
    """By page size."""
    cpus: list[int] = field(default_factory=list)
    distances: list[int] = field(default_factory=list)
    """To each node of the host, in the order of their numbers."""

    @property
    def huge_memory(self) -> int:
        """Bytes in huge pages."""
        return sum(size * pool.total for size, pool in self.huge_pages.items())


@dataclass
class OvercommitDescription:
    """The kernel's rule for promising memory. Source: the kernel's documentation of vm.overcommit_memory."""

    policy: int = 0
    """0: refuse what is more than all memory and swap; 1: refuse nothing; 2: refuse what exceeds the limit."""
    ratio: int = 50
    """Per cent of memory, without huge pages, that policy 2 allows besides swap."""
    limit: int | None = None
    """Bytes that policy 2 allows besides swap, instead of the ratio (vm.overcommit_kbytes)."""
    swap: int = 0
    committed: int = 0
    """Bytes promised already."""


@dataclass
class LimitsDescription:
    """What the host's administrator and its KVM allow; None is no limit."""

    memlock: int | None = None
    """Bytes that may be locked (RLIMIT_MEMLOCK)."""
    max_memslot_size: int | None = None
    max_memslots: int | None = None
    phys_bits: int | None = None
    """Physical address bits of the CPU; no memslot ends beyond."""
    address_space_bits: int = 47
    """Bits of a process's addresses."""


@dataclass
class MountDescription:
    """A file system that keeps files in memory."""

    path: str
    type: str
    """`hugetlbfs` or `tmpfs`; of any other, files take no memory."""
    page_size: int | None = None
    """hugetlbfs: the size of its pages."""
    size: int | None = None
    """tmpfs: most bytes in all files together."""


@dataclass
class HostDescription:
    """A host."""

    page_size: int
    nodes: list[NodeDescription]
    """By number."""
    local_node: int = 0
    """Where the VMM's threads run: memory without a policy comes from here first."""
    default_huge_page_size: int | None = None
    reserved_huge_pages: dict[int, int] = field(default_factory=dict)
    """Pages that are free but promised, by page size."""
    overcommit: OvercommitDescription = field(default_factory=OvercommitDescription)
    limits: LimitsDescription = field(default_factory=LimitsDescription)
    cpu_vendor: str = "GenuineIntel"
    mounts: list[MountDescription] = field(default_factory=list)

    @property
    def huge_page_sizes(self) -> list[int]:
        """All sizes that any node has a pool of, ascending."""
        return sorted({size for node in self.nodes for size in node.huge_pages})

    @property
    def memory(self) -> int:
        """Bytes of memory on all nodes."""
        return sum(node.memory for node in self.nodes)

    @property
    def commit_limit(self) -> int:
        """Bytes that overcommit policy 2 allows (/proc/meminfo's CommitLimit)."""
        rule = self.overcommit
        ordinary = self.memory - sum(node.huge_memory for node in self.nodes)
        return rule.swap + (ordinary * rule.ratio // 100 if rule.limit is None else rule.limit)

    def to_json(self) -> dict[str, Any]:
        """The description as `--host` reads it."""
        described: dict[str, Any] = {
            "page-size": size_text(self.page_size),
            "nodes": [_node_to_json(node) for node in self.nodes],
            "local-node": self.local_node,
        }
        if self.default_huge_page_size is not None:
            described["default-huge-page-size"] = size_text(self.default_huge_page_size)
        reserved = {size_text(size): count for size, count in self.reserved_huge_pages.items() if count}
        if reserved:
            described["reserved-huge-pages"] = reserved
        described["overcommit"] = _to_json(self.overcommit)
        described["limits"] = _to_json(self.limits)
        described["cpu-vendor"] = self.cpu_vendor
        described["mounts"] = [_to_json(mount) for mount in self.mounts]
        return described


_NUMBERS = ("policy", "ratio", "max_memslots", "phys_bits", "address_space_bits")
"""Which numbers are no sizes."""


def _to_json(part: object) -> dict[str, Any]:
    """The fields of a part that are known, sizes with a suffix."""
    return {
        name.replace("_", "-"): value if isinstance(value, str) or name in _NUMBERS else size_text(value)
        for name, value in vars(part).items()
        if value is not None
    }


def _node_to_json(node: NodeDescription) -> dict[str, Any]:
    return {
        "node": node.node,
        "memory": size_text(node.memory),
        "available": size_text(node.available),
        "huge-pages": {size_text(size): vars(pool) for size, pool in sorted(node.huge_pages.items())},
        "cpus": cpu_list_text(node.cpus),
        "distances": node.distances,
    }


def size_text(size: int) -> str:
    """A size exactly, with the largest suffix that leaves a whole number."""
    unit = -1
    while size and size % 1024 == 0 and unit + 1 < len(_SUFFIXES):
        size //= 1024
        unit += 1
    return f"{size}{_SUFFIXES[unit] if unit >= 0 else ''}"


def cpu_list_text(cpus: list[int]) -> str:
    """CPU numbers as the kernel lists them: `0-3,8`."""
    spans: list[list[int]] = []
    for cpu in sorted(cpus):
        if spans and cpu == spans[-1][1] + 1:
            spans[-1][1] = cpu
        else:
            spans.append([cpu, cpu])
    return ",".join(f"{first}" if first == last else f"{first}-{last}" for first, last in spans)


def parse_cpu_list(text: str) -> list[int]:
    """The numbers of a kernel's list; raises ValueError for what is none."""
    numbers: list[int] = []
    for part in text.strip().split(",") if text.strip() else []:
        first, _dash, last = part.partition("-")
        if int(last or first) < int(first):
            raise ValueError(f"{part} goes backwards")
        numbers.extend(range(int(first), int(last or first) + 1))
    return numbers
