"""`ramslot attach`: our console and our views on a QEMU that runs already."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass, field

from ...vm.errors import VMError
from ..loop import ENDING_SIGNALS, Loop
from .addresses import Address, connect
from .attached import Attached
from .client import GREETING_SECONDS, Client

USAGE = """\
usage: {program} attach ADDRESS | -pid N [-write] [-c LINE]... [-script FILE] [-json]

gives our console, and our views, on a QEMU (5.2 or newer) that runs. ADDRESS is its
QMP monitor, unix:PATH or tcp:HOST:PORT; -pid N finds that in the command line of
process N, and looks at the process's memory as well, where that is allowed.

    {program} attach unix:/run/vm.qmp
    {program} attach -pid "$(pidof qemu-system-x86_64)" -c 'info map' -c 'why 0xc0000'

HMP lines and QMP (JSON, or typed: query-status, qom-get path=/machine property=type
where HMP has no such command) go to QEMU; Tab completes from what this QEMU has, and
events are shown as they come. Ours, made of what QEMU tells:

    info map [--output FILE]        guest-physical space, drawn (FILE.svg or FILE.html)
    why ADDRESS [ADDRESS-SPACE]     what is there, and why
    info memslots [-v]              the KVM memslots that its flat view makes; -v with
                                    host addresses, and with -pid pages and nodes
    info slots-cost                 who uses them, and what the kernel keeps for them
    info compat [-i] PARTNER        would its memory fit there? (-i: theirs here)
    info diff [COMMAND-LINE]        what ramslot makes of QEMU's command line, compared
    query-mtree, query-flatviews, query-ramblocks, query-numa, query-map,
    query-address, query-memslots, query-memslots-cost, save-map, query-compat,
    query-command-line-diff         the same as QMP

Nothing is changed unless asked: without -write only commands that read are sent
(info, help, x, xp, gpa2hva, ...; query-*, qom-list, qom-get, ...), and the others are
refused here. quit ends the session, never the machine; in QMP it would end that.

-c runs a line and -script FILE those of a file (- is standard input), as '{program}
-c' does: exit status 1 when one fails, which -keep-going lets not end it. -json prints
results as JSON, one a line, in structure where there is one: of 'info mtree', 'info
ramblock' and 'info numa', too. What our prompt and scripts have beside HMP works here,
on QEMU's answers: pipes, -j, assert, mark and diff, watch, variables, aliases.
-wait SECONDS is how long a greeting is waited for, 5 unless told.
-record FILE, -transcript FILE and -vi are as without attach; '{program} replay FILE'
runs a transcript again, and '{program} replay FILE -- attach ADDRESS' on this QEMU.

A QMP monitor serves one client at a time: '{program} mux' makes one serve several."""

VALUES = ("pid", "c", "script", "wait", "record", "transcript")
SWITCHES = ("write", "json", "keep-going", "vi")


@dataclass
class Options:
    """What was asked for."""

    address: str | None = None
    pid: int | None = None
    commands: list[str] = field(default_factory=list)
    script: str | None = None
    record: str | None = None
    transcript: str | None = None
    wait: float = GREETING_SECONDS
    switches: set[str] = field(default_factory=set)


def run_attach_command(program: str, words: list[str]) -> int:
    """Carry out `attach WORDS...` and return the exit status."""
    if not words or any(word in ("-h", "-help", "--help") for word in words):
        print(USAGE.format(program=program), file=sys.stdout if words else sys.stderr)
        return 0 if words else 1
    loop = Loop()
    try:
        options = parse_options(words)
        return _run(program, options, loop)
    except VMError as error:
        print(f"{program}: attach: {error}", file=sys.stderr)
        return 1
    except (KeyboardInterrupt, OSError):
        raise
    except Exception as error:  # a defect of ours, told without a traceback
        print(f"{program}: attach: internal error: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    finally:
        loop.close()


def parse_options(words: list[str]) -> Options:
    """Read the words of the command line; raises `VMError`."""
    options = Options()
    rest = iter(words)
    for word in rest:
        name = word.removeprefix("-").removeprefix("-")
        if not word.startswith("-"):
            if options.address is not None:
                raise VMError(f"one address is expected, not '{word}' as well")
            options.address = word
        elif name in SWITCHES:
            options.switches.add(name)
        elif name in VALUES:
            value = next(rest, None)
            if value is None:
                raise VMError(f"{word}: requires an argument")
            _take(options, word, name, value)
        else:
            raise VMError(f"{word}: invalid option")
    if (options.address is None) == (options.pid is None):
        raise VMError("expects the address of a QMP monitor, or -pid N; see -help")
    return options


def _take(options: Options, word: str, name: str, value: str) -> None:
    if name == "c":
        options.commands.append(value)
    elif name in ("script", "record", "transcript"):
        setattr(options, name, value)
    elif name == "pid":
        if not value.isdecimal() or not 0 < int(value) < 1 << 31:
            raise VMError(f"{word} {value}: expects the number of a process")
        options.pid = int(value)
    else:
        try:
            options.wait = float(value)
        except ValueError:
            options.wait = -1
        if not 0 < options.wait < 1e6:
            raise VMError(f"{word} {value}: expects a number of seconds")


def _run(program: str, options: Options, loop: Loop) -> int:
    command_line = ""
    if options.pid is not None:
        from .process import find_address, read_command_line

        address = find_address(options.pid)
        command_line = shlex.join(read_command_line(options.pid))
    else:
        address = Address(options.address or "")
    client = Client(loop, connect(address), str(address), options.wait)
    attached = None
    try:
        attached = Attached(
            client,
            program=program,
            write="write" in options.switches,
            as_json="json" in options.switches,
            pid=options.pid,
            command_line=command_line,
        )
        for number in ENDING_SIGNALS:
            loop.on_signal(number, attached.shut_down, "host-signal")
        for note in attached.notes:
            attached.warn(f"note: {note}")
        status = _serve(attached, options)
    finally:
        (attached or client).close()
    if attached.failure is not None and not attached.left:
        attached.warn(attached.failure)
        return 1
    return status


def _serve(attached: Attached, options: Options) -> int:
    from ..scripts.recording import open_recorder
    from ..scripts.runner import ScriptRunner

    recorder = open_recorder(attached.warn, options.record, options.transcript)
    if not options.commands and options.script is None and sys.stdin.isatty() and sys.stdout.isatty():
        from .console import run_console

        run_console(attached, recorder, "vi" in options.switches)
        return 0
    runner = ScriptRunner(attached, "keep-going" in options.switches, recorder)
    if options.commands:
        runner.run((f"-c '{line}'", line) for line in options.commands)
    path = options.script if options.commands else options.script or "-"
    if path is not None and ("keep-going" in options.switches or not runner.failed):
        runner.run_file(path)
    if recorder is not None:
        recorder.close()
    return 1 if runner.failed else 0
