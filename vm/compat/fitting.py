"""Makes the maps of a remapped stream by itself: which RAMBlocks of a source become which of a destination.

Nothing is guessed. A block becomes another one where no other has its length, or where all of the RAM follows on in the
guest's addresses on both sides. A stream alone does not tell in which order its blocks are there, but for one block
and for the names that QEMU gives to parts (`s390.ram`, `s390.ram.1`).
"""

from __future__ import annotations

from ..errors import VMError
from ..migration import refusals
from ..sizes import exact_size
from ..streams.block_map import BlockMap

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..streams.block_map import Layout
    from .contract import Block, Contract

RAM = ("ram", "node", "part")
"""What RAM is to its machine, in one block or in several."""
BY_PATH = "/objects/"
IN_MAPS = frozenset(",=@+")
"""What a name cannot have that is to be said in a map."""


class Fit:
    """As a `BlockMap`, for one destination; `source` is the machine that the stream comes from, where it is known."""

    def __init__(
        self, destination: Contract, source: Contract | None = None, tell: Callable[[list[str]], None] | None = None
    ) -> None:
        self._destination = destination
        self._source = source
        self._tell = tell
        self.maps: list[str] | None = None
        """As `-map` says them, once the source's blocks are known."""

    def layout(self, blocks: Sequence[tuple[str, int]], page_size: int) -> Layout:
        """What becomes of a source's blocks; raises `VMError` where that is not certain."""
        if self.maps is None:
            self.maps = fitting_maps(blocks, self._destination, self._source)
            if self._tell is not None:
                self._tell(self.maps)
        return BlockMap(self.maps).layout(blocks, page_size)


def fitting_maps(blocks: Sequence[tuple[str, int]], destination: Contract, source: Contract | None = None) -> list[str]:
    """What `-map` has to say of a stream's blocks; nothing where all fit. Raises `VMError` where it is not certain."""
    left = [(name, length) for name, length in blocks if not _stays(name, length, destination, source)]
    if not left:
        return []
    for name, length in left:
        _check_is_memory(name, length, destination)
    names = {name for name, _length in blocks} - {name for name, _length in left}
    free = [block for block in destination.blocks if block.name not in names and block.role in (*RAM, "device")]
    for text in (*(name for name, _length in left), *(block.name for block in free)):
        if IN_MAPS & set(text):
            raise VMError(f"the name '{text}' cannot be said in a map")
    ram = [block for block in free if block.role in RAM]
    if source is not None:
        plugged = [(name, length) for name, length in left if _known(name, length, source).role == "device"]
        devices = [block for block in free if block.role == "device"]
        renamed = _by_lengths(plugged, devices)
        if plugged and not renamed:
            there = [(block.name, block.used_length) for block in devices]
            raise VMError(f"devices' memory, {_told(plugged)}, could become {_told(there)}: -map has to say what does")
        rest = [entry for entry in left if entry not in plugged]
        return renamed + (_along_addresses(rest, ram, source) if rest else [])
    return _by_lengths(left, free) or _in_order(left, ram)


def _known(name: str, length: int, source: Contract) -> Block:
    known = source.lookup.get(name)
    if known is None or known.used_length != length:
        raise VMError(f"-from is of another machine: it has no RAMBlock '{name}' with {exact_size(length)}")
    return known


def _stays(name: str, length: int, destination: Contract, source: Contract | None) -> bool:
    """Whether a block fits as it is, and is RAM where it was as far as that is known."""
    there = destination.lookup.get(name)
    if there is None:
        return destination.may_have(name)
    here = None if source is None else source.lookup.get(name)
    if here is not None and here.places and there.places and here.places != there.places and there.role in RAM:
        return False
    return length == there.used_length or refusals.misfit(name, length, there) is None


def _check_is_memory(name: str, length: int, destination: Contract) -> None:
    """Refuse firmware and the memory of devices of the board."""
    there = destination.lookup.get(name)
    if there is not None and there.role == "board":
        misfit = refusals.misfit(name, length, there)
        assert misfit is not None, "it does not stay"
        raise VMError(misfit.text)
    if there is None and "/" in name.removeprefix(BY_PATH):
        raise VMError(f"{refusals.unknown_block(name).text} (it is no RAM, and nothing can become of it)")


