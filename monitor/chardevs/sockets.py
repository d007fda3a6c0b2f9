"""Character devices on sockets: unix, TCP, or inherited; as a client or as a server for one client after another.

How sockets come to be is in `addresses`.
"""

from __future__ import annotations

import _socket
import os

from .addresses import (
    configured_address,
    connected_socket,
    connection_name,
    describe_address,
    listening_name,
    listening_socket,
)
from .device import READ_SIZE, Chardev

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket
    from typing import Any

    from ..loop import Loop
    from .options import ChardevOptions
    from .telnet import TelnetInput

_ACCEPT_RETRY_SECONDS = 1.0
INT_BYTES = 4
MOST_DESCRIPTORS = 16
"""Of one message, as in QEMU."""


class SocketChardev(Chardev):
    """A connected socket that was given or that we connected; when the peer leaves, it stays disconnected."""

    __slots__ = ("_address", "_descriptors", "_options", "_socket", "_telnet")

    kind = "socket"

    def __init__(self, loop: Loop, options: ChardevOptions) -> None:
        super().__init__(loop, options.id)
        self._options = options
        self._address = configured_address(options)
        self._descriptors: list[int] = []
        """What the client sent along and nobody has taken."""
        self._telnet: TelnetInput | None = None
        self._start()

    def _start(self) -> None:
        self._take(connected_socket(self._options))

    @property
    def filename(self) -> str:
        """What the device is connected to, as QEMU writes it."""
        return connection_name(self._socket, self._options) if self.connected else f"disconnected:{self._address}"

    @property
    def address(self) -> dict[str, Any]:
        """Where it is connected to, or listens, as QEMU tells it."""
        return describe_address(self._options)

    def _take(self, connection: socket) -> None:
        """Make a connection the client."""
        connection.setblocking(False)
        if connection.family != _socket.AF_UNIX:
            try:
                # A short answer after an event must not wait for the peer's delayed acknowledgement.
                connection.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
            except OSError:
                pass  # an inherited socket may be neither
        self._socket = connection
        if self._options.telnet:
            from .telnet import GREETING, TelnetInput

            self._telnet = TelnetInput()
            try:
                connection.send(GREETING)
            except OSError:
                pass  # it has just left, which reading tells
        self._connect(connection.fileno(), connection.fileno())

    def _read(self) -> bytes:
        if self._socket.family != _socket.AF_UNIX:
            return super()._read()
        data, ancillary, _flags, _address = self._socket.recvmsg(
            READ_SIZE, _socket.CMSG_SPACE(INT_BYTES * MOST_DESCRIPTORS), _socket.MSG_CMSG_CLOEXEC
        )
        if ancillary:
            self._close_descriptors()
            for level, kind, content in ancillary:
                if (level, kind) == (_socket.SOL_SOCKET, _socket.SCM_RIGHTS):
                    numbers = memoryview(content[: len(content) // INT_BYTES * INT_BYTES]).cast("i")
                    self._descriptors += numbers.tolist()
        return data

    def _receive(self, data: bytes) -> None:
        if self._telnet is not None:
            data = self._telnet.feed(data)
        if data:
            super()._receive(data)

    def take_descriptor(self) -> int | None:
        """A descriptor that the client has sent along with its last message, the caller's from now on."""
        return self._descriptors.pop(0) if self._descriptors else None

    def _close_descriptors(self) -> None:
        for fd in self._descriptors:
            os.close(fd)
        self._descriptors = []

    def _release(self) -> None:
        self._close_descriptors()
        self._socket.close()


class ServerChardev(SocketChardev):
    """A listening socket, one client at a time: the next is accepted when the last has left.

    :raise ChardevError: the address cannot be listened on.
    """

    __slots__ = ("_listener", "_made", "_path")

    @property
    def address(self) -> dict[str, Any]:
        """Where it is connected to, or listens, as QEMU tells it."""
        name = None if self._listener is None else self._listener.getsockname()
        return describe_address(self._options, name)

    def _start(self) -> None:
        options = self._options
        self._listener: socket | None = listening_socket(options)
        self._address = listening_name(self._listener, options) + options.switch("server")
        self._listener.setblocking(False)
        self._path = None if options.path is None or options.abstract else os.path.abspath(options.path)
        self._made = _identity(self._path)
        """Which file it is that we made, should another take its place."""
        self._watch_listener()

    def wait_for_client(self) -> None:
        """Serve the loop until a client has come or the loop is stopped."""
        while not self.connected and not self._loop.stopping:
            self._loop.run_once()

    def close(self) -> None:
        """Take leave of the client, stop listening, and remove the socket file unless another has taken its place."""
        listener, self._listener = self._listener, None
        if listener is not None:
            self._loop.unwatch(listener.fileno())
            listener.close()
        super().close()
        if self._path is not None and self._made is not None and self._made == _identity(self._path):
            os.unlink(self._path)
        self._made = None

    def _watch_listener(self) -> None:
        if self._listener is not None and not self.connected:
            self._loop.watch(self._listener.fileno(), self._on_client)

    def _on_client(self) -> None:
        if self._listener is None:
            return
        try:
            # What `socket.accept` is made of; the stubs do not list it.
            fd, _ = self._listener._accept()  # type: ignore[attr-defined]
        except (BlockingIOError, ConnectionAbortedError):
            return
        except OSError:
            # No descriptors or memory for it: the client waits, and the loop must not spin.
            self._loop.unwatch(self._listener.fileno())
            self._loop.call_later(_ACCEPT_RETRY_SECONDS, self._watch_listener)
            return
        self._loop.unwatch(self._listener.fileno())
        self._take(_socket.socket(fileno=fd))

    def _release(self) -> None:
        super()._release()
        self._watch_listener()


def _identity(path: str | None) -> tuple[int, int] | None:
    """Return device and inode of the file at `path`; None where there is none."""
    if path is None:
        return None
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino
