"""Sends pages on channels of their own beside the stream: each packet on one that has sent all that it was given.

Contents go from the guest's memory itself. What a guest writes while they wait is sent now or once more: it is dirty.
Behind the end nothing is sent once more: so they wait in a socket without being copied only where the end is when
everything was received, which the destination tells (`return-path`), or read, which the kernel does of unix sockets.
"""

from __future__ import annotations

import os
import select
import zlib
from collections import deque
from time import sleep

from ..host import MissingPage
from ..memory.ramblock import BlockPageMissing
from . import format as fmt
from .channel import POLL_MILLISECONDS
from .frames import WORD
from .multifd import METHODS, SYNC, hello, packet_head, pages_in_packet
from .ram import PORTION
from .sending import Sender

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import TypeAlias

    from ..memory.ramblock import RAMBlock
    from ..steps import Cancellation
    from .channel import Channel
    from .frames import FrameRun
    from .ram import Portion
    from .state import Migration

    Piece: TypeAlias = bytes | memoryview | tuple[RAMBlock, int, int]

READ_SECONDS = 0.001
"""Between two looks at whether everything was read."""
MOST_PACKETS = 8
"""That are made before they are sent: 4 MiB."""
SECTION_BYTES = 64 << 20
"""Memory that one section of the stream is about: where a section ends, channels may have to meet."""


class Packet:
    """Pages of one block that are sent together: their offsets and contents, and offsets of zeros."""

    def __init__(self, block: RAMBlock, room: int) -> None:
        self.block = block
        self.room = room
        """For how many pages there is some left."""
        self.pages: list[range] = []
        self.contents: list[Piece] = []
        """Where those are, unless they are packed."""
        self.frames: list[memoryview] = []
        """What they were when they were read, if they are."""
        self.zeros: list[range] = []


class Outlet:
    """A channel of pages, and what is to be sent on it: bytes, or parts of blocks that own memory. It never waits."""

    def __init__(self, channel: Channel, *, copied: bool = True) -> None:
        """`copied` says that what was sent may not change any more."""
        self._channel = channel
        self._copied = copied
        self._waiting: deque[Piece] = deque()
        os.set_blocking(channel.fd, False)

    @property
    def fd(self) -> int:
        """The channel's."""
        return self._channel.fd

    @property
    def is_idle(self) -> bool:
        """Whether all was sent."""
        return not self._waiting

    @property
    def has_unread(self) -> bool:
        """Whether the other side has something left to read."""
        return self._channel.has_unread

    def put(self, pieces: Iterable[Piece]) -> None:
        """Have pieces be sent behind what was given before."""
        self._waiting.extend(pieces)

    def advance(self) -> int:
        """Send what goes now; returns how many bytes did. Raises `BlockPageMissing` and `OSError`."""
        before = self._channel.bytes_sent
        try:
            while self._waiting:
                self._send(self._waiting[0])
        except BlockingIOError:
            pass
        return self._channel.bytes_sent - before

    def _send(self, piece: Piece) -> None:
        rest: Piece
        if isinstance(piece, tuple):
            owner, offset, length = piece
            try:
                sent = owner.host.send(self.fd, offset, length, copied=self._copied)
            except MissingPage as missing:
                raise BlockPageMissing(owner, missing) from None
            rest = owner, offset + sent, length - sent
        else:
            length, sent = len(piece), os.write(self.fd, piece)
            rest = memoryview(piece)[sent:]
        self._channel.bytes_sent += sent
        if sent < length:
            self._waiting[0] = rest
        else:
            self._waiting.popleft()


