"""A machine as flat facts that can be compared: what its command line gives, by subject, one text for each key.

Two machines differ where a key is on one side only or has another text there. Each subject is made of what the queries
of the same name answer; nothing is measured anew.
"""

from __future__ import annotations

from ..vm.objects import object_class, object_types
from . import Context
from .memory import query_ramblocks
from .mtree import query_flatviews

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, TypeAlias

    from ..vm.machine import VirtualMachine
    from . import Program

    Facets: TypeAlias = dict[str, dict[str, str]]

SUBJECTS = ("machine", "blocks", "map", "objects", "schema")
"""In the order in which they are shown."""


def facets(vm: VirtualMachine, program: Program) -> Facets:
    """All facts of a machine that stands."""
    context = Context(vm, program)
    return {
        "machine": dict(_machine(vm)),
        "blocks": dict(_blocks(context)),
        "map": dict(_map(context)),
        "objects": dict(_objects(vm)),
        "schema": dict(_schema(context.contract.introspect())),
    }


def _machine(vm: VirtualMachine) -> Iterator[tuple[str, str]]:
    machine_type = vm.machine_type
    yield "cpus", f"{vm.machine.smp['cpus']} of {machine_type.max_cpus}"
    yield "RAM", f"{vm.machine.ram_size:#x} as {machine_type.default_ram_id}"
    yield "NUMA nodes", str(len(vm.machine.numa_nodes))
    if machine_type.deprecated is not None:
        yield "deprecated", machine_type.deprecated
    for declared in vm.machine.class_properties(vm.release):
        if declared.setter is not None and declared.getter is not None:
            yield declared.name, _text(declared.getter(vm.machine))


def _blocks(context: Context) -> Iterator[tuple[str, str]]:
    for block in query_ramblocks(context, {}):
        used, total = block["used-length"], block["max-length"]
        size = f"{used:#x}" if used == total else f"{used:#x} of {total:#x}"
        yield block["name"] or f"({block['region']})", f"{size} at ram address {block['offset']:#x}"


def _map(context: Context) -> Iterator[tuple[str, str]]:
    """What devices and memory answer; what is left of the I/O space between them is no fact of its own."""
    for view in query_flatviews(context, {}):
        names = {space["name"] for space in view["address-spaces"]}
        label = next((name for name in ("memory", "I/O") if name in names), None)
        for shown in view["ranges"] if label is not None else ():
            if shown["name"] == view["root"] and shown["type"] in ("i/o", "container"):
                continue
            place = f"{shown['start']:016x}-{shown['end']:016x}"
            yield f"{label} {place}", f"{shown['name']} @{shown['offset']:#x} ({shown['type']})"


def _objects(vm: VirtualMachine) -> Iterator[tuple[str, str]]:
    """Every type of object that a user can make, with the defaults of its properties."""
    for type_name in object_types(vm.release):
        made = object_class(type_name, vm.release)(vm.host, vm.topology, vm.objects.defaults)
        for declared in made.class_properties(vm.release):
            if declared.setter is not None and declared.getter is not None:
                yield f"{type_name}.{declared.name}", _text(declared.getter(made))


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return repr(value) if isinstance(value, str) else str(value)


def _schema(entries: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    """Commands and events with their members, as introspection tells them."""
    known = {entry["name"]: entry for entry in entries}
    for entry in entries:
        if entry["meta-type"] in ("command", "event"):
            marks = " ".join(entry.get("features", ()))
            yield entry["name"], f"{entry['meta-type']} {marks}".strip()
            for part, label in (("arg-type", ""), ("ret-type", " returns")):
                if part in entry:
                    yield from _members(known, entry[part], f"{entry['name']}{label}", ())


def _members(
    known: dict[str, dict[str, Any]], name: str, path: str, above: tuple[str, ...]
) -> Iterator[tuple[str, str]]:
    entry = known[name]
    if entry["meta-type"] == "array":
        yield from _members(known, entry["element-type"], f"{path}[]", above)
        return
    if name in above or entry["meta-type"] != "object":
        return
    for member in entry["members"]:
        inner = f"{path} {member['name']}"
        optional = " optional" if "default" in member else ""
        yield inner, _type_text(known, member["type"]) + optional
        yield from _members(known, member["type"], inner, (*above, name))
    for variant in entry.get("variants", ()):
        yield f"{path} {entry['tag']}={variant['case']}", "case"
        yield from _members(known, variant["type"], f"{path} {entry['tag']}={variant['case']}", (*above, name))


def _type_text(known: dict[str, dict[str, Any]], name: str) -> str:
    entry = known[name]
    kind = entry["meta-type"]
    if kind == "array":
        return f"list of {_type_text(known, entry['element-type'])}"
    if kind == "enum":
        return "|".join(entry["values"])
    return name if kind == "builtin" else "object"
