"""The words that a stream tells of pages in which continue a block: made, and compared, for many pages at once."""

from __future__ import annotations

import sys
from array import array

from . import format as fmt
from .writing import ENTRY, zero_words

PAGE_WORD = 8
"""Bytes before a page's contents."""
CONTINUED_PAGE = fmt.PAGE | fmt.CONTINUE
CONTINUED_ZERO = fmt.ZERO | fmt.CONTINUE
WINDOW_PAGES = 256
"""Words are compared for so many at most, from where so many begin."""


def page_words(first: int, count: int, page_size: int) -> array[int]:
    """Words of pages that follow each other, in the stream's order of bytes."""
    words = array("Q", range(first, first + count * page_size, page_size))
    if sys.byteorder == "little":
        words.byteswap()
    return words


class PageWords:
    """What words are expected in a stream. Those of the window that was looked at last are kept."""

    def __init__(self, page_size: int) -> None:
        self._page_size = page_size
        self._stride = PAGE_WORD + page_size
        self._window = -1
        self._pages = b""
        self._zeros = b""

    def following(self, buffer: memoryview, at: int, end: int, offset: int, *, zeros: bool) -> int:
        """How many pages there are at a place that are all zeros, or have contents, from `offset` of their block on.

        Each is there wholly, before `end`. There may be more behind a window.
        """
        entry, size, mark = (ENTRY, ENTRY, CONTINUED_ZERO) if zeros else (PAGE_WORD, self._stride, CONTINUED_PAGE)
        window, number = divmod(offset // self._page_size, WINDOW_PAGES)
        most = min((end - at) // size, WINDOW_PAGES - number)
        if not zeros and not self._is_word(buffer, at + size, offset + self._page_size):
            # One alone, as there are many that a guest wrote while it ran.
            return int(most > 0 and self._is_word(buffer, at, offset))
        if window != self._window:
            self._look_at(window)
        marks = bytes(buffer[at + PAGE_WORD - 1 : at + most * size : size])
        count = len(marks) - len(marks.lstrip(bytes((mark,))))
        here = buffer[at : at + count * size]
        found = bytes(here if zeros else here.cast("Q")[:: size // PAGE_WORD])
        words = self._zeros if zeros else self._pages
        return _equal_entries(found, words[number * entry : (number + count) * entry], entry)

    def _is_word(self, buffer: memoryview, at: int, offset: int) -> bool:
        return int.from_bytes(buffer[at : at + PAGE_WORD]) == offset | CONTINUED_PAGE

    def _look_at(self, window: int) -> None:
        page_size, begin = self._page_size, window * WINDOW_PAGES * self._page_size
        self._pages = page_words(begin | CONTINUED_PAGE, WINDOW_PAGES, page_size).tobytes()
        self._zeros = zero_words(begin, WINDOW_PAGES, page_size)
        self._window = window


def _equal_entries(found: bytes, expected: bytes, size: int) -> int:
    """With how many entries of a size both begin, which are as long."""
    if found == expected:
        return len(found) // size
    differing = int.from_bytes(found) ^ int.from_bytes(expected)  # the first byte that does is the highest
    return (len(found) - (differing.bit_length() + 7) // 8) // size
