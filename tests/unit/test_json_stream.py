"""The JSON stream: what is a value, what is an error, in which words, where reading goes on; how answers are spelt."""

from __future__ import annotations

import json
from typing import Any, NoReturn

import pytest

from ramslot.commands import json_text
from ramslot.commands.json_output import encode
from ramslot.commands.json_stream import NEED_MORE, JSONError, JSONStream


def read(*chunks: bytes) -> list[Any]:
    """All that comes out of `chunks`: values as they are, errors as a tuple with their text."""
    stream = JSONStream()
    results: list[Any] = []
    for chunk in chunks:
        stream.feed(chunk)
        while (result := stream.take()) is not NEED_MORE:
            results.append((result.text.removeprefix("JSON parse error, "),) if type(result) is JSONError else result)
    return results


@pytest.mark.parametrize(
    ("data", "values"),
    [
        (b'{"execute":"x"}', [{"execute": "x"}]),
        (b'{"a":1}{"b":2}', [{"a": 1}, {"b": 2}]),
        (b' \r\n\t{"a":1}\r\n', [{"a": 1}]),
        (b"[1,2]3 true", [[1, 2], 3]),
        (b"true ", [True]),
        (b"{'a':'it\\'s \"'}", [{"a": "it's \""}]),
        (b'{"a\'b":"\\\'"}', [{"a'b": "'"}]),
        (b"[-0, 12, 1.0, 1e5, 1E+5, -1.5e-3]", [[0, 12, 1.0, 1e5, 1e5, -1.5e-3]]),
        (b"[9223372036854775808, 18446744073709551615]", [[1 << 63, (1 << 64) - 1]]),
        (b'"\\b\\f\\n\\r\\t\\/\\\\\\""', ['\b\f\n\r\t/\\"']),
        (b'"\\u00e9\\uD83D\\ude00\\u0000"', ["é😀\0"]),
        ("'é😀'".encode(), ["é😀"]),
        (b'"\xc0\x80\x7f"', ["\0\x7f"]),
        (b"", []),
        (b'{"a":', []),
    ],
)
def test_values(data: bytes, values: list[Any]) -> None:
    assert read(data) == values


@pytest.mark.parametrize(
    "literal", ["18446744073709551616", "-9223372036854775809", "99999999999999999999999", "1.0", "1e5", "-0.0"]
)
def test_numbers_beyond_64_bits_and_with_a_point_are_doubles(literal: str) -> None:
    for data in (f'{{"a":{literal}}}', f"{{'a':{literal}}}"):
        [value] = read(data.encode())
        assert repr(value["a"]) == repr(float(literal))


