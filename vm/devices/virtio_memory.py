"""What memory devices behind VirtIO have in common: a backend, an address, and who makes one."""

from __future__ import annotations

from ..errors import VMError
from ..qom import take_int
from .device import MemoryDevice
from .memdev import HasMemdev
from .values import DeviceProperty
from .virtio import VirtIODevice, VirtIOProxy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..boards.machine import Machine
    from ..memory.region import MemoryRegion
    from .rooms import Rooms
    from .space import DeviceMemory

NOT_ENABLED = (
    "the configuration is not prepared for memory devices (e.g., for memory hotplug), consider specifying the maxmem "
    "option"
)
MORE_ROOM = "-m SIZE,maxmem=MORE leaves room for memory devices; those behind VirtIO need no slots="
STAYS = "this virtio based memory devices cannot be unplugged"


class VirtIOMemoryDevice(VirtIODevice, HasMemdev):
    """A VirtIO device that is memory of a backend, at an address of the guest."""

    abstract = True

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.memaddr = 0

    @property
    def alignment(self) -> int:
        """What the address and the size of its memory are multiples of."""
        raise NotImplementedError

    @property
    def region(self) -> MemoryRegion:
        """What the guest sees."""
        return self.backend_region

    def describe(self) -> dict[str, Any]:
        """What `query-memory-devices` tells of it."""
        raise NotImplementedError

    def _set_memaddr(self, value: object) -> None:
        self.memaddr = take_int("memaddr", value, "uint64", 64)

    MEMADDR = DeviceProperty("memaddr", "uint64", lambda device: device.memaddr, _set_memaddr, default=0)


class VirtIOMemoryProxy(MemoryDevice, VirtIOProxy):
    """The device that users make of one of these."""

    abstract = True
    virtio: VirtIOMemoryDevice
    address_property = "memaddr"
    _is_mapped = True

    @property
    def is_mapped(self) -> bool:
        """Whether the guest sees it, which somebody has to give an address for."""
        return self._is_mapped

    @property
    def address(self) -> int:
        """Where the guest sees it."""
        return self.virtio.memaddr

    @property
    def length(self) -> int:
        """Bytes of the guest's address space that it takes."""
        return self.virtio.memdev.size if self.virtio.memdev is not None else 0

    @property
    def region(self) -> MemoryRegion:
        """What is mapped."""
        return self.virtio.region

    def check(self, machine: Machine, rooms: Rooms) -> None:
        """Find its address, then its place on the bus; raises `VMError`."""
        self._is_mapped = machine.maps_virtio_memory
        if self._is_mapped:
            self._check_place(machine, rooms.memory)
        super().check(machine, rooms)

    def _check_place(self, machine: Machine, room: DeviceMemory | None) -> None:
        if room is None and self.qemu.covers("10.0"):
            raise VMError(NOT_ENABLED, hint=MORE_ROOM)
        backend = self.virtio.backend
        if room is None:
            raise VMError(self.qemu.text("no memory devices", NOT_ENABLED), hint=MORE_ROOM)
        self.prepare(machine, room)
        room.check_memslots(self.memslots, machine.board.memslots, self.qemu)
        self.virtio.memaddr = room.choose_address(
            self.virtio.memaddr,
            backend.size,
            self.virtio.alignment,
            self.qemu,
            machine.board.warn_later,
            backend.address_alignment,
        )

    def prepare(self, machine: Machine, room: DeviceMemory) -> None:
        """Decide what there is to know before an address is looked for."""

    def realize(self, machine: Machine, rooms: Rooms) -> None:
        """Be there, and mapped; raises `VMError`, nothing changed, if the accelerator has no room."""
        super().realize(machine, rooms)
        if rooms.memory is not None and self._is_mapped:
            try:
                rooms.memory.put(self, None)
            except BaseException:
                super().unrealize(machine, rooms)
                raise

    def unrealize(self, machine: Machine, rooms: Rooms) -> None:
        """Be gone."""
        if rooms.memory is not None and self._is_mapped:
            rooms.memory.take(self)
        super().unrealize(machine, rooms)

    def check_removal(self, machine: Machine, rooms: Rooms) -> None:
        """Raise `VMError` if it cannot be asked for."""
        super().check_removal(machine, rooms)
        if self.stays:
            raise VMError(self.qemu.text("memory stays", STAYS))

    @property
    def stays(self) -> bool:
        """Whether nobody lets go of one."""
        return True

    def describe_place(self, rooms: Rooms) -> dict[str, Any]:
        """Its address, if somebody gave it one, node and size, and its place on the bus."""
        placed = {"addr": self.address} if self.is_mapped else {}
        return {**super().describe_place(rooms), **placed, "node": self.numa_node, "size": self.length}

    def describe(self) -> dict[str, Any]:
        """What `query-memory-devices` tells of it."""
        return self.virtio.describe()
