"""How a comparison is told: as JSON, and as text for people."""

from __future__ import annotations

import shlex

from ...vm.compat.comparing import Difference, Verdict
from ...vm.compat.contract import Block, Contract
from ...vm.compat.reasons import NOT_CHECKED, remarks, why
from ...vm.sizes import size_to_str
from .fixes import Fix

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def to_json(verdict: Verdict, fix: Fix | None = None) -> dict[str, Any]:
    """All that is known of one direction."""
    release = verdict.release
    return {
        "compatible": verdict.compatible,
        "accepted": verdict.accepted,
        "certain": verdict.certain,
        "from": _side(verdict.source),
        "to": _side(verdict.destination),
        "blocks": [_difference(each) for each in verdict.differences],
        "reasons": [
            {
                "subject": reason.subject,
                **({"block": reason.block} if reason.block else {}),
                "error": reason.text,
                "stderr": reason.lines(release),
                "why": why(reason, verdict),
            }
            for reason in verdict.reasons
        ],
        "remarks": remarks(verdict),
        "not-checked": [*_unchecked(verdict), NOT_CHECKED],
        "fix": None if fix is None else {"changes": list(fix.changes), "command-line": list(fix.words)},
    }


def _side(contract: Contract) -> dict[str, Any]:
    return {
        "origin": contract.origin,
        "qemu": contract.release,
        "target": contract.target,
        "machine": contract.machine_type,
        "notes": list(contract.notes),
    }


def _difference(difference: Difference) -> dict[str, Any]:
    sides = {"from": difference.source, "to": difference.destination}
    told = {name: None if block is None else _block(block) for name, block in sides.items()}
    return {"name": difference.name, "differs": list(difference.what), **told}


def _block(block: Block) -> dict[str, Any]:
    return {
        "used-length": block.used_length,
        "max-length": block.max_length,
        "resizeable": block.resizeable,
        "page-size": block.page_size,
        "shared": block.shared,
    }


def _unchecked(verdict: Verdict) -> list[str]:
    if verdict.certain:
        return []
    found = []
    for contract in (verdict.source, verdict.destination):
        for each in contract.unchecked:
            blocks = f": {each.blocks}" if each.blocks else ""
            found.append(f"RAMBlocks of {each.what}{blocks}")
    return list(dict.fromkeys(found))


def to_text(verdict: Verdict, fix: Fix | None = None, *, wants_fix: bool = True) -> str:
    """For people, several lines."""
    lines = [f"{_title(verdict.source)}  ->  {_title(verdict.destination)}: {_answer(verdict)}"]
    for number, reason in enumerate(verdict.reasons):
        error = reason.text
        lines.append(f"  {error if error is not None else 'QEMU notices nothing'}")
        if reason is verdict.refusal and number + 1 < len(verdict.reasons):
            lines[-1] += "   (this first)"
        lines.append(f"    {reason.block + ': ' if reason.block else ''}{why(reason, verdict)}")
    if verdict.differences:
        lines += ["", *_table(verdict.differences)]
    if fix is not None:
        lines += ["", "smallest change to the destination that was tried and fits:"]
        lines += [f"  {change}" for change in fix.changes]
        lines.append(f"  = {shlex.join(fix.words)}")
    elif wants_fix and not verdict.compatible and verdict.destination.words:
        lines += ["", "no change to the destination's options was found that fits"]
    lines += ["", *(f"note: {remark}" for remark in remarks(verdict))]
    for contract in (verdict.source, verdict.destination):
        lines += [f"{_title(contract)}: {note}" for note in contract.notes]
    lines += [f"not checked: {each}" for each in (*_unchecked(verdict), NOT_CHECKED)]
    return "\n".join(lines) + "\n"


def _answer(verdict: Verdict) -> str:
    if verdict.compatible:
        return "yes" if verdict.certain else "yes, of what was checked"
    return "no" if not verdict.accepted else "no, although QEMU would accept it"


def _title(contract: Contract) -> str:
    machine = contract.machine_type or "unknown machine"
    return f"{machine} (QEMU {contract.release})" if contract.release else f"{machine} ({contract.origin})"


def _table(differences: tuple[Difference, ...]) -> list[str]:
    rows = [("Block", "Source", "Destination", "Differs in")]
    for each in differences:
        rows.append((each.name, _short(each.source), _short(each.destination), ", ".join(each.what)))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return [f"{row[0]:>{widths[0]}}  {row[1]:>{widths[1]}}  {row[2]:>{widths[2]}}  {row[3]}".rstrip() for row in rows]


def _short(block: Block | None) -> str:
    return "-" if block is None else size_to_str(block.used_length)
