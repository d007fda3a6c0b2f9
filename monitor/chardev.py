"""Character devices: what `-chardev`, `-qmp` and `-monitor` open. Bytes in, bytes out, clients coming and going.

Nothing here knows what the bytes mean: that is the front end's, the one user of a device. `open_chardev` takes options
by QEMU's names and refuses in QEMU's words.

Devices on sockets are in `sockets`, which is imported when one is asked for.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .loop import Loop

READ_SIZE = 0x10000

CONGESTED_SIZE = 0x10000
"""With more than this unsent the device is congested: no more is read from the client, and the front end is to wait for
`on_drain` before it runs what it was already given. So a client that asks and does not read only waits for itself."""

UNSENT_LIMIT = 16 << 20
"""A client is dropped at the first write after leaving this much unread: what still comes then are events, which it did
not ask for, and it would hold them in our memory without bound. One answer may be of any size."""

_LAST_WORDS_SECONDS = 1.0
"""How long `close` waits for a client that reads nothing of what is still unsent."""

_SWITCHES = ("server", "wait", "signal")
_STRINGS = ("backend", "id", "path", "host", "port", "fd")


class ChardevError(Exception):
    """A character device that cannot be opened or used; the text is QEMU's."""


class FrontEnd:
    """The user of a character device; `on_open` to `on_close` is one client."""

    __slots__ = ()

    def on_open(self) -> None:
        """Take note that a client has come: greet it."""

    def on_data(self, data: bytes) -> None:
        """Take what the client sent."""

    def on_drain(self) -> None:
        """Go on: the device was `congested` and is no more."""

    def on_hangup(self) -> None:
        """The client has gone while reading was paused; what it sent before is still there to be read."""

    def on_close(self) -> None:
        """Forget the client; what is written from here on is discarded."""


class ChardevOptions:
    """The checked options of a character device.

    :raise ChardevError: wrong ones, in the order in which QEMU looks.
    """

    __slots__ = ("backend", "fd", "host", "id", "path", "port", "server", "signal", "wait")

    def __init__(self, options: dict[str, str]) -> None:
        _check_values(options)
        self.id = options.get("id", "")
        self.backend = options.get("backend", "")
        self.path = options.get("path")
        self.host = options.get("host")
        self.port = options.get("port", "")
        self.fd = options.get("fd")
        self.server = options.get("server") == "on"
        self.wait = options.get("wait") != "off"
        """Whether opening a server waits for the first client."""
        self.signal = options.get("signal") != "off"
        """Whether the keys of a terminal, such as Ctrl-C, send signals."""
        if not self.backend:
            raise ChardevError(f'chardev: "{self.id}" missing backend')
        if self.backend not in ("socket", "stdio", "null"):
            raise ChardevError(f"'{self.backend}' is not a valid char driver name")
        if not self.id:
            raise ChardevError("chardev: no id specified")
        if self.backend == "socket":
            self._check_socket(options)

    def _check_socket(self, options: dict[str, str]) -> None:
        if sum(address is not None for address in (self.path, self.host, self.fd)) > 1:
            raise ChardevError("None or one of 'path', 'fd' or 'host' option required.")
        if self.host is not None and "port" not in options:
            raise ChardevError("chardev: socket: no port given")
        if int(options.get("reconnect", "0")) > 0:
            if self.path is None and self.host is None:
                raise ChardevError("'reconnect' option is incompatible with 'fd' address type")
            if self.server:
                raise ChardevError("'reconnect' option is incompatible with socket in server listen mode")
            raise ChardevError("'reconnect' option is not supported")
        if not self.server and "wait" in options:
            raise ChardevError("'wait' option is incompatible with socket in client connect mode")
        if self.path is not None and len(os.fsencode(self.path)) >= 108:
            raise ChardevError(f"UNIX socket path '{self.path}' is too long\nPath must be less than 108 bytes")
        if self.path is None and self.host is None and not is_number(self.fd or ""):
            raise ChardevError(f"Unable to parse FD number {self.fd or ''}")


