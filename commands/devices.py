"""Devices that users plug: making them, letting go of them, and the memory devices that there are."""

from __future__ import annotations

import sys

from ..schema.visiting import qdict_order
from ..vm.devices import DEVICE_TYPES, device_class, device_types, find_class
from ..vm.devices.values import OptionText
from ..vm.errors import VMError
from .hmp import HMPCommand, HMPError, Word, fixed
from .keyval import HELP_WORDS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from ..vm.boards.targets import Target
    from ..vm.devices import DeviceType
    from ..vm.devices.device import MemoryDevice
    from ..vm.machine import VirtualMachine
    from ..vm.qom import Property, QOMObject
    from ..vm.releases import Release
    from . import Arguments, Context

CATEGORIES = ("Storage devices", "Misc devices", "Uncategorized devices")
"""The order of `-device help`."""
LONGEST_DELAY = 3600
"""Seconds."""
NO_DEVICE_TYPE = "Parameter 'typename' expects a non-abstract device type"
BASE_PROPERTIES = ("type", "parent_bus", "realized", "hotplugged", "hotpluggable")
"""What every device has: `device-list-properties` leaves it out."""


def device_add(context: Context, arguments: Arguments) -> dict[str, Any]:
    """Make a device and plug it."""
    ordered = {name: arguments[name] for name in qdict_order(arguments)}
    context.vm.plugging.add(ordered, hot=True)
    return {}


def device_del(context: Context, arguments: Arguments) -> dict[str, Any]:
    """Ask the guest to let go of a device."""
    plugging = context.vm.plugging
    plugging.request_removal(plugging.find(arguments["id"]))
    return {}


def set_guest_policy(context: Context, arguments: Arguments) -> dict[str, Any]:
    """Decide for the guest."""
    guest, delay = context.vm.plugging.guest, arguments.get("delay")
    if delay is not None and not (arguments["policy"] == "delay" and 0 <= delay <= LONGEST_DELAY):
        raise VMError(f"Parameter 'delay' expects 0 to {LONGEST_DELAY} seconds, for policy 'delay' alone")
    guest.start_task = context.program.start_task
    guest.follow(arguments["policy"], delay)
    return {}


def query_guest_policy(context: Context, _arguments: Arguments) -> dict[str, Any]:
    """What was decided."""
    guest = context.vm.plugging.guest
    described: dict[str, Any] = {"policy": guest.policy}
    if guest.policy == "delay":
        described["delay"] = guest.delay
    return described


def device_list_properties(context: Context, arguments: Arguments) -> list[dict[str, Any]]:
    """The properties that can be given to a device of a type, and its size."""
    from ..vm.devices.other import other_types
    from ..vm.types import all_types, class_of
    from .qom import described_property

    name, release = arguments["typename"], context.vm.release
    known = all_types(release, context.vm.target).get(name)
    if known is None and name in other_types(context.vm.target, release):
        other = find_class(name, context.vm.target, release)
        return [described_property(found, with_default=True) for found in settable_properties(other, release)]
    if known is None:
        raise VMError(f"Device '{name}' not found", "DeviceNotFound")
    if not known.implements("device"):
        raise VMError(release.text("no device type", NO_DEVICE_TYPE))
    if known.abstract:
        raise VMError(release.text("abstract device type", NO_DEVICE_TYPE))
    declared = settable_properties(class_of(known, release, context.vm.target), release)
    return [described_property(found, with_default=True) for found in declared]


def settable_properties(implementation: type[QOMObject], release: Release) -> Iterator[Property]:
    """The properties that can be given to a device of a type, and what else its objects have."""
    for found in implementation.class_properties(release):
        if found.name not in BASE_PROPERTIES and not found.name.startswith("legacy-"):
            yield found


def query_memory_devices(context: Context, _arguments: Arguments) -> list[dict[str, Any]]:
    """The memory devices that there are, by address."""
    return [_described(device) for device in context.vm.memory_devices]


def _described(device: MemoryDevice) -> dict[str, Any]:
    named = {} if device.device_id is None else {"id": device.device_id}
    return {"type": device.kind, "data": {**named, **device.describe()}}


# HMP


def _render_devices(result: list[dict[str, Any]], _words: Any) -> str:
    return "".join(_device_text(found["type"], found["data"]) for found in result)


def _device_text(kind: str, data: dict[str, Any]) -> str:
    lines = [f'Memory device [{kind}]: "{data.get("id", "")}"\n']
    for name, value in data.items():
        if name == "id":
            continue
        if name in ("addr", "memaddr"):
            value = f"{value:#x}"
        elif isinstance(value, bool):
            value = "true" if value else "false"
        lines.append(f"  {name}: {value}\n")
    return "".join(lines)


def read_options(text: str) -> dict[str, OptionText]:
    """The arguments of `device_add` that the text of an option means; the last value of a key counts, the first id."""
    from .keyval import parse_opts

    pairs: dict[str, OptionText] = {}
    for key, value in parse_opts(text, "driver"):
        if key == "id" and "id" in pairs:
            continue
        pairs[key] = OptionText("on" if value is None else value)
    return pairs


