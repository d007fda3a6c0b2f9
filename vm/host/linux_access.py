"""The bytes of memory, read and written by the kernel on our behalf.

To touch a page that the host cannot give (behind a file's end, in a full file system, a huge page that is not there) is
a SIGBUS, which ends the process. The kernel, asked to copy between two parts of one process (process_vm_readv), answers
EFAULT instead. `base` is the address of a mapping, offsets are within it.

The kernel looks each page up for that, which takes longer than to copy it. `gather_pages` does without, for anonymous
memory, where no page can be missing.
"""

from __future__ import annotations

import os
import sys
from array import array

from . import WORD, MissingPage, pages_in, reach
from .libc import check, ffi, lib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

MOST_PIECES = 1024
"""How many pieces of memory one call takes (UIO_MAXIOV)."""
WORD_MASK = (1 << 64) - 1


def gather_pages(base: int, runs: Sequence[tuple[int, memoryview]], page_size: int, stride: int) -> None:
    """Write runs of pages, as `write_pages`, to memory that is certain to be there."""
    move, cast, join = ffi.memmove, ffi.cast, b"".join
    for offset, buffer in runs:
        data: bytes | memoryview = buffer
        if stride != page_size:  # copied twice, which is less than a call for each
            data = join([buffer[start : start + page_size] for start in range(0, len(buffer), stride)])
        move(cast("char *", base + offset), data, len(data))


def read(base: int, offset: int, length: int) -> bytes:
    """Return bytes; raises `MissingPage`."""
    buffer = ffi.new("char[]", length)
    read_into(base, offset, ffi.buffer(buffer, length))
    return bytes(ffi.buffer(buffer, length))


def read_into(base: int, offset: int, buffer: Any) -> None:
    """Fill a buffer with bytes; raises `MissingPage`."""
    _copy("process_vm_readv", base, offset, buffer)


def write(base: int, offset: int, data: bytes | memoryview) -> None:
    """Write bytes; raises `MissingPage`."""
    _copy("process_vm_writev", base, offset, data)


def read_pages(base: int, offset: int, pages: Sequence[memoryview]) -> None:
    """Fill buffers of one size with what follows each other; raises `MissingPage`."""
    _copy_pages("process_vm_readv", base, offset, [_address(page) for page in pages], len(pages[0]))


def write_pages(base: int, runs: Sequence[tuple[int, memoryview]], page_size: int, stride: int) -> None:
    """Write runs of pages, offset and contents each, each page `stride` bytes behind the last; raises `MissingPage`."""
    for offset, buffer in runs:
        start, count = _address(buffer), pages_in(len(buffer), page_size, stride)
        addresses = range(start, start + count * stride, stride)
        _copy_pages("process_vm_writev", base, offset, addresses, page_size)


def read_file_pages(fd: int, offset: int, pages: Sequence[memoryview]) -> bool:
    """Fill buffers of one size from a file, which has what a shared mapping of it has; says whether all came."""
    try:
        return len(pages) <= MOST_PIECES and os.preadv(fd, pages, offset) == len(pages) * len(pages[0])
    except OSError:
        return False


def sum_words(base: int, offset: int, count: int, stride: int) -> int:
    """The sum of words modulo 2^64; raises `MissingPage`."""
    total = 0
    for first in range(0, count, MOST_PIECES):
        words = array("Q", bytes(WORD * min(MOST_PIECES, count - first)))
        _copy_words("process_vm_readv", words, base, offset + first * stride, stride)
        if sys.byteorder == "big":
            words.byteswap()
        total += sum(words)
    return total & WORD_MASK


def write_words(base: int, offset: int, count: int, stride: int, value: int, step: int) -> None:
    """Write words; raises `MissingPage`."""
    for first in range(0, count, MOST_PIECES):
        here = range(first, min(first + MOST_PIECES, count))
        words = array("Q", [value + number * step & WORD_MASK for number in here])
        if sys.byteorder == "big":
            words.byteswap()
        _copy_words("process_vm_writev", words, base, offset + first * stride, stride)


def _copy(call: str, base: int, offset: int, buffer: Any) -> None:
    start, length = _address(buffer), len(buffer)
    done = 0
    while done < length:
        local, remote = _pieces([start + done], length - done), _pieces([base + offset + done], length - done)
        done += _call(call, local, remote, offset + done)


def _copy_pages(call: str, base: int, offset: int, addresses: Sequence[int], page_size: int) -> None:
    done = 0
    while done < len(addresses) * page_size:
        number, copied = divmod(done, page_size)
        places = addresses[number : number + MOST_PIECES]
        local = _pieces(places, page_size)
        local[0] += copied
        local[1] -= copied
        remote = _pieces([base + offset + done], len(places) * page_size - copied)
        done += _call(call, local, remote, offset + done)


def _copy_words(call: str, words: array[int], base: int, offset: int, stride: int) -> None:
    if stride == WORD:
        _copy(call, base, offset, memoryview(words).cast("B"))
        return
    start, count = _address(words), len(words)
    number = 0
    while number < count:
        first = offset + number * stride
        local = _pieces([start + number * WORD], (count - number) * WORD)
        remote = _pieces(range(base + first, base + offset + reach(count, stride), stride), WORD)
        number += _call(call, local, remote, first) // WORD


def _address(buffer: Any) -> int:
    return int(ffi.cast("uintptr_t", ffi.from_buffer(buffer)))


def _pieces(addresses: Sequence[int], length: int) -> array[int]:
    """Pieces of memory of one length, as the kernel wants them (struct iovec)."""
    pieces = array("Q", bytes(16 * len(addresses)))
    pieces[::2] = array("Q", addresses)
    pieces[1::2] = array("Q", (length,)) * len(addresses)
    return pieces


def _call(call: str, local: array[int], remote: array[int], offset: int) -> int:
    """Copy between pieces of our own; returns how many bytes were copied. Raises `MissingPage` if that is none."""
    pieces = [ffi.cast("struct iovec *", ffi.from_buffer(each)) for each in (local, remote)]
    counts = len(local) // 2, len(remote) // 2
    try:
        copied = getattr(lib, call)(os.getpid(), pieces[0], counts[0], pieces[1], counts[1], 0)
        return check(copied, call, remote[0], counts[1], remote[1])
    except OSError as error:
        raise MissingPage(offset, error.errno or 0, error.strerror or "") from None
