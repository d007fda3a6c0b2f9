"""What may follow in a line for a QEMU: a pure function of the line and of what is known, with what to ask first.

Words that only QEMU knows (paths, properties, types, ids) come as a `Lookup`: a question, and what to make of the
answer.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeAlias

    from .schema import Help, QEMUSchema

    Candidates: TypeAlias = list[tuple[str, str]]

PATH_LINES = ("qom-list", "qom-get", "qom-set", "info qom-tree")
"""HMP commands whose first argument is a path in the object tree."""
CHILDREN_OF = {"device_del": "/machine/peripheral", "object_del": "/objects", "set_link": "/machine/peripheral"}
TYPES = {"device_add": "device", "object_add": "user-creatable"}
"""HMP commands whose argument begins with a type, and what that implements."""


class Lookup:
    """A question, and the words that its answer gives. `offset` is where they begin within the last word."""

    def __init__(self, command: str, arguments: dict[str, Any], read: Callable[[Any], Candidates], offset: int = 0):
        self.command = command
        self.arguments = arguments
        self.read = read
        self.offset = offset


def next_words(
    line: str, lines: dict[str, Help], requests: QEMUSchema | None = None
) -> tuple[int, Candidates | Lookup]:
    """Where the last word of `line` begins, and the words that may stand there, or how to learn them."""
    words = line.split(" ")
    typed = [word for word in words[:-1] if word]
    last = words[-1]
    start = len(line) - len(last)
    if not typed or typed == ["help"]:
        found = [(name, told.help) for name, told in lines.items() if " " not in name]
        if requests is not None and last and not typed:
            found += [(name, "QMP") for name in requests.commands() if "-" in name and name not in lines]
        return start, found
    if typed in (["info"], ["help", "info"]):
        return start, [(name[5:], told.help) for name, told in lines.items() if name.startswith("info ")]
    name, rest = (" ".join(typed[:2]), typed[2:]) if typed[0] == "info" else (typed[0], typed[1:])
    if name in lines:
        found_words = _arguments(name, lines[name], rest, last)
    elif requests is not None and name in requests.commands():
        found_words = _typed_arguments(requests, name, rest, last)
    else:
        found_words = []
    if isinstance(found_words, Lookup):
        return start + found_words.offset, found_words
    return start + (last.rfind("=") + 1 if name not in lines and "=" in last else 0), found_words


def _arguments(name: str, told: Help, rest: list[str], last: str) -> Candidates | Lookup:
    positional = [word for word in rest if not word.startswith("-")]
    if name in PATH_LINES and not positional:
        return _paths(last)
    if name in ("qom-get", "qom-set") and len(positional) == 1:
        return Lookup("qom-list", {"path": positional[0]}, _plain_properties)
    if name in CHILDREN_OF and not positional:
        return Lookup("qom-list", {"path": CHILDREN_OF[name]}, _children)
    if name in TYPES and not positional:
        return _typed_object(TYPES[name], last)
    if positional:
        return []
    return [(flag, "") for flag in told.flags if flag not in rest]


def _paths(last: str) -> Lookup:
    """The paths one level below what is typed."""
    parent = last.rpartition("/")[0]

    def read(answer: Any) -> Candidates:
        return [(f"{parent}/{name}", type_name) for name, type_name in _children(answer)]

    return Lookup("qom-list", {"path": parent or "/"}, read)


def _children(answer: Any) -> Candidates:
    return [(name, kind[6:-1]) for name, kind in _members(answer) if kind.startswith("child<")]


def _plain_properties(answer: Any) -> Candidates:
    return [(name, kind) for name, kind in _members(answer) if not kind.startswith("child<")]


def _members(answer: Any) -> Candidates:
    told = answer if isinstance(answer, list) else []
    return [
        (str(each["name"]), str(each.get("type", ""))) for each in told if isinstance(each, dict) and "name" in each
    ]


def _typed_object(implements: str, last: str) -> Candidates | Lookup:
    """The type, then its properties."""
    parts = last.split(",")
    if len(parts) == 1:
        return Lookup("qom-list-types", {"implements": implements, "abstract": False}, _members)
    if "=" in parts[-1]:
        return []
    type_name = parts[0].partition("=")[2] or parts[0]
    given = {part.partition("=")[0] for part in parts[:-1]}

    def read(answer: Any) -> Candidates:
        return [(f"{name}=", kind) for name, kind in [("id", "its name"), *_members(answer)] if name not in given]

    query = "device-list-properties" if implements == "device" else "qom-list-properties"
    return Lookup(query, {"typename": type_name}, read, len(last) - len(parts[-1]))


def _typed_arguments(requests: QEMUSchema, name: str, rest: list[str], last: str) -> Candidates:
    arguments = requests.properties(name)
    key, equals, _value = last.partition("=")
    if equals:
        return [(value, key) for each in arguments if each.name == key for value in each.values]
    given = {word.partition("=")[0] for word in rest}
    return [(f"{each.name}=", each.description) for each in arguments if each.name not in given]
