"""The fast check against jsonschema, on random arguments."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

import jsonschema
from hypothesis import given
from hypothesis import strategies as st
from referencing import Registry, Resource

from ramslot import schema
from ramslot.schema.documents import documents
from ramslot.schema.types import Array, Builtin, Enum, Object, arguments_type, fits, returns_type

if TYPE_CHECKING:
    from ramslot.schema.types import Type

Flavour = Literal["cli", "hmp"]
Request = tuple[str, dict[str, Any]]

BORDERS = (-(2**63) - 1, -(2**63), -1, 0, 1, 65535, 65536, 2**32 - 1, 2**32, 2**63 - 1, 2**63, 2**64 - 1, 2**64)

ANYTHING: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.sampled_from(BORDERS) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)

QEMU_TEXT = re.compile(
    r"Parameter '.*' (is missing|is unexpected|expects u?int\d+(_t)?|does not accept value '.*')"
    r"|Invalid parameter type for '.+', expected: (string|boolean|integer|array|object)",
    re.DOTALL,
)


def is_integer(_checker: object, value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


@cache
def authority(command: str, what: str) -> Any:
    resources = [(name, Resource.from_contents(document)) for name, document in documents().items()]
    checker = jsonschema.Draft202012Validator.TYPE_CHECKER.redefine("integer", is_integer)
    extend: Any = jsonschema.validators.extend
    validator = extend(jsonschema.Draft202012Validator, type_checker=checker)
    reference = f"{schema.commands()[command].subject}.json#/commands/{command}/{what}"
    return validator({"$ref": reference}, registry=Registry().with_resources(resources))


@st.composite
def near(draw: st.DrawFn, declared: Type, depth: int = 0) -> Any:
    """Draw a value that is of the type, or nearly so."""
    if draw(st.integers(0, 19)) == 0:
        return draw(ANYTHING)
    if isinstance(declared, Builtin):
        exact: dict[str | None, st.SearchStrategy[Any]] = {
            "string": st.text(max_size=5), "boolean": st.booleans(), "integer": st.sampled_from(BORDERS),
            "null": st.none(), "number": st.floats(allow_nan=False), None: ANYTHING,
        }  # fmt: skip
        return draw(exact[declared.json_type])
    if isinstance(declared, Enum):
        return draw(st.sampled_from(declared.values))
    if isinstance(declared, Array):
        return draw(st.lists(near(declared.element, depth + 1), max_size=3 if depth < 3 else 0))
    return draw(near_object(declared, depth))


@st.composite
def near_object(draw: st.DrawFn, declared: Object, depth: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    if declared.tag:
        value[declared.tag] = draw(near(declared.members[declared.tag].type))
        declared = declared.case_of(value)
    for member in declared.members.values():
        if member.name not in value and draw(st.integers(0, 19)) < (19 if member.required else 8):
            value[member.name] = draw(near(member.type, depth + 1))
    if draw(st.integers(0, 9)) == 0:
        value[draw(st.sampled_from(["extra", "", "seal", "path", "mem-path"]))] = draw(ANYTHING)
    return value


@st.composite
def requests(draw: st.DrawFn) -> Request:
    """Draw a command with arguments that it may or may not take."""
    command = draw(st.sampled_from([*schema.commands(), *["object-add"] * 20]))
    return command, draw(near_object(arguments_type(command), 0))


@given(requests())
def test_what_fits_is_valid(request_: Request) -> None:
    command, arguments = request_
    if fits(arguments, arguments_type(command)):
        assert authority(command, "arguments").is_valid(arguments)


@given(requests())
def test_check_refuses_what_jsonschema_refuses_in_qemus_words(request_: Request) -> None:
    command, arguments = request_
    try:
        schema.check(command, arguments)
    except schema.ArgumentError as error:
        assert not authority(command, "arguments").is_valid(arguments)
        assert QEMU_TEXT.fullmatch(str(error))
    else:
        assert authority(command, "arguments").is_valid(arguments)


@given(requests())
def test_what_is_valid_fits(request_: Request) -> None:
    """Nothing here keeps a valid request from the fast way; jsonschema is loaded for mistakes alone."""
    command, arguments = request_
    assert fits(arguments, arguments_type(command)) == authority(command, "arguments").is_valid(arguments)


@given(st.data())
def test_results_are_judged_alike(data: st.DataObject) -> None:
    command = data.draw(st.sampled_from(list(schema.commands())))
    value = data.draw(near(returns_type(command)))
    assert fits(value, returns_type(command)) == authority(command, "returns").is_valid(value)


@given(
    st.sampled_from(["cli", "hmp"]),
    st.dictionaries(
        st.sampled_from(["qom-type", "id", "size", "share", "host-nodes", "policy", "prealloc-threads", "foo"]),
        st.sampled_from(["memory-backend-ram", "on", "no", "0", "0-3", "bind", "-1", "65536", "0x10", "09", " 7", ""])
        | st.text(max_size=4),
    ),
)
def test_keyval_gives_arguments_that_pass_or_an_error(flavour: Flavour, pairs: dict[str, Any]) -> None:
    pairs = {"qom-type": "memory-backend-ram", "id": "m", "size": "1", **pairs}
    try:
        arguments = schema.from_keyval("object-add", pairs, flavour, int)
    except schema.ArgumentError:
        return
    if -(2**63) <= arguments["size"] < 2**64:
        schema.check("object-add", arguments)
