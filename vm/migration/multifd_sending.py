"""Sends pages on channels of their own beside the stream, one packet after the other to each."""

from __future__ import annotations

import zlib
from itertools import cycle

from . import format as fmt
from .multifd import METHODS, SYNC, hello, packet_head, pages_in_packet
from .sending import Sender

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ..memory.ramblock import RAMBlock
    from ..steps import Cancellation
    from .channel import Channel
    from .state import Migration

MOST_PACKETS = 64
"""That wait to be sent."""


class Packet:
    """Pages of one block that are sent together: offsets with the frames that hold them, and offsets of zeros."""

    def __init__(self, block: RAMBlock, room: int) -> None:
        self.block = block
        self.room = room
        """For how many pages there is some left."""
        self.pages: list[tuple[range, int]] = []
        self.zeros: list[range] = []


class MultifdSender(Sender):
    """Writes the RAM of a machine into a stream and the channels beside it."""

    gap = 0

    def __init__(self, stream: Channel, channels: Sequence[Channel], migration: Migration, page_size: int) -> None:
        super().__init__(stream, migration, page_size)
        parameters, release = migration.parameters, migration.vm.release
        self._channels = channels
        self._turns = cycle(range(len(channels)))
        self._packets: list[Packet] = []
        self._number = 0
        self._tells_zeros = parameters.get("zero-page-detection") == "multifd"
        """Whether pages of zeros are told in packets, and not in the stream."""
        self._method = METHODS[parameters["multifd-compression"]]
        level = parameters["multifd-zlib-level"]
        self._deflate = [zlib.compressobj(level) for _ in channels] if self._method else []
        self._room = pages_in_packet(page_size)
        self._allocated = 0 if release.covers("9.0") else self._room
        """What is told of packets without pages."""

    def _meet(self, cancellation: Cancellation, *, first: bool = False, last: bool = False) -> bytes:
        if first:
            uuid = self._migration.own_uuid or bytes(16)
            for number, channel in enumerate(self._channels):
                self._send_packet([hello(number, uuid)], cancellation, channel)
        self._send_packets(cancellation)
        at_sections = self._migration.meets_at_sections
        if not (first or last or at_sections):
            return b""
        for channel in self._channels:
            head = packet_head(self._page_size, self._next_number(), flags=SYNC, allocated=self._allocated)
            self._send_packet([head], cancellation, channel)
        return b"" if at_sections else fmt.MULTIFD_FLUSH.to_bytes(8)

    @property
    def _is_full(self) -> bool:
        return super()._is_full or len(self._packets) > MOST_PACKETS

    def _add_pages(self, block: RAMBlock, offset: int, first: int, end: int) -> None:
        for packet, begin, count in self._packed(block, end - first):
            start = offset + begin * self._page_size
            pages = range(start, start + count * self._page_size, self._page_size)
            packet.pages.append((pages, first + begin))

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
        buffers: list[list[bytes | memoryview]] = [[] for _ in self._channels]
        for packet in self._packets:
            turn = next(self._turns)
            contents = [self._frames.piece(first, first + len(pages)) for pages, first in packet.pages]
            data: Sequence[bytes | memoryview] = contents
            if self._method and contents:
                deflate = self._deflate[turn]
                data = [*map(deflate.compress, contents), deflate.flush(zlib.Z_SYNC_FLUSH)]
            head = packet_head(
                self._page_size,
                self._next_number(),
                flags=self._method,
                block=packet.block.name,
                pages=[pages for pages, _first in packet.pages],
                zeros=packet.zeros,
                size=sum(map(len, data)),
            )
            buffers[turn] += head, *data
        self._packets = []
        for some, channel in zip(buffers, self._channels, strict=True):
            self._send_packet(some, cancellation, channel)

    def _next_number(self) -> int:
        self._number += 1
        return self._number - 1

    def _send_packet(self, buffers: Sequence[bytes | memoryview], cancellation: Cancellation, channel: Channel) -> None:
        self._send(buffers, cancellation, channel)
        self._stats.count_multifd(sum(map(len, buffers)))
