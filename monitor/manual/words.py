"""What may stand on the command line, from the tables that read it: options, the words they take, subcommands."""

from __future__ import annotations

import re

from ...vm.releases import NEWEST, VERSIONS, find_release
from ..command_line.option import Option
from ..command_line.options import OPTIONS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_ALTERNATIVES = re.compile(r"[a-z]+(?:\|[a-z]+)*")
_OPTION = re.compile(r"(?<![\w-])-([a-z][a-z-]+)")
FILES = "files"


class Subcommand:
    """Another program of ours: `ramslot NAME`."""

    __slots__ = ("help", "name", "options", "usage", "words")

    def __init__(self, name: str, module: str) -> None:
        from importlib import import_module

        loaded = import_module(f"..{module}", __package__)
        self.name = name
        self.help = (loaded.__doc__ or "").partition("\n")[0].partition("`: ")[2].rstrip(".")
        """What it is for, in a line: the first of its module."""
        self.usage: str = loaded.USAGE
        named = re.findall(rf"\{{program\}} {name} ([a-z][a-z|]*)(?![\w:])", self.usage)
        self.words = sorted({word for words in named for word in words.split("|")})
        """What may follow the name."""
        head = self.usage.partition("\n\n")[0]
        machine = {name for option in options() for name in option_names(option)}
        self.options = sorted(_options(head) | (_options(self.usage) - machine))
        """Those of its synopsis, and those that its text tells of and that are none of a machine."""


def _options(text: str) -> set[str]:
    return {f"-{option}" for option in _OPTION.findall(text)}


def subcommands() -> list[Subcommand]:
    """All of them by name."""
    from ..main import SUBCOMMANDS

    return [Subcommand(name, module) for name, module in sorted(SUBCOMMANDS.items())]


def options() -> Iterator[Option]:
    """All options of a machine's command line."""
    for rows in OPTIONS.values():
        yield from rows


def option_names(option: Option) -> list[str]:
    """How an option may be written, with one dash."""
    return [f"-{name}" for name in (option.name, option.alias) if name]


def values_of(option: Option) -> list[str] | str:
    """The words that an option's value may begin with; `FILES` where it is a file's name; none where anything goes."""
    if option.name in _TABLES:
        return _TABLES[option.name]()
    if "file" in option.usage.lower():
        return FILES
    if option.takes_value and _ALTERNATIVES.fullmatch(option.usage) and ("|" in option.usage or option.usage == "none"):
        return option.usage.split("|")
    return []


def _machines() -> list[str]:
    from ...vm.boards import machine_types
    from ...vm.boards.targets import targets

    release = find_release(None)
    names = dict.fromkeys(
        name
        for target in targets(release).values()
        for found in machine_types(target, release)
        for name in (found.name, found.alias)
        if name is not None
    )
    return sorted(names)


def _targets() -> list[str]:
    from ...vm.boards.targets import targets

    return sorted(targets(find_release(NEWEST)))


def _accelerators() -> list[str]:
    from ..command_line.accelerator_options import ACCELERATORS

    return sorted(ACCELERATORS)


def _objects() -> list[str]:
    from ...vm.objects import object_types

    return sorted(object_types(find_release(None)))


def _devices() -> list[str]:
    from ...vm.boards.targets import targets
    from ...vm.devices import device_types

    release = find_release(None)
    return sorted({name for target in targets(release).values() for name in device_types(target, release)})


_TABLES: dict[str, Callable[[], list[str]]] = {
    "accel": _accelerators,
    "device": _devices,
    "machine": _machines,
    "object": _objects,
    "qemu": lambda: list(VERSIONS),
    "target": _targets,
}
"""Options whose values are known elsewhere, by name."""
