"""What was typed, written down: as a script that can be run (`-record`), and with the answers (`-transcript`)."""

from __future__ import annotations

import os
import sys

from ...vm.errors import VMError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TextIO

PROMPT = "(ramslot) "
CONTINUATION = "... ".rjust(len(PROMPT))
HEAD = "# ramslot "
"""Before the command line that made the machine, in the first line of both."""
FAILED = "# failed: "
"""Before what was typed and failed: a script would end there."""
NOT_THE_MACHINE = {"c": 1, "script": 1, "record": 1, "transcript": 1, "keep-going": 0, "vi": 0}
"""Options that do not tell of the machine, and how many words stand behind them."""


class Recorder:
    """Writes each command down when it was answered. A file that can no longer be written is told of once."""

    def __init__(
        self, warn: Callable[[str], object], record: str | None, transcript: str | None, words: list[str]
    ) -> None:
        """`words` is the command line without the program; raises `VMError` where a file cannot be written.

        `warn` tells of what went wrong later.
        """
        self._warn = warn
        self._record: TextIO | None = None
        self._transcript: TextIO | None = None
        if record is not None:
            self._record = _open(record)
        try:
            if transcript is not None:
                self._transcript = _open(transcript)
        except VMError:
            self.close()
            raise
        head = f"{HEAD}{_quoted(machine_words(words))}\n"
        self._write(head, head)

    @property
    def transcribes(self) -> bool:
        """Whether answers are written down, too."""
        return self._transcript is not None

    def note(self, command: str, text: str, failed: bool) -> None:
        """Write down a command, of one line or more, and all that it printed."""
        lines = command.rstrip("\n").split("\n")
        shown = "".join(f"{CONTINUATION if number else PROMPT}{line}\n" for number, line in enumerate(lines))
        text = text if not text or text.endswith("\n") else f"{text}\n"
        mark = FAILED if failed else ""
        self._write("".join(f"{mark}{line}\n" for line in lines), shown + text)

    def close(self) -> None:
        """Write no more."""
        for file in (self._record, self._transcript):
            if file is not None:
                try:
                    file.close()
                except OSError as error:
                    self._warn(f"cannot write '{file.name}': {error.strerror}")

    def _write(self, record: str, transcript: str) -> None:
        self._record = self._put(self._record, record)
        self._transcript = self._put(self._transcript, transcript)

    def _put(self, file: TextIO | None, text: str) -> TextIO | None:
        if file is None:
            return None
        try:
            file.write(text)
            file.flush()
        except OSError as error:
            self._warn(f"cannot write '{file.name}': {error.strerror}")
            return None
        return file


def open_recorder(warn: Callable[[str], object], record: str | None, transcript: str | None) -> Recorder | None:
    """The recorder that the command line asks for, if it does; raises `VMError`."""
    if record is None and transcript is None:
        return None
    return Recorder(warn, record, transcript, sys.argv[1:])


def machine_words(words: list[str]) -> list[str]:
    """A command line without the options that tell what is to be run, or where it is written down."""
    kept: list[str] = []
    rest = iter(words)
    for word in rest:
        name = word.removeprefix("-").removeprefix("-")
        if word.startswith("-") and name in NOT_THE_MACHINE:
            for _ in range(NOT_THE_MACHINE[name]):
                next(rest, None)
        else:
            kept.append(word)
    return kept


def _quoted(words: list[str]) -> str:
    from shlex import join

    return join(words).replace("\n", " ")


def _open(path: str) -> TextIO:
    try:
        return open(os.path.expanduser(path), "w", encoding="utf-8", errors="surrogateescape")
    except OSError as error:
        raise VMError(f"cannot write '{path}': {error.strerror}") from None
