"""The host as the VM core sees it: memory, files that back memory, NUMA nodes, huge pages.

Only the interface is here. `linux.py` is the real host; a virtual one, with nodes, pools and limits as data, stands
behind the same classes, so nothing above may ask which it has. Whatever a host refuses is an `OSError` with errno and
the plain strerror.
"""

from __future__ import annotations

import errno
import os
from abc import ABC, abstractmethod

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from .description import HostDescription

NO_RESERVE_REFUSED = 'Skipping reservation of swap space is not supported: "/proc/sys/vm/overcommit_memory" is "2"'
"""QEMU's text where every page is counted whatever a mapping's flags say."""


WORD = 8
"""Bytes of the words that `HostMemory.write_words` and its like read and write."""


MOST_SENT = 1 << 18
"""Bytes that are copied to be sent, where they cannot be sent from where they are."""


def reach(count: int, stride: int) -> int:
    """Bytes from the first of `count` words to the end of the last, each beginning `stride` behind the last."""
    return (count - 1) * stride + WORD


def pages_in(length: int, page_size: int, stride: int) -> int:
    """How many pages a buffer of so many bytes has, each beginning `stride` behind the last."""
    return (length - page_size) // stride + 1


class HugePages:
    """One pool of huge pages: how many it has, how many of them are free, and how many of those are promised.

    Promises are of the whole host: those of a single node are 0.
    """

    __slots__ = ("free", "reserved", "total")

    def __init__(self, total: int, free: int, reserved: int = 0) -> None:
        self.total = total
        self.free = free
        self.reserved = reserved


class MemslotLimits:
    """What the memslots of this host's accelerators may be; None leaves it to the accelerator."""

    __slots__ = ("max_size", "max_slots", "phys_bits")

    def __init__(self, max_size: int | None = None, max_slots: int | None = None, phys_bits: int | None = None) -> None:
        self.max_size = max_size
        self.max_slots = max_slots
        self.phys_bits = phys_bits
        """No memslot ends beyond this many address bits."""


class MissingPage(OSError):  # noqa: N818 (named for what it tells)
    """The host has no page for an access to memory; touching it would be a SIGBUS. `offset` is the first byte that
    cannot be had; everything before it was read or written."""

    def __init__(self, offset: int, number: int, text: str) -> None:
        super().__init__(number, text)
        self.offset = offset


