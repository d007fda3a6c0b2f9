"""Mappings and files of this Linux. The shape of a mapping was observed in QEMU 7.2 with strace:

* `size + alignment` bytes are reserved without access, the memory is mapped into them at an aligned place, and the rest
  is unmapped but for one guard page behind it, so that running off the end faults;
* anonymous memory is aligned to 2 MiB, the smallest place a transparent huge page can take, a file to its page size;
* all of it is offered for transparent huge pages and kept out of forked children.
"""

# The methods of the interface are documented there, in __init__.py:
# ruff: noqa: D102

from __future__ import annotations

import errno
import os
import stat

# The module weakref costs 0.7 ms of start-up for the same object.
from _weakref import ref

from . import HostFile, HostMemory, pages_in, reach
from .libc import add_seals, fallocate, ffi, fstatfs, ftruncate, lib, madvise, mbind, mmap, munmap, page_nodes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import Any

_POLICIES = {
    "default": "MPOL_DEFAULT",
    "preferred": "MPOL_PREFERRED",
    "bind": "MPOL_BIND",
    "interleave": "MPOL_INTERLEAVE",
}


def _round_up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple


def _error(number: int) -> OSError:
    return OSError(number, os.strerror(number))


def map_guarded(size: int, align: int, guard: int, protection: int, flags: int, fd: int, offset: int) -> int:
    """Map `size` bytes at a multiple of `align` with `guard` bytes without access behind; a failure leaves nothing."""
    total = size + max(align, guard)
    if total >> 64:
        raise _error(errno.ENOMEM)
    reserved = mmap(0, total, lib.PROT_NONE, lib.MAP_PRIVATE | lib.MAP_ANONYMOUS)
    start = _round_up(reserved, align)
    try:
        mmap(start, size, protection, flags | lib.MAP_FIXED, fd, offset)
    except OSError:
        munmap(reserved, total)
        raise
    end = start + size + guard
    if start > reserved:
        munmap(reserved, start - reserved)
    if reserved + total > end:
        munmap(end, reserved + total - end)
    return start


def touch(address: int, length: int, page_size: int, readonly: bool) -> None:
    """Fault in a range page by page, for kernels before 5.14, which have no `MADV_POPULATE_*`.

    The kernel reads the first byte of each page and writes it back through /proc/self/mem, so that a page that cannot
    be had is an error (EFAULT, as from madvise) instead of a SIGBUS. A byte that another thread changes in between
    is lost: use it before a guest runs.
    """
    fd = os.open("/proc/self/mem", os.O_RDONLY if readonly else os.O_RDWR)
    try:
        for page in range(address, address + length, page_size):
            byte = os.pread(fd, 1, page)
            if not readonly:
                os.pwrite(fd, byte, page)
    except OSError:
        raise _error(errno.EFAULT) from None
    finally:
        os.close(fd)


PAGEMAP_PAGE = os.sysconf("SC_PAGE_SIZE")
SHORT = 1 << 20
"""Bytes that Python may copy itself."""
UNMAP_PIECE = 64 << 20
"""Bytes that one call unmaps: some ms if all of its pages are there."""
MOST_PIECES = 1 << 12


