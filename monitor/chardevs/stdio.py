"""`stdio`: standard input and output, a terminal or not."""

from __future__ import annotations

import os

from .device import Chardev, ChardevError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..loop import Loop
    from .options import ChardevOptions


class StdioChardev(Chardev):
    """`stdio`: standard input and output. After the end of the input it still takes output, as in QEMU."""

    __slots__ = ("_blocking", "_signal", "_terminal")

    kind = "stdio"

    _in_use = False

    def __init__(self, loop: Loop, options: ChardevOptions) -> None:
        super().__init__(loop, options.id)
        if StdioChardev._in_use:
            raise ChardevError("cannot use stdio by multiple character devices")
        self._signal = options.signal
        self._terminal: list[Any] | None = None
        try:
            # Both are read before either is set: they may be one open file.
            self._blocking = [(fd, os.get_blocking(fd)) for fd in (0, 1)]
        except OSError as error:
            raise ChardevError(f"stdio: {error.strerror}") from None
        if os.isatty(0):
            import termios

            self._terminal = termios.tcgetattr(0)
            if not self._signal:
                self.set_echo(True)
        for fd, _ in self._blocking:
            os.set_blocking(fd, False)
        StdioChardev._in_use = True
        self._connect(0, 1)

    @property
    def filename(self) -> str:
        """What the device is connected to, as QEMU writes it."""
        return "stdio"

    def set_echo(self, echo: bool) -> None:
        """Say whether a terminal shows what is typed and hands it over by lines (as it does until told otherwise)."""
        if self._terminal is None:
            return
        import termios

        settings = [*self._terminal[:6], [*self._terminal[6]]]
        if not echo:
            settings[0] &= ~(termios.ICRNL | termios.INLCR | termios.IGNCR | termios.ISTRIP | termios.IXON)
            settings[3] &= ~(termios.ECHO | termios.ECHONL | termios.ICANON | termios.IEXTEN)
            settings[6][termios.VMIN], settings[6][termios.VTIME] = 1, 0
        if not self._signal:
            settings[3] &= ~termios.ISIG
        termios.tcsetattr(0, termios.TCSANOW, settings)

    def _end_of_input(self) -> None:
        self._ended = True
        self._update()

    def _release(self) -> None:
        for fd, blocking in self._blocking:
            os.set_blocking(fd, blocking)
        if self._terminal is not None:
            import termios

            try:
                # Setting, even to what is, would stop a process in the background.
                if termios.tcgetattr(0) != self._terminal:
                    termios.tcsetattr(0, termios.TCSANOW, self._terminal)
            except termios.error:
                pass  # the terminal has hung up
        StdioChardev._in_use = False
