"""What a virtual machine is to be, as plain values: the meaning of a command line, with its spelling gone.

No defaults of a machine type live here; an option that was not given is None.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .boards.flash import FlashImage
    from .errors import VMError

    NIC = tuple[str, dict[str, Any]]
    """The type of a NIC, empty where it is the board's to choose, and properties of it."""


class Config:
    """Everything `VirtualMachine` needs to be put together. Sizes are in bytes."""

    __slots__ = (
        "accelerators",
        "cpu_model",
        "default_devices",
        "descriptors",
        "devices",
        "firmware",
        "flash",
        "host",
        "incoming",
        "lock_memory",
        "machine_options",
        "machine_type",
        "max_ram_size",
        "mem_path",
        "mem_prealloc",
        "memory_origin",
        "monitors",
        "name",
        "nics",
        "numa",
        "object_origins",
        "objects",
        "other_objects",
        "paused",
        "preconfig",
        "program",
        "qemu",
        "ram_size",
        "ram_slots",
        "smp",
        "target",
        "uuid",
        "vga",
    )

    program: str
    """The name the program was run by, as messages show it."""
    qemu: str | None
    """`-qemu`: the version of QEMU to be, see `vm.releases`; None is the default."""
    target: str | None
    """The architecture as in `qemu-system-ARCH`; None lets the machine type decide."""
    machine_type: str | None
    machine_options: dict[str, Any]
    """`-machine` properties as spelled, in the order first given, without those that have a field of their own here
    (type, accel, memory.*, smp.*). `a.b=1` is a dict `{"b": "1"}` at `a`, `a.0=1` a list."""
    ram_size: int | None
    """`-m size=`, rounded as QEMU does; None for the machine's default."""
    ram_slots: int | None
    max_ram_size: int | None
    mem_path: str | None
    mem_prealloc: bool
    objects: list[dict[str, Any]]
    """`-object` options as `object-add` arguments, in command-line order."""
    other_objects: dict[str, str]
    """Objects that are there by name alone: their types by their ids."""
    devices: list[tuple[str, dict[str, Any]]]
    """Devices to plug, each with the option that asks for it; values of options are `devices.values.OptionText`."""
    default_devices: bool
    """Whether the board has what QEMU adds unless `-nodefaults` is said; command lines want it, programs seldom."""
    vga: str | None
    """`-vga`: `none`, or a model; None where nothing was said."""
    nics: list[NIC] | None
    """Those of `-nic` and `-net nic`; None where nothing was said of networks."""
    object_origins: dict[str, str]
    """`-object` options as spelled, by id, where messages about them begin with that (up to QEMU 5.2)."""
    memory_origin: str
    """`-m` as spelled, likewise."""
    monitors: dict[str, str]
    """The QOM types of the monitors by their ids, in command-line order."""
    numa: list[tuple[str, dict[str, Any] | VMError]]
    """`-numa` options as spelled, with `set-numa-node`'s arguments, in command-line order; or with what is wrong
    with these, which QEMU tells only when their turn comes."""
    accelerators: list[tuple[str, dict[str, str]]]
    """`-accel NAME,options`, the first usable one wins; empty when none was named. Names and options exist; values
    are decimal, in bytes or things."""
    smp: dict[str, int]
    """`-smp` members as given: cpus, sockets, dies, clusters, cores, threads, maxcpus."""
    cpu_model: str | None
    host: str | None
    """`-host`: the description of a virtual host, a file or the short form; None is this machine."""
    lock_memory: bool
    """`-overcommit mem-lock=on`."""
    firmware: str | None
    """`-bios FILE`."""
    flash: dict[int, FlashImage]
    """What is in the machine's flash memories, by their numbers."""
    name: str | None
    uuid: str | None
    descriptors: list[tuple[int, int, str | None]]
    """`-add-fd`: descriptors, each with the number of the set that it is in and what it is called."""
    incoming: str | None
    """`-incoming`: where the memory comes from, or `defer`."""
    paused: bool
    """`-S`: do not run until `cont`."""
    preconfig: bool
    """`-preconfig`: make no board until `x-exit-preconfig`."""

    def __init__(self) -> None:
        for name in self.__slots__:  # a field that is never None is set below
            setattr(self, name, None)
        self.program = "ramslot"
        self.machine_options = {}
        self.mem_prealloc = False
        self.objects = []
        self.other_objects = {}
        self.devices = []
        self.default_devices = False
        self.object_origins = {}
        self.memory_origin = ""
        self.monitors = {}
        self.numa = []
        self.accelerators = []
        self.smp = {}
        self.lock_memory = False
        self.flash = {}
        self.descriptors = []
        self.paused = False
        self.preconfig = False
