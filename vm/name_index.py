"""Where in the object tree a name leads on, for whoever finds an object by a part of its path."""

from __future__ import annotations

from .qom import MemoryRegionObject, QOMObject, links_of


class NameIndex:
    """Who in a tree may lead on by a name: the parents of objects with that name, and those with a link called so.

    So that finding one of many objects by a part of its path costs the same however many there are.
    """

    __slots__ = ("_linking", "_named", "unlisted")

    def __init__(self) -> None:
        self._named: dict[str, dict[QOMObject, None]] = {}
        self._linking: dict[str, dict[QOMObject, None]] = {}
        self.unlisted: dict[QOMObject, None] = {}
        """Objects whose memory regions are not among their children yet."""

    def add(self, node: QOMObject) -> None:
        """Let an object be found."""
        self._named.setdefault(node.name, {})[node] = None
        for name in links_of(type(node), node.qemu):
            self._linking.setdefault(name, {})[node] = None

    def remove(self, node: QOMObject) -> None:
        """Let it be found no more."""
        named = self._named[node.name]
        del named[node]
        if not named:
            del self._named[node.name]
        self.unlisted.pop(node, None)
        for name in links_of(type(node), node.qemu):
            del self._linking[name][node]

    def leading(self, name: str) -> list[QOMObject]:
        """The objects that have a child or a link of that name."""
        if name.endswith("]") or name in links_of(MemoryRegionObject, None):  # as those of memory regions do
            while self.unlisted:
                node, _ = self.unlisted.popitem()
                node.list_regions()
        parents = [node.parent for node in self._named.get(name, ())]
        found = dict.fromkeys([parent for parent in parents if parent is not None])
        return list(found | self._linking.get(name, {}))
