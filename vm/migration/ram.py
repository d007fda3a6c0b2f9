"""The RAM of a machine as a stream has it: which bytes go by which block's name, read from and written to the host."""

from __future__ import annotations

from ..memory.stream import owned_pieces, populated_parts, stream_pages

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import TypeAlias

    from ..memory.address_space import MemoryTopology
    from ..memory.dirty import DirtyPages
    from ..memory.ramblock import RAMBlock, RAMBlockTable

    Run: TypeAlias = tuple[RAMBlock, int, int]

PORTION = 1 << 20
"""Bytes that are read at once."""
HOLE = 64 << 20
"""Bytes that are passed over at once."""


def stream_blocks(table: RAMBlockTable) -> list[RAMBlock]:
    """The blocks that migrate, in the order of the stream."""
    return [block for block in table if block.migratable]


def region_address(topology: MemoryTopology, block: RAMBlock) -> int:
    """Where a block's region is in what contains it; 0 for one that nothing contains."""
    regions = dict.fromkeys(space.root for space in topology.spaces)
    for region in (queue := list(regions)):
        if region.ram_block is block:
            return region.address
        for other in (*region.subregions, *([region.alias] if region.alias is not None else ())):
            if other not in regions:
                regions[other] = None
                queue.append(other)
    return 0


def whole(blocks: Iterable[RAMBlock]) -> list[Run]:
    """All of some blocks, as block, offset and length."""
    return [(block, 0, block.used_length) for block in blocks]


def written(pages: DirtyPages, blocks: Iterable[RAMBlock], page_size: int) -> list[Run]:
    """What of some blocks was written, in whole pages of the stream; `pages` are forgotten."""
    found = stream_pages(pages)
    runs: list[Run] = []
    for block in blocks:
        bitmap = found.blocks.get(block)
        end = 0
        for first, count in bitmap.runs() if bitmap is not None else ():
            start = max(first * pages.page_size // page_size * page_size, end)
            end = min(-(-(first + count) * pages.page_size // page_size) * page_size, block.used_length)
            if start < end:
                runs.append((block, start, end - start))
    pages.clear()
    return runs


def length_of(runs: Iterable[Run]) -> int:
    """Bytes of some runs."""
    return sum(length for _block, _offset, length in runs)


class Portion:
    """A part of a run that is sent at once: where it is in the run's block, and where the memory of it is."""

    __slots__ = ("hole", "length", "offset", "owner", "owner_offset")

    def __init__(self, owner: RAMBlock, owner_offset: int, offset: int, length: int, hole: bool) -> None:
        self.owner = owner
        self.owner_offset = owner_offset
        self.offset = offset
        self.length = length
        self.hole = hole
        """Whether there is no memory, which is not to be touched for that and would be zeros."""


def portions(run: Run, page_size: int, *, holes: bool = True) -> Iterator[Portion]:
    """A run in portions of whole pages of the stream, ascending; without `holes`, those are to be read as all is."""
    block, start, length = run
    for owner, owner_offset, offset, piece in owned_pieces(block, start, length):
        distance = owner_offset - offset
        for begin, stop, there in populated_parts(owner.host, owner_offset, owner_offset + piece, page_size, PORTION):
            is_hole = holes and not there
            most = HOLE if is_hole else PORTION
            for position in range(begin, stop, most):
                yield Portion(owner, position, position - distance, min(most, stop - position), is_hole)
