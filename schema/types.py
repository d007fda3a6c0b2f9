"""The documents' schemas read as QAPI types: what members are called, what they take, in which order they are visited.

Everything that needs more than "valid or not" starts from these types: the fast check, QEMU's error texts, the command
line, introspection, completion. Types are built when first asked for and kept. Validation proper belongs to jsonschema.
"""

from __future__ import annotations

from .documents import document as read_document
from .releases import covers, features, of_version, values_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeAlias

    from .documents import Command, Event
    from .releases import Number, Schema

    Type: TypeAlias = "Builtin | Enum | Array | Object | Alternate"

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

    __slots__ = ("features", "name", "values")

    def __init__(self, name: str, values: list[str], features: dict[str, tuple[str, ...]]) -> None:
        self.name = name
        self.values = tuple(values)
        self.features = features
        """What introspection says of those values of which it says something."""


class Array:
    """Any number of values of one type."""

    __slots__ = ("element",)

    def __init__(self, element: Type) -> None:
        self.element = element

    @property
    def name(self) -> str:
        """The element's name in brackets, as introspection writes it."""
        return f"[{self.element.name}]"


class Alternate:
    """One of several types, which JSON tells apart."""

    __slots__ = ("name", "types")

    def __init__(self, name: str, types: list[Type]) -> None:
        self.name = name
        self.types = tuple(types)


class Member:
    """A named part of an object."""

    __slots__ = ("description", "features", "name", "required", "type")

    def __init__(self, name: str, type_: Type, required: bool, schema: Schema, features: tuple[str, ...] = ()) -> None:
        self.name = name
        self.type = type_
        self.required = required
        self.description: str = schema.get("description", "")
        if "since" in schema:
            self.description += f"; since {schema['since']}"
        self.features = features

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

    __slots__ = ("cases", "members", "name", "own", "pairs", "required", "tag", "unchecked")

    def __init__(self, name: str) -> None:
        self.name = name
        self.unchecked = False
        """Whether its members are described only, and looked at by the handler."""
        self.pairs: Object | None = None
        """What tells the types of the members where they are written as pairs; None is this object."""
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


class Types:
    """The types that the documents declare, as a version of QEMU has them; each is made when first asked for."""

    __slots__ = ("_known", "_number")

    def __init__(self, number: Number) -> None:
        self._number = number
        self._known: dict[str, Type] = {}

    def arguments(self, command: Command) -> Object:
        """Return the type of a command's arguments."""
        if command.arguments_type is None:
            key = f"{command.subject}.json#/commands/{command.name}/arguments"
            type_ = self._cached(key, command.arguments)
            assert isinstance(type_, Object)
            command.arguments_type = type_
        return command.arguments_type

    def returns(self, command: Command) -> Type:
        """Return the type of a command's answer."""
        if command.returns_type is None:
            command.returns_type = self._of(command.returns, f"{command.subject}.json")
        return command.returns_type

    def data(self, event: Event) -> Type:
        """Return the type of an event's data."""
        return self._of(event.data, f"{event.subject}.json")

    def _of(self, schema: Schema, document: str, name: str = "") -> Type:
        """Return the type that a schema of the document stands for; `name` is its own where no `$ref` tells it."""
        if "x-earlier" in schema:
            schema = of_version(schema, self._number)
        if "$ref" in schema:
            file, _, pointer = schema["$ref"].rpartition("#/$defs/")
            file = file or document
            return self._cached(f"{file}#/$defs/{pointer}", read_document(file)["$defs"][pointer])
        if "enum" in schema:
            return self._enum(schema, name)
        if "oneOf" in schema:
            return Alternate(name, [self._of(choice, document) for choice in schema["oneOf"]])
        if schema.get("type") == "array":
            return Array(self._of(schema["items"], document))
        if schema.get("type") == "object":
            return self._fill(Object(name), schema, document)
        return Builtin(name, schema)

    def _enum(self, schema: Schema, name: str) -> Enum:
        told = {value: features(marks, self._number) for value, marks in schema.get("x-values", {}).items()}
        return Enum(name, values_of(schema, self._number), {value: found for value, found in told.items() if found})

    def _cached(self, key: str, schema: Schema) -> Type:
        """Return the type with this key, made when first asked for. A type may have members of its own type."""
        if key not in self._known:
            document, _, pointer = key.partition("#/")
            name = pointer.removeprefix("$defs/")
            if schema.get("type") == "object":
                self._known[key] = unfinished = Object(name)
                self._fill(unfinished, schema, document)
            else:
                self._known[key] = self._of(schema, document, name)
        return self._known[key]

    def _fill(self, object_: Object, schema: Schema, document: str) -> Object:
        parts = schema.get("allOf", ())
        for part in parts:
            if "$ref" in part:
                base = self._of(part, document)
                assert isinstance(base, Object)
                object_.add(base.members)
        required = schema.get("required", ())
        number = self._number
        for name, member in schema["properties"].items():
            if covers(member, number):
                type_ = self._of(member, document)
                object_.add({name: Member(name, type_, name in required, member, features(member, number))})
        for part in parts:
            if "if" in part:
                self._add_case(object_, part, document)
        object_.unchecked = schema.get("x-unchecked", False)
        if "x-pairs" in schema:
            pairs = self._of(schema["x-pairs"], document)
            assert isinstance(pairs, Object)
            object_.pairs = pairs
        return object_

    def _add_case(self, object_: Object, part: Schema, document: str) -> None:
        """Read `if` the tag has this value `then` these members come with it."""
        ((tag, condition),) = part["if"]["properties"].items()
        if object_.tag is None:
            object_.tag = tag
            tag_type = object_.members[tag].type
            assert isinstance(tag_type, Enum)
            for value in tag_type.values:
                object_.cases[value] = case = Object(object_.name)
                case.add(object_.members)
        if condition["const"] in object_.cases:
            own = self._of(part["then"], document)
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
        return value.__class__ is dict and (declared.unchecked or _members_fit(value, declared))
    if isinstance(declared, Enum):
        return value in declared.values
    if isinstance(declared, Alternate):
        return any(fits(value, choice) for choice in declared.types)
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
