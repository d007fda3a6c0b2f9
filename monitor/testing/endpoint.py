"""A live QMP endpoint for a test: a ramslot, a real QEMU, a socket that is there, or a recording."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Self, Unpack

from ..loop import Loop
from .commands import Commands
from .control import Control, EndpointError
from .faults import Details, Fault, Kind
from .filter import FaultFilter, command_name
from .processes import Process, starter
from .proxy import Proxy
from .recording import Recorder, read_recording
from .replay import LooseReplay, Replay, StrictReplay

QUIET = ("-display", "none", "-nodefaults")
"""What every started endpoint is given: no devices that nobody asked for."""
CONTROL_FD, CLIENTS_FD = 100, 101
"""Descriptors of a started endpoint: its honest client, and where it listens for the others."""


class Endpoint:
    """A socket that QMP clients connect to, and what is between it and the server. Ends with its `with`."""

    def __init__(self, record: str | os.PathLike[str] | None = None) -> None:
        self._recorder: Recorder | None = None
        if record is not None:
            self._recorder = Recorder(open(record, "w", encoding="utf-8"))  # noqa: SIM115 - `close` closes it
        self.sent: list[Any] = []
        """What clients sent, in order: each command as the object that it is; a text where it is no object."""
        self._folder = tempfile.mkdtemp(prefix="ramslot-")
        self.socket_path = os.path.join(self._folder, "qmp.sock")
        """The unix socket for clients."""
        self._filter = FaultFilter(self._observe)
        self._proxy: Proxy | None = None

    @property
    def address(self) -> str:
        """The socket as QEMU and libvirt write it: ``unix:PATH``."""
        return f"unix:{self.socket_path}"

    @property
    def commands(self) -> list[str]:
        """The names of the commands that clients sent, in order."""
        return [name for message in self.sent if (name := command_name(message)) is not None]

    def fault(self, kind: Kind, command: str | None = None, **details: Unpack[Details]) -> Fault:
        """Set a `Fault`; from now on commands are counted for it."""
        fault = Fault(kind, command, **details)
        if self._proxy is None:
            self._filter.add(fault)
        else:
            self._proxy.call(self._filter.add, fault)
        return fault

    def assert_sent(self, command: str, **arguments: Any) -> dict[str, Any]:
        """Return the last `command` that a client sent with (at least) these arguments, ``_`` standing for ``-``.

        :raise AssertionError: there is none; the text says what was sent.
        """
        wanted = {name.replace("_", "-"): value for name, value in arguments.items()}
        for message in reversed(self.sent):
            given = message.get("arguments", {}) if command_name(message) == command else None
            if isinstance(given, dict) and {**given, **wanted} == given:
                found: dict[str, Any] = message
                return found
        listed = "".join(f"\n  {message}" for message in self.sent) or " nothing"
        raise AssertionError(f"{command} with {wanted} was not sent, but{listed}")

    def close(self) -> None:
        """End it: clients are hung up on, nothing is left. Allowed more than once.

        :raise EndpointError: something failed here.
        """
        errors = []
        # Clients first: what the server says at its own end is nothing of theirs.
        if self._proxy is not None:
            self._proxy.close()
            errors, self._proxy.errors = self._proxy.errors, []
        self._end_server()
        if self._recorder is not None:
            self._recorder.close()
        shutil.rmtree(self._folder, ignore_errors=True)
        if errors:
            raise EndpointError("the proxy failed") from errors[0]

    def _end_server(self) -> None:
        """Release what clients were connected to."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: object, traceback: TracebackType | None) -> None:
        self.close()

    def _serve(self, connect: Callable[[Loop], socket.socket]) -> None:
        self._proxy = Proxy(self.socket_path, connect, self._filter)

    def _observe(self, kind: str, message: Any) -> None:
        if kind == "client":
            self.sent.append(message)
        if self._recorder is not None:
            self._recorder(kind, message)


class AttachedEndpoint(Endpoint):
    """In front of a server that is there already, on a unix socket."""

    def __init__(self, path: str | os.PathLike[str], record: str | os.PathLike[str] | None = None) -> None:
        super().__init__(record)
        self._serve(lambda _loop: _connected(os.fspath(path)))


