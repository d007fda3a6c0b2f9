"""Reads the content of RAM sections: the list of RAMBlocks, and pages, as many together as may be."""

from __future__ import annotations

import errno

from . import format as fmt
from . import mapped, refusals
from .errors import StreamError
from .events import NEED_DATA, FilledPage, Flush, MappedPages, Pages, RAMBlockEntry, RAMEntries, RAMStart, SectionEnd
from .page_words import CONTINUED_PAGE, CONTINUED_ZERO, PAGE_WORD, PageWords
from .writing import ENTRY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .events import PageRun
    from .feed import Feed, Parsing

MOST_RUNS = 64
"""Of one event."""


class RAMReader:
    """The RAM of one stream."""

    def __init__(self, feed: Feed, page_size: int) -> None:
        self._feed = feed
        self._page_size = page_size
        self._stride = page_size + PAGE_WORD
        self._block = ""
        """Of which the last page was."""
        self._expected = PageWords(page_size)
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
        buffer, at, end = feed.buffer, feed.at, feed.at + feed.have
        runs: list[PageRun] = []
        while len(runs) < MOST_RUNS and at + PAGE_WORD <= end:
            word = int.from_bytes(buffer[at : at + PAGE_WORD])
            flags = word & low_bits
            if flags not in (CONTINUED_PAGE, CONTINUED_ZERO):
                break
            zeros = flags == CONTINUED_ZERO
            count = self._expected.following(buffer, at, end, word - flags, zeros=zeros)
            if not count:
                break
            begin, at = at + PAGE_WORD, at + count * (ENTRY if zeros else self._stride)
            runs.append((word - flags, count, None if zeros else buffer[begin:at]))
        feed.at = at
        return runs
