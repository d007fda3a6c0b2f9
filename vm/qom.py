"""The object tree (QOM): objects with typed properties, found by path, listed in QEMU's order.

Types are Python classes: `type_name` is the QOM type, `properties` what a class adds to its parents'. What a property's
value must look like from outside is checked here, with the texts observed of QEMU.
"""

from __future__ import annotations

from .errors import VMError
from .hash_order import HashOrder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any, TypeVar

    from .memory.region import MemoryRegion
    from .name_index import NameIndex
    from .releases import Release
    from .steps import Task

    T = TypeVar("T", bound="QOMObject")


BAD_VALUE = "Parameter '{name}' does not accept value '{value}'"


class Property:
    """One property of a type: `type_name` is QOM's word for its type, which for a list of numbers is that of a number.

    Without `setter` it cannot be written, without `getter` not read. `since` and `until` are the first and the last
    version of QEMU whose type has it.
    """

    __slots__ = ("description", "getter", "is_list", "name", "setter", "since", "type_name", "until")

    def __init__(
        self,
        name: str,
        type_name: str,
        getter: Callable[[Any], Any] | None,
        setter: Callable[[Any, Any], None] | None = None,
        description: str | None = None,
        *,
        is_list: bool = False,
        since: str | None = None,
        until: str | None = None,
    ) -> None:
        self.name = name
        self.is_list = is_list
        self.type_name = type_name
        self.getter = getter
        self.setter = setter
        self.description = description
        self.since = since
        self.until = until

    @property
    def is_settable(self) -> bool:
        """Whether it can be set at all."""
        return self.setter is not None

    @property
    def is_child(self) -> bool:
        """Whether it stands for a child that every object of the type has."""
        return self.type_name.startswith("child<")


