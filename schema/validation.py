"""The authority: jsonschema on the documents, and QEMU's words for what it refuses.

Loaded only when arguments are not plainly valid, or by tests that check answers. jsonschema decides; here its errors
are ordered as QEMU would meet them and the first is put into QEMU's text (measured with QEMU 7.2). No rule of its own.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from jsonschema import Draft202012Validator
from jsonschema.validators import extend
from referencing import Registry, Resource

from .documents import documents
from .errors import ArgumentError, ResultError
from .releases import bad_value, filtered
from .types import Array, Builtin, Enum, Object
from .visiting import first_unexpected

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from jsonschema.exceptions import ValidationError
    from jsonschema.protocols import Validator

    from . import Contract
    from .releases import Number, Schema
    from .types import Type

    Mistake = tuple[tuple[int, ...], str]


def _is_integer(_checker: object, value: object) -> bool:
    """QEMU's parser makes a float of 1.0, and no float is an integer; JSON Schema alone would let it pass."""
    return isinstance(value, int) and not isinstance(value, bool)


_QAPIValidator: type[Validator] = extend(  # type: ignore[no-untyped-call]  # types-jsonschema leaves it untyped
    Draft202012Validator, type_checker=Draft202012Validator.TYPE_CHECKER.redefine("integer", _is_integer)
)


@cache
def _registry(number: Number, for_results: bool) -> Registry[Any]:
    schemas = {name: filtered(document, number) for name, document in documents().items()}
    if for_results:
        schemas["builtin.json"] = _without_negatives(schemas["builtin.json"])
    return Registry().with_resources((name, Resource.from_contents(schema)) for name, schema in schemas.items())


def _without_negatives(builtin: Schema) -> Schema:
    """Only arguments may spell a 64-bit unsigned number as a negative one."""
    unsigned = {name: {**builtin["$defs"][name], "minimum": 0} for name in ("uint64", "size")}
    return {**builtin, "$defs": {**builtin["$defs"], **unsigned}}


@cache
def _validator(number: Number, reference: str, for_results: bool = False) -> Validator:
    return _QAPIValidator({"$ref": reference}, registry=_registry(number, for_results))


def check_closely(contract: Contract, command: str, arguments: dict[str, Any]) -> None:
    """Raise `ArgumentError` with QEMU's text if jsonschema refuses the arguments."""
    known = contract.command(command)
    validator = _validator(contract.number, f"{known.subject}.json#/commands/{command}/arguments")
    declared = contract.types.arguments(known)
    arguments = _without_details(arguments, declared)
    errors = list(validator.iter_errors(arguments))
    if errors:
        mistakes = [mistake for error in errors for mistake in _mistakes(error, declared, arguments, contract.number)]
        raise ArgumentError(min(mistakes, default=((), errors[0].message))[1])


def _without_details(value: Any, declared: Type | None) -> Any:
    """Return a copy without the parts that no rule speaks of.

    jsonschema puts the `repr` of a wrong value into its messages, and Python cannot make one of 1,000 nested lists.
    """
    if isinstance(declared, Object) and isinstance(value, dict):
        members = declared.case_of(value).members
        return {
            name: _without_details(item, members[name].type if name in members else None)
            for name, item in value.items()
        }
    if isinstance(declared, Array) and isinstance(value, list):
        return [_without_details(element, declared.element) for element in value]
    return type(value)() if isinstance(value, dict | list) else value


def check_result(contract: Contract, command: str, value: Any) -> None:
    """Raise `ResultError` if the answer is not what the command declares."""
    _check(contract, f"{contract.command(command).subject}.json#/commands/{command}/returns", value)


def check_event(contract: Contract, event: str, data: Any) -> None:
    """Raise `ResultError` if the data is not what the event declares."""
    _check(contract, f"{contract.events()[event].subject}.json#/events/{event}/data", data)


def _check(contract: Contract, reference: str, value: Any) -> None:
    for error in _validator(contract.number, reference, for_results=True).iter_errors(value):
        raise ResultError(f"{reference}: {error.json_path}: {error.message}")


def _mistakes(error: ValidationError, declared: Object, arguments: dict[str, Any], number: Number) -> Iterator[Mistake]:
    """Yield what an error means to QEMU, each with its place in the order of QEMU's visit."""
    try:
        place = _Place(declared, arguments, error.absolute_path)
    except KeyError:
        return  # in a case that the version has not; that its tag cannot be so is a mistake of its own
    if error.validator == "required":
        required: Any = error.validator_value
        for index, member in enumerate(place.members()):
            if member in required and member not in place.value:
                yield (*place.rank, index), f"Parameter '{place.inner(member)}' is missing"
    elif error.validator in ("additionalProperties", "unevaluatedProperties"):
        known = place.members()
        unexpected = first_unexpected(place.value, known)
        if unexpected is not None:
            yield (*place.rank, len(known)), f"Parameter '{place.inner(unexpected)}' is unexpected"
    else:
        yield place.rank, _wrong_value(place, number)


class _Place:
    """A spot in the arguments: its type, its rank in QEMU's visit, and the two names that messages use for it.

    Raises `KeyError` where the type has no such spot.
    """

    __slots__ = ("full_name", "name", "rank", "type", "value")

    def __init__(self, declared: Type, arguments: dict[str, Any], path: Sequence[str | int]) -> None:
        self.type = declared
        self.value: Any = arguments
        self.rank: tuple[int, ...] = ()
        self.full_name = ""
        # An element of an array has no name of its own: QEMU prints its null pointer.
        self.name = "null"
        for step in path:
            self._enter(step)

    def _enter(self, step: str | int) -> None:
        if isinstance(self.type, Object):
            members = self.members()
            self.type = members[str(step)].type
            self.rank += (list(members).index(str(step)),)
            self.full_name = self.inner(str(step))
            self.name = str(step)
        else:
            assert isinstance(self.type, Array)
            self.rank += (int(step),)
            self.full_name += f"[{step}]"
            self.name = "null"
            self.type = self.type.element
        self.value = self.value[step]

    def members(self) -> dict[str, Any]:
        """Return the members that the object here may have."""
        assert isinstance(self.type, Object)
        return self.type.case_of(self.value).members

    def inner(self, member: str) -> str:
        """Return the full name of a member of the object here."""
        return f"{self.full_name}.{member}" if self.full_name else member


def _wrong_value(place: _Place, number: Number) -> str:
    declared, value = place.type, place.value
    if isinstance(declared, Enum):
        if isinstance(value, str):
            return bad_value(place.name, value, number)
        expected = "string"
    elif isinstance(declared, Builtin):
        if declared.json_type == "integer" and _is_integer(None, value):
            low, high = (-(2**63), 2**64) if declared.is_unsigned else (-(2**63), 2**63)
            if low <= value < high:
                return f"Parameter '{place.name}' expects {declared.name}_t"
        if declared.is_unsigned:
            return f"Parameter '{place.full_name}' expects uint64"
        expected = declared.json_type or "value"
    else:
        expected = "array" if isinstance(declared, Array) else "object"
    return f"Invalid parameter type for '{place.full_name}', expected: {expected}"
