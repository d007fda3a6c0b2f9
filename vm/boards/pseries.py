"""POWER: pseries, the logical partition that firmware and hypervisor calls present."""

from __future__ import annotations

import os

from ..errors import VMError
from ..qom import MemoryRegionObject, Property, take_bool, take_str
from .machine import HMAT, NVDIMM, Machine
from .machine_type import MachineType
from .pseries_cpus import add_cpus, check_cpus, cpu_aliases, cpu_model
from .versions import Version, family_versions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from ..qom import QOMObject
    from ..releases import Release
    from .board import Board
    from .machine import MemoryModule
    from .pci import PCIRoot
    from .targets import Target

MIB = 1 << 20
GIB = 1 << 30
TIB = 1 << 40

BLOCK_SIZE = 256 * MIB
"""RAM is handed to the guest in logical memory blocks of this size."""
MIN_REAL_MODE_AREA = 128 * MIB
MAX_RAM_SLOTS = 32

HOST_BRIDGE = "pci@800000020000000"
MSI_WINDOW = 0x40000000000
DMA_WINDOW_SIZE = GIB

XIVE_SOURCE = 0x6010000000000
XIVE_END_SOURCE = 0x6010040000000
XIVE_SOURCE_SIZE = 0x40000000
XIVE_THREADS = 0x6030203180000
XIVE_THREADS_SIZE = 0x40000

CACHE_MODES = ("broken", "workaround", "fixed")
BRANCH_MODES = ("broken", "workaround", "fixed-ibs", "fixed-ccd", "fixed-na")


class IOMMURegionObject(MemoryRegionObject):
    """A region that translates, as the object tree shows it."""

    type_name = "spapr-iommu-memory-region"


EMULATION_LACKS = {
    "cap-htm": "No Transactional Memory support in TCG",
    "cap-rpt-invalidate": "No H_RPT_INVALIDATE support in TCG",
}
"""What QEMU refuses without KVM."""


def _capability(name: str, description: str, modes: tuple[str, ...] | None = None) -> Property:
    """A promise to the guest, which is only read back here, for it changes no memory; tools name it on the command
    line. It is a switch if there are no modes."""
    attribute = name.replace("-", "_")

    def setter(machine: PseriesMachine, value: object) -> None:
        if modes is None:
            wanted = take_bool(name, value)
            if wanted and name in EMULATION_LACKS:
                raise VMError(EMULATION_LACKS[name], details=f"Try appending -machine {name}=off")
            setattr(machine, attribute, wanted)
        elif take_str(name, value) in modes:
            setattr(machine, attribute, value)
        else:
            raise VMError(f'Invalid capability mode "{value}" for {name}')

    type_name = "bool" if modes is None else "string"
    return Property(name, type_name, lambda machine: getattr(machine, attribute), setter, description)


