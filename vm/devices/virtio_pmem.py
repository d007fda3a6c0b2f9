"""virtio-pmem: memory that keeps its contents."""

from __future__ import annotations

from ..errors import VMError
from ..qom import Property
from .memdev import MEMDEV
from .virtio import GENERATIONS, VirtIOPCI
from .virtio_memory import VirtIOMemoryDevice, VirtIOMemoryProxy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..boards.machine import Machine
    from .rooms import Rooms


class VirtIOPMem(VirtIOMemoryDevice):
    """Memory that keeps its contents."""

    type_name = "virtio-pmem"
    abstract = False
    label = "virtio-pmem"

    @property
    def alignment(self) -> int:
        """What the backend is aligned to."""
        return self.backend.address_alignment

    def check(self, machine: Machine, rooms: Rooms) -> None:
        """Raise `VMError` if somebody has the backend."""
        if self.backend.in_use:
            raise VMError(f"can't use already busy memdev: {self.backend.name}")

    def realize(self, machine: Machine, rooms: Rooms, block_prefix: str) -> None:
        """Take the backend; its block has no name, for it does not migrate."""
        self.backend.take("")
        super().realize(machine, rooms, block_prefix)

    def unrealize(self, machine: Machine, rooms: Rooms) -> None:
        """Give the backend back."""
        super().unrealize(machine, rooms)
        self.backend.leave()

    def describe(self) -> dict[str, Any]:
        """What `query-memory-devices` tells of it."""
        return {"memaddr": self.memaddr, "size": self.backend.size, "memdev": self.backend.path}

    properties = (
        VirtIOMemoryDevice.MEMADDR,
        Property("legacy-memdev", "str", None, until="10.0"),
        MEMDEV,
    )


class VirtIOPMemPCI(VirtIOMemoryProxy, VirtIOPCI):
    """virtio-pmem on a PCI bus."""

    type_name = "virtio-pmem-pci"
    abstract = False
    virtio_class = VirtIOPMem
    virtio: VirtIOPMem
    modern_only = True
    kind = "virtio-pmem"
    properties = GENERATIONS

    def find_vectors(self) -> bool:
        """It has none."""
        return False
