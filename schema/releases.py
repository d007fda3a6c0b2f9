"""Which versions of QEMU have a part of a document: the marks, and what one version sees of what they are on.

A mark is a version as `QEMU 8.1`, or the program's own as `ramslot 0.1`, which every QEMU that it is has. Any schema,
command or event may have `since` and `until`, the first and the last version with it. `x-features` are what
introspection says besides (deprecated, unstable), each with the version that first said so. `x-values` has all these
marks for values of an `enum`. `x-earlier` are schemas that stood in place of this one until a version, oldest first.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeAlias

    Schema: TypeAlias = dict[str, Any]
    Number: TypeAlias = tuple[int, int]

BAD_VALUE = "Parameter '{name}' does not accept value '{value}'"
EARLIER_BAD_VALUE = "Invalid parameter '{value}'"
"""What is said of a string that is no value of an enumeration; the second until QEMU 5.2."""


BINARY_NUMBERS = "QEMU 10.0"
"""Measured: 0b11 is 3 for those that are built with a C library of 2023 or newer, and no number before."""


def bad_value(name: str, value: str, number: Number) -> str:
    """What a version says of a string that is no value of an enumeration; `name` is the member's."""
    return (EARLIER_BAD_VALUE if number <= (5, 2) else BAD_VALUE).format(name=name, value=value)


def covers(marks: Schema, number: Number) -> bool:
    """Whether a version has what these marks are on."""
    return ("since" not in marks or version_number(marks["since"]) <= number) and (
        "until" not in marks or number <= version_number(marks["until"])
    )


def features(marks: Schema, number: Number) -> tuple[str, ...]:
    """The features that a version tells of what these marks are on."""
    told = marks.get("x-features")
    return tuple(name for name in told if version_number(told[name]) <= number) if told else ()


def version_number(mark: str) -> Number:
    """The version that a mark tells; the program's own are older than every QEMU that it is."""
    major, _, minor = mark.rpartition(" ")[2].partition(".")
    return int(major), int(minor)


def of_version(schema: Schema, number: Number) -> Schema:
    """The schema that stood in this one's place in a version."""
    for earlier in schema.get("x-earlier", ()):
        if covers(earlier, number):
            return earlier  # type: ignore[no-any-return]  # it is what the document says
    return schema


def values_of(schema: Schema, number: Number) -> list[str]:
    """The values of an enumeration that a version has."""
    marks = schema.get("x-values", {})
    return [value for value in schema["enum"] if value not in marks or covers(marks[value], number)]


def filtered(part: Any, number: Number) -> Any:
    """A copy of a part of a document with only what a version has."""
    if isinstance(part, list):
        return [filtered(each, number) for each in part]
    if not isinstance(part, dict):
        return part
    part = of_version(part, number)
    left = {
        name: filtered(value, number)
        for name, value in part.items()
        if not isinstance(value, dict) or covers(value, number)
    }
    if "enum" in part:
        left["enum"] = values_of(part, number)
    if "required" in part:
        left["required"] = [name for name in part["required"] if name in left.get("properties", (name,))]
    return left
