"""From `key=value` strings to the JSON values that a command takes, read by its declared types.

QEMU has two readers for the same `-object` text, with different spellings and messages: options on the command line
(`OptionReader`) and the human monitor (`KeyvalReader`). Splitting the text into keys and values is not done here, nor
is anything judged that the types do not tell. Texts were measured with QEMU 5.2 (`PropertyReader`) and 7.2 to 11.1.
"""

from __future__ import annotations

from .errors import ArgumentError
from .releases import BINARY_NUMBERS, bad_value, version_number
from .types import Alternate, Array, Builtin, Enum, Object
from .visiting import first_left, first_unexpected

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any, NoReturn

    from .releases import Number
    from .types import Type

_BOOLEANS = {"on": True, "yes": True, "true": True, "y": True, "off": False, "no": False, "false": False, "n": False}

_WHITESPACE = " \t\n\v\f\r"
_DIGITS = {2: "01", 8: "01234567", 10: "0123456789", 16: "0123456789abcdefABCDEF"}

LONGEST_RANGE = 65536
"""QEMU refuses longer ranges, lest a typing error fill the memory."""


def from_keyval(
    declared: Object, pairs: dict[str, Any], flavour: str, parse_size: Callable[[str], int], number: Number
) -> dict[str, Any]:
    """Read the arguments of a command; see `ramslot.schema.Contract.from_keyval`."""
    reader = {"cli": OptionReader, "hmp": KeyvalReader, "properties": PropertyReader}[flavour]
    return reader(parse_size, number).read_object(pairs, declared.pairs or declared, "")


class KeyvalReader:
    """The human monitor's: a tree of dicts and lists, `host-nodes.0=3`."""

    unsigned_integer = "integer"
    signed_integer = "integer"
    size = "size"

    __slots__ = ("_binary", "_number", "_parse_size")

    def __init__(self, parse_size: Callable[[str], int], number: Number) -> None:
        self._parse_size = parse_size
        self._number = number
        self._binary = number >= version_number(BINARY_NUMBERS)

    def read_object(self, pairs: dict[str, Any], declared: Object, path: str) -> dict[str, Any]:
        """Read the members in their declared order, then look for others."""
        values: dict[str, Any] = {}
        self._read_members(pairs, declared, path, values)
        if declared.tag:
            declared = declared.case_of(values)
            self._read_members(pairs, declared, path, values)
        self.refuse_unknown(pairs, declared, path)
        return values

    def _read_members(self, pairs: dict[str, Any], declared: Object, path: str, values: dict[str, Any]) -> None:
        for name, member in declared.members.items():
            if name in values:
                continue
            inner = f"{path}.{name}" if path else name
            if name in pairs:
                values[name] = self.read(pairs[name], member.type, inner)
            elif member.required:
                raise ArgumentError(f"Parameter '{inner}' is missing")

    def refuse_unknown(self, pairs: dict[str, Any], declared: Object, path: str) -> None:
        """Raise `ArgumentError` for a member that the object does not have."""
        unknown = first_unexpected(pairs, declared.members)
        if unknown is not None:
            inner = f"{path}.{unknown}" if path else unknown
            raise ArgumentError(f"Parameter '{inner}' is unexpected")

    def read(self, value: Any, declared: Type, path: str) -> Any:
        """Read one value."""
        if isinstance(declared, Array):
            return self.read_array(value, declared, path)
        if isinstance(declared, Object):
            if not isinstance(value, dict):
                raise ArgumentError(f"Invalid parameter type for '{path}', expected: object")
            return self.read_object(value, declared, path)
        assert not isinstance(declared, Alternate)  # which no argument is
        return self.read_text(self.text_of(value, path), declared, path)

    def read_array(self, value: Any, declared: Array, path: str) -> list[Any]:
        """Read an array."""
        if not isinstance(value, list):
            raise ArgumentError(f"Invalid parameter type for '{path}', expected: array")
        return [self.read(element, declared.element, f"{path}.{index}") for index, element in enumerate(value)]

    def text_of(self, value: Any, path: str) -> str:
        """Return the string of a value that has no parts."""
        if not isinstance(value, str):
            raise ArgumentError(f"Parameters '{path}.*' are unexpected")
        return value

    def read_text(self, text: str, declared: Builtin | Enum, path: str) -> Any:
        """Read a value that has no parts."""
        # QEMU has no name at hand for an element of an array when it looks at ranges, and prints its null pointer.
        name = "null" if path.rpartition(".")[2].isdecimal() else path.rpartition(".")[2]
        if isinstance(declared, Enum):
            if text not in declared.values:
                raise ArgumentError(bad_value(name, text, self._number))
            return text
        if declared.name == "bool":
            if text not in _BOOLEANS:
                raise ArgumentError(f"Parameter '{path}' expects 'on' or 'off'")
            return _BOOLEANS[text]
        if declared.name == "size":
            return self._read_size(text, path)
        if declared.json_type == "integer":
            return in_range(self.read_integer(text, declared, path), declared, name)
        return text

    def _read_size(self, text: str, path: str) -> int:
        try:
            return self._parse_size(text)
        except ValueError:
            self.refuse(path, self.size)

    def read_integer(self, text: str, declared: Builtin, path: str) -> int:
        """Read an integer; a negative one wraps around where the type is unsigned, as C's strtoull() has it."""
        value = whole_integer(text, binary=self._binary)
        limit = 2**64 if declared.is_unsigned else 2**63
        lowest = 1 - limit if declared.is_unsigned else -limit
        if value is None or not lowest <= value < limit:
            self.refuse(path, self.unsigned_integer if declared.is_unsigned else self.signed_integer)
        return value % 2**64 if declared.is_unsigned else value

    def refuse(self, path: str, expected: str) -> NoReturn:
        """Raise `ArgumentError` for a value of another kind."""
        raise ArgumentError(f"Parameter '{path}' expects {expected}")


