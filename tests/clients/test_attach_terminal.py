"""`ramslot attach` on a real pseudo-terminal, at real QEMUs."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ..differential.attached import RELEASES, ask, running
from .terminal import Terminal


class AttachedTerminal(Terminal):
    def until_prompt(self) -> None:
        self.until(lambda: self.line == "(attached)")

    def run(self, command: str) -> None:
        self.type(command)
        self.until(lambda: self.line.endswith(command[-20:]))
        self.type("\r")
        self.until(lambda: self.line != f"(attached) {command}")
        self.until_prompt()


@pytest.fixture
def attach(tmp_path: Path) -> Iterator[Callable[..., AttachedTerminal]]:
    """Start `ramslot attach` on terminals, at the prompt; they are gone at the end."""
    terminals: list[AttachedTerminal] = []

    def start(*arguments: str, prompt: bool = True) -> AttachedTerminal:
        terminals.append(AttachedTerminal("attach", *arguments, XDG_STATE_HOME=str(tmp_path)))
        if prompt:
            terminals[-1].until_prompt()
        return terminals[-1]

    yield start
    for each in terminals:
        each.child.close(force=True)


@pytest.mark.parametrize("release", RELEASES)
def test_a_session(attach: Callable[..., AttachedTerminal], release: str) -> None:
    with running("pc", release) as (address, process):
        terminal = attach(address)
        assert f"attached to QEMU {release}." in terminal.text
        assert "read-only" in terminal.text
        terminal.until_shown("prelaunch")
        terminal.run("info status")
        assert "VM status: paused (prelaunch)" in terminal.text
        terminal.run("why 0x100000")
        assert "0x100000 is pc.ram + 0x100000 (ram)" in terminal.text
        terminal.run("query-status")
        assert '"status": "prelaunch"' in terminal.text
        terminal.run('{"execute": "query-name"}')
        assert '{"return": {}}' in terminal.text.replace("\n", "").replace("    ", "")
        terminal.run("device_del d1")
        assert "device_del is not sent: attached to read only" in terminal.text
        terminal.run("info memslot")
        assert "did you mean 'info memslots'?" in terminal.text
        terminal.type("quit\r")
        assert terminal.end() == 0
        assert process.poll() is None
        assert ask(address, '{"execute": "query-status"}')[0]["status"] == "prelaunch"


def test_completion_is_from_what_this_qemu_has(attach: Callable[..., AttachedTerminal]) -> None:
    with running("pc", "11.1") as (address, _):
        terminal = attach(address)
        terminal.type("info vcpu_d\t")
        terminal.until(lambda: terminal.line == "(attached) info vcpu_dirty_limit")
        terminal.type("\x15qom-list /machine/periph\t\t")
        terminal.until_shown("/machine/peripheral-anon")
        terminal.type("\x15query-blockst\t")
        terminal.until(lambda: terminal.line == "(attached) query-blockstats")
        terminal.type(" query-n\t")
        terminal.until_shown("query-nodes=")
        terminal.type('\x15{"execute": "query-sg\t')
        terminal.until_shown('"query-sgx')
        terminal.type("\x03\x04")
        assert terminal.end() == 0


def test_events_are_shown_and_change_the_bar(attach: Callable[..., AttachedTerminal]) -> None:
    with running("none", "7.2") as (address, _):
        terminal = attach(address, "-write")
        terminal.until_shown("may change it")
        terminal.run("cont")
        terminal.until_shown("event: RESUME")
        terminal.until_shown("│ running │")
        terminal.run("stop")
        terminal.until_shown("event: STOP")
        terminal.type("\x04")
        assert terminal.end() == 0


def test_the_end_of_qemu_is_told(attach: Callable[..., AttachedTerminal]) -> None:
    with running("none", "11.1") as (address, process):
        terminal = attach(address)
        process.kill()
        assert terminal.end() == 1
        assert "QEMU has ended, or has closed the connection" in terminal.text
        assert "Traceback" not in terminal.text


def test_quit_of_qmp_ends_qemu(attach: Callable[..., AttachedTerminal]) -> None:
    with running("none", "10.0") as (address, process):
        terminal = attach(address, "-write")
        terminal.type('{"execute": "quit"}\r')
        assert terminal.end() == 0
        assert process.wait(20) == 0
        assert "Traceback" not in terminal.text


def test_a_command_that_takes_long_is_left_to_itself(attach: Callable[..., AttachedTerminal]) -> None:
    with running("none", "7.2") as (address, process):
        terminal = attach(address)
        process.send_signal(signal.SIGSTOP)
        terminal.type("info status\r")
        terminal.until_shown("still running; Ctrl-C cancels")
        terminal.type("\x03")
        terminal.until_shown("Operation cancelled")
        terminal.until_prompt()
        process.send_signal(signal.SIGCONT)
        terminal.run("info name")
        terminal.run("info status")
        terminal.until_shown("VM status: paused (prelaunch)")
        terminal.child.setwinsize(20, 60)
        terminal.run("info version")
        terminal.type("\x04")
        assert terminal.end() == 0
        assert "Traceback" not in terminal.text


def test_a_busy_monitor_is_told(attach: Callable[..., AttachedTerminal]) -> None:
    with running("none", "7.2") as (address, _):
        attach(address)
        second = attach(address, "-wait", "0.5", prompt=False)
        assert second.end() == 1
        assert "serves one at a time" in second.text.replace("\n", "")
