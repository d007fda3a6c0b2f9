"""Character devices on sockets: unix, TCP, or inherited; as a client or as a server for one client after another.

The C half of `socket` is used directly: `socket` itself costs another 2 to 4 ms of start-up for enumerations and
wrappers that are of no use here.
"""

from __future__ import annotations

import _socket
import os
from stat import S_ISSOCK

from .chardev import READ_SIZE, Chardev, ChardevError, ChardevOptions, is_number

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket
    from collections.abc import Callable
    from typing import Any

    from .chardev import FrontEnd
    from .loop import Loop

_ACCEPT_RETRY_SECONDS = 1.0
INT_BYTES = 4
MOST_DESCRIPTORS = 16
"""Of one message, as in QEMU."""


class SocketChardev(Chardev):
    """A connected socket that was given or that we connected; when the peer leaves, it stays disconnected."""

    __slots__ = ("_address", "_descriptors", "_socket")

    def __init__(self, loop: Loop, options: ChardevOptions) -> None:
        super().__init__(loop, options.id)
        self._socket = _connected_socket(options)
        self._address = _configured_address(options)
        self._take(self._socket)

    @property
    def filename(self) -> str:
        """What the device is connected to, as QEMU writes it."""
        return _connection_name(self._socket) if self.connected else f"disconnected:{self._address}"

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
        self._descriptors: list[int] = []
        """What the client sent along and nobody has taken."""
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

    def __init__(self, loop: Loop, options: ChardevOptions) -> None:
        Chardev.__init__(self, loop, options.id)
        self._listener: socket | None = _listening_socket(options)
        self._address = _name(self._listener.getsockname())
        self._listener.setblocking(False)
        self._path = None if options.path is None else os.path.abspath(options.path)
        self._made = _identity(self._path)
        """Which file it is that we made, should another take its place."""

    @property
    def filename(self) -> str:
        """What the device is connected to, as QEMU writes it."""
        if not self.connected:
            return f"disconnected:{self._address},server=on"
        return _connection_name(self._socket, ",server=on")

    def attach(self, front_end: FrontEnd) -> None:
        """Give the device its user; from now on clients are accepted.

        :raise ChardevError: the device has a user.
        """
        super().attach(front_end)
        self._watch_listener()

    def wait_for_client(self) -> None:
        """Serve the loop until a client has come or the loop is stopped."""
        self._watch_listener()
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


def _connected_socket(options: ChardevOptions) -> socket:
    if options.path is not None:
        return _try_address(_socket.AF_UNIX, options.path, f"Failed to connect to '{options.path}'", _connect)
    if options.host is None:
        return _inherited_socket(options.fd or "")
    where = f"Failed to connect to '{options.host}:{options.port}'"
    return _try_addresses(options, where, _connect)


def _listening_socket(options: ChardevOptions) -> socket:
    if options.path == "":  # Linux would choose an abstract name, which anyone may connect to
        raise ChardevError("Failed to bind socket to : No such file or directory")
    if options.path is not None:
        try:
            os.unlink(options.path)  # whatever it is, as QEMU: a socket file outlives a process that was killed
        except FileNotFoundError:
            pass
        except OSError as error:
            raise ChardevError(f"Failed to unlink socket {options.path}: {error.strerror}") from None
        return _try_address(_socket.AF_UNIX, options.path, f"Failed to bind socket to {options.path}", _listen)
    if options.host is not None:
        return _try_addresses(options, "Failed to bind socket", _listen)
    inherited = _inherited_socket(options.fd or "")
    try:
        inherited.listen(_BACKLOG)
    except OSError as error:
        inherited.close()
        raise ChardevError(f"Failed to listen on fd socket: {error.strerror}") from None
    return inherited


_BACKLOG = 16
"""Clients that may wait for their turn (QEMU: 1; a further one would get EAGAIN on a unix socket)."""


def _inherited_socket(number: str) -> socket:
    fd = int(number)
    try:
        if not S_ISSOCK(os.fstat(fd).st_mode):
            raise OSError
    except (OSError, OverflowError):
        raise ChardevError(f"File descriptor '{number}' is not a socket") from None
    os.set_inheritable(fd, False)
    return _socket.socket(fileno=fd)


def _connect(connection: socket, address: Any) -> None:
    connection.connect(address)


def _listen(listener: socket, address: Any) -> None:
    if listener.family == _socket.AF_UNIX:
        # Linux gives the file the mode of the socket's own inode, less the umask: it is never wider than this, and
        # the umask, which all threads share, need not be touched.
        os.fchmod(listener.fileno(), 0o600)
    else:
        listener.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEADDR, 1)
    listener.bind(address)
    listener.listen(_BACKLOG)


def _try_address(family: int, address: Any, failure: str, use: Callable[[socket, Any], None]) -> socket:
    """Make a socket and use it for an address.

    :raise ChardevError: `failure` and the reason.
    """
    import errno

    result = _socket.socket(family, _socket.SOCK_STREAM)
    try:
        use(result, address)
    except OSError as error:
        result.close()
        if error.errno == errno.EADDRINUSE and family != _socket.AF_UNIX:
            failure = "Failed to find an available port"
        raise ChardevError(f"{failure}: {error.strerror}") from None
    return result


def _try_addresses(options: ChardevOptions, failure: str, use: Callable[[socket, Any], None]) -> socket:
    """Use the first address of host and port that is good, or complain about the last."""
    host = options.host or "127.0.0.1"
    try:
        if is_number(options.port) and not 0 <= int(options.port) <= 0xFFFF:
            # glibc takes the port modulo 65536, and QEMU with it: another port than the one that was asked for.
            raise _socket.gaierror(_socket.EAI_SERVICE, "Servname not supported for ai_socktype")
        # As bytes: for a str Python loads the IDNA tables.
        found = _socket.getaddrinfo(host.encode(), options.port, 0, _socket.SOCK_STREAM)
    except _socket.gaierror as error:
        reason = error.args[-1]
        raise ChardevError(f"address resolution failed for {options.host}:{options.port}: {reason}") from None
    for index, (family, _, _, _, address) in enumerate(found):
        try:
            return _try_address(family, address, failure, use)
        except ChardevError:
            if index == len(found) - 1:
                raise
    raise ChardevError(failure)


def _configured_address(options: ChardevOptions) -> str:
    if options.path is not None:
        return f"unix:{options.path}"
    return f"fd:{options.fd}" if options.host is None else f"tcp:{options.host}:{options.port}"


def _connection_name(connection: socket, role: str = "") -> str:
    name = connection.getsockname()
    peer = ""
    if isinstance(name, tuple):
        try:
            peer = " <-> " + _name(connection.getpeername()).removeprefix("tcp:")
        except OSError:
            pass  # it has just left
    return _name(name) + role + peer


def _name(address: Any) -> str:
    return f"tcp:{address[0]}:{address[1]}" if isinstance(address, tuple) else f"unix:{os.fsdecode(address)}"
