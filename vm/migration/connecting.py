"""Opens the ways of a migration: to where it goes, and to where it comes from.

Everything here may wait for long and belongs on a worker's thread, but `listen`, which does not wait.
"""

from __future__ import annotations

import errno
import os
import select
from time import sleep

from ..errors import VMError
from .channel import POLL_MILLISECONDS, Channel, Listener, ProcessChannel, is_file, of_socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socket import socket
    from typing import Any

    from ..steps import Cancellation
    from .address import Address

BACKLOG = 256
"""A source connects once more for each channel of pages, 255 at most, and may do so before it sends anything."""


def connect(address: Address, cancellation: Cancellation, fd: int | None = None) -> Channel:
    """Open the way to where a migration goes; `fd` is a descriptor that is there already. Raises `VMError`."""
    if address.kind == "fd":
        assert fd is not None, "it was looked up"
        return Channel(fd)
    if address.kind == "exec":
        return _run(address, writing=True)
    if address.kind == "file":
        return _open(address, fd, writing=True)
    return of_socket(_connected(address, cancellation))


def listen(address: Address) -> Listener:
    """Listen for a source at the address of a socket; raises `VMError`."""
    import socket

    if address.kind == "unix":
        listening = socket.socket(socket.AF_UNIX)
        try:
            if not address.abstract and os.path.exists(address.path):
                os.unlink(address.path)
            os.fchmod(listening.fileno(), 0o600)  # of the file, too
            listening.bind(f"\0{address.path}" if address.abstract else address.path)
            listening.listen(BACKLOG)
        except (OSError, ValueError) as error:
            listening.close()
            reason = getattr(error, "strerror", None) or error
            raise VMError(f"Failed to bind socket to {address.path}: {reason}") from None
        return Listener(address, listening)
    failure = VMError(f"address resolution failed for {address.host}:{address.port}")
    for family, _, _, _, where in _resolved(address, passive=True):
        listening = socket.socket(family)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(where)
            listening.listen(BACKLOG)
        except OSError as error:
            listening.close()
            taken = error.errno == errno.EADDRINUSE
            text = "Failed to find an available port" if taken else "Failed to bind socket"
            failure = VMError(f"{text}: {error.strerror}")
        else:
            return Listener(address, listening)
    raise failure


def open_source(address: Address, fd: int | None = None) -> Channel:
    """Open what a migration is read from where nobody has to come first; raises `VMError`."""
    if address.kind == "fd":
        assert fd is not None, "it was looked up"
        return Channel(fd)
    return _run(address, writing=False) if address.kind == "exec" else _open(address, fd, writing=False)


def _connected(address: Address, cancellation: Cancellation) -> socket:
    import socket

    if address.kind == "unix":
        where = f"\0{address.path}" if address.abstract else address.path
        return _try_connect(socket.AF_UNIX, where, address.path, cancellation)
    failure = VMError(f"address resolution failed for {address.host}:{address.port}")
    for family, _, _, _, place in _resolved(address):
        try:
            connection = _try_connect(family, place, f"{address.host}:{address.port}", cancellation)
        except VMError as error:
            cancellation.check()
            failure = error
            continue
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection
    raise failure


def _try_connect(family: int, where: Any, name: str, cancellation: Cancellation) -> socket:
    import socket

    connection = socket.socket(family)
    connection.setblocking(False)
    try:
        code = connection.connect_ex(where)
        while code == errno.EAGAIN:  # a unix socket with too many who wait already
            cancellation.check()
            sleep(POLL_MILLISECONDS / 1000)
            code = connection.connect_ex(where)
        if code == errno.EINPROGRESS:
            poll = select.poll()
            poll.register(connection.fileno(), select.POLLOUT)
            while not poll.poll(POLL_MILLISECONDS):
                cancellation.check()
            code = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise OSError(code, os.strerror(code))
    except (OSError, ValueError) as error:
        connection.close()
        raise VMError(f"Failed to connect to '{name}': {getattr(error, 'strerror', None) or error}") from None
    except VMError:
        connection.close()
        raise
    return connection


def _resolved(address: Address, *, passive: bool = False) -> list[tuple[int, int, int, str, Any]]:
    import socket

    flags = socket.AI_PASSIVE if passive else 0
    try:
        return list(socket.getaddrinfo(address.host or None, address.port, 0, socket.SOCK_STREAM, 0, flags))
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise VMError(f"address resolution failed for {address.host}:{address.port}: {reason}") from None


def _open(address: Address, given: int | None, *, writing: bool) -> Channel:
    # What is before the offset stays: it is somebody else's. A pipe that nobody reads is no reason to wait.
    flags = (os.O_WRONLY | os.O_CREAT if writing else os.O_RDONLY) | os.O_CLOEXEC | os.O_NONBLOCK
    fd = -1
    try:
        fd = os.open(address.path, flags, 0o600) if given is None else given
        if writing and is_file(fd):
            os.ftruncate(fd, address.offset)
        if address.offset:
            os.lseek(fd, address.offset, os.SEEK_SET)
    except (OSError, ValueError, OverflowError) as error:
        if fd >= 0:
            os.close(fd)
        reason = getattr(error, "strerror", None) or error
        raise VMError(f"Could not {'create' if writing else 'open'} '{address.path}': {reason}") from None
    return Channel(fd)


def _run(address: Address, *, writing: bool) -> Channel:
    from subprocess import DEVNULL, PIPE, Popen

    command = list(address.arguments) or ["/bin/sh", "-c", address.path]
    try:
        # Its other end is not ours: a monitor may be on our own standard input and output.
        process = Popen(command, stdin=PIPE if writing else DEVNULL, stdout=DEVNULL if writing else PIPE)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise VMError(f'Failed to execute child process "{command[0]}" ({reason})') from None
    pipe = process.stdin if writing else process.stdout
    assert pipe is not None, "it was asked for"
    return ProcessChannel(process, pipe)
