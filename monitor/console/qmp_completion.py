"""What may follow in QMP JSON that is being typed: a pure function of the text and the contract.

Command names behind `"execute"`, names of arguments within `"arguments"`, and the values of those that have few.
"""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Protocol

    Candidates = list[tuple[str, str]]

    class Named(Protocol):
        """A type."""

        @property
        def name(self) -> str: ...  # noqa: D102

    class Member(Protocol):
        """An argument: its name, what it means, its type, and its values if they are few."""

        @property
        def name(self) -> str: ...  # noqa: D102
        @property
        def description(self) -> str: ...  # noqa: D102
        @property
        def type(self) -> Named: ...  # noqa: D102
        @property
        def values(self) -> tuple[str, ...]: ...  # noqa: D102

    class Described(Protocol):
        """A command."""

        @property
        def description(self) -> str: ...  # noqa: D102

    class Contract(Protocol):
        """The commands there are: ours (`schema.Contract`), or those that a QEMU tells of."""

        def commands(self) -> Mapping[str, Described]:
            """All of them by name."""

        def properties(self, command: str, tag: str | None = None) -> Sequence[Member]:
            """The arguments of one; raises `KeyError`."""


_COMMAND = re.compile(r"""["']execute["']\s*:\s*["']([^"']*)$""")
_COMMAND_BEFORE = re.compile(r"""["']execute["']\s*:\s*["']([^"']+)["']""")
_ARGUMENTS = re.compile(r"""["']arguments["']\s*:\s*\{[^{}]*$""")
_MEMBER = re.compile(r"""[{,]\s*["']([^"']*)$""")
_VALUE = re.compile(r"""["']([^"']+)["']\s*:\s*["']([^"']*)$""")
_TAG = re.compile(r"""["']qom-type["']\s*:\s*["']([^"']+)["']""")
_REQUEST = (("execute", "the command"), ("arguments", "its arguments"), ("id", "comes back in the answer"))


def qmp_candidates(contract: Contract, text: str) -> tuple[int, Candidates]:
    """Where the string under way begins, and the strings that may stand there, with what they mean."""
    match = _COMMAND.search(text)
    if match is not None:
        return match.start(1), [(name, command.description) for name, command in contract.commands().items()]
    if _ARGUMENTS.search(text):
        return _argument_candidates(contract, text)
    match = _MEMBER.search(text)
    if match is not None and text.count("{") == 1:
        return match.start(1), [(name, meaning) for name, meaning in _REQUEST if not _has_member(text, name)]
    return len(text), []


def _argument_candidates(contract: Contract, text: str) -> tuple[int, Candidates]:
    members = _members(contract, text)
    match = _MEMBER.search(text)
    if match is not None:
        given = text[text.rindex("{") :]
        return match.start(1), [
            (member.name, member.description or member.type.name)
            for member in members
            if not _has_member(given, member.name)
        ]
    match = _VALUE.search(text)
    if match is not None:
        values = next((member.values for member in members if member.name == match[1]), ())
        return match.start(2), [(value, match[1]) for value in values]
    return len(text), []


def _members(contract: Contract, text: str) -> Iterable[Member]:
    """The arguments of the command that is named in the text, as far as they are known."""
    command = _COMMAND_BEFORE.search(text)
    if command is None or command[1] not in contract.commands():
        return ()
    tag = _TAG.search(text)
    if tag is not None and command[1] == "object-add":
        try:
            return contract.properties(command[1], tag[1])
        except KeyError:
            pass
    return contract.properties(command[1])


def _has_member(text: str, name: str) -> bool:
    return re.search(rf"""["']{re.escape(name)}["']\s*:""", text) is not None
