"""A guest address explained: from the region tree down to the host's page, and what is hidden on the way."""

from __future__ import annotations

from ..vm.errors import VMError
from ..vm.memory.explain import explain
from ..vm.memory.stream import stream_pieces
from .hmp import HMPCommand, HMPError, Word

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..vm.hostmem.backend import MemoryBackend
    from ..vm.machine import VirtualMachine
    from ..vm.memory.address_space import AddressSpace
    from ..vm.memory.explain import Shadowed, Way
    from ..vm.memory.ramblock import RAMBlock
    from . import Arguments, Context

ADDRESS_MASK = (1 << 64) - 1


def query_address(context: Context, arguments: Arguments) -> dict[str, Any]:
    """The whole story of one address."""
    space = _find_space(context.vm, arguments.get("address-space", "memory"))
    return Explainer(context.vm, space).tell(arguments["address"] & ADDRESS_MASK)


def _find_space(vm: VirtualMachine, name: str) -> AddressSpace:
    for space in vm.topology.spaces:
        if space.name == name:
            return space
    raise VMError(f"address space '{name}' not found")


class Explainer:
    """Tells of many addresses of a machine that does not change meanwhile."""

    def __init__(self, vm: VirtualMachine, space: AddressSpace) -> None:
        self._vm = vm
        self._space = space
        self._backends = backends_by_block(vm)
        self._devices = vm.memory_devices

    def tell(self, address: int) -> dict[str, Any]:
        """What `query-address` answers."""
        vm, space = self._vm, self._space
        way, shadowed = explain(space.root, address)
        info: dict[str, Any] = {"address": address, "address-space": space.name, "path": _path(way) if way else []}
        if way is None and not vm.machine.has_registers:
            info["unknown"] = True
        if way is not None and way.readonly is not None and self._is_certain(way):
            info["readonly-by"] = way.readonly.name
        found = space.view.find(address)
        if found is not None:
            info["range"] = {
                "start": found.start,
                "end": found.end - 1,
                "name": found.region.name,
                "offset": found.offset,
                "readonly": found.readonly,
            }
            block = found.region.ram_block
            if block is not None:
                info |= self._memory(block, found.offset + address - found.start)
        if space is vm.machine.memory_space:
            info |= _memslot(vm, address)
            info |= self._memory_device(address)
        info["shadowed"] = [_shadowed(each) for each in shadowed]
        return info

    def _is_certain(self, way: Way) -> bool:
        """Whether it is known which region lets no write through."""
        by_alias = any(step.region.alias is not None for step in way.steps)
        return self._vm.machine.tells_readonly_aliases or not (by_alias and way.region.type_text == "rom")

    def _memory(self, block: RAMBlock, offset: int) -> dict[str, Any]:
        host: dict[str, Any] = {"address": block.host.address + offset, "page-size": block.host.page_size}
        node = block.host.page_nodes([offset])[0]
        if node is not None:
            host["node"] = node
        place: dict[str, Any] = {"name": block.name, "offset": offset, "ram-address": block.offset + offset}
        for holder, start, _length in stream_pieces(block, offset, 1):
            if holder is not block:
                place["stream"] = {"name": holder.name, "offset": start}
        described: dict[str, Any] = {"ramblock": place, "host": host}
        backend = self._backends.get(block)
        if backend is not None:
            described["backend"] = {"path": backend.path, "type": backend.type_name}
        return described

    def _memory_device(self, address: int) -> dict[str, Any]:
        """The memory device that has an address, or that one could have it."""
        for device in self._devices:
            if device.is_mapped and device.address <= address < device.address + device.length:
                described = {"path": device.path, "type": device.type_name, "plugged": device.is_plugged(address)}
                return {"device": described}
        room = self._vm.machine.device_memory
        return {"room": True} if room is not None and 0 <= address - room.address < room.size else {}


def _path(way: Way) -> list[dict[str, Any]]:
    path = []
    for step in way.steps:
        region = step.region
        described: dict[str, Any] = {
            "name": region.name,
            "type": region.type_text,
            "offset": way.address - step.start,
            "size": min(region.size, ADDRESS_MASK),
            "priority": region.priority,
        }
        if region.alias is not None:
            described["alias"] = {"name": region.alias.name, "offset": region.alias_offset}
        path.append(described)
    return path


def backends_by_block(vm: VirtualMachine) -> dict[RAMBlock, MemoryBackend]:
    """The backends by the RAMBlock that their memory is; memory of the board's own has none."""
    return {
        backend.region.ram_block: backend
        for backend in vm.objects.backends()
        if backend.region is not None and backend.region.ram_block is not None
    }


def _memslot(vm: VirtualMachine, address: int) -> dict[str, Any]:
    slot = vm.accelerator.slots.find(0, address)
    if slot is None:
        return {}
    return {"memslot": {"slot": slot.slot, "as-id": slot.as_id, "offset": address - slot.gpa}}


def _shadowed(shadowed: Shadowed) -> dict[str, Any]:
    return {
        "path": _path(shadowed.way),
        "reason": shadowed.reason,
        "by": shadowed.by.name,
        "loser": shadowed.loser.name,
    }


