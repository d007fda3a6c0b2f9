"""Reads the content of RAM sections: the list of RAMBlocks, and pages, as many together as may be."""

from __future__ import annotations

import errno
import sys
from array import array

from . import format as fmt
from . import mapped, refusals
from .errors import StreamError
from .events import NEED_DATA, Flush, MappedPages, Pages, RAMBlockEntry, RAMEntries, RAMStart, SectionEnd, ZeroPages
from .writing import ENTRY, zero_words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .feed import Feed, Parsing

PAGE_WORD = 8
PORTIONS = 8, 55, 192
"""Pages that are looked at together: few first, for few may follow. All of them are in one event, and held once."""


class RAMReader:
    """The RAM of one stream."""

    def __init__(self, feed: Feed, page_size: int) -> None:
        self._feed = feed
        self._page_size = page_size
        self._block = ""
        """Of which the last page was."""
        self.tells_addresses = False
        """Whether the list has the addresses of the blocks' regions."""
        self.is_mapped = False
        """Whether pages are elsewhere in the file."""
        self.any_page_size = False
        """Whether what is told of pages elsewhere may be of another target."""

    def words(self, section_id: int) -> Parsing:
        """The content of a RAM section, up to its end."""
        low_bits = self._page_size - 1
        while True:
            if self._feed.have >= PAGE_WORD:  # there are many of these
                self._feed.at += PAGE_WORD
                word = int.from_bytes(self._feed.buffer[self._feed.at - PAGE_WORD : self._feed.at])
            elif (data := (yield from self._feed.exact(PAGE_WORD))) is not None:
                word = int.from_bytes(data)
            else:
                raise StreamError("Getting RAM address failed", errno.EIO)
            flags = word & low_bits
            if flags == fmt.END_OF_SECTION:
                yield SectionEnd()
                return
            if flags == fmt.MULTIFD_FLUSH:
                yield Flush()
                continue
            if flags == fmt.MEM_SIZE:
                yield RAMStart(section_id, word - flags)
                yield from self._entries(word - flags)
                continue
            kind = flags & ~fmt.CONTINUE
            if kind == fmt.ZERO or kind == fmt.PAGE:
                yield from self._name_block(word, flags)
                yield from self._run(word - flags, zero=kind == fmt.ZERO)
            else:
                yield from self._refuse(kind, flags)

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

    def _name_block(self, word: int, flags: int) -> Parsing:
        if not flags & fmt.CONTINUE:
            self._block = (yield from self._feed.name()) or ""
        elif not self._block:
            raise StreamError(f"Illegal RAM offset {word - flags:x}", also=("Ack, bad migration stream!",))

    def _refuse(self, kind: int, flags: int) -> Parsing:
        if kind == fmt.COMPRESSED_PAGE:
            raise refusals.compressed_page()
        if kind == fmt.XBZRLE:
            raise StreamError("XBZRLE pages are not supported")
        raise refusals.unknown_flags(flags)
        yield NEED_DATA

    def _run(self, offset: int, *, zero: bool) -> Parsing:
        """A page, and those that follow it in the block and are there already."""
        page_size = self._page_size
        if zero:
            fill = yield from self._feed.number(1)
            count = 1 + self._zero_pages_here(offset, fill)
            yield ZeroPages(self._block, offset, count * page_size, fill)
            return
        while self._feed.have < page_size:
            if self._feed.ended:
                raise StreamError("", errno.EIO)
            yield NEED_DATA
        start = self._feed.at
        self._feed.at += page_size
        count = 1 + self._pages_here(offset)
        yield Pages(self._block, offset, count, self._feed.buffer[start : self._feed.at], page_size + PAGE_WORD)

    def _pages_here(self, offset: int) -> int:
        """Pass over the pages that follow, each as QEMU sends what continues a block, and return how many these are."""
        page_size, stride = self._page_size, self._page_size + PAGE_WORD
        flags, found, room = fmt.PAGE | fmt.CONTINUE, 0, self._room(offset)
        for count in PORTIONS:
            count = min(count, self._feed.have // stride, room - found)
            words = bytes(
                self._feed.buffer[self._feed.at : self._feed.at + count * stride].cast("Q")[:: stride // PAGE_WORD]
            )
            begin = (offset + (found + 1) * page_size) | flags
            expected = array("Q", range(begin, begin + count * page_size, page_size))
            if sys.byteorder == "little":
                expected.byteswap()
            same = _equal_entries(words, expected.tobytes(), PAGE_WORD)
            self._feed.at += same * stride
            found += same
            if same < count or not count:
                break
        return found

    def _room(self, offset: int) -> int:
        """How many pages may follow one at an offset: words end somewhere."""
        return ((1 << 64) - offset) // self._page_size - 1

    def _zero_pages_here(self, offset: int, fill: int) -> int:
        """Pass over the zero pages that follow, and return how many these are."""
        page_size, found, room = self._page_size, 0, self._room(offset)
        count = PORTIONS[0]
        while True:
            count = min(count, self._feed.have // ENTRY, room - found)
            here = bytes(self._feed.buffer[self._feed.at : self._feed.at + count * ENTRY])
            expected = zero_words(offset + (found + 1) * page_size, count, page_size, fill)
            same = _equal_entries(here, expected, ENTRY)
            self._feed.at += same * ENTRY
            found += same
            if same < count or not count:
                return found
            count *= 8


def _equal_entries(found: bytes, expected: bytes, size: int) -> int:
    """With how many entries of a size both begin."""
    if found == expected:
        return len(found) // size
    low, high = 0, len(found) // size - 1
    while low < high:
        middle = (low + high + 1) // 2
        if found[: middle * size] == expected[: middle * size]:
            low = middle
        else:
            high = middle - 1
    return low
