"""The line discipline of the human monitor on a byte stream: echo, editing, history, completion. No input or output.

It knows no commands: what a line means, and what completes one, comes from outside. The bytes sent are those of
QEMU 7.2, byte for byte, for every key that it knows. Beyond QEMU: ^U and ^K delete to the start and to the end of the
line, ESC [ H and ESC [ F are Home and End, parameters after `;` are swallowed and not typed, and byte 0x9B is text (it
occurs inside UTF-8 characters) and no ESC [.

Like QEMU, a line is bytes: Backspace over a character of two bytes removes one of them.
"""

from __future__ import annotations

import os.path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import TypeAlias

    Completer: TypeAlias = Callable[[str], tuple[int, Iterable[str]]]

LINE_LIMIT = 4095
"""Bytes in a line, as QEMU; what is typed beyond is dropped."""

HISTORY_LIMIT = 64

ECHO_PORTION = 0x10000
"""`advance` pauses after this many bytes of echo. The whole line is shown anew for each byte typed, so the echo of a
line grows with the square of its length, 33 MB for the longest: a client that does not read must not fill memory."""

_LEFT = b"\x1b[D"
_RIGHT = b"\x1b[C"
_CLEAR_TO_END = b"\x1b[K"
_CLEAR_SCREEN = b"\x1b[2J\x1b[1;1H"

_SCREEN_COLUMNS = 80

_PLAIN, _ESCAPE, _CSI, _SS3 = range(4)


def to_terminal(text: str) -> bytes:
    r"""Encode monitor output: each `\n` becomes `\r\n`."""
    return text.replace("\n", "\r\n").encode("utf-8", "surrogateescape")


def banner(version: str) -> bytes:
    """Return what a human monitor says when a client has come, before the first prompt."""
    return to_terminal(f"QEMU {version} monitor - type 'help' for more information\n")


