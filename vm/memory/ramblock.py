"""The RAMBlock table: which memory has which place in the ram-address space, and in which order it is listed.

The placement and order rules are those observed of QEMU 7.2 over random sequences of adding and removing backends.
"""

from __future__ import annotations

from _bisect import bisect_left
from _bisect import insort_right as insort

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..host import HostMemory, MissingPage

RAM_ADDRESS_END = 1 << 64


class BlockPageMissing(Exception):  # noqa: N818 (named for what it tells)
    """The host has no page for a block's memory."""

    def __init__(self, block: RAMBlock, missing: MissingPage) -> None:
        super().__init__(missing.strerror)
        self.block = block
        self.missing = missing


class RAMBlock:
    """One piece of guest memory: its name in the migration stream, its place, its host memory.

    `offset` is the block's ram address. `used_length` is what the guest sees, `max_length` what is reserved for it.
    The name is empty while nothing uses the block, or aliases migrate in place of it.

    A block made by `alias` has no memory of its own: it is what `aliased` has from `aliased_offset` on, which migrates
    by the alias's name in place of that block's. Otherwise `aliased` is None, and `host` begins with the block.
    """

    __slots__ = (
        "aliased",
        "aliased_offset",
        "aliases",
        "closed",
        "host",
        "max_length",
        "name",
        "offset",
        "readonly",
        "region_name",
        "resizeable",
        "shared",
        "shown",
        "used_length",
    )

    def __init__(
        self,
        region_name: str,
        used_length: int,
        max_length: int,
        host: HostMemory,
        *,
        shared: bool = False,
        readonly: bool = False,
    ) -> None:
        self.name = ""
        self.region_name = region_name
        self.used_length = used_length
        self.max_length = max_length
        self.host = host
        self.shared = shared
        self.readonly = readonly
        self.resizeable = max_length != used_length
        self.offset = 0
        self.aliased: RAMBlock | None = None
        self.aliased_offset = 0
        self.aliases: tuple[RAMBlock, ...] = ()
        """The aliases of this block that have not been closed, by `aliased_offset`; they never overlap."""
        self.closed = False
        self.shown: object = None
        """What a view made of the block, and keeps here until it changes."""

    @classmethod
    def alias(cls, region_name: str, target: RAMBlock, offset: int, length: int) -> RAMBlock:
        """A block that is `length` bytes of `target` from `offset` on.

        Raises `ValueError` for bytes that the target does not own, or that another alias is already.
        """
        end = offset + length
        if target.aliased is not None or target.closed or not 0 <= offset < end <= target.max_length:
            raise ValueError(f"{target!r} does not own [{offset:#x}, {end:#x})")
        if any(offset < other.aliased_end and other.aliased_offset < end for other in target.aliases):
            raise ValueError(f"[{offset:#x}, {end:#x}) of {target!r} overlaps another alias")
        block = cls(region_name, length, length, target.host, shared=target.shared, readonly=target.readonly)
        block.aliased = target
        block.aliased_offset = offset
        target.aliases = tuple(sorted((*target.aliases, block), key=lambda alias: alias.aliased_offset))
        return block

    def close(self) -> None:
        """Let go of the host memory: it is unmapped when the block that owns it and all aliases of that are closed.

        A second time does nothing. Raises `BufferError`, nothing changed, if it would be unmapped while somebody holds
        a view of it.
        """
        below = self.aliased or self
        aliases = tuple(alias for alias in below.aliases if alias is not self)
        if not aliases and (below.closed or below is self):
            self.host.close()
        below.aliases = aliases
        self.closed = True

    @property
    def shown_name(self) -> str:
        """The name for people: the region's where the block has none."""
        return self.name or self.region_name

    @property
    def migratable(self) -> bool:
        """Whether the block is in the migration stream, which is when it has a name."""
        return self.name != ""

    @property
    def aliased_end(self) -> int:
        """Where in `aliased` the block ends."""
        return self.aliased_offset + self.max_length

    @property
    def host_address(self) -> int:
        """Where the block begins in this process."""
        return self.host.address + self.aliased_offset

    @property
    def page_size(self) -> int:
        """Size of a host page of this block's memory, in bytes."""
        return self.host.page_size

    def __repr__(self) -> str:
        return f"<RAMBlock {self.name!r} offset={self.offset:#x} used={self.used_length:#x} max={self.max_length:#x}>"


