"""`assert`: what a script relies on, as a line that fails where it is not so."""

from __future__ import annotations

import operator
import re

from ..dispatch import HMPLineError, is_task
from .jsonpath import PathError, find, literal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ...vm.steps import Task
    from .session import LineSession

USAGE = (
    "assert: expects [not] LINE contains TEXT, LINE matches EXPRESSION, LINE fails [TEXT] or LINE $PATH [== VALUE]\n"
)
_CLAIM = re.compile(r"(?:^|\s)(contains|matches|fails|(?=\$(?:[.\[]|\s|$)))(?=\s|\$|$)")
_COMPARISON = re.compile(r"(.*?)\s+(==|!=|<=|>=|<|>|contains)\s+(.*)")
COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "contains": lambda value, part: part in value,
}


def check(session: LineSession, rest: str) -> Task[str]:
    """`assert`: print nothing where the claim holds, and fail with what is so where it does not."""
    rest = rest.strip()
    negated = rest.startswith("not ")
    rest = rest.removeprefix("not ").lstrip()
    claim = _CLAIM.search(rest)
    if claim is None or not rest[: claim.start()].strip():
        raise HMPLineError(USAGE)
    subject, kind, wanted = rest[: claim.start()].strip(), claim[1], rest[claim.end() :].strip()
    if not kind:
        holds, found = yield from _holds_at_path(session, subject, wanted)
    elif kind == "fails":
        holds, found = yield from _fails(session, subject, wanted)
    else:
        if not wanted:
            raise HMPLineError(USAGE)
        found = (yield from session.run(subject, captured=True)).text
        holds = _has(kind, found, _plain(wanted))
    if holds == negated:
        raise HMPLineError(f"assertion failed: {'not ' if negated else ''}{rest}\n{_told(found)}")
    return ""


def _has(kind: str, text: str, wanted: str) -> bool:
    if kind == "contains":
        return wanted in text
    try:
        return re.search(wanted, text, re.MULTILINE) is not None
    except re.error as error:
        raise HMPLineError(f"assert: '{wanted}' is no regular expression: {error}\n") from None


def _fails(session: LineSession, subject: str, wanted: str) -> Task[tuple[bool, str]]:
    try:
        text = (yield from session.run(subject, captured=True)).text
    except HMPLineError as failure:
        return _plain(wanted) in str(failure), str(failure)
    return False, text or "it did not fail\n"


def _holds_at_path(session: LineSession, subject: str, claim: str) -> Task[tuple[bool, str]]:
    from ...commands.json_output import pretty

    comparison = _COMPARISON.fullmatch(claim)
    path = comparison[1] if comparison is not None else claim
    answer = yield from _ask(session, subject)
    try:
        found = find(path, answer)
    except PathError as error:
        raise HMPLineError(f"assert: {error}\n") from None
    told = "\n".join(pretty(value) for value in found) if found else f"{path} leads to nothing"
    if comparison is None:
        return bool(found), told
    compare, value = COMPARE[comparison[2]], literal(comparison[3])
    return bool(found) and all(_compares(compare, each, value) for each in found), told


def _compares(compare: Callable[[Any, Any], bool], left: Any, right: Any) -> bool:
    try:
        return compare(left, right)
    except TypeError:  # a word against a number, and the like
        return False


def _ask(session: LineSession, subject: str) -> Task[Any]:
    """What a QMP command answers that has no arguments, or the one that an HMP line stands for."""
    from ...vm.errors import VMError

    if not session.target.has_request(subject):
        return (yield from session.target.line_as_json(subject.removeprefix("-j ")))
    try:
        result = session.target.run_command(subject, {})
        return (yield from result) if is_task(result) else result
    except VMError as error:
        raise HMPLineError(f"Error: {error.full_text}\n", error.hint) from None


def _plain(text: str) -> str:
    """A text without the double quotes around it."""
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] == '"' else text


def _told(found: str) -> str:
    lines = found.splitlines()
    shown = lines if len(lines) <= 20 else [*lines[:20], f"... {len(lines) - 20} more lines"]
    return "".join(f"  {line}\n" for line in shown)
