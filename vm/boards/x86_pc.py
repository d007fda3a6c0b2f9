"""PCs: the i440FX, the Q35 and the ISA-only board; RAM below and above 4 GiB, the chipset's windows, plugged memory."""

from __future__ import annotations

from ..errors import VMError
from ..qom import Property, take_bool, take_enum, take_int
from . import x86_layout as layout
from .machine import Board, switch
from .machine_type import MachineType
from .x86_cpus import AMD, apic_ids_used
from .x86_layout import DeviceRow, RegisterRow
from .x86_machine import FOUR_GIB, GIB, KIB, MIB, X86Machine, kept, round_up

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..memory.region import MemoryRegion
    from ..qom import QOMObject

ONE_TIB = 1 << 40
AMD_HOLE_START = 0xFD00000000
"""Where HyperTransport's reserved addresses begin; an AMD guest has no RAM from here to 1 TiB."""
MAX_RAM_SLOTS = 256
MINIMAL_TARGET = "x86_64-microvm"
MINIMAL_LACKS = {"hpet": "couldn't create HPET device", "vmport": "unknown type 'vmport'"}
"""Devices that this build of QEMU does not have, and what it says if they are wanted."""
PAGE = 4096

ACPI_TABLES = ("/rom@etc/acpi/tables", 0x20000, 2 * MIB)
ACPI_LOADER = ("/rom@etc/table-loader", 0x1000, 64 * KIB)
ACPI_ROOT = ("/rom@etc/acpi/rsdp", 0x1000, 0x1000)
LEGACY_TABLES_PER_APIC = 97
LEGACY_TABLES_PER_CPU = 8
LEGACY_TABLES_HPET = 60


def _take_firmware_size(_machine: X86Machine, name: str, value: object) -> int:
    size = take_int(name, value, "size", 64)
    if size > 16 * MIB:
        raise VMError(
            f"User specified max allowed firmware size {size} is greater than 16MiB. If combined firwmare size exceeds "
            "16MiB the system may not boot, or experience intermittentstability issues."
        )
    return size


