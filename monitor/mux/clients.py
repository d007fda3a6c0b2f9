"""The clients of a mux: each has a greeting, a negotiation and ids of its own, and what its socket may do.

A client waits for its own answers only. One that asks and does not read is not read from; one that leaves too many
events unread is dropped (`chardevs.device`), and one that dies leaves a reply that nobody gets.
"""

from __future__ import annotations

from ...commands.json_output import encode
from ...vm.errors import VMError
from ..attach.access import check_request
from ..attach.client import Client, ReplyError, result_of
from ..chardevs.addresses import listening_name
from ..chardevs.device import Chardev, FrontEnd
from ..chardevs.sockets import ServerChardev, SocketChardev
from ..qmp import Answer, QMPSession, Request

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket
    from collections.abc import Callable
    from typing import Any

    from ..chardevs.options import ChardevOptions
    from ..loop import Loop

TAKES_DESCRIPTOR = ("getfd", "add-fd")
"""Commands that a descriptor is sent along with."""
NO_DESCRIPTORS = "a descriptor cannot be passed on: QEMU's monitor is at a TCP address"


class AcceptedChardev(SocketChardev):
    """A connection of one client."""

    def __init__(self, loop: Loop, options: ChardevOptions, connection: socket) -> None:
        self._accepted = connection
        super().__init__(loop, options)

    def _start(self) -> None:
        self._take(self._accepted)


class SharedServer(ServerChardev):
    """A listening socket for any number of clients; `on_client` is given a device for each."""

    def __init__(self, loop: Loop, options: ChardevOptions, on_client: Callable[[Chardev], object]) -> None:
        super().__init__(loop, options)
        self._on_accepted = on_client

    @property
    def place(self) -> str:
        """Where it listens, with the port that it got."""
        assert self._listener is not None, "it listens"
        return listening_name(self._listener, self._options)

    def _take(self, connection: socket) -> None:
        self._on_accepted(AcceptedChardev(self._loop, self._options, connection))
        self._watch_listener()


class MuxClient(FrontEnd):
    """One client: its requests go to QEMU, if it may ask them, and the answers back under its ids."""

    def __init__(self, mux: Mux, chardev: Chardev, *, read_only: bool) -> None:
        self._mux = mux
        self._chardev = chardev
        self._read_only = read_only
        self._session: QMPSession | None = mux.new_session()
        self._pumping = False

    def on_open(self) -> None:
        """Greet as QEMU did."""
        self._chardev.write(self._mux.greeting)

    def on_data(self, data: bytes) -> None:
        """Take what the client sent."""
        if self._session is not None:
            self._session.receive(data)
            self.pump()

    def on_drain(self) -> None:
        """The client has read what made us wait."""
        self.pump()

    def on_hangup(self) -> None:
        """It has gone while we did not read from it: nothing of it is wanted any more."""
        self._chardev.close()

    def on_close(self) -> None:
        """Forget the client; replies that are still to come are nobody's."""
        self._session = None
        self._mux.leave(self)

    def close(self) -> None:
        """End the connection, what was written being sent before."""
        self._chardev.close()

    def tell_event(self, event: bytes) -> None:
        """Tell of an event, once the client has negotiated."""
        if self._session is not None and self._session.negotiated:
            self._chardev.write(event)

    def pump(self) -> None:
        """Do all that can be done now, in order."""
        if self._pumping:
            return
        self._pumping = True
        try:
            while self._session is not None and not self._chardev.congested:
                event = self._session.next_event()
                if isinstance(event, Request):
                    self._ask(self._session, event)
                elif isinstance(event, Answer):
                    self._chardev.write(event.data)
                else:
                    break
        finally:
            self._pumping = False
        if self._session is None:
            return
        if self._chardev.congested or not self._session.wants_data:
            self._chardev.pause_reading()
        else:
            self._chardev.resume_reading()

    def _ask(self, session: QMPSession, request: Request) -> None:
        if request.oob and not self._mux.upstream.has_oob:
            self._chardev.write(session.fail_not_oob(request))
            return
        descriptors: list[int] = []
        try:
            if self._read_only:
                check_request(request.command, request.arguments)
            if request.command in TAKES_DESCRIPTOR:
                descriptors = self._take_descriptor()
        except VMError as error:
            self._chardev.write(session.fail(request, error.qmp_class, str(error)))
            return
        told: dict[str, Any] = {"exec-oob" if request.oob else "execute": request.command}
        if request.arguments:
            told["arguments"] = request.arguments
        self._mux.upstream.send(told, lambda reply: self._answer(session, request, reply), descriptors)

    def _take_descriptor(self) -> list[int]:
        fd = self._chardev.take_descriptor()
        if fd is None:
            return []
        if not self._mux.upstream.passes_descriptors:
            from os import close

            close(fd)
            raise VMError(NO_DESCRIPTORS)
        return [fd]

    def _answer(self, session: QMPSession, request: Request, reply: dict[str, Any]) -> None:
        if session is not self._session or self._mux.ended:
            return
        try:
            data = session.reply(request, result_of(reply))
        except ReplyError as error:
            data = session.fail(request, error.qmp_class, str(error))
        self._chardev.write(data)
        self.pump()


class Mux:
    """Joins a connection to QEMU with any number of listeners. `on_end` is called when QEMU has gone."""

    def __init__(self, upstream: Client, new_session: Callable[[], QMPSession], on_end: Callable[[], object]) -> None:
        self.upstream = upstream
        self.new_session = new_session
        self.greeting = encode({"QMP": upstream.greeting})
        self.ended = False
        self._on_end = on_end
        self._clients: list[MuxClient] = []
        self._servers: list[SharedServer] = []
        upstream.on_event = self._tell_event
        upstream.on_end = self._end

    def listen(self, options: ChardevOptions, *, read_only: bool) -> str:
        """Serve clients at another place, from now on; its address. Raises `ChardevError`."""

        def join(chardev: Chardev) -> None:
            client = MuxClient(self, chardev, read_only=read_only)
            self._clients.append(client)
            chardev.attach(client)

        server = SharedServer(self.upstream.loop, options, join)
        self._servers.append(server)
        server.attach(FrontEnd())
        return server.place

    def leave(self, client: MuxClient) -> None:
        """Forget a client that has gone."""
        if client in self._clients:
            self._clients.remove(client)

    def close(self) -> None:
        """End all connections and listen no more."""
        self.ended = True
        for server in self._servers:
            server.close()
        for client in list(self._clients):
            client.close()
        self.upstream.close()

    def _tell_event(self, message: dict[str, Any]) -> None:
        event = encode(message)
        for client in list(self._clients):
            client.tell_event(event)

    def _end(self) -> None:
        self.close()
        self._on_end()
