"""QEMU's reading of JSON text, to the letter: every liberty, every limit and every error text.

What belongs here: the tokens, the grammar and the strings of whatever is not plainly good JSON, or comes in pieces, or
is large. What does not: buffering (``json_stream``, which loads this module when it is first needed). All of it was
measured on the real program; time is linear in the input, however it is cut, and nothing recurses.
"""

from __future__ import annotations

import re

from .json_stream import NEED_MORE, PARSE_ERROR, JSONError, integer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Place = Callable[[int], tuple[int, int]]

MAX_TOKEN_TEXT = 64 << 20
"""Bytes of token text one value may have; longer input is refused before it fills the memory."""
MAX_TOKENS = 2 << 20
"""Tokens one value may have: each costs many times its text."""
MAX_NESTING = 1024
"""Brackets that may be open at once, so that who walks a value may recurse."""

INTEGER, FLOAT, STRING, WORD, BAD, LONG = "integer", "float", "string", "word", "bad", "long"
"""Kinds of tokens; a structural character is its own kind."""


class _State:
    """Where the lexer is within a token: what it passes over, where a character leads, what the token is if it ends."""

    __slots__ = ("ends_as", "moves", "run")

    def __init__(self, run: str, ends_as: str = "") -> None:
        self.run: Callable[[str, int], re.Match[str] | None] = re.compile(run).match
        self.moves: dict[str, _State | str] = {}
        self.ends_as = ends_as

    def on(self, characters: str, move: _State | str) -> None:
        for character in characters:
            self.moves[character] = move


# Text is Latin-1: one character per byte. These bytes end a string, and a stretch of bad input, the hard way.
_CONTROL = r"\x00-\x1f\xfe\xff"
_DIGITS = "0123456789"

_start = _State(r"[ \t\r\n]*+")
_recovery = _State(r"[^\x00-\x08\x0a-\x1f\xfe\xff{}\[\],:]*+")
_word = _State(r"[a-z]*+", WORD)
_minus, _zero, _whole = _State(""), _State("", INTEGER), _State(r"[0-9]*+", INTEGER)
_point, _fraction = _State(""), _State(r"[0-9]*+", FLOAT)
_exponent, _exponent_sign, _exponent_digits = _State(""), _State(""), _State(r"[0-9]*+", FLOAT)

for _structural in "{}[],:":
    _start.moves[_structural] = _structural
_start.on("abcdefghijklmnopqrstuvwxyz", _word)
for _state in (_start, _minus):
    _state.on("0", _zero)
    _state.on(_DIGITS[1:], _whole)
_start.on("-", _minus)
_zero.on(_DIGITS, BAD)
for _state in (_zero, _whole):
    _state.on(".", _point)
_point.on(_DIGITS, _fraction)
for _state in (_whole, _fraction):
    _state.on("eE", _exponent)
_exponent.on("+-", _exponent_sign)
for _state in (_exponent, _exponent_sign):
    _state.on(_DIGITS, _exponent_digits)
for _quote in "\"'":
    _inside = _State(rf"(?:[^{_quote}\\{_CONTROL}]++|\\[^{_CONTROL}])*+")
    _escaped = _State("")
    _start.on(_quote, _inside)
    _inside.on(_quote, STRING)
    _inside.on("\\", _escaped)
    _escaped.on("".join(map(chr, range(0x20, 0xFE))), _inside)


SKIPPED = re.compile(r'(?:[\[{:, \t\r\n]++|"[A-Za-z0-9_-]*+")*+')
"""Tokens that end no value, and are whole whatever follows."""


