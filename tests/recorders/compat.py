"""Asks real QEMUs what becomes of each pair of `tests/differential/compat_sides.py`, and writes it down for the suite.

Run as `python -m ramslot.tests.recorders.compat [GROUP...]`, with QEMUs beside it (see `tests/differential/oracle.py`);
groups that are not named stay as they were recorded. Each source saves its stream once; each destination loads it.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ..differential.compat_sides import GROUPS, Side
from ..differential.oracle import RECORDED, qemu

FILE = RECORDED / "compat.json"
QUIET = ("-display", "none", "-nodefaults", "-S", "-qmp", "stdio")
SECONDS = 60


class Asked:
    """A QEMU at work."""

    def __init__(self, side: Side, *options: str) -> None:
        program = qemu(side.arch, side.release)
        assert program is not None, side
        self._process = subprocess.Popen(
            [program, *shlex.split(side.options), *QUIET, *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def _ask(self, command: str, **arguments: Any) -> Any:
        process = self._process
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        process.stdin.flush()
        for line in process.stdout:
            reply = json.loads(line)
            if "return" in reply:
                return reply["return"]
            assert "error" not in reply, reply
        raise EOFError

    def outcome(self, uri: str | None = None) -> str | list[str]:
        """`completed`, or what stderr showed, without the program's name; with `uri`, migrate there first."""
        try:
            self._ask("qmp_capabilities")
            if uri is not None:
                self._ask("migrate", uri=uri)
            deadline = time.monotonic() + SECONDS
            while time.monotonic() < deadline:
                status = self._ask("query-migrate").get("status")
                if status in ("completed", "failed"):
                    return str(status)
                time.sleep(0.005)
            raise TimeoutError
        except (EOFError, BrokenPipeError):
            assert self._process.stderr is not None
            return said(self._process.stderr.read())
        finally:
            self._process.kill()
            self._process.communicate()


def said(errors: str) -> list[str]:
    """What QEMU said of the migration: its lines without its name, warnings and modules apart."""
    lines = [line.partition(": ")[2] for line in errors.splitlines() if line.startswith(("qemu-system-", "qemu: "))]
    return [line for line in lines if not line.startswith("warning: ") and "deprecated" not in line]


def save(side: Side, path: Path) -> bool:
    """Whether the side could be saved."""
    return Asked(side).outcome(f"exec:cat > {path}") == "completed"


def load(side: Side, path: Path) -> str | list[str]:
    return Asked(side, "-incoming", f"exec:cat {path}").outcome()


def ask_group(sides: list[Side], folder: Path) -> dict[str, Any]:
    """What becomes of each pair: the answers, and for each source and destination which of them it is (-1 for none)."""
    answers: list[str | list[str]] = []
    matrix = []
    for here, source in enumerate(sides):
        path = folder / "stream"
        saved = save(source, path)
        if not saved:
            print(f"cannot be saved: {source}", file=sys.stderr)
        row = []
        for there, destination in enumerate(sides):
            answer = load(destination, path) if saved and here != there else None
            if answer is not None and answer not in answers:
                answers.append(answer)
            row.append(-1 if answer is None else answers.index(answer))
        matrix.append(row)
        path.unlink(missing_ok=True)
    return {"sides": [side.text for side in sides], "answers": answers, "matrix": matrix}


def main(names: list[str]) -> None:
    recorded = json.loads(FILE.read_text()) if FILE.exists() else {}
    for name in names or GROUPS:
        with TemporaryDirectory() as folder:
            recorded[name] = ask_group(GROUPS[name], Path(folder))
        count = sum(number >= 0 for row in recorded[name]["matrix"] for number in row)
        print(f"{name}: {count} pairs", file=sys.stderr)
    lines = [f"{json.dumps(name)}: {json.dumps(recorded[name])}" for name in GROUPS if name in recorded]
    FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
