"""Objects as QEMU up to 5.2 took them: no types of arguments, each property is looked at when it is set.

What is wrong with a value therefore stands in the value's place until then, and the order is that of QEMU's dictionary.
"""

from __future__ import annotations

from ..schema import ArgumentError, contract
from ..schema.visiting import qdict_order
from ..vm.errors import VMError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ..vm.releases import Release


def takes_pairs(release: Release) -> bool:
    """Whether this is how a release takes objects."""
    return bool(release.settings("objects").get("set as given"))


def from_json(arguments: dict[str, Any]) -> dict[str, Any]:
    """The arguments of `object-add` with its `props` among them; raises `VMError` if they make no sense."""
    arguments = dict(arguments)
    properties = arguments.pop("props", {})
    if not isinstance(properties, dict):
        raise VMError("Invalid parameter type for 'props', expected: dict")
    if any(name in arguments for name in properties):
        raise VMError("Option in 'props' conflicts with top level")
    arguments |= properties
    for name in ("qom-type", "id"):
        if not isinstance(arguments.get(name), str):
            raise VMError(f"Parameter '{name}' is missing")
    return _in_order(arguments)


def from_options(pairs: dict[str, list[str]], release: Release, parse_size: Callable[[str], int]) -> dict[str, Any]:
    """The arguments that the pairs of an option mean; raises `ArgumentError` where type or id are missing."""
    flat = {key: values if len(values) > 1 else values[0] for key, values in pairs.items()}
    arguments = contract(release.number).from_keyval("object-add", flat, "properties", parse_size)
    return _in_order(
        {name: VMError(str(value)) if isinstance(value, ArgumentError) else value for name, value in arguments.items()}
    )


def _in_order(arguments: dict[str, Any]) -> dict[str, Any]:
    return {name: arguments[name] for name in qdict_order(arguments)}
