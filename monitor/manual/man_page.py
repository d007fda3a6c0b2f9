"""`ramslot man`: print the manual page, in the macros of man(7)."""

from __future__ import annotations

import sys

from ... import __version__
from ...commands import hmp_commands
from ...vm.releases import find_release
from ..command_line.option import Option
from ..command_line.options import OPTIONS
from ..lines.commands import COMMANDS
from ..lines.help import REDIRECTIONS
from .words import option_names, subcommands

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

USAGE = """\
usage: {program} man

prints the manual page: {program} man | man -l -"""
NAME = "the guest-memory half of a virtual machine monitor, behind QEMU's monitor protocols"
DESCRIPTION = """\
ramslot keeps the memory of a virtual machine exactly as QEMU keeps it: memory backends that really map host memory,
MemoryRegion trees, flat views, the RAMBlock table, and the KVM memslot table, in a real /dev/kvm or simulated. It is
asked by people at a console (HMP and QMP at one prompt), by programs on a JSON socket (QMP), and by scripts. There is
no CPU, disk, display or network: memory only, but all of memory.

Started at a terminal with nothing else to do it gives a prompt; 'help' lists the commands there, 'tutorial' shows
around. Options may have one dash or two."""
FILES = {
    "$XDG_CONFIG_HOME/ramslot/startup": "lines that the console runs at its start (without the variable in ~/.config)",
    "$XDG_STATE_HOME/ramslot/history": "what was typed at the console (without the variable in ~/.local/state)",
    "~/.inputrc": "readline's file, of which 'set editing-mode vi' counts",
}
ENVIRONMENT = {
    "RAMSLOT_QEMU": "the version of QEMU to be where -qemu does not say",
    "PAGER": "what shows long answers at the console (less where it is not set; none where it is empty, or cat)",
    "NO_COLOR": "no colours, if it is not empty",
    "TERM": "dumb is a terminal for plain text",
    "INPUTRC": "another file than ~/.inputrc",
}
STATUS = {
    "0": "all went well, also where a signal ended it",
    "1": "the configuration was refused, or a line of a script failed",
}


def run_man_command(program: str, words: list[str]) -> int:
    """Carry out `man` and return the exit status."""
    if words:
        asked = words[0] in ("-help", "--help", "-h")
        print(USAGE.format(program=program), file=sys.stdout if asked else sys.stderr)
        return 0 if asked else 1
    sys.stdout.write(man_page())
    return 0


def man_page() -> str:
    """The whole page."""
    return "".join(f"{line}\n" for line in _lines())


def _lines() -> Iterator[str]:
    yield '.\\" Made by "ramslot man".'
    yield f'.TH RAMSLOT 1 "" "ramslot {__version__}" "User Commands"'
    yield from (".SH NAME", f"ramslot \\- {_escaped(NAME)}", ".SH SYNOPSIS", ".B ramslot", "[options]")
    for each in subcommands():
        yield from (".br", f".B ramslot {each.name}", "\\&...")
    yield from (".SH DESCRIPTION", *_escaped(DESCRIPTION).replace("\n\n", "\n.PP\n").split("\n"), ".SH OPTIONS")
    for heading, rows in OPTIONS.items():
        yield f".SS {_escaped(heading)}"
        for row in rows:
            yield from _option(row)
    yield ".SH OTHER PROGRAMS"
    for each in subcommands():
        yield from (f".SS ramslot {each.name}", f"{_escaped(each.help)}.", ".PP")
        yield from _as_it_stands(each.usage.replace("{program}", "ramslot"))
    yield from (".SH COMMANDS", "At the console, in scripts, and on human monitors (QEMU's HMP):")
    release = find_release(None)
    for name, command in sorted(hmp_commands(release).items()):
        if name == command.name:
            yield from _command(command.help_line, command.example)
    yield ".SS At the console and in scripts"
    for own in COMMANDS.values():
        yield from _command(own.help_line, own.example)
    yield from _as_it_stands(REDIRECTIONS)
    for title, table in {"FILES": FILES, "ENVIRONMENT": ENVIRONMENT, "EXIT STATUS": STATUS}.items():
        yield f".SH {title}"
        for name, meaning in table.items():
            yield from (".TP", f".B {_escaped(name)}", _escaped(meaning))
    yield from (".SH SEE ALSO", ".BR qemu (1)")


def _option(option: Option) -> Iterator[str]:
    names = ", ".join(f"\\fB{_escaped(name)}\\fR" for name in option_names(option))
    usage, *more = option.usage.split("\n")
    yield from (".TP", f"{names} {_escaped(usage)}".rstrip())
    for line in more:
        yield from (".br", _escaped(line.strip()))
    for number, line in enumerate(option.help.split("\n")):
        if number:
            yield ".br"
        yield _escaped(line)


def _command(help_line: str, example: str) -> Iterator[str]:
    head, _, meaning = help_line.rstrip("\n").partition(" -- ")
    yield from (".TP", f".B {_escaped(' '.join(head.split()))}")
    yield _escaped(" ".join(meaning.split()))
    if example != head.strip():
        yield from (".br", f"Example: {_escaped(example)}")


def _as_it_stands(text: str) -> Iterator[str]:
    yield from (".nf", *_escaped(text.rstrip("\n")).split("\n"), ".fi")


def _escaped(text: str) -> str:
    """Text as troff prints it: no backslash, and no dot at the beginning of a line, means anything."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return "\n".join(f"\\&{line}" if line.startswith((".", "'")) else line for line in text.split("\n"))
