"""Buses that devices bring, for other devices to be on."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..qom import QOMObject
    from .pci_bus import PCIBus

HOTPLUG_KINDS = ("PCI", "PCIE", "usb-bus", "SCSI", "virtio-serial-bus", "virtual-css-bus")
"""The buses whose devices may come and go while the machine is there."""


class Bus:
    """A bus, which is `node` in the object tree; `pci` where it is one of PCI."""

    __slots__ = ("hotplug", "node", "pci")

    def __init__(self, node: QOMObject, pci: PCIBus | None = None) -> None:
        self.node = node
        self.pci = pci
        self.hotplug = node.type_name in HOTPLUG_KINDS

    @property
    def name(self) -> str:
        """What `bus=` calls it."""
        return self.node.name

    @property
    def kind(self) -> str:
        """Its type."""
        return self.node.type_name
