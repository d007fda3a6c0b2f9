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

    def __init__(self) -> None:
        self.program = "ramslot"
        """The name the program was run by, as messages show it."""
        self.qemu: str | None = None
        """`-qemu`: the version of QEMU to be, see `vm.releases`; None is the default."""
        self.target: str | None = None
        """The architecture as in `qemu-system-ARCH`; None lets the machine type decide."""
        self.machine_type: str | None = None
        self.machine_options: dict[str, Any] = {}
        """`-machine` properties as spelled, in the order first given, without those that have a field of their own here
        (type, accel, memory.*, smp.*). `a.b=1` is a dict `{"b": "1"}` at `a`, `a.0=1` a list."""
        self.ram_size: int | None = None
        """`-m size=`, rounded as QEMU does; None for the machine's default."""
        self.ram_slots: int | None = None
        self.max_ram_size: int | None = None
        self.mem_path: str | None = None
        self.mem_prealloc = False
        self.objects: list[dict[str, Any]] = []
        """`-object` options as `object-add` arguments, in command-line order."""
        self.other_objects: dict[str, str] = {}
        """Objects that are there by name alone: their types by their ids."""
        self.devices: list[tuple[str, dict[str, Any]]] = []
        """Devices to plug, each with the option that asks for it; values of options are `devices.values.OptionText`."""
        self.default_devices = False
        """Whether the board has what QEMU adds unless `-nodefaults` is said; command lines want it, programs seldom."""
        self.vga: str | None = None
        """`-vga`: `none`, or a model; None where nothing was said."""
        self.nics: list[NIC] | None = None
        """Those of `-nic` and `-net nic`; None where nothing was said of networks."""
        self.object_origins: dict[str, str] = {}
        """`-object` options as spelled, by id, where messages about them begin with that (up to QEMU 5.2)."""
        self.memory_origin = ""
        """`-m` as spelled, likewise."""
        self.monitors: dict[str, str] = {}
        """The QOM types of the monitors by their ids, in command-line order."""
        self.numa: list[tuple[str, dict[str, Any] | VMError]] = []
        """`-numa` options as spelled, with `set-numa-node`'s arguments, in command-line order; or with what is wrong
        with these, which QEMU tells only when their turn comes."""
        self.accelerators: list[tuple[str, dict[str, str]]] = []
        """`-accel NAME,options`, the first usable one wins; empty when none was named. Names and options exist; values
        are decimal, in bytes or things."""
        self.smp: dict[str, int] = {}
        """`-smp` members as given: cpus, sockets, dies, clusters, cores, threads, maxcpus."""
        self.cpu_model: str | None = None
        self.host: str | None = None
        """`-host`: the description of a virtual host, a file or the short form; None is this machine."""
        self.lock_memory = False
        """`-overcommit mem-lock=on`."""
        self.firmware: str | None = None
        """`-bios FILE`."""
        self.flash: dict[int, FlashImage] = {}
        """What is in the machine's flash memories, by their numbers."""
        self.name: str | None = None
        self.uuid: str | None = None
        self.descriptors: list[tuple[int, int, str | None]] = []
        """`-add-fd`: descriptors, each with the number of the set that it is in and what it is called."""
        self.incoming: str | None = None
        """`-incoming`: where the memory comes from, or `defer`."""
        self.paused = False
        """`-S`: do not run until `cont`."""
        self.preconfig = False
        """`-preconfig`: make no board until `x-exit-preconfig`."""