class PCMachine(X86Machine):
    """A PC. What the attributes below say is true of the newest version."""

    type_name = "generic-pc-machine"
    abstract = True
    switch_defaults = {"hpet": "on", "i8042": "on", "vmport": "auto", "sata": "on", "smbus": "on"}
    kept_defaults = {"default-bus-bypass-iommu": False, "max-fw-size": 8 * MIB, "smbios-entry-point-type": "32"}
    default_firmware = "bios-256k.bin"
    implicit_node_with_slots = True
    implicit_node_with_max_ram = True
    pci_hole64_size = 0
    memory_hotplug_device = ""
    """The device whose registers tell the guest of plugged memory."""
    memory_hotplug = True
    spare_gib_per_slot = True
    """Whether there is room to align every memory device to 1 GiB."""
    hole64_after_device_memory = True
    """Whether the 64-bit PCI hole begins only after the device memory."""
    amd_hole = True
    acpi_blobs: tuple[tuple[str, int, int], ...] = (ACPI_TABLES, ACPI_LOADER, ACPI_ROOT)
    legacy_tables_size: int | None = None
    """Size of ACPI tables that are not rounded up to 128 KiB, with no CPU; None where they are."""
    kvmvapic_rom = False
    """Whether the image for the APIC's acceleration is a RAMBlock."""

    def __init__(self, machine_type: MachineType, board: Board) -> None:
        super().__init__(machine_type, board)
        self.max_ram_below_4g = 0
        self.low_size = 0
        if board.target.name == MINIMAL_TARGET:
            self.switches |= dict.fromkeys(MINIMAL_LACKS, "off")

    def low_ram_size(self) -> int:
        """How much of the RAM goes below 4 GiB."""
        raise NotImplementedError(self.type_name)

    def build(self) -> None:
        """Put everything in place, with the commits where QEMU has them, so that slots get the same numbers."""
        low = self.low_size = self.low_ram_size()
        self.check_cpus()
        if self.board.target.name == MINIMAL_TARGET:
            for name, text in MINIMAL_LACKS.items():
                if self.switches[name] == "on":
                    raise VMError(text)
        with self.topology.transaction():
            self._place_ram(low)
        with self.topology.transaction():
            self.add_cpus()
            container = self.rom_container()
            self.add_firmware(container)
        with self.topology.transaction():
            option_rom = self.rom("pc.rom", 128 * KIB, self.make_rom_block("pc.rom", 128 * KIB))
            self.place(container, 0xC0000, option_rom, priority=1)
        with self.topology.transaction():
            self.add_devices()
            self._add_memory_hotplug()
            self.add_local_apics()
            self._add_firmware_files()
            self.add_chipset_windows()
            self.add_bus_masters()
            if self.switches["vmport"] == "auto":
                self.switches["vmport"] = "on"

    # RAM

    def _place_ram(self, low: int) -> None:
        self.pci = self.topology.container("pci")
        high = self.ram_size - low
        if self.max_ram_size > self.ram_size and self.ram_slots > MAX_RAM_SLOTS and self.memory_hotplug:
            raise VMError(f"unsupported amount of memory slots: {self.ram_slots}")
        high_start = self._high_ram_start(high)
        self.place_ram_parts(low, high_start)
        if not self.memory_hotplug and (self.ram_slots or self.max_ram_size > self.ram_size):
            raise VMError(f"\"-memory 'slots|maxmem'\" is not supported by: {self.machine_type.name}")
        if self.max_ram_size > self.ram_size:
            if self.max_ram_size % PAGE:
                raise VMError(f"maximum memory size must by aligned to multiple of {PAGE} bytes")
            size, address = self.device_memory_size(), round_up(high_start + high)
            if (address + size) >> 64:
                raise VMError(f"unsupported amount of maximum memory: {self.max_ram_size:x}")
            device_memory = self.topology.container("device-memory", size)
            self.place(self.system, address, device_memory, self)

    def device_memory_size(self) -> int:
        """Bytes that memory devices may fill."""
        if not self.memory_hotplug or self.max_ram_size <= self.ram_size:
            return 0
        spare = self.ram_slots * GIB if self.spare_gib_per_slot else 0
        return self.max_ram_size - self.ram_size + spare

    def _high_ram_start(self, size: int) -> int:
        """Where RAM above 4 GiB begins; raises `VMError` if it ends beyond what the CPU can address."""
        model = self.cpu_model
        start = FOUR_GIB
        if not model.has_64bit_hole:
            return start
        if self.amd_hole and model.vendor == AMD and self._last_address(start, size) >= AMD_HOLE_START:
            start = ONE_TIB
        last = self._last_address(start, size)
        if last >> model.phys_bits:
            limit = (1 << model.phys_bits) - 1
            raise VMError(f"Address space limit {limit:#x} < {last:#x} phys-bits too low ({model.phys_bits})")
        return start

    def _last_address(self, high_start: int, high_size: int) -> int:
        """The last address in use, the 64-bit PCI hole included."""
        end = high_start + high_size
        if self.device_memory_size():
            end = round_up(end)
            if self.hole64_after_device_memory:
                end += self.device_memory_size()
        return (round_up(end) + self.pci_hole64_size - 1) % (1 << 64)  # it wraps, as in QEMU

    # ROMs

    def rom_container(self) -> MemoryRegion:
        """Where ROMs go: what the PCI bus shows is seen where nothing else is."""
        self.place(self.system, 0, self.pci, priority=-1)
        return self.pci

    def _add_firmware_files(self) -> None:
        if self.kvmvapic_rom and "kvmvapic" in self.parts:
            name = "/rom@genroms/kvmvapic.bin"
            block = self.make_rom_block(name, 0x3000)
            self.parts["fw_cfg"].own_region(self.topology.ram(name, 0x3000, block))
        self.add_acpi_blobs()

    def acpi_tables_size(self, size: int) -> int:
        """Old versions have as many pages as the tables need, more for more CPUs, as found by trying."""
        if self.legacy_tables_size is None:
            return size
        length = self.legacy_tables_size - (0 if self.is_on("hpet") else LEGACY_TABLES_HPET)
        length += LEGACY_TABLES_PER_APIC * apic_ids_used(self.smp) + LEGACY_TABLES_PER_CPU * self.smp["maxcpus"]
        return round_up(length, PAGE)

    # Devices

    def is_on(self, option: str | None) -> bool:
        """The vmport is reached through the keyboard controller."""
        if option == "vmport" and self.switches["i8042"] == "off":
            return False
        return super().is_on(option)

    def _add_memory_hotplug(self) -> None:
        if self.memory_hotplug_device in self.parts and self.ram_slots:
            region = self.topology.io("acpi-mem-hotplug", 0x18)
            self.place(self.io, 0xA00, region, self.parts[self.memory_hotplug_device])

    # Windows of the chipset: system management RAM, and RAM under the ROMs

    def add_chipset_windows(self) -> None:
        """Place the windows that the chipset's registers open and close."""
        raise NotImplementedError(self.type_name)

    def _add_smram(self, owner: QOMObject) -> MemoryRegion:
        """The container of SMRAM, which each CPU sees in system management mode."""
        smram = owner.own_region(self.topology.container("smram", FOUR_GIB))
        window = self.topology.alias("smram-region", self.pci, 0xA0000, 0x20000)
        self.place(self.system, 0xA0000, window, owner, 1)
        self.add_smm_spaces(smram)
        return smram

    def _add_ram_window(
        self, name: str, container: MemoryRegion, address: int, offset: int, size: int, owner: QOMObject, priority: int
    ) -> None:
        """An alias of RAM that the guest may enable."""
        window = self.ram_window(name, offset, size)
        self.place(container, address, window, owner, priority, enabled=False)

    def _add_pam(self, owner: QOMObject) -> None:
        for address, size in layout.PAM_SEGMENTS:
            self.place(self.system, address, self.topology.alias("pam-pci", self.pci, address, size), owner, 1)
            for name in ("pam-rom", "pam-pci", "pam-ram"):
                self._add_ram_window(name, self.system, address, address, size, owner, 1)

    # Properties

    def _set_max_ram_below_4g(self, value: object) -> None:
        size = take_int("max-ram-below-4g", value, "size", 64)
        if size > FOUR_GIB:
            raise VMError(f"Machine option 'max-ram-below-4g={size}' expects size less than or equal to 4G")
        if size < MIB:
            self.board.warn(f"Only {size} bytes of RAM below the 4GiB boundary,BIOS may not work with less than 1MiB")
        self.max_ram_below_4g = size

    registered_names: tuple[str, ...] = (
        "max-ram-below-4g", "device-memory-region-size", "hpet", "default-bus-bypass-iommu", "sata",
        "smbios-entry-point-type", "vmport", "smbus", "i8042", "max-fw-size",
    )  # fmt: skip
    properties: tuple[Property, ...] = (
        kept("max-fw-size", "size", _take_firmware_size, "Maximum combined firmware size"),
        kept("default-bus-bypass-iommu", "bool", lambda _machine, name, value: take_bool(name, value)),
        Property("device-memory-region-size", "int", lambda machine: machine.device_memory_size()),
        switch("sata", "Enable/disable Serial ATA bus", auto=False),
        switch("vmport", "Enable vmport (pc & q35)"),
        switch("i8042", auto=False),
        switch("hpet", "Enable/disable high precision event timer emulation", auto=False),
        kept(
            "smbios-entry-point-type",
            "str",
            lambda _machine, name, value: take_enum(name, value, ("32", "64")),
            "SMBIOS Entry Point type [32, 64]",
        ),
        Property(
            "max-ram-below-4g",
            "size",
            lambda machine: machine.max_ram_below_4g,
            _set_max_ram_below_4g,
            "Maximum ram below the 4G boundary (32bit boundary)",
        ),
        switch("smbus", "Enable/disable system management bus", auto=False),
    )


