"""What may be said to a machine that has no board yet (`-preconfig`): its NUMA nodes, and that the board be made."""

from __future__ import annotations

from .errors import VMError
from .starting import make_board

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .machine import VirtualMachine
    from .steps import Task


def set_numa_node(vm: VirtualMachine, options: dict[str, Any]) -> None:
    """Take the arguments of `set-numa-node`; raises `VMError`, also if it is too late."""
    if vm.begun:
        text = "The command is permitted only before the machine has been created"
        raise VMError(vm.release.text("too late for nodes", text))
    vm.warnings.clear()
    vm.numa.add(options)
    _tell_warnings(vm)


def exit_preconfig(vm: VirtualMachine) -> Task[None]:
    """Make the board of a machine that was started with `preconfig`; raises `VMError` if it is too late.

    So does the task; the machine is of no more use then, as QEMU's, which ends.
    """
    if vm.begun:
        text = "The command is permitted only before machine initialization"
        raise VMError(vm.release.text("too late to initialize", text))
    return _leave_preconfig(vm)


def _leave_preconfig(vm: VirtualMachine) -> Task[None]:
    vm.warnings.clear()
    vm.begun = True
    yield from make_board(vm)
    _tell_warnings(vm)
    if vm.run_state.running:
        vm.emit("RESUME")
    vm.on_board()


def _tell_warnings(vm: VirtualMachine) -> None:
    warnings = list(vm.warnings)
    vm.warnings.clear()
    for warning in warnings:
        vm.on_warning(warning)
