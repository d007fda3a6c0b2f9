"""A ramslot in a process of its own, and a plain QMP client that checks every reply against the schema."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ramslot
from ramslot.schema import contract
from ramslot.vm.releases import find_release

CONTRACT = contract(find_release(None).number)

QUIET = ("-display", "none", "-nodefaults", "-S")
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(str(ramslot.__file__)).parent.parent)}
PATIENCE = 30
"""Seconds after which nothing will come any more."""


def wait_for(condition: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + PATIENCE
    while not (value := condition()):
        assert time.monotonic() < deadline, f"no {what} after {PATIENCE} s"
        time.sleep(0.005)
    return value


def is_listening(path: Path) -> bool:
    """Whether somebody listens at a unix socket, by a name as a whole or in its folder; its file is there before."""
    listening = "00010000"
    sockets = [line.split() for line in Path("/proc/net/unix").read_text().splitlines()]
    found = any(words[-1] in (str(path), path.name) and words[3] == listening for words in sockets)
    return found and path.exists()


opened: list[Any] = []
"""All sockets and clients, for the fixture `launch` to close."""


class QMPError(Exception):
    """An error reply; `str(error)` is its description."""

    def __init__(self, error: dict[str, str]) -> None:
        super().__init__(error["desc"])
        self.qmp_class = error["class"]


class Program:
    """`options` and a QMP server on `qmp.sock` in `folder`, unless `qmp` is off."""

    def __init__(self, folder: Path, *options: str, qmp: bool = True, machine: str = "none", **popen: Any) -> None:
        self.folder = folder
        server = ("-qmp", "unix:qmp.sock,server=on,wait=off") if qmp else ()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "ramslot", "-M", machine, *QUIET, *server, *options],
            cwd=folder,
            env=ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            **popen,
        )

    def connect(self, name: str = "qmp.sock") -> socket.socket:
        """A connection to one of the program's unix sockets."""
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(PATIENCE)
        opened.append(connection)

        def connected() -> bool:
            assert self.process.poll() is None, self.process.communicate()
            return connection.connect_ex(str(self.folder / name)) == 0

        wait_for(connected, f"listener on {name}")
        return connection

    def client(self, name: str = "qmp.sock") -> Client:
        return Client(self.connect(name))

    def end(self, number: int | None = None) -> tuple[int, str, str]:
        """Send a signal, if given, and wait: exit status, stdout, stderr."""
        if number is not None:
            self.process.send_signal(number)
        output, errors = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, output.decode(), errors.decode()

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.communicate()

    # What the kernel knows of it

    def descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def mappings(self) -> list[str]:
        """The mappings that could be a guest's memory: sizes and names of all but the interpreter's own."""
        found = []
        for line in Path(f"/proc/{self.process.pid}/maps").read_text().splitlines():
            start, end, rest = re.match(r"(\w+)-(\w+) (.*)", line).groups()  # type: ignore[union-attr]  # by proc(5)
            if re.search(r"\.img|memfd|memory-backend", rest) or int(end, 16) - int(start, 16) >= 64 << 20:
                found.append(f"{int(end, 16) - int(start, 16):#x} {rest.split(maxsplit=4)[-1]}")
        return found

    def virtual_size(self) -> int:
        """Bytes of address space in use."""
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")

    def resident(self) -> int:
        """Bytes of memory in use."""
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Client:
    """A QMP client that has negotiated, on a connected socket."""

    def __init__(self, connection: socket.socket, negotiate: bool = True) -> None:
        self.connection = connection
        self.connection.settimeout(PATIENCE)
        self._file = connection.makefile("rb")
        opened.append(self)
        self.events: list[dict[str, Any]] = []
        self.greeting = self.receive()
        if negotiate:
            self.call("qmp_capabilities")

    def send(self, data: bytes) -> None:
        self.connection.sendall(data)

    def receive(self) -> dict[str, Any]:
        """The next message; raises `EOFError` at the end."""
        line = self._file.readline()
        if not line:
            raise EOFError
        assert line.endswith(b"\r\n"), line
        message: dict[str, Any] = json.loads(line)
        return message

    def reply(self) -> dict[str, Any]:
        """The next message that is no event."""
        while "event" in (message := self.receive()):
            self.events.append(message)
        return message

    def call(self, command: str, **arguments: Any) -> Any:
        """The value of a command's reply, which must be as the schema says; raises `QMPError`."""
        given = {name.replace("_", "-"): value for name, value in arguments.items()}
        self.send(json.dumps({"execute": command, "arguments": given, "id": 1}).encode())
        return self.answer(command)

    def answer(self, command: str) -> Any:
        """The value of the next reply, to `command`."""
        message = self.reply()
        if "error" in message:
            assert set(message["error"]) == {"class", "desc"}
            raise QMPError(message["error"])
        CONTRACT.check_result(command, message["return"])
        return message["return"]

    def hmp(self, line: str) -> str:
        text: str = self.call("human-monitor-command", command_line=line)
        return text

    def event(self, name: str) -> dict[str, Any]:
        """The next event of this name, which may have come already."""
        while not any(event["event"] == name for event in self.events):
            message = self.receive()
            assert "event" in message, message
            self.events.append(message)
        return next(event for event in self.events if event["event"] == name)

    def at_end(self) -> bool:
        """Whether nothing but events comes, and then the end."""
        try:
            while "event" in (message := self.receive()):
                self.events.append(message)
        except (EOFError, ConnectionResetError):
            return True
        raise AssertionError(message)

    def close(self) -> None:
        self._file.close()
        self.connection.close()
