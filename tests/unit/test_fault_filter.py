"""What each fault makes of a conversation, with no sockets and no clock."""

from __future__ import annotations

from typing import Any

import pytest

from ramslot.monitor.framing import MessageCutter, parse
from ramslot.monitor.testing.faults import Fault
from ramslot.monitor.testing.filter import Action, Close, Drain, FaultFilter, Send, Wait

GREETING = b'{"QMP": {}}\r\n'
FIRST, SECOND = b'{"return": 1, "id": 1}\r\n', b'{"return": 2, "id": 2}\r\n'


def ask(number: int, name: str = "stop") -> bytes:
    return b'{"execute": "%s", "id": %d}' % (name.encode(), number)


def told(*faults: Fault) -> list[Action]:
    """What becomes of the second of two commands and its reply."""
    filter_ = FaultFilter()
    filter_.connected()
    assert filter_.from_server(GREETING) == [Send("client", GREETING)]
    assert filter_.from_client(ask(1)) == [Send("server", ask(1))]
    assert filter_.from_server(FIRST) == [Send("client", FIRST)]
    for fault in faults:
        filter_.add(fault)
    return filter_.from_client(ask(2)) + filter_.from_server(SECOND)


ASKED, ANSWERED = Send("server", ask(2)), Send("client", SECOND)


@pytest.mark.parametrize(
    ("fault", "actions"),
    [
        (Fault("delay", seconds=3), [ASKED, Wait("client", 3), ANSWERED]),
        (Fault("slow", seconds=3), [Wait("server", 3), ASKED, ANSWERED]),
        (Fault("split", at=(1, 4)), [ASKED, Send("client", b"{"), Drain("client"), Send("client", b'"re'), Drain("client"), Send("client", SECOND[4:])]),
        (Fault("event", event="STOP", data={"a": 1}), [ASKED, Send("client", b'{"timestamp": {"seconds": 0, "microseconds": 0}, "event": "STOP", "data": {"a": 1}}\r\n'), ANSWERED]),
        (Fault("stale"), [ASKED, Send("client", FIRST), ANSWERED]),
        (Fault("duplicate"), [ASKED, ANSWERED, ANSWERED]),
        (Fault("silence"), [ASKED]),
        (Fault("error", description="no", error_class="DeviceNotFound"), [Send("client", b'{"id": 2, "error": {"class": "DeviceNotFound", "desc": "no"}}\r\n'), ANSWERED]),
        (Fault("disconnect"), [Close()]),
        (Fault("disconnect", at=(0,)), [ASKED, Close()]),
        (Fault("disconnect", at=(3,)), [ASKED, Send("client", SECOND[:3]), Close()]),
        (Fault("disconnect", at=(999,)), [ASKED, ANSWERED, Close()]),
        (Fault("garbage", garbage=b"?\n"), [ASKED, Send("client", b"?\n"), ANSWERED]),
        (Fault("stale", "cont"), [ASKED, ANSWERED]),
        (Fault("stale", nth=2), [ASKED, ANSWERED]),
    ],
    ids=lambda value: value.kind if isinstance(value, Fault) else "",
)  # fmt: skip
def test_each_kind(fault: Fault, actions: list[Action]) -> None:
    assert told(fault) == actions


def test_several_faults_of_one_reply() -> None:
    assert told(Fault("duplicate"), Fault("delay", seconds=1), Fault("stale")) == [
        ASKED, Wait("client", 1), Send("client", FIRST), ANSWERED, ANSWERED,
    ]  # fmt: skip


def test_an_error_of_ours_keeps_its_turn() -> None:
    filter_ = FaultFilter()
    filter_.add(Fault("error", "cont"))
    filter_.connected()
    filter_.from_server(GREETING)
    assert filter_.from_client(ask(1) + ask(2, "cont") + ask(3)) == [Send("server", ask(1)), Send("server", ask(3))]
    after = filter_.from_server(FIRST)
    assert after[0] == Send("client", FIRST)
    assert isinstance(after[1], Send) and b'"id": 2, "error"' in after[1].data
    third = b'{"return": 3, "id": 3}\r\n'
    assert filter_.from_server(third) == [Send("client", third)]


def test_replies_out_of_order_are_known_by_their_ids() -> None:
    filter_ = FaultFilter()
    filter_.add(Fault("duplicate", "cont"))
    filter_.connected()
    filter_.from_server(GREETING)
    filter_.from_client(ask(1) + b'{"exec-oob": "cont", "id": 2}')
    assert filter_.from_server(SECOND) == [Send("client", SECOND)] * 2
    assert filter_.from_server(FIRST) == [Send("client", FIRST)]


def test_commands_are_counted_over_connections_and_capabilities_only_where_named() -> None:
    filter_ = FaultFilter()
    filter_.add(Fault("silence", nth=2))
    filter_.add(Fault("delay", "greeting", nth=2, seconds=1))
    negotiation = b'{"execute": "qmp_capabilities", "id": 1}'
    filter_.connected()
    assert filter_.from_server(GREETING) == [Send("client", GREETING)]
    filter_.from_client(negotiation)
    assert filter_.from_server(FIRST) == [Send("client", FIRST)]
    filter_.from_client(ask(2))
    assert filter_.from_server(SECOND) == [Send("client", SECOND)]
    filter_.client_gone()
    filter_.connected()
    assert filter_.from_server(GREETING) == [Wait("client", 1), Send("client", GREETING)]
    filter_.from_client(ask(2))
    assert filter_.from_server(SECOND) == []
    filter_.from_client(ask(2))
    assert filter_.from_server(SECOND) == [Send("client", SECOND)]


def test_what_is_told() -> None:
    told: list[tuple[str, Any]] = []
    filter_ = FaultFilter(lambda kind, message: told.append((kind, message)))
    filter_.connected()
    filter_.from_server(GREETING)
    filter_.from_client(b"{'execute': 'stop'}")
    filter_.from_client(b'{"execute": nonsense}')
    filter_.server_gone()
    filter_.client_gone()
    assert told == [
        ("connected", None), ("server", {"QMP": {}}), ("client", {"execute": "stop"}),
        ("client", '{"execute": nonsense}'), ("disconnected", "server"),
    ]  # fmt: skip


def test_a_refusal_counts_clients() -> None:
    filter_ = FaultFilter()
    assert not filter_.refuse()
    filter_.add(Fault("refuse", nth=2))
    assert [filter_.refuse() for _ in range(3)] == [False, True, False]


def test_a_line_end_in_a_string_and_0xff_forget_what_was_begun() -> None:
    cutter = MessageCutter()
    for bad in (b'{"execute\n', b'{"a": [\xff'):
        assert [raw for _piece, raw in cutter.feed(bad) if raw] == []
        ((_piece, raw),) = cutter.feed(b'{"execute": "stop"}')
        assert raw is not None and parse(raw) == {"execute": "stop"}


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"kind": "explode"}, "there is no fault 'explode', but delay, disconnect, "),
        ({"kind": "delay", "nth": 0}, "nth counts from 1"),
        ({"kind": "delay", "seconds": -1}, "not negative"),
        ({"kind": "disconnect", "at": (1, 2)}, "ends at one byte"),
        ({"kind": "error", "command": "greeting"}, "no error can come for a greeting"),
    ],
)
def test_faults_that_cannot_be(wrong: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        Fault(**wrong)
