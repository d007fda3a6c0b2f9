"""The options that say what a QMP command would: `-object` is object-add, `-numa` is set-numa-node."""

from __future__ import annotations

from ...commands.keyval import OptionError, parse_opts
from ...vm.errors import VMError
from ...vm.objects import OBJECT_TYPES
from ...vm.sizes import parse_size
from . import groups
from .settings import Answered, Question

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ...vm.releases import Release
    from .device_options import DeviceOptions


class ObjectOptions:
    """Reads these options; what they mean goes to the configuration in the order in which they come."""

    def __init__(self, context: groups.Context, devices: DeviceOptions) -> None:
        self._context = context
        self._devices = devices
        self._config = context.settings.config

    def take_object(self, value: str) -> None:
        """Take `-object`, as pairs or as JSON."""
        if "tls-creds-" in value and self._take_credentials(value):
            return
        from ...commands.object_pairs import from_options, takes_pairs
        from ...schema import ArgumentError, contract

        def read_size(text: str) -> int:
            return parse_size(text, warn=self._context.warn)

        release = self._context.release
        known = contract(release.number)
        try:
            if value.startswith("{") and not takes_pairs(release):
                arguments = json_object(value, release)
                if self._is_taken(arguments, is_json=True):
                    return
                known.check("object-add", arguments)
            else:
                pairs = self._pairs(value)
                flat = {key: values if len(values) > 1 else values[0] for key, values in pairs.items()}
                if self._is_taken(flat, is_json=False):
                    return
                if takes_pairs(release):
                    arguments = from_options(pairs, release, read_size)
                else:
                    arguments = known.from_keyval("object-add", flat, "cli", read_size)
        except ArgumentError as error:
            raise OptionError(str(error)) from None
        self._config.objects.append(arguments)
        if takes_pairs(release):
            self._config.object_origins[arguments["id"]] = self._context.where

    def _is_taken(self, arguments: dict[str, Any], *, is_json: bool) -> bool:
        """Take an object of a type that QEMU has and we have not."""
        kind = arguments.get("qom-type")
        if not isinstance(kind, str) or kind in OBJECT_TYPES:
            return False
        from ...vm.known import object_type

        if not object_type(kind, self._context.release):
            return False
        from .unmodelled_objects import MONITORS, take_monitor, take_object

        if kind in MONITORS:
            take_monitor(self._devices, arguments)
        else:
            take_object(self._context, arguments, is_json=is_json)
        return True

    def _take_credentials(self, value: str) -> bool:
        """Take credentials for TLS, and tell whether it was any."""
        from .credentials_options import PREFIX, read_credentials

        release = self._context.release
        as_json = value.startswith("{") and release.covers("6.0")
        pairs = json_object(value, release) if as_json else dict(parse_opts(value, "qom-type"))
        if not str(pairs.get("qom-type", "")).startswith(PREFIX) or any(text is None for text in pairs.values()):
            return False
        label, options = read_credentials(pairs if as_json else self._pairs(value))
        if as_json:
            self._context.claim("object", label)
        self._context.settings.credentials[label] = options
        self._config.other_objects[label] = str(pairs["qom-type"])
        return True

    def _pairs(self, value: str) -> dict[str, list[str]]:
        pairs = self._context.read(groups.OBJECT, value)
        if any(groups.is_help(word) for word in (*pairs, *pairs.get("qom-type", ()))):
            raise Answered(Question("object", self._help_subject(pairs.get("qom-type", [""])[-1])))
        return pairs

    def _help_subject(self, type_name: str) -> str:
        """The type that `-object TYPE,help` asks about, empty for `-object help`."""
        from ...vm.types import all_types

        if groups.is_help(type_name):
            return ""
        if type_name and type_name not in all_types(self._context.release):
            raise OptionError(f"Parameter 'qom-type' does not accept value '{type_name}'")
        return type_name

    def take_device(self, value: str) -> None:
        """Take `-device`, as pairs or as JSON."""
        from ...schema.visiting import qdict_order
        from ...vm.devices.values import OptionText

        if value.startswith("{") and self._context.release.covers("6.2"):
            given = json_object(value, self._context.release)
        else:
            pairs = self._context.read(groups.DEVICE, value)
            if any(groups.is_help(word) for word in (*pairs, *pairs.get("driver", ()))):
                raise Answered(Question("device", pairs.get("driver", [""])[-1]))
            given = {key: OptionText(values[-1]) for key, values in pairs.items()}
        arguments = {name: given[name] for name in qdict_order(given)}
        self._config.devices.append((self._context.where, arguments))
        self._tell_of_device(arguments.get("driver"))

    def _tell_of_device(self, driver: object) -> None:
        """Note what is not modelled of a device that is no memory."""
        from ...vm.devices import is_memory_type
        from ...vm.devices.other import knows_blocks
        from ...vm.known import find_row

        if isinstance(driver, str) and not is_memory_type(driver):
            release = self._context.release
            if knows_blocks(driver, release):
                _name, *blocks = find_row("device_blocks", driver, release) or [driver]
                self._context.set_aside(f"-device {driver}{' beyond its RAMBlocks' if blocks else ''}")
            else:
                self._context.leave_out(f"-device {driver}", "")

    def take_numa(self, value: str) -> None:
        """Take `-numa`."""
        from ...commands.numa import read_options
        from ...schema import ArgumentError

        pairs = self._context.read(groups.NUMA, value)
        try:
            arguments: dict[str, Any] | VMError = read_options(pairs, self._context.release, self._context.warn)
        except ArgumentError as error:
            arguments = VMError(str(error))
        self._config.numa.append((self._context.where, arguments))


def json_object(text: str, release: Release) -> dict[str, Any]:
    """Return the one JSON object that an option's value is."""
    from ...commands.json_stream import parse_json

    try:
        value = parse_json(text, release)
    except ValueError as error:
        raise OptionError(str(error)) from None
    assert isinstance(value, dict)
    return value
