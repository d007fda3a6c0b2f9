"""The guest's NUMA nodes."""

from __future__ import annotations

from ..vm.errors import VMError
from .hmp import HMPCommand, fixed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from . import Arguments, Context


def set_numa_node(_context: Context, _arguments: Arguments) -> dict[str, Any]:
    """Refused: there is a machine already."""
    raise VMError("The command is permitted only before the machine has been created")


def query_numa(context: Context, _arguments: Arguments) -> list[dict[str, Any]]:
    """All nodes."""
    nodes = []
    for node in context.vm.machine.numa_nodes:
        described: dict[str, Any] = {"node-id": node.node_id, "cpus": list(node.cpus), "size": node.size, "plugged": 0}
        if node.backend is not None:
            described["memdev"] = node.backend.name
        nodes.append(described)
    return nodes


def _render_numa(result: list[dict[str, Any]], _words: Any) -> str:
    lines = [f"{len(result)} nodes\n"]
    for node in result:
        number = node["node-id"]
        lines.append(f"node {number} cpus:{''.join(f' {cpu}' for cpu in node['cpus'])}\n")
        lines.append(f"node {number} size: {node['size'] >> 20} MB\n")
        lines.append(f"node {number} plugged: {node['plugged'] >> 20} MB\n")
    return "".join(lines)


HMP = (HMPCommand("info numa", fixed("query-numa"), _render_numa, help="show NUMA information"),)
