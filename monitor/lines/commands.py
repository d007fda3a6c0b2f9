"""The commands that belong to the prompt, not to the machine, in the one table that also makes their help.

They are there at the console and in scripts. HMP has none of these names.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeAlias

    from ...vm.steps import Task
    from .session import LineSession

    Function: TypeAlias = Callable[[LineSession, str], "str | Task[str]"]


class LineCommand:
    """One command: `function` is "module.function" beside this module, which is loaded with its first use.

    A function takes the session and what stands behind the name, and returns what is to be printed, or a task that
    will. Without one, the prompt or the script itself carries the command out.
    """

    __slots__ = ("example", "function", "help", "name", "syntax", "takes_line")

    def __init__(
        self, name: str, function: str, syntax: str, help: str, example: str, *, takes_line: bool = False
    ) -> None:
        self.name = name
        self.function = function
        self.syntax = syntax
        self.help = help
        self.example = example
        self.takes_line = takes_line
        """Whether all behind it is its own, also what would say where a text goes."""

    @property
    def is_front(self) -> bool:
        """Whether it is for who reads the lines to carry out."""
        return not self.function

    @property
    def help_line(self) -> str:
        """The line of this command in `help`."""
        return f"{self.name} {self.syntax} -- {self.help}\n"

    def load(self) -> Any:
        """Its function."""
        from ...vm.loading import load

        module, _, function = self.function.partition(".")
        return getattr(load(f"{__package__}.{module}"), function)


COMMANDS = {
    row.name: row
    for row in (
        LineCommand(
            "alias",
            "variables.alias",
            "[name [line]]",
            "give a line a short name; without one, list them",
            "alias im info mtree -f",
            takes_line=True,
        ),
        LineCommand("unalias", "variables.unalias", "name", "forget a short name", "unalias im"),
        LineCommand(
            "assert",
            "checks.check",
            "[not] line contains text|matches expression|fails [text]|$.path [== value]",
            "fail unless that is so; the line is HMP, or the name of a QMP command whose answer has the path",
            'assert query-status $.status == "running"',
            takes_line=True,
        ),
        LineCommand(
            "diff",
            "marks.diff",
            "[name [name]]",
            "show what changed in the memory's tables since a mark, or between two",
            "diff start",
        ),
        LineCommand("echo", "variables.echo", "text", "print a text", "echo RAM has $x"),
        LineCommand(
            "help", "help.explain", "[cmd]", "show the help, and for one command an example", "help info mtree"
        ),
        LineCommand("include", "", "file", "the same as source", "include plan.hmp"),
        LineCommand("mark", "marks.mark", "[name]", "remember the memory's tables, for diff", "mark start"),
        LineCommand(
            "set",
            "variables.set_variable",
            "[name [value]]",
            "set what $name stands for in later lines; without one, list them",
            "set x 1G",
            takes_line=True,
        ),
        LineCommand("source", "", "file", "run the lines of a file", "source plan.hmp"),
        LineCommand(
            "tutorial",
            "tutorial.guide",
            "[next|back|quit]",
            "five minutes with this machine's own memory, step by step",
            "tutorial next",
        ),
        LineCommand(
            "watch",
            "",
            "[seconds] line",
            "show a line's answer again and again, until Ctrl-C",
            "watch 1 info memslots",
            takes_line=True,
        ),
    )
}
"""By name."""
