"""Rewrites a file whose pages have fixed places for other RAMBlocks: where in the new file everything goes.

The stream before the list of RAMBlocks and behind it stays; blocks get new places, each with a bitmap before its pages.
"""

from __future__ import annotations

from ..migration import mapped
from ..migration.writing import block_entry
from .errors import NotUnderstoodError
from .mapped import Place

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from .block_map import Layout
    from .parts import BlockList, PageRun

TOTAL_BYTES = 8
"""Before the first block: how long all are, which stays as it is."""


class MappedRemap:
    """The new file. Its list of RAMBlocks begins at `start`, as in the old one, and the rest follows at `end`."""

    def __init__(self, start: int, told: BlockList, layout: Layout, page_size: int) -> None:
        """Raises `NotUnderstoodError` for blocks that are not in the file."""
        if any(address is not None for _name, _length, address in told.blocks):
            raise NotUnderstoodError("x-ignore-shared and mapped-ram together can be read, and not be rewritten")
        self.entries: list[tuple[int, bytes]] = []
        """What tells of the blocks, each with its place in the file."""
        self._layout = layout
        self._page_size = page_size
        self._places: dict[str, Place] = {}
        at = start + TOTAL_BYTES
        for name, length in layout.blocks:
            entry = block_entry(name, length, None)
            bitmap = at + len(entry) + mapped.HEAD.size
            pages = mapped.pages_after(bitmap + mapped.bitmap_bytes(length, page_size))
            self.entries.append((at, entry + mapped.head(page_size, bitmap, pages)))
            self._places[name] = Place(name, length, bitmap, pages)
            at = pages + length
        self.end = at

    def targets(self, run: PageRun) -> Iterator[tuple[Place, int, int, int]]:
        """Where the pages of a run go: the block's place, the first page there, the first of the run, and how many."""
        size = self._page_size
        offset, end = run.offset, run.offset + run.count * size
        while offset < end:
            piece = self._layout.piece(run.block, offset)
            stop = min(end, piece.end)
            first = (piece.target + offset - piece.start) // size
            yield self._places[piece.name], first, (offset - run.offset) // size, (stop - offset) // size
            offset = stop
