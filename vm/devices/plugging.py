"""What a machine does to have a device and to be rid of it; the order of the checks and their words are QEMU's."""

from __future__ import annotations

from ..errors import VMError
from ..objects import is_identifier
from ..qom import QOMObject
from . import find_class, has_type, resolve_alias
from .device import MemoryDevice, PluggableDevice, SettableDevice
from .guest import PlayedGuest
from .rooms import Rooms
from .space import DeviceMemory
from .values import OptionText, as_text, from_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ..boards.machine import Machine
    from ..hostmem.backend import MemoryBackend
    from ..object_tree import ObjectTree
    from .balloon import VirtIOBalloon

CPUS_STAY = "CPUs are not unplugged here"


class Plugging:
    """The devices that users plugged into a machine."""

    __slots__ = ("_anonymous", "_tree", "devices", "emit", "frozen", "guest", "machine", "rooms")

    def __init__(self, machine: Machine, tree: ObjectTree, emit: Callable[[str, dict[str, Any]], None]) -> None:
        self.machine = machine
        self._tree = tree
        self.emit = emit
        """Tells of an event."""
        self.rooms = Rooms(machine)
        self.frozen = False
        """Whether memory moves, so that no device may come, go or change."""
        self._anonymous = 0
        """How many devices without an id were begun, which is where the next one's name comes from."""
        self.devices: list[PluggableDevice] = []
        self.guest = PlayedGuest(self)

    @property
    def room(self) -> DeviceMemory | None:
        """Where memory devices go; None without `maxmem`."""
        return self.rooms.memory

    @property
    def memory_devices(self) -> list[MemoryDevice]:
        """Those that are memory, by address."""
        found = [device for device in self.devices if isinstance(device, MemoryDevice)]
        return sorted(found, key=lambda device: device.address)

    def add(self, arguments: dict[str, Any], *, hot: bool) -> PluggableDevice:
        """Make the device that `device_add`'s arguments mean, which are in QEMU's order, and plug it.

        `hot` says that the machine is there already. Values from an option are `OptionText`. Raises `VMError`, with
        nothing left behind.
        """
        if self.frozen:
            raise VMError("device_add not allowed while migrating")
        made, options = self._begin(arguments, hot)
        container, name = self._place(made.device_id)
        return self._plug(made, options, container, name, hot=hot)

    def add_default(self, type_name: str, options: dict[str, Any]) -> PluggableDevice:
        """Make a device that nobody named, which the board has; raises `VMError`, with nothing left behind."""
        made, properties = self._begin({"driver": type_name, **options}, hot=False)
        unattached = self.machine.unattached
        number = next(
            each for each in range(len(unattached.children) + 1) if f"device[{each}]" not in unattached.children
        )
        return self._plug(made, properties, unattached, f"device[{number}]", hot=False)

    def _plug(
        self, made: PluggableDevice, options: dict[str, Any], container: QOMObject, name: str, *, hot: bool
    ) -> PluggableDevice:
        try:
            self._prepare(made, options, self.rooms)
            made.realize(self.machine, self.rooms)
        except BaseException:
            if made.had_parts and hot:
                for part in made.parts():
                    self.emit("DEVICE_DELETED", {"path": f"{container.path}/{name}/{part.name}"})
            container.fail_child(name)
            raise
        container.add_child(name, made)
        self.devices.append(made)
        for part in made.parts():
            part.on_request = lambda: self.guest.attend(made)
        self.guest.attend(made)
        return made

    def warn_of_loose_ends(self) -> None:
        """Tell of NICs that are there from the start and are connected with nothing."""
        counts: dict[str, int] = {}
        for device in self.devices:
            if not device.declares("netdev"):
                continue
            number = counts.get(device.type_name, 0)
            counts[device.type_name] = number + 1
            if not device.kept.get("netdev") and device.parent is not self.machine.unattached:
                self.machine.board.warn(f"nic {device.device_id or f'{device.type_name}.{number}'} has no peer")

    def draft(
        self, arguments: dict[str, Any], *, hot: bool = True, more_slots: int = 0, more_room: int = 0
    ) -> PluggableDevice:
        """The device that `add` would plug, decided upon and not plugged; raises `VMError` where `add` would.

        The machine may be taken to have more slots and more room than it has. Nothing changes.
        """
        made, options = self._begin(arguments, hot)
        rooms = self.rooms.enlarged(more_slots, more_room) if more_slots or more_room else self.rooms
        defaults = self.machine.board.backend_defaults
        told, defaults.warn = defaults.warn, _tell_nobody
        try:
            self._prepare(made, options, rooms)
        finally:
            defaults.warn = told
        return made

    def takes_memory(self, type_name: object) -> bool:
        """Whether there are devices of that type, and they have the memory of a backend."""
        target, release = self.machine.board.target, self.machine.board.release
        if not isinstance(type_name, str) or not has_type(type_name, target, release):
            return False
        return any(row.name == "memdev" for row in find_class(type_name, target, release).class_properties(release))

    def unit_of(self, arguments: dict[str, Any], backend: MemoryBackend) -> int:
        """What the size of a device's backend must be a multiple of."""
        from .virtio_memory import VirtIOMemoryProxy

        try:
            made, options = self._begin({name: arguments[name] for name in arguments if name != "id"}, False)
            for key, value in options.items():
                self._set(made, key, value)
        except VMError:
            return backend.address_alignment
        return made.virtio.alignment if isinstance(made, VirtIOMemoryProxy) else backend.address_alignment

    def missing_room(self, arguments: dict[str, Any]) -> int:
        """How many bytes too few there are for a device, alignment aside; 0 where it cannot be told."""
        backend = self.backend_of(arguments)
        if backend is None or self.room is None:
            return 0
        return max(self.room.used + backend.size - self.room.room, 0)

    def backend_of(self, arguments: dict[str, Any]) -> MemoryBackend | None:
        """The backend that a device is to have."""
        from ..hostmem.backend import MemoryBackend

        found = self._tree.find(str(arguments.get("memdev") or "/"))
        return found[0] if len(found) == 1 and isinstance(found[0], MemoryBackend) else None

    def _begin(self, arguments: dict[str, Any], hot: bool) -> tuple[PluggableDevice, dict[str, Any]]:
        """A device without properties yet, and what is to be set."""
        options = dict(arguments)
        type_name = self._type_name(self._text(options.pop("driver", None), hot))
        if self._takes_texts(hot):
            self._check_id(options.get("id"))
        bus = self._text(options.pop("bus", None), hot)
        board = self.machine.board
        implementation = find_class(type_name, board.target, board.release)
        bus_name = str(bus) if isinstance(bus, str) else None
        implementation.check_place(self.machine, self.rooms, bus_name, hot=hot)
        device_id = self._device_id(options.pop("id", None), hot)
        made = implementation(self.machine.board.release, self._tree, hotplugged=hot)
        made.use_machine(self.machine)
        made.device_id = device_id
        made.choose_bus(self.rooms, bus_name)
        return made, options

    def _prepare(self, made: PluggableDevice, options: dict[str, Any], rooms: Rooms) -> None:
        for key, value in options.items():
            self._set(made, key, value)
        made.check(self.machine, rooms)

    def _takes_texts(self, hot: bool) -> bool:
        """Whether values of JSON are looked at as those of options: older QEMUs do so in `device_add`."""
        return hot and bool(self.machine.board.release.settings("devices").get("values are texts", False))

    def _text(self, value: object, hot: bool) -> object:
        return as_text(value) if self._takes_texts(hot) and not isinstance(value, str) else value

    def _type_name(self, driver: object) -> str:
        if not isinstance(driver, str):
            raise VMError("Parameter 'driver' is missing")
        target, release = self.machine.board.target, self.machine.board.release
        if has_type(driver, target, release):
            return driver
        driver = resolve_alias(driver, target, release)
        if has_type(driver, target, release):
            return driver
        from .other import find_other_type

        other = find_other_type(driver, target, release)
        if other is None:
            raise VMError(f"'{driver}' is not a valid device model name")
        return other

    def _check_id(self, device_id: object) -> None:
        """Refuse an id that is none; raises `VMError`. Those of options were looked at already."""
        if isinstance(device_id, str) and not isinstance(device_id, OptionText) and not is_identifier(device_id):
            text = self.machine.board.release.settings("devices").get("bad id", "Invalid qdev ID '{}'")
            if text:
                raise VMError(text.format(device_id))

    def _device_id(self, device_id: object, hot: bool) -> str | None:
        release = self.machine.board.release
        if not isinstance(device_id, str):
            return None
        if hot or not release.settings("devices").get("values are texts", False):
            self._check_id(device_id)
        if self.machine.children["peripheral"].has_property(device_id):
            raise VMError(release.text("duplicate device", "Duplicate device ID '{}'").format(device_id))
        return str(device_id)

    def _place(self, device_id: str | None) -> tuple[QOMObject, str]:
        """The container of a device, and its name there."""
        machine = self.machine
        if device_id is not None:
            return machine.children["peripheral"], device_id
        number = self._anonymous
        self._anonymous += 1
        return machine.children["peripheral-anon"], f"device[{number}]"

    def _set(self, made: PluggableDevice, name: str, value: Any) -> None:
        if self._takes_texts(made.hotplugged) and not isinstance(value, OptionText):
            text = as_text(value)
            if text is None:
                return
            value = OptionText(text)
        release, declared = self.machine.board.release, made.find_property(name)
        if not declared.is_settable:
            made.set(name, value)  # which tells so
        made.set(name, from_text(declared, value, release) if isinstance(value, OptionText) else value)

    # Unplugging

    def find(self, name: str) -> PluggableDevice:
        """The device of that id or path; raises `VMError` if there is none, or it cannot be unplugged."""
        found: QOMObject | None
        if name.startswith("/"):
            matches = self._tree.find(name)
            found = matches[0] if len(matches) == 1 else None
        else:
            found = self._below_peripheral([part for part in name.split("/") if part])
        if found is None:
            raise VMError(f"Device '{name}' not found", "DeviceNotFound")
        if isinstance(found, PluggableDevice):
            return found
        if found in self.machine.cpus:
            raise VMError("Boot CPU is unpluggable" if found is self.machine.cpus[0] else CPUS_STAY)
        if isinstance(found, SettableDevice):
            raise VMError("Bus 'virtio-bus' does not support hotplugging")
        if found.is_device:
            raise VMError(f"Device '{found.type_name}' does not support hotplugging")
        raise VMError(self.machine.board.release.text("no device", "{} is not a device").format(name))

    def _below_peripheral(self, parts: list[str]) -> QOMObject | None:
        """What these names lead to, by children and links; older versions follow no links, and see devices alone."""
        peripheral = self.machine.children["peripheral"]
        if self.machine.board.release.settings("devices").get("follows paths", True):
            return self._tree.descend(peripheral, parts)
        found: QOMObject | None = peripheral
        for part in parts:
            found = found.children.get(part) if found is not None else None
        return found if found is not None and found.is_device else None

    def freeze(self, frozen: bool) -> None:
        """Let no device come, go or change, or let them again: the guest then does what it was asked for meanwhile."""
        self.frozen = frozen
        if not frozen:
            for device in list(self.devices):
                self.guest.attend(device)

    def request_removal(self, device: PluggableDevice) -> None:
        """Ask the guest to let go of a device, and do what it decides; raises `VMError` if it cannot be asked."""
        machine = self.machine
        if self.frozen:
            raise VMError("device_del not allowed while migrating")
        device.check_removal(machine, self.rooms)
        if device.goes_unasked:
            self.remove(device)
            return
        if self.guest.policy == "none" and machine.told_without_guest is not None and device.is_memory_module:
            raise VMError(machine.told_without_guest)
        if self.guest.policy == "none" and machine.releases_unseen and device.hotplugged:
            self.remove(device)
            return
        device.removal_requested = True
        self.guest.attend(device)

    def answer_removal(self, device: PluggableDevice, *, accepted: bool) -> None:
        """What follows when the guest lets go of a device or does not; of a DIMM it says so by ACPI."""
        machine = self.machine
        if accepted:
            self.remove(device)
        status = device.acpi_status(accepted) if machine.tells_by_acpi else None
        if status is not None:
            self.emit("ACPI_DEVICE_OST", {"info": status})
        elif not accepted and not machine.tells_by_acpi and machine.board.release.covers("6.2"):
            self.emit("DEVICE_UNPLUG_GUEST_ERROR", named(device))

    def reset(self) -> None:
        """Be as after a reset of the machine."""
        for device in list(self.devices):
            if device.removal_requested and device.goes_at_reset and device.hotplugged:
                self._take_out(device)  # and nobody is told, as observed
                continue
            try:
                event = device.reset(self.machine, self.rooms)
            except VMError as error:
                self.machine.board.warn_later(f"{device.path} could not be reset: {error}")
                continue
            if event is not None:
                self.emit(*event)
            self.guest.attend(device)

    def remove(self, device: PluggableDevice) -> None:
        """Unplug a device whose guest has let go of it."""
        behind = [each for each in self.devices if each.bus_path().startswith(f"{device.path}/")]
        for each in reversed(behind):
            if each in self.devices:
                self.remove(each)
        gone = [named(each) for each in (*device.parts(), device)]
        self._take_out(device)
        for data in gone:
            self.emit("DEVICE_DELETED", data)

    def _take_out(self, device: PluggableDevice) -> None:
        device.unrealize(self.machine, self.rooms)
        self.devices.remove(device)
        assert device.parent is not None, "it is in the tree"
        device.parent.remove_child(device.name)

    def find_balloon(self) -> VirtIOBalloon:
        """The balloon; raises `VMError` if there is none."""
        if self.rooms.balloon is None:
            raise VMError("No balloon device has been activated", "DeviceNotActive")
        return self.rooms.balloon

    def resize_balloon(self, size: int) -> None:
        """Want the guest to have `size` bytes; raises `VMError` if there is no balloon."""
        balloon = self.find_balloon()
        balloon.ask(size)
        if balloon.on_request is not None:
            balloon.on_request()


def _tell_nobody(_text: str) -> None:
    """Of what would be said of a device that is only looked at."""


def named(device: QOMObject) -> dict[str, Any]:
    """How an event names a device."""
    named = {} if device.device_id is None else {"device": device.device_id}
    return {**named, "path": device.path}
