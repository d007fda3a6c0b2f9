"""Memory of a backend that a guest sees as the window of a PCI device, which other guests may have too."""

from __future__ import annotations

from ..errors import VMError
from ..qom import Property
from .memdev import MEMDEV, HasMemdev
from .pci import PCIDevice
from .values import kept

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..boards.machine import Machine
    from ..memory.region import MemoryRegion
    from .rooms import Rooms

REGISTERS = 0x100


class IVSHMEMCommon(PCIDevice):
    """What these devices have in common."""

    type_name = "ivshmem-common"
    abstract = True


class IVSHMEMPlain(IVSHMEMCommon, HasMemdev):
    """The memory alone, without interrupts between the guests; nothing is mapped, for no guest says where."""

    type_name = "ivshmem-plain"
    abstract = False
    without_memdev = "You must specify a 'memdev'"

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._registers: MemoryRegion | None = None
        self._shown: list[MemoryRegion] = []

    def check(self, machine: Machine, rooms: Rooms) -> None:
        """Find its place; raises `VMError`, also if the memory cannot be a window."""
        backend = self.backend
        if backend.in_use:
            raise VMError(f"can't use already busy memdev: {backend.name}")
        super().check(machine, rooms)
        if backend.size & (backend.size - 1):
            raise VMError(f"PCI region size must be a power of two type=0xc, size={backend.size:#x}")

    def realize(self, machine: Machine, rooms: Rooms) -> None:
        """Take the memory, and be on the bus."""
        self.backend.take(f"{self.pci.name_of(self)}/{self.backend.name}")
        super().realize(machine, rooms)
        if self.hotplugged and self.pci.root.window is not None:
            self._show(self.pci.root.window)

    def _show(self, window: MemoryRegion) -> None:
        """Be at address 0, where that is one: that is what the registers say before a guest says otherwise."""
        for region in (self._registers, self.backend_region):
            assert region is not None, "it is there"
            window.add_subregion(0, region, 1)
            self._shown.append(region)

    def _hide(self) -> None:
        for region in self._shown:
            assert region.container is not None, "it was put there"
            region.container.remove_subregion(region)
        self._shown.clear()

    def reset(self, machine: Machine, rooms: Rooms) -> tuple[str, dict[str, Any]] | None:
        """Be nowhere."""
        self._hide()
        return None

    def make_registers(self, machine: Machine) -> None:
        """A few, beside the memory."""
        self._registers = self.own_region(machine.topology.io("ivshmem-mmio", REGISTERS))

    def unrealize(self, machine: Machine, rooms: Rooms) -> None:
        """Leave the bus and give the memory back."""
        self._hide()
        super().unrealize(machine, rooms)
        self.backend.leave()

    properties: tuple[Property, ...] = (
        MEMDEV,
        Property("legacy-memdev", "str", None, until="10.0"),
        kept("master", "OnOffAuto", "off", "on/off/auto"),
    )
