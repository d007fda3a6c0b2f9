"""memory-backend-ram: anonymous memory."""

from __future__ import annotations

from ..errors import VMError
from .backend import MemoryBackend

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..host import HostMemory


class RAMBackend(MemoryBackend):
    """Anonymous host memory."""

    type_name = "memory-backend-ram"

    def map_memory(self, name: str) -> HostMemory:
        """Map anonymous memory."""
        try:
            return self.host.map_anonymous(self.length, share=self.share, reserve=self.reserve)
        except OSError as error:
            from .hints import of_mapping

            hint = of_mapping(self, error, self.host.page_size)
            raise VMError(f"cannot set up guest memory '{name}': {error.strerror}", hint=hint) from None
