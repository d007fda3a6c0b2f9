"""The memslot table: which guest-physical memory is which host memory, in pieces that the accelerator can take.

A section of memory larger than the largest memslot is split over consecutive slots. Slot numbers are reused lowest
first. The table follows address spaces as their listener; a change it cannot take whole it refuses whole.
"""

from __future__ import annotations

from _bisect import bisect_left, bisect_right
from _bisect import insort_right as insort

from ..errors import VMError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from contextlib import AbstractContextManager

    from ..memory.flatview import FlatRange
    from ..memory.ramblock import RAMBlock


LOG_DIRTY_PAGES = 1
READONLY = 2
"""A slot's flags as KVM has them."""


class Memslot:
    """One slot: guest-physical `[gpa, gpa + size)` of address space `as_id` is `block` from `offset` on.

    Immutable once it is in the table.
    """

    __slots__ = ("as_id", "block", "gpa", "log_dirty", "offset", "readonly", "size", "slot")

    def __init__(
        self, slot: int, as_id: int, gpa: int, size: int, block: RAMBlock, offset: int, readonly: bool, log_dirty: bool
    ) -> None:
        self.slot = slot
        self.as_id = as_id
        self.gpa = gpa
        self.size = size
        self.block = block
        self.offset = offset
        self.readonly = readonly
        self.log_dirty = log_dirty

    @property
    def hva(self) -> int:
        """Host virtual address of the first byte."""
        return self.block.host.address + self.offset

    def same_memory(self, other: Memslot) -> bool:
        """Whether both map the same bytes, so that going from one to the other is a change of flags at most."""
        return (
            self.gpa == other.gpa
            and self.size == other.size
            and self.block is other.block
            and self.offset == other.offset
            and self.readonly == other.readonly
        )

    def __repr__(self) -> str:
        return f"<Memslot {self.slot} gpa={self.gpa:#x} size={self.size:#x} {self.block.name}+{self.offset:#x}>"


class _SlotNumbers:
    """The slot numbers of one address space: each is free or taken, the lowest free one goes first."""

    __slots__ = ("_free", "_next")

    def __init__(self) -> None:
        self._free: list[int] = []
        self._next = 0

    def lowest(self) -> int:
        return self._free[0] if self._free else self._next

    def take(self, number: int) -> None:
        if number == self._next:
            self._next += 1
        else:
            del self._free[bisect_left(self._free, number)]

    def give_back(self, number: int) -> None:
        insort(self._free, number)


class NoGuest:
    """What holds a guest while slots change, where there is none."""

    __slots__ = ()

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_error: object) -> None:
        pass


