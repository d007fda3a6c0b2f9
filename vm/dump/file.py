"""The file that a dump is written to: made, filled from the beginning to the end, and closed."""

from __future__ import annotations

import os
import select
import stat
from fcntl import F_GETFL, fcntl

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..steps import Cancellation

PORTION = 1 << 20
"""Bytes that are written at once."""
POLL_MILLISECONDS = 100
"""So often it is asked, while nobody takes what is written, whether that is still wanted."""


class DumpFile:
    """A file that is written from where its descriptor stands on, by one thread.

    Where nothing is behind that place, zeros are not written: a file has them where nothing was.
    """

    __slots__ = ("_path", "_skipped", "_sparse", "fd", "name")

    def __init__(self, fd: int, name: str, path: str | None = None) -> None:
        self.fd = fd
        self.name = name
        """What people call it."""
        self._path = path
        """What is removed if nothing comes of it."""
        status = os.fstat(fd)
        self._sparse = (
            stat.S_ISREG(status.st_mode)
            and not fcntl(fd, F_GETFL) & os.O_APPEND
            and status.st_size <= os.lseek(fd, 0, os.SEEK_CUR)
        )
        self._skipped = 0
        if not stat.S_ISREG(status.st_mode):
            os.set_blocking(fd, False)  # somebody may never read what is written

    @classmethod
    def create(cls, path: str) -> DumpFile:
        """Make a file, or empty the one that is there; its owner alone may read it. Raises `OSError`, `ValueError`."""
        is_new = not os.path.lexists(path)
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NONBLOCK
        return cls(os.open(path, flags, stat.S_IRUSR), path, path if is_new else None)

    def write(self, data: bytes | memoryview, cancellation: Cancellation) -> None:
        """Write all of some bytes; raises `OSError`, and `VMError` if it is cancelled."""
        left = memoryview(data)
        if left and self._skipped:  # what ends with zeros is made as long as it is in the end
            os.lseek(self.fd, self._skipped, os.SEEK_CUR)
            self._skipped = 0
        while left:
            cancellation.check()
            try:
                left = left[os.write(self.fd, left) :]
            except BlockingIOError:
                waiting = select.poll()
                waiting.register(self.fd, select.POLLOUT)
                waiting.poll(POLL_MILLISECONDS)

    def write_zeros(self, length: int, cancellation: Cancellation) -> None:
        """Have zeros; raises as `write`."""
        if self._sparse:
            self._skipped += length
            return
        zeros = memoryview(bytes(min(length, PORTION)))
        for start in range(0, length, PORTION):
            self.write(zeros[: length - start], cancellation)

    def finish(self) -> None:
        """Have the whole length, also where it ends with zeros; raises `OSError`."""
        if self._skipped:
            end = os.lseek(self.fd, self._skipped, os.SEEK_CUR)
            self._skipped = 0
            os.ftruncate(self.fd, end)

    def close(self, *, keep: bool) -> None:
        """Close it; a file that was made for nothing goes again."""
        os.close(self.fd)
        if not keep and self._path is not None:
            try:
                os.unlink(self._path)
            except OSError:
                pass  # somebody else was faster
