"""`ramslot compat`: whether the memory of two machines fits, before a migration."""

from __future__ import annotations

import sys

from ...vm.errors import VMError

USAGE = """\
usage: {program} compat A B [-both] [-from-qemu VERSION] [-to-qemu VERSION] [-json] [-strict]
       {program} compat -matrix FILE [-shard I/N] [-json] [-output FILE.svg]

tells whether a migration from A to B would find its memory there: yes or no, what
differs by RAMBlock, why, QEMU's own words for it, and the smallest change to B
that was tried and fits. Each side is

    a command line of QEMU, quoted; the program's name, or the path to it, may
        tell the version (qemu-system-x86_64-7.2, /opt/qemu-7.2/bin/...)
    a QMP monitor of a running machine, unix:PATH or tcp:HOST:PORT
    a file: libvirt's XML of a domain, a log of libvirt or Proxmox with a command
        line in it, a migration stream that was saved, or a contract as JSON

    {program} compat 'qemu-system-x86_64-7.2 -nodefaults -M pc -m 4G' \\
        'qemu-system-x86_64-11.1 -nodefaults -M pc -m 4G'

-both asks for the way back, too. -strict takes "yes, of what was checked" for no:
of devices that are not modelled here, RAMBlocks are not known.

-matrix asks of all pairs of a fleet: FILE has one side on a line, or NAME, a comma
or a tab, and the side; '#' begins a comment. -shard I/N takes each N-th source,
from the I-th on, so that N processes share the work. -output draws a heat map.

The exit status is 0 for yes (to all that was asked), 1 for no, 2 for a side that
was not understood."""


def run_compat_command(program: str, words: list[str]) -> int:
    """Carry out `compat WORDS...` and return the exit status."""
    if not words or any(word.lstrip("-") in ("help", "h") and word.startswith("-") for word in words):
        print(USAGE.format(program=program), file=sys.stdout if words else sys.stderr)
        return 0 if words else 2
    try:
        sides, options = _divide(words)
        if "matrix" in options:
            return _matrix(sides, options)
        if len(sides) != 2:
            raise VMError(f"expects two sides; see '{program} compat -help'")
        return _pair(sides, options)
    except VMError as error:
        print(f"{program}: compat: {error}", file=sys.stderr)
    return 2


VALUES = ("from-qemu", "to-qemu", "matrix", "shard", "output")
SWITCHES = ("both", "json", "strict")


def _divide(words: list[str]) -> tuple[list[str], dict[str, str]]:
    """Sides and options. What begins with a dash and has a blank is a command line without its program."""
    sides: list[str] = []
    options: dict[str, str] = {}
    rest = iter(words)
    for word in rest:
        name = word.lstrip("-")
        if not word.startswith("-") or " " in word:
            sides.append(word)
        elif name in SWITCHES:
            options[name] = "on"
        elif name in VALUES:
            value = next(rest, None)
            if value is None:
                raise VMError(f"{word}: requires an argument")
            options[name] = value
        else:
            raise VMError(f"{word}: invalid option")
    return sides, options


def _pair(sides: list[str], options: dict[str, str]) -> int:
    from .asking import ask
    from .report import to_json, to_text

    both = "both" in options
    found = ask(*sides, from_qemu=options.get("from-qemu"), to_qemu=options.get("to-qemu"), both=both)
    if "json" in options:
        import json

        told = [to_json(verdict, fix) for verdict, fix in found]
        print(json.dumps({**told[0], "back": told[1]} if both else told[0], indent=2))
    else:
        print("\n".join(to_text(verdict, fix) for verdict, fix in found), end="")
    strict = "strict" in options
    return 0 if all(verdict.compatible and (verdict.certain or not strict) for verdict, _fix in found) else 1


def _matrix(sides: list[str], options: dict[str, str]) -> int:
    from os.path import dirname

    from ...vm.compat.fleet import outcomes, shard_of
    from . import fleet_report
    from .fleet_file import read_contracts, read_fleet

    if sides:
        raise VMError(f"-matrix takes its sides from the file, not '{sides[0]}'")
    path = options["matrix"]
    fleet = read_fleet(path)
    shard = _shard(options.get("shard", "1/1"))
    names = [name for name, _side in fleet]
    contracts = read_contracts(fleet, dirname(path))
    found = list(outcomes(contracts, shard_of(len(fleet), shard)))
    if "output" in options:
        try:
            with open(options["output"], "w", encoding="utf-8") as file:
                file.write(fleet_report.to_svg(names, found))
        except OSError as error:
            raise VMError(f"cannot write '{options['output']}': {error.strerror}") from None
    if "json" in options:
        import json

        print(json.dumps(fleet_report.to_json(names, contracts, found, options.get("shard", "1/1"))))
    else:
        print(fleet_report.to_text(names, found), end="")
    strict = "strict" in options
    return 0 if all(each.kind == "yes" or (each.compatible and not strict) for each in found) else 1


def _shard(text: str) -> tuple[int, int]:
    number, slash, processes = text.partition("/")
    if not (slash and number.isdecimal() and processes.isdecimal() and 1 <= int(number) <= int(processes)):
        raise VMError(f"-shard {text}: expects I/N, I from 1 to N")
    return int(number), int(processes)
