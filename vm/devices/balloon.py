"""The balloon: memory that a guest's driver gives back to the host for as long as it is not wanted there."""

from __future__ import annotations

from ..errors import VMError
from ..qom import Property, take_str
from .channels import CHANNEL_PROPERTIES, VirtIOCCW
from .ranges import guest_memory
from .values import DeviceProperty, bit, kept
from .virtio import GENERATIONS, VECTORS, VirtIODevice, VirtIOPCI, VirtIOProxy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..boards.machine import Machine
    from ..iothread import IOThread
    from .device import Decision
    from .rooms import Rooms

PAGE = 4096
"""Bytes of the pages that a balloon counts in, whatever those of the guest."""
STATISTICS = (
    ("stat-swap-in", None), ("stat-swap-out", None), ("stat-major-faults", None), ("stat-minor-faults", None),
    ("stat-free-memory", None), ("stat-total-memory", None), ("stat-available-memory", None),
    ("stat-disk-caches", None),
    ("stat-htlb-pgalloc", None), ("stat-htlb-pgfail", None), ("stat-oom-kills", "10.0"), ("stat-alloc-stalls", "10.0"),
    ("stat-async-scans", "10.0"), ("stat-direct-scans", "10.0"), ("stat-async-reclaims", "10.0"),
    ("stat-direct-reclaims", "10.0"),
)  # fmt: skip
"""What a driver could tell, and the first version that knows it; the one that is played here tells nothing."""
UNTOLD = (1 << 64) - 1


class VirtIOBalloon(VirtIODevice):
    """`target` is how many bytes are asked back, `inflated` how many the driver has given: the highest first."""

    type_name = "virtio-balloon-device"
    abstract = False
    label = "virtio-balloon"

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.target = 0
        self.inflated = 0
        self.polling_interval = 0
        self.iothread: IOThread | None = None
        self._machine: Machine | None = None
        self._rooms: Rooms | None = None

    def check(self, machine: Machine, rooms: Rooms) -> None:
        """Raise `VMError` for a second one, and for what needs a thread that is not there."""
        if rooms.balloon is not None:
            raise VMError("Only one balloon device is supported")
        if self.kept.get("free-page-hint", False) and self.iothread is None:
            raise VMError("'free-page-hint' requires 'iothread' to be set")

    def realize(self, machine: Machine, rooms: Rooms, block_prefix: str) -> None:
        """Be there."""
        self._machine, self._rooms = machine, rooms
        rooms.balloon = self
        super().realize(machine, rooms, block_prefix)

    def unrealize(self, machine: Machine, rooms: Rooms) -> None:
        """Be gone; what is inflated stays with the host."""
        rooms.balloon = None
        super().unrealize(machine, rooms)

    @property
    def machine(self) -> Machine:
        """Whose memory it is."""
        assert self._machine is not None, "it is there"
        return self._machine

    @property
    def actual(self) -> int:
        """Bytes that the guest still has."""
        return max(self._whole - self.inflated, 0)

    @property
    def _whole(self) -> int:
        """All the memory of the guest, DIMMs among it."""
        assert self._rooms is not None, "it is there"
        room = self._rooms.memory
        return self.machine.ram_size + (room.module_bytes if room is not None else 0)

    def ask(self, size: int) -> None:
        """Want the guest to have `size` bytes."""
        wanted = self._whole - min(size, self._whole)
        self.target = wanted // PAGE * PAGE

    def resize(self, inflated: int) -> None:
        """Have `inflated` bytes in the balloon; those that come into it go back to the host, page by page of it."""
        assert self._rooms is not None, "it is there"
        for memory, start, end in guest_memory(self.machine, self._rooms.memory, self._whole - inflated, self.actual):
            unit = memory.page_size
            start, end = -(-start // unit) * unit, end // unit * unit
            try:
                if start < end:
                    memory.discard(start, end - start)
            except OSError:
                pass  # the guest has given it all the same
        self.inflated = inflated

    # Properties

    def _statistics(self) -> dict[str, Any]:
        names = [name for name, since in STATISTICS if self.qemu.covers(since)]
        return {"stats": dict.fromkeys(names, UNTOLD), "last-update": 0}

    def _set_interval(self, value: object) -> None:
        if isinstance(value, bool) or not isinstance(value, int) or not -(1 << 63) <= value < 1 << 63:
            raise VMError("Invalid parameter type for 'guest-stats-polling-interval', expected: integer")
        if value < 0:
            raise VMError("timer value must be greater than zero")
        if value > 0xFFFFFFFF:
            raise VMError("timer value is too big")
        self.polling_interval = value

    def _set_iothread(self, value: object) -> None:
        from ..iothread import IOThread

        path = take_str("iothread", value)
        self.iothread = self.tree.find_linked("iothread", path, IOThread) if path else None

    def _iothread(self) -> str:
        return "" if self.iothread is None or self.iothread.parent is None else self.iothread.path

    properties = (
        bit("deflate-on-oom", False),
        bit("free-page-hint", False),
        bit("page-poison", True),
        bit("free-page-reporting", False),
        kept("qemu-4-0-config-size", "bool", False, until="7.2"),
        bit("qemu-4-0-config-size", False, since="10.0", until="10.0"),
        Property("legacy-iothread", "str", None, until="10.0"),
        DeviceProperty("iothread", "link<iothread>", _iothread, _set_iothread),
    )
    instance_properties = (
        Property("guest-stats", "guest statistics", _statistics),
        DeviceProperty(
            "guest-stats-polling-interval",
            "int",
            lambda device: device.polling_interval,
            _set_interval,
            any_time=True,
        ),
    )


class BalloonProxy(VirtIOProxy):
    """The device that users make of it."""

    abstract = True
    virtio_class = VirtIOBalloon
    virtio: VirtIOBalloon

    @property
    def wants_change(self) -> bool:
        """Whether it is wanted that the guest gives memory, or has it back."""
        return self.virtio.inflated != self.virtio.target

    def change(self, decide: Decision) -> tuple[str, dict[str, Any]] | None:
        """Take as much as the guest decides on."""
        size = decide(self.virtio.inflated, self.virtio.target, PAGE)
        if size == self.virtio.inflated:
            return None
        self.virtio.resize(size)
        return "BALLOON_CHANGE", {"actual": self.virtio.actual}


class _BalloonPCIBase(BalloonProxy, VirtIOPCI):
    type_name = "virtio-balloon-pci-base"
    abstract = True
    vectors = 2
    properties = (*VECTORS, kept("class", "uint32", 0, until="5.2"))


class VirtIOBalloonPCI(_BalloonPCIBase):
    """A balloon on a PCI bus."""

    type_name = "virtio-balloon-pci"
    abstract = False
    properties = GENERATIONS


class VirtIOBalloonCCW(BalloonProxy, VirtIOCCW):
    """A balloon on a mainframe's channels."""

    type_name = "virtio-balloon-ccw"
    abstract = False
    properties = CHANNEL_PROPERTIES
