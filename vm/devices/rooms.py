"""Where a machine has places for devices: its room for memory devices, its PCI buses, its channels, other buses."""

from __future__ import annotations

from .space import DeviceMemory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..boards.machine import Machine
    from .balloon import VirtIOBalloon
    from .buses import Bus
    from .channels import ChannelSubsystem
    from .pci_bus import PCIBus


class Rooms:
    """The places that devices are put in, each made when it is first asked for."""

    __slots__ = ("_channels", "_machine", "_memory", "_pci", "balloon", "buses", "chassis", "warned_of_files")

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._memory: DeviceMemory | None = None
        self._pci: PCIBus | None = None
        self._channels: ChannelSubsystem | None = None
        self.balloon: VirtIOBalloon | None = None
        """The one balloon that there may be."""
        self.buses: list[Bus] = []
        """Those that came with devices, the oldest first."""
        self.chassis: set[tuple[int, int]] = set()
        """The numbers that ports have: of the chassis, and of the slot in it."""
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

    def find_pci(self, name: str | None) -> PCIBus | None:
        """The PCI bus of a name; without one, where devices go that name none: as observed, to the latest root bus."""
        root = self.pci
        if root is None or (name is not None and root.root.bus.name == name):
            return root
        for bus in reversed(self.buses):
            if bus.pci is not None and (bus.name == name or (name is None and bus.pci.only_bridges)):
                return bus.pci
        return root if name is None else None

    def find_bus(self, machine: Machine, name: str | None, kind: str) -> Bus | None:
        """The bus of a name, or where there is none the latest of that kind; then the board's."""
        from .buses import Bus

        for bus in reversed(self.buses):
            if bus.name == name or (name is None and bus.kind == kind):
                return bus
        nodes = [node for node in machine.walk() if node.type_name == kind and name in (None, node.name)]
        return Bus(nodes[-1]) if nodes else None

    def bus_kind(self, machine: Machine, name: str) -> str | None:
        """Of what kind the bus of that name is; None if there is none."""
        found = [bus.kind for bus in self.buses if bus.name == name]
        return found[-1] if found else machine.bus_kind(name)

    @property
    def pci(self) -> PCIBus | None:
        """The root PCI bus; None if there is none."""
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
        copy.buses, copy.chassis = self.buses, self.chassis
        return copy
