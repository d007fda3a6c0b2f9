"""MemoryRegions: the tree of what a guest address may reach.

A region knows its place, its children and who aliases it. Each change of the tree tells the address spaces that can see
it which of their addresses were damaged; what those addresses then show is `flatview`'s business.
"""

from __future__ import annotations

from _bisect import bisect_left
from _bisect import insort_right as insort
from _operator import attrgetter

from .intervals import IntervalIndex

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from .address_space import AddressSpace, MemoryTopology
    from .ramblock import RAMBlock

CONTAINER = "container"
RAM = "ram"
ROM = "rom"
ROM_DEVICE = "rom device"
IO = "i/o"
RESERVATION = "reservation"
ALIAS = "alias"

WHOLE_SPACE = 1 << 64
_visibility = attrgetter("_order")


class MemoryRegion:
    """A piece of an address space: a container, memory, device registers, or an alias of another region.

    Made by the factories of `MemoryTopology`. `size` is in bytes and at most 2^64; `address` is relative to the
    container. Where regions overlap, the one with the higher `priority` is seen, among equals the one added last.
    """

    __slots__ = (
        "_address",
        "_alias_offset",
        "_aliases",
        "_children",
        "_dirty_log_mask",
        "_enabled",
        "_order",
        "_readonly",
        "_romd_mode",
        "_size",
        "alias",
        "container",
        "kind",
        "name",
        "nonvolatile",
        "owner",
        "port_list",
        "priority",
        "ram_block",
        "shown",
        "spaces",
        "subregions_by_address",
        "terminates",
        "topology",
        "unmergeable",
    )

    def __init__(self, topology: MemoryTopology, kind: str, name: str, size: int) -> None:
        if not 0 <= size <= WHOLE_SPACE:
            raise ValueError(f"size {size:#x} of memory region '{name}' is outside [0, 2^64]")
        self.topology = topology
        self.kind = kind
        self.terminates = kind not in (CONTAINER, ALIAS)
        """Whether the region itself answers where no child does."""
        self.name = name
        self._size = size
        self._address = 0
        self.priority = 0
        self._order = (0, 0)
        self._enabled = True
        self._readonly = kind == ROM
        self._romd_mode = kind == ROM_DEVICE
        self.nonvolatile = False
        self.unmergeable = False
        """Whether views never unite it with what it continues; it is decided before it is shown."""
        self._dirty_log_mask = 0
        self.container: MemoryRegion | None = None
        self.alias: MemoryRegion | None = None
        self._alias_offset = 0
        self.ram_block: RAMBlock | None = None
        self.owner: object = None
        """The object that the region belongs to, for `info mtree -o`."""
        self.port_list = False
        """Whether it is a piece of a list of ports, which newer QEMUs show as an owner in between."""
        self.subregions_by_address: list[tuple[int, tuple[int, int], MemoryRegion]] = []
        """The children by address, and those of equal addresses as in `subregions`: address, order and region."""
        self._children = IntervalIndex()
        self._aliases = IntervalIndex()
        self.spaces: list[AddressSpace] = []
        """The address spaces whose root this region is."""
        self.shown: dict[int, Any] = {}
        """What `keep_shown` was told, as long as nothing of it changed."""

    def __repr__(self) -> str:
        return f"<MemoryRegion {self.name!r} {self.kind} size={self._size:#x}>"

    @property
    def size(self) -> int:
        """Size in bytes, up to 2^64."""
        return self._size

    @property
    def address(self) -> int:
        """Address of the first byte within the container."""
        return self._address

    @property
    def enabled(self) -> bool:
        """Whether the region and all below it can be seen."""
        return self._enabled

    @property
    def readonly(self) -> bool:
        """Whether writes through this region are ignored."""
        return self._readonly

    @property
    def romd_mode(self) -> bool:
        """Whether a ROM device is read as memory just now."""
        return self._romd_mode

    @property
    def alias_offset(self) -> int:
        """Offset of an alias's first byte within the region that it aliases."""
        return self._alias_offset

    @property
    def dirty_log_mask(self) -> int:
        """The clients that want dirty logging; 0 means none. An alias has its target's."""
        return self._dirty_log_mask if self.alias is None else self.alias.dirty_log_mask

    @property
    def type_text(self) -> str:
        """The region's type as `info mtree` prints it; an alias has its target's."""
        if self.alias is not None:
            return self.alias.type_text
        if self.kind == ROM_DEVICE and self._romd_mode:
            return "romd"
        if self.kind == RAM or self.kind == ROM:
            return "rom" if self._readonly else "ram"
        return "i/o"

    @property
    def subregions(self) -> Iterable[MemoryRegion]:
        """The children, the one that is seen first where they overlap first."""
        return sorted([child for _, _, child in self.subregions_by_address], key=_visibility)

    def visible_subregions(self, start: int, end: int) -> list[MemoryRegion]:
        """The children that overlap `[start, end)` of this region, in the order of `subregions`."""
        found = self._children.overlapping(start, end) if self.subregions_by_address else []
        if len(found) > 1:
            found.sort(key=_visibility)
        return found

    # Changing the tree

    def add_subregion(self, address: int, child: MemoryRegion, priority: int = 0) -> None:
        """Put `child` at `address`; above all present children of the same priority."""
        if child.container is not None:
            raise ValueError(f"memory region '{child.name}' is already in '{child.container.name}'")
        with self.topology.transaction() as transaction:
            transaction.on_undo(lambda: self._detach(child))
            self._attach(address, child, priority)
            child.damage(0, child.size)

    def remove_subregion(self, child: MemoryRegion) -> None:
        """Take `child` out."""
        if child.container is not self:
            raise ValueError(f"memory region '{child.name}' is not in '{self.name}'")
        address, priority, order = child._address, child.priority, child._order
        with self.topology.transaction() as transaction:
            transaction.on_undo(lambda: self._attach(address, child, priority, order))
            child.damage(0, child.size)
            self._detach(child)

    def set_address(self, address: int) -> None:
        """Move within the container; the region is then the newest of its priority there."""
        container = self.container
        if container is None or address == self._address:
            return
        with self.topology.transaction():
            container.remove_subregion(self)
            container.add_subregion(address, self, self.priority)

    def set_size(self, size: int) -> None:
        """Resize; what is beyond the new end is no longer seen."""
        if not 0 <= size <= WHOLE_SPACE:
            raise ValueError(f"size {size:#x} of memory region '{self.name}' is outside [0, 2^64]")
        self._change("_size", size, max(size, self._size), placed=True)

    def set_alias_offset(self, offset: int) -> None:
        """Let an alias show another part of its target."""
        if self.alias is None:
            raise ValueError(f"memory region '{self.name}' is not an alias")
        self._change("_alias_offset", offset, self._size, placed=True)

    def set_enabled(self, enabled: bool) -> None:
        """Show or hide the region with all below it."""
        self._change("_enabled", enabled, self._size)

    def set_readonly(self, readonly: bool) -> None:
        """Let writes through this region be ignored, or not."""
        self._change("_readonly", readonly, self._size)

    def set_romd_mode(self, romd_mode: bool) -> None:
        """Let a ROM device be read as memory, or as registers."""
        if self.kind != ROM_DEVICE:
            raise ValueError(f"memory region '{self.name}' is not a ROM device")
        self._change("_romd_mode", romd_mode, self._size)

    def set_dirty_log_mask(self, mask: int) -> None:
        """Name the clients (bits) that want dirty logging of this memory, whichever way it is seen."""
        if self.alias is not None:
            self.alias.set_dirty_log_mask(mask)
        else:
            self._change("_dirty_log_mask", mask, self._size)

    def _change(self, attribute: str, value: object, extent: int, *, placed: bool = False) -> None:
        """Set one attribute in a transaction; `placed` says that the region's place in an index depends on it."""
        old = getattr(self, attribute)
        if old == value:
            return

        def assign(value: object) -> None:
            indexed = placed and self._placed
            if indexed:
                self._unindex()
            setattr(self, attribute, value)
            if indexed:
                self._index()
            if self.topology.keeps_shown:
                self._forget_shown()

        with self.topology.transaction() as transaction:
            transaction.on_undo(lambda: assign(old))
            self.damage(0, extent)
            assign(value)
            self.damage(0, extent)

    def become_root_of(self, space: AddressSpace) -> None:
        """Note that an address space has this region as its root."""
        if not self._placed:
            self._index()
        self.spaces.append(space)

    def leave_root_of(self, space: AddressSpace) -> None:
        """Note that an address space has this region as its root no more."""
        self.spaces.remove(space)
        if not self._placed:
            self._unindex()

    @property
    def _placed(self) -> bool:
        """Whether the region may be seen by anyone, and so is in the indexes of those whom it shows."""
        return self.container is not None or bool(self.spaces) or bool(self._aliases)

    def _attach(self, address: int, child: MemoryRegion, priority: int, order: tuple[int, int] | None = None) -> None:
        if child._placed:
            child._unindex()
        child.container = self
        child._address = address
        child.priority = priority
        child._order = order or (-priority, -self.topology.next_sequence())
        insort(self.subregions_by_address, (address, child._order, child))
        child._index()
        if self.topology.keeps_shown:
            child._forget_shown()

    def _detach(self, child: MemoryRegion) -> None:
        if self.topology.keeps_shown:
            child._forget_shown()
        child._unindex()
        del self.subregions_by_address[bisect_left(self.subregions_by_address, (child._address, child._order, child))]
        child.container = None
        child._address = 0
        if child._placed:
            child._index()

    def _index(self) -> None:
        if self.container is not None:
            self.container._children.add(self._address, self._size, self)
        if self.alias is not None:
            if not self.alias._placed:
                self.alias._index()
            self.alias._aliases.add(self._alias_offset, self._size, self)

    def _unindex(self) -> None:
        if self.container is not None:
            self.container._children.remove(self._address, self._size, self)
        if self.alias is not None:
            self.alias._aliases.remove(self._alias_offset, self._size, self)
            if not self.alias._placed:
                self.alias._unindex()

    # Who sees a change

    def keep_shown(self, address: int, shown: Any) -> None:
        """Keep what a view made of the region and all below it, with its first byte at `address`, until it changes."""
        self.topology.keeps_shown = True
        self.shown[address] = shown

    def _forget_shown(self) -> None:
        """Drop what views made of this region, of all that it is in, and of its aliases, which have its type."""
        region: MemoryRegion | None = self
        while region is not None:
            region.shown.clear()
            region = region.container
        for alias in self._aliases.all():
            alias._forget_shown()

    def damage(self, start: int, end: int) -> None:
        """Tell every address space that can see `[start, end)` of this region that it may show something else now.

        What is hidden by `enabled` is not told: showing it later damages it anyway. What shows nothing (no size, or
        outside its container) is told all the same, as damage to no byte: it still counts for `flatview_root`.
        """
        if not self._enabled:
            return
        start, end = max(start, 0), min(end, self._size)
        if start >= end:
            start = end = 0
        for space in self.spaces:
            space.damage(start, end)
        if self.container is not None:
            self.container.damage(start + self._address, end + self._address)
        for alias in self._aliases.overlapping(start, end) if start < end else self._aliases.all():
            alias.damage(start - alias._alias_offset, end - alias._alias_offset)

    def flatview_root(self) -> MemoryRegion | None:
        """The region that alone decides what this one shows, by which equal views are shared; None if it shows nothing.

        As observed of `info mtree -f`: an alias of a whole region, or a container with one visible child that fills its
        beginning, stands for that. One that makes what is below it read-only stands for itself.
        """
        region = self
        while region._enabled:
            if region._readonly or region.nonvolatile:
                return region
            if region.alias is not None:
                if region._alias_offset or region._size < region.alias._size:
                    return region
                region = region.alias
                continue
            if region.terminates:
                return region
            only = None
            for _, _, child in region.subregions_by_address:
                if child._enabled:
                    if only is not None:
                        return region
                    only = child
            if only is None:
                return None
            if only._address or region._size < only._size:
                return region
            region = only
        return None
