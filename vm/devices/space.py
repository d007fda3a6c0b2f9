"""Where memory devices go: the room that `maxmem` leaves, its addresses, and its slots.

An address is chosen as QEMU chooses it: the lowest that is aligned and free. All numbers are bytes.
"""

from __future__ import annotations

from _bisect import bisect_left
from _bisect import insort_right as insort
from _operator import itemgetter

from ..errors import VMError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ..accel.memslots import MemslotTable
    from ..memory.region import MemoryRegion
    from ..releases import Release
    from .device import MemoryDevice

UNNAMED = "(unnamed)"
SHARED_MEMSLOTS = 256
MANY_MEMSLOTS = 509
"""How many there must be before devices have more than one."""


_address = itemgetter(0)

NO_SLOTS = "no slots where allocated, please specify the 'slots' option"


def check_slot(wanted: int, slots: int) -> None:
    """Refuse a number that no slot has, -1 being any; raises `VMError`. Without slots the range wraps, as in QEMU."""
    if wanted != -1 and not 0 <= wanted < slots:
        raise VMError(f"invalid slot number {wanted}, valid range is [0-{(slots - 1) % (1 << 64)}]")


class DeviceMemory:
    """The part of a machine's address space for memory devices, and those that are in it.

    `region` is what they are mapped into, at `address` of the machine; it may be larger than `room`, the bytes that
    devices may have together, so that they can be aligned. `slots` is how many of them may have a slot.
    """

    __slots__ = (
        "_by_parts",
        "_by_slot",
        "_full_to",
        "_lowest_slot",
        "_placed",
        "address",
        "region",
        "room",
        "size",
        "slots",
        "used",
    )

    def __init__(self, region: MemoryRegion, address: int, room: int, slots: int) -> None:
        self.region = region
        self.address = address
        self.size = region.size
        self.room = room
        self.slots = slots
        self.used = 0
        """Bytes that devices have."""
        self._placed: list[tuple[int, int, MemoryDevice]] = []
        """First address and length of each device, lowest first."""
        self._full_to = address
        """Below it there is no room."""
        self._by_parts: list[MemoryDevice] = []
        """Those that may need more memslots than they have."""
        self._by_slot: dict[int, MemoryDevice] = {}
        self._lowest_slot = 0
        """All below are taken."""

    @property
    def taken_slots(self) -> int:
        """How many slots have a device."""
        return len(self._by_slot)

    @property
    def end(self) -> int:
        """The first address behind."""
        return self.address + self.size

    def enlarged(self, slots: int, room: int) -> DeviceMemory:
        """The same with more slots and more bytes, to be looked at only."""
        copy = DeviceMemory(self.region, self.address, self.room + room, self.slots + slots)
        spare = (self.size - self.room) // self.slots if self.slots else 0  # for each slot, so that all can be aligned
        copy.size = self.size + room + slots * spare
        copy.used = self.used
        copy._placed = self._placed
        copy._by_parts = self._by_parts
        copy._by_slot = self._by_slot
        return copy

    def choose_slot(self, wanted: int) -> int:
        """The slot of that number, or the lowest free one for -1; raises `VMError` if it cannot be had."""
        check_slot(wanted, self.slots)
        if not self.slots:
            raise VMError(NO_SLOTS)
        if wanted != -1:
            if wanted in self._by_slot:
                raise VMError(f"slot {wanted} is busy")
            return wanted
        free = self._lowest_slot
        while free in self._by_slot:
            free += 1
        if free >= self.slots:
            raise VMError("no free slots available")
        return free

    def choose_address(
        self,
        wanted: int,
        length: int,
        alignment: int,
        release: Release,
        warn: Callable[[str], None],
        length_alignment: int | None = None,
    ) -> int:
        """The address `wanted`, or the lowest that is free and aligned for 0; raises `VMError` if it cannot be had.

        `length_alignment` is what newer versions want the length to be a multiple of, if that is another; `warn` is
        told of gaps.
        """
        older = release.settings("devices").get("address first", False)
        unit = alignment if older or length_alignment is None else length_alignment
        if older:
            self._warn(alignment, warn)
        if self.used + length > self.room:
            raise VMError(
                f"not enough space, currently {self.used:#x} in use of total space for memory devices {self.room:#x}"
            )
        if not older:
            self._warn(alignment, warn)
        mistakes = [
            (length % unit, f"backend memory size must be multiple of {unit:#x}"),
            (wanted % alignment, f"address must be aligned to {alignment:#x} bytes"),
        ]
        if older:
            mistakes.reverse()
        for wrong, text in mistakes:
            if wrong:
                raise VMError(text)
        return self._check_address(wanted, length) if wanted else self._lowest_address(length, alignment)

    def _warn(self, alignment: int, warn: Callable[[str], None]) -> None:
        """Tell that there will be gaps."""
        if self.address % alignment:
            warn(
                f"the alignment ({alignment:#x}) exceeds the expected maximum alignment, memory will get fragmented "
                "and not all 'maxmem' might be usable for memory devices."
            )

    def _check_address(self, wanted: int, length: int) -> int:
        if not (self.address <= wanted and wanted + length <= self.end):
            raise VMError(
                f"can't add memory device [{wanted:#x}:{length:#x}], "
                f"usable range for memory devices [{self.address:#x}:{self.size:#x}]"
            )
        for start, taken, device in self._placed:
            if start < wanted + length and wanted < start + taken:
                raise VMError(f"address range conflicts with memory device id='{device.device_id or UNNAMED}'")
        return wanted

    def _lowest_address(self, length: int, alignment: int) -> int:
        address = -(-self._full_to // alignment) * alignment
        for start, taken, _device in self._placed[self._position(self._full_to) :]:
            if start < address + length and address < start + taken:
                address = -(-(start + taken) // alignment) * alignment
        if address + length > self.end:
            raise VMError(
                "could not find position in guest address space for memory device - memory fragmented due to alignments"
            )
        return address

    @property
    def modules(self) -> list[MemoryDevice]:
        """The DIMMs that keep nothing, by address."""
        return [device for _start, _length, device in self._placed if device.kind == "dimm"]

    @property
    def module_bytes(self) -> int:
        """Bytes of all of them."""
        return sum(device.length for device in self.modules)

    def check_memslots(self, needed: int, memslots: MemslotTable | None, release: Release) -> None:
        """Raise `VMError` if there are not enough for a device, with those that others may come to need."""
        if memslots is not None and self.free_memslots(memslots) < needed:
            raise VMError(release.text("no memslots", "hypervisor has not enough free memory slots left"))

    def free_memslots(self, memslots: MemslotTable) -> int:
        """How many nobody has, nor may come to need."""
        return memslots.free - sum(device.memslots - device.used_memslots for device in self._by_parts)

    def memslot_limit(self, size: int, memslots: MemslotTable | None) -> int:
        """How many memslots one more device of `size` bytes should take at most, as QEMU shares them out.

        All devices together should have `SHARED_MEMSLOTS`, each as many as its part of the room; where there are few,
        one.
        """
        if memslots is not None and memslots.max_slots < MANY_MEMSLOTS:
            return 1
        needed = sum(device.memslots for _start, _length, device in self._placed)
        left = SHARED_MEMSLOTS - needed
        if memslots is not None:
            left = min(left, self.free_memslots(memslots))
        if left < 1 or size == self.room:
            return max(left, 1)
        available = self.room - self.used
        return max(int(left * size / available), 1) if available else 1

    def put(self, device: MemoryDevice, slot: int | None) -> None:
        """Map a device where it is to be; raises `VMError`, nothing changed, if the accelerator has no room for it."""
        self.region.add_subregion(device.address - self.address, device.region)
        insort(self._placed, (device.address, device.length, device), key=_address)
        self.used += device.length
        if device.memslots > device.used_memslots:
            self._by_parts.append(device)
        for start, taken, _device in self._placed[self._position(self._full_to) :]:
            if start != self._full_to:
                break
            self._full_to += taken
        if slot is not None:
            self._by_slot[slot] = device
            while self._lowest_slot in self._by_slot:
                self._lowest_slot += 1

    def take(self, device: MemoryDevice) -> None:
        """Take a device out."""
        self.region.remove_subregion(device.region)
        self._placed = [placed for placed in self._placed if placed[2] is not device]
        self.used -= device.length
        if device in self._by_parts:
            self._by_parts.remove(device)
        self._full_to = min(self._full_to, device.address)
        for slot in [slot for slot, other in self._by_slot.items() if other is device]:
            del self._by_slot[slot]
            self._lowest_slot = min(self._lowest_slot, slot)

    def _position(self, address: int) -> int:
        """The first device that begins there or behind."""
        return bisect_left(self._placed, address, key=_address)
