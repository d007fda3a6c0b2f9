"""Character devices on sockets: unix, TCP, or inherited; as a client or as a server for one client after another.

How sockets come to be is in `addresses`.
"""

from __future__ import annotations

import _socket
import os

from ...vm.qom import Property
from .addresses import (
    configured_address,
    connected_socket,
    connection_name,
    describe_address,
    listening_name,
    listening_socket,
)
from .device import READ_SIZE, Chardev, ChardevObject

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket
    from typing import Any

    from ..loop import Loop
    from .device import FrontEnd
    from .options import ChardevOptions
    from .telnet import TelnetInput
    from .tls import Handshake, TLSStream

_ACCEPT_RETRY_SECONDS = 1.0
INT_BYTES = 4
MOST_HANDSHAKES = 16
"""So many may say at once who they are; the others wait to be accepted."""
MOST_DESCRIPTORS = 16
"""Of one message, as in QEMU."""


class SocketObject(ChardevObject):
    """A device on a socket, as the object tree shows it."""

    properties = (
        Property("connected", "bool", lambda node: node.device.connected),
        Property("addr", "SocketAddress", lambda node: node.device.address),
    )


class SocketChardev(Chardev):
    """A connected socket that was given or that we connected; when the peer leaves, it stays disconnected."""

    __slots__ = ("_address", "_descriptors", "_early", "_handshakes", "_options", "_socket", "_telnet", "_tls")

    kind = "socket"

    def __init__(self, loop: Loop, options: ChardevOptions) -> None:
        super().__init__(loop, options.id)
        self._options = options
        self._address = configured_address(options)
        self._descriptors: list[int] = []
        """What the client sent along and nobody has taken."""
        self._telnet: TelnetInput | None = None
        self._tls: TLSStream | None = None
        self._handshakes: set[Handshake] = set()
        """Of those who are not known yet; they are nobody's clients."""
        self._early = b""
        """What came with the end of a handshake, while the device has no user."""
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

    def describe_in_tree(self) -> ChardevObject:
        """The object that stands for the device in the tree."""
        return SocketObject(self)

    def attach(self, front_end: FrontEnd) -> None:
        """Give the device its user, to whom a client that is already there is announced at once.

        :raise ChardevError: the device has a user.
        """
        super().attach(front_end)
        early, self._early = self._early, b""
        if early:
            self._receive(early)

    def _take(self, connection: socket) -> None:
        """Make a connection the client, once it is secured where it is to be."""
        connection.setblocking(False)
        if connection.family != _socket.AF_UNIX:
            try:
                # A short answer after an event must not wait for the peer's delayed acknowledgement.
                connection.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
            except OSError:
                pass  # an inherited socket may be neither
        credentials = self._options.credentials
        if credentials is None:
            self._begin(connection)
            return
        from .tls import Handshake

        stream = credentials.stream(self._options.host)
        self._handshakes.add(Handshake(self._loop, connection, stream, self._on_secured, self._on_refused))

    def _on_secured(self, handshake: Handshake, connection: socket, stream: TLSStream) -> None:
        self._handshakes.discard(handshake)
        self._begin(connection, stream)

    def _on_refused(self, handshake: Handshake) -> None:
        """A peer is not to be trusted, or did not say who it is."""
        self._handshakes.discard(handshake)

    def _begin(self, connection: socket, stream: TLSStream | None = None) -> None:
        """Make a connection the client."""
        self._socket, self._tls = connection, stream
        self._telnet = None
        if self._options.telnet:
            from .telnet import GREETING, TelnetInput

            self._telnet = TelnetInput()
            try:
                connection.send(self._encode(GREETING))
            except OSError:
                pass  # it has just left, which reading tells
        self._connect(connection.fileno(), connection.fileno())
        if stream is not None and self.connected:
            try:
                early = self._decrypt(stream, b"")
            except OSError:
                self._disconnect()
                return
            if early and self._front_end is None:
                self._early = early
            elif early:
                self._receive(early)

    def _encode(self, data: bytes) -> bytes:
        if self._tls is None:
            return data
        try:
            return self._tls.encrypt(data)
        except OSError:  # the peer has ended it; what it sent before is still to be read
            self._mute = True
            return b""

    def _decrypt(self, stream: TLSStream, data: bytes) -> bytes:
        """Return the bytes that came; raises `BlockingIOError` where none did and more may."""
        try:
            return stream.decrypt(data)
        except ValueError as error:
            raise OSError(str(error)) from None

    def _read(self) -> bytes:
        data = self._read_socket()
        if self._tls is None or not data:
            return data
        found = self._decrypt(self._tls, data)
        if not found and not self._tls.ended:
            raise BlockingIOError  # there may be more
        return found

    def _read_socket(self) -> bytes:
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

    def close(self) -> None:
        """Take leave of the client, and of those who would become one."""
        for handshake in self._handshakes:
            handshake.abort()
        self._handshakes.clear()
        if self._tls is not None and self.connected and not self._mute:
            self._unsent += self._tls.end()
        super().close()

    def _release(self) -> None:
        self._close_descriptors()
        self._socket.close()
        self._early = b""


class ServerChardev(SocketChardev):
    """A listening socket, one client at a time: the next is accepted when the last has left.

    :raise ChardevError: the address cannot be listened on.
    """

    __slots__ = ("_listener", "_made", "_path", "_secured")

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
        self._secured: list[tuple[socket, TLSStream]] = []
        """Who is known and waits for the client to leave."""
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
        for connection, _ in self._secured:
            connection.close()
        self._secured = []
        super().close()
        if self._path is not None and self._made is not None and self._made == _identity(self._path):
            os.unlink(self._path)
        self._made = None

    def _watch_listener(self) -> None:
        if self._listener is not None and not self.connected and len(self._handshakes) < MOST_HANDSHAKES:
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
        self._take(_socket.socket(fileno=fd))
        if self.connected or len(self._handshakes) >= MOST_HANDSHAKES:
            self._loop.unwatch(self._listener.fileno())

    def _on_secured(self, handshake: Handshake, connection: socket, stream: TLSStream) -> None:
        if self.connected:
            self._handshakes.discard(handshake)
            self._secured.append((connection, stream))
            return
        if self._listener is not None:
            self._loop.unwatch(self._listener.fileno())
        super()._on_secured(handshake, connection, stream)

    def _on_refused(self, handshake: Handshake) -> None:
        super()._on_refused(handshake)
        self._watch_listener()

    def _release(self) -> None:
        super()._release()
        if self._secured:
            self._loop.call_soon(self._serve_next)
        else:
            self._watch_listener()

    def _serve_next(self) -> None:
        if self._secured and not self.connected:
            self._begin(*self._secured.pop(0))


def _identity(path: str | None) -> tuple[int, int] | None:
    """Return device and inode of the file at `path`; None where there is none."""
    if path is None:
        return None
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino
