"""One client's QMP session: bytes in; requests, answers and events out.

What belongs here: greeting, capabilities negotiation, the shape of a request, the order of answers, the texts of what
is wrong with the protocol. What does not: sockets, clocks, threads, and what any command but ``qmp_capabilities`` does.
Whoever owns the session asks ``next_event`` what to do, and gives every ``Request`` exactly one ``reply`` or ``fail``.
"""

from __future__ import annotations

from ..commands.json_output import encode
from ..commands.json_stream import NEED_MORE, JSONError, JSONStream

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Iterable
    from typing import Any
else:
    from _collections import deque  # without the 1 ms that all of `collections` costs

MAX_WAITING = 8
"""Requests that may wait behind one that is not answered yet before reading stops, as in QEMU."""


_DONE = encode({"return": {}})
"""The answer of all commands that have nothing to tell."""


class _Signal:
    """The type of ``NEED_DATA`` and ``PAUSED``."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return self._name


NEED_DATA = _Signal("NEED_DATA")
"""Nothing to do until more bytes are received."""
PAUSED = _Signal("PAUSED")
"""Nothing to do until the open request is answered (or, where ``wants_data``, more bytes are received)."""
NO_ID = _Signal("NO_ID")
"""The ``id`` of a request that has none (``null`` is an id)."""


class Request:
    """A well-formed request for a command, which may or may not exist.

    ``oob`` is true where the client asked for out-of-band execution (``exec-oob``): it is to be answered before
    anything else happens, or refused with ``QMPSession.fail_not_oob``.
    """

    __slots__ = ("arguments", "command", "id", "oob")

    def __init__(self, command: str, arguments: dict[str, Any], request_id: Any = NO_ID, oob: bool = False) -> None:
        self.command = command
        self.arguments = arguments
        self.id = request_id
        self.oob = oob

    def __repr__(self) -> str:
        return f"Request({self.command!r}, {self.arguments!r}, {self.id!r}, {self.oob!r})"


class Answer:
    """Bytes to be sent to the client now: the session answered by itself."""

    __slots__ = ("data",)

    def __init__(self, data: bytes) -> None:
        self.data = data

    def __repr__(self) -> str:
        return f"Answer({self.data!r})"


class _ProtocolError(Exception):
    """A request that is not to be had, with the class and the text of the answer."""

    def __init__(self, text: str, qmp_class: str = "GenericError") -> None:
        super().__init__(text)
        self.text = text
        self.qmp_class = qmp_class


class QMPSession:
    """The server's side of QMP with one client, from its connection to its end.

    `version` is (major, minor, micro); with `places` bad JSON is told with line and column. In-band requests are handed
    out one at a time and answered in the order in which they came, errors of bad input among them; only ``exec-oob``
    requests overtake.
    """

    __slots__ = ("_open", "_package", "_pretty", "_stream", "_version", "_waiting", "negotiated", "oob_enabled")

    def __init__(
        self,
        version: tuple[int, int, int] = (7, 2, 22),
        package: str = "ramslot 0.1.0",
        pretty: bool = False,
        places: bool = False,
    ) -> None:
        self.negotiated = False
        self.oob_enabled = False
        self._version = version
        self._package = package
        self._pretty = pretty
        self._stream = JSONStream(places)
        self._open: Request | None = None
        self._waiting: deque[Any] = deque()

    def greeting(self) -> bytes:
        """Return what is sent first."""
        major, minor, micro = self._version
        version = {"qemu": {"micro": micro, "minor": minor, "major": major}, "package": self._package}
        return encode({"QMP": {"version": version, "capabilities": ["oob"]}}, self._pretty)

    def receive(self, data: bytes) -> None:
        """Take bytes from the client; they are looked at by ``next_event``."""
        self._stream.feed(data)

    @property
    def busy(self) -> bool:
        """Whether a request waits for its answer."""
        return self._open is not None

    @property
    def wants_data(self) -> bool:
        """Whether to read from the client; while false, what it sends should stay in its socket."""
        return self._open is None or (self.oob_enabled and len(self._waiting) < MAX_WAITING)

    def next_event(self) -> Request | Answer | _Signal:
        """Return what to do next: a ``Request`` to execute, an ``Answer`` to send, ``NEED_DATA`` or ``PAUSED``."""
        if self._open is None:
            value = self._waiting.popleft() if self._waiting else self._stream.take()
            return NEED_DATA if value is NEED_MORE else self._begin(value)
        while self.wants_data:
            value = self._stream.take()
            if value is NEED_MORE:
                break
            if type(value) is dict and "exec-oob" in value and "execute" not in value:
                return self._begin(value)
            self._waiting.append(value)
        return PAUSED

    def reply(self, request: Request, value: Any) -> bytes:
        """Close `request` and return the answer that carries the command's result."""
        self._close(request)
        return self._result(value, request.id)

    def fail(self, request: Request, qmp_class: str, text: str) -> bytes:
        """Close `request` and return the answer that carries an error."""
        self._close(request)
        return self._error(qmp_class, text, request.id)

    def fail_not_found(self, request: Request) -> bytes:
        """Close `request`, whose command there is not."""
        return self.fail(request, "CommandNotFound", f"The command {request.command} has not been found")

    def fail_not_oob(self, request: Request) -> bytes:
        """Close `request`, whose command there is, but not out-of-band."""
        return self.fail(request, "GenericError", _not_oob(request.command))

    def event(self, name: str, data: dict[str, Any] | None, seconds: int, microseconds: int) -> bytes:
        """Return the event as it is sent; nothing before the negotiation. The time is since the epoch, in UTC."""
        if not self.negotiated:
            return b""
        event: dict[str, Any] = {"timestamp": {"seconds": seconds, "microseconds": microseconds}, "event": name}
        if data is not None:
            event["data"] = data
        return encode(event, self._pretty)

    def _close(self, request: Request) -> None:
        if request is self._open:
            self._open = None
        elif not request.oob:
            raise ValueError(f"the request for {request.command} is not open")

    def _result(self, value: Any, request_id: Any) -> bytes:
        if value == {} and request_id is NO_ID and not self._pretty:
            return _DONE
        return encode({"return": value} if request_id is NO_ID else {"return": value, "id": request_id}, self._pretty)

    def _error(self, qmp_class: str, text: str, request_id: Any) -> bytes:
        error = {"class": qmp_class, "desc": text}
        return encode({"error": error} if request_id is NO_ID else {"id": request_id, "error": error}, self._pretty)

    def _begin(self, value: Any) -> Request | Answer:
        request_id = NO_ID
        try:
            if type(value) is JSONError:
                raise _ProtocolError(value.text)
            if type(value) is not dict:
                raise _ProtocolError("QMP input must be a JSON object")
            request_id = value.get("id", NO_ID)
            self._check_members(value)
            oob = "exec-oob" in value
            request = Request(value["exec-oob" if oob else "execute"], value.get("arguments", {}), request_id, oob)
            if not self.negotiated or request.command == "qmp_capabilities":
                self._negotiate(request)
                return Answer(self._result({}, request_id))
        except _ProtocolError as error:
            return Answer(self._error(error.qmp_class, error.text, request_id))
        if not oob:
            self._open = request
        return request

    def _check_members(self, value: dict[str, Any]) -> None:
        fault = self._fault(value, value)
        if fault and len(value) > 1:
            from ..schema.visiting import qdict_order

            fault = self._fault(value, qdict_order(value))
        if fault:
            raise _ProtocolError(fault)

    def _fault(self, value: dict[str, Any], names: Iterable[str]) -> str:
        """What is wrong with `value`, or ""; of several mistakes the first in the order of `names`."""
        command_member = ""
        for name in names:
            if name == "execute" or (name == "exec-oob" and self.oob_enabled):
                if type(value[name]) is not str:
                    return f"QMP input member '{name}' must be a string"
                if command_member:
                    return f"QMP input member '{name}' clashes with '{command_member}'"
                command_member = name
            elif name == "arguments":
                if type(value[name]) is not dict:
                    return "QMP input member 'arguments' must be an object"
            elif name != "id":
                return f"QMP input member '{name}' is unexpected"
        return "" if command_member else "QMP input lacks member 'execute'"

    def _negotiate(self, request: Request) -> None:
        if request.command != "qmp_capabilities":
            raise _ProtocolError("Expecting capabilities negotiation with 'qmp_capabilities'", "CommandNotFound")
        if request.oob:
            raise _ProtocolError(_not_oob(request.command))
        enabled = request.arguments.get("enable", [])
        _check_capabilities(enabled, self._version[:2])
        if len(request.arguments) > ("enable" in request.arguments):
            from ..schema.visiting import first_unexpected

            raise _ProtocolError(f"Parameter '{first_unexpected(request.arguments, ('enable',))}' is unexpected")
        if self.negotiated:
            raise _ProtocolError("Capabilities negotiation is already complete, command ignored", "CommandNotFound")
        self.negotiated = True
        self.oob_enabled = "oob" in enabled


def _not_oob(command: str) -> str:
    return f"The command {command} does not support OOB"


def _check_capabilities(enabled: Any, number: tuple[int, int]) -> None:
    if type(enabled) is not list:
        raise _ProtocolError("Invalid parameter type for 'enable', expected: array")
    for index, capability in enumerate(enabled):
        if type(capability) is not str:
            raise _ProtocolError(f"Invalid parameter type for 'enable[{index}]', expected: string")
        if capability != "oob":
            from ..schema.releases import bad_value

            # QEMU says 'null' for a list's member.
            raise _ProtocolError(bad_value("null", capability, number))
