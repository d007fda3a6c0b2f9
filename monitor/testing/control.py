"""A second, honest client: a plain blocking QMP client on a connection of its own."""

from __future__ import annotations

import json
import select
import socket
from typing import Any

PATIENCE = 60.0
"""Seconds after which no answer will come any more."""


class EndpointError(Exception):
    """An endpoint that did not start, ended before its time, or was not used as recorded; the text says which."""


class CommandError(Exception):
    """An error reply; `str` of it is the description."""

    def __init__(self, error: dict[str, str]) -> None:
        super().__init__(error["desc"])
        self.error_class = error["class"]


class Control:
    """A QMP client that has negotiated on a connected socket.

    :raise EndpointError: the other end has gone.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._buffer = bytearray()
        self.events: list[dict[str, Any]] = []
        connection.settimeout(PATIENCE)
        self.greeting: dict[str, Any] = self._receive()["QMP"]
        self.execute("qmp_capabilities")

    def execute(self, command: str, arguments: dict[str, Any] | None = None) -> Any:
        """The value that a command returns.

        :raise CommandError: it is refused.
        :raise EndpointError: there is no answer.
        """
        request: dict[str, Any] = {"execute": command}
        if arguments:
            request["arguments"] = arguments
        try:
            self._connection.settimeout(PATIENCE)
            self._connection.sendall(json.dumps(request).encode())
        except OSError:
            pass  # what it said last is to be read still
        while True:
            message = self._receive()
            if "return" in message:
                return message["return"]
            if "error" in message:
                raise CommandError(message["error"])
            self.events.append(message)

    def poll_events(self, timeout: float = 0) -> None:
        """Take the events that have come; where there is none, wait `timeout` seconds for one."""
        while b"\n" in self._buffer or select.select([self._connection], [], [], timeout)[0]:
            try:
                self.events.append(self._receive())
            except EndpointError:
                break
            timeout = 0

    def close(self) -> None:
        """Leave."""
        self._connection.close()

    def _receive(self) -> dict[str, Any]:
        while (end := self._buffer.find(b"\n")) < 0:
            try:
                data = self._connection.recv(1 << 16)
            except TimeoutError:
                raise EndpointError(f"no answer within {PATIENCE:g} s") from None
            except OSError:
                data = b""
            if not data:
                raise EndpointError("the endpoint has ended")
            self._buffer += data
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        message: dict[str, Any] = json.loads(line)
        return message
