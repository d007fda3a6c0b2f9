"""What the prompt is about: its words, what completes them, what the bar below tells, and which events come."""

from __future__ import annotations

from ...commands import hmp_commands
from ...commands.json_stream import tells_places
from ...commands.status import PACKAGE
from ..qmp import QMPSession
from .completer import ConsoleCompleter
from .status_bar import status_bar
from .suggestions import did_you_mean, did_you_mean_within

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, Protocol, TypeAlias

    from prompt_toolkit.completion import Completer
    from prompt_toolkit.formatted_text import StyleAndTextTuples

    from ..lines.session import LineSession
    from ..program import Program

    OnEvent: TypeAlias = Callable[[str, dict[str, Any] | None], None]

    class Subject(Protocol):
        """Told from the machine that commands go to (`monitor.target`), for it needs the console's libraries."""

        prompt: str
        tips: str
        farewell: str
        """The event after which nothing comes, shown once the prompt is gone; there may be none."""

        @property
        def names(self) -> Iterable[str]:
            """The HMP commands, `info` ones with both words."""

        def completer_of(self, lines: LineSession) -> Completer:
            """What completes a line of a session."""

        def status_bar(self) -> StyleAndTextTuples:
            """The line below the prompt."""

        def suggestion(self, line: str, error: str, aliases: Iterable[str]) -> str | None:
            """What was probably meant by a line that was refused."""

        def new_session(self) -> QMPSession:
            """What cuts typed JSON into requests, and spells answers."""

        def watch_events(self, on_event: OnEvent) -> None:
            """Call back with the name and the data of each event."""

        def ignore_events(self, on_event: OnEvent) -> None:
            """Do so no more."""


class OwnSubject:
    """The machine of this program."""

    prompt = "(ramslot) "
    tips = 'Tab completes, Ctrl-R searches what was typed before, {"execute": …} speaks QMP, Ctrl-D quits'
    farewell = "SHUTDOWN"

    def __init__(self, program: Program) -> None:
        self._program = program
        self.names = hmp_commands(program.release)

    def status_bar(self) -> StyleAndTextTuples:
        """See `Subject`."""
        return status_bar(self._program)

    def completer_of(self, lines: LineSession) -> ConsoleCompleter:
        """See `Subject`."""
        return ConsoleCompleter(self._program, lines)

    def suggestion(self, line: str, error: str, aliases: Iterable[str]) -> str | None:
        """See `Subject`."""
        vm = self._program.vm
        assert vm is not None
        return did_you_mean(vm.release, line, aliases) or did_you_mean_within(vm, line, error)

    def new_session(self) -> QMPSession:
        """See `Subject`."""
        release = self._program.release
        return QMPSession(release.version, PACKAGE, pretty=True, places=tells_places(release))

    def watch_events(self, on_event: OnEvent) -> None:
        """See `Subject`."""
        assert self._program.vm is not None
        self._program.vm.observers.append(on_event)

    def ignore_events(self, on_event: OnEvent) -> None:
        """See `Subject`."""
        assert self._program.vm is not None
        self._program.vm.observers.remove(on_event)
