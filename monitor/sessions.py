"""The monitors on character devices: QMP for programs, HMP for people; each joins a protocol to a device.

The protocols themselves are in `qmp` and `readline`, what commands do in `dispatch`.
"""

from __future__ import annotations

from .chardevs.device import FrontEnd
from .dispatch import HMPLineError, LateFailure, execute, is_task, run_hmp_line
from .qmp import Answer, QMPSession, Request

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..commands import Context
    from ..commands.limits import Limits
    from ..vm.steps import Cancellation
    from .chardevs.device import Chardev
    from .program import Program


GOES_ON = ("x-exit-preconfig", "exit_preconfig", "migrate")
"""Commands that are not stopped when their client leaves: the machine would have to end, for others too, or goes on."""
PROMPTS_WHILE_WAITING = None, "7.2"
"""The first and the last release that shows a new client a prompt although it waits for what the last one began."""


class Monitor(FrontEnd):
    """A monitor on a character device, for one client after another."""

    def __init__(self, program: Program, chardev: Chardev, limits: Limits | None) -> None:
        self._program = program
        self._chardev = chardev
        self._limits = limits
        self._context: Context | None = None
        """What the present client's commands work on, once it gave one."""
        self._cancellation: Cancellation | None = None
        """Of what runs, where its client's leaving stops it."""

    @property
    def connected(self) -> bool:
        """Whether a client is there."""
        return self._chardev.connected

    def on_drain(self) -> None:
        """The client has read what made us wait."""
        self.pump()

    def pump(self) -> None:
        """Go on with what the client sent, as far as that is possible now."""
        raise NotImplementedError

    def send_event(self, name: str, data: dict[str, Any] | None, seconds: int, microseconds: int) -> None:
        """Tell the client of an event; nothing where events are for QMP."""

    def _own_context(self) -> Context:
        if self._context is None:
            self._context = self._program.new_context()
            self._context.take_descriptor = self._chardev.take_descriptor
            self._context.limits = self._limits
        return self._context


class QMPMonitor(Monitor):
    """QMP on a character device."""

    def __init__(self, program: Program, chardev: Chardev, pretty: bool, limits: Limits | None = None) -> None:
        super().__init__(program, chardev, limits)
        self._pretty = pretty
        self._session = self._new_session()
        self._late_events: tuple[str, ...] = program.release.settings("events").get("after answers", ())
        self._held: list[bytes] | None = None
        """Such events of the command that runs."""
        self._pumping = False

    def _new_session(self) -> QMPSession:
        from ..commands.json_stream import tells_places
        from ..commands.status import PACKAGE

        release = self._program.release
        return QMPSession(release.version, PACKAGE, self._pretty, tells_places(release))

    def on_open(self) -> None:
        """Greet a new client."""
        self._session = self._new_session()
        self._context = None
        self._chardev.write(self._session.greeting())

    def on_data(self, data: bytes) -> None:
        """Take what the client sent; it is worked on once there is a machine."""
        self._session.receive(data)
        self.pump()

    def on_hangup(self) -> None:
        """Nobody waits for the command that runs: stop it."""
        if self._cancellation is not None:
            self._cancellation.requested = True

    def on_close(self) -> None:
        """Forget the client; answers that are still to come go nowhere."""
        self.on_hangup()
        self._session = self._new_session()

    def send_event(self, name: str, data: dict[str, Any] | None, seconds: int, microseconds: int) -> None:
        """Tell the client of an event."""
        event = self._session.event(name, data, seconds, microseconds)
        if event and self._held is not None and name in self._late_events:
            self._held.append(event)
        elif event:
            self._chardev.write(event)

    def pump(self) -> None:
        """Answer all that can be answered now, in order."""
        if self._pumping or not self._program.ready:
            return
        self._pumping = True
        session = self._session
        try:
            while self._program.ready and not self._chardev.congested and session is self._session:
                event = session.next_event()
                if type(event) is Request:
                    self._run(session, event)
                elif type(event) is Answer:
                    self._chardev.write(event.data)
                else:
                    break
        finally:
            self._pumping = False
        if self._chardev.congested or not self._session.wants_data:
            self._chardev.pause_reading()
        else:
            self._chardev.resume_reading()

    def _run(self, session: QMPSession, request: Request) -> None:
        context = self._own_context()
        if request.oob:
            self._run_out_of_band(session, context, request)
            return
        if self._late_events:
            self._held = []
        try:
            result = execute(context, request.command, request.arguments)
        except Exception as error:
            self._answer(session, request, None, error)
            self._let_events_go()
            return
        if is_task(result):
            running = self._program.worker.start(
                result, lambda value, error: self._finish(session, request, value, error)
            )
            self._cancellation = running if session.busy and request.command not in GOES_ON else None
        else:
            self._chardev.write(session.reply(request, result))
        self._let_events_go()

    def _run_out_of_band(self, session: QMPSession, context: Context, request: Request) -> None:
        """Run a command at once, whatever runs and waits in-band; the few that may be run so are no tasks."""
        command = context.contract.find(request.command)
        if command is None:
            self._chardev.write(session.fail_not_found(request))
        elif not command.allow_oob:
            self._chardev.write(session.fail_not_oob(request))
        else:
            try:
                result = execute(context, request.command, request.arguments)
            except Exception as error:
                self._answer(session, request, None, error)
            else:
                self._chardev.write(session.reply(request, result))

    def _let_events_go(self) -> None:
        held, self._held = self._held, None
        for event in held or ():
            self._chardev.write(event)

    def _finish(self, session: QMPSession, request: Request, value: Any, error: Exception | None) -> None:
        if session is self._session:
            self._cancellation = None
        self._answer(session, request, value, error)
        self.pump()

    def _answer(self, session: QMPSession, request: Request, value: Any, error: Exception | None) -> None:
        if error is None:
            data = session.reply(request, value)
        else:
            if self._context is not None and session is self._session:
                self._context.failure = error
            qmp_class, text = self._program.describe_error(error)
            data = session.fail(request, qmp_class, text)
        if session is self._session and self._program.failure is None:
            self._chardev.write(data)