@pytest.mark.parametrize(
    ("data", "results"),
    [
        (b"{]", [("expecting value",)]),
        (b"[}", [("expecting value",)]),
        (b"}:,", [("expecting value",)] * 3),
        (b'{"a":[}', []),
        (b'{"a":[}]', [("expecting value",)]),
        (b'{"a":[1}]', [("expected separator in list",)]),
        (b'{"a":1]', [("expected separator in dict",)]),
        (b'{"a":1 "b":2}', [("expected separator in dict",)]),
        (b"[1 2]", [("expected separator in list",)]),
        (b"[1,]", [("expecting value",)]),
        (b'{"a":1,}', [("expecting value",)]),
        (b'{"a" 1}', [("missing : in object pair",)]),
        (b'{"a"}', [("missing : in object pair",)]),
        (b"{1:2}", [("key is not a string in object",)]),
        (b"{[1 2]:3}", [("expected separator in list",)]),
        (b"{[]:3}", [("key is not a string in object",)]),
        (b'{"a":1,"a":2}', [("duplicate key",)]),
        (b'{"a":1,"a":nul}', [("invalid keyword 'nul'",)]),
        (b"nul a_b ", [("invalid keyword 'nul'",), ("invalid keyword 'a'",), ("stray '_'",)]),
        (b"{\x01\x02", [("stray '\x01'",), ("stray '\x02'",)]),
        (b"{\xff{}", [("stray '\ufffd'",), {}]),
        (b'"abc\n', [("stray '\"abc\n'",)]),
        (b'"a\tb"', [("stray '\"a\t'",)]),
        (b'"a\xffb" {}', [("stray '\"a\ufffd'",), {}]),
        (b"\x00", [("stray ''",)]),
        (b"{%p}", [("stray '%'",), ("expecting value",)]),
        (b"// one\n1 ", [("stray '/'",), 1]),
        (b"A\tB\n2 ", [("stray 'A'",), 2]),
        (b"01 \n-{} ", [("stray '01'",), ("stray '-{'",), ("expecting value",)]),
        (b"[NaN]", [("stray 'N'",), ("expecting value",)]),
        (b"1. \n1e \n1e+ \n", [("stray '1. '",), ("stray '1e '",), ("stray '1e+ '",)]),
        (b"0e0 ", [0, ("invalid keyword 'e'",), 0]),
        (b'{"a":0e0}', [("expected separator in dict",)]),
        (b'"\\x"', [("invalid escape sequence in string",)]),
        (b'"\\u12"', [('\\u12" is not a valid Unicode character',)]),
        (b'"\\uD800\\u0041"', [("\\uD800 is not a valid Unicode character",)]),
        (b'"\\uffff"', [("\\uffff is not a valid Unicode character",)]),
        (b'"\\udbff\\udfff"', [("\\udbff\\udfff is not a valid Unicode character",)]),
        (b'"\x80"', [("invalid UTF-8 sequence in string",)]),
        (b'"\xed\xa0\x80"', [("invalid UTF-8 sequence in string",)]),
        (b'"\xef\xbf\xbf"', [("invalid UTF-8 sequence in string",)]),
        (b'"\xf0\xe9\x80\x80\n', [("stray '\"\ufffd\u9000\n'",)]),
    ],
)
def test_errors_and_recovery(data: bytes, results: list[Any]) -> None:
    assert read(data) == results
    assert read(*(data[index : index + 1] for index in range(len(data)))) == results
    # The session lives: a control character ends whatever was left open.
    assert read(data + b'\xff{"good":1}')[-1] == {"good": 1}


def test_value_is_complete_at_its_closing_brace() -> None:
    stream = JSONStream()
    stream.feed(b'{"execute":"x"')
    assert stream.take() is NEED_MORE
    stream.feed(b"}")
    assert stream.take() == {"execute": "x"}


def test_with_places_a_mistake_is_told_at_once_and_the_rest_is_passed_over() -> None:
    stream = JSONStream(places=True)
    stream.feed(b'{"a": 1}\n{"a" 1 ')
    assert stream.take() == {"a": 1}
    assert repr(stream.take()) == repr(JSONError("2:6: JSON parse error, expecting ':'"))
    assert stream.take() is NEED_MORE
    assert not stream.idle
    stream.feed(b'[nul, ] } {"b": 2}')
    assert stream.take() == {"b": 2}
    assert stream.take() is NEED_MORE
    assert stream.idle


def test_plain_input_needs_no_more_than_the_standard_library(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> NoReturn:
        raise AssertionError("not plain")

    monkeypatch.setattr(JSONStream, "_take_any", fail)
    data = b'{"execute":"object-add","arguments":{"size":1073741824,"id":"m\\"0","ratio":1.5}}\r\n'
    assert read(data + data) == [json.loads(data)] * 2


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}"), (b'[{"a":', b"}]")])
def test_nesting_limit(opening: bytes, closing: bytes) -> None:
    brackets = opening.count(b"[") + opening.count(b"{")
    count = 1024 // brackets
    [value] = read(opening * count + b"0" + closing * count)
    for _ in range(1024):
        [value] = value.values() if type(value) is dict else value
    assert value == 0
    assert read(opening * count + b"[")[0] == ("JSON nesting depth limit exceeded",)


def test_a_flood_of_brackets_is_an_error_for_each_1025() -> None:
    assert read(b"[" * 102500) == [("JSON nesting depth limit exceeded",)] * 100


def test_token_count_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_text, "MAX_TOKENS", 7)
    assert read(b"[1,2,3]", b" [1,2,3") == [[1, 2, 3]]
    assert read(b'[1,2,3,,{"a":0}') == [("JSON token count limit exceeded",), {"a": 0}]


