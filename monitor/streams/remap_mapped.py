"""`ramslot stream remap` of a file whose pages have fixed places (`mapped-ram`), into another such file."""

from __future__ import annotations

from ...vm.errors import VMError
from ...vm.migration import format as fmt
from ...vm.migration.mapped import mark
from ...vm.streams.errors import NotUnderstoodError
from ...vm.streams.mapped_remap import MappedRemap
from ...vm.streams.parts import BlockList, PageRun
from ...vm.streams.walk import Walker
from .memory import SparseFile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ...vm.streams.block_map import Layout
    from ...vm.streams.remap import Map
    from .files import StreamFile

PORTION = 1 << 20
BITMAP_PAGES = 1 << 19
"""Whose bits are written together."""


def has_fixed_places(file: StreamFile) -> bool:
    """Whether a stream's pages have fixed places in its file; it is read from its beginning then. Raises `VMError`."""
    if file.start is None:
        return False
    walker = Walker(origin=file.start)
    while walker.configuration is None:
        count = file.read_into(walker.room())
        for _part in walker.walk(count):
            break
    file.go_to(0)
    return walker.is_mapped


def remap_mapped(
    file: StreamFile, path: str, block_map: Map, page_size: int | None, tell: Callable[[], None]
) -> Layout:
    """Write the new file, and return what became of the blocks; raises `VMError`."""
    walker = Walker(page_size, origin=file.start)
    target = SparseFile(path)
    done = False
    try:
        target.create(0)
        writing = _Writing(target, block_map)
        count = 1
        while count:
            room = walker.room()
            file.go_to(walker.place)
            count = file.read_into(room)
            for part in walker.walk(count):
                writing.take(part, walker)
            tell()
        writing.copy_rest(file)
        done = True
    finally:
        target.close(keep=done)
    assert writing.layout is not None, "the list of blocks has come"
    return writing.layout


class _Writing:
    """The new file while it grows."""

    def __init__(self, target: SparseFile, block_map: Map) -> None:
        self._target = target
        self._map = block_map
        self._start = self._end = 0
        self._remap: MappedRemap | None = None
        self.layout: Layout | None = None

    def take(self, part: object, walker: Walker) -> None:
        if isinstance(part, BlockList):
            blocks = [(name, length) for name, length, _address in part.blocks]
            self.layout = self._map.layout(blocks, walker.page_size)
            self._start, self._end = walker.list_start, walker.position
            self._remap = MappedRemap(self._start, part, self.layout, walker.page_size)
            for at, entry in self._remap.entries:
                self._target.write(at, [memoryview(entry)])
        elif isinstance(part, PageRun) and part.kind == fmt.PAGE:
            assert self._remap is not None, "pages of unknown blocks are refused"
            content = memoryview(walker.buffer)[part.body : part.body + part.count * part.size]
            for place, first, skip, count in self._remap.targets(part):
                data = content[skip * part.size : (skip + count) * part.size]
                self._target.write(place.pages + first * part.size, [data])
                self._mark(place.bitmap, first, first + count)

    def _mark(self, bitmap: int, first: int, end: int) -> None:
        """Say that pages are there."""
        while first < end:
            at, stop = first // 8, min(end, first // 8 * 8 + BITMAP_PAGES)
            size = -(-stop // 8) - at
            bits = bytearray(self._target.read(bitmap + at, size).ljust(size, b"\0"))
            mark(bits, first - at * 8, stop - at * 8, there=True)
            self._target.write(bitmap + at, [memoryview(bits)])
            first = stop

    def copy_rest(self, file: StreamFile) -> None:
        """Copy the stream before and behind the list of RAMBlocks as it is."""
        if self._remap is None:
            raise NotUnderstoodError("the source tells of no RAMBlocks before its memory ends")
        buffer = memoryview(bytearray(PORTION))
        file.go_to(0)
        at, left = 0, self._start + 8
        while left:
            count = file.read_into(buffer[:left])
            if not count:
                raise VMError(f"'{file.path}' became shorter meanwhile")
            self._target.write(at, [buffer[:count]])
            at, left = at + count, left - count
        file.go_to(self._end)
        at = self._remap.end
        while count := file.read_into(buffer):
            self._target.write(at, [buffer[:count]])
            at += count
