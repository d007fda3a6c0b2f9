"""What a QEMU shows beside what ramslot shows for a command line: the CPUs' memory, blocks, nodes, devices."""

from __future__ import annotations

from difflib import unified_diff

from ...commands import Context, handler, hmp_commands
from ...commands.hmp import HMPCommand, Word
from ...vm.errors import VMError
from ...vm.releases import Release, find_release
from ..compat.command_lines import read_command_line
from ..compat.pasted import CommandLine, find_command_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ...vm.machine import VirtualMachine

VIEWS = {
    "query-flatviews": ("mtree", "info mtree", {"flat": True}),
    "query-ramblocks": ("memory", "info ramblock", {}),
    "query-numa": ("numa", "info numa", {}),
    "query-memory-devices": ("devices", "info memory-devices", {}),
}
"""What is compared: its subject, the HMP command that shows it, and the words of that."""
CPU_SPACE = "memory"
TEXTS_OF = "7.2"
"""The release whose texts are compared: it shows no addresses of this host."""


def views_of(line: str, release: Release) -> tuple[dict[str, Any], list[str]]:
    """What ramslot shows for a command line of that release, and notes about what it made of it; raises `VMError`."""
    found = find_command_line(line)
    if found is None:
        raise VMError(f"'{line[:80]}' is no command line of QEMU")
    views: dict[str, Any] = {}

    def look(vm: VirtualMachine) -> None:
        for command, (subject, _name, _words) in VIEWS.items():
            views[command] = handler(subject, command)(Context(vm, NO_PROGRAM), {})

    contract = read_command_line(
        CommandLine(found.program, found.words, release.name), "the command line", release.name, look
    )
    unchecked = [f"not modelled: {each.what}" for each in contract.unchecked]
    return views, [*contract.notes, *unchecked]


def describe_diff(theirs: dict[str, Any], ours: dict[str, Any], notes: list[str], release: Release) -> dict[str, Any]:
    """What differs, by view, as lines of a unified diff."""
    differences = []
    for command, (_subject, name, words) in VIEWS.items():
        there, here = (_text(command, told[command], name, words) for told in (theirs, ours))
        lines = list(unified_diff(here, there, "ramslot", "QEMU", lineterm="", n=1))
        if lines:
            differences.append({"view": name + (" -f" if words else ""), "lines": lines[2:]})
    return {"equal": not differences, "qemu": release.name, "differences": differences, "notes": notes}


def _text(command: str, result: Any, name: str, words: dict[str, Any]) -> list[str]:
    if command == "query-flatviews":
        result = [
            {**view, "address-spaces": [{"name": CPU_SPACE, "root": "system"}]}
            for view in result
            if any(space["name"] == CPU_SPACE for space in view["address-spaces"])
        ]
    text = hmp_commands(find_release(TEXTS_OF))[name].render(result, words)
    return text.replace(" KVM\n", "\n").splitlines()


class _NoProgram:
    """The machine is in no program; nothing that is asked of it needs one."""


NO_PROGRAM: Any = _NoProgram()


def _request(_vm: Any, words: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    line = words.get("command-line")
    return "query-command-line-diff", {"command-line": line} if line else {}


def _render(result: dict[str, Any], _words: dict[str, Any]) -> str:
    lines = []
    for each in result["differences"]:
        lines += [f"{each['view']}: - is ramslot's, + is QEMU's", *each["lines"]]
    if result["equal"]:
        lines.append(
            f"equal to what ramslot shows as QEMU {result['qemu']}: the CPUs' memory, RAMBlocks, nodes, devices"
        )
    lines += [f"note: {note}" for note in result["notes"]]
    return "".join(f"{line}\n" for line in lines)


DIFF = HMPCommand(
    "info diff",
    _request,
    _render,
    help="show where QEMU's memory differs from what ramslot makes of a command line (QEMU's own with -pid)",
    syntax="[command-line]",
    parameters=(Word("command-line", "file", optional=True, rest=True),),
)
