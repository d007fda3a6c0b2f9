"""A loop, a server socket of ours on it, a front end that remembers, and the clients that come to it."""

from __future__ import annotations

import os
import select
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ramslot.monitor.chardevs.device import Chardev, FrontEnd
from ramslot.monitor.chardevs.opening import open_chardev
from ramslot.monitor.loop import Loop

SECONDS = 20


class Recorder(FrontEnd):
    """Greets, remembers, and answers `ask:N` with N bytes."""

    def __init__(self, device: Chardev) -> None:
        self.device = device
        self.events: list[str] = []
        self.data = b""
        device.attach(self)

    def on_open(self) -> None:
        self.events.append("open")
        self.data = b""
        self.device.write(b"hello\n")

    def on_data(self, data: bytes) -> None:
        self.data += data
        while b"\n" in self.data:
            line, _, self.data = self.data.partition(b"\n")
            self.events.append(line.decode())
            if line.startswith(b"ask:"):
                self.device.write(b"." * int(line[4:]))

    def on_drain(self) -> None:
        self.events.append("drain")

    def on_hangup(self) -> None:
        self.events.append("hangup")

    def on_close(self) -> None:
        self.events.append("close")


@pytest.fixture
def loop() -> Iterator[Loop]:
    before = set(os.listdir("/proc/self/fd"))
    errors: list[Exception] = []
    loop = Loop(on_error=errors.append)
    yield loop
    loop.close()
    assert set(os.listdir("/proc/self/fd")) == before
    assert errors == []


def run_until(loop: Loop, condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, "nothing happened"
        loop.run_once(0.1)


def settle(loop: Loop) -> None:
    """Serve the loop until nothing more is ready."""
    while select.select([loop.fileno()], [], [], 0.02)[0]:
        loop.run_once(0)


def client(path: Path) -> socket.socket:
    result = socket.socket(socket.AF_UNIX)
    result.settimeout(SECONDS)
    result.connect(str(path))
    return result


def server(loop: Loop, path: Path) -> Chardev:
    return open_chardev(loop, {"backend": "socket", "id": "c", "path": str(path), "server": "on", "wait": "off"})


def read(loop: Loop, peer: socket.socket, count: int) -> bytes:
    """Read so many bytes, serving the loop meanwhile."""
    received = bytearray()
    peer.setblocking(False)
    deadline = time.monotonic() + SECONDS
    while len(received) < count:
        assert time.monotonic() < deadline, f"{len(received)} bytes came"
        loop.run_once(0)
        try:
            data = peer.recv(count - len(received))
        except BlockingIOError:
            continue
        if not data:
            break
        received += data
    peer.settimeout(SECONDS)
    return bytes(received)
