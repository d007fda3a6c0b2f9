"""The order in which QEMU lists what it keeps in a string hash table: `info memdev`, `qom-list`.

QEMU's lists come in the reverse of its hash table's order. `HashOrder` keeps names in the slots where GLib puts
them: djb2 hash, times 11 modulo a prime, then triangular probing; tombstones on removal; rehashing in place. Observed
of QEMU 11.1 with GLib 2.90, and, as `frugal`, of older ones with GLib 2.66 to 2.84.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_PRIMES = (
    1, 2, 3, 7, 13, 31, 61, 127, 251, 509, 1021, 2039, 4093, 8191, 16381, 32749, 65521, 131071, 262139, 524287,
    1048573, 2097143, 4194301, 8388593, 16777213, 33554393, 67108859, 134217689, 268435399, 536870909, 1073741789,
    2147483647,
)  # fmt: skip
_SMALLEST_SHIFT = 3


class _Removed:
    """Marks a slot whose name was removed; probing goes on behind it."""


_REMOVED = _Removed()


class HashOrder:
    """A set of names that is listed as QEMU would list it."""

    __slots__ = ("_count", "_frugal", "_occupied", "_shift", "_slots")

    def __init__(self, *, frugal: bool = False) -> None:
        """With `frugal` a table is smaller for some numbers of names, and may shrink when something failed."""
        self._frugal = frugal
        self._shift = _SMALLEST_SHIFT
        self._slots: list[str | _Removed | None] = [None] * (1 << _SMALLEST_SHIFT)
        self._count = 0
        self._occupied = 0

    def __iter__(self) -> Iterator[str]:
        """The names in QEMU's order: the last slot first."""
        return (name for name in reversed(self._slots) if isinstance(name, str))

    def add(self, name: str) -> None:
        """Add a name; one that is there already keeps its place."""
        slot = self._find(name)
        held = self._slots[slot]
        if held == name:
            return
        self._slots[slot] = name
        self._count += 1
        if held is None:
            self._occupied += 1
            self._fit()

    def remove(self, name: str) -> None:
        """Remove a name that is there; as observed, the table only shrinks at a later `add`."""
        self._slots[self._find(name)] = _REMOVED
        self._count -= 1

    def add_in_vain(self, name: str) -> None:
        """Add a name and remove it at once, which leaves its trace in the order of those that follow."""
        self.add(name)
        self.remove(name)
        if self._frugal:
            self._fit()

    def _first_slot(self, name: str) -> int:
        return (_string_hash(name) * 11 & 0xFFFFFFFF) % _PRIMES[self._shift]

    def _find(self, name: str) -> int:
        """The slot that holds `name`, or the one where it would go."""
        slot, step, free = self._first_slot(name), 0, -1
        while self._slots[slot] is not None:
            if self._slots[slot] == name:
                return slot
            if free < 0 and self._slots[slot] is _REMOVED:
                free = slot
            step += 1
            slot = (slot + step) & (len(self._slots) - 1)
        return slot if free < 0 else free

    def _fit(self) -> None:
        """Grow, shrink or clean the table where it has become too full or too empty."""
        size = len(self._slots)
        too_empty = size > self._count * 4 and size > 1 << _SMALLEST_SHIFT
        if too_empty or size <= self._occupied + self._occupied // 16:
            roomy = int(self._count * 1.333) if self._frugal else self._count * 4 // 3
            self._shift = max(roomy.bit_length(), _SMALLEST_SHIFT)
            self._rehash(1 << self._shift)
            self._occupied = self._count

    def _rehash(self, new_size: int) -> None:
        """Put every name where it belongs; a name in the way is put elsewhere in its turn."""
        old_size = len(self._slots)
        self._slots += [None] * (new_size - old_size)
        settled = [False] * len(self._slots)
        for position in range(old_size):
            moving = self._slots[position]
            if settled[position]:
                continue
            self._slots[position] = None
            while isinstance(moving, str):
                slot, step = self._first_slot(moving), 0
                while settled[slot]:
                    step += 1
                    slot = (slot + step) & (new_size - 1)
                settled[slot] = True
                self._slots[slot], moving = moving, self._slots[slot]
        del self._slots[new_size:]


def _string_hash(name: str) -> int:
    value = 5381
    for byte in name.encode():
        value = (value * 33 + (byte - 256 if byte > 127 else byte)) & 0xFFFFFFFF
    return value if value > 1 else 2
