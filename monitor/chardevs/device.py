"""What every character device is: one client at a time, its bytes read and written without waiting, and a front end.

Which kinds there are is in `opening`.
"""

from __future__ import annotations

import os

from ...vm.qom import QOMObject

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..loop import Loop

READ_SIZE = 0x10000

CONGESTED_SIZE = 0x10000
"""With more than this unsent the device is congested: no more is read from the client, and the front end is to wait for
`on_drain` before it runs what it was already given. So a client that asks and does not read only waits for itself."""

UNSENT_LIMIT = 16 << 20
"""A client is dropped at the first write after leaving this much unread: what still comes then are events, which it did
not ask for, and it would hold them in our memory without bound. One answer may be of any size."""

_LAST_WORDS_SECONDS = 1.0
"""How long `close` waits for a client that reads nothing of what is still unsent."""


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


class ChardevObject(QOMObject):
    """What the object tree shows of a device, at /chardevs."""

    def __init__(self, device: Chardev) -> None:
        super().__init__()
        self.device = device
        self.type_name = f"chardev-{device.kind}"


class Chardev:
    """A character device that no client ever comes to: `null`. The others are made of it.

    What is written is sent at once as far as that goes without waiting, the rest is kept and sent as the client reads.
    """

    kind = "null"
    """The name of this kind of device."""

    __slots__ = (
        "_ended",
        "_front_end",
        "_gone",
        "_in",
        "_log",
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
        self._log = -1
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

    def describe_in_tree(self) -> ChardevObject:
        """The object that stands for the device in the tree."""
        return ChardevObject(self)

    @property
    def in_use(self) -> bool:
        """Whether the device has a user."""
        return self._front_end is not None

    def log_to(self, fd: int) -> None:
        """Write all that clients are sent to a file as well, which is ours from now on."""
        self._log = fd

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
        if self._log >= 0:
            self._write_log(data)
        data = self._encode(data)
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

    def _encode(self, data: bytes) -> bytes:
        """Return what is sent of what is written."""
        return data

    def pause_reading(self) -> None:
        """Call `on_data` no more, and let the client feel it, until `resume_reading` or the client's end."""
        if not self._paused:
            self._paused = True
            self._update()

    def resume_reading(self) -> None:
        """End what `pause_reading` began."""
        if self._paused:
            self._paused = False
            self._update()

    def set_echo(self, echo: bool) -> None:
        """Say whether a terminal shows what is typed and hands it over by lines (as it does until told otherwise)."""

    def close(self) -> None:
        """Send what is unsent as long as the client reads it, and give everything back; `on_close` follows."""
        if self._unsent:
            self._send_last_words()
        self._disconnect()
        if self._log >= 0:
            os.close(self._log)
            self._log = -1

    def _write_log(self, data: bytes) -> None:
        try:
            os.write(self._log, data)
        except OSError:
            pass  # a full disk is no reason to keep clients from their answers

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
            unread = self._paused or self._front_end is None
            on_hangup = self._on_hangup if unread and not self._gone else None
            self._loop.watch(self._in, on_readable, on_writable, on_hangup)
        else:
            if self._in >= 0:
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
        else:
            self._receive(data)

    def _receive(self, data: bytes) -> None:
        if self._front_end is not None:
            self._front_end.on_data(data)

    def _on_hangup(self) -> None:
        if self._front_end is None:
            self._disconnect()
            return
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
            if not self._has_hung_up():
                return 0
            self._mute = True
            return len(data)
        except OSError:
            # Not the end yet: what the client sent before it left is still to be read and obeyed.
            self._mute = True
            return len(data)

    def _has_hung_up(self) -> bool:
        """Whether there will never be room again: of a terminal with no client only this tells."""
        import select

        poll = select.poll()
        poll.register(self._out, select.POLLOUT)
        return any(found & select.POLLHUP for _, found in poll.poll(0))

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