class PseriesMachine(Machine):
    """RAM from 0 on, room for memory devices after it, PCI and the interrupt controller far above."""

    type_name = "spapr-machine"
    abstract = True
    starts_without_ram = True
    own_cpu_models = ("max",)
    numa_supported = True
    pluggable = ("pc-dimm", "nvdimm")
    tells_by_acpi = False
    releases_unseen = True
    tells_nvdimms = True
    """Whether the machine has NVDIMMs enabled, as it tells, once it has one."""
    maps_address_zero = True
    """Whether a PCI device that says it is at 0 is there."""
    max_cpus = 4096
    default_cpu = "power11"
    ic_mode = "dual"
    """Interrupt controllers: xics, xive, or both (dual) with the guest's choice; legacy has no choice."""
    cap_ccf_assist = True
    cap_cfpc = "workaround"
    cap_dfp = True
    cap_fwnmi = True
    cap_htm = False
    cap_ibs = "workaround"
    cap_large_decr = True
    cap_nested_hv = False
    cap_rpt_invalidate = False
    cap_sbbc = "workaround"
    cap_vsx = True
    max_real_mode_area = TIB
    watchdogs = 4
    most_threads = 8
    """How many threads of a core TCG emulates."""
    plugs_cpus = True
    plugs_blocks = True
    """Whether logical memory blocks can be plugged."""
    pci_windows = (
        ("io-alias", "io", 0x200000000000, 0, 64 << 10),
        ("mmio32-alias", "mmio", 0x200080000000, 0x80000000, 2 * GIB),
        ("mmio64-alias", "mmio", 0x210000000000, 0x210000000000, TIB),
    )
    """Windows on the PCI bus: name, the space they show, address, offset, size."""
    dma_windows = 2

    def __init__(self, machine_type: MachineType, board: Board) -> None:
        super().__init__(machine_type, board)
        self.switches["nvdimm"] = "auto"  # unlike others it takes them unless told not to
        self.has_xics = self.has_xive = False
        """Which interrupt controllers there are, once the CPUs are known: the older one, POWER9's, or both."""

    def has_implicit_node(self) -> bool:
        """There is always one."""
        return True

    def default_node(self, cpu: int, nodes: int) -> int:
        """CPUs of one socket are on one node."""
        return cpu // self.smp["cores"] % nodes

    def check_ram(self) -> None:
        """The firmware needs some RAM in real mode; all of it must come in whole blocks where these can be plugged."""
        first_node = self.numa_nodes[0].size if self.numa_nodes else self.board_ram_size
        if min(self.board_ram_size, first_node or self.board_ram_size, self.max_real_mode_area) < MIN_REAL_MODE_AREA:
            # The odd number is QEMU's.
            raise VMError("pSeries SLOF firmware requires >= 80ldMiB guest RMA (Real Mode Area memory)")
        if self.plugs_blocks:
            self._check_blocks()

    def _check_blocks(self) -> None:
        if self.board_ram_size % BLOCK_SIZE:
            raise VMError(f"Memory size {self.board_ram_size:#x} is not aligned to 256 MiB")
        if self.max_ram_size % BLOCK_SIZE:
            # The size shown is QEMU's.
            raise VMError(f"Maximum memory size {self.board_ram_size:#x} is not aligned to 256 MiB")
        for node in self.numa_nodes:
            if node.size % BLOCK_SIZE:
                raise VMError(f"Node {node.node_id} memory size {node.size:#x} is not aligned to 256 MiB")
        if self.max_ram_size < self.board_ram_size:
            # QEMU never comes to an end here.
            raise VMError(
                f"Maximum memory size {self.max_ram_size:#x} is less than the memory size {self.board_ram_size:#x}",
                hint=f"the memory backend decides on the size; add -m {self.board_ram_size // MIB}M",
            )

    @property
    def cpus_per_slot(self) -> int:
        """Cores are plugged whole."""
        return self.smp["threads"]

    @property
    def slot_type(self) -> str:
        """The type of the cores."""
        return f"{cpu_model(self)}-spapr-cpu-core"

    def slot_device(self, number: int) -> QOMObject | None:
        """The core in a slot."""
        cpu = super().slot_device(number)
        return cpu.parent if cpu is not None else None

    def check_dimm(self, dimm: MemoryModule) -> None:
        """Memory comes and goes in logical memory blocks."""
        if dimm.persistent:
            self._check_nvdimm(dimm)
        elif dimm.length % BLOCK_SIZE:
            raise VMError(f"Hotplugged memory size must be a multiple of {BLOCK_SIZE // MIB} MB")

    def _check_nvdimm(self, dimm: MemoryModule) -> None:
        """The hypervisor calls for these have no smaller pieces, and tell them by their UUIDs."""
        if self.switches["nvdimm"] == "off":
            raise VMError("nvdimm device found but 'nvdimm=off' was set")
        if not dimm.label_size:
            raise VMError("PAPR requires NVDIMM devices to have label-size set")
        if dimm.length % BLOCK_SIZE:
            size = BLOCK_SIZE // MIB
            raise VMError(f"PAPR requires NVDIMM memory size (excluding label) to be a multiple of {size}MB")
        if not dimm.has_uuid:
            raise VMError("NVDIMM device requires the uuid to be set")

    def take_dimm(self, dimm: MemoryModule) -> None:
        """A machine that has an NVDIMM has them enabled."""
        if dimm.persistent and self.tells_nvdimms:
            self.switches["nvdimm"] = "on"

    def check_removal(self, dimm: MemoryModule) -> None:
        """One request after the other."""
        if dimm.removal_requested:
            raise VMError(f"Memory unplug already in progress for device {dimm.device_id or '(null)'}")

    def build(self) -> None:
        """Put everything in place."""
        check_cpus(self)
        with self.topology.transaction():
            if self.has_xics:
                self.add_device("ics-spapr", self, "ics")
            if self.has_xive:
                self._add_xive()
            add_cpus(self)
            if self.ram is not None:
                self.system.add_subregion(0, self.ram)
            if self.max_ram_size > self.board_ram_size:
                self._add_device_memory()
            self._check_firmware()
            self.add_device("spapr-rtc", self, "rtc")
            bridge = self.add_device("spapr-vio-bridge")
            self.add_device("spapr-vio-bus", bridge, "spapr-vio")
            self.add_device("spapr-nvram")
            self._add_host_bridge()
            for number in range(1, 1 + self.watchdogs):
                self.add_device("spapr-wdt", self, f"wdt{number}")

    def _add_device_memory(self) -> None:
        if self.ram_slots > MAX_RAM_SLOTS:
            raise VMError(f"Specified number of memory slots {self.ram_slots} exceeds max supported {MAX_RAM_SLOTS}")
        address = -(-self.board_ram_size // GIB) * GIB
        size = self.max_ram_size - self.board_ram_size
        self.add_device_memory(address, size)

    def _check_firmware(self) -> None:
        path = self.board.firmware
        if path is not None and not os.path.exists(path):
            raise VMError(f"Could not find LPAR firmware '{path}'")

    def _add_xive(self) -> None:
        controller = self.add_device("spapr-xive")
        source = self.add_device("xive-source", controller, "source")
        pages = self.topology.container("xive.esb", XIVE_SOURCE_SIZE)
        self.place(pages, 0, self.topology.io("xive.esb-emulated", XIVE_SOURCE_SIZE), source)
        self.place(self.system, XIVE_SOURCE, pages, source)
        ends = self.add_device("xive-end-source", controller, "end_source")
        registers = self.topology.io("xive.end", XIVE_SOURCE_SIZE)
        self.place(self.system, XIVE_END_SOURCE, registers, ends, enabled=self.has_xics)
        threads = self.topology.io("xive.tima", XIVE_THREADS_SIZE)
        self.place(self.system, XIVE_THREADS, threads, controller)

    system_devices = ("spapr-pci-host-bridge",)
    default_vga = "VGA"
    has_nics_first = True
    numbers_bridges = True
    usb_with_graphics = "nec-usb-xhci"

    def pci_root(self) -> PCIRoot:
        """The bus of the first host bridge."""
        from .pci import PCIRoot

        window = self._pci_window if self.maps_address_zero else None
        return PCIRoot(
            self._pci_bus, self.added_functions, hotplug=True, name=HOST_BRIDGE, memory=self._pci_memory, window=window
        )

    def _add_host_bridge(self) -> None:
        bridge = self.add_device("spapr-pci-host-bridge")
        self._pci_bus = self.add_device("PCI", bridge, "pci.0")
        spaces = {
            "mmio": bridge.own_region(self.topology.container(f"{HOST_BRIDGE}.mmio")),
            "io": bridge.own_region(self.topology.container(f"{HOST_BRIDGE}.io", 64 << 10)),
        }
        self._pci_window = spaces["mmio"]
        for name, space, address, offset, size in self.pci_windows:
            window = self.topology.alias(f"{HOST_BRIDGE}.{name}", spaces[space], offset, size)
            self.place(self.system, address, window, bridge)
        self._pci_memory = dma = bridge.own_region(self.topology.container(f"{HOST_BRIDGE}.iommu-root"))
        self.place(dma, MSI_WINDOW, self.topology.io("msi", 0x1000), bridge)
        self.add_space(HOST_BRIDGE, dma)
        for number in range(self.dma_windows):
            label = f"{0x80000000 + number:x}"
            table = self.add_device("spapr-tce-table", bridge, f"tce-table-{label}")
            root = self.place(dma, 0, self.topology.container(f"tce-root-{label}"), table)
            # Only the first window is in use from the start.
            translation = self.topology.io(f"tce-iommu-{label}", 0 if number else DMA_WINDOW_SIZE)
            translation.owner = table
            table.add_child(f"tce-iommu-{label}[*]", IOMMURegionObject(translation))
            if number == 0:
                root.add_subregion(0, translation)

    # Properties

    def _set_ic_mode(self, value: object) -> None:
        mode = take_str("ic-mode", value)
        if self.ic_mode == "legacy":
            raise VMError("This machine only uses the legacy XICS backend, don't pass ic-mode")
        if mode not in ("xics", "xive", "dual"):
            raise VMError('Bad value for "ic-mode" property')
        self.ic_mode = mode

    properties: tuple[Property, ...] = (
        HMAT,
        NVDIMM,
        _capability("cap-ccf-assist", "Count Cache Flush Assist via HW Instruction"),
        _capability("cap-cfpc", "Cache Flush on Privilege Change (broken, workaround, fixed)", CACHE_MODES),
        _capability("cap-dfp", "Allow Decimal Floating Point (DFP)"),
        _capability("cap-fwnmi", "Implements PAPR FWNMI option"),
        _capability("cap-htm", "Allow Hardware Transactional Memory (HTM)"),
        _capability(
            "cap-ibs", "Indirect Branch Speculation (broken, workaround, fixed-ibs,fixed-ccd, fixed-na)", BRANCH_MODES
        ),
        _capability("cap-large-decr", "Allow Large Decrementer"),
        _capability("cap-nested-hv", "Allow Nested KVM-HV"),
        _capability("cap-rpt-invalidate", "Allow H_RPT_INVALIDATE"),
        _capability("cap-sbbc", "Speculation Barrier Bounds Checking (broken, workaround, fixed)", CACHE_MODES),
        _capability("cap-vsx", "Allow Vector Scalar Extensions (VSX)"),
        Property("ic-mode", "string", lambda machine: machine.ic_mode, _set_ic_mode),
    )


_OLD_PCI_WINDOWS = (
    ("io-alias", "io", 0x10080000000, 0, 64 << 10),
    ("mmio32-alias", "mmio", 0x100A0000000, 0x80000000, 2 * GIB),
    ("mmio64-alias", "mmio", 0x10120000000, 0x100000000, 60 * GIB),
)

_OLDEST_PCI_WINDOWS = (
    _OLD_PCI_WINDOWS[0],
    ("mmio32-alias", "mmio", 0x100A0000000, 0x80000000, 512 * MIB),
)

CHANGES: dict[str, dict[str, Any]] = {
    "11.0": {"default_cpu": "power10"},
    "8.2": {"default_cpu": "power9"},
    "6.1": {"prefers_sockets": True},
    "5.0": {"numa_mem_supported": True},
    "4.2": {"max_real_mode_area": 16 * GIB, "cap_ccf_assist": False, "cap_fwnmi": False},
    "4.0": {"ic_mode": "xics"},
    "3.1": {
        "default_cpu": "power8",
        "canonical_ram_block_names": True,
        "cap_cfpc": "broken",
        "cap_ibs": "broken",
        "cap_large_decr": False,
        "cap_sbbc": "broken",
    },
    "3.0": {"ic_mode": "legacy"},
    "2.12": {"global_vga_memory": True},
    "2.11": {"cap_htm": True},
    "2.7": {"default_cpu": "power7", "pci_windows": _OLD_PCI_WINDOWS},
    "2.6": {"dma_windows": 1, "plugs_cpus": False},
    "2.5": {"usb_with_graphics": "pci-ohci"},
    "2.4": {"plugs_blocks": False},
    "2.2": {"pci_windows": _OLDEST_PCI_WINDOWS},
}
"""What a version has different from its successor."""
SIBLINGS: dict[str, dict[str, Any]] = {
    "2.12": {"cap_cfpc": "workaround", "cap_ibs": "fixed-ccd", "cap_sbbc": "workaround"},
}
"""Versions that are there once more, as `-sxxm`, with mitigations against side channels."""


def machine_types(_target: Target, release: Release) -> Iterator[MachineType]:
    """The machine types of this family."""
    for version in family_versions("pseries", PseriesMachine, release, CHANGES):
        yield _machine_type(version, version.name, release, {})
        if version.name in SIBLINGS:
            yield _machine_type(version, f"{version.name}-sxxm", release, SIBLINGS[version.name])


def _machine_type(version: Version, name: str, release: Release, changes: dict[str, Any]) -> MachineType:
    settings = version.settings | changes
    cpu = cpu_aliases(release)[settings.get("default_cpu", PseriesMachine.default_cpu)]
    return MachineType(
        f"pseries-{name}",
        PseriesMachine,
        "pSeries Logical Partition (PAPR compliant)",
        alias="pseries" if version.is_newest else None,
        default_ram_id="ppc_spapr.ram",
        default_ram_size=512 * MIB,
        default_cpu_type=f"{cpu}-powerpc64-cpu",
        max_cpus=settings.get("max_cpus", PseriesMachine.max_cpus),
        hotpluggable_cpus=settings.get("plugs_cpus", PseriesMachine.plugs_cpus),
        is_default=version.is_newest,
        deprecated=version.deprecated,
        settings=settings,
    )
