"""A recorded session given again: the client's bytes in, the server's bytes out. No sockets.

Strictly, the client has to send what was sent then, in that order. Loosely, each command is answered as the recording
answered that command with these arguments, whenever it comes; of several answers each in its turn, the last one for
ever. Ids are the client's own in both.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from time import time_ns
from typing import Any

from ...commands.json_output import encode
from ..framing import MessageCutter, parse
from .filter import command_name
from .recording import Step

NEGOTIATION = "qmp_capabilities"


def _wire(message: Any) -> bytes:
    if isinstance(message, str):
        return message.encode("latin-1")
    if isinstance(message, dict) and "event" in message:
        seconds, nanoseconds = divmod(time_ns(), 1_000_000_000)
        message = {"timestamp": {"seconds": seconds, "microseconds": nanoseconds // 1000}} | message
    return encode(message)


def _without_id(message: Any) -> Any:
    return {name: value for name, value in message.items() if name != "id"} if isinstance(message, dict) else message


def _sessions(steps: Sequence[Step]) -> list[list[Step]]:
    found: list[list[Step]] = []
    for kind, message in steps:
        if kind == "connected":
            found.append([])
        elif found:
            found[-1].append((kind, message))
    return found


class Replay:
    """What both ways of replaying are for who serves one: `connect`, `receive`, and whether to hang up."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self.sessions = _sessions(steps)
        self.mismatches: list[str] = []
        """What the client did that the recording does not have."""
        self.hanging_up = False
        """Whether the connection ends here."""
        self._cutter = MessageCutter()

    def connect(self) -> bytes:
        """Begin with a new client; what it is sent first."""
        self._cutter = MessageCutter()
        self.hanging_up = False
        return self._greet()

    def receive(self, data: bytes) -> bytes:
        """Take what the client sent; what it is answered."""
        answers = b""
        for _piece, raw in self._cutter.feed(data):
            if raw is not None and not self.hanging_up:
                answers += self._answer(parse(raw))
        return answers

    @property
    def missing(self) -> list[Any]:
        """What the recording's clients sent and this replay's did not."""
        return []

    def _greet(self) -> bytes:
        raise NotImplementedError

    def _answer(self, message: Any) -> bytes:
        raise NotImplementedError


class StrictReplay(Replay):
    """One recorded connection after another, message by message; what differs ends the connection."""

    def __init__(self, steps: Sequence[Step]) -> None:
        super().__init__(steps)
        self._left = list(self.sessions)
        self._session: list[Step] = []
        self._ids: dict[str, Any] = {}
        """Of the recorded commands: the id that the client gives this time."""

    @property
    def missing(self) -> list[Any]:
        """What the recording's clients sent and this replay's did not."""
        return [message for session in (self._session, *self._left) for kind, message in session if kind == "client"]

    def _greet(self) -> bytes:
        if self.missing and self._session:
            self._refuse(f"the client connects anew, in the recording it sends {self._expected()}")
            return b""
        if not self._left:
            self._refuse("the client connects once more than in the recording")
            return b""
        self._session = self._left.pop(0)
        self._ids = {}
        return self._server_messages()

    def _answer(self, message: Any) -> bytes:
        if not self._session or self._session[0][0] != "client":
            self._refuse(f"the client sends {json.dumps(message)}, in the recording it sends no more")
            return b""
        _kind, expected = self._session[0]
        if _without_id(message) != _without_id(expected):
            self._refuse(f"the client sends {json.dumps(message)}, in the recording it sends {self._expected()}")
            return b""
        self._session.pop(0)
        if isinstance(expected, dict):
            self._ids[json.dumps(expected.get("id"))] = message.get("id") if "id" in message else None
        return self._server_messages()

    def _server_messages(self) -> bytes:
        """What the server said up to the client's next message."""
        said = b""
        while self._session and self._session[0][0] != "client":
            kind, message = self._session.pop(0)
            if kind == "server":
                said += _wire(self._with_own_id(message))
            elif kind == "disconnected" and message == "server":
                self.hanging_up = True
        return said

    def _with_own_id(self, message: Any) -> Any:
        if not isinstance(message, dict) or not message.keys() & {"return", "error"}:
            return message
        own = self._ids.get(json.dumps(message.get("id")))
        return _without_id(message) if own is None else message | {"id": own}

    def _expected(self) -> str:
        return json.dumps(next((message for kind, message in self._session if kind == "client"), None))

    def _refuse(self, text: str) -> None:
        self.mismatches.append(text)
        self.hanging_up = True


class LooseReplay(Replay):
    """Answers by command and arguments; what was never asked is an error."""

    def __init__(self, steps: Sequence[Step]) -> None:
        super().__init__(steps)
        self._answers: dict[str, list[list[Any]]] = {}
        self._greeting: list[Any] = []
        for number, session in enumerate(self.sessions):
            said = self._learn(session)
            if not number:
                self._greeting = said

    def _learn(self, session: list[Step]) -> list[Any]:
        """Learn the answers of a connection, each with the events before and after it; returns the greeting."""
        greeting: list[Any] = []
        said = greeting
        waiting: list[tuple[Any, list[Any]]] = []
        for kind, message in session:
            if kind == "client":
                said = []
                self._answers.setdefault(_question(message), []).append(said)
                waiting.append((message.get("id") if isinstance(message, dict) else None, said))
            elif kind == "server":
                place = said
                if isinstance(message, dict) and message.keys() & {"return", "error"}:
                    for index, (request_id, messages) in enumerate(waiting):
                        if request_id == message.get("id"):
                            place = messages
                            del waiting[index]
                            break
                place.append(message)
        return greeting

    def _greet(self) -> bytes:
        return b"".join(map(_wire, self._greeting))

    def _answer(self, message: Any) -> bytes:
        own_id = {"id": message["id"]} if isinstance(message, dict) and "id" in message else {}
        known = self._answers.get(_question(message))
        if not known:
            text = f"not in the recording: {_question(message)}"
            self.mismatches.append(text)
            return encode(own_id | {"error": {"class": "GenericError", "desc": text}})
        said = known.pop(0) if len(known) > 1 else known[0]
        return b"".join(
            _wire(_without_id(each) | own_id if isinstance(each, dict) and each.keys() & {"return", "error"} else each)
            for each in said
        )


def _question(message: Any) -> str:
    """What a command is looked up by: its name and arguments. How capabilities are negotiated makes no difference."""
    name = command_name(message)
    if name is None:
        return json.dumps(message)
    if name == NEGOTIATION:
        return name
    return json.dumps({"execute": name, "arguments": message.get("arguments", {})}, sort_keys=True)
