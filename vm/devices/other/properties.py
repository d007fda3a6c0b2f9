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
_TRANSPORT = re.compile("-(pci|ccw)(-non-transitional|-transitional)?$")


def check_required(type_name: str, given: Mapping[str, object]) -> None:
    """Raise `VMError` if a property is not there that a type cannot be without."""
    required = REQUIRED.get(_TRANSPORT.sub("", type_name))
    if required is not None and not given.get(required[0]):
        raise VMError(required[1])


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
