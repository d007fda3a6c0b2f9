"""The objects that users made for a machine: how they come and go (`-object`, `object-add`, `object-del`)."""

from __future__ import annotations

from .errors import VMError
from .objects import IDENTIFIER_RULE, UserCreatable, in_setting_order, is_identifier, object_class, object_types

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from .host import Host
    from .hostmem.backend import MemoryBackend
    from .memory.address_space import MemoryTopology
    from .memory.ramblock import RAMBlock
    from .objects import ObjectDefaults
    from .steps import Task


class UserObjects:
    """The objects that users made for a machine."""

    def __init__(
        self, host: Host, topology: MemoryTopology, defaults: ObjectDefaults, options: Iterable[dict[str, Any]]
    ) -> None:
        """`options` are those that the configuration names."""
        self._host = host
        self._topology = topology
        self._tree = defaults.tree
        self.defaults = defaults
        self.release = defaults.release
        """The QEMU whose objects these are."""
        self._pending_ids: set[str] = set()
        self.option_ids = {arguments["id"] for arguments in options}
        """The ids of objects that the configuration named and that were not deleted since."""
        self.is_used: Callable[[UserCreatable], bool] = lambda _made: False
        """Whether something uses an object that the object does not know of."""

    def add(self, arguments: dict[str, Any], *, for_machine: bool = False) -> Task[UserCreatable]:
        """Create an object from `object-add`'s arguments, which are of the right types; a task, for it may take long.

        `for_machine` makes the memory that `-m` asks for.

        Raises `VMError`, with nothing left behind.
        """
        properties = dict(arguments)
        type_name, name = properties.pop("qom-type"), properties.pop("id")
        made = self._begin(type_name, name)
        if for_machine:
            made.serve_machine()
        try:
            for property_name, value in in_setting_order(properties, self.release):
                if isinstance(value, VMError):
                    raise value
                made.set(property_name, value)
            if name in self._pending_ids or self._tree.objects.has_property(name):
                text = f"attempt to add duplicate property '{name}' to object (type 'container')"
                raise VMError(text, hint=self._pending_hint(name))
            yield from self._complete(name, made)
        except BaseException:
            made.release()
            raise
        return made

    def _begin(self, type_name: str, name: str) -> UserCreatable:
        """An object without properties yet."""
        if not is_identifier(name) and self.release.settings("objects").get("identifiers", True):
            raise VMError("Parameter 'id' expects an identifier", details=IDENTIFIER_RULE)
        if type_name not in object_types(self.release):
            from .types import refused_type

            raise VMError(refused_type(type_name, self.release))
        return object_class(type_name, self.release)(self._host, self._topology, self.defaults)

    def _complete(self, name: str, made: UserCreatable) -> Task[None]:
        self._pending_ids.add(name)
        try:
            yield from made.complete(name)
            self._tree.objects.add_child(name, made)
        except BaseException:
            self._tree.objects.fail_child(name)
            raise
        finally:
            self._pending_ids.discard(name)

    def _pending_hint(self, name: str) -> str | None:
        """What to say of an object that is not there yet."""
        return f"it is being made; 'prealloc_cancel {name}' stops that" if name in self._pending_ids else None

    def delete(self, name: str) -> Task[None]:
        """Delete an object that nothing uses; a task, for it may take long. Raises `VMError`."""
        found = self._tree.objects.children.get(name)
        if not isinstance(found, UserCreatable):
            raise VMError(f"object '{name}' not found", hint=self._pending_hint(name))
        if found.busy or self.is_used(found):
            raise VMError(self._in_use(name, found))
        try:
            yield from found.release_task()
        except BufferError:  # somebody looks at its memory
            raise VMError(self._in_use(name, found)) from None
        self._tree.objects.remove_child(name)
        self.option_ids.discard(name)

    def _in_use(self, name: str, found: UserCreatable) -> str:
        if found.is_mapped and self.release.settings("objects").get("tells mapped", True):
            return f"Cannot delete host memory backend '{name}' which is mapped"
        return f"object '{name}' is in use, can not be deleted"

    def backends(self) -> list[MemoryBackend]:
        """All memory backends, in QEMU's order."""
        children = self._tree.objects.listed_children()
        if not children:
            return []
        from .hostmem.backend import MemoryBackend

        return [child for child in children if isinstance(child, MemoryBackend)]

    def why_missing(self, block: RAMBlock, offset: int, error: OSError) -> str:
        """Why the host has no page for an offset of a block, as `error` told, and whose memory it is."""
        from .hostmem.missing import why_missing

        return why_missing(self.backends(), self._host, block, offset, error)

    def close(self) -> None:
        """Release all of them. Raises `BufferError` in the end if somebody still holds a view of the memory of one."""
        failure = None
        for made in self._tree.objects.listed_children():
            try:
                if isinstance(made, UserCreatable):
                    made.release()
            except BufferError as error:
                failure = error
        if failure is not None:
            raise failure
