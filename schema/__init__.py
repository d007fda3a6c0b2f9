"""The contract: every QMP command and event as JSON Schema data, and the checks made from it.

The documents are the `*.json` files beside this module. Nothing is read before the first question, and jsonschema is
imported only for arguments that are not plainly valid. No handler, no protocol and nothing of the VM belongs here.
"""

from __future__ import annotations

from .documents import Command, Event, commands, events
from .errors import ArgumentError, ResultError
from .types import Member, arguments_type, fits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Literal

    from .documents import Schema

__all__ = (
    "ArgumentError",
    "Command",
    "Event",
    "Member",
    "ResultError",
    "check",
    "check_event",
    "check_result",
    "commands",
    "events",
    "from_keyval",
    "introspect",
    "properties",
)


def check(command: str, arguments: dict[str, Any]) -> None:
    """Check the arguments of a command as they came out of the JSON parser.

    Raises `ArgumentError` with QEMU's text for the first mistake, in the order in which QEMU visits members; `KeyError`
    for an unknown command. A negative number for a 64-bit unsigned member passes, as in QEMU: it means its two's
    complement.
    """
    if not fits(arguments, arguments_type(command)):
        from .validation import check_closely

        check_closely(command, arguments)


def check_result(command: str, value: Any) -> None:
    """Check an answer against the contract; slow, for tests. Raises `ResultError`."""
    from .validation import check_result as check_against_contract

    check_against_contract(command, value)


def check_event(event: str, data: Any) -> None:
    """Check an event's data against the contract; slow, for tests. Raises `ResultError`."""
    from .validation import check_event as check_against_contract

    check_against_contract(event, data)


def from_keyval(
    command: str, pairs: dict[str, Any], flavour: Literal["cli", "hmp"], parse_size: Callable[[str], int]
) -> dict[str, Any]:
    """Turn what was written as `key=value,…` into the arguments of a command.

    `cli` is how QEMU reads an option like -object: flat keys, arrays by repetition and ranges
    (`host-nodes=0-2,host-nodes=5`); a value in `pairs` is a string, or a list of all that were given to the key, of
    which a member that is no array takes the last. `hmp` is how the human monitor reads object_add: `pairs` is a tree
    of dicts and lists with strings for leaves. `parse_size` reads a number of bytes with its suffix and raises
    `ValueError` for anything else.

    Raises `ArgumentError` with QEMU's text for the first mistake, which differs between the two.
    """
    from .keyval import from_keyval as read

    return read(command, pairs, flavour, parse_size)


def properties(command: str, tag: str | None = None) -> list[Member]:
    """List the arguments that a command takes, for help and completion.

    `tag` is the value of the argument that chooses the others (the `qom-type` of `object-add`); without it only the
    arguments common to all are listed. Raises `KeyError` for an unknown command or tag.
    """
    declared = arguments_type(command)
    return list((declared.cases[tag] if tag is not None else declared).members.values())


def introspect() -> list[Schema]:
    """Return what `query-qmp-schema` answers."""
    from .introspection import introspect as describe

    return describe()
