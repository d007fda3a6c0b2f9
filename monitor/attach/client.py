"""A QMP client on our loop: requests out, replies to whoever asked, events to all who listen.

Each request has an id of ours, so that a reply whose asker has given up is known and dropped.
"""

from __future__ import annotations

import json
import re
import socket
import time

from ...commands.json_output import encode
from ...vm.errors import VMError
from ..framing import MessageCutter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, TypeAlias

    from ...vm.steps import Cancellation, Step
    from ..loop import Loop

    Reply: TypeAlias = dict[str, Any]
    OnReply: TypeAlias = Callable[[Reply], object]

GREETING_SECONDS = 5.0
"""A QEMU that is not at something slow greets at once."""
MOST_BYTES = 256 << 20
"""Of one message; QEMU's largest are some MiB."""
_READ_SIZE = 1 << 18
_LOOK = 0.1
"""Seconds between two looks at whether the asker has given up."""
BUSY = (
    "it accepts connections and does not greet. Another client has this QMP monitor, which serves one at a time "
    "('ramslot mux' serves several on one); or it is no QMP monitor (qtest, a serial line)"
)
_HMP = re.compile(rb"QEMU [0-9.]+.* monitor|\(qemu\)")


class ReplyError(VMError):
    """A command that QEMU refused, in its words and with its class."""


