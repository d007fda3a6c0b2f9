"""Where a migration goes to or comes from: `unix:`, `tcp:`, `fd:`, `exec:` and `file:`, as text or as JSON."""

from __future__ import annotations

from ..errors import VMError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..releases import Release


NEEDED: dict[str, tuple[str, ...]] = {
    "socket": ("type",),
    "exec": ("args",),
    "rdma": ("host", "port"),
    "file": ("filename", "offset"),
    "inet": ("host", "port"),
    "unix": ("path",),
    "vsock": ("cid", "port"),
    "fd": ("str",),
}
"""The members that a transport, or a type of sockets, must have."""


class Address:
    """One place. What its kind has no use for is empty."""

    __slots__ = ("abstract", "arguments", "host", "kind", "offset", "path", "port")

    def __init__(
        self,
        kind: str,
        path: str = "",
        *,
        host: str = "",
        port: str = "",
        offset: int = 0,
        arguments: tuple[str, ...] = (),
        abstract: bool = False,
    ) -> None:
        self.kind = kind
        """`unix`, `tcp`, `fd`, `exec` or `file`."""
        self.path = path
        """Of a socket or a file; the name or number of a descriptor; the command of a shell."""
        self.host = host
        self.port = port
        self.offset = offset
        """Where in a file, in bytes."""
        self.arguments = arguments
        """A program with its arguments, where no shell is to read a command."""
        self.abstract = abstract
        """Whether a socket's name is in no directory."""

    def __str__(self) -> str:
        return f"tcp:{self.host}:{self.port}" if self.kind == "tcp" else f"{self.kind}:{self.path}"


def parse_address(uri: str, release: Release, *, incoming: bool = False) -> Address:
    """Read what `migrate` and `-incoming` are given; raises `VMError`."""
    kind, _, rest = uri.partition(":")
    if kind == "tcp":
        return _parse_tcp(rest)
    if kind == "unix":
        if not rest:
            raise VMError("invalid Unix socket address")
        return Address("unix", rest.partition(",")[0])
    if kind == "exec" or kind == "fd":
        return Address(kind, rest)
    if kind == "file" and release.covers("8.2"):
        path, _, options = rest.partition(",offset=")
        return Address("file", path, offset=_parse_offset(options) if options else 0)
    if kind == "rdma" or kind == "vsock":
        raise VMError(f"migration over {kind} is not modelled (QEMU may have it)")
    if incoming or release.covers("8.2"):
        raise VMError(f"unknown migration protocol: {uri}")
    raise VMError("Parameter 'uri' expects a valid migration protocol")


def _parse_tcp(text: str) -> Address:
    place = text.partition(",")[0]
    if place.startswith("["):
        host, bracket, port = place[1:].partition("]:")
    else:
        host, bracket, port = place.rpartition(":")
    if not bracket or not port:
        raise VMError(f"error parsing address '{text}'")
    return Address("tcp", host=host, port=port)


def _parse_offset(text: str) -> int:
    from ..sizes import parse_size

    try:
        return parse_size(text)
    except ValueError:
        raise VMError(f"file URI has bad offset {text}") from None


def address_of_channels(channels: list[dict[str, Any]], release: Release) -> Address:
    """Read the channels of `migrate` and `migrate-incoming`; raises `VMError`."""
    if len(channels) != 1 or channels[0]["channel-type"] != "main":
        raise VMError("Channel list must have only one entry, for type 'main'")
    where = channels[0]["addr"]
    transport = where["transport"]
    for name in NEEDED[transport] + NEEDED.get(where.get("type", "") if transport == "socket" else "", ()):
        if name not in where:
            raise VMError(f"Parameter '{name}' is missing")
    if transport == "file":
        return Address("file", where["filename"], offset=where["offset"])
    if transport == "exec":
        if not where["args"]:
            raise VMError("Parameter 'args' expects a program")
        return Address("exec", arguments=tuple(where["args"]))
    if transport == "socket" and where["type"] == "unix":
        return Address("unix", where["path"], abstract=where.get("abstract", False))
    if transport == "socket" and where["type"] == "inet":
        return Address("tcp", host=where["host"], port=where["port"])
    if transport == "socket" and where["type"] == "fd":
        return Address("fd", where["str"])
    raise VMError(f"migration over {where.get('type', transport)} is not modelled (QEMU may have it)")
