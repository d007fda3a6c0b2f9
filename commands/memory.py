"""Guest memory: RAMBlocks, MemoryRegion trees, flat views."""

from __future__ import annotations

from ..vm.memory.region import CONTAINER
from ..vm.qom import Container, QOMObject
from .hmp import Flag, HMPCommand, fixed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from ..vm.accel.memslots import MemslotTable
    from ..vm.machine import VirtualMachine
    from ..vm.memory.flatview import FlatRange
    from ..vm.memory.ramblock import RAMBlock
    from ..vm.memory.region import MemoryRegion
    from ..vm.releases import Release
    from . import Arguments, Context

ADDRESS_MASK = (1 << 64) - 1


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


def _ramblock(block: RAMBlock) -> dict[str, Any]:
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
    return described


def query_mtree(context: Context, arguments: Arguments) -> dict[str, Any]:
    """The trees of all address spaces, then those of the regions that aliases in them point to."""
    walk = _TreeWalk(arguments.get("disabled", False), arguments.get("owner", False), context.vm.release)
    spaces = [{"names": names, "root": walk.region(root, 0)} for names, root in _roots(context)]
    targets = [walk.region(target, 0) for target in walk.new_targets()]
    known: dict[str, Any] = {"address-spaces": spaces, "regions": targets}
    if not context.vm.machine.has_registers:
        known["incomplete"] = True
    return known


def _roots(context: Context) -> Iterable[tuple[list[str], MemoryRegion]]:
    """The address spaces by root; up to QEMU 5.2 none shares one."""
    spaces = context.vm.topology.spaces
    if not context.vm.release.settings("mtree").get("shared roots", True):
        return [([space.name], space.root) for space in spaces]
    roots: dict[MemoryRegion, list[str]] = {}
    for space in spaces:
        roots.setdefault(space.root, []).append(space.name)
    return [(names, root) for root, names in roots.items()]


class _TreeWalk:
    """Describes regions with all below them, and remembers the targets of the aliases on the way.

    What is seen at the same place by several is described once, and is the same object then.
    """

    def __init__(self, disabled: bool, owner: bool, release: Release) -> None:
        self._release = release
        self._types = _TypeTexts(release)
        self._described: dict[tuple[MemoryRegion, int], dict[str, Any]] = {}
        self._disabled = disabled
        self._owner = owner
        self._targets: dict[MemoryRegion, None] = {}

    def new_targets(self) -> Any:
        """The targets met so far, and then those met while they were described."""
        described = 0
        while described < len(self._targets):
            yield list(self._targets)[described]
            described += 1

    def region(self, region: MemoryRegion, base: int) -> dict[str, Any]:
        """`region` with its subregions; `base` is the address of its container."""
        start = base + region.address
        known = self._described.get((region, start))
        if known is not None:
            return known
        text = self._types.of(region)
        described: dict[str, Any] = {
            "name": region.name,
            "start": start & ADDRESS_MASK,
            "end": start + max(region.size - 1, 0) & ADDRESS_MASK,
            "priority": region.priority,
            "type": f"nv-{text}" if region.nonvolatile else text,
            "enabled": region.enabled,
        }
        self._described[region, start] = described
        if region.alias is not None:
            self._targets.setdefault(region.alias)
            described["alias"] = {"name": region.alias.name, "offset": region.alias_offset}
        if self._owner:
            described.update(_owner(region, self._release))
        children = region.subregions
        if children:
            children = sorted(children, key=_by_address)
        described["subregions"] = [self.region(child, start) for child in children]
        return described


def _by_address(region: MemoryRegion) -> tuple[int, int]:
    return region.address, -region.priority


def _owner(region: MemoryRegion, release: Release) -> dict[str, Any]:
    """The owner member of a region, if it has one."""
    owner = region.owner
    if not isinstance(owner, QOMObject):
        return {}
    in_list = region.port_list and release.settings("mtree").get("port lists", True)
    relation = "parent" if in_list or isinstance(owner, Container) else "owner"
    described: dict[str, Any] = {"kind": "dev" if owner.is_device else "obj", "relation": relation}
    described |= {"type": owner.type_name} if owner.parent is None else {"path": owner.path}
    if owner.device_id is not None:
        described["id"] = owner.device_id
    if in_list:
        described["through"] = "memory-region-portio-list"
    return {"owner": described}


