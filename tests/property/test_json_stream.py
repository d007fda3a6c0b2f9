"""The JSON stream on anything: the quick way and the exact one agree, and it does not matter how the bytes are cut."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from ramslot.commands.json_output import encode
from ramslot.commands.json_stream import NEED_MORE, JSONError, JSONStream
from ramslot.commands.json_text import JSONReader

FRAGMENTS = [
    b'{"execute":"x"}', b'{"id":', b'{"a":1,"a":2}', b'"a":', b"{", b"}", b"[", b"]", b":", b",", b'"', b"'", b"\\",
    b"\\u", b"\\n", b"\\'", b"\\ud83d", b"\\ude00", b"\\uffff", b"0", b"1", b"-", b".", b"e", b"E5", b"0e1", b"1.5",
    b"+", b" ", b"\n", b"\t", b"\x00", b"\x01", b"\x7f", b"\x80", b"\xff", b"\xfe", b"\xc3\xa9", b"\xc0\x80",
    b"\xf0\x9f\x98", b"%p", b"true", b"null", b"NaN", b"Infinity", b"18446744073709551615", b"18446744073709551616",
    b"9" * 5000,
]  # fmt: skip
inputs = st.lists(st.one_of(st.sampled_from(FRAGMENTS), st.binary(max_size=3)), max_size=20).map(b"".join)

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(1 << 63), (1 << 64) - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(exclude_categories=["Cs"])),
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(max_codepoint=0xD7FF)), inner)
)


def plainly(result: Any) -> str:
    """A form that tells 1 from 1.0 and from true, and errors from values."""
    return f"error: {result.text}" if type(result) is JSONError else repr(result)


def taken(*chunks: bytes, places: bool = False) -> list[str]:
    stream = JSONStream(places)
    results: list[str] = []
    for chunk in chunks:
        stream.feed(chunk)
        while (result := stream.take()) is not NEED_MORE:
            results.append(plainly(result))
    return results


def read_exactly(data: bytes) -> list[str]:
    reader = JSONReader()
    text, position = data.decode("latin-1"), 0
    results: list[str] = []
    while True:
        result, position = reader.read(text, position)
        if result is NEED_MORE:
            assert position == len(text)
            return results
        results.append(plainly(result))


@given(inputs)
@example(b'{"a":0e5}')
@example(b'{"a":-0E5}')
@example(b'{"a":"\\ud800"}')
@example(b'{"a":[NaN]}')
@example(b'{"a":{"b":1,"b":1}}')
@example(b'{"a":1}{"a":01}{"a":1}')
@example(b'{"a":' * 1025 + b"1" + b"}" * 1025)
def test_the_quick_way_and_the_exact_one_agree(data: bytes) -> None:
    assert taken(data) == read_exactly(data)


@given(inputs, st.booleans(), st.data())
def test_it_does_not_matter_how_the_bytes_are_cut(data: bytes, places: bool, draw: st.DataObject) -> None:
    cuts = sorted(draw.draw(st.lists(st.integers(0, len(data)), max_size=8)))
    pieces = [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]
    assert taken(*pieces, places=places) == taken(data, places=places)


@given(inputs)
def test_the_next_good_value_is_read_after_any_input(data: bytes) -> None:
    # As libqtest does it: 0xFF ends whatever is open, at the price of one more error.
    assert taken(data + b'\xff{"good": 1}')[-1] == "{'good': 1}"


@given(values)
def test_json_comes_in_as_the_standard_library_writes_it(value: Any) -> None:
    for text in (json.dumps({"": value}), json.dumps({"": value}, ensure_ascii=False)):
        [result] = taken(text.encode())
        if not result.startswith("error: JSON parse error, "):
            assert "".join(result.split()) == "".join(repr({"": value}).split())
        else:  # noncharacters, and an exponent behind a single zero
            assert result.endswith(("is not a valid Unicode character", "invalid UTF-8 sequence in string"))


@given(values, st.booleans())
def test_what_goes_out_is_json_with_the_same_meaning(value: Any, pretty: bool) -> None:
    line = encode(value, pretty)
    assert line.endswith(b"\r\n")
    assert line.isascii()
    assert line.count(b"\r\n") == line.count(b"\n")
    assert json.loads(line) == value


@given(st.text(st.characters(max_codepoint=0x7F) | st.characters()), st.text())
def test_a_text_is_spelled_in_one_way_whatever_it_stands_in(text: str, name: str) -> None:
    in_lists = [encode([part]).removeprefix(b"[").removesuffix(b"]\r\n") for part in (name, text)]
    assert encode({name: text}) == b"{%s: %s}\r\n" % tuple(in_lists)
