"""Where a line's answer goes: `| COMMAND`, `> FILE`, `>> FILE` behind it, as in a shell. Nothing is opened here."""

from __future__ import annotations

OPERATORS = (">>", ">", "|")
_OPERANDS = frozenset("0123456789($'+-~")
"""What an operand of HMP's own `|`, which is a bitwise or, begins with."""


class Redirection:
    """What becomes of a text: `operator` is one of `OPERATORS`, `target` a file's name or a shell's command."""

    __slots__ = ("operator", "target")

    def __init__(self, operator: str, target: str) -> None:
        self.operator = operator
        self.target = target

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Redirection) and (self.operator, self.target) == (other.operator, other.target)

    def __repr__(self) -> str:
        return f"Redirection({self.operator!r}, {self.target!r})"


def split_redirection(line: str) -> tuple[str, Redirection | None]:
    """A line without what is said of its answer, and that.

    An operator stands behind a blank and outside of double quotes; a `|` before what an expression may begin with
    (a digit, a bracket, a sign) is HMP's. All that follows the first one is the file's name, or the shell's.
    """
    position = 0
    while position < len(line):
        if line[position] == '"' and _begins_word(line, position):
            position = _end_of_quotes(line, position)
        elif line[position] in "|>" and position and line[position - 1].isspace():
            operator = next(each for each in OPERATORS if line.startswith(each, position))
            target = line[position + len(operator) :].strip()
            if operator != "|" or (target and target[0] not in _OPERANDS):
                return line[:position].rstrip(), Redirection(operator, _unquoted(operator, target))
        position += 1
    return line, None


def _begins_word(line: str, position: int) -> bool:
    return not position or line[position - 1].isspace()


def _end_of_quotes(line: str, position: int) -> int:
    position += 1
    while position < len(line) and line[position] != '"':
        position += 2 if line[position] == "\\" else 1
    return position


def _unquoted(operator: str, target: str) -> str:
    """A file's name without its quotes; what goes to a shell keeps them."""
    if operator == "|" or len(target) < 2 or target[0] != '"' or target[-1] != '"':
        return target
    return target[1:-1]
