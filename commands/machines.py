"""Machine types and CPUs."""

from __future__ import annotations

import os

from ..vm.boards import machine_types
from .hmp import HMPCommand, HMPError, Word, fixed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..vm.boards.machine import MachineType
    from ..vm.boards.targets import Target
    from . import Arguments, Context


def query_machines(context: Context, _arguments: Arguments) -> list[dict[str, Any]]:
    """All machine types of the target, as `-M help` orders them."""
    return listed_machines(context.vm.target)


def listed_machines(target: Target) -> list[dict[str, Any]]:
    """The machine types of a target: families first, each with its newest version first, then all others by name."""
    known = sorted(machine_types(target), key=lambda found: found.name)
    families = sorted((found for found in reversed(known) if found.family), key=lambda found: found.family or "")
    return [_machine_info(found) for found in families + [found for found in known if not found.family]]


def _machine_info(machine_type: MachineType) -> dict[str, Any]:
    info: dict[str, Any] = {
        "hotpluggable-cpus": machine_type.hotpluggable_cpus,
        "name": machine_type.name,
        "numa-mem-supported": machine_type.setting("numa_mem_supported"),
        "cpu-max": machine_type.max_cpus,
        "deprecated": machine_type.deprecated is not None,
        "default-ram-id": machine_type.default_ram_id,
    }
    info["description"] = machine_type.description
    info["default-ram-size"] = machine_type.default_ram_size
    if machine_type.deprecated is not None:
        info["deprecation"] = machine_type.deprecated
    if machine_type.default_cpu_type is not None:
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
        info: dict[str, Any] = {"thread-id": os.getpid(), "props": machine.cpu_properties(index)}
        if arch == "s390x":
            info["cpu-state"] = "stopped" if index else "operating"
        info.update({"qom-path": cpu.path, "cpu-index": index, "target": arch, "type": cpu.type_name})
        cpus.append(info)
    return cpus


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
    from ..vm.sizes import size_to_str

    wanted = words.get("name")
    if wanted is None:
        return "".join(f"{line}\n" for line in machine_lines(result))
    for info in result:
        if wanted in (info["name"], info.get("alias")):
            lines = machine_lines([info])[-1:]
            lines.append(f"  default RAM: {size_to_str(info['default-ram-size'])}, {info['default-ram-id']}")
            lines.append(f"  CPUs: {info.get('default-cpu-type', 'none')}, at most {info['cpu-max']}")
            lines += [f"  deprecated: {info['deprecation']}"] if "deprecation" in info else []
            return "".join(f"{line}\n" for line in lines)
    raise HMPError(f"There is no machine '{wanted}' for this target\n")


HMP = (
    HMPCommand(
        "info machines",
        fixed("query-machines"),
        _render_machines,
        help="list the machine types, or tell of one",
        syntax="[name]",
        parameters=(Word("name", "machine-name", optional=True),),
    ),
)
