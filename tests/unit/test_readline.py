"""The line discipline: what keys do to a line, and what is sent to the terminal. QEMU's bytes were measured on 7.2."""

from __future__ import annotations

import pytest

from ramslot.monitor.readline import ECHO_PORTION, HISTORY_LIMIT, LINE_LIMIT, Readline, banner, to_terminal

UP, DOWN, RIGHT, LEFT = b"\x1b[A", b"\x1b[B", b"\x1b[C", b"\x1b[D"


def typed(*keys: bytes, readline: Readline | None = None) -> tuple[bytes, list[str]]:
    """Type keys, a new line starting after each complete one; return all that was sent, and the lines."""
    readline = readline or Readline(prompt="> ")
    sent, lines = readline.start(), []
    for key in keys:
        readline.receive(key)
        while readline.has_input:
            echo, line = readline.advance()
            sent += echo
            if line is not None:
                lines.append(line)
                sent += readline.start()
    return sent, lines


@pytest.mark.parametrize(
    ("keys", "echo"),
    [
        (b"abc", b"a\x1b[K\x1b[Dab\x1b[K\x1b[D\x1b[Dabc\x1b[K"),
        (b"ab\x7f", b"a\x1b[K\x1b[Dab\x1b[K\x1b[D\x1b[Da\x1b[K"),
        (b"a\x08\x08", b"a\x1b[K\x1b[D\x1b[K"),
        (b"ab\x01X", b"a\x1b[K\x1b[Dab\x1b[K\x1b[D\x1b[DXab\x1b[K\x1b[D\x1b[D"),
        (b"ab\x01\x05", b"a\x1b[K\x1b[Dab\x1b[K\x1b[D\x1b[D\x1b[C\x1b[C"),
        (b"a\x0c", b"a\x1b[K\x1b[2J\x1b[1;1H> a\x1b[K"),
        (b"\x0c", b"\x1b[2J\x1b[1;1H> "),
        (b"a\r\n", b"a\x1b[K\r\n> \r\n> "),
        ("é".encode(), b"\xc3\x1b[K\x1b[D\xc3\xa9\x1b[K"),
        (b"\x00\x02\x03\x06\x07\x0e\x10\x12\x14\x1a\x1f", b""),
    ],
)
def test_echo_is_that_of_qemu(keys: bytes, echo: bytes) -> None:
    assert typed(keys)[0] == b"> " + echo


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        (b"info status", "info status"),
        (b"abc\x7f\x7fx", "ax"),
        (b"ab cd ef" + LEFT * 3 + b"\x04", "ab cdef"),
        (b"ab cd ef" + LEFT * 3 + b"\x1b[3~", "ab cdef"),
        (b"ab cd ef\x17", "ab cd "),
        (b"ab cd  \x17", "ab "),
        (b" ab\x17", ""),
        (b"  ab\x17", "  "),
        (b"ab  cd" + LEFT * 2 + b"\x17", "cd"),
        (b"ab cd" + LEFT * 2 + b"\x15", "cd"),
        (b"ab cd" + LEFT * 2 + b"\x0b", "ab "),
        (b"ab\x01\x04\x04\x04", ""),
        (b"ab\x1b[1~x\x1b[4~y", "xaby"),
        (b"ab\x1bOHx\x1bOFy", "xaby"),
        (b"ab\x1b[Hx\x1b[Fy", "xaby"),
        (b"ab\x1b[01~x", "xab"),
        (b"ab\x1b[3Dx", "axb"),
        (b"ab\x1b[1;5Dx", "axb"),
        (b"ab\x1bbx\x1b[5~y\x1bOPz\x1b[Pw", "abxyzw"),
        (b"ab\x1b" + LEFT, "ab[D"),
        (b"ab\x1b[[Ac", "abAc"),
        ("Л ✛".encode(), "Л ✛"),
        (b"\xff", "\udcff"),
        (b"\x1b[" + b"1" * 1000 + b"~a", "a"),
    ],
)
def test_keys_edit_the_line(keys: bytes, line: str) -> None:
    assert typed(keys + b"\r")[1] == [line]


@pytest.mark.parametrize("end", [b"\r", b"\n"])
def test_carriage_return_and_line_feed_each_end_a_line(end: bytes) -> None:
    assert typed(b"one" + end + b"two" + end)[1] == ["one", "two"]


