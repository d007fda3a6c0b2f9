"""A program on a pseudo-terminal, as its user sees it: the screen is what a terminal makes of what is written."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING

import pexpect
import pyte

if TYPE_CHECKING:
    from collections.abc import Callable

COLUMNS, LINES = 100, 30


class _Screen(pyte.Screen):
    """A terminal that answers when it is asked where the cursor is."""

    def __init__(self, send: Callable[[str], object], lines: int) -> None:
        super().__init__(COLUMNS, lines)
        self._send = send

    def write_process_input(self, data: str) -> None:
        self._send(data)


class Terminal:
    """A program on a terminal of its own."""

    lines = LINES

    def command(self, arguments: tuple[str, ...]) -> list[str]:
        """What is run."""
        return [sys.executable, "-m", "ramslot", *arguments]

    def __init__(self, *arguments: str, **environment: str) -> None:
        program = self.command(arguments)
        self.child: pexpect.spawn[bytes] = pexpect.spawn(
            program[0],
            program[1:],
            dimensions=(self.lines, COLUMNS),
            env={**os.environ, "TERM": "xterm-256color", "PAGER": "cat", "INPUTRC": os.devnull, **environment},
            timeout=20,
        )
        self.screen = _Screen(self.child.send, self.lines)
        self.stream = pyte.ByteStream(self.screen)
        self.written = b""

    @property
    def pid(self) -> int:
        assert self.child.pid is not None
        return self.child.pid

    @property
    def text(self) -> str:
        return "\n".join(line.rstrip() for line in self.screen.display)

    @property
    def line(self) -> str:
        """The line with the cursor."""
        return self.screen.display[self.screen.cursor.y].rstrip()

    def until(self, condition: Callable[[], bool], seconds: float = 20) -> None:
        """Show what is written until the screen is as wanted."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"waited in vain; the screen is:\n{self.text}"
            try:
                data = self.child.read_nonblocking(65536, 0.1)
            except pexpect.TIMEOUT:
                continue
            except pexpect.EOF:
                assert condition(), f"the program has ended; the screen is:\n{self.text}"
                return
            self.written += data
            self.stream.feed(data)

    def until_shown(self, text: str) -> None:
        self.until(lambda: text in self.text)

    def until_prompt(self) -> None:
        self.until(lambda: self.line == "(ramslot)")

    def type(self, keys: str) -> None:
        self.child.send(keys)

    def run(self, command: str) -> None:
        """Type a command and wait for the next prompt."""
        self.type(command)
        self.until(lambda: self.line.endswith(command[-20:]))
        self.type("\r")
        self.until(lambda: self.line != f"(ramslot) {command}")
        self.until_prompt()

    def end(self) -> int | None:
        """Wait for the end and return the exit status; None after a signal."""
        try:
            while True:
                data = self.child.read_nonblocking(65536, 20)
                self.written += data
                self.stream.feed(data)
        except pexpect.EOF:
            pass
        self.child.wait()
        return self.child.exitstatus


class Shell(Terminal):
    """A shell with job control."""

    def command(self, arguments: tuple[str, ...]) -> list[str]:
        return ["bash", "--norc", "-i", *arguments]
