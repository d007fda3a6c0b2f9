"""What the properties of devices accept: values of JSON, and texts as options have them. The words are QEMU's."""

from __future__ import annotations

from ..errors import VMError
from ..qom import Property, parse_switch, take_bool, take_enum, take_int, take_str
from ..sizes import parse_integer, parse_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ..releases import Release
    from .device import SettableDevice

SUFFIXES = "Optional suffix k, M, G, T, P or E means kilo-, mega-, giga-, tera-, peta-\nand exabytes, respectively."
NUMBERS = {
    "uint64": 64, "uint32": 32, "uint16": 16, "uint8": 8, "int64": 64, "int32": 32, "int": 64, "size": 64,
}  # fmt: skip
"""The types of properties that are numbers, with their bits."""


class OptionText(str):
    """A value that was written in an option, so that a number or a switch is spelled in it."""

    __slots__ = ()


class DeviceProperty(Property):
    """A property that is set before the device exists, and later only if `any_time`; `default` is told of it."""

    __slots__ = ("any_time", "default", "frozen_text", "is_size", "reads_text")

    def __init__(
        self,
        *args: Any,
        default: object = None,
        is_size: bool = False,
        any_time: bool = False,
        reads_text: bool = False,
        frozen_text: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(*args, **options)
        self.default = default
        self.is_size = is_size or self.type_name == "size"
        """Whether a text may have a suffix."""
        self.reads_text = reads_text
        """Whether its setter understands what an option says."""
        self.any_time = any_time
        self.frozen_text = frozen_text
        """What an attempt to set it later is told; None for the words that most have."""


ON_OFF_AUTO = ("auto", "on", "off")


def kept(
    name: str, type_name: str, default: Any = None, description: str | None = None, **options: Any
) -> DeviceProperty:
    """A property that only is told again: what it changes nothing here can see. `options` are `since` and `until`.

    A value of a type that is not known here is taken as it comes.
    """
    unset = "" if type_name == "str" else default

    def getter(device: SettableDevice) -> Any:
        return device.kept.get(name, unset)

    def setter(device: SettableDevice, value: object) -> None:
        check = _CHECKS.get(type_name)
        device.kept[name] = value if check is None else check(name, value, device.qemu)

    return DeviceProperty(name, type_name, getter, setter, description, default=default, **options)


_CHECKS: dict[str, Callable[[str, object, Release], object]] = {
    "bool": lambda name, value, _release: take_bool(name, value),
    "str": lambda name, value, _release: take_str(name, value),
    "uint8": lambda name, value, _release: take_int(name, value, "uint8_t", 8),
    "uint16": lambda name, value, _release: take_int(name, value, "uint16_t", 16),
    "uint32": lambda name, value, _release: take_int(name, value, "uint32_t", 32),
    "uint64": lambda name, value, _release: take_int(name, value, "uint64", 64),
    "int32": lambda name, value, _release: take_signed(name, value, "int32_t", 32),
    "int64": lambda name, value, _release: take_signed(name, value, "int64_t", 64),
    "size": lambda name, value, release: take_size(name, value, release),
    "OnOffAuto": lambda name, value, release: take_enum(name, value, ON_OFF_AUTO, release),
}


def bit(name: str, default: bool, **options: Any) -> DeviceProperty:
    """A switch among the bits of a device."""
    return kept(name, "bool", default, "on/off", **options)


def switch(name: str, default: bool, *, since: str | None = None) -> tuple[DeviceProperty, DeviceProperty]:
    """A switch of its own, which older versions do not describe."""
    return kept(name, "bool", default, since=since, until="7.2"), bit(name, default, since="10.0")


def as_text(value: object) -> str | None:
    """A value of JSON as the text of an option; None for one that an option cannot have."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, float):
        return f"{value:.17g}"
    return str(value) if isinstance(value, (str, int, float)) else None


def from_text(declared: Property, text: str, release: Release) -> object:
    """The value that the text of an option means to a property; raises `VMError`."""
    if declared.type_name == "bool":
        return parse_switch(declared.name, text)
    if declared.type_name not in NUMBERS or getattr(declared, "reads_text", False):
        return str(text)
    if declared.type_name == "size" or (isinstance(declared, DeviceProperty) and declared.is_size):
        try:
            return parse_size(text)
        except ValueError:
            if release.covers("7.2"):
                raise VMError(f"Parameter '{declared.name}' expects size") from None
            raise _no_size(declared.name, text, release) from None
    try:
        number = parse_integer(text, release.settings("numbers").get("binary", True))
        if declared.type_name in ("int32", "int64", "int") and not -(1 << 63) <= number < 1 << 63:
            raise ValueError(text)
        return number
    except ValueError:
        kind = "integer"
        if not release.settings("devices").get("numbers are integers", True):
            kind = "int64" if declared.type_name in ("int32", "int64", "int") else "uint64"
        raise VMError(f"Parameter '{declared.name}' expects {kind}") from None


def take_size(name: str, value: object, release: Release) -> int:
    """`value` as a number of bytes; a text is one that means none."""
    if isinstance(value, OptionText):
        raise _no_size(name, value, release)
    return take_int(name, value, "uint64", 64)


def _no_size(name: str, text: str, release: Release) -> VMError:
    """What is told of a text that means no size."""
    if text.isdecimal() or (text.removeprefix("-").isdecimal() and release.name != "7.2"):
        return VMError(f"Value '{text}' is out of range for parameter '{name}'")
    return VMError(f"Parameter '{name}' expects a non-negative number below 2^64", details=SUFFIXES)


def take_signed(name: str, value: object, type_name: str, bits: int) -> int:
    """`value` as a signed integer of that many bits."""
    if isinstance(value, bool) or not isinstance(value, int) or not -(1 << 63) <= value < 1 << 63:
        raise VMError(f"Invalid parameter type for '{name}', expected: integer")
    if not -(1 << bits - 1) <= value < 1 << bits - 1:
        raise VMError(f"Parameter '{name}' expects {type_name}")
    return value
