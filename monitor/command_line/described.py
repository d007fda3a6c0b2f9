"""Which options of the command line take keys, for clients that ask (`query-command-line-options`).

Only what is obeyed is told: libvirt gives what it is told of, and does without the rest.
"""

from __future__ import annotations

from ...vm.types import all_types
from . import groups
from .chardev_options import device_group

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ...vm.machine import VirtualMachine
    from ...vm.releases import Release

    Keys = dict[str, str]

_TYPES = {"bool": "boolean", "OnOffAuto": "boolean", "int": "number", "uint64": "number"}
"""What a type of a key is called here, where that is another word."""
_KNOWN_TYPES = ("string", "boolean", "number", "size")
"""All that there are; whatever else a machine property is, is told to be a string."""

_TELLS_OF_MACHINES = "10.0"
"""The first version that tells of the properties that machine types have; those before it have one fixed list."""
_FIXED_MACHINE_KEYS = {"mem-merge": "boolean", "dump-guest-core": "boolean", "accel": "string", "type": "string"}
"""Those of that list that are obeyed."""
_CHANGED_TYPES = {"overcommit": {"mem-lock": ("10.0", "string")}}
"""Keys whose values have become something else, since when, and what."""


def described_options(vm: VirtualMachine) -> list[dict[str, Any]]:
    """Every option that takes keys, with the keys and their types; without any where each of its values has its own."""
    release = vm.release
    smp = [key for key in groups.SMP_KEYS if key not in release.settings("smp").get("unknown", ())]
    found: dict[str, Keys] = {"machine": _machine_keys(vm)}
    for group in (groups.NUMA, groups.NAME, groups.OVERCOMMIT, groups.OBJECT, groups.ADD_FD):
        found[group.name] = _keys_of(group, release)
    old = release.settings("smp").get("old", False)
    found["smp-opts"] = dict(reversed(groups.OLD_SMP.types.items())) if old else dict.fromkeys(reversed(smp), "number")
    for group in (groups.MEMORY, groups.ACCELERATOR, groups.MONITOR, groups.DEVICE, device_group(release)):
        found[group.name] = _keys_of(group, release)
    return [
        {"option": name, "parameters": [{"name": key, "type": kind} for key, kind in keys.items()]}
        for name, keys in found.items()
    ]


def _keys_of(group: groups.OptionGroup, release: Release) -> Keys:
    """The keys of a group in a version, the last first, as QEMU has them."""
    retyped = _CHANGED_TYPES.get(group.name, {})
    keys: Keys = {}
    for key, kind in reversed(group.types.items()):
        since, later = retyped.get(key, ("", ""))
        keys[key] = later if since and release.covers(since) else _TYPES.get(kind, kind)
    return keys


def _machine_keys(vm: VirtualMachine) -> Keys:
    """The properties of all machine types that there are for the target."""
    if not vm.release.covers(_TELLS_OF_MACHINES):
        return _FIXED_MACHINE_KEYS
    keys: Keys = {"type": "string"}
    for known in all_types(vm.release, vm.target).values():
        if known.implements("machine"):
            for declared in known.implementation.class_properties(vm.release):
                kind = _TYPES.get(declared.type_name, declared.type_name)
                keys.setdefault(declared.name, kind if kind in _KNOWN_TYPES else "string")
    return keys
