"""The source: copies memory in rounds while the guest writes, stops it, and sends the rest."""

from __future__ import annotations

import errno
import os
from functools import partial
from time import sleep

from ..errors import VMError
from ..memory.ramblock import BlockPageMissing
from . import format as fmt
from .connecting import connect
from .devices import own_devices, with_guest, with_run_state
from .ram import length_of, region_address, stream_blocks, whole, written
from .sending import POLL_SECONDS, Sender
from .settings import IGNORE_SHARED, MAPPED_RAM
from .way_back import WayBackError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..memory.dirty import DirtyPages
    from ..memory.ramblock import RAMBlock
    from ..steps import Cancellation, Step, Task
    from .address import Address
    from .channel import Channel
    from .ram import Run
    from .state import Migration


class Outgoing:
    """One migration to somewhere; `run` is its task."""

    def __init__(self, migration: Migration, address: Address, channel: Channel | None) -> None:
        self._migration = migration
        self._vm = migration.vm
        self._address = address
        self._channel = channel
        self._channels: list[Channel] = []
        """Of pages alone, where there are such."""
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
                self._vm.run_state.name, self._stopped, reason = "postmigrate", False, ""
            self._resume()
            if self.cancelled:
                migration.end("cancelled")
            else:
                migration.fail(reason)
            if not isinstance(error, VMError | OSError | BlockPageMissing | WayBackError):
                raise
        else:
            self._let_go()
            self._vm.run_state.name = "postmigrate"
            migration.end("completed")

    def _ended_with_program(self, error: Exception) -> bool:
        """Whether nobody is to be told of it, because the program ends."""
        stopped = self._cancellation is not None and self._cancellation.requested
        return isinstance(error, VMError) and stopped and not self.cancelled

    def _reason(self, error: Exception) -> str:
        if isinstance(error, BlockPageMissing):
            where = self._vm.objects.why_missing(error.block, error.missing.offset, error.missing)
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
        sender = yield from self._sender(channel, page_size)
        self._pages = vm.dirty_log.start()  # with an emulator, too: a client of qtest may write
        if migration.capabilities[IGNORE_SHARED]:
            sender.addresses = [region_address(vm.topology, block) for block in blocks]
        sent = [block for block in blocks if not migration.ignores(block)]
        runs = whole(sent)
        migration.statistics.begin(length_of(runs), guest_runs=vm.run_state.running)
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

    def _sender(self, channel: Channel, page_size: int) -> Task[Sender]:
        if self._migration.capabilities.get(MAPPED_RAM):
            from .mapped_sending import MappedSender

            return MappedSender(channel, self._migration, page_size)
        if not self._migration.capabilities["multifd"]:
            return Sender(channel, self._migration, page_size)
        from .multifd_sending import MultifdSender

        yield self._guarded(self._connect_channels)
        return MultifdSender(channel, self._channels, self._migration, page_size)

    def _connect_channels(self, cancellation: Cancellation) -> None:
        for _ in range(self._migration.parameters["multifd-channels"]):
            self._channels.append(connect(self._address, cancellation))

    def _rounds(self, sender: Sender, runs: list[Run], blocks: list[RAMBlock], page_size: int) -> Task[list[Run]]:
        """Copy in rounds until so little is left that the guest may be stopped for it; returns what that is."""
        migration, statistics = self._migration, self._migration.statistics
        while True:
            statistics.begin_round(length_of(runs))
            yield self._guarded(partial(sender.send_runs, runs, fmt.SECTION_PART))
            runs = self._written(blocks, page_size)
            statistics.end_round(length_of(runs), page_size)
            if migration.may_switch_over(length_of(runs)) and (yield from self._is_acknowledged(sender)):
                return runs
            migration.throttle_guest()
            migration.begin_pass()

    def _is_acknowledged(self, sender: Sender) -> Task[bool]:
        """Whether the destination has nothing against stopping the guest, if it is asked and the guest runs."""
        if not self._migration.awaits_acknowledgement or not self._vm.run_state.running or sender.way_back.acknowledged:
            return True
        yield self._guarded(sender.hear)
        return sender.way_back.acknowledged

    def _written(self, blocks: list[RAMBlock], page_size: int) -> list[Run]:
        if self._pages is None:
            return []
        self._vm.dirty_log.sync()
        return written(self._pages, blocks, page_size)

    def _switch_over(self) -> Task[None]:
        migration, vm = self._migration, self._vm
        self._was_running = vm.run_state.running
        migration.remember_run_state()
        if migration.tells_passes_early:
            migration.tell_pass()
        vm.run_state.stop_for_migration()
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
        for channel in (self._channel, *self._channels):
            if channel is not None:
                channel.close()
        self._migration.release_guest()

    def _resume(self) -> None:
        """Be as before, after a failure."""
        if self._stopped:
            self._vm.run_state.name = self._migration.told_run_state
            if self._was_running:
                self._vm.emit("RESUME")
