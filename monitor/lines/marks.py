"""`mark` and `diff`: what changed in the memory's tables from one time to another, as the tables' own lines."""

from __future__ import annotations

from ..dispatch import HMPLineError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...vm.steps import Task
    from .session import LineSession

TABLES = ("info mtree", "info mtree -f", "info ramblock", "info memslots", "info memory-devices")
"""What a mark remembers."""
LATEST = "mark"
"""The name of a mark that was given none."""


def mark(session: LineSession, rest: str) -> Task[str]:
    """`mark`: remember the tables as they are."""
    name = rest.strip() or LATEST
    if " " in name:
        raise HMPLineError("mark: the name is one word\n")
    session.marks[name] = yield from _tables(session)
    return ""


def diff(session: LineSession, rest: str) -> Task[str]:
    """`diff`: the differences between a mark and now, or between two marks, in the unified form."""
    names = rest.split() or [LATEST]
    if len(names) > 2:
        raise HMPLineError("diff: at most two marks\n")
    for name in names:
        if name not in session.marks:
            known = f"there are {', '.join(session.marks)}" if session.marks else "'mark' makes one"
            raise HMPLineError(f"there is no mark '{name}'\n", known)
    old = session.marks[names[0]]
    new = session.marks[names[1]] if len(names) > 1 else (yield from _tables(session))
    end = names[1] if len(names) > 1 else "now"
    return "".join(
        _differences(old.get(table, ""), new.get(table, ""), f"{table} ({{}})", names[0], end) for table in TABLES
    )


def _tables(session: LineSession) -> Task[dict[str, str]]:
    known = session.target.line_names(now=True)
    tables: dict[str, str] = {}
    for line in TABLES:
        if " ".join(line.split()[:2]) in known:
            tables[line] = yield from session.target.run_line(line)
    return tables


def _differences(old: str, new: str, title: str, old_name: str, new_name: str) -> str:
    if old == new:
        return ""
    from difflib import unified_diff

    lines = unified_diff(
        old.splitlines(True), new.splitlines(True), title.format(old_name), title.format(new_name), n=1
    )
    return "".join(lines)
