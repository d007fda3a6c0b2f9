"""The socket that clients connect to, and the thread that carries bytes between them and a server, through a filter."""

from __future__ import annotations

import array
import fcntl
import os
import socket
import termios
import threading
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from ..loop import Loop
from .filter import Action, Drain, FaultFilter, Send, Side, Wait

_READ_SIZE = 1 << 16
_MOST_DESCRIPTORS = 16
_BACKLOG = 16
_DRAIN_CHECK = 0.0005
_DRAIN_PATIENCE = 1.0
"""Seconds for which the rest waits for a client that does not read."""


class _Lane:
    """What goes to one side of a connection, in its order."""

    def __init__(self, connection: _Connection, target: socket.socket) -> None:
        self._connection = connection
        self._loop = connection.loop
        self.target = target
        self._actions: deque[Action] = deque()
        self._descriptors: list[int] = []
        self._waiting = False
        self._drain_waited = 0.0
        self.broken = False

    @property
    def idle(self) -> bool:
        """Whether nothing is left to be sent."""
        return not self._actions

    def put(self, actions: Iterable[Action], descriptors: Iterable[int] = ()) -> None:
        """Add actions, and descriptors to go along with the next bytes."""
        self._actions += actions
        self._descriptors += descriptors

    def pump(self) -> None:
        """Carry out all that can be carried out now."""
        while self._actions and not self._waiting and not self._connection.closed:
            action = self._actions[0]
            if isinstance(action, Send):
                rest = self._send(action.data)
                if rest:
                    self._actions[0] = Send(action.to, rest)
                    break
                self._actions.popleft()
            elif isinstance(action, Drain):
                if not self._drained():
                    self._pause(_DRAIN_CHECK)
                    break
                self._actions.popleft()
            else:
                self._actions.popleft()
                if isinstance(action, Wait):
                    self._pause(action.seconds)
                else:
                    self._connection.close()

    def release(self) -> None:
        """Drop all that is left."""
        self._actions.clear()
        for fd in self._descriptors:
            os.close(fd)
        self._descriptors = []
        self.target.close()

    def _send(self, data: bytes) -> bytes:
        """Send what can be sent; what is left."""
        try:
            while data:
                if self._descriptors:
                    sent = socket.send_fds(self.target, [data], self._descriptors)
                    for fd in self._descriptors:
                        os.close(fd)
                    self._descriptors = []
                else:
                    sent = self.target.send(data)
                data = data[sent:]
        except BlockingIOError:
            return data
        except OSError:
            self.broken = True  # it has gone: its own end of the connection says so in a moment
            return b""
        return data

    def _drained(self) -> bool:
        unread = array.array("i", [0])
        fcntl.ioctl(self.target, termios.TIOCOUTQ, unread)
        self._drain_waited += _DRAIN_CHECK
        if unread[0] and not self.broken and self._drain_waited < _DRAIN_PATIENCE:
            return False
        self._drain_waited = 0.0
        return True

    def _pause(self, seconds: float) -> None:
        self._waiting = True
        self._loop.call_later(seconds, self._go_on)

    def _go_on(self) -> None:
        self._waiting = False
        if not self._connection.closed:
            self._connection.pump()

    @property
    def blocked(self) -> bool:
        """Whether the other end has to read first."""
        return bool(self._actions) and not self._waiting and isinstance(self._actions[0], Send)


