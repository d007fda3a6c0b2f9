"""Memory backends: made, deleted, listed."""

from __future__ import annotations

import sys

from ..schema import ArgumentError, contract
from ..vm.errors import VMError
from ..vm.objects import object_class, object_types
from .hmp import HMPCommand, HMPError, Word, fixed
from .object_pairs import from_json, from_options, takes_pairs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from ..vm.machine import VirtualMachine
    from ..vm.steps import Task
    from . import Arguments, Context


def object_add(context: Context, arguments: Arguments) -> Task[dict[str, Any]]:
    """Create an object; a task, since populating its memory may take long."""
    if takes_pairs(context.vm.release):
        arguments = from_json(arguments)
    yield from context.vm.objects.add(arguments)
    return {}


def object_del(context: Context, arguments: Arguments) -> Task[dict[str, Any]]:
    """Delete an object that is not in use; a task, since giving back its memory may take long."""
    yield from context.vm.objects.delete(arguments["id"])
    return {}


def query_memdev(context: Context, _arguments: Arguments) -> list[dict[str, Any]]:
    """All memory backends."""
    return [
        context.answer(
            "query-memdev",
            {
                "share": backend.share,
                "reserve": backend.reserve,
                "prealloc": backend.prealloc,
                "host-nodes": list(backend.host_nodes),
                "size": backend.size,
                "merge": backend.merge,
                "dump": backend.dump,
                "policy": backend.policy,
                "id": backend.name,
            },
        )
        for backend in context.vm.objects.backends()
    ]


SHOWN_MEMBERS = ("merge", "dump", "prealloc", "share", "reserve", "policy")


def _render_memdev(result: list[dict[str, Any]], _words: Any) -> str:
    return "".join(_memdev_text(memdev) for memdev in result) + "\n"


def _memdev_text(memdev: dict[str, Any]) -> str:
    lines = [f"memory backend: {memdev['id']}\n", f"  size:  {memdev['size']}\n"]
    for name in SHOWN_MEMBERS:
        if name in memdev:
            value = memdev[name]
            lines.append(f"  {name}: {str(value).lower() if isinstance(value, bool) else value}\n")
    return "".join((*lines, f"  host nodes: {_ranges(memdev['host-nodes'])}\n"))


def _ranges(numbers: list[int]) -> str:
    """Sorted numbers as `0-2,5`."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and runs[-1][1] == number - 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ",".join(f"{first}-{last}" if last > first else str(first) for first, last in runs)


def _object_add_request(vm: VirtualMachine, words: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    from ..vm.sizes import parse_size
    from .json_stream import parse_json
    from .keyval import OptionError, parse_keyval

    text = words["object"]
    known = contract(vm.release.number)
    if text.startswith("{"):
        try:
            return "object-add", parse_json(text, vm.release)
        except ValueError as error:
            raise VMError(str(error)) from None
    try:
        pairs, wants_help = parse_keyval(text, "qom-type")
        if wants_help:
            return _help_request(vm, pairs.get("qom-type"), words)
        return "object-add", known.from_keyval("object-add", pairs, "hmp", parse_size)
    except (OptionError, ArgumentError) as error:
        array = str(error).endswith("expected: array")
        raise VMError(str(error), hint="a list is written NAME.0=VALUE,NAME.1=VALUE here" if array else None) from None


def _help_request(vm: VirtualMachine, type_name: str | None, words: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """`object_add help` asks for the types, `object_add TYPE,help` for a type's properties."""
    from ..vm.types import all_types

    if type_name not in all_types(vm.release):
        type_name = None
    words["help"] = type_name or "types"
    words["read-only"] = {"type"}
    if type_name is None:
        return "qom-list-types", {"implements": "user-creatable"}
    if type_name in object_types(vm.release):
        settable = {member.name for member in contract(vm.release.number).properties("object-add", type_name)}
        declared = object_class(type_name, vm.release).class_properties(vm.release)
        words["read-only"] = {each.name for each in declared if each.name not in settable}
    return "qom-list-properties", {"typename": type_name}


def _object_add_pairs(vm: VirtualMachine, words: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The request of QEMU up to 5.2, whose reader tells mistakes about an id on stderr alone."""
    from ..vm.objects import is_identifier
    from ..vm.sizes import parse_size
    from .keyval import BAD_IDENTIFIER, parse_opts

    pairs: dict[str, list[str]] = {}
    for key, value in parse_opts(words.get("object", ""), "qom-type"):
        pairs.setdefault(key, []).append("on" if value is None else value)
    # The id is looked for in the text as it is, also where that has a comma for a value.
    name = pairs.get("id", [None])[0] or words.get("object", "").partition(",id=")[2].partition(",")[0] or None
    if name is not None:
        pairs["id"] = [name]
        mistake = f"Duplicate ID '{name}' for object" if name in vm.objects.option_ids else BAD_IDENTIFIER
        if name in vm.objects.option_ids or not is_identifier(name):
            print(mistake, file=sys.stderr)
            raise HMPError('Try "help object_add" for more information\n')
    try:
        return "object-add", from_options(pairs, vm.release, parse_size)
    except ArgumentError as error:
        raise VMError(str(error)) from None


def _render_object_add(result: Any, words: dict[str, Any]) -> str:
    if "help" not in words:
        return ""
    if words["help"] == "types":
        return creatable_types_text(found["name"] for found in result) + "\n"
    type_name = words["help"]
    options = [(each["name"], each["type"], each.get("description")) for each in result]
    options = [option for option in options if option[0] not in words["read-only"]]
    return options_text(type_name, options) + "\n"


def creatable_types_text(names: Iterable[str]) -> str:
    """The types of objects, as `object_add help` and `-object help` print them."""
    return "\n".join(["List of user creatable objects:", *(f"  {name}" for name in sorted(names))])


def options_text(title: str, options: Iterable[tuple[str, str, str | None]]) -> str:
    """Properties (name, type, description) as the `help` of an option prints them."""
    options = sorted(options, key=lambda option: f"{option[0]}=")
    lines = [f"{title} options:" if options else f"There are no options for {title}."]
    for name, type_name, description in options:
        lines.append(f"{f'  {name}=<{type_name}>':<24}{f' - {description}' if description else ''}".rstrip())
    return "\n".join(lines)


HMP = (
    HMPCommand(
        "object_add",
        _object_add_request,
        _render_object_add,
        help="create QOM object",
        syntax="[qom-type=]type,id=str[,prop=value][,...]",
        parameters=(Word("object", "object", rest=True),),
        preconfig=True,
        since="6.0",
        example="object_add memory-backend-ram,id=m1,size=1G",
    ),
    HMPCommand(
        "object_add",
        _object_add_pairs,
        help="create QOM object",
        syntax="[qom-type=]type,id=str[,prop=value][,...]",
        parameters=(Word("object", "object", optional=True),),
        preconfig=True,
        until="5.2",
        example="object_add memory-backend-ram,id=m1,size=1G",
    ),
    HMPCommand(
        "object_del",
        lambda _vm, words: ("object-del", {"id": words["id"]}),
        help="destroy QOM object",
        syntax="id",
        parameters=(Word("id", "object-id"),),
        preconfig=True,
        example="object_del m",
    ),
    HMPCommand("info memdev", fixed("query-memdev"), _render_memdev, help="show memory backends", preconfig=True),
)
