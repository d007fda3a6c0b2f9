"""Machine types and CPUs."""

from __future__ import annotations

import os

from ..vm.boards import machine_types
from ..vm.boards.targets import targets
from ..vm.errors import VMError
from ..vm.releases import VERSIONS, find_release
from .hmp import Flag, HMPCommand, HMPError, Word, fixed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..vm.boards.machine_type import MachineType
    from ..vm.boards.smp import CPUSlot
    from ..vm.boards.targets import Target
    from ..vm.releases import Release
    from . import Arguments, Context


ARCHITECTURES = {
    **dict.fromkeys(("i386", "x86_64"), "x86"),
    **dict.fromkeys(("ppc", "ppc64"), "ppc"),
    **dict.fromkeys(("mips", "mipsel", "mips64", "mips64el"), "mips"),
    **dict.fromkeys(("sparc", "sparc64"), "sparc"),
    **dict.fromkeys(("riscv32", "riscv64"), "riscv"),
    "s390x": "s390",
    "tricore": "tricore",
}
"""What `query-cpus-fast` calls a target roughly, up to QEMU 5.2; any other is `other`."""
PROPERTIES = (
    "core-id", "thread-id", "node-id", "drawer-id", "book-id", "die-id", "socket-id", "module-id", "cluster-id",
)  # fmt: skip
SHOWN_PROPERTIES = (
    "node-id", "drawer-id", "book-id", "socket-id", "die-id", "module-id", "cluster-id", "core-id", "thread-id",
)  # fmt: skip


def query_machines(context: Context, arguments: Arguments) -> list[dict[str, Any]]:
    """All machine types of the target, as `-M help` orders them."""
    if arguments.get("compat-props"):
        raise VMError("the defaults that devices have in each version of a machine are not known here")
    target = context.vm.target
    versions = _versions_with(target.name)
    answers = []
    for info in listed_machines(target, context.vm.release):
        info["in-versions"] = versions[info["name"]]
        answers.append(context.answer("query-machines", info))
    return answers


def _versions_with(target_name: str) -> dict[str, list[str]]:
    """The releases that have each machine type of a target."""
    versions: dict[str, list[str]] = {}
    for name in VERSIONS:
        release = find_release(name)
        target = targets(release).get(target_name)
        for machine_type in machine_types(target, release) if target is not None else ():
            versions.setdefault(machine_type.name, []).append(name)
    return versions


def listed_machines(target: Target, release: Release) -> list[dict[str, Any]]:
    """The machine types of a target: families first, each with its newest version first, then all others by name."""
    known = sorted(machine_types(target, release), key=lambda found: found.name)
    families = sorted((found for found in reversed(known) if found.family), key=lambda found: found.family or "")
    return [_machine_info(found, release) for found in families + [found for found in known if not found.family]]


def _machine_info(machine_type: MachineType, release: Release) -> dict[str, Any]:
    info: dict[str, Any] = {
        "hotpluggable-cpus": machine_type.hotpluggable_cpus,
        "name": machine_type.name,
        "numa-mem-supported": machine_type.setting("numa_mem_supported"),
        "cpu-max": machine_type.max_cpus,
        "deprecated": machine_type.deprecated is not None,
        "default-ram-id": machine_type.default_ram_id,
        "acpi": any(declared.name == "acpi" for declared in machine_type.machine.class_properties(release)),
    }
    info["description"] = machine_type.description
    info["default-ram-size"] = machine_type.default_ram_size
    if machine_type.deprecated is not None:
        info["deprecation"] = machine_type.deprecated
    if machine_type.default_cpu_type is not None and machine_type.setting("lists_default_cpu"):
        info["default-cpu-type"] = machine_type.default_cpu_type
    if machine_type.is_default:
        info["is-default"] = True
    if machine_type.alias is not None:
        info["alias"] = machine_type.alias
    return info


def query_cpus_fast(context: Context, _arguments: Arguments) -> list[dict[str, Any]]:
    """The CPUs; none of them executes anything, so all have this process as their thread."""
    machine = context.vm.machine
    arch = context.vm.target.arch
    cpus = []
    for index, cpu in enumerate(machine.cpus):
        info: dict[str, Any] = {"thread-id": os.getpid(), "props": _properties(machine.cpu_slot(index))}
        if arch == "s390x":
            info["cpu-state"] = "stopped" if index else "operating"
        info.update({"qom-path": cpu.path, "cpu-index": index, "target": arch, "type": cpu.type_name})
        info |= {"qom-type": cpu.type_name, "arch": ARCHITECTURES.get(arch, "other")}
        cpus.append(context.answer("query-cpus-fast", info))
    return cpus


def query_cpu_definitions(context: Context, _arguments: Arguments) -> list[dict[str, Any]]:
    """The CPU models that can be named. Which features the host lacks for one is not told: none is made use of."""
    from ..vm.known.cpu_definitions import cpu_definitions

    vm = context.vm
    found = cpu_definitions(vm.target.arch, vm.release, vm.machine.newest_cpu_models)
    if found is not None:
        return found
    if vm.release.covers("11.1"):
        raise VMError("CPU model definitions are not supported on this target")
    raise VMError("The command query-cpu-definitions has not been found", "CommandNotFound")


