"""What becomes of the bytes between client and server: nothing, but for the faults that were set.

Bytes in, actions out; no sockets, no clock. Whoever owns the filter carries the actions out, those of one direction in
their order. As long as no fault is set, every byte is passed on in the call that brings it (from the server: with the
end of its message).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, TypeAlias

from ...commands.json_output import encode
from ..framing import MessageCutter, parse
from ..qmp import NO_ID
from .faults import GREETING, Fault

Side: TypeAlias = Literal["client", "server"]


@dataclass(frozen=True, slots=True)
class Send:
    """Bytes for one side."""

    to: Side
    data: bytes


@dataclass(frozen=True, slots=True)
class Wait:
    """What follows to this side is sent `seconds` later; to the server, nothing is read from the client meanwhile."""

    to: Side
    seconds: float


@dataclass(frozen=True, slots=True)
class Drain:
    """What follows to this side is sent once it has read all before."""

    to: Side


@dataclass(frozen=True, slots=True)
class Close:
    """The connection ends once the client was sent what is before this."""

    to: Side = "client"


Action: TypeAlias = Send | Wait | Drain | Close
Observer: TypeAlias = Callable[[str, Any], object]
"""Is told of each message, after the side that sent it; of ``connected``, and of ``disconnected`` with who ended it."""


class _Pending:
    """A command that waits for its reply."""

    __slots__ = ("answer", "faults", "id")

    def __init__(self, request_id: Any, faults: list[Fault], answer: bytes | None = None) -> None:
        self.id = request_id
        self.faults = faults
        self.answer = answer
        """What to say when its turn comes, the server not knowing of it."""


class FaultFilter:
    """Both directions of one connection after another. Faults are kept from connection to connection."""

    def __init__(self, observer: Observer = lambda _side, _message: None) -> None:
        self._observer = observer
        self._faults: list[Fault] = []
        self._counts: list[int] = []
        self._last_reply = b""
        self._begin()

    def _begin(self) -> None:
        self._requests = MessageCutter()
        self._replies = MessageCutter(lines=True)
        self._pending: deque[_Pending] = deque()
        self._withheld = b""
        self._closed = False

    def add(self, fault: Fault) -> None:
        """Set a fault."""
        self._faults.append(fault)
        self._counts.append(0)

    @property
    def refusing(self) -> bool:
        """Whether the next client that connects may be refused."""
        return any(fault.kind == "refuse" for fault in self._faults)

    def refuse(self) -> bool:
        """Count a client that connects; whether to hang up on it at once."""
        return bool(self._struck(lambda fault: fault.kind == "refuse"))

    def connected(self) -> None:
        """Begin with a new client."""
        self._begin()
        self._observer("connected", None)
        self._pending.append(_Pending(NO_ID, self._struck_by(GREETING)))

    def from_client(self, data: bytes) -> list[Action]:
        """Take what the client sent."""
        actions: list[Action] = []
        for piece, raw in self._requests.feed(data):
            if self._closed:
                break
            if raw is None:
                if any(fault.withholds for fault in self._faults):
                    self._withheld += piece
                else:
                    actions.append(Send("server", piece))
            else:
                piece, self._withheld = self._withheld + piece, b""
                actions += self._request(piece, raw)
        return actions

    def from_server(self, data: bytes) -> list[Action]:
        """Take what the server sent."""
        actions: list[Action] = []
        for _piece, raw in self._replies.feed(data):
            if raw is not None and not self._closed:
                actions += self._message(raw, parse(raw))
        return actions

    def client_gone(self) -> list[Action]:
        """The client sends no more."""
        if self._closed:
            return []
        self._end("client")
        withheld, self._withheld = self._withheld, b""
        return [Send("server", withheld)] if withheld else []

    def server_gone(self) -> list[Action]:
        """The server sends no more."""
        if self._closed:
            return []
        self._end("server")
        rest = self._replies.rest
        return [Send("client", rest), Close()] if rest else [Close()]

    def _end(self, side: Side) -> None:
        self._closed = True
        self._observer("disconnected", side)

    def _request(self, piece: bytes, raw: bytes) -> list[Action]:
        message = parse(raw)
        self._observer("client", message)
        name = command_name(message)
        if name is None:
            return [Send("server", piece)]
        # Of a command whose beginning the server has, the rest cannot be kept from it.
        whole = len(piece) == len(raw)
        faults = self._struck_by(name, whole)
        for fault in faults:
            if fault.withholds and fault.kind == "disconnect":
                self._end("client")
                return [Close()]
        request_id = message.get("id", NO_ID)
        error = next((fault for fault in faults if fault.kind == "error"), None)
        actions: list[Action] = [Wait("server", fault.seconds) for fault in faults if fault.kind == "slow"]
        if error is None:
            self._pending.append(_Pending(request_id, faults))
            return [*actions, Send("server", piece)]
        self._pending.append(_Pending(request_id, faults, _error(error, request_id)))
        return actions + self._own_answers()

    def _message(self, raw: bytes, message: Any) -> list[Action]:
        self._observer("server", message)
        if not isinstance(message, dict) or not message.keys() & {"return", "error", "QMP"}:
            return [Send("client", raw)]
        request_id = message.get("id", NO_ID)
        pending = next((pending for pending in self._pending if pending.id == request_id), None)
        if pending is None or pending.answer is not None:
            return [Send("client", raw)]
        self._pending.remove(pending)
        return self._reply(raw, pending.faults) + self._own_answers()

    def _own_answers(self) -> list[Action]:
        """What we answer ourselves, as far as its turn has come."""
        actions: list[Action] = []
        while not self._closed and self._pending and (answer := self._pending[0].answer) is not None:
            actions += self._reply(answer, self._pending.popleft().faults)
        return actions

    def _reply(self, raw: bytes, faults: list[Fault]) -> list[Action]:
        """What is sent for a reply, what its faults put before it first."""
        actions: list[Action] = []
        cuts: list[int] = []
        end: int | None = None
        times = 1
        for fault in faults:
            if fault.kind == "delay":
                actions.append(Wait("client", fault.seconds))
            elif fault.kind == "event":
                actions.append(Send("client", _event(fault)))
            elif fault.kind == "stale" and self._last_reply:
                actions.append(Send("client", self._last_reply))
            elif fault.kind == "garbage":
                actions.append(Send("client", fault.garbage))
            elif fault.kind == "split":
                cuts += fault.at or range(1, len(raw))
            elif fault.kind == "duplicate":
                times = 2
            elif fault.kind == "silence":
                times = 0
            elif fault.kind == "disconnect":
                end = fault.at[0] if fault.at else 0
        self._last_reply = raw
        if times:
            actions += _pieces(raw if end is None else raw[:end], cuts)
        if times == 2:
            actions.append(Send("client", raw))
        if end is not None:
            self._end("client")
            actions.append(Close())
        return actions

    def _struck_by(self, name: str, whole: bool = True) -> list[Fault]:
        return self._struck(
            lambda fault: fault.kind != "refuse" and fault.concerns(name) and (whole or not fault.withholds)
        )

    def _struck(self, counts: Callable[[Fault], bool]) -> list[Fault]:
        """Count one more of something; the faults that this makes strike. One that has struck is no more."""
        found = []
        for index in reversed(range(len(self._faults))):
            fault = self._faults[index]
            if not counts(fault):
                continue
            self._counts[index] += 1
            if fault.nth is None:
                found.append(fault)
            elif fault.nth == self._counts[index]:
                found.append(fault)
                del self._faults[index], self._counts[index]
        return found[::-1]


def command_name(message: Any) -> str | None:
    """The command that a message is for; None where it is for none."""
    if not isinstance(message, dict):
        return None
    name = message.get("execute", message.get("exec-oob"))
    return name if isinstance(name, str) else None


def _pieces(raw: bytes, cuts: list[int]) -> list[Action]:
    actions: list[Action] = []
    bounds = [0, *sorted({cut for cut in cuts if 0 < cut < len(raw)}), len(raw)]
    for start, end in pairwise(bounds):
        if start:
            actions.append(Drain("client"))
        if start < end:
            actions.append(Send("client", raw[start:end]))
    return actions


def _error(fault: Fault, request_id: Any) -> bytes:
    message: dict[str, Any] = {} if request_id is NO_ID else {"id": request_id}
    return encode(message | {"error": {"class": fault.error_class, "desc": fault.description}})


def _event(fault: Fault) -> bytes:
    event: dict[str, Any] = {"timestamp": {"seconds": 0, "microseconds": 0}, "event": fault.event}
    return encode(event if fault.data is None else event | {"data": fault.data})
