"""Completion at the console's prompt. What may follow is decided in `completion` and `qmp_completion`.

Words that begin as what is typed come first; where none does, those that have its letters in that order. The machine
may have tens of thousands of objects: no more is offered than a person looks through.
"""

from __future__ import annotations

import os
import re

from prompt_toolkit.completion import Completer, Completion

from ...commands import hmp_commands
from ..completion import candidates
from ..dispatch import QMP_TWIN
from ..lines.commands import COMMANDS
from ..lines.tree_view import OPTIONS
from .lexers import PREFIXES
from .qmp_completion import qmp_candidates
from .typed import is_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from prompt_toolkit.completion import CompleteEvent
    from prompt_toolkit.document import Document

    from ..lines.session import LineSession
    from ..program import Program

    Candidates = list[tuple[str, str]]

LONGEST_MEANING = 60
"""Characters of a meaning that are shown beside a word."""
MOST_WORDS = 100
"""Words that are offered at once."""
TAKES_FILE = re.compile(r"(?:source|include)\s+(\S*)$")
VARIABLE = re.compile(r"\$\{?(\w*)$")
PIPED = re.compile(r"\s[|>]")


class ConsoleCompleter(Completer):
    """Completes HMP, QMP and the prompt's own. The machine is asked anew each time, so that what was just made is
    already known."""

    def __init__(self, program: Program, session: LineSession | None = None) -> None:
        self._program = program
        self._session = session

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        """The words that may stand at the cursor, each with its meaning."""
        text = document.text_before_cursor
        assert self._program.vm is not None
        if is_json(text):
            start, found = qmp_candidates(self._program.context.contract, text)
        else:
            start, found = self._candidates(text)
        typed = text[start:]
        command = _without_prefix(text)[: -len(typed) or None]
        for word, meaning in matching(typed, found)[:MOST_WORDS]:
            ending = " " if self._takes_more(f"{command}{word}") else ""
            yield Completion(f"{word}{ending}", start - len(text), word, _first_line(meaning))

    def _candidates(self, text: str) -> tuple[int, Candidates]:
        """Where the word at the cursor begins, and what may stand there, of HMP and of the prompt's own."""
        assert self._program.vm is not None
        variable = VARIABLE.search(text)
        if variable is not None and self._session is not None:
            return variable.start(1), list(self._session.variables.items())
        file = TAKES_FILE.match(text)
        if file is not None:
            return file.start(1), _files(file[1])
        if PIPED.search(text):
            return len(text), []
        line = _without_prefix(text)
        start, found = candidates(self._program.vm, line)
        typed = line[start:]
        words = line[:start].split()
        if typed.startswith("--"):
            found = [(QMP_TWIN.strip(), "show the QMP command that this line stands for")]
            if words[:2] == ["info", "mtree"]:
                found += [(option, meaning) for option, meaning in zip(OPTIONS, TREE_MEANINGS, strict=True)]
        elif not words or (words == ["help"]):
            found = found + [(name, row.help) for name, row in COMMANDS.items() if name not in dict(found)]
        if self._session is not None and not words:
            found = found + [(name, f"alias of {line}") for name, line in self._session.aliases.items()]
        if self._session is not None and words[:1] == ["diff"]:
            found = [(name, "mark") for name in self._session.marks]
        return len(text) - len(typed), found

    def _takes_more(self, command: str) -> bool:
        """Whether this is the whole name of a command, and something may stand behind it."""
        command = command.strip()
        if command in COMMANDS:
            return True
        declared = hmp_commands(self._program.release).get(command)
        return declared is not None and (bool(declared.parameters) or command == "info")


TREE_MEANINGS = ("so many levels of each tree", "the regions of that name, or at that address")


def matching(typed: str, found: Candidates) -> Candidates:
    """Those that begin as what is typed; where none does those that have its letters in order, the closest first."""
    beginning = [each for each in found if each[0].startswith(typed)]
    if beginning or len(typed) < 2:
        return beginning
    # Up to the next occurrence of each letter: nothing is tried twice, however long the names are.
    first, *others = map(re.escape, typed)
    letters = first + "".join(f"[^\n{letter}]*{letter}" for letter in others)
    pattern = re.compile(f"^([^\n{first}]*)({letters})([^\n]*)$", re.IGNORECASE | re.MULTILINE)
    closest = sorted(
        pattern.finditer("\n".join(word for word, _ in found)),
        key=lambda match: (len(match[2]), len(match[1]), len(match[3])),
    )
    meanings = dict(found)
    return [(match[0], meanings[match[0]]) for match in closest]


def _without_prefix(text: str) -> str:
    """The line that stands behind what is put before a line, such as `watch 1`."""
    prefix = PREFIXES.match(text + "x")  # the word may be still to come
    return text if prefix is None or prefix.end() > len(text) else text[prefix.end() :]


def _files(typed: str) -> Candidates:
    folder, _, _ = typed.rpartition("/")
    try:
        with os.scandir(os.path.expanduser(f"{folder}/") if folder or typed.startswith("/") else ".") as entries:
            prefix = f"{folder}/" if "/" in typed else ""
            return sorted((f"{prefix}{entry.name}{'/' if entry.is_dir() else ''}", "") for entry in entries)
    except OSError:
        return []


def _first_line(meaning: str) -> str:
    line = meaning.partition("\n")[0]
    return line if len(line) <= LONGEST_MEANING else line[: LONGEST_MEANING - 1].rstrip() + "…"
