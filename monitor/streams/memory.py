"""Files that the memory of a stream is written to, and those that digests of it are in."""

from __future__ import annotations

import os
import signal

from ...vm.errors import VMError
from .files import MOST_BUFFERS, behind

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...vm.dump.saved import SavedCore

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""What tells a program to end."""


class SparseFile:
    """A new file with holes where nothing but zeros was written."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._fd = -1
        self._top = 0
        """Behind the last byte that was written."""

    def create(self, length: int, *, allocate: bool = False) -> None:
        """Make it, `allocate` without holes; raises `VMError`."""
        # Who is told to end between the file and its descriptor would leave it.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
        try:
            self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except (OSError, ValueError) as error:
            raise self._not_created(error) from None
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        try:
            os.ftruncate(self._fd, length)
            if allocate and length:
                os.posix_fallocate(self._fd, 0, length)
        except (OSError, OverflowError) as error:
            raise self._not_created(error) from None

    def _not_created(self, error: Exception) -> VMError:
        return VMError(f"Could not create '{self.path}': {getattr(error, 'strerror', error)}")

    def write(self, at: int, pieces: list[memoryview]) -> None:
        """Write pieces one behind the other; raises `OSError`."""
        for first in range(0, len(pieces), MOST_BUFFERS):
            some: list[bytes | memoryview] = list(pieces[first : first + MOST_BUFFERS])
            while some:
                done = os.pwritev(self._fd, some, at)
                at += done
                some = behind(some, done)
        self._top = max(self._top, at)

    def fill(self, at: int, length: int, byte: int) -> None:
        """Have one byte everywhere; zeros are written only over what is not a hole."""
        end = at + length
        if byte == 0:
            end = min(end, self._top)
        while at < end:
            stop = end
            if byte == 0:
                at = self._next(os.SEEK_DATA, at, end)
                stop = self._next(os.SEEK_HOLE, at, end)
            step = min(stop - at, 1 << 20)
            if step > 0:
                self.write(at, [memoryview(bytes([byte]) * step)])
            at += step

    def _next(self, what: int, at: int, end: int) -> int:
        """Where the first byte from `at` on is that is in a hole, or is not, or `end`."""
        try:
            return min(os.lseek(self._fd, at, what), end)
        except OSError:  # nothing but a hole
            return end

    def read(self, at: int, length: int) -> bytes:
        """What is there."""
        return os.pread(self._fd, length, at)

    def close(self, *, keep: bool) -> None:
        """Close it, and remove it unless it is to be kept; nothing where it was not made."""
        if self._fd < 0:
            return
        os.close(self._fd)
        self._fd = -1
        if not keep:
            os.unlink(self.path)


class MemoryFiles:
    """A new file for each of some RAMBlocks."""

    def __init__(self, paths: dict[str, str], *, allocate: bool) -> None:
        """`paths` are by the names of blocks; `allocate` makes files without holes."""
        self._paths = paths
        self._allocate = allocate
        self._files: dict[str, SparseFile] = {}

    def add_block(self, name: str, length: int) -> None:
        """Make the file of a block, if it is to have one; raises `VMError`."""
        path = self._paths.get(name)
        if path is not None:
            file = self._files[name] = SparseFile(path)
            file.create(length, allocate=self._allocate)

    def pages(self, block: str, offset: int, pieces: list[memoryview]) -> None:
        """Write pages that follow each other."""
        if block in self._files:
            self._files[block].write(offset, pieces)

    def fill(self, block: str, offset: int, length: int, byte: int) -> None:
        """Write pages that are all one byte."""
        if block in self._files:
            self._files[block].fill(offset, length, byte)

    def current(self, block: str, offset: int, length: int) -> bytes:
        """What a page holds; zeros where it is in no file."""
        return self._files[block].read(offset, length) if block in self._files else bytes(length)

    def close(self, *, keep: bool) -> None:
        """Close the files, and unless they are to be kept remove them."""
        for file in self._files.values():
            file.close(keep=keep)
        self._files = {}


class CoreFile:
    """A new ELF core file."""

    def __init__(self, path: str, core: SavedCore) -> None:
        self._core = core
        self._file = SparseFile(path)

    def create(self) -> None:
        """Make it, all of its memory zeros; raises `VMError`, `OSError`."""
        layout = self._core.layout
        self._file.create(layout.size)
        self._file.write(layout.size - len(layout.tail), [memoryview(layout.tail)])
        self._file.write(0, [memoryview(layout.head)])

    def pages(self, block: str, offset: int, pieces: list[memoryview]) -> None:
        """Write pages that follow each other to where the guest finds them."""
        size = len(pieces[0])
        for at, start, length in self._core.places(block, offset, size * len(pieces)):
            first, last = start // size, -(-(start + length) // size)
            shown = pieces[first:last]
            shown[-1] = shown[-1][: start + length - (last - 1) * size]
            shown[0] = shown[0][start - first * size :]
            self._file.write(at, shown)

    def fill(self, block: str, offset: int, length: int, byte: int) -> None:
        """Write pages that are all one byte."""
        for at, _start, count in self._core.places(block, offset, length):
            self._file.fill(at, count, byte)

    def current(self, block: str, offset: int, length: int) -> bytes:
        """What of a page is in the file; zeros elsewhere."""
        found = bytearray(length)
        for at, start, count in self._core.places(block, offset, length):
            found[start : start + count] = self._file.read(at, count)
        return bytes(found)

    def close(self, *, keep: bool) -> None:
        """Close it, and remove it unless it is to be kept."""
        self._file.close(keep=keep)


class DigestFile:
    """Digests in a file that has no name, sparse where they are zero, so that they need not be in memory."""

    def __init__(self, size: int) -> None:
        """Zeros; raises `VMError` where there is no room."""
        import tempfile

        self.size = size
        self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - it lives as long as this
        try:
            self._file.truncate(size)
        except (OSError, OverflowError) as error:
            self._file.close()
            reason = getattr(error, "strerror", None) or error
            raise VMError(f"there is no room for {size} bytes of digests: {reason}") from None

    def read(self, at: int, count: int) -> bytes:
        """What is at a place, less than `count` at the end."""
        return os.pread(self._file.fileno(), count, at)

    def write(self, at: int, data: bytes) -> None:
        """Put something at a place; raises `OSError`."""
        while data:
            done = os.pwrite(self._file.fileno(), data, at)
            data, at = data[done:], at + done

    def close(self) -> None:
        """Let go of it."""
        self._file.close()
