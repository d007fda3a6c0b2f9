"""Where a QMP monitor is, as people write it, and a connection to it."""

from __future__ import annotations

import re
import socket

from ...vm.errors import VMError

CONNECT_SECONDS = 10.0
"""How long a host may take to answer."""
HINT = "expects unix:PATH or tcp:HOST:PORT"


class Address:
    """A unix socket's path, or host and port; the port 0 is any free one. `options` is what followed, as words."""

    __slots__ = ("host", "options", "path", "port", "text")

    def __init__(self, text: str) -> None:
        kind, _, place = text.partition(":")
        place, *words = re.split(r"(?<!,),(?!,)", place)
        self.text = f"{kind}:{place}"
        self.path: str | None = None
        self.host, self.port = "", 0
        self.options = dict(word.partition("=")[::2] for word in words)
        if kind == "unix" and place:
            self.path = place.replace(",,", ",")
        elif kind == "tcp" and re.fullmatch(r".*:\d{1,5}", place):
            host, _, port = place.rpartition(":")
            self.host, self.port = host.strip("[]") or "127.0.0.1", int(port)
        else:
            raise VMError(f"'{text}': {HINT}")

    def __str__(self) -> str:
        return self.text


def connect(address: Address) -> socket.socket:
    """A connection that does not block; raises `VMError`, which tells where nobody listens."""
    try:
        if address.path is not None:
            connection = socket.socket(socket.AF_UNIX)
            try:
                connection.settimeout(CONNECT_SECONDS)
                connection.connect(address.path)
            except BaseException:
                connection.close()
                raise
        else:
            connection = socket.create_connection((address.host, address.port), CONNECT_SECONDS)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except (OSError, ValueError, UnicodeError, OverflowError) as error:
        raise VMError(f"{address}: {_why_not(error)}") from None
    connection.setblocking(False)
    return connection


def _why_not(error: Exception) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "nobody listens there"
    if isinstance(error, FileNotFoundError):
        return "there is no such socket"
    if isinstance(error, TimeoutError | BlockingIOError):
        return "nobody accepts the connection; another client may be waiting there already"
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
