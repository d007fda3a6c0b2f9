"""PCs: the i440FX, the Q35 and the ISA-only board; RAM below and above 4 GiB, the chipset's windows, plugged memory."""

from __future__ import annotations

from ..errors import VMError
from ..qom import Property, take_bool, take_enum, take_int
from . import x86_layout as layout
from .board import Board
from .machine import NVDIMM, switch
from .machine_type import MachineType
from .x86_cpus import AMD, apic_ids_used
from .x86_layout import DeviceRow, RegisterRow
from .x86_machine import FOUR_GIB, GIB, KIB, MAX_APIC_IDS, MIB, X86Machine, kept, round_up

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..memory.region import MemoryRegion
    from ..qom import QOMObject
    from .machine import MemoryModule

ONE_TIB = 1 << 40
AMD_HOLE_START = 0xFD00000000
"""Where HyperTransport's reserved addresses begin; an AMD guest has no RAM from here to 1 TiB."""
MAX_RAM_SLOTS = 256
MINIMAL_TARGET = "x86_64-microvm"
MINIMAL_LACKS = {"hpet": "couldn't create HPET device", "vmport": "unknown type 'vmport'"}
"""Devices that this build of QEMU does not have, and what it says if they are wanted."""
PAGE = 4096

ACPI_TABLES = ("/rom@etc/acpi/tables", 0x20000, 2 * MIB)
ACPI_LOADER = ("/rom@etc/table-loader", 0x1000, None)
ACPI_ROOT = ("/rom@etc/acpi/rsdp", 0x1000, 0x1000)
ROMS = (0xC0000, 0x40000)
MOST_FIRMWARE = 16 * MIB
TOO_MUCH_FIRMWARE = (
    "User specified max allowed firmware size {} is greater than 16MiB. If combined firmware size exceeds 16MiB the "
    "system may not boot, or experience intermittentstability issues."
)
SMBIOS_2_CPUS = 254
"""How many CPUs of one socket the tables of SMBIOS 2 can tell of."""
TOO_MANY_CPUS = (
    "SMBIOS 2.0 doesn't support number of processor cores/threads more than 255, use "
    "-machine smbios-entry-point-type=64 option to enable SMBIOS 3.0 support"
)
NO_INTERRUPT_REMAPPING = (
    "current -smp configuration requires Extended Interrupt Mode enabled. You can add an IOMMU using: "
    "-device intel-iommu,intremap=on,eim=on"
)
LEGACY_APIC_IDS = 256
"""How many APIC ids the guest could be told of by old machines when CPUs are plugged."""
LEGACY_TABLES_PER_APIC = 97
LEGACY_TABLES_PER_CPU = 8
LEGACY_TABLES_HPET = 60


def _take_firmware_size(machine: X86Machine, name: str, value: object) -> int:
    size = take_int(name, value, "size", 64)
    if size > MOST_FIRMWARE:
        raise VMError(machine.board.release.text("too much firmware", TOO_MUCH_FIRMWARE).format(size))
    return size


