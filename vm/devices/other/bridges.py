"""PCI bridges and ports: devices with another PCI bus behind them."""

from __future__ import annotations

from ...boards.pci import PCIRoot
from ...errors import VMError
from ..buses import Bus
from ..pci_bus import PCIBus
from ..virtio import Bus as BusObject
from .card import Card

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ...boards.machine import Machine
    from ...qom import QOMObject
    from ..rooms import Rooms

PORTS = ("pcie-root-port", "ioh3420", "xio3130-downstream", "cxl-rp", "cxl-downstream")
"""What has a chassis and a slot that no other port has."""
SWITCHES = ("x3130-upstream", "cxl-upstream")
EXPANDERS = ("pxb-pcie", "pxb", "pxb-cxl")
"""What brings a root bus of its own."""
CONVENTIONAL = ("pci-bridge", "pci-bridge-seat", "pcie-pci-bridge", "i82801b11-bridge", "dec-21154-p2p-bridge")
BRIDGES = (*PORTS, *SWITCHES, *EXPANDERS, *CONVENTIONAL)
WITH_CONTROLLER = ("pci-bridge", "pci-bridge-seat", "pcie-pci-bridge")
"""What older versions let a controller plug devices into, which does not know the first slot."""
PORTS_SIZE = 1 << 32
NO_CHASSIS = "Bridge chassis not specified. Each bridge is required to be assigned a unique chassis id > 0."


class PCIBridge(Card):
    """A bridge, a port or an expander, with the bus behind it."""

    type_name = "pci-bridge-card"
    abstract = True
    is_bridge = True

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._place: tuple[int, int] | None = None

    def check(self, machine: Machine, rooms: Rooms) -> None:
        """Find its place; raises `VMError`, also for a chassis and slot that another port has."""
        super().check(machine, rooms)
        if self.type_name in PORTS:
            place = self.kept.get("chassis", 0), self.kept.get("slot", 0)
            if place in rooms.chassis:
                raise VMError("Can't add chassis slot, error -16")
            self._place = place
        if machine.numbers_bridges and not self.declares("chassis_nr"):
            details = "Try -device pci-bridge instead."
            raise VMError('PCI Bridge lacks a "chassis_nr" property', details=details)
        if self.type_name in ("pci-bridge", "pci-bridge-seat") and not self.kept.get("chassis_nr", 0):
            raise VMError(NO_CHASSIS)

    def realize(self, machine: Machine, rooms: Rooms) -> None:
        """Be on its bus, with the other bus behind it."""
        super().realize(machine, rooms)
        if self._place is not None:
            rooms.chassis.add(self._place)
        assert self.devfn is not None, "it was chosen"
        is_express = self.type_name not in ("pci-bridge", "pci-bridge-seat", "pxb", *CONVENTIONAL)
        kind = "PCIE" if is_express else "PCI"
        name = self.device_id
        if name is None:
            taken = {bus.name for bus in rooms.buses if bus.kind == kind}
            names = (f"{kind.lower()}.{number}" for number in range(len(taken) + 1))
            name = next(each for each in names if each not in taken)
        node = self.add_child(name, BusObject(kind))
        rooms.buses.append(Bus(node, self._make_bus(node, machine)))

    def make_registers(self, machine: Machine) -> None:
        """What is seen through its windows, which newer versions have as address spaces."""
        if self.type_name not in EXPANDERS and self.qemu.covers("10.0"):
            memory = self.own_region(machine.topology.container("pci_bridge_pci", machine.system.size))
            ports = self.own_region(machine.topology.container("pci_bridge_io", PORTS_SIZE))
            self.add_space(machine, "pci_bridge_pci_mem", memory)
            self.add_space(machine, "pci_bridge_pci_io", ports)

    def _make_bus(self, node: QOMObject, machine: Machine) -> PCIBus:
        """The bus behind it, whose devices are called by all bridges before them."""
        above = self.pci.root
        assert self.devfn is not None, "it is there"
        chain = f"{self.pci.chain}:{self.devfn >> 3:02x}.{self.devfn & 7:x}"
        path = above.name
        if self.type_name in EXPANDERS:
            path = f"0000:{self.kept.get('bus_nr', 0):02x}"
        if self.type_name == "pxb":
            chain += ":00.0"  # a bridge of its own
        root = PCIRoot(node, {}, hotplug=self._takes_later_devices(), name=path, memory=above.memory)
        bus = PCIBus(root, chain)
        bus.only_bridges = self.type_name in ("pxb-pcie", "pxb-cxl")
        bus.is_port = self.type_name in (*PORTS, *SWITCHES)
        has_controller = self.type_name in WITH_CONTROLLER and not self.qemu.covers("7.2")
        bus.lets_go = has_controller or (
            self.type_name in PORTS and self.qemu.covers("7.2") and not machine.acpi_pci_hotplug
        )
        bus.uses_slot_zero = self.qemu.covers("7.2") or self.type_name not in WITH_CONTROLLER
        return bus

    def _takes_later_devices(self) -> bool:
        if self.type_name in ("pcie-root-port", "xio3130-downstream", "ioh3420"):
            return bool(self.kept.get("hotplug", True))
        return self.type_name in WITH_CONTROLLER or self.type_name == "pxb"

    def withdraw_buses(self, machine: Machine, rooms: Rooms) -> None:
        """Let the bus behind it be gone, with all that is on it."""
        super().withdraw_buses(machine, rooms)
        if self._place is not None:
            rooms.chassis.discard(self._place)
