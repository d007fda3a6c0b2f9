"""Writes pages at fixed places of a file, over what they were before, and the stream around them."""

from __future__ import annotations

from . import format as fmt
from . import mapped, writing
from .sending import Sender

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..memory.ramblock import RAMBlock
    from ..steps import Cancellation
    from .frames import FrameRun
    from .ram import Portion

HOLE = 1 << 16
"""Bytes of a bitmap that are not written where all are 0: the file is new."""


class Place:
    """Where in the file a block's pages and their bitmap are, and the bitmap."""

    __slots__ = ("bitmap", "bitmap_offset", "pages_offset")

    def __init__(self, bitmap_offset: int, pages_offset: int, bitmap: bytearray) -> None:
        self.bitmap_offset = bitmap_offset
        self.pages_offset = pages_offset
        self.bitmap = bitmap


class MappedSender(Sender):
    """Writes the RAM of a machine into a file."""

    gap = 0
    _places: dict[RAMBlock, Place]
    _waiting: list[tuple[int, memoryview]]
    """Pages that were read and are to be written: where, and what."""

    def _send_blocks(self, blocks: list[RAMBlock], cancellation: Cancellation) -> None:
        self._places, self._waiting = {}, []
        total = writing.block_total(sum(block.used_length for block in blocks))
        self._send([writing.section_head(fmt.SECTION_START, fmt.RAM_SECTION_ID), total], cancellation)
        for number, block in enumerate(blocks):
            address = self.addresses[number] if self.addresses is not None else None
            entry = writing.block_entry(block.name, block.used_length, address)
            size = mapped.bitmap_bytes(block.used_length, self._page_size)
            bitmap_offset = self._channel.position + len(entry) + mapped.HEAD.size
            pages_offset = mapped.pages_after(bitmap_offset + size)
            self._places[block] = Place(bitmap_offset, pages_offset, bytearray(size))
            self._send([entry, mapped.head(self._page_size, bitmap_offset, pages_offset)], cancellation)
            self._channel.position = pages_offset + block.used_length
        self._send([writing.section_tail(fmt.RAM_SECTION_ID, footers=self.footers)], cancellation)

    def _add_kinds(self, block: RAMBlock, portion: Portion, first: int, kinds: Iterable[FrameRun]) -> None:
        for begin, end, is_zero in kinds:
            offset = portion.offset + (begin - first) * self._page_size
            if is_zero:
                self._add_zeros(block, offset, (end - begin) * self._page_size)
                continue
            self._waiting.append((self._places[block].pages_offset + offset, self._frames.piece(begin, end)))
            self._mark(block, offset, (end - begin) * self._page_size, there=True)
            self._stats.normal_pages += end - begin

    def _add_zeros(self, block: RAMBlock, offset: int, length: int) -> None:
        self._mark(block, offset, length, there=False)
        self._stats.zero_pages += length // self._page_size

    def _mark(self, block: RAMBlock, offset: int, length: int, *, there: bool) -> None:
        first = offset // self._page_size
        mapped.mark(self._places[block].bitmap, first, first + length // self._page_size, there=there)

    def _meet(self, cancellation: Cancellation, *, first: bool = False, last: bool = False) -> bytes:
        for position, data in self._waiting:
            self._channel.send_at([data], position)
            self._count(len(data))
        self._waiting = []
        if last and self._kind == fmt.SECTION_END:
            for place in self._places.values():
                for start in range(0, len(place.bitmap), HOLE):
                    part = bytes(place.bitmap[start : start + HOLE])
                    if part != bytes(len(part)):
                        self._channel.send_at([part], place.bitmap_offset + start)
        return b""

    def _count(self, size: int) -> None:
        self._stats.stream_bytes += size
        self._ahead += size
        if self._migration.capabilities["multifd"]:
            self._stats.count_multifd(size)
        else:
            self._stats.count_ram(size)
