"""The object types there are, for those who ask: `qom-list-types`, `qom-list-properties`.

Nothing in the core needs this list; it is made from the classes that exist.
"""

from __future__ import annotations

from .boards import machine_types
from .boards.targets import targets
from .devices import device_class, device_types
from .devices.device import MemoryDevice, PluggableDevice
from .devices.other import other_class, other_types
from .objects import object_class, object_types
from .qom import Container, MemoryRegionObject, QOMObject

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .boards.targets import Target
    from .releases import Release

ACCELERATORS = ("tcg", "kvm", "sim", "qtest")


class KnownType:
    """One type: `implementation` is the class that has its properties, `interfaces` what it implements besides.

    Of some only an ancestor is known, and not whether it is the parent.
    """

    __slots__ = ("abstract", "has_known_parent", "implementation", "interfaces", "name", "parent")

    def __init__(
        self,
        name: str,
        parent: KnownType | None,
        implementation: type[QOMObject] = QOMObject,
        *,
        abstract: bool = False,
        interfaces: tuple[str, ...] = (),
        has_known_parent: bool = True,
    ) -> None:
        self.name = name
        self.parent = parent
        self.has_known_parent = has_known_parent
        self.implementation = implementation
        self.abstract = abstract
        self.interfaces = interfaces

    def implements(self, name: str) -> bool:
        """Whether this is the type `name`, descends from it, or implements it as an interface."""
        if name == self.name or name in self.interfaces:
            return True
        return self.parent is not None and self.parent.implements(name)


class _Types:
    def __init__(self) -> None:
        self.known: dict[str, KnownType] = {}
        self.root = self.add("object", None, abstract=True)

    def add(
        self,
        name: str,
        parent: KnownType | None,
        implementation: type[QOMObject] = QOMObject,
        *,
        abstract: bool = False,
        interfaces: tuple[str, ...] = (),
    ) -> KnownType:
        return self.known.setdefault(
            name, KnownType(name, parent, implementation, abstract=abstract, interfaces=interfaces)
        )

    def add_ancestors(self, implementation: type[QOMObject]) -> KnownType:
        """The type of a class, after those of its parents."""
        known = self.root
        for base in reversed(implementation.__mro__):
            own_name = base.__dict__.get("type_name")
            if own_name is not None and base is not QOMObject:
                known = self.add(own_name, known, base, abstract=True)
        return known


def all_types(release: Release, target: Target | None = None) -> dict[str, KnownType]:
    """All types of a release by name; machine types are those of `target`, without one x86_64's."""
    types = _Types()
    for implementation in (Container, MemoryRegionObject):
        name = implementation.type_name
        types.add(release.settings("type names").get(name, name), types.root, implementation)
    types.add("device", types.root, PluggableDevice, abstract=True)
    for name in object_types(release):
        creatable = object_class(name, release)
        parent = types.add_ancestors(creatable.__mro__[1])
        types.add(name, parent, creatable, interfaces=("user-creatable",))
    plugs = target or targets(release)["x86_64"]
    for name in device_types(plugs, release):
        plugged = device_class(name, plugs)
        interfaces = ("memory-device",) if issubclass(plugged, MemoryDevice) else ()
        types.add_ancestors(plugged)
        types.known[name].abstract = False
        types.known[name].interfaces = interfaces
    for name in other_types(plugs, release):
        if name not in types.known:
            types.known[name] = KnownType(name, types.known["device"], has_known_parent=False)
    accelerator = types.add("accel", types.root, abstract=True)
    for name in ACCELERATORS:
        types.add(f"{name}-accel", accelerator)
    for machine_type in machine_types(target or targets(release)["x86_64"], release):
        parent = types.add_ancestors(machine_type.machine)
        name = f"{machine_type.name}-machine"
        if parent.name == name:
            parent.abstract = False
        else:
            types.add(name, parent, machine_type.machine)
    return types.known


def class_of(known: KnownType, release: Release, target: Target) -> type[QOMObject]:
    """The class with a type's properties: of a device that is no memory it is made when it is first asked for."""
    if known.has_known_parent:
        return known.implementation
    return other_class(known.name, target, release)


def refused_type(name: str, release: Release) -> str:
    """What a release says of a type that users cannot make objects of."""
    texts = release.settings("objects").get("refused types")
    if texts is None:
        return f"Parameter 'qom-type' does not accept value '{name}'"
    known = all_types(release).get(name)
    text: str = texts["unknown" if known is None else "abstract" if known.abstract else "other"]
    return text.format(name)
