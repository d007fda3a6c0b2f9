"""Where a machine has places for devices: its room for memory devices, its PCI bus, its channels."""

from __future__ import annotations

from .space import DeviceMemory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..boards.machine import Machine
    from .balloon import VirtIOBalloon
    from .channels import ChannelSubsystem
    from .pci_bus import PCIBus


class Rooms:
    """The places that devices are put in, each made when it is first asked for."""

    __slots__ = ("_channels", "_machine", "_memory", "_pci", "balloon", "warned_of_files")

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._memory: DeviceMemory | None = None
        self._pci: PCIBus | None = None
        self._channels: ChannelSubsystem | None = None
        self.balloon: VirtIOBalloon | None = None
        """The one balloon that there may be."""
        self.warned_of_files = False
        """Whether people were told what becomes of files whose pages go back to the host."""

    @property
    def memory(self) -> DeviceMemory | None:
        """Where memory devices go; None without `maxmem`."""
        machine, region = self._machine, self._machine.device_memory
        if self._memory is None and region is not None:
            room = machine.max_ram_size - machine.board_ram_size
            self._memory = DeviceMemory(region, region.address, room, machine.ram_slots)
        return self._memory

    @property
    def pci(self) -> PCIBus | None:
        """Where PCI devices go; None if there is no bus."""
        if self._pci is None:
            root = self._machine.pci_root()
            if root is None:
                return None
            from .pci_bus import PCIBus

            self._pci = PCIBus(root)
        return self._pci

    @property
    def channels(self) -> ChannelSubsystem | None:
        """Where channel devices go; None if there is no subsystem."""
        if self._channels is None and self._machine.has_channels:
            from .channels import ChannelSubsystem

            self._channels = ChannelSubsystem()
        return self._channels

    def enlarged(self, slots: int, room: int) -> Rooms:
        """The same with more slots and more bytes for memory devices, to be looked at only."""
        copy = Rooms(self._machine)
        copy._memory = self.memory.enlarged(slots, room) if self.memory is not None else None
        copy._pci, copy._channels, copy.balloon = self.pci, self.channels, self.balloon
        return copy
