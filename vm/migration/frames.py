"""Pages of guest memory, read in bulk into a buffer that they are sent from.

Between two pages there may be room for what a stream tells of the next one, so that pages that follow each other are
sent as one piece. Nothing here looks at pages one by one that can be looked at together.
"""

from __future__ import annotations

import operator

from .page_words import page_words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TypeAlias

    from ..host import HostMemory

    FrameRun: TypeAlias = tuple[int, int, bool]

WORD = 8
TOGETHER = 8
"""Pages that are compared at once: as many as a processor has nearest at hand."""


class Frames:
    """Room for `count` pages, each behind a gap of `gap` bytes, which is 0 or a word's. Frames go by their numbers."""

    def __init__(self, page_size: int, count: int, gap: int = 0) -> None:
        self.page_size = page_size
        self.count = count
        self._gap = gap
        self._stride = gap + page_size
        self._memory = bytearray(count * self._stride)
        self._view = memoryview(self._memory)
        self._words = self._view.cast("Q")
        starts = range(gap, len(self._view), self._stride)
        self._pages = [self._view[start : start + page_size] for start in starts]
        self._no_labels = memoryview(bytes(WORD * count)).cast("Q")
        self._zeros = bytes(TOGETHER * self._stride - gap)

    def read(self, first: int, count: int, memory: HostMemory, offset: int) -> None:
        """Have the contents of memory in frames, without labels; raises `MissingPage`."""
        if self._gap:
            step = self._stride // WORD
            self._words[first * step : (first + count) * step : step] = self._no_labels[:count]
        memory.read_pages(offset, self._pages[first : first + count])

    def label(self, first: int, end: int, offset: int, flags: int) -> None:
        """Have words in the gaps before frames: where the pages are, the first being at `offset`, and flags."""
        step = self._stride // WORD
        labels = page_words(offset | flags, end - first, self.page_size)
        self._words[first * step : end * step : step] = memoryview(labels)

    def piece(self, first: int, end: int, *, labelled: bool = True) -> memoryview:
        """The bytes of frames that follow each other; `labelled` says whether with the gap before the first."""
        begin = first * self._stride
        return self._view[begin if labelled else begin + self._gap : end * self._stride]

    def kinds(self, first: int, end: int) -> Iterator[FrameRun]:
        """Frames that were not labelled, as runs: where they begin and end, and whether the pages are all zeros."""
        step = self._stride // WORD
        # The first word decides it for nearly every page; only then are pages compared.
        begin = first * step + self._gap // WORD
        starts = self._words[begin : end * step : step].tolist()
        if 0 not in starts:
            yield first, end, False
            return
        maybe = bytes(map(operator.not_, starts))
        start = position = first
        while (found := maybe.find(1, position - first)) >= 0:
            position = found + first
            other = maybe.find(0, found)
            stop = self._end_of_zeros(position, end if other < 0 else other + first)
            if stop > position:
                if position > start:
                    yield start, position, False
                yield position, stop, True
                start = stop
            position = max(stop, position + 1)
        if start < end:
            yield start, end, False

    def _end_of_zeros(self, position: int, end: int) -> int:
        """Where zeros end that begin at a frame, or `end`."""
        begins_with, stride, several = self._memory.startswith, self._stride, self._zeros
        at, page = position * stride + self._gap, self._zeros[: self.page_size]
        while position + TOGETHER <= end and begins_with(several, at):
            position += TOGETHER
            at += TOGETHER * stride
        while position < end and begins_with(page, at):
            position += 1
            at += stride
        return position
