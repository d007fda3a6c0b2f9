"""How a machine starts: its objects, its CPUs, its accelerator, and then its board. No CPU executes anything."""

from __future__ import annotations

from .accel import choose_accelerator
from .boards.machine import set_from_text
from .boards.smp import resolve_topology
from .errors import VMError
from .loading import load
from .objects import LATE_TYPES
from .qom import Device
from .ram import find_backend, lock_memory, prepare_ram
from .sizes import check_ram_limits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .config import Config
    from .machine import VirtualMachine
    from .objects import UserCreatable
    from .steps import Task


def make_objects(vm: VirtualMachine) -> Task[None]:
    """Make what the board needs before it is made: named objects, the size of the RAM, CPUs, the accelerator.

    The order of the checks is QEMU's. Raises `VMError`.
    """
    config, machine = vm.config, vm.machine
    if config.other_objects:
        from .other_objects import add_other_objects

        add_other_objects(vm)
    for arguments in config.objects:
        if not arguments["qom-type"].startswith(LATE_TYPES):
            yield from _add_named_object(vm, arguments)
    for name, value in config.machine_options.items():
        if not isinstance(value, str):
            raise machine.no_property(name)
        set_from_text(machine, name, value)
    if machine.memory_backend_id is not None and config.mem_path is not None:
        raise VMError("'-mem-path' can't be used together with'-machine memory-backend'")
    _size_ram(vm)
    _resolve_cpus(vm)
    _choose_accelerator(vm)
    for arguments in config.objects:
        if arguments["qom-type"].startswith(LATE_TYPES):
            yield from _add_named_object(vm, arguments)
    if machine.memory_backend_id is not None:
        find_backend(vm.tree, machine.memory_backend_id)
    for origin, options in config.numa:
        if isinstance(options, VMError):
            raise VMError(f"{origin}: {options}")
        vm.numa.add(options, origin)


def _size_ram(vm: VirtualMachine) -> None:
    config, machine = vm.config, vm.machine
    asked = vm.machine_type.default_ram_size if config.ram_size is None else config.ram_size
    if not asked and vm.machine_type.default_ram_size and not machine.starts_without_ram:
        raise VMError(f"Machine type '{vm.machine_type.name}' cannot start without RAM")
    machine.ram_size = machine.fit_ram_size(asked)
    machine.ram_slots = config.ram_slots or 0
    machine.max_ram_size = config.max_ram_size or machine.ram_size
    try:
        check_ram_limits(machine.ram_size, config.max_ram_size, config.ram_slots, vm.release)
    except VMError as error:
        raise error.of_option(config.memory_origin) from None


def _resolve_cpus(vm: VirtualMachine) -> None:
    """Tell the board its CPUs; raises `VMError` for a topology that the machine type has not."""
    machine_type, board = vm.machine_type, vm.machine.board
    topology = resolve_topology(vm.config.smp, machine_type, vm.release, vm.warnings)
    vm.machine.smp = topology
    board.cpus = topology["cpus"]
    board.cpu_type, board.cpu_options = _cpu_model(vm.config, machine_type.default_cpu_type or "", vm.target.arch)


def _cpu_model(config: Config, default: str, arch: str) -> tuple[str, dict[str, str]]:
    if config.cpu_model is None:
        return default, {}
    suffix = default.rpartition("-")[0].rpartition("-")[2] or arch
    name, *options = config.cpu_model.split(",")
    pairs = (each.partition("=") for each in options)
    return f"{name}-{suffix}-cpu", {key: value for key, equals, value in pairs if equals}


def _choose_accelerator(vm: VirtualMachine) -> None:
    machine = vm.machine
    target = vm.target
    vm.accelerator = choose_accelerator(
        vm.config.accelerators, vm.host, target.arch, vm.warnings, has_kvm=target.has_kvm
    )
    _check_cpu_model(vm)
    if vm.machine_type.deprecated is not None:
        text = f"Machine type '{vm.machine_type.name}' is deprecated: {vm.machine_type.deprecated}"
        vm.warnings.append(vm.release.settings("deprecated versions").get("mark", "warning: ") + text)
    machine.board.accelerated = vm.accelerator.in_kernel
    if vm.accelerator.follows:
        machine.memory_space.add_listener(vm.accelerator.slots.follower(0))
        machine.board.memslots = vm.accelerator.slots
    if vm.accelerator.slots.has_smm:
        machine.board.smm_listener = vm.accelerator.slots.follower(1)


def _check_cpu_model(vm: VirtualMachine) -> None:
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


def _add_named_object(vm: VirtualMachine, arguments: dict[str, Any]) -> Task[UserCreatable]:
    """Make what an option says; older QEMUs begin what is wrong with that option."""
    try:
        return (yield from vm.objects.add(arguments))
    except VMError as error:
        raise error.of_option(vm.config.object_origins.get(arguments["id"])) from None


def list_monitors(vm: VirtualMachine) -> None:
    """Monitors are objects of users, since QEMU 11.1."""
    if vm.release.settings("objects").get("monitors", True):
        for name, type_name in vm.config.monitors.items():
            vm.tree.objects.add_child(name, Device(type_name))


def make_board(vm: VirtualMachine) -> Task[None]:
    """Make the board, with what is plugged from the start; raises `VMError`."""
    yield from prepare_ram(vm)
    vm.machine.check_ram()
    vm.machine.build()
    if vm.config.vga is not None or vm.config.nics or (vm.config.default_devices and vm.machine.has_default_devices):
        load(f"{__package__}.default_devices").add_default_devices(vm)
    _plug_devices(vm)
    vm.machine.add_tables()
    vm.machine.first_reset()
    vm.initialized = True
    vm.run_state.begin()
    if vm.config.lock_memory:
        lock_memory(vm)
        vm.locks_memory = True


def _plug_devices(vm: VirtualMachine) -> None:
    for origin, arguments in vm.config.devices:
        try:
            vm.plugging.add(arguments, hot=False)
        except VMError as error:
            raise error.of_option(origin) from None
    if vm.config.devices:
        vm.plugging.warn_of_loose_ends()
