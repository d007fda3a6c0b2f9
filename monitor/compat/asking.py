"""The question itself: two sides as people give them, both directions if wanted, and what would help."""

from __future__ import annotations

from ...vm.compat.comparing import Verdict, compare
from ...vm.compat.contract import Contract
from .command_lines import read_command_line
from .fixes import Fix, find_fix
from .pasted import CommandLine
from .sides import read_side

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def ask(
    source: str, destination: str, *, from_qemu: str | None = None, to_qemu: str | None = None, both: bool = False
) -> list[tuple[Verdict, Fix | None]]:
    """What becomes of a migration from one side to the other, and back if `both`; raises `VMError`."""
    here, there = read_side(source, from_qemu), read_side(destination, to_qemu)
    verdicts = [compare(here, there), *([compare(there, here)] if both else [])]
    return [(verdict, fix_of(verdict)) for verdict in verdicts]


def fix_of(verdict: Verdict) -> Fix | None:
    """What would help, where the destination is a command line."""
    release = verdict.destination.release

    def build(words: tuple[str, ...]) -> Contract:
        return read_command_line(CommandLine(words[0], words[1:], release), "the destination", release)

    return find_fix(verdict, build)


def compat(
    source: str, destination: str, *, from_qemu: str | None = None, to_qemu: str | None = None, both: bool = False
) -> dict[str, Any]:
    """Whether the memory of a machine fits into another one, told before a migration.

    Each side is QEMU's command line, a log's line with one, `unix:PATH` or `tcp:HOST:PORT` of a QMP monitor, or a
    file: a domain's XML of libvirt, a log, a saved migration stream. `from_qemu` and `to_qemu` are the versions of QEMU
    where the sides do not tell. Returns what `ramslot compat -json` prints; with `both` the way back is at `back`.

    :raise VMError: a side was not understood, or describes no machine.
    """
    from .report import to_json

    found = [
        to_json(verdict, fix)
        for verdict, fix in ask(source, destination, from_qemu=from_qemu, to_qemu=to_qemu, both=both)
    ]
    return {**found[0], "back": found[1]} if both else found[0]
