"""virtio-mem: memory in blocks, of which a guest uses as many as it is asked to."""

from __future__ import annotations

from ..errors import VMError
from ..qom import Property, take_int
from .memdev import MEMDEV
from .memslots import MemslotPlan, piece_size
from .values import DeviceProperty, bit, kept, switch, take_size
from .virtio_memory import VirtIOMemoryDevice

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..boards.machine import Machine
    from ..memory.region import MemoryRegion
    from .rooms import Rooms

MIB = 1 << 20
SMALLEST_BLOCK = MIB
FILE_IS_MODIFIED = (
    "Discarding RAM in private file mappings is possibly dangerous, because it will modify the underlying file and "
    "will affect other users of the file"
)
HUGE_PAGE = 2 * MIB
"""Bytes that the kernel likes to have together, where pages are small."""


def _set_node(device: VirtIOMem, value: object) -> None:
    device.node = take_int("node", value, "uint32_t", 32)


def _mem_properties(*own: Property) -> tuple[Property, ...]:
    """The properties of virtio-mem, and those that it has on some targets."""
    return (
        VirtIOMemoryDevice.MEMADDR,
        DeviceProperty("node", "uint32", lambda device: device.node, _set_node, default=0),
        *switch("prealloc", False, since="7.2"),
        Property("legacy-memdev", "str", None, until="10.0"),
        MEMDEV,
        *own,
        bit("x-early-migration", True, since="10.0"),
        bit("dynamic-memslots", False, since="10.0"),
    )


