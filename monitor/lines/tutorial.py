"""`tutorial`: five minutes on the live machine, step by step. The steps are data, in tutorial.txt beside this."""

from __future__ import annotations

import os
import re

from ..dispatch import HMPLineError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ...vm.steps import Task
    from .session import LineSession

USAGE = "tutorial next, tutorial back, tutorial quit; tutorial NUMBER is a step\n"
OVER = "That was the last step; 'tutorial' begins anew.\n"
_CONDITION = re.compile(r"\[(not )?([^\]]*)\]")
_FACT = re.compile(r"\{(\w+)\}")


class Step:
    """One step: its title, and its lines as they stand in the file."""

    __slots__ = ("lines", "title")

    def __init__(self, title: str) -> None:
        self.title = title
        self.lines: list[str] = []


def read_steps() -> list[Step]:
    """The steps, in order."""
    with open(os.path.join(os.path.dirname(__file__), "tutorial.txt"), encoding="utf-8") as file:
        lines = file.read().splitlines()
    steps: list[Step] = []
    for line in lines:
        if line.startswith("# "):
            steps.append(Step(line.removeprefix("# ")))
        elif steps and line:
            steps[-1].lines.append(line)
    return steps


def guide(session: LineSession, rest: str) -> Task[str]:
    """`tutorial`: show a step. Nothing that is typed behind it is an error."""
    steps = read_steps()
    word = rest.strip()
    if word == "quit":
        session.tutorial_step = 0
        return ""
    number = {"": session.tutorial_step or 1, "next": session.tutorial_step + 1, "back": session.tutorial_step - 1}.get(
        word, int(word) if word.isdecimal() and word.isascii() and len(word) < 5 else 0
    )
    if word and number <= 0 and word != "back":
        return USAGE
    if number > len(steps):
        session.tutorial_step = 0
        return OVER
    session.tutorial_step = max(number, 1)
    return (yield from _shown(session, steps[session.tutorial_step - 1], session.tutorial_step, len(steps)))


def _shown(session: LineSession, step: Step, number: int, count: int) -> Task[str]:
    from ..own_machine import OwnMachine
    from .tutorial_facts import facts_of

    if not isinstance(session.target, OwnMachine):
        raise HMPLineError("the tutorial tells of a machine of our own\n", "'ramslot' without 'attach' makes one")
    facts = yield from facts_of(session.target.program.context)
    text = f"{number}/{count}  {step.title}\n\n"
    for line in chosen(step.lines, facts):
        line = _FACT.sub(lambda match: str(facts[match[1]]), line)
        if line.startswith("> "):
            text += yield from _answered(session, line.removeprefix("> "))
        else:
            text += f"{line}\n"
    return text


def chosen(lines: list[str], facts: dict[str, object]) -> Iterator[str]:
    """The lines that are for a machine of which these facts are true."""
    wanted = True
    for line in lines:
        condition = _CONDITION.fullmatch(line)
        if condition is None:
            if wanted:
                yield line
        else:
            wanted = not condition[2] or bool(facts[condition[2]]) is not bool(condition[1])


def _answered(session: LineSession, line: str) -> Task[str]:
    """A line and what it prints, or the first lines of that; what is refused is told as anything else."""
    line, _, most = line.partition(" # ")
    try:
        text = yield from session.answer(line)
    except HMPLineError as failure:
        text = str(failure)
    lines = text.splitlines()
    if most and len(lines) > int(most):
        lines = [*lines[: int(most)], f"  ... {len(lines) - int(most)} more lines; '{line}' has all"]
    return "".join(f"{each}\n" for each in ("", f"(ramslot) {line}", *lines)) if lines else ""
