"""Which pages there are, and where: of anonymous memory by the kernel's map of our own pages, of a file by its holes.

Sources: Documentation/admin-guide/mm/pagemap.rst: 64 bits for each page; bit 63 says that it is present, bit 62 that it
is swapped out, and the lower 55 bits are the number of the page frame, zeros for those who lack CAP_SYS_ADMIN.
lseek(2): `SEEK_DATA` and `SEEK_HOLE`.
"""

from __future__ import annotations

import errno
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

ENTRY = 8
PAGES = 1 << 16
"""Of one read: 512 KiB of entries, some 256 MiB of memory."""
THERE = bytes(bool(byte & 0xC0) for byte in range(256))
PRESENT = 1 << 63
FRAME = (1 << 55) - 1
TOP_BYTE = 7 if sys.byteorder == "little" else 0


def anonymous_pages(address: int, length: int, page_size: int) -> Iterator[tuple[int, int]]:
    """The runs of pages that are there, as offset from `address` and bytes, ascending; both arguments page-aligned."""
    first, count = address // page_size, length // page_size
    begun = -1
    with open("/proc/self/pagemap", "rb", buffering=0) as pagemap:
        for number in range(0, count, PAGES):
            entries = os.pread(pagemap.fileno(), ENTRY * min(PAGES, count - number), ENTRY * (first + number))
            there = entries[TOP_BYTE::ENTRY].translate(THERE)
            position = 0
            while position < len(there):
                end = there.find(begun < 0, position)
                if end < 0:
                    break
                if begun < 0:
                    begun = number + end
                else:
                    yield begun * page_size, (number + end - begun) * page_size
                    begun = -1
                position = end
    if begun >= 0:
        yield begun * page_size, (count - begun) * page_size


def file_data(fd: int, start: int, end: int, grain: int = 1) -> Iterator[tuple[int, int]]:
    """The parts of an interval of a file that are no holes, as offset and length, ascending.

    What is behind the file's end is none: nobody can read there. Parts of less than `grain` bytes are told as long, so
    that the kernel is asked less often where a file is many small ones.
    """
    size = min(max(os.lseek(fd, 0, os.SEEK_END), start), end)
    position = start
    while position < size:
        try:
            first = min(os.lseek(fd, position, os.SEEK_DATA), size)
            least = min(first + grain - 1, size - 1)
            position = min(os.lseek(fd, least, os.SEEK_HOLE), size) if first < size else size
            position = max(position, least + 1) if first < size else size
        except OSError as error:
            first = size if error.errno == errno.ENXIO else position  # or it is a file that knows no holes
            position = size
        if first < position:
            yield first, position - first
    if size < end:
        yield size, end - size


def physical_address(address: int, page_size: int) -> int:
    """The physical address that a mapped one has now; raises `OSError`."""
    with open("/proc/self/pagemap", "rb", buffering=0) as pagemap:
        entry = int.from_bytes(os.pread(pagemap.fileno(), ENTRY, ENTRY * (address // page_size)), sys.byteorder)
    if not entry & PRESENT:
        raise OSError(errno.EFAULT, "its page is not present")
    if not entry & FRAME:
        raise OSError(errno.EPERM, "the kernel tells it those alone who have CAP_SYS_ADMIN")
    return (entry & FRAME) * page_size + address % page_size
