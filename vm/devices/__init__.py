"""Devices that users plug, cold (`-device`) and hot (`device_add`): those that are memory.

`space` is where memory devices go, `device` what all devices have in common, `values` how their properties are read,
and a module for each kind; `plugging` is what a machine does to have one and to be rid of it.
"""

from __future__ import annotations

from ..loading import load

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..boards.targets import Target
    from .device import PluggableDevice

DEVICE_TYPES = {
    "pc-dimm": ("dimm", "PCDIMM"),
    "nvdimm": ("dimm", "NVDIMM"),
}
"""QOM type to the module and the class that implement it."""

TARGETS_WITH_DIMMS = ("x86_64", "i386", "aarch64", "arm", "ppc64", "ppc64le", "loongarch64")
"""Targets whose QEMU has DIMMs, on whatever machine."""


def device_types(target: Target) -> list[str]:
    """The types of devices that users can plug on a target."""
    return list(DEVICE_TYPES) if target.name in TARGETS_WITH_DIMMS else []


def device_class(type_name: str) -> type[PluggableDevice]:
    """The class of one of `DEVICE_TYPES`."""
    module, name = DEVICE_TYPES[type_name]
    return getattr(load(f"{__name__}.{module}"), name)  # type: ignore[no-any-return]  # the table above
