"""How the memory of a virtio-mem device is divided into memslots that come and go with it."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..boards.machine import Machine
    from ..memory.region import MemoryRegion
    from ..qom import QOMObject

SMALLEST = 1 << 30
"""Bytes of a piece, if there are several."""


class MemslotPlan:
    """Pieces of a backend's region that are shown as far as they are needed; `container` is what is mapped."""

    __slots__ = ("_machine", "_pieces", "container", "piece_size", "shown")

    def __init__(self, machine: Machine, owner: QOMObject, region: MemoryRegion, piece_size: int) -> None:
        self._machine = machine
        self.piece_size = piece_size
        self.container = owner.own_region(machine.topology.container("virtio-mem", region.size))
        self.shown = 0
        """How many of the pieces, which are the first ones."""
        starts = range(0, region.size, piece_size)
        self._pieces = [
            owner.own_region(
                machine.topology.alias(f"memslot-{number}", region, start, min(piece_size, region.size - start))
            )
            for number, start in enumerate(starts)
        ]
        for piece in self._pieces:
            piece.unmergeable = True

    @property
    def count(self) -> int:
        """How many there may be."""
        return len(self._pieces)

    def show(self, size: int) -> None:
        """Show the pieces that the first `size` bytes are in; raises `VMError`, nothing changed, if that cannot be."""
        wanted = -(-size // self.piece_size)
        with self._machine.topology.transaction():
            for number in range(self.shown, wanted):
                self.container.add_subregion(number * self.piece_size, self._pieces[number])
            for number in range(wanted, self.shown):
                self.container.remove_subregion(self._pieces[number])
        self.shown = wanted


def piece_size(size: int, block_size: int, limit: int) -> int:
    """Bytes of each piece where `size` bytes may take `limit` memslots; they are not smaller than they need be."""
    if limit > 1:
        even = -(-size // limit)
        piece = max(-(-even // block_size) * block_size, SMALLEST)
        if piece < size:
            return piece
    return size