class Client:
    """A connection to a QMP monitor, negotiated. `on_event(message)` is told of events, `on_end()` of the end.

    :raise VMError: the other end is no QMP monitor, or does not greet.
    """

    def __init__(
        self,
        loop: Loop,
        connection: socket.socket,
        name: str,
        patience: float = GREETING_SECONDS,
        *,
        oob: bool = False,
    ) -> None:
        """`oob` asks for out-of-band commands, which the monitor may not have."""
        self.loop = loop
        self.name = name
        self.on_event: Callable[[Reply], object] = lambda _event: None
        self.on_end: Callable[[], object] = lambda: None
        self.closed = False
        self.shut_down = False
        """Whether QEMU said that it ends."""
        self.has_oob = oob
        """Whether there are out-of-band commands."""
        self.passes_descriptors = connection.family == socket.AF_UNIX
        self.greeting: dict[str, Any] = {}
        self._socket = connection
        self._cutter = MessageCutter()
        self._begun = 0
        self._first = b""
        self._unsent: list[tuple[memoryview, list[int]]] = []
        self._waiting: dict[int, OnReply] = {}
        self._last_id = 0
        try:
            loop.watch(connection.fileno(), self._on_readable)
            self._be_greeted(patience)
        except BaseException:
            self.close()
            raise

    def _be_greeted(self, patience: float) -> None:
        """Serve the loop until QEMU has greeted and the negotiation is over."""
        deadline = time.monotonic() + patience
        while not self.greeting and not self.closed and not self.loop.stopping:
            if _HMP.search(self._first):
                raise VMError(f"{self.name}: this is a human monitor, no QMP monitor; QEMU has that with -qmp")
            left = deadline - time.monotonic()
            if left <= 0:
                raise VMError(f"{self.name}: {BUSY if not self._first else 'what answers there is no QMP monitor'}")
            self.loop.run_once(left)
        if not self.greeting:
            raise VMError(f"{self.name}: the connection was closed before any greeting")
        told = self.greeting.get("capabilities")
        self.has_oob = self.has_oob and isinstance(told, list) and "oob" in told
        self.ask_now("qmp_capabilities", {"enable": ["oob"]} if self.has_oob else None)

    # Asking

    def send(self, request: dict[str, Any], on_reply: OnReply, descriptors: Iterable[int] = ()) -> None:
        """Send a request, whose `id` becomes ours; `on_reply` follows, also if the connection ends before.

        Descriptors are closed when they were sent.
        """
        self._last_id += 1
        if self.closed:
            self.loop.call_soon(on_reply, self._lost())
            return
        self._waiting[self._last_id] = on_reply
        self._unsent.append((memoryview(encode({**request, "id": self._last_id})), list(descriptors)))
        self._flush()

    def ask_now(self, command: str, arguments: dict[str, Any] | None = None) -> Any:
        """What a command returns, the loop being served meanwhile; raises `VMError`."""
        replies: list[Reply] = []
        self.send(_request(command, arguments), replies.append)
        while not replies and not self.loop.stopping:
            self.loop.run_once()
        return result_of(replies[0] if replies else self._lost())

    def question(self, command: str, arguments: dict[str, Any] | None = None) -> Step:
        """A step that asks, and returns what the command does; raises `VMError`, also if it was cancelled."""
        from queue import Empty, SimpleQueue

        def ask(cancellation: Cancellation) -> Any:
            replies: SimpleQueue[Reply] = SimpleQueue()
            self.loop.call_threadsafe(self.send, _request(command, arguments), replies.put)
            while True:
                try:
                    return result_of(replies.get(timeout=_LOOK))
                except Empty:
                    cancellation.check()

        return ask

    # The connection

    def close(self) -> None:
        """End the connection; whoever waits is told. Allowed more than once."""
        if self.closed:
            return
        self.closed = True
        self.loop.unwatch(self._socket.fileno())
        self._socket.close()
        for _data, descriptors in self._unsent:
            _close_all(descriptors)
        self._unsent.clear()
        waiting, self._waiting = self._waiting, {}
        for on_reply in waiting.values():
            on_reply(self._lost())

    def _lost(self) -> Reply:
        return {"error": {"class": "GenericError", "desc": f"{self.name}: the connection has ended"}}

    def _end(self) -> None:
        if not self.closed:
            self.close()
            self.on_end()

    def _on_readable(self) -> None:
        try:
            data = self._socket.recv(_READ_SIZE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._end()
            return
        if not self.greeting:
            self._first = (self._first + data)[:_READ_SIZE]
        for piece, raw in self._cutter.feed(data):
            self._begun = self._begun + len(piece) if raw is None else 0
            if raw is not None:
                self._take(raw)
        if self._begun > MOST_BYTES:
            self._end()

    def _take(self, raw: bytes) -> None:
        try:
            message = json.loads(raw)
        except (ValueError, RecursionError):
            return  # not QEMU's; if nothing better follows, nobody is greeted or answered
        if not isinstance(message, dict):
            return
        if "event" in message:
            self.shut_down = self.shut_down or message["event"] == "SHUTDOWN"
            self.on_event(message)
        elif "QMP" in message and isinstance(message["QMP"], dict):
            self.greeting = self.greeting or message["QMP"]
        elif "return" in message or "error" in message:
            number = message.pop("id", None)
            on_reply = self._waiting.pop(number, None) if isinstance(number, int) else None
            if on_reply is not None:
                on_reply(message)

    def _flush(self) -> None:
        try:
            while self._unsent:
                data, descriptors = self._unsent[0]
                if descriptors:
                    sent = socket.send_fds(self._socket, [data], descriptors)
                    _close_all(descriptors)
                else:
                    sent = self._socket.send(data)
                if sent < len(data):
                    self._unsent[0] = data[sent:], []
                else:
                    del self._unsent[0]
        except BlockingIOError:
            pass
        except OSError:
            self.loop.call_soon(self._end)
            return
        self.loop.watch(self._socket.fileno(), self._on_readable, self._flush if self._unsent else None)


def _request(command: str, arguments: dict[str, Any] | None) -> dict[str, Any]:
    return {"execute": command, "arguments": arguments} if arguments else {"execute": command}


def result_of(reply: Reply) -> Any:
    """What a reply returns; raises `ReplyError`."""
    if "error" in reply:
        error = reply["error"]
        told = error if isinstance(error, dict) else {}
        raise ReplyError(str(told.get("desc", error)), str(told.get("class", "GenericError")))
    return reply["return"]


def _close_all(descriptors: list[int]) -> None:
    from os import close

    while descriptors:
        close(descriptors.pop())
