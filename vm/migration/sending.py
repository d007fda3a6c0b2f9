"""Writes the RAM of a machine into a stream: section by section, no faster than it may."""

from __future__ import annotations

from time import monotonic, sleep

from ..host import MissingPage
from ..memory.ramblock import BlockPageMissing
from . import format as fmt
from . import writing
from .frames import WORD, Frames
from .ram import PORTION, portions
from .way_back import WayBack

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ..memory.ramblock import RAMBlock
    from ..steps import Cancellation
    from .channel import Channel
    from .frames import FrameRun
    from .ram import Portion, Run
    from .state import Migration

SECTION_BYTES = 2 << 20
"""Memory that is in one section, at most, and about what is sent at once."""
WINDOW_SECONDS = 0.1
"""So much of a second's bytes may be sent ahead."""
POLL_SECONDS = 0.02


class Sender:
    """Writes the RAM of a machine into a channel, on a worker's thread; others may read what it counts meanwhile."""

    gap = WORD
    """Bytes before each page that is sent."""

    def __init__(self, channel: Channel, migration: Migration, page_size: int) -> None:
        self._channel = channel
        self._migration = migration
        self._page_size = page_size
        self._stats = migration.statistics
        self.footers = migration.has_footers
        self.way_back = WayBack()
        self.addresses: list[int] | None = None
        """Of the blocks' regions, where they are told."""
        self._counted_at = monotonic()
        self._ahead = 0.0
        """Bytes that were sent and the limit has not paid for yet."""
        self._frames = Frames(page_size, SECTION_BYTES // page_size, gap=self.gap)
        """What the present section's pages hold."""
        self._used = 0
        """Frames of them."""
        self._buffers: writing.Buffers = []
        self._buffered = 0
        self._last_block: RAMBlock | None = None
        self._kind = 0

    def begin(self, blocks: list[RAMBlock], cancellation: Cancellation) -> None:
        """Send what comes before the pages."""
        migration = self._migration
        data = writing.header(
            migration.machine_name,
            page_bits=migration.page_bits,
            capabilities=migration.told_capabilities,
            uuid=migration.told_uuid,
        )
        if migration.capabilities["return-path"]:
            data += writing.command(fmt.OPEN_RETURN_PATH) + writing.command(fmt.PING, (1).to_bytes(4))
        self._send([data], cancellation)
        early = self._live(fmt.SECTION_FULL)
        comes_first = migration.vm.release.covers("11.0")
        self._send(early if comes_first else [], cancellation)
        self._send_blocks(blocks, cancellation)
        self._send([*([] if comes_first else early), *self._live(fmt.SECTION_START)], cancellation)

    def _send_blocks(self, blocks: list[RAMBlock], cancellation: Cancellation) -> None:
        entries = writing.block_list(((block.name, block.used_length) for block in blocks), self.addresses)
        entries += self._meet(cancellation, first=True)
        data = writing.section(fmt.SECTION_START, fmt.RAM_SECTION_ID, entries, footers=self.footers)
        self._send([data], cancellation)

    def hear(self, cancellation: Cancellation) -> None:
        """Take what the destination says, should it say something soon; raises `WayBackError`."""
        if self._channel.waits_for_data(POLL_SECONDS):
            self.way_back.feed(self._channel.receive(cancellation))

    def hear_out(self, cancellation: Cancellation) -> None:
        """Wait until the destination says that it has everything; raises `WayBackError`."""
        while not self.way_back.closed:
            self.way_back.feed(self._channel.receive(cancellation))

    def _live(self, *kinds: int) -> list[bytes]:
        """The sections of some kinds of devices whose state is kept in several."""
        return [
            writing.live_part(part.kind, part.section_id, part.head, part.content, footers=self.footers)
            for part in self._migration.live_devices
            if part.kind in kinds
        ]

    def send_runs(self, runs: list[Run], kind: int, cancellation: Cancellation) -> None:
        """Send some memory in sections of a kind; at least one is sent."""
        self._open_section(kind)
        detects = self._detects_zeros
        for run in runs:
            for portion in portions(run, self._page_size, holes=detects):
                cancellation.check()
                if portion.hole:
                    self._add_zeros(run[0], portion.offset, portion.length)
                else:
                    self._add(run[0], portion, detects)
                self._stats.remaining -= portion.length
                if self._is_full(portion.length, cancellation):
                    self._close_section(cancellation)
                    self._open_section(kind)
        self._close_section(cancellation, last=True)

    def _is_full(self, _added: int, _cancellation: Cancellation) -> bool:
        """Whether the section has to end, so many bytes of memory having been added."""
        return self._used + PORTION // self._page_size > self._frames.count or self._buffered > SECTION_BYTES

    @property
    def _detects_zeros(self) -> bool:
        return bool(self._migration.parameters.get("zero-page-detection") != "none")

    def _meet(self, _cancellation: Cancellation, *, first: bool = False, last: bool = False) -> bytes:
        """Have other channels meet here, if there are some; returns what the section says of it."""
        return b""

    def finish(self, runs: list[Run], tail: bytes, cancellation: Cancellation) -> None:
        """Send the last memory, and all that follows the RAM."""
        self.send_runs(runs, fmt.SECTION_END, cancellation)
        self._send(self._live(fmt.SECTION_PART, fmt.SECTION_END), cancellation)
        if self._migration.sends_switchover_start:
            self._send([writing.command(fmt.SWITCHOVER_START)], cancellation)
        self._send([tail], cancellation)

    def _open_section(self, kind: int) -> None:
        self._buffers = [writing.section_head(kind, fmt.RAM_SECTION_ID)]
        self._buffered = self._used = 0
        self._last_block = None
        self._kind = kind

    def _close_section(self, cancellation: Cancellation, *, last: bool = False) -> None:
        self._buffers.append(self._meet(cancellation, last=last))
        self._buffers.append(writing.section_tail(fmt.RAM_SECTION_ID, footers=self.footers))
        self._stats.count_ram(self._buffered + (8 if self._kind == fmt.SECTION_PART else 0))
        self._send(self._buffers, cancellation)
        self._buffers = []
        self._limit(cancellation)

    def _add(self, block: RAMBlock, portion: Portion, detects_zeros: bool) -> None:
        page_size, first = self._page_size, self._used
        count = portion.length // page_size
        try:
            self._frames.read(first, count, portion.owner.host, portion.owner_offset)
        except MissingPage as missing:
            raise BlockPageMissing(portion.owner, missing) from None
        self._used += count
        kinds = [*self._frames.kinds(first, first + count)] if detects_zeros else [(first, first + count, False)]
        self._add_kinds(block, portion, first, kinds)

    def _add_kinds(self, block: RAMBlock, portion: Portion, first: int, kinds: Iterable[FrameRun]) -> None:
        """Have what was read of a portion, in frames from `first` on, be sent."""
        offset, page_size, frames = portion.offset, self._page_size, self._frames
        count = portion.length // page_size
        frames.label(first, first + count, offset, fmt.PAGE | fmt.CONTINUE)
        zeros, zero_count = b"", 0
        for begin, end, is_zero in kinds:
            follows, self._last_block = block is self._last_block, block
            if not is_zero:
                if not follows:
                    self._append(writing.page_head(block.name, offset + (begin - first) * page_size))
                self._append(frames.piece(begin, end, labelled=follows))
                continue
            if not follows:
                self._append(writing.zero_head(block.name, offset + (begin - first) * page_size))
                begin += 1
            zeros = zeros or writing.zero_words(offset, count, page_size)
            self._append(zeros[(begin - first) * writing.ENTRY : (end - first) * writing.ENTRY])
            zero_count += end - begin + (not follows)
        self._stats.zero_pages += zero_count
        self._stats.normal_pages += count - zero_count

    def _append(self, data: bytes | memoryview) -> None:
        self._buffers.append(data)
        self._buffered += len(data)

    def _add_zeros(self, block: RAMBlock, offset: int, length: int) -> None:
        """Have zeros be sent that nobody read."""
        follows, self._last_block = block is self._last_block, block
        count = length // self._page_size
        self._append(writing.zero_pages(block.name, offset, count, self._page_size, follows=follows))
        self._stats.zero_pages += count

    def _send(self, buffers: Sequence[bytes | memoryview], cancellation: Cancellation) -> None:
        channel = self._channel
        before = channel.bytes_sent
        channel.send(buffers, cancellation)
        self._count_sent(channel.bytes_sent - before)

    def _count_sent(self, sent: int) -> None:
        self._stats.stream_bytes += sent
        self._ahead += sent

    def _limit(self, cancellation: Cancellation) -> None:
        """Wait until there may be sent again; the limit may change at any time."""
        while True:
            now = monotonic()
            limit = self._migration.parameters["max-bandwidth"]
            self._ahead = max(0.0, self._ahead - limit * (now - self._counted_at))
            self._counted_at = now
            if not limit or self._kind == fmt.SECTION_END:
                self._ahead = 0.0
            if self._ahead <= limit * WINDOW_SECONDS:
                return
            cancellation.check()
            sleep(POLL_SECONDS)
