"""Whether the memory of another machine fits: told before a migration."""

from __future__ import annotations

from .hmp import Flag, HMPCommand, Word

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..vm.compat.comparing import Difference, Reason, Verdict
    from ..vm.compat.contract import Block, Contract
    from ..vm.machine import VirtualMachine
    from . import Arguments, Context


def query_compat(context: Context, arguments: Arguments) -> dict[str, Any]:
    """What would become of a migration to another machine, or from there."""
    from ..vm.compat.comparing import compare
    from ..vm.compat.of_machine import contract_of

    own = contract_of(context.vm)
    other = context.program.read_contract(arguments["partner"], arguments.get("qemu"))
    return describe(compare(other, own) if arguments.get("incoming", False) else compare(own, other))


def describe(verdict: Verdict) -> dict[str, Any]:
    """A verdict as values for JSON; what is not known is left out."""
    from ..vm.compat.reasons import remarks

    return {
        "compatible": verdict.compatible,
        "accepted": verdict.accepted,
        "certain": verdict.certain,
        "from": _side(verdict.source),
        "to": _side(verdict.destination),
        "blocks": [_difference(each) for each in verdict.differences],
        "reasons": [_reason(each, verdict) for each in verdict.reasons],
        "remarks": remarks(verdict),
        "not-checked": not_checked(verdict),
    }


def not_checked(verdict: Verdict) -> list[str]:
    """What may decide and is not known."""
    from ..vm.compat.reasons import NOT_CHECKED

    found = []
    for contract in (verdict.source, verdict.destination) if not verdict.certain else ():
        if not contract.exact:
            found.append(f"what differs between {title(contract)} and the one that it stands for")
        for each in contract.unchecked:
            blocks = f": {each.blocks}" if each.blocks else ""
            found.append(f"RAMBlocks of {each.what}{blocks}")
    return [*dict.fromkeys(found), NOT_CHECKED]


def title(contract: Contract) -> str:
    """A side in few words."""
    machine = contract.machine_type or "unknown machine"
    return f"{machine} (QEMU {contract.release})" if contract.release else f"{machine} ({contract.origin})"


def _known(**members: Any) -> dict[str, Any]:
    return {name.replace("_", "-"): value for name, value in members.items() if value is not None}


def _side(contract: Contract) -> dict[str, Any]:
    told = _known(qemu=contract.release, target=contract.target, machine=contract.machine_type)
    return {"origin": contract.origin, **told, "notes": list(contract.notes)}


def _difference(difference: Difference) -> dict[str, Any]:
    sides = {"from": difference.source, "to": difference.destination}
    told = {name: _block(block) for name, block in sides.items() if block is not None}
    return {"name": difference.name, "differs": list(difference.what), **told}


def _block(block: Block) -> dict[str, Any]:
    return _known(
        used_length=block.used_length,
        max_length=block.max_length,
        resizeable=block.resizeable,
        page_size=block.page_size,
        shared=block.shared,
    )


def _reason(reason: Reason, verdict: Verdict) -> dict[str, Any]:
    from ..vm.compat.reasons import why

    told = _known(block=reason.block or None, error=reason.text)
    return {
        "subject": reason.subject,
        **told,
        "stderr": reason.lines(verdict.release),
        "why": why(reason, verdict),
    }


# HMP


def answer(result: dict[str, Any]) -> str:
    """Yes or no, for people."""
    if result["compatible"]:
        return "yes" if result["certain"] else "yes, of what was checked"
    if result["accepted"]:
        return "no, although QEMU would accept it"
    return "no" if result["certain"] else "no, of what was checked"


def reason_lines(reasons: list[dict[str, Any]]) -> list[str]:
    """What is in the way, each with QEMU's text and why; QEMU tells only the first that has one."""
    lines = []
    first = next((reason for reason in reasons if "error" in reason), None)
    for reason in reasons:
        mark = "   (this first)" if reason is first and len(reasons) > 1 else ""
        lines.append(f"  {reason.get('error', 'QEMU notices nothing')}{mark}")
        about = f"{reason['block']}: " if "block" in reason else ""
        lines.append(f"    {about}{reason['why']}")
    return lines


def table(blocks: list[dict[str, Any]]) -> list[str]:
    """RAMBlocks that are not alike on both sides."""
    rows = [("Block", "Source", "Destination", "Differs in")]
    rows += [(each["name"], _size(each, "from"), _size(each, "to"), ", ".join(each["differs"])) for each in blocks]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return [f"{row[0]:>{widths[0]}}  {row[1]:>{widths[1]}}  {row[2]:>{widths[2]}}  {row[3]}".rstrip() for row in rows]


def _size(block: dict[str, Any], side: str) -> str:
    from ..vm.sizes import size_to_str

    return size_to_str(block[side]["used-length"]) if side in block else "-"


def _compat_request(_vm: VirtualMachine, words: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    incoming = {"incoming": True} if words.get("incoming") else {}
    return "query-compat", {"partner": words["partner"], **incoming}


def _render_compat(result: dict[str, Any], _words: dict[str, Any]) -> str:
    lines = [f"{_name(result['from'])}  ->  {_name(result['to'])}: {answer(result)}"]
    lines += reason_lines(result["reasons"])
    if result["blocks"]:
        lines += table(result["blocks"])
    lines += [f"note: {remark}" for remark in result["remarks"]]
    lines += [f"note: {note}" for side in ("from", "to") for note in result[side]["notes"]]
    lines += [f"not checked: {each}" for each in result["not-checked"]]
    return "".join(f"{line}\n" for line in lines)


def _name(side: dict[str, Any]) -> str:
    version = f" (QEMU {side['qemu']})" if "qemu" in side else f" ({side['origin']})"
    return f"{side.get('machine', 'unknown machine')}{version}"


HMP = (
    HMPCommand(
        "info compat",
        _compat_request,
        _render_compat,
        help="tell whether this machine's memory would fit into another one (-i: the other's here); partner is QEMU's\n"
        "command line, or a file with a domain's XML, a log, or a saved stream",
        syntax="[-i] partner",
        parameters=(Flag("i", "incoming"), Word("partner", "file", rest=True)),
        example="info compat qemu-system-x86_64 -M q35 -m 2G",
    ),
)
