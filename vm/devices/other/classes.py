"""Makes the class of a type of device from what is known of the type."""

from __future__ import annotations

from ..pci import PCIDevice
from ..virtio import VirtIODevice, VirtIOPCI
from .bridges import BRIDGES, PCIBridge
from .card import Card, VirtIOCard
from .plain import PlainDevice
from .properties import declared_properties

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..device import PluggableDevice

LABELS = {
    **dict.fromkeys(("virtio-keyboard", "virtio-mouse", "virtio-tablet", "virtio-multitouch"), "virtio-input"),
    "virtio-input-host": "virtio-input",
    "virtio-vga": "virtio-gpu",
    "vhost-scsi": "virtio-scsi",
    "vhost-user-scsi": "virtio-scsi",
    "vhost-user-blk": "virtio-blk",
    "vhost-user-gpu": "virtio-gpu",
    "vhost-user-vga": "virtio-gpu",
}
"""What regions call a VirtIO device, where it is not the beginning of its type's name."""
BACKEND = "virtio-backend"
"""The property that is the VirtIO device behind its proxy, which has it anyway."""
TRANSITIONAL = ("blk", "net", "scsi", "9p", "balloon", "rng", "serial", "vsock")
"""VirtIO devices that drivers from before VirtIO 1.0 know."""


def make_class(type_name: str, bus: str) -> type[PluggableDevice]:
    """The class of the devices of a type that are on a kind of bus, empty where they are on none."""
    if bus != "PCI":
        return _class(type_name, PlainDevice, {"properties": declared_properties(type_name, ()), "bus_kind": bus})
    if type_name in BRIDGES:
        return _class(type_name, PCIBridge, {"properties": declared_properties(type_name, _names(PCIDevice))})
    stem = _virtio_stem(type_name)
    if stem is None:
        return _class(type_name, Card, {"properties": declared_properties(type_name, _names(PCIDevice))})
    declared = declared_properties(type_name, _names(VirtIOPCI, VirtIODevice))
    backend = next((found.type_name for found in declared if found.name == BACKEND), f"child<{stem}-device>")
    inner = _class(backend[len("child<") : -1], VirtIODevice, {"label": LABELS.get(stem, stem)})
    members: dict[str, Any] = {
        "properties": tuple(found for found in declared if found.name != BACKEND),
        "virtio_class": inner,
        "modern_only": type_name.endswith("-non-transitional") or stem.rpartition("-")[2] not in TRANSITIONAL,
    }
    return _class(type_name, VirtIOCard, members)


def _virtio_stem(type_name: str) -> str | None:
    """What a VirtIO device on PCI is, whatever drivers it is for; None of another device."""
    if not type_name.startswith(("virtio-", "vhost-")):
        return None
    stem = type_name.removesuffix("-non-transitional").removesuffix("-transitional")
    return stem.removesuffix("-pci")


def _names(*classes: type[PCIDevice | VirtIODevice]) -> set[str]:
    return {row.name for each in classes for base in each.__mro__ for row in base.__dict__.get("properties", ())}


def _class(type_name: str, base: type[Any], members: dict[str, Any]) -> type[Any]:
    return type(type_name, (base,), {"type_name": type_name, "abstract": False, **members})
