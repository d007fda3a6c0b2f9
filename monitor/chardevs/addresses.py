"""From options to connected and listening sockets, and the names that addresses have in QEMU's texts.

The C half of `socket` is used directly: `socket` itself costs another 2 to 4 ms of start-up for enumerations and
wrappers that are of no use here.
"""

from __future__ import annotations

import _socket
import os
from stat import S_ISSOCK

from .device import ChardevError
from .options import is_number

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket
    from collections.abc import Callable
    from typing import Any

    from .options import ChardevOptions


def connected_socket(options: ChardevOptions) -> socket:
    """Connect to the address that the options name, or take the inherited socket.

    :raise ChardevError: there is none, or nobody listens.
    """
    if options.path is not None:
        return _try_address(_socket.AF_UNIX, options.path, f"Failed to connect to '{options.path}'", _connect)
    if options.host is None:
        return _inherited_socket(options.fd or "")
    where = f"Failed to connect to '{options.host}:{options.port}'"
    return _try_addresses(options, where, _connect)


def listening_socket(options: ChardevOptions) -> socket:
    """Listen on the address that the options name, or on the inherited socket.

    :raise ChardevError: it cannot be.
    """
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


def configured_address(options: ChardevOptions) -> str:
    """Return the name of the address that a client is to connect to, connected or not."""
    if options.path is not None:
        return f"unix:{options.path}"
    return f"fd:{options.fd}" if options.host is None else f"tcp:{options.host}:{options.port}"


def connection_name(connection: socket, role: str = "") -> str:
    """Return the name of a connection; `role` stands behind the address of this end."""
    name = connection.getsockname()
    peer = ""
    if isinstance(name, tuple):
        try:
            peer = " <-> " + address_name(connection.getpeername()).removeprefix("tcp:")
        except OSError:
            pass  # it has just left
    return address_name(name) + role + peer


def address_name(address: Any) -> str:
    """Return the name of an address as the kernel gave it."""
    return f"tcp:{address[0]}:{address[1]}" if isinstance(address, tuple) else f"unix:{os.fsdecode(address)}"
