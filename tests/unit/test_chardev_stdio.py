"""Standard input and output as a character device, in a process of their own: pipes, files, a terminal."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from .chardev_clients import SECONDS

ECHOING = """
import os, sys
from ramslot.monitor.chardevs.device import ChardevError, FrontEnd
from ramslot.monitor.chardevs.opening import open_chardev
from ramslot.monitor.loop import Loop
from ramslot.vm.releases import find_release

class Echo(FrontEnd):
    def on_open(self):
        device.write(b"hello\\n")

    def on_data(self, data):
        device.write(data.upper())
        if b"quit" in data:
            loop.stop()

    def on_close(self):
        device.write(b"lost")

loop = Loop()
device = open_chardev(loop, {"backend": "stdio", "id": "s", "signal": sys.argv[2]})
try:
    open_chardev(loop, {"backend": "stdio", "id": "t"})
except ChardevError as error:
    device.write(f"{error}\\n".encode())
device.set_echo(sys.argv[1] == "echo")
device.attach(Echo())
loop.call_later(float(sys.argv[3]), loop.stop)
loop.run()
device.write(b"bye\\n")
device.close()
loop.close()
"""
REFUSED = b"cannot use stdio by multiple character devices\n"


def stdio(*arguments: str, **streams: object) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", ECHOING, *arguments]
    return subprocess.Popen(command, **streams)  # type: ignore[call-overload, no-any-return]  # passed through


def test_stdio_on_pipes_outlives_the_end_of_input() -> None:
    with stdio("echo", "on", "1", stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        output, _ = process.communicate(b"one\n", timeout=SECONDS)
    assert output == REFUSED + b"hello\nONE\nbye\n"


def test_stdio_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"one\nquit\n")
    with (
        open(tmp_path / "in", "rb") as source,
        open(tmp_path / "out", "wb") as sink,
        stdio("echo", "on", "60", stdin=source, stdout=sink) as process,
    ):
        assert process.wait(SECONDS) == 0
    assert (tmp_path / "out").read_bytes() == REFUSED + b"hello\nONE\nQUIT\nbye\n"


def test_stdio_gives_back_blocking_pipes() -> None:
    source, feed = os.pipe()
    result, sink = os.pipe()
    with stdio("echo", "on", "60", stdin=source, stdout=sink) as process:
        os.write(feed, b"x")
        output = b""
        while not output.endswith(b"X"):
            output += os.read(result, 100)
        assert (os.get_blocking(source), os.get_blocking(sink)) == (False, False)
        os.write(feed, b"quit")
        assert process.wait(SECONDS) == 0
    assert (os.get_blocking(source), os.get_blocking(sink)) == (True, True)
    for fd in (source, feed, result, sink):
        os.close(fd)


@pytest.mark.parametrize(("echo", "signal"), [("echo", "on"), ("noecho", "on"), ("noecho", "off")])
def test_stdio_on_a_terminal(echo: str, signal: str) -> None:
    master, terminal = pty.openpty()
    before = termios.tcgetattr(terminal)
    with stdio(echo, signal, "60", stdin=terminal, stdout=terminal) as process:
        output = b""
        while b"hello" not in output:
            output += os.read(master, 1000)
        flags = termios.tcgetattr(terminal)[3]
        assert bool(flags & termios.ECHO) == bool(flags & termios.ICANON) == (echo == "echo")
        assert bool(flags & termios.ISIG) == (signal == "on")
        os.write(master, b"quit\r" if echo == "echo" else b"quit")
        while b"bye" not in output:
            output += os.read(master, 1000)
        assert process.wait(SECONDS) == 0
    assert (b"quit" in output) == (echo == "echo")
    assert termios.tcgetattr(terminal) == before
    assert os.get_blocking(terminal)
    os.close(master)
    os.close(terminal)