def test_token_text_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_text, "MAX_TOKEN_TEXT", 100)
    assert read(b'["' + b"x" * 95 + b'"]') == [["x" * 95]]
    assert read(b'["' + b"x" * 96 + b'"]') == [("JSON token size limit exceeded",)]
    assert read(b'["' + b"x" * 97 + b'"]') == [("JSON token size limit exceeded",), ("expecting value",)]
    assert read(b"[" + b" " * 1000 + b"]") == [[]]
    assert read(b"A" * 1000 + b"{}") == [("stray 'A'",), {}]


@pytest.mark.parametrize("size", [1, 7, 100, 101, 1000])
def test_token_that_is_too_long_is_given_up_and_the_rest_is_read_on(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(json_text, "MAX_TOKEN_TEXT", 100)
    text, number = b'["' + b"x" * 105 + b'"\n', b"1" * 205 + b" 2 "
    limit = ("JSON token size limit exceeded",)
    chunks = [text[start : start + size] for start in range(0, len(text), size)]
    assert read(*chunks) == [limit, ("invalid keyword 'xxxxx'",), ("stray '\"\n'",)]
    chunks = [number[start : start + size] for start in range(0, len(number), size)]
    assert read(*chunks) == [limit, limit, 111, 2]


@pytest.mark.parametrize(
    ("value", "line"),
    [
        ({"return": {}}, r'{"return": {}}'),
        (
            {"return": [], "id": [1, "a", None, True, {"k": -5}]},
            r'{"return": [], "id": [1, "a", null, true, {"k": -5}]}',
        ),
        ("é\u00a0\x7f\x80\u2028", r'"\u00E9\u00A0\u007F\u0080\u2028"'),
        ("\x00\x01\x1f\b\f\n\r\t", r'"\u0000\u0001\u001F\b\f\n\r\t"'),
        ('"\\/<', r'"\"\\/<"'),
        ("\\u00e9", r'"\\u00e9"'),
        ("\\é", r'"\\\u00E9"'),
        ("😀", r'"\uD83D\uDE00"'),
        ("a\udc80b\ud800", r'"a\uFFFDb\uFFFD"'),
        ([1.0, -0.0, 1.5, 0.1, 1e-7], "[1, -0, 1.5, 0.10000000000000001, 9.9999999999999995e-08]"),
        ([1e16, 1e17, 1e300], "[10000000000000000, 1e+17, 1.0000000000000001e+300]"),
        ([float("inf"), -float("inf")], "[inf, -inf]"),
        ({"1.0": "1.0", "a": " 1.50, [2.50", "b": 2.5, "c\\": '"1.0'}, None),
        ([(1 << 64) - 1, -(1 << 63)], "[18446744073709551615, -9223372036854775808]"),
    ],
)
def test_encode(value: Any, line: str | None) -> None:
    assert encode(value) == (json.dumps(value) if line is None else line).encode() + b"\r\n"


def test_every_character_is_spelled_alike_in_an_answer_and_within_a_list() -> None:
    for character in map(chr, range(0x100)):
        assert encode({"return": character}) == b'{"return": %s}\r\n' % encode([character])[1:-3]


def test_encode_pretty() -> None:
    value = {"return": {}, "id": [{}, [], ["{}", {"a": None}], 1.0, "[]"]}
    assert encode(value, pretty=True).decode().split("\r\n") == [
        "{",
        '    "return": {',
        "    },",
        '    "id": [',
        "        {",
        "        },",
        "        [",
        "        ],",
        "        [",
        '            "{}",',
        "            {",
        '                "a": null',
        "            }",
        "        ],",
        "        1,",
        '        "[]"',
        "    ]",
        "}",
        "",
    ]


@pytest.mark.parametrize("pretty", [False, True])
def test_encode_what_is_nested_as_deep_as_may_come_in(pretty: bool) -> None:
    data = b"[" * 1024 + b"]" * 1024
    [value] = read(data)
    assert b"".join(encode(value, pretty).split()) == data
