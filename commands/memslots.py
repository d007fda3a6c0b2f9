"""Memslots: the accelerator's table, what is behind it, and what it costs."""

from __future__ import annotations

from .explain import backends_by_block
from .hmp import Flag, HMPCommand, fixed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..vm.accel.cost import SlotCost
    from ..vm.accel.memslots import Memslot
    from ..vm.hostmem.backend import MemoryBackend
    from ..vm.memory.ramblock import RAMBlock
    from ..vm.steps import Task
    from . import Arguments, Context

MOST_SAMPLES = 64
"""Pages of a slot that are looked at, and no more of all slots together than `ALL_SAMPLES` unless one of each."""
ALL_SAMPLES = 1 << 16


def query_memslots(context: Context, arguments: Arguments) -> Any:
    """The table of memslots, with the accelerator's limits; a task if the host's pages are to be looked at."""
    accelerator = context.vm.accelerator
    table: dict[str, Any] = {"accelerator": accelerator.name, "max-memslots": accelerator.slots.max_slots}
    if accelerator.follows:
        table["max-memslot-size"] = accelerator.slots.max_size
    table["slots"] = [
        {
            "slot": memslot.slot,
            "as-id": memslot.as_id,
            "gpa": memslot.gpa,
            "size": memslot.size,
            "ramblock": memslot.block.shown_name,
            "offset": memslot.offset,
            "readonly": memslot.readonly,
            "log-dirty": memslot.log_dirty,
            "hva": memslot.hva,
        }
        for memslot in accelerator.slots
    ]
    return _with_hosts(table, list(accelerator.slots)) if arguments.get("host") else table


