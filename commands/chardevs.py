"""Character devices: which there are, and what they are connected to."""

from __future__ import annotations

from ..vm.errors import VMError
from .hmp import HMPCommand, Word, fixed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from . import Arguments, Context


def query_chardev(context: Context, _arguments: Arguments) -> list[dict[str, Any]]:
    """All of them, in the order of the object tree."""
    devices = context.program.chardevs
    listed = [node.name for node in context.vm.tree.root.children["chardevs"].listed_children()]
    return [
        {"label": name, "filename": devices[name].filename, "frontend-open": devices[name].in_use} for name in listed
    ]


def query_chardev_backends(context: Context, _arguments: Arguments) -> list[dict[str, str]]:
    """The kinds there are."""
    return [{"name": name} for name in context.program.chardev_kinds]


def chardev_remove(context: Context, arguments: Arguments) -> dict[str, Any]:
    """Close one that nothing uses."""
    name = arguments["id"]
    device = context.program.chardevs.get(name)
    if device is None:
        raise VMError(f"Chardev '{name}' not found")
    if device.in_use:
        raise VMError(f"Chardev '{name}' is busy")
    context.program.remove_chardev(name)
    return {}


def _render(found: list[dict[str, Any]], _words: dict[str, Any]) -> str:
    return "".join(f"{each['label']}: filename={each['filename']}\n" for each in found)


HMP = (
    HMPCommand(
        "info chardev",
        fixed("query-chardev"),
        _render,
        help="show the character devices",
        preconfig=True,
    ),
    HMPCommand(
        "chardev-remove",
        lambda _vm, words: ("chardev-remove", {"id": words["id"]}),
        help="remove chardev",
        syntax="id",
        parameters=(Word("id"),),
        example="chardev-remove null0",
    ),
)
