"""The source: copies memory in rounds while the guest writes, stops it, and sends the rest."""

from __future__ import annotations

import errno
import os
from functools import partial
from time import monotonic, sleep

from ..errors import VMError
from ..host import MissingPage
from . import format as fmt
from . import writing
from .channel import Channel, connect
from .devices import own_devices, with_guest, with_run_state
from .ram import PORTION, length_of, page_kinds, portions, region_address, stream_blocks, whole, written
from .way_back import WayBack, WayBackError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from ..memory.dirty import DirtyPages
    from ..memory.ramblock import RAMBlock
    from ..steps import Cancellation, Step, Task
    from .address import Address
    from .ram import Portion, Run
    from .state import Migration

SECTION_BYTES = 4 << 20
"""Memory that is in one section, at most."""
MOST_BUFFERS = 1 << 13
"""After so many pieces a section ends, too."""
WINDOW_SECONDS = 0.1
"""So much of a second's bytes may be sent ahead."""
POLL_SECONDS = 0.02


class PageMissing(Exception):  # noqa: N818 (named for what it tells)
    """The host has no page for memory that is to be sent."""

    def __init__(self, block: RAMBlock, missing: MissingPage) -> None:
        super().__init__(missing.strerror)
        self.block = block
        self.missing = missing


class Sender:
    """Writes the RAM of a machine into a channel, on a worker's thread; others may read what it counts meanwhile."""

    def __init__(self, channel: Channel, migration: Migration, page_size: int) -> None:
        self._channel = channel
        self._migration = migration
        self._page_size = page_size
        self._stats = migration.statistics
        self.footers = migration.has_footers
        self.addresses: list[int] | None = None
        """Of the blocks' regions, where they are told."""
        self._counted_at = monotonic()
        self._ahead = 0.0
        """Bytes that were sent and the limit has not paid for yet."""
        self._memory = bytearray(SECTION_BYTES)
        """What the present section's pages hold."""
        self._view = memoryview(self._memory)
        self._used = 0
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
        entries = writing.block_list(((block.name, block.used_length) for block in blocks), self.addresses)
        data += writing.section(fmt.SECTION_START, fmt.RAM_SECTION_ID, entries, footers=self.footers)
        self._send([data, *self._live(fmt.SECTION_START)], cancellation)

    def hear_out(self, cancellation: Cancellation) -> None:
        """Wait until the destination says that it has everything; raises `WayBackError`."""
        way_back = WayBack()
        while not way_back.closed:
            way_back.feed(self._channel.receive(cancellation))

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
        for run in runs:
            for portion in portions(run, self._page_size):
                cancellation.check()
                if portion.hole:
                    self._add_zeros(run[0], portion.offset, portion.length)
                else:
                    self._add(run[0], portion)
                self._stats.remaining -= portion.length
                if self._used + PORTION > SECTION_BYTES or len(self._buffers) > MOST_BUFFERS:
                    self._close_section(cancellation)
                    self._open_section(kind)
        self._close_section(cancellation)

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

    def _close_section(self, cancellation: Cancellation) -> None:
        self._buffers.append(writing.section_tail(fmt.RAM_SECTION_ID, footers=self.footers))
        self._stats.count_ram(self._buffered + (8 if self._kind == fmt.SECTION_PART else 0))
        self._send(self._buffers, cancellation)
        self._buffers = []
        self._limit(cancellation)

    def _add(self, block: RAMBlock, portion: Portion) -> None:
        page_size, begin = self._page_size, self._used
        self._used = end = begin + portion.length
        try:
            portion.owner.host.read_into(portion.owner_offset, self._view[begin:end])
        except MissingPage as missing:
            raise PageMissing(portion.owner, missing) from None
        distance = portion.offset - begin
        for start, stop, is_zero in page_kinds(self._memory, begin, end, page_size):
            if is_zero:
                self._add_zeros(block, start + distance, stop - start)
                continue
            follows, self._last_block = block is self._last_block, block
            added = writing.pages(block.name, start + distance, self._view[start:stop], page_size, follows=follows)
            self._buffers += added
            self._buffered += stop - start + (len(added) // 2 - 1) * 8 + len(added[0])
            self._stats.normal_pages += (stop - start) // page_size

    def _add_zeros(self, block: RAMBlock, offset: int, length: int) -> None:
        follows, self._last_block = block is self._last_block, block
        count = length // self._page_size
        self._buffers.append(writing.zero_pages(block.name, offset, count, self._page_size, follows=follows))
        self._buffered += len(self._buffers[-1])
        self._stats.zero_pages += count

    def _send(self, buffers: Sequence[bytes | memoryview], cancellation: Cancellation) -> None:
        before = self._channel.bytes_sent
        self._channel.send(buffers, cancellation)
        sent = self._channel.bytes_sent - before
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


class Outgoing:
    """One migration to somewhere; `run` is its task."""

    def __init__(self, migration: Migration, address: Address, channel: Channel | None) -> None:
        self._migration = migration
        self._vm = migration.vm
        self._address = address
        self._channel = channel
        self._pages: DirtyPages | None = None
        self._was_running = False
        self._stopped = False
        self._cancellation: Cancellation | None = None
        self.cancelled = False
        self.may_proceed = False
        """Whether it was told to go on from where it waits before the guest is stopped."""

    def run(self) -> Task[None]:
        """Do all of it. Nothing is raised: how it ended is the migration's status."""
        migration = self._migration
        try:
            yield from self._migrate()
        except Exception as error:
            if self._ended_with_program(error):
                self._let_go()
                return
            reason = self._reason(error)
            self._let_go()
            if isinstance(error, WayBackError) and not self._vm.release.covers("8.2"):
                self._vm.on_warning(f"RP: {error}")  # and older QEMUs do not run on
                self._vm.run_state, self._stopped, reason = "postmigrate", False, ""
            self._resume()
            if self.cancelled:
                migration.end("cancelled")
            else:
                migration.fail(reason)
            if not isinstance(error, VMError | OSError | PageMissing | WayBackError):
                raise
        else:
            self._let_go()
            self._vm.run_state = "postmigrate"
            migration.end("completed")

    def _ended_with_program(self, error: Exception) -> bool:
        """Whether nobody is to be told of it, because the program ends."""
        stopped = self._cancellation is not None and self._cancellation.requested
        return isinstance(error, VMError) and stopped and not self.cancelled

    def _reason(self, error: Exception) -> str:
        if isinstance(error, PageMissing):
            where = self._vm.why_missing(error.block, error.missing.offset, error.missing)
            return f"the memory cannot be sent: the host has no page for {where}"
        if isinstance(error, BrokenPipeError | ConnectionResetError):
            kind = "command" if self._address.kind == "exec" else "socket"
            return f"Unable to write to {kind}: {os.strerror(errno.EPIPE)}"
        if isinstance(error, OSError):
            return f"Unable to write to {self._address.kind}: {error.strerror}"
        return str(error)

    def _migrate(self) -> Task[None]:
        migration, vm = self._migration, self._vm
        if self._channel is None:
            self._channel = yield self._guarded(partial(connect, self._address))
        channel = self._channel
        assert channel is not None, "there is one now"
        if migration.capabilities["return-path"] and self._address.kind not in ("unix", "tcp", "fd"):
            raise VMError(f"there is no way back (capability 'return-path') from {self._address}")
        blocks = stream_blocks(vm.topology.ram_blocks)
        for block in blocks:
            if len(block.name.encode()) > fmt.LONGEST_NAME:
                raise VMError(f"the stream has no room for the name of RAMBlock '{block.name}'")
        page_size = vm.page_size
        sender = Sender(channel, migration, page_size)
        if vm.accelerator.follows:
            self._pages = vm.dirty_log.start()
        if migration.told_capabilities:
            sender.addresses = [region_address(vm.topology, block) for block in blocks]
        sent = [block for block in blocks if not migration.ignores(block)]
        runs = whole(sent)
        migration.statistics.begin(length_of(runs), guest_runs=vm.running)
        migration.begin_pass()
        yield self._guarded(lambda cancellation: sender.begin(blocks, cancellation))
        migration.become_active()
        runs = yield from self._rounds(sender, runs, sent, page_size)
        yield from self._switch_over()
        runs += self._written(sent, page_size)
        migration.begin_pass(last=True)
        tail = self._devices()
        yield self._guarded(lambda cancellation: sender.finish(runs, tail, cancellation))
        if migration.capabilities["return-path"]:
            yield self._guarded(sender.hear_out)
        yield self._guarded(channel.finish)

    def _rounds(self, sender: Sender, runs: list[Run], blocks: list[RAMBlock], page_size: int) -> Task[list[Run]]:
        """Copy in rounds until so little is left that the guest may be stopped for it; returns what that is."""
        migration, statistics = self._migration, self._migration.statistics
        while True:
            statistics.begin_round(length_of(runs))
            yield self._guarded(partial(sender.send_runs, runs, fmt.SECTION_PART))
            runs = self._written(blocks, page_size)
            statistics.end_round(length_of(runs), page_size)
            if migration.may_switch_over(length_of(runs)):
                return runs
            migration.throttle_guest()
            migration.begin_pass()

    def _written(self, blocks: list[RAMBlock], page_size: int) -> list[Run]:
        if self._pages is None:
            return []
        self._vm.dirty_log.sync()
        return written(self._pages, blocks, page_size)

    def _switch_over(self) -> Task[None]:
        migration, vm = self._migration, self._vm
        self._was_running = vm.running
        migration.remember_run_state()
        if migration.tells_passes_early:
            migration.tell_pass()
        vm.stop_for_migration()
        self._stopped = True
        migration.statistics.stop_guest()
        if migration.capabilities["pause-before-switchover"]:
            migration.set_status("pre-switchover")
            yield self._guarded(self._wait_to_proceed)
            migration.set_status("device")
        elif migration.tells_device:
            migration.set_status("device")

    def _wait_to_proceed(self, cancellation: Cancellation) -> None:
        while not self.may_proceed:
            cancellation.check()
            sleep(POLL_SECONDS)

    def _devices(self) -> bytes:
        migration, vm = self._migration, self._vm
        run_state = migration.told_run_state
        if migration.devices is not None:
            data = with_run_state(migration.devices, run_state, footers=migration.has_footers)
        else:
            data = own_devices(migration.machine_name or "", vm.release, vm.page_size, run_state)
        job = vm.guest_job
        return with_guest(data, job.told()) if job is not None and job.status == "running" else data

    def cancel(self) -> None:
        """Stop at the next portion."""
        self.cancelled = True
        if self._cancellation is not None:
            self._cancellation.requested = True

    def _guarded(self, step: Step) -> Step:
        """A step that `cancel` stops, also before it has begun."""

        def run(cancellation: Cancellation) -> Any:
            self._cancellation = cancellation
            cancellation.requested = cancellation.requested or self.cancelled
            cancellation.check()
            return step(cancellation)

        return run

    def _let_go(self) -> None:
        if self._pages is not None:
            self._vm.dirty_log.stop(self._pages)
            self._pages = None
        if self._channel is not None:
            self._channel.close()
        self._migration.release_guest()

    def _resume(self) -> None:
        """Be as before, after a failure."""
        if self._stopped:
            self._vm.run_state = self._migration.told_run_state
            if self._was_running:
                self._vm.emit("RESUME")
