"""ARM: virt, the board that exists only in virtual machines."""

from __future__ import annotations

from ..errors import VMError
from ..qom import Property, QOMObject, take_bool, take_enum, take_int, take_str
from ..sizes import size_to_str
from . import arm_virt_layout as layout
from .arm_virt_gic import add_gic, choose_version
from .arm_virt_memory import add_flash, add_secure_memory, add_tag_memory
from .arm_virt_pcie import add_pcie
from .board import Board
from .machine import HMAT, NVDIMM, Machine
from .machine_type import MachineType
from .versions import family_versions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from ..memory.region import MemoryRegion
    from ..releases import Release
    from .machine import MemoryModule
    from .pci import PCIRoot
    from .targets import Target

GIB = 1 << 30
MAX_RAM_SLOTS = 256
MASK_64 = (1 << 64) - 1
ON_OFF_AUTO = ("auto", "on", "off")


def _switch(name: str, description: str, since: str | None = None) -> Property:
    """A feature that the board has or has not."""

    def setter(machine: VirtMachine, value: object) -> None:
        machine.options[name] = take_bool(name, value)

    return Property(name, "bool", lambda machine: machine.options[name], setter, description, since=since)


class VirtMachine(Machine):
    """Flash from 0 on, devices below 1 GiB, then the RAM, then room for memory devices, then more of the PCI bus."""

    flashes = layout.FLASHES
    flash_modelled = True
    type_name = "virt-machine"
    abstract = True
    page_size = 4096
    max_cpus = 512
    lists_default_cpu = False
    numa_supported = True
    implicit_node_with_slots = True
    maps_virtio_memory = True
    pluggable = ("pc-dimm", "nvdimm")
    implicit_node_with_max_ram = True
    topology_levels = ("clusters",)
    has_pcie_windows = True
    """Whether PCI accesses that no device answers are caught."""
    has_lpis = True
    """Whether a GICv3 has an interrupt translation service, and there is a GICv4."""
    has_secure_gpio = True
    has_acpi_ged = True
    lists_cpus = True
    """Whether what is wrong with a CPU model is told with those that fit."""
    places_by_threads = False
    """Whether the place of a CPU is its number alone."""
    gic_versions: tuple[str, ...] = ("2", "3", "4", "host", "max")
    tells_of_redistributors = True
    """Whether what is said of too many CPUs names the property that lets more have a redistributor."""
    expects_whole_clusters = True
    has_second_region = True
    """Whether a GICv3 can have redistributors above the RAM, too."""
    gicv3_for_more_cpus = True
    """Whether more CPUs than a GICv2 serves have a GICv3 where no version is asked for."""
    ecam_region_size = layout.HIGH_PCIE_ECAM_SIZE
    table_loader_size = 0x10000
    exact_acpi_tables = 0
    """Bytes of ACPI tables with no CPU, where they are not given more room than they need."""
    places_by_limit = True
    """Whether what the CPU can address decides on what is above the RAM; else it only must suffice."""
    has_cxl = True
    """Whether there is a CXL host, which has registers above the RAM."""
    compact_highmem = True
    """Whether devices above the RAM leave no room for those that are not there."""
    has_high_ecam = True
    """Whether the PCI configuration space is above the RAM, where it can be larger."""

    def __init__(self, machine_type: MachineType, board: Board) -> None:
        super().__init__(machine_type, board)
        self.options = {
            **dict.fromkeys(("secure", "virtualization", "mte"), False),
            **dict.fromkeys(("highmem", "highmem-redists", "highmem-mmio", "its"), True),
            "highmem-ecam": self.has_high_ecam,
            "compact-highmem": self.compact_highmem,
        }
        self.high_mmio_size = layout.HIGH_PCIE_MMIO_SIZE
        self.acpi = "auto"
        self._has_ged = False
        """Whether the firmware is told of what is plugged."""
        self.gic_version = "auto"
        self.secure: MemoryRegion | None = None
        """What secure accesses see, if there are any."""
        self.high: dict[str, int] = {}
        """Addresses of the devices above the RAM, of those that fit."""

    def default_node(self, cpu: int, nodes: int) -> int:
        """CPUs of one socket are on one node."""
        return cpu % nodes if self.places_by_threads else self.cpu_place(cpu)["socket-id"] % nodes

    def cpu_place(self, index: int) -> dict[str, int]:
        """Socket, cluster, core and thread."""
        if self.places_by_threads:
            return {"thread-id": index}
        place = {}
        for level in ("threads", "cores", "clusters"):
            index, place[f"{level[:-1]}-id"] = divmod(index, self.smp[level])
        return {"socket-id": index, **place}

    # What is where

    @property
    def cpu_model(self) -> str:
        """The model of the CPUs."""
        return self.board.cpu_type.removesuffix("-arm-cpu")

    @property
    def cpu_is_64_bit(self) -> bool:
        """Whether the CPUs have addresses of 64 bits, at least virtual ones."""
        return self.cpu_model not in layout.CPUS_OF_32_BITS and self.board.target.name == "aarch64"

    def _address_bits(self) -> int:
        """Bits of the addresses that may be used; raises `VMError` for a CPU that the board does not take."""
        if self.cpu_model == "host" and self.options["highmem"]:
            return self.board.host.phys_bits
        known = layout.CPU_ADDRESS_BITS | self.board.release.settings("Arm CPUs")
        bits = 32 if self.cpu_model == "host" else known.get(self.cpu_model)
        if bits is None or (self.board.target.name == "arm" and self.cpu_model not in (*layout.CPUS_OF_32_BITS, "max")):
            raise self._wrong_cpu()
        if not self.options["highmem"] or (self.cpu_model == "max" and not self.cpu_is_64_bit):
            return 32
        return bits

    def _wrong_cpu(self) -> VMError:
        if not self.lists_cpus:
            return VMError(f"mach-virt: CPU type {self.board.cpu_type} not supported")
        fitting = layout.CPU_ADDRESS_BITS if self.board.target.name == "aarch64" else (*layout.CPUS_OF_32_BITS, "max")
        known = f"The valid models are: {', '.join(fitting)}"
        return VMError(f"Invalid CPU model: {self.cpu_model}", details=known)

    def _lay_out(self) -> None:
        """Decide on the addresses above 1 GiB; raises `VMError` if they do not suffice."""
        bits = self._address_bits()
        limit = 1 << (bits if self.places_by_limit else 64)
        self.device_memory_address = _round_up(layout.RAM_ADDRESS + self.board_ram_size, GIB)
        if self.ram_slots > MAX_RAM_SLOTS:
            raise VMError(f"unsupported number of memory slots: {self.ram_slots}")
        # Each slot may waste up to a GiB for alignment. All of it wraps at 2^64, as in QEMU.
        self.device_memory_size = self.max_ram_size - self.board_ram_size + self.ram_slots * GIB & MASK_64
        end = self.device_memory_address + _round_up(self.device_memory_size, GIB) & MASK_64
        if end < self.device_memory_address:
            raise VMError("maxmem/slots too huge")
        if end > limit:
            text = f"Addressing limited to {bits} bits, but memory exceeds it by {end - limit} bytes"
            raise VMError(text, details=self.board.release.settings("texts").get("behind the limit"))
        if self.board.has_firmware and not self.cpu_is_64_bit:
            self.options["highmem-ecam"] = False
        end = self._place_high_devices(max(end, layout.HIGH_DEVICES_ADDRESS), limit)
        needed = (end - 1).bit_length()
        if not self.places_by_limit and self.cpu_is_64_bit and self.options["highmem"] and needed > bits:
            raise VMError(f"VCPU supports less PA bits ({bits}) than requested by the memory map ({needed})")

    def _place_high_devices(self, address: int, limit: int) -> int:
        """Find out which of them are there, and where; what is not leaves its place free, or closes up (compact).

        Returns the address after the last.
        """
        highmem = self.options["highmem"]
        for name, size in layout.HIGH_DEVICES:
            if name == "mmio":
                size = self.high_mmio_size
            elif name == "cxl" and not self.has_cxl:
                continue
            start = _round_up(address, size)
            if name == "cxl" or (highmem and self.options[f"highmem-{name}"] and start + size <= limit):
                self.high[name] = start
            elif self.options["compact-highmem"] or not highmem:
                continue
            address = start + size
        return address

    def check_dimm(self, dimm: MemoryModule) -> None:
        """DIMMs are told to the guest by ACPI, which needs a firmware."""
        if not self._has_ged:
            raise VMError("memory hotplug is not enabled: missing acpi-ged device")
        if dimm.persistent and self.switches["nvdimm"] != "on":
            raise VMError("nvdimm is not enabled: add 'nvdimm=on' to '-M'")

    def build(self) -> None:
        """Put everything in place."""
        self._lay_out()
        gic_version = choose_version(self)
        with self.topology.transaction():
            add_secure_memory(self)
            self._add_cpus()
            if self.ram is not None:
                self.system.add_subregion(layout.RAM_ADDRESS, self.ram)
            if self.device_memory_size:
                self.add_device_memory(self.device_memory_address, self.device_memory_size)
            add_flash(self)
            add_tag_memory(self)
            add_gic(self, gic_version)
            self._add_devices()
            self.add_nvdimm_registers(self.system, layout.NVDIMM_ADDRESS)

    def _add_cpus(self) -> None:
        for number in range(self.board.cpus):
            self.cpus.append(self.add_device(self.board.cpu_type))
            self.add_space(f"cpu-memory-{number}", self.system)
            if self.secure is not None:
                self.add_space(f"cpu-secure-memory-{number}", self.secure)

    # Devices

    def _add_devices(self) -> None:
        self._has_ged = acpi_ged = (
            self.acpi != "off" and self.has_acpi_ged and self.board.has_firmware and self.cpu_is_64_bit
        )
        secure_gpio = self.secure is not None and self.has_secure_gpio
        on = {"secure": self.secure is not None, "acpi-ged": acpi_ged, "gpio": not acpi_ged, "secure-gpio": secure_gpio}
        self._add_rows(layout.BEFORE_PCIE, on)
        self._pci_bus = add_pcie(self)
        self._add_rows(layout.AFTER_PCIE, on)
        for number in range(layout.TRANSPORTS):
            transport = self.add_device("virtio-mmio")
            self.add_device("virtio-mmio-bus", transport, f"virtio-mmio-bus.{number}")
            address = layout.TRANSPORT_ADDRESS + number * layout.TRANSPORT_SIZE
            self.place_registers(transport, "virtio-mmio", address, layout.TRANSPORT_SIZE)
        self._add_rows((layout.FIRMWARE_CONFIGURATION,), on)
        platform = self.add_device("platform-bus-device")
        platform.device_id = "platform-bus-device"
        if self.has_cxl:
            self.place(
                self.system, self.high["cxl"], self.topology.container("cxl_host_reg", layout.CXL_HOST_SIZE), self
            )
        bus = self.topology.container("platform bus", layout.PLATFORM_BUS_SIZE)
        self.place(self.system, layout.PLATFORM_BUS_ADDRESS, bus, platform)

    def add_tables(self) -> None:
        """The ACPI tables for the firmware, where there are any."""
        if self.acpi != "off":
            owner = self.children["fw_cfg"]
            for name, used, reserved in layout.ACPI_BLOBS:
                size = self._acpi_tables_size() if self.exact_acpi_tables and "tables" in name else used
                block = self.make_rom_block(name, size, reserved or self.table_loader_size)
                owner.own_region(self.topology.rom(name, size, block))

    def _acpi_tables_size(self) -> int:
        """Whole pages of what the tables need, as found by trying."""
        cpus, nodes = self.smp["maxcpus"], len(self.numa_nodes)
        length = self.exact_acpi_tables + layout.ACPI_TABLES_PER_CPU * cpus
        if nodes:
            length += layout.ACPI_NUMA_TABLE + layout.ACPI_NUMA_PER_NODE * nodes + layout.ACPI_NUMA_PER_CPU * cpus
        return _round_up(length, 4 << 10)

    def _add_rows(self, rows: tuple[layout.DeviceRow, ...], on: dict[str, bool]) -> None:
        for row in rows:
            if row.option is not None and not on[row.option]:
                continue
            parent = self.unattached if row.name is None else self
            device = self.add_device(row.type_name, parent, row.name or "device[*]")
            view = self.secure if row.secure else None
            for name, offset, size in row.registers:
                self.place_registers(device, name, row.address + offset, size, view)
            if row.key == "ged":
                self._add_memory_hotplug(device)

    def _add_memory_hotplug(self, ged: QOMObject) -> None:
        """The registers that tell the guest of plugged memory, where any can be plugged."""
        ged.own_region(self.topology.io("acpi-ged-regs", 3))
        frame = self.topology.container("memhp container", layout.MEMORY_HOTPLUG_SIZE)
        self.place(self.system, layout.MEMORY_HOTPLUG_ADDRESS, frame, ged)
        if self.ram_slots:
            self.place(frame, 0, self.topology.io("acpi-mem-hotplug", layout.MEMORY_HOTPLUG_SIZE), ged)

    system_devices = (
        *("ramfb", "tpm-tis-device", "sbsa-gwdt", "uefi-vars-sysbus", "arm-smmuv3"),
        *("vfio-amd-xgbe", "vfio-calxeda-xgmac", "vfio-platform"),
    )
    default_nic = "virtio-net-pci"

    def pci_root(self) -> PCIRoot:
        """The bus of the host bridge."""
        from .pci import PCIRoot

        return PCIRoot(self._pci_bus, {0: "gpex-root"} | self.added_functions)

    def place_registers(
        self, owner: QOMObject, name: str, address: int, size: int, view: MemoryRegion | None = None
    ) -> MemoryRegion:
        """Put registers where all accesses see them, or into `view`."""
        return self.place(view or self.system, address, self.topology.io(name, size), owner)

    # Properties

    def _set_acpi(self, value: object) -> None:
        self.acpi = take_enum("acpi", value, ON_OFF_AUTO, self.qemu)

    def _set_gic_version(self, value: object) -> None:
        version = take_str("gic-version", value)
        if version not in self.gic_versions:
            known = self.board.release.text("GIC versions", "Valid values are 2, 3, 4, x-5, host, and max.")
            raise VMError("Invalid gic-version value", details=known)
        self.gic_version = version

    def _set_high_mmio_size(self, value: object) -> None:
        size = take_int("highmem-mmio-size", value, "size", 64)
        if size == 0 or size & size - 1:
            raise VMError("highmem-mmio-size is not a power of 2")
        if size < layout.HIGH_PCIE_MMIO_SIZE:
            least = size_to_str(layout.HIGH_PCIE_MMIO_SIZE)
            raise VMError(f"highmem-mmio-size cannot be set to a lower value than the default ({least})")
        self.high_mmio_size = size

    properties: tuple[Property, ...] = (
        HMAT,
        NVDIMM,
        Property("acpi", "OnOffAuto", lambda machine: machine.acpi, _set_acpi, "Enable ACPI"),
        _switch("secure", "Set on/off to enable/disable the ARM Security Extensions (TrustZone)"),
        _switch(
            "virtualization",
            "Set on/off to enable/disable emulating a guest CPU which implements the ARM Virtualization Extensions",
        ),
        _switch("highmem", "Set on/off to enable/disable using physical address space above 32 bits"),
        _switch("compact-highmem", "Set on/off to enable/disable compact layout for high memory regions", "10.0"),
        _switch(
            "highmem-redists",
            "Set on/off to enable/disable high memory region for GICv3 or GICv4 redistributor",
            "10.0",
        ),
        _switch("highmem-ecam", "Set on/off to enable/disable high memory region for PCI ECAM", "10.0"),
        _switch("highmem-mmio", "Set on/off to enable/disable high memory region for PCI MMIO", "10.0"),
        Property(
            "highmem-mmio-size",
            "size",
            lambda machine: machine.high_mmio_size,
            _set_high_mmio_size,
            "Set the high memory region size for PCI MMIO",
            since="10.0",
        ),
        Property(
            "gic-version",
            "string",
            lambda machine: "2" if machine.gic_version == "auto" else machine.gic_version,
            _set_gic_version,
            "Set GIC version. Valid values are 2, 3, 4, host and max",
        ),
        _switch(
            "mte",
            "Set on/off to enable/disable emulating a guest CPU which implements the ARM Memory Tagging Extension",
        ),
        _switch("its", "Set on/off to enable/disable ITS instantiation"),
    )


