"""The virtual host's accounting against a model that keeps every page by itself."""

from __future__ import annotations

import errno
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from ramslot.vm.host import HostMemory
from ramslot.vm.host.virtual import VirtualHost
from ramslot.vm.host.virtual.reading import parse_description

SMALL = 4096
HUGE = 8192
NODES = (0, 1, 2, 3)
DISTANCES = {0: [10, 20, 30, 40], 1: [20, 10, 20, 30], 2: [30, 20, 10, 20], 3: [40, 30, 20, 10]}
KINDS = ("anonymous", "shared", "memfd", "memfd private", "huge", "huge private")


class RefusedError(Exception):
    """The model refuses, with an errno."""


class Area:
    """Pages by number: the node of each that is there, and those that are promised."""

    def __init__(self, size: int, counts_promises: bool = False) -> None:
        self.size = size
        self.nodes: dict[int, int] = {}
        self.promised: set[int] = set()
        self.keeps_promises = False
        self.counts_promises = counts_promises
        self.policy: tuple[str, list[int]] = ("default", [])


class Model:
    """What the kernel does, page by page."""

    def __init__(self, free: dict[tuple[int, int], int], policy: int, limit: int, everything: int, local: int) -> None:
        self.free = free
        self.promised = {HUGE: 0}
        self.committed = 0
        self.policy = policy
        self.limit = limit
        self.everything = everything
        self.local = local

    def candidates(self, area: Area, page: int) -> list[int]:
        mode, nodes = area.policy
        wanted = {"default": [self.local], "preferred": nodes[:1], "bind": [self.local], "interleave": nodes}[mode]
        first = wanted[page % len(wanted)]
        near = sorted(NODES, key=lambda node: (DISTANCES[first][node] + (node < first), node))
        return [node for node in near if mode != "bind" or node in nodes]

    def fill(self, area: Area, page: int) -> None:
        if page in area.nodes:
            return
        if page not in area.promised:
            if area.size == HUGE and sum(self.free[HUGE, node] for node in NODES) <= self.promised[HUGE]:
                raise RefusedError(errno.EFAULT)
            if area.counts_promises and self.policy == 2 and self.committed + SMALL > self.limit:
                raise RefusedError(errno.EFAULT)
        for node in self.candidates(area, page):
            if self.free[area.size, node]:
                break
        else:
            raise RefusedError(errno.EFAULT if area.size == HUGE else errno.ENOMEM)
        self.free[area.size, node] -= 1
        area.nodes[page] = node
        if page in area.promised:
            area.promised.remove(page)
            self.promised[HUGE] -= 1
        self.committed += SMALL * area.counts_promises

    def empty(self, area: Area, page: int) -> None:
        if page in area.nodes:
            self.free[area.size, area.nodes.pop(page)] += 1
            self.committed -= SMALL * area.counts_promises
            if area.keeps_promises:
                area.promised.add(page)
                self.promised[HUGE] += 1

    def forget(self, area: Area) -> None:
        area.keeps_promises = False
        for page in list(area.nodes):
            self.empty(area, page)
        self.promised[HUGE] -= len(area.promised)
        area.promised.clear()

    def promise_pages(self, area: Area, pages: int, private: bool) -> None:
        new = set(range(pages)) - set(area.nodes) - area.promised
        if len(new) > sum(self.free[HUGE, node] for node in NODES) - self.promised[HUGE]:
            raise RefusedError(errno.ENOMEM)
        self.promised[HUGE] += len(new)
        area.promised |= new
        area.keeps_promises = private

    def commit(self, size: int) -> None:
        if (self.policy == 0 and size > self.everything) or (self.policy == 2 and self.committed + size > self.limit):
            raise RefusedError(errno.ENOMEM)
        self.committed += size


class Mapping:
    """A mapping of the host beside what the model knows of it."""

    def __init__(
        self, memory: HostMemory, kind: str, own: Area | None, file: dict[str, Any] | None, commit: int
    ) -> None:
        self.memory = memory
        self.kind = kind
        self.own = own
        self.file = file
        self.commit = commit

    @property
    def layers(self) -> list[Area]:
        """What a touch fills."""
        found = []
        if self.file is not None and self.kind != "huge private":
            found.append(self.file["area"])
        return found if self.own is None else [*found, self.own]


policies: st.SearchStrategy[tuple[str, list[int]]] = st.one_of(
    st.just(("default", [])),
    st.tuples(
        st.sampled_from(["bind", "preferred", "interleave"]),
        st.lists(st.sampled_from(NODES), min_size=1, unique=True).map(sorted),
    ),
)