class _Connection:
    """One client and its connection to the server."""

    def __init__(self, proxy: Proxy, client: socket.socket, server: socket.socket) -> None:
        self.loop = proxy.loop
        self.closed = False
        self._proxy = proxy
        self._filter = proxy.filter
        self._lanes: dict[Side, _Lane] = {"client": _Lane(self, client), "server": _Lane(self, server)}
        self._client_gone = False
        client.setblocking(False)
        server.setblocking(False)
        self._filter.connected()
        self.pump()

    def pump(self) -> None:
        """Send what can be sent, and watch for what is needed next."""
        for lane in self._lanes.values():
            lane.pump()
        if not self.closed and self._client_gone and self._lanes["server"].idle:
            self.close()
        if self.closed:
            return
        client, server = self._lanes["client"], self._lanes["server"]
        self._watch(client, None if self._client_gone or not server.idle else self._on_client)
        self._watch(server, self._on_server if client.idle else None)

    def _watch(self, lane: _Lane, on_readable: Callable[[], object] | None) -> None:
        self.loop.watch(lane.target.fileno(), on_readable, self.pump if lane.blocked else None)

    def _on_client(self) -> None:
        data, descriptors = self._receive(self._lanes["client"].target)
        if data is None:
            return
        self._client_gone = not data
        self._carry_out(self._filter.from_client(data) if data else self._filter.client_gone(), descriptors)

    def _on_server(self) -> None:
        data, _descriptors = self._receive(self._lanes["server"].target)
        if data is not None:
            self._carry_out(self._filter.from_server(data) if data else self._filter.server_gone())

    def _receive(self, source: socket.socket) -> tuple[bytes | None, list[int]]:
        """What there is, nothing at the end, None where nothing has come yet."""
        try:
            data, descriptors, _flags, _address = socket.recv_fds(source, _READ_SIZE, _MOST_DESCRIPTORS)
        except BlockingIOError:
            return None, []
        except OSError:
            return b"", []
        return data, descriptors

    def _carry_out(self, actions: list[Action], descriptors: Iterable[int] = ()) -> None:
        self._lanes["client"].put(action for action in actions if action.to == "client")
        self._lanes["server"].put((action for action in actions if action.to == "server"), descriptors)
        self.pump()

    def close(self) -> None:
        """End both sides."""
        if self.closed:
            return
        self.closed = True
        self._filter.client_gone()
        for lane in self._lanes.values():
            self.loop.unwatch(lane.target.fileno())
            lane.release()
        self._proxy.on_end()


class Proxy:
    """Listens at `path`, for one client at a time as QEMU does, each with a connection that `connect` makes.

    :raise OSError: `path` cannot be listened on.
    """

    def __init__(self, path: str, connect: Callable[[Loop], socket.socket], filter_: FaultFilter) -> None:
        self.path = path
        self.filter = filter_
        self.errors: list[Exception] = []
        """What went wrong in the thread: defects, not faults."""
        self._connect = connect
        self._connection: _Connection | None = None
        self._waiting: deque[socket.socket] = deque()
        """Clients that were not refused and have to wait."""
        self._listener = socket.socket(socket.AF_UNIX)
        try:
            os.fchmod(self._listener.fileno(), 0o600)
            self._listener.bind(path)
            self._listener.listen(_BACKLOG)
            self._listener.setblocking(False)
        except OSError:
            self._listener.close()
            raise
        self.loop = Loop(self.errors.append)
        self._watch_listener()
        self._thread = threading.Thread(target=self.loop.run, name=f"endpoint {path}", daemon=True)
        self._thread.start()

    def call(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Call a function on the proxy's thread, and wait for its end."""
        if threading.current_thread() is self._thread or not self._thread.is_alive():
            function(*arguments)
            return
        done = threading.Event()

        def run() -> None:
            try:
                function(*arguments)
                self._watch_listener()
            finally:
                done.set()

        self.loop.call_threadsafe(run)
        done.wait()

    def close(self) -> None:
        """End the client's connection, the thread, and the socket. Allowed more than once."""
        if not self._thread.is_alive():
            return
        self.call(self._end)
        self._thread.join()
        self.loop.close()
        if os.path.exists(self.path):
            os.unlink(self.path)

    def on_end(self) -> None:
        """The client's connection has ended: the next may come."""
        self._connection = None
        if not self.loop.stopping:
            self._serve_next()

    def _end(self) -> None:
        for _ in range(3):  # that a client has come, what it has sent, and that it has gone, is heard still
            self.loop.run_once(0)
        self.loop.stop()
        if self._connection is not None:
            self._connection.close()
        self.loop.unwatch(self._listener.fileno())
        self._listener.close()
        while self._waiting:
            self._waiting.popleft().close()

    def _watch_listener(self) -> None:
        if self._listener.fileno() < 0:
            return
        if self._connection is None or self.filter.refusing:
            self.loop.watch(self._listener.fileno(), self._on_client)
        else:
            self.loop.unwatch(self._listener.fileno())

    def _on_client(self) -> None:
        try:
            client, _address = self._listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        if self.filter.refuse():
            client.close()
        else:
            self._waiting.append(client)
        self._serve_next()

    def _serve_next(self) -> None:
        while self._waiting and self._connection is None:
            client = self._waiting.popleft()
            try:
                server = self._connect(self.loop)
            except OSError:
                client.close()  # the server has ended, and with it what it listened on
            else:
                self._connection = _Connection(self, client, server)
        self._watch_listener()
