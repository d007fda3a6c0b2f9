"""Memory backends: made, deleted, listed."""

from __future__ import annotations

from .. import schema
from ..vm.errors import VMError
from ..vm.objects import OBJECT_TYPES
from .hmp import HMPCommand, Word, fixed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from ..vm.machine import VirtualMachine
    from ..vm.steps import Task
    from . import Arguments, Context


def object_add(context: Context, arguments: Arguments) -> Task[dict[str, Any]]:
    """Create an object; a task, since populating its memory may take long."""
    yield from context.vm.add_object(arguments)
    return {}


def object_del(context: Context, arguments: Arguments) -> Task[dict[str, Any]]:
    """Delete an object that is not in use; a task, since giving back its memory may take long."""
    yield from context.vm.delete_object(arguments["id"])
    return {}


def query_memdev(context: Context, _arguments: Arguments) -> list[dict[str, Any]]:
    """All memory backends."""
    return [
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
        }
        for backend in context.vm.backends()
    ]


MEMDEV_TEXT = """\
memory backend: {id}
  size:  {size}
  merge: {merge}
  dump: {dump}
  prealloc: {prealloc}
  share: {share}
  reserve: {reserve}
  policy: {policy}
  host nodes: {nodes}
"""


def _render_memdev(result: list[dict[str, Any]], _words: Any) -> str:
    return "".join(_memdev_text(memdev) for memdev in result) + "\n"


def _memdev_text(memdev: dict[str, Any]) -> str:
    shown = {name: str(value).lower() if isinstance(value, bool) else value for name, value in memdev.items()}
    return MEMDEV_TEXT.format(**shown, nodes=_ranges(memdev["host-nodes"]))


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
    if text.startswith("{"):
        try:
            return "object-add", parse_json(text)
        except ValueError as error:
            raise VMError(str(error)) from None
    try:
        pairs, wants_help = parse_keyval(text, "qom-type")
        if wants_help:
            return _help_request(vm, pairs.get("qom-type"), words)
        return "object-add", schema.from_keyval("object-add", pairs, "hmp", parse_size)
    except (OptionError, schema.ArgumentError) as error:
        array = str(error).endswith("expected: array")
        raise VMError(str(error), hint="a list is written NAME.0=VALUE,NAME.1=VALUE here" if array else None) from None


def _help_request(vm: VirtualMachine, type_name: str | None, words: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """`object_add help` asks for the types, `object_add TYPE,help` for a type's properties."""
    from ..vm.types import all_types

    if type_name not in all_types(vm.release):
        type_name = None
    words["help"] = type_name or "types"
    if type_name is None:
        return "qom-list-types", {"implements": "user-creatable"}
    return "qom-list-properties", {"typename": type_name}


def _render_object_add(result: Any, words: dict[str, Any]) -> str:
    if "help" not in words:
        return ""
    if words["help"] == "types":
        return creatable_types_text(found["name"] for found in result) + "\n"
    type_name = words["help"]
    read_only = {"type"}
    if type_name in OBJECT_TYPES:
        settable = {member.name for member in schema.properties("object-add", type_name)}
        read_only = {each["name"] for each in result if each["name"] not in settable}
    options = [(each["name"], each["type"], each.get("description")) for each in result]
    options = [option for option in options if option[0] not in read_only]
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
    ),
    HMPCommand(
        "object_del",
        lambda _vm, words: ("object-del", {"id": words["id"]}),
        help="destroy QOM object",
        syntax="id",
        parameters=(Word("id", "object-id"),),
        preconfig=True,
    ),
    HMPCommand("info memdev", fixed("query-memdev"), _render_memdev, help="show memory backends", preconfig=True),
)
