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
from .socket_options import LONGEST_PATH

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
        return _try_address(_socket.AF_UNIX, _unix_name(options), connecting_failure(options), _connect)
    if options.host is None:
        return _inherited_socket(options.fd or "")
    return _try_addresses(options, options.port, connecting_failure(options), _connect)


def connecting_failure(options: ChardevOptions) -> str:
    """Return what a client that finds nobody says before the reason."""
    where = options.path if options.path is not None else f"{options.host}:{options.port}"
    return f"Failed to connect to '{where}'"


def listening_socket(options: ChardevOptions) -> socket:
    """Listen on the address that the options name, or on the inherited socket.

    :raise ChardevError: it cannot be.
    """
    if options.path is not None and options.abstract:
        return _try_address(
            _socket.AF_UNIX, _unix_name(options), f"Failed to bind socket to {options.path}", _listen_abstract
        )
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
        return _listen_on_port(options)
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


def _unix_name(options: ChardevOptions) -> str | bytes:
    path = options.path or ""
    if not options.abstract:
        return path
    name = b"\0" + os.fsencode(path)
    return name if options.tight else name.ljust(LONGEST_PATH, b"\0")


def _listen_on_port(options: ChardevOptions) -> socket:
    """Listen on the port, or on the first free one up to `to`."""
    first = options.port
    if options.last_port is None or not is_number(first):
        return _try_addresses(options, first, "Failed to bind socket", _listen)
    for port in range(int(first), options.last_port + 1):
        try:
            return _try_addresses(options, str(port), "Failed to bind socket", _listen)
        except PortTakenError:
            if port == options.last_port:
                raise
    raise ChardevError("Failed to find an available port: Address already in use")


class PortTakenError(ChardevError):
    """Somebody listens on that port already."""


def _connect(connection: socket, address: Any) -> None:
    connection.connect(address)


def _listen(listener: socket, address: Any) -> None:
    if listener.family == _socket.AF_UNIX:
        # Linux gives the file the mode of the socket's own inode, less the umask: it is never wider than this, and
        # the umask, which all threads share, need not be touched.
        os.fchmod(listener.fileno(), 0o600)
    else:
        listener.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEADDR, 1)
    _listen_abstract(listener, address)


def _listen_abstract(listener: socket, address: Any) -> None:
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
            raise PortTakenError(f"Failed to find an available port: {error.strerror}") from None
        raise ChardevError(f"{failure}: {error.strerror}") from None
    return result


def _try_addresses(options: ChardevOptions, port: str, failure: str, use: Callable[[socket, Any], None]) -> socket:
    """Use the first address of host and port that is good, or complain about the last."""
    found = _resolve(options, port)
    for index, (family, address) in enumerate(found):
        try:
            return _try_address(family, address, failure, use)
        except ChardevError:
            if index == len(found) - 1:
                raise
    raise ChardevError(failure)


def _resolve(options: ChardevOptions, port: str) -> list[tuple[int, Any]]:
    """Return families and addresses of host and port."""
    try:
        if is_number(port) and not 0 <= int(port) <= 0xFFFF:
            # glibc takes the port modulo 65536, and QEMU with it: another port than the one that was asked for.
            raise _socket.gaierror(_socket.EAI_SERVICE, "Servname not supported for ai_socktype")
        # As bytes: for a str Python loads the IDNA tables.
        found = _socket.getaddrinfo(
            (options.host or "127.0.0.1").encode(),
            port,
            _family(options),
            _socket.SOCK_STREAM,
        )
    except _socket.gaierror as error:
        reason = error.args[-1]
        raise ChardevError(f"address resolution failed for {options.host}:{port}: {reason}") from None
    return [(family, address) for family, _, _, _, address in found]


def candidates(options: ChardevOptions) -> list[tuple[int, Any]]:
    """Return families and addresses of where a client is to connect to, the first that is there being meant.

    :raise ChardevError: the host has none.
    """
    if options.path is not None:
        return [(_socket.AF_UNIX, _unix_name(options))]
    return _resolve(options, options.port)


def _family(options: ChardevOptions) -> int:
    """Return the family of addresses that is asked for."""
    if options.ipv4 and options.ipv6:
        return _socket.AF_UNSPEC
    if options.ipv6 or options.ipv4 is False:
        return _socket.AF_INET6
    if options.ipv4 or options.ipv6 is False:
        return _socket.AF_INET
    return _socket.AF_UNSPEC


def configured_address(options: ChardevOptions) -> str:
    """Return the name of an address as it was given, connected or not."""
    if options.path is not None:
        kind = ""
        if options.abstract:
            kind = options.switch("abstract") + (options.switch("tight") if options.tight else "")
        return f"unix:{options.path}{kind}"
    return f"fd:{options.fd}" if options.host is None else f"{protocol(options)}:{options.host}:{options.port}"


def protocol(options: ChardevOptions) -> str:
    """Return what a connection by TCP is called."""
    return "telnet" if options.telnet else "tcp"


def listening_name(listener: socket, options: ChardevOptions) -> str:
    """Return the name of the address that is listened on."""
    name = listener.getsockname()
    if isinstance(name, tuple):
        return f"{protocol(options)}:{name[0]}:{name[1]}"
    return configured_address(options) if options.abstract else f"unix:{os.fsdecode(name)}"


def describe_address(options: ChardevOptions, name: Any = None) -> dict[str, Any]:
    """Return an address with its parts; `name` is what is listened on, as the kernel gave it."""
    if isinstance(name, tuple) or (name is None and options.host is not None):
        host, port = name[:2] if name is not None else (options.host, options.port)
        described: dict[str, Any] = {"type": "inet", "host": host, "port": str(port)}
        families = {"ipv4": options.ipv4, "ipv6": options.ipv6}
        if name is not None:
            families = {"ipv6" if ":" in host else "ipv4": True}
        return described | {family: wanted for family, wanted in families.items() if wanted is not None}
    if options.path is None and name is None:
        return {"type": "fd", "str": options.fd}
    described = {"type": "unix", "path": os.fsdecode(name) if options.path is None else options.path}
    return described | ({"abstract": True, "tight": options.tight} if options.abstract else {})


def connection_name(connection: socket, options: ChardevOptions) -> str:
    """Return the name of a connection; what this end is stands behind its address."""
    name = connection.getsockname()
    role = options.switch("server") if options.server else ""
    if isinstance(name, tuple):
        peer = ""
        try:
            peer = f" <-> {_place(connection.getpeername())}"
        except OSError:
            pass  # it has just left
        return f"{protocol(options)}:{_place(name)}{role}{peer}"
    if not name and options.release.covers("10.0"):
        try:
            name = connection.getpeername()
        except OSError:
            pass
    # Abstract names begin with the zero that ends others.
    return f"unix:{os.fsdecode(name) if isinstance(name, str) else ''}{role}"


def _place(address: Any) -> str:
    return f"[{address[0]}]:{address[1]}" if ":" in address[0] else f"{address[0]}:{address[1]}"
