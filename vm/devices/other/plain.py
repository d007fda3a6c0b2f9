"""Devices on buses that are not PCI, or on none: USB, SCSI, IDE, ISA, sound, serial ports, channels, the system's."""

from __future__ import annotations

from ...boards.cards import CardMemory, card_blocks
from ...errors import VMError
from ..buses import HOTPLUG_KINDS
from .offered import Offering
from .properties import check_hotpluggable, check_required

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, ClassVar

    from ...boards.machine import Machine
    from ..buses import Bus
    from ..rooms import Rooms

WITH_FUNCTION, FUNCTION = "amd-iommu", "AMDVI-PCI"
"""What has a function of its own on the root PCI bus."""
ONLY_ONE = ("vmcoreinfo", "vmgenid")
SYSTEM_BUS = "System"
NOT_DYNAMIC = "Parameter 'driver' expects a dynamic sysbus device type for the machine"
CHANNELS = "virtual-css-bus"


class PlainDevice(Offering):
    """A device that is on a bus of its kind, of which it is only looked at whether it is there."""

    type_name = "plain-device"
    abstract = True
    bus_kind: ClassVar[str] = ""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._memory: CardMemory | None = None
        self._blocks: list[tuple[str, int]] = []
        self._bus: Bus | None = None
        self._number: tuple[tuple[int, int], tuple[int, int]] | None = None

    @classmethod
    def check_place(cls, machine: Machine, rooms: Rooms, bus: str | None, *, hot: bool) -> None:
        """Raise `VMError` if there is no bus for it, or not one of that name, or it comes too late."""
        kind = cls.bus_kind
        if hot and not machine.board.release.covers("10.0"):
            check_hotpluggable(cls.type_name, machine.board.release)
        if kind == SYSTEM_BUS and machine.system_devices is not None and cls.type_name not in machine.system_devices:
            text = machine.board.release.text("no system device", NOT_DYNAMIC)
            raise VMError(text.format(cls.type_name))
        if hot:
            check_hotpluggable(cls.type_name, machine.board.release)
        if kind in ("", SYSTEM_BUS):
            cls.check_bus(machine, rooms, bus, None)
            if hot:
                where = f"Device '{cls.type_name}'" if not kind else "Bus 'main-system-bus'"
                raise VMError(f"{where} does not support hotplugging")
            return
        found = rooms.find_bus(machine, bus, kind)
        if bus is not None and (found is None or found.kind != kind):
            cls.check_bus(machine, rooms, bus, None)
        if found is None:
            raise VMError(f"No '{kind}' bus found for device '{cls.type_name}'")
        if hot and found.kind not in HOTPLUG_KINDS:
            raise VMError(f"Bus '{found.name}' does not support hotplugging")

    def choose_bus(self, rooms: Rooms, bus: str | None) -> None:
        """Remember which is asked for."""
        self._wanted_bus = bus

    def bus_path(self) -> str:
        """The path of the bus that it is on."""
        return self._bus.node.path if self._bus is not None else ""

    def check(self, machine: Machine, rooms: Rooms) -> None:
        """Find its bus, and what it needs; raises `VMError`."""
        if self.type_name in ONLY_ONE and machine_has(machine, self.type_name):
            raise VMError(f"at most one {self.type_name} device is permitted")
        if self.bus_kind:
            self._bus = rooms.find_bus(machine, self._wanted_bus, self.bus_kind)
        check_required(self.type_name, self.kept)
        self._blocks = card_blocks(machine, self.type_name, self.kept) or []

    def realize(self, machine: Machine, rooms: Rooms) -> None:
        """Be there, with its blocks and buses; raises `VMError`, nothing changed, if that fails."""
        self._memory = CardMemory(machine, self)
        try:
            self._memory.add(self.type_name, "", self._blocks)
        except VMError:
            self._memory = None
            raise
        if self.bus_kind == CHANNELS and rooms.channels is not None:
            self._number = rooms.channels.choose(None)
            rooms.channels.put(*self._number)
        self.offer_buses(rooms)
        if self.type_name == WITH_FUNCTION and rooms.pci is not None:
            rooms.pci.reserve(FUNCTION)
        self.realized = True

    def unrealize(self, machine: Machine, rooms: Rooms) -> None:
        """Be gone, and give the memory back."""
        self.withdraw_buses(machine, rooms)
        if self._memory is not None:
            self._memory.remove()
            self._memory = None
        if self._number is not None and rooms.channels is not None:
            rooms.channels.take(*self._number)
        self.realized = False

    def check_removal(self, machine: Machine, rooms: Rooms) -> None:
        """Raise `VMError` where nobody could take it away."""
        if self._bus is None:
            raise VMError(f"Device '{self.type_name}' does not support hotplugging")
        if self._bus.kind not in HOTPLUG_KINDS:
            raise VMError(f"Bus '{self._bus.name}' does not support hotplugging")

    @property
    def goes_unasked(self) -> bool:
        """It is gone at once."""
        return True

    def describe_place(self, rooms: Rooms) -> dict[str, Any]:
        """Its bus."""
        return {"bus": self._bus.name} if self._bus is not None else {}

    def acpi_status(self, accepted: bool) -> dict[str, Any] | None:
        """A guest tells nothing of it."""
        return None


def machine_has(machine: Machine, type_name: str) -> bool:
    """Whether a device of that type was plugged."""
    places = (machine.children["peripheral"], machine.children["peripheral-anon"])
    return any(child.type_name == type_name for place in places for child in place.children.values())
