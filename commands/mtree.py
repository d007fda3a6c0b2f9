"""Guest memory: MemoryRegion trees and flat views."""

from __future__ import annotations

from ..vm.memory.region import CONTAINER
from ..vm.qom import Container, QOMObject
from .hmp import Flag, HMPCommand
from .shown import Shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from ..vm.accel.memslots import MemslotTable
    from ..vm.machine import VirtualMachine
    from ..vm.memory.address_space import AddressSpace
    from ..vm.memory.flatview import FlatRange, FlatView
    from ..vm.memory.region import MemoryRegion
    from ..vm.releases import Release
    from . import Arguments, Context

ADDRESS_MASK = (1 << 64) - 1


def query_mtree(context: Context, arguments: Arguments) -> dict[str, Any]:
    """The trees of all address spaces, then those of the regions that aliases in them point to."""
    walk = _TreeWalk(arguments.get("owner", False), context.vm.release)
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


class ShownTree(Shown):
    """A region with all below it."""

    __slots__ = ("targets", "texts")

    def __init__(self, description: dict[str, Any]) -> None:
        super().__init__(description)
        self.texts: dict[int, str] = {}
        """The lines of all these, by how they are written (see `_tree_text`), once they were made."""
        self.targets: dict[MemoryRegion, None] = {}
        """What the aliases among all these point to, as an ordered set."""


class _TreeWalk:
    """Describes regions with all below them, and remembers the targets of the aliases on the way.

    What is seen at the same place by several, or was when it was last described, is the same object.
    """

    def __init__(self, owner: bool, release: Release) -> None:
        self._release = release
        self._types = _TypeTexts(release)
        self._owned: dict[tuple[MemoryRegion, int], ShownTree] | None = {} if owner else None
        """What was described of regions with their owners, which change with no region that tells of it."""
        self._targets: dict[MemoryRegion, None] = {}

    def new_targets(self) -> Iterator[MemoryRegion]:
        """The targets met so far, and then those met while they were described."""
        described: dict[MemoryRegion, None] = {}
        while len(described) < len(self._targets):
            for target in [found for found in self._targets if found not in described]:
                described[target] = None
                yield target

    def region(self, region: MemoryRegion, base: int) -> ShownTree:
        """`region` with its subregions; `base` is the address of its container."""
        found = self._tree(region, base + region.address)
        if found.targets:
            self._targets |= found.targets
        return found

    def _tree(self, region: MemoryRegion, start: int) -> ShownTree:
        kept = region.shown.get(start) if self._owned is None else self._owned.get((region, start))
        return kept or self._described(region, start)

    def _below(self, region: MemoryRegion, start: int) -> list[ShownTree]:
        """What is within `region`; of hundreds few have changed, so asking for what was kept is all there is to it."""
        children = region.subregions_by_address
        if self._owned is not None:
            return [self._tree(child, start + address) for address, _, child in children]
        described = self._described
        return [child.shown.get(start + address) or described(child, start + address) for address, _, child in children]

    def _described(self, region: MemoryRegion, start: int) -> ShownTree:
        text = self._types.of(region)
        described: dict[str, Any] = {
            "name": region.name,
            "start": start & ADDRESS_MASK,
            "end": start + max(region.size - 1, 0) & ADDRESS_MASK,
            "priority": region.priority,
            "type": f"nv-{text}" if region.nonvolatile else text,
            "enabled": region.enabled,
        }
        targets: dict[MemoryRegion, None] = {}
        if region.alias is not None:
            targets[region.alias] = None
            described["alias"] = {"name": region.alias.name, "offset": region.alias_offset}
        if self._owned is not None:
            described.update(_owner(region, self._release))
        below = self._below(region, start)
        for tree in below:
            if tree.targets:
                targets |= tree.targets
        described["subregions"] = below
        shown = ShownTree(described)
        shown.targets = targets
        if self._owned is None:
            region.keep_shown(start, shown)
        else:
            self._owned[region, start] = shown
        return shown


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
    shared: dict[MemoryRegion | None, list[AddressSpace]] = {}
    for space in context.vm.topology.spaces:
        shared.setdefault(space.view.root, []).append(space)
    owner = arguments.get("owner", False)
    return [_view(context, root, spaces, owner) for root, spaces in shared.items()]


def _view(context: Context, root: MemoryRegion | None, spaces: list[AddressSpace], owner: bool) -> dict[str, Any]:
    described: dict[str, Any] = {"address-spaces": [{"name": space.name, "root": space.root.name} for space in spaces]}
    in_slots = context.vm.accelerator.in_kernel and context.vm.machine.memory_space in spaces
    looked_through = root is not None and root.nonvolatile and root.alias is not None and root.size == root.alias.size
    if root is not None:  # QEMU forgets what a root is that it looks through
        described["root"] = root.alias.name if looked_through and root.alias is not None else root.name
    view = spaces[0].view
    ranges = _Ranges(
        context.vm.release,
        context.vm.accelerator.slots if in_slots else None,
        root.address if root is not None else 0,
        tells_nonvolatile=not looked_through,
    )
    described["ranges"] = ranges.shown(view)
    if owner:
        owners = [_owner(flat_range.region, context.vm.release) for flat_range in view.ranges]
        described["ranges"] = [Shown(shown | own) for shown, own in zip(described["ranges"], owners, strict=True)]
    return described


