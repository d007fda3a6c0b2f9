"""The documents beside this file, read once, and what they declare: commands and events.

A document is JSON Schema 2020-12 plus two tables of ours, `commands` and `events`. The file's name is the subject,
which is also the name of the module with the handlers. What the schemas mean as types is decided in `types`.
"""

from __future__ import annotations

from .plain_json import reader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeAlias

    Schema: TypeAlias = dict[str, Any]

SUBJECTS = (
    "builtin",
    "status",
    "backends",
    "prealloc",
    "qom",
    "memory",
    "memslots",
    "guest",
    "dirty",
    "explain",
    "map",
    "numa",
    "host",
    "machines",
    "introspect",
)
"""The documents in the order in which their commands are listed."""


class Command:
    """One declared command."""

    __slots__ = (
        "allow_oob",
        "allow_preconfig",
        "arguments",
        "description",
        "name",
        "returns",
        "since",
        "subject",
        "unstable",
    )

    def __init__(self, subject: str, name: str, declaration: Schema) -> None:
        self.subject = subject
        """The document's name and that of the module with the handler."""
        self.name = name
        self.description: str = declaration["description"]
        self.arguments: Schema = declaration["arguments"]
        """JSON Schema of the arguments; references are relative to the document."""
        self.returns: Schema = declaration["returns"]
        """JSON Schema of the answer; references are relative to the document."""
        self.since: str = declaration["since"]
        """The program and version that had it first."""
        self.allow_oob: bool = declaration.get("x-allow-oob", False)
        self.allow_preconfig: bool = declaration.get("x-allow-preconfig", False)
        """Whether it can be used before the board is made."""
        self.unstable: bool = declaration.get("x-unstable", False)


class Event:
    """One declared event."""

    __slots__ = ("data", "description", "name", "since", "subject")

    def __init__(self, subject: str, name: str, declaration: Schema) -> None:
        self.subject = subject
        self.name = name
        self.description: str = declaration["description"]
        self.data: Schema = declaration["data"]
        """JSON Schema of the event's data; references are relative to the document."""
        self.since: str = declaration["since"]


_documents: dict[str, Schema] = {}
_commands: dict[str, Command] = {}
_events: dict[str, Event] = {}


def documents() -> dict[str, Schema]:
    """Return every document by its `$id`, which is its file name."""
    if not _documents:
        _load()
    return _documents


def commands() -> dict[str, Command]:
    """Return every command by its name, in the order of the documents."""
    if not _documents:
        _load()
    return _commands


def events() -> dict[str, Event]:
    """Return every event by its name, in the order of the documents."""
    if not _documents:
        _load()
    return _events


def _load() -> None:
    folder = __file__.rpartition("/")[0]
    loaded = {}
    read = reader()
    for subject in SUBJECTS:
        with open(f"{folder}/{subject}.json", encoding="utf-8") as file:
            loaded[f"{subject}.json"] = document = read(file.read(), 0)[0]
        for name, declaration in document.get("commands", {}).items():
            _commands[name] = Command(subject, name, declaration)
        for name, declaration in document.get("events", {}).items():
            _events[name] = Event(subject, name, declaration)
    _documents.update(loaded)
