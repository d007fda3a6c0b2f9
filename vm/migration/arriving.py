"""What a stream brings, put into guest memory: contents, and zeros where there was something else."""

from __future__ import annotations

from itertools import takewhile

from ..memory.stream import owned_pieces

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ..host import HostMemory
    from ..memory.ramblock import RAMBlock
    from .events import Pages

CHUNK = 64 << 20
"""Bytes of which it is asked at once which are there."""
MOST_BYTES = 1 << 20
"""That are compared at once."""
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
        self._there: dict[tuple[RAMBlock, int], int] = {}
        """Of blocks that own memory, by the chunk: a bit for each page that may hold something; what is not told was
        not asked yet."""

    def write(self, block: RAMBlock, pages: Pages) -> None:
        """Have the contents of pages in a block; raises `MissingPage`."""
        page_size, stride = self._page_size, pages.stride
        for owner, owner_offset, offset, length in owned_pieces(block, pages.offset, pages.count * page_size):
            first, count = (offset - pages.offset) // page_size, length // page_size
            if (offset - pages.offset) % page_size or length % page_size:
                return self.write_bytes(block, pages.offset, b"".join(pages.pieces))
            data = pages.data[first * stride : (first + count) * stride]
            self._mark(owner, owner_offset, length)
            owner.host.write_pages(owner_offset, data, page_size, stride)
        return None

    def write_bytes(self, block: RAMBlock, start: int, data: bytes | memoryview) -> None:
        """Have some bytes in a block; raises `MissingPage`."""
        for owner, owner_offset, offset, length in owned_pieces(block, start, len(data)):
            self._mark(owner, owner_offset, length)
            owner.host.write(owner_offset, data[offset - start : offset - start + length])

    def landing(self, runs: Iterable[tuple[RAMBlock, int, int]]) -> Landing:
        """Where parts of blocks are whose contents come next: block, offset and length of each."""
        parts = []
        for block, start, length in runs:
            for owner, owner_offset, _offset, piece in owned_pieces(block, start, length):
                self._mark(owner, owner_offset, piece)
                parts.append((owner.host, owner_offset, piece))
        return Landing(parts)

    def clear(self, block: RAMBlock, start: int, length: int) -> None:
        """Have zeros in a part of a block; pages that are not there, or have them already, are left alone.

        Raises `MissingPage`.
        """
        for owner, owner_offset, _offset, piece in owned_pieces(block, start, length):
            for chunk, pages in self._by_chunks(owner_offset, piece):
                there = self._there.get((owner, chunk))
                if there is None:
                    there = self._there[owner, chunk] = self._ask(owner, chunk)
                if there & pages:
                    self._clear_pages(owner, chunk, there & pages)

    def _clear_pages(self, owner: RAMBlock, chunk: int, pages: int) -> None:
        page_size, number = self._page_size, 0
        while pages:
            skipped = (pages & -pages).bit_length() - 1
            number, pages = number + skipped, pages >> skipped
            count = min((~pages & (pages + 1)).bit_length() - 1, max(MOST_BYTES // page_size, 1))
            offset = chunk * CHUNK + number * page_size
            zeros = bytes(min(count * page_size, owner.host.size - offset))
            if owner.host.read(offset, len(zeros)) != zeros:
                owner.host.write(offset, zeros)
            number, pages = number + count, pages >> count

    def _mark(self, owner: RAMBlock, offset: int, length: int) -> None:
        for chunk, pages in self._by_chunks(offset, length):
            if (owner, chunk) in self._there:
                self._there[owner, chunk] |= pages

    def _by_chunks(self, offset: int, length: int) -> Iterator[tuple[int, int]]:
        """The chunks that a part of a block's memory lies in, and which pages of each."""
        end = offset + length
        for chunk in range(offset // CHUNK, -(-end // CHUNK)):
            first = max(offset - chunk * CHUNK, 0) // self._page_size
            last = -(-min(end - chunk * CHUNK, CHUNK) // self._page_size)
            yield chunk, (1 << last) - (1 << first)

    def _ask(self, owner: RAMBlock, chunk: int) -> int:
        start = chunk * CHUNK
        there = 0
        for first, length in owner.host.populated(start, min(CHUNK, owner.host.size - start)):
            for _chunk, pages in self._by_chunks(first, length):
                there |= pages
        return there
