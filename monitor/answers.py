"""Command lines that only ask: -help, -version, -machine help, -object help."""

from __future__ import annotations

import sys

from ..vm.errors import VMError
from ..vm.releases import find_release

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..vm.qom import QOMObject
    from ..vm.releases import Release
    from .command_line.settings import Question, Settings


def answer(settings: Settings, subcommands: Iterable[str]) -> int:
    """Print the answer to the command line's question and return the exit status; `subcommands` are those of help."""
    question = settings.question
    assert question is not None
    try:
        print(_text(settings, question, subcommands))
    except VMError as error:
        print(f"{settings.config.program}: {error}", file=sys.stderr)
        return 1
    return question.status


def _text(settings: Settings, question: Question, subcommands: Iterable[str]) -> str:
    if question.kind == "text":
        return question.text
    release = find_release(settings.config.qemu)
    if question.kind == "version":
        return version_text(release)
    if question.kind == "machine":
        return machine_text(question.subject, settings.config.target, release)
    if question.kind == "object":
        return object_text(question.subject, release)
    if question.kind == "device":
        return device_text(question.subject, settings.config.target, release)
    if question.kind == "cpu":
        return "CPU models only name the CPUs here (query-cpus-fast): nothing is executed, so any name will do."
    from .command_line.options import usage

    return usage(settings.config.program, subcommands)


def version_text(release: Release) -> str:
    """The QEMU version spoken, and ours."""
    from ..commands.status import PACKAGE

    return f"QEMU emulator version {release.full_name} ({PACKAGE})"


def machine_text(name: str, target_name: str | None, release: Release) -> str:
    """The machine types of a target, or the properties of one."""
    from ..commands.machines import listed_machines, machine_lines
    from ..vm.boards import find_machine_type

    if name:
        machine_type, _target = find_machine_type(name, target_name, release)
        return _options_text(f"{machine_type.name}-machine", machine_type.machine, release)
    _default, target = find_machine_type(None if target_name is None else "none", target_name, release)
    return "\n".join(["Supported machines are:", *machine_lines(listed_machines(target, release))])


def device_text(type_name: str, target_name: str | None, release: Release) -> str:
    """The types of devices, or the properties of one."""
    from ..commands.devices import device_text as text
    from ..vm.boards import find_machine_type

    _machine_type, target = find_machine_type(None if target_name is None else "none", target_name, release)
    return text(type_name, target, release)


def object_text(type_name: str, release: Release) -> str:
    """The object types, or the properties of one."""
    from ..commands.backends import creatable_types_text
    from ..vm.objects import object_types
    from ..vm.types import all_types

    if not type_name:
        return creatable_types_text(object_types(release))
    return _options_text(type_name, all_types(release)[type_name].implementation, release)


def _options_text(title: str, implementation: type[QOMObject], release: Release) -> str:
    from ..commands.backends import options_text

    declared = [found for found in implementation.class_properties(release) if found.setter is not None]
    return options_text(title, [(found.name, found.type_name, found.description) for found in declared])
