"""Keys, sizes and floods: what the console's screen shows after each, on a real terminal."""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import TYPE_CHECKING

import pexpect
import pytest

from .terminal import Shell, Terminal

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def paste(console: Terminal, text: str) -> None:
    """Paste as a terminal does; what comes meanwhile is read, or both sides would wait for each other."""
    data = f"\x1b[200~{text}\x1b[201~".encode()
    fd = console.child.fileno()
    while data:
        try:
            data = data[os.write(fd, data[:4096]) :]
        except BlockingIOError:
            pass
        try:
            got = console.child.read_nonblocking(65536, 0)
        except pexpect.TIMEOUT:  # nothing to be read yet
            continue
        console.written += got
        console.stream.feed(got)


def test_a_paste_of_a_megabyte(terminal: Callable[..., Terminal]) -> None:
    console = terminal("-M", "none")
    paste(console, "# a remark that goes on for a while and says nothing\n" * 20_000 + "stop\ninfo status")
    console.until(lambda: console.line.endswith("info status"), 60)
    console.type("\r")
    console.until(lambda: "VM status: paused" in console.text, 60)
    console.run("info version")
    assert "11.1" in console.text


def test_a_paste_of_one_very_long_line(terminal: Callable[..., Terminal]) -> None:
    console = terminal("-M", "none")
    paste(console, "echo " + "x" * 1_000_000)
    console.until(lambda: console.line.endswith("xxx"), 60)
    console.type("\x03")
    console.until_prompt()
    console.run("info status")
    assert "VM status: running" in console.text


def test_twenty_columns(terminal: Callable[..., Terminal]) -> None:
    console = terminal("-M", "pc", "-m", "1G", "-accel", "sim")
    console.screen.resize(12, 20)
    console.child.setwinsize(12, 20)
    time.sleep(0.3)
    for line in ("info memslots", "info status", "info map"):
        console.type(f"{line}\r")
        console.until(lambda: console.line == "(ramslot)")
    console.type("object_add memory-backend-\t")
    console.until(lambda: "memory-backend" in console.text.replace("\n", ""))
    console.type("\x03")
    console.until(lambda: console.line == "(ramslot)")
    console.type("watch 0.2 info memslots\r")
    console.until_shown("every 0.2 s")
    console.type("\x03")
    console.until(lambda: console.line == "(ramslot)")
    console.screen.resize(30, 100)
    console.child.setwinsize(30, 100)
    time.sleep(0.3)
    console.run("info name")
    assert "Traceback" not in console.text


def test_ctrl_z_suspends_and_fg_goes_on(tmp_path: Path) -> None:
    """By a shell's job control: the shell has the terminal in between."""
    console = Shell(PS1="$ ", XDG_STATE_HOME=str(tmp_path), XDG_CONFIG_HOME=str(tmp_path))
    try:
        console.until(lambda: console.line.startswith("$"))
        console.type(f"{sys.executable} -m ramslot -M none\r")
        console.until_prompt()
        console.type("info sta")
        console.until(lambda: console.line == "(ramslot) info sta")
        console.type("\x1a")
        console.until(lambda: console.line.startswith("$"))
        console.type("echo in be''tween\r")
        console.until_shown("in between")
        console.type("fg\r")
        console.until(lambda: console.line == "(ramslot) info sta")
        console.type("tus\r")
        console.until_shown("VM status: running")
        console.until_prompt()
        time.sleep(0.3)  # the terminal has answered where the cursor is
        console.type("info status | sleep 30")
        console.until(lambda: console.line.endswith("sleep 30"))
        console.type("\r")
        time.sleep(1)
        console.type("\x1a")
        console.until(lambda: console.line.startswith("$"))
        console.type("fg\r")
        console.until_shown("sleep 30")
        time.sleep(0.3)
        console.type("\x03")
        console.until_prompt()
        console.type("\x04")
        console.until(lambda: console.line.startswith("$"))
    finally:
        console.child.close(force=True)


@pytest.mark.parametrize("key", ["\x04", "quit\r"])
def test_ways_to_end_leave_nothing_behind(terminal: Callable[..., Terminal], key: str) -> None:
    console = terminal("-M", "none")
    console.type(key)
    assert console.end() == 0
    assert console.written.count(b"\x1b[?2004h") <= console.written.count(b"\x1b[?2004l")


def test_a_dumb_terminal_has_all_of_it_as_plain_text(terminal: Callable[..., Terminal]) -> None:
    console = terminal("-M", "pc", "-m", "1G", "-accel", "sim", TERM="dumb", PAGER="false")
    console.run("info mtree")
    console.run("mark")
    console.run("object_add memory-backend-ram,id=m,size=1M")
    console.run("diff")
    assert "+++ info ramblock (now)" in console.text
    console.run("info ramblock | grep -c pc.ram")
    console.type("watch 0.2 info status\r")
    console.until_shown("every 0.2 s")
    time.sleep(0.5)
    console.type("\x03")
    console.until_prompt()
    assert b"\x1b" not in console.written


def test_a_signal_while_a_pager_runs_ends_all(terminal: Callable[..., Terminal]) -> None:
    console = terminal("-M", "none")
    console.type("info status | sleep 60\r")
    time.sleep(0.7)
    os.kill(console.pid, signal.SIGTERM)
    assert console.end() == 0


def test_history_is_searched_across_sessions(terminal: Callable[..., Terminal]) -> None:
    first = terminal("-M", "none")
    for line in ("info memory_size_summary", "info status", "stop"):
        first.run(line)
    first.type("\x04")
    first.end()
    second = terminal("-M", "none")
    second.type("\x12mem")
    second.until_shown("info memory_size_summary")
    second.type("\r")
    second.until(lambda: second.line == "(ramslot) info memory_size_summary")
    second.type("\r")
    second.until_shown("base memory: 0")


def test_an_open_brace_goes_on_at_the_next_line(terminal: Callable[..., Terminal]) -> None:
    console = terminal("-M", "none")
    console.type('{"execute": "qom-get",\r')
    console.until(lambda: console.line.strip() == "...")
    console.type('"arguments": {"path": "/machine", "property": "type"}\r')
    console.until(lambda: console.line.strip() == "...")
    console.type("}\r")
    console.until_shown('"return": "none-machine"')


def test_ctrl_c_ends_all_that_was_pasted_or_is_in_a_file(terminal: Callable[..., Terminal], tmp_path: Path) -> None:
    console = terminal("-M", "none")
    (tmp_path / "many").write_text("stop\ncont\n" * 50_000)
    for is_file in (True, False):
        if is_file:
            console.type(f"source {tmp_path}/many")
        else:
            paste(console, "stop\ncont\n" * 20_000 + "stop")
        time.sleep(0.5)
        console.type("\r")
        console.until_shown("event: RESUME")
        time.sleep(0.3)
        os.kill(console.pid, signal.SIGINT)
        console.until_prompt()
        console.run("info version")
        assert "11.1" in console.text
        console.type("\x0c")
        console.until(lambda: "RESUME" not in console.text)
