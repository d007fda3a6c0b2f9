"""`pty`: a pseudo-terminal of which whoever opens the other end is the client."""

from __future__ import annotations

import os
import select

from .device import Chardev, ChardevError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..loop import Loop, Timer
    from .options import ChardevOptions

_LOOK_SECONDS = 0.2
"""How long a client may wait to be seen: nothing tells that the other end was opened (QEMU looks once a second)."""


class PtyChardev(Chardev):
    """`pty`: one end of a pseudo-terminal, in raw mode.

    :raise ChardevError: there is none to be had, or the link to it cannot be made.
    """

    __slots__ = ("_link", "_master", "_name", "_timer")

    kind = "pty"

    def __init__(self, loop: Loop, options: ChardevOptions) -> None:
        super().__init__(loop, options.id)
        import tty

        try:
            self._master, slave = os.openpty()
        except OSError as error:
            raise ChardevError(f"Failed to create PTY: {error.strerror}") from None
        tty.setraw(slave)
        self._name = os.ttyname(slave)
        os.close(slave)
        os.set_blocking(self._master, False)
        self._link = options.path if options.release.covers("9.2") else None
        if self._link is not None:
            try:
                os.symlink(self._name, self._link)
            except OSError as error:
                os.close(self._master)
                raise ChardevError(f"Failed to create PTY symlink: {error.strerror}") from None
        self._timer: Timer | None = None
        self._look()

    @property
    def filename(self) -> str:
        """What the device is connected to, as QEMU writes it."""
        return f"pty:{self._name}"

    def close(self) -> None:
        """Take leave of the client and give the terminal back."""
        super().close()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._master >= 0:
            os.close(self._master)
            if self._link is not None and os.path.islink(self._link) and os.readlink(self._link) == self._name:
                os.unlink(self._link)
            self._master = -1

    def _look(self) -> None:
        """See whether somebody has opened the other end, and look again later."""
        self._timer = None
        poll = select.poll()
        poll.register(self._master, 0)
        if poll.poll(0):  # nobody: POLLHUP
            self._timer = self._loop.call_later(_LOOK_SECONDS, self._look)
        else:
            self._connect(self._master, self._master)

    def _release(self) -> None:
        self._timer = self._loop.call_later(_LOOK_SECONDS, self._look)
