"""What was written into memory that nobody has: facts, each laid over those before it, and zeros below all.

A guest that writes a word to each page of 16 TiB leaves one fact, and is read back from it.
"""

from __future__ import annotations

from .. import WORD, reach

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TypeAlias

    Fact: TypeAlias = "Bytes | Words"

WORD_MASK = (1 << 64) - 1


class Bytes:
    """Bytes that were written at `start`."""

    __slots__ = ("data", "start")

    def __init__(self, start: int, data: bytes) -> None:
        self.start = start
        self.data = data

    @property
    def end(self) -> int:
        """Behind the last byte."""
        return self.start + len(self.data)

    def outside(self, start: int, end: int) -> Iterator[Bytes]:
        """What of it is not within an interval."""
        if self.start < start:
            yield Bytes(self.start, self.data[: start - self.start])
        if self.end > end:
            yield Bytes(max(self.start, end), self.data[max(end - self.start, 0) :])

    def moved(self, distance: int) -> Bytes:
        """The same elsewhere."""
        return Bytes(self.start + distance, self.data)

    def paint(self, buffer: bytearray, offset: int) -> None:
        """Put what lies within a buffer, which begins at `offset`, into it."""
        first = max(self.start, offset)
        last = min(self.end, offset + len(buffer))
        if first < last:
            buffer[first - offset : last - offset] = self.data[first - self.start : last - self.start]


class Words:
    """Words of 8 bytes, `stride` apart, the first at `start` being `value` and each `step` more than the last."""

    __slots__ = ("count", "start", "step", "stride", "value")

    def __init__(self, start: int, count: int, stride: int, value: int, step: int) -> None:
        self.start = start
        self.count = count
        self.stride = stride
        self.value = value
        self.step = step

    @property
    def end(self) -> int:
        """Behind the last word."""
        return self.start + reach(self.count, self.stride)

    def part(self, first: int, last: int) -> Words:
        """The words from number `first` up to number `last`, which is not among them."""
        value = self.value + first * self.step & WORD_MASK
        return Words(self.start + first * self.stride, last - first, self.stride, value, self.step)

    def outside(self, start: int, end: int) -> Iterator[Words]:
        """What of it is not within an interval, which cuts no word."""
        first = min(max(-(-(start - self.start) // self.stride), 0), self.count)
        last = min(max(-(-(end - self.start) // self.stride), first), self.count)
        if first:
            yield self.part(0, first)
        if last < self.count:
            yield self.part(last, self.count)

    def moved(self, distance: int) -> Words:
        """The same elsewhere."""
        return Words(self.start + distance, self.count, self.stride, self.value, self.step)

    def paint(self, buffer: bytearray, offset: int) -> None:
        """Put what lies within a buffer, which begins at `offset`, into it."""
        first = max((offset - WORD - self.start) // self.stride + 1, 0)
        last = min(-(-(offset + len(buffer) - self.start) // self.stride), self.count)
        for number in range(first, last):
            value = self.value + number * self.step & WORD_MASK
            Bytes(self.start + number * self.stride, value.to_bytes(WORD, "little")).paint(buffer, offset)

    def followed_by(self, other: Words) -> bool:
        """Whether `other` goes on where this ends, so that both are one."""
        return (
            (self.stride, self.step) == (other.stride, other.step)
            and other.start == self.start + self.count * self.stride
            and other.value == self.value + self.count * self.step & WORD_MASK
        )


class Contents:
    """All that was written into one piece of memory. Offsets are bytes."""

    __slots__ = ("_facts",)

    def __init__(self) -> None:
        self._facts: list[Fact] = []
        """The latest last."""

    def write(self, offset: int, data: bytes | memoryview) -> None:
        """Write bytes."""
        self.discard(offset, offset + len(data), words=False)
        self._facts.append(Bytes(offset, bytes(data)))

    def write_words(self, offset: int, count: int, stride: int, value: int, step: int) -> None:
        """Write words, as `HostMemory.write_words` does."""
        new = Words(offset, count, stride, value & WORD_MASK, step)
        latest = self._facts.pop() if self._facts else None
        self._facts = [left for fact in self._facts for left in _uncovered(fact, new)]
        if isinstance(latest, Words) and latest.followed_by(new):
            latest.count += count
            self._facts.append(latest)
        else:
            self._facts += _uncovered(latest, new) if latest is not None else ()
            self._facts.append(new)

    def read(self, offset: int, length: int) -> bytes:
        """Return bytes."""
        buffer = bytearray(length)
        for fact in self._facts:
            if fact.start < offset + length and fact.end > offset:
                fact.paint(buffer, offset)
        return bytes(buffer)

    def sum_words(self, offset: int, count: int, stride: int) -> int:
        """The sum of words modulo 2^64."""
        total = 0
        unknown = [(0, count)]  # numbers of the words that no fact has told yet
        for fact in reversed(self._facts):
            left = []
            for first, last in unknown:
                begin = min(max((fact.start - WORD - offset) // stride + 1, first), last)
                end = min(max(-(-(fact.end - offset) // stride), begin), last)
                left += [(one, other) for one, other in ((first, begin), (end, last)) if one < other]
                if begin < end:
                    total += self._sum_told(fact, offset, begin, end, stride)
            unknown = left
        return total & WORD_MASK

    def _sum_told(self, fact: Fact, offset: int, begin: int, end: int, stride: int) -> int:
        """The sum of the words that a fact reaches over, below which others may be."""
        count = end - begin
        place = offset + begin * stride
        if isinstance(fact, Words) and fact.stride == stride and (place - fact.start) % stride == 0:
            number = (place - fact.start) // stride
            return count * fact.value + fact.step * (count * number + count * (count - 1) // 2)
        places = range(place, place + count * stride, stride)
        return sum(int.from_bytes(self.read(each, WORD), "little") for each in places)

    def discard(self, start: int, end: int, words: bool = True) -> None:
        """Forget what was written in an interval, which then is zeros; it must cut no word.

        `words=False` leaves words be, for something that is written over them.
        """
        kept: list[Fact] = []
        for fact in self._facts:
            if fact.end <= start or fact.start >= end or (isinstance(fact, Words) and not words):
                kept.append(fact)
            else:
                kept += fact.outside(start, end)
        self._facts = kept

    def copy(self, source: Contents, start: int, end: int, distance: int) -> None:
        """Be, in an interval in which there was nothing, what `source` is `distance` further on; it cuts no word."""
        for fact in source._facts:
            if fact.start < end + distance and fact.end > start + distance:
                inner: list[Fact] = [fact]
                for low, high in ((min(fact.start, start + distance), start + distance), (end + distance, fact.end)):
                    inner = [left for each in inner for left in each.outside(low, high)] if low < high else inner
                self._facts += (each.moved(-distance) for each in inner)


def _uncovered(fact: Fact, new: Words) -> Iterator[Fact]:
    """What of a fact is still to be seen below `new`, as far as that is simple: all, or what lies outside."""
    if fact.end <= new.start or fact.start >= new.end:
        yield fact
    elif new.stride == WORD:
        aligned = isinstance(fact, Bytes) or (fact.start - new.start) % WORD == 0
        if aligned:
            yield from fact.outside(new.start, new.end)
        else:
            yield fact
    elif isinstance(fact, Words) and fact.stride == new.stride and (fact.start - new.start) % new.stride == 0:
        yield from fact.outside(new.start, new.end)
    else:
        yield fact
