"""A mapping of a virtual host: every page is accounted for, and none is mapped until somebody looks at the bytes."""

# The methods of the interface are documented there, in ../__init__.py:
# ruff: noqa: D102

from __future__ import annotations

import errno

from .. import HostMemory
from .pages import refusal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from . import VirtualHost
    from .files import Inode
    from .pages import Pages

MAX_NODES = 1024
"""As many nodes as a kernel can be built for (MAX_NUMNODES)."""


class VirtualMemory(HostMemory):
    """A mapping made by `VirtualHost`."""

    __slots__ = ("_first", "_host", "_inode", "_open", "_own", "_real", "_unit", "_writable_file", "committed")

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
        self._real: HostMemory | None = None
        if self._inode is not None:
            self._inode.users += 1

    def _layers(self) -> list[tuple[Pages, int]]:
        """The pages that a touch needs, each with the number that the mapping's first page has there.

        A private page of a file is a copy of the file's, which is read before; hugetlbfs skips that.
        """
        layers = []
        if self._inode is not None and (self._own is None or not self._inode.system.huge):
            layers.append((self._inode.pages, self._first))
        if self._own is not None and not (self.readonly and layers):
            layers.append((self._own, 0))
        return layers

    def _check(self, start: int, length: int) -> None:
        if not self._open:
            raise ValueError("memory is closed")
        if start < 0 or length < 0 or start + length > self.size:
            raise ValueError(f"range {start:#x}+{length:#x} is not within memory of {self.size:#x} bytes")

    def view(self, offset: int, length: int) -> memoryview:
        with self._host.lock:
            self._check(offset, length)
            if self._real is None:
                self._real = self._host.real_memory(self, self._inode, self._first * self._unit)
            return self._real.view(offset, length)

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
            first, last = start // self._unit, -(-(start + length) // self._unit)
            reach = last if self._inode is None else min(last, self._inode.page_count - self._first)
            for pages, offset in self._layers():
                pages.populate(first + offset, reach + offset)
            if reach < last and first < last:
                raise refusal(errno.EFAULT)

    def touched(self, offset: int, count: int, stride: int) -> None:
        page_size = self._host.page_size
        if stride <= page_size:
            start = offset // page_size * page_size
            self.populate(start, min(offset + (count - 1) * stride + 8, self.size) - start)
            return
        for place in range(offset, offset + count * stride, stride):
            self.populate(place // page_size * page_size, page_size)

    def discard(self, start: int, length: int) -> None:
        with self._host.lock:
            self._check(start, length)
            if start % self._host.page_size:
                raise refusal(errno.EINVAL)
            first, last = -(-start // self._unit), (start + length) // self._unit
            if self._own is not None:
                self._own.discard(first, last)
            elif self.share and self._inode is not None:
                if not self._writable_file:
                    raise refusal(errno.EACCES)
                self._inode.pages.discard(first + self._first, last + self._first)
            if self._real is not None:
                self._real.discard(start, length)

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
            if self._real is not None:
                self._real.close()
            self._open = False
            if self._own is not None:
                self._own.cut(0)
            if self._inode is not None:
                self._inode.release()
            self._host.unmapped(self)
