"""The memslot table without a kernel: it keeps the dirty logs that a kernel would keep."""

from __future__ import annotations

import errno
import os

from .memslots import LOG_DIRTY_PAGES, READONLY, MemslotTable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..memory.dirty import DirtyBitmap
    from .memslots import Memslot


class SimMemslotTable(MemslotTable):
    """A table that refuses what a kernel with `phys_bits` address bits would (None: any number of them), and logs
    written pages as KVM does: page by page, in the slots that log."""

    def __init__(self, page_size: int, max_size: int, max_slots: int, phys_bits: int | None = None) -> None:
        super().__init__(page_size, max_size, max_slots)
        self._phys_bits = phys_bits
        self._written: dict[tuple[int, int], DirtyBitmap] = {}
        """The bitmap of a slot in which something was written."""

    def put(self, memslot: Memslot) -> None:
        """Refuse a slot that ends beyond what can be addressed."""
        if self._phys_bits is not None and memslot.gpa + memslot.size > 1 << self._phys_bits:
            from .refusal import refusal

            flags = memslot.log_dirty * LOG_DIRTY_PAGES | memslot.readonly * READONLY
            error = OSError(errno.EINVAL, os.strerror(errno.EINVAL))
            rule = f"it ends beyond the host's {self._phys_bits} physical address bits"
            raise refusal(memslot, flags, memslot.size, error, rule)

    def take(self, memslot: Memslot) -> None:
        """Forget the log of a slot."""
        self._written.pop((memslot.as_id, memslot.slot), None)

    def collect(self, memslot: Memslot) -> Iterable[tuple[int, int]]:
        """Take the written pages of a slot."""
        bitmap = self._written.pop((memslot.as_id, memslot.slot), None)
        return [(first, (1 << count) - 1) for first, count in bitmap.runs()] if bitmap is not None else ()

    def mark_words(self, memslot: Memslot, offset: int, count: int, stride: int) -> None:
        """Note that `count` words from an offset of a slot on were written, each `stride` behind the last."""
        if not memslot.log_dirty or not count:
            return
        key = memslot.as_id, memslot.slot
        bitmap = self._written.get(key)
        if bitmap is None:
            from ..memory.dirty import DirtyBitmap

            bitmap = self._written[key] = DirtyBitmap()
        if stride <= self.page_size:
            first = offset // self.page_size
            bitmap.merge_run(first, (offset + (count - 1) * stride) // self.page_size + 1 - first)
        else:
            for place in range(offset, offset + count * stride, stride):
                bitmap.set(place // self.page_size)