class QOMObject:
    """A node of the object tree."""

    type_name = "object"
    abstract = False
    is_device = False
    device_id: str | None = None
    """The id of a device that has one."""
    qemu: Release | None = None
    """The QEMU whose properties an object has; None for one that is alike in all."""
    properties: tuple[Property, ...] = (Property("type", "string", lambda node: node.type_name),)
    """The properties that this class adds to its parents'."""
    instance_properties: tuple[Property, ...] = ()
    """The properties that QEMU gives to each object rather than to the class; they are listed after those."""
    has_more_rows = False
    """Whether `instance_rows` has others than those."""
    additions: tuple[Property, ...] = ()
    """The properties of this class that QEMU's has not; they are listed after all others."""
    registered_names: tuple[str, ...] = ()
    """The names that QEMU's class registers, with those that are not modelled: they too decide the order."""

    def __init__(self) -> None:
        self.name = ""
        self.parent: QOMObject | None = None
        self._children: dict[str, QOMObject] = {}
        self._order: HashOrder | None = None
        self._regions: list[MemoryRegion] = []
        self._index: NameIndex | None = None
        """That of the tree it is in."""

    # The tree

    def add_child(self, name: str, child: QOMObject) -> QOMObject:
        """Put `child` below this object and return it; `NAME[*]` takes the first free number.

        Raises `VMError` if there is a child of that name.
        """
        if name.endswith("[*]"):
            name = self._free_name(name[:-3])
        if self.has_property(name):
            raise VMError(f"attempt to add duplicate property '{name}' to object (type '{self.type_name}')")
        child.name, child.parent = name, self
        self._children[name] = child
        if self._index is not None:
            child.join_tree(self._index)
        if self._order is not None:
            self._order.add(name)
        return child

    def has_property(self, name: str) -> bool:
        """Whether there is a child or a property of that name."""
        if name in self._children:
            return True
        declared = _properties_of(type(self), self.qemu).get(name)
        return declared is not None and not declared.is_child

    def remove_child(self, name: str) -> None:
        """Take a child out of the tree."""
        self._hash_order().remove(name)
        child = self._children.pop(name)
        child.leave_tree()
        child.parent = None

    def fail_child(self, name: str) -> None:
        """Note that a child of that name was to be, and could not be completed.

        QEMU lists an object before it completes it and takes it back then, which shows in the order of later ones.
        """
        self._hash_order().add_in_vain(name)

    def own_region(self, region: MemoryRegion) -> MemoryRegion:
        """Let a memory region appear below this object, and return it."""
        region.owner = self
        self._regions.append(region)
        if self._index is not None:
            self._index.unlisted.setdefault(self)
        return region

    def join_tree(self, index: NameIndex) -> None:
        """Be found in a tree, with all below."""
        self._index = index
        index.add(self)
        if self._regions:
            index.unlisted.setdefault(self)
        for child in self._children.values():
            child.join_tree(index)

    def leave_tree(self) -> None:
        """Be found no more, nor anything below."""
        if self._index is not None:
            self._index.remove(self)
            self._index = None
            for child in self._children.values():
                child.leave_tree()

    @property
    def children(self) -> dict[str, QOMObject]:
        """The objects below this one by name, oldest first."""
        if self._regions:
            self.list_regions()
        return self._children

    def list_regions(self) -> None:
        """Let the object's memory regions be among its children, which they need not be before anybody looks."""
        regions, self._regions = self._regions, []
        for region in regions:
            self.add_child(_escape(region.name) + "[*]", MemoryRegionObject(region))

    @property
    def path(self) -> str:
        """The absolute path, `/objects/m0`."""
        if self.parent is None:
            return "/"
        return f"{self.parent.path.rstrip('/')}/{self.name}"

    def walk(self) -> Iterator[QOMObject]:
        """This object and all below it."""
        yield self
        for child in self.children.values():
            yield from child.walk()

    def listed_children(self) -> list[QOMObject]:
        """The children in the order in which QEMU lists them."""
        children = self.children
        return [children[name] for name in self._hash_order() if name in children]

    def _hash_order(self) -> HashOrder:
        """The order of the object's own properties and its children; as long as nothing was ever removed it follows
        from the names alone."""
        children = self.children
        if self._order is None:
            self._order = HashOrder(frugal=self.qemu is not None and "frugal tables" in self.qemu.settings("QOM"))
            for name in dict.fromkeys((*_instance_properties_of(type(self), self.qemu), *children)):
                self._order.add(name)
        return self._order

    def _free_name(self, stem: str) -> str:
        number = 0
        while f"{stem}[{number}]" in self._children:
            number += 1
        return f"{stem}[{number}]"

    # Properties

    def get(self, name: str) -> Any:
        """Value of a property; raises `VMError` if there is none of that name."""
        child = self.children.get(name)
        if child is not None:
            return child.path
        found = self.find_property(name)
        if found.getter is None:
            raise VMError(self._permission("unreadable", f"Property '{self.type_name}.{name}' is not readable"))
        return found.getter(self)

    def set(self, name: str, value: Any) -> None:
        """Set a property; raises `VMError` if that is not possible, which leaves everything as it was."""
        if name in self.children:
            raise VMError(self._permission("unwritable", f"Property '{self.type_name}.{name}' is not writable"))
        found = self.find_property(name)
        if found.setter is None:
            raise VMError(self._permission("unwritable", f"Property '{self.type_name}.{name}' is not writable"))
        found.setter(self, value)

    def _permission(self, name: str, newest: str) -> str:
        return newest if self.qemu is None else self.qemu.text(name, newest)

    def set_task(self, name: str, value: Any) -> Task[None] | None:
        """Set a property that may take long to set: the rest of the work as a task, None where all is done."""
        self.set(name, value)
        return None

    def list_properties(self) -> list[tuple[str, str]]:
        """Name and type of each property and child, in QEMU's order."""
        children, own = self.children, _instance_properties_of(type(self), self.qemu)
        of_class = (found for found in self.class_properties(self.qemu) if found is not own.get(found.name))
        listed = [(found.name, found.type_name) for found in of_class]
        for name in self._hash_order():
            if name in children:
                listed.append((name, f"child<{children[name].type_name}>"))
            elif name in own and not own[name].is_child:
                listed.append((name, own[name].type_name))
        return listed

    @classmethod
    def instance_rows(cls, release: Release | None) -> tuple[Property, ...]:
        """The properties that each object of the class has in a release, in the order in which it is given them."""
        declared = [base.__dict__.get("instance_properties", ()) for base in reversed(cls.__mro__)]
        return tuple(found for rows in declared for found in _covered(rows, release))

    @classmethod
    def class_properties(cls, release: Release | None = None) -> Iterator[Property]:
        """The properties that the type has in a release, in QEMU's order: those of the oldest ancestor first."""
        for base in reversed(cls.__mro__):
            own = {found.name: found for found in _covered(base.__dict__.get("properties", ()), release)}
            names = dict.fromkeys((*base.__dict__.get("registered_names", ()), *own))
            yield from (own[name] for name in listing_order(names) if name in own)
        of_instances = _instance_properties_of(cls, release)
        yield from (of_instances[name] for name in listing_order(of_instances))
        for base in reversed(cls.__mro__):
            yield from _covered(base.__dict__.get("additions", ()), release)

    def find_property(self, name: str) -> Property:
        """The property of that name; raises `VMError` if the type has none."""
        found = _properties_of(type(self), self.qemu).get(name)
        if found is None:
            raise self.no_property(name)
        return found

    def declares(self, name: str) -> bool:
        """Whether the type has a property of that name."""
        return name in _properties_of(type(self), self.qemu)

    def no_property(self, name: str) -> VMError:
        """The error for a property that the type has not."""
        return VMError(f"Property '{self.type_name}.{name}' not found")


def _covered(declared: Iterable[Property], release: Release | None) -> list[Property]:
    """Those of these properties that a release has."""
    return [found for found in declared if release is None or release.covers(found.since, found.until)]


_known_instance_properties: dict[tuple[type[QOMObject], Release | None], dict[str, Property]] = {}


def _instance_properties_of(implementation: type[QOMObject], release: Release | None) -> dict[str, Property]:
    """The properties that QEMU gives to each object of a class, by name."""
    known = _known_instance_properties.get((implementation, release))
    if known is None:
        known = {found.name: found for found in implementation.instance_rows(release)}
        _known_instance_properties[implementation, release] = known
    return known


