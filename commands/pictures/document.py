"""What a picture shows, as data for JSON: one machine or two, with all that is behind the addresses, and what differs.

A page has it in it, for its own script and for other programs.
"""

from __future__ import annotations

from ... import __version__
from ...vm.sizes import size_to_str
from .. import Context
from ..map_ranges import map_ranges
from .axis import axis
from .chains import chains
from .comparison import compare

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ...vm.machine import VirtualMachine


def side_of(context: Context) -> dict[str, Any]:
    """A machine: what it is, its map, and what is behind it; `derived` is added where the slots are only that."""
    vm = context.vm
    return {
        "label": f"{vm.machine.machine_type.name}, {size_to_str(vm.machine.ram_size)} RAM",
        "qemu": vm.release.name,
        "machine": vm.machine.machine_type.name,
        "detail": _detail(vm),
        "map": map_ranges(context.vm),
        **chains(vm),
    }


def _detail(vm: VirtualMachine) -> str:
    slots = len(vm.accelerator.slots)
    known = "" if vm.machine.has_registers else "; registers are not modelled"
    return f"QEMU {vm.release.name}, accelerator {vm.accelerator.name}, {slots} memslot{'s' * (slots != 1)}{known}"


def document(sides: list[dict[str, Any]]) -> dict[str, Any]:
    """The whole of it, of one side or of two."""
    _name_apart(sides)
    maps = [side["map"] for side in sides]
    whole: dict[str, Any] = {"ramslot": __version__, "sides": sides, "axis": axis(maps).to_json()}
    if len(sides) == 2:
        numbered = not any(side.get("derived") for side in sides)
        whole["changes"] = [change.to_json() for change in compare(*maps, numbered=numbered)]
    return whole


def _name_apart(sides: list[dict[str, Any]]) -> None:
    """Two machines with the same label get what tells one from the other, which else stands beside it."""
    if len({side["label"] for side in sides}) < len(sides):
        alike = len({side["qemu"] for side in sides}) < len(sides)
        for side, letter in zip(sides, "AB", strict=True):
            side["label"] += f" ({letter})" if alike else f", QEMU {side['qemu']}"
