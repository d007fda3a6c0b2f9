"""Receives pages on channels of their own beside the stream, each at its own pace up to where all are waited for."""

from __future__ import annotations

import select
from contextlib import suppress

from . import format as fmt
from .channel import POLL_MILLISECONDS
from .errors import MAGIC_BYTES, ChannelError, StreamError, stranger
from .events import Flush, SectionEnd, Synchronized
from .multifd import HELLO, PacketReader, read_hello, refused
from .receiving import Receiver

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ..memory.ramblock import RAMBlock
    from ..steps import Cancellation
    from .arriving import Landing
    from .channel import Channel, Listener
    from .events import PacketEvent
    from .state import Migration

STREAM_MAGIC = fmt.MAGIC.to_bytes(MAGIC_BYTES)
MULTIFD_MAGIC = fmt.MULTIFD_MAGIC.to_bytes(MAGIC_BYTES)


def gather(listener: Listener, count: int, uuid: bytes, cancellation: Cancellation) -> tuple[Channel, list[Channel]]:
    """Wait for a source's stream and its `count` channels of pages, which come in any order.

    Raises `StreamError` for one that is neither, `OSError`, and `VMError` when cancelled.
    """
    stream: Channel | None = None
    channels: dict[int, Channel] = {}
    come: list[Channel] = []
    try:
        while stream is None or len(channels) < count:
            channel = listener.accept(cancellation)
            come.append(channel)
            magic = channel.receive_exactly(MAGIC_BYTES, cancellation)
            if magic == STREAM_MAGIC and stream is None:
                channel.push_back(magic)
                stream = channel
                continue
            failed = f"failed to receive packet via multifd channel {len(channels)}: "
            if len(magic) == MAGIC_BYTES and magic != MULTIFD_MAGIC:
                told = f"multifd: received packet magic {magic.hex().lstrip('0')} expected {MULTIFD_MAGIC.hex()}"
                raise stranger(magic, failed + told)
            try:
                data = magic + channel.receive_exactly(HELLO.size - len(magic), cancellation)
                number = read_hello(data, count, uuid)
                if number in channels:
                    raise refused(f"received channel id {number} twice")
            except StreamError as error:
                raise ChannelError(failed + error.text, newer=failed + (error.newer or error.text)) from None
            channels[number] = channel
    except BaseException:
        for channel in come:
            channel.close()
        raise
    return stream, list(channels.values())


class Link:
    """A channel of pages, and how far it is."""

    __slots__ = ("at_meeting", "channel", "ended", "landing", "reader")

    def __init__(self, channel: Channel, reader: PacketReader) -> None:
        self.channel = channel
        self.reader = reader
        self.at_meeting = False
        """Whether it is where all are waited for."""
        self.ended = False
        self.landing: Landing | None = None
        """Where the pages belong that come next."""


class MultifdReceiver(Receiver):
    """Takes pages of all channels as they come."""

    def __init__(
        self,
        migration: Migration,
        stream: Channel,
        channels: Sequence[Channel],
        blocks: list[RAMBlock],
        page_size: int,
    ) -> None:
        super().__init__(migration, stream, blocks, page_size)
        method = migration.parameters["multifd-compression"]
        self._links = {channel.fd: Link(channel, PacketReader(page_size, method)) for channel in channels}
        self._poll = select.poll()
        for fd in self._links:
            self._poll.register(fd, select.POLLIN)

    def _receive(self, room: memoryview, cancellation: Cancellation) -> int:
        self._poll.register(self._channel.fd, select.POLLIN)
        try:
            while not self._channel.has_data:
                if any(not self._pump(fd, cancellation) for fd in self._ready(cancellation)):
                    break
        finally:
            self._poll.unregister(self._channel.fd)
        return super()._receive(room, cancellation)

    def _meet(self, event: Flush | SectionEnd, cancellation: Cancellation) -> None:
        if isinstance(event, SectionEnd) != self._migration.meets_at_sections:
            return
        links = self._links.values()
        while not all(link.at_meeting for link in links):
            if any(link.ended and not link.at_meeting for link in links):
                raise refused("a channel ended before the stream")
            for fd in self._ready(cancellation):
                self._pump(fd, cancellation)
        for fd, link in self._links.items():
            link.at_meeting = False
            self._poll.register(fd, select.POLLIN)

    def _ready(self, cancellation: Cancellation) -> list[int]:
        while True:
            found = [fd for fd, _event in self._poll.poll(POLL_MILLISECONDS)]
            cancellation.check()
            if found:
                return found

    def _pump(self, fd: int, cancellation: Cancellation) -> bool:
        """Take what a channel of pages brings, up to the end of a packet if it comes; says whether it is one."""
        link = self._links.get(fd)
        if link is None:
            return False
        with suppress(BlockingIOError):
            self._take_some(link)
            while not link.reader.is_between:
                cancellation.check()
                self._take_some(link)
        if link.at_meeting or link.ended:
            self._poll.unregister(fd)
        return True

    def _take_some(self, link: Link) -> None:
        for event in self._arrived(link):
            if isinstance(event, Synchronized):
                link.at_meeting = True
            else:
                self._place(event)
        if link.landing is None and (ahead := link.reader.pages_ahead):
            link.landing = self._landing(link.reader.block, ahead)

    def _arrived(self, link: Link) -> Iterable[PacketEvent]:
        """What comes on a channel of pages now."""
        reader, landing = link.reader, link.landing
        count = link.channel.receive_now(reader.get_buffer() if landing is None else landing)
        if not count and not reader.is_between:
            raise refused("a channel ended within a packet")
        link.ended = not count
        if landing is None:
            return reader.buffer_updated(count)
        if not landing.complete:
            return ()
        link.landing = None
        return reader.passed()
