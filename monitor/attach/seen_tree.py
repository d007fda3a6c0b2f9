"""The region trees of a QEMU, built anew from `info mtree -D`, so that a way through them can be followed.

QEMU's text does not say which i/o region only holds others (before 11.1), nor which alias lets no write through. What
the tree would show is compared with QEMU's own flat view, and what differs tells.
"""

from __future__ import annotations

from bisect import bisect_right

from ...vm.errors import VMError
from ...vm.memory.address_space import MemoryTopology
from ...vm.memory.explain import explain
from ...vm.memory.region import CONTAINER, IO, RAM, ROM, ROM_DEVICE, MemoryRegion
from .errors import AnswerError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any, TypeAlias

    from ...vm.memory.flatview import FlatRange
    from ...vm.memory.ramblock import RAMBlock

    FindBlock: TypeAlias = Callable[[str, int], RAMBlock | None]

ADDRESS_MASK = (1 << 64) - 1
ROUNDS = 8
"""How often a tree is built before what still differs is left so."""
_KINDS = {"ram": RAM, "rom": ROM, "romd": ROM_DEVICE, "ramd": RAM}
"""Kinds of regions by their types. QEMU 11.1 calls what nothing contains a container, also where it has registers."""


class SeenTrees:
    """Builds the trees of address spaces. `find_block(name, size)` gives the RAMBlock of a region."""

    def __init__(self, mtree: dict[str, Any], find_block: FindBlock) -> None:
        self._mtree = mtree
        self._find_block = find_block
        self._known: dict[str, MemoryRegion] = {}
        self.differs: dict[str, int] = {}
        """For each space that was built, how many ranges of its view the tree does not explain."""

    def root_of(self, space: str, view: list[FlatRange]) -> MemoryRegion:
        """The root of an address space, as `view` says that it looks; raises `VMError`."""
        if space not in self._known:
            tree = self._tree_of(space)
            if tree is None:
                raise VMError(f"QEMU tells of no tree of address space '{space}'")
            self._known[space] = self._fitted(space, tree, view)
        return self._known[space]

    def find(self, space: str, name: str) -> MemoryRegion | None:
        """The place of the region of this name in a space's tree, alone, with its address in that space."""
        tree = self._tree_of(space)
        found = next((each for each in _walk(tree) if each["name"] == name), None) if tree is not None else None
        if found is None:
            return None
        topology = MemoryTopology()
        region = topology.container(name, _size(found))
        topology.container("system").add_subregion(found["start"], region)
        return region

    def distance(self, space: str, view_root: str | None) -> int:
        """What QEMU adds to the addresses of a view: where its root is, if that is in another region."""
        tree = self._tree_of(space)
        return int(tree["start"]) if tree is not None and tree["name"] == view_root else 0

    def _tree_of(self, space: str) -> dict[str, Any] | None:
        return next((each["root"] for each in self._mtree["address-spaces"] if space in each["names"]), None)

    def _fitted(self, space: str, tree: dict[str, Any], view: list[FlatRange]) -> MemoryRegion:
        try:
            return self._compared(space, tree, view)
        except RecursionError:
            raise AnswerError(f"a region in the tree of '{space}' is an alias of itself in info mtree") from None

    def _compared(self, space: str, tree: dict[str, Any], view: list[FlatRange]) -> MemoryRegion:
        guesses = _Guesses({each.region.name for each in view if each.region.kind == IO})
        for _ in range(ROUNDS):
            builder = _Builder(self._mtree, self._find_block, guesses)
            root = builder.build(tree)
            comparison = _Comparison(builder, root, builder.topology.add_space(space, root).view.ranges, view)
            self.differs[space] = comparison.count
            if not comparison.count or not guesses.learn(comparison):
                break
        return root


class _Comparison:
    """What a tree shows, in pieces that each come by one way (aliases unite nothing here), beside QEMU's own view."""

    def __init__(self, builder: _Builder, root: MemoryRegion, pieces: list[FlatRange], view: list[FlatRange]) -> None:
        self.pairs = [(piece, _told_at(view, piece.start)) for piece in pieces]
        self._builder = builder
        self._root = root
        missing = _length(view) != _length(pieces)
        self.count = sum(not _is_part(piece, told) for piece, told in self.pairs) + missing
        """Pieces that QEMU does not show, and one more where it shows something else."""

    def place(self, region: MemoryRegion) -> int:
        """Which of QEMU's lines describes a region."""
        return id(self._builder.places[region])

    def aliases_to(self, piece: FlatRange) -> list[int]:
        """The places of the aliases on the way to a piece."""
        way, _others = explain(self._root, piece.start)
        steps = way.steps if way is not None else ()
        return [self.place(step.region) for step in steps if step.region.alias is not None]


def _told_at(view: list[FlatRange], address: int) -> FlatRange | None:
    position = bisect_right(view, address, key=lambda each: each.start) - 1
    return view[position] if position >= 0 and address < view[position].end else None


def _length(ranges: list[FlatRange]) -> int:
    return sum(each.end - each.start for each in ranges)


