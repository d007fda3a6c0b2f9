"""A host that is data: nodes, pools, rules and limits out of a `HostDescription`, under which mappings are accounted
for and not made.

What is refused, and with which errno, is what Linux would do, observed of Linux 6.18: `linux.py` beside the same
memory gives the same answers. Loaded only when somebody asks for such a host. Not kept: pages are never swapped out or
reclaimed, so swap counts for promises alone, and the page cache of files on a disk takes nothing from anybody.
"""

# The methods of the interface are documented there, in ../__init__.py:
# ruff: noqa: D102

from __future__ import annotations

import errno
import os
from threading import RLock

from .. import NO_RESERVE_REFUSED, Host, HostFile, HostMemory, HugePages, MemslotLimits
from ..linux_mapping import ANONYMOUS_ALIGNMENT
from .addresses import AddressSpace
from .files import FileSystem, FileTree, Inode, VirtualFile
from .memory import VirtualMemory
from .pages import Pages, refusal
from .pools import Commit, Pool, Quota, Topology

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..description import HostDescription

LONGEST_MEMFD_NAME = 249
ENDLESS = 1 << 62
UNKNOWN_PHYS_BITS = 52
"""As many physical address bits as x86-64 can have."""


class VirtualHost(Host):
    """A host made of a description. Any thread may use it."""

    described = True

    __slots__ = (
        "_addresses",
        "_affinities",
        "_commit",
        "_description",
        "_disk",
        "_files",
        "_locks",
        "_memfds",
        "_memories",
        "_pools",
        "lock",
        "topology",
    )

    def __init__(self, description: HostDescription) -> None:
        self.page_size = description.page_size
        self.kvm_device = ""
        self.lock = RLock()
        self.topology = Topology(description)
        self._description = description
        self._commit = Commit(description)
        self._addresses = AddressSpace(description.limits.address_space_bits, self.page_size)
        self._pools = {size: _huge_pool(description, size) for size in description.huge_page_sizes}
        self._pools[self.page_size] = _ordinary_pool(description)
        self._memfds = {size: FileSystem("memfd:", pool, self._promises(pool)) for size, pool in self._pools.items()}
        self._disk = FileSystem("/", _page_cache(description))
        self._files = FileTree([self._mount(number) for number in range(len(description.mounts))], self._disk)
        self._memories: dict[int, VirtualMemory] = {}
        self._locks = False
        self._affinities: dict[int, tuple[int, ...]] = {}
        """By thread. They are told and no more: pages without a policy come from the description's local node."""

    def _promises(self, pool: Pool) -> tuple[Quota, ...]:
        """Pages of files in ordinary memory count as promised when they come into being."""
        return () if pool.huge else (self._commit,)

    def _mount(self, number: int) -> FileSystem:
        mount = self._description.mounts[number]
        if mount.type == "hugetlbfs":
            size = mount.page_size or self.default_huge_page_size or self.page_size
            return FileSystem(mount.path, self._pools[size])
        if mount.type == "tmpfs":
            return FileSystem(mount.path, self._pools[self.page_size], (Quota(mount.size), self._commit))
        return FileSystem(mount.path, self._disk.pool)

    # Facts

    @property
    def total_memory(self) -> int:
        return self._description.memory

    @property
    def available_memory(self) -> int:
        return sum(self._pools[self.page_size].free.values()) * self.page_size

    @property
    def nodes(self) -> tuple[int, ...]:
        return tuple(node.node for node in self._description.nodes)

    @property
    def huge_page_sizes(self) -> tuple[int, ...]:
        return tuple(self._description.huge_page_sizes)

    @property
    def default_huge_page_size(self) -> int | None:
        return self._description.default_huge_page_size

    @property
    def cpu_vendor(self) -> str:
        return self._description.cpu_vendor

    @property
    def phys_bits(self) -> int:
        return self._description.limits.phys_bits or UNKNOWN_PHYS_BITS

    @property
    def memslot_limits(self) -> MemslotLimits:
        limits = self._description.limits
        return MemslotLimits(limits.max_memslot_size, limits.max_memslots, limits.phys_bits)

    def huge_pages(self, page_size: int, node: int | None = None) -> HugePages:
        pool = self._pools.get(page_size)
        if pool is None or not pool.huge:
            return HugePages(0, 0)
        with self.lock:
            if node is None:
                return HugePages(sum(pool.total.values()), sum(pool.free.values()), pool.reserved)
            return HugePages(pool.total.get(node, 0), pool.free.get(node, 0))

    @property
    def address_space_left(self) -> int | None:
        return None

    @property
    def populate_room(self) -> int | None:
        return None

    @property
    def commit_left(self) -> int | None:
        return self._commit.room

    def free_space(self, path: str) -> int | None:
        with self.lock:
            try:
                rooms = [quota.room for quota in self._files.system(path).quotas]
            except OSError:
                return None
            return min((room for room in rooms if room is not None), default=None)

    def node_cpus(self, node: int) -> tuple[int, ...]:
        return tuple(cpu for found in self._description.nodes if found.node == node for cpu in sorted(found.cpus))

    def affinity(self, thread_id: int) -> tuple[int, ...]:
        return self._affinities.get(thread_id) or self._cpus

    def set_affinity(self, thread_id: int, cpus: Iterable[int]) -> None:
        there = tuple(sorted(set(cpus).intersection(self._cpus)))
        if not there:
            raise refusal(errno.EINVAL)
        self._affinities[thread_id] = there

    @property
    def _cpus(self) -> tuple[int, ...]:
        return tuple(sorted(cpu for node in self._description.nodes for cpu in node.cpus))

    def describe(self) -> HostDescription:
        from copy import deepcopy

        with self.lock:
            described = deepcopy(self._description)
            described.overcommit.committed = self._commit.used
            described.reserved_huge_pages = {size: pool.reserved for size, pool in self._pools.items() if pool.reserved}
            for node in described.nodes:
                node.available = self._pools[self.page_size].free[node.node] * self.page_size
                for size, huge in node.huge_pages.items():
                    huge.free = self._pools[size].free[node.node]
        return described

    def residency(self, memories: Iterable[HostMemory]) -> list[dict[int, int]]:
        with self.lock:
            return [memory.residency() if isinstance(memory, VirtualMemory) else {} for memory in memories]

    # Mappings

    def map_anonymous(self, size: int, share: bool = False, reserve: bool = True, align: int = 0) -> HostMemory:
        with self.lock:
            promise = self._promise(size, reserve)
            pool = self._pools[self.page_size]
            # Shared memory without reservation is promised page by page, as a file's is.
            quotas = self._promises(pool) if share and not reserve else ()
            own = Pages(pool, self.topology.policy("default", ()), quotas)
            memory = VirtualMemory(self, _round_up(size, self.page_size), self.page_size, share, False, own)
            self._place(memory, max(align, ANONYMOUS_ALIGNMENT), promise)
            return self._finished(memory)

    def map_file(
        self,
        file: HostFile,
        size: int,
        offset: int = 0,
        share: bool = False,
        readonly: bool = False,
        reserve: bool = True,
        align: int = 0,
        page_size: int = 0,
    ) -> HostMemory:
        if not isinstance(file, VirtualFile):
            raise TypeError("a file of another host")
        with self.lock:
            inode = file.inode
            unit = inode.system.page_size
            page_size = page_size or unit
            size = _round_up(size, page_size)
            if offset < 0:
                raise refusal(errno.EOVERFLOW)
            if offset % unit or size <= 0:
                raise refusal(errno.EINVAL)
            if inode.directory:
                raise refusal(errno.ENODEV)
            if share and not readonly and not file.writable:
                raise refusal(errno.EACCES)
            charged = not share and not inode.system.huge
            promise = self._promise(size, reserve) if charged else 0
            own = None if share else Pages(self._pools[unit], self.topology.policy("default", ()))
            memory = VirtualMemory(self, size, page_size, share, readonly, own, (inode, offset, file.writable))
            try:
                self._place(memory, max(align, page_size), 0 if readonly else promise)
                if inode.system.huge:
                    self._reserve_huge(inode, own, offset // unit, -(-(offset + size) // unit), reserve)
            except OSError:
                memory.close()
                raise
            if inode.system.huge and not readonly and inode.size < offset + size:
                inode.grow(_round_up(offset + size, unit))  # so does hugetlbfs, sealed or not
            return self._finished(memory)

    def _reserve_huge(self, inode: Inode, own: Pages | None, first: int, last: int, reserve: bool) -> None:
        """Huge pages are promised when they are mapped: a file's to the file, private ones to the mapping."""
        if own is not None and reserve:
            own.reserve(0, last - first, private=True)
        elif reserve:
            inode.pages.reserve(first, last, private=False)

    def _promise(self, size: int, reserve: bool) -> int:
        """Bytes to be promised for memory that may be swapped; raises EOPNOTSUPP, ENOMEM."""
        if reserve:
            return _round_up(size, self.page_size)
        if self._description.overcommit.policy == 2:
            raise OSError(errno.EOPNOTSUPP, NO_RESERVE_REFUSED)
        return 0

    def _place(self, memory: VirtualMemory, align: int, promise: int) -> None:
        """Find a place for a mapping, and promise it memory."""
        size = memory.size
        if size <= 0:
            raise refusal(errno.EINVAL)
        if not self._commit.allows(promise):
            raise refusal(errno.ENOMEM)
        if self._locks and not self._may_lock(size):
            raise refusal(errno.EAGAIN)
        address = self._addresses.take(size, align, self.page_size)
        if address is None:
            raise refusal(errno.ENOMEM)
        memory.address = address
        memory.committed = promise
        self._commit.used += promise
        self._memories[address] = memory

    def _finished(self, memory: VirtualMemory) -> VirtualMemory:
        """A mapping that is there; while memory is locked it has its pages at once."""
        if self._locks:
            _fault_in(memory)
        return memory

    def unmapped(self, memory: VirtualMemory) -> None:
        """Take back what a mapping was granted; it calls this as it closes."""
        if self._memories.pop(memory.address, None) is memory:
            self._addresses.give(memory.address)
            self._commit.used -= memory.committed

    def _may_lock(self, more: int) -> bool:
        limit = self._description.limits.memlock
        return limit is None or sum(memory.size for memory in self._memories.values()) + more <= limit

    def lock_memory(self) -> None:
        with self.lock:
            if not self._may_lock(0):
                raise refusal(errno.ENOMEM)
            self._locks = True
            for memory in self._memories.values():
                _fault_in(memory)

    def unlock_memory(self) -> None:
        self._locks = False

    # Files

    def open_file(self, path: str, readonly: bool = False) -> HostFile:
        with self.lock:
            inode = self._files.find(path)
            if inode is None and self._files.is_directory(path):
                if not readonly:
                    raise refusal(errno.EISDIR)
                inode = self._new_inode(self._disk)
                inode.directory = True
            if inode is None:
                raise refusal(errno.ENOENT)
            return self._opened(inode, writable=not readonly)

    def create_file(self, path: str) -> HostFile:
        with self.lock:
            if self._files.find(path) is None and self._files.is_directory(path):
                raise refusal(errno.EISDIR if path.endswith("/") else errno.EEXIST)
            inode = self._new_inode(self._files.system(path))
            self._files.add(path, inode)
            return self._opened(inode)

    def create_unlinked(self, directory: str, prefix: str) -> HostFile:
        with self.lock:
            path = os.path.join(directory, prefix + "XXXXXX")
            self._files.find(path)
            return self._opened(self._new_inode(self._files.system(path)))

    def create_memfd(self, name: str, huge_page_size: int | None = None, sealable: bool = False) -> HostFile:
        if len(name.encode()) > LONGEST_MEMFD_NAME:
            raise refusal(errno.EINVAL)
        # As in the kernel, only the exponent of the size is told.
        size = self.page_size if huge_page_size is None else 1 << huge_page_size.bit_length() - 1
        system = self._memfds.get(size)
        if system is None or system.huge != (huge_page_size is not None):
            raise refusal(errno.ENODEV)
        with self.lock:
            return self._opened(self._new_inode(system, sealable))

    def unlink(self, path: str) -> None:
        with self.lock:
            self._files.remove(path)

    def _new_inode(self, system: FileSystem, sealable: bool = False) -> Inode:
        pages = Pages(system.pool, self.topology.policy("default", ()), system.quotas)
        return Inode(system, pages, sealable)

    def _opened(self, inode: Inode, writable: bool = True) -> HostFile:
        return VirtualFile(inode, self.lock, writable)


def _round_up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple


def _fault_in(memory: VirtualMemory) -> None:
    """Have the pages of locked memory; what cannot be had is no error of mlock's."""
    try:
        memory.populate(0, memory.size)
    except OSError:
        pass


def _page_cache(description: HostDescription) -> Pool:
    """Where pages of files on a disk come from; they are given back when they are needed, so there is no end of
    them."""
    pages = {node.node: ENDLESS for node in description.nodes if node.memory}
    return Pool(description.page_size, pages, dict(pages), huge=False, reserved=0)


def _ordinary_pool(description: HostDescription) -> Pool:
    size = description.page_size
    total = {node.node: (node.memory - node.huge_memory) // size for node in description.nodes}
    free = {node.node: node.available // size for node in description.nodes}
    return Pool(size, total, free, huge=False, reserved=0)


def _huge_pool(description: HostDescription, size: int) -> Pool:
    pools = {node.node: node.huge_pages[size] for node in description.nodes if size in node.huge_pages}
    total = {node.node: pools[node.node].total if node.node in pools else 0 for node in description.nodes}
    free = {node.node: pools[node.node].free if node.node in pools else 0 for node in description.nodes}
    return Pool(size, total, free, huge=True, reserved=description.reserved_huge_pages.get(size, 0))
