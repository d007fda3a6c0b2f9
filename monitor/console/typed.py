"""What was typed, cut into commands: HMP lines and QMP JSON, of which a value may go over several lines."""

from __future__ import annotations

from ...commands.json_stream import NEED_MORE, JSONError, JSONStream


def is_json(text: str) -> bool:
    """Whether what was typed is meant as QMP."""
    return text.lstrip().startswith("{")


def commands_in(text: str) -> list[str]:
    """The commands of a text: each an HMP line, or the lines of JSON values. Comments are left out."""
    return [command for _number, command in numbered_commands(text)]


def numbered_commands(text: str) -> list[tuple[int, str]]:
    """The same, each with the number of the line that it begins in, the first being 1."""
    commands, rest = _split(text)
    return [*commands, rest] if rest is not None else commands


def is_unfinished(text: str) -> bool:
    """Whether `text` ends within a JSON value that goes on in the next line; a mistake in it ends it."""
    return _split(text)[1] is not None


def to_bytes(text: str) -> bytes:
    """The text as a QMP client sends it."""
    return text.encode("utf-8", "replace")


def _split(text: str) -> tuple[list[tuple[int, str]], tuple[int, str] | None]:
    """The commands that are complete, and what is begun behind them."""
    commands: list[tuple[int, str]] = []
    begun: list[str] = []
    for number, line in enumerate(text.split("\n"), 1):
        if not begun and not is_json(line):
            if line.strip() and not line.lstrip().startswith("#"):
                commands.append((number, line.strip()))
            continue
        if not begun:
            first, stream = number, JSONStream()
        begun.append(f"{line}\n")
        stream.feed(to_bytes(f"{line}\n"))
        values = list(iter(stream.take, NEED_MORE))
        if stream.idle or any(isinstance(value, JSONError) for value in values):
            commands.append((first, "".join(begun)))
            begun = []
    return commands, (first, "".join(begun)) if begun else None
