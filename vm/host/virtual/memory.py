"""A mapping of a virtual host: every page is accounted for, what was written is known, and nothing is mapped."""

# The methods of the interface are documented there, in ../__init__.py:
# ruff: noqa: D102

from __future__ import annotations

import errno

from .. import HostMemory, MissingPage, reach
from .contents import Contents
from .pages import refusal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from . import VirtualHost
    from .files import Inode
    from .pages import Pages

MAX_NODES = 1024
"""As many nodes as a kernel can be built for (MAX_NUMNODES)."""


class VirtualMemory(HostMemory):
    """A mapping made by `VirtualHost`."""

    __slots__ = ("_copies", "_first", "_host", "_inode", "_open", "_own", "_unit", "_writable_file", "committed")

    def __init__(
        self,
        host: VirtualHost,
        size: int,
        page_size: int,
        share: bool,
        readonly: bool,
        own: Pages | None,
        file: tuple[Inode, int, bool] | None = None,
    ) -> None:
        """`own` are the pages of anonymous memory or of private copies; `file` is an inode, the first byte mapped, and
        whether it was opened for writing."""
        self.address = 0
        self.size = size
        self.page_size = page_size
        self.share = share
        self.readonly = readonly
        self.counted = False
        self.committed = 0
        """Bytes that the host promised for it."""
        self._host = host
        self._own = own
        self._inode: Inode | None = None
        offset, self._writable_file = 0, True
        if file is not None:
            self._inode, offset, self._writable_file = file
        self._unit = host.page_size if self._inode is None else self._inode.system.page_size
        self._first = offset // self._unit
        self._open = True
        self._copies = Contents()
        """What the pages of its own hold."""
        if self._inode is not None:
            self._inode.users += 1

    def _layers(self, write: bool = True) -> list[tuple[Pages, int]]:
        """The pages that a touch needs, each with the number that the mapping's first page has there.

        A private page of a file is a copy of the file's, which is read before; hugetlbfs skips that. Who only reads
        gets the file's page, and of private memory the kernel's page of zeros.
        """
        layers = []
        if self._inode is not None and (self._own is None or not self._inode.system.huge):
            layers.append((self._inode.pages, self._first))
        if self._own is not None and (write or self.share) and not (self.readonly and layers):
            layers.append((self._own, 0))
        return layers

    def _check(self, start: int, length: int) -> None:
        if not self._open:
            raise ValueError("memory is closed")
        if start < 0 or length < 0 or start + length > self.size:
            raise ValueError(f"range {start:#x}+{length:#x} is not within memory of {self.size:#x} bytes")

    def read(self, offset: int, length: int) -> bytes:
        with self._host.lock:
            self._check(offset, length)
            self._fault(offset, length, write=False)
            parts = self._parts(offset, offset + length)
            return b"".join(contents.read(start + distance, end - start) for contents, distance, start, end in parts)

    def write(self, offset: int, data: bytes | memoryview) -> None:
        with self._host.lock:
            self._check(offset, len(data))
            self._fault(offset, len(data), write=True)
            contents, distance = self._written()
            contents.write(offset + distance, data)

    def populated(self, start: int, length: int, grain: int = 1) -> Iterator[tuple[int, int]]:
        with self._host.lock:
            self._check(start, length)
            if self._inode is not None or self._own is None:
                return super().populated(start, length)
            unit, end = self._unit, start + length
            runs = self._own.runs.within(start // unit, -(-end // unit))
        return ((max(first * unit, start), min(last * unit, end) - max(first * unit, start)) for first, last, _ in runs)

    def sum_words(self, offset: int, count: int, stride: int) -> int:
        with self._host.lock:
            self._check(offset, reach(count, stride))
            self._fault_each(offset, count, stride, write=False)
            total = 0
            for contents, distance, start, end in self._parts(offset, offset + reach(count, stride)):
                first = offset + -(-(start - offset) // stride) * stride  # of the words that are in this part
                if first < end:
                    total += contents.sum_words(first + distance, (end - 1 - first) // stride + 1, stride)
            return total & (1 << 64) - 1

    def write_words(self, offset: int, count: int, stride: int, value: int, step: int) -> None:
        with self._host.lock:
            self._check(offset, reach(count, stride))
            self._fault_each(offset, count, stride, write=True)
            contents, distance = self._written()
            contents.write_words(offset + distance, count, stride, value, step)

    def _written(self) -> tuple[Contents, int]:
        """What is written goes where, and how much further on that is there."""
        if self._own is not None:
            return self._copies, 0
        assert self._inode is not None, "memory has pages of its own or is a file's"
        return self._inode.contents, self._first * self._unit

    def _parts(self, offset: int, end: int) -> list[tuple[Contents, int, int, int]]:
        """Where the bytes of an interval are, how much further on they are there, and which they are: pages of its own
        hide a file's."""
        if self._inode is None:
            return [(self._copies, 0, offset, end)]
        distance = self._first * self._unit
        parts: list[tuple[Contents, int, int, int]] = []
        if self._own is not None:
            for first, last, _ in self._own.runs.within(offset // self._unit, -(-end // self._unit)):
                start, stop = max(first * self._unit, offset), min(last * self._unit, end)
                if start > offset:
                    parts.append((self._inode.contents, distance, offset, start))
                parts.append((self._copies, 0, start, stop))
                offset = stop
        if offset < end:
            parts.append((self._inode.contents, distance, offset, end))
        return parts

    def _fault_each(self, offset: int, count: int, stride: int, write: bool) -> None:
        if stride <= self._unit:
            self._fault(offset, reach(count, stride), write)
        else:
            for place in range(offset, offset + count * stride, stride):
                self._fault(place, 8, write)

    def _fault(self, offset: int, length: int, write: bool) -> None:
        """Have the pages that an access needs; raises `MissingPage` with the first that cannot be had."""
        if not length:
            return
        if write and self.readonly:
            raise MissingPage(offset, errno.EFAULT, refusal(errno.EFAULT).strerror or "")
        first, last = offset // self._unit, -(-(offset + length) // self._unit)
        try:
            self._populate(first, last, write)
        except OSError as error:
            missing = last
            for pages, distance in self._layers(write):
                for start, _ in pages.runs.gaps(first + distance, last + distance):
                    missing = min(missing, start - distance)
            place = max(missing * self._unit, offset)
            raise MissingPage(place, error.errno or 0, error.strerror or "") from None

    def advise_merge(self, merge: bool) -> None:
        self._check(0, 0)

    def advise_dump(self, dump: bool) -> None:
        self._check(0, 0)

    def bind(self, policy: str, nodes: Iterable[int]) -> None:
        nodes = list(nodes)
        with self._host.lock:
            self._check(0, 0)
            try:
                if any(node >= MAX_NODES for node in nodes):
                    raise ValueError("no such node")
                chosen = self._host.topology.policy(policy, nodes)
            except ValueError:
                raise refusal(errno.EINVAL) from None
            for pages, first in self._layers():
                pages.bind(chosen, first, first + self.size // self._unit)

    def populate(self, start: int, length: int) -> None:
        with self._host.lock:
            self._check(start, length)
            if start % self._host.page_size:
                raise refusal(errno.EINVAL)
            self._populate(start // self._unit, -(-(start + length) // self._unit), write=True)

    def _populate(self, first: int, last: int, write: bool) -> None:
        """Have pages by number, of a file no more than it has; a page of its own begins as the file's."""
        there = last if self._inode is None else max(min(last, self._inode.page_count - self._first), first)
        layers = self._layers(write)
        if len(layers) > 1:
            self._populate_in_turn(layers, first, there)
        else:
            self._populate_layers(layers, first, there)
        if there < last:
            raise refusal(errno.EFAULT)

    def _populate_in_turn(self, layers: list[tuple[Pages, int]], first: int, last: int) -> None:
        """Have pages one by one in all layers, as faults do: as many at once as come from the same nodes."""
        step = last - first
        while first < last:
            step = min(step, last - first)
            empty = [{node for node, free in pages.pool.free.items() if not free} for pages, _ in layers]
            gaps = [pages.runs.gaps(first + distance, first + step + distance) for pages, distance in layers]
            try:
                self._populate_layers(layers, first, first + step)
                exhausted = any(
                    not free and node not in before
                    for (pages, _), before in zip(layers, empty, strict=True)
                    for node, free in pages.pool.free.items()
                )
            except OSError:
                if step == 1:
                    raise
                exhausted = True
            if exhausted and step > 1:
                for (pages, _), absent in zip(layers, gaps, strict=True):
                    for gap in absent:
                        pages.discard(*gap)
                step = (step + 1) // 2
            else:
                first += step
                step *= 2

    def _populate_layers(self, layers: list[tuple[Pages, int]], first: int, last: int) -> None:
        gaps = self._own.runs.gaps(first, last) if self._own is not None and self._inode is not None else []
        try:
            for pages, distance in layers:
                pages.populate(first + distance, last + distance)
        finally:
            if self._own is not None and self._inode is not None:
                for gap in gaps:
                    for start, end, _ in self._own.runs.within(*gap):
                        self._copies.copy(
                            self._inode.contents, start * self._unit, end * self._unit, self._first * self._unit
                        )

    def discard(self, start: int, length: int) -> None:
        with self._host.lock:
            self._check(start, length)
            if start % self._host.page_size:
                raise refusal(errno.EINVAL)
            first, last = -(-start // self._unit), (start + length) // self._unit
            if self._own is not None:
                self._own.discard(first, last)
                self._copies.discard(first * self._unit, last * self._unit)
            elif self.share and self._inode is not None:
                if not self._writable_file:
                    raise refusal(errno.EACCES)
                self._inode.discard(first + self._first, last + self._first)

    def residency(self) -> dict[int, int]:
        """Bytes that are there, by node."""
        found: dict[int, int] = {}
        layers = self._layers()[-1:]  # a private copy stands before what it was copied from
        for pages, first in layers if self._open else []:
            for node, size in pages.residency(first, first + self.size // self._unit).items():
                found[node] = found.get(node, 0) + size
        return found

    def page_nodes(self, offsets: Sequence[int]) -> list[int | None]:
        pages, first = self._layers()[-1]
        with self._host.lock:
            self._check(0, max(offsets, default=-1) + 1)
            return [pages.node(first + offset // self._unit) for offset in offsets]

    def close(self) -> None:
        with self._host.lock:
            if not self._open:
                return
            self._open = False
            if self._own is not None:
                self._own.cut(0)
            if self._inode is not None:
                self._inode.release()
            self._host.unmapped(self)
