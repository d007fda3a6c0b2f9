"""What the kernel keeps for each memslot beside the guest's memory itself.

Source: KVM's allocations for a slot, checked against VmallocUsed of a running kernel (6.18, x86-64) by a test.
"""

from __future__ import annotations

PAGE = 4096
LARGE_PAGES = (2 << 20, 1 << 30)
LARGE_PAGE_ENTRY = 4
"""Bytes for each large page that the slot touches: whether it may be mapped as one."""
REVERSE_MAP_ENTRY = 8
"""Bytes for each page and each large page under shadow paging: who maps it."""
WRITE_TRACK_ENTRY = 2
"""Bytes for each page under shadow paging: how often it is write-protected as a page table."""


class SlotCost:
    """Bytes of kernel memory, by what they are for; slots that are added up."""

    __slots__ = ("dirty_bitmap", "large_pages", "reverse_map")

    def __init__(self) -> None:
        self.large_pages = 0
        self.reverse_map = 0
        self.dirty_bitmap = 0

    @property
    def total(self) -> int:
        """All of it."""
        return self.large_pages + self.reverse_map + self.dirty_bitmap

    def add(self, gpa: int, size: int, *, log_dirty: bool, x86: bool, shadow: bool) -> None:
        """Add a slot; `shadow` is as `kvm.uses_shadow_paging` says, and matters on x86 only."""
        pages = size // PAGE
        if log_dirty:
            self.dirty_bitmap += 2 * -(-pages // 64) * 8  # one to fill, one to hand out
        if not x86:
            return
        large = sum((gpa + size - 1) // unit - gpa // unit + 1 for unit in LARGE_PAGES)
        self.large_pages += large * LARGE_PAGE_ENTRY
        if shadow:
            self.reverse_map += (pages + large) * REVERSE_MAP_ENTRY + pages * WRITE_TRACK_ENTRY
