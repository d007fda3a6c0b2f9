"""The real host: this Linux, with facts from /sys and /proc. How it maps memory is in `linux_mapping.py`, what mappings
are in `linux_memory.py`.

What a system call is called with is decided in these, how it is called in `libc.py`. Nothing here knows of
backends, RAMBlocks or slots.
"""

# The methods of the interface are documented there, in __init__.py:
# ruff: noqa: D102

from __future__ import annotations

import os

from . import Host, HostFile, HostMemory, HugePages, MemslotLimits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from .description import HostDescription
    from .linux_memory import LinuxMemory


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
        if limit is None or committed is None or not self.counts_every_page:
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

    @property
    def counts_every_page(self) -> bool:
        """Whether the kernel counts every page as promised, whatever a mapping says (vm.overcommit_memory=2)."""
        return self._overcommit_policy() == "2"

    def _overcommit_policy(self) -> str:
        try:
            return _read(f"{self._proc}/sys/vm/overcommit_memory").strip()
        except OSError:
            return ""  # an unreadable policy is for mmap to find out

    # Memory and files, by a module that machines without memory do not load

    def lock_memory(self) -> None:
        from .libc import lib, mlockall

        mlockall(lib.MCL_CURRENT | lib.MCL_FUTURE)

    def unlock_memory(self) -> None:
        from .libc import munlockall

        munlockall()

    def map_anonymous(self, size: int, share: bool = False, reserve: bool = True, align: int = 0) -> LinuxMemory:
        from .linux_mapping import map_anonymous

        return map_anonymous(self, size, share, reserve, align)

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
        from .linux_mapping import map_file

        return map_file(self, file, size, offset, share, readonly, reserve, align, page_size)

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
        from .linux_mapping import create_memfd

        return create_memfd(self, name, huge_page_size, sealable)

    def unlink(self, path: str) -> None:
        os.unlink(path)

    def _open(self, path: str, flags: int, mode: int = 0) -> HostFile:
        from .linux_memory import LinuxFile

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