class JSONReader:
    """Reads values out of pieces of text; keeps what is begun and not complete."""

    __slots__ = (
        "_begun", "_brackets", "_grammar", "_length", "_peeked", "_pieces", "_place", "_room", "_skipping", "_state",
        "_tokens",
    )  # fmt: skip

    def __init__(self, place: Place | None = None) -> None:
        self._place = place
        """Line and column of a position in the text at hand, asked for in order; with it mistakes are told as QEMU 11.1
        tells them."""
        self._begun = (0, 0)
        """Where the token at hand begins."""
        self._peeked = False
        """Whether the next character was looked at already, as the end of the token before it."""
        self._state = _start
        self._pieces: list[str] = []  # of the token that is begun
        self._room = MAX_TOKEN_TEXT  # for the rest of it
        self._begin_value()

    def _begin_value(self) -> None:
        self._grammar = Grammar(places=self._place is not None)
        self._brackets = {"{": 0, "[": 0}
        self._tokens = 0
        self._length = 0
        self._skipping = False
        """Whether the rest of a bad value is passed over: QEMU 11.1 tells a mistake at once, 10.0 at the end."""

    @property
    def idle(self) -> bool:
        """Whether nothing is begun: the next byte starts a value."""
        return self._state is _start and not self._tokens

    @property
    def in_token(self) -> bool:
        """Whether a token is begun that the next byte may go on with."""
        return self._state is not _start

    def read(self, text: str, position: int) -> tuple[Any, int]:
        """Read on in `text` at `position`; return a value, ``JSONError`` or ``NEED_MORE``, and where it ends."""
        while True:
            if self._skipping and self._state is _start and not self._peeked:
                position = self._skip(text, position)
            kind, token, position = self._next_token(text, position)
            if not kind:
                return NEED_MORE, position
            result = self._accept(kind, token)
            if result is not NEED_MORE:
                if not self._skipping:
                    self._begin_value()
                return result, position

    def _skip(self, text: str, position: int) -> int:
        """Pass over tokens of a bad value that do not end it, as many as follow each other; there may be millions."""
        found = SKIPPED.match(text, position)
        assert found is not None, "it may be empty"
        for bracket in self._brackets:
            self._brackets[bracket] += text.count(bracket, position, found.end())
        return found.end()

    def _next_token(self, text: str, position: int) -> tuple[str, str, int]:
        state, begin = self._state, position
        peeked = position if self._peeked else -1
        while True:
            run = state.run(text, position)
            assert run is not None
            position = run.end()
            if state is _start or state is _recovery:
                begin = position
            elif position - begin > self._room:
                # QEMU gives up on the token and reads what follows as if it had ended.
                position = begin + self._room + 1
                self._end_token(_start, "")
                return LONG, "", position
            if position == len(text):
                self._state = state
                if position > begin:
                    self._begin_token(begin, peeked)
                    self._pieces.append(text[begin:])
                    self._room -= position - begin
                return "", "", position
            move = state.moves.get(text[position])
            if isinstance(move, _State):
                state = move
                position += 1
            elif state is _recovery:
                state = _start
                peeked = position
            else:
                break
        self._begin_token(begin, peeked)
        self._peeked = move is None and bool(state.ends_as)
        if self._peeked:
            kind = state.ends_as  # the character belongs to what follows
        else:
            kind = move or BAD
            position += 1
        return kind, self._end_token(_recovery if kind is BAD else _start, text[begin:position]), position

    def _begin_token(self, begin: int, peeked: int) -> None:
        """Note where the token at hand begins; QEMU counts a character twice that ended the token before."""
        if self._place is not None and not self._pieces:
            line, column = self._place(begin)
            self._begun = line, column + (begin == peeked)

    def _end_token(self, state: _State, text: str) -> str:
        """Return the whole token that ends with `text`, and go on in `state`."""
        self._state = state
        if self._pieces:
            text = "".join((*self._pieces, text))
            self._pieces = []
            self._room = MAX_TOKEN_TEXT
        return text

    def _accept(self, kind: str, token: str) -> Any:
        if kind is BAD:
            if self._skipping:
                self._begin_value()
                return NEED_MORE
            # The text is a C string to QEMU.
            return self._error(f"stray '{replace_invalid(token.partition(chr(0))[0])}'")
        self._tokens += 1
        self._length += len(token)
        brackets = self._brackets
        if kind in "{[":
            brackets[kind] += 1
        elif kind in "}]":
            brackets["{" if kind == "}" else "["] -= 1
        if self._skipping:
            if not self._open:
                self._begin_value()
            return NEED_MORE
        if limit := self._broken_limit(kind):
            self._skipping = self._place is not None and self._open
            return JSONError(f"JSON {limit} limit exceeded")
        grammar = self._grammar
        if not grammar.error:
            grammar.accept(kind, token)
        if self._open and not (self._place is not None and grammar.error):
            return NEED_MORE
        self._skipping = self._open
        return self._error(grammar.error) if grammar.error else grammar.value

    @property
    def _open(self) -> bool:
        """QEMU counts each kind of bracket by itself: "[}" ends a value, "{[}" goes on until "]"."""
        braces, brackets = self._brackets.values()
        return (braces > 0 or brackets > 0) and braces >= 0 and brackets >= 0

    def _broken_limit(self, kind: str) -> str:
        if self._length >= MAX_TOKEN_TEXT or kind is LONG:
            return "token size"
        if self._tokens > MAX_TOKENS:
            return "token count"
        return "nesting depth" if sum(self._brackets.values()) > MAX_NESTING else ""

    def _error(self, text: str) -> JSONError:
        line, column = self._begun
        return JSONError(f"{line}:{column}: {PARSE_ERROR}{text}" if self._place is not None else PARSE_ERROR + text)


