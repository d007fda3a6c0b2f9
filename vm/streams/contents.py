"""What the pages of a stream hold: given to who keeps them, or kept as a digest of each page.

Digests do not depend on the order in which pages came, on how often, or on how they were compressed. 16 bytes stand for
a page; who gives the tables for them decides where these are.
"""

from __future__ import annotations

import hashlib
import zlib

from ..migration import format as fmt
from .errors import BrokenStreamError, NotUnderstoodError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Protocol

    from .parts import PageRun
    from .walk import Walker

    class Table(Protocol):
        """Where digests are, one behind the other; zeros at first."""

        size: int

        def read(self, at: int, count: int) -> bytes:
            """What is at a place, less than `count` at the end."""

        def write(self, at: int, data: bytes) -> None:
            """Put something at a place."""

        def close(self) -> None:
            """Let go of it."""

    class PageSink(Protocol):
        """Who keeps pages."""

        def pages(self, block: str, offset: int, pieces: list[memoryview]) -> None:
            """Pages that follow each other."""

        def fill(self, block: str, offset: int, length: int, byte: int) -> None:
            """Pages that are all one byte."""

        def current(self, block: str, offset: int, length: int) -> bytes:
            """What a page held before."""


DIGEST_BYTES = 16
SLICE_BYTES = 1 << 16
"""Of a table, at once."""
XBZRLE_HEAD = 3
"""Bytes before what XBZRLE tells of a page: a flag and a length."""


def deliver(run: PageRun, walker: Walker, sink: PageSink) -> None:
    """Give the pages of a run to who keeps them. Raises `BrokenStreamError`."""
    page_size = walker.page_size
    if run.kind == fmt.ZERO:
        sink.fill(run.block, run.offset, run.count * page_size, run.fill)
        return
    view = memoryview(walker.buffer)
    if run.kind == fmt.PAGE:
        starts = range(run.body, run.body + run.count * run.step, run.step)
        sink.pages(run.block, run.offset, [view[start : start + run.size] for start in starts])
        return
    content = view[run.body : run.body + run.size]
    if run.kind == fmt.COMPRESSED_PAGE:
        page = _inflated(content[4:], page_size)
    else:
        page = _patched(sink.current(run.block, run.offset, page_size), bytes(content[XBZRLE_HEAD:]))
    if len(page) != page_size:
        raise BrokenStreamError(f"the page at {run.offset:#x} of '{run.block}' cannot be decompressed")
    sink.pages(run.block, run.offset, [memoryview(page)])


def _inflated(data: memoryview, page_size: int) -> bytes:
    try:
        return zlib.decompressobj().decompress(data, page_size + 1)
    except zlib.error:
        return b""


def _patched(page: bytes, patch: bytes) -> bytes:
    """A page with what XBZRLE says is new in it: by turns, how many bytes stay, and how many come new, and these."""
    changed = bytearray(page)
    at = place = 0
    while at < len(patch):
        stay, at = _leb128(patch, at)
        count, at = _leb128(patch, at)
        place += stay
        if not count or at + count > len(patch) or place + count > len(page):
            return b""
        changed[place : place + count] = patch[at : at + count]
        at += count
        place += count
    return bytes(changed)


def _leb128(data: bytes, at: int) -> tuple[int, int]:
    """A number of one or two bytes, and where it ends."""
    if data[at : at + 1] >= b"\x80" and at + 1 < len(data):
        return data[at] & 0x7F | data[at + 1] << 7, at + 2
    return (data[at], at + 1) if at < len(data) else (0, at)


class Digests:
    """The digest of every page, by block; zeros stand for pages of zeros and for those that never came."""

    def __init__(self, page_size: int, new_table: Callable[[int], Table]) -> None:
        self._page_size = page_size
        self._new_table = new_table
        self.tables: dict[str, Table] = {}
        self._tops: dict[str, int] = {}
        """Behind the last byte of each table that is not zero."""
        self._zero_page = self._digest(memoryview(bytes(page_size)))

    def add_block(self, name: str, length: int) -> None:
        """Make room for a block's pages; raises `OSError` where there is none."""
        self.tables[name] = self._new_table(max(-(-length // self._page_size), 1) * DIGEST_BYTES)
        self._tops[name] = 0

    def _digest(self, page: memoryview) -> bytes:
        return hashlib.sha256(page).digest()[:DIGEST_BYTES]

    def pages(self, block: str, offset: int, pieces: list[memoryview]) -> None:
        """Keep the digests of pages."""
        at = offset // self._page_size * DIGEST_BYTES
        digests = [self._digest(piece) for piece in pieces]
        if self._zero_page in digests:
            digests = [bytes(DIGEST_BYTES) if digest == self._zero_page else digest for digest in digests]
        end = at + len(pieces) * DIGEST_BYTES
        self.tables[block].write(at, b"".join(digests))
        self._tops[block] = max(self._tops[block], end)

    def fill(self, block: str, offset: int, length: int, byte: int) -> None:
        """Keep the digest of pages that are all one byte."""
        count = length // self._page_size
        at = offset // self._page_size * DIGEST_BYTES
        digest = self._digest(memoryview(bytes([byte]) * self._page_size)) if byte else bytes(DIGEST_BYTES)
        end = at + count * DIGEST_BYTES
        if not byte:
            end = min(end, self._tops[block])
        for start in range(at, end, SLICE_BYTES):
            stop = min(start + SLICE_BYTES, end)
            self.tables[block].write(start, digest * ((stop - start) // DIGEST_BYTES))
        self._tops[block] = max(self._tops[block], end)

    def current(self, block: str, offset: int, length: int) -> bytes:
        """Refuse: of what a page held there is only a digest."""
        raise NotUnderstoodError("pages were sent as changes of others (xbzrle): such can be extracted, but not hashed")

    def of_block(self, name: str) -> str:
        """The digest of a whole block: SHA-256 over those of its pages, in hex."""
        found = hashlib.sha256()
        for at in range(0, self.tables[name].size, SLICE_BYTES):
            found.update(self.tables[name].read(at, SLICE_BYTES))
        return found.hexdigest()

    def close(self) -> None:
        """Let go of the tables."""
        for table in self.tables.values():
            table.close()


def differing_pages(first: Table, second: Table) -> Iterator[tuple[int, int]]:
    """The ranges of pages, by number, half open, in which two tables of one size differ."""
    start: int | None = None
    for base in range(0, first.size, SLICE_BYTES):
        one, other = first.read(base, SLICE_BYTES), second.read(base, SLICE_BYTES)
        number = base // DIGEST_BYTES
        if one == other:
            if start is not None:
                yield start, number
                start = None
            continue
        for at in range(0, len(one), DIGEST_BYTES):
            differs = one[at : at + DIGEST_BYTES] != other[at : at + DIGEST_BYTES]
            if differs and start is None:
                start = number + at // DIGEST_BYTES
            elif not differs and start is not None:
                yield start, number + at // DIGEST_BYTES
                start = None
    if start is not None:
        yield start, first.size // DIGEST_BYTES
