"""Moves the bytes of a migration: sockets, pipes, files and the processes behind them.

Who opens them is `connecting`. Everything here may wait for long and belongs on a worker's thread.
"""

from __future__ import annotations

import os
import select
from time import sleep

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from socket import socket
    from subprocess import Popen
    from typing import IO

    from ..steps import Cancellation
    from .address import Address
    from .arriving import Landing

POLL_MILLISECONDS = 50
"""How often one that waits looks whether it was cancelled."""
MOST_BUFFERS = 1024
"""Of one call (IOV_MAX)."""
SEND_BYTES = 1 << 20
"""That may wait in a socket, if the host's limit (net.core.wmem_max) is not lower: who sends is woken less often."""
MESSAGE_BYTES = 1 << 12
"""Of what a destination tells, at once."""


class Channel:
    """A descriptor that is read or written, and what is behind it. `close` may be called twice."""

    tells_unread = False
    """Whether the kernel tells what the other side has not read, as of unix sockets."""

    def __init__(self, fd: int, close: Callable[[], None] | None = None, *, waits: bool = False) -> None:
        """`waits` says that the descriptor itself waits, for a short time, so that the kernel sends as it can."""
        self.fd = fd
        self._ahead = b""
        """What was read, and is to be read once more."""
        self._close: Callable[[], None] | None = close if close is not None else lambda: os.close(fd)
        self.bytes_sent = 0
        self._poll = select.poll()
        self._is_file = is_file(fd)
        if not self._is_file:
            os.set_blocking(fd, waits)

    def send(self, buffers: Sequence[bytes | memoryview], cancellation: Cancellation) -> None:
        """Send all; raises `OSError`, and `VMError` when cancelled."""
        for first in range(0, len(buffers), MOST_BUFFERS):
            self._send_some(buffers[first : first + MOST_BUFFERS], cancellation)

    def _send_some(self, buffers: Sequence[bytes | memoryview], cancellation: Cancellation) -> None:
        left = sum(map(len, buffers))
        while True:
            try:
                sent = os.writev(self.fd, buffers)
            except BlockingIOError:
                self._wait(select.POLLOUT, cancellation)
                continue
            self.bytes_sent += sent
            left -= sent
            if not left:
                return
            buffers = _behind(buffers, sent)

    def receive(self, cancellation: Cancellation, most: int = MESSAGE_BYTES) -> bytes:
        """Return what there is, waiting for some; nothing at the end. Raises `OSError`, `VMError` when cancelled."""
        data = bytearray(most)
        return bytes(data[: self.receive_into(memoryview(data), cancellation)])

    def receive_into(self, room: memoryview, cancellation: Cancellation) -> int:
        """Fill what can be of a buffer, waiting for something; returns how much, 0 at the end. Raises as `receive`."""
        if self._ahead:
            count = min(len(room), len(self._ahead))
            room[:count], self._ahead = self._ahead[:count], self._ahead[count:]
            return count
        while True:
            cancellation.check()
            try:
                return self.receive_now(room)
            except BlockingIOError:
                self._wait(select.POLLIN, cancellation)

    def receive_exactly(self, count: int, cancellation: Cancellation) -> bytes:
        """Return so many bytes, or fewer at the end. Raises as `receive`."""
        data = b""
        while len(data) < count and (more := self.receive(cancellation, count - len(data))):
            data += more
        return data

    def push_back(self, data: bytes) -> None:
        """Have data that was received be what `receive_into` takes next."""
        self._ahead = data

    @property
    def has_data(self) -> bool:
        """Whether something was pushed back."""
        return bool(self._ahead)

    @property
    def has_unread(self) -> bool:
        """Whether the other side has something to read that was sent. Raises `OSError` for what is no socket."""
        from fcntl import ioctl
        from termios import TIOCOUTQ

        return any(ioctl(self.fd, TIOCOUTQ, bytes(4)))

    def waits_for_data(self, seconds: float) -> bool:
        """Wait a little; says whether there is something to receive, the end among it."""
        poll = select.poll()
        poll.register(self.fd, select.POLLIN)
        return bool(poll.poll(seconds * 1000))

    def receive_now(self, where: memoryview | Landing) -> int:
        """Fill what can be of a buffer, or of memory, from what is there already; returns how much, 0 at the end."""
        try:
            return os.readv(self.fd, [where]) if isinstance(where, memoryview) else where.receive(self.fd)
        except ConnectionResetError:
            return 0

    # Of files alone

    @property
    def position(self) -> int:
        """Where in the file is gone on from."""
        return os.lseek(self.fd, 0, os.SEEK_CUR)

    @position.setter
    def position(self, position: int) -> None:
        os.lseek(self.fd, position, os.SEEK_SET)

    def send_at(self, buffers: Sequence[bytes | memoryview], position: int) -> None:
        """Write all somewhere; it is gone on from where it would be. Raises `OSError`."""
        for first in range(0, len(buffers), MOST_BUFFERS):
            some = buffers[first : first + MOST_BUFFERS]
            left = sum(map(len, some))
            while left:
                sent = os.pwritev(self.fd, some, position)
                self.bytes_sent += sent
                position += sent
                left -= sent
                some = _behind(some, sent)

    def receive_at(self, position: int, count: int) -> bytes:
        """What is somewhere, up to the end. Raises `OSError`."""
        return os.pread(self.fd, count, position)

    def _wait(self, event: int, cancellation: Cancellation) -> None:
        self._poll.register(self.fd, event)
        while not self._poll.poll(POLL_MILLISECONDS):
            cancellation.check()

    def finish(self, cancellation: Cancellation) -> None:
        """All was sent: let go of it. What has to be waited for is waited for; raises `VMError` when cancelled."""
        self.close()

    def close(self) -> None:
        """Let go of it, and wait for nobody."""
        close, self._close = self._close, None
        if close is not None:
            close()


