"""The documents' schemas read as QAPI types: what members are called, what they take, in which order they are visited.

Everything that needs more than "valid or not" starts from these types: the fast check, QEMU's error texts, the command
line, introspection, completion. Types are built when first asked for and kept. Validation proper belongs to jsonschema.
"""

from __future__ import annotations

from .documents import commands, documents

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeAlias

    from .documents import Schema

    Type: TypeAlias = "Builtin | Enum | Array | Object"

_CLASSES: dict[str | None, tuple[type, ...]] = {
    None: (),
    "string": (str,),
    "boolean": (bool,),
    "null": (type(None),),
    "number": (int, float),
    "integer": (int,),
}
"""The classes that `json` makes of each JSON type; none stands for any."""


class Builtin:
    """A type that has no parts: str, bool, null, number, any, or an integer with its range."""

    __slots__ = ("classes", "high", "json_type", "low", "name")

    def __init__(self, name: str, schema: Schema) -> None:
        self.name = name
        self.json_type: str | None = schema.get("type")
        self.classes = _CLASSES[self.json_type]
        self.low: int | None = schema.get("minimum")
        self.high: int | None = schema.get("maximum")

    @property
    def is_unsigned(self) -> bool:
        """Whether it is one of the unsigned integers."""
        return self.name == "size" or self.name.startswith("uint")


class Enum:
    """One of several strings."""

    __slots__ = ("name", "values")

    def __init__(self, name: str, values: list[str]) -> None:
        self.name = name
        self.values = tuple(values)


class Array:
    """Any number of values of one type."""

    __slots__ = ("element",)

    def __init__(self, element: Type) -> None:
        self.element = element

    @property
    def name(self) -> str:
        """The element's name in brackets, as introspection writes it."""
        return f"[{self.element.name}]"


class Member:
    """A named part of an object."""

    __slots__ = ("deprecated", "description", "name", "required", "type")

    def __init__(self, name: str, type_: Type, required: bool, schema: Schema) -> None:
        self.name = name
        self.type = type_
        self.required = required
        self.description: str = schema.get("description", "")
        if "since" in schema:
            self.description += f"; since {schema['since']}"
        self.deprecated: bool = schema.get("deprecated", False)

    @property
    def values(self) -> tuple[str, ...]:
        """The values that it may have, where these are a short list."""
        element = self.type.element if isinstance(self.type, Array) else self.type
        if isinstance(element, Enum):
            return element.values
        return ("off", "on") if element.name == "bool" else ()


class Object:
    """Named members in the order in which QEMU visits them; with a `tag`, its value chooses one of the `cases`.

    Each case is an object with all the members, the common ones first. `own` are the case's members alone.
    """

    __slots__ = ("cases", "members", "name", "own", "required", "tag")

    def __init__(self, name: str) -> None:
        self.name = name
        self.members: dict[str, Member] = {}
        self.own: dict[str, Member] = {}
        self.required = 0
        self.tag: str | None = None
        self.cases: dict[str, Object] = {}

    def add(self, members: dict[str, Member]) -> None:
        """Put members behind those that are there."""
        self.members.update(members)
        self.required = sum(member.required for member in self.members.values())

    def case_of(self, value: Any) -> Object:
        """Return the case that the value's tag chooses; this object itself where it chooses none."""
        tag = value.get(self.tag) if self.tag else None
        return self.cases.get(tag, self) if isinstance(tag, str) else self


_types: dict[str, Type] = {}


def arguments_type(command: str) -> Object:
    """Return the type of a command's arguments. Raises `KeyError` for an unknown command."""
    declared = commands()[command]
    type_ = _cached(f"{declared.subject}.json#/commands/{command}/arguments", declared.arguments)
    assert isinstance(type_, Object)
    return type_


def returns_type(command: str) -> Type:
    """Return the type of a command's answer. Raises `KeyError` for an unknown command."""
    declared = commands()[command]
    return type_of(declared.returns, f"{declared.subject}.json")


def type_of(schema: Schema, document: str, name: str = "") -> Type:
    """Return the type that a schema of the document stands for; `name` is the type's where no `$ref` tells it."""
    if "$ref" in schema:
        file, _, pointer = schema["$ref"].rpartition("#/$defs/")
        file = file or document
        return _cached(f"{file}#/$defs/{pointer}", documents()[file]["$defs"][pointer])
    if "enum" in schema:
        return Enum(name, schema["enum"])
    if schema.get("type") == "array":
        return Array(type_of(schema["items"], document))
    if schema.get("type") == "object":
        return _fill(Object(name), schema, document)
    return Builtin(name, schema)


def _cached(key: str, schema: Schema) -> Type:
    """Return the type with this key, made when first asked for. A type may have members of its own type."""
    if key not in _types:
        document, _, pointer = key.partition("#/")
        name = pointer.removeprefix("$defs/")
        if schema.get("type") == "object":
            _types[key] = unfinished = Object(name)
            _fill(unfinished, schema, document)
        else:
            _types[key] = type_of(schema, document, name)
    return _types[key]


def _fill(object_: Object, schema: Schema, document: str) -> Object:
    parts = schema.get("allOf", ())
    for part in parts:
        if "$ref" in part:
            base = type_of(part, document)
            assert isinstance(base, Object)
            object_.add(base.members)
    required = schema.get("required", ())
    for name, member in schema["properties"].items():
        object_.add({name: Member(name, type_of(member, document), name in required, member)})
    for part in parts:
        if "if" in part:
            _add_case(object_, part, document)
    return object_


def _add_case(object_: Object, part: Schema, document: str) -> None:
    """Read `if` the tag has this value `then` these members come with it."""
    ((tag, condition),) = part["if"]["properties"].items()
    if object_.tag is None:
        object_.tag = tag
        tag_type = object_.members[tag].type
        assert isinstance(tag_type, Enum)
        for value in tag_type.values:
            object_.cases[value] = case = Object(object_.name)
            case.add(object_.members)
    own = type_of(part["then"], document)
    assert isinstance(own, Object)
    case = object_.cases[condition["const"]]
    case.own = own.members
    case.add(own.members)


def fits(value: Any, declared: Type) -> bool:
    """Tell whether the value is plainly of the type. False may also mean "look closer"; True is never wrong."""
    if isinstance(declared, Builtin):
        if declared.classes and value.__class__ not in declared.classes:
            return False
        return declared.low is None or declared.high is None or declared.low <= value <= declared.high
    if isinstance(declared, Object):
        return value.__class__ is dict and _members_fit(value, declared)
    if isinstance(declared, Enum):
        return value in declared.values
    return value.__class__ is list and all(fits(element, declared.element) for element in value)


def _members_fit(value: dict[str, Any], declared: Object) -> bool:
    if declared.tag:
        declared = declared.case_of(value)
    members = declared.members
    missing = declared.required
    for name, item in value.items():
        if name not in members:
            return False
        member = members[name]
        if not fits(item, member.type):
            return False
        if member.required:
            missing -= 1
    return missing == 0
