"""`help` at the prompt and in scripts: QEMU's lines, ours behind them, and an example where one command is asked."""

from __future__ import annotations

from .commands import COMMANDS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...vm.steps import Task
    from .session import LineSession

REDIRECTIONS = """\
line | command, line > file, line >> file -- send the answer through a shell's command, or to a file
-j line -- show the answer as JSON
info mtree --depth n, --find name|address -- show a part of the tree
"""


def explain(session: LineSession, rest: str) -> Task[str]:
    """`help`: everything there is, or one command with an example."""
    topic = " ".join(rest.split())
    if topic in COMMANDS and topic != "help":
        return f"{COMMANDS[topic].help_line}example: {COMMANDS[topic].example}\n"
    text = yield from session.target.run_line(f"help {rest}")
    if not topic:
        return (
            text
            + "\nat this prompt and in scripts:\n"
            + "".join(row.help_line for row in COMMANDS.values() if row.name != "help")
            + REDIRECTIONS
        )
    if topic == "info":
        return text
    example = session.target.example(topic)
    return f"{text}example: {example}\n" if example else text
