"""What the tutorial knows of the live machine: numbers for its texts, and which texts are for it."""

from __future__ import annotations

from ..dispatch import execute, is_task

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ...commands import Context
    from ...vm.steps import Task

PC_MACHINES = ("pc", "isapc", "microvm")
"""Beginnings of the names of machines whose RAM gives way to the registers of PCI below 4 GiB."""


def facts_of(context: Context) -> Task[dict[str, object]]:
    """Facts by name; what is not known of a machine that is still to be made is as of one that has nothing."""
    from ...vm.sizes import size_to_str

    vm = context.vm
    blocks = yield from _ask(context, "query-ramblocks", [])
    facts: dict[str, object] = {
        "machine": vm.machine_type.name,
        "qemu": vm.release.name,
        "ram": size_to_str(vm.machine.ram_size) if vm.machine.ram_size else "none",
        "state": "running" if vm.run_state.running else f"not running ({vm.run_state.name})",
        "blocks": len(blocks),
        "blocks_size": size_to_str(sum(block["used-length"] for block in blocks)),
    }
    facts |= yield from _places(context)
    facts |= _version(vm.machine_type.name, vm.release.name)
    facts |= yield from _slots(context)
    facts |= yield from _room(context)
    return facts


def _ask(context: Context, command: str, otherwise: Any) -> Task[Any]:
    """What a command answers, or `otherwise` where this machine refuses it."""
    from ...vm.errors import VMError

    try:
        result = execute(context, command, {})
        return (yield from result) if is_task(result) else result
    except VMError:
        return otherwise


def _places(context: Context) -> Task[dict[str, object]]:
    """Where the guest sees RAM."""
    views = yield from _ask(context, "query-flatviews", [])
    space = next((view for view in views if any(each["name"] == "memory" for each in view["address-spaces"])), None)
    ranges = [each for each in space["ranges"] if each["type"] == "ram"] if space is not None else []
    trees = yield from _ask(context, "query-mtree", {"address-spaces": [], "regions": []})
    roots = [each["root"] for each in trees["address-spaces"]] + trees["regions"]
    main = _parts_of_largest(ranges)
    below = [each for each in main if each["start"] < 1 << 32]
    above = [each for each in main if each["start"] >= 1 << 32]
    split = bool(below and above)
    is_pc = context.vm.machine_type.name.startswith(PC_MACHINES)
    return {
        "has RAM": bool(main),
        "split": split,
        "split PC": split and is_pc,
        "split other": split and not is_pc,
        "whole": bool(main) and not split,
        "whole PC": bool(main) and not split and is_pc,
        "whole other": bool(main) and not split and not is_pc,
        "pieces": len(main) if len(main) > 1 + split else 0,
        "ram_name": main[0]["name"] if main else "-",
        "ram_start": hex(main[0]["start"]) if main else "-",
        "ram_end": hex(main[-1]["end"] + 1) if main else "-",
        "below_end": hex(below[-1]["end"] + 1) if below else "-",
        "above_start": hex(above[0]["start"]) if above else "-",
        "regions": sum(map(_count, roots)),
    }


def _parts_of_largest(ranges: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The ranges of the region that most of the RAM is of, in the order of addresses."""
    sizes: dict[str, int] = {}
    for each in ranges:
        sizes[each["name"]] = sizes.get(each["name"], 0) + each["end"] + 1 - each["start"]
    return [each for each in ranges if each["name"] == max(sizes, key=lambda name: sizes[name])]


def _count(tree: dict[str, Any]) -> int:
    return 1 + sum(map(_count, tree["subregions"]))


def _version(machine: str, release: str) -> dict[str, object]:
    """The version in a machine type's name, and what follows of it for the names of blocks."""
    text = machine.rpartition("-")[2]
    parts = text.split(".")
    versioned = len(parts) > 1 and all(part.isdecimal() for part in parts)
    old = versioned and (int(parts[0]), int(parts[1])) < (4, 0)
    return {
        "versioned": versioned,
        "version": text if versioned else release,
        "names_blocks": 'calls them "/objects/ID"' if old else "calls them by their ids alone",
    }


def _slots(context: Context) -> Task[dict[str, object]]:
    from ...vm.sizes import size_to_str

    known = yield from _ask(context, "query-memslots", {})
    follows = context.vm.accelerator.follows
    return {
        "accelerator": context.vm.accelerator.name,
        "slots": follows,
        "slots_used": len(known.get("slots", ())),
        "slots_max": known.get("max-memslots", 0),
        "slot_size": size_to_str(known.get("max-memslot-size", 0)),
    }


def _room(context: Context) -> Task[dict[str, object]]:
    """Room for memory devices."""
    from ...vm.devices import device_types
    from ...vm.sizes import size_to_str

    machine = context.vm.machine
    devices = yield from _ask(context, "query-memory-devices", [])
    slots = (machine.ram_slots or 0) - len(devices)
    taken = sum(each["data"].get("size", 0) for each in devices)
    room = (context.vm.config.max_ram_size or 0) - machine.ram_size - taken
    has_dimms = "pc-dimm" in device_types(context.vm.target, context.vm.release)
    pluggable = slots > 0 and room > 0 and has_dimms and context.vm.initialized
    return {"pluggable": pluggable, "slots_free": slots, "room": size_to_str(max(room, 0))}
