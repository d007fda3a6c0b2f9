"""Files that streams are read from, and whatever compresses them."""

from __future__ import annotations

import os
import stat
import sys

from ...vm.errors import VMError
from ...vm.streams.errors import BrokenStreamError, NotUnderstoodError
from ...vm.streams.libvirt import HEAD_BYTES, MAGIC, PARTIAL, SaveHeader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import IO, Any

    Reading = Callable[[memoryview], int]

BEGINNINGS = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\0": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\x89LZO": "lzop",
}
STANDARD_INPUT = "-"
MOST_BUFFERS = 1024
"""Of one call (IOV_MAX)."""


class StreamFile:
    """A stream in a file, in a save file of libvirt's, or on standard input; plain or compressed."""

    def __init__(self, path: str, offset: int = 0) -> None:
        """Open it; `offset` is where in the file it begins. Raises `VMError`."""
        self.path = path
        self.start: int | None = None
        """Where in the file the stream begins, if every place of it can be read."""
        self._place = 0
        """Bytes of the stream up to where it is read next."""
        self.save: SaveHeader | None = None
        """What libvirt says of it, if the file is libvirt's."""
        self.compression = "raw"
        self._process: Any = None
        self._reader: Any = None
        self._first = b""
        try:
            self._fd = os.dup(0) if path == STANDARD_INPUT else os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise VMError(f"Could not open '{path}': {error.strerror}") from None
        try:
            status = os.fstat(self._fd)
            self.size = status.st_size if stat.S_ISREG(status.st_mode) else None
            """Bytes of the file; None where nobody can tell."""
            if offset:
                self._begin_at(offset)
            self._look()
        except OSError as error:
            self.close()
            raise VMError(f"Could not read '{path}': {error.strerror}") from None
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> StreamFile:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def _begin_at(self, offset: int) -> None:
        """Pass over what is in the file before the stream."""
        if self.size is None:
            raise VMError(f"-offset is of files, and '{self.path}' is none")
        if offset > self.size:
            raise BrokenStreamError(f"'{self.path}' ends before {offset:#x}")
        os.lseek(self._fd, offset, os.SEEK_SET)

    def _look(self) -> None:
        """Find out what is in the file, and where the stream begins."""
        start = 0 if self.size is None else os.lseek(self._fd, 0, os.SEEK_CUR)
        self._first = self._read(HEAD_BYTES)
        if self._first.startswith((MAGIC, PARTIAL)):
            self.save = SaveHeader(self._first)
            self._first = b""
            self.compression = self.save.format
            if self.size is None:
                self._read(self.save.data_bytes)
            else:
                start = os.lseek(self._fd, start + self.save.stream_start, os.SEEK_SET)
        else:
            for beginning, name in BEGINNINGS.items():
                if self._first.startswith(beginning):
                    self.compression = name
        if self.compression == "raw":
            self.start = None if self.size is None else start
            return
        if self.size is None and self._first:
            raise NotUnderstoodError(f"what comes is compressed ({self.compression}): decompress it before")
        if self.size is not None:
            os.lseek(self._fd, start, os.SEEK_SET)
        self._first = b""
        self._decompress()

    def _read(self, count: int) -> bytes:
        data = b""
        while len(data) < count and (more := os.read(self._fd, count - len(data))):
            data += more
        return data

    def _decompress(self) -> None:
        if self.compression in ("gzip", "bzip2", "xz"):
            file = open(self._fd, "rb", closefd=False)  # noqa: SIM115 - it lives as long as this
            self._reader = _library_reader(self.compression, file)
            return
        from subprocess import DEVNULL, PIPE, Popen

        try:
            self._process = Popen([self.compression, "-dc"], stdin=self._fd, stdout=PIPE, stderr=DEVNULL)
        except OSError:
            text = f"the stream is compressed with {self.compression}, and there is no program of this name to undo it"
            raise NotUnderstoodError(text) from None
        self._reader = self._process.stdout

    def go_to(self, place: int) -> None:
        """Read from a place of the stream on, which is another than the next only in a file that has a `start`."""
        if place != self._place:
            assert self.start is not None, "who cannot jump is refused"
            self._first = b""
            self._place = place
            os.lseek(self._fd, self.start + place, os.SEEK_SET)

    def read_into(self, room: memoryview) -> int:
        """Read some bytes, none at the end; raises `VMError`."""
        count = self._read_into(room)
        self._place += count
        return count

    def _read_into(self, room: memoryview) -> int:
        if self._first:
            count = min(len(room), len(self._first))
            room[:count] = self._first[:count]
            self._first = self._first[count:]
            return count
        try:
            if self._reader is None:
                return os.readv(self._fd, [room])
            count = int(self._reader.readinto(room))
        except OSError as error:
            if error.errno is None:
                raise BrokenStreamError(f"what is compressed with {self.compression} is broken: {error}") from None
            raise VMError(f"Could not read '{self.path}': {error.strerror}") from None
        except (EOFError, ValueError, _library_errors()) as error:
            raise BrokenStreamError(f"what is compressed with {self.compression} is broken: {error}") from None
        if not count and self._process is not None and self._process.wait():
            raise BrokenStreamError(f"what is compressed with {self.compression} is broken")
        return count

    def position(self) -> int:
        """How much of the file was read, in bytes, compressed as it is."""
        return 0 if self.size is None else os.lseek(self._fd, 0, os.SEEK_CUR)

    def close(self) -> None:
        """Let go of it."""
        if self._process is not None:
            self._process.stdout.close()
            self._process.kill()
            self._process.wait()
            self._process = None
        elif self._reader is not None:
            self._reader.close()
        self._reader = None
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _library_reader(compression: str, file: IO[bytes]) -> Any:
    if compression == "gzip":
        import gzip

        return gzip.GzipFile(fileobj=file)
    if compression == "bzip2":
        import bz2

        return bz2.BZ2File(file)
    import lzma

    return lzma.LZMAFile(file)


def _library_errors() -> type[Exception]:
    """What of the libraries is neither an `OSError` nor an `EOFError`, of the one that is loaded."""
    if "lzma" in sys.modules:
        return sys.modules["lzma"].LZMAError  # type: ignore[no-any-return]  # modules are untyped here
    import zlib

    return zlib.error


def write_all(fd: int, buffers: list[bytes | memoryview]) -> None:
    """Write buffers one behind the other, in as few calls as can be; raises `OSError`."""
    for first in range(0, len(buffers), MOST_BUFFERS):
        some = buffers[first : first + MOST_BUFFERS]
        left = sum(map(len, some))
        while left:
            done = os.writev(fd, some)
            left -= done
            if left:
                some = behind(some, done)


def behind(buffers: list[bytes | memoryview], count: int) -> list[bytes | memoryview]:
    """What is left of buffers behind their first bytes."""
    for number, buffer in enumerate(buffers):
        if count < len(buffer):
            return [memoryview(buffer)[count:], *buffers[number + 1 :]]
        count -= len(buffer)
    return []
