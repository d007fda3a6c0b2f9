"""A core file of a machine whose memory is in a migration stream: where each byte of a RAMBlock goes in the file.

What is where in the guest's address space is told by a machine like it that stands as it is after a reset.
"""

from __future__ import annotations

from ..memory.stream import stream_pieces
from .elf import core_layout
from .pieces import machine_pieces
from .target import core_format

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..machine import VirtualMachine
    from .pieces import Piece


class Part:
    """Bytes of a RAMBlock of the stream, from `offset` on, that a guest finds at an address."""

    __slots__ = ("address", "at", "block", "length", "offset")

    def __init__(self, address: int, length: int, block: str, offset: int) -> None:
        self.address = address
        self.length = length
        self.block = block
        self.offset = offset
        self.at = 0
        """Where they are in the file."""


class SavedCore:
    """The core file of a machine: what is before and behind its memory, and where this goes."""

    def __init__(self, vm: VirtualMachine, blocks: dict[str, int]) -> None:
        """Of the RAMBlocks that there are, with their lengths. Raises `VMError` for a target that cannot be dumped."""
        self.parts: list[Part] = []
        self.missing: list[str] = []
        """Blocks that are not there or are too short; what else is with them in one piece is not in the file."""
        loads: list[tuple[int, int]] = []
        for piece in machine_pieces(vm):
            found = _parts(piece)
            absent = [part.block for part in found if blocks.get(part.block, 0) < part.offset + part.length]
            self.missing += absent
            if not absent and sum(part.length for part in found) == piece.length:
                loads.append((piece.start, piece.length))
                self.parts += found
        end = sum(loads[-1]) if loads else 0
        self.layout = core_layout(core_format(vm, end), loads, has_names=vm.release.covers("7.2"))
        at = self.layout.memory_at
        self._places: dict[str, list[Part]] = {}
        for part in self.parts:
            part.at = at
            at += part.length
            self._places.setdefault(part.block, []).append(part)

    def places(self, block: str, offset: int, length: int) -> Iterator[tuple[int, int, int]]:
        """Where bytes of a block go: the place in the file, where in these bytes they begin, and how many they are."""
        for part in self._places.get(block, ()):
            first, end = max(offset, part.offset), min(offset + length, part.offset + part.length)
            if first < end:
                yield part.at + first - part.offset, first - offset, end - first


def _parts(piece: Piece) -> list[Part]:
    """A piece by the blocks that the stream has of it; what does not migrate is left out."""
    address = piece.start
    found = []
    for block, offset, length in stream_pieces(piece.block, piece.offset, piece.length):
        found.append(Part(address, length, block.name, offset))
        address += length
    return found
