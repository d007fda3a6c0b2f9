"""The devices that QEMU adds to a board unasked, or by `-vga`, `-nic` and `-net`: a VGA and a NIC.

What is usual is made here with little; what needs more is plugged as users' devices are.
"""

from __future__ import annotations

from .boards.cards import CardMemory, card_blocks
from .errors import VMError
from .known import family_of, find_row

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .boards.machine import Machine
    from .machine import VirtualMachine

VGA_MODELS = {
    "std": "VGA",
    "cirrus": "cirrus-vga",
    "vmware": "vmware-svga",
    "qxl": "qxl-vga",
    "virtio": "virtio-vga",
}
NIC_MODELS = {"virtio": "virtio-net"}
"""Names of models that are no types."""
VGA_NAMES = {
    "std": "standard VGA",
    "cirrus": "Cirrus VGA",
    "vmware": "VMWare SVGA",
    "qxl": "QXL VGA",
    "virtio": "Virtio VGA",
}
WITHOUT_PCI = {"vmware": "vmware_vga"}
"""What a model is called where there is no bus for it."""
UNUSED_VGA = "A -vga option was passed but this machine type does not use that option; No VGA device has been created"
ISA_VGA_MODELS = {"std": "isa-vga", "cirrus": "isa-cirrus-vga"}
VGA_DRIVERS = frozenset(
    {
        *("VGA", "cirrus-vga", "isa-cirrus-vga", "isa-vga", "vmware-svga", "qxl-vga", "virtio-vga", "virtio-vga-gl"),
        *("vhost-user-vga", "ati-vga", "virtio-vga-rutabaga"),
    }
)
"""With a device of one of these types there is no default VGA."""
NEED_MORE = ("virtio", "isa-")
"""What has more than a place and blocks."""
FUNCTIONS = 8
NETWORK, VGA = "network", "vga"
"""The kinds of default devices."""


def add_default_devices(vm: VirtualMachine) -> None:
    """Add them to a board that is there, before what users plug; raises `VMError`."""
    machine, config = vm.machine, vm.config
    vga = _chosen_vga(vm)
    nics = config.nics or []
    if config.nics is None and config.default_devices and machine.default_nic is not None:
        nics = [(machine.default_nic, {})]
    added: list[tuple[str, str, dict[str, object]]] = [(VGA, vga, {})] if vga is not None else []
    for model, options in nics:
        driver = NIC_MODELS.get(model, model) or machine.default_nic
        if driver is not None:
            added.append((NETWORK, driver, dict(options)))
    if machine.has_nics_first:
        added.sort()
    with machine.topology.transaction():
        for _, driver, options in added:
            _add(vm, driver, options)
    if machine.usb_with_graphics is not None:
        usb = machine.switches["usb"] == "on" or (vga is not None and config.default_devices)
        if usb:
            _add(vm, machine.usb_with_graphics, {})
    if machine.defaults_recorded:
        _add_recorded(vm)


def _chosen_vga(vm: VirtualMachine) -> str | None:
    machine, config = vm.machine, vm.config
    if config.vga is None:
        drivers = {arguments.get("driver") for _, arguments in config.devices}
        return machine.default_vga if config.default_devices and not drivers & VGA_DRIVERS else None
    if config.vga == "none" or machine.defaults_recorded:
        return None
    _check_available(vm, config.vga)
    has_pci = machine.pci_root() is not None
    model = (VGA_MODELS if has_pci else ISA_VGA_MODELS).get(config.vga)
    if machine.default_vga is None:
        if machine.board.release.covers("7.2"):
            machine.board.warn(UNUSED_VGA)
        return None
    if model is None:
        machine.board.warnings.append(f"isa_vga_init: {WITHOUT_PCI.get(config.vga, config.vga)}: no PCI bus")
    return model


def _check_available(vm: VirtualMachine, model: str) -> None:
    """Raise `VMError` if the target has no VGA of that model."""
    from .devices.other import other_types

    known = other_types(vm.target, vm.release)
    if model in VGA_NAMES and not {VGA_MODELS[model], ISA_VGA_MODELS.get(model)} & known.keys():
        raise VMError(f"{VGA_NAMES[model]} not available")


def _add(vm: VirtualMachine, type_name: str, options: dict[str, object]) -> None:
    machine = vm.machine
    if options or vm.has_plugged or type_name.startswith(NEED_MORE):
        vm.plugging.add_default(type_name, options)
    else:
        _add_card(machine, type_name)


def _add_card(machine: Machine, type_name: str) -> None:
    """A device in the first free slot of the root PCI bus."""
    root = machine.pci_root()
    if root is None:
        raise VMError(f"No 'PCI' bus found for device '{type_name}'")
    number = next(each for each in range(0, 32 * FUNCTIONS, FUNCTIONS) if each not in root.functions)
    blocks = card_blocks(machine, type_name, {}) or []
    with machine.topology.transaction():
        device, topology = machine.add_device(type_name), machine.topology
        memory = root.enter(number) or machine.system
        container = device.own_region(topology.container("bus master container"))
        window = topology.alias("bus master", memory, 0, machine.system.size)
        machine.place(container, 0, window, device, enabled=False)
        machine.add_space(type_name, container)
        CardMemory(machine, device).add(type_name, f"{root.name}:{number // FUNCTIONS:02x}.0", blocks)
    machine.added_functions[number] = type_name


def _add_recorded(vm: VirtualMachine) -> None:
    """The blocks of a board whose default devices are only known by these; raises `VMError` where others are wanted."""
    machine, config = vm.machine, vm.config
    board, name = machine.board, machine.machine_type.name
    family = family_of(name)
    row = find_row("default_blocks", f"{family}@{board.target.name}", board.release)
    row = row or find_row("default_blocks", family, board.release)
    wanted = {
        VGA: config.default_devices if config.vga is None else config.vga != "none",
        NETWORK: config.default_devices if config.nics is None else bool(config.nics),
    }
    for block in row[1:] if row is not None else ():
        block_name, _, size = block.partition("=")
        kind = NETWORK if block_name.endswith(".rom") and "vga" not in block_name else VGA
        if kind == VGA and config.vga not in (None, "none"):
            raise VMError(f"-vga {config.vga} is not modelled on machine '{name}' (QEMU may have it)")
        if kind == NETWORK and any(model for model, _ in config.nics or ()):
            raise VMError(f"models of NICs are not modelled on machine '{name}' (QEMU may have them)")
        if wanted[kind]:
            length = int(size)
            make = machine.topology.rom if block_name.endswith("rom") else machine.topology.ram
            machine.unattached.own_region(make(block_name, length, machine.make_rom_block(block_name, length)))
