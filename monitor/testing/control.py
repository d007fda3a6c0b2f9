"""A second, honest client: a plain blocking QMP client on a connection of its own."""

from __future__ import annotations

import json
import select
import socket
import threading
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
    """A QMP client that has negotiated on a connected socket. Threads may share it: they ask one after another.

    :raise EndpointError: the other end has gone.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._buffer = bytearray()
        self._lock = threading.Lock()
        self._asked = 0
        self.events: list[dict[str, Any]] = []
        connection.settimeout(PATIENCE)
        self.greeting: dict[str, Any] = self._receive()["QMP"]
        self.execute("qmp_capabilities")

    def execute(self, command: str, arguments: dict[str, Any] | None = None) -> Any:
        """The value that a command returns.

        :raise CommandError: it is refused.
        :raise EndpointError: there is no answer.
        """
        with self._lock:
            self._asked += 1
            request: dict[str, Any] = {"execute": command, "id": self._asked}
            if arguments:
                request["arguments"] = arguments
            try:
                self._connection.settimeout(PATIENCE)
                self._connection.sendall(json.dumps(request).encode())
            except OSError:
                pass  # what it said last is to be read still
            while True:
                message = self._receive()
                if "event" in message:
                    self.events.append(message)
                elif message.get("id") != self._asked:
                    pass  # the answer to a command that was given up
                elif "error" in message:
                    raise CommandError(message["error"])
                else:
                    return message["return"]

    def poll_events(self, timeout: float = 0) -> None:
        """Take the events that have come, waiting `timeout` seconds for one to come. With 0 it never blocks."""
        try:
            if timeout:
                select.select([self._connection], [], [], timeout)
        except (OSError, ValueError):
            return  # closed by another thread
        if not self._lock.acquire(blocking=False):
            return  # who waits for an answer takes the events that come before it
        try:
            while self._connection.fileno() >= 0 and select.select([self._connection], [], [], 0)[0]:
                if not self._read():
                    break
            while (message := self._next_message()) is not None:
                if "event" in message:
                    self.events.append(message)
        finally:
            self._lock.release()

    def close(self) -> None:
        """Leave. Who waits for an answer waits no longer, if the other end has gone."""
        with self._lock:
            self._connection.close()

    def _receive(self) -> dict[str, Any]:
        while (message := self._next_message()) is None:
            if not self._read():
                raise EndpointError("the endpoint has ended")
        return message

    def _read(self) -> bool:
        """Whether more has come."""
        try:
            data = self._connection.recv(1 << 16)
        except TimeoutError:
            raise EndpointError(f"no answer within {PATIENCE:g} s") from None
        except OSError:
            data = b""
        self._buffer += data
        return bool(data)

    def _next_message(self) -> dict[str, Any] | None:
        end = self._buffer.find(b"\n")
        if end < 0:
            return None
        message: dict[str, Any] = json.loads(self._buffer[:end])
        del self._buffer[: end + 1]
        return message
