"""The options of a character device, checked in the order in which QEMU looks."""

from __future__ import annotations

from .device import ChardevError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...vm.releases import Release
    from .tls import Credentials

KINDS = ("socket", "stdio", "null", "pty", "file", "pipe")
_SWITCHES = (
    *("server", "wait", "signal", "abstract", "tight", "ipv4", "ipv6", "telnet", "append", "logappend"),
)  # fmt: skip
_STRINGS = ("backend", "id", "path", "host", "port", "fd", "input-path", "logfile", "tls-creds", "tls-authz")
_NUMBERS = ("reconnect", "reconnect-ms", "to")


class ChardevOptions:
    """The checked options of a character device in a release of QEMU.

    :raise ChardevError: wrong ones, in the order in which QEMU looks.
    """

    __slots__ = (
        "abstract",
        "append",
        "backend",
        "credentials",
        "fd",
        "host",
        "id",
        "input_path",
        "ipv4",
        "ipv6",
        "last_port",
        "log_append",
        "log_file",
        "path",
        "port",
        "reconnect",
        "release",
        "server",
        "signal",
        "telnet",
        "tight",
        "tls_creds",
        "wait",
    )

    def __init__(self, options: dict[str, str], release: Release) -> None:
        _check_values(options)
        self.release = release
        self.id = options.get("id", "")
        self.backend = options.get("backend", "")
        self.path = options.get("path")
        self.input_path = options.get("input-path")
        self.host = options.get("host")
        self.port = options.get("port", "")
        self.last_port = int(options["to"]) if "to" in options else None
        self.fd = options.get("fd")
        self.server = options.get("server") == "on"
        self.wait = options.get("wait") != "off"
        """Whether opening a server waits for the first client."""
        self.signal = options.get("signal") != "off"
        """Whether the keys of a terminal, such as Ctrl-C, send signals."""
        self.abstract = options.get("abstract") == "on"
        """Whether a path is a name in Linux's abstract namespace, and no file."""
        self.tight = options.get("tight") != "off"
        """Whether such a name ends where it ends, and is not filled up with zeros."""
        self.ipv4 = _switch(options, "ipv4")
        self.ipv6 = _switch(options, "ipv6")
        self.telnet = options.get("telnet") == "on"
        self.tls_creds = options.get("tls-creds")
        self.credentials: Credentials | None = None
        """What these credentials are, once they were looked up."""
        self.append = options.get("append") == "on"
        self.log_file = options.get("logfile")
        self.log_append = options.get("logappend") == "on"
        self.reconnect = _reconnect(options)
        """Seconds until a client whose connection is gone, or did not come to be, tries again; 0 is never."""
        if not self.backend:
            raise ChardevError(f'chardev: "{self.id}" missing backend')
        if self.backend not in KINDS:
            raise ChardevError(f"'{self.backend}' is not a valid char driver name")
        if not self.id:
            raise ChardevError("chardev: no id specified")
        if self.backend == "socket":
            from .socket_options import check_socket

            check_socket(self, options)
        elif self.backend == "file" and self.path is None:
            raise ChardevError("chardev: file: no filename given")
        elif self.backend == "pipe" and self.path is None:
            raise ChardevError("chardev: pipe: no device path given")

    def switch(self, name: str) -> str:
        """Return how a switch that is on stands in the name of an address."""
        return f",{name}=on" if self.release.covers("6.0") else f",{name}"


def _check_values(options: dict[str, str]) -> None:
    for name, value in options.items():
        if name in _SWITCHES:
            if value not in ("on", "off"):
                raise ChardevError(f"Parameter '{name}' expects 'on' or 'off'")
        elif name in _NUMBERS:
            if not is_number(value):
                raise ChardevError(f"Parameter '{name}' expects a number")
        elif name not in _STRINGS:
            raise ChardevError(f"Invalid parameter '{name}'")


def _switch(options: dict[str, str], name: str) -> bool | None:
    return options[name] == "on" if name in options else None


def _reconnect(options: dict[str, str]) -> float:
    milliseconds = int(options.get("reconnect-ms", "0")) or 1000 * int(options.get("reconnect", "0"))
    return max(0, milliseconds) / 1000


def is_number(text: str) -> bool:
    """Whether a text is a decimal number, negative ones included."""
    return text.removeprefix("-").isdecimal() and text.isascii()