class _Ranges:
    """Describes the ranges of a view, or finds what they were when they were last described.

    `distance` is added to addresses: QEMU counts from where the root is in another region.
    """

    def __init__(self, release: Release, slots: MemslotTable | None, distance: int, *, tells_nonvolatile: bool) -> None:
        self._types = _TypeTexts(release)
        self._slots = slots
        self._distance = distance
        self._tells_nonvolatile = tells_nonvolatile

    def shown(self, view: FlatView) -> list[Shown]:
        in_slots = self._slots is not None
        kept = view.keep_shown((self._distance, self._tells_nonvolatile, in_slots))
        for position, shown in enumerate(kept):
            if shown is None or (in_slots and shown["accelerated"] != self._accelerated(view.ranges[position])):
                kept[position] = self._described(view.ranges[position])
        return kept.copy()

    def _accelerated(self, flat_range: FlatRange) -> bool:
        """Whether it is in the accelerator's slots, which may come and go without it."""
        start = flat_range.start
        return self._slots is not None and self._slots.covers(0, start, flat_range.end - start)

    def _described(self, flat_range: FlatRange) -> Shown:
        region = flat_range.region
        text = "rom" if flat_range.readonly else self._types.of(region)
        description = {
            "start": flat_range.start + self._distance,
            "end": flat_range.end - 1 + self._distance,
            "priority": region.priority,
            "type": f"nv-{text}" if flat_range.nonvolatile and self._tells_nonvolatile else text,
            "name": region.name,
            "offset": flat_range.offset,
            "readonly": flat_range.readonly,
            "accelerated": self._accelerated(flat_range),
        }
        return Shown(description)


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


# The text of HMP


def _render_mtree(result: Any, words: dict[str, Any]) -> str:
    if words.get("flat"):
        return _flatviews_text(result)
    style = int(words.get("disabled", False))
    pieces: list[str] = []
    for space in result["address-spaces"]:
        heads = [f"address-space: {name}" for name in space["names"]]
        pieces += "\n".join(heads), _tree_text(space["root"], 0, style), "\n\n"
    for region in result["regions"]:
        pieces += f"memory-region: {region['name']}", _tree_text(region, 0, style), "\n\n"
    if result.get("incomplete"):
        pieces.append("(only memory: this board's registers are not modelled)\n")
    return "".join(pieces)


OVERFLOW = "[DETECTED OVERFLOW!] "
DEEPER = 2


def _tree_text(tree: ShownTree, base: int, style: int) -> str:
    """The lines of a region and of all below it, each behind a line end; `base` is where its container begins.

    `style` counts `DEEPER` for each region that this one is in. What is disabled is left out, but not what is below it,
    unless `style` is odd.
    """
    known = tree.texts.get(style)
    if known is not None:
        return known
    start, below_style = tree["start"], style + DEEPER
    below = [
        _tree_text(child, start, below_style) if (text := child.texts.get(below_style)) is None else text
        for child in tree["subregions"]
    ]
    line = _region_text(tree, base, style // DEEPER) if tree["enabled"] or style % DEEPER else ""
    known = tree.texts[style] = line + "".join(below)
    return known


def _region_text(region: ShownTree, base: int, depth: int) -> str:
    start, end, name = region["start"], region["end"], region["name"]
    if "alias" in region:
        first = region["alias"]["offset"]
        name = f"alias {name} @{region['alias']['name']} {first:016x}-{first + end - start & ADDRESS_MASK:016x}"
    return (
        f"\n{OVERFLOW if start < base or end < start else ''}"
        f"{'  ' * (depth + 1)}{start:016x}-{end:016x} (prio {region['priority']}, {region['type']}): {name}"
        f"{'' if region['enabled'] else ' [disabled]'}{_owner_text(region)}"
    )


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
        lines += [shown.text or _range_text(shown) for shown in view["ranges"]]
        lines.append("\n")
    return "".join(lines)


def _range_text(shown: Shown) -> str:
    offset = f" @{shown['offset']:016x}" if shown["offset"] else ""
    shown.text = (
        f"  {shown['start']:016x}-{shown['end']:016x} (prio {shown['priority']}, {shown['type']}): "
        f"{shown['name']}{offset}{_owner_text(shown)}{' KVM' if shown['accelerated'] else ''}\n"
    )
    return shown.text


def _mtree_request(_vm: Any, words: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    return "query-flatviews" if words.get("flat") else "query-mtree", {"owner": True} if words.get("owner") else {}


def _tree_stamp(vm: VirtualMachine, words: dict[str, Any]) -> object:
    """Trees and views change with the topology; who owns a region is no matter of that."""
    return None if words.get("owner") else vm.topology.changes


HMP = (
    HMPCommand(
        "info mtree",
        _mtree_request,
        _render_mtree,
        help="show memory tree (-f: dump flat view for address spaces;-o: dump region owners/parents;"
        "-D: dump disabled regions",
        syntax="[-f][-o][-D]",
        parameters=(Flag("f", "flat"), Flag("o", "owner"), Flag("D", "disabled")),
        stamp=_tree_stamp,
        example="info mtree -f",
    ),
)