class HostMemory(ABC):
    """One mapping of host memory.

    Offsets and lengths are bytes within it; what reaches outside of it, and anything after `close`, is a ValueError.
    """

    __slots__ = ("address", "counted", "page_size", "readonly", "share", "size")

    address: int
    """Where it begins in this process (a guest's hva)."""
    size: int
    """Bytes mapped: what was asked for, rounded up to the page size."""
    page_size: int
    """Bytes in a page of what backs it: a huge page's in hugetlbfs, otherwise the host's."""
    share: bool
    """Whether writes reach the file, or other processes."""
    readonly: bool
    counted: bool
    """Whether a page that is populated takes of what `Host.populate_room` tells: no huge page does, and no page of a
    file on a disk."""

    @abstractmethod
    def read(self, offset: int, length: int) -> bytes:
        """Return bytes. Raises `MissingPage`."""

    def read_into(self, offset: int, buffer: memoryview) -> None:
        """Fill a buffer with bytes. Raises `MissingPage`."""
        buffer[:] = self.read(offset, len(buffer))

    def read_pages(self, offset: int, pages: Sequence[memoryview]) -> None:
        """Fill buffers of one size with what follows each other. Raises `MissingPage`."""
        for number, page in enumerate(pages):
            self.read_into(offset + number * len(page), page)

    @abstractmethod
    def write(self, offset: int, data: bytes | memoryview) -> None:
        """Write bytes. Raises `MissingPage`, also of memory that can only be read."""

    def write_pages(self, runs: Sequence[tuple[int, memoryview]], page_size: int, stride: int) -> None:
        """Write runs of pages, offset and contents each, in which each page is `stride` bytes behind the last.

        Raises `MissingPage`.
        """
        for offset, buffer in runs:
            for number in range(pages_in(len(buffer), page_size, stride)):
                start = number * stride
                self.write(offset + number * page_size, buffer[start : start + page_size])

    def receive(self, fd: int, parts: Sequence[tuple[int, int]]) -> int:
        """Fill parts, offset and length each, with bytes from a descriptor; returns how many came, 0 at the end.

        Raises `MissingPage`, and `OSError` of the descriptor.
        """
        offset, length = parts[0]
        data = os.read(fd, length)
        self.write(offset, data)
        return len(data)

    def send(self, fd: int, offset: int, length: int, *, copied: bool = True) -> int:
        """Write bytes to a descriptor; returns how many went.

        Unless they are `copied`, who takes them off it may find what the memory holds as late as that. Raises
        `MissingPage`, and `OSError` of the descriptor.
        """
        return os.write(fd, self.read(offset, min(length, MOST_SENT)))

    @abstractmethod
    def sum_words(self, offset: int, count: int, stride: int) -> int:
        """Read `count` words of 8 bytes, little endian, each `stride` behind the last; return their sum modulo 2^64.

        Offset and stride are multiples of 8. Raises `MissingPage`.
        """

    @abstractmethod
    def write_words(self, offset: int, count: int, stride: int, value: int, step: int) -> None:
        """Write `count` words as `sum_words` reads them: `value`, and each `step` more than the last, modulo 2^64.

        Raises `MissingPage`.
        """

    @abstractmethod
    def advise_merge(self, merge: bool) -> None:
        """Let the kernel merge equal pages (KSM), or not. EINVAL where the kernel has no KSM."""

    @abstractmethod
    def advise_dump(self, dump: bool) -> None:
        """Leave the memory in core dumps, or not."""

    @abstractmethod
    def bind(self, policy: str, nodes: Iterable[int]) -> None:
        """Set the NUMA policy: `default`, `preferred`, `bind` or `interleave`, as QEMU's HostMemPolicy.

        Strict: pages that are elsewhere already are moved, and EIO tells that one could not be.
        """

    @abstractmethod
    def populate(self, start: int, length: int) -> None:
        """Have all pages of a range allocated, contents unchanged; `start` is page-aligned.

        One call cannot be cancelled; who must be able to stop works in portions. It may run off the owning thread,
        which must not close the memory meanwhile. EFAULT when what backs it is full (no free huge page, a full tmpfs)
        or ends before the range, ENOMEM when the host is full.
        """

    @abstractmethod
    def discard(self, start: int, length: int) -> None:
        """Give the pages of a range back to the host; `start` and `length` are page-aligned.

        Anonymous or shared memory then reads as zeros, and a shared file has a hole there; a private mapping of a file
        shows the file again (`HostFile.punch_hole` frees what the file holds).
        """

    def populated(self, start: int, length: int, grain: int = 1) -> Iterator[tuple[int, int]]:
        """The parts of a page-aligned range that may hold anything but zeros, as offset and length, ascending.

        All of it, where nobody can tell. Parts of less than `grain` bytes may be told longer, where to read the zeros
        behind them costs no memory.
        """
        return iter([(start, length)] if length else [])

    def physical_address(self, offset: int) -> int:
        """The host's physical address of a byte, whose page is made if it is not there.

        Raises `OSError`: EPERM where the kernel does not tell this process, EOPNOTSUPP on a host that is data.
        """
        raise OSError(errno.EOPNOTSUPP, "a described host has no physical addresses")

    @abstractmethod
    def page_nodes(self, offsets: Sequence[int]) -> list[int | None]:
        """Return the NUMA node that holds the page at each offset; None for one that is not there yet."""

    @abstractmethod
    def close(self) -> None:
        """Unmap it; a second time does nothing. BufferError while somebody holds a view of it."""


class HostFile(ABC):
    """An open file that can back memory. A mapping of it stays when the file is closed."""

    __slots__ = ()

    @property
    @abstractmethod
    def fd(self) -> int:
        """The file descriptor, -1 where there is none."""

    @property
    @abstractmethod
    def is_directory(self) -> bool:
        """Whether it is a directory, which can be opened for reading alone."""

    @property
    @abstractmethod
    def size(self) -> int:
        """Bytes in the file, read anew each time."""

    @property
    @abstractmethod
    def page_size(self) -> int:
        """Bytes in a page of memory that this file backs."""

    @abstractmethod
    def truncate(self, size: int) -> None:
        """Make the file `size` bytes long."""

    @abstractmethod
    def allocate(self, offset: int, length: int) -> None:
        """Have space for a range, growing the file if need be."""

    @abstractmethod
    def punch_hole(self, offset: int, length: int) -> None:
        """Free the space of a range; it then reads as zeros, and the size stays."""

    @abstractmethod
    def seal_size(self) -> None:
        """Forbid for good that anybody shrinks, grows or seals it further. Only for a sealable memfd."""

    @abstractmethod
    def close(self) -> None:
        """Close it; a second time does nothing."""