class RAMBlockTable:
    """All RAMBlocks of a machine, in the order in which QEMU lists them: largest first, equals by age.

    `alignment` is the granularity of offsets: 64 target pages.
    """

    __slots__ = ("_by_offset", "_gaps", "_listed", "_names", "_sequence", "alignment", "changes")

    def __init__(self, alignment: int = 64 * 4096) -> None:
        self.alignment = alignment
        self.changes = 0
        """How often something changed; as long as it is the same, so is all that the table tells."""
        self._sequence = 0
        self._listed: list[tuple[int, int, RAMBlock]] = []
        """`(-max_length, age, block)`, sorted: the order of the list."""
        self._by_offset: list[tuple[int, int, int, RAMBlock]] = []
        """`(offset, -max_length, age, block)`, sorted."""
        self._gaps: list[tuple[int, int, int, RAMBlock]] = []
        """`(free bytes behind the block, -max_length, age, block)`, sorted."""
        self._names: dict[str, RAMBlock] = {}

    def __iter__(self) -> Iterator[RAMBlock]:
        return (entry[2] for entry in self._listed)

    def __len__(self) -> int:
        return len(self._listed)

    def add(self, block: RAMBlock) -> None:
        """Give `block` its offset and list it; raises `OverflowError` if the ram-address space is full.

        The offset is the start of the smallest gap behind an existing block that fits; among equals, the gap whose
        block is listed first. Space before the first block is never used while any block exists.
        """
        fitting = bisect_left(self._gaps, (block.max_length,))
        if self._gaps and fitting == len(self._gaps):
            raise OverflowError(f"no room for {block.max_length:#x} bytes in the ram-address space")
        self.changes += 1
        block.shown = None
        block.offset = self._after(self._gaps[fitting][3]) if self._gaps else 0
        self._sequence += 1
        insort(self._listed, (-block.max_length, self._sequence, block))
        entry = (block.offset, -block.max_length, self._sequence, block)
        position = bisect_left(self._by_offset, entry)
        if position:
            self._forget_gap(position - 1)
        self._by_offset.insert(position, entry)
        for changed in range(max(position - 1, 0), position + 1):
            insort(self._gaps, self._gap(changed))

    def remove(self, block: RAMBlock) -> None:
        """Take `block` out of the list; its offset may be used anew."""
        self.changes += 1
        position = bisect_left(self._by_offset, (block.offset,))
        _, order, age, _ = self._by_offset[position]
        for changed in range(max(position - 1, 0), position + 1):
            self._forget_gap(changed)
        del self._by_offset[position]
        self._names.pop(block.name, None)
        if position:
            insort(self._gaps, self._gap(position - 1))
        del self._listed[bisect_left(self._listed, (order, age))]

    def named(self, name: str) -> RAMBlock | None:
        """The block with this (non-empty) name, if there is one."""
        return self._names.get(name)

    def rename(self, block: RAMBlock, name: str) -> None:
        """Give `block` its name in the migration stream, or take it away with an empty one.

        Raises `ValueError` if another block has that name.
        """
        if self._names.get(name, block) is not block:
            raise ValueError(name)
        self.changes += 1
        self._names.pop(block.name, None)
        block.shown = None
        block.name = name
        if name:
            self._names[name] = block

    def resize(self, name: str, used_length: int) -> None:
        """Have more or less of a block in use, within what is reserved for it."""
        block = self._names[name]
        self.changes += 1
        block.shown = None
        block.used_length = used_length

    def _after(self, block: RAMBlock) -> int:
        return -(-(block.offset + block.max_length) // self.alignment) * self.alignment

    def _gap(self, position: int) -> tuple[int, int, int, RAMBlock]:
        """The entry of `_gaps` for the block at `position` of `_by_offset`."""
        _, order, age, block = self._by_offset[position]
        following = self._by_offset[position + 1][0] if position + 1 < len(self._by_offset) else RAM_ADDRESS_END
        return (following - self._after(block), order, age, block)

    def _forget_gap(self, position: int) -> None:
        del self._gaps[bisect_left(self._gaps, self._gap(position))]
