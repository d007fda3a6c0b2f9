"""What can be asked of a virtual machine: one module per subject, named as the schema's document.

A command `query-memdev` of the subject `backends` is the function `query_memdev` in `backends.py`: it takes the context
and the checked arguments and returns a value for JSON, or a task (see `vm.steps`) that will. The HMP commands of a
subject stand beside its handlers in `HMP`.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, Protocol, TypeAlias

    from ..schema import Contract
    from ..vm.compat.contract import Contract as MemoryContract
    from ..vm.errors import VMError
    from ..vm.machine import VirtualMachine
    from ..vm.releases import Release
    from ..vm.steps import Task
    from .hmp import HMPCommand
    from .limits import Limits

    Arguments: TypeAlias = dict[str, Any]
    Handler: TypeAlias = Callable[["Context", Arguments], Any]

    class Chardev(Protocol):
        """What handlers need of a character device."""

        @property
        def filename(self) -> str:
            """What it is connected to, as QEMU writes it."""

        @property
        def in_use(self) -> bool:
            """Whether it has a user, such as a monitor."""

    class Program(Protocol):
        """What handlers need of the program around the machine."""

        @property
        def chardevs(self) -> Mapping[str, Chardev]:
            """The character devices by their ids."""

        @property
        def chardev_kinds(self) -> tuple[str, ...]:
            """Names of the kinds of character devices there are."""

        def remove_chardev(self, name: str) -> None:
            """Close a character device that nothing uses."""

        @property
        def ending(self) -> bool:
            """Whether the program was told to end."""

        def shut_down(self, reason: str) -> None:
            """End the program, once the present command was answered."""

        def fail(self, error: VMError) -> None:
            """End the program at once, with no answer, for `error` keeps the machine from being made."""

        def start_task(self, task: Task[Any]) -> None:
            """Carry out a task that nobody waits for."""

        def show_progress_of(self, work: object, describe: Callable[[], dict[str, Any]]) -> None:
            """Show people how far some slow work is, until `end_progress_of` it; see `monitor.progress`."""

        def end_progress_of(self, work: object) -> None:
            """Show no more of it."""

        def run_hmp(self, context: Context, line: str) -> Task[str]:
            """Run an HMP line for a program, which does not wait, and return what it prints."""

        def read_contract(self, text: str, version: str | None) -> MemoryContract:
            """What another machine promises of its memory, told as `ramslot compat` takes it; raises `VMError`."""


class Context:
    """What a handler works on; each client has its own."""

    __slots__ = ("contract", "failure", "limits", "program", "take_descriptor", "texts", "vm")

    def __init__(self, vm: VirtualMachine, program: Program) -> None:
        from ..schema import contract

        self.vm = vm
        self.program = program
        self.failure: Exception | None = None
        """The client's last command that failed did so for this."""
        self.limits: Limits | None = None
        """What the client may not do, if anything."""
        self.take_descriptor: Callable[[], int | None] = lambda: None
        """A descriptor that the client sent along, from then on the caller's."""
        self.texts: dict[str, tuple[object, str]] = {}
        """What HMP lines printed that print the same as long as something is: that, and the text."""
        self.contract: Contract = contract(vm.release.number)
        """What can be asked of this release, and how it is answered."""

    def answer(self, command: str, described: dict[str, Any]) -> dict[str, Any]:
        """What `command` tells of a thing in this release: the members that it declares."""
        told = self.contract.answered(command)
        return {name: value for name, value in described.items() if name in told}


def handler(subject: str, name: str) -> Handler:
    """The function that carries out the command `name`."""
    from ..vm.loading import load

    module = load(f"{__name__}.{subject}")
    return getattr(module, name.replace("-", "_"))  # type: ignore[no-any-return]  # named so by the rule above


def available_hmp_commands(vm: VirtualMachine) -> dict[str, HMPCommand]:
    """The HMP commands that can be used now: before the board is made (`-preconfig`) there are few."""
    return {name: command for name, command in hmp_commands(vm.release).items() if vm.initialized or command.preconfig}


_hmp_commands: dict[Release, dict[str, HMPCommand]] = {}


def hmp_commands(release: Release) -> dict[str, HMPCommand]:
    """All HMP commands of a release by name and by alias."""
    if release not in _hmp_commands:
        _hmp_commands[release] = _find_hmp_commands(release)
    return _hmp_commands[release]


def _find_hmp_commands(release: Release) -> dict[str, HMPCommand]:
    from ..schema.documents import SUBJECTS
    from ..vm.loading import load

    found = {}
    for subject in SUBJECTS[1:]:  # there is no module of the builtin types
        for command in getattr(load(f"{__name__}.{subject}"), "HMP", ()):
            if release.covers(command.since, command.until):
                for name in (command.name, *command.aliases):
                    found[name] = command
    return found