def test_input_may_be_split_anywhere() -> None:
    keys = b"info nam\x7fme\x1b[D\x1b[3~\x01x\rnext\x17\n"
    assert typed(*(bytes((byte,)) for byte in keys)) == typed(keys)


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        (UP, "two"),
        (UP + UP, "one"),
        (UP + UP + UP, "one"),
        (UP + UP + DOWN, "two"),
        (UP + DOWN, ""),
        (b"mine" + UP + DOWN, ""),
        (b"mine" + DOWN, "mine"),
        (UP + b"zz" + UP + DOWN, "two"),
    ],
)
def test_history_is_recalled(keys: bytes, line: str) -> None:
    assert typed(b"one\rtwo\r" + keys + b"\r")[1][-1] == line


def test_a_repeated_line_moves_to_the_end_of_history() -> None:
    assert typed(b"one\rtwo\rone\r" + UP * 2 + b"\r")[1][-1] == "two"
    assert typed(b"one\rtwo\rone\r" + UP * 3 + b"\r")[1][-1] == "two"


def test_an_empty_line_is_not_remembered_and_a_blank_one_is() -> None:
    assert typed(b"one\r\r" + UP + b"\r")[1][-1] == "one"
    assert typed(b"one\r  \r" + UP + b"\r")[1][-1] == "  "


def test_history_is_bounded() -> None:
    lines = b"".join(b"c%d\r" % i for i in range(HISTORY_LIMIT + 16))
    assert typed(lines + UP * 100 + b"\r")[1][-1] == "c16"


def test_a_line_is_bounded() -> None:
    assert typed(b"x" * 4090 + b"y" * 10 + b"\r")[1] == ["x" * 4090 + "y" * 5]
    assert LINE_LIMIT == 4095


def test_echo_comes_in_bounded_portions() -> None:
    readline = Readline()
    readline.start()
    readline.receive(b"x" * 4000)
    portions = []
    while readline.has_input:
        echo, line = readline.advance()
        assert line is None
        portions.append(len(echo))
    assert len(portions) > 10
    assert max(portions) < 2 * ECHO_PORTION


def test_what_is_typed_ahead_waits_for_its_prompt() -> None:
    readline = Readline(prompt="> ")
    readline.start()
    readline.receive(b"a\rb\r")
    assert readline.advance() == (b"a\x1b[K\r\n", "a")
    assert readline.has_input
    assert readline.start() == b"> "
    assert readline.advance() == (b"b\x1b[K\r\n", "b")
    assert not readline.has_input


def complete(text: str) -> tuple[int, list[str]]:
    words = ["network", "name", "numa", "memory-devices", "memory_size_summary", "/etc/", "ärger", "ärgste"]
    return text.rfind(" ") + 1, words


@pytest.mark.parametrize(
    ("keys", "sent"),
    [
        (b"i na\t", b"i name \x1b[K"),
        (b"i n\t", b"\r\nname      network   numa      \r\n> i n\x1b[K"),
        (b"i memo\t", b"\r\nmemory-devices       memory_size_summary  \r\n> i memory\x1b[K"),
        (b"/e\t", b"/etc/\x1b[K"),
        (b"naXY" + LEFT * 2 + b"\t", b"name XY\x1b[K\x1b[D\x1b[D"),
        ("ä\t".encode(), "\r\närger     ärgste    \r\n> ärg\x1b[K".encode()),
        (b"zz\t", b"zz\x1b[K"),
    ],
)
def test_completion(keys: bytes, sent: bytes) -> None:
    assert typed(keys, readline=Readline(prompt="> ", complete=complete))[0].endswith(sent)


def test_many_completions_stand_in_columns() -> None:
    words = [f"word-{i:02}" for i in range(20)]
    sent, _ = typed(b"w\t", readline=Readline(prompt="> ", complete=lambda text: (0, words)))
    rows = sent.split(b"\r\n")[1:-1]
    assert [len(row) for row in rows] == [80, 80, 40]
    assert rows[0].split() == [word.encode() for word in words[:8]]


def test_no_completer_no_completion() -> None:
    assert typed(b"a\tb\r")[1] == ["ab"]


def test_a_completer_that_fails_leaves_the_line_usable() -> None:
    def broken(text: str) -> tuple[int, list[str]]:
        raise ValueError(text)

    readline = Readline(complete=broken)
    readline.start()
    readline.receive(b"ab\tc\r")
    with pytest.raises(ValueError, match="ab"):
        readline.advance()
    assert readline.advance()[1] == "abc"


def test_output_newlines_are_translated() -> None:
    assert to_terminal("a\nb\udcff\n") == b"a\r\nb\xff\r\n"
    assert banner("7.2.22") == b"QEMU 7.2.22 monitor - type 'help' for more information\r\n"
