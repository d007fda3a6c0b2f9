"""What is behind every address: `query-address` asked wherever its answer becomes another one.

From one such place to the next all answers are alike: numbers of bytes grow with the address, and nothing else does.
Left out are memslots, of which there may be very many, and which `query-map` tells; and whether a page is allocated,
and on which node: that is each page's own, and true for the moment.
"""

from __future__ import annotations

from _bisect import bisect_right

from ..explain import Explainer
from .axis import range_at

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from ...vm.machine import VirtualMachine

END = 1 << 64


def chains(vm: VirtualMachine) -> dict[str, Any]:
    """Guest-physical space in `pieces`, each with what is behind its first byte, and `regions` and `blocks`.

    Paths name regions by their number in that list, which has the address of their first byte (`start`); a piece in
    memory has the number of its `block` in that list, and the `offset` in it of the first byte.
    """
    from ...vm.memory.explain import borders

    space = vm.machine.memory_space
    explainer, regions, blocks = Explainer(vm, space), _Numbered(), _Numbered()
    found = {0, *borders(space.root), *_borders_of_memory(vm), *_borders_of_devices(vm)}
    pieces: list[dict[str, Any]] = []
    for start in sorted(address for address in found if 0 <= address < END):
        piece = _piece(explainer.tell(start), regions, blocks)
        if not pieces or not _goes_on(pieces[-1], piece):
            pieces.append(piece)
    return {"regions": regions.listed, "blocks": blocks.listed, "pieces": pieces}


class _Numbered:
    """Things that are listed once, with their numbers in the list."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self.listed: list[dict[str, Any]] = []

    def number(self, described: dict[str, Any]) -> int:
        key = repr(described)
        if key not in self._numbers:
            self._numbers[key] = len(self.listed)
            self.listed.append(described)
        return self._numbers[key]


def _piece(info: dict[str, Any], regions: _Numbered, blocks: _Numbered) -> dict[str, Any]:
    address = info["address"]

    def numbers(path: list[dict[str, Any]]) -> list[int]:
        found = []
        for step in path:
            start = address - step.pop("offset")
            found.append(regions.number({"start": start, **step}))
        return found

    piece: dict[str, Any] = {"start": address, "path": numbers(info["path"])}
    if info.get("range", {}).get("readonly"):
        piece["readonly"] = True
    for name in ("unknown", "readonly-by", "device", "room"):
        if name in info:
            piece[name] = info[name]
    if "ramblock" in info:
        place = info["ramblock"]
        piece["block"] = blocks.number(_block(info))
        piece["offset"] = place["offset"]
        if "stream" in place:
            piece["stream"] = place["stream"]
    if info["shadowed"]:
        piece["shadowed"] = [{**each, "path": numbers(each["path"])} for each in info["shadowed"]]
    return piece


def _block(info: dict[str, Any]) -> dict[str, Any]:
    """The RAMBlock that has an address, and where the host has its first byte."""
    place, host = info["ramblock"], info["host"]
    block = {"name": place["name"], "ram-address": place["ram-address"] - place["offset"]}
    if host["address"] != place["offset"]:  # of a machine that is only seen nothing may tell it
        block |= {"host-address": host["address"] - place["offset"], "page-size": host["page-size"]}
    return block | ({"backend": info["backend"]} if "backend" in info else {})


def _goes_on(before: dict[str, Any], piece: dict[str, Any]) -> bool:
    """Whether a piece is what the one before it would be if that began there."""
    distance = piece["start"] - before["start"]
    moved = {**before, "start": piece["start"]}
    if "block" in moved:
        moved["offset"] += distance
        if "stream" in moved:
            moved["stream"] = {**moved["stream"], "offset": moved["stream"]["offset"] + distance}
    return moved == piece


def told(side: dict[str, Any], address: int) -> dict[str, Any]:
    """What `query-address` answers, but for the page, made from the map of a side and what is behind it."""
    piece = side["pieces"][bisect_right(side["pieces"], address, key=_start) - 1]
    shown = range_at(side["map"], address)

    def steps(path: list[int]) -> list[dict[str, Any]]:
        found = []
        for number in path:
            step = {**side["regions"][number]}
            step["offset"] = address - step.pop("start")
            found.append(step)
        return found

    info: dict[str, Any] = {"address": address, "address-space": "memory", "path": steps(piece["path"])}
    info |= {name: piece[name] for name in ("unknown", "readonly-by", "device", "room") if name in piece}
    if piece["path"]:
        place = {name: shown[name] for name in ("start", "end", "name", "offset")}
        info["range"] = {**place, "readonly": "readonly" in piece}
    if "block" in piece:
        info |= _memory(side["blocks"][piece["block"]], piece, address - piece["start"])
    for slot in shown["slots"][bisect_right(shown["slots"], address, key=_start) - 1 :][:1]:
        if slot["start"] <= address <= slot["end"]:
            info["memslot"] = {"slot": slot["slot"], "as-id": 0, "offset": address - slot["start"]}
    info["shadowed"] = [{**each, "path": steps(each["path"])} for each in piece.get("shadowed", ())]
    return info


def _memory(block: dict[str, Any], piece: dict[str, Any], distance: int) -> dict[str, Any]:
    offset = piece["offset"] + distance
    place = {"name": block["name"], "offset": offset, "ram-address": block["ram-address"] + offset}
    if "stream" in piece:
        place["stream"] = {**piece["stream"], "offset": piece["stream"]["offset"] + distance}
    described: dict[str, Any] = {"ramblock": place}
    if "host-address" in block:
        described["host"] = {"address": block["host-address"] + offset, "page-size": block["page-size"]}
    return described | ({"backend": block["backend"]} if "backend" in block else {})


def _start(thing: dict[str, Any]) -> int:
    start: int = thing["start"]
    return start


def _borders_of_memory(vm: VirtualMachine) -> Iterator[int]:
    """Where flat ranges, and the blocks of the migration stream begin and end."""
    from ...vm.memory.stream import stream_pieces

    for shown in vm.machine.memory_space.view.ranges:
        yield shown.start
        yield shown.end
        block = shown.region.ram_block
        if block is not None:
            for holder, offset, length in stream_pieces(block, shown.offset, shown.end - shown.start):
                at = shown.start + offset + (holder.aliased_offset if holder is not block else 0) - shown.offset
                yield at
                yield at + length


def _borders_of_devices(vm: VirtualMachine) -> Iterator[int]:
    """Where memory devices begin, what they have plugged ends, and they end; and the room for them."""
    for device in vm.memory_devices:
        if device.is_mapped:
            yield device.address
            yield device.address + device.plugged
            yield device.address + device.length
    room = vm.machine.device_memory
    if room is not None:
        yield room.address
        yield room.address + room.size
