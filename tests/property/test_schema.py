"""The fast check against jsonschema, on random arguments."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

import jsonschema
from hypothesis import assume, given
from hypothesis import strategies as st
from referencing import Registry, Resource

from ramslot.schema import ArgumentError, Contract, contract
from ramslot.schema.documents import documents
from ramslot.schema.releases import filtered
from ramslot.schema.types import Alternate, Array, Builtin, Enum, Object, fits
from ramslot.vm.releases import VERSIONS

if TYPE_CHECKING:
    from ramslot.schema.types import Type

CONTRACTS = [contract(version[:2]) for version in VERSIONS.values()]

Flavour = Literal["cli", "hmp"]
Request = tuple[Contract, str, dict[str, Any]]

BORDERS = (-(2**63) - 1, -(2**63), -1, 0, 1, 65535, 65536, 2**32 - 1, 2**32, 2**63 - 1, 2**63, 2**64 - 1, 2**64)

ANYTHING: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.sampled_from(BORDERS) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)

QEMU_TEXT = re.compile(
    r"Parameter '.*' (is missing|is unexpected|expects u?int\d+(_t)?|does not accept value '.*')|Invalid parameter '.*'"
    r"|Invalid parameter type for '.+', expected: (string|boolean|integer|array|object)",
    re.DOTALL,
)


def is_integer(_checker: object, value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


@cache
def authority(known: Contract, command: str, what: str) -> Any:
    found = {name: filtered(document, known.number) for name, document in documents().items()}
    resources = [(name, Resource.from_contents(document)) for name, document in found.items()]
    checker = jsonschema.Draft202012Validator.TYPE_CHECKER.redefine("integer", is_integer)
    extend: Any = jsonschema.validators.extend
    validator = extend(jsonschema.Draft202012Validator, type_checker=checker)
    reference = f"{known.commands()[command].subject}.json#/commands/{command}/{what}"
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
    if isinstance(declared, Alternate):
        return draw(near(draw(st.sampled_from(declared.types)), depth))
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
    known = draw(st.sampled_from(CONTRACTS))
    command = draw(st.sampled_from([*known.commands(), *["object-add"] * 20]))
    declared = known.types.arguments(known.commands()[command])
    assume(not declared.unchecked)
    return known, command, draw(near_object(declared, 0))


@given(requests())
def test_what_fits_is_valid(request_: Request) -> None:
    known, command, arguments = request_
    if fits(arguments, known.types.arguments(known.commands()[command])):
        assert authority(known, command, "arguments").is_valid(arguments)


@given(requests())
def test_check_refuses_what_jsonschema_refuses_in_qemus_words(request_: Request) -> None:
    known, command, arguments = request_
    try:
        known.check(command, arguments)
    except ArgumentError as error:
        assert not authority(known, command, "arguments").is_valid(arguments)
        assert QEMU_TEXT.fullmatch(str(error))
    else:
        assert authority(known, command, "arguments").is_valid(arguments)


@given(requests())
def test_what_is_valid_fits(request_: Request) -> None:
    """Nothing here keeps a valid request from the fast way; jsonschema is loaded for mistakes alone."""
    known, command, arguments = request_
    declared = known.types.arguments(known.commands()[command])
    assert fits(arguments, declared) == authority(known, command, "arguments").is_valid(arguments)


@given(st.data())
def test_results_are_judged_alike(data: st.DataObject) -> None:
    known = data.draw(st.sampled_from(CONTRACTS))
    command = data.draw(st.sampled_from(list(known.commands())))
    declared = known.types.returns(known.commands()[command])
    value = data.draw(near(declared))
    assert fits(value, declared) == authority(known, command, "returns").is_valid(value)


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
        arguments = CONTRACTS[0].from_keyval("object-add", pairs, flavour, int)
    except ArgumentError:
        return
    if -(2**63) <= arguments["size"] < 2**64:
        CONTRACTS[0].check("object-add", arguments)
