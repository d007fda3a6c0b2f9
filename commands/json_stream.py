"""JSON from the wire: bytes of any split in, values out.

What belongs here: buffering, and the quick way through the standard library for what is plainly good JSON. What does
not: QEMU's exact reading of everything else (``json_text``, loaded when first needed), the spelling of answers
(``commands.json_output``) and the meaning of a value (``qmp``). No sockets, no clock.
"""

from __future__ import annotations

from ..schema.plain_json import reader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections import deque
    from typing import Any

    from ..vm.releases import Release
    from .json_text import JSONReader
else:
    from _collections import deque  # without the 1 ms that all of `collections` costs


PARSE_ERROR = "JSON parse error, "


def tells_places(release: Release) -> bool:
    """Whether a release tells line and column of a mistake."""
    return bool(release.settings("JSON").get("places", True))


class NeedMore:
    """The type of ``NEED_MORE``, which stands for "no further value until more bytes are fed"."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "NEED_MORE"


NEED_MORE = NeedMore()


class JSONError:
    """What one piece of bad input came to, in QEMU's words; the stream goes on behind it."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return f"JSONError({self.text!r})"


# A larger chunk is never one plain request; below it, neither the token count nor the token size limit can be met.
_PLAIN_CHUNK = 64 << 10
# The nesting limit (see json_text); a chunk with no more brackets than this cannot break it.
_PLAIN_BRACKETS = 1024


def integer(text: str) -> int | float:
    """The number an integer literal stands for: beyond 64 bits (signed or unsigned) a double."""
    if len(text) <= 20:  # the longest in range: -9223372036854775808 and 18446744073709551615
        number = int(text)
        if -(1 << 63) <= number < 1 << 64:
            return number
    return float(text)


def _plain_float(text: str) -> float:
    if text.lstrip("-")[1] in "eE" and text.lstrip("-")[0] == "0":
        raise ValueError("QEMU reads no exponent behind a single zero")
    return float(text)


def _plain_object(members: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(members)
    if len(result) != len(members):
        raise ValueError("duplicate key")
    return result


def _no_constant(text: str) -> float:
    raise ValueError(text)


_read_plain = reader(
    object_pairs_hook=_plain_object, parse_int=integer, parse_float=_plain_float, parse_constant=_no_constant
)


class JSONStream:
    """Cuts a stream of bytes into JSON values, as a client of QEMU sees it done.

    With `places` mistakes are told with line and column, counted from the stream's beginning, as QEMU 11.1 does.

    A value is complete at its last character where that can be told (a closing bracket, the end of a string), else at
    the character behind it (numbers, words). Bad input gives one ``JSONError`` and is skipped up to the next structural
    or control character. Bytes that are not taken yet are kept: whoever feeds without taking holds the memory.
    """

    __slots__ = ("_chunks", "_column", "_line", "_placed", "_places", "_plain", "_position", "_reader", "_text")

    def __init__(self, places: bool = False) -> None:
        self._places = places
        self._line = 1
        self._column = 1
        self._placed = 0
        """The position in the text at hand that line and column are of."""
        self._chunks: deque[str] = deque()
        # Latin-1: a character is a byte, so that positions in text are positions in the input.
        self._text = ""
        self._position = 0
        self._plain = False
        self._reader: JSONReader | None = None

    def feed(self, data: bytes) -> None:
        """Append `data` to what is still to be read."""
        self._chunks.append(data.decode("latin-1"))

    def take(self) -> Any:
        """Return the next value, the next ``JSONError``, or ``NEED_MORE``."""
        while True:
            if self._position == len(self._text) and not self._next_chunk():
                return NEED_MORE
            result = self._take_plain() if self._plain else self._take_any()
            if result is not NEED_MORE:
                return result

    @property
    def idle(self) -> bool:
        """Whether nothing is begun, once `take` has said ``NEED_MORE``."""
        return self._reader is None or self._reader.idle

    def _next_chunk(self) -> bool:
        if self._places:
            self._place(len(self._text))
            self._placed = 0
        self._position = 0
        if not self._chunks:
            self._text = ""
            return False
        self._text = text = self._chunks.popleft()
        self._plain = (
            len(text) <= _PLAIN_CHUNK
            and (self._reader is None or self._reader.idle)
            and text.isascii()
            # The standard library takes lone surrogates and noncharacters, QEMU does not.
            and "\\u" not in text
            and (len(text) <= _PLAIN_BRACKETS or text.count("{") + text.count("[") <= _PLAIN_BRACKETS)
        )
        return True

    def _take_plain(self) -> Any:
        text, position = self._text, self._position
        while text[position : position + 1] in (" ", "\n", "\r", "\t"):
            position += 1
        self._position = position
        if position == len(text):
            return NEED_MORE
        if text[position] == "{":
            try:
                value, self._position = _read_plain(text, position)
                return value
            except (ValueError, RecursionError):
                pass
        # Not plainly good, for whatever reason. Once per chunk: to make json's exception costs a pass over the chunk.
        self._plain = False
        return NEED_MORE

    def _take_any(self) -> Any:
        if self._reader is None:
            from .json_text import JSONReader

            self._reader = JSONReader(self._place if self._places else None)
        result, self._position = self._reader.read(self._text, self._position)
        return result

    def _place(self, position: int) -> tuple[int, int]:
        """Line and column of a position in the text at hand, which is not before the one asked for last."""
        newline = self._text.rfind("\n", self._placed, position)
        if newline < 0:
            self._column += position - self._placed
        else:
            self._line += self._text.count("\n", self._placed, position)
            self._column = position - newline
        self._placed = position
        return self._line, self._column

    def end_of_input(self) -> tuple[int, int]:
        """The place where what is begun would have to go on, once `take` has said ``NEED_MORE``."""
        # The end would have ended a number or a word, which counts as a character.
        return self._line, self._column + (self._reader is not None and self._reader.in_token)


def parse_json(text: str, release: Release) -> Any:
    """Return the one JSON value that a text is; raises `ValueError` with the text of a release of QEMU."""
    places = tells_places(release)
    stream = JSONStream(places)
    stream.feed(text.encode("utf-8", "surrogateescape"))
    value = stream.take()
    end = stream.end_of_input()
    if value is NEED_MORE:
        # A line's end ends what the end of the text ends.
        stream.feed(b"\n")
        value = stream.take()
    if value is NEED_MORE:
        raise ValueError(
            f"{end[0]}:{end[1]}: {PARSE_ERROR}premature end of input" if places else f"{PARSE_ERROR}premature EOI"
        )
    if isinstance(value, JSONError):
        raise ValueError(value.text.replace("\n'", "'"))
    # If nothing followed, not even the beginning of something, then a second object is the very next value.
    stream.feed(b'{"end": true}')
    if stream.take() != {"end": True} or stream.take() is not NEED_MORE:
        raise ValueError("Expecting at most one JSON value")
    return value