class PCMachine(X86Machine):
    """A PC. What the attributes below say is true of the newest version."""

    type_name = "generic-pc-machine"
    topology_levels = ("dies", "modules")
    abstract = True
    max_cpus = 255
    switch_defaults = {"hpet": "on", "i8042": "on", "vmport": "auto", "sata": "on", "smbus": "on"}
    kept_defaults = {"default-bus-bypass-iommu": False, "max-fw-size": 8 * MIB}
    default_firmware = "bios-256k.bin"
    flashes: tuple[str, ...] = ("system.flash0", "system.flash1")
    copies_flash = False
    """Whether the firmware below 1 MiB is a copy of what is in flash memory."""
    implicit_node_with_slots = True
    implicit_node_with_max_ram = True
    maps_virtio_memory = True
    pluggable = ("pc-dimm", "nvdimm")
    plugs_dimms = True
    """Whether ACPI could tell the guest of a DIMM."""
    has_nvdimm_registers = True
    smbios = "auto"
    """`smbios-entry-point-type`."""
    smbios_types: tuple[str, ...] = ("32", "64", "auto")
    checks_smbios = True
    """Whether more CPUs than the tables of SMBIOS 2 can tell of are refused."""
    vmport_needs_i8042 = True
    needs_interrupt_remapping = False
    """Whether APIC ids beyond 8 bits need an IOMMU."""
    legacy_cpu_hotplug = False
    """Whether plugged CPUs are told of with one bit for each APIC id."""
    smram_needs_smm = True
    """Whether the Q35 has no SMRAM without system management mode."""
    pci_hole64_size = 0
    hole_for_long_mode_only = True
    """Whether only CPUs with long mode have a 64-bit PCI hole, not all that can address more than 4 GiB."""
    checks_addresses = True
    """Whether the RAM must be within what the CPU can address."""
    checks_32bit_addresses = True
    """Whether that is so for CPUs without that hole, too."""
    memory_hotplug_device = ""
    """The device whose registers tell the guest of plugged memory."""
    memory_hotplug = True
    spare_gib_per_slot = True
    """Whether there is room to align every memory device to 1 GiB."""
    hole64_after_device_memory = True
    """Whether the 64-bit PCI hole begins only after the device memory."""
    amd_hole = True
    acpi_blobs: tuple[tuple[str, int, int | None], ...] = (ACPI_TABLES, ACPI_LOADER, ACPI_ROOT)
    legacy_tables_size: int | None = None
    """Size of ACPI tables that are not rounded up to 128 KiB, with no CPU; None where they are."""
    shows_roms_early = False
    """Whether RAM gives way to ROMs with the firmware, not only with the chipset: it decides on the slots' numbers."""
    kvmvapic_rom = False
    """Whether the image for the APIC's acceleration is a RAMBlock."""

    def __init__(self, machine_type: MachineType, board: Board) -> None:
        super().__init__(machine_type, board)
        self.max_ram_below_4g = 0
        self.low_size = 0
        self._shown_early: MemoryRegion | None = None
        """What shows the ROMs until the chipset's registers do."""
        if board.target.name == MINIMAL_TARGET:
            self.switches |= dict.fromkeys(MINIMAL_LACKS, "off")

    def low_ram_size(self) -> int:
        """How much of the RAM goes below 4 GiB."""
        raise NotImplementedError(self.type_name)

    def build(self) -> None:
        """Put everything in place, with the commits where QEMU has them, so that slots get the same numbers."""
        low = self.low_size = self.low_ram_size()
        self.check_cpus()
        if self.vmport_needs_i8042 and self.switches["vmport"] == "on" and self.switches["i8042"] == "off":
            raise VMError("vmport requires the i8042 controller to be enabled")
        if self.board.target.name == MINIMAL_TARGET:
            for name, text in MINIMAL_LACKS.items():
                if self.switches[name] == "on":
                    raise VMError(text)
        with self.topology.transaction():
            self._place_ram(low)
        with self.topology.transaction():
            self.add_cpus()
            container = self.rom_container()
            self._shown_early = self._show_roms()
            if self.board.flash:
                from .flash import add_pc_flash

                add_pc_flash(self, container)
            else:
                self.add_firmware(container)
        with self.topology.transaction():
            option_rom = self.rom("pc.rom", 128 * KIB, self.make_rom_block("pc.rom", 128 * KIB))
            self.place(container, 0xC0000, option_rom, priority=1)
        with self.topology.transaction():
            self.add_devices()
            if self.legacy_cpu_hotplug and self.is_on("acpi") and apic_ids_used(self.smp) > LEGACY_APIC_IDS:
                last = apic_ids_used(self.smp) - 1
                raise VMError(f"max_cpus is too large. APIC ID of last CPU is {last}")
            self._add_memory_hotplug()
            if self.has_nvdimm_registers:
                self.add_nvdimm_registers(self.io, 0xA18)
            self.add_local_apics()
            self._add_kvmvapic_rom()
            if self.switches["vmport"] == "auto":
                self.switches["vmport"] = "on"
        if self.needs_interrupt_remapping and apic_ids_used(self.smp) > MAX_APIC_IDS:
            raise VMError(NO_INTERRUPT_REMAPPING)
        threads_of_socket = self.smp["threads"] * self.smp["cores"] * self.smp["modules"] * self.smp["dies"]
        if self.checks_smbios and self.smbios == "32" and threads_of_socket > SMBIOS_2_CPUS:
            raise VMError(TOO_MANY_CPUS)

    def first_reset(self) -> None:
        """Let the chipset's registers have their first values, when all devices are there."""
        with self.topology.transaction():
            if self._shown_early is not None:
                self.system.remove_subregion(self._shown_early)
            self.add_chipset_windows()
            self.add_bus_masters()

    # RAM

    def _place_ram(self, low: int) -> None:
        self.pci = self.topology.container("pci")
        high = self.board_ram_size - low
        if self.max_ram_size > self.board_ram_size and self.ram_slots > MAX_RAM_SLOTS and self.memory_hotplug:
            raise VMError(f"unsupported amount of memory slots: {self.ram_slots}")
        high_start = self._high_ram_start(high)
        self.place_ram_parts(low, high_start)
        if not self.memory_hotplug and (self.ram_slots or self.max_ram_size > self.board_ram_size):
            raise VMError(f"\"-memory 'slots|maxmem'\" is not supported by: {self.machine_type.name}")
        if self.max_ram_size > self.board_ram_size:
            if self.max_ram_size % PAGE:
                raise VMError(f"maximum memory size must by aligned to multiple of {PAGE} bytes")
            size, address = self.device_memory_size(), round_up(high_start + high)
            if (address + size) >> 64:
                raise VMError(f"unsupported amount of maximum memory: {self.max_ram_size:x}")
            self.add_device_memory(address, size)

    def check_dimm(self, dimm: MemoryModule) -> None:
        """DIMMs are told to the guest by ACPI."""
        if not (self.plugs_dimms and self.is_on("acpi")):
            raise VMError("memory hotplug is not enabled: missing acpi device or acpi disabled")
        if dimm.persistent and self.switches["nvdimm"] != "on":
            raise VMError("nvdimm is not enabled: missing 'nvdimm' in '-M'")

    def device_memory_size(self) -> int:
        """Bytes that memory devices may fill."""
        if not self.memory_hotplug or self.max_ram_size <= self.board_ram_size:
            return 0
        spare = self.ram_slots * GIB if self.spare_gib_per_slot else 0
        return self.max_ram_size - self.board_ram_size + spare

    def _high_ram_start(self, size: int) -> int:
        """Where RAM above 4 GiB begins; raises `VMError` if it ends beyond what the CPU can address."""
        model = self.cpu_model
        start = FOUR_GIB
        has_hole = model.long_mode if self.hole_for_long_mode_only else model.phys_bits > 32
        if not has_hole:
            if self.checks_32bit_addresses:
                plugged = self.device_memory_size()
                self._check_address((round_up(start + size) + plugged if plugged else start + size) - 1)
            return start
        if self.amd_hole and model.vendor == AMD and self._last_address(start, size) >= AMD_HOLE_START:
            start = ONE_TIB
        self._check_address(self._last_address(start, size))
        return start

    def _check_address(self, last: int) -> None:
        bits = self.cpu_model.phys_bits
        limit = (1 << bits % 64) - 1  # 64 bits are none, as in QEMU
        if last > limit and self.checks_addresses:
            raise VMError(f"Address space limit {limit:#x} < {last:#x} phys-bits too low ({bits})")

    def _last_address(self, high_start: int, high_size: int) -> int:
        """The last address in use, the 64-bit PCI hole included."""
        end = high_start + high_size
        if self.device_memory_size():
            end = round_up(end)
            if self.hole64_after_device_memory:
                end += self.device_memory_size()
        return (round_up(end) + self.pci_hole64_size - 1) % (1 << 64)  # it wraps, as in QEMU

    # ROMs

    def _show_roms(self) -> MemoryRegion | None:
        """Let the ROMs be seen in place of RAM before the chipset does, which newer QEMUs make earlier."""
        if not self.shows_roms_early:
            return None
        start, size = ROMS
        shown = self.topology.alias("pam-pci", self.pci, start, size)
        self.system.add_subregion(start, shown, 1)
        return shown

    def rom_container(self) -> MemoryRegion:
        """Where ROMs go: what the PCI bus shows is seen where nothing else is."""
        self.place(self.system, 0, self.pci, priority=-1)
        return self.pci

    def _add_kvmvapic_rom(self) -> None:
        if self.kvmvapic_rom and "kvmvapic" in self.parts:
            name = "/rom@genroms/kvmvapic.bin"
            block = self.make_rom_block(name, 0x3000)
            self.parts["fw_cfg"].own_region(self.topology.ram(name, 0x3000, block))

    def acpi_tables_size(self, size: int) -> int:
        """Old versions have as many pages as the tables need, more for more CPUs, as found by trying."""
        if self.legacy_tables_size is None:
            return size
        length = self.legacy_tables_size - (0 if self.is_on("hpet") else LEGACY_TABLES_HPET)
        length += LEGACY_TABLES_PER_APIC * apic_ids_used(self.smp) + LEGACY_TABLES_PER_CPU * self.smp["maxcpus"]
        return round_up(length, PAGE)

    # Devices

    def vga_spaces(self) -> tuple[MemoryRegion, MemoryRegion] | None:
        """What the PCI bus shows, and the ports."""
        return self.pci, self.io

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
        """The container of SMRAM, which each CPU sees in system management mode, if there is one."""
        smram = owner.own_region(self.topology.container("smram", FOUR_GIB))
        window = self.topology.alias("smram-region", self.pci, 0xA0000, 0x20000)
        self.place(self.system, 0xA0000, window, owner, 1)
        self.find_smm()
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

    def _set_smbios(self, value: object) -> None:
        self.smbios = take_enum("smbios-entry-point-type", value, self.smbios_types)

    registered_names: tuple[str, ...] = (
        "max-ram-below-4g", "device-memory-region-size", "hpet", "default-bus-bypass-iommu", "sata",
        "smbios-entry-point-type", "vmport", "smbus", "i8042", "max-fw-size",
    )  # fmt: skip
    properties: tuple[Property, ...] = (
        NVDIMM,
        kept("max-fw-size", "size", _take_firmware_size, "Maximum combined firmware size", since="7.2"),
        kept("default-bus-bypass-iommu", "bool", lambda _machine, name, value: take_bool(name, value), since="7.2"),
        Property("device-memory-region-size", "int", lambda machine: machine.device_memory_size()),
        switch("sata", "Enable/disable Serial ATA bus", auto=False, since="7.2"),
        switch("sata", auto=False, until="5.2"),
        switch("pit", auto=False, until="5.2"),
        switch("vmport", "Enable vmport (pc & q35)"),
        switch("i8042", "Enable/disable Intel 8042 PS/2 controller emulation", auto=False, since="10.0"),
        switch("i8042", auto=False, since="7.2", until="7.2"),
        switch("hpet", "Enable/disable high precision event timer emulation", auto=False, since="7.2"),
        switch("hpet", auto=False, until="5.2"),
        Property(
            "smbios-entry-point-type",
            "str",
            lambda machine: machine.smbios,
            _set_smbios,
            "SMBIOS Entry Point type [32, 64]",
            since="7.2",
        ),
        Property(
            "max-ram-below-4g",
            "size",
            lambda machine: machine.max_ram_below_4g,
            _set_max_ram_below_4g,
            "Maximum ram below the 4G boundary (32bit boundary)",
        ),
        switch("smbus", "Enable/disable system management bus", auto=False, since="7.2"),
        switch("smbus", auto=False, until="5.2"),
    )


