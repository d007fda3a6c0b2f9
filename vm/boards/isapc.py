"""isapc: the PC without PCI."""

from __future__ import annotations

from ..errors import VMError
from . import x86_layout as layout
from .x86_layout import DeviceRow, RegisterRow
from .x86_machine import KIB, MIB
from .x86_pc import I440FXMachine, PCMachine

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..memory.region import MemoryRegion


class ISAMachine(I440FXMachine):
    """Its firmware is plain memory."""

    most_ram: int | None = 3584 * MIB
    fitting_cpus: tuple[str, ...] | None = ("486", "athlon", "kvm32", "pentium", "pentium2", "pentium3", "qemu32")
    """The CPU models that such an old board goes with, others are warned of; None are all."""
    switch_defaults = {**PCMachine.switch_defaults, "hpet": "off"}
    devices = (
        layout.KVM_CLOCK,
        DeviceRow("fw_cfg", "fw_cfg_io", parent="machine", name="fw_cfg"),
        DeviceRow("isa-bridge", "isabus-bridge"),
        layout.bus("isa-bridge", "ISA", "isa.0"),
        *layout.isa_devices(bridge=None, hpet=False),
        DeviceRow("ide0", "isa-ide"),
        layout.bus("ide0", "IDE", "ide.0"),
        DeviceRow("ide1", "isa-ide"),
        layout.bus("ide1", "IDE", "ide.1"),
    )
    registers = (
        *layout.ISA_REGISTERS,
        RegisterRow("ide0", "ide", 0x1F0, 8, port_list=True),
        RegisterRow("ide0", "ide", 0x3F6, 1, port_list=True),
        RegisterRow("ide1", "ide", 0x170, 8, port_list=True),
        RegisterRow("ide1", "ide", 0x376, 1, port_list=True),
        *layout.FLOPPY_REGISTERS,
    )
    bus_masters = ()
    system_devices = ()
    default_vga = "isa-cirrus-vga"
    default_nic = None
    shows_roms_early = False
    pci_hole64_size = 0
    default_firmware = ""
    flashes = ()
    memory_hotplug = False
    whole_gib_below_4g = False
    amd_hole = False
    firmware_size = 128 * KIB
    firmware_is_rom = False
    acpi_blobs = ()
    plugs_dimms = False
    has_nvdimm_registers = False

    def low_ram_size(self) -> int:
        """All of it, as far as there is no limit."""
        board, most = self.board, self.most_ram
        model = board.cpu_type.removesuffix(f"-{board.target.arch}-cpu")
        if self.fitting_cpus is not None and model not in self.fitting_cpus:
            board.warn(f"cpu type {board.cpu_type} is deprecated for isapc machine")
        if most is not None and self.board_ram_size > most:
            raise VMError(
                f"Too much memory for this machine: {self.board_ram_size // MIB} MiB, maximum {most // MIB} MiB"
            )
        return super().low_ram_size()

    def rom_container(self) -> MemoryRegion:
        """There is only the system's memory."""
        return self.system

    def vga_spaces(self) -> tuple[MemoryRegion, MemoryRegion] | None:
        """There is only the system's memory."""
        return self.system, self.io

    def add_chipset_windows(self) -> None:
        """There is no chipset."""
        self.add_smm_spaces(None)
