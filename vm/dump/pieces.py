"""Which memory is in a dump: the RAM that the guest's physical addresses show."""

from __future__ import annotations

from ..memory.region import RAM, ROM
from ..memory.stream import populated_parts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ..machine import VirtualMachine
    from ..memory.flatview import FlatView
    from ..memory.ramblock import RAMBlock

SPAN = 64 << 20
"""Bytes of which it is asked at once which are there."""


class Piece:
    """Guest-physical addresses `[start, end)` that are memory of one block, from `offset` of its host memory on."""

    __slots__ = ("block", "end", "offset", "start")

    def __init__(self, start: int, end: int, block: RAMBlock, offset: int) -> None:
        self.start = start
        self.end = end
        self.block = block
        self.offset = offset

    @property
    def length(self) -> int:
        """Bytes of it."""
        return self.end - self.start

    def continues(self, before: Piece) -> bool:
        """Whether `before` and this are one, in the guest's addresses and in the host's."""
        return before.end == self.start and before.block is self.block and before.offset + before.length == self.offset

    def within(self, start: int, end: int) -> Piece | None:
        """What of it is in `[start, end)`."""
        first, last = max(self.start, start), min(self.end, end)
        return Piece(first, last, self.block, self.offset + first - self.start) if first < last else None

    def parts(self) -> Iterator[tuple[int, int, bool]]:
        """It as offsets into the host's memory, `(from, to, whether that may hold anything but zeros)`, ascending."""
        end = self.offset + self.length
        for span in range(self.offset, end, SPAN):
            yield from populated_parts(self.block.host, span, min(span + SPAN, end))


def pieces(view: FlatView, unused: Sequence[tuple[int, int]] = ()) -> list[Piece]:
    """All memory that a view shows, ascending, in pieces as large as can be: RAM and ROM.

    What is in the intervals `unused`, which ascend, is left out.
    """
    found: list[Piece] = []
    for shown in view.ranges:
        block = shown.region.ram_block
        if block is None or shown.region.kind not in (RAM, ROM):
            continue
        offset = block.aliased_offset + shown.offset
        for start, end in _without(shown.start, shown.end, unused):
            piece = Piece(start, end, block, offset + start - shown.start)
            if found and piece.continues(found[-1]):
                found[-1].end = end
            else:
                found.append(piece)
    return found


def _without(start: int, end: int, unused: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    for first, last in unused:
        if start < first < end:
            yield start, first
        if first < end and last > start:
            start = last
    if start < end:
        yield start, end


def machine_pieces(vm: VirtualMachine) -> list[Piece]:
    """All memory of a machine; of a device whose guest uses a part of it, that part (in old versions all)."""
    unused = []
    for device in vm.memory_devices if vm.release.covers("6.0") else ():
        end = device.address + device.length
        if device.is_mapped and not device.is_plugged(end - 1):
            unused.append((device.address + device.plugged, end))
    return pieces(vm.machine.memory_space.view, unused)
