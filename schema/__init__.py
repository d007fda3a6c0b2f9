"""The contract: every QMP command and event as JSON Schema data, and the checks made from it.

The documents are the `*.json` files beside this module; they are those of all versions of QEMU, and `contract` gives
that of one. Nothing is read before the first question, and jsonschema is imported only for arguments that are not
plainly valid. No handler, no protocol and nothing of the VM belongs here.
"""

from __future__ import annotations

from .documents import Command, Event, declared_command, declared_commands, declared_events
from .errors import ArgumentError, ResultError
from .releases import covers
from .types import Array, Member, Object, Types, fits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Literal

    from .releases import Number, Schema

__all__ = ("ArgumentError", "Command", "Contract", "Event", "Member", "ResultError", "contract")


class Contract:
    """What one version of QEMU takes, answers and tells; got by `contract`."""

    __slots__ = ("_events", "_found", "_listed", "number", "types")

    def __init__(self, number: Number) -> None:
        self.number = number
        """Major and minor number of the version."""
        self.types = Types(number)
        self._found: dict[str, Command] = {}
        self._listed: dict[str, Command] | None = None
        self._events: dict[str, Event] | None = None

    def find(self, name: str) -> Command | None:
        """Return the command of that name, None where there is none; nothing is made of any other."""
        found = self._found.get(name)
        if found is None:
            declared = declared_command(name)
            if declared is not None and covers(declared[1], self.number):
                found = self._found[name] = Command(declared[0], name, declared[1], self.number)
        return found

    def command(self, name: str) -> Command:
        """Return the command of that name. Raises `KeyError`."""
        found = self.find(name)
        if found is None:
            raise KeyError(name)
        return found

    def commands(self) -> dict[str, Command]:
        """Return every command by its name, in the order of the documents."""
        if self._listed is None:
            named = ((name, self.find(name)) for name in declared_commands())
            self._listed = {name: command for name, command in named if command is not None}
        return self._listed

    def events(self) -> dict[str, Event]:
        """Return every event by its name, in the order of the documents."""
        if self._events is None:
            self._events = {
                name: Event(subject, name, declaration)
                for name, (subject, declaration) in declared_events().items()
                if covers(declaration, self.number)
            }
        return self._events

    def check(self, command: str, arguments: dict[str, Any]) -> None:
        """Check the arguments of a command as they came out of the JSON parser.

        Raises `ArgumentError` with QEMU's text for the first mistake, in the order in which QEMU visits members;
        `KeyError` for an unknown command. A negative number for a 64-bit unsigned member passes, as in QEMU: it means
        its two's complement.
        """
        if not fits(arguments, self.types.arguments(self.command(command))):
            from .validation import check_closely

            check_closely(self, command, arguments)

    def answered(self, command: str) -> frozenset[str]:
        """Return the names of the members of the objects that a command answers. Raises `KeyError` as `check`."""
        declared = self.command(command)
        if declared.answered is None:
            returned = self.types.returns(declared)
            if isinstance(returned, Array):
                returned = returned.element
            assert isinstance(returned, Object)
            declared.answered = frozenset(
                name for case in (returned, *returned.cases.values()) for name in case.members
            )
        return declared.answered

    def check_result(self, command: str, value: Any) -> None:
        """Check an answer against the contract; slow, for tests. Raises `ResultError`."""
        from .validation import check_result

        check_result(self, command, value)

    def check_event(self, event: str, data: Any) -> None:
        """Check an event's data against the contract; slow, for tests. Raises `ResultError`."""
        from .validation import check_event

        check_event(self, event, data)

    def from_keyval(
        self,
        command: str,
        pairs: dict[str, Any],
        flavour: Literal["cli", "hmp", "properties"],
        parse_size: Callable[[str], int],
    ) -> dict[str, Any]:
        """Turn what was written as `key=value,…` into the arguments of a command.

        `cli` is how QEMU reads an option like -object: flat keys, arrays by repetition and ranges
        (`host-nodes=0-2,host-nodes=5`); a value in `pairs` is a string, or a list of all that were given to the key, of
        which a member that is no array takes the last. `hmp` is how the human monitor reads object_add: `pairs` is a
        tree of dicts and lists with strings for leaves. `properties` is how QEMU up to 5.2 read both: as `cli`, but a
        value that is wrong becomes the `ArgumentError` that tells so, for whoever comes to it, and a key that is not
        known keeps its string. `parse_size` reads a number of bytes with its suffix and raises `ValueError` for
        anything else.

        Raises `ArgumentError` with QEMU's text for the first mistake, which differs between them.
        """
        from .keyval import from_keyval

        return from_keyval(self.types.arguments(self.command(command)), pairs, flavour, parse_size, self.number)

    def properties(self, command: str, tag: str | None = None) -> list[Member]:
        """List the arguments that a command takes, for help and completion.

        `tag` is the value of the argument that chooses the others (the `qom-type` of `object-add`); without it only
        the arguments common to all are listed. Raises `KeyError` for an unknown command or tag.
        """
        declared = self.types.arguments(self.command(command))
        declared = declared.pairs or declared
        return list((declared.cases[tag] if tag is not None else declared).members.values())

    def introspect(self) -> list[Schema]:
        """Return what `query-qmp-schema` answers."""
        from .introspection import introspect

        return introspect(self)


_contracts: dict[Number, Contract] = {}


def contract(number: Number) -> Contract:
    """Return the contract of the QEMU with that major and minor number."""
    if number not in _contracts:
        _contracts[number] = Contract(number)
    return _contracts[number]
