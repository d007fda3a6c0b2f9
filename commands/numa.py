"""The guest's NUMA nodes."""

from __future__ import annotations

from ..vm import preconfig
from .hmp import Flag, HMPCommand, HMPError, Word, fixed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from ..vm.machine import VirtualMachine
    from ..vm.numa import NumaNode
    from ..vm.numa.hmat import HMAT
    from ..vm.releases import Release
    from . import Arguments, Context


def set_numa_node(context: Context, arguments: Arguments) -> dict[str, Any]:
    """Take what is said of nodes, as long as there is no machine."""
    preconfig.set_numa_node(context.vm, arguments)
    return {}


def query_numa(context: Context, _arguments: Arguments) -> list[dict[str, Any]]:
    """All nodes."""
    numa = context.vm.numa
    nodes = numa.nodes
    described = []
    plugged = [(device.numa_node, device.plugged) for device in context.vm.memory_devices]
    for node in nodes:
        more = sum(size for node_id, size in plugged if node_id == node.node_id)
        size = node.size + more
        info: dict[str, Any] = {"node-id": node.node_id, "cpus": numa.cpus_of(node), "size": size, "plugged": more}
        if node.backend is not None:
            info["memdev"] = node.backend.name
        if any(other.distances for other in nodes):
            info["distances"] = [node.distances.get(number, 0) for number in range(nodes[-1].node_id + 1)]
        if node.initiator is not None:
            info["initiator"] = node.initiator
        if numa.hmat is not None:
            info.update(_attributes(numa.hmat, node))
        described.append(info)
    return described


def x_query_numa(context: Context, arguments: Arguments) -> dict[str, str]:
    """All nodes as text."""
    return {"human-readable-text": _render_numa(query_numa(context, arguments), {})}


def _attributes(hmat: HMAT, node: NumaNode) -> dict[str, Any]:
    """What is known of accesses to a node's memory, and of its caches."""
    accesses = [
        {
            "initiator": initiator,
            "hierarchy": hierarchy,
            "data-type": data_type,
            "latency" if table.is_latency else "bandwidth": value,
        }
        for (hierarchy, data_type), table in hmat.tables.items()
        for (initiator, target), value in table.entries.items()
        if target == node.node_id
    ]
    caches = [cache for (node_id, _level), cache in hmat.caches.items() if node_id == node.node_id]
    return {name: found for name, found in (("accesses", accesses), ("caches", caches)) if found}


def _render_numa(result: list[dict[str, Any]], words: dict[str, Any]) -> str:
    lines = [f"{len(result)} nodes\n"]
    for node in result:
        number = node["node-id"]
        lines.append(f"node {number} cpus:{''.join(f' {cpu}' for cpu in node['cpus'])}\n")
        lines.append(f"node {number} size: {node['size'] >> 20} MB\n")
        lines.append(f"node {number} plugged: {node['plugged'] >> 20} MB\n")
    if words.get("verbose"):
        lines += _distance_lines(result)
        lines += _attribute_lines(result)
    return "".join(lines)


def _distance_lines(nodes: list[dict[str, Any]]) -> Iterator[str]:
    """The distances as `numactl --hardware` shows them."""
    if not any("distances" in node for node in nodes):
        return
    yield "node distances:\n"
    yield f"node {''.join(f' {number:>3}' for number in range(len(nodes[0]['distances'])))}\n"
    for node in nodes:
        yield f"{node['node-id']:>3}: {''.join(f' {distance:>3}' for distance in node['distances'])}\n"


def _attribute_lines(nodes: list[dict[str, Any]]) -> Iterator[str]:
    from ..vm.sizes import size_to_str

    for node in nodes:
        number = node["node-id"]
        if "initiator" in node:
            yield f"node {number} initiator: {node['initiator']}\n"
        for access in node.get("accesses", ()):
            value = f"{access['latency']} ns" if "latency" in access else f"{size_to_str(access['bandwidth'])}/s"
            source = f"from node {access['initiator']}"
            yield f"node {number} {access['hierarchy']} {access['data-type']} {source}: {value}\n"
        for cache in node.get("caches", ()):
            yield (
                f"node {number} cache level {cache['level']}: {size_to_str(cache['size'])}, line {cache['line']} B, "
                f"associativity {cache['associativity']}, policy {cache['policy']}\n"
            )


def read_options(
    pairs: dict[str, list[str]], release: Release, warn: Callable[[str], None] | None = None
) -> dict[str, Any]:
    """The arguments of `set-numa-node` that the pairs of a `-numa` option mean.

    Raises `schema.ArgumentError` with QEMU's text. `warn` is told about deprecated spellings.
    """
    from .. import schema
    from ..vm.sizes import SizeRangeError, parse_size

    flat = {key: values if len(values) > 1 else values[0] for key, values in pairs.items()}
    contract = schema.contract(release.number)
    arguments = contract.from_keyval("set-numa-node", flat, "cli", lambda text: parse_size(text, warn=warn))
    if "mem" in arguments:
        text = pairs["mem"][-1]
        try:
            arguments["mem"] = parse_size(text, "M")  # a number alone counts in MiB
        except SizeRangeError:
            if release.settings("numbers").get("checks node sizes", True):
                raise schema.ArgumentError(
                    f"could not parse memory size '{text}': Numerical result out of range"
                ) from None
    return arguments


def _set_numa_node_request(vm: VirtualMachine, words: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    from .. import schema
    from .keyval import parse_opts

    pairs: dict[str, list[str]] = {}
    for key, value in parse_opts(words["options"], "type"):
        pairs.setdefault(key, []).append("on" if value is None else value)
    try:
        return "set-numa-node", read_options(pairs, vm.release)
    except schema.ArgumentError as error:
        raise HMPError(f"Error: {error}\n") from None


HMP = (
    HMPCommand(
        "info numa",
        fixed("query-numa"),
        _render_numa,
        help="show NUMA information (-v: with distances and memory attributes)",
        syntax="[-v]",
        parameters=(Flag("v", "verbose"),),
        example="info numa -v",
    ),
    HMPCommand(
        "set_numa_node",
        _set_numa_node_request,
        help="describe a NUMA node before the machine is made, as -numa does",
        syntax="type[,prop=value][,...]",
        parameters=(Word("options", "numa", rest=True),),
        preconfig=True,
        example="set_numa_node node,memdev=m",
    ),
)
