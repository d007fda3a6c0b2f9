"""Reads the content of RAM sections: the list of RAMBlocks, and pages, as many together as may be."""

from __future__ import annotations

import errno
import sys
from array import array

from . import format as fmt
from . import mapped, refusals
from .errors import StreamError
from .events import NEED_DATA, FilledPage, Flush, MappedPages, Pages, RAMBlockEntry, RAMEntries, RAMStart, SectionEnd
from .writing import ENTRY, zero_words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .events import PageRun
    from .feed import Feed, Parsing

PAGE_WORD = 8
WINDOW_PAGES = 256
"""Words are made for so many pages at once."""
MOST_RUNS = 64
"""Of one event."""
MARK_BITS = 8
"""At the end of a word: what it tells of its page, where that is being told before them."""
CONTINUED_PAGE = fmt.PAGE | fmt.CONTINUE
CONTINUED_ZERO = fmt.ZERO | fmt.CONTINUE


class RAMReader:
    """The RAM of one stream."""

    def __init__(self, feed: Feed, page_size: int) -> None:
        self._feed = feed
        self._page_size = page_size
        self._stride = page_size + PAGE_WORD
        self._block = ""
        """Of which the last page was."""
        self._window = -1
        """Whose words were made last."""
        self._words = b"", b""
        """Of the pages of that window: what is told of each if it has contents, and if it is zeros."""
        self.tells_addresses = False
        """Whether the list has the addresses of the blocks' regions."""
        self.is_mapped = False
        """Whether pages are elsewhere in the file."""
        self.any_page_size = False
        """Whether what is told of pages elsewhere may be of another target."""

    def words(self, section_id: int) -> Parsing:
        """The content of a RAM section, up to its end."""
        feed, low_bits = self._feed, self._page_size - 1
        while True:
            while feed.have < PAGE_WORD:
                if feed.ended:
                    raise StreamError("Getting RAM address failed", errno.EIO)
                yield NEED_DATA
            word = int.from_bytes(feed.buffer[feed.at : feed.at + PAGE_WORD])
            flags = word & low_bits
            if flags in (CONTINUED_PAGE, CONTINUED_ZERO):
                size = self._stride if flags == CONTINUED_PAGE else ENTRY
                while feed.have < size and not feed.ended:
                    yield NEED_DATA
                if self._block and (runs := self._runs()):
                    yield Pages(self._block, runs, self._stride)
                    continue
            feed.at += PAGE_WORD
            if flags == fmt.END_OF_SECTION:
                yield SectionEnd()
                return
            yield from self._content(word - flags, flags, section_id)

    def _content(self, value: int, flags: int, section_id: int) -> Parsing:
        """What a word tells that is not one of many pages."""
        kind = flags & ~fmt.CONTINUE
        if flags == fmt.MULTIFD_FLUSH:
            yield Flush()
        elif flags == fmt.MEM_SIZE:
            yield RAMStart(section_id, value)
            yield from self._entries(value)
        elif kind == fmt.ZERO or kind == fmt.PAGE:
            if not flags & fmt.CONTINUE:
                self._block = (yield from self._feed.name()) or ""
            elif not self._block:
                raise StreamError(f"Illegal RAM offset {value:x}", also=("Ack, bad migration stream!",))
            yield from self._page(value, kind)
        elif kind == fmt.COMPRESSED_PAGE:
            raise refusals.compressed_page()
        elif kind == fmt.XBZRLE:
            raise StreamError("XBZRLE pages are not supported")
        else:
            raise refusals.unknown_flags(flags)

    def _page(self, offset: int, kind: int) -> Parsing:
        if kind == fmt.PAGE:
            contents = yield from self._feed.exact(self._page_size)
            if contents is None:
                raise StreamError("", errno.EIO)
            yield Pages(self._block, [(offset, 1, memoryview(contents))], self._stride)
        elif fill := (yield from self._feed.number(1)):
            yield FilledPage(self._block, offset, fill)
        else:
            yield Pages(self._block, [(offset, 1, None)], self._stride)

    def _entries(self, total: int) -> Parsing:
        while total > 0:
            name = (yield from self._feed.name()) or ""
            length = yield from self._feed.number(8)
            address = (yield from self._feed.number(8)) if self.tells_addresses else None
            yield RAMBlockEntry(name, length, address)
            if self.is_mapped:
                yield from self._mapped(name, length)
            if self._feed.ended and not self._feed.have:
                raise StreamError("", errno.EIO)
            total -= length
        yield RAMEntries()

    def _mapped(self, name: str, length: int) -> Parsing:
        data = yield from self._feed.exact(mapped.HEAD.size)
        if data is None:
            text = f"(expected {mapped.HEAD.size}, got {self._feed.have} bytes)"
            raise StreamError(f"Could not read whole mapped-ram migration header {text}")
        version, page_size, bitmap_offset, pages_offset = mapped.HEAD.unpack(data)
        if version > mapped.VERSION:
            text = f"(expected <= {mapped.VERSION}, got {version})"
            raise StreamError(f"Migration mapped-ram capability version not supported {text}")
        if page_size != self._page_size and not self.any_page_size:
            text = f"invalid page_size {page_size} (expected {self._page_size})"
            raise StreamError(f"Migration mapped-ram header has {text}")
        if pages_offset % mapped.ALIGNMENT:
            raise StreamError(f"Error reading ramblock {name} pages, region has bad alignment")
        yield MappedPages(name, length, bitmap_offset, pages_offset, page_size)

    def _runs(self) -> list[PageRun]:
        """Take pages that continue the block and are there wholly; none if what is next is no such page."""
        feed, low_bits = self._feed, self._page_size - 1
        runs: list[PageRun] = []
        buffer, at, end = feed.buffer, feed.at, feed.at + feed.have
        while len(runs) < MOST_RUNS and at + PAGE_WORD <= end:
            word = int.from_bytes(buffer[at : at + PAGE_WORD])
            flags = word & low_bits
            if flags not in (CONTINUED_PAGE, CONTINUED_ZERO):
                break
            size = self._stride if flags == CONTINUED_PAGE else ENTRY
            count = self._following(word - flags, at, end, size)
            if not count:
                break
            begin, at = at + PAGE_WORD, at + count * size
            runs.append((word - flags, count, buffer[begin:at] if flags == CONTINUED_PAGE else None))
        feed.at = at
        return runs

    def _following(self, offset: int, at: int, end: int, size: int) -> int:
        """How many pages there are whose words follow each other in a window, each `size` bytes with its word."""
        buffer, page_size = self._feed.buffer, self._page_size
        window, number = divmod(offset // page_size, WINDOW_PAGES)
        most = min((end - at) // size, WINDOW_PAGES - number)
        if size != ENTRY:
            next_word = at + size
            following = int.from_bytes(buffer[next_word : next_word + PAGE_WORD - 1]) << MARK_BITS
            if following != offset + page_size:
                return min(most, 1)  # one alone, as there are many that a guest wrote while it ran
        pages, zeros = self._words_of(window)
        marks = bytes(buffer[at + PAGE_WORD - 1 : at + most * size : size])
        count = len(marks) - len(marks.lstrip(marks[:1]))
        here = buffer[at : at + count * size]
        if size == ENTRY:
            return _equal_entries(bytes(here), zeros[number * ENTRY : (number + count) * ENTRY], ENTRY)
        words = bytes(here.cast("Q")[:: size // PAGE_WORD])
        return _equal_entries(words, pages[number * PAGE_WORD : (number + count) * PAGE_WORD], PAGE_WORD)

    def _words_of(self, window: int) -> tuple[bytes, bytes]:
        if window != self._window:
            begin, page_size = window * WINDOW_PAGES * self._page_size, self._page_size
            first = begin | CONTINUED_PAGE
            pages = array("Q", range(first, first + WINDOW_PAGES * page_size, page_size))
            if sys.byteorder == "little":
                pages.byteswap()
            self._window, self._words = window, (pages.tobytes(), zero_words(begin, WINDOW_PAGES, page_size))
        return self._words


def _equal_entries(found: bytes, expected: bytes, size: int) -> int:
    """With how many entries of a size both begin, which are as long."""
    if found == expected:
        return len(found) // size
    differing = int.from_bytes(found) ^ int.from_bytes(expected)  # the first byte that does is the highest
    return (len(found) - (differing.bit_length() + 7) // 8) // size