class StartedEndpoint(Endpoint):
    """In front of a machine that was started for it, with a second monitor to look at it from behind."""

    def __init__(
        self,
        arguments: Sequence[str] = (),
        *,
        qemu: str | None = None,
        program: str | None = None,
        record: str | os.PathLike[str] | None = None,
        folder: str | os.PathLike[str] | None = None,
    ) -> None:
        super().__init__(record)
        self._process: Process | None = None
        self._control: Control | None = None
        self._errors = open(os.path.join(self._folder, "stderr"), "w+b")  # noqa: SIM115 - `close` closes it
        try:
            self._start(program, qemu, arguments, os.getcwd() if folder is None else os.fspath(folder))
        except BaseException:
            self.close()
            raise

    def _start(self, program: str | None, qemu: str | None, arguments: Sequence[str], folder: str) -> None:
        path = os.path.join(self._folder, "server.sock")
        own, its = socket.socketpair()
        with its, socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path)
            listener.listen()
            errors = self._errors.fileno()
            files = [(errors, 1), (errors, 2), (its.fileno(), CONTROL_FD), (listener.fileno(), CLIENTS_FD)]
            version = () if program is not None or qemu is None else ("--qemu", qemu)
            options = [*version, *QUIET, *_MONITORS, *arguments]
            self._process = starter.start(program, options, files, folder, self._folder)
        try:
            self._control = Control(own)
        except EndpointError:
            own.close()
            self._process.ended(1)
            raise EndpointError(f"the endpoint did not start: {self.stderr.strip() or 'it said nothing'}") from None
        self._serve(lambda _loop: _connected(path))

    @property
    def control(self) -> Control:
        """The honest client."""
        if self._control is None:
            raise EndpointError("the endpoint is closed")
        return self._control

    @property
    def version(self) -> str:
        """The QEMU that it says it is, with the micro number."""
        number = self.control.greeting["version"]["qemu"]
        return f"{number['major']}.{number['minor']}.{number['micro']}"

    @property
    def pid(self) -> int:
        """The number of its process."""
        if self._process is None:
            raise EndpointError("the endpoint is closed")
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether its process is there still."""
        return self._process is not None and not self._process.ended()

    @property
    def stderr(self) -> str:
        """What it has said on stdout and stderr so far."""
        self._errors.seek(0)
        return self._errors.read().decode(errors="replace")

    @property
    def events(self) -> list[dict[str, Any]]:
        """All events so far, as the honest client was told of them."""
        self.control.poll_events()
        return list(self.control.events)

    def _seen_event(self, name: str, deadline: float) -> dict[str, Any] | None:
        """The last event of a name, None as long as one may come.

        :raise EndpointError: none will.
        """
        running = self.running
        for event in reversed(self.events):
            if event["event"] == name:
                found: dict[str, Any] = event
                return found
        if not running or time.monotonic() >= deadline:
            raise EndpointError(f"no event {name} came")
        return None

    def _end_server(self) -> None:
        if self._process is not None:
            self._process.end()
        if self._control is not None:
            self._control.close()
        self._errors.close()
        self._process = self._control = None


class MachineEndpoint(Commands, StartedEndpoint):
    """A started machine, the second monitor's commands being its methods, such as `query_ramblocks`, and `execute`."""

    def execute(self, command: str, arguments: dict[str, Any] | None = None) -> Any:
        """Ask from behind: through no proxy, past all faults, and not in `sent`.

        :raise CommandError: the command is refused.
        """
        return self.control.execute(command, arguments)

    def wait_event(self, name: str, timeout: float = 10.0) -> dict[str, Any]:
        """Return the last event of a name, waiting for one if there was none.

        :raise EndpointError: none came within `timeout` seconds.
        """
        deadline = time.monotonic() + timeout
        while (event := self._seen_event(name, deadline)) is None:
            self.control.poll_events(min(max(deadline - time.monotonic(), 0), 0.1))
        return event


class ReplayEndpoint(Endpoint):
    """In front of a recording; if it is strict, `with` ends in an `EndpointError` where clients did something else."""

    def __init__(self, path: str | os.PathLike[str], strict: bool = True) -> None:
        super().__init__()
        self._server: _ReplayServer | None = None
        try:
            with open(path, encoding="utf-8") as file:
                steps = read_recording(file, os.fspath(path))
            self._strict = strict
            self._replay: Replay = (StrictReplay if strict else LooseReplay)(steps)
            self._server = _ReplayServer(self._replay)
            self._serve(self._server.connect)
        except BaseException:
            self.close()
            raise

    @property
    def mismatches(self) -> list[str]:
        """What clients did that the recording does not have."""
        return list(self._replay.mismatches)

    def check(self) -> None:
        """Raise `EndpointError` where clients did something else than in the recording, or not all of it."""
        if self.mismatches:
            raise EndpointError("; ".join(self.mismatches))
        if self._strict and self._replay.missing:
            raise EndpointError(f"the client did not send {self._replay.missing}, which it does in the recording")

    def _end_server(self) -> None:
        if self._server is not None:
            self._server.close()

    def __exit__(self, kind: type[BaseException] | None, value: object, traceback: TracebackType | None) -> None:
        super().__exit__(kind, value, traceback)
        if kind is None and self._strict:
            self.check()


_MONITORS = (
    "-chardev",
    f"socket,id=ramslot-control,fd={CONTROL_FD}",
    "-qmp",
    "chardev:ramslot-control",
    "-chardev",
    f"socket,id=ramslot-clients,fd={CLIENTS_FD},server=on,wait=off",
    "-qmp",
    "chardev:ramslot-clients",
)


def _connected(path: str) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(path)
    except OSError:
        connection.close()
        raise
    return connection


class _ReplayServer:
    """Serves a replay to one connection after another, on the proxy's loop."""

    def __init__(self, replay: Replay) -> None:
        self._replay = replay
        self._connection: socket.socket | None = None
        self._unsent = b""

    def connect(self, loop: Loop) -> socket.socket:
        """The other end of a new connection."""
        self.close()
        self._connection, its = socket.socketpair()
        self._connection.setblocking(False)
        self._unsent = self._replay.connect()
        self._pump(loop)
        return its

    def close(self) -> None:
        """End the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _on_readable(self, loop: Loop) -> None:
        assert self._connection is not None
        try:
            data = self._connection.recv(1 << 16)
        except BlockingIOError:
            return
        self._unsent += self._replay.receive(data)
        self._pump(loop, ended=not data)

    def _pump(self, loop: Loop, ended: bool = False) -> None:
        assert self._connection is not None
        try:
            while self._unsent:
                self._unsent = self._unsent[self._connection.send(self._unsent) :]
        except BlockingIOError:
            pass
        except OSError:
            ended = True
        if ended or (self._replay.hanging_up and not self._unsent):
            loop.unwatch(self._connection.fileno())
            self.close()
        else:
            on_writable = (lambda: self._pump(loop)) if self._unsent else None
            loop.watch(self._connection.fileno(), lambda: self._on_readable(loop), on_writable)


endpoint = MachineEndpoint
attach = AttachedEndpoint
replay = ReplayEndpoint
