"""A stream of JSON objects cut into pieces that together are the stream, to the byte.

No sockets, no clock, and no opinion: what is no JSON passes as well.
"""

from __future__ import annotations

import re
from typing import Any

from ..commands.json_stream import NEED_MORE, JSONError, JSONStream

_STRUCTURE = re.compile(rb"[{}\[\]\"'\\\n\xff]")
_OPENING, _QUOTES, _RESETS = b"{[", b"\"'", b"\n\xff"


class MessageCutter:
    """Finds where objects end. With `lines` a message ends behind its line's end, otherwise with its last bracket.

    As for QEMU, a line's end inside a string, or 0xff anywhere, forgets what was begun.
    """

    def __init__(self, lines: bool = False) -> None:
        self._lines = lines
        self._depth = 0
        self._quote = 0
        self._escaped = False
        self._begun = bytearray()
        """All of the message at hand that was fed."""

    def feed(self, data: bytes) -> list[tuple[bytes, bytes | None]]:
        """Cut `data`: its pieces, each with the whole message that ends with it, if one does."""
        pieces: list[tuple[bytes, bytes | None]] = []
        start, skipped = 0, 0 if self._escaped else -1
        self._escaped = False
        for match in _STRUCTURE.finditer(data):
            position = match.start()
            if position == skipped:
                continue
            byte = data[position]
            if self._quote and byte == 0x5C:
                skipped = position + 1
            elif self._advance(byte):
                piece = data[start : position + 1]
                pieces.append((piece, bytes(self._begun) + piece))
                self._begun.clear()
                start = position + 1
        self._escaped = skipped == len(data)
        if start < len(data):
            pieces.append((data[start:], None))
            self._begun += data[start:]
        return pieces

    @property
    def rest(self) -> bytes:
        """What was begun and has no end yet."""
        return bytes(self._begun)

    def _advance(self, byte: int) -> bool:
        """Take a byte that matters outside of escapes; whether a message ends with it."""
        if byte in _RESETS:
            if self._quote or byte == 0xFF:
                self._depth = self._quote = 0
            return self._lines and not self._depth
        if self._quote:
            if byte == self._quote:
                self._quote = 0
        elif byte in _QUOTES:
            self._quote = byte
        elif byte in _OPENING:
            self._depth += 1
        elif self._depth:
            self._depth -= 1
            return not self._depth and not self._lines
        return False


def parse(raw: bytes) -> Any:
    """The value of a message as QEMU reads it; of what is none its text."""
    stream = JSONStream()
    stream.feed(raw)
    value = stream.take()
    while isinstance(value, JSONError):  # what was before the object, such as the rest of a bad one
        value = stream.take()
    return raw.decode("latin-1") if value is NEED_MORE else value
