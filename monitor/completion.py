"""What may follow in an HMP line: a pure function of the line and the machine, for every kind of prompt.

Commands, options, object types, ids, properties and paths all come from the declarations; what few lists there are here
say what words mean.
"""

from __future__ import annotations

from .. import schema
from ..commands import available_hmp_commands
from ..commands.hmp import Flag, Word
from ..vm.boards import machine_types

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

    from ..commands.hmp import HMPCommand
    from ..schema import Contract
    from ..vm.machine import VirtualMachine

    Candidates: TypeAlias = list[tuple[str, str]]
    """Words with what they mean."""


OPTION_KINDS = {
    "object": ("object-add", "qom-type", "object type"),
    "numa": ("set-numa-node", "type", "what is described"),
}
"""Of each kind of parameter that is a list of options: the QMP command, its member that comes first, what that is."""


SWITCHES = {"bool": ("on", "off"), "OnOffAuto": ("auto", "on", "off")}
"""The values of properties that have few."""
WORDS = {
    "guest-policy": {
        "none": "no guest that would answer",
        "accept": "it does what it is asked for",
        "refuse": "it does not",
        "delay": "it does, some time later",
        "partial": "it does half of it",
    },
    "foreseen": {"device_add": "what would become of a device"},
    "switch": {"on": "use it", "off": "do not"},
}
"""The words of some kinds, with what they mean."""


def candidates(vm: VirtualMachine, line: str) -> tuple[int, Candidates]:
    """Where the last word of `line` begins, and the words that may stand there."""
    words = line.split(" ")
    typed = [word for word in words[:-1] if word]
    start = len(line) - len(words[-1])
    commands = available_hmp_commands(vm)
    if not typed:
        return start, [(name, command.help) for name, command in commands.items() if " " not in name]
    if typed[0] in ("help", "?"):
        return start, _help_topics(commands, typed[1:])
    if typed == ["info"]:
        return start, _info_subjects(commands)
    name, rest = (" ".join(typed[:2]), typed[2:]) if typed[0] == "info" else (typed[0], typed[1:])
    command = commands.get(name)
    if command is None:
        return start, []
    offset, found = _parameters(vm, command, rest, words[-1])
    return start + offset, found


def _info_subjects(commands: dict[str, HMPCommand]) -> Candidates:
    return [(name[5:], command.help) for name, command in commands.items() if name.startswith("info ")]


def _help_topics(commands: dict[str, HMPCommand], typed: list[str]) -> Candidates:
    if typed == ["info"]:
        return _info_subjects(commands)
    return [(name, command.help) for name, command in commands.items() if " " not in name] if not typed else []


def _parameters(vm: VirtualMachine, command: HMPCommand, typed: list[str], last: str) -> tuple[int, Candidates]:
    """What may stand for the parameter that comes next; the offset is of its beginning within the last word."""
    flags = [parameter for parameter in command.parameters if isinstance(parameter, Flag)]
    given = [word for word in typed if word.startswith("-")]
    positional = [word for word in typed if not word.startswith("-")]
    found = [(f"-{flag.letter}", flag.name) for flag in flags if f"-{flag.letter}" not in given and not positional]
    places = [parameter for parameter in command.parameters if isinstance(parameter, Word)]
    if len(positional) >= len(places):
        return 0, found
    place = places[len(positional)]
    if place.kind in OPTION_KINDS:
        return _options(schema.contract(vm.release.number), *OPTION_KINDS[place.kind], last)
    if place.kind == "device":
        return _device_options(vm, last)
    return 0, found + _words_of_kind(vm, place.kind, positional, last)


def _words_of_kind(vm: VirtualMachine, kind: str, positional: list[str], last: str) -> Candidates:
    if kind == "object-id":
        return [(name, child.type_name) for name, child in vm.tree.objects.children.items()]
    if kind == "address-space":
        return [(name, "address space") for name in dict.fromkeys(space.name for space in vm.topology.spaces)]
    if kind == "preallocation-id":
        return [(preallocation.name, preallocation.status) for preallocation in vm.objects.defaults.preallocations]
    if kind == "machine-name":
        types = list(machine_types(vm.target, vm.release))
        return [(found.name, found.description) for found in types] + [
            (found.alias, f"{found.description} ({found.name})") for found in types if found.alias is not None
        ]
    if kind == "device-id":
        return [(device.device_id or device.path, device.type_name) for device in vm.plugging.devices]
    if kind.startswith("migration-") or kind == "descriptor-name":
        return _migration_words(vm, kind)
    if kind in WORDS:
        return [(word, meaning) for word, meaning in WORDS[kind].items()]
    if kind == "qom-path":
        return _paths(vm, last)
    if kind == "qom-property":
        nodes = vm.tree.find(positional[0])
        return [(name, type_name) for name, type_name in nodes[0].list_properties()] if nodes else []
    return []


