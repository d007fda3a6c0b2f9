"""Completion at the console's prompt. What may follow is decided in `completion` and `qmp_completion`."""

from __future__ import annotations

from prompt_toolkit.completion import Completer, Completion

from ...commands import hmp_commands
from ..completion import candidates
from ..dispatch import QMP_TWIN
from .qmp_completion import qmp_candidates
from .typed import is_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from prompt_toolkit.completion import CompleteEvent
    from prompt_toolkit.document import Document

    from ...vm.releases import Release
    from ..program import Program

LONGEST_MEANING = 60
"""Characters of a meaning that are shown beside a word."""


class ConsoleCompleter(Completer):
    """Completes HMP and QMP. The machine is asked anew each time, so that what was just made is already known."""

    def __init__(self, program: Program) -> None:
        self._program = program

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        """The words that may stand at the cursor and begin as what is typed there, each with its meaning."""
        text = document.text_before_cursor
        assert self._program.vm is not None
        if is_json(text):
            start, found = qmp_candidates(self._program.context.contract, text)
        else:
            start, found = candidates(self._program.vm, text)
        typed = text[start:]
        if typed.startswith("--"):
            found = [(QMP_TWIN.strip(), "show the QMP command that this line stands for")]
        for word, meaning in found:
            if word.startswith(typed):
                ending = " " if _takes_more(self._program.release, f"{text[:start]}{word}") else ""
                yield Completion(f"{word}{ending}", start - len(text), word, _first_line(meaning))


def _takes_more(release: Release, command: str) -> bool:
    """Whether this is the whole name of an HMP command, and something may stand behind it."""
    declared = hmp_commands(release).get(command)
    return declared is not None and (bool(declared.parameters) or command == "info")


def _first_line(meaning: str) -> str:
    line = meaning.partition("\n")[0]
    return line if len(line) <= LONGEST_MEANING else line[: LONGEST_MEANING - 1].rstrip() + "…"