class Host(ABC):
    """A host. Its page size is fixed; everything else is looked up when asked for."""

    __slots__ = ("kvm_device", "page_size")

    page_size: int
    described = False
    """Whether this is a description and no machine; then it plays the part of any."""
    kvm_device: str
    """The path of KVM's device; opening it tells whether there is KVM. Empty where there is none."""

    @property
    @abstractmethod
    def total_memory(self) -> int:
        """Bytes of RAM the host has."""

    @property
    @abstractmethod
    def available_memory(self) -> int:
        """Bytes that could be had now without swapping."""

    @property
    @abstractmethod
    def nodes(self) -> tuple[int, ...]:
        """The NUMA nodes that are online, ascending; (0,) where the kernel knows no NUMA."""

    @property
    @abstractmethod
    def huge_page_sizes(self) -> tuple[int, ...]:
        """The huge page sizes the host offers, ascending, in bytes."""

    @property
    @abstractmethod
    def default_huge_page_size(self) -> int | None:
        """The huge page size when none is named, in bytes; None without huge pages."""

    @abstractmethod
    def huge_pages(self, page_size: int, node: int | None = None) -> HugePages:
        """Return the pool of one size, of the whole host or of one node, as it is now; an absent pool is empty."""

    @property
    @abstractmethod
    def cpu_vendor(self) -> str:
        """The CPUs' vendor, as CPUID says it."""

    @property
    @abstractmethod
    def phys_bits(self) -> int:
        """How many bits the CPUs' physical addresses have."""

    @property
    @abstractmethod
    def memslot_limits(self) -> MemslotLimits:
        """The limits that a simulated accelerator has here."""

    @abstractmethod
    def describe(self) -> HostDescription:
        """Return all that is known of the host, as it is now."""

    @abstractmethod
    def residency(self, memories: Iterable[HostMemory]) -> list[dict[int, int]]:
        """Return for each of some mappings how many bytes of it are on which node.

        Of a file's pages, the kernel tells those that were touched through this mapping, a virtual host all in reach.
        """

    @abstractmethod
    def lock_memory(self) -> None:
        """Keep all memory of this process, mapped now or later, in RAM: it is populated as it is mapped.

        ENOMEM when more is mapped than may be locked. From then on mappings that exceed that are refused with EAGAIN.
        """

    @abstractmethod
    def unlock_memory(self) -> None:
        """Undo `lock_memory`."""

    @property
    @abstractmethod
    def address_space_left(self) -> int | None:
        """Bytes that this process may still map; None without a limit."""

    @property
    @abstractmethod
    def populate_room(self) -> int | None:
        """Bytes that can be populated before the kernel would kill a process for it; None where it refuses instead."""

    @property
    @abstractmethod
    def commit_left(self) -> int | None:
        """Bytes that the host still promises to processes; None where it promises without counting."""

    @abstractmethod
    def free_space(self, path: str) -> int | None:
        """Return the free bytes of the file system that has, or would have, `path`; None where that is not known."""

    @abstractmethod
    def node_cpus(self, node: int) -> tuple[int, ...]:
        """Return the CPUs of a node, ascending; none of a node that is not online."""

    @abstractmethod
    def affinity(self, thread_id: int) -> tuple[int, ...]:
        """Return the CPUs that one of this process's threads may run on, ascending."""

    @abstractmethod
    def set_affinity(self, thread_id: int, cpus: Iterable[int]) -> None:
        """Let a thread, and those it will start, run on these CPUs alone. EINVAL if there is none of them."""

    @abstractmethod
    def map_anonymous(self, size: int, share: bool = False, reserve: bool = True, align: int = 0) -> HostMemory:
        """Map memory that no file backs, at a multiple of `align` (at least of the page size, and as suits huge pages).

        `reserve=False` asks for no swap reservation, so that more can be mapped than there is. EOPNOTSUPP, with
        QEMU's text, where the host's overcommit policy does not allow that; ENOMEM when it does not fit.
        """

    @abstractmethod
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
        """Map `size` bytes of a file from `offset` on; `page_size` 0 takes the file's. Otherwise as `map_anonymous`."""

    @abstractmethod
    def open_file(self, path: str, readonly: bool = False) -> HostFile:
        """Open an existing file."""

    @abstractmethod
    def create_file(self, path: str) -> HostFile:
        """Create a file that must not exist yet, mode 0644 less the umask."""

    @abstractmethod
    def create_unlinked(self, directory: str, prefix: str) -> HostFile:
        """Create a file of mode 0600 in a directory; its name, the prefix and six characters, is gone at once."""

    @abstractmethod
    def create_memfd(self, name: str, huge_page_size: int | None = None, sealable: bool = False) -> HostFile:
        """Create a memory file of size 0, of huge pages if a size is named. ENODEV when there are none of that size."""

    @abstractmethod
    def unlink(self, path: str) -> None:
        """Remove a file's name."""


def open_host(description: str | None = None) -> Host:
    """Return this machine, or the virtual host that a description is of: a file, or the short form.

    Raises `VMError` for a description that is wrong.
    """
    if description is None:
        from .linux import LinuxHost

        return LinuxHost()
    from .virtual import VirtualHost
    from .virtual.reading import read_description

    return VirtualHost(read_description(description))
