"""The bytes of memory, read and written by the kernel on our behalf.

To touch a page that the host cannot give (behind a file's end, in a full file system, a huge page that is not there) is
a SIGBUS, which ends the process. The kernel, asked to copy between two parts of one process (process_vm_readv), answers
EFAULT instead. `base` is the address of a mapping, offsets are within it.
"""

from __future__ import annotations

import os
import sys
from array import array

from . import WORD, MissingPage, reach
from .libc import check, ffi, lib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

MOST_PIECES = 1024
"""How many pieces of memory one call takes (UIO_MAXIOV)."""
WORD_MASK = (1 << 64) - 1


def read(base: int, offset: int, length: int) -> bytes:
    """Return bytes; raises `MissingPage`."""
    buffer = ffi.new("char[]", length)
    read_into(base, offset, ffi.buffer(buffer, length))
    return bytes(ffi.buffer(buffer, length))


def read_into(base: int, offset: int, buffer: Any) -> None:
    """Fill a buffer with bytes; raises `MissingPage`."""
    start, length = ffi.cast("char *", ffi.from_buffer(buffer)), len(buffer)
    done = 0
    while done < length:
        done += _copy("process_vm_readv", start + done, base, offset + done, [length - done])


def write(base: int, offset: int, data: bytes) -> None:
    """Write bytes; raises `MissingPage`."""
    buffer = ffi.from_buffer(data)
    done = 0
    while done < len(data):
        part = ffi.cast("char *", buffer) + done
        done += _copy("process_vm_writev", part, base, offset + done, [len(data) - done])


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


def _copy_words(call: str, words: array[int], base: int, offset: int, stride: int) -> None:
    count = len(words)
    buffer = ffi.cast("char *", ffi.from_buffer(words))
    if stride == WORD:
        done = 0
        while done < count * WORD:
            done += _copy(call, buffer + done, base, offset + done, [count * WORD - done])
        return
    number = 0
    while number < count:
        offsets = range(offset + number * stride, offset + reach(count, stride), stride)
        number += _copy(call, buffer + number * WORD, base, offsets[0], [WORD] * len(offsets), offsets) // WORD


def _copy(
    call: str, buffer: Any, base: int, first: int, lengths: list[int], offsets: Sequence[int] | None = None
) -> int:
    """Copy between a buffer and pieces of memory, the first at `first`; returns how many bytes were copied.

    Raises `MissingPage` if that is none.
    """
    pieces = array("Q", bytes(16 * len(lengths)))
    pieces[::2] = array("Q", [base + offset for offset in offsets or (first,)])
    pieces[1::2] = array("Q", lengths)
    local = ffi.new("struct iovec *", {"iov_base": buffer, "iov_len": sum(lengths)})
    remote = ffi.cast("struct iovec *", ffi.from_buffer(pieces))
    try:
        copied = getattr(lib, call)(os.getpid(), local, 1, remote, len(lengths), 0)
        return check(copied, call, base + first, len(lengths), lengths[0])
    except OSError as error:
        raise MissingPage(first, error.errno or 0, error.strerror or "") from None
