"""Devices that users plug: making them, letting go of them, and the memory devices that there are."""

from __future__ import annotations

import sys

from ..schema.visiting import qdict_order
from ..vm.devices import DEVICE_TYPES, device_class, device_types
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


def what_if_device_add(context: Context, arguments: Arguments) -> dict[str, Any]:
    """What `device_add` with these arguments would do."""
    from ..vm.devices.device import MemoryDevice
    from ..vm.devices.preview import preview

    vm = context.vm
    found = preview(vm.plugging, {name: arguments[name] for name in qdict_order(arguments)})
    room = vm.plugging.room
    described: dict[str, Any] = {"fits": found.error is None}
    if room is not None:
        described |= {"free": room.room - room.used, "free-slots": room.slots - room.taken_slots}
    if found.error is not None:
        described["error"] = str(found.error)
        if found.fix is not None:
            described["fix"] = found.fix
    elif isinstance(found.device, MemoryDevice):
        described |= found.device.describe_place()
        if vm.accelerator.follows:
            described |= _memslots_for(vm, found.device)
    return described


def _memslots_for(vm: VirtualMachine, device: MemoryDevice) -> dict[str, Any]:
    """How many memslots it takes, how many are free, and what the kernel would keep for them; an error if too few."""
    from ..vm.accel.cost import SlotCost

    slots, cost, needed = vm.accelerator.slots, SlotCost(), 0
    free = slots.max_slots - sum(memslot.as_id == 0 for memslot in slots)
    x86 = vm.target.arch in ("x86_64", "i386")
    for start in range(0, device.length, slots.max_size):
        needed += 1
        size = min(slots.max_size, device.length - start)
        cost.add(device.address + start, size, log_dirty=False, x86=x86, shadow=vm.accelerator.shadow_paging)
    described: dict[str, Any] = {"memslots": needed, "free-memslots": free, "kernel-memory": cost.total}
    if needed > free:
        error = f"not enough memslots: {needed} needed, {free} free of {slots.max_slots}"
        described |= {"fits": False, "error": error}
    return described


def set_guest_policy(context: Context, arguments: Arguments) -> dict[str, Any]:
    """Decide for the guest."""
    guest = context.vm.plugging.guest
    guest.start_task = context.program.start_task
    guest.follow(arguments["policy"], arguments.get("delay"))
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
    from ..vm.types import all_types
    from .qom import described_property

    name, release = arguments["typename"], context.vm.release
    known = all_types(release, context.vm.target).get(name)
    if known is None:
        raise VMError(f"Device '{name}' not found", "DeviceNotFound")
    if known.abstract or not known.implements("device"):
        raise VMError(release.text("no device type", NO_DEVICE_TYPE))
    declared = settable_properties(known.implementation, release)
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


def _render_what_if(result: dict[str, Any], words: dict[str, Any]) -> str:
    from ..vm.sizes import size_to_str

    if "help" in words:
        return f"{words['help']}\n"
    lines = []
    if result["fits"]:
        place = f"at {result['addr']:#x}" if "addr" in result else "nowhere: nothing takes it"
        slot = f", slot {result['slot']}" if result.get("slot", -1) >= 0 else ""
        lines.append(f"it fits: {size_to_str(result['size'])} {place}{slot}, node {result['node']}")
        if "memslots" in result:
            kernel = size_to_str(result["kernel-memory"])
            lines.append(f"memslots: {result['memslots']} of {result['free-memslots']} free; kernel memory: {kernel}")
    else:
        lines.append(f"it does not fit: {result['error']}")
        if "fix" in result:
            lines.append(f"smallest change: {result['fix']}")
    if "free" in result:
        lines.append(f"room now: {size_to_str(result['free'])}, {result['free-slots']} slots")
    return "".join(f"{line}\n" for line in lines)


def _what_if_request(vm: VirtualMachine, words: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    if words["command"] != "device_add":
        raise HMPError("what_if: only of device_add can be told beforehand\n")
    request, arguments = _device_add_request(vm, words)
    return ("what-if-device-add" if request == "device_add" else request), arguments


def _device_add_request(vm: VirtualMachine, words: dict[str, Any]) -> tuple[str, dict[str, Any]]:
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
    known = device_types(target, release)
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


def _render_device_add(_result: Any, words: dict[str, Any]) -> str:
    return f"{words['help']}\n" if "help" in words else ""


HMP = (
    HMPCommand(
        "device_add",
        _device_add_request,
        _render_device_add,
        help="add device, like -device on the command line",
        syntax="driver[,prop=value][,...]",
        parameters=(Word("device", "device", optional=True),),
    ),
    HMPCommand(
        "device_del",
        lambda _vm, words: ("device_del", {"id": words["id"]}),
        help="remove device",
        syntax="device",
        parameters=(Word("id", "device-id"),),
    ),
    HMPCommand(
        "what_if",
        _what_if_request,
        _render_what_if,
        help="tell whether and where a device would fit, what it would cost, and else what the smallest remedy is",
        syntax="device_add driver[,prop=value][,...]",
        parameters=(Word("command", "foreseen"), Word("device", "device", optional=True)),
    ),
    HMPCommand(
        "guest_policy",
        lambda _vm, words: ("set-guest-policy", {"policy": words["policy"]}),
        help="what the guest does when it is asked to let go of a device",
        syntax="none|accept|refuse",
        parameters=(Word("policy", "guest-policy"),),
    ),
    HMPCommand(
        "info guest_policy",
        fixed("query-guest-policy"),
        lambda result, _words: f"guest policy: {result['policy']}\n",
        help="show what the guest does when it is asked to let go of a device",
    ),
    HMPCommand(
        "info memory-devices",
        fixed("query-memory-devices"),
        _render_devices,
        help="show memory devices",
    ),
)