def _check_values(options: dict[str, str]) -> None:
    for name, value in options.items():
        if name in _SWITCHES:
            if value not in ("on", "off"):
                raise ChardevError(f"Parameter '{name}' expects 'on' or 'off'")
        elif name == "reconnect":
            if not is_number(value):
                raise ChardevError("Parameter 'reconnect' expects a number")
        elif name not in _STRINGS:
            raise ChardevError(f"Invalid parameter '{name}'")


def is_number(text: str) -> bool:
    """Whether a text is a decimal number, negative ones included."""
    return text.removeprefix("-").isdecimal() and text.isascii()


class Chardev:
    """A character device that no client ever comes to: `null`. The others are made of it.

    What is written is sent at once as far as that goes without waiting, the rest is kept and sent as the client reads.
    """

    __slots__ = (
        "_ended",
        "_front_end",
        "_gone",
        "_in",
        "_loop",
        "_mute",
        "_out",
        "_paused",
        "_unsent",
        "congested",
        "connected",
        "id",
    )

    def __init__(self, loop: Loop, id: str) -> None:
        self.id = id
        self.connected = False
        """Whether there is a client."""
        self.congested = False
        """Whether the client has so much to read that the front end is to produce no more before `on_drain`."""
        self._loop = loop
        self._front_end: FrontEnd | None = None
        self._in = self._out = -1
        self._unsent = bytearray()
        self._paused = False
        self._ended = False
        """The client sends no more."""
        self._gone = False
        """The client was found gone while reading was paused."""
        self._mute = False
        """The client receives no more; what it sent before may still have to be read."""

    @property
    def filename(self) -> str:
        """What the device is connected to, as QEMU writes it."""
        return "null"

    def attach(self, front_end: FrontEnd) -> None:
        """Give the device its user, to whom a client that is already there is announced at once.

        :raise ChardevError: the device has a user.
        """
        if self._front_end is not None:
            raise ChardevError(f"Device '{self.id}' is in use")
        self._front_end = front_end
        self._update()
        if self.connected:
            front_end.on_open()

    def write(self, data: bytes) -> None:
        """Send to the client, without waiting. Without a client, or if it does not listen any more, do nothing."""
        if not self.connected or self._mute:
            return
        sent = 0
        if not self._unsent:
            sent = self._send(data)
            if sent == len(data) or self._mute:
                return
        elif len(self._unsent) >= UNSENT_LIMIT:
            self._mute_client()
            self._loop.call_soon(self._drop_mute)
            return
        self._unsent += memoryview(data)[sent:]
        self.congested = self.congested or len(self._unsent) > CONGESTED_SIZE
        self._update()

    def pause_reading(self) -> None:
        """Call `on_data` no more, and let the client feel it, until `resume_reading` or the client's end."""
        self._paused = True
        self._update()

    def resume_reading(self) -> None:
        """End what `pause_reading` began."""
        self._paused = False
        self._update()

    def set_echo(self, echo: bool) -> None:
        """Say whether a terminal shows what is typed and hands it over by lines (as it does until told otherwise)."""

    def close(self) -> None:
        """Send what is unsent as long as the client reads it, and give everything back; `on_close` follows."""
        if self._unsent:
            self._send_last_words()
        self._disconnect()

    def _connect(self, in_fd: int, out_fd: int) -> None:
        self._in, self._out = in_fd, out_fd
        self.connected = True
        self._update()
        if self._front_end is not None:
            self._front_end.on_open()

    def _disconnect(self) -> None:
        if not self.connected:
            return
        self._loop.unwatch(self._in)
        self._loop.unwatch(self._out)
        self.connected = self.congested = self._paused = self._ended = self._mute = False
        self._gone = False
        self._unsent.clear()
        self._release()
        if self._front_end is not None:
            self._front_end.on_close()

    def _release(self) -> None:
        """Give back the descriptors of a client that is gone."""

    def _end_of_input(self) -> None:
        """The client sends no more; it may still read."""
        self._ended = True
        if self._unsent:
            self._update()
        else:
            self._disconnect()

    def _update(self) -> None:
        """Watch for what is wanted now."""
        if not self.connected:
            return
        wanted = self._front_end is not None and not (self._paused or self._ended or self.congested)
        on_readable = self._on_readable if wanted else None
        on_writable = self._on_writable if self._unsent else None
        if self._in == self._out:
            # A pipe that has ended may be all that a script had to say; a socket without its client answers nobody.
            on_hangup = self._on_hangup if self._paused and not self._gone else None
            self._loop.watch(self._in, on_readable, on_writable, on_hangup)
        else:
            self._loop.watch(self._in, on_readable)
            self._loop.watch(self._out, None, on_writable)

    def take_descriptor(self) -> int | None:
        """A descriptor that the client has sent along, the caller's from now on; None if there is none."""
        return None

    def _read(self) -> bytes:
        return os.read(self._in, READ_SIZE)

    def _on_readable(self) -> None:
        try:
            data = self._read()
        except BlockingIOError:
            return
        except OSError:
            self._disconnect()
            return
        if not data:
            self._end_of_input()
        elif self._front_end is not None:
            self._front_end.on_data(data)

    def _on_hangup(self) -> None:
        self._gone = True
        self._update()
        if self._front_end is not None:
            self._front_end.on_hangup()

    def _on_writable(self) -> None:
        with memoryview(self._unsent) as unsent:
            sent = self._send(unsent)
        del self._unsent[:sent]
        if self._unsent:
            return
        if self._ended:
            self._end_of_input()
            return
        was_congested, self.congested = self.congested, False
        self._update()
        if was_congested and self._front_end is not None:
            self._front_end.on_drain()

    def _send(self, data: bytes | memoryview) -> int:
        """Send as much as goes and return how much; to a client that is gone everything goes."""
        try:
            return os.write(self._out, data)
        except BlockingIOError:
            return 0
        except OSError:
            # Not the end yet: what the client sent before it left is still to be read and obeyed.
            self._mute = True
            return len(data)

    def _mute_client(self) -> None:
        self._mute = True
        self._unsent.clear()
        self._update()

    def _drop_mute(self) -> None:
        if self._mute:
            self._disconnect()

    def _send_last_words(self) -> None:
        import select

        poll = select.poll()
        poll.register(self._out, select.POLLOUT)
        while self._unsent and poll.poll(_LAST_WORDS_SECONDS * 1000):
            with memoryview(self._unsent) as unsent:
                sent = self._send(unsent)
            del self._unsent[:sent]


class StdioChardev(Chardev):
    """`stdio`: standard input and output. After the end of the input it still takes output, as in QEMU."""

    __slots__ = ("_blocking", "_signal", "_terminal")

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


def open_chardev(loop: Loop, options: dict[str, str], notify: Callable[[str], object] | None = None) -> Chardev:
    """Open the character device that QEMU's options describe; the values are as spelled on the command line.

    A server with `wait` on (as it is by default) returns when the first client has come, or with none when the loop is
    stopped; `notify` is then first given a line for stderr.

    :raise ChardevError: the options are wrong or the device cannot be opened.
    """
    checked = ChardevOptions(options)
    if checked.backend == "null":
        return Chardev(loop, checked.id)
    if checked.backend == "stdio":
        return StdioChardev(loop, checked)
    from .sockets import ServerChardev, SocketChardev

    if not checked.server:
        return SocketChardev(loop, checked)
    server = ServerChardev(loop, checked)
    if checked.wait:
        try:
            if notify is not None:
                notify(f"info: QEMU waiting for connection on: {server.filename}")
            server.wait_for_client()
        except BaseException:
            server.close()
            raise
    return server
