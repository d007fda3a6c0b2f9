"""The documents as QEMU's introspection shows them: the SchemaInfo entries that `query-qmp-schema` answers.

The names of enums and objects are masked as numbers, as QEMU does: a client must look for members, never for a type's
name. Nothing is declared here; a fact that the documents lack has no place in the answer.
"""

from __future__ import annotations

from .types import Alternate, Array, Builtin, Enum, Object

TYPE_CHECKING = False
if TYPE_CHECKING:
    from . import Contract
    from .releases import Schema
    from .types import Member, Type

_BUILTINS = {
    "string": ("str", "string"),
    "boolean": ("bool", "boolean"),
    "null": ("null", "null"),
    "number": ("number", "number"),
    "integer": ("int", "int"),
    None: ("any", "value"),
}
"""JSON type to the name and json-type that introspection gives it; it hides how wide an integer is."""


def introspect(contract: Contract) -> list[Schema]:
    """Return one SchemaInfo for every command, event and type; types follow the first that speaks of them."""
    return _Introspection(contract).run()


class _Introspection:
    """One walk over everything that is declared."""

    def __init__(self, contract: Contract) -> None:
        self._contract = contract
        entries = contract.types.returns(contract.command("query-qmp-schema"))
        assert isinstance(entries, Array)
        assert isinstance(entries.element, Object)
        self._tells_members = "members" in entries.element.cases["enum"].own
        """Whether values of enumerations are told as members with features."""
        self._numbers: dict[tuple[int, bool], str] = {}
        """Masked names by the identity of the type, and whether only a case's own members are meant."""
        self._names: set[str] = set()
        self._met: list[tuple[str, Type, bool]] = []
        """The types in the order in which they were met; it grows while they are described."""
        self._entries: list[Schema] = []

    def run(self) -> list[Schema]:
        """Describe commands and events, then every type met on the way, until nothing new comes up."""
        self._name(Object("empty"))
        types = self._contract.types
        for command in self._contract.commands().values():
            entry: Schema = {
                "name": command.name,
                "meta-type": "command",
                "arg-type": self._name(types.arguments(command)),
                "ret-type": self._name(types.returns(command)),
            }
            if command.allow_oob:
                entry["allow-oob"] = True
            if command.features:
                entry["features"] = list(command.features)
            self._entries.append(entry)
        for event in self._contract.events().values():
            self._entries.append({"name": event.name, "meta-type": "event", "arg-type": self._name(types.data(event))})
        for name, type_, own in self._met:
            self._entries.append({"name": name, **self._describe(type_, own)})
        return self._entries

    def _name(self, type_: Type, own: bool = False) -> str:
        """Return the masked name of a type; `own` means only the members that a case adds."""
        if isinstance(type_, Builtin):
            name = _BUILTINS[type_.json_type][0]
        elif isinstance(type_, Array):
            name = f"[{self._name(type_.element)}]"
        elif isinstance(type_, Object) and not (type_.own if own else type_.members):
            name = "0"
        else:
            name = self._numbers.setdefault((id(type_), own), str(len(self._numbers) + 1))
        if name not in self._names:
            self._names.add(name)
            self._met.append((name, type_, own))
        return name

    def _describe(self, type_: Type, own: bool) -> Schema:
        if isinstance(type_, Builtin):
            return {"meta-type": "builtin", "json-type": _BUILTINS[type_.json_type][1]}
        if isinstance(type_, Array):
            return {"meta-type": "array", "element-type": self._name(type_.element)}
        if isinstance(type_, Enum):
            return self._describe_enum(type_)
        if isinstance(type_, Alternate):
            return {"meta-type": "alternate", "members": [{"type": self._name(choice)} for choice in type_.types]}
        members = type_.own if own else type_.members
        entry: Schema = {"meta-type": "object", "members": [self._member(member) for member in members.values()]}
        if type_.tag:
            entry["tag"] = type_.tag
            entry["variants"] = [
                {"case": value, "type": self._name(case, own=True)} for value, case in type_.cases.items()
            ]
        return entry

    def _describe_enum(self, enum: Enum) -> Schema:
        entry: Schema = {"meta-type": "enum"}
        if self._tells_members:
            entry["members"] = [
                {"name": value, "features": list(enum.features[value])} if value in enum.features else {"name": value}
                for value in enum.values
            ]
        return {**entry, "values": list(enum.values)}

    def _member(self, member: Member) -> Schema:
        entry: Schema = {"name": member.name, "type": self._name(member.type)}
        if not member.required:
            entry["default"] = None
        if member.features:
            entry["features"] = list(member.features)
        return entry
