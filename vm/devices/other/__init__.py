"""Devices that are no memory themselves: NICs, graphics, bridges, controllers, disks. Memory shows their RAMBlocks, and
each has a place on a bus, which decides on names of RAMBlocks.

Which types there are, on what bus, and their properties are recorded from real QEMUs (`vm/known`); there is no class
for a type, but one for all that are reached in the same way.
"""

from __future__ import annotations

from ...known import covers, find_row, parted, rows
from ...loading import load

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...boards.targets import Target
    from ...releases import Release
    from ..device import PluggableDevice

    Types = dict[str, tuple[str, str | None]]

ANY_TARGET = "*"
WITH_MEMORY = ("PCI", "ISA", "System", "virtual-css-bus", "virtio-bus", "-")
"""The buses whose devices may bring RAMBlocks."""
SERVED_ELSEWHERE = "vhost-"
"""Devices that other processes serve, so that none was recorded: they bring nothing, as those that QEMU serves."""
GRAPHICS = ("vhost-user-gpu", "vhost-user-vga")
_known: dict[tuple[str, str], Types] = {}
_classes: dict[tuple[str, str], type[PluggableDevice]] = {}


def other_types(target: Target, release: Release) -> Types:
    """The types that users can make on a target: the bus of each, empty where it has none, and its other name."""
    key = target.name, release.name
    if key not in _known:
        found: Types = {}
        for word, bus, alias, targets in rows("device_types"):
            name, _, marks = parted(word)
            if (targets == ANY_TARGET or target.name in targets.split(",")) and covers(marks, release):
                found[name] = "" if bus == "-" else bus, None if alias == "-" else alias
        _known[key] = found
    return _known[key]


def find_other_type(driver: str, target: Target, release: Release) -> str | None:
    """The type that a name means, which may be its other name; None if there is none."""
    types = other_types(target, release)
    if driver in types:
        return driver
    return next((name for name, (_, alias) in types.items() if alias == driver), None)


def other_class(type_name: str, target: Target, release: Release) -> type[PluggableDevice]:
    """The class of the devices of a type that `find_other_type` found."""
    bus, _ = other_types(target, release)[type_name]
    key = type_name, bus
    if key not in _classes:
        _classes[key] = load(f"{__name__}.classes").make_class(type_name, bus)
    return _classes[key]


def knows_blocks(driver: str, release: Release) -> bool:
    """Whether it is known which RAMBlocks devices of a type bring, by any of its names; so it is if there is none."""
    if find_row("device_blocks", driver, release) is not None:
        return True
    known = [
        (parted(word)[0], bus)
        for word, bus, alias, _ in rows("device_types")
        if driver in (parted(word)[0], alias) and covers(parted(word)[2], release)
    ]
    return all(
        bus not in WITH_MEMORY
        or (name.startswith(SERVED_ELSEWHERE) and not name.startswith(GRAPHICS))
        or find_row("device_blocks", name, release) is not None
        for name, bus in known
    )
