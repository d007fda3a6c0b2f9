"""Machine types and CPUs."""

from __future__ import annotations

import os

from ..vm.boards import machine_types

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..vm.boards.machine import MachineType
    from . import Arguments, Context


def query_machines(context: Context, _arguments: Arguments) -> list[dict[str, Any]]:
    """All machine types of the target."""
    return [_machine_info(machine_type) for machine_type in machine_types(context.vm.target)]


def _machine_info(machine_type: MachineType) -> dict[str, Any]:
    info: dict[str, Any] = {
        "hotpluggable-cpus": machine_type.hotpluggable_cpus,
        "name": machine_type.name,
        "numa-mem-supported": machine_type.setting("numa_mem_supported"),
        "cpu-max": machine_type.max_cpus,
        "deprecated": machine_type.deprecated is not None,
        "default-ram-id": machine_type.default_ram_id,
    }
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
