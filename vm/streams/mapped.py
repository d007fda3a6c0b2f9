"""Pages at fixed places of a file (capability `mapped-ram`): which of them there are, block by block.

First all blocks are told, each with where its bitmap and its pages are, and the list goes on behind these; then this
goes back for the bitmaps, part by part, and reads the pages that they name, and nothing between.
"""

from __future__ import annotations

from ..migration import format as fmt
from ..migration.mapped import ALIGNMENT, HEAD, VERSION, bitmap_bytes, runs
from .errors import NotUnderstoodError
from .page_sizes import PAGE_SIZES
from .parts import PageRun
from .window import Window

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import TypeAlias

    Finding: TypeAlias = Generator["PageRun | None", None, None]

LARGEST_FILE = 1 << 63
PORTION = 1 << 19
"""Pages whose bits are looked at together."""


class Place:
    """Where in the stream a block's bitmap and its pages are."""

    __slots__ = ("bitmap", "block", "length", "pages")

    def __init__(self, block: str, length: int, bitmap: int, pages: int) -> None:
        self.block = block
        self.length = length
        self.bitmap = bitmap
        self.pages = pages


class MappedWindow(Window):
    """A window that jumps to where pages are. `origin` is where in the file the stream begins."""

    def __init__(self, buffer_bytes: int, origin: int, *, reads_pages: bool) -> None:
        super().__init__(buffer_bytes)
        self.page_size = 0
        """Bytes; 0 as long as nobody has told."""
        self._origin = origin
        self._reads_pages = reads_pages
        self.is_mapped = False
        """Whether pages have fixed places, as the configuration tells."""
        self.list_start = 0
        """Where in the stream the list of RAMBlocks begins, once it was told."""

    def _mapped_place(self, block: str, length: int, *, may_stay: bool) -> Generator[None, None, Place | None]:
        """What is told behind a block's entry; the stream goes on behind its pages.

        A block that stays where it is (`x-ignore-shared`) has no place.
        """
        yield from self._need(HEAD.size, f"what is told of the pages of '{block}'")
        version, page_size, bitmap, pages = HEAD.unpack_from(self.buffer, self.at)
        if version != VERSION:
            raise NotUnderstoodError(
                f"at byte {self.position}: version {version} of pages at fixed places, and only {VERSION} is known"
            )
        if page_size not in PAGE_SIZES or self.page_size not in (0, page_size):
            raise self._broken(f"'{block}' has pages of {page_size} bytes")
        self.at += HEAD.size
        self.page_size = page_size
        if may_stay and not bitmap and not pages:
            return None
        place = Place(block, length, bitmap - self._origin, pages - self._origin)
        end = place.pages + length
        follow = self.position <= place.bitmap <= place.pages - bitmap_bytes(length, page_size)
        if not follow or pages % ALIGNMENT or end + self._origin >= LARGEST_FILE:
            raise self._broken(f"'{block}' has its bitmap at {bitmap:#x} and its pages at {pages:#x}")
        self._jump(end, end)
        return place

    def _mapped_pages(self, places: list[Place]) -> Finding:
        """All pages of all blocks; then this is again where it was."""
        end = self.position
        for place in places:
            count = place.length // self.page_size
            for first in range(0, count, PORTION):
                part = min(PORTION, count - first)
                at = place.bitmap + first // 8
                self._jump(at, at)
                size = -(-part // 8)
                yield from self._need(size, f"the bitmap of '{place.block}'")
                bitmap = bytes(self.buffer[self.at : self.at + size])
                for start, stop, is_there in runs(bitmap, part):
                    yield from self._mapped_run(place, first + start, stop - start, is_there=is_there)
        self._jump(end)

    def _mapped_run(self, place: Place, first: int, count: int, *, is_there: bool) -> Finding:
        """Pages that follow each other and are all there, or are all zero."""
        page_size = self.page_size
        if not (is_there and self._reads_pages):
            yield self._run(place, fmt.PAGE if is_there else fmt.ZERO, first, count)
            return
        at = place.pages + first * page_size
        self._jump(at, at + count * page_size)
        most = len(self.buffer) // page_size
        while count:
            yield from self._need(min(count, most) * page_size, f"the pages of '{place.block}'")
            here = min(count, (self._end - self.at) // page_size)
            yield self._run(place, fmt.PAGE, first, here)
            self.at += here * page_size
            first += here
            count -= here

    def _run(self, place: Place, kind: int, first: int, count: int) -> PageRun:
        run = PageRun(kind, place.block, first * self.page_size, self.at, self.at, self.page_size, named=False)
        run.count = count
        run.is_mapped = True
        return run