class VirtIOMem(VirtIOMemoryDevice):
    """Memory in blocks, of which the guest's driver plugs as many as `requested-size` says; those are `plugged` bytes.

    The driver that is played here plugs the lowest blocks first and unplugs the highest first.
    """

    type_name = "virtio-mem"
    abstract = True
    label = "virtio-mem"

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.node = 0
        self.requested = 0
        self.plugged = 0
        self._block_size = 0
        self._plan: MemslotPlan | None = None

    @property
    def block_size(self) -> int:
        """Bytes that are plugged together."""
        return self._block_size or self.default_block_size

    @property
    def default_block_size(self) -> int:
        """A page of the backend, or a huge one where pages are small."""
        if self.memdev is None:
            return HUGE_PAGE
        page_size = self.memdev.memory.page_size if self.memdev.memory is not None else self.memdev.host.page_size
        return max(page_size, HUGE_PAGE if page_size == self.memdev.host.page_size else SMALLEST_BLOCK)

    @property
    def alignment(self) -> int:
        """A block, or what the backend is aligned to."""
        return max(self.block_size, self.backend.address_alignment)

    @property
    def unplugged_inaccessible(self) -> bool:
        """Whether the guest may not even read what is not plugged."""
        return True

    @property
    def is_dynamic(self) -> bool:
        """Whether the memory takes memslots only as far as it is plugged."""
        return bool(self.kept.get("dynamic-memslots", False))

    @property
    def region(self) -> MemoryRegion:
        """The backend's, or what shows the plugged part of it."""
        return super().region if self._plan is None else self._plan.container

    def plan(self, machine: Machine, limit: int) -> None:
        """Divide the memory into memslots, at most `limit`, where that is asked for."""
        if self.is_dynamic:
            size = piece_size(self.backend.size, self.block_size, limit)
            self._plan = MemslotPlan(machine, self, super().region, size)

    @property
    def memslots(self) -> int:
        """How many memslots it may come to need."""
        return 1 if self._plan is None else self._plan.count

    @property
    def used_memslots(self) -> int:
        """How many it needs as it is."""
        return 1 if self._plan is None else self._plan.shown

    def check(self, machine: Machine, rooms: Rooms) -> None:
        """Raise `VMError` if the machine cannot have it as it is set."""
        backend = self.backend
        if backend.in_use:
            raise VMError(f"'memdev' property specifies a busy memdev: {backend.name}")
        if backend.memory is not None and backend.memory.readonly:
            raise VMError("'memdev' property specifies an unsupported memdev")
        if self.qemu.covers("10.0") and getattr(backend, "prealloc", False):
            raise VMError(
                f"'memdev' property specifies a memdev with preallocation enabled: {backend.name}. "
                "Instead, specify 'prealloc=on' for the virtio-mem device. "
            )
        nodes = len(machine.numa_nodes)
        if self.node and self.node >= nodes:
            raise VMError(
                f"'node' property has value '{self.node}', which exceedsthe number of numa nodes: {nodes or 1}"
            )
        if machine.board.locks_memory:
            raise VMError("Incompatible with mlock")
        if self.is_dynamic and not self.unplugged_inaccessible:
            raise VMError("'dynamic-memslots' property set to 'on' requires 'unplugged-inaccessible' to be 'on'")
        self._check_sizes(machine)

    def _check_sizes(self, machine: Machine) -> None:
        block, size = self.block_size, self.backend.size
        page_size = self.backend.memory.page_size if self.backend.memory is not None else 1
        if block < page_size:
            raise VMError(f"'block-size' property has to be at least the page size ({page_size:#x})")
        if block < self.default_block_size:
            default = self.default_block_size // MIB
            machine.board.warn_later(f"'block-size' property is smaller than the default block size ({default} MiB)")
        if self.requested % block:
            raise VMError(f"'requested-size' property has to be multiples of 'block-size' ({block:#x})")
        if self.memaddr % block:
            raise VMError(f"'memaddr' property has to be multiples of 'block-size' ({block:#x})")
        if size % block:
            raise VMError(f"'memdev' property memdev size has to be multiples of'block-size' ({block:#x})")

    def realize(self, machine: Machine, rooms: Rooms, block_prefix: str) -> None:
        """Take the backend; raises `VMError` if its pages cannot go back to the host."""
        self._block_size = self.block_size
        self.kept["unplugged-inaccessible"] = "on" if self.unplugged_inaccessible else "off"
        self._check_discarding(machine, rooms)
        self.backend.take(f"{block_prefix}{self.backend.name}")
        super().realize(machine, rooms, block_prefix)

    def unrealize(self, machine: Machine, rooms: Rooms) -> None:
        """Give the backend back."""
        super().unrealize(machine, rooms)
        self.backend.leave()

    def resize(self, size: int) -> None:
        """Plug or unplug blocks until `size` bytes are plugged; what is unplugged goes back to the host.

        Raises `VMError`, nothing changed, if the accelerator or the host has no room.
        """
        assert size % self.block_size == 0, "blocks are plugged whole"
        before = self.plugged
        if size < before:
            self._discard(size, before - size)
        if self._plan is not None:
            self._plan.show(size)
        try:
            if size > before and self.kept.get("prealloc", False):
                self._populate(before, size - before)
        except VMError:
            if self._plan is not None:
                self._plan.show(before)
            raise
        self.plugged = size

    def empty(self) -> None:
        """Give all pages back to the host; raises `VMError`."""
        self._discard(0, self.backend.size)

    def _check_discarding(self, machine: Machine, rooms: Rooms) -> None:
        """Newer versions look at the file whose pages would go, and tell what may become of it; raises `VMError`."""
        backend = self.backend
        place = self.qemu.text("who discards", "ram_block_discard_shared_range")
        if not place or getattr(backend, "share", True) or not self._has_file:
            return
        if getattr(backend, "readonly", False):
            machine.board.tell(f"{place}: Discarding RAM with readonly files is not supported")
            raise VMError("Unexpected error discarding RAM: Operation not permitted")
        if not rooms.warned_of_files:
            rooms.warned_of_files = True
            machine.board.warn_later(f"{place}: {FILE_IS_MODIFIED}")

    @property
    def _has_file(self) -> bool:
        return self.backend.backing_path is not None or self.backend.type_name != "memory-backend-ram"

    def _discard(self, start: int, length: int) -> None:
        memory = self.backend.memory
        assert memory is not None, "backends that are there have some"
        try:
            if length:
                memory.discard(start, length)
        except OSError as error:
            raise VMError(f"Unexpected error discarding RAM: {error.strerror}") from None

    def _populate(self, start: int, length: int) -> None:
        memory = self.backend.memory
        assert memory is not None, "backends that are there have some"
        try:
            memory.populate(start, length)
        except OSError as error:
            self._discard(start, length)
            raise VMError(f"no memory for the blocks of '{self.backend.name}': {error.strerror}") from None

    def describe(self) -> dict[str, Any]:
        """What `query-memory-devices` tells of it."""
        return {
            "memaddr": self.memaddr,
            "node": self.node,
            "requested-size": self.requested,
            "size": self.plugged,
            "max-size": self.backend.size,
            "block-size": self.block_size,
            "memdev": self.backend.path,
        }

    # Properties

    def _set_requested(self, value: object) -> None:
        size = take_size("requested-size", value, self.qemu)
        if self.realized:
            if size % self.block_size:
                raise VMError(f"'requested-size' has to be multiples of 'block-size' ({self.block_size:#x})")
            if size > self.backend.size:
                raise VMError(f"'requested-size' cannot exceed the memory backend size({self.backend.size:#x})")
        self.requested = size
        if self.on_request is not None:
            self.on_request()

    def _set_block_size(self, value: object) -> None:
        size = take_size("block-size", value, self.qemu)
        if size < SMALLEST_BLOCK:
            raise VMError(f"'block-size' property has to be at least {SMALLEST_BLOCK:#x}")
        if size & (size - 1):
            raise VMError("'block-size' property has to be a power of two")
        self._block_size = size

    instance_properties = (
        DeviceProperty(
            "block-size",
            "size",
            lambda device: device.block_size,
            _set_block_size,
            frozen_text="'block-size' cannot be changed",
        ),
        Property("size", "size", lambda device: device.plugged),
        DeviceProperty("requested-size", "size", lambda device: device.requested, _set_requested, any_time=True),
    )


class VirtIOMemWithNewGuests(VirtIOMem):
    """As it is on targets whose guests never read what is not plugged."""

    abstract = False
    properties = _mem_properties()


class VirtIOMemWithOldGuests(VirtIOMem):
    """As it is on targets that have guests which read what is not plugged."""

    abstract = False
    properties = _mem_properties(
        kept("unplugged-inaccessible", "OnOffAuto", "auto", "on/off/auto", since="7.2", until="7.2"),
        kept("unplugged-inaccessible", "OnOffAuto", "on", "on/off/auto", since="10.0"),
    )

    @property
    def unplugged_inaccessible(self) -> bool:
        """Whether the guest may not even read what is not plugged; else it reads zeros, if they take no memory."""
        asked = self.kept.get("unplugged-inaccessible", "on" if self.qemu.covers("10.0") else "auto")
        if asked != "auto" or not self.qemu.covers("7.2"):
            return bool(asked == "on")
        return bool(getattr(self.backend, "share", False)) or self.backend.backing_path is not None
