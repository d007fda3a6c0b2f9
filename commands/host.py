"""The host: its nodes, pools, rules and limits, and who uses what of it."""

from __future__ import annotations

from ..vm.errors import VMError
from .hmp import HMPCommand, fixed
from .host_load import host_load, mount_lines, promised

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..vm.host import HostMemory
    from ..vm.host.description import HostDescription, NodeDescription
    from ..vm.machine import VirtualMachine
    from ..vm.steps import Task
    from . import Arguments, Context


def query_host(context: Context, _arguments: Arguments) -> Task[dict[str, Any]]:
    """All that is known of the host now.

    A task, for the kernel looks at every page to tell where it is.
    """
    host, users = context.vm.host, _users(context.vm)
    memories = [memory for memory, _ in users]
    try:
        described, residency = yield lambda _cancellation: (host.describe(), host.residency(memories))
    except OSError as error:
        raise VMError(f"cannot read what the host is: {error.filename}: {error.strerror}") from None
    for (_, user), nodes in zip(users, residency, strict=True):
        user["resident"] = [{"node": node, "size": size} for node, size in sorted(nodes.items()) if size]
    told = [user for _, user in users]
    known = {**_host(described), **host_load(context.vm, described, told), "users": told}
    known["notes"] += _last_error(context)
    return known


def _last_error(context: Context) -> list[str]:
    """What would help after this client's last error, where memory was what lacked."""
    from .remedies import remedy

    if context.failure is None:
        return []
    text = str(context.failure).removeprefix("Error: ").rstrip("\n")
    hint = remedy(text, getattr(context.failure, "hint", None), context.vm.config)
    return [f"after '{text}': {hint}"] if hint is not None else []


def _host(described: HostDescription) -> dict[str, Any]:
    """A description as the schema has it."""
    from ..vm.host.description import OVERCOMMIT_POLICIES

    rule, limits = described.overcommit, described.limits
    known = {
        "memlock": limits.memlock,
        "max-memslot-size": limits.max_memslot_size,
        "max-memslots": limits.max_memslots,
        "phys-bits": limits.phys_bits,
    }
    return {
        "page-size": described.page_size,
        "nodes": [_node(node) for node in described.nodes],
        "huge-pages": _whole_pools(described),
        "overcommit": {
            "policy": OVERCOMMIT_POLICIES[rule.policy],
            "limit": described.commit_limit,
            "committed": rule.committed,
            "swap": rule.swap,
        },
        "limits": {name: limit for name, limit in known.items() if limit is not None},
    }


def _node(node: NodeDescription) -> dict[str, Any]:
    return {
        "node": node.node,
        "memory": node.memory,
        "available": node.available,
        "huge-pages": [
            {"page-size": size, "total": pool.total, "free": pool.free}
            for size, pool in sorted(node.huge_pages.items())
        ],
        "cpus": node.cpus,
        "distances": node.distances,
    }


def _whole_pools(described: HostDescription) -> list[dict[str, int]]:
    """The pools of all nodes together."""
    whole = []
    for size in described.huge_page_sizes:
        pools = [node.huge_pages[size] for node in described.nodes if size in node.huge_pages]
        whole.append(
            {
                "page-size": size,
                "total": sum(pool.total for pool in pools),
                "free": sum(pool.free for pool in pools),
                "reserved": described.reserved_huge_pages.get(size, 0),
            }
        )
    return whole


def _users(vm: VirtualMachine) -> list[tuple[HostMemory, dict[str, Any]]]:
    """Every mapping that is in the RAMBlock table, with what is known of it without asking the host."""
    backends = {id(backend.memory): backend for backend in vm.objects.backends() if backend.memory is not None}
    blocks = [block for block in vm.topology.ram_blocks if block.aliased is None]
    users = []
    for block in blocks:
        backend = backends.get(id(block.host))
        user: dict[str, Any] = {"id": backend.name} if backend is not None else {}
        user["ramblock"] = block.shown_name
        user["size"] = block.host.size
        user["page-size"] = block.host.page_size
        user["promised"] = promised(vm.host, block, backend)
        user["policy"] = backend.policy if backend is not None else "default"
        user["host-nodes"] = list(backend.host_nodes) if backend is not None else []
        users.append((block.host, user))
    return users


def _render_host(result: dict[str, Any], _words: Any) -> str:
    return "".join(
        f"{line}\n"
        for line in [
            *_node_lines(result),
            *_rule_lines(result),
            *mount_lines(result),
            *_user_lines(result),
            *result["notes"],
        ]
    )


def _node_lines(result: dict[str, Any]) -> list[str]:
    """Nodes and pools, a line each, what is left beside what there is; then the distances."""
    from ..vm.host.description import cpu_list_text
    from ..vm.sizes import size_to_str

    lines = []
    for node in result["nodes"]:
        cpus = f", cpus {cpu_list_text(node['cpus'])}" if node["cpus"] else ""
        lines.append(
            f"node {node['node']}: {size_to_str(node['memory'])}, {size_to_str(node['available'])} available{cpus}"
        )
        lines += [
            f"node {node['node']}: {pool['total']} huge pages of {size_to_str(pool['page-size'])}, {pool['free']} free"
            for pool in node["huge-pages"]
            if pool["total"]
        ]
    if len(result["nodes"]) > 1:
        lines.append("distance" + "".join(f"{node['node']:5}" for node in result["nodes"]))
        for node in result["nodes"]:
            lines.append(f"{node['node']:8}" + "".join(f"{distance:5}" for distance in node["distances"]))
    return lines


def _rule_lines(result: dict[str, Any]) -> list[str]:
    from ..vm.sizes import size_to_str

    lines = []
    for pool in result["huge-pages"]:
        left = pool["free"] - pool["reserved"]
        lines.append(
            f"huge pages of {size_to_str(pool['page-size'])}: {pool['total']}, {pool['free']} free, "
            f"{pool['reserved']} reserved, {left} left"
        )
    rule = result["overcommit"]
    limit = f" of {size_to_str(rule['limit'])}" if rule["policy"] == "never" else ""
    lines.append(
        f"overcommit: {rule['policy']}, {size_to_str(rule['committed'])}{limit} committed, "
        f"{size_to_str(rule['swap'])} swap"
    )
    limits = [
        f"{name} {value if name in ('max-memslots', 'phys-bits') else size_to_str(value)}"
        for name, value in result["limits"].items()
    ]
    return [*lines, f"limits: {', '.join(limits)}"] if limits else lines


def _user_lines(result: dict[str, Any]) -> list[str]:
    from ..vm.sizes import size_to_str

    if not result["users"]:
        return []
    lines = [f"{'Memory':>24} {'Size':>9} {'Promised':>9} {'Page':>9} {'Policy':>16} Resident"]
    for user in result["users"]:
        policy = user["policy"]
        if user["host-nodes"]:
            policy += ":" + ",".join(map(str, user["host-nodes"]))
        resident = ", ".join(f"node {each['node']}: {size_to_str(each['size'])}" for each in user["resident"])
        lines.append(
            f"{user.get('id', user['ramblock']):>24} {size_to_str(user['size']):>9} {size_to_str(user['promised']):>9} "
            f"{size_to_str(user['page-size']):>9} {policy:>16} {resident or '-'}"
        )
    return lines


HMP = (
    HMPCommand(
        "info host",
        fixed("query-host"),
        _render_host,
        help="show the host's NUMA nodes, huge pages, rules and limits, and who uses them",
        preconfig=True,
    ),
)
