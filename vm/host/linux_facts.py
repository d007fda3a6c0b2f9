"""What this Linux is, for who asks (`query-host`, `host export`): facts of /sys and /proc that no mapping needs.

Kept apart from `linux.py` because every start loads that one. Where the kernel knows no NUMA there is one node, 0.
"""

from __future__ import annotations

import os
import resource
from bisect import bisect_right

from .description import (
    LOCAL_DISTANCE,
    HostDescription,
    LimitsDescription,
    MountDescription,
    NodeDescription,
    OvercommitDescription,
    PoolDescription,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from . import Host, HostMemory

CAP_IPC_LOCK = 14
"""The capability that locks without a limit."""
CACHE_LINES = ("Active(file)", "Inactive(file)", "SReclaimable")
"""Memory that a node gives back when it is needed."""


def describe(host: Host, sys: str, proc: str) -> HostDescription:
    """Describe this machine as it is now."""
    description = HostDescription(
        page_size=host.page_size,
        nodes=[_node(host, number, sys) for number in host.nodes],
        local_node=_local_node(host),
        default_huge_page_size=host.default_huge_page_size if host.huge_page_sizes else None,
        reserved_huge_pages={size: count for size in host.huge_page_sizes if (count := host.huge_pages(size).reserved)},
        overcommit=_overcommit(proc),
        limits=_limits(host, proc),
        cpu_vendor=host.cpu_vendor,
        mounts=_mounts(proc),
    )
    description.mounts = [
        mount for mount in description.mounts if mount.page_size is None or mount.page_size in host.huge_page_sizes
    ]
    return description


def residency(memories: Iterable[HostMemory], proc: str) -> list[dict[int, int]]:
    """Bytes of each mapping on each node, out of one reading of /proc/self/numa_maps."""
    memories = list(memories)
    found: list[dict[int, int]] = [{} for _ in memories]
    order = sorted(range(len(memories)), key=lambda number: memories[number].address)
    starts = [memories[number].address for number in order]
    for start, counts in _mapped_nodes(proc):
        position = bisect_right(starts, start) - 1
        if position >= 0 and start < starts[position] + memories[order[position]].size:
            nodes = found[order[position]]
            for node, size in counts.items():
                nodes[node] = nodes.get(node, 0) + size
    return found


def _mapped_nodes(proc: str) -> Iterable[tuple[int, dict[int, int]]]:
    """Start and bytes by node of every area; without NUMA all that is resident is on node 0."""
    try:
        text = _read(f"{proc}/self/numa_maps")
    except FileNotFoundError:
        yield from _resident(proc)
        return
    for line in text.splitlines():
        start, _policy, *words = line.split()
        fields = dict(word.split("=", 1) for word in words if "=" in word and word[0] in "Nk")
        page_size = int(fields.pop("kernelpagesize_kB", 0)) << 10
        yield int(start, 16), {int(name[1:]): int(count) * page_size for name, count in fields.items()}


def _resident(proc: str) -> Iterable[tuple[int, dict[int, int]]]:
    start = 0
    for line in _read(f"{proc}/self/smaps").splitlines():
        name, _colon, value = line.partition(":")
        if name in ("Rss", "Shared_Hugetlb", "Private_Hugetlb"):
            size = int(value.split()[0]) << 10
            if size:
                yield start, {0: size}
        elif "-" in line.split(maxsplit=1)[0]:
            start = int(line.partition("-")[0], 16)


def _node(host: Host, number: int, sys: str) -> NodeDescription:
    folder = f"{sys}/devices/system/node/node{number}"
    pools = {}
    for size in host.huge_page_sizes:
        pool = host.huge_pages(size, number) if os.path.isdir(folder) else host.huge_pages(size)
        pools[size] = PoolDescription(pool.total, pool.free)
    cpus = list(host.node_cpus(number))
    if not os.path.isdir(folder):
        return NodeDescription(number, host.total_memory, host.available_memory, pools, cpus, [LOCAL_DISTANCE])
    memory = _sizes(f"{folder}/meminfo")
    ordinary = memory["MemTotal"] - sum(size * pool.total for size, pool in pools.items())
    available = memory["MemFree"] + sum(memory.get(name, 0) for name in CACHE_LINES)
    distances = [int(word) for word in _read(f"{folder}/distance").split()]
    return NodeDescription(number, memory["MemTotal"], min(available, max(ordinary, 0)), pools, cpus, distances)


def _local_node(host: Host) -> int:
    """The node of the CPUs that this process may run on; of several the lowest."""
    allowed = os.sched_getaffinity(0)
    return next((node for node in host.nodes if allowed.intersection(host.node_cpus(node))), host.nodes[0])


def _overcommit(proc: str) -> OvercommitDescription:
    memory = _sizes(f"{proc}/meminfo")
    kilobytes = int(_read(f"{proc}/sys/vm/overcommit_kbytes"))
    return OvercommitDescription(
        policy=int(_read(f"{proc}/sys/vm/overcommit_memory")),
        ratio=int(_read(f"{proc}/sys/vm/overcommit_ratio")),
        limit=kilobytes << 10 if kilobytes else None,
        swap=memory.get("SwapTotal", 0),
        committed=memory.get("Committed_AS", 0),
    )


def _limits(host: Host, proc: str) -> LimitsDescription:
    limits = LimitsDescription(phys_bits=host.phys_bits)
    soft, _hard = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    capabilities = next(line for line in _read(f"{proc}/self/status").splitlines() if line.startswith("CapEff:"))
    if soft != resource.RLIM_INFINITY and not int(capabilities.split()[1], 16) >> CAP_IPC_LOCK & 1:
        limits.memlock = soft
    return limits


def _mounts(proc: str) -> list[MountDescription]:
    """The mounts that keep files in memory; of two at one place the upper."""
    mounts: dict[str, MountDescription] = {}
    for line in _read(f"{proc}/self/mounts").splitlines():
        _source, path, kind, *_ = line.split()
        path = path.encode().decode("unicode_escape")  # blanks are written in octal
        mounts.pop(path, None)
        try:
            size = os.statvfs(path)
        except OSError:
            continue
        if kind == "hugetlbfs":
            mounts[path] = MountDescription(path, kind, page_size=size.f_bsize)
        elif kind == "tmpfs":
            # One without a limit says that it has no blocks.
            mounts[path] = MountDescription(path, kind, size=size.f_blocks * size.f_bsize or None)
    return list(mounts.values())


def _sizes(path: str) -> dict[str, int]:
    """The sizes of a meminfo file, a node's (with `Node 0` before each name) or the whole host's, in bytes."""
    found = {}
    for line in _read(path).splitlines():
        name, _colon, value = line.partition(":")
        words = value.split()
        if words:
            found[name.split()[-1]] = int(words[0]) << (10 if words[-1] == "kB" else 0)
    return found


def _read(path: str) -> str:
    with open(path, encoding="utf-8", errors="surrogateescape") as file:
        return file.read()
