"""A part of JSONPath (RFC 9535), for answers of QMP: `$`, `.name`, `['name']`, `[n]`, `[*]`, `.*`, `..name` and
`[?name=="value"]`."""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

_STEP = re.compile(
    r"""(?P<deep>\.\.)(?P<deep_name>[\w-]+)
      | \.(?P<name>[\w-]+|\*)
      | \[(?P<index>-?[0-9]+|\*)\]
      | \[(?P<quote>['"])(?P<quoted>.*?)(?P=quote)\]
      | \[\?\(?@?\.?(?P<member>[\w-]+)\s*==\s*(?P<wanted>"[^"]*"|'[^']*'|[\w.+-]+)\)?\]""",
    re.VERBOSE,
)


class PathError(Exception):
    """A path that cannot be understood."""


def find(path: str, value: Any) -> list[Any]:
    """The values that `path` leads to from `value`, in order; raises `PathError`."""
    if not path.startswith("$"):
        raise PathError(f"a path begins with $, not with '{path[:1]}'")
    found, position = [value], 1
    while position < len(path):
        step = _STEP.match(path, position)
        if step is None:
            raise PathError(f"'{path[position:]}' of the path '{path}' is not understood")
        found = [each for value in found for each in _step(step, value)]
        position = step.end()
    return found


def literal(text: str) -> Any:
    """A value as it is written: JSON, a string in single quotes, a number in hexadecimal, a size, or else a word."""
    import json

    from ...vm.errors import VMError
    from ...vm.sizes import parse_size

    if len(text) > 1 and text[0] == text[-1] == "'":
        return text[1:-1]
    try:
        return json.loads(text)
    except ValueError:
        pass
    try:
        return parse_size(text)
    except (VMError, ValueError):
        return text


def _step(step: re.Match[str], value: Any) -> Iterator[Any]:
    name = step["name"] or step["quoted"]
    if step["deep"]:
        yield from _below(step["deep_name"], value)
    elif step["member"]:
        wanted = literal(step["wanted"])
        members = value if isinstance(value, list) else []
        yield from (each for each in members if isinstance(each, dict) and each.get(step["member"]) == wanted)
    elif "*" in (step["name"], step["index"]):
        yield from value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    elif step["index"] is not None:
        if isinstance(value, list) and -len(value) <= int(step["index"]) < len(value):
            yield value[int(step["index"])]
    elif isinstance(value, dict) and name in value:
        yield value[name]


def _below(name: str, value: Any) -> Iterator[Any]:
    if isinstance(value, dict) and name in value:
        yield value[name]
    for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _below(name, each)
