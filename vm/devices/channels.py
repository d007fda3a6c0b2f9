"""Devices that a mainframe reaches by channels, each by a number: `fe.0.XXXX`."""

from __future__ import annotations

import re

from ..errors import VMError
from ..qom import Property, take_str
from .values import DeviceProperty, bit, kept
from .virtio import VirtIOProxy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..boards.machine import Machine
    from .rooms import Rooms

VIRTUAL = 0xFE
"""The channel subsystem that virtual devices are in."""
DEVICES = 1 << 16
EXAMPLE = "of an I/O device in the channel subsystem, example: fe.1.23ab"
WRITTEN, READ = f"Identifier {EXAMPLE}", f"Read-only identifier {EXAMPLE}"

DeviceNumber = tuple[int, int]
"""Subchannel set and device number."""


class ChannelSubsystem:
    """Which device has which number; each has a subchannel, too, the lowest that is free in its set."""

    __slots__ = ("_devices", "_subchannels")

    def __init__(self) -> None:
        self._devices: set[DeviceNumber] = set()
        self._subchannels: set[DeviceNumber] = set()

    def choose(self, wanted: DeviceNumber | None) -> tuple[DeviceNumber, DeviceNumber]:
        """Number and subchannel for a device; raises `VMError` if the number it wants is taken."""
        if wanted is None:
            wanted = _lowest(self._devices, 0)
        elif wanted in self._devices:
            raise VMError(f"Device {identifier(wanted)} already exists")
        return wanted, _lowest(self._subchannels, wanted[0])

    def put(self, number: DeviceNumber, subchannel: DeviceNumber) -> None:
        """Let them be taken."""
        self._devices.add(number)
        self._subchannels.add(subchannel)

    def take(self, number: DeviceNumber, subchannel: DeviceNumber) -> None:
        """Let them be free."""
        self._devices.remove(number)
        self._subchannels.remove(subchannel)


def _lowest(taken: set[DeviceNumber], subchannel_set: int) -> DeviceNumber:
    free = (number for number in range(DEVICES) if (subchannel_set, number) not in taken)
    number = next(free, None)
    if number is None:
        raise VMError("Device number not available")
    return subchannel_set, number


def identifier(number: DeviceNumber | None) -> str:
    """How people write it."""
    return "<unset>" if number is None else f"{VIRTUAL:x}.{number[0]:x}.{number[1]:04x}"


class VirtIOCCW(VirtIOProxy):
    """A VirtIO device behind a channel."""

    type_name = "virtio-ccw-device"
    abstract = True
    bus_type = "virtio-ccw-bus"
    bus_name = "virtual-css"

    @property
    def goes_unasked(self) -> bool:
        """It is gone at once."""
        return True

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.wanted: DeviceNumber | None = None
        self.number: DeviceNumber | None = None
        self.subchannel: DeviceNumber | None = None
        self._bus_path = ""

    @classmethod
    def check_place(cls, machine: Machine, rooms: Rooms, bus: str | None, *, hot: bool) -> None:
        """Raise `VMError` if there are no channels, or it is another bus that is asked for."""
        cls.check_bus(machine, rooms, bus, cls.bus_name)
        if rooms.channels is None:
            raise VMError(f"No 'virtual-css-bus' bus found for device '{cls.type_name}'")

    def bus_path(self) -> str:
        """The path of the bus that it is on."""
        return self._bus_path

    def check(self, machine: Machine, rooms: Rooms) -> None:
        """Find its number; raises `VMError`."""
        assert rooms.channels is not None, "it was looked for"
        self.number, self.subchannel = rooms.channels.choose(self.wanted)
        self.virtio.check(machine, rooms)

    def realize(self, machine: Machine, rooms: Rooms) -> None:
        """Be there."""
        assert rooms.channels is not None and self.number is not None and self.subchannel is not None, "it was chosen"
        self.virtio.realize(machine, rooms, f"/{identifier(self.number)}/")
        rooms.channels.put(self.number, self.subchannel)
        self._bus_path = machine.children["virtual-css-bridge"].children[self.bus_name].path
        self.add_bus()
        self.realized = True

    def unrealize(self, machine: Machine, rooms: Rooms) -> None:
        """Be gone."""
        assert rooms.channels is not None and self.number is not None and self.subchannel is not None, "it is there"
        rooms.channels.take(self.number, self.subchannel)
        self.virtio.unrealize(machine, rooms)
        self.realized = False

    def describe_place(self, rooms: Rooms) -> dict[str, Any]:
        """Its number."""
        return {"devno": identifier(self.number)}

    def acpi_status(self, accepted: bool) -> dict[str, Any] | None:
        """There is no ACPI."""
        return None

    def _set_number(self, value: object) -> None:
        text = take_str("devno", value)
        match = re.fullmatch(r"([0-9a-fA-F]{1,2})\.([0-3])\.([0-9a-fA-F]{1,4})", text)
        if match is None or int(match[1], 16) != VIRTUAL:
            raise VMError(f"Property '{self.type_name}.devno' doesn't take value '{text}'")
        self.wanted = int(match[2]), int(match[3], 16)

    properties: tuple[Property, ...] = (
        DeviceProperty("devno", "str", lambda device: identifier(device.wanted), _set_number, WRITTEN),
        Property("dev_id", "str", lambda device: identifier(device.number), None, READ),
        Property("subch_id", "str", lambda device: identifier(device.subchannel), None, READ),
    )


CHANNEL_PROPERTIES: tuple[Property, ...] = (bit("ioeventfd", True), kept("max_revision", "uint32", 2))
"""What each type has itself."""