class OptionReader(KeyvalReader):
    """The command line's: flat keys; an array is a key given several times, each time a number or a range."""

    unsigned_integer = "a uint64 value"
    signed_integer = "an int64 value"
    size = "a size value"

    __slots__ = ()

    def refuse_unknown(self, pairs: dict[str, Any], declared: Object, path: str) -> None:
        """Raise `ArgumentError` for a key that the object does not have; QEMU looks at the id after all others."""
        unknown = first_left(sorted(pairs, key="id".__eq__), declared.members)
        if unknown is not None:
            raise ArgumentError(f"Invalid parameter '{unknown}'")

    def read_array(self, value: Any, declared: Array, path: str) -> list[Any]:
        """Read what was given to a key that may be repeated."""
        assert isinstance(declared.element, Builtin)
        return list(self._read_elements([value] if isinstance(value, str) else value, declared.element, path))

    def _read_elements(self, texts: Iterable[str], element: Builtin, path: str) -> Iterator[Any]:
        for text in texts:
            if element.json_type != "integer":
                yield self.read_text(text, element, path)
                continue
            for value in self._read_range(text, path):
                yield in_range(value, element, "null")

    def _read_range(self, text: str, path: str) -> range:
        first, rest = leading_integer(text, signed=False, binary=self._binary)
        last = first
        if rest:
            last = whole_integer(rest[1:], signed=False, binary=self._binary) if rest.startswith("-") else None
        if first is None or last is None or not first <= last < min(first + LONGEST_RANGE, 2**64):
            self.refuse(path, "a uint64 value or range")
        return range(first, last + 1)

    def text_of(self, value: Any, path: str) -> str:
        """Return the string of a value; the last one wins."""
        text = value[-1] if isinstance(value, list) else value
        assert isinstance(text, str)
        return text

    def read_integer(self, text: str, declared: Builtin, path: str) -> int:
        """Read an integer that fits into 64 bits; an unsigned one has no minus sign."""
        value = whole_integer(text, signed=not declared.is_unsigned, binary=self._binary)
        low, high = (0, 2**64) if declared.is_unsigned else (-(2**63), 2**63)
        if value is None or not low <= value < high:
            self.refuse(path, self.unsigned_integer if declared.is_unsigned else self.signed_integer)
        return value


class PropertyReader(OptionReader):
    """The command line's and the human monitor's up to QEMU 5.2: each property by itself, when its turn comes."""

    __slots__ = ()

    def read_object(self, pairs: dict[str, Any], declared: Object, path: str) -> dict[str, Any]:
        """Read the common members, then note of each other one its value or what is wrong with it."""
        values: dict[str, Any] = {}
        self._read_members(pairs, declared, path, values)
        members = declared.case_of(values).members
        for name, value in pairs.items():
            if name in declared.members:
                continue
            if name not in members:
                values[name] = self.text_of(value, name)
                continue
            try:
                values[name] = self.read(value, members[name].type, name)
            except ArgumentError as error:
                values[name] = error
        return values

    def read_text(self, text: str, declared: Builtin | Enum, path: str) -> Any:
        """Read a value that has no parts; the setter of an enumeration judges it."""
        return text if isinstance(declared, Enum) else super().read_text(text, declared, path)


def leading_integer(text: str, signed: bool = True, binary: bool = False) -> tuple[int | None, str]:
    """Return the number that a text begins with, and the rest, as C's strtoull() in base 0: 0x10 is 16, 010 is 8.

    Only a `signed` one may have a minus sign, even before 0; with `binary` 0b10 is 2.
    """
    rest = text.lstrip(_WHITESPACE)
    sign = -1 if rest.startswith("-") else 1
    if rest.startswith(("+", "-") if signed else "+"):
        rest = rest[1:]
    base = 8 if rest.startswith("0") else 10
    if rest[:2] in ("0x", "0X") and rest[2:3] and rest[2] in _DIGITS[16]:
        base, rest = 16, rest[2:]
    elif binary and rest[:2] in ("0b", "0B") and rest[2:3] and rest[2] in _DIGITS[2]:
        base, rest = 2, rest[2:]
    after = rest.lstrip(_DIGITS[base])
    digits = rest[: len(rest) - len(after)]
    if not digits:
        return None, after
    # Eighty digits are beyond 64 bits in every base, and Python would refuse to read some thousands of them.
    return sign * int(digits.lstrip("0")[:80] or "0", base), after


def whole_integer(text: str, signed: bool = True, binary: bool = False) -> int | None:
    """Return the number that the whole text is."""
    value, rest = leading_integer(text, signed, binary)
    return None if rest else value


def in_range(value: int, declared: Builtin, name: str) -> int:
    """Return the value, or raise `ArgumentError` if its type is too small for it."""
    assert declared.low is not None
    assert declared.high is not None
    if not declared.low <= value <= declared.high:
        raise ArgumentError(f"Parameter '{name}' expects {declared.name}_t")
    return value
