"""The machine of this program as a target of scripts and the console."""

from __future__ import annotations

from ..commands import available_hmp_commands, hmp_commands
from ..commands.remedies import remedy
from .dispatch import ask_as_json, execute, find_command, run_hmp_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from typing import Any

    from ..vm.steps import Task
    from .program import Program


class OwnMachine:
    """See `target.ConsoleTarget`. The machine must stand."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.loop = program.loop
        self.worker = program.worker
        self._context = program.context

    @property
    def ending(self) -> bool:
        """Whether the program was told to end."""
        return self.program.ending

    @property
    def show_progress(self) -> Callable[[str], object] | None:
        """Where the progress of slow work is shown."""
        return self.program.show_progress

    @show_progress.setter
    def show_progress(self, show: Callable[[str], object] | None) -> None:
        self.program.show_progress = show

    def run_line(self, line: str) -> Task[str]:
        """Run an HMP line and return what it prints; raises `HMPLineError`."""
        return run_hmp_line(self._context, line)

    def run_command(self, name: str, arguments: dict[str, Any]) -> Any:
        """Run a QMP command: its result, or a task that will have it. Raises `VMError`."""
        return execute(self._context, name, arguments)

    def line_as_json(self, line: str) -> Task[Any]:
        """Run the QMP command that an HMP line stands for; raises `HMPLineError`."""
        return ask_as_json(self._context, line)

    def has_request(self, name: str) -> bool:
        """Whether there is a QMP command of this name."""
        return self._context.contract.find(name) is not None

    def line_names(self, *, now: bool = False) -> Collection[str]:
        """The HMP commands of this release; `now` leaves out what cannot be used before the machine is made."""
        return available_hmp_commands(self._context.vm) if now else hmp_commands(self.program.release)

    def silent_command(self, line: str) -> str | None:
        """The name of an HMP line's command if it prints nothing; raises `HMPLineError` where there is none."""
        name, _rest, command = find_command(self._context, line)
        return None if command.prints else name

    def example(self, topic: str) -> str:
        """A line with this HMP command."""
        return find_command(self._context, topic)[2].example

    def describe_error(self, error: Exception) -> tuple[str, str]:
        """QMP class and text of any error."""
        return self.program.describe_error(error)

    def remedy_of(self, error: Exception) -> str | None:
        """What would help after a command failed, if anything is known."""
        self._context.failure = error
        return remedy(str(error), getattr(error, "hint", None), self.program.settings.config)

    def warn(self, text: str) -> None:
        """A line on stderr, after the program's name."""
        self.program.warn(text)

    def finish_migration(self) -> str | None:
        """See a migration through that our end would stop; why it failed, if it did."""
        vm = self._context.vm
        if not vm.is_migrating:
            return None
        while vm.is_migrating and not self.loop.stopping:
            self.loop.run_once()
        return vm.migration.error if vm.migration.status == "failed" else None

    def shut_down(self, reason: str) -> None:
        """End the program, once the present command was answered."""
        self.program.shut_down(reason)
