"""A client on a socket that comes back: it tries again when its connection is gone, or did not come to be."""

from __future__ import annotations

import _socket
import errno
import os

from .addresses import candidates, connected_socket, connecting_failure
from .device import ChardevError
from .sockets import SocketChardev

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ..loop import Loop, Timer
    from .options import ChardevOptions
    from .tls import Handshake


class ReconnectingChardev(SocketChardev):
    """A socket that we connect, now and whenever it is not connected, `reconnect` seconds later.

    `notify` is given a line for stderr when it fails, once until it has been connected.
    """

    __slots__ = ("_left", "_notify", "_pending", "_timer", "_told")

    def __init__(self, loop: Loop, options: ChardevOptions, notify: Callable[[str], object] | None) -> None:
        self._notify = notify
        self._told = False
        self._pending: _socket.socket | None = None
        """A connection that is on its way."""
        self._left: list[tuple[int, Any]] = []
        """Addresses that are still to be tried."""
        self._timer: Timer | None = None
        super().__init__(loop, options)

    def _start(self) -> None:
        self._timer = self._loop.call_later(0, self._try)

    def _try(self) -> None:
        self._timer = None
        try:
            if self._options.path is None and self._options.host is None:
                self._arrive(connected_socket(self._options))
                return
            # A name is looked up while the loop waits, as when a device is opened.
            self._left = candidates(self._options)
        except ChardevError as error:
            self._fail(str(error))
            return
        self._try_next()

    def _try_next(self) -> None:
        """Connect to the next of the addresses that may be meant, without waiting."""
        family, address = self._left.pop(0)
        try:
            self._pending = _socket.socket(family, _socket.SOCK_STREAM)
            self._pending.setblocking(False)
            self._pending.connect(address)
        except OSError as error:
            if error.errno == errno.EINPROGRESS and self._pending is not None:
                self._loop.watch(self._pending.fileno(), None, self._on_outcome)
            else:
                self._give_up(error.errno or 0)
            return
        connection, self._pending = self._pending, None
        self._arrive(connection)

    def _on_outcome(self) -> None:
        assert self._pending is not None
        self._loop.unwatch(self._pending.fileno())
        reason = self._pending.getsockopt(_socket.SOL_SOCKET, _socket.SO_ERROR)
        if reason:
            self._give_up(reason)
            return
        connection, self._pending = self._pending, None
        self._arrive(connection)

    def _give_up(self, reason: int) -> None:
        """Try the next address, or later again."""
        if self._pending is not None:
            self._pending.close()
            self._pending = None
        if self._left:
            self._try_next()
        else:
            self._fail(f"{connecting_failure(self._options)}: {os.strerror(reason)}")

    def _arrive(self, connection: _socket.socket) -> None:
        self._told = False
        self._take(connection)

    def _fail(self, reason: str) -> None:
        if not self._told and self._notify is not None:
            self._notify(f"Unable to connect character device {self.id}: {reason}")
        self._told = True
        self._try_later()

    def _on_refused(self, handshake: Handshake) -> None:
        super()._on_refused(handshake)
        self._fail(f"{connecting_failure(self._options)}: TLS handshake failed")

    def _try_later(self) -> None:
        self._timer = self._loop.call_later(self._options.reconnect, self._try)

    def _release(self) -> None:
        super()._release()
        self._try_later()

    def close(self) -> None:
        """Take leave of the peer and try no more."""
        super().close()  # which lets the timer run again
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._pending is not None:
            self._loop.unwatch(self._pending.fileno())
            self._pending.close()
            self._pending = None
