"""Guest memory as the migration stream has it: which bytes of a RAMBlock migrate by which block's name.

What is mapped, and what the kernel logs as dirty, is counted in blocks that own their memory. Where aliases divide such
a block, the stream has the aliases in place of it; whoever migrates translates here, in either direction.
"""

from __future__ import annotations

from .dirty import DirtyPages

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ..host import HostMemory
    from .ramblock import RAMBlock


def stream_pieces(block: RAMBlock, offset: int, length: int) -> Iterator[tuple[RAMBlock, int, int]]:
    """The blocks of the stream that have `[offset, offset + length)` of `block`, which owns it.

    Each is told as block, offset in it, and length, in ascending order. What does not migrate is left out.
    """
    end = offset + length
    for start, limit, holder in _division(block):
        first, last = max(start, offset), min(limit, end)
        if first < last and holder.migratable:
            yield holder, first - holder.aliased_offset, last - first


def owned_pieces(block: RAMBlock, offset: int, length: int) -> Sequence[tuple[RAMBlock, int, int, int]]:
    """The memory that migrates as `[offset, offset + length)` of `block`, in ascending order.

    Each piece is told as the block that owns it, the offset there, the offset in `block`, and the length.
    """
    if not block.migratable:
        return ()
    owner, distance = block.aliased or block, block.aliased_offset
    if not owner.aliases and 0 < length <= block.max_length - offset:  # nearly always
        return ((block, offset, offset, length),)
    pieces = []
    for start, limit, holder in _division(owner):
        first, last = max(start, offset + distance), min(limit, offset + length + distance)
        if first < last and holder is block:
            pieces.append((owner, first, first - distance, last - first))
    return pieces


def populated_parts(
    memory: HostMemory, start: int, end: int, unit: int = 1, grain: int = 1
) -> Iterator[tuple[int, int, bool]]:
    """An interval of a memory as `(from, to, whether that may hold anything but zeros)`, in ascending order.

    What is `unit` bytes long, counted from `start`, is never divided. `grain` is that of `HostMemory.populated`.
    """
    page_size = memory.page_size
    low = start // page_size * page_size
    high = min(-(-end // page_size) * page_size, memory.size)
    position = start
    for first, count in memory.populated(low, high - low, grain):
        begin = max(start + (first - start) // unit * unit, position)
        stop = min(start - (start - first - count) // unit * unit, end)
        if begin > position:
            yield position, begin, False
        if stop > begin:
            yield begin, stop, True
            position = stop
    if position < end:
        yield position, end, False


def stream_pages(pages: DirtyPages) -> DirtyPages:
    """The same written pages by the blocks of the stream that have them; those that do not migrate are left out."""
    found = DirtyPages(pages.page_size)
    for owner, bitmap in pages.blocks.items():
        for first, count in bitmap.runs():
            for holder, offset, length in stream_pieces(owner, first * pages.page_size, count * pages.page_size):
                found.bitmap(holder).merge_run(offset // pages.page_size, -(-length // pages.page_size))
    return found


def _division(owner: RAMBlock) -> Iterator[tuple[int, int, RAMBlock]]:
    """The parts of a block that owns its memory, `(start, end, block of the part)`; they leave nothing out."""
    position = 0
    for alias in owner.aliases:
        if alias.migratable:
            if position < alias.aliased_offset:
                yield position, alias.aliased_offset, owner
            yield alias.aliased_offset, alias.aliased_end, alias
            position = alias.aliased_end
    if position < owner.max_length:
        yield position, owner.max_length, owner
