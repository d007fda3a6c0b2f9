"""Machines that live for a while, real QEMU's and ours, asked over QMP: for what takes two of them."""

from __future__ import annotations

import hashlib
import json
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from .oracle import OUR_ENVIRONMENT, our_command, qemu

SECONDS = 60.0
EVENTS = {"capabilities": [{"capability": "events", "state": True}]}


class Partner:
    """One process. `close` kills it; a `with` does that in the end."""

    def __init__(self, command: Sequence[str], folder: Path) -> None:
        self.events: list[str] = []
        """The events so far, a migration's with its status."""
        folder.mkdir(parents=True, exist_ok=True)
        self.errors_path = folder / f"errors-{id(self)}"
        with self.errors_path.open("wb") as errors:
            self.process = subprocess.Popen(
                [*command, "-display", "none", "-nodefaults", "-S", "-qmp", "stdio"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                cwd=folder,
                env=OUR_ENVIRONMENT,
            )
        self._line()
        self.ask("qmp_capabilities")

    def __enter__(self) -> Partner:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def _line(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise EOFError(self.errors)
        return json.loads(line)  # type: ignore[no-any-return]  # QMP has objects

    @property
    def errors(self) -> str:
        """What it said on stderr."""
        return self.errors_path.read_text()

    def send(self, command: str, **arguments: Any) -> dict[str, Any]:
        """Ask, and return the whole answer."""
        assert self.process.stdin is not None
        request = {"execute": command, "arguments": arguments}
        self.process.stdin.write(json.dumps(request).encode() + b"\n")
        self.process.stdin.flush()
        while True:
            answer = self._line()
            if "event" not in answer:
                return answer
            data = answer.get("data", {})
            detail = data.get("status", data.get("pass"))
            self.events.append(answer["event"] if detail is None else f"{answer['event']} {detail}")

    def ask(self, command: str, **arguments: Any) -> Any:
        """Ask, and return the answer, or the text of the error behind `Error: `."""
        answer = self.send(command, **arguments)
        return answer["return"] if "return" in answer else f"Error: {answer['error']['desc']}"

    def wait_for(self, *statuses: str) -> dict[str, Any]:
        """Wait until the migration has one of some statuses, and return what is told of it then."""
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            told: dict[str, Any] = self.ask("query-migrate")
            if told.get("status") in statuses:
                return told
            time.sleep(0.01)
        raise TimeoutError(f"{told}: {self.errors}")

    def wait_for_state(self, *states: str) -> str:
        """Wait until the machine is in one of some run states."""
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            state: str = self.ask("query-status")["status"]
            if state in states:
                return state
            time.sleep(0.01)
        raise TimeoutError(f"{state}: {self.errors}")

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            with suppress(BrokenPipeError):  # what it was asked last and did not read
                pipe.close()


def real(release: str, arguments: Sequence[str], folder: Path, arch: str = "x86_64") -> Partner:
    """A real QEMU; the test is skipped where there is none."""
    program = qemu(arch, release)
    if program is None:
        pytest.skip(f"there is no QEMU {release} for {arch}")
    return Partner([program, *arguments], folder)


def ours(release: str, arguments: Sequence[str], folder: Path, arch: str = "x86_64") -> Partner:
    """ramslot, being a release."""
    return Partner(our_command(arch, arguments, release), folder)


def partner(kind: str, release: str, arguments: Sequence[str], folder: Path, arch: str = "x86_64") -> Partner:
    """One or the other."""
    return (ours if kind == "ours" else real)(release, arguments, folder, arch)


def filled(path: Path, size: int, seed: int) -> Path:
    """A file with a few MiB of noise, somewhere, and zeros."""
    from random import Random

    dice = Random(seed)
    with path.open("wb") as file:
        file.truncate(size)
        for _ in range(24):
            file.seek(dice.randrange(size - (1 << 18)) // 4096 * 4096)
            file.write(dice.randbytes(dice.randrange(1 << 18)))
    return path


def digest(path: Path) -> str:
    """What a file holds."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