# Text

REASONS = {
    "disabled": "{by} is disabled",
    "priority": "{by} has a higher priority than {loser}",
    "order": "{by} was added later than {loser}, with the same priority",
    "subregion": "{by} lies in it",
}


def _why_request(_vm: VirtualMachine, words: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    from ..vm.sizes import parse_size

    try:
        arguments: dict[str, Any] = {"address": parse_size(words["address"])}
    except ValueError:
        raise HMPError(f"'{words['address']}' is no address\n") from None
    if "space" in words:
        arguments["address-space"] = words["space"]
    return "query-address", arguments


def _render_why(info: dict[str, Any], _words: dict[str, Any]) -> str:
    return "".join(f"{line}\n" for line in explanation(info))


def explanation(info: dict[str, Any], *, with_page: bool = True) -> list[str]:
    """The lines that tell what `query-address` answered; what is known of the page for the moment may be left out."""
    address, path = info["address"], info["path"]
    if path:
        last = path[-1]
        lines = [f"{address:#x} is {last['name']} + {last['offset']:#x} ({last['type']})"]
    elif info.get("unknown"):
        lines = [
            f"{address:#x} is no memory; whether a device answers is not known: this board's registers are not modelled"
        ]
    elif info.get("room"):
        lines = [f"{address:#x} is nothing: there is room for memory devices, and none has it"]
    elif "device" in info:
        lines = [f"{address:#x} is nothing: its memory device has it unplugged"]
    else:
        lines = [f"{address:#x} is nothing: no region of address space '{info['address-space']}' answers there"]
    lines += _path_lines(path, address)
    lines += _place_lines(info, with_page)
    for shadowed in info["shadowed"]:
        reason = REASONS[shadowed["reason"]].format(**shadowed)
        lines.append(f"shadowed:   {_names(shadowed['path'])}: {reason}")
    return lines


def _path_lines(path: list[dict[str, Any]], address: int) -> list[str]:
    lines = []
    for depth, step in enumerate(path):
        start = address - step["offset"]
        place = f"{start:016x}-{start + step['size'] - 1:016x}" if start >= 0 else f"+{step['offset']:#x}"
        if start >= 0 and step["size"] == ADDRESS_MASK:
            place = f"{start:016x}-{ADDRESS_MASK:016x}"
        alias = f", alias of {step['alias']['name']} @{step['alias']['offset']:#x}" if "alias" in step else ""
        behind_alias = depth > 0 and "alias" in path[depth - 1]
        priority = "" if behind_alias else f", prio {step['priority']}"
        lines.append(f"{'region:' if not depth else '':<12}{'  ' * depth}{step['name']}: {place}{priority}{alias}")
    return lines


def _place_lines(info: dict[str, Any], with_page: bool) -> list[str]:
    from ..vm.sizes import size_to_str

    lines = []
    if "range" in info:
        shown = info["range"]
        access = "read only" if shown["readonly"] else "read and write"
        if "readonly-by" in info:
            access += f" because of {info['readonly-by']}"
        lines.append(
            f"flat range: {shown['start']:016x}-{shown['end']:016x} of {shown['name']} @{shown['offset']:#x}, {access}"
        )
    if "ramblock" in info:
        block = info["ramblock"]
        name = block["name"] or "(without a name)"
        stream = block.get("stream")
        migrates = f", migrates as {stream['name']} + {stream['offset']:#x}" if stream is not None else ""
        lines.append(f"RAMBlock:   {name} + {block['offset']:#x}, ram address {block['ram-address']:#x}{migrates}")
    if "memslot" in info:
        slot = info["memslot"]
        lines.append(f"memslot:    {slot['slot']} of address space {slot['as-id']}, + {slot['offset']:#x}")
    if "host" in info:
        host = info["host"]
        page = f"page of {size_to_str(host['page-size'])}{_there(host) if with_page else ''}"
        lines.append(f"host:       {host['address']:#x}, {page}")
    if "backend" in info:
        lines.append(f"backend:    {info['backend']['path']} ({info['backend']['type']})")
    if "device" in info:
        device = info["device"]
        plugged = ", not plugged" if device["plugged"] is False else ""
        lines.append(f"device:     {device['path']} ({device['type']}){plugged}")
    return lines


def _there(host: dict[str, Any]) -> str:
    """Where the page is; of another process only its mapping is known, if that may be looked at."""
    if "mapping" in host:
        nodes = host["mapping"]["nodes"]
        where = (
            f"has pages on node{'s' * (len(nodes) > 1)} {', '.join(map(str, nodes))}" if nodes else "has no pages yet"
        )
        return f", whose mapping {where}"
    if "asked" in host:
        return ""
    return f", on node {host['node']}" if "node" in host else ", not allocated yet"


def _names(path: list[dict[str, Any]]) -> str:
    return " > ".join(step["name"] for step in path)


HMP = (
    HMPCommand(
        "why",
        _why_request,
        _render_why,
        help="explain what is at a guest address, and why",
        syntax="address [address-space]",
        parameters=(Word("address"), Word("space", "address-space", optional=True)),
        example="why 0xc0000",
    ),
)
