"""Names that stand for text: `$x` anywhere in a line, and aliases at its beginning."""

from __future__ import annotations

import re

from ..dispatch import HMPLineError
from .commands import COMMANDS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from .session import LineSession

_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_REFERENCE = re.compile(r"\$(?:(\$)|([A-Za-z_]\w*)|\{([A-Za-z_]\w*)\})", re.ASCII)
_QUOTED = re.compile(r'((?:^|(?<=[\s,={:\[]))"(?:[^"\\]|\\.)*"?)')


def expanded(line: str, aliases: Mapping[str, str], variables: Mapping[str, str]) -> str:
    """A line with its alias and its variables in place; raises `HMPLineError` for one that is not set.

    Within double quotes, which may hold a shell's command or JSON, a name that is not set stays as it is.
    """
    line = line.strip()
    name, blank, rest = line.partition(" ")
    if name in aliases:
        line = f"{aliases[name]}{blank}{rest}"
    return substituted(line, variables) if "$" in line else line


def substituted(line: str, variables: Mapping[str, str]) -> str:
    """A line with its variables in place; `$$` is a `$`. Raises `HMPLineError`."""
    pieces = _QUOTED.split(line)
    for position, piece in enumerate(pieces):
        quoted = position % 2 == 1
        pieces[position] = _REFERENCE.sub(lambda match, quoted=quoted: _value(match, variables, quoted), piece)
    return "".join(pieces)


def _value(match: re.Match[str], variables: Mapping[str, str], quoted: bool) -> str:
    name = match[2] or match[3]
    if name is None:
        return match[0] if quoted else "$"
    if name in variables:
        return variables[name]
    if quoted:
        return match[0]
    raise HMPLineError(f"${name} is not set\n", f"'set {name} VALUE' sets it; $$ is a $")


def set_variable(session: LineSession, rest: str) -> str:
    """`set`: give a variable a value, tell the one it has, or list all."""
    name, _, value = rest.partition(" ")
    if not name:
        return "".join(f"{name} {value}\n" for name, value in sorted(session.variables.items()))
    _check_name(name)
    if value.strip():
        session.variables[name] = value.strip()
        return ""
    if name not in session.variables:
        raise HMPLineError(f"${name} is not set\n")
    return f"{name} {session.variables[name]}\n"


def alias(session: LineSession, rest: str) -> str:
    """`alias`: give a line a short name, tell what one stands for, or list all."""
    name, _, line = rest.partition(" ")
    if not name:
        return "".join(f"alias {name} {line}\n" for name, line in sorted(session.aliases.items()))
    if not line.strip():
        return f"alias {name} {_alias(session, name)}\n"
    if name in COMMANDS or name in session.target.line_names():
        raise HMPLineError(f"'{name}' is a command already\n")
    session.aliases[name] = line.strip()
    return ""


def unalias(session: LineSession, rest: str) -> str:
    """`unalias`: forget a short name."""
    _alias(session, rest)
    del session.aliases[rest]
    return ""


def echo(_session: LineSession, rest: str) -> str:
    """`echo`: print a text."""
    return f"{rest}\n"


def _alias(session: LineSession, name: str) -> str:
    if name not in session.aliases:
        raise HMPLineError(f"there is no alias '{name}'\n")
    return session.aliases[name]


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise HMPLineError(f"'{name}' is no name of a variable: letters, digits and _, a letter first\n")
