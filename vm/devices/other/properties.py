"""The properties of such devices, as they were recorded: they are looked at, kept, and decide on blocks and places."""

from __future__ import annotations

import re

from ...errors import VMError
from ...known import parted, rows
from ..values import kept

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from ...qom import Property
    from ...releases import Release


_DRIVE = ("drive", "drive property not set")
REQUIRED: dict[str, tuple[str, str]] = {
    **dict.fromkeys(("virtio-blk", "usb-storage", "scsi-hd", "scsi-block", "scsi-generic"), _DRIVE),
    "ide-hd": ("drive", "No drive specified"),
    "nvme": ("serial", "serial property not set"),
    "virtio-crypto": ("cryptodev", "'cryptodev' parameter expects a valid object"),
    "virtio-9p": ("fsdev", "9pfs device couldn't find fsdev with the id = NULL"),
    "usb-serial": ("chardev", "Property chardev is required"),
    "usb-redir": ("chardev", "Parameter 'chardev' is missing"),
    "tpm-tis": ("tpmdev", "'tpmdev' property is required"),
    "tpm-crb": ("tpmdev", "'tpmdev' property is required"),
    "vhost-vsock": ("guest-cid", "guest-cid property must be greater than 2"),
    "vhost-user-fs": ("chardev", "missing chardev"),
    "virtio-input-host": ("evdev", "evdev property is required"),
    "isa-debugcon": ("chardev", "Can't create debugcon device, empty char device"),
    "isa-parallel": ("chardev", "Can't create parallel device, empty char device"),
    "isa-ipmi-kcs": ("bmc", "IPMI device requires a bmc attribute to be set"),
    "isa-ipmi-bt": ("bmc", "IPMI device requires a bmc attribute to be set"),
}
"""The property that a type cannot be without, by the type's name before `-pci` and `-ccw`, and what QEMU says then."""
NOT_PLUGGABLE = frozenset(
    {
        *("VGA", "acpi-erst", "amd-iommu", "ati-vga", "cirrus-vga", "cxl-rp", "ich9-usb-ehci1", "ich9-usb-ehci2"),
        *(f"ich9-usb-uhci{number}" for number in range(1, 7)),
        *("intel-iommu", "ipmi-bmc-extern", "ipmi-bmc-sim", "nvme-subsys", "pci-ohci", "piix3-ide", "piix3-ide-xen"),
        *("piix4-ide", "pxb", "pxb-cxl", "pxb-pcie", "qxl-vga", "vfio-pci-igd-lpc-bridge", "vfio-pci-nohotplug"),
        *("vhost-user-gpu-pci", "vhost-user-vga", "virtio-gpu-pci", "virtio-iommu-pci", "virtio-vga", "vmclock"),
        *("virtio-iommu-pci-non-transitional", "vmcoreinfo", "vmgenid", "vmware-svga"),
    }
)
"""Types whose devices are there from the start or never."""
NOT_PLUGGABLE_NOW = ("ramfb",)
"""The same, since QEMU 10.0 at the latest."""
_TRANSPORT = re.compile("-(pci|ccw)(-non-transitional|-transitional)?$")


def check_required(type_name: str, given: Mapping[str, object]) -> None:
    """Raise `VMError` if a property is not there that a type cannot be without."""
    required = REQUIRED.get(_TRANSPORT.sub("", type_name))
    if required is not None and not given.get(required[0]):
        raise VMError(required[1])


def check_hotpluggable(type_name: str, release: Release) -> None:
    """Raise `VMError` for a type whose devices are there from the start or never."""
    if type_name in NOT_PLUGGABLE or (type_name in NOT_PLUGGABLE_NOW and release.covers("10.0")):
        raise VMError(release.text("not pluggable", "Device '{}' does not support hotplugging").format(type_name))


def declared_properties(type_name: str, without: Collection[str]) -> tuple[Property, ...]:
    """The properties of a type in all releases, but for those that it has anyway."""
    found = []
    for declared, *holders in rows("device_properties"):
        for holder in holders:
            name, _, marks = parted(holder)
            if name == type_name:
                since, _, until = marks.partition("-")
                for each in declared.split(","):
                    property_name, _, kind = each.partition("=")
                    if property_name not in without:
                        found.append(kept(property_name, kind, since=since or None, until=until or None))
    return tuple(found)