class Grammar:
    """Builds one value out of its tokens, up to the first mistake."""

    __slots__ = ("_containers", "_expected", "_keys", "_places", "error", "value")

    def __init__(self, *, places: bool = False) -> None:
        self._places = places
        self.value: Any = None
        self.error = ""
        self._containers: list[Any] = []
        # For each open object the key whose value is awaited; None where the key itself is.
        self._keys: list[str | None] = []
        # What the next token has to be: "value", "first" (a value, or the bracket that closes), "colon", "separator".
        self._expected = "value"

    def accept(self, kind: str, token: str) -> None:
        """Take the next token; a mistake is left in ``error``."""
        if self._expected == "colon":
            if kind != ":":
                self._fail("expecting ':'" if self._places else "missing : in object pair")
            self._expected = "value"
        elif self._expected == "separator":
            self._accept_separator(kind)
        elif self._places and self._awaits_key() and kind is not STRING and not self._may_close(kind):
            self._fail("expecting key")
        elif kind in "{[":
            self._containers.append({} if kind == "{" else [])
            self._keys.append(None)
            self._expected = "first"
        elif self._may_close(kind):
            self._close()
        elif kind in "}],:":
            self._fail("expecting value")
        else:
            self._accept_scalar(kind, token)

    def _fail(self, error: str) -> None:
        self.error = error
        self._containers.clear()
        self._keys.clear()

    def _awaits_key(self) -> bool:
        return bool(self._containers) and type(self._containers[-1]) is dict and self._keys[-1] is None

    def _may_close(self, kind: str) -> bool:
        return self._expected == "first" and kind == self._closing_bracket()

    def _closing_bracket(self) -> str:
        return "}" if type(self._containers[-1]) is dict else "]"

    def _accept_separator(self, kind: str) -> None:
        bracket = self._closing_bracket()
        if kind == ",":
            self._expected = "value"
        elif kind == bracket:
            self._close()
        elif self._places:
            self._fail(f"expected ',' or '{bracket}'")
        else:
            self._fail("expected separator in " + ("dict" if bracket == "}" else "list"))

    def _close(self) -> None:
        self._keys.pop()
        self._add(self._containers.pop())

    def _accept_scalar(self, kind: str, token: str) -> None:
        if kind is STRING:
            try:
                self._add(string(token))
            except ValueError as error:
                self._fail(str(error))
        elif kind is INTEGER:
            self._add(integer(token))
        elif kind is FLOAT:
            self._add(float(token))
        elif token in _WORDS:
            self._add(_WORDS[token])
        else:
            self._fail(f"invalid keyword '{token}'")

    def _add(self, value: Any) -> None:
        self._expected = "separator"
        if not self._containers:
            self.value = value
            return
        container = self._containers[-1]
        if type(container) is list:
            container.append(value)
            return
        key = self._keys[-1]
        if key is None:
            if type(value) is not str:
                self._fail("key is not a string in object")
            else:
                self._keys[-1] = value
                self._expected = "colon"
        elif key in container:
            self._fail("duplicate key")
        else:
            container[key] = value
            self._keys[-1] = None


