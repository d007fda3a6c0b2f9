"""What a machine is built on and from: the topology, the host, and what the configuration asks for."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..accel.memslots import MemslotTable
    from ..host import Host
    from ..memory.address_space import Listener, MemoryTopology
    from ..objects import ObjectDefaults
    from ..releases import Release
    from .flash import FlashImage
    from .targets import Target


class Board:
    """What a machine is built on and from: the topology, the host, and what the configuration asks for."""

    __slots__ = (
        "accelerated",
        "backend_defaults",
        "cpu_options",
        "cpu_type",
        "cpus",
        "firmware",
        "flash",
        "host",
        "locks_memory",
        "memslots",
        "notices",
        "release",
        "smm_listener",
        "target",
        "topology",
        "warnings",
    )

    def __init__(
        self,
        topology: MemoryTopology,
        host: Host,
        target: Target,
        backend_defaults: ObjectDefaults,
        release: Release,
    ) -> None:
        self.topology = topology
        self.host = host
        self.target = target
        self.backend_defaults = backend_defaults
        self.release = release
        self.cpus = 1
        self.cpu_type = ""
        self.cpu_options: dict[str, str] = {}
        """`-cpu MODEL,NAME=VALUE` by name."""
        self.locks_memory = False
        """Whether the host is to keep all of the guest's memory."""
        self.accelerated = False
        """Whether a kernel accelerator replaces devices by its own."""
        self.smm_listener: Listener | None = None
        """Follows what CPUs see in system management mode, where a kernel accelerator has that."""
        self.memslots: MemslotTable | None = None
        """Those of a kernel accelerator."""
        self.firmware: str | None = None
        self.flash: dict[int, FlashImage] = {}
        """What was put into the flash memories, by their numbers."""
        self.warnings: list[str] = []
        """What QEMU says on stderr, without the program's name before it."""
        self.notices: list[str] = []
        """What QEMU says on stdout, without a name before it."""

    @property
    def has_firmware(self) -> bool:
        """Whether there is one that somebody named, as a file or in flash memory."""
        return self.firmware is not None or 0 in self.flash

    def warn(self, text: str) -> None:
        """Note what people should know although it is no error."""
        self.warnings.append(f"warning: {text}")

    def tell(self, text: str) -> None:
        """A line about a mistake, beside its error."""
        self.backend_defaults.tell(text)

    def warn_later(self, text: str) -> None:
        """Tell it while the machine is there already, or with the rest before it is."""
        self.backend_defaults.warn(text)
