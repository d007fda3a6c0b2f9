"""What devices have in common that users plug."""

from __future__ import annotations

from ..errors import VMError
from ..qom import Property, QOMObject
from .values import DeviceProperty

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeAlias

    from ..boards.machine import Machine
    from ..memory.region import MemoryRegion
    from ..object_tree import ObjectTree
    from ..releases import Release
    from .rooms import Rooms

    Decision: TypeAlias = Callable[[int, int, int], int]
    """Bytes that there are, bytes that are wanted, and what it is multiples of; returns where the guest stops."""


class SettableDevice(QOMObject):
    """A device whose properties are set first; once it is `realized` it is what they say."""

    type_name = "device"
    abstract = True
    is_device = True
    hotpluggable = True
    hotplugged = False

    def __init__(self, release: Release, tree: ObjectTree) -> None:
        super().__init__()
        self.qemu: Release = release
        self.tree = tree
        """Where the objects that properties name are looked for."""
        self.realized = False
        self.kept: dict[str, Any] = {}
        """The values of properties that only are told again, by name."""
        self.on_request: Callable[[], None] | None = None
        """Told that its guest is wanted to do something with it."""

    def set(self, name: str, value: Any) -> None:
        """Set a property; raises `VMError`, also once the device is realized."""
        if self.realized and name not in self.children:
            declared = self.find_property(name)
            if isinstance(declared, DeviceProperty) and declared.setter is not None and not declared.any_time:
                if declared.type_name.startswith("link<") and isinstance(value, str):
                    self._check_link(value)
                raise VMError(declared.frozen_text or self._frozen(declared))
        super().set(name, value)

    def _check_link(self, path: str) -> None:
        """Raise `VMError` if a link's new value names nothing, which is looked at before anything else."""
        if path and not self.tree.find(path):
            raise VMError(f"Device '{path}' not found", "DeviceNotFound")

    def _frozen(self, declared: DeviceProperty) -> str:
        if declared.type_name.startswith("link<"):
            what, who = "link property", f"device '{self.device_id or '(null)'}'"
        else:
            what, who = "property", f"device '{self.device_id}'" if self.device_id is not None else "anonymous device"
        return f"Attempt to set {what} '{declared.name}' on {who} (type '{self.type_name}') after it was realized"

    properties: tuple[Property, ...] = (
        Property("realized", "bool", lambda device: device.realized),
        Property("parent_bus", "link<bus>", lambda device: device.bus_path()),
        Property("hotplugged", "bool", lambda device: device.hotplugged),
        Property("hotpluggable", "bool", lambda device: device.hotpluggable),
    )

    def bus_path(self) -> str:
        """The path of the bus that it is on; empty without one."""
        return ""


