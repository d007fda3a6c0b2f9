"""The object tree: listed, read, written."""

from __future__ import annotations

from ..schema.keyval import LONGEST_RANGE, leading_integer, whole_integer
from ..vm.errors import VMError
from ..vm.qom import Property, QOMObject, parse_switch
from .hmp import Flag, HMPCommand, HMPError, Word
from .json_output import pretty

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..vm.machine import VirtualMachine
    from ..vm.releases import Release
    from . import Arguments, Context

BAD_LIST = "Parameter 'null' expects list of uint64 values or ranges"


def qom_list(context: Context, arguments: Arguments) -> list[dict[str, str]]:
    """Properties and children of an object."""
    node = context.vm.tree.resolve(arguments["path"])
    release = context.vm.release
    return [{"name": name, "type": _type_text(type_name, release)} for name, type_name in node.list_properties()]


def qom_list_get(context: Context, arguments: Arguments) -> list[dict[str, Any]]:
    """Properties and children of several objects, with their values."""
    nodes = [context.vm.tree.resolve(path) for path in arguments["paths"]]
    return [{"properties": [_with_value(node, *listed) for listed in node.list_properties()]} for node in nodes]


def _with_value(node: QOMObject, name: str, type_name: str) -> dict[str, Any]:
    described: dict[str, Any] = {"name": name, "type": type_name}
    try:
        described["value"] = node.get(name)
    except VMError:
        pass
    return described


def qom_get(context: Context, arguments: Arguments) -> Any:
    """Value of a property."""
    value = _device(context, arguments["path"]).get(arguments["property"])
    return _type_text(value, context.vm.release) if arguments["property"] == "type" else value


def _device(context: Context, path: str) -> QOMObject:
    """The object at a path; an ambiguous one is no object to those that get and set."""
    found = context.vm.tree.find(path)
    if len(found) != 1:
        raise VMError(f"Device '{path}' not found", "DeviceNotFound")
    return found[0]


def qom_set(context: Context, arguments: Arguments) -> Any:
    """Set a property; a task where that may take long."""
    node = _device(context, arguments["path"])
    task = node.set_task(arguments["property"], arguments["value"])
    if task is not None:
        yield from task
    return {}


def query_qom_tree(context: Context, arguments: Arguments) -> dict[str, Any]:
    """An object with all below it, children by name."""
    return _subtree(context.vm.tree.resolve(arguments.get("path", "/machine")), context.vm.release)


def _subtree(node: QOMObject, release: Release) -> dict[str, Any]:
    children = node.children
    return {
        "name": node.name,
        "type": _type_text(node.type_name, release),
        "children": [_subtree(children[name], release) for name in sorted(children)],
    }


def _type_text(text: str, release: Release) -> str:
    """A type, or a child or link of it, as a release names it."""
    for name, earlier in release.settings("type names").items():
        if text == name:
            return str(earlier)
        if text.endswith(f"<{name}>"):
            return text.replace(f"<{name}>", f"<{earlier}>")
    return text


def qom_list_types(context: Context, arguments: Arguments) -> list[dict[str, Any]]:
    """The object types, or those that descend from one."""
    from ..vm.types import all_types

    wanted, abstract = arguments.get("implements"), arguments.get("abstract", False)
    found = []
    for known in all_types(context.vm.release, context.vm.target).values():
        if known.abstract and not abstract:
            continue
        if wanted is None or known.implements(wanted):
            listed: dict[str, Any] = {"abstract": True} if known.abstract else {}
            listed["name"] = known.name
            if known.parent is not None and known.has_known_parent:
                listed["parent"] = known.parent.name
            found.append(listed)
    return found


def qom_list_properties(context: Context, arguments: Arguments) -> list[dict[str, Any]]:
    """The properties that objects of a type have."""
    from ..vm.types import all_types, class_of

    known = all_types(context.vm.release, context.vm.target).get(arguments["typename"])
    if known is None:
        raise VMError(f"Class '{arguments['typename']}' not found", "DeviceNotFound")
    release = context.vm.release
    with_defaults = release.settings("devices").get("lists defaults", True)
    declared = class_of(known, release, context.vm.target).class_properties(release)
    return [described_property(found, with_default=with_defaults) for found in declared]


def described_property(declared: Property, *, with_default: bool) -> dict[str, Any]:
    """What introspection tells of a property of a type."""
    described: dict[str, Any] = {"name": declared.name, "type": declared.type_name}
    if declared.description is not None:
        described["description"] = declared.description
    default = getattr(declared, "default", None)
    if with_default and default is not None:
        described["default-value"] = default
    return described


# HMP