def _round_up(address: int, unit: int) -> int:
    return -(-address // unit) * unit


CHANGES: dict[str, dict[str, Any]] = {
    "7.2": {"compact_highmem": False},
    "6.1": {"has_lpis": False, "prefers_sockets": True},
    "6.0": {"has_pcie_windows": False},
    "5.2": {"has_secure_gpio": False},
    "5.0": {"numa_mem_supported": True, "implicit_node_with_max_ram": False},
    "4.1": {"has_acpi_ged": False, "implicit_node_with_slots": False},
    "3.1": {"canonical_ram_block_names": True},
    "2.12": {"has_high_ecam": False, "max_cpus": 255, "global_vga_memory": True},
    "2.7": {"page_size": None},
}
"""What a version has different from its successor."""


def machine_types(_target: Target, release: Release) -> Iterator[MachineType]:
    """The machine types of this family."""
    for version in family_versions("virt", VirtMachine, release, CHANGES):
        yield MachineType(
            f"virt-{version.name}",
            VirtMachine,
            f"QEMU {version.name} ARM Virtual Machine",
            alias="virt" if version.is_newest else None,
            default_ram_id="mach-virt.ram",
            default_cpu_type="cortex-a15-arm-cpu",
            max_cpus=version.settings.get("max_cpus", VirtMachine.max_cpus),
            deprecated=version.deprecated,
            settings=version.settings,
        )