class LinuxMemory(HostMemory):
    """A mapping made by `LinuxHost`."""

    __slots__ = ("_anonymous", "_exporter", "_fd", "_file_offset", "_mapped")

    def __init__(
        self,
        address: int,
        size: int,
        guard: int,
        page_size: int,
        share: bool,
        readonly: bool,
        counted: bool,
        anonymous: bool,
        fd: int = -1,
        file_offset: int = 0,
    ) -> None:
        """`fd` is the mapping's own descriptor of a file whose holes are the memory's; it begins at `file_offset`."""
        self._anonymous = anonymous
        self._fd = fd
        self._file_offset = file_offset
        self.counted = counted
        self.address = address
        self.size = size
        self.page_size = page_size
        self.share = share
        self.readonly = readonly
        self._mapped = size + guard
        # What all live views are made of: they and whatever is made of them keep it alive, so alive means in use.
        self._exporter: Callable[[], Any] = lambda: None
        for advice in (lib.MADV_HUGEPAGE, lib.MADV_DONTFORK):
            try:
                madvise(address, size, advice)
            except OSError:
                pass  # hugetlbfs refuses the first, as does a kernel without transparent huge pages

    def _at(self, start: int, length: int) -> int:
        if not self._mapped:
            raise ValueError("memory is closed")
        if start < 0 or length < 0 or start + length > self.size:
            raise ValueError(f"range {start:#x}+{length:#x} is not within memory of {self.size:#x} bytes")
        return self.address + start

    def read(self, offset: int, length: int) -> bytes:
        from .linux_access import read

        if self._anonymous and length <= SHORT:  # no page can be missing, and others need not wait for long
            return bytes(self.view(offset, length))
        self._at(offset, length)
        return read(self.address, offset, length)

    def read_into(self, offset: int, buffer: memoryview) -> None:
        from .linux_access import read_into

        self._at(offset, len(buffer))
        read_into(self.address, offset, buffer)

    def read_pages(self, offset: int, pages: Sequence[memoryview]) -> None:
        from .linux_access import read_file_pages, read_pages

        page_size = len(pages[0])
        self._at(offset, len(pages) * page_size)
        if self._anonymous:
            memory = self.view(offset, len(pages) * page_size)
            for number, page in enumerate(pages):
                page[:] = memory[number * page_size : (number + 1) * page_size]
        elif self._fd < 0 or not read_file_pages(self._fd, self._file_offset + offset, pages):
            read_pages(self.address, offset, pages)

    def write(self, offset: int, data: bytes | memoryview) -> None:
        from .linux_access import write

        self._at(offset, len(data))
        write(self.address, offset, data)

    def write_pages(self, runs: Sequence[tuple[int, memoryview]], page_size: int, stride: int) -> None:
        from .linux_access import gather_pages, write_pages

        for offset, buffer in runs:
            self._at(offset, pages_in(len(buffer), page_size, stride) * page_size)
        write = gather_pages if self._anonymous and not self.readonly else write_pages
        write(self.address, runs, page_size, stride)

    def receive(self, fd: int, parts: Sequence[tuple[int, int]]) -> int:
        if not self.readonly:
            try:
                return os.readv(fd, [self.view(*part) for part in parts])
            except OSError as error:
                if error.errno != errno.EFAULT:
                    raise
        return super().receive(fd, parts)  # which tells the page that is missing

    def send(self, fd: int, offset: int, length: int, *, copied: bool = True) -> int:
        self._at(offset, length)
        try:
            if not copied and self._fd >= 0 and (sent := self._send_file(fd, offset, length)):
                return sent
            return os.write(fd, self.view(offset, length))
        except OSError as error:
            if error.errno != errno.EFAULT:
                raise
        return super().send(fd, offset, length)  # which tells the page that is missing

    def _send_file(self, fd: int, offset: int, length: int) -> int:
        try:
            return os.sendfile(fd, self._fd, self._file_offset + offset, length)
        except OSError as error:
            if error.errno != errno.EINVAL:  # hugetlbfs
                raise
        return 0

    def sum_words(self, offset: int, count: int, stride: int) -> int:
        from .linux_access import sum_words

        self._at(offset, reach(count, stride))
        return sum_words(self.address, offset, count, stride)

    def write_words(self, offset: int, count: int, stride: int, value: int, step: int) -> None:
        from .linux_access import write_words

        self._at(offset, reach(count, stride))
        write_words(self.address, offset, count, stride, value, step)

    def view(self, offset: int, length: int) -> memoryview:
        """Return the bytes themselves, writable unless the mapping is read-only. While it lives `close` is refused.

        Only for memory that is certain to be there: to touch a page that the host cannot give ends the process.
        """
        self._at(offset, length)
        exporter = self._exporter()
        if exporter is None:
            exporter = ffi.buffer(ffi.cast("char *", self.address), self.size)
            self._exporter = ref(exporter)
        view = memoryview(exporter)[offset : offset + length]
        return view.toreadonly() if self.readonly else view

    def advise_merge(self, merge: bool) -> None:
        madvise(self._at(0, self.size), self.size, lib.MADV_MERGEABLE if merge else lib.MADV_UNMERGEABLE)

    def advise_dump(self, dump: bool) -> None:
        madvise(self._at(0, self.size), self.size, lib.MADV_DODUMP if dump else lib.MADV_DONTDUMP)

    def bind(self, policy: str, nodes: Iterable[int]) -> None:
        mode = getattr(lib, _POLICIES[policy])
        mbind(self._at(0, self.size), self.size, mode, nodes, lib.MPOL_MF_STRICT | lib.MPOL_MF_MOVE)

    def populate(self, start: int, length: int) -> None:
        address = self._at(start, length)
        advice = lib.MADV_POPULATE_READ if self.readonly else lib.MADV_POPULATE_WRITE
        while True:
            try:
                return madvise(address, length, advice)
            except OSError as error:
                if error.errno == errno.EINVAL and start % self.page_size == 0:
                    return touch(address, length, self.page_size, self.readonly)
                if error.errno != errno.EINTR:
                    raise

    def discard(self, start: int, length: int) -> None:
        madvise(self._at(start, length), length, lib.MADV_REMOVE if self.share else lib.MADV_DONTNEED)

    def populated(self, start: int, length: int, grain: int = 1) -> Iterator[tuple[int, int]]:
        address = self._at(start, length)
        from .linux_pages import anonymous_pages, file_data

        if self._anonymous:
            return ((start + first, count) for first, count in anonymous_pages(address, length, PAGEMAP_PAGE))
        if self._fd < 0:  # pages of a file may be there although they are not mapped
            return super().populated(start, length)
        distance = self._file_offset
        parts = file_data(self._fd, start + distance, start + distance + length, grain)
        return ((first - distance, count) for first, count in parts)

    def physical_address(self, offset: int) -> int:
        from .linux_pages import physical_address

        self.populate(offset // self.page_size * self.page_size, self.page_size)
        return physical_address(self._at(offset, 1), PAGEMAP_PAGE)

    def page_nodes(self, offsets: Sequence[int]) -> list[int | None]:
        addresses = [self._at(offset // self.page_size * self.page_size, 1) for offset in offsets]
        return [node if node >= 0 else None for node in page_nodes(addresses)]

    def close(self) -> None:
        if self._exporter() is not None:
            raise BufferError("memory is in use by a view of it")
        if self._mapped:
            # Nobody else can map or fault anything while the kernel works at a call: it is given pieces.
            piece = -(-max(UNMAP_PIECE, self.size // MOST_PIECES) // self.page_size) * self.page_size
            for start in range(0, self.size, piece):
                munmap(self.address + start, min(piece, self.size - start))
            munmap(self.address + self.size, self._mapped - self.size)
            self._mapped = 0
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class LinuxFile(HostFile):
    """A file opened by `LinuxHost`."""

    __slots__ = ("_fd", "_host_page_size")

    def __init__(self, fd: int, host_page_size: int) -> None:
        self._fd = fd
        self._host_page_size = host_page_size

    @property
    def fd(self) -> int:
        return self._fd

    @property
    def is_directory(self) -> bool:
        return stat.S_ISDIR(os.fstat(self._fd).st_mode)

    @property
    def size(self) -> int:
        return os.lseek(self._fd, 0, os.SEEK_END)  # fstat knows no size of a block device

    @property
    def page_size(self) -> int:
        kind, block_size = fstatfs(self._fd)
        return block_size if kind == lib.HUGETLBFS_MAGIC else self._host_page_size

    @property
    def in_memory(self) -> bool:
        """Whether the file's pages are memory and nothing else, as a tmpfs's are."""
        return bool(fstatfs(self._fd)[0] == lib.TMPFS_MAGIC)

    def truncate(self, size: int) -> None:
        ftruncate(self._fd, size)

    def allocate(self, offset: int, length: int) -> None:
        fallocate(self._fd, 0, offset, length)

    def punch_hole(self, offset: int, length: int) -> None:
        fallocate(self._fd, lib.FALLOC_FL_PUNCH_HOLE | lib.FALLOC_FL_KEEP_SIZE, offset, length)

    def seal_size(self) -> None:
        add_seals(self._fd, lib.F_SEAL_SEAL | lib.F_SEAL_SHRINK | lib.F_SEAL_GROW)

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
