"""What all x86 boards have: CPUs with their address spaces, firmware below 1 MiB and 4 GiB, and devices from rows.

A board of the family says which rows, and where its RAM goes.
"""

from __future__ import annotations

import os

from ..errors import VMError
from ..qom import Property, take_int, take_str
from .board import Board
from .machine import HMAT, Machine, switch
from .machine_type import MachineType
from .x86_cpus import CPUModel, apic_id, apic_ids_used
from .x86_layout import DeviceRow, RegisterRow

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..memory.ramblock import RAMBlock
    from ..memory.region import MemoryRegion
    from ..qom import QOMObject
    from .pci import PCIRoot

KIB = 1 << 10
MIB = 1 << 20
GIB = 1 << 30
FOUR_GIB = 4 * GIB
MAX_APIC_IDS = 255
"""How many CPU numbers an APIC has; more need an x2APIC."""
NO_X2APIC = "APIC ID {} requires x2APIC feature in CPU\nTry x2apic=on in -cpu."
HYPERTHREADING_WARNING = (
    "This family of AMD CPU doesn't support hyperthreading({}). "
    "Please configure -smp options properly or try enabling topoext feature."
)
ACPI_TABLES_MAX = 2 * MIB


def kept(
    name: str,
    type_name: str,
    take: Callable[[X86Machine, str, object], object],
    description: str | None = None,
    *,
    since: str | None = None,
) -> Property:
    """A machine option that decides nothing about memory; it is only read back."""

    def setter(machine: X86Machine, value: object) -> None:
        machine.kept_options[name] = take(machine, name, value)

    return Property(name, type_name, lambda machine: machine.kept_options[name], setter, description, since=since)


def _take_identity(longest: int) -> Callable[[X86Machine, str, object], str]:
    def take(_machine: X86Machine, name: str, value: object) -> str:
        text = take_str(name, value)
        if len(text) > longest:
            raise VMError(f"User specified {name} value is bigger than {longest} bytes in size")
        return text

    return take


