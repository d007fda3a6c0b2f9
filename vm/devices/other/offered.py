"""The buses that devices bring for others: of which kind, how many, and how they are called."""

from __future__ import annotations

from ..buses import Bus
from ..device import PluggableDevice
from ..virtio import Bus as BusObject

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...boards.machine import Machine
    from ..rooms import Rooms

_SCSI = ("lsi53c810", "lsi53c895a", "megasas", "megasas-gen2", "mptsas1068", "pvscsi", "am53c974", "dc390")
OFFERED: dict[str, tuple[str, str, int]] = {
    **dict.fromkeys(_SCSI, ("SCSI", "scsi", 1)),
    **dict.fromkeys(("usb-bot", "usb-uas", "spapr-vscsi"), ("SCSI", "scsi", 1)),
    **dict.fromkeys(("ich9-ahci", "ahci"), ("IDE", "ide", 6)),
    **dict.fromkeys(("piix3-ide", "piix4-ide", "cmd646-ide", "via-ide"), ("IDE", "ide", 2)),
    "sii3112": ("IDE", "ide", 2),
    "isa-ide": ("IDE", "ide", 1),
    **dict.fromkeys(("intel-hda", "ich9-intel-hda"), ("HDA", "hda", 1)),
    "isa-fdc": ("floppy-bus", "floppy-bus", 1),
    "usb-ccid": ("ccid-bus", "ccid-bus", 1),
    "tpci200": ("IndustryPack", "industrypack", 1),
    "nvme-subsys": ("nvme-bus", "nvme-bus", 1),
    "nvme": ("nvme-bus", "nvme-bus", 1),
    "vmbus-bridge": ("vmbus", "vmbus", 1),
}
"""Kind, name without an id, and number of the buses of each type; the rules below have the rest."""


def offered_by(type_name: str) -> tuple[str, str, int] | None:
    """Kind, name without an id, and number of the buses that a type brings."""
    if type_name.startswith(("virtio-scsi", "vhost-scsi", "vhost-user-scsi")):
        return "SCSI", "scsi", 1
    if type_name.startswith("virtio-serial"):
        return "virtio-serial-bus", "virtio-serial-bus", 1
    words = type_name.split("-")
    if any(word.startswith(("xhci", "ehci", "uhci", "ohci")) for word in words):
        return "usb-bus", "usb-bus", 1
    return OFFERED.get(type_name)


class Offering(PluggableDevice):
    """A device with buses, named by its id and a number, or where it has none by their kind and the next number."""

    abstract = True

    def offer_buses(self, rooms: Rooms) -> None:
        """Let its buses be there."""
        offered = offered_by(self.type_name)
        if offered is None:
            return
        kind, stem, count = offered
        for number in range(count):
            if self.device_id is not None:
                name = f"{self.device_id}.{number}"
            else:
                taken = {bus.name for bus in rooms.buses if bus.kind == kind}
                name = next(each for each in (f"{stem}.{free}" for free in range(len(taken) + 1)) if each not in taken)
            node = self.add_child(name, BusObject(kind))
            rooms.buses.append(Bus(node))

    def withdraw_buses(self, machine: Machine, rooms: Rooms) -> None:
        """Let its buses be gone."""
        rooms.buses[:] = [bus for bus in rooms.buses if bus.node.parent is not self]
