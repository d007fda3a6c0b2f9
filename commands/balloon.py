"""The balloon: what the guest is asked to have, and what it has."""

from __future__ import annotations

from ..vm.errors import VMError
from .hmp import HMPCommand, Number, fixed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..vm.machine import VirtualMachine
    from . import Arguments, Context

MIB = 1 << 20


def balloon(context: Context, arguments: Arguments) -> dict[str, Any]:
    """Ask the guest to have so much memory."""
    plugging, size = context.vm.plugging, arguments["value"]
    plugging.find_balloon()
    if size <= 0:
        parameter = context.vm.release.text("balloon size", "value")
        raise VMError(f"Parameter '{parameter}' expects a size")
    plugging.resize_balloon(size)
    return {}


def query_balloon(context: Context, _arguments: Arguments) -> dict[str, Any]:
    """What the guest has."""
    return {"actual": context.vm.plugging.find_balloon().actual}


# HMP


def _balloon_request(_vm: VirtualMachine, words: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    return "balloon", {"value": words["target"] * MIB}


HMP = (
    HMPCommand(
        "balloon",
        _balloon_request,
        help="request VM to change its memory allocation (in MB)",
        syntax="target",
        parameters=(Number("target", positive=True),),
        example="balloon 512",
    ),
    HMPCommand(
        "info balloon",
        fixed("query-balloon"),
        lambda result, _words: f"balloon: actual={result['actual'] // MIB}\n",
        help="show balloon information",
    ),
)
