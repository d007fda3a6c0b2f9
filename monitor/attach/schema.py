"""What a QEMU says of its commands: QMP from `query-qmp-schema`, HMP from `help`. Texts in, names and meanings out."""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_ROW = re.compile(r"(?P<names>(?:info )?[a-z?][a-z0-9_|?-]*)(?P<syntax>(?: .*?)?)(?: -- (?P<help>.*))?")
_SWITCHES = {"bool": ("true", "false")}


class NamedType:
    """A type as completion shows it."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name


class Argument:
    """An argument of a QMP command, and the values that it may have if those are few."""

    __slots__ = ("description", "name", "required", "type", "values")

    def __init__(self, name: str, type_name: str, values: tuple[str, ...], required: bool) -> None:
        self.name = name
        self.type = NamedType(type_name)
        self.values = values
        self.required = required
        self.description = type_name if required else f"{type_name}, optional"


class Described:
    """A QMP command; QEMU's schema has no words for what it does."""

    __slots__ = ("arguments", "description")

    def __init__(self, arguments: str) -> None:
        self.arguments = arguments
        self.description = ""


class QEMUSchema:
    """The commands of a QEMU, asked for as those of `schema.Contract` are by completion."""

    def __init__(self, entries: list[dict[str, Any]]) -> None:
        self._types = {each["name"]: each for each in entries if each.get("meta-type") not in ("command", "event")}
        self._commands = {
            each["name"]: Described(each.get("arg-type", "")) for each in entries if each.get("meta-type") == "command"
        }

    def commands(self) -> dict[str, Described]:
        """All commands by name."""
        return self._commands

    def properties(self, command: str, tag: str | None = None) -> list[Argument]:
        """The arguments of a command, with those that it has where its tag (`qom-type`) has this value.

        Raises `KeyError` for a command, or a value, that there is not.
        """
        declared = self._types.get(self._commands[command].arguments, {})
        members = list(declared.get("members", ()))
        if tag is not None:
            cases = {each["case"]: each["type"] for each in declared.get("variants", ())}
            members += self._types.get(cases[tag], {}).get("members", ())
        return [self._argument(member) for member in members]

    def _argument(self, member: dict[str, Any]) -> Argument:
        type_name = member["type"]
        told = self._types.get(type_name, {})
        kind = told.get("meta-type", "")
        shown = told.get("json-type", type_name) if kind == "builtin" else kind or type_name
        values = tuple(told.get("values", ())) or _SWITCHES.get(type_name, ())
        return Argument(member["name"], shown, values, "default" not in member)


class Help:
    """An HMP command as `help` tells of it."""

    __slots__ = ("help", "syntax")

    def __init__(self, syntax: str, text: str) -> None:
        self.syntax = syntax
        self.help = text

    @property
    def flags(self) -> list[str]:
        """The options of one letter that it has."""
        return [f"-{letter}" for letter in re.findall(r"\[-([A-Za-z])[\]|]", self.syntax)]


def parse_help(text: str) -> dict[str, Help]:
    """The commands in what `help` or `help info` prints, by name and by alias; continued lines begin with a blank."""
    found: dict[str, Help] = {}
    for line in text.replace("\r\n", "\n").split("\n"):
        match = _ROW.fullmatch(line)
        if match is None:
            continue
        for name in match["names"].split("|"):
            found[name] = Help(match["syntax"].strip(), match["help"] or "")
    return found
