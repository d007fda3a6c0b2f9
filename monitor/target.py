"""What a script or the console drives: our own machine (`Program`), or one elsewhere that is attached to."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from typing import Any, Protocol

    from ..vm.steps import Task
    from .loop import Loop
    from .worker import Worker

    class Target(Protocol):
        """Takes HMP lines and QMP requests."""

        @property
        def ending(self) -> bool:
            """Whether the session is to end."""

        @property
        def loop(self) -> Loop:
            """The loop that everything is served by."""

        @property
        def worker(self) -> Worker:
            """What runs the tasks of commands."""

        def run_line(self, line: str) -> Task[str]:
            """Run an HMP line and return what it prints; raises `HMPLineError`."""

        def run_command(self, name: str, arguments: dict[str, Any]) -> Any:
            """Run a QMP command: its result, or a task that will have it. Raises `VMError`."""

        def line_as_json(self, line: str) -> Task[Any]:
            """Run the QMP command that an HMP line stands for and return its value; raises `HMPLineError`."""

        def has_request(self, name: str) -> bool:
            """Whether there is a QMP command of this name."""

        def line_names(self, *, now: bool = False) -> Collection[str]:
            """The HMP commands there are, `info` ones with both words; `now` leaves out what cannot be used yet."""

        def silent_command(self, line: str) -> str | None:
            """The name of an HMP line's command if it prints nothing; raises `HMPLineError` where there is none."""

        def example(self, topic: str) -> str:
            """A line with this HMP command; empty where there is none."""

        def describe_error(self, error: Exception) -> tuple[str, str]:
            """QMP class and text of any error."""

        def remedy_of(self, error: Exception) -> str | None:
            """What would help after a command failed, if anything is known."""

        def warn(self, text: str) -> None:
            """A line on stderr, after the program's name."""

        def finish_migration(self) -> str | None:
            """See a migration through that the end would stop; why it failed, if it did."""

    class ConsoleTarget(Target, Protocol):
        """What a person is at the prompt of."""

        show_progress: Callable[[str], object] | None
        """Where the progress of slow work is shown."""

        def shut_down(self, reason: str) -> None:
            """End it, once the present command was answered."""