def _migration_words(vm: VirtualMachine, kind: str) -> Candidates:
    migration = vm.migration
    if kind == "migration-capability":
        return [(name, "on" if state else "off") for name, state in migration.capabilities.items()]
    if kind == "migration-parameter":
        return [(name, str(value)) for name, value in migration.parameters.items()]
    if kind == "migration-state":
        return [("pre-switchover", "where 'pause-before-switchover' has it wait")]
    return [(name, f"descriptor {fd}") for name, fd in vm.descriptors.named.items()]


def _paths(vm: VirtualMachine, last: str) -> Candidates:
    """The paths one level below what is typed."""
    parent, _, _ = last.rpartition("/")
    nodes = vm.tree.find(parent or "/")
    if not nodes:
        return []
    prefix, children = f"{parent}/", nodes[0].children
    typed = last[len(prefix) :] if last.startswith(prefix) else ""
    names = [name for name in children if name.startswith(typed)] or children
    return [(f"{prefix}{name}{'/' if children[name].children else ''}", children[name].type_name) for name in names]


def _options(contract: Contract, command: str, tag: str, meaning: str, last: str) -> tuple[int, Candidates]:
    """The type, then the properties, then the values of `object_add`'s argument, or of one like it."""
    parts = last.split(",")
    current = parts[-1]
    offset = len(last) - len(current)
    types = next(member.values for member in contract.properties(command) if member.name == tag)
    if len(parts) == 1:
        return offset, [(type_name, meaning) for type_name in types]
    type_name = parts[0].removeprefix(f"{tag}=")
    if type_name not in types:
        return offset, []
    members = {member.name: member for member in contract.properties(command, type_name)}
    name, equals, _ = current.partition("=")
    if not equals:
        given = {part.partition("=")[0] for part in parts[:-1]} | {tag}
        return offset, [
            (f"{member.name}=", member.description or member.type.name)
            for member in sorted(members.values(), key=lambda member: not member.required)
            if member.name not in given
        ]
    member = members.get(name)
    if member is None:
        return offset, []
    values = ("on", "off") if member.type.name == "bool" else member.values or ()
    return offset + len(name) + 1, [(value, name) for value in values]


def _device_options(vm: VirtualMachine, last: str) -> tuple[int, Candidates]:
    """The type, then the properties, then the values of `device_add`'s argument."""
    from ..vm.devices import device_class, device_types

    parts = last.split(",")
    current = parts[-1]
    offset = len(last) - len(current)
    types = device_types(vm.target, vm.release)
    if len(parts) == 1:
        return offset, [(type_name, "device type") for type_name in types]
    type_name = parts[0].removeprefix("driver=")
    if type_name not in types:
        return offset, []
    name, equals, _ = current.partition("=")
    declared = {row.name: row for row in device_class(type_name, vm.target).class_properties(vm.release)}
    if equals:
        kind = declared[name].type_name if name in declared else ""
        values = _free_backends(vm) if name == "memdev" else [(word, name) for word in SWITCHES.get(kind, ())]
        return offset + len(name) + 1, values
    given = {part.partition("=")[0] for part in parts[:-1]}
    settable = {row.name: row.description or row.type_name for row in declared.values() if row.is_settable}
    settable["id"] = "the name of the device"
    return offset, [(f"{name}=", meaning) for name, meaning in settable.items() if name not in given]


def _free_backends(vm: VirtualMachine) -> Candidates:
    """The memory backends that nothing uses yet."""
    from ..vm.hostmem.backend import MemoryBackend

    return [
        (name, child.type_name)
        for name, child in vm.tree.objects.children.items()
        if isinstance(child, MemoryBackend) and not child.in_use
    ]