def query_hotpluggable_cpus(context: Context, _arguments: Arguments) -> list[dict[str, Any]]:
    """The slots for CPUs, the last one first."""
    machine = context.vm.machine
    if not machine.machine_type.hotpluggable_cpus:
        raise VMError(context.vm.release.text("no CPU hotplug", "machine does not support hot-plugging CPUs"))
    slots = []
    for number, slot in reversed(list(enumerate(machine.cpu_slots))):
        info: dict[str, Any] = {"props": _properties(slot), "vcpus-count": machine.cpus_per_slot}
        device = machine.slot_device(number)
        if device is not None:
            info["qom-path"] = device.path
        info["type"] = machine.slot_type
        slots.append(info)
    return slots


def _properties(slot: CPUSlot) -> dict[str, int]:
    """Place and node of a CPU, in the order in which QEMU sends them."""
    properties = slot.place if slot.node_id is None else {**slot.place, "node-id": slot.node_id}
    return {name: properties[name] for name in PROPERTIES if name in properties}


def machine_lines(machines: list[dict[str, Any]]) -> list[str]:
    """The lines that `-M help` shows of machine types, in their order; an alias has a line of its own."""
    lines = []
    for info in machines:
        if "alias" in info:
            lines.append(f"{info['alias']:<20} {info['description']} (alias of {info['name']})")
        marks = (" (default)" if "is-default" in info else "") + (" (deprecated)" if info["deprecated"] else "")
        lines.append(f"{info['name']:<20} {info['description']}{marks}")
    return lines


def _render_machines(result: list[dict[str, Any]], words: dict[str, Any]) -> str:
    wanted = words.get("name")
    if wanted is None and not words.get("verbose"):
        return "".join(f"{line}\n" for line in machine_lines(result))
    shown = [info for info in result if wanted in (None, info["name"], info.get("alias"))]
    if not shown:
        raise HMPError(f"There is no machine '{wanted}' for this target\n")
    return "".join(f"{line}\n" for info in shown for line in _machine_details(info))


def _machine_details(info: dict[str, Any]) -> list[str]:
    """The line of a machine type, and what there is to say of it."""
    from ..vm.sizes import size_to_str

    lines = machine_lines([info])[-1:]
    if "alias" in info:
        lines.append(f"  alias: {info['alias']}")
    lines.append(f"  default RAM: {size_to_str(info['default-ram-size'])}, {info['default-ram-id']}")
    plugged = ", can be plugged" if info["hotpluggable-cpus"] else ""
    lines.append(f"  CPUs: {info.get('default-cpu-type', 'none')}, at most {info['cpu-max']}{plugged}")
    lines += ["  NUMA: -numa node,mem= is understood"] if info["numa-mem-supported"] else []
    lines += [f"  deprecated: {info['deprecation']}"] if "deprecation" in info else []
    return [*lines, f"  in QEMU {', '.join(info['in-versions'])}"]


def _render_cpus(result: list[dict[str, Any]], words: dict[str, Any]) -> str:
    lines = _render_old_cpus(result, words).splitlines()
    models = (cpu["qom-type"].rpartition("-")[0].rpartition("-")[0] for cpu in result)
    return "".join(f"{line} model={model}\n" for line, model in zip(lines, models, strict=True))


def _render_old_cpus(result: list[dict[str, Any]], _words: dict[str, Any]) -> str:
    lines: list[str] = []
    for cpu in result:
        mark = " " if lines else "*"  # the CPU that commands are about
        lines.append(f"{mark} CPU #{cpu['cpu-index']}: thread_id={cpu['thread-id']}\n")
    return "".join(lines)


def _render_hotpluggable_cpus(result: list[dict[str, Any]], _words: dict[str, Any]) -> str:
    lines = ["Hotpluggable CPUs:"]
    for slot in result:
        lines += [f'  type: "{slot["type"]}"', f'  vcpus_count: "{slot["vcpus-count"]}"']
        if "qom-path" in slot:
            lines.append(f'  qom_path: "{slot["qom-path"]}"')
        lines.append("  CPUInstance Properties:")
        lines += [f'    {level}: "{slot["props"][level]}"' for level in SHOWN_PROPERTIES if level in slot["props"]]
    return "".join(f"{line}\n" for line in lines)


HMP = (
    HMPCommand("info cpus", fixed("query-cpus-fast"), _render_cpus, help="show infos for each CPU", since="11.1"),
    HMPCommand("info cpus", fixed("query-cpus-fast"), _render_old_cpus, help="show infos for each CPU", until="10.0"),
    HMPCommand(
        "info hotpluggable-cpus",
        fixed("query-hotpluggable-cpus"),
        _render_hotpluggable_cpus,
        help="Show information about hotpluggable CPUs",
        preconfig=True,
    ),
    HMPCommand(
        "info machines",
        fixed("query-machines"),
        _render_machines,
        help="list the machine types, or tell of one (-v: of all), and of the versions of QEMU that have it",
        syntax="[-v] [name]",
        parameters=(Flag("v", "verbose"), Word("name", "machine-name", optional=True)),
        example="info machines -v q35",
    ),
)