class PluggableDevice(SettableDevice):
    """A device that a user makes."""

    abstract = True
    is_memory_module = False
    """Whether it is a DIMM, of which guests tell in other ways than of other devices."""
    had_parts = False
    """Whether it failed only when the devices inside it were there already, which are told to be gone then."""
    goes_at_reset = False
    """Whether a request to let go of it, which nobody answered, is carried out when the machine is reset."""

    def __init__(self, release: Release, tree: ObjectTree, *, hotplugged: bool) -> None:
        super().__init__(release, tree)
        self.hotplugged = hotplugged
        self.removal_requested = False
        """Whether the guest was asked to let go of it and has not answered."""

    @classmethod
    def check_place(cls, machine: Machine, rooms: Rooms, bus: str | None, *, hot: bool) -> None:
        """Raise `VMError` if there is no place for devices of this type, or not on the bus of that name."""
        raise NotImplementedError(f"{cls.type_name} is abstract")

    @classmethod
    def check_bus(cls, machine: Machine, rooms: Rooms, name: str | None, own: str | None) -> None:
        """Raise `VMError` for a bus of any other name than `own`; a name of None leaves the bus open."""
        if name is None or name == own:
            return
        kind = rooms.bus_kind(machine, name)
        raise VMError(f"Bus '{name}' not found" if kind is None else f"Device '{cls.type_name}' can't go on {kind} bus")

    def choose_bus(self, rooms: Rooms, bus: str | None) -> None:
        """Be on the bus of that name, or on the one that is taken where none is named; it was looked at before."""

    def use_machine(self, machine: Machine) -> None:
        """Have what older machine types have different."""

    def check(self, machine: Machine, rooms: Rooms) -> None:
        """Decide what was left open, before anything changes; raises `VMError` if the machine cannot have it."""
        raise NotImplementedError(f"{self.type_name} is abstract")

    def realize(self, machine: Machine, rooms: Rooms) -> None:
        """Become part of the machine; raises `VMError`, nothing changed, if that fails."""
        raise NotImplementedError(f"{self.type_name} is abstract")

    def unrealize(self, machine: Machine, rooms: Rooms) -> None:
        """Be no part of the machine any more."""
        raise NotImplementedError(f"{self.type_name} is abstract")

    def check_removal(self, machine: Machine, rooms: Rooms) -> None:
        """Raise `VMError` if the machine cannot even ask the guest to let go of it."""

    def describe_place(self, rooms: Rooms) -> dict[str, Any]:
        """Where it was decided to be."""
        raise NotImplementedError(f"{self.type_name} is abstract")

    def acpi_status(self, accepted: bool) -> dict[str, Any] | None:
        """What a guest tells by ACPI of a request to eject it; None if it tells nothing."""
        raise NotImplementedError(f"{self.type_name} is abstract")

    @property
    def goes_unasked(self) -> bool:
        """Whether it is gone at once when that is asked for, whatever the guest thinks of it."""
        return False

    @property
    def wants_change(self) -> bool:
        """Whether it is wanted that the guest has more of its memory, or less."""
        return False

    def change(self, decide: Decision) -> tuple[str, dict[str, Any]] | None:
        """Let the guest have as much as it decides on; returns the event that tells of it, None if nothing changed.

        Raises `VMError`, nothing changed, if the host or the accelerator has no room.
        """
        raise NotImplementedError(f"{self.type_name} has nothing to change")

    def reset(self, machine: Machine, rooms: Rooms) -> tuple[str, dict[str, Any]] | None:
        """Be as after a reset of the machine; returns the event that tells of it, None if none does."""
        return None

    def parts(self) -> list[SettableDevice]:
        """The devices inside it, which are gone before it is."""
        return []


class MemoryDevice(PluggableDevice):
    """A device that is memory at an address of the guest. `address` and `length` are in bytes."""

    abstract = True
    kind = ""
    """What `info memory-devices` calls it."""
    address_property = "addr"
    """The property that says where the guest sees it."""

    @property
    def numa_node(self) -> int:
        """The NUMA node that it belongs to."""
        return 0

    @property
    def memslots(self) -> int:
        """How many memslots it may come to need, however large one may be."""
        return 1

    @property
    def used_memslots(self) -> int:
        """How many it needs as it is."""
        return 1

    @property
    def address(self) -> int:
        """Where the guest sees it."""
        raise NotImplementedError

    @property
    def length(self) -> int:
        """Bytes of the guest's address space that it takes."""
        raise NotImplementedError

    @property
    def plugged(self) -> int:
        """Bytes that are memory of the guest, as summaries count them."""
        return self.length

    @property
    def region(self) -> MemoryRegion:
        """What is mapped."""
        raise NotImplementedError

    @property
    def is_mapped(self) -> bool:
        """Whether the guest sees it."""
        return True

    def is_plugged(self, address: int) -> bool:
        """Whether the guest uses what is at one of its addresses."""
        return True

    def describe(self) -> dict[str, Any]:
        """What `query-memory-devices` tells of it, without its id."""
        raise NotImplementedError