def listing_order(names: Iterable[str]) -> list[str]:
    """The order in which QEMU lists names that it was given one after another."""
    order = HashOrder()
    for name in names:
        order.add(name)
    return list(order)


_known_properties: dict[tuple[type[QOMObject], Release | None], dict[str, Property]] = {}


def _properties_of(implementation: type[QOMObject], release: Release | None) -> dict[str, Property]:
    """The properties of a class and its parents by name; where both have one, the class's."""
    known = _known_properties.get((implementation, release))
    if known is None:
        known = {}
        for base in reversed(implementation.__mro__):
            declared = [found for kind in ("properties", "additions") for found in base.__dict__.get(kind, ())]
            known.update((found.name, found) for found in _covered(declared, release))
        if implementation.instance_properties or implementation.has_more_rows:
            known.update(_instance_properties_of(implementation, release))
        _known_properties[implementation, release] = known
    return known


_known_links: dict[tuple[type[QOMObject], Release | None], tuple[str, ...]] = {}


def links_of(implementation: type[QOMObject], release: Release | None) -> tuple[str, ...]:
    """The names of the links that objects of a class have."""
    known = _known_links.get((implementation, release))
    if known is None:
        declared = _properties_of(implementation, release).values()
        known = tuple(found.name for found in declared if found.type_name.startswith("link<"))
        _known_links[implementation, release] = known
    return known


class Container(QOMObject):
    """An object that only has children."""

    type_name = "container"

    def __init__(self, release: Release | None = None) -> None:
        super().__init__()
        self.qemu = release


class Device(QOMObject):
    """A device of a board; only what it shows in the memory map is modelled."""

    is_device = True

    def __init__(self, type_name: str) -> None:
        super().__init__()
        self.type_name = type_name


class MemoryRegionObject(QOMObject):
    """A memory region as the object tree shows it."""

    type_name = "memory-region"
    properties = (
        Property("container", "link<memory-region>", lambda node: region_path(node.region.container)),
        Property("addr", "uint64", lambda node: node.region.address),
        Property("priority", "uint32", lambda node: node.region.priority & 0xFFFFFFFF),
        Property("size", "uint64", lambda node: min(node.region.size, (1 << 64) - 1)),
    )

    def __init__(self, region: MemoryRegion) -> None:
        super().__init__()
        self.region = region


def _escape(name: str) -> str:
    """A region's name as a path component, with QEMU's escapes."""
    return name.replace("\\", "\\x5c").replace("/", "\\x2f").replace("[", "\\x5b").replace("]", "\\x5d")


def region_path(region: MemoryRegion | None) -> str:
    """Path of the object that shows `region`; empty if there is none."""
    owner = region.owner if region is not None else None
    if not isinstance(owner, QOMObject):
        return ""
    for child in owner.children.values():
        if isinstance(child, MemoryRegionObject) and child.region is region:
            return child.path
    return ""


def parse_switch(name: str, text: str) -> bool:
    """What a text says of a boolean property; raises `VMError` with QEMU's text."""
    if text in ("on", "yes", "true", "y"):
        return True
    if text in ("off", "no", "false", "n"):
        return False
    raise VMError(f"Parameter '{name}' expects 'on' or 'off'")


# Values from outside: checked as QEMU's visitors check them


def take_bool(name: str, value: object) -> bool:
    """`value` as a boolean; raises `VMError` with QEMU's text if it is none."""
    if not isinstance(value, bool):
        raise VMError(f"Invalid parameter type for '{name}', expected: boolean")
    return value


def take_str(name: str, value: object) -> str:
    """`value` as a string."""
    if not isinstance(value, str):
        raise VMError(f"Invalid parameter type for '{name}', expected: string")
    return value


def take_int(name: str, value: object, type_name: str, bits: int) -> int:
    """`value` as an unsigned integer of that many bits; QMP's negative 64-bit numbers wrap, as in QEMU."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise VMError(f"Parameter '{name}' expects uint64")
    if bits == 64 and -(1 << 63) <= value < 0:
        value += 1 << 64
    if not 0 <= value < 1 << bits:
        raise VMError(f"Parameter '{name}' expects {type_name}")
    return value


def take_numbers(name: str, value: object) -> list[int]:
    """`value` as a list of 16-bit numbers. QEMU has no name for an element when it looks at its range."""
    if not isinstance(value, list):
        raise VMError(f"Invalid parameter type for '{name}', expected: array")
    numbers = []
    for position, element in enumerate(value):
        number = take_int(f"{name}[{position}]", element, "uint64", 64)
        numbers.append(take_int("null", number, "uint16_t", 16))
    return numbers


def take_enum(name: str, value: object, values: tuple[str, ...], release: Release | None = None) -> str:
    """`value` as one of `values`; `release` decides on the words for another."""
    text = take_str(name, value)
    if text not in values:
        told = BAD_VALUE if release is None else release.text("bad value", BAD_VALUE)
        raise VMError(told.format(name=name, value=text))
    return text
