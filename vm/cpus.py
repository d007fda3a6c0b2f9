"""The CPUs that a configuration asks for: how many, where, and of which model. Nothing is executed."""

from __future__ import annotations

from .boards.smp import resolve_topology
from .errors import VMError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .config import Config
    from .machine import VirtualMachine


def resolve_cpus(vm: VirtualMachine) -> None:
    """Tell the board its CPUs; raises `VMError` for a topology that the machine type has not."""
    machine_type, board = vm.machine_type, vm.machine.board
    topology = resolve_topology(vm.config.smp, machine_type, vm.release, vm.warnings)
    vm.machine.smp = topology
    board.cpus = topology["cpus"]
    board.cpu_type, board.cpu_options = _model(vm.config, machine_type.default_cpu_type or "", vm.target.arch)


def has_cpus(vm: VirtualMachine) -> bool:
    """Whether the machine has any: a machine without a board has one if its model is named."""
    return vm.machine_type.name != "none" or vm.config.cpu_model is not None


def _model(config: Config, default: str, arch: str) -> tuple[str, dict[str, str]]:
    if config.cpu_model is None:
        return default, {}
    suffix = default.rpartition("-")[0].rpartition("-")[2] or arch
    name, *options = config.cpu_model.split(",")
    pairs = (each.partition("=") for each in options)
    return f"{name}-{suffix}-cpu", {key: value for key, equals, value in pairs if equals}


def check_cpu_model(vm: VirtualMachine) -> None:
    """Refuse a CPU model that QEMU has not; the host's own wants KVM, or a described host that plays its part."""
    if vm.config.cpu_model is None:
        return
    from .known import cpu_model

    name = vm.config.cpu_model.partition(",")[0]
    if name == "host" and (vm.host.described or vm.accelerator.in_kernel):
        return
    if name not in vm.machine.own_cpu_models and not cpu_model(vm.target.arch, name, vm.release):
        raise VMError(f"unable to find CPU model '{name}'")
    if name == "host":
        raise VMError(f"CPU model 'host' requires {vm.release.settings('texts').get('hosts', 'KVM or HVF')}")
