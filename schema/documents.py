"""The documents beside this file, read once, and what they declare: commands and events, of all versions of QEMU.

A document is JSON Schema 2020-12 plus two tables of ours, `commands` and `events`. The file's name is the subject,
which is also the name of the module with the handlers. What the schemas mean as types is decided in `types`, what a
version of QEMU has of them in `releases`.
"""

from __future__ import annotations

from .plain_json import reader
from .releases import covers, features

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
    "mtree",
    "physical",
    "dump",
    "devices",
    "balloon",
    "what_if",
    "memslots",
    "guest",
    "dirty",
    "stats",
    "descriptors",
    "chardevs",
    "migration",
    "compat",
    "explain",
    "map",
    "numa",
    "host",
    "machines",
    "surroundings",
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
        "reads_only",
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
        self.reads_only: bool = declaration.get("x-reads-only", False)
        """Whether nothing is another thing after it: the machine, the program, the files of the host."""
        allowed = declaration.get("x-allow-preconfig", False)
        self.allow_preconfig: bool = covers({"since": allowed}, number) if isinstance(allowed, str) else allowed
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
_texts: dict[str, str] = {}
"""Those that were looked into and not parsed."""
_commands: dict[str, tuple[str, Schema]] = {}
_events: dict[str, tuple[str, Schema]] = {}


def document(name: str) -> Schema:
    """Return the document of that `$id`, which is its file name. Raises `OSError` where there is none."""
    found = _documents.get(name)
    if found is None:
        found = _documents[name] = reader()(_text(name), 0)[0]
        del _texts[name]
    return found


def _text(name: str) -> str:
    if name not in _texts:
        with open(f"{__file__.rpartition('/')[0]}/{name}", encoding="utf-8") as file:
            _texts[name] = file.read()
    return _texts[name]


def documents() -> dict[str, Schema]:
    """Return every document by its `$id`."""
    return {f"{subject}.json": document(f"{subject}.json") for subject in SUBJECTS}


def declared_command(name: str) -> tuple[str, Schema] | None:
    """Return the subject and the declaration of one command; no more documents are read than it takes to find it.

    Of those only the ones are parsed that have the name anywhere, in which nothing is escaped.
    """
    for subject in SUBJECTS:
        file = f"{subject}.json"
        if file in _documents or f'"{name}"' in _text(file):
            declaration = document(file).get("commands", {}).get(name)
            if declaration is not None:
                return subject, declaration
    return None


def declared_commands() -> dict[str, tuple[str, Schema]]:
    """Return the subject and the declaration of every command by name, of all versions, in the documents' order."""
    return _declared("commands", _commands)


def declared_events() -> dict[str, tuple[str, Schema]]:
    """Return the subject and the declaration of every event by name, of all versions, in the documents' order."""
    return _declared("events", _events)


def _declared(kind: str, found: dict[str, tuple[str, Schema]]) -> dict[str, tuple[str, Schema]]:
    if not found:
        for subject in SUBJECTS:
            for name, declaration in document(f"{subject}.json").get(kind, {}).items():
                found[name] = subject, declaration
    return found