def _is_part(piece: FlatRange, told: FlatRange | None) -> bool:
    """Whether a piece is some of what QEMU shows."""
    return (
        told is not None
        and piece.end <= told.end
        and piece.region.name == told.region.name
        and piece.offset == told.offset + piece.start - told.start
        and piece.readonly == told.readonly
    )


class _Guesses:
    """What the text does not tell of regions, by their places in it."""

    def __init__(self, registers: set[str]) -> None:
        self.containers: set[int] = set()
        self.readonly: set[int] = set()
        self._registers = registers

    def is_container(self, tree: dict[str, Any]) -> bool:
        """Whether an i/o region answers nothing itself."""
        if tree["name"] in self._registers:
            return id(tree) in self.containers
        return id(tree) in self.containers or bool(tree["subregions"]) or tree["type"] == "container"

    def learn(self, comparison: _Comparison) -> bool:
        """Take what differs as a hint, first at containers; whether there was any."""
        before = len(self.containers), len(self.readonly)
        for piece, told in comparison.pairs:
            if piece.region.kind == IO and (told is None or told.region.name != piece.region.name):
                self.containers.add(comparison.place(piece.region))
        if len(self.containers) == before[0]:
            self._learn_readonly(comparison)
        return (len(self.containers), len(self.readonly)) != before

    def _learn_readonly(self, comparison: _Comparison) -> None:
        """Of the aliases to memory that QEMU shows as ROM, that one it is by which nothing else can be written."""
        writable: set[int] = set()
        for piece, told in comparison.pairs:
            if told is not None and not told.readonly:
                writable.update(comparison.aliases_to(piece))
        for piece, told in comparison.pairs:
            if told is not None and told.readonly and not piece.readonly:
                found = [place for place in comparison.aliases_to(piece) if place not in writable]
                self.readonly.update(found[:1])


class _Builder:
    """One topology, made of descriptions; a region that aliases point to is made once."""

    def __init__(self, mtree: dict[str, Any], find_block: FindBlock, guesses: _Guesses) -> None:
        self.topology = MemoryTopology()
        self.places: dict[MemoryRegion, dict[str, Any]] = {}
        """The description of each region."""
        self._targets: dict[str, list[dict[str, Any]]] = {}
        for tree in mtree["regions"]:
            self._targets.setdefault(tree["name"], []).append(tree)
        self._find_block = find_block
        self._guesses = guesses
        self._built: dict[int, MemoryRegion] = {}
        """What aliases point to, by the place; a region may contain an alias of another part of itself."""

    def build(self, tree: dict[str, Any], *, is_target: bool = False) -> MemoryRegion:
        """A region with all below it."""
        size = _size(tree)
        if "alias" in tree:
            target = self._target(tree)
            region = self.topology.alias(tree["name"], target, tree["alias"]["offset"], size)
        else:
            region = self._plain(tree, size)
        self.places[region] = tree
        if is_target:
            self._built[id(tree)] = region
        region.unmergeable = region.alias is not None
        region.priority = tree["priority"]
        region.nonvolatile = tree["type"].startswith("nv-")
        if not tree["enabled"]:
            region.set_enabled(False)
        if id(tree) in self._guesses.readonly:
            region.set_readonly(True)
        # What QEMU lists first at an address is seen first, which here is what was added last. What begins within
        # another of the same priority is not told to be seen before it, but would be there in vain otherwise.
        children = tree["subregions"][::-1]
        children.sort(key=lambda child: child["start"])
        for child in children:
            below = self.build(child)
            region.add_subregion((child["start"] - tree["start"]) & ADDRESS_MASK, below, child["priority"])
        return region

    def _plain(self, tree: dict[str, Any], size: int) -> MemoryRegion:
        kind = _KINDS.get(tree["type"].removeprefix("nv-"), IO)
        if kind == IO and self._guesses.is_container(tree):
            kind = CONTAINER
        block = self._find_block(tree["name"], size) if kind not in (IO, CONTAINER) else None
        return region_of(self.topology, kind, tree["name"], size, block)

    def _target(self, tree: dict[str, Any]) -> MemoryRegion:
        """What an alias points to, which QEMU tells by its name alone."""
        name, end = tree["alias"]["name"], tree["alias"]["offset"] + _size(tree)
        candidates = self._targets.get(name, [])
        found = next((each for each in candidates if each["type"] == tree["type"] and _size(each) >= end), None)
        found = found or (candidates[0] if candidates else None)
        if found is None:
            raise AnswerError(f"info mtree does not tell of '{name}', which '{tree['name']}' is an alias of")
        return self._built.get(id(found)) or self.build(found, is_target=True)


def region_of(topology: MemoryTopology, kind: str, name: str, size: int, block: RAMBlock | None) -> MemoryRegion:
    """A region of any kind; `block` may be missing where QEMU's table has none."""
    region = MemoryRegion(topology, kind, name, size)
    region.ram_block = block
    return region


def _size(tree: dict[str, Any]) -> int:
    """Bytes in a region. Of none and of one QEMU's text is the same; what is disabled is taken to have none then."""
    if tree["start"] == tree["end"] and not tree["enabled"]:
        return 0
    return int((tree["end"] - tree["start"]) & ADDRESS_MASK) + 1


def _walk(tree: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield tree
    for child in tree["subregions"]:
        yield from _walk(child)
