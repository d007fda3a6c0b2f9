"""What a guest address holds: memory read and written through an address space's view, without a guest."""

from __future__ import annotations

from _bisect import bisect_right

from ..host import MissingPage
from .region import ROM_DEVICE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .flatview import FlatRange, FlatView
    from .ramblock import RAMBlock

    Written = Callable[[RAMBlock, int, int], object]


def parts(view: FlatView, start: int, end: int) -> Iterator[tuple[int, int, FlatRange | None]]:
    """An interval of guest addresses as the ranges that show it, None where nothing does; they leave nothing out."""
    position = start
    while position < end:
        found = view.find(position)
        if found is None:
            following = bisect_right(view.ranges, position, key=_start)
            limit = min(end, view.ranges[following].start) if following < len(view.ranges) else end
            yield position, limit, None
        else:
            limit = min(end, found.end)
            yield position, limit, found
        position = limit


def readable(view: FlatView, start: int, end: int) -> int:
    """The first address from `start` on, below `end`, that is no memory; `end` if all are."""
    for first, _last, flat_range in parts(view, start, end):
        if flat_range is None or not flat_range.is_memory:
            return first
    return end


def read(view: FlatView, start: int, end: int) -> bytes:
    """The bytes of an interval; zeros where there is no memory. Raises `MissingPage`, and `ValueError` for memory that
    has gone meanwhile."""
    found = []
    for first, last, flat_range in parts(view, start, end):
        block = flat_range.region.ram_block if flat_range is not None and flat_range.is_memory else None
        if flat_range is None or block is None:
            found.append(bytes(last - first))
        else:
            offset = block.aliased_offset + flat_range.offset + first - flat_range.start
            found.append(block.host.read(offset, last - first))
    return b"".join(found)


def write(view: FlatView, start: int, data: bytes, written: Written) -> None:
    """Write bytes from an address on where there is memory that can be written; of others nothing is kept, as in QEMU.

    `written` is told of each piece: the block, the offset in it, and how many bytes. Raises `MissingPage`, what lies
    before it being written.
    """
    for first, last, flat_range in parts(view, start, start + len(data)):
        block = flat_range.region.ram_block if flat_range is not None and flat_range.is_memory else None
        if flat_range is None or block is None or flat_range.readonly or flat_range.region.kind == ROM_DEVICE:
            continue
        offset = flat_range.offset + first - flat_range.start
        length = last - first
        try:
            block.host.write(block.aliased_offset + offset, data[first - start : last - start])
        except MissingPage as missing:
            length = max(missing.offset - block.aliased_offset - offset, 0)
            raise
        finally:
            if length:
                written(block, offset, length)


def _start(flat_range: FlatRange) -> int:
    return flat_range.start