def _by_lengths(left: list[tuple[str, int]], free: list[Block]) -> list[str]:
    """Other names, where every length is there once on each side; nothing if that is not so."""
    there = {block.used_length: block for block in free}
    lengths = {length for _name, length in left}
    wanted = {block.used_length for block in free if block.role in RAM}
    alike = len(there) == len(free) and len(lengths) == len(left) and wanted <= lengths <= there.keys()
    return [f"{name}={there[length].name}" for name, length in left] if alike else []


def _in_order(left: list[tuple[str, int]], ram: list[Block]) -> list[str]:
    """All of the RAM, in the order in which a stream's names tell that it is."""
    _check_total(left, ram)
    targets = _by_address(ram)
    first = left[0][0]
    if [name for name, _length in left] != [first, *(f"{first}.{number}" for number in range(1, len(left)))]:
        maps = " ".join(f"-map {text}" for text in _laid_along(left, targets))
        raise VMError(
            f"a stream does not tell in which order {_told(left)} are RAM: -from with the source's command line or "
            f"monitor does, or if it is this one, {maps}"
        )
    return _laid_along(left, targets)


def _along_addresses(left: list[tuple[str, int]], ram: list[Block], source: Contract) -> list[str]:
    """All of the RAM, in the order of the guest's addresses on both sides."""
    _check_total(left, ram)
    origins = _by_address([source.lookup[name] for name, _length in left])
    targets = _by_address(ram)
    if _spans(origins) != _spans(targets):
        raise VMError(
            f"the guest's RAM is elsewhere at the destination: {_addresses(origins)} becomes {_addresses(targets)}"
        )
    return _laid_along([(block.name, block.used_length) for block in origins], targets)


def _by_address(blocks: list[Block]) -> list[Block]:
    """Blocks as the guest finds them, one behind the other."""
    if len(blocks) > 1 and not all(block.places for block in blocks):
        names = ", ".join(block.name for block in blocks if not block.places)
        raise VMError(f"nothing tells where {names} is in the guest's addresses; -map has to say what becomes of what")
    return sorted(blocks, key=lambda block: block.places[0] if block.places else (0, 0, 0))


def _check_total(left: list[tuple[str, int]], ram: list[Block]) -> None:
    there = [(block.name, block.used_length) for block in ram]
    totals = [sum(length for _name, length in side) for side in (left, there)]
    if totals[0] != totals[1]:
        raise VMError(
            f"{_told(left)}, {exact_size(totals[0])} in all, cannot become {_told(there)}, {exact_size(totals[1])} "
            "in all; where only a part of the RAM is to be renamed, -map says which"
        )


def _told(blocks: list[tuple[str, int]]) -> str:
    return ", ".join(f"{name} ({exact_size(length)})" for name, length in blocks) or "nothing"


def _spans(blocks: list[Block]) -> list[tuple[int, int]]:
    """Where memory is in the guest's addresses, as few intervals as can be."""
    found: list[tuple[int, int]] = []
    for address, _offset, length in sorted(place for block in blocks for place in block.places or ()):
        if found and found[-1][1] == address:
            found[-1] = found[-1][0], address + length
        else:
            found.append((address, address + length))
    return found


def _addresses(blocks: list[Block]) -> str:
    return " and ".join(f"{start:#x}-{end - 1:#x}" for start, end in _spans(blocks)) or "nowhere"


def _laid_along(left: list[tuple[str, int]], targets: list[Block]) -> list[str]:
    """Maps of blocks along others of the same length in all."""
    maps = []
    rest = iter(targets)
    room, into = 0, ""
    for name, length in left:
        pieces = []
        at = 0
        while at < length:
            if not room:
                target = next(rest)
                room, into = target.used_length, target.name
            step = min(room, length - at)
            pieces.append(into if step == length else f"{into}@{at:#x}+{step:#x}")
            at += step
            room -= step
        maps.append(f"{name}={','.join(pieces)}")
    return maps
