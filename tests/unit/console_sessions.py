"""Programs to sit at, and consoles into which keys are typed."""

from __future__ import annotations

import asyncio
import io
from typing import TYPE_CHECKING

import pytest
from prompt_toolkit.application import create_app_session
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output.plain_text import PlainTextOutput

from ramslot.monitor.command_line.options import parse
from ramslot.monitor.console.session import ConsoleSession
from ramslot.monitor.console.subject import OwnSubject
from ramslot.monitor.own_machine import OwnMachine
from ramslot.monitor.program import Program
from ramslot.monitor.scripts.recording import open_recorder
from ramslot.vm.releases import find_release

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from prompt_toolkit.output import Output

RELEASE = find_release(None)
CTRL_C, CTRL_D, TAB, UP, ESCAPE = "\x03", "\x04", "\t", "\x1b[A", "\x1b"


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Program]]:
    """Make programs that are closed at the end."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("INPUTRC", str(tmp_path / "inputrc"))
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    programs: list[Program] = []

    def start_program(*arguments: str) -> Program:
        program = Program(parse(["ramslot", *(arguments or ("-M", "none", "-m", "16M"))]))
        programs.append(program)
        program.open_monitors()
        program.start_machine()
        return program

    yield start_program
    for program in reversed(programs):
        program.close()


def lines_of(shown: io.StringIO) -> str:
    return shown.getvalue().replace("\r", "")


def console_of(program: Program) -> ConsoleSession:
    settings = program.settings
    recorder = open_recorder(program.warn, settings.record, settings.transcript)
    return ConsoleSession(OwnMachine(program), OwnSubject(program), recorder=recorder, vi=settings.vi)


def type_into(program: Program, keys: str, output: Output | None = None) -> str:
    """Everything that a console shows to one who types `keys` and then leaves, should the program go on."""
    shown = io.StringIO()
    with create_pipe_input() as pipe, create_app_session(pipe, output or PlainTextOutput(shown)):
        pipe.send_text(keys + CTRL_C + CTRL_D)
        asyncio.run(console_of(program).run())
    return lines_of(shown)