class I440FXMachine(PCMachine):
    """pc: the i440FX chipset."""

    devices: tuple[DeviceRow, ...] = layout.I440FX_DEVICES
    registers: tuple[RegisterRow, ...] = (*layout.ISA_REGISTERS, *layout.I440FX_REGISTERS)
    bus_masters: tuple[str, ...] = layout.I440FX_BUS_MASTERS
    pci_hole64_size = 2 * GIB
    memory_hotplug_device = "pm"
    whole_gib_below_4g = True

    def low_ram_size(self) -> int:
        """All of it up to 3.5 GiB; a machine with more has 3 GiB there, for the sake of huge pages."""
        self.max_ram_below_4g = limit = self.max_ram_below_4g or 0xE0000000
        if self.ram_size >= limit and self.whole_gib_below_4g:
            limit = min(limit, 3 * GIB)
            if limit % GIB:
                self.board.warn(
                    f"Large machine and max_ram_below_4g ({limit}) not a multiple of 1G; possible bad performance."
                )
        return min(self.ram_size, limit)

    def add_chipset_windows(self) -> None:
        """SMRAM and PAM."""
        chipset = self.parts["mch"]
        smram = self._add_smram(chipset)
        smram.set_enabled(False)
        self.place(smram, 0xA0000, self.ram_window("smram-low", 0xA0000, 0x20000), chipset)
        self._add_pam(self.parts["host"])


