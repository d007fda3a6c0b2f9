"""Sessions at the console: what is typed, run and shown, cancelled and left. Terminals proper are in tests/clients."""

from __future__ import annotations

import asyncio
import io
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
from prompt_toolkit.application import create_app_session
from prompt_toolkit.data_structures import Size
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import ColorDepth, DummyOutput
from prompt_toolkit.output.plain_text import PlainTextOutput
from prompt_toolkit.output.vt100 import Vt100_Output

from ramslot.monitor.console import run_console
from ramslot.monitor.console.typed import commands_in, is_unfinished
from ramslot.monitor.program import Program
from ramslot.vm.errors import VMError

from .console_sessions import CTRL_C, CTRL_D, ESCAPE, TAB, console_of, lines_of, start, type_into

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

__all__ = ("start",)


# What is typed


@pytest.mark.parametrize(
    ("text", "commands"),
    [
        ("", []),
        ("  \n# remark\n", []),
        (" info mtree -f ", ["info mtree -f"]),
        ("stop\ncont", ["stop", "cont"]),
        ('{"execute": "stop"}', ['{"execute": "stop"}\n']),
        ('{"execute":\n "stop"}\ncont', ['{"execute":\n "stop"}\n', "cont"]),
        ('stop\n{"execute":\n', ["stop", '{"execute":\n\n']),
        ("qom-set /objects/m size {}", ["qom-set /objects/m size {}"]),
    ],
)
def test_text_is_cut_into_commands(text: str, commands: list[str]) -> None:
    assert commands_in(text) == commands


@pytest.mark.parametrize(
    ("text", "unfinished"),
    [
        ("", False),
        ("info mtree", False),
        ("info {", False),
        ("{", True),
        ('{"execute": "stop"', True),
        ('{"execute": "stop"}', False),
        ('{"arguments": {"a": [1,', True),
        ('{"execute": "sto', False),  # a string ends with its line: QEMU reports it
        ("{]", False),
        ('stop\n{"execute":', True),
    ],
)
def test_only_unfinished_json_goes_on_in_the_next_line(text: str, unfinished: bool) -> None:
    assert is_unfinished(text) is unfinished


# Sessions


def test_hmp_is_run_and_answered(start: Callable[..., Program]) -> None:
    shown = type_into(start(), "stop\rinfo status\r")
    assert "event: STOP\n" in shown
    assert "VM status: paused\n" in shown


def test_qmp_is_run_without_negotiation(start: Callable[..., Program]) -> None:
    shown = type_into(start(), '{"execute": "query-name", "id": 7}{"execute": "query-kvm"}\r')
    assert '{\n    "return": {},\n    "id": 7\n}\n' in shown
    assert '"present": true' in shown


def test_unfinished_json_continues(start: Callable[..., Program]) -> None:
    shown = type_into(start(), '{"execute":\r"stop"}\rinfo status\r')
    assert "VM status: paused" in shown


@pytest.mark.parametrize(
    ("typed", "text"),
    [
        ('{"execute": "nonsense"}\r', "The command nonsense has not been found"),
        ('{"execute": "object-del", "arguments": {"id": "x"}}\r', "object 'x' not found"),
        ('{"execute": "sto\r', "JSON parse error, stray"),
        ("{]\r", "1:2: JSON parse error, expecting key"),
        ('{"execute":' + ESCAPE + "\r", "JSON parse error, premature EOI"),
        ("{}\r", "QMP input lacks member 'execute'"),
        ("nonsense\r", "unknown command: 'nonsense'\n"),
        ("object_del x\r", "Error: object 'x' not found\n"),
        ("info mtree -x\r", 'mtree: unsupported option -x\nTry "help info mtree" for more information\n'),
    ],
)
def test_errors_are_qemu_s_and_the_session_goes_on(start: Callable[..., Program], typed: str, text: str) -> None:
    shown = type_into(start(), typed + "info status\r")
    assert text in shown
    assert "VM status: running" in shown


def test_a_hint_has_its_own_line(start: Callable[..., Program], monkeypatch: pytest.MonkeyPatch) -> None:
    program = start()
    assert program.vm is not None

    def refuse(_name: str) -> None:
        raise VMError("no such thing", hint="make one")

    monkeypatch.setattr(program.vm.objects, "delete", refuse)  # stands for any refusal with a remedy
    assert "Error: no such thing\nhint: make one\n" in type_into(program, "object_del x\r")
    shown = type_into(start(), "mtree\r")
    assert "unknown command: 'mtree'\nhint: did you mean 'info mtree'?\n" in shown


