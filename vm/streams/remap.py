"""Rewrites a passing migration stream for other RAMBlocks: bytes in, buffers out.

What is not about RAMBlocks passes as it came, from the buffer that it was read into: pages are copied nowhere, and the
words before them are rewritten in place. Nothing comes out before the setup of the source is wholly understood.
"""

from __future__ import annotations

from struct import pack

from ..errors import VMError
from ..migration import format as fmt
from ..migration.page_words import CONTINUED_PAGE, PAGE_WORD, page_words
from ..migration.writing import zero_words
from .errors import NotUnderstoodError
from .page_sizes import PAGE_SIZES
from .parts import BlockList, DeviceBytes, PageRun, Section
from .ram import WORD
from .walk import Walker

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Protocol

    from .block_map import Layout

    class Map(Protocol):
        """What says which blocks become which."""

        def layout(self, blocks: Sequence[tuple[str, int]], page_size: int) -> Layout:
            """What becomes of a source's blocks; raises `VMError`."""


class Remapper:
    """One stream on its way. Read into `room()`, say how much to `take`, and send what that returns.

    What `take` returns is in the room's buffer, and is to be sent before the next bytes are read.
    """

    def __init__(self, block_map: Map, page_size: int | None = None) -> None:
        self._map = block_map
        self._walker = Walker(page_size)
        self._layout: Layout | None = None
        self._told: BlockList | None = None
        self._held: list[bytes | memoryview] | None = []
        """What has not been sent because the setup goes on; None behind it."""
        self._out: list[bytes | memoryview] = []
        self._from = 0
        """From where on the buffer is to be sent as it is."""
        self._last = ""
        """The block of the page that was sent last."""

    @property
    def approved(self) -> bool:
        """Whether the setup was understood, so that the stream may be sent."""
        return self._held is None

    @property
    def complete(self) -> bool:
        """Whether all pages have gone through."""
        return self._walker.complete

    @property
    def position(self) -> int:
        """Bytes that were read and understood."""
        return self._walker.position

    @property
    def layout(self) -> Layout | None:
        """What becomes of the source's blocks, once it has told them."""
        return self._layout

    def room(self) -> memoryview:
        """Where the next bytes are to be read to."""
        room = self._walker.room()
        self._from = self._walker.at
        return room

    def take(self, count: int) -> list[bytes | memoryview]:
        """Go on with bytes that were read into the room (none at the end); returns what is to be sent.

        Raises `VMError`: `BrokenStreamError`, `NotUnderstoodError`, or a map that the blocks do not fit.
        """
        self._out = []
        for part in self._walker.walk(count):
            if isinstance(part, PageRun):
                self._approve()
                self._rewrite(part)
            elif isinstance(part, BlockList):
                self._rewrite_list(part)
            elif isinstance(part, DeviceBytes) or (isinstance(part, Section) and part.kind == fmt.SECTION_END):
                self._approve()
        self._pass_up_to(self._walker.at)
        if self._held is None:
            return self._out
        self._held += [bytes(buffer) for buffer in self._out]
        return []

    def _pass_up_to(self, place: int) -> None:
        if place > self._from:
            self._out.append(memoryview(self._walker.buffer)[self._from : place])
        self._from = place

    def _replace(self, start: int, end: int, data: bytes) -> None:
        """Send other bytes instead of those from `start` to `end`."""
        self._pass_up_to(start)
        self._out.append(data)
        self._from = end

    def _approve(self) -> None:
        """The first page is here, or the memory ends without one: all that the source can tell before is known."""
        if self._held is None:
            return
        if self._told is None:
            raise NotUnderstoodError("the source tells of no RAMBlocks before its pages come")
        self._lay_out(self._told)
        self._out[:0] = self._held
        self._held = None

    def _lay_out(self, told: BlockList) -> Layout:
        page_size = self._walker.page_size or PAGE_SIZES[0]
        self._layout = self._map.layout([(name, length) for name, length, _address in told.blocks], page_size)
        return self._layout

    def _rewrite_list(self, told: BlockList) -> None:
        self._told = told
        layout = self._lay_out(told)
        addresses = {name: address for name, _length, address in told.blocks}
        data = pack(">Q", sum(length for _name, length in layout.blocks) | fmt.MEM_SIZE)
        for name, length in layout.blocks:
            data += _name(name) + pack(">Q", length)
            if any(address is not None for address in addresses.values()):
                data += pack(">Q", _address_of(layout, name, addresses))
        self._replace(told.at, told.end, data)

    def _rewrite(self, run: PageRun) -> None:
        """Send a run to where its pages go, which may be several blocks."""
        assert self._layout is not None, "pages of unknown blocks are refused"
        page_size = self._walker.page_size
        step = 8 + run.size
        offset, end = run.offset, run.offset + run.count * page_size
        at, body = run.at, run.body
        named = run.named
        while offset < end:
            piece = self._layout.piece(run.block, offset)
            count = (min(end, piece.end) - offset) // page_size
            if not count:
                raise VMError(f"--map of '{run.block}' divides pages of {page_size} bytes at '{piece.name}'")
            delta = piece.target - piece.start
            self._rewrite_first(at, body, run.kind, offset + delta, piece.name, named=named)
            if delta and count > 1:
                self._rewrite_words(body + run.size, offset + delta + page_size, count - 1, run)
            offset += count * page_size
            at = body + run.size + (count - 1) * step
            body, named = at + 8, False

    def _rewrite_first(self, at: int, body: int, kind: int, offset: int, name: str, *, named: bool) -> None:
        if name == self._last and not named:
            WORD.pack_into(self._walker.buffer, at, offset | kind | fmt.CONTINUE)
            return
        self._replace(at, body, pack(">Q", offset | kind) + _name(name))
        self._last = name

    def _rewrite_words(self, start: int, offset: int, count: int, run: PageRun) -> None:
        """Tell that pages of a run which are at a place are at other offsets of their block, from one on."""
        page_size, step = self._walker.page_size, PAGE_WORD + run.size
        here = memoryview(self._walker.buffer)[start : start + count * step]
        if run.kind == fmt.ZERO:
            here[:] = zero_words(offset, count, page_size)
        else:
            here.cast("Q")[:: step // PAGE_WORD] = memoryview(page_words(offset | CONTINUED_PAGE, count, page_size))


def _name(name: str) -> bytes:
    encoded = name.encode("utf-8", "surrogateescape")
    return pack(">B", len(encoded)) + encoded


def _address_of(layout: Layout, name: str, addresses: dict[str, int | None]) -> int:
    """The address to tell of a block: that of the block which it was, whole."""
    sources = [source for source, pieces in layout.pieces.items() if any(piece.name == name for piece in pieces)]
    if len(sources) != 1 or len(layout.pieces[sources[0]]) != 1:
        raise NotUnderstoodError(f"with x-ignore-shared blocks can be renamed, but '{name}' is not one whole block")
    return addresses[sources[0]] or 0
