"""What devices have in common that users plug."""

from __future__ import annotations

from ..errors import VMError
from ..qom import Property, QOMObject
from .values import DeviceProperty

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..boards.machine import Machine
    from ..memory.region import MemoryRegion
    from ..object_tree import ObjectTree
    from ..releases import Release
    from .space import DeviceMemory


class PluggableDevice(QOMObject):
    """A device that a user makes. Its properties are set first; once it is `realized` it is what they say."""

    type_name = "device"
    abstract = True
    is_device = True
    hotpluggable = True

    def __init__(self, release: Release, tree: ObjectTree, *, hotplugged: bool) -> None:
        super().__init__()
        self.qemu = release
        self.tree = tree
        """Where the objects that properties name are looked for."""
        self.hotplugged = hotplugged
        self.realized = False
        self.removal_requested = False
        """Whether the guest was asked to let go of it and has not answered."""

    def set(self, name: str, value: Any) -> None:
        """Set a property; raises `VMError`, also once the device is realized."""
        if self.realized and name not in self.children:
            declared = self.find_property(name)
            if isinstance(declared, DeviceProperty) and declared.setter is not None:
                raise VMError(declared.frozen_text or self._frozen(declared))
        super().set(name, value)

    def _frozen(self, declared: DeviceProperty) -> str:
        kind = "link property" if declared.type_name.startswith("link<") else "property"
        who = f"device '{self.device_id}'" if self.device_id is not None else "anonymous device"
        return f"Attempt to set {kind} '{declared.name}' on {who} (type '{self.type_name}') after it was realized"

    def check(self, machine: Machine, room: DeviceMemory | None) -> None:
        """Decide what was left open, before anything changes; raises `VMError` if the machine cannot have it."""
        raise NotImplementedError(f"{self.type_name} is abstract")

    def realize(self, machine: Machine, room: DeviceMemory | None) -> None:
        """Become part of the machine; raises `VMError`, nothing changed, if that fails."""
        raise NotImplementedError(f"{self.type_name} is abstract")

    def unrealize(self, room: DeviceMemory | None) -> None:
        """Be no part of the machine any more."""
        raise NotImplementedError(f"{self.type_name} is abstract")

    def check_removal(self, machine: Machine) -> None:
        """Raise `VMError` if the machine cannot even ask the guest to let go of it."""

    def acpi_status(self, accepted: bool) -> dict[str, Any]:
        """What a guest tells by ACPI of a request to eject it."""
        raise NotImplementedError(f"{self.type_name} is abstract")

    properties: tuple[Property, ...] = (
        Property("realized", "bool", lambda device: device.realized),
        Property("parent_bus", "link<bus>", lambda _device: ""),
        Property("hotplugged", "bool", lambda device: device.hotplugged),
        Property("hotpluggable", "bool", lambda device: device.hotpluggable),
    )


class MemoryDevice(PluggableDevice):
    """A device that is memory at an address of the guest. `address` and `length` are in bytes."""

    abstract = True
    kind = ""
    """What `info memory-devices` calls it."""
    node = 0

    @property
    def address(self) -> int:
        """Where the guest sees it."""
        raise NotImplementedError

    @property
    def length(self) -> int:
        """Bytes of the guest's address space that it takes."""
        raise NotImplementedError

    @property
    def region(self) -> MemoryRegion:
        """What is mapped."""
        raise NotImplementedError

    def describe_place(self) -> dict[str, Any]:
        """Where it was decided to be."""
        raise NotImplementedError

    def describe(self) -> dict[str, Any]:
        """What `query-memory-devices` tells of it, without its id."""
        raise NotImplementedError