class VirtualHostMachine(RuleBasedStateMachine):
    """Maps, binds, populates, discards and unmaps, and compares after every step."""

    @initialize(
        small=st.lists(st.integers(0, 4), min_size=4, max_size=4).filter(any),
        huge=st.lists(st.integers(0, 4), min_size=4, max_size=4),
        policy=st.integers(0, 2),
        ratio=st.integers(0, 150),
        local=st.sampled_from(NODES),
    )
    def start(self, small: list[int], huge: list[int], policy: int, ratio: int, local: int) -> None:
        # A node without any memory is none that a policy can name, and not the subject here.
        small = [count or int(not more) for count, more in zip(small, huge, strict=True)]
        nodes = [
            {
                "memory": small[node] * SMALL + huge[node] * HUGE,
                "huge-pages": {"8K": huge[node]},
                "distances": DISTANCES[node],
            }
            for node in NODES
        ]
        self.host = VirtualHost(
            parse_description({"nodes": nodes, "local-node": local, "overcommit": {"policy": policy, "ratio": ratio}})
        )
        free = {(SMALL, node): small[node] for node in NODES} | {(HUGE, node): huge[node] for node in NODES}
        everything = sum(small) * SMALL + sum(huge) * HUGE
        self.model = Model(free, policy, sum(small) * SMALL * ratio // 100, everything, local)
        self.mappings: list[Mapping] = []
        self.before = self.host.describe()

    def teardown(self) -> None:
        if not hasattr(self, "host"):
            return
        while self.mappings:
            self.unmap(0)
        assert self.host.describe() == self.before

    @rule(kind=st.sampled_from(KINDS), pages=st.integers(1, 10), reserve=st.booleans(), policy=policies)
    def map(self, kind: str, pages: int, reserve: bool, policy: tuple[str, list[int]]) -> None:
        size = HUGE if kind.startswith("huge") else SMALL
        reserve = reserve or self.model.policy == 2
        if kind in ("anonymous", "shared"):
            self._map(kind, pages * size, reserve, None)
        else:
            file = self.host.create_memfd("m", HUGE if size == HUGE else None)
            file.truncate(pages * size)
            area = Area(size, counts_promises=size == SMALL)
            self._map(kind, pages * size, reserve, {"file": file, "area": area, "users": 1, "pages": pages})
        if self.mappings and self.mappings[-1].memory.size == pages * size and not self.touched(self.mappings[-1]):
            self.mappings[-1].memory.bind(*policy)
            for area in self.mappings[-1].layers:
                area.policy = policy

    @staticmethod
    def touched(mapping: Mapping) -> bool:
        return any(area.nodes for area in mapping.layers)

    @rule(data=st.data(), private=st.booleans(), reserve=st.booleans())
    def map_again(self, data: st.DataObject, private: bool, reserve: bool) -> None:
        if not any(mapping.file for mapping in self.mappings):
            return
        file = data.draw(st.sampled_from([mapping.file for mapping in self.mappings if mapping.file]))
        size = file["area"].size
        kind = ("huge" if size == HUGE else "memfd") + (" private" if private else "")
        file["users"] += 1
        self._map(kind, file["pages"] * size, reserve or self.model.policy == 2, file)

    def _map(self, kind: str, size: int, reserve: bool, file: dict[str, Any] | None) -> None:
        charged = size if reserve and kind in ("anonymous", "shared", "memfd private") else 0
        own = None
        if file is None:
            own = Area(SMALL, counts_promises=kind == "shared" and not reserve)
        elif kind.endswith("private"):
            own = Area(file["area"].size)
        expected = None
        try:
            self.model.commit(charged)
            if kind == "huge" and reserve:
                assert file is not None
                self.model.promise_pages(file["area"], file["pages"], private=False)
            elif kind == "huge private" and reserve:
                assert own is not None
                self.model.promise_pages(own, size // HUGE, private=True)
        except RefusedError as refused:
            expected = refused.args[0]
        try:
            if file is None:
                memory = self.host.map_anonymous(size, share=kind == "shared", reserve=reserve)
            else:
                memory = self.host.map_file(file["file"], size, share=not kind.endswith("private"), reserve=reserve)
        except OSError as error:
            assert error.errno == expected
            if file is not None:
                self._drop(file)
            return
        assert expected is None
        self.mappings.append(Mapping(memory, kind, own, file, charged))

    def _drop(self, file: dict[str, Any]) -> None:
        file["users"] -= 1
        if not file["users"]:
            file["file"].close()
            self.model.forget(file["area"])

    def _span(self, data: st.DataObject) -> tuple[Mapping, int, int, int]:
        mapping = data.draw(st.sampled_from(self.mappings))
        unit = mapping.memory.page_size
        first = data.draw(st.integers(0, mapping.memory.size // unit - 1))
        last = data.draw(st.integers(first, mapping.memory.size // unit))
        return mapping, unit, first, last

    @rule(data=st.data())
    def populate(self, data: st.DataObject) -> None:
        if not self.mappings:
            return
        mapping, unit, first, last = self._span(data)
        expected = None
        try:
            for page in range(first, last):
                for area in mapping.layers:
                    self.model.fill(area, page)
        except RefusedError as refused:
            expected = refused.args[0]
        try:
            mapping.memory.populate(first * unit, (last - first) * unit)
        except OSError as error:
            assert error.errno == expected
        else:
            assert expected is None

    @rule(data=st.data())
    def discard(self, data: st.DataObject) -> None:
        if not self.mappings:
            return
        mapping, unit, first, last = self._span(data)
        for page in range(first, last):
            self.model.empty(mapping.layers[-1], page)
        mapping.memory.discard(first * unit, (last - first) * unit)

    @rule(data=st.data())
    def close(self, data: st.DataObject) -> None:
        if not self.mappings:
            return
        self.unmap(data.draw(st.integers(0, len(self.mappings) - 1)))

    def unmap(self, number: int) -> None:
        mapping = self.mappings.pop(number)
        mapping.memory.close()
        mapping.memory.close()
        if mapping.own is not None:
            self.model.forget(mapping.own)
        if mapping.file is not None:
            self._drop(mapping.file)
        self.model.committed -= mapping.commit

    @rule(data=st.data(), nodes=st.lists(st.sampled_from(NODES), min_size=1, unique=True).map(sorted))
    def bind_anew(self, data: st.DataObject, nodes: list[int]) -> None:
        """Pages move to where they are allowed, or EIO tells that one could not; how they move is the host's."""
        if not self.mappings:
            return
        mapping = data.draw(st.sampled_from(self.mappings))
        sizes = [len(area.nodes) for area in mapping.layers]
        try:
            mapping.memory.bind("bind", nodes)
            refused = False
        except OSError as error:
            assert error.errno == errno.EIO
            refused = True
        for area, pages in zip(mapping.layers, self.host_pages(mapping), strict=True):
            for node in area.nodes.values():
                self.model.free[area.size, node] += 1
            area.nodes = pages
            for node in area.nodes.values():
                self.model.free[area.size, node] -= 1
            area.policy = ("bind", nodes)
        assert [len(area.nodes) for area in mapping.layers] == sizes
        outside = any(node not in nodes for area in mapping.layers for node in area.nodes.values())
        if not refused:
            assert not outside
        elif mapping.layers[0].nodes or mapping.layers[-1].nodes:
            assert outside
            self.unmap(self.mappings.index(mapping))  # what moved and what did not is nothing to go on with

    @staticmethod
    def host_pages(mapping: Mapping) -> list[dict[int, int]]:
        """Where the host has the pages of each layer."""
        memory: Any = mapping.memory
        return [
            {
                page: stripe[page % len(stripe)]
                for start, end, stripe in pages.runs.within(0, 1 << 20)
                for page in range(start, end)
            }
            for pages, _ in memory._layers()
        ]

    @invariant()
    def counts_agree(self) -> None:
        if not hasattr(self, "host"):
            return
        now = self.host.describe()
        assert {node.node: node.available for node in now.nodes} == {
            node: self.model.free[SMALL, node] * SMALL for node in NODES
        }
        assert [node.huge_pages[HUGE].free for node in now.nodes] == [self.model.free[HUGE, node] for node in NODES]
        assert self.host.huge_pages(HUGE).reserved == self.model.promised[HUGE]
        assert now.overcommit.committed == self.model.committed
        found = self.host.residency([mapping.memory for mapping in self.mappings])
        for mapping, resident in zip(self.mappings, found, strict=True):
            area = mapping.layers[-1]
            counts: dict[int, int] = {}
            for node in area.nodes.values():
                counts[node] = counts.get(node, 0) + area.size
            assert resident == counts
            memory: Any = mapping.memory
            first, offsets = memory._layers()[-1][1], range(0, memory.size, area.size)
            nodes = [area.nodes.get(first + offset // area.size) for offset in offsets]
            assert memory.page_nodes(offsets) == nodes


TestVirtualHost = VirtualHostMachine.TestCase
TestVirtualHost.settings = settings(max_examples=300, stateful_step_count=40, deadline=None)
