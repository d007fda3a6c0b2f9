"""How a comparison is told on the command line: as JSON, and as text for people."""

from __future__ import annotations

import shlex

from ...commands.compat import answer, describe, reason_lines, table, title
from ...vm.compat.comparing import Verdict
from .fixes import Fix

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def to_json(verdict: Verdict, fix: Fix | None = None) -> dict[str, Any]:
    """All that is known of one direction: what `query-compat` answers, and what would help."""
    told = None if fix is None else {"changes": list(fix.changes), "command-line": list(fix.words)}
    return {**describe(verdict), "fix": told}


def to_text(verdict: Verdict, fix: Fix | None = None) -> str:
    """For people, several lines."""
    told = describe(verdict)
    source, destination = title(verdict.source), title(verdict.destination)
    lines = [f"{source}  ->  {destination}: {answer(told)}", *reason_lines(told["reasons"])]
    if told["blocks"]:
        lines += ["", *table(told["blocks"])]
    if fix is not None:
        lines += ["", "smallest change to the destination that was tried and fits:"]
        lines += [f"  {change}" for change in fix.changes]
        lines.append(f"  = {shlex.join(fix.words)}")
    elif not verdict.compatible and verdict.destination.words:
        lines += ["", "no change to the destination's options was found that fits"]
    lines += ["", *(f"note: {remark}" for remark in told["remarks"])]
    notes = [f"{side}: {note}" for side, key in ((source, "from"), (destination, "to")) for note in told[key]["notes"]]
    lines += dict.fromkeys(notes)
    lines += [f"not checked: {each}" for each in told["not-checked"]]
    return "\n".join(lines) + "\n"
