"""Which pages of a block have come, and what each was the last time; in little memory where they come in order."""

from __future__ import annotations

from .errors import NotUnderstoodError

CHUNK = 1 << 12
"""Pages."""
ZERO, CONTENT = 1, 2
WHOLE = {kind: bytes([kind]) * CHUNK for kind in (ZERO, CONTENT)}
"""What stands for the many chunks whose pages are all alike."""
MOST_CHUNKS = 1 << 17
"""That are not all alike: 512 MiB."""


class SeenPages:
    """The pages of one block, by their numbers. `count` have come, `zero` of which are zero now."""

    __slots__ = ("_chunks", "_own", "count", "zero")

    def __init__(self) -> None:
        self._chunks: dict[int, bytes | bytearray] = {}
        self._own = 0
        self.count = 0
        self.zero = 0

    def add(self, first: int, count: int, *, is_zero: bool) -> None:
        """Pages have come. Raises `NotUnderstoodError` if too little of the memory is alike to count it."""
        kind = ZERO if is_zero else CONTENT
        while count:
            number, start = divmod(first, CHUNK)
            step = min(count, CHUNK - start)
            self._add(number, start, start + step, kind)
            first += step
            count -= step

    def add_new(self, count: int, *, is_zero: bool) -> None:
        """Pages have come of which none comes again."""
        self.count += count
        self.zero += count if is_zero else 0

    def _add(self, number: int, start: int, end: int, kind: int) -> None:
        chunk = self._chunks.get(number)
        if chunk is WHOLE[kind]:
            return
        if not isinstance(chunk, bytearray):
            if self._own >= MOST_CHUNKS:
                raise NotUnderstoodError("the pages are too scattered to be counted")
            self._own += 1
            chunk = self._chunks[number] = bytearray(CHUNK if chunk is None else chunk)
        was = chunk[start:end]
        self.count += was.count(0)
        self.zero += (end - start if kind == ZERO else 0) - was.count(ZERO)
        chunk[start:end] = WHOLE[kind][: end - start]
        if (start == 0 or end == CHUNK) and chunk == WHOLE[kind]:
            self._chunks[number] = WHOLE[kind]
            self._own -= 1