class MultifdSender(Sender):
    """Writes the RAM of a machine into a stream and the channels beside it."""

    def __init__(self, stream: Channel, channels: Sequence[Channel], migration: Migration, page_size: int) -> None:
        parameters, release = migration.parameters, migration.vm.release
        self._method = METHODS[parameters["multifd-compression"]]
        self.gap = 0 if self._method else WORD  # pages that are no multiple of their size apart are read faster
        super().__init__(stream, migration, page_size)
        confirmed = migration.capabilities["return-path"]
        self._awaits_reading = not confirmed and all(channel.tells_unread for channel in channels)
        """Whether the end is where everything was read, because nobody tells that it was received."""
        copied = not confirmed and not self._awaits_reading
        self._outlets = [Outlet(channel, copied=copied) for channel in channels]
        self._packets: list[Packet] = []
        self._number = 0
        self._in_section = 0
        self._tells_zeros = parameters.get("zero-page-detection") == "multifd"
        """Whether pages of zeros are told in packets, and not in the stream."""
        level = parameters["multifd-zlib-level"]
        self._deflate = {outlet: zlib.compressobj(level) for outlet in self._outlets} if self._method else {}
        self._room = pages_in_packet(page_size)
        self._allocated = 0 if release.covers("9.0") else self._room
        """What is told of packets without pages."""

    def _meet(self, cancellation: Cancellation, *, first: bool = False, last: bool = False) -> bytes:
        if first:
            uuid = self._migration.own_uuid or bytes(16)
            for number, outlet in enumerate(self._outlets):
                outlet.put([hello(number, uuid)])
        self._send_packets(cancellation)
        at_sections = self._migration.meets_at_sections
        if not (first or last or at_sections):
            return b""
        for outlet in self._outlets:
            outlet.put([packet_head(self._page_size, self._next_number(), flags=SYNC, allocated=self._allocated)])
        while any(not outlet.is_idle for outlet in self._outlets):
            self._advance(cancellation)
        while last and self._kind == fmt.SECTION_END and self._awaits_reading and self._has_unread:
            cancellation.check()
            sleep(READ_SECONDS)
        return b"" if at_sections else fmt.MULTIFD_FLUSH.to_bytes(8)

    @property
    def _has_unread(self) -> bool:
        return any(outlet.has_unread for outlet in self._outlets)

    def _is_full(self, added: int, cancellation: Cancellation) -> bool:
        frames_left = self._frames.count - self._used
        if len(self._packets) >= MOST_PACKETS or frames_left < PORTION // self._page_size:
            self._send_packets(cancellation)
            self._limit(cancellation)
        self._in_section += added
        return self._in_section >= SECTION_BYTES

    def _open_section(self, kind: int) -> None:
        super()._open_section(kind)
        self._in_section = 0

    def _add_kinds(self, block: RAMBlock, portion: Portion, first: int, kinds: Iterable[FrameRun]) -> None:
        page_size = self._page_size
        for begin, end, is_zero in kinds:
            distance = (begin - first) * page_size
            if is_zero:
                self._add_zeros(block, portion.offset + distance, (end - begin) * page_size)
                continue
            for packet, skipped, count in self._packed(block, end - begin):
                at, length = distance + skipped * page_size, count * page_size
                packet.pages.append(range(portion.offset + at, portion.offset + at + length, page_size))
                if self._method:
                    packet.frames.append(self._frames.piece(begin + skipped, begin + skipped + count))
                else:
                    packet.contents.append((portion.owner, portion.owner_offset + at, length))
            self._stats.normal_pages += end - begin
        if not self._method:
            self._used = first  # it was read for the zeros alone

    def _add_zeros(self, block: RAMBlock, offset: int, length: int) -> None:
        if not self._tells_zeros:
            super()._add_zeros(block, offset, length)
            return
        page_size = self._page_size
        for packet, begin, count in self._packed(block, length // page_size):
            start = offset + begin * page_size
            packet.zeros.append(range(start, start + count * page_size, page_size))
        self._stats.zero_pages += length // page_size

    def _packed(self, block: RAMBlock, count: int) -> Iterator[tuple[Packet, int, int]]:
        """The packets that take some pages of a block: each with the number of its first page, and how many."""
        begin = 0
        while begin < count:
            packet = self._packets[-1] if self._packets else None
            if packet is None or packet.block is not block or not packet.room:
                packet = Packet(block, self._room)
                self._packets.append(packet)
            taken = min(packet.room, count - begin)
            packet.room -= taken
            yield packet, begin, taken
            begin += taken

    def _send_packets(self, cancellation: Cancellation) -> None:
        for packet in self._packets:
            outlet = self._idle_outlet(cancellation)
            contents = packet.contents
            if packet.frames:
                deflate = self._deflate[outlet]
                contents = [*map(deflate.compress, packet.frames), deflate.flush(zlib.Z_SYNC_FLUSH)]
            head = packet_head(
                self._page_size,
                self._next_number(),
                flags=self._method,
                block=packet.block.name,
                pages=packet.pages,
                zeros=packet.zeros,
                size=sum(map(_length, contents)),
            )
            outlet.put([head, *contents])
            self._count_channel(outlet.advance())
        self._packets, self._used = [], 0

    def _idle_outlet(self, cancellation: Cancellation) -> Outlet:
        """One that has sent everything; raises as `_advance`."""
        while True:
            for outlet in self._outlets:
                if outlet.is_idle:
                    self._outlets.remove(outlet)
                    self._outlets.append(outlet)  # the others first
                    return outlet
            self._advance(cancellation)

    def _advance(self, cancellation: Cancellation) -> None:
        """Send what goes, waiting a little if nothing does. Raises `BlockPageMissing`, `OSError`, `VMError`."""
        cancellation.check()
        busy = {outlet.fd: outlet for outlet in self._outlets if not outlet.is_idle}
        poll = select.poll()
        for fd in busy:
            poll.register(fd, select.POLLOUT)
        for fd, _event in poll.poll(POLL_MILLISECONDS):
            self._count_channel(busy[fd].advance())

    def _count_channel(self, sent: int) -> None:
        self._count_sent(sent)
        self._stats.count_multifd(sent)

    def _next_number(self) -> int:
        self._number += 1
        return self._number - 1


def _length(piece: Piece) -> int:
    return piece[2] if isinstance(piece, tuple) else len(piece)
