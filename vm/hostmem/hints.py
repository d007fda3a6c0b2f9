"""What would help a backend that the host refused: the remedy in words, from the host's own facts.

Imported on failure alone. A hint names what is missing and how much of it; where nothing certain is known it is None.
"""

from __future__ import annotations

import errno

from ..sizes import option_size, size_to_str

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..host import Host, HostMemory
    from .backend import MemoryBackend

ADDRESS_SPACE = 1 << 47
"""Bytes of addresses that a process has on most 64-bit hosts (x86 without five-level page tables)."""
SURELY_MIB = 1 << 40
"""From so many bytes on, `-m` may have been taken to count bytes or KiB."""


def of_mapping(backend: MemoryBackend, error: OSError, page_size: int) -> str | None:
    """After memory could not be mapped."""
    host, length = backend.host, backend.length
    if error.errno == errno.EOPNOTSUPP:
        return "vm.overcommit_memory=2 counts every page; with 0 or 1, reserve=off is possible"
    if error.errno != errno.ENOMEM:
        return None
    if length >= ADDRESS_SPACE:
        needs = f"a process has {size_to_str(ADDRESS_SPACE)} of addresses, and {size_to_str(length)} are asked for"
        return f"{needs}{_unit_of_m(backend)}"
    left = host.address_space_left
    if left is not None and left < length:
        return _limit("the limit on the process's address space (ulimit -v)", left, length)
    if page_size > host.page_size:
        return _missing_huge_pages(backend, page_size, 0, reserved=True)
    left = host.commit_left
    if left is not None and left < length:
        return _limit("the host's commit limit (vm.overcommit_memory=2)", left, length)
    if backend.prealloc:  # which goes not together with reserve=off
        return _limit("the host", host.available_memory, length) if host.available_memory < length else None
    return f"{_without_reservation(backend)}{_unit_of_m(backend)}" if backend.reserve else None


def _without_reservation(backend: MemoryBackend) -> str:
    """How to map memory that the host need not have."""
    if not backend.serves_machine:
        return "reserve=off maps memory that the host need not have"
    own = f"{backend.type_name},id=mem,size={option_size(backend.size)}"
    if backend.backing_path is not None:
        own += f",mem-path={backend.backing_path}"
    return (
        "a memory backend of its own maps memory that the host need not have: "
        f"-object {own},reserve=off -machine memory-backend=mem"
    )


def _unit_of_m(backend: MemoryBackend) -> str:
    return "; -m counts MiB unless it names a unit" if backend.serves_machine and backend.size >= SURELY_MIB else ""


def of_locking(host: Host, needed: int) -> str | None:
    """After memory could not be locked (mlockall)."""
    limit = host.describe().limits.memlock
    if limit is None or limit >= needed:
        return None
    return f"{size_to_str(needed)} of locked memory are needed, the limit is {size_to_str(limit)} (ulimit -l)"


def of_binding(backend: MemoryBackend, error: OSError, page_size: int) -> str | None:
    """After the NUMA policy could not be set."""
    online = backend.host.nodes
    offline = [node for node in backend.host_nodes if node not in online]
    if offline:
        return f"node {_listed(offline)} is not there: this host has node {_listed(online)}"
    if backend.length % page_size:
        return f"only a multiple of the page size, {size_to_str(page_size)}, can be bound"
    if error.errno == errno.EPERM:
        return "the process may not use these nodes (a cpuset keeps it from them)"
    if error.errno == errno.EIO:
        return "pages of this memory are on other nodes, and in use there"
    return None


def of_populating(backend: MemoryBackend, memory: HostMemory) -> str | None:
    """After not all pages of `memory` could be allocated; it still has those that could."""
    host, path = backend.host, backend.backing_path
    held = sum(host.residency([memory])[0].values())
    if memory.page_size > host.page_size:
        return _missing_huge_pages(backend, memory.page_size, held // memory.page_size, reserved=False)
    needed = backend.length - held
    left = host.free_space(path) if path is not None else None
    if left is not None and left < needed:
        return _limit(f"the file system of {path}", left, needed)
    room = host.available_memory if host.populate_room is None else host.populate_room
    return _limit("the host, or the control group's memory limit,", room, needed) if room < needed else None


def of_huge_page_size(host: Host) -> str:
    """After huge pages of a size that the host has not were asked for."""
    sizes = ", ".join(size_to_str(size) for size in host.huge_page_sizes)
    return f"this host has huge pages of {sizes}" if sizes else "this host has no huge pages"


def of_opening(backend: MemoryBackend, error: OSError) -> str | None:
    """After a file could not be opened; QEMU 8.2 and newer give this advice too."""
    if error.errno in (errno.EACCES, errno.EROFS) and not backend.share:
        return "readonly=on,rom=off makes writable RAM of a file that can only be read"
    return None


def _missing_huge_pages(backend: MemoryBackend, page_size: int, held: int, *, reserved: bool) -> str | None:
    """How many huge pages there are too few, of the host or of the nodes that the memory is bound to, beside those
    that it has."""
    host, needed = backend.host, -(-backend.length // page_size)
    nodes = backend.host_nodes if backend.policy == "bind" and not reserved else []
    if nodes:
        free = sum(host.huge_pages(page_size, node).free for node in nodes if node in host.nodes)
    else:
        pool = host.huge_pages(page_size)
        free = pool.free - pool.reserved
    to_be_had = held + free
    if to_be_had >= needed:
        return None
    where = f" on node {_listed(nodes)}" if nodes else ""
    pages = f"{needed - to_be_had} more huge pages of {size_to_str(page_size)}"
    hint = f"{pages} are needed{where}: {needed}, and {to_be_had} can be had"
    if not (reserved and backend.reserve):
        return hint
    return f"{hint}; {_without_reservation(backend) if backend.serves_machine else 'reserve=off maps it all the same'}"


def _limit(what: str, left: int, length: int) -> str:
    return f"{what} has {size_to_str(max(left, 0))} left, {size_to_str(length - left)} less than is needed"


def _listed(numbers: Iterable[int]) -> str:
    return ",".join(map(str, numbers))
