"""A QMP session: negotiation, the shape of requests, the order of answers, when to stop reading."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from ramslot.monitor.qmp import MAX_WAITING, NEED_DATA, NO_ID, PAUSED, Answer, QMPSession, Request

HELLO = b'{"execute":"qmp_capabilities"}'
HELLO_OOB = b'{"execute":"qmp_capabilities","arguments":{"enable":["oob"]}}'


def begin(hello: bytes = HELLO, **options: Any) -> QMPSession:
    session = QMPSession(**options)
    session.receive(hello)
    if hello:
        assert isinstance(session.next_event(), Answer)
    return session


def request(session: QMPSession) -> Request:
    event = session.next_event()
    assert isinstance(event, Request), event
    return event


def answer(session: QMPSession) -> Any:
    event = session.next_event()
    assert isinstance(event, Answer), event
    return json.loads(event.data)


def error(session: QMPSession, data: str) -> str:
    session.receive(data.encode())
    reply = answer(session)["error"]
    assert session.next_event() is NEED_DATA
    return reply["desc"] if reply["class"] == "GenericError" else f"{reply['class']}: {reply['desc']}"


def test_greeting() -> None:
    session = QMPSession(version=(7, 2, 22), package="ramslot 0.1.0")
    assert session.greeting() == (
        b'{"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}, "package": "ramslot 0.1.0"}, '
        b'"capabilities": ["oob"]}}\r\n'
    )
    assert QMPSession(pretty=True).greeting().startswith(b'{\r\n    "QMP": {\r\n        "version": {\r\n')


def test_request_and_reply() -> None:
    session = begin()
    session.receive(b'{"execute":"query-status"}')
    query = request(session)
    assert (query.command, query.arguments, query.id, query.oob) == ("query-status", {}, NO_ID, False)
    assert session.reply(query, {"running": True}) == b'{"return": {"running": true}}\r\n'
    assert session.next_event() is NEED_DATA


@pytest.mark.parametrize("request_id", ["null", '"x"', "17", '{"a": [1]}', "1.5", "[]"])
def test_id_comes_back(request_id: str) -> None:
    session = begin()
    session.receive(b'{"execute":"x","id":%s,"arguments":{"a":1}}' % request_id.encode() * 2)
    query = request(session)
    assert query.arguments == {"a": 1}
    assert session.reply(query, {}) == b'{"return": {}, "id": %s}\r\n' % request_id.encode()
    failure = session.fail(request(session), "DeviceNotFound", "No")
    assert failure == b'{"id": %s, "error": {"class": "DeviceNotFound", "desc": "No"}}\r\n' % request_id.encode()


def test_negotiation() -> None:
    session = QMPSession()
    expecting = "CommandNotFound: Expecting capabilities negotiation with 'qmp_capabilities'"
    assert error(session, '{"execute":"query-name"}') == expecting
    assert error(session, '{"exec-oob":"query-name"}') == "QMP input member 'exec-oob' is unexpected"
    assert error(session, "{]") == "JSON parse error, expecting value"
    assert not session.negotiated
    session.receive(HELLO.replace(b"{", b'{"id":7,', 1))
    assert answer(session) == {"return": {}, "id": 7}
    assert session.negotiated
    already = "CommandNotFound: Capabilities negotiation is already complete, command ignored"
    assert error(session, HELLO.decode()) == already


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ('{"enable":["x"]}', "Parameter 'null' does not accept value 'x'"),
        ('{"enable":["oob","é"]}', "Parameter 'null' does not accept value 'é'"),
        ('{"enable":["oob",1]}', "Invalid parameter type for 'enable[1]', expected: string"),
        ('{"enable":"oob"}', "Invalid parameter type for 'enable', expected: array"),
        ('{"enable":null}', "Invalid parameter type for 'enable', expected: array"),
        ('{"enable":["oob"],"foo":1}', "Parameter 'foo' is unexpected"),
        ('{"foo":1,"enable":["x"]}', "Parameter 'null' does not accept value 'x'"),
        ("[]", "QMP input member 'arguments' must be an object"),
    ],
)
def test_negotiation_with_bad_arguments_goes_on(arguments: str, text: str) -> None:
    session = QMPSession()
    assert error(session, f'{{"execute":"qmp_capabilities","arguments":{arguments}}}') == text
    assert not session.negotiated
    session.receive(HELLO)
    assert answer(session) == {"return": {}}


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("[]", "QMP input must be a JSON object"),
        ("null ", "QMP input must be a JSON object"),
        ("{}", "QMP input lacks member 'execute'"),
        ('{"arguments":{}}', "QMP input lacks member 'execute'"),
        ('{"execute":true}', "QMP input member 'execute' must be a string"),
        ('{"execute":"x","arguments":null}', "QMP input member 'arguments' must be an object"),
        ('{"execute":"x","extra":1}', "QMP input member 'extra' is unexpected"),
        ('{"execute":1,"a":2}', "QMP input member 'a' is unexpected"),
        ('{"execute":1,"b":2}', "QMP input member 'execute' must be a string"),
        ('{"execute":"x","arguments":[],"zzz":1,"aaa":2,"mmm":3}', "QMP input member 'mmm' is unexpected"),
        ('{"exec-oob":"x"}', "QMP input member 'exec-oob' is unexpected"),
        ('{"execute":"x","execute":"y"}', "JSON parse error, duplicate key"),
    ],
)
def test_bad_requests(data: str, text: str) -> None:
    assert error(begin(), data) == text


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ('{"exec-oob":1}', "QMP input member 'exec-oob' must be a string"),
        ('{"execute":"x","exec-oob":"x"}', "QMP input member 'execute' clashes with 'exec-oob'"),
        ('{"execute":1,"exec-oob":"x"}', "QMP input member 'execute' must be a string"),
        ('{"exec-oob":"qmp_capabilities"}', "The command qmp_capabilities does not support OOB"),
    ],
)
def test_bad_requests_out_of_band(data: str, text: str) -> None:
    assert error(begin(HELLO_OOB), data) == text


def test_error_of_a_bad_request_carries_its_id() -> None:
    session = begin()
    session.receive(b'{"execute":3,"id":[1]}')
    assert answer(session)["id"] == [1]


def test_refusals_of_commands() -> None:
    session = begin(HELLO_OOB)
    session.receive(b'{"execute":"nope"}')
    assert json.loads(session.fail_not_found(request(session))) == {
        "error": {"class": "CommandNotFound", "desc": "The command nope has not been found"}
    }
    session.receive(b'{"exec-oob":"stop","id":1}')
    assert json.loads(session.fail_not_oob(request(session))) == {
        "id": 1,
        "error": {"class": "GenericError", "desc": "The command stop does not support OOB"},
    }


@pytest.mark.parametrize("hello", [HELLO, HELLO_OOB])
def test_answers_come_in_order_errors_among_them(hello: bytes) -> None:
    session = begin(hello)
    session.receive(b'{"execute":"a"}{]{"execute":"b"}{"execute":"qmp_capabilities"}')
    first = request(session)
    assert session.next_event() is PAUSED
    assert session.next_event() is PAUSED
    session.reply(first, {})
    assert answer(session)["error"]["desc"] == "JSON parse error, expecting value"
    second = request(session)
    assert second.command == "b"
    assert session.next_event() is PAUSED
    session.fail(second, "GenericError", "no")
    assert answer(session)["error"]["class"] == "CommandNotFound"
    assert session.next_event() is NEED_DATA


def test_out_of_band_requests_overtake() -> None:
    session = begin(HELLO_OOB)
    session.receive(b'{"execute":"slow"}{"execute":"b"}{"exec-oob":"fast","id":2}{"exec-oob":3}')
    slow = request(session)
    fast = request(session)
    assert (fast.command, fast.oob) == ("fast", True)
    assert session.reply(fast, {}) == b'{"return": {}, "id": 2}\r\n'
    assert answer(session)["error"]["desc"] == "QMP input member 'exec-oob' must be a string"
    assert session.next_event() is PAUSED
    session.reply(slow, {})
    assert request(session).command == "b"


def test_reading_stops_while_a_request_is_open() -> None:
    session = begin()
    assert session.wants_data
    session.receive(b'{"execute":"a"}')
    open_request = request(session)
    assert not session.wants_data
    session.reply(open_request, {})
    assert session.wants_data


def test_with_out_of_band_execution_reading_stops_when_eight_wait() -> None:
    session = begin(HELLO_OOB)
    session.receive(b'{"execute":"a"}' * MAX_WAITING)
    open_request = request(session)
    assert session.next_event() is PAUSED
    assert session.wants_data
    session.receive(b'{"execute":"a"}{"exec-oob":"late"}')
    assert session.next_event() is PAUSED
    assert not session.wants_data
    session.reply(open_request, {})
    open_request = request(session)
    late = request(session)
    assert late.command == "late"
    session.fail_not_oob(late)
    session.reply(open_request, {})
    for _ in range(MAX_WAITING - 1):
        session.reply(request(session), {})
    assert session.next_event() is NEED_DATA


def test_a_request_is_answered_once() -> None:
    session = begin()
    session.receive(b'{"execute":"a"}')
    query = request(session)
    session.reply(query, {})
    with pytest.raises(ValueError, match="not open"):
        session.reply(query, {})


def test_events() -> None:
    session = QMPSession()
    assert session.event("STOP", None, 1, 2) == b""
    session = begin()
    stop = b'{"timestamp": {"seconds": 1, "microseconds": 2}, "event": "STOP"}\r\n'
    assert session.event("STOP", None, 1, 2) == stop
    data = {"guest": False, "reason": "host-signal"}
    shutdown = stop[:-3] + b"".join((b', "data": {"guest": false, "reason": "host-signal"}}', b"\r\n"))
    assert session.event("SHUTDOWN", data, 1, 2) == shutdown.replace(b"STOP", b"SHUTDOWN")


def test_plain_session_loads_nothing_heavy() -> None:
    program = (
        "import sys; from ramslot.monitor.qmp import QMPSession; s = QMPSession(); s.greeting()\n"
        f's.receive({HELLO!r}); s.next_event(); s.receive(b\'{{"execute":"a"}}\'); s.reply(s.next_event(), {{}})\n'
        "heavy = {'typing', 'dataclasses', 'json', 'ramslot.commands.json_text', 'ramslot.schema.validation'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    assert subprocess.check_output([sys.executable, "-c", program], text=True) == "[]\n"
