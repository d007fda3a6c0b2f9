"""The real host: this Linux, with facts from /sys and /proc. What its mappings are is in `linux_memory.py`.

What a system call is called with is decided in these two, how it is called in `libc.py`. Nothing here knows of
backends, RAMBlocks or slots.
"""

# The methods of the interface are documented there, in __init__.py:
# ruff: noqa: D102

from __future__ import annotations

import errno
import os

from . import NO_RESERVE_REFUSED, Host, HostFile, HostMemory, HugePages, MemslotLimits
from .libc import lib, memfd_create, mlockall, munlockall
from .linux_memory import LinuxFile, LinuxMemory, map_guarded

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from .description import HostDescription

ANONYMOUS_ALIGNMENT = 2 << 20


class LinuxHost(Host):
    """This machine. `sys` and `proc` are where the kernel's two file systems are mounted."""

    __slots__ = ("_default_huge_page_size", "_huge_page_sizes", "_proc", "_sys")

    def __init__(self, sys: str = "/sys", proc: str = "/proc") -> None:
        self.page_size = os.sysconf("SC_PAGE_SIZE")
        self.kvm_device = "/dev/kvm"
        self._sys = sys
        self._proc = proc
        self._huge_page_sizes: tuple[int, ...] | None = None
        self._default_huge_page_size: int | None = None

    @property
    def total_memory(self) -> int:
        return os.sysconf("SC_PHYS_PAGES") * self.page_size

    @property
    def available_memory(self) -> int:
        return self._meminfo("MemAvailable") or self.total_memory

    @property
    def nodes(self) -> tuple[int, ...]:
        try:
            text = _read(f"{self._sys}/devices/system/node/online")
        except FileNotFoundError:
            return (0,)
        return _numbers(text)

    @property
    def address_space_left(self) -> int | None:
        import resource

        limit, _ = resource.getrlimit(resource.RLIMIT_AS)
        if limit == resource.RLIM_INFINITY:
            return None
        return limit - int(_read(f"{self._proc}/self/statm").split()[0]) * self.page_size

    @property
    def populate_room(self) -> int | None:
        from .linux_limits import populate_room

        return populate_room(self._sys, self._proc)

    @property
    def commit_left(self) -> int | None:
        limit, committed = self._meminfo("CommitLimit"), self._meminfo("Committed_AS")
        if limit is None or committed is None or self._overcommit_policy() != "2":
            return None
        return limit - committed

    def free_space(self, path: str) -> int | None:
        for place in (path, os.path.dirname(path) or "."):
            try:
                found = os.statvfs(place)
            except OSError:
                continue
            return found.f_bavail * found.f_frsize
        return None

    def node_cpus(self, node: int) -> tuple[int, ...]:
        try:
            return _numbers(_read(f"{self._sys}/devices/system/node/node{node}/cpulist"))
        except FileNotFoundError:
            if node or os.path.exists(f"{self._sys}/devices/system/node"):
                return ()
            return _numbers(_read(f"{self._sys}/devices/system/cpu/online"))

    def affinity(self, thread_id: int) -> tuple[int, ...]:
        return tuple(sorted(os.sched_getaffinity(thread_id)))

    def set_affinity(self, thread_id: int, cpus: Iterable[int]) -> None:
        os.sched_setaffinity(thread_id, cpus)

    @property
    def huge_page_sizes(self) -> tuple[int, ...]:
        if self._huge_page_sizes is None:
            try:
                names = os.listdir(f"{self._sys}/kernel/mm/hugepages")
            except FileNotFoundError:
                names = []
            sizes = (int(name.removeprefix("hugepages-").removesuffix("kB")) << 10 for name in names)
            self._huge_page_sizes = tuple(sorted(sizes))
        return self._huge_page_sizes

    @property
    def default_huge_page_size(self) -> int | None:
        if self._default_huge_page_size is None:
            self._default_huge_page_size = self._meminfo("Hugepagesize")
        return self._default_huge_page_size

    def _meminfo(self, name: str) -> int | None:
        """A line of /proc/meminfo, in bytes."""
        for line in _read(f"{self._proc}/meminfo").splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) << 10
        return None

    def huge_pages(self, page_size: int, node: int | None = None) -> HugePages:
        above = f"{self._sys}/kernel/mm" if node is None else f"{self._sys}/devices/system/node/node{node}"
        pool = f"{above}/hugepages/hugepages-{page_size >> 10}kB"
        try:
            total, free = (int(_read(f"{pool}/{name}_hugepages")) for name in ("nr", "free"))
        except FileNotFoundError:
            return HugePages(0, 0)
        return HugePages(total, free, 0 if node is not None else int(_read(f"{pool}/resv_hugepages")))

    @property
    def cpu_vendor(self) -> str:
        return self._cpu_line("vendor_id", "GenuineIntel")

    @property
    def phys_bits(self) -> int:
        return int(self._cpu_line("address sizes", "40 bits physical").split()[0])

    def _cpu_line(self, key: str, default: str) -> str:
        """What the kernel says of the CPU."""
        for line in _read(f"{self._proc}/cpuinfo").splitlines():
            name, _colon, value = line.partition(":")
            if name.strip() == key:
                return value.strip()
        return default

    @property
    def memslot_limits(self) -> MemslotLimits:
        return MemslotLimits()

    def describe(self) -> HostDescription:
        from .linux_facts import describe

        return describe(self, self._sys, self._proc)

    def residency(self, memories: Iterable[HostMemory]) -> list[dict[int, int]]:
        from .linux_facts import residency

        return residency(memories, self._proc)

    def lock_memory(self) -> None:
        mlockall(lib.MCL_CURRENT | lib.MCL_FUTURE)

    def unlock_memory(self) -> None:
        munlockall()

    def map_anonymous(self, size: int, share: bool = False, reserve: bool = True, align: int = 0) -> LinuxMemory:
        flags = lib.MAP_ANONYMOUS
        if not reserve:
            flags |= self._no_reserve()
        return self._map(size, flags, None, 0, share, False, max(align, ANONYMOUS_ALIGNMENT), self.page_size)

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
    ) -> LinuxMemory:
        if not isinstance(file, LinuxFile):
            raise TypeError("a file of another host")
        page_size = page_size or file.page_size
        flags = 0
        if not reserve:
            # Of a file, only private pages outside of hugetlbfs are charged to swap.
            charged = not share and page_size == self.page_size
            flags = self._no_reserve() if charged else lib.MAP_NORESERVE
        return self._map(size, flags, file, offset, share, readonly, align, page_size)

    def _no_reserve(self) -> int:
        """Return the flag, or refuse as QEMU does where the kernel counts every page whatever the flag says."""
        if self._overcommit_policy() == "2":
            raise OSError(errno.EOPNOTSUPP, NO_RESERVE_REFUSED)
        return lib.MAP_NORESERVE  # type: ignore[no-any-return]  # cffi's constants are untyped

    def _overcommit_policy(self) -> str:
        try:
            return _read(f"{self._proc}/sys/vm/overcommit_memory").strip()
        except OSError:
            return ""  # an unreadable policy is for mmap to find out

    def _map(
        self,
        size: int,
        flags: int,
        file: LinuxFile | None,
        offset: int,
        share: bool,
        readonly: bool,
        align: int,
        page_size: int,
    ) -> LinuxMemory:
        size = -(-size // page_size) * page_size
        align = max(align, page_size)
        guard = self.page_size
        protection = lib.PROT_READ if readonly else lib.PROT_READ | lib.PROT_WRITE
        flags |= lib.MAP_SHARED if share else lib.MAP_PRIVATE
        fd = -1 if file is None else file.fd
        address = map_guarded(size, align, guard, protection, flags, fd, offset)
        ordinary = page_size == self.page_size and not readonly
        counted = ordinary and (not share or file is None or file.in_memory)
        return LinuxMemory(address, size, guard, page_size, share, readonly, counted)

    def open_file(self, path: str, readonly: bool = False) -> HostFile:
        # Without O_NONBLOCK, opening a FIFO for reading would wait for somebody to write.
        return self._open(path, (os.O_RDONLY if readonly else os.O_RDWR) | os.O_NONBLOCK)

    def create_file(self, path: str) -> HostFile:
        return self._open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644)

    def create_unlinked(self, directory: str, prefix: str) -> HostFile:
        while True:
            path = os.path.join(directory, prefix + os.urandom(3).hex())
            try:
                file = self._open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
            except FileExistsError:
                continue
            os.unlink(path)
            return file

    def create_memfd(self, name: str, huge_page_size: int | None = None, sealable: bool = False) -> HostFile:
        flags = lib.MFD_CLOEXEC
        if sealable:
            flags |= lib.MFD_ALLOW_SEALING
        if huge_page_size is not None:
            flags |= lib.MFD_HUGETLB | (huge_page_size.bit_length() - 1) << lib.MFD_HUGE_SHIFT
        return LinuxFile(memfd_create(name, flags), self.page_size)

    def unlink(self, path: str) -> None:
        os.unlink(path)

    def _open(self, path: str, flags: int, mode: int = 0) -> HostFile:
        return LinuxFile(os.open(path, flags, mode), self.page_size)


def _read(path: str) -> str:
    with open(path, encoding="ascii") as file:
        return file.read()


def _numbers(text: str) -> tuple[int, ...]:
    """Return the numbers of a list as /sys writes it, `0-3,5`."""
    numbers: list[int] = []
    for part in text.strip().split(","):
        first, dash, last = part.partition("-")
        numbers.extend(range(int(first), int(last if dash else first) + 1) if first else ())
    return tuple(numbers)