class HMPMonitor(Monitor):
    """HMP with QEMU's line editor on a character device."""

    def __init__(self, program: Program, chardev: Chardev, limits: Limits | None = None) -> None:
        from .readline import Readline

        super().__init__(program, chardev, limits)
        self._readline = Readline(complete=program.complete)
        self._running = False
        self._left = False
        """Whether the client has gone while something runs that goes on."""

    def on_open(self) -> None:
        """Greet a new client."""
        self._context = None
        self._left = False
        from .readline import Readline, banner

        self._chardev.set_echo(False)
        self._readline = Readline(complete=self._program.complete)
        release = self._program.release
        self._chardev.write(banner(release.full_name))
        if not self._running or release.covers(*PROMPTS_WHILE_WAITING):
            self._chardev.write(self._readline.start())

    def on_data(self, data: bytes) -> None:
        """Take what was typed; what a client left behind a command that goes on is dropped, as in QEMU."""
        if self._left:
            return
        self._readline.receive(data)
        self.pump()

    def on_hangup(self) -> None:
        """Nobody waits for the command that runs: stop it, or let the next client come while it goes on."""
        if not self._running:
            return
        if self._cancellation is not None:
            self._cancellation.requested = True
        else:
            self._left = True
            self._chardev.resume_reading()

    def on_close(self) -> None:
        """Forget the client."""
        self.on_hangup()

    def pump(self) -> None:
        """Echo, and run the lines that are complete."""
        while self._readline.has_input and not self._running and self._program.ready and not self._chardev.congested:
            echo, line = self._readline.advance()
            self._chardev.write(echo)
            if line is not None:
                self._run(line)
        if self._running or self._chardev.congested:
            self._chardev.pause_reading()
        else:
            self._chardev.resume_reading()

    def _run(self, line: str) -> None:
        self._running = True
        task = run_hmp_line(self._own_context(), line)
        running = self._program.worker.start(task, self._finish)
        self._cancellation = None if _name(line) in GOES_ON else running

    def _finish(self, text: str | None, error: Exception | None) -> None:
        from .readline import to_terminal

        self._running = False
        if self._program.failure is not None:
            return
        if error is not None:
            text = self._error_text(error)
        self._chardev.write(to_terminal(text or ""))
        if not self._program.ending:
            self._chardev.write(self._readline.start())
            self.pump()

    def _error_text(self, error: Exception) -> str:
        """What is printed here of an error."""
        if self._context is not None:
            self._context.failure = error
        if isinstance(error, LateFailure):
            if error.reason:
                self._program.warn(error.reason)
            return ""
        if isinstance(error, HMPLineError):
            return str(error)
        return f"Error: {self._program.describe_error(error)[1]}\n"


def _name(line: str) -> str:
    return "".join(line.split(maxsplit=1)[:1])