class ProcessChannel(Channel):
    """A pipe to or from a process."""

    def __init__(self, process: Popen[bytes], pipe: IO[bytes]) -> None:
        super().__init__(pipe.fileno(), self._end)
        self._process = process
        self._pipe = pipe

    def finish(self, cancellation: Cancellation) -> None:
        """Let the process end by itself."""
        self._pipe.close()
        while self._process.poll() is None:
            cancellation.check()
            sleep(POLL_MILLISECONDS / 1000)
        self.close()

    def _end(self) -> None:
        self._pipe.close()
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()


def is_file(fd: int) -> bool:
    """Whether a descriptor is that of a regular file."""
    from stat import S_ISREG

    return S_ISREG(os.fstat(fd).st_mode)


def _behind(buffers: Sequence[bytes | memoryview], count: int) -> Sequence[bytes | memoryview]:
    """What is left of buffers behind their first bytes."""
    for number, buffer in enumerate(buffers):
        if count < len(buffer):
            return [memoryview(buffer)[count:], *buffers[number + 1 :]]
        count -= len(buffer)
    return []


def of_socket(connection: socket) -> Channel:
    """The channel of a connection, which is its own from now on."""
    import socket
    from struct import pack

    # To wait in the kernel is several times as fast as to be told that there is room again.
    for option in (socket.SO_SNDTIMEO, socket.SO_RCVTIMEO):
        connection.setsockopt(socket.SOL_SOCKET, option, pack("@ll", 0, POLL_MILLISECONDS * 1000))
    channel = Channel(connection.fileno(), connection.close, waits=True)
    if connection.family == socket.AF_UNIX:  # of others the kernel finds the best size itself
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BYTES)
        channel.tells_unread = True
    return channel


class Listener:
    """Where a migration is waited for. `accept` waits; `close` may be called twice."""

    def __init__(self, address: Address, listening: socket) -> None:
        self.address = address
        self._socket = listening
        name = listening.getsockname()
        self.place: tuple[str, int] | str = (name[0], name[1]) if isinstance(name, tuple) else os.fsdecode(name)
        """Where it listens, the port that was chosen among it."""
        self._made = _identity(address)
        """Which file it is that we made, should another take its place."""

    def accept(self, cancellation: Cancellation) -> Channel:
        """Wait for somebody. Raises `VMError` when cancelled."""
        self._socket.setblocking(False)
        poll = select.poll()
        poll.register(self._socket.fileno(), select.POLLIN)
        while True:
            while not poll.poll(POLL_MILLISECONDS):
                cancellation.check()
            try:
                connection, _ = self._socket.accept()
            except (BlockingIOError, ConnectionAbortedError):  # it has left again
                continue
            except OSError:  # no descriptor for it: it waits
                cancellation.check()
                sleep(POLL_MILLISECONDS / 1000)
                continue
            return of_socket(connection)

    def close(self) -> None:
        """Listen no more; the file of a socket goes, unless another has taken its place."""
        if self._socket.fileno() >= 0:
            self._socket.close()
            if self._made is not None and self._made == _identity(self.address):
                os.unlink(self.address.path)


def _identity(address: Address) -> tuple[int, int] | None:
    """Device and inode of a socket's file; None where there is none."""
    if address.kind != "unix" or address.abstract:
        return None
    try:
        found = os.lstat(address.path)
    except OSError:
        return None
    return found.st_dev, found.st_ino