class X86Machine(Machine):
    """A board with x86 CPUs. Attributes that begin with `firmware_`, `acpi_` or `fw_` may be set by versions."""

    type_name = "x86-machine"
    abstract = True
    starts_without_ram = True
    numa_supported = True
    flash_modelled = True
    topology_levels: tuple[str, ...] = ("dies",)
    devices: tuple[DeviceRow, ...] = ()
    registers: tuple[RegisterRow, ...] = ()
    pci_bus = ""
    """The part that is the root PCI bus."""
    pci_path = "0000:00"
    """How RAMBlocks of devices call the root PCI bus."""
    pci_functions: Mapping[int, str] = {}
    """The parts that are on it, by number."""
    bus_masters: tuple[str, ...] = ()
    switch_defaults: dict[str, str] = {}
    kept_defaults: dict[str, object] = {}
    kernel_devices = True
    """Whether KVM's own interrupt controllers and timer replace the board's."""
    firmware_size = 256 * KIB
    """Size of the firmware where no file is named."""
    firmware_is_rom = True
    kvmvapic = True
    """Whether an APIC's priorities may be handled by the guest's own code."""
    emulates_x2apic = True
    """Whether there are x2APICs without KVM."""
    fw_cfg_dma = True
    acpi_blobs: tuple[tuple[str, int, int | None], ...] = ()
    """RAMBlocks of the ACPI tables for the firmware: name, used and reserved size, None being `table_loader_size`."""
    table_loader_size = 64 * KIB

    def __init__(self, machine_type: MachineType, board: Board) -> None:
        super().__init__(machine_type, board)
        self.switches |= {"smm": "auto", "acpi": "auto", "pit": "auto", "pic": "auto", **self.switch_defaults}
        self.kept_options: dict[str, object] = {
            "x-oem-id": "BOCHS ",
            "x-oem-table-id": "BXPC    ",
            "bus-lock-ratelimit": 0,
            **self.kept_defaults,
        }
        self.cpu_model: CPUModel
        self.parts: dict[str, QOMObject] = {"machine": self, "": self.unattached}
        self.regions: dict[str, MemoryRegion] = {"io": self.io, "system": self.system}

    # CPUs

    def cpu_place(self, index: int) -> dict[str, int]:
        """Socket, die where there are several, core and thread."""
        place = {}
        for level in ("threads", "cores", "modules", "dies"):
            index, number = divmod(index, self.smp[level])
            if level in ("threads", "cores") or self.smp[level] > 1:
                place[f"{level[:-1]}-id"] = number
        return {**place, "socket-id": index}

    def default_node(self, cpu: int, nodes: int) -> int:
        """Sockets take turns."""
        return self.cpu_place(cpu)["socket-id"] % nodes

    def check_cpus(self) -> None:
        """Find out about the CPU model; raises `VMError` if the board cannot have such CPUs, or so many."""
        board = self.board
        name = board.cpu_type.removesuffix(f"-{board.target.arch}-cpu")
        self.cpu_model = CPUModel(
            name, board.cpu_options, board.target.arch, board.accelerated, board.host, board.release
        )
        if not self.emulates_x2apic and apic_ids_used(self.smp) > MAX_APIC_IDS and not board.accelerated:
            raise VMError("current -smp configuration requires kernel irqchip and X2APIC API support.")
        threads = self.smp["threads"]
        if threads > 1 and self.cpu_model.threads_refused:
            board.warn(board.release.text("hyperthreading", HYPERTHREADING_WARNING).format(threads))
        last = apic_id(board.cpus - 1, self.smp)
        if last >= MAX_APIC_IDS and not self.cpu_model.has_x2apic:
            raise VMError(board.release.text("no x2APIC", NO_X2APIC).format(MAX_APIC_IDS))

    @property
    def has_apics(self) -> bool:
        """Whether the CPUs have local APICs: several CPUs have them always."""
        return self.cpu_model.has_apic or self.smp["maxcpus"] > 1

    def add_cpus(self) -> None:
        """Make the CPUs, each with an address space of its own."""
        for number in range(self.board.cpus):
            self.cpus.append(self.add_device(self.board.cpu_type))
            self.add_space(f"cpu-memory-{number}", self.system)
            if number == 0 and self.kvmvapic and self.has_apics and self.board_ram_size >= MIB:
                self.parts["kvmvapic"] = self.add_device("kvmvapic")

    def add_smm_spaces(self, smram: MemoryRegion | None) -> None:
        """The address spaces that CPUs see in system management mode; KVM has one for all, if it has any.

        Raises `VMError` for a mode that is asked for and not there.
        """
        if self.board.accelerated:
            self._add_kvm_smm_space(smram)
            return
        for number, cpu in enumerate(self.cpus):
            memory = cpu.own_region(self.topology.container("memory"))
            self.place(memory, 0, self.topology.alias("memory", self.system, 0, self.system.size), cpu)
            if smram is not None:
                self.place(memory, 0, self.topology.alias("smram", smram, 0, FOUR_GIB), cpu, 1)
            self.add_space(f"cpu-smm-{number}", memory)

    def _add_kvm_smm_space(self, smram: MemoryRegion | None) -> None:
        listener = self.board.smm_listener
        if listener is None or self.switches["smm"] == "off":
            return
        memory = self.own_region(self.topology.container("mem-container-smram"))
        self.place(memory, 0, self.topology.alias("mem-smram", self.system, 0, self.system.size), self)
        if smram is not None:
            memory.add_subregion(0, smram, 10)
        self.add_space("KVM-SMRAM", memory).add_listener(listener)

    def find_smm(self) -> bool:
        """Whether CPUs have a system management mode; raises `VMError` where it is asked for and not there."""
        available = not self.board.accelerated or self.board.smm_listener is not None
        if not available and self.switches["smm"] == "on":
            raise VMError("System Management Mode not supported by this hypervisor.")
        return available and self.switches["smm"] != "off"

    def add_local_apics(self) -> None:
        """The local APICs, whose registers are at one address for all CPUs."""
        if not self.has_apics:
            return
        prefix = "kvm-" if self.board.accelerated else ""
        lapics = [self.add_device(f"{prefix}apic", cpu, "lapic") for cpu in self.cpus]
        registers = [lapic.own_region(self.topology.io(f"{prefix}apic-msi", MIB)) for lapic in lapics]
        self.system.add_subregion(0xFEE00000, registers[0], 4096)

    # RAM and ROMs

    def place_ram_parts(self, low: int, high_start: int) -> None:
        """Put the RAM's first `low` bytes at 0, and the rest at `high_start`."""
        high = self.board_ram_size - low
        self.place(self.system, 0, self.ram_window("ram-below-4g", 0, low))
        if high:
            self.place(self.system, high_start, self.ram_window("ram-above-4g", low, high))

    def ram_window(self, name: str, offset: int, size: int) -> MemoryRegion:
        """An alias of RAM; where there is none, QEMU makes an empty region of the name."""
        if self.ram is None:
            return self.topology.container(name, size)
        return self.topology.alias(name, self.ram, offset, size)

    def rom(self, name: str, size: int, block: RAMBlock) -> MemoryRegion:
        """A ROM, or where the board has no flash, memory in its place."""
        make = self.topology.rom if self.firmware_is_rom else self.topology.ram
        return make(name, size, block)

    def add_firmware(self, container: MemoryRegion) -> None:
        """Put the firmware at the end of the first 4 GiB, and its end at the end of the first MiB."""
        contents = load_firmware(self.board.firmware)
        size = len(contents) or self.firmware_size
        block = self.make_rom_block("pc.bios", size)
        if contents:
            self.fill_rom(block, contents)
        firmware = self.rom("pc.bios", size, block)
        low_size = min(size, 128 * KIB)
        low_alias = self.topology.alias("isa-bios", firmware, size - low_size, low_size)
        self.place(container, MIB - low_size, low_alias, priority=1)
        if self.firmware_is_rom:
            low_alias.set_readonly(True)
        self.place(container, FOUR_GIB - size, firmware)

    def add_tables(self) -> None:
        """Memory that the firmware reads the ACPI tables from."""
        if self.is_on("acpi"):
            for name, used, reserved in self.acpi_blobs:
                size = self.acpi_tables_size(used) if "tables" in name else used
                block = self.make_rom_block(name, size, reserved or self.table_loader_size)
                self.parts["fw_cfg"].own_region(self.topology.rom(name, block.used_length, block))

    def acpi_tables_size(self, size: int) -> int:
        """Size of the tables, in whole pages."""
        return size

    # Devices

    def is_on(self, option: str | None) -> bool:
        """Whether what depends on `option` is there."""
        if option is None:
            return True
        if option == "kvm":
            return self.board.accelerated
        return self.switches[option] != "off"

    def add_devices(self) -> None:
        """Make the devices of all rows, then place their registers."""
        in_kernel = self.board.accelerated and self.kernel_devices
        covers = self.board.release.covers
        for row in self.devices:
            if covers(row.since, row.until) and self.is_on(row.option):
                type_name = row.kvm_type if in_kernel else row.type_name
                self.parts[row.key] = self.add_device(type_name, self.parts[row.parent], row.name)
        for register in self.registers:
            has_it = register.setting is None or getattr(self, register.setting)
            if has_it and register.key in self.parts and covers(register.since, register.until):
                self._add_registers(register, register.kvm_name if in_kernel else register.name)

    def _add_registers(self, row: RegisterRow, name: str) -> None:
        make = self.topology.container if row.container else self.topology.io
        region = make(name, row.size)
        region.port_list = row.port_list
        owner = self.parts[row.key]
        if row.inside:
            container = self.regions[row.inside]
            self.place(container, row.address, region, owner, row.priority, enabled=row.enabled)
        else:
            owner.own_region(region)
        self.regions[row.name] = region

    def pci_root(self) -> PCIRoot | None:
        """The bus of the chipset, where there is one."""
        bus = self.parts.get(self.pci_bus)
        if bus is None:
            return None
        from .pci import PCIRoot

        functions = {
            number: self.parts[key].type_name for number, key in self.pci_functions.items() if key in self.parts
        }
        functions |= self.added_functions
        return PCIRoot(bus, functions, hotplug=bus.type_name == "PCI" and self.is_on("acpi"), name=self.pci_path)

    def add_bus_masters(self) -> None:
        """The address space of each PCI device's own accesses, whose window on memory the guest has not enabled yet."""
        for key in self.bus_masters:
            device = self.parts.get(key)
            if device is not None:
                container = device.own_region(self.topology.container("bus master container"))
                window = self.topology.alias("bus master", self.system, 0, self.system.size)
                self.place(container, 0, window, device, enabled=False)
                self.add_space(device.type_name, container)

    registered_names: tuple[str, ...] = (
        "smm", "acpi", "pit", "pic", "x-oem-id", "x-oem-table-id", "bus-lock-ratelimit", "sgx-epc",
    )  # fmt: skip
    properties: tuple[Property, ...] = (
        switch("smm", "Enable SMM"),
        switch("acpi", "Enable ACPI"),
        switch("pit", "Enable i8254 PIT", since="7.2"),
        switch("pic", "Enable i8259 PIC", since="7.2"),
        HMAT,
        kept(
            "x-oem-id",
            "string",
            _take_identity(6),
            "Override the default value of field OEMID in ACPI table header.The string may be up to 6 bytes in size",
            since="7.2",
        ),
        kept(
            "x-oem-table-id",
            "string",
            _take_identity(8),
            "Override the default value of field OEM Table ID in ACPI table header."
            "The string may be up to 8 bytes in size",
            since="7.2",
        ),
        kept(
            "bus-lock-ratelimit",
            "uint64_t",
            lambda _machine, name, value: take_int(name, value, "uint64_t", 64),
            "Set the ratelimit for the bus locks acquired in VMs",
            since="7.2",
        ),
    )


def round_up(address: int, unit: int = GIB) -> int:
    """The next multiple of `unit` bytes."""
    return -(-address // unit) * unit


def load_firmware(path: str | None) -> bytes:
    """Contents of a PC firmware file, empty if none was named; raises `VMError` if it cannot be one."""
    if path is None:
        return b""
    try:
        size = os.path.getsize(path)
        if 0 < size <= FOUR_GIB and size % (64 * KIB) == 0:
            with open(path, "rb") as file:
                return file.read()
    except OSError:
        pass
    raise VMError(f"could not load PC BIOS '{path}'")
