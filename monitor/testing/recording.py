"""Recorded sessions: a file of JSON lines that people read and compare.

The first line says what it is; then each message in its order, ``{"client": ...}`` or ``{"server": ...}``, between
``{"connected": true}`` and ``{"disconnected": WHO}`` of each connection: who ended it. Times of events are left out:
they would be different each time; a replay gives the time that it is. A text instead of an object is what the client
sent that no command could be made of.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, TextIO

FORMAT = {"ramslot-recording": 1}
MARKS = ("connected", "disconnected")
SIDES = ("client", "server")

Step = tuple[str, Any]
"""A side and its message, or a mark and what is said with it."""


class RecordingError(ValueError):
    """A file that is no recording; the text says where and why."""


class Recorder:
    """Writes steps as they come, each at once, so that a crash leaves what was."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._write(FORMAT)

    def __call__(self, kind: str, message: Any) -> None:
        """Take one step: an `Observer` of a filter."""
        if kind == "connected":
            message = True
        elif isinstance(message, dict) and "event" in message:
            message = {name: value for name, value in message.items() if name != "timestamp"}
        self._write({kind: message})

    def close(self) -> None:
        """End the file."""
        self._file.close()

    def _write(self, line: dict[str, Any]) -> None:
        self._file.write(json.dumps(line, ensure_ascii=False) + "\n")
        self._file.flush()


def read_recording(lines: Iterable[str], name: str = "recording") -> list[Step]:
    """Return the steps of a recording.

    :raise RecordingError: it is none.
    """
    steps: list[Step] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except ValueError as error:
            raise RecordingError(f"{name}:{number}: no JSON: {error}") from None
        if number == 1:
            if value != FORMAT:
                raise RecordingError(f"{name}:1: a recording begins with {json.dumps(FORMAT)}")
            continue
        if not isinstance(value, dict) or len(value) != 1 or not value.keys() <= {*MARKS, *SIDES}:
            raise RecordingError(f"{name}:{number}: a line is one of {', '.join((*MARKS, *SIDES))}")
        steps += value.items()
    if not any(kind == "connected" for kind, _message in steps):
        raise RecordingError(f"{name}: no connection is in it")
    return steps
