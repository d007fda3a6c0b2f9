"""The memory in a stream (the sections `ram`): its list of RAMBlocks, its pages, and how large they are."""

from __future__ import annotations

from struct import Struct

from ..migration import format as fmt
from ..migration.page_words import CONTINUED_PAGE, CONTINUED_ZERO, PAGE_WORD, PageWords
from .errors import NotUnderstoodError
from .mapped import MappedWindow
from .page_sizes import PAGE_SIZES, SMALL_PAGE_SIZES, SMALLEST_PAGE
from .parts import BlockList, PageRun

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import TypeAlias

    from .mapped import Place
    from .window import Number

    Memory: TypeAlias = Generator["BlockList | PageRun | None", None, None]
    Entry: TypeAlias = Generator[None, None, "tuple[str, int, int | None, int]"]

WORD = Struct(">Q")
MOST_BLOCKS = 1 << 16
HOOK = 0x80
"""RDMA's, in the bits below a page's address."""
REFUSED_WORDS = {fmt.MULTIFD_FLUSH: "multifd", HOOK: "RDMA"}


class RAMWindow(MappedWindow):
    """A window that understands a stream's memory. Without `page_size` the first page tells it, if nothing else did."""

    def __init__(self, page_size: int | None, buffer_bytes: int, origin: int, *, reads_pages: bool) -> None:
        super().__init__(buffer_bytes, origin, reads_pages=reads_pages)
        self.page_size = page_size or 0
        self._flags = (page_size or SMALLEST_PAGE) - 1
        self._guessed = False
        """Whether the size of pages is the usual one, because nothing told it."""
        self._tells_addresses = False
        """Whether RAMBlocks are told with where they are (`x-ignore-shared`)."""
        self._lengths: dict[str, int] = {}
        self._block = ""
        self._expected: PageWords | None = None
        """Once the size of pages is known."""

    def _know_page_size(self, size: int) -> None:
        self.page_size = size
        self._flags = size - 1

    def _words(self) -> Memory:
        what = f"the section '{fmt.RAM}'"
        while True:
            yield from self._need(8, what)
            word = WORD.unpack_from(self.buffer, self.at)[0]
            flags = word & self._flags
            if (run := self._continued(word, flags)) is not None:
                yield run
                continue
            if flags == fmt.END_OF_SECTION:
                if word != flags:  # of larger pages it would be other flags, and nobody knows yet how large they are
                    raise self._broken(f"the end of a section has an address ({word:#x})")
                self.at += 8
                return
            if flags == fmt.MEM_SIZE:
                yield from self._block_list(word - flags)
                continue
            if self.is_mapped:
                if flags != fmt.MULTIFD_FLUSH:
                    raise self._broken(f"a page outside its fixed place (flags {flags:#x})")
                self.at += 8
                continue
            yield from self._pages(word, what)

    def _continued(self, word: int, flags: int) -> PageRun | None:
        """Pages that continue a block and are there wholly, as most are; None if what is next are no such."""
        zeros = flags == CONTINUED_ZERO
        if self._expected is None or not (zeros or flags == CONTINUED_PAGE) or self.is_mapped:
            return None
        at, offset, size = self.at, word - flags, 1 if zeros else self.page_size
        count = self._expected.following(self._view, at, self._end, offset, zeros=zeros)
        if not count or offset + count * self.page_size > self._lengths[self._block]:
            return None
        self.at += count * (PAGE_WORD + size)
        run = PageRun(flags - fmt.CONTINUE, self._block, offset, at, at + PAGE_WORD, size, named=False)
        run.count = count
        return run

    def _block_list(self, total: int) -> Memory:
        what = "the list of RAMBlocks"
        if self._lengths:
            raise self._broken("the RAMBlocks are told a second time")
        self.list_start = self.position
        # Who rewrites it needs all of it in one place.
        size = 8
        blocks: list[tuple[str, int, int | None]] = []
        places: list[Place] = []
        left = total
        while left > 0:
            name, length, address, size = yield from self._entry(size, left, what)
            self._lengths[name] = length
            blocks.append((name, length, address))
            left -= length
            if self.is_mapped:
                self.at += size
                size = 0
                place = yield from self._mapped_place(name, length, may_stay=address is not None)
                places += [] if place is None else [place]
        at = self.at
        self.at += size
        yield BlockList(at, self.at, blocks)
        if self.is_mapped and self.page_size:
            self._know_page_size(self.page_size)
            yield from self._mapped_pages(places)

    def _entry(self, at: int, left: int, what: str) -> Entry:
        """A block that is told `at` bytes behind the present place, and where its entry ends."""
        yield from self._need(at + 1, what)
        named = at + 1 + self.buffer[self.at + at]
        end = named + (16 if self._tells_addresses else 8)
        if end > len(self.buffer) or len(self._lengths) >= MOST_BLOCKS:
            raise self._broken("there are more RAMBlocks than any machine has")
        yield from self._need(end, what)
        name = self.buffer[self.at + at + 1 : self.at + named].decode("utf-8", "surrogateescape")
        length = WORD.unpack_from(self.buffer, self.at + named)[0]
        address = WORD.unpack_from(self.buffer, self.at + named + 8)[0] if self._tells_addresses else None
        if not name.isprintable() or not name or name in self._lengths or length > left:
            raise self._broken(f"the list of RAMBlocks is wrong at {name!r} with {length:#x} bytes")
        return name, length, address, end

    def _pages(self, word: int, what: str) -> Memory:
        """A page, and those that follow it in the block and are there already."""
        flags = word & self._flags
        kind = flags & ~fmt.CONTINUE
        if kind not in (fmt.ZERO, fmt.PAGE, fmt.XBZRLE, fmt.COMPRESSED_PAGE):
            if kind in REFUSED_WORDS:
                raise NotUnderstoodError(f"at byte {self.position}: the stream was made with {REFUSED_WORDS[kind]}")
            guess = f" (if its pages have no {self.page_size} bytes, -page-size helps)" if self._guessed else ""
            raise self._broken(f"no page's word has the flags {flags:#x}{guess}")
        body = 8
        named = not flags & fmt.CONTINUE
        if named:
            yield from self._need(9, what)
            body = 9 + self.buffer[self.at + 8]
            yield from self._need(body, what)
            self._block = self.buffer[self.at + 9 : self.at + body].decode("utf-8", "surrogateescape")
        length = self._lengths.get(self._block)
        if length is None:
            raise self._broken(f"a page of the RAMBlock {self._block!r}, which there is not")
        if not self.page_size:
            yield from self._find_page_size(word - flags, body, kind)
        offset = word - flags
        if offset + self.page_size > length:
            raise self._broken(f"a page at {offset:#x} of '{self._block}', which has {length:#x} bytes")
        size = yield from self._size(kind, body, what)
        yield from self._need(body + size, what)
        run = PageRun(kind, self._block, offset, self.at, self.at + body, size, named=named)
        self.at += body + size
        if kind == fmt.ZERO or kind == fmt.PAGE:
            self._gather(run, (length - offset) // self.page_size - 1)
        yield run

    def _size(self, kind: int, body: int, what: str) -> Number:
        """Bytes of a page's content, which begins `body` bytes behind the present place."""
        if kind == fmt.ZERO:
            return 1
        if kind == fmt.PAGE:
            return self.page_size
        start = body + 1 if kind == fmt.XBZRLE else body
        width = 2 if kind == fmt.XBZRLE else 4
        yield from self._need(start + width, what)
        size = int.from_bytes(self.buffer[self.at + start : self.at + start + width])
        if not 0 < size <= 2 * self.page_size:
            raise self._broken(f"a page of {size} bytes")
        return start - body + width + size

    def _gather(self, run: PageRun, most: int) -> None:
        """Pass over the pages that follow, each as QEMU sends what continues a block."""
        zeros = run.kind == fmt.ZERO
        run.fill = self.buffer[run.body] if zeros else 0
        if run.fill:
            return
        if self._expected is None:
            self._expected = PageWords(self.page_size)
        offset = run.offset + self.page_size
        count = min(self._expected.following(self._view, self.at, self._end, offset, zeros=zeros), most)
        self.at += count * (8 + run.size)
        run.count += count

    def _find_page_size(self, offset: int, body: int, kind: int) -> Generator[None, None, None]:
        """Tell the size of pages by the first: by where the next one is, or by an address that is none of 4 KiB.

        Pages of zeros, some of which may not be sent, do not tell that they are larger.
        """
        zero = kind == fmt.ZERO
        for size in PAGE_SIZES if kind == fmt.PAGE else SMALL_PAGE_SIZES if zero else ():
            place = body + (1 if zero else size)
            while self._end - self.at < place + 8 and not self._ended:
                yield
            if self._end - self.at < place + 8:
                break
            word = WORD.unpack_from(self.buffer, self.at + place)[0]
            if word in (offset + size | fmt.CONTINUE | fmt.ZERO, offset + size | fmt.CONTINUE | fmt.PAGE):
                self._know_page_size(size)
                return
        self._guessed = True
        self._know_page_size(PAGE_SIZES[0])
