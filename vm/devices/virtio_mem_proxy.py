"""The devices that users make of virtio-mem, on PCI and on channels."""

from __future__ import annotations

from ..errors import VMError
from .channels import CHANNEL_PROPERTIES, VirtIOCCW
from .virtio import GENERATIONS, VECTORS, VirtIODevice, VirtIOPCI
from .virtio_mem import VirtIOMem, VirtIOMemWithNewGuests, VirtIOMemWithOldGuests
from .virtio_memory import VirtIOMemoryProxy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, ClassVar

    from ..boards.machine import Machine
    from .device import Decision
    from .rooms import Rooms
    from .space import DeviceMemory


class VirtIOMemProxy(VirtIOMemoryProxy):
    """The device that users make of it."""

    abstract = True
    virtio: VirtIOMem
    kind = "virtio-mem"

    @property
    def plugged(self) -> int:
        """Bytes that are memory of the guest."""
        return self.virtio.plugged

    def is_plugged(self, address: int) -> bool:
        """Whether the guest uses what is at one of its addresses: those that are plugged are the lowest."""
        return address - self.address < self.plugged

    @property
    def memslots(self) -> int:
        """How many memslots it may come to need."""
        return self.virtio.memslots

    @property
    def used_memslots(self) -> int:
        """How many it needs as it is."""
        return self.virtio.used_memslots

    @property
    def numa_node(self) -> int:
        """The NUMA node that it belongs to."""
        return self.virtio.node

    def prepare(self, machine: Machine, room: DeviceMemory) -> None:
        """Divide the memory into memslots."""
        self.virtio.plan(machine, room.memslot_limit(self.length, machine.board.memslots))

    @property
    def stays(self) -> bool:
        """Newer versions can be rid of it."""
        return not self.qemu.covers("10.0")

    def realize(self, machine: Machine, rooms: Rooms) -> None:
        """Be there, all pages with the host until they are plugged; raises `VMError`, nothing changed."""
        super().realize(machine, rooms)
        try:
            self.virtio.empty()
        except VMError:
            self.unrealize(machine, rooms)
            raise

    def set(self, name: str, value: Any) -> None:
        """Set a property; raises `VMError`, also for more or less memory while it is to go."""
        if name == "requested-size" and self.removal_requested and self.qemu.covers("10.0"):
            raise VMError("'requested-size' cannot be changed if the device is in the process of unplug")
        super().set(name, value)

    def check_removal(self, machine: Machine, rooms: Rooms) -> None:
        """Raise `VMError` if it cannot be asked for."""
        super().check_removal(machine, rooms)
        hint = f"first: qom-set {self.path} requested-size 0; then a guest lets go of the memory (guest_policy accept)"
        if self.virtio.plugged:
            text = "virtio-mem device cannot get unplugged while some of its memory is still plugged"
            raise VMError(text, hint=hint)
        if self.virtio.requested:
            raise VMError("virtio-mem device cannot get unplugged while 'requested-size' != '0'", hint=hint)

    @property
    def wants_change(self) -> bool:
        """Whether it is wanted that more is plugged, or less."""
        return self.virtio.plugged != self._wanted

    @property
    def _wanted(self) -> int:
        """What is requested, as far as there is so much."""
        return min(self.virtio.requested, self.length)

    def change(self, decide: Decision) -> tuple[str, dict[str, Any]] | None:
        """Plug as much as the guest decides on; raises `VMError`, nothing changed, if there is no room."""
        size = decide(self.virtio.plugged, self._wanted, self.virtio.block_size)
        return self._resize(size) if size != self.virtio.plugged else None

    def reset(self, machine: Machine, rooms: Rooms) -> tuple[str, dict[str, Any]] | None:
        """All is unplugged, however much is wanted."""
        return self._resize(0) if self.virtio.plugged else None

    def _resize(self, size: int) -> tuple[str, dict[str, Any]]:
        self.virtio.resize(size)
        named = {} if self.device_id is None else {"id": self.device_id}
        placed = {"qom-path": self.path} if self.qemu.covers("6.2") else {}
        return "MEMORY_DEVICE_SIZE_CHANGE", {**named, "size": size, **placed}


class _VirtIOMemPCIBase(VirtIOMemProxy, VirtIOPCI):
    abstract = True
    virtio_class: ClassVar[type[VirtIODevice]] = VirtIOMemWithNewGuests
    modern_only = True
    vectors = 2
    properties = VECTORS


class VirtIOMemPCI(_VirtIOMemPCIBase):
    """virtio-mem on a PCI bus."""

    type_name = "virtio-mem-pci"
    abstract = False
    properties = GENERATIONS


class VirtIOMemPCIWithOldGuests(_VirtIOMemPCIBase):
    """The same with such guests."""

    type_name = "virtio-mem-pci"
    abstract = False
    virtio_class = VirtIOMemWithOldGuests
    properties = GENERATIONS


class VirtIOMemCCW(VirtIOMemProxy, VirtIOCCW):
    """virtio-mem on a mainframe's channels."""

    type_name = "virtio-mem-ccw"
    abstract = False
    virtio_class = VirtIOMemWithNewGuests
    properties = CHANNEL_PROPERTIES
