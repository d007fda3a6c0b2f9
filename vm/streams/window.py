"""The part of a stream that is in memory: bytes are read into it, and looked at where they are."""

from __future__ import annotations

from .errors import BrokenStreamError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import TypeAlias

    Number: TypeAlias = Generator[None, None, int]


class Window:
    """A buffer that moves along a stream. Its generators yield None where more bytes are needed."""

    def __init__(self, buffer_bytes: int) -> None:
        self.buffer = bytearray(buffer_bytes)
        self._view = memoryview(self.buffer)
        self.at = 0
        """Up to where all was understood."""
        self._end = 0
        """Up to where bytes were read."""
        self._ended = False
        self._base = 0
        """Where in the stream the buffer begins."""
        self._until: int | None = None
        """Where in the stream what is wanted ends, but for what is needed at once; None if all is wanted."""

    @property
    def position(self) -> int:
        """Bytes of the stream that were gone through."""
        return self._base + self.at

    @property
    def place(self) -> int:
        """Where in the stream the next bytes are to be read, which is elsewhere once this has jumped."""
        return self._base + self._end

    def room(self) -> memoryview:
        """Where the next bytes are to be read to. Places in the buffer mean nothing from now on."""
        rest = self._end - self.at
        if self.at:
            self._view[:rest] = self._view[self.at : self._end]
            self._base += self.at
            self.at, self._end = 0, rest
        return self._view[rest:] if self._until is None else self._view[rest : max(self._until - self._base, rest)]

    def _jump(self, place: int, until: int | None = None) -> None:
        """Go on at another place of the stream, and read no further than `until` where no more is needed."""
        if self._base <= place <= self._base + self._end:
            self.at = place - self._base
        else:
            self._base, self.at, self._end = place, 0, 0
        self._until = until
        self._ended = False

    def _arrived(self, count: int) -> None:
        self._end += count
        self._ended = not count

    def _broken(self, text: str) -> BrokenStreamError:
        return BrokenStreamError(f"at byte {self.position}: {text}")

    def _need(self, count: int, what: str) -> Generator[None, None, None]:
        while self._end - self.at < count:
            if self._ended:
                raise BrokenStreamError(f"the stream ends at byte {self._base + self._end}, in {what}")
            if self._until is not None:
                self._until = max(self._until, self.position + count)
            yield

    def _number(self, count: int, what: str) -> Number:
        yield from self._need(count, what)
        value = int.from_bytes(self.buffer[self.at : self.at + count])
        self.at += count
        return value

    def _text(self, length: int, what: str) -> Generator[None, None, str]:
        yield from self._need(length, what)
        text = self.buffer[self.at : self.at + length].decode("utf-8", "surrogateescape")
        self.at += length
        return text

    def _name(self, what: str) -> Generator[None, None, str]:
        length = yield from self._number(1, what)
        return (yield from self._text(length, what))

    def _skip(self, count: int, what: str) -> Generator[None, None, None]:
        """Pass over bytes of which there may be more than the buffer holds."""
        while count:
            yield from self._need(1, what)
            step = min(count, self._end - self.at)
            self.at += step
            count -= step

    def _seek(self, mark: bytes, following: bytes, what: str) -> Generator[None, None, bool]:
        """Go on at a mark behind which one of some bytes is; says whether there is one within what the buffer holds."""
        start = 0
        while True:
            found = self.buffer.find(mark, self.at + start, self._end)
            if found >= 0 and found + len(mark) < self._end:
                if self.buffer[found + len(mark)] in following:
                    self.at = found
                    return True
                start = found + 1 - self.at
                continue
            have = self._end - self.at
            if have == len(self.buffer):
                return False
            start = max(start, have - len(mark))
            yield from self._need(have + 1, what)
