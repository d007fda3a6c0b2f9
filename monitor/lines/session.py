"""From a typed line to what it prints: aliases, variables, commands of the prompt, HMP, and where the text goes."""

from __future__ import annotations

from ..dispatch import HMPLineError, is_task
from .commands import COMMANDS
from .redirection import split_redirection
from .tree_view import split_view
from .variables import expanded

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ...vm.steps import Task
    from ..target import Target
    from .redirection import Redirection

AS_JSON = ("-j", "--json")
"""Before a line: the answer of the QMP command that it stands for."""


class Printed:
    """What a line printed, and the line it is the plain answer to; empty where something was made of that answer."""

    __slots__ = ("line", "text")

    def __init__(self, text: str, line: str) -> None:
        self.text = text
        self.line = line


class LineSession:
    """What one prompt, or one script, knows from line to line.

    `lend` is called with True before a shell's command has the terminal for itself, and with False after it; without it
    what such a command prints is text of ours.
    """

    def __init__(self, target: Target, lend: Callable[[bool], object] | None = None) -> None:
        self.target = target
        self.variables: dict[str, str] = {}
        self.aliases: dict[str, str] = {}
        self.marks: dict[str, dict[str, str]] = {}
        """By name, the text of each table at that time."""
        self.tutorial_step = 0
        """The step of the tutorial that was shown last, from 1 on; 0 is none."""
        self._lend = lend
        self.front: dict[str, Callable[[str], Task[str]]] = {}
        """Those of `COMMANDS` that the prompt or the script carries out itself."""

    def run(self, typed: str, *, captured: bool = False) -> Task[Printed]:
        """Run a line and return what it prints, a shell's command behind it included where that is `captured`.

        Raises `HMPLineError`.
        """
        line = typed.strip()
        if _first_word(line) != "alias":  # which keeps the variables in its line for when it is used
            line = expanded(line, self.aliases, self.variables)
        own = COMMANDS.get(_first_word(line))
        redirection = None
        if own is None or not own.takes_line:
            line, redirection = split_redirection(line)
        if redirection is None:
            return Printed((yield from self.answer(line)), line)
        self._refuse_silent(line)
        text = yield from self.answer(line)
        return Printed((yield from self.deliver(text, redirection, captured=captured)), "")

    def deliver(self, text: str, redirection: Redirection, *, captured: bool = False) -> Task[str]:
        """Bring a text where it is to go and return what is to be printed after all; raises `HMPLineError`."""
        from .delivery import deliver

        lend = self._lend if redirection.operator == "|" and not captured else None
        if lend is not None:
            lend(True)
        try:
            return (yield from deliver(text, redirection, captured=lend is None, ending=lambda: self.target.ending))
        finally:
            if lend is not None:
                lend(False)

    def answer(self, line: str) -> Task[str]:
        """What a line without aliases, variables and redirection prints; raises `HMPLineError`."""
        name, *rest = line.split(maxsplit=1) or [""]
        if name in COMMANDS:
            return (yield from self._own(name, rest[0] if rest else ""))
        if name in AS_JSON and rest:
            from ...commands.json_output import pretty

            return pretty((yield from self.target.line_as_json(rest[0]))) + "\n"
        line, view = split_view(line)
        text = yield from self.target.run_line(line)
        return text if view.is_plain else view.of(text)

    def _own(self, name: str, rest: str) -> Task[str]:
        command = COMMANDS[name]
        if command.is_front:
            if name not in self.front:
                raise HMPLineError(f"'{name}' is for the console\n")
            return (yield from self.front[name](rest))
        result = command.load()(self, rest)
        text: str = (yield from result) if is_task(result) else result
        return text

    def _refuse_silent(self, line: str) -> None:
        """A command that prints nothing is not meant to be redirected: its own parameter was to have the sign."""
        if _first_word(line) in (*COMMANDS, *AS_JSON) or line.endswith("--qmp"):
            return
        name = self.target.silent_command(line)
        if name is not None:
            raise HMPLineError(f"'{name}' prints nothing; a parameter with blanks stands in double quotes\n")


def _first_word(line: str) -> str:
    return line.split(maxsplit=1)[0] if line else ""
