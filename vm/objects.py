"""Objects that users make (`-object`, `object-add`): what they have in common, and the one table of their types."""

from __future__ import annotations

from .errors import VMError
from .loading import load
from .qom import QOMObject

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from .host import Host
    from .hostmem.prealloc import Preallocation
    from .memory.address_space import MemoryTopology
    from .object_tree import ObjectTree
    from .releases import Release
    from .steps import Task

OBJECT_TYPES = {
    "iothread": ("iothread", "IOThread", None),
    "memory-backend-file": ("hostmem.file", "FileBackend", None),
    "memory-backend-memfd": ("hostmem.memfd", "MemfdBackend", None),
    "memory-backend-ram": ("hostmem.ram", "RAMBackend", None),
    "memory-backend-shm": ("hostmem.shm", "ShmBackend", "9.1"),
    "secret": ("secret", "Secret", None),
    "thread-context": ("hostmem.thread_context", "ThreadContext", "7.2"),
}
"""QOM type to the module and the class that implement it, and the first QEMU that has it."""

LATE_TYPES = "memory-backend-"
"""How the names of types begin whose objects the command line makes last, with the machine; the others come before it
looks at the machine's options."""

SETTING_ORDER = (
    "share", "prealloc-context", "reserve", "prealloc", "cpu-affinity", "offset",
    "x-use-canonical-path-for-ramblock-id", "hugetlbsize", "readonly", "rom", "host-nodes", "prealloc-threads", "size",
    "hugetlb", "merge", "dump", "pmem", "policy", "seal", "node-affinity", "discard-data", "mem-path", "align",
)  # fmt: skip
"""The order in which properties are set, which decides what is said when several are wrong: that of QEMU's hash table
of arguments, whatever order they came in."""


IDENTIFIER_RULE = "Identifiers consist of letters, digits, '-', '.', '_', starting with a letter."


IDENTIFIER_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._")


def is_identifier(text: str) -> bool:
    """Whether `text` can be an object's id: a letter, then letters, digits, `-`, `.` and `_`, all of them ASCII."""
    return text[:1].isalpha() and IDENTIFIER_CHARACTERS.issuperset(text)


class ObjectDefaults:
    """What a machine decides for all its objects, and where they tell what they are at."""

    __slots__ = (
        "canonical_names",
        "dump",
        "length_unit",
        "merge",
        "on_preallocation",
        "prealloc",
        "preallocations",
        "release",
        "tell",
        "tree",
        "warn",
    )

    def __init__(self, tree: ObjectTree, release: Release) -> None:
        self.tree = tree
        """Where the objects that properties name are looked for."""
        self.release = release
        """The QEMU whose objects these are."""
        self.merge = True
        self.dump = True
        self.prealloc = False
        self.canonical_names = False
        self.length_unit = 4096
        """RAMBlocks are multiples of this many bytes: the larger of the host's and the target's page."""
        self.warn: Callable[[str], None] = lambda _text: None
        """Told what people should know although it is no error."""
        self.tell: Callable[[str], None] = lambda _text: None
        """Told what belongs to an error and is not in it."""
        self.preallocations: list[Preallocation] = []
        """Those under way."""
        self.on_preallocation: Callable[[Preallocation], object] = lambda _preallocation: None
        """Told when one begins, and again when it has ended."""


class UserCreatable(QOMObject):
    """An object that a user made. Once its properties are set, `complete` brings it to life and `release` ends that."""

    def __init__(self, host: Host, topology: MemoryTopology, defaults: ObjectDefaults) -> None:
        super().__init__()
        self.host = host
        self.topology = topology
        self.tree = defaults.tree
        self.qemu: Release = defaults.release
        self.warn = defaults.warn

    @property
    def busy(self) -> bool:
        """Whether something uses it, so that it cannot be deleted."""
        return False

    @property
    def is_mapped(self) -> bool:
        """Whether that is because the machine shows its memory."""
        return False

    def serve_machine(self) -> None:
        """Be the memory that `-m` asks for; of use to memory backends alone."""

    def complete(self, name: str) -> Task[None]:
        """Bring it to life; `name` is its id. Raises `VMError` with nothing left behind."""
        raise NotImplementedError(f"{self.type_name} is abstract")

    def release(self) -> None:
        """Give back what it holds; harmless where that is nothing. Raises `BufferError`, nothing changed, if used."""

    def release_task(self) -> Task[None]:
        """`release` for one where that may take long."""
        self.release()
        yield from ()


def object_types(release: Release) -> list[str]:
    """The types of objects that users can make in a release."""
    return [name for name, (_module, _class, since) in OBJECT_TYPES.items() if release.covers(since)]


def object_class(type_name: str, release: Release) -> type[UserCreatable]:
    """The class of a QOM type; raises `VMError` if users cannot make objects of it."""
    if type_name not in object_types(release):
        raise VMError(f"Parameter 'qom-type' does not accept value '{type_name}'")
    module, name, _since = OBJECT_TYPES[type_name]
    return getattr(load(f"{__package__}.{module}"), name)  # type: ignore[no-any-return]  # the table above


def in_setting_order(properties: dict[str, Any], release: Release) -> Iterable[tuple[str, Any]]:
    """Properties with their values in the order in which they are to be set; unknown ones first.

    QEMU up to 5.2 set what the user gave, and in the order of that dictionary, which is the caller's to know.
    """
    if release.settings("objects").get("set as given"):
        return properties.items()
    known = [(name, properties[name]) for name in SETTING_ORDER if name in properties]
    return [item for item in properties.items() if item[0] not in SETTING_ORDER] + known
