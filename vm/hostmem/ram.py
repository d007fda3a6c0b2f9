"""memory-backend-ram: anonymous memory."""

from __future__ import annotations

from .backend import MemoryBackend

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..host import HostMemory


ANONYMOUS_ALIGNMENT = 2 << 20
"""Bytes; as observed, what QEMU aligns anonymous memory to, shared or not."""


class RAMBackend(MemoryBackend):
    """Anonymous host memory."""

    type_name = "memory-backend-ram"
    address_alignment = ANONYMOUS_ALIGNMENT

    def map_memory(self, name: str) -> HostMemory:
        """Map anonymous memory."""
        try:
            return self.host.map_anonymous(self.length, share=self.share, reserve=self.reserve)
        except OSError as error:
            raise self.mapping_refused(f"cannot set up guest memory '{name}'", error, self.host.page_size) from None
