"""PCI on a mainframe: each function has a device of its own that translates what it sees as memory."""

from __future__ import annotations

from ..qom import QOMObject
from .pci import PCIRoot

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..memory.address_space import AddressSpace
    from ..memory.region import MemoryRegion
    from .machine import Machine

MSI_ADDRESS, MSI_SIZE = 0xFE << 56, 0x1000
"""Where a function writes to when it interrupts."""


class ZPCIRoot(PCIRoot):
    """The bus of the host bridge; what is not said there, the first free number is."""

    __slots__ = ("_entered", "_machine", "_translation")
    needs_interrupts = True
    repeats_requests = True

    def __init__(self, machine: Machine, bus: QOMObject) -> None:
        super().__init__(bus, {}, hotplug=True, name=bus.name)
        self._machine = machine
        self._translation = QOMObject()
        self._translation.type_name = "s390-pci-iommu"
        self._entered: dict[int, tuple[int, QOMObject, AddressSpace, MemoryRegion]] = {}
        """Number, translating device, its address space and its registers of each function."""

    def enter(self, number: int) -> MemoryRegion:
        """Have a function on the bus, and return what it sees as memory."""
        machine, taken = self._machine, {entered[0] for entered in self._entered.values()}
        identifier = next(each for each in range(1, len(taken) + 2) if each not in taken)
        place = f"00:{number >> 3:02x}.{number & 7:x}"
        memory = machine.topology.container(f"iommu-root-{place}")
        memory.owner = self._translation
        device = machine.add_device("zpci")
        registers = machine.topology.io(f"msix-s390-{identifier:04x}", MSI_SIZE)
        machine.place(memory, MSI_ADDRESS, registers, device)
        self._entered[number] = identifier, device, machine.add_space(f"iommu-pci-{place}", memory), registers
        return memory

    def leave(self, number: int) -> None:
        """Take a function away."""
        _identifier, device, space, registers = self._entered.pop(number)
        self._machine.topology.remove_space(space)
        space.root.remove_subregion(registers)
        assert device.parent is not None, "it is in the tree"
        device.parent.remove_child(device.name)
