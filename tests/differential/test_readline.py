"""The same keys to real QEMU's human monitor and to ours: the same bytes come back."""

from __future__ import annotations

import random
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ramslot.monitor.readline import Readline, banner, to_terminal

QEMU = "qemu-system-x86_64"

pytestmark = pytest.mark.skipif(shutil.which(QEMU) is None, reason=f"{QEMU} is not installed")

UP, DOWN, RIGHT, LEFT = b"\x1b[A", b"\x1b[B", b"\x1b[C", b"\x1b[D"

# No letters that a command could be made of; no key that ours has and QEMU has not.
KEYS = [
    *[b"z", b"Z", b"w", b"9", b"_", b" ", b"\xc3\xa9", b"\xff"],
    *[b"\x7f", b"\x08", b"\x01", b"\x04", b"\x05", b"\x0c", b"\x17", b"\x00", b"\x02", b"\x06", b"\x12", b"\x1f"],
    *[UP, DOWN, RIGHT, LEFT, b"\x1b[1~", b"\x1b[3~", b"\x1b[4~", b"\x1b[5~", b"\x1bOH", b"\x1bOF", b"\x1bOD"],
    *[b"\x1bz", b"\x1b[[", b"\x1b[P", b"\x1b[3D", b"\x1b[01~", b"\x1b\x1b", b"\x1b[3\x1b", b"\x1b[\r", b"\r", b"\n"],
]

TYPED = [
    b"zz 9",
    b"zzz\x7f\x7fw\x08",
    b"zz\r\n",
    b"   ",
    b"zz ww 99" + LEFT * 3 + b"\x17\x7f\x04_",
    b"z" * 100 + b"\x7f" * 10,
    b"zz\rww\rzz\r" + UP * 3 + DOWN,
    b"zz\rww\r" + UP + UP + b"\x7f\x7f\r" + UP + b"z" + UP,
    "zé\x7f".encode(),
]

COMPLETED = [b"info n\t", b"info nam\t", b"info memo\t\t", b"qu\t", b"info namzz" + LEFT * 2 + b"\t", b"zz\t", b"x\t"]

WORDS = {
    "info ": ["name", "network", "numa", "memory-devices", "memory_size_summary"],
    "": ["info", "quit", "x", "xp", "x_colo_lost_heartbeat"],
}


def complete(text: str) -> tuple[int, list[str]]:
    start = text.rfind(" ") + 1
    return start, WORDS[text[:start]]


class Ours:
    """A monitor that knows no command."""

    def __init__(self, complete: bool) -> None:
        self.readline = Readline(complete=globals()["complete"] if complete else None)
        self.sent = banner("7.2.22") + self.readline.start()

    def type(self, keys: bytes) -> None:
        self.readline.receive(keys)
        while self.readline.has_input:
            echo, line = self.readline.advance()
            self.sent += echo
            if line is not None:
                if line.strip():
                    # QEMU names the first word together with the blanks before it.
                    blanks = len(line) - len(line.lstrip(" "))
                    name = line[:blanks] + line.split()[0]
                    self.sent += to_terminal(f"unknown command: '{name}'\n")
                self.sent += self.readline.start()


class Theirs:
    def __init__(self, path: Path) -> None:
        self.process = subprocess.Popen(
            [
                QEMU,
                "-M",
                "none",
                "-display",
                "none",
                "-nodefaults",
                "-S",
                "-monitor",
                f"unix:{path},server=on,wait=off",
            ],
            stderr=subprocess.DEVNULL,
        )
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(30)
        while self.socket.connect_ex(str(path)):
            assert self.process.poll() is None
            time.sleep(0.01)
        self.sent = b""
        self._read_to(b"(qemu) ")

    def _read_to(self, end: bytes) -> None:
        while not self.sent.endswith(end):
            data = self.socket.recv(1 << 20)
            assert data
            self.sent += data

    def type(self, keys: bytes, answered_by: bytes) -> None:
        self.socket.sendall(keys)
        self._read_to(answered_by)

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(30)
        self.socket.close()


@pytest.fixture
def theirs(tmp_path: Path) -> Iterator[Theirs]:
    monitor = Theirs(tmp_path / "hmp")
    yield monitor
    monitor.close()


def compare(theirs: Theirs, sequences: list[bytes], completes: bool = False) -> None:
    ours = Ours(completes)
    # The version in the greeting is that of the oracle at hand.
    assert theirs.sent.partition(b"monitor")[2] == ours.sent.partition(b"monitor")[2]
    for number, keys in enumerate(sequences):
        ours.sent = theirs.sent = b""
        # Two line ends: the first may be swallowed by an escape sequence under way.
        end = b"\r\rzend%d\r" % number
        theirs.type(keys + end, b"unknown command: 'zend%d'\r\n(qemu) " % number)
        ours.type(keys + end)
        assert ours.sent == theirs.sent, f"after {sequences[max(0, number - 3) : number + 1]}"


def test_typing(theirs: Theirs) -> None:
    compare(theirs, TYPED)


# Few enough lines for each process that its history does not fill: once it has, entering the newest entry again by Up
# leaves QEMU standing at it, and the next Up shows the one before. Ours starts from the end, as it does before that.
@pytest.mark.parametrize("seed", range(12))
def test_random_keys(theirs: Theirs, seed: int) -> None:
    rng = random.Random(seed)
    compare(theirs, [b"".join(rng.choices(KEYS, k=rng.randint(1, 40))) for _ in range(20)])


def test_history_and_line_limits(theirs: Theirs) -> None:
    lines = b"".join(b"z%d\r" % i for i in range(70))
    compare(theirs, [lines + UP * 80, b"z" * 4100])


def test_completion(theirs: Theirs) -> None:
    # A line end after a completed command would run it: the line is emptied first.
    compare(theirs, [keys + b"\x05" + b"\x7f" * 40 for keys in COMPLETED], completes=True)
