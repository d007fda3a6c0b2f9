"""Dirty logging: everybody who watches what the guest writes gets bitmaps of their own, filled from the slots' logs.

While anybody watches, all memory is logged; the slots' own logs are cleared whenever they are read.
"""

from __future__ import annotations

from ..memory.dirty import DirtyPages

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..memory.address_space import MemoryTopology
    from ..memory.ramblock import RAMBlock
    from .memslots import MemslotTable


class DirtyLog:
    """The log of one machine's memory."""

    __slots__ = ("_table", "_topology", "watchers")

    def __init__(self, topology: MemoryTopology, table: MemslotTable) -> None:
        self._topology = topology
        self._table = table
        self.watchers: list[DirtyPages] = []
        table.on_dirty = self._on_dirty

    def start(self) -> DirtyPages:
        """Watch from now on; returns the bitmaps that `sync` fills.

        Raises `VMError` if the accelerator refuses, and nobody watches then who did not before.
        """
        if self.watchers:
            self.sync()
        else:
            self._topology.set_dirty_logging(True)
        pages = DirtyPages(self._table.page_size)
        self.watchers.append(pages)
        return pages

    def stop(self, pages: DirtyPages) -> None:
        """Watch no more; what was found stays in `pages`."""
        if self.watchers == [pages]:
            self._topology.set_dirty_logging(False)
        self.sync()
        self.watchers.remove(pages)

    def sync(self) -> None:
        """Have everybody's bitmaps show all that was written up to now."""
        table = self._table
        with table.guest_held:
            table.sync(memslot for memslot in table if memslot.log_dirty)

    def mark(self, block: RAMBlock, offset: int, length: int) -> None:
        """Note bytes of a block that somebody else than the guest wrote, which no slot's log shows."""
        first = offset // self._table.page_size
        count = (offset + length - 1) // self._table.page_size + 1 - first
        for pages in self.watchers:
            pages.bitmap(block).merge_run(first, count)

    def _on_dirty(self, block: RAMBlock, first: int, bits: int) -> None:
        for pages in self.watchers:
            pages.mark(block, first, bits)