class Q35Machine(PCMachine):
    """q35: the Q35 chipset with an ICH9."""

    starts_without_ram = False
    devices = layout.Q35_DEVICES
    registers = (*layout.ISA_REGISTERS, *layout.Q35_REGISTERS)
    bus_masters = layout.Q35_BUS_MASTERS
    pci_hole64_size = 32 * GIB
    memory_hotplug_device = "isa-bridge"
    acpi_pci_hotplug = True

    def low_ram_size(self) -> int:
        """All of it up to 2.75 GiB; a machine with more has 2 GiB there."""
        limit = 2 * GIB if self.ram_size >= 0xB0000000 else 0xB0000000
        self.max_ram_below_4g = self.max_ram_below_4g or FOUR_GIB
        limit = min(limit, self.max_ram_below_4g)
        if self.ram_size - limit > limit and limit % GIB:
            self.board.warn(
                f"There is possibly poor performance as the ram size  ({self.ram_size:#x}) is more then twice the size "
                f"of max-ram-below-4g ({limit}) and max-ram-below-4g is not a multiple of 1G."
            )
        return min(self.ram_size, limit)

    def add_chipset_windows(self) -> None:
        """SMRAM with its high and top segments, and PAM."""
        chipset = self.parts["mch"]
        smram = self._add_smram(chipset)
        low_end = self.low_size
        self._add_ram_window("smram-open-high", self.system, 0xFEDA0000, 0xA0000, 0x20000, chipset, 1)
        self._add_ram_window("smram-low", smram, 0xA0000, 0xA0000, 0x20000, chipset, 0)
        self._add_ram_window("smram-high", smram, 0xFEDA0000, 0xA0000, 0x20000, chipset, 0)
        self._add_blackhole("tseg-blackhole", low_end, 0, chipset)
        self._add_ram_window("tseg-window", smram, low_end, low_end, 0, chipset, 0)
        self._add_blackhole("smbase-blackhole", 0x30000, 0x20000, chipset)
        self._add_ram_window("smbase-window", smram, 0x30000, 0x30000, 0x20000, chipset, 0)
        self._add_pam(chipset)

    def _add_blackhole(self, name: str, address: int, size: int, owner: QOMObject) -> None:
        self.place(self.system, address, self.topology.io(name, size), owner, 1, enabled=False)


class ISAMachine(I440FXMachine):
    """isapc: no PCI, so that its firmware is plain memory."""

    switch_defaults = {**PCMachine.switch_defaults, "hpet": "off"}
    devices = (
        layout.KVM_CLOCK,
        DeviceRow("fw_cfg", "fw_cfg_io", parent="machine", name="fw_cfg"),
        DeviceRow("isa-bridge", "isabus-bridge"),
        layout.bus("isa-bridge", "ISA", "isa.0"),
        *layout.isa_devices(hpet=False),
        DeviceRow("ide0", "isa-ide"),
        layout.bus("ide0", "IDE", "ide.0"),
        DeviceRow("ide1", "isa-ide"),
        layout.bus("ide1", "IDE", "ide.1"),
    )
    registers = (
        *layout.ISA_REGISTERS,
        RegisterRow("ide0", "ide", 0x1F0, 8),
        RegisterRow("ide0", "ide", 0x3F6, 1),
        RegisterRow("ide1", "ide", 0x170, 8),
        RegisterRow("ide1", "ide", 0x376, 1),
        *layout.FLOPPY_REGISTERS,
    )
    bus_masters = ()
    pci_hole64_size = 0
    default_firmware = ""
    memory_hotplug = False
    whole_gib_below_4g = False
    amd_hole = False
    firmware_size = 128 * KIB
    firmware_is_rom = False
    acpi_blobs = ()

    def rom_container(self) -> MemoryRegion:
        """There is only the system's memory."""
        return self.system

    def add_chipset_windows(self) -> None:
        """There is no chipset."""
        self.add_smm_spaces(None)