def _with_hosts(table: dict[str, Any], memslots: list[Memslot]) -> Task[dict[str, Any]]:
    samples = min(MOST_SAMPLES, max(1, ALL_SAMPLES // max(1, len(memslots))))
    hosts = yield lambda _cancellation: [_host(memslot, samples) for memslot in memslots]
    for described, host in zip(table["slots"], hosts, strict=True):
        described["host"] = host
    return table


def _host(memslot: Memslot, samples: int) -> dict[str, Any]:
    """What is behind a slot, by the look of some of its pages; nothing where they are being given back."""
    memory = memslot.block.host
    pages = max(1, memslot.size // memory.page_size)
    count = min(samples, pages)
    offsets = [memslot.offset + pages * number // count * memory.page_size for number in range(count)]
    try:
        nodes = [node for node in memory.page_nodes(offsets) if node is not None]
    except ValueError:
        nodes = []
    return {
        "page-size": memory.page_size,
        "sampled": count,
        "present": len(nodes),
        "nodes": sorted(set(nodes)),
    }


def query_memslots_cost(context: Context, _arguments: Arguments) -> dict[str, Any]:
    """Who uses how many slots, and what the kernel keeps for them."""
    from ..vm.accel.cost import SlotCost

    vm, slots = context.vm, context.vm.accelerator.slots
    kind = {"x86": vm.target.arch in ("x86_64", "i386"), "shadow": vm.accelerator.shadow_paging}
    total, used = SlotCost(), dict.fromkeys(slots.address_spaces, 0)
    users: dict[RAMBlock, tuple[list[Memslot], SlotCost]] = {}
    for memslot in slots:
        used[memslot.as_id] += 1
        shown, cost = users.setdefault(memslot.block, ([], SlotCost()))
        shown.append(memslot)
        for sum_of in (total, cost):
            sum_of.add(memslot.gpa, memslot.size, log_dirty=memslot.log_dirty, **kind)
    backends = backends_by_block(vm)
    described = [_user(backends.get(block), block, shown, cost) for block, (shown, cost) in users.items()]
    return {
        "accelerator": vm.accelerator.name,
        "spaces": [{"as-id": as_id, "used": n, "free": slots.max_slots - n} for as_id, n in used.items()],
        "users": sorted(described, key=lambda user: -user["slots"]),
        "metadata": _metadata(total),
    }


def _user(backend: MemoryBackend | None, block: RAMBlock, shown: list[Memslot], cost: SlotCost) -> dict[str, Any]:
    described: dict[str, Any] = {"ramblock": block.shown_name}
    if backend is not None:
        described["backend"] = backend.name
    return described | {
        "slots": len(shown),
        "size": sum(memslot.size for memslot in shown),
        "metadata": _metadata(cost),
    }


def _metadata(cost: SlotCost) -> dict[str, int]:
    return {
        "large-pages": cost.large_pages,
        "reverse-map": cost.reverse_map,
        "dirty-bitmap": cost.dirty_bitmap,
        "total": cost.total,
    }


def _render_memslots(result: dict[str, Any], words: dict[str, Any]) -> str:
    from ..vm.sizes import size_to_str

    slots = result["slots"]
    size = f", at most {size_to_str(result['max-memslot-size'])} each" if "max-memslot-size" in result else ""
    heading = f"{'Slot':>5} AS {'Guest physical address':33} {'Size':>9} Flags {'Block':>22} {'Offset':16}"
    if "verbose" in words:
        heading += f" {'Host address':18} {'PSize':>8} Nodes"
    lines = [
        f"accelerator: {result['accelerator']}, {len(slots)} of {result['max-memslots']} memslots used{size}\n",
        f"{heading.rstrip()}\n",
    ]
    for slot in slots:
        flags = ("r-" if slot["readonly"] else "rw") + ("d" if slot["log-dirty"] else "-")
        lines.append(
            f"{slot['slot']:5} {slot['as-id']:2} {slot['gpa']:016x}-{slot['gpa'] + slot['size'] - 1:016x} "
            f"{size_to_str(slot['size']):>9} {flags:5} {slot['ramblock']:>22} {slot['offset']:016x}"
            f"{_host_text(slot)}\n"
        )
    return "".join(lines)


def _host_text(slot: dict[str, Any]) -> str:
    """The columns of `-v`: host address, page size, and the nodes, with how much of the slot is there."""
    from ..vm.sizes import size_to_str

    if "host" not in slot:
        return ""
    host = slot["host"]
    nodes = ",".join(map(str, host["nodes"])) or ("-" if host["sampled"] else "?")
    part = f" ({host['present'] * 100 // host['sampled']}% present)" if host["present"] < host["sampled"] else ""
    return f" 0x{slot['hva']:016x} {size_to_str(host['page-size']):>8} {nodes}{part}"


def _render_cost(result: dict[str, Any], _words: Any) -> str:
    from ..vm.sizes import size_to_str

    lines = [f"accelerator: {result['accelerator']}\n"]
    for space in result["spaces"]:
        limit = space["used"] + space["free"]
        lines.append(f"address space {space['as-id']}: {space['used']} of {limit} memslots used\n")
    lines.append(f"{'Block':>24} {'Slots':>6} {'Size':>9} {'Kernel memory':>13}\n")
    for user in result["users"]:
        lines.append(
            f"{user['ramblock']:>24} {user['slots']:6} {size_to_str(user['size']):>9} "
            f"{size_to_str(user['metadata']['total']):>13}\n"
        )
    total = result["metadata"]
    lines.append(
        f"kernel memory: {size_to_str(total['total'])} (large pages {size_to_str(total['large-pages'])}, "
        f"reverse map {size_to_str(total['reverse-map'])}, dirty bitmaps {size_to_str(total['dirty-bitmap'])})\n"
    )
    return "".join(lines)


HMP = (
    HMPCommand(
        "info memslots",
        lambda _vm, words: ("query-memslots", {"host": True} if "verbose" in words else {}),
        _render_memslots,
        help="show the accelerator's memslots (-v: with host addresses, page sizes and NUMA nodes)",
        syntax="[-v]",
        parameters=(Flag("v", "verbose"),),
        example="info memslots -v",
    ),
    HMPCommand(
        "info slots-cost",
        fixed("query-memslots-cost"),
        _render_cost,
        help="show who uses the memslots, and what the kernel keeps for them",
    ),
)
