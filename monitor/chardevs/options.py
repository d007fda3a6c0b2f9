"""The options of a character device, checked in the order in which QEMU looks."""

from __future__ import annotations

import os

from .device import ChardevError

_SWITCHES = ("server", "wait", "signal")
_STRINGS = ("backend", "id", "path", "host", "port", "fd")


class ChardevOptions:
    """The checked options of a character device.

    :raise ChardevError: wrong ones, in the order in which QEMU looks.
    """

    __slots__ = ("backend", "fd", "host", "id", "path", "port", "server", "signal", "wait")

    def __init__(self, options: dict[str, str]) -> None:
        _check_values(options)
        self.id = options.get("id", "")
        self.backend = options.get("backend", "")
        self.path = options.get("path")
        self.host = options.get("host")
        self.port = options.get("port", "")
        self.fd = options.get("fd")
        self.server = options.get("server") == "on"
        self.wait = options.get("wait") != "off"
        """Whether opening a server waits for the first client."""
        self.signal = options.get("signal") != "off"
        """Whether the keys of a terminal, such as Ctrl-C, send signals."""
        if not self.backend:
            raise ChardevError(f'chardev: "{self.id}" missing backend')
        if self.backend not in ("socket", "stdio", "null"):
            raise ChardevError(f"'{self.backend}' is not a valid char driver name")
        if not self.id:
            raise ChardevError("chardev: no id specified")
        if self.backend == "socket":
            self._check_socket(options)

    def _check_socket(self, options: dict[str, str]) -> None:
        if sum(address is not None for address in (self.path, self.host, self.fd)) > 1:
            raise ChardevError("None or one of 'path', 'fd' or 'host' option required.")
        if self.host is not None and "port" not in options:
            raise ChardevError("chardev: socket: no port given")
        if int(options.get("reconnect", "0")) > 0:
            if self.path is None and self.host is None:
                raise ChardevError("'reconnect' option is incompatible with 'fd' address type")
            if self.server:
                raise ChardevError("'reconnect' option is incompatible with socket in server listen mode")
            raise ChardevError("'reconnect' option is not supported")
        if not self.server and "wait" in options:
            raise ChardevError("'wait' option is incompatible with socket in client connect mode")
        if self.path is not None and len(os.fsencode(self.path)) >= 108:
            raise ChardevError(f"UNIX socket path '{self.path}' is too long\nPath must be less than 108 bytes")
        if self.path is None and self.host is None and not is_number(self.fd or ""):
            raise ChardevError(f"Unable to parse FD number {self.fd or ''}")


def _check_values(options: dict[str, str]) -> None:
    for name, value in options.items():
        if name in _SWITCHES:
            if value not in ("on", "off"):
                raise ChardevError(f"Parameter '{name}' expects 'on' or 'off'")
        elif name == "reconnect":
            if not is_number(value):
                raise ChardevError("Parameter 'reconnect' expects a number")
        elif name not in _STRINGS:
            raise ChardevError(f"Invalid parameter '{name}'")


def is_number(text: str) -> bool:
    """Whether a text is a decimal number, negative ones included."""
    return text.removeprefix("-").isdecimal() and text.isascii()
