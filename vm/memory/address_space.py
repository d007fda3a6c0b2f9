"""Address spaces and the topology they live in: transactions, damage, shared views, listeners."""

from __future__ import annotations

from .flatview import FlatView, difference
from .intervals import IntervalSet
from .ramblock import RAMBlockTable
from .region import ALIAS, CONTAINER, IO, RAM, RESERVATION, ROM, ROM_DEVICE, WHOLE_SPACE, MemoryRegion

DIRTY_MEMORY_MIGRATION = 4
"""The bit of a dirty log mask for whoever follows all of the guest's writes, as QEMU has it."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    from .flatview import FlatRange, Repair
    from .ramblock import RAMBlock

    class Listener(Protocol):
        """Follows what an address space shows."""

        def update(self, gone: list[FlatRange], new: list[FlatRange]) -> Callable[[], None]:
            """Ranges that are no longer shown, and ranges that are shown now, each sorted by address.

            Returns what takes the update back exactly, should another listener refuse the change. Raises to refuse it,
            having changed nothing itself.
            """


class AddressSpace:
    """What one master (a CPU, a bus, the I/O ports) can reach, from `root` down."""

    __slots__ = ("_damage", "listeners", "name", "root", "topology", "view")

    def __init__(self, topology: MemoryTopology, name: str, root: MemoryRegion) -> None:
        self.topology = topology
        self.name = name
        self.root = root
        self.view = topology.empty_view
        self.listeners: list[Listener] = []
        self._damage = IntervalSet()

    def damage(self, start: int, end: int) -> None:
        """Note that `[start, end)` may show something else."""
        self._damage.add(start, end)
        self.topology.damaged.setdefault(self)

    def take_damage(self) -> IntervalSet:
        """The damage noted since the last commit, which is thereby forgotten."""
        damage, self._damage = self._damage, IntervalSet()
        return damage

    def add_listener(self, listener: Listener) -> None:
        """Tell `listener` all that is shown now, and every change from now on."""
        listener.update([], list(self.view.ranges))
        self.listeners.append(listener)

    def remove_listener(self, listener: Listener) -> None:
        """Tell `listener` that nothing is shown any more, and forget it."""
        self.listeners.remove(listener)
        listener.update(list(self.view.ranges), [])


class Transaction:
    """Changes of the tree that become visible together, or are all undone.

    A transaction within another that fails takes back its own changes alone.
    """

    __slots__ = ("_beginnings", "_topology", "_undo")

    def __init__(self, topology: MemoryTopology) -> None:
        self._topology = topology
        self._undo: list[Callable[[], None]] = []
        self._beginnings: list[int] = []
        """How much there was to undo when each transaction began, the outermost first."""

    def on_undo(self, undo: Callable[[], None]) -> None:
        """Name what takes back the change that follows, should the transaction fail."""
        self._undo.append(undo)

    def __enter__(self) -> Transaction:
        self._beginnings.append(len(self._undo))
        self._topology.changes += 1
        return self

    def __exit__(self, error_type: object, error: object, traceback: object) -> None:
        beginning = self._beginnings.pop()
        if error_type is not None:
            self._take_back(beginning)
        elif not self._beginnings:
            try:
                self._topology.commit()
            except BaseException:
                self._take_back(beginning)
                raise
        if not self._beginnings:
            self._undo.clear()

    def _take_back(self, beginning: int) -> None:
        while len(self._undo) > beginning:
            self._undo.pop()()
        if not self._beginnings:
            self._topology.forget_damage()


class MemoryTopology:
    """All regions, address spaces and RAMBlocks of one machine, and the transaction in which they change."""

    def __init__(self, ram_blocks: RAMBlockTable | None = None) -> None:
        self.ram_blocks = ram_blocks if ram_blocks is not None else RAMBlockTable()
        self.spaces: list[AddressSpace] = []
        self.damaged: dict[AddressSpace, None] = {}
        """Address spaces with damage, as an ordered set."""
        self.empty_view = FlatView(None, [])
        self.changes = 0
        """How often something may have changed; as long as it is the same, so is all that trees and views show."""
        self.keeps_shown = False
        """Whether any region was ever told what it looks like, and has to forget it with a change."""
        self.dirty_log_mask = 0
        """The clients that want dirty logging of all memory, beside those of single regions."""
        self._sequence = 0
        self._transaction = Transaction(self)

    # Making regions

    def container(self, name: str, size: int = WHOLE_SPACE) -> MemoryRegion:
        """A region that only holds others."""
        return MemoryRegion(self, CONTAINER, name, size)

    def io(self, name: str, size: int) -> MemoryRegion:
        """Device registers."""
        return MemoryRegion(self, IO, name, size)

    def reservation(self, name: str, size: int) -> MemoryRegion:
        """A region that claims its addresses and answers nothing."""
        return MemoryRegion(self, RESERVATION, name, size)

    def alias(self, name: str, target: MemoryRegion, offset: int, size: int) -> MemoryRegion:
        """A window of `size` bytes on `target`, from `offset` on."""
        region = MemoryRegion(self, ALIAS, name, size)
        region.alias = target
        region._alias_offset = offset
        return region

    def ram_alias(self, name: str, target: MemoryRegion, offset: int, size: int, block: RAMBlock) -> MemoryRegion:
        """A migratable alias: a window on RAM which `block`, an alias of the target's, gives to the migration stream.

        The guest's memory is the target's, as through any alias.
        """
        region = self.alias(name, target, offset, size)
        region.ram_block = block
        return region

    def ram(self, name: str, size: int, block: RAMBlock) -> MemoryRegion:
        """Memory that the guest may write."""
        return self._memory(RAM, name, size, block)

    def rom(self, name: str, size: int, block: RAMBlock) -> MemoryRegion:
        """Memory whose writes are ignored."""
        block.readonly = True
        return self._memory(ROM, name, size, block)

    def rom_device(self, name: str, size: int, block: RAMBlock) -> MemoryRegion:
        """Memory that is read directly in ROMD mode and is registers otherwise (flash)."""
        return self._memory(ROM_DEVICE, name, size, block)

    def _memory(self, kind: str, name: str, size: int, block: RAMBlock) -> MemoryRegion:
        region = MemoryRegion(self, kind, name, size)
        region.ram_block = block
        return region

    def next_sequence(self) -> int:
        """A number that grows with every region put anywhere."""
        self._sequence += 1
        return self._sequence

    def set_dirty_logging(self, on: bool) -> None:
        """Log what is written to any memory, or only to regions that ask for it; raises what a listener raises."""
        old = self.dirty_log_mask

        def assign(mask: int) -> None:
            self.dirty_log_mask = mask

        with self.transaction() as transaction:
            transaction.on_undo(lambda: assign(old))
            assign(DIRTY_MEMORY_MIGRATION if on else 0)
            for space in self.spaces:
                space.damage(0, space.root.size)

    # Address spaces

    def add_space(self, name: str, root: MemoryRegion) -> AddressSpace:
        """Make an address space over `root`; it shares its view with those that show the same."""
        space = AddressSpace(self, name, root)
        with self.transaction() as transaction:
            transaction.on_undo(lambda: self._drop_space(space))
            self.spaces.append(space)
            root.become_root_of(space)
            root.damage(0, root.size)
        return space

    def remove_space(self, space: AddressSpace) -> None:
        """Take an address space away; its listeners are told that nothing is left."""
        for listener in list(space.listeners):
            space.remove_listener(listener)
        self._drop_space(space)

    def _drop_space(self, space: AddressSpace) -> None:
        self.changes += 1
        self.spaces.remove(space)
        space.root.leave_root_of(space)

    # Transactions

    def transaction(self) -> Transaction:
        """Use in `with`: changes are rendered and told to listeners once, when the outermost ends.

        If its body raises, or a listener refuses, every change of the tree is taken back and the error goes on.
        """
        return self._transaction

    def forget_damage(self) -> None:
        """Drop the damage that a transaction caused and then took back."""
        for space in self.damaged:
            space.take_damage()
        self.damaged.clear()

    def commit(self) -> None:
        """Render what was damaged, tell listeners the difference, and only then let the views change."""
        if not self.damaged:
            return
        commit = _Commit(self)
        commit.tell_listeners()
        commit.apply()
        self.damaged.clear()


class _Commit:
    """The consequences of one transaction: computed whole, told to the listeners, then applied."""

    def __init__(self, topology: MemoryTopology) -> None:
        self._repairs: dict[FlatView, list[Repair]] = {}
        self._moves: list[tuple[AddressSpace, FlatView]] = []
        self._differences: list[tuple[AddressSpace, list[FlatRange], list[FlatRange]]] = []
        moving = []
        future_views: dict[MemoryRegion | None, FlatView] = {None: topology.empty_view}
        for space in topology.spaces:
            root = space.root.flatview_root() if space in topology.damaged else space.view.root
            if root is space.view.root:
                future_views[root] = space.view
                if space in topology.damaged:
                    self._repair(space)
            else:
                moving.append((space, root))
        for space, root in moving:
            self._move(space, root, future_views)

    def _repair(self, space: AddressSpace) -> None:
        """Work out what a space will show whose view stays the same one."""
        view, damage = space.view, space.take_damage()
        if view not in self._repairs:
            self._repairs[view] = view.repairs(view.root, damage)
        if space.listeners:
            repairs = self._repairs[view]
            gone = [flat_range for repair in repairs for flat_range in repair.gone]
            new = [flat_range for repair in repairs for flat_range in repair.new]
            self._differences.append((space, *difference(gone, new)))

    def _move(self, space: AddressSpace, root: MemoryRegion | None, views: dict[MemoryRegion | None, FlatView]) -> None:
        """Work out what a space will show that another region decides from now on."""
        old, damage = space.view, space.take_damage()
        if root in views:
            view = views[root]
            future = FlatView(root, list(view.ranges))
            future.apply(self._repairs.get(view, []))
        else:
            view = future = views[root] = FlatView(root, list(old.ranges))
            view.apply(view.repairs(root, damage))
        self._moves.append((space, view))
        if space.listeners:
            self._differences.append((space, *difference(old.ranges, future.ranges)))

    def tell_listeners(self) -> None:
        """Tell every listener; if one refuses, the others take it back and the error goes on."""
        undo: list[Callable[[], None]] = []
        try:
            for space, gone, new in self._differences:
                for listener in space.listeners:
                    if gone or new:
                        undo.append(listener.update(gone, new))
        except BaseException:
            while undo:
                undo.pop()()
            raise

    def apply(self) -> None:
        """Let the views change."""
        for view, repairs in self._repairs.items():
            view.apply(repairs)
        for space, view in self._moves:
            space.view = view
