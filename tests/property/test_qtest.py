"""The qtest session by itself: however its input is cut, the replies are the same, and nothing raises."""

from __future__ import annotations

import base64
import itertools
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ramslot.monitor import qtest
from ramslot.monitor.qtest import COMMANDS, LONGEST_LINE, MASK, QtestError, QtestSession, decode_base64

SIZE = 0x1000
SETTINGS: list[dict[str, Any]] = [{}, {"cuts ports": True, "intercepts": True, "clock refuses": False}]
WORDS = st.one_of(
    st.integers(-2, SIZE + 9).map(str),
    st.integers(0, MASK + 5).map(hex),
    st.sampled_from(
        [
            "",
            "x",
            "0x",
            "08",
            "0b11",
            "-0x1",
            "\t1",
            "0xabcd",
            "0xzz",
            "AQID",
            "====",
            "/device",
            "99999999999999999999",
        ]
    ),
    st.binary(max_size=9).map(lambda data: data.decode("latin-1").replace("\n", "")),
)
LINES = st.one_of(
    st.builds(
        lambda name, words: " ".join([name, *words]), st.sampled_from(sorted(COMMANDS)), st.lists(WORDS, max_size=6)
    ),
    st.lists(WORDS, max_size=4).map(" ".join),
)


class Memory:
    """Some bytes of memory at 0 and nothing else; what is at `missing` the host has not."""

    missing = 0x900

    def __init__(self, byte_order: Literal["little", "big"]) -> None:
        self.byte_order = byte_order
        self.data = bytearray(SIZE)

    def read(self, address: int, size: int) -> bytes:
        self._check(address, size)
        return bytes(self.data[at & MASK] if at & MASK < SIZE else 0 for at in range(address, address + size))

    def write(self, address: int, data: bytes) -> None:
        self._check(address, len(data))
        for number, byte in enumerate(data):
            if (address + number) & MASK < SIZE:
                self.data[(address + number) & MASK] = byte

    def _check(self, address: int, size: int) -> None:
        if address <= self.missing < address + size:
            raise QtestError("the host has no page")

    def finds_device(self, path: str) -> bool:
        return path == "/device"


def session(order: Literal["little", "big"] = "little", **settings: Any) -> QtestSession:
    return QtestSession(Memory(order), settings, binary=True, has_clock=True, has_rtas=True)


def replies(asked: QtestSession, pieces: list[bytes]) -> list[bytes]:
    found = []
    for piece in pieces:
        asked.receive(piece)
        while (line := asked.next_line()) is not None:
            found.append(asked.answer(line))
    return found


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(qtest, "MOST_READ", 5000)
    monkeypatch.setattr(qtest, "MOST_WRITTEN", 5000)
    monkeypatch.setattr(qtest, "PORTION", 1000)


@given(st.lists(LINES, max_size=12), st.lists(st.integers(0, 400), max_size=12), st.sampled_from(SETTINGS))
def test_cutting_changes_nothing(lines: list[str], cuts: list[int], settings: dict[str, Any]) -> None:
    data = "".join(f"{line}\n" for line in lines).encode("latin-1")
    borders = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    whole, cut = session(**settings), session(**settings)
    pieces = [data[start:end] for start, end in itertools.pairwise(borders)]
    told = replies(whole, [data])
    assert replies(cut, pieces) == told
    assert replies(session(**settings), [bytes([byte]) for byte in data]) == told
    assert len(told) == len(lines)
    for line, reply in zip(lines, told, strict=True):
        assert reply.startswith((b"OK", b"FAIL", b"ERR")) if line else reply == b""
        assert reply.count(b"\n") == bool(line)


@given(st.binary(max_size=300))
def test_anything_is_answered(data: bytes) -> None:
    assert len(replies(session(), [data])) == data.count(b"\n")


@given(st.sampled_from("bwlq"), st.integers(0, 0x800), st.integers(-1 << 63, MASK), st.sampled_from(["little", "big"]))
def test_a_value_is_read_as_it_was_written(
    letter: str, place: int, value: int, order: Literal["little", "big"]
) -> None:
    asked = session(order)
    width = 8 * qtest.WIDTHS[letter]
    told = replies(asked, [f"write{letter} {place} {value}\nread{letter} {place:#x}\n".encode()])
    assert told == [b"OK\n", f"OK {value & (1 << width) - 1:#018x}\n".encode()]


@given(st.integers(0, 0x600), st.binary(min_size=1, max_size=500), st.booleans())
def test_bytes_are_read_as_they_were_written(place: int, data: bytes, as_base64: bool) -> None:
    text = base64.b64encode(data).decode() if as_base64 else f"0x{data.hex()}"
    prefix = "b64" if as_base64 else ""
    asked = session()
    told = replies(asked, [f"{prefix}write {place} {len(data)} {text}\n{prefix}read {place} {len(data)}\n".encode()])
    assert told == [b"OK\n", f"OK {text}\n".encode()]


def slow_base64(text: bytes) -> bytes:
    """GLib's way, digit by digit."""
    digits = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    quad: list[int] = []
    found = bytearray()
    for byte in text:
        if byte not in digits + b"=":
            continue
        quad.append(byte)
        if len(quad) == 4:
            value = 0
            for each in quad:
                value = value << 6 | max(digits.find(each), 0)
            three = value.to_bytes(3, "big")
            found.append(three[0])
            found += b"" if quad[2] == ord("=") else three[1:2]
            found += b"" if quad[3] == ord("=") else three[2:]
            quad = []
    return bytes(found)


@given(st.text("AZaz09+/==- \x80", max_size=40))
def test_base64_is_read_as_glib_reads_it(text: str) -> None:
    assert decode_base64(text.encode("latin-1")) == slow_base64(text.encode("latin-1"))


def test_a_line_without_end_is_not_kept() -> None:
    asked = session()
    for _ in range(3):
        asked.receive(b"x" * LONGEST_LINE)
        assert asked.next_line() is None
    assert replies(asked, [b"\nendianness\n"]) == [
        f"FAIL the line is longer than {LONGEST_LINE} bytes\n".encode(),
        b"OK little\n",
    ]


def test_a_new_client_begins_anew_but_for_the_clock() -> None:
    asked = session()
    assert replies(asked, [b"clock_step 5\nendian"]) == [b"OK 5\n"]
    asked.begin()
    assert replies(asked, [b"endianness\nclock_step 1\n"]) == [b"OK little\n", b"OK 6\n"]
