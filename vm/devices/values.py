"""What the properties of devices accept: values of JSON, and texts as options have them. The words are QEMU's."""

from __future__ import annotations

from ..errors import VMError
from ..qom import Property, parse_switch
from ..sizes import parse_integer, parse_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..releases import Release

NUMBERS = {"uint64": 64, "uint32": 32, "int32": 32, "int": 64}
"""The types of properties that are numbers, with their bits."""


class OptionText(str):
    """A value that was written in an option, so that a number or a switch is spelled in it."""

    __slots__ = ()


class DeviceProperty(Property):
    """A property that is set before the device exists, and not afterwards; `default` is told of it."""

    __slots__ = ("default", "frozen_text", "is_size")

    def __init__(
        self, *args: Any, default: object = None, is_size: bool = False, frozen_text: str | None = None, **options: Any
    ) -> None:
        super().__init__(*args, **options)
        self.default = default
        self.is_size = is_size
        """Whether a text may have a suffix."""
        self.frozen_text = frozen_text
        """What an attempt to set it later is told; None for the words that most have."""


def as_text(value: object) -> str | None:
    """A value of JSON as the text of an option; None for one that an option cannot have."""
    if isinstance(value, bool):
        return "on" if value else "off"
    return str(value) if isinstance(value, (str, int, float)) else None


def from_text(declared: Property, text: str, release: Release) -> object:
    """The value that the text of an option means to a property; raises `VMError`."""
    if declared.type_name == "bool":
        return parse_switch(declared.name, text)
    if declared.type_name not in NUMBERS:
        return str(text)
    if isinstance(declared, DeviceProperty) and declared.is_size:
        try:
            return parse_size(text)
        except ValueError:
            raise VMError(f"Parameter '{declared.name}' expects size") from None
    try:
        number = parse_integer(text, release.settings("numbers").get("binary", True))
        if declared.type_name == "int32" and not -(1 << 63) <= number < 1 << 63:
            raise ValueError(text)
        return number
    except ValueError:
        kind = "integer"
        if not release.settings("devices").get("numbers are integers", True):
            kind = "int64" if declared.type_name == "int32" else "uint64"
        raise VMError(f"Parameter '{declared.name}' expects {kind}") from None


def take_signed(name: str, value: object, type_name: str, bits: int) -> int:
    """`value` as a signed integer of that many bits."""
    if isinstance(value, bool) or not isinstance(value, int) or not -(1 << 63) <= value < 1 << 63:
        raise VMError(f"Invalid parameter type for '{name}', expected: integer")
    if not -(1 << bits - 1) <= value < 1 << bits - 1:
        raise VMError(f"Parameter '{name}' expects {type_name}")
    return value
