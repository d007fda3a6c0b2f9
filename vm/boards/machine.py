"""What all boards share: the machine object with its properties, and the ways to put devices and memory on it.

A family subclasses `Machine` and says in `build` where things are; it receives its RAM as one prepared MemoryRegion and
never allocates any.
"""

from __future__ import annotations

from ..errors import VMError
from ..memory.ramblock import RAMBlock
from ..memory.region import MemoryRegion
from ..qom import Container, Device, Property, QOMObject, parse_switch, take_bool, take_enum, take_str
from .smp import CPUSlot

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    from ..hostmem.backend import MemoryBackend
    from ..memory.address_space import AddressSpace
    from ..numa import NumaNode
    from .board import Board
    from .machine_type import MachineType
    from .pci import PCIRoot

    class MemoryModule(Protocol):
        """What a machine looks at of a DIMM before it says whether it can have it."""

        persistent: bool
        label_size: int
        device_id: str | None
        removal_requested: bool

        @property
        def length(self) -> int:
            """Bytes of memory."""

        @property
        def has_uuid(self) -> bool:
            """Whether one was given to it."""


IO_SPACE_SIZE = 1 << 16


ON_OFF_AUTO = ("auto", "on", "off")


def switch(
    name: str,
    description: str | None = None,
    *,
    auto: bool = True,
    since: str | None = None,
    until: str | None = None,
) -> Property:
    """A machine option that is on or off, or automatic; kept in the machine's `switches`."""

    def setter(machine: Machine, value: object) -> None:
        if auto:
            machine.switches[name] = take_enum(name, value, ON_OFF_AUTO, machine.qemu)
        else:
            machine.switches[name] = "on" if take_bool(name, value) else "off"

    def getter(machine: Machine) -> object:
        return machine.switches[name] if auto else machine.switches[name] == "on"

    type_name = "OnOffAuto" if auto else "bool"
    return Property(name, type_name, getter, setter, description, since=since, until=until)


HMAT = switch("hmat", "Set on/off to enable/disable ACPI Heterogeneous Memory Attribute Table (HMAT)", auto=False)
"""For machines that have NUMA nodes."""
NVDIMM = switch("nvdimm", "Set on/off to enable/disable NVDIMM instantiation", auto=False)
"""For machines that take NVDIMMs."""