class Readline:
    """Bytes in, echo and lines out.

    `start` a line, hand over input with `receive`, and `advance` while `has_input`. When `advance` has returned a
    line, run it and `start` the next; input that was typed ahead waits. `complete(text before the cursor)` returns the
    index where the word to be completed starts and the candidates for the whole word.
    """

    __slots__ = (
        "_complete",
        "_cursor",
        "_history",
        "_input",
        "_line",
        "_output",
        "_parameter",
        "_position",
        "_prompt",
        "_recalled",
        "_shown",
        "_shown_cursor",
        "_state",
    )

    def __init__(self, prompt: str = "(qemu) ", complete: Completer | None = None) -> None:
        self._prompt = prompt.encode()
        self._complete = complete
        self._history: list[bytes] = []
        self._recalled: int | None = None
        """Index of the history entry that is being edited."""
        self._input = b""
        self._position = 0
        self._output = bytearray()
        self._line = bytearray()
        self._cursor = 0
        self._shown = b""
        self._shown_cursor = 0
        self._state = _PLAIN
        self._parameter = ""

    @property
    def has_input(self) -> bool:
        """Whether `advance` has something to do."""
        return self._position < len(self._input)

    def receive(self, data: bytes) -> None:
        """Take what was typed; it is kept until `advance` comes to it, so take no more while a line runs."""
        self._input = self._input[self._position :] + data
        self._position = 0

    def start(self) -> bytes:
        """Begin a new line and return the prompt."""
        self._line.clear()
        self._cursor = 0
        self._forget_screen()
        return self._prompt

    def advance(self) -> tuple[bytes, str | None]:
        """Work through the input up to the end of a line; return what to echo, and the line if it is complete.

        Bytes that are no UTF-8 are in the line as surrogate escapes.
        """
        line = None
        while self.has_input:
            byte = self._input[self._position]
            self._position += 1
            if self._state == _PLAIN and byte in b"\r\n":
                line = self._end_line()
                break
            self._key(byte)
            self._refresh()
            if len(self._output) >= ECHO_PORTION:
                break
        echo = bytes(self._output)
        self._output.clear()
        return echo, line

    def _end_line(self) -> str:
        self._output += b"\r\n"
        line = bytes(self._line)
        if line:  # after an empty line QEMU stays at the entry that was recalled
            if line in self._history:
                self._history.remove(line)
            self._history.append(line)
            del self._history[:-HISTORY_LIMIT]
            self._recalled = None
        return line.decode("utf-8", "surrogateescape")

    def _key(self, byte: int) -> None:
        if self._state == _PLAIN:
            if byte >= 0x20 and byte != 0x7F:
                self._insert(bytes((byte,)))
            elif byte in _CONTROLS:
                _CONTROLS[byte](self)
        elif self._state == _ESCAPE:
            self._state = {0x5B: _CSI, 0x4F: _SS3}.get(byte, _PLAIN)
            self._parameter = ""
        elif self._state == _CSI and 0x30 <= byte <= 0x3F:
            # A line is bounded, and so must be a parameter: those in use have one or two digits.
            self._parameter = (self._parameter + chr(byte))[:16]
        else:
            keys = _CSI_KEYS if self._state == _CSI else _SS3_KEYS
            name = chr(byte)
            if name == "~":
                name = self._parameter.partition(";")[0].lstrip("0") + name
            self._state = _PLAIN
            if name in keys:
                keys[name](self)

    def _escape(self) -> None:
        self._state = _ESCAPE

    def _insert(self, text: bytes) -> None:
        text = text[: LINE_LIMIT - len(self._line)]
        self._line[self._cursor : self._cursor] = text
        self._cursor += len(text)

    def _delete(self, start: int, end: int) -> None:
        del self._line[start:end]
        self._cursor = start

    def _home(self) -> None:
        self._cursor = 0

    def _end(self) -> None:
        self._cursor = len(self._line)

    def _left(self) -> None:
        self._cursor = max(0, self._cursor - 1)

    def _right(self) -> None:
        self._cursor = min(len(self._line), self._cursor + 1)

    def _backspace(self) -> None:
        if self._cursor:
            self._delete(self._cursor - 1, self._cursor)

    def _delete_forwards(self) -> None:
        self._delete(self._cursor, self._cursor + 1)

    def _delete_word(self) -> None:
        blank = bytes(self._line[: self._cursor]).rstrip(b" ").rfind(b" ")
        # A single blank at the start of the line goes with the first word, as in QEMU.
        self._delete(blank + 1 if blank > 0 else 0, self._cursor)

    def _delete_to_start(self) -> None:
        self._delete(0, self._cursor)

    def _delete_to_end(self) -> None:
        self._delete(self._cursor, len(self._line))

    def _previous(self) -> None:
        index = len(self._history) if self._recalled is None else self._recalled
        if index > 0:
            self._recall(index - 1)

    def _next(self) -> None:
        if self._recalled is not None:
            self._recall(self._recalled + 1)

    def _recall(self, index: int) -> None:
        """Put a history entry into the line; one past the last is an empty line."""
        known = index < len(self._history)
        self._recalled = index if known else None
        self._line[:] = self._history[index] if known else b""
        self._end()

    def _clear_screen(self) -> None:
        self._output += _CLEAR_SCREEN + self._prompt
        self._forget_screen()

    def _tab(self) -> None:
        if self._complete is None:
            return
        text = bytes(self._line[: self._cursor]).decode("utf-8", "surrogateescape")
        start, words = self._complete(text)
        typed = text[start:]
        candidates = sorted({word for word in words if word.startswith(typed)})
        if not candidates:
            return
        common = os.path.commonprefix(candidates)  # noqa: RUF071 - of characters is what is wanted
        if len(candidates) == 1 and not common.endswith("/"):
            common += " "
        self._insert(common[len(typed) :].encode("utf-8", "surrogateescape"))
        if len(candidates) > 1:
            self._output += b"\r\n" + to_terminal(_columns(candidates)) + self._prompt
            self._forget_screen()

    def _forget_screen(self) -> None:
        """Note that the line is not on the screen."""
        self._shown = b""
        self._shown_cursor = 0

    def _refresh(self) -> None:
        """Bring the screen up to the line: the whole of it when a byte differs, else the cursor alone."""
        moved = self._cursor - self._shown_cursor
        if self._line != self._shown:
            self._output += _LEFT * self._shown_cursor + self._line + _CLEAR_TO_END
            self._output += _LEFT * (len(self._line) - self._cursor)
            self._shown = bytes(self._line)
        elif moved:
            self._output += _RIGHT * moved if moved > 0 else _LEFT * -moved
        self._shown_cursor = self._cursor


def _columns(words: list[str]) -> str:
    width = min(max(10, max(map(len, words)) + 2), _SCREEN_COLUMNS)
    per_row = _SCREEN_COLUMNS // width
    cells = [word.ljust(width) for word in words]
    return "".join("".join(cells[i : i + per_row]) + "\n" for i in range(0, len(cells), per_row))


_CONTROLS: dict[int, Callable[[Readline], None]] = {
    0x01: Readline._home,
    0x04: Readline._delete_forwards,
    0x05: Readline._end,
    0x08: Readline._backspace,
    0x09: Readline._tab,
    0x0B: Readline._delete_to_end,
    0x0C: Readline._clear_screen,
    0x15: Readline._delete_to_start,
    0x17: Readline._delete_word,
    0x1B: Readline._escape,
    0x7F: Readline._backspace,
}

_CSI_KEYS: dict[str, Callable[[Readline], None]] = {
    "A": Readline._previous,
    "B": Readline._next,
    "C": Readline._right,
    "D": Readline._left,
    "F": Readline._end,
    "H": Readline._home,
    "1~": Readline._home,
    "3~": Readline._delete_forwards,
    "4~": Readline._end,
}

_SS3_KEYS: dict[str, Callable[[Readline], None]] = {"F": Readline._end, "H": Readline._home}
