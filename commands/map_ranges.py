"""Guest-physical space as ranges, and what is told of each, as text and in pictures."""

from __future__ import annotations

from .explain import backends_by_block

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from ..vm.hostmem.backend import MemoryBackend
    from ..vm.machine import VirtualMachine
    from ..vm.memory.flatview import FlatRange
    from ..vm.memory.ramblock import RAMBlock

LAST_ADDRESS = (1 << 64) - 1
GLYPHS = {"ram": "█", "rom": "▓", "romd": "▒", "i/o": "░", "hole": "┊", "unknown": "┊", "room": "┄", "unplugged": "┄"}
HOLE_NAMES = {
    "hole": "nothing",
    "unknown": "no memory; registers are not modelled",
    "room": "room for memory devices",
    "unplugged": "unplugged memory of",
}
HOLES = tuple(HOLE_NAMES)


def map_ranges(vm: VirtualMachine) -> list[dict[str, Any]]:
    """The ranges of the flat view, and the holes between them."""
    hole = "hole" if vm.machine.has_registers else "unknown"
    backends = backends_by_block(vm)
    ranges: list[dict[str, Any]] = []
    end = 0
    for flat_range in vm.machine.memory_space.view.ranges:
        if flat_range.start > end:
            ranges += _holes(vm, end, flat_range.start - 1, hole)
        ranges.append(_range(vm, flat_range, backends))
        end = flat_range.end
    if end <= LAST_ADDRESS:
        ranges += _holes(vm, end, LAST_ADDRESS, hole)
    return ranges


def _holes(vm: VirtualMachine, start: int, end: int, kind: str) -> list[dict[str, Any]]:
    """Addresses with nothing at them, those apart where memory devices may go."""
    region = vm.machine.device_memory
    if region is None or end < region.address or region.address + region.size <= start:
        return [_hole(start, end, kind)]
    first, last = max(start, region.address), min(end, region.address + region.size - 1)
    pieces = [(start, first - 1, kind, ""), *_room(vm, first, last), (last + 1, end, kind, "")]
    return [_hole(*piece) for piece in pieces if piece[0] <= piece[1]]


def _room(vm: VirtualMachine, start: int, end: int) -> Iterator[tuple[int, int, str, str]]:
    """Addresses that memory devices may have: what nobody has, and what one has unplugged, by its name."""
    for device in vm.memory_devices:
        first, last = max(start, device.address), min(end, device.address + device.length - 1)
        if device.is_mapped and first <= last:
            yield start, first - 1, "room", ""
            yield first, last, "unplugged", device.device_id or device.path
            start = last + 1
    yield start, end, "room", ""


def _hole(start: int, end: int, kind: str, name: str = "") -> dict[str, Any]:
    return {"start": start, "end": end, "kind": kind, "name": name, "offset": 0, "slots": []}


def _range(vm: VirtualMachine, flat_range: FlatRange, backends: dict[RAMBlock, MemoryBackend]) -> dict[str, Any]:
    region = flat_range.region
    described = {
        "start": flat_range.start,
        "end": flat_range.end - 1,
        "kind": "rom" if flat_range.readonly and region.ram_block is not None else region.type_text,
        "name": region.name,
        "offset": flat_range.offset,
    }
    if region.ram_block is not None:
        described["ramblock"] = region.ram_block.shown_name
        backend = backends.get(region.ram_block)
        if backend is not None:
            described["backend"] = backend.name
    described["slots"] = [
        {"slot": slot.slot, "start": slot.gpa, "end": slot.gpa + slot.size - 1}
        for slot in vm.accelerator.slots.within(0, flat_range.start, flat_range.end)
    ]
    return described


def rows_of(ranges: list[dict[str, Any]], budget: int) -> list[int]:
    """How many rows each range is high: by its size, at least one, and one for a hole, which is folded."""
    total = sum(size_of(shown) for shown in ranges if shown["kind"] not in HOLES)
    return [
        1 if shown["kind"] in HOLES else max(1, (size_of(shown) * budget + total // 2) // total) for shown in ranges
    ]


def size_of(shown: dict[str, Any]) -> int:
    """Bytes in a range."""
    size: int = shown["end"] - shown["start"] + 1
    return size


def slots_text(slots: list[dict[str, Any]]) -> str:
    """The numbers of slots: `slot 3`, `slots 5, 0`, `64 slots 0-63`."""
    numbers = [slot["slot"] for slot in slots]
    if not numbers:
        return ""
    if len(numbers) == 1:
        return f"slot {numbers[0]}"
    if len(numbers) > 2 and numbers == list(range(numbers[0], numbers[0] + len(numbers))):
        return f"{len(numbers)} slots {numbers[0]}-{numbers[-1]}"
    if len(numbers) > 4:
        return f"{len(numbers)} slots"
    return f"slots {', '.join(map(str, numbers))}"


def name_text(shown: dict[str, Any]) -> str:
    """What a range shows, with the offset where it has one."""
    if shown["kind"] in HOLES:
        return f"{HOLE_NAMES[shown['kind']]} {shown['name']}".rstrip()
    return f"{shown['name']} @{shown['offset']:#x}" if shown["offset"] else str(shown["name"])