class I440FXMachine(PCMachine):
    """pc: the i440FX chipset."""

    devices: tuple[DeviceRow, ...] = layout.I440FX_DEVICES
    registers: tuple[RegisterRow, ...] = (*layout.ISA_REGISTERS, *layout.I440FX_REGISTERS)
    bus_masters: tuple[str, ...] = layout.I440FX_BUS_MASTERS
    pci_bus = "host/pci.0"
    pci_functions = layout.I440FX_FUNCTIONS
    system_devices: tuple[str, ...] | None = ("ramfb", "vmbus-bridge", "uefi-vars-x64")
    default_vga: str | None = "VGA"
    default_nic: str | None = "e1000"
    pci_hole64_size = 2 * GIB
    memory_hotplug_device = "pm"
    shows_roms_early = True
    pam_owner = "mch"
    """The device that the windows on RAM under the ROMs belong to."""
    whole_gib_below_4g = True

    def low_ram_size(self) -> int:
        """All of it up to 3.5 GiB; a machine with more has 3 GiB there, for the sake of huge pages."""
        self.max_ram_below_4g = limit = self.max_ram_below_4g or 0xE0000000
        if self.board_ram_size >= limit and self.whole_gib_below_4g:
            limit = min(limit, 3 * GIB)
            if limit % GIB:
                self.board.warn(
                    f"Large machine and max_ram_below_4g ({limit}) not a multiple of 1G; possible bad performance."
                )
        return min(self.board_ram_size, limit)

    def add_chipset_windows(self) -> None:
        """SMRAM and PAM."""
        chipset = self.parts["mch"]
        smram = self._add_smram(chipset)
        smram.set_enabled(False)
        self.place(smram, 0xA0000, self.ram_window("smram-low", 0xA0000, 0x20000), chipset)
        self._add_pam(self.parts[self.pam_owner])