def query_flatviews(context: Context, arguments: Arguments) -> list[dict[str, Any]]:
    """What the addresses of each address space finally show; equal views once."""
    shared: dict[MemoryRegion | None, list[Any]] = {}
    for space in context.vm.topology.spaces:
        shared.setdefault(space.view.root, []).append(space)
    views, types = [], _TypeTexts(context.vm.release)
    for root, spaces in shared.items():
        described: dict[str, Any] = {
            "address-spaces": [{"name": space.name, "root": space.root.name} for space in spaces]
        }
        if root is not None:
            described["root"] = root.name
        in_slots = context.vm.accelerator.in_kernel and context.vm.machine.memory_space in spaces
        slots = context.vm.accelerator.slots if in_slots else None
        owner, release = arguments.get("owner", False), context.vm.release
        ranges = [_range(flat_range, slots, types) for flat_range in spaces[0].view.ranges]
        if owner:
            for shown, flat_range in zip(ranges, spaces[0].view.ranges, strict=True):
                shown.update(_owner(flat_range.region, release))
        if root is not None and root.nonvolatile and root.alias is not None and root.size == root.alias.size:
            described["root"] = root.alias.name  # QEMU looks through it, and forgets what it is
            for shown in ranges:
                shown["type"] = shown["type"].removeprefix("nv-")
        if root is not None and root.address:  # QEMU counts from where the root is in another region
            for shown in ranges:
                shown["start"] += root.address
                shown["end"] += root.address
        described["ranges"] = ranges
        views.append(described)
    return views


class _TypeTexts:
    """Types of regions as a release shows them."""

    __slots__ = ("_shows_containers",)

    def __init__(self, release: Release) -> None:
        self._shows_containers = release.settings("mtree").get("containers", True)

    def of(self, region: MemoryRegion) -> str:
        """What is no memory is i/o, or since QEMU 11.1, where nothing contains it, a container."""
        text = region.type_text
        if text != "i/o" or not self._shows_containers:
            return text
        while region.alias is not None:
            region = region.alias
        return text if region.container is not None else CONTAINER


def _range(flat_range: FlatRange, slots: MemslotTable | None, types: _TypeTexts) -> dict[str, Any]:
    region, start, end = flat_range.region, flat_range.start, flat_range.end
    text = "rom" if flat_range.readonly else types.of(region)
    return {
        "start": start,
        "end": end - 1,
        "priority": region.priority,
        "type": f"nv-{text}" if flat_range.nonvolatile else text,
        "name": region.name,
        "offset": flat_range.offset,
        "readonly": flat_range.readonly,
        "accelerated": slots is not None and slots.covers(0, start, end - start),
    }


# The text of HMP


RAMBLOCK_HEAD = f"{'Block Name':>24} {'PSize':>8}  {'Offset':>18} {'Used':>18} {'Total':>18}"


def _render_ramblocks(result: list[dict[str, Any]], _words: Any) -> str:
    lines = [f"{RAMBLOCK_HEAD} {'HVA':>18} {'RO':>3}\n"]
    for text, block in zip(_ramblock_texts(result), result, strict=True):
        access = " ro" if block["readonly"] else " rw"
        lines.append(f"{text} 0x{block['host-address']:016x} {access}{_aliased_text(block)}\n")
    return "".join(lines)


def _render_old_ramblocks(result: list[dict[str, Any]], _words: Any) -> str:
    texts = zip(_ramblock_texts(result), result, strict=True)
    return "".join([f"{RAMBLOCK_HEAD}\n", *(f"{text}{_aliased_text(block)}\n" for text, block in texts)])


def _ramblock_texts(result: list[dict[str, Any]]) -> list[str]:
    """What all versions show of each block."""
    sizes = {size: size_text(size) for size in {block["page-size"] for block in result}}
    return [
        f"{block['name']:>24} {sizes[block['page-size']]:>8}  0x{block['offset']:016x} "
        f"0x{block['used-length']:016x} 0x{block['max-length']:016x}"
        for block in result
    ]


def _aliased_text(block: dict[str, Any]) -> str:
    """What a block is an alias of, which QEMU's table has no column for."""
    if "aliases" not in block:
        return ""
    return f"  alias of {block['aliases']['region']} @0x{block['aliases']['offset']:016x}"


def size_text(size: int) -> str:
    """A page size as `4 KiB`."""
    from ..vm.sizes import size_to_str

    return size_to_str(size)