def test_a_defect_of_ours_does_not_end_the_session(
    start: Callable[..., Program], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    program = start()
    assert program.vm is not None
    monkeypatch.setattr(program.vm.objects, "delete", lambda _name: 1 // 0)  # a defect
    assert "internal error: ZeroDivisionError" in type_into(program, "object_del x\r")
    assert "VM status: running" in type_into(start(), "info status\r")
    assert "internal error" in capsys.readouterr().err


def test_several_lines_pasted_at_once_are_all_run(start: Callable[..., Program]) -> None:
    shown = type_into(start(), '\x1b[200~stop\n# remark\n{"execute":\n"cont"}\x1b[201~\rinfo status\r')
    assert shown.index("event: STOP") < shown.index("event: RESUME") < shown.index("VM status: running")


@pytest.mark.parametrize("farewell", ["quit\r", "q\r", CTRL_D, '{"execute": "quit"}\r'])
def test_ways_to_leave(start: Callable[..., Program], farewell: str) -> None:
    program = start()
    assert program.vm is not None
    events: list[Any] = []
    program.vm.observers.append(lambda name, data: events.append((name, data)))
    shown = type_into(program, farewell + "stop\r")
    assert events == [("SHUTDOWN", {"guest": False, "reason": "host-qmp-quit"})]
    assert "STOP" not in shown


def test_ctrl_c_cancels_the_line_and_nothing_else(start: Callable[..., Program]) -> None:
    program = start()
    shown = type_into(program, "stop" + CTRL_C + "info status\r" + CTRL_C)
    assert "VM status: running" in shown
    assert "Ctrl-D or 'quit' ends the session" in shown


def test_tab_completes(start: Callable[..., Program]) -> None:
    program = start()
    shown = io.StringIO()

    async def session() -> None:
        with create_pipe_input() as pipe, create_app_session(pipe, PlainTextOutput(shown)):
            running = asyncio.create_task(console_of(program).run())
            pipe.send_text("info statu" + TAB)
            await asyncio.sleep(0.2)
            pipe.send_text("\r" + CTRL_D)
            await running

    asyncio.run(session())
    assert "VM status: running" in lines_of(shown)


@pytest.mark.parametrize(("no_color", "escape"), [("", "\x1b[0;38;5;160m"), ("1", "\x1b[0m")])
def test_colours_go_with_the_wish_of_the_user(
    start: Callable[..., Program], monkeypatch: pytest.MonkeyPatch, no_color: str, escape: str
) -> None:
    monkeypatch.setenv("NO_COLOR", no_color)
    shown = io.StringIO()
    output = Vt100_Output(
        shown, lambda: Size(24, 80), term="xterm", default_color_depth=ColorDepth.from_env(), enable_cpr=False
    )
    type_into(start(), "info ramblock\rnonsense\r", output)
    assert f"{escape}unknown command: 'nonsense'" in shown.getvalue()
    assert ("38;5" in shown.getvalue()) is not bool(no_color)


def test_other_monitors_are_served_while_one_types(start: Callable[..., Program], tmp_path: Path) -> None:
    path = f"{tmp_path}/qmp"
    program = start("-M", "none", "-qmp", f"unix:{path},server=on,wait=off")
    shown = io.StringIO()

    async def session() -> None:
        with create_pipe_input() as pipe, create_app_session(pipe, PlainTextOutput(shown)):
            running = asyncio.create_task(console_of(program).run())
            pipe.send_text("info sta")
            reader, writer = await asyncio.open_unix_connection(path)
            assert b"QMP" in await reader.readline()
            writer.write(b'{"execute":"qmp_capabilities"}{"execute":"stop"}{"execute":"quit"}')
            answers = await reader.readuntil(b'"host-qmp-quit"')
            writer.close()
            await writer.wait_closed()
            await running
        assert answers.count(b'"return"') == 2
        assert b"SHUTDOWN" in answers

    asyncio.run(asyncio.wait_for(session(), 20))
    assert "event: STOP\n" in lines_of(shown)
    assert 'event: SHUTDOWN {"guest": false, "reason": "host-qmp-quit"}\n' in lines_of(shown)


def test_timers_of_the_loop_run_under_the_console(start: Callable[..., Program]) -> None:
    program = start()
    program.loop.call_later(0.05, program.shut_down, "host-signal")
    with create_pipe_input() as pipe, create_app_session(pipe, DummyOutput()):
        asyncio.run(asyncio.wait_for(console_of(program).run(), 20))
    assert program.loop.stopping


def test_a_long_command_can_be_cancelled_and_others_go_on(
    start: Callable[..., Program], monkeypatch: pytest.MonkeyPatch
) -> None:
    program = start()
    seen: list[str] = []

    def slow_step(cancellation: Any) -> None:
        program.loop.call_threadsafe(seen.append, "served")
        while not cancellation.requested:
            pass
        cancellation.check()

    def slow(_arguments: Any) -> Iterator[Any]:
        yield slow_step

    assert program.vm is not None
    monkeypatch.setattr(program.vm.objects, "add", slow)  # stands for a huge prealloc
    monkeypatch.setattr("ramslot.monitor.console.execution.PATIENCE", 0.05)
    program.loop.call_later(0.5, lambda: os.kill(os.getpid(), 2))
    shown = type_into(program, "object_add memory-backend-ram,id=a,size=1M\rinfo status\r")
    assert seen == ["served"]
    assert "still running; Ctrl-C cancels\n" in shown
    assert "Error: Operation cancelled\n" in shown
    assert "VM status: running" in shown


def test_the_end_cancels_a_long_command(start: Callable[..., Program], monkeypatch: pytest.MonkeyPatch) -> None:
    program = start()

    def slow_step(cancellation: Any) -> None:
        program.loop.call_threadsafe(program.shut_down, "host-signal")
        while not cancellation.requested:
            time.sleep(0.001)
        cancellation.check()

    def slow(_arguments: Any) -> Iterator[Any]:
        yield slow_step

    assert program.vm is not None
    monkeypatch.setattr(program.vm.objects, "add", slow)  # stands for a huge prealloc
    assert "Operation cancelled" in type_into(program, "object_add memory-backend-ram,id=a,size=1M\rstop\r")


def test_run_console_greets(start: Callable[..., Program], capsys: pytest.CaptureFixture[str]) -> None:
    with create_pipe_input() as pipe, create_app_session(pipe, DummyOutput()):
        pipe.send_text(CTRL_D)
        run_console(start())
    assert capsys.readouterr().out.startswith("ramslot ")


def test_only_the_console_loads_its_libraries() -> None:
    code = (
        "import sys; import ramslot.monitor.main, ramslot.monitor.program, ramslot.monitor.console; "
        "print([name for name in ('prompt_toolkit', 'pygments', 'asyncio') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
