"""The tree of all objects: where it begins, and the ways to find one in it."""

from __future__ import annotations

from .errors import VMError
from .qom import Container, QOMObject, links_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import TypeVar

    from .name_index import NameIndex
    from .releases import Release

    T = TypeVar("T", bound=QOMObject)


class ObjectTree:
    """The root of all objects, and the ways to find one."""

    def __init__(self, release: Release | None = None) -> None:
        self._index: NameIndex | None = None
        """Made when it is first asked for."""
        self.root = Container()
        self.objects = self.root.add_child("objects", Container(release))

    def resolve(self, path: str) -> QOMObject:
        """The object at an absolute path, or the only one whose path ends so.

        Raises `VMError` of the class `DeviceNotFound` if there is none, and `GenericError` if there are several.
        """
        found = self.find(path)
        if not found:
            raise VMError(f"Device '{path}' not found", "DeviceNotFound")
        if len(found) > 1:
            raise VMError(f"Path '{path}' is ambiguous")
        return found[0]

    def find(self, path: str) -> list[QOMObject]:
        """All objects that `path` may mean."""
        parts = [part for part in path.split("/") if part]
        starts: Iterable[QOMObject] = [self.root]
        if not path.startswith("/"):
            starts = self._leading(parts[0]) if parts else self.root.walk()
        return [found for start in starts if (found := self.descend(start, parts)) is not None]

    def _leading(self, name: str) -> list[QOMObject]:
        """The objects that have a child or a link of that name."""
        if self._index is None:
            from .name_index import NameIndex

            self._index = NameIndex()
            self.root.join_tree(self._index)
        return self._index.leading(name)

    def find_linked(self, name: str, path: str, wanted: type[T]) -> T:
        """The object that `path` names as the value of the link property `name`; raises `VMError` if there is none."""
        found = self.find(path)
        fitting = [each for each in found if isinstance(each, wanted)]
        if len(fitting) > 1:
            raise VMError(f"Path '{path}' does not uniquely identify an object")
        if fitting:
            return fitting[0]
        if found:
            raise VMError(f"Invalid parameter type for '{name}', expected: {wanted.type_name}")
        raise VMError(f"Device '{path}' not found", "DeviceNotFound")

    def descend(self, node: QOMObject, parts: list[str]) -> QOMObject | None:
        """The object below `node` that these names lead to, by children and links; None if there is none."""
        for part in parts:
            child = node.children.get(part) or self._linked(node, part)
            if child is None:
                return None
            node = child
        return node

    def _linked(self, node: QOMObject, name: str) -> QOMObject | None:
        if name not in links_of(type(node), node.qemu):
            return None
        path = node.get(name)
        return self.descend(self.root, path.split("/")[1:]) if path else None