class Machine(QOMObject):
    """`/machine`: a board with its properties, devices, address spaces and ROMs.

    `ram` is the machine's RAM as one region, None if it has none. Sizes are in bytes.
    """

    type_name = "machine"
    abstract = True
    starts_without_ram = False
    """Whether `memory.size=0` is no mistake; QEMU dies of it on most boards that have RAM by default."""
    newest_cpu_models = False
    """Whether the name of a CPU model without a version is its last version, and not its first."""
    own_cpu_models: tuple[str, ...] = ()
    """Names of CPU models that the machine has besides its target's."""
    has_registers = True
    """Whether the regions of the board's devices are there; else what is no memory is not known."""
    tells_readonly_aliases = True
    """Whether aliases say that they let no write through; else a ROM seen by way of one may not be what does not."""
    numa_supported = False
    expects_whole_clusters = False
    """Whether people are warned of CPUs of one cluster that belong to different NUMA nodes."""
    numa_mem_supported = False
    """Whether `-numa node,mem=` is understood; a setting of the version."""
    page_size: int | None = None
    """Bytes of a target page, 64 of which RAMBlock offsets are multiples of; None is as the target says."""
    canonical_ram_block_names = False
    """Whether memory-backend-file and -memfd name their RAMBlocks by path; a setting of the version."""
    topology_levels: tuple[str, ...] = ()
    """Levels of the CPU topology besides sockets, cores and threads."""
    lists_default_cpu = True
    """Whether `query-machines` tells the CPU model that there is without `-cpu`."""
    default_cpus = 1
    """How many CPUs there are without `-smp`."""
    prefers_sockets = False
    """Whether CPUs that `-smp` does not place are sockets rather than cores; a setting of the version."""
    lays_out_asked_size = False
    """Whether a backend's size does not count for what the board looks at, only what `-m` or the machine type says."""
    flashes: tuple[str, ...] = ()
    """The flash memories that images can be put into, by their numbers."""
    flash_modelled = False
    """Whether these are all that QEMU's machine has."""
    default_firmware = ""
    """What is read back as the firmware's name where none was given."""
    implicit_node_with_slots = False
    implicit_node_with_max_ram = False
    """Whether there is a NUMA node when none is named and more RAM can come, in slots or at all."""
    pluggable: tuple[str, ...] = ()
    """The types of DIMMs that somebody could plug; one of another that was there from the start is nowhere."""
    maps_virtio_memory = False
    """Whether memory behind VirtIO gets an address; where nobody gives it one it is nowhere."""
    has_legacy_pci = True
    """Whether VirtIO devices on PCI are for old drivers, too, where nothing is said."""
    acpi_pci_hotplug = False
    """Whether ACPI tells the guest of devices on PCI that come and go, not the ports; a setting of the version."""
    numbers_bridges = False
    """Whether all PCI bridges must have a number."""
    pci_modelled = True
    """Whether PCI devices can be had wherever QEMU has them."""
    default_vga: str | None = None
    """The type of the VGA that there is where nobody says which; None where there is none."""
    default_nic: str | None = None
    """The type of the NIC on PCI likewise."""
    system_devices: tuple[str, ...] | None = None
    """The types on the system's bus that users can have; None where that is not known, so that it may be any."""
    has_nics_first = False
    """Whether NICs come on the bus before a VGA."""
    defaults_recorded = False
    """Whether of the default devices only the blocks are known, as they were recorded."""
    usb_with_graphics: str | None = None
    """The type of the USB controller on PCI that comes with graphics."""
    card_sizes: dict[str, int] = {}
    """Sizes of blocks, `TYPE/BLOCK`, that devices of older versions have different; a setting of the version."""
    global_vga_memory = False
    """Whether the RAMBlock of a VGA's memory is named without the device; a setting of the version."""
    has_channels = False
    """Whether devices can be reached by channels, as those of mainframes are."""
    tells_by_acpi = True
    """Whether a guest answers by ACPI when it is asked to let go of a DIMM."""
    releases_unseen = False
    """Whether what was plugged and no guest has taken goes at once when that is asked for."""
    told_without_guest: str | None = None
    """What a request to let go of a DIMM is told where no guest could answer; None is nothing."""
    dimm_alignment: int | None = None
    """What addresses and sizes of DIMMs are multiples of; None is what their memory is aligned to."""
    max_ram_block: int | None = None
    """Bytes of RAM that the migration stream may have in one block, more being several; a setting of the version."""

    def __init__(self, machine_type: MachineType, board: Board) -> None:
        super().__init__()
        self.machine_type = machine_type
        for name, value in machine_type.settings.items():
            setattr(self, name, value)
        self.board = board
        self.qemu = board.release
        self.topology = board.topology
        self.ram_size = 0
        self.asked_ram_size = 0
        """What `-m` or the machine type says, whatever the size of a backend is."""
        self.max_ram_size = 0
        self.ram_slots = 0
        self.device_memory: MemoryRegion | None = None
        """What memory devices are mapped into; None without `maxmem`."""
        self.ram: MemoryRegion | None = None
        self.ram_settled = False
        """Whether it is known by now what the RAM is."""
        self.ram_partition = ""
        """The blocks that the migration stream has the RAM as, `ID:SIZE+...`; empty where it is the backend's."""
        self.memory_backend: MemoryBackend | None = None
        self.memory_backend_id: str | None = None
        """The id or path that `memory-backend` names, until the backend is looked up."""
        self.smp: dict[str, int] = {}
        self.switches = {"graphics": "on", "suppress-vmdesc": "off", "usb": "off", "hmat": "off", "nvdimm": "off"}
        self.numa_nodes: list[NumaNode] = []
        self.cpus: list[QOMObject] = []
        self._cpu_slots: list[CPUSlot] = []
        self.added_functions: dict[int, str] = {}
        """The types of default devices on the root PCI bus, by number."""
        self.blocks: list[RAMBlock] = []
        """The machine's own: ROMs, and aliases of its RAM."""
        self.add_child("peripheral", Container())
        self.add_child("peripheral-anon", Container())
        self.unattached = self.add_child("unattached", Container())
        self.system = self.unattached.own_region(self.topology.container("system"))
        self.io = self.unattached.own_region(self.topology.io("io", IO_SPACE_SIZE))
        self.unattached.add_child("sysbus", Device("System"))
        self.memory_space = self.topology.add_space("memory", self.system)
        self.topology.add_space("I/O", self.io)

    @property
    def board_ram_size(self) -> int:
        """The size that the RAM is taken to have where the board is laid out."""
        return self.asked_ram_size if self.lays_out_asked_size else self.ram_size

    def fit_ram_size(self, size: int) -> int:
        """The RAM that the machine has if it is asked for `size` bytes."""
        return size

    def check_ram(self) -> None:
        """Raise `VMError` if the board cannot have `ram_size` bytes of RAM."""

    def check_dimm(self, dimm: MemoryModule) -> None:
        """Raise `VMError` if this machine, as it was started, cannot plug or unplug that DIMM."""

    def take_dimm(self, dimm: MemoryModule) -> None:
        """Note that this DIMM is there now."""

    def check_removal(self, dimm: MemoryModule) -> None:
        """Raise `VMError` if the guest cannot be asked to let go of that DIMM."""
        self.check_dimm(dimm)

    def pci_root(self) -> PCIRoot | None:
        """The bus for PCI devices that users plug; None where there is none."""
        return None

    @property
    def has_default_devices(self) -> bool:
        """Whether there may be devices that nobody asks for."""
        return self.default_vga is not None or self.default_nic is not None or self.defaults_recorded

    def vga_spaces(self) -> tuple[MemoryRegion, MemoryRegion] | None:
        """The memory and the ports where a VGA has its windows; None where CPUs see none of them."""
        return None

    def bus_kind(self, name: str) -> str | None:
        """Of what kind the board's bus of that name is; None if there is none."""
        if name == "main-system-bus":
            return "System"
        for node in self.walk():
            if node.name == name and node.type_name.endswith(("-bus", "PCI", "PCIE", "ISA", "IDE")):
                return node.type_name
        return None

    def build(self) -> None:
        """Put RAM, ROMs and devices in place; raises `VMError` if the board cannot be had so."""

    def add_tables(self) -> None:
        """Make what firmware reads of the whole machine, once all devices are there."""

    def first_reset(self) -> None:
        """Do what the first reset does, once all that was asked for is there; it decides on numbers of slots."""

    def release(self) -> None:
        """Take the machine's own blocks out of the table, and give the memory of ROMs back to the host."""
        for block in self.blocks:
            self.topology.ram_blocks.remove(block)
            block.close()
        self.blocks.clear()

    def has_implicit_node(self) -> bool:
        """Whether there is a NUMA node although none was named."""
        more = self.max_ram_size > self.board_ram_size
        return more and (self.implicit_node_with_max_ram or (self.implicit_node_with_slots and self.ram_slots > 0))

    def default_node(self, cpu: int, nodes: int) -> int:
        """The node of a CPU that no option names."""
        return cpu % nodes

    def no_property(self, name: str) -> VMError:
        """What QEMU has and is not modelled here is told apart from what there is not."""
        from ..known import machine_property

        machine_type = self.machine_type.name
        if machine_property(machine_type, name, self.board.release):
            return VMError(f"Property '{name}' of machine '{machine_type}' is not modelled (QEMU has it)")
        return super().no_property(name)

    # CPUs

    @property
    def cpus_per_slot(self) -> int:
        """How many CPUs are plugged together."""
        return 1

    @property
    def slot_type(self) -> str:
        """The QOM type of what fits in a slot."""
        return self.board.cpu_type

    @property
    def cpu_slots(self) -> list[CPUSlot]:
        """The places for CPUs, taken or free."""
        if not self._cpu_slots:
            firsts = range(0, self.smp["maxcpus"], self.cpus_per_slot)
            self._cpu_slots = [CPUSlot(self.cpu_place(first)) for first in firsts]
        return self._cpu_slots

    def cpu_slot(self, cpu: int) -> CPUSlot:
        """The place of a CPU."""
        return self.cpu_slots[cpu // self.cpus_per_slot]

    def slot_device(self, number: int) -> QOMObject | None:
        """What is in a slot; None if it is free."""
        first = number * self.cpus_per_slot
        return self.cpus[first] if first < len(self.cpus) else None

    def cpu_place(self, index: int) -> dict[str, int]:
        """Where the CPU is in the topology."""
        return {"core-id": index}

    # Parts of a board

    def add_device(self, type_name: str, parent: QOMObject | None = None, name: str = "device[*]") -> QOMObject:
        """A device below `parent`, or unattached with the next number."""
        return (parent or self.unattached).add_child(name, Device(type_name))

    def add_space(self, name: str, root: MemoryRegion) -> AddressSpace:
        """An address space over `root`."""
        return self.topology.add_space(name, root)

    def place(
        self,
        container: MemoryRegion,
        address: int,
        region: MemoryRegion,
        owner: QOMObject | None = None,
        priority: int = 0,
        *,
        enabled: bool = True,
    ) -> MemoryRegion:
        """Put `region` into `container` and let it belong to `owner`; without one it is unattached."""
        (owner or self.unattached).own_region(region)
        if not enabled:
            region.set_enabled(False)
        container.add_subregion(address, region, priority)
        return region

    def add_device_memory(self, address: int, size: int) -> None:
        """Room for memory devices; where a listener follows it, an address space of its own."""
        self.device_memory = device_memory = self.topology.container("device-memory", size)
        if self.board.release.settings("device memory").get("own space", True):
            self.add_space("device-memory", device_memory)
        self.place(self.system, address, device_memory, self)

    def add_nvdimm_registers(self, space: MemoryRegion, address: int) -> None:
        """The registers by which a guest talks to NVDIMMs, where there may be any."""
        if self.switches["nvdimm"] == "on":
            self.place(space, address, self.topology.io("nvdimm-acpi-io", 4), self)

    def make_rom_block(self, name: str, size: int, max_size: int | None = None) -> RAMBlock:
        """Memory of the board's own, named `name` in the migration stream; raises `VMError` if the host has none."""
        length = size if max_size is None else max_size
        try:
            memory = self.board.host.map_anonymous(length)
        except OSError as error:
            raise VMError(f"cannot set up guest memory '{name}': {error.strerror}") from None
        return self.add_block(RAMBlock(name, size, length, memory))

    def add_block(self, block: RAMBlock) -> RAMBlock:
        """List a block of the machine's own, named as its region; raises `VMError`, and closes it, if it cannot be."""
        ram_blocks, name = self.topology.ram_blocks, block.region_name
        try:
            ram_blocks.add(block)
        except OverflowError as error:
            block.close()
            raise VMError(f"cannot set up guest memory '{name}': {error}") from None
        try:
            ram_blocks.rename(block, name)
        except ValueError:
            ram_blocks.remove(block)
            block.close()
            raise VMError(f'RAMBlock "{name}" already registered') from None
        self.blocks.append(block)
        return block

    def drop_block(self, block: RAMBlock) -> None:
        """Take a block of the machine's own out of the table, and give its memory back."""
        self.topology.ram_blocks.remove(block)
        self.blocks.remove(block)
        block.close()

    def fill_rom(self, block: RAMBlock, contents: bytes) -> None:
        """Put firmware into a block; raises `VMError` if the host has no memory for it."""
        try:
            block.host.write(0, contents)
        except OSError as error:
            raise VMError(f"cannot load firmware into '{block.region_name}': {error.strerror}") from None

    def plan_partition(self) -> list[tuple[str, int]]:
        """Names and sizes of the blocks that the migration stream has the RAM as; none where it is the backend's block.

        Raises `VMError` if what was asked for does not fit the RAM.
        """
        if not self.ram_partition and (self.max_ram_block is None or self.ram_size <= self.max_ram_block):
            return []
        from .partition import plan

        return plan(self)

    # Properties

    def _set_memory_backend(self, value: object) -> None:
        name = take_str("memory-backend", value)
        if not self.ram_settled:
            self.memory_backend_id = name
            return
        # As observed: QEMU lets the link be set anew, and the RAM stays what it is.
        from ..hostmem.backend import MemoryBackend

        tree = self.board.backend_defaults.tree
        self.memory_backend = tree.find_linked("memory-backend", name, MemoryBackend) if name else None

    def _memory_backend_path(self) -> str:
        backend = self.memory_backend
        return backend.path if backend is not None and backend.parent is not None else ""

    def _set_mem_merge(self, value: object) -> None:
        self.board.backend_defaults.merge = take_bool("mem-merge", value)

    def _set_dump_guest_core(self, value: object) -> None:
        self.board.backend_defaults.dump = take_bool("dump-guest-core", value)

    def _set_ram_partition(self, value: object) -> None:
        from .partition import parse_partition

        text = take_str("ram-partition", value)
        parse_partition(text)
        if self.ram_settled:
            raise VMError("ram-partition cannot be changed once the machine has its RAM")
        self.ram_partition = text

    def _known_smp(self) -> dict[str, int]:
        unknown = self.board.release.settings("smp").get("unknown", ())
        return {level: count for level, count in self.smp.items() if level not in unknown}

    def _memory(self) -> dict[str, Any]:
        memory = {"size": self.ram_size}
        if self.ram_slots:
            memory["slots"] = self.ram_slots
        if self.max_ram_size > self.ram_size:
            memory["max-size"] = self.max_ram_size
        return memory

    registered_names: tuple[str, ...] = (
        "kernel", "initrd", "append", "dtb", "dumpdtb", "boot", "smp", "phandle-start", "dt-compatible",
        "dump-guest-core", "mem-merge", "usb", "graphics", "firmware", "suppress-vmdesc",
        "confidential-guest-support", "memory-encryption", "memory-backend", "memory",
    )  # fmt: skip
    properties: tuple[Property, ...] = (
        Property("memory", "MemorySizeConfiguration", _memory, None, "Memory size configuration", since="7.2"),
        Property("smp", "SMPConfiguration", _known_smp, None, "CPU topology", since="7.2"),
        Property(
            "dump-guest-core",
            "bool",
            lambda machine: machine.board.backend_defaults.dump,
            _set_dump_guest_core,
            "Include guest memory in a core dump",
        ),
        Property(
            "memory-backend",
            "link<memory-backend>",
            _memory_backend_path,
            _set_memory_backend,
            "Set RAM backendValid value is ID of hostmem based backend",
            since="7.2",
        ),
        Property(
            "memory-backend",
            "string",
            lambda machine: machine._memory_backend_path().rpartition("/")[2],
            _set_memory_backend,
            "Set RAM backendValid value is ID of hostmem based backend",
            until="5.2",
        ),
        Property(
            "mem-merge",
            "bool",
            lambda machine: machine.board.backend_defaults.merge,
            _set_mem_merge,
            "Enable/disable memory merge support",
        ),
        Property(
            "firmware",
            "string",
            lambda machine: machine.board.firmware or machine.default_firmware,
            None,
            "Firmware image",
        ),
        switch("usb", "Set on/off to enable/disable usb", auto=False),
        switch("graphics", "Set on/off to enable/disable graphics emulation", auto=False),
        switch("suppress-vmdesc", "Set on to disable self-describing migration", auto=False),
    )
    additions: tuple[Property, ...] = (
        Property(
            "ram-partition",
            "string",
            lambda machine: machine.ram_partition,
            _set_ram_partition,
            "RAMBlocks to migrate the RAM as, ID:SIZE+ID:SIZE+... (the last size may be left out)",
        ),
    )


def set_from_text(machine: Machine, name: str, text: str) -> None:
    """Set a machine property as `-machine NAME=TEXT` does; raises `VMError` with QEMU's text."""
    from ..sizes import parse_size

    found = machine.find_property(name)
    value: object = text
    if found.type_name == "bool":
        value = parse_switch(name, text)
    elif found.type_name == "size":
        try:
            value = parse_size(text)
        except ValueError:
            raise VMError(f"Parameter '{name}' expects size") from None
    machine.set(name, value)
