"""`ramslot versions`: what the versions of QEMU and of its machine types have different."""

from __future__ import annotations

import os
import sys

from ..vm.errors import VMError
from ..vm.releases import VERSIONS, Release, find_release
from .command_line.settings import CommandLineError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from ..commands.facets import Facets
    from ..commands.version_diff import Step
    from ..vm.boards.machine_type import MachineType
    from ..vm.boards.targets import Target
    from ..vm.config import Config

USAGE = """\
usage: {program} versions list
       {program} versions diff A B [-json] [options]

list shows the versions of QEMU that ramslot can be, and which machines of theirs
are modelled.

diff shows what the same options give in A and in B, and which version on the way
from one to the other changed it: machine properties, RAMBlocks, the memory map,
defaults of objects, the QMP schema. A and B are versions of QEMU, or machine
types of one QEMU:

    {program} versions diff 7.2 11.1 -M none
    {program} versions diff pc-i440fx-2.1 pc -m 6G,slots=2,maxmem=8G

Nothing is mapped: without -host the machines are made on a virtual host. The exit
status is 0 where nothing differs, 1 where something does, 2 for an error."""
ROOMY_HOST = "nodes=8,memory=64T,overcommit=always"
"""Where machines are made that are only looked at."""


def run_versions_command(program: str, words: list[str]) -> int:
    """Carry out `versions WORDS...` and return the exit status."""
    words = [word.removeprefix("-") if word.startswith("--") else word for word in words]
    if not words or "-help" in words or "-h" in words:
        print(USAGE.format(program=program), file=sys.stdout if words else sys.stderr)
        return 0 if words else 2
    try:
        if words == ["list"]:
            print(_list(), end="")
            return 0
        if words[0] == "diff" and len(words) >= 3 and not any(word.startswith("-") for word in words[1:3]):
            return _diff(program, words[1], words[2], words[3:])
        raise VMError(f"expects list or diff A B; see '{program} versions -help'")
    except CommandLineError as error:
        print(*(f"{program}: {message}" for message in error.messages), sep="\n", file=sys.stderr)
    except VMError as error:
        print(f"{program}: versions {words[0]}: {error}", file=sys.stderr)
    return 2


def _list() -> str:
    from ..vm.releases import DEFAULT

    lines = []
    for name in VERSIONS:
        default = ", the default" if name == DEFAULT else ""
        lines.append(f"{name:<6} QEMU {find_release(name).full_name}{default}\n")
    return "".join(lines)


def _diff(program: str, first: str, second: str, options: list[str]) -> int:
    from ..commands.version_diff import changes, to_text, way

    as_json = "-json" in options
    sides = _Sides(program, [option for option in options if option != "-json"])
    start, end = sides.step(first), sides.step(second)
    found, refused = changes(way(start, end, list(reversed(VERSIONS)), sides.relatives(start, end)), sides.look)
    for text in refused:
        print(f"{program}: passed over: {text}", file=sys.stderr)
    if as_json:
        import json

        print(json.dumps({"from": str(start), "to": str(end), "changes": [change.to_json() for change in found]}))
    else:
        print(f"{start}  ->  {end}")
        print(to_text(found) or "nothing differs\n", end="")
    return 1 if found else 0


class _Sides:
    """The command line, as the two sides and those between them read it."""

    def __init__(self, program: str, options: list[str]) -> None:
        self._program = program
        self._options = options

    def _config(self, release: Release | None = None) -> Config:
        """What the options mean to a release; None is the one that they name, or the default."""
        from .command_line.options import parse

        chosen = [] if release is None else ["-qemu", release.name]
        settings = parse([self._program, *self._options, *chosen], qemu=os.environ.get("RAMSLOT_QEMU"))
        if settings.question is not None:
            raise VMError("the options ask for help, and describe no machine")
        return settings.config

    def _find(self, name: str | None, release: Release) -> tuple[MachineType, Target]:
        from ..vm.boards import find_machine_type

        return find_machine_type(name, self._config(release).target, release)

    def step(self, name: str) -> Step:
        """What the user means by A or B: a release with the machine type that the options name, or a machine type.

        Without `-qemu` a machine type is that of the newest release with it.
        """
        from ..commands.version_diff import Step
        from ..vm.boards import releases_with

        if name.replace(".", "").isdigit():
            release = find_release(name)
            return Step(release.name, self._find(self._config(release).machine_type, release)[0].name)
        release = find_release(self._config().qemu)
        if "-qemu" not in self._options and "--qemu" not in self._options:
            release = find_release(next(iter(releases_with(name, self._config().target)), release.name))
        return Step(release.name, self._find(name, release)[0].name)

    def relatives(self, start: Step, end: Step) -> list[str]:
        """The machine types of the family that both ends are of, in the release of the end, oldest first."""
        from ..commands.version_diff import age
        from ..vm.boards import machine_types

        release = find_release(end.release)
        _found, target = self._find(end.machine, release)
        stem = end.machine.rpartition("-")[0]
        if not stem or stem != start.machine.rpartition("-")[0]:
            return []
        names = [found.name for found in machine_types(target, release)]
        return sorted((name for name in names if name.rpartition("-")[0] == stem), key=age)

    def look(self, step: Step) -> Facets:
        """The facts of the machine that one step makes of the command line."""
        from ..commands.facets import facets
        from ..vm.machine import VirtualMachine

        config = self._config(find_release(step.release))
        config.machine_type = step.machine
        config.host = config.host or ROOMY_HOST
        with VirtualMachine(config) as vm:
            return facets(vm, NoProgram())


class NoProgram:
    """There is no program around a machine that is only looked at; queries need none."""

    def __getattr__(self, name: str) -> NoReturn:
        raise AttributeError(name)
