"""What all boards share: the machine object with its properties, and the ways to put devices and memory on it.

A family subclasses `Machine` and says in `build` where things are; it receives its RAM as one prepared MemoryRegion and
never allocates any.
"""

from __future__ import annotations

from ..errors import VMError
from ..memory.ramblock import RAMBlock
from ..memory.region import MemoryRegion
from ..qom import Container, Device, Property, QOMObject, parse_switch, take_bool, take_enum, take_str

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..host import Host
    from ..hostmem.backend import BackendDefaults, MemoryBackend
    from ..memory.address_space import AddressSpace, Listener, MemoryTopology
    from ..numa import NumaNode
    from .targets import Target

IO_SPACE_SIZE = 1 << 16


class MachineType:
    """One machine type as it is listed; `machine` is the class that builds it."""

    __slots__ = (
        "alias",
        "default_cpu_type",
        "default_ram_id",
        "default_ram_size",
        "deprecated",
        "description",
        "family",
        "hotpluggable_cpus",
        "is_default",
        "machine",
        "max_cpus",
        "name",
        "settings",
    )

    def __init__(
        self,
        name: str,
        machine: type[Machine],
        description: str,
        *,
        family: str | None = None,
        default_ram_id: str,
        default_ram_size: int = 128 << 20,
        alias: str | None = None,
        default_cpu_type: str | None = None,
        max_cpus: int = 1,
        hotpluggable_cpus: bool = False,
        is_default: bool = False,
        deprecated: str | None = None,
        settings: dict[str, Any] | None = None,
    ) -> None:
        self.name = name
        self.machine = machine
        self.description = description
        self.family = family
        """What versions of one machine have in common; they are listed together, newest first."""
        self.default_ram_id = default_ram_id
        self.default_ram_size = default_ram_size
        self.alias = alias
        self.default_cpu_type = default_cpu_type
        self.max_cpus = max_cpus
        self.hotpluggable_cpus = hotpluggable_cpus
        self.is_default = is_default
        self.deprecated = deprecated
        self.settings = settings if settings is not None else {}
        """What this version has different from the class: attributes of `machine` by name."""

    def setting(self, name: str) -> Any:
        """What a machine of this type has for an attribute that versions may set."""
        return self.settings.get(name, getattr(self.machine, name))