def _render_mtree(result: Any, words: dict[str, Any]) -> str:
    if words.get("flat"):
        return _flatviews_text(result)
    tree = _TreeText(words.get("disabled", False))
    lines: list[str] = []
    for space in result["address-spaces"]:
        lines += [f"address-space: {name}\n" for name in space["names"]]
        lines += tree.lines(space["root"], 0)
        lines.append("\n")
    for region in result["regions"]:
        lines.append(f"memory-region: {region['name']}\n")
        lines += tree.lines(region, 0)
        lines.append("\n")
    if result.get("incomplete"):
        lines.append("(only memory: this board's registers are not modelled)\n")
    return "".join(lines)


OVERFLOW = "[DETECTED OVERFLOW!] "


class _TreeText:
    """The lines of regions and all below them, indented; those below one are made once, however often it is shown."""

    def __init__(self, disabled: bool) -> None:
        self._disabled = disabled
        self._below: dict[int, list[str]] = {}

    def lines(self, region: dict[str, Any], base: int) -> list[str]:
        """A region and what is below it; `base` is the first address of what contains it."""
        own = [f"  {_region_text(region, base)}"] if region["enabled"] or self._disabled else []
        if own and own[0].startswith(f"  {OVERFLOW}"):
            own = [f"{OVERFLOW}  {own[0].removeprefix(f'  {OVERFLOW}')}"]
        below = self._below.get(id(region))
        if below is None and region["subregions"]:
            start = region["start"]
            below = [_indented(line) for child in region["subregions"] for line in self.lines(child, start)]
            self._below[id(region)] = below
        return own + below if below else own


def _indented(line: str) -> str:
    return f"{OVERFLOW}  {line.removeprefix(OVERFLOW)}" if line.startswith("[") else f"  {line}"


def _region_text(region: dict[str, Any], base: int) -> str:
    start, end = region["start"], region["end"]
    place = f"{start:016x}-{end:016x} (prio {region['priority']}, {region['type']}): "
    if "alias" in region:
        first = region["alias"]["offset"]
        last = first + end - start & ADDRESS_MASK
        place += f"alias {region['name']} @{region['alias']['name']} {first:016x}-{last:016x}"
    else:
        place += region["name"]
    if start < base or end < start:
        place = f"{OVERFLOW}{place}"
    return f"{place}{'' if region['enabled'] else ' [disabled]'}{_owner_text(region)}\n"


def _owner_text(described: dict[str, Any]) -> str:
    owner = described.get("owner")
    if owner is None:
        return ""
    key = next(key for key in ("id", "path", "type") if key in owner)
    name = f"{key}={owner[key]}"
    through = f" owner:{{obj type={owner['through']}}}" if "through" in owner else ""
    return f"{through} {owner['relation']}:{{{owner['kind']} {name}}}"


def _flatviews_text(result: list[dict[str, Any]]) -> str:
    lines: list[str] = []
    for number, view in enumerate(result):
        lines.append(f"FlatView #{number}\n")
        lines += [f' AS "{space["name"]}", root: {space["root"]}\n' for space in view["address-spaces"]]
        lines.append(f" Root memory region: {view.get('root', '(none)')}\n")
        if not view["ranges"]:
            lines.append("  No rendered FlatView\n")
        for shown in view["ranges"]:
            offset = f" @{shown['offset']:016x}" if shown["offset"] else ""
            lines.append(
                f"  {shown['start']:016x}-{shown['end']:016x} (prio {shown['priority']}, {shown['type']}): "
                f"{shown['name']}{offset}{_owner_text(shown)}{' KVM' if shown['accelerated'] else ''}\n"
            )
        lines.append("\n")
    return "".join(lines)


def _mtree_request(_vm: Any, words: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    arguments = {"owner": True} if words.get("owner") else {}
    if words.get("flat"):
        return "query-flatviews", arguments
    return "query-mtree", arguments | ({"disabled": True} if words.get("disabled") else {})


def _tree_stamp(vm: VirtualMachine, words: dict[str, Any]) -> object:
    """Trees and views change with the topology; who owns a region is no matter of that."""
    return None if words.get("owner") else vm.topology.changes


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
        "info mtree",
        _mtree_request,
        _render_mtree,
        help="show memory tree (-f: dump flat view for address spaces;-o: dump region owners/parents;"
        "-D: dump disabled regions",
        syntax="[-f][-o][-D]",
        parameters=(Flag("f", "flat"), Flag("o", "owner"), Flag("D", "disabled")),
        stamp=_tree_stamp,
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
