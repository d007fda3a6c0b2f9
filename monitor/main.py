"""The command: read the command line, make the machine, serve it, end with the right status."""

from __future__ import annotations

import gc
import os
import sys
from io import TextIOWrapper

from ..commands.keyval import OptionError
from ..vm.errors import VMError
from .command_line.options import parse
from .command_line.settings import CommandLineError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ..vm.releases import Release
    from .command_line.settings import Settings
    from .program import Program

SUBCOMMANDS = {
    "attach": "attach.command",
    "compat": "compat.command",
    "completion": "manual.shell_completion",
    "guide": "guide.command",
    "host": "host_command",
    "man": "manual.man_page",
    "map": "map_command",
    "mux": "mux.command",
    "proxy": "streams.proxy",
    "replay": "scripts.replay_command",
    "stream": "streams.command",
    "versions": "versions_command",
}
"""First words that make another program of this one, and the modules with their functions `run_NAME_command`."""


def main() -> int:
    """Run the program named by `sys.argv`; returns its exit status."""
    _have_standard_streams()
    try:
        status = _main()
        sys.stdout.flush()
    except KeyboardInterrupt:
        return 128 + 2  # before we listened to signals
    except OSError as error:
        # A reader of our output that has gone (`| head`) is no news; a full disk, or no descriptor left, is.
        if not isinstance(error, BrokenPipeError):
            print(f"{os.path.basename(sys.argv[0])}: {error.strerror}", file=sys.stderr)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 1
    return status


def _have_standard_streams() -> None:
    """Put /dev/null where a standard stream was closed, so that nothing else gets its descriptor.

    What is written is UTF-8 whatever the locale says, and bytes that are none come out as they came in.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115 - it stays open as long as the program
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="surrogateescape")


def _main() -> int:
    if sys.argv[1:2] and sys.argv[1] in SUBCOMMANDS:
        return _run_subcommand(sys.argv[1], sys.argv[2:])
    try:
        settings = parse(sys.argv, _check_machine, os.environ.get("RAMSLOT_QEMU"))
    except CommandLineError as error:
        for message in error.messages:
            print(f"{os.path.basename(sys.argv[0])}: {message}", file=sys.stderr)
        from ..commands.remedies import remedy
        from .program import tell_hint

        tell_hint(remedy(str(error), error.hint, error.config))
        return 1
    if settings.question is not None:
        from .answers import answer

        return answer(settings, SUBCOMMANDS)
    if settings.daemonize:
        if settings.commands or settings.script is not None:
            print(f"{settings.config.program}: -daemonize cannot be used with -c or -script", file=sys.stderr)
            return 1
        from .daemon import run_daemon

        return run_daemon(lambda report: _run(settings, report))
    return _run(settings)


def _run_subcommand(name: str, words: list[str]) -> int:
    import signal
    from importlib import import_module

    # So that no half-written file and no socket stays behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    status: int = getattr(import_module(f".{SUBCOMMANDS[name]}", __package__), f"run_{name}_command")(
        os.path.basename(sys.argv[0]), words
    )
    return status


def _check_machine(name: str, target: str | None, release: Release) -> None:
    """Refuse an unknown machine type at the point where QEMU does."""
    from ..vm.boards import find_machine_type

    try:
        find_machine_type(name, target, release)
    except VMError as error:
        raise OptionError(str(error), error.hint) from None


def _keep_freed_memory() -> None:
    """Let the C library keep what a long answer was made in for the next one.

    It gives back what is free beyond 128 KiB, which the next answer takes again page by page: that may cost more than
    making it. The bound moves to twice the largest block ever freed (glibc: mallopt(3), dynamic mmap threshold); with
    another library nothing happens.
    """
    bytes(256 << 10)


def _run(settings: Settings, report_started: Callable[[], None] | None = None) -> int:
    from .program import Program

    program = Program(settings)
    pidfile = None
    try:
        for warning in settings.warnings:
            program.warn(warning)
        for line in settings.left_out:
            program.warn(line)
        program.watch_signals()
        program.open_monitors()
        program.start_machine()
        # What the start made is there to stay: from now on only newer objects are searched for garbage. The command
        # begins with this search switched off.
        gc.freeze()
        gc.enable()
        _keep_freed_memory()
        if settings.pidfile is not None:
            pidfile = write_pidfile(settings.pidfile)
        if report_started is not None:
            report_started()
        status = _serve(program)
        if program.failure is not None:
            raise program.failure
        return 1 if program.failed else status
    except VMError as error:
        if program.ending and program.failure is None:  # told to end while the machine was being made
            return 0
        reason = getattr(error, "reason", None)
        if reason is not None:
            print(reason, file=sys.stderr)
        program.warn(error.full_text)
        program.tell_remedy(str(error), error.hint)
        return 1
    except OSError:
        raise
    except Exception as error:  # a defect of ours, told without a traceback
        program.describe_error(error)
        return 1
    finally:
        program.close()
        if pidfile is not None:
            os.unlink(pidfile)


def _serve(program: Program) -> int:
    settings = program.settings
    if settings.vi and not (settings.wants_console and _at_terminal()):
        raise VMError("-vi wants a console at a terminal")
    if settings.commands or settings.script is not None:
        return _run_scripts(program)
    if settings.wants_console and not _at_terminal() and not settings.monitors and settings.qtest is None:
        return _run_scripts(program)
    if settings.wants_console and _at_terminal():
        from .console import run_console

        run_console(program)
    elif settings.record is not None or settings.transcript is not None:
        raise VMError("-record and -transcript want a script, or a console at a terminal")
    else:
        program.loop.run()
    return 0


def _at_terminal() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()


def _run_scripts(program: Program) -> int:
    from .own_machine import OwnMachine
    from .scripts.recording import open_recorder
    from .scripts.runner import ScriptRunner

    settings = program.settings
    recorder = open_recorder(program.warn, settings.record, settings.transcript)
    runner = ScriptRunner(OwnMachine(program), settings.keep_going, recorder)
    if settings.commands:
        runner.run((f"-c '{line}'", line) for line in settings.commands)
    path = settings.script
    if path is None and not settings.commands:
        path = "-"
    if path is not None and (settings.keep_going or not runner.failed):
        runner.run_file(path)
    if recorder is not None:
        recorder.close()
    return 1 if runner.failed else 0


def write_pidfile(path: str) -> str:
    """Write the process id to a file and return its absolute path; raises `VMError`, with no file left."""
    try:
        path = os.path.abspath(path)
        with open(path, "w") as file:
            file.write(f"{os.getpid()}\n")
    except OSError as error:
        if os.path.exists(path):
            os.unlink(path)
        raise VMError(f"cannot create PID file: Cannot open pid file: {error.strerror}") from None
    return path
