"""A machine's root PCI bus, as the board leaves it to devices that users plug; and the buses behind bridges."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..memory.region import MemoryRegion
    from ..qom import QOMObject


class PCIRoot:
    """The bus, what the board itself has on it, and what may come."""

    __slots__ = ("bus", "functions", "hotplug", "memory", "name", "window")
    needs_interrupts = False
    """Whether a device must have interrupts of its own."""
    repeats_requests = False
    """Whether a guest that was asked to let go of a device can be asked again."""

    def __init__(
        self,
        bus: QOMObject,
        functions: Mapping[int, str],
        *,
        hotplug: bool = False,
        name: str = "0000:00",
        memory: MemoryRegion | None = None,
        window: MemoryRegion | None = None,
    ) -> None:
        self.bus = bus
        self.functions = functions
        """The types of the board's devices by number: eight times the slot, and the function."""
        self.hotplug = hotplug
        """Whether devices may come and go while the machine is there."""
        self.name = name
        """How RAMBlocks of devices call the bus."""
        self.memory = memory
        """What devices on it see as memory; None is what the CPUs see."""
        self.window = window
        """Where devices are that say they are at 0; None where that is no address."""

    def enter(self, number: int) -> MemoryRegion | None:
        """Have a function on the bus, and return what it sees as memory; None is what the CPUs see."""
        return self.memory

    def leave(self, number: int) -> None:
        """Take a function away."""
