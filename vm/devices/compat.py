"""What devices of older machine types have different, so that guests find what they had."""

from __future__ import annotations

import re

from ..releases import version_number

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .device import SettableDevice

OLDER: tuple[tuple[str, str, object], ...] = (
    ("vectors", "9.2", 0),
    ("x-pcie-ext-tag", "9.1", False),
    ("unplugged-inaccessible", "8.0", "auto"),
    ("x-pcie-ari-nextfn-1", "8.0", True),
    ("x-early-migration", "7.2", False),
    ("x-pcie-err-unc-mask", "7.2", False),
    ("queue_reset", "7.1", False),
    ("x-ats-page-aligned", "5.1", False),
    ("page-poison", "5.0", False),
    ("x-disable-legacy-check", "5.0", True),
    ("use-disabled-flag", "4.1", False),
    ("x-pcie-flr-init", "4.1", False),
    ("use-started", "4.0", False),
    ("x-pcie-extcap-init", "2.8", False),
    ("x-pcie-pm-init", "2.8", False),
    ("x-pcie-lnkctl-init", "2.8", False),
    ("x-pcie-deverr-init", "2.8", False),
    ("x-ignore-backend-features", "2.6", True),
    ("page-per-vq", "2.6", True),
    ("disable-modern", "2.6", True),
    ("migrate-extra", "2.4", False),
    ("x-disable-pcie", "2.4", True),
    ("x-pcie-lnksta-dllla", "2.3", False),
)
"""Property, the last machine version that has another value for it, and that value; as observed."""


def apply_older(device: SettableDevice, machine_type: str) -> None:
    """Set what a device of that machine type has different; a machine type without a version is the newest."""
    versions = re.findall(r"-(\d+\.\d+)", machine_type)
    if not versions:
        return
    version = versions[0]
    number = version_number(version)
    if number <= version_number("2.3") and device.type_name.startswith("virtio-balloon"):
        device.kept["any_layout"] = False
    for name, until, value in OLDER:
        if number <= version_number(until):
            device.kept[name] = value
    if version == "4.0":
        device.kept["qemu-4-0-config-size"] = True
    if version == "4.2" and device.qemu.covers("7.2"):
        device.kept["use-disabled-flag"] = False
