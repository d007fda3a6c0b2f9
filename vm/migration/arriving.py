"""What a stream brings, put into guest memory: contents, and zeros where there was something else."""

from __future__ import annotations

from itertools import takewhile

from ..memory.stream import owned_pieces

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ..host import HostMemory
    from ..memory.ramblock import RAMBlock
    from .events import Pages

CHUNK = 64 << 20
"""Bytes of which it is asked at once which are there."""
MOST_BYTES = 1 << 20
"""That are compared at once."""
THERE, ABSENT = b"\1", b"\0"
MOST_PARTS = 1024
"""Of memory that one call fills (IOV_MAX)."""


class Landing:
    """Memory whose contents come next on a channel: they are put there by the kernel, and are nowhere else before."""

    def __init__(self, parts: list[tuple[HostMemory, int, int]]) -> None:
        self._parts = parts
        """What is left: memory, offset and length."""

    @property
    def complete(self) -> bool:
        """Whether all have come."""
        return not self._parts

    def receive(self, fd: int) -> int:
        """Take what there is; returns how many bytes came, 0 at the end. Raises `MissingPage` and `OSError`."""
        memory = self._parts[0][0]
        together = takewhile(lambda part: part[0] is memory, self._parts[:MOST_PARTS])
        came = left = memory.receive(fd, [(offset, length) for _memory, offset, length in together])
        while left:
            _memory, offset, length = self._parts[0]
            done = min(left, length)
            left -= done
            self._parts[:1] = [(memory, offset + done, length - done)] if done < length else []
        return came


class Arrivals:
    """The memory of one machine while it comes. `page_size` is the stream's."""

    def __init__(self, page_size: int) -> None:
        self._page_size = page_size
        self._there: dict[tuple[RAMBlock, int], bytearray] = {}
        """Of blocks that own memory, by the chunk: for each page whether it may hold something, and no bytes if none
        does; what is not told was not asked yet."""

    def put(self, block: RAMBlock, pages: Pages) -> None:
        """Have the contents of pages in a block, and zeros; raises `MissingPage`."""
        if block.aliased is not None or block.aliases:
            return self._put_divided(block, pages)
        page_size, position = self._page_size, 0
        runs: list[tuple[int, memoryview]] = []
        for offset, count, contents in pages.runs:
            length = count * page_size
            if offset < position:  # what comes twice is what came last
                block.host.write_pages(runs, page_size, pages.stride)
                runs = []
            position = offset + length
            if contents is None:
                self._clear(block, offset, length)
            else:
                self._mark(block, offset, length)
                runs.append((offset, contents))
        block.host.write_pages(runs, page_size, pages.stride)
        return None

    def _put_divided(self, block: RAMBlock, pages: Pages) -> None:
        """The same, with memory that several blocks have."""
        for offset, count, contents in pages.runs:
            if contents is None:
                self.clear(block, offset, count * self._page_size)
                continue
            for number in range(count):
                start = number * pages.stride
                page = contents[start : start + self._page_size]
                self.write_bytes(block, offset + number * self._page_size, page)

    def write_bytes(self, block: RAMBlock, start: int, data: bytes | memoryview) -> None:
        """Have some bytes in a block; raises `MissingPage`."""
        for owner, owner_offset, offset, length in owned_pieces(block, start, len(data)):
            self._mark(owner, owner_offset, length)
            owner.host.write(owner_offset, data[offset - start : offset - start + length])

    def landing(self, block: RAMBlock, parts: Iterable[tuple[int, int]]) -> Landing:
        """Where parts of a block are, offset and length each, whose contents come next."""
        owned = []
        for start, length in parts:
            for owner, owner_offset, _offset, piece in owned_pieces(block, start, length):
                self._mark(owner, owner_offset, piece)
                owned.append((owner.host, owner_offset, piece))
        return Landing(owned)

    def clear(self, block: RAMBlock, start: int, length: int) -> None:
        """Have zeros in a part of a block; pages that are not there, or have them already, are left alone.

        Raises `MissingPage`.
        """
        for owner, owner_offset, _offset, piece in owned_pieces(block, start, length):
            self._clear(owner, owner_offset, piece)

    def _clear(self, owner: RAMBlock, offset: int, length: int) -> None:
        for chunk, first, last in self._by_chunks(offset, length):
            there = self._pages_there(owner, chunk)
            while (first := there.find(THERE, first, last)) >= 0:
                end = there.find(ABSENT, first, last)
                end = min(last if end < 0 else end, first + max(MOST_BYTES // self._page_size, 1))
                self._clear_pages(owner, chunk * CHUNK + first * self._page_size, (end - first) * self._page_size)
                first = end

    def _clear_pages(self, owner: RAMBlock, offset: int, length: int) -> None:
        zeros = bytes(min(length, owner.host.size - offset))
        if owner.host.read(offset, len(zeros)) != zeros:
            owner.host.write(offset, zeros)

    def _mark(self, owner: RAMBlock, offset: int, length: int) -> None:
        for chunk, first, last in self._by_chunks(offset, length):
            self._set(self._pages_there(owner, chunk), first, last)

    def _set(self, there: bytearray, first: int, last: int) -> None:
        if not there:
            there.extend(bytes(CHUNK // self._page_size))
        there[first:last] = THERE * (last - first)

    def _by_chunks(self, offset: int, length: int) -> Sequence[tuple[int, int, int]]:
        """The chunks that a part of a block lies in, and its pages in each, from the first to behind the last."""
        chunk, start = divmod(offset, CHUNK)
        end, page_size = start + length, self._page_size
        if end <= CHUNK:
            return ((chunk, start // page_size, -(-end // page_size)),)
        parts = []
        while end > 0:
            parts.append((chunk, start // page_size, -(-min(end, CHUNK) // page_size)))
            chunk, start, end = chunk + 1, 0, end - CHUNK
        return parts

    def _pages_there(self, owner: RAMBlock, chunk: int) -> bytearray:
        there = self._there.get((owner, chunk))
        if there is not None:
            return there
        # The first time, before anything comes: a huge page that is made for one page makes its neighbours be there.
        begin = chunk * CHUNK
        there = self._there[owner, chunk] = bytearray()
        for start, length in owner.host.populated(begin, min(CHUNK, owner.host.size - begin)):
            for _chunk, first, last in self._by_chunks(start, length):
                self._set(there, first, last)
        return there