def _qom_set_request(vm: VirtualMachine, words: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    path, name, text = words["path"], words["property"], words["value"]
    value: Any
    if words.get("json"):
        value = _json_value(text, vm.release)
    else:
        node = vm.tree.resolve(path)
        value = (
            text
            if name in node.children
            else _typed(node.find_property(name), text, vm.release.settings("numbers").get("binary", True))
        )
    return "qom-set", {"path": path, "property": name, "value": value}


def _json_value(text: str, release: Release) -> Any:
    from .json_stream import parse_json

    try:
        return parse_json(text, release)
    except ValueError as error:
        raise VMError(str(error)) from None


def _typed(declared: Property, text: str, binary: bool) -> Any:
    """The value that a text stands for, by the property's type; `binary` says whether 0b11 is a number."""
    if declared.type_name == "bool":
        return parse_switch(declared.name, text)
    if declared.type_name == "size":
        return _size(text)
    if declared.is_list:
        return _number_list(text, binary)
    if declared.type_name == "int":
        return _number(declared.name, text, binary)
    return text


def _number(name: str, text: str, binary: bool) -> int | str:
    """The number that a text is. One that is none goes on as it is: QEMU looks first whether it could be set at all."""
    from ..vm.sizes import parse_integer, parse_size

    try:
        number = parse_size(text) if name == "size" else parse_integer(text, binary)
    except ValueError:
        return text
    return number if abs(number) < 2**64 else text


def _size(text: str) -> int | str:
    """The bytes that a text means; one that means none is told so when all else was looked at."""
    from ..vm.devices.values import OptionText
    from ..vm.sizes import parse_size

    try:
        return parse_size(text)
    except ValueError:
        return OptionText(text)


def _number_list(text: str, binary: bool) -> list[int]:
    """`0-2,5` as numbers; one comma may end it."""
    numbers: list[int] = []
    for part in text.removesuffix(",").split(","):
        first, rest = leading_integer(part, binary=binary)
        last = whole_integer(rest[1:], binary=binary) if rest.startswith("-") else None if rest else first
        if first is None or last is None or max(abs(first), abs(last)) >= 2**64:
            raise VMError(BAD_LIST)
        first, last = first % 2**64, last % 2**64
        if not first <= last < first + LONGEST_RANGE:
            raise VMError(BAD_LIST)
        numbers += range(first, last + 1)
    return numbers


def _render_list(result: Any, words: dict[str, Any]) -> str:
    if "path" not in words:
        return "/\n"
    return "".join(f"{found['name']} ({found['type']})\n" for found in result)


def _qom_tree_request(vm: VirtualMachine, words: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    path = words.get("path", "/machine")
    if len(vm.tree.find(path)) != 1:
        raise HMPError(f"Path '{path}' could not be resolved.\n")
    return "query-qom-tree", {"path": path}


def _render_qom_tree(result: dict[str, Any], _words: dict[str, Any]) -> str:
    lines = [f"/{result['name']} ({result['type']})\n"]
    for child in result["children"]:
        _tree_lines(child, 1, lines)
    return "".join(lines)


def _tree_lines(node: dict[str, Any], depth: int, lines: list[str]) -> None:
    lines.append(f"{'  ' * depth}/{node['name']} ({node['type']})\n")
    for child in node["children"]:
        _tree_lines(child, depth + 1, lines)


HMP = (
    HMPCommand(
        "qom-get",
        lambda _vm, words: ("qom-get", {"path": words["path"], "property": words["property"]}),
        lambda result, _words: pretty(result) + "\n",
        help="print QOM property",
        syntax="path property",
        parameters=(Word("path", "qom-path"), Word("property", "qom-property")),
        preconfig=True,
        example="qom-get /objects/m size",
    ),
    HMPCommand(
        "qom-list",
        lambda _vm, words: ("qom-list", {"path": words.get("path", "/")}),
        _render_list,
        help="list QOM properties",
        syntax="path",
        parameters=(Word("path", "qom-path", optional=True),),
        preconfig=True,
        example="qom-list /objects",
    ),
    HMPCommand(
        "qom-set",
        _qom_set_request,
        help="set QOM property.\n\t\t\t-j: the value is specified in json format.",
        syntax="[-j] path property value",
        parameters=(
            Flag("j", "json"),
            Word("path", "qom-path"),
            Word("property", "qom-property"),
            Word("value", rest=True),
        ),
        preconfig=True,
        example="qom-set /objects/m dump off",
    ),
    HMPCommand(
        "info qom-tree",
        _qom_tree_request,
        _render_qom_tree,
        help="show QOM composition tree",
        syntax="[path]",
        parameters=(Word("path", "qom-path", optional=True),),
        preconfig=True,
        example="info qom-tree /objects",
    ),
)
