"""What a mistyped word was probably meant to be: commands, and options, types, properties and ids in their places."""

from __future__ import annotations

import re

from ...commands import hmp_commands
from ...schema import contract
from ..completion import candidates
from ..lines.commands import COMMANDS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from ...vm.machine import VirtualMachine
    from ...vm.releases import Release

_QUOTED = re.compile(r"(?<=')[^']+(?=')|(?<=: )\S+$")
_MISSING = re.compile(r"Parameter '([^']+)' is missing")
_GIVEN = re.compile(r"([\w-]+)=")
MOST_WORDS = 2000
"""More than so many that may stand in a place are not compared: names of thousands of objects are alike."""


def did_you_mean(release: Release, line: str, own: Iterable[str] = ()) -> str | None:
    """The remedy for a mistyped command's name: the name that is most like it. `own` are names beside the commands."""
    commands = [*hmp_commands(release), *COMMANDS, *own]
    words = line.split()
    name = " ".join(words[:2]) if words[:1] == ["info"] else "".join(words[:1])
    if not name or name in commands:
        return None
    if f"info {name}" in commands:
        return f"did you mean 'info {name}'?"
    similar = _most_like(name, commands)
    if similar is not None:
        return f"did you mean '{similar}'?"
    if name in contract(release.number).commands():
        return f'a QMP command: {{"execute": "{name}"}}'
    return "'quit' ends the program" if name in ("exit", "logout", "bye") else None


def did_you_mean_within(vm: VirtualMachine, line: str, error: str) -> str | None:
    """The remedy for a mistyped word that an error quotes: what is most like it of what may stand in its place."""
    missing = _MISSING.search(error)
    if missing is not None:
        given = _most_like(missing[1], _GIVEN.findall(line))
        return None if given is None or given == missing[1] else f"did you mean '{missing[1]}'?"
    for quoted in _QUOTED.findall(error.rstrip()):
        word = quoted.rpartition(".")[2]
        place = line.find(word) if word else -1
        if place <= 0:
            continue
        _start, found = candidates(vm, line[:place])
        known = [name.rstrip("=") for name, _meaning in found[:MOST_WORDS]]
        similar = _most_like(word, known) if word not in known else None
        if similar is not None:
            return f"did you mean '{similar}'?"
    return None


def _most_like(word: str, known: Iterable[str]) -> str | None:
    from difflib import get_close_matches

    return next(iter(get_close_matches(word, known, 1)), None)
