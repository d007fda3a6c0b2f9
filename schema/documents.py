"""The documents beside this file, read once, and what they declare: commands and events, of all versions of QEMU.

A document is JSON Schema 2020-12 plus two tables of ours, `commands` and `events`. The file's name is the subject,
which is also the name of the module with the handlers. What the schemas mean as types is decided in `types`, what a
version of QEMU has of them in `releases`.
"""

from __future__ import annotations

from .plain_json import reader
from .releases import features

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .releases import Number, Schema
    from .types import Object, Type

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
    """One declared command, as a version of QEMU has it."""

    __slots__ = (
        "allow_oob",
        "allow_preconfig",
        "answered",
        "arguments",
        "arguments_type",
        "description",
        "features",
        "name",
        "returns",
        "returns_type",
        "since",
        "subject",
    )

    def __init__(self, subject: str, name: str, declaration: Schema, number: Number) -> None:
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
        self.features = features(declaration, number)
        self.arguments_type: Object | None = None
        self.returns_type: Type | None = None
        """What the schemas mean, once somebody asked for it: see `types`."""
        self.answered: frozenset[str] | None = None
        """The members of the answer, once somebody asked for them."""


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
_commands: dict[str, tuple[str, Schema]] = {}
_events: dict[str, tuple[str, Schema]] = {}


def documents() -> dict[str, Schema]:
    """Return every document by its `$id`, which is its file name."""
    if not _documents:
        _load()
    return _documents


def declared_commands() -> dict[str, tuple[str, Schema]]:
    """Return the subject and the declaration of every command by name, of all versions, in the documents' order."""
    if not _documents:
        _load()
    return _commands


def declared_events() -> dict[str, tuple[str, Schema]]:
    """Return the subject and the declaration of every event by name, of all versions, in the documents' order."""
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
            _commands[name] = subject, declaration
        for name, declaration in document.get("events", {}).items():
            _events[name] = subject, declaration
    _documents.update(loaded)