def version_settings(newest: str, deltas: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The settings of each version of a family, newest first.

    `deltas` says of each older version what it has different from its successor; a version has all that its successors
    say, too. `newest` is as the class is.
    """
    versions: dict[str, dict[str, Any]] = {newest: {}}
    settings: dict[str, Any] = {}
    for version, delta in deltas.items():
        settings = {**settings, **delta}
        versions[version] = settings
    return versions


class Board:
    """What a machine is built on and from: the topology, the host, and what the configuration asks for."""

    __slots__ = (
        "accelerated",
        "backend_defaults",
        "cpu_options",
        "cpu_type",
        "cpus",
        "firmware",
        "host",
        "notices",
        "smm_listener",
        "target",
        "topology",
        "warnings",
    )

    def __init__(self, topology: MemoryTopology, host: Host, target: Target, backend_defaults: BackendDefaults) -> None:
        self.topology = topology
        self.host = host
        self.target = target
        self.backend_defaults = backend_defaults
        self.cpus = 1
        self.cpu_type = ""
        self.cpu_options: dict[str, str] = {}
        """`-cpu MODEL,NAME=VALUE` by name."""
        self.accelerated = False
        """Whether a kernel accelerator replaces devices by its own."""
        self.smm_listener: Listener | None = None
        """Follows what CPUs see in system management mode, where a kernel accelerator has that."""
        self.firmware: str | None = None
        self.warnings: list[str] = []
        """What QEMU says on stderr, without the program's name before it."""
        self.notices: list[str] = []
        """What QEMU says on stdout, without a name before it."""

    def warn(self, text: str) -> None:
        """Note what people should know although it is no error."""
        self.warnings.append(f"warning: {text}")


ON_OFF_AUTO = ("auto", "on", "off")


def switch(name: str, description: str | None = None, *, auto: bool = True) -> Property:
    """A machine option that is on or off, or automatic; kept in the machine's `switches`."""

    def setter(machine: Machine, value: object) -> None:
        if auto:
            machine.switches[name] = take_enum(name, value, ON_OFF_AUTO)
        else:
            machine.switches[name] = "on" if take_bool(name, value) else "off"

    def getter(machine: Machine) -> object:
        return machine.switches[name] if auto else machine.switches[name] == "on"

    return Property(name, "OnOffAuto" if auto else "bool", getter, setter, description)


class Machine(QOMObject):
    """`/machine`: a board with its properties, devices, address spaces and ROMs.

    `ram` is the machine's RAM as one region, None if it has none. Sizes are in bytes.
    """

    type_name = "machine"
    abstract = True
    starts_without_ram = False
    """Whether `memory.size=0` is no mistake; QEMU dies of it on most boards that have RAM by default."""
    numa_supported = False
    numa_mem_supported = False
    """Whether `-numa node,mem=` is understood; a setting of the version."""
    page_size: int | None = None
    """Bytes of a target page, 64 of which RAMBlock offsets are multiples of; None is as the target says."""
    canonical_ram_block_names = False
    """Whether memory-backend-file and -memfd name their RAMBlocks by path; a setting of the version."""
    topology_levels: tuple[str, ...] = ()
    """Levels of the CPU topology besides sockets, cores and threads."""
    prefers_sockets = False
    """Whether CPUs that `-smp` does not place are sockets rather than cores; a setting of the version."""
    default_firmware = ""
    """What is read back as the firmware's name where none was given."""
    implicit_node_with_slots = False
    implicit_node_with_max_ram = False
    """Whether there is a NUMA node when none is named and more RAM can come, in slots or at all."""

    def __init__(self, machine_type: MachineType, board: Board) -> None:
        super().__init__()
        self.machine_type = machine_type
        for name, value in machine_type.settings.items():
            setattr(self, name, value)
        self.board = board
        self.topology = board.topology
        self.ram_size = 0
        self.max_ram_size = 0
        self.ram_slots = 0
        self.ram: MemoryRegion | None = None
        self.memory_backend: MemoryBackend | None = None
        self.memory_backend_id: str | None = None
        """The id or path that `memory-backend` names, until the backend is looked up."""
        self.smp: dict[str, int] = {}
        self.switches = {"graphics": "on", "suppress-vmdesc": "off", "usb": "off"}
        self.numa_nodes: list[NumaNode] = []
        self.cpus: list[QOMObject] = []
        self.rom_blocks: list[RAMBlock] = []
        self.add_child("peripheral", Container())
        self.add_child("peripheral-anon", Container())
        self.unattached = self.add_child("unattached", Container())
        self.system = self.unattached.own_region(self.topology.container("system"))
        self.io = self.unattached.own_region(self.topology.io("io", IO_SPACE_SIZE))
        self.unattached.add_child("sysbus", Device("System"))
        self.memory_space = self.topology.add_space("memory", self.system)
        self.topology.add_space("I/O", self.io)

    def fit_ram_size(self, size: int) -> int:
        """The RAM that the machine has if it is asked for `size` bytes."""
        return size

    def check_ram(self) -> None:
        """Raise `VMError` if the board cannot have `ram_size` bytes of RAM."""

    def build(self) -> None:
        """Put RAM, ROMs and devices in place; raises `VMError` if the board cannot be had so."""

    def release(self) -> None:
        """Give the memory of ROMs back to the host."""
        for block in self.rom_blocks:
            self.topology.ram_blocks.remove(block)
            block.host.close()
        self.rom_blocks.clear()

    def has_implicit_node(self) -> bool:
        """Whether there is a NUMA node although none was named."""
        more = self.max_ram_size > self.ram_size
        return more and (self.implicit_node_with_max_ram or (self.implicit_node_with_slots and self.ram_slots > 0))

    def default_node(self, cpu: int, nodes: int) -> int:
        """The node of a CPU that no option names."""
        return cpu % nodes

    def cpu_properties(self, index: int) -> dict[str, int]:
        """Where the CPU is in the topology."""
        return {"core-id": index, **self.node_property(index)}

    def node_property(self, cpu: int) -> dict[str, int]:
        """The `node-id` of a CPU, where there are nodes."""
        for node in self.numa_nodes:
            if cpu in node.cpus:
                return {"node-id": node.node_id}
        return {}

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

    def make_rom_block(self, name: str, size: int, max_size: int | None = None) -> RAMBlock:
        """Memory of the board's own, named `name` in the migration stream; raises `VMError` if the host has none."""
        length = size if max_size is None else max_size
        try:
            memory = self.board.host.map_anonymous(length)
        except OSError as error:
            raise VMError(f"cannot set up guest memory '{name}': {error.strerror}") from None
        block = RAMBlock(name, size, length, memory)
        self.topology.ram_blocks.add(block)
        self.topology.ram_blocks.rename(block, name)
        self.rom_blocks.append(block)
        return block

    # Properties

    def _set_memory_backend(self, value: object) -> None:
        self.memory_backend_id = take_str("memory-backend", value)

    def _set_mem_merge(self, value: object) -> None:
        self.board.backend_defaults.merge = take_bool("mem-merge", value)

    def _set_dump_guest_core(self, value: object) -> None:
        self.board.backend_defaults.dump = take_bool("dump-guest-core", value)

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
        Property("memory", "MemorySizeConfiguration", _memory, None, "Memory size configuration"),
        Property("smp", "SMPConfiguration", lambda machine: dict(machine.smp), None, "CPU topology"),
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
            lambda machine: machine.memory_backend.path if machine.memory_backend else "",
            _set_memory_backend,
            "Set RAM backendValid value is ID of hostmem based backend",
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
