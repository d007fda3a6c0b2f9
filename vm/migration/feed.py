"""The bytes of a stream as they come, taken one field after the other by generators that wait for them."""

from __future__ import annotations

from .events import NEED_DATA

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import TypeAlias

    from .events import Event, NeedData

    Parsing: TypeAlias = Generator["Event | NeedData", None, None]
    Taking: TypeAlias = Generator["NeedData", None, bytes]

ROOM_BYTES = 256 << 10
"""For what comes, at first: less than a processor keeps at hand, more than a socket holds."""
MOST_BYTES = 256 << 20
"""Of one field: more is not waited for."""
MOST_SEARCHED = 16 << 20


class Feed:
    """What came and was not taken yet, in one buffer that is filled again and again."""

    def __init__(self) -> None:
        self.buffer = memoryview(bytearray(ROOM_BYTES))
        self.at = 0
        """Where in the buffer is gone on from."""
        self._filled = 0
        """Up to where in the buffer something came."""
        self.ended = False

    def room(self) -> memoryview:
        """Where what comes next belongs; never empty. Places in the buffer mean nothing from now on."""
        rest = self.rest
        if len(rest) == len(self.buffer):
            self.buffer = memoryview(bytearray(2 * len(rest)))
        self.buffer[: len(rest)] = rest
        self.at, self._filled = 0, len(rest)
        return self.buffer[len(rest) :]

    def came(self, count: int) -> None:
        """So many bytes are in the room now."""
        self._filled += count

    @property
    def rest(self) -> memoryview:
        """What is there; good until there is to be room for more."""
        return self.buffer[self.at : self._filled]

    def end(self) -> None:
        """Nothing more comes."""
        self.ended = True

    def jump(self) -> None:
        """What is fed next is from another place."""
        self.at = self._filled = 0

    @property
    def have(self) -> int:
        """Bytes that are there."""
        return self._filled - self.at

    def padded(self, count: int) -> Taking:
        """Take bytes; behind the end of the stream there are zeros, as QEMU reads numbers there."""
        while self.have < count and not self.ended:
            yield NEED_DATA
        taken = bytes(self.rest[:count])
        self.at += len(taken)
        return taken.ljust(count, b"\0")

    def number(self, count: int) -> Generator[NeedData, None, int]:
        """Take an unsigned number of so many bytes."""
        return int.from_bytes((yield from self.padded(count)))

    def exact(self, count: int) -> Generator[NeedData, None, bytes | None]:
        """Take bytes; None if the stream ends before."""
        while self.have < count:
            if self.ended or count > MOST_BYTES:
                return None
            yield NEED_DATA
        taken = bytes(self.buffer[self.at : self.at + count])
        self.at += count
        return taken

    def name(self) -> Generator[NeedData, None, str | None]:
        """A name that begins with its length; None if it is not there, or empty."""
        length = yield from self.number(1)
        name = yield from self.exact(length)
        return name.decode("latin-1") if name else None

    def peek(self) -> Generator[NeedData, None, int | None]:
        """The next byte, which stays; None at the end."""
        while not self.have:
            if self.ended:
                return None
            yield NEED_DATA
        return self.buffer[self.at]

    def look(self, count: int) -> Generator[NeedData, None, bytes]:
        """The next bytes, which stay; fewer at the end."""
        while self.have < count and not self.ended:
            yield NEED_DATA
        return bytes(self.rest[:count])

    def until(self, mark: bytes, following: bytes) -> Generator[NeedData, None, bytes | None]:
        """Take bytes up to a mark behind which one of some bytes is; None if there is none before the end."""
        start = 0
        while True:
            data = bytes(self.rest)
            while (found := data.find(mark, start)) >= 0 and found + len(mark) < len(data):
                if data[found + len(mark)] in following:
                    self.at += found
                    return data[:found]
                start = found + 1
            if self.ended or len(data) > MOST_SEARCHED:
                return None
            start = max(start, len(data) - len(mark))
            yield NEED_DATA