def device_add_request(vm: VirtualMachine, words: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The request that a line stands for whose words are those of `device_add`."""
    pairs = read_options(words.get("device", ""))
    if any(word in pairs for word in HELP_WORDS) or pairs.get("driver") in HELP_WORDS:
        try:
            words["help"] = device_text(pairs.get("driver", ""), vm.target, vm.release)
        except VMError as error:
            raise HMPError(f"{error}\n") from None
        if pairs.get("driver", "help") in HELP_WORDS:
            return "qom-list-types", {"implements": "memory-device"}
        return "device-list-properties", {"typename": pairs["driver"]}
    told = _id_mistake(vm, pairs["id"]) if "id" in pairs else None
    if told is not None:
        print(told, file=sys.stderr)
        raise HMPError('Try "help device_add" for more information\n')
    return "device_add", dict(pairs)


def _id_mistake(vm: VirtualMachine, device_id: str) -> str | None:
    """What the reader of options tells people of an id, older ones also of one that there is."""
    from ..vm.objects import is_identifier
    from .keyval import BAD_IDENTIFIER

    if not is_identifier(device_id):
        return BAD_IDENTIFIER
    duplicate = vm.release.text("duplicate device", "")
    if duplicate and device_id in vm.machine.children["peripheral"].children:
        return duplicate.format(device_id)
    return None


def device_text(type_name: str, target: Target, release: Release) -> str:
    """The types of devices by category, or the properties of one of them; raises `VMError` for one of neither."""
    from ..vm.devices.other import other_types

    known = device_types(target, release)
    if type_name in other_types(target, release) and type_name not in known:
        from .backends import options_text

        declared = settable_properties(find_class(type_name, target, release), release)
        return options_text(type_name, [(found.name, found.type_name, found.description) for found in declared])
    if type_name and type_name not in known and type_name not in HELP_WORDS:
        from ..vm.types import all_types

        if type_name not in all_types(release, target):
            raise VMError(f"Device '{type_name}' not found")
        raise VMError(release.text("no device type", NO_DEVICE_TYPE))
    if type_name in known:
        from .backends import options_text

        declared = settable_properties(device_class(type_name, target), release)
        options = [(found.name, found.type_name, _defaulted(found, release)) for found in declared]
        return options_text(type_name, options)
    lines = []
    for category in CATEGORIES:
        rows = [(name, DEVICE_TYPES[name]) for name in sorted(known) if DEVICE_TYPES[name].category == category]
        if rows:
            lines += [f"{category}:", *(_listed(name, row) for name, row in rows), ""]
    return "\n".join(lines)


def _listed(name: str, row: DeviceType) -> str:
    parts = [f'name "{name}"']
    if row.bus is not None:
        parts.append(f"bus {row.bus}")
    if row.alias is not None:
        parts.append(f'alias "{row.alias}"')
    if row.description is not None:
        parts.append(f'desc "{row.description}"')
    return ", ".join(parts)


def _defaulted(declared: Property, release: Release) -> str | None:
    """A property's description with its default."""
    default = getattr(declared, "default", None)
    if default is None:
        return declared.description
    shown = str(default)
    if isinstance(default, bool):
        words = ("on", "off") if release.covers("10.0") else ("true", "false")
        shown = words[0] if default else words[1]
    elif isinstance(default, str) and not release.covers("10.0"):
        shown = f'"{default}"'
    return f"{declared.description or ''} (default: {shown})"


def _guest_policy_request(_vm: VirtualMachine, words: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    arguments: dict[str, Any] = {"policy": words["policy"]}
    if "seconds" in words:
        try:
            arguments["delay"] = float(words["seconds"])
        except ValueError:
            raise HMPError(f"'{words['seconds']}' is no number of seconds\n") from None
    return "set-guest-policy", arguments


def _render_guest_policy(result: dict[str, Any], _words: Any) -> str:
    late = f", {result['delay']:g} s later" if "delay" in result else ""
    return f"guest policy: {result['policy']}{late}\n"


def _render_device_add(_result: Any, words: dict[str, Any]) -> str:
    return f"{words['help']}\n" if "help" in words else ""


HMP = (
    HMPCommand(
        "device_add",
        device_add_request,
        _render_device_add,
        help="add device, like -device on the command line",
        syntax="driver[,prop=value][,...]",
        parameters=(Word("device", "device", optional=True),),
        example="device_add pc-dimm,id=dimm1,memdev=m",
    ),
    HMPCommand(
        "device_del",
        lambda _vm, words: ("device_del", {"id": words["id"]}),
        help="remove device",
        syntax="device",
        parameters=(Word("id", "device-id"),),
        example="device_del dimm0",
    ),
    HMPCommand(
        "guest_policy",
        _guest_policy_request,
        help="what the guest does when it is asked to let go of a device, or to have more memory or less",
        syntax="none|accept|refuse|delay [seconds]|partial",
        parameters=(Word("policy", "guest-policy"), Word("seconds", optional=True)),
        example="guest_policy accept",
    ),
    HMPCommand(
        "info guest_policy",
        fixed("query-guest-policy"),
        _render_guest_policy,
        help="show what the guest does when it is asked to let go of a device, or to have more memory or less",
    ),
    HMPCommand(
        "info memory-devices",
        fixed("query-memory-devices"),
        _render_devices,
        help="show memory devices",
    ),
)