class Q35Machine(PCMachine):
    """q35: the Q35 chipset with an ICH9."""

    max_cpus = 4096
    starts_without_ram = False
    devices = layout.Q35_DEVICES
    registers = (*layout.ISA_REGISTERS, *layout.Q35_REGISTERS)
    bus_masters = layout.Q35_BUS_MASTERS
    pci_bus = "host/pcie.0"
    pci_functions = layout.Q35_FUNCTIONS
    system_devices = ("amd-iommu", "intel-iommu", "ramfb", "vmbus-bridge", "uefi-vars-x64")
    default_vga = "VGA"
    default_nic = "e1000e"
    pci_hole64_size = 32 * GIB
    memory_hotplug_device = "isa-bridge"
    acpi_pci_hotplug = True

    def low_ram_size(self) -> int:
        """All of it up to 2.75 GiB; a machine with more has 2 GiB there."""
        size = self.board_ram_size
        limit = 2 * GIB if size >= 0xB0000000 else 0xB0000000
        self.max_ram_below_4g = self.max_ram_below_4g or FOUR_GIB
        limit = min(limit, self.max_ram_below_4g)
        if size - limit > limit and limit % GIB:
            self.board.warn(
                f"There is possibly poor performance as the ram size  ({size:#x}) is more then twice the size "
                f"of max-ram-below-4g ({limit}) and max-ram-below-4g is not a multiple of 1G."
            )
        return min(size, limit)

    def add_chipset_windows(self) -> None:
        """SMRAM with its high and top segments, and PAM."""
        chipset = self.parts["mch"]
        if not self.find_smm() and self.smram_needs_smm:
            window = self.topology.alias("smram-region", self.pci, 0xA0000, 0x20000)
            self.place(self.system, 0xA0000, window, chipset, 1)
            self.add_smm_spaces(None)
            self._add_pam(chipset)
            return
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