_WORDS = {"true": True, "false": False, "null": None}
_ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", '"': '"', "'": "'", "\\": "\\", "/": "/"}
_UNICODE_ESCAPE = re.compile(
    r"\\u(?:([Dd][89ABab][0-9A-Fa-f]{2})\\u([Dd][C-Fc-f][0-9A-Fa-f]{2})|(?![Dd][89A-Fa-f])([0-9A-Fa-f]{4}))"
)
# A lead byte and as many as it asks for of those that may follow; QEMU passes over this much even where it is invalid.
_SEQUENCE = re.compile(
    r"[\xc0-\xdf][\x80-\xbf]?|[\xe0-\xef][\x80-\xbf]{0,2}|[\xf0-\xf7][\x80-\xbf]{0,3}"
    r"|[\xf8-\xfb][\x80-\xbf]{0,4}|[\xfc\xfd][\x80-\xbf]{0,5}|[\x80-\xff]"
)


def _is_noncharacter(code: int) -> bool:
    return code & 0xFFFE == 0xFFFE or 0xFDD0 <= code <= 0xFDEF


def _decode_sequence(sequence: str) -> str:
    """The character that `sequence` (of bytes) encodes, or "" where QEMU finds it invalid."""
    if sequence == "\xc0\x80":  # modified UTF-8's way to have a NUL in a C string
        return "\0"
    try:
        character = sequence.encode("latin-1").decode()
    except UnicodeDecodeError:
        return ""
    return "" if _is_noncharacter(ord(character)) else character


def replace_invalid(text: str) -> str:
    """Decode `text` (bytes as Latin-1) with U+FFFD for each invalid sequence, as QEMU shows it in its answers."""
    return _SEQUENCE.sub(lambda sequence: _decode_sequence(sequence[0]) or "\ufffd", text)


def _decode_valid(text: str) -> str:
    def decode(sequence: re.Match[str]) -> str:
        character = _decode_sequence(sequence[0])
        if not character:
            raise ValueError("invalid UTF-8 sequence in string")
        return character

    return text if text.isascii() else _SEQUENCE.sub(decode, text)


def string(token: str) -> str:
    """The value of a string token, quotes included, bytes as Latin-1.

    :raises ValueError: with QEMU's text, for the first thing that is wrong in it.
    """
    pieces: list[str] = []
    position = 1
    while (escape := token.find("\\", position)) >= 0:
        pieces.append(_decode_valid(token[position:escape]))
        letter = token[escape + 1]
        if letter == "u":
            character, position = _unicode_escape(token, escape)
        elif letter in _ESCAPES:
            character, position = _ESCAPES[letter], escape + 2
        else:
            raise ValueError("invalid escape sequence in string")
        pieces.append(character)
    pieces.append(_decode_valid(token[position:-1]))
    return "".join(pieces)


def _unicode_escape(token: str, position: int) -> tuple[str, int]:
    match = _UNICODE_ESCAPE.match(token, position)
    if match is None:
        # QEMU shows the four bytes where the digits should be, the closing quote among them.
        bad = token[position : position + 6]
    else:
        high, low, alone = match.groups()
        code = int(alone, 16) if alone else 0x10000 + ((int(high, 16) & 0x3FF) << 10 | int(low, 16) & 0x3FF)
        if not _is_noncharacter(code):
            return chr(code), match.end()
        bad = match[0]
    raise ValueError(replace_invalid(bad) + " is not a valid Unicode character")
