"""Memslots: the accelerator's table."""

from __future__ import annotations

from .hmp import HMPCommand, fixed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from . import Arguments, Context


def query_memslots(context: Context, _arguments: Arguments) -> dict[str, Any]:
    """The table of memslots, with the accelerator's limits."""
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
            "ramblock": memslot.block.name or memslot.block.region_name,
            "offset": memslot.offset,
            "readonly": memslot.readonly,
            "log-dirty": memslot.log_dirty,
            "hva": memslot.hva,
        }
        for memslot in accelerator.slots
    ]
    return table


def _render_memslots(result: dict[str, Any], _words: Any) -> str:
    from ..vm.sizes import size_to_str

    slots = result["slots"]
    size = f", at most {size_to_str(result['max-memslot-size'])} each" if "max-memslot-size" in result else ""
    lines = [
        f"accelerator: {result['accelerator']}, {len(slots)} of {result['max-memslots']} memslots used{size}\n",
        f"{'Slot':>5} AS {'Guest physical address':33} {'Size':>9} Flags {'Block':>22} Offset\n",
    ]
    for slot in slots:
        flags = ("r-" if slot["readonly"] else "rw") + ("d" if slot["log-dirty"] else "-")
        lines.append(
            f"{slot['slot']:5} {slot['as-id']:2} {slot['gpa']:016x}-{slot['gpa'] + slot['size'] - 1:016x} "
            f"{size_to_str(slot['size']):>9} {flags:5} {slot['ramblock']:>22} {slot['offset']:016x}\n"
        )
    return "".join(lines)


HMP = (HMPCommand("info memslots", fixed("query-memslots"), _render_memslots, help="show the accelerator's memslots"),)
