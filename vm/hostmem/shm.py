"""memory-backend-shm: POSIX shared memory that has no name, for processes that are handed its descriptor.

Newer than QEMU 7.2; rules and texts are those of QEMU 9.1.
"""

from __future__ import annotations

from ..errors import VMError
from .backend import MemoryBackend
from .file import map_backing_store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..host import Host, HostMemory
    from ..memory.address_space import MemoryTopology
    from ..objects import ObjectDefaults

FOLDER = "/dev/shm"
"""Where POSIX shared memory lives. Source: shm_overview(7)."""


class ShmBackend(MemoryBackend):
    """Shared memory that appears to nobody else by itself: its name is gone before it has a size."""

    type_name = "memory-backend-shm"

    def __init__(self, host: Host, topology: MemoryTopology, defaults: ObjectDefaults) -> None:
        super().__init__(host, topology, defaults)
        self.share = True

    @property
    def backing_path(self) -> str:
        """Where POSIX shared memory is kept."""
        return FOLDER

    def map_memory(self, name: str) -> HostMemory:
        """Create the shared memory object, size it, map it."""
        if not self.share:
            raise VMError("can't create shm backend with `share=off`")
        try:
            file = self.host.create_unlinked(FOLDER, "ramslot-shm.")
        except OSError as error:
            raise VMError(f"failed to create POSIX shared memory: {error.strerror}") from None
        try:
            file.truncate(self.size)
            return map_backing_store(self, name, file)
        except OSError as error:
            raise VMError(f"failed to resize POSIX shared memory to {self.size}: {error.strerror}") from None
        finally:
            file.close()
