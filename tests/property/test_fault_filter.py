"""What the filter between client and server lets through, however the bytes are cut."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ramslot.monitor.framing import MessageCutter, parse
from ramslot.monitor.testing.faults import Fault
from ramslot.monitor.testing.filter import Close, FaultFilter, Send

texts = st.text(st.sampled_from("a\"\\'{}[] é"), max_size=6)
values = st.recursive(
    st.none() | st.integers(-9, 9) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
commands = st.builds(
    lambda name, arguments, number: {"execute": name, "arguments": arguments, "id": number},
    st.sampled_from(["query-name", "object-add", "stop"]),
    st.dictionaries(texts, values, max_size=3),
    st.integers(0, 9),
)
noise = st.binary(max_size=12)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    bounds = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in pairwise(bounds)]


def wire(message: Any, end: bytes = b"") -> bytes:
    return json.dumps(message).encode() + end


def sent(actions: list[Any], side: str) -> bytes:
    return b"".join(action.data for action in actions if isinstance(action, Send) and action.to == side)


places = st.lists(st.integers(0, 1 << 16), max_size=8)


@given(st.lists(commands.map(wire) | noise, max_size=5), places)
def test_without_faults_the_server_gets_every_byte_at_once(parts: list[bytes], where: list[int]) -> None:
    filter_ = FaultFilter()
    filter_.connected()
    for chunk in cut(b"".join(parts), where):
        actions = filter_.from_client(chunk)
        assert sent(actions, "server") == chunk
        assert all(isinstance(action, Send) for action in actions)


@given(st.lists(values.map(lambda value: wire({"return": value}, b"\r\n")) | noise, max_size=5), places)
def test_without_faults_the_client_gets_every_byte(parts: list[bytes], where: list[int]) -> None:
    stream = b"".join(parts)
    filter_ = FaultFilter()
    filter_.connected()
    actions = [action for chunk in cut(stream, where) for action in filter_.from_server(chunk)]
    assert stream.startswith(sent(actions, "client"))
    actions += filter_.server_gone()
    assert sent(actions, "client") == stream
    assert actions[-1] == Close()
    assert all(isinstance(action, Send) for action in actions[:-1])


@given(st.lists(commands, max_size=5), st.sampled_from([b"", b" ", b"\r\n", b"\n\t"]), places, st.booleans())
def test_messages_are_found(messages: list[Any], between: bytes, where: list[int], lines: bool) -> None:
    stream = b"".join(wire(message, b"\r\n" if lines else between) for message in messages)
    cutter = MessageCutter(lines)
    pieces = [piece for chunk in cut(stream, where) for piece in cutter.feed(chunk)]
    assert b"".join(piece for piece, _raw in pieces) == stream
    assert [parse(raw) for _piece, raw in pieces if raw is not None] == messages


@given(st.lists(commands, min_size=1, max_size=5), places, st.integers(0, 4))
def test_what_a_disconnect_withholds_never_arrives(messages: list[Any], where: list[int], index: int) -> None:
    nth = index % len(messages) + 1
    filter_ = FaultFilter()
    filter_.add(Fault("disconnect", nth=nth))
    filter_.connected()
    actions = [a for chunk in cut(b"".join(map(wire, messages)), where) for a in filter_.from_client(chunk)]
    assert sent(actions, "server") == b"".join(map(wire, messages[: nth - 1]))
    assert actions.count(Close()) == 1


@given(st.lists(st.tuples(commands, values), min_size=1, max_size=5), places, st.lists(st.integers(0, 60), max_size=4))
def test_a_split_loses_nothing(exchange: list[tuple[Any, Any]], where: list[int], at: list[int]) -> None:
    filter_ = FaultFilter()
    filter_.add(Fault("split", nth=None, at=tuple(at)))
    filter_.connected()
    filter_.from_client(b"".join(wire(command) for command, _value in exchange))
    stream = b"".join(wire({"return": value, "id": command["id"]}, b"\r\n") for command, value in exchange)
    actions = [action for chunk in cut(stream, where) for action in filter_.from_server(chunk)]
    assert sent(actions, "client") == stream
