"""Guest memory: RAM sizes, RAMBlocks."""

from __future__ import annotations

from .hmp import HMPCommand, fixed
from .shown import Shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..vm.machine import VirtualMachine
    from ..vm.memory.ramblock import RAMBlock
    from . import Arguments, Context


def query_memory_size_summary(context: Context, _arguments: Arguments) -> dict[str, Any]:
    """Size of the RAM the machine was started with, and of what was plugged since."""
    summary = {"base-memory": context.vm.machine.ram_size}
    if context.vm.target.plugged_memory:
        summary["plugged-memory"] = sum(device.plugged for device in context.vm.memory_devices)
    return summary


def query_ramblocks(context: Context, _arguments: Arguments) -> list[dict[str, Any]]:
    """The RAMBlock table."""
    return [_ramblock(block) for block in context.vm.topology.ram_blocks]


def x_query_ramblock(context: Context, arguments: Arguments) -> dict[str, str]:
    """The RAMBlock table as text."""
    from . import hmp_commands

    render = hmp_commands(context.vm.release)["info ramblock"].render
    return {"human-readable-text": render(query_ramblocks(context, arguments), {})}


def _ramblock(block: RAMBlock) -> Shown:
    known = block.shown
    if isinstance(known, Shown):
        return known
    described: dict[str, Any] = {
        "name": block.name,
        "page-size": block.page_size,
        "offset": block.offset,
        "used-length": block.used_length,
        "max-length": block.max_length,
        "host-address": block.host_address,
        "shared": block.shared,
        "resizeable": block.resizeable,
        "readonly": block.readonly,
        "region": block.region_name,
        "migratable": block.migratable,
    }
    if block.aliased is not None:
        described["aliases"] = {
            "region": block.aliased.region_name,
            "ramblock-offset": block.aliased.offset,
            "offset": block.aliased_offset,
        }
    shown = block.shown = Shown(described)
    return shown


# The text of HMP


RAMBLOCK_HEAD = f"{'Block Name':>24} {'PSize':>8}  {'Offset':>18} {'Used':>18} {'Total':>18}"


def _render_ramblocks(result: list[Shown], _words: Any) -> str:
    return "".join(
        [RAMBLOCK_HEAD + f" {'HVA':>18} {'RO':>3}\n", *(block.text or _ramblock_text(block) for block in result)]
    )


def _render_old_ramblocks(result: list[Shown], _words: Any) -> str:
    return f"{RAMBLOCK_HEAD}\n" + "".join([block.text or _old_ramblock_text(block) for block in result])


def _ramblock_text(block: Shown) -> str:
    access = " ro" if block["readonly"] else " rw"
    block.text = f"{_places_text(block)} 0x{block['host-address']:016x} {access}{_aliased_text(block)}\n"
    return block.text


def _old_ramblock_text(block: Shown) -> str:
    block.text = f"{_places_text(block)}{_aliased_text(block)}\n"
    return block.text


def _places_text(block: Shown) -> str:
    """What all versions show of a block."""
    return (
        f"{block['name']:>24} {size_text(block['page-size']):>8}  0x{block['offset']:016x} "
        f"0x{block['used-length']:016x} 0x{block['max-length']:016x}"
    )


def _aliased_text(block: dict[str, Any]) -> str:
    """What a block is an alias of, which QEMU's table has no column for."""
    if "aliases" not in block:
        return ""
    return f"  alias of {block['aliases']['region']} @0x{block['aliases']['offset']:016x}"


def size_text(size: int) -> str:
    """A page size as `4 KiB`."""
    from ..vm.sizes import size_to_str

    return size_to_str(size)


def _ramblock_stamp(vm: VirtualMachine, _words: dict[str, Any]) -> object:
    return vm.topology.ram_blocks.changes


def _render_summary(result: dict[str, Any], _words: Any) -> str:
    text = f"base memory: {result['base-memory']}\n"
    if "plugged-memory" in result:
        text += f"plugged memory: {result['plugged-memory']}\n"
    return text


HMP = (
    HMPCommand(
        "info memory_size_summary",
        fixed("query-memory-size-summary"),
        _render_summary,
        help="show the amount of initially allocated and present hotpluggable (if enabled) memory in bytes.",
    ),
    HMPCommand(
        "info ramblock",
        fixed("query-ramblocks"),
        _render_ramblocks,
        help="Display system ramblock information",
        stamp=_ramblock_stamp,
        since="8.0",
    ),
    HMPCommand(
        "info ramblock",
        fixed("query-ramblocks"),
        _render_old_ramblocks,
        help="Display system ramblock information",
        stamp=_ramblock_stamp,
        until="7.2",
    ),
)