class MemslotTable:
    """Slots of all address spaces of a machine.

    `max_size` is the largest slot in bytes, a multiple of the page size; `max_slots` is how many an address space may
    have. What a kernel needs to be told, a subclass tells in `put` and `take`, and what it has logged in `collect`.
    """

    has_smm = False
    """Whether there are slots of their own (address space 1) for x86 CPUs in system management mode."""

    def __init__(self, page_size: int, max_size: int, max_slots: int) -> None:
        self.page_size = page_size
        self.max_size = max_size
        self.max_slots = max_slots
        self._spaces: dict[int, dict[int, Memslot]] = {}
        """Slots by address-space id and gpa."""
        self._ordered: dict[int, tuple[list[int], list[Memslot]]] = {}
        """By address-space id the gpas in order, and their slots, once they were asked for and until a slot changes."""
        self._numbers: dict[int, _SlotNumbers] = {}
        self.generation = 0
        """Grows with every change."""
        self.guest_held: AbstractContextManager[None] = NoGuest()
        """No guest runs within this context: a slot that is deleted and made anew must not be missed meanwhile."""
        self.on_dirty: Callable[[RAMBlock, int, int], None] = lambda _block, _first, _bits: None
        """Told of written pages: the block, its first page, a bit for each page from that on."""

    def __iter__(self) -> Iterator[Memslot]:
        for as_id in sorted(self._spaces):
            yield from sorted(self._spaces[as_id].values(), key=lambda memslot: memslot.slot)

    def __len__(self) -> int:
        return sum(len(slots) for slots in self._spaces.values())

    @property
    def free(self) -> int:
        """How many more what all CPUs see may have."""
        return self.max_slots - len(self._spaces.get(0, ()))

    @property
    def address_spaces(self) -> list[int]:
        """The ids of the address spaces that are followed."""
        return sorted(self._spaces)

    def follower(self, as_id: int) -> SlotListener:
        """The listener to be added to the address space that has this id for the accelerator."""
        self._spaces.setdefault(as_id, {})
        self._numbers.setdefault(as_id, _SlotNumbers())
        return SlotListener(self, as_id)

    def find(self, as_id: int, address: int) -> Memslot | None:
        """The slot that has an address, if one has."""
        return next(iter(self.within(as_id, address, address + 1)), None)

    def within(self, as_id: int, start: int, end: int) -> list[Memslot]:
        """The slots that have an address in `[start, end)`, by address."""
        if as_id not in self._ordered:
            slots = self._spaces.get(as_id, {})
            gpas = sorted(slots)
            self._ordered[as_id] = gpas, [slots[gpa] for gpa in gpas]
        gpas, ordered = self._ordered[as_id]
        first = bisect_right(gpas, start) - 1
        if first < 0 or ordered[first].gpa + ordered[first].size <= start:
            first += 1
        return ordered[first : bisect_left(gpas, end)]

    def covers(self, as_id: int, gpa: int, size: int) -> bool:
        """Whether a section of the address space is in slots from its first byte on, whole pages as it is."""
        memslot = self._spaces.get(as_id, {}).get(gpa)
        return memslot is not None and memslot.size == min(size, self.max_size)

    def put(self, memslot: Memslot) -> None:
        """A slot is new, or has new flags; raises `VMError` to refuse it."""

    def take(self, memslot: Memslot) -> None:
        """A slot is gone."""

    def collect(self, memslot: Memslot) -> Iterable[tuple[int, int]]:
        """Take what the log of a slot holds, as `on_dirty` is told it, but for the first page in the slot."""
        return ()

    def sync(self, memslots: Iterable[Memslot]) -> None:
        """Tell `on_dirty` what the logs of these slots hold, and clear them."""
        for memslot in memslots:
            start = memslot.offset // self.page_size
            for first, bits in self.collect(memslot):
                self.on_dirty(memslot.block, start + first, bits)

    def close(self) -> None:
        """Forget all slots."""
        self._spaces.clear()
        self._ordered.clear()
        self._numbers.clear()

    # Changes

    def update(self, as_id: int, gone: list[FlatRange], new: list[FlatRange]) -> Callable[[], None]:
        """Follow a change of an address space, and return what takes that back, slot numbers included.

        Raises `VMError`, nothing changed, if it cannot be followed.
        """
        slots = self._spaces[as_id]
        removed = {piece.gpa: slots[piece.gpa] for flat_range in gone for piece in self._pieces(as_id, flat_range)}
        added = {piece.gpa: piece for flat_range in new for piece in self._pieces(as_id, flat_range)}
        reflagged = {gpa for gpa in added if gpa in removed and added[gpa].same_memory(removed[gpa])}
        needed, free = len(added) - len(reflagged), self.max_slots - len(slots) + len(removed) - len(reflagged)
        if needed > free:
            raise VMError(f"not enough memslots: {needed} needed, {free} free of {self.max_slots}")
        changes: list[tuple[Memslot | None, Memslot | None]] = [
            (old, None) for gpa, old in removed.items() if gpa not in reflagged
        ]
        changes += [(removed[gpa], added[gpa]) for gpa in sorted(reflagged)]
        changes += [(None, piece) for gpa, piece in added.items() if gpa not in reflagged]
        with self.guest_held:
            self.generation += 1  # not earlier: a guest would take the old slots for the new ones
            self._apply(changes)
        return lambda: self._take_back(changes)

    def _apply(self, changes: list[tuple[Memslot | None, Memslot | None]]) -> None:
        """Change slot after slot; if one is refused, take all back and let the error go on."""
        done: list[tuple[Memslot | None, Memslot | None]] = []
        try:
            for old, new in changes:
                if new is not None:
                    new.slot = old.slot if old is not None else self._numbers[new.as_id].lowest()
                self._replace(old, new)
                done.append((old, new))
        except BaseException:
            self._take_back(done)
            raise

    def _take_back(self, changes: list[tuple[Memslot | None, Memslot | None]]) -> None:
        with self.guest_held:
            self.generation += 1
            for old, new in reversed(changes):
                self._replace(new, old)

    def _replace(self, old: Memslot | None, new: Memslot | None) -> None:
        """Put `new` where `old` was; either may be nothing. What was written to `old` is not lost."""
        if old is not None and old.log_dirty:
            self.sync((old,))
        self._ordered.clear()
        if new is not None:
            self.put(new)
            self._spaces[new.as_id][new.gpa] = new
            if old is None:
                self._numbers[new.as_id].take(new.slot)
        elif old is not None:
            self.take(old)
            del self._spaces[old.as_id][old.gpa]
            self._numbers[old.as_id].give_back(old.slot)

    def _pieces(self, as_id: int, flat_range: FlatRange) -> Iterator[Memslot]:
        """The slots of a flat range: its whole pages, cut at the largest size; none if it is not memory."""
        region = flat_range.region
        block = region.ram_block
        if block is None or not flat_range.is_memory:
            return
        start = -(-flat_range.start // self.page_size) * self.page_size
        end = flat_range.end // self.page_size * self.page_size
        offset = flat_range.offset + start - flat_range.start
        if offset % self.page_size:
            return
        readonly = flat_range.readonly or region.kind == "rom device"
        log_dirty = flat_range.dirty_log_mask != 0
        while start < end:
            size = min(self.max_size, end - start)
            yield Memslot(-1, as_id, start, size, block, offset, readonly, log_dirty)
            start += size
            offset += size


class SlotListener:
    """Lets a memslot table follow one address space."""

    __slots__ = ("as_id", "table")

    def __init__(self, table: MemslotTable, as_id: int) -> None:
        self.table = table
        self.as_id = as_id

    def update(self, gone: list[FlatRange], new: list[FlatRange]) -> Callable[[], None]:
        """See `MemslotTable.update`."""
        return self.table.update(self.as_id, gone, new)


def slot_limit(wanted: int | None, most: int) -> int:
    """How many slots there may be of the `most` that the accelerator has; raises `VMError` if more are wanted."""
    if wanted is None:
        return most
    if not wanted:
        raise VMError("max-memslots must be at least 1")
    if wanted > most:
        raise VMError(f"max-memslots {wanted} is more than the accelerator's {most}")
    return wanted
