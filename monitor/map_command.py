"""`ramslot map`: maps of machines that command lines describe or that run, and what two have different."""

from __future__ import annotations

import sys

from ..vm.errors import VMError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..vm.machine import VirtualMachine

USAGE = """\
usage: {program} map A [B] [-output FILE.svg|FILE.html] [-json] [-qemu VERSION] [-to-qemu VERSION]

draws all guest-physical addresses of the machine A, to scale, holes folded. With B
it shows both beside each other, the same addresses on the same height, and what
became of what: moved, resized, new, gone, renamed, in another memslot. A and B are
command lines of QEMU, quoted; files with one in them, a log or libvirt's XML; or QMP
monitors of machines that run, unix:PATH or tcp:HOST:PORT, which are only looked at
(the memslots of a QEMU are those that its flat view makes, for it tells of none).

    {program} map '-M q35 -m 8G' -output map.html
    {program} map unix:/run/vm.qmp '-M q35 -m 8G' -output differences.html
    {program} map 'qemu-system-x86_64-7.2 -M pc -m 8G' 'qemu-system-x86_64-11.1 -M q35 -m 8G'

-output (-o) makes an SVG picture, or a page for browsers that needs nothing else
and tells of each address what `why` tells; without it the map is text. -json
prints what a page has in it. -qemu is the version of QEMU of machines that do not
tell theirs, -to-qemu that of B.

Nothing is mapped: machines of command lines are made on a virtual host. The exit
status is 0, or, with B, 0 where nothing differs and 1 where something does; 2 for
an error."""

VALUES = {"output": "output", "o": "output", "qemu": "qemu", "to-qemu": "to-qemu"}
SWITCHES = ("json",)


def run_map_command(program: str, words: list[str]) -> int:
    """Carry out `map WORDS...` and return the exit status."""
    if not words or any(word in ("-h", "-help", "--help") for word in words):
        print(USAGE.format(program=program), file=sys.stdout if words else sys.stderr)
        return 0 if words else 2
    try:
        lines, options = _divide(words)
        if len(lines) not in (1, 2):
            raise VMError(f"expects one machine or two; see '{program} map -help'")
        return _map(program, lines, options)
    except VMError as error:
        print(f"{program}: map: {error}", file=sys.stderr)
    return 2


def _divide(words: list[str]) -> tuple[list[str], dict[str, str]]:
    """Machines and options. What begins with a dash and has a blank is a command line without its program."""
    lines: list[str] = []
    options: dict[str, str] = {}
    rest = iter(words)
    for word in rest:
        name = word.removeprefix("-").removeprefix("-")
        if not word.startswith("-") or " " in word:
            lines.append(word)
        elif name in SWITCHES:
            options[name] = "on"
        elif name in VALUES:
            value = next(rest, None)
            if value is None:
                raise VMError(f"{word}: requires an argument")
            options[VALUES[name]] = value
        else:
            raise VMError(f"{word}: invalid option")
    return lines, options


def _map(program: str, lines: list[str], options: dict[str, str]) -> int:
    from ..commands.pictures.document import document
    from ..commands.pictures.saving import kind_of, save

    kind = kind_of(options["output"]) if "output" in options else None
    versions = (options.get("qemu"), options.get("to-qemu", options.get("qemu")))
    whole = document([_look(program, line, version) for line, version in zip(lines, versions, strict=False)])
    if kind is not None:
        save(options["output"], whole, kind)
    if "json" in options:
        import json

        print(json.dumps(whole))
    elif kind is None:
        print(_text(whole), end="")
    return 1 if whole.get("changes") else 0


def _text(whole: dict[str, Any]) -> str:
    from ..commands.map import map_text
    from ..commands.pictures.text import to_text

    return to_text(whole) if len(whole["sides"]) == 2 else map_text(whole["sides"][0]["map"])


def _look(program: str, text: str, version: str | None) -> dict[str, Any]:
    """A side of a picture; what the map does not have of it is told on stderr. Raises `VMError`."""
    from .compat.live import is_address

    side, notes = _attached(program, text) if is_address(text) else _made(text, version)
    for note in notes:
        print(f"{program}: map: {note}", file=sys.stderr)
    return side


def _made(text: str, version: str | None) -> tuple[dict[str, Any], list[str]]:
    """The machine of a command line, and notes."""
    from ..commands import Context
    from ..commands.pictures.document import side_of
    from .compat.command_lines import read_command_line
    from .compat.sides import find_side_line
    from .versions_command import NoProgram

    sides: list[dict[str, Any]] = []

    def look(vm: VirtualMachine) -> None:
        sides.append(side_of(Context(vm, NoProgram())))

    contract = read_command_line(find_side_line(text, version), text, version, look)
    missing = ", ".join(each.what for each in contract.unchecked)
    notes = [f"not in the map, for nothing is known of it: {missing}"] if missing else []
    return sides[0], [*contract.notes, *notes]


def _attached(program: str, text: str) -> tuple[dict[str, Any], list[str]]:
    """The machine behind a QMP monitor, and notes."""
    from ..commands import Context
    from ..commands.pictures.document import side_of
    from .attach.addresses import Address, connect
    from .attach.attached import Attached
    from .attach.client import Client
    from .loop import Loop
    from .versions_command import NoProgram

    loop = Loop()
    opened: Client | Attached | None = None
    try:
        opened = client = Client(loop, connect(Address(text)), text)
        opened = attached = Attached(client, program=program)
        machine: Any = attached.worker.wait(attached.seen())
        side = side_of(Context(machine, NoProgram()))
        return side | {"derived": True, "detail": f"{side['detail']} (derived)"}, attached.notes
    finally:
        if opened is not None:
            opened.close()
        loop.close()
