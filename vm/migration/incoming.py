"""The destination: waits for a source and takes over its memory."""

from __future__ import annotations

import errno
import os

from ..errors import VMError
from ..host import MissingPage
from . import format as fmt
from .connecting import listen, open_source
from .devices import guest_in, run_state_in, without_guest
from .errors import MAGIC_BYTES, ChannelError, StreamError, stranger
from .ram import stream_blocks
from .receiving import Receiver

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..memory.ramblock import RAMBlock
    from ..steps import Cancellation, Task
    from .address import Address
    from .channel import Channel, Listener
    from .state import Migration

LIVE_STATES = ("running", "suspended")
UNFINISHED = ("inmigrate", "finish-migrate")
RUN_STATES = frozenset(
    {
        *("debug", "inmigrate", "internal-error", "io-error", "paused", "postmigrate", "prelaunch", "finish-migrate"),
        *("restore-vm", "running", "save-vm", "shutdown", "suspended", "watchdog", "guest-panicked", "colo"),
    }
)
"""What a machine can be in, as QMP tells it."""


class Incoming:
    """One migration from somewhere; `run` is its task."""

    def __init__(self, migration: Migration, address: Address, *, exit_on_error: bool) -> None:
        self._migration = migration
        self._vm = migration.vm
        self._address = address
        self._exit_on_error = exit_on_error
        self.listener: Listener | None = None
        self._fd: int | None = None
        self._cancellation: Cancellation | None = None
        self._channels: list[Channel] = []
        """Of pages alone, where there are such."""

    def listen(self) -> None:
        """Be there for the source, if it comes to us; raises `VMError`."""
        if self._address.kind in ("unix", "tcp"):
            self.listener = listen(self._address)
        elif self._address.kind == "fd":
            self._fd = self._find_descriptor(self._address.path)
        elif self._address.kind == "file":
            self._fd = self._vm.descriptors.open(self._address.path, os.O_RDONLY)
        self._migration.set_status("setup")

    def _find_descriptor(self, name: str) -> int:
        """The descriptor that a number or a name tells; raises `VMError`."""
        if not (name.isascii() and name.isdigit()):
            return self._migration.take_descriptor(name)
        try:
            os.fstat(int(name))
        except (OSError, OverflowError):
            raise VMError(f"Failed to open file descriptor {name}: {os.strerror(errno.EBADF)}") from None
        return int(name)

    def run(self) -> Task[None]:
        """Receive all of it, and be what the source was."""
        migration, vm = self._migration, self._vm
        channel: Channel | None = None
        receiver: Receiver | None = None
        try:
            channel = yield self._open
            migration.set_status("active")
            blocks = stream_blocks(vm.topology.ram_blocks)
            receiver = self._receiver(channel, blocks)
            yield receiver.run
            run_state = self._told_run_state(receiver.devices)
        except Exception as error:
            if not (isinstance(error, VMError) and self._cancellation is not None and self._cancellation.requested):
                self._fail(error)  # otherwise the program ends
        else:
            for name, length in receiver.lengths.items():
                vm.topology.ram_blocks.resize(name, length)
            migration.devices = without_guest(receiver.devices)
            migration.live_devices = receiver.live_devices
            migration.devices_source = str(self._address)
            for warning in receiver.warnings:
                vm.on_warning(warning)
            self._take_over(run_state)
        finally:
            for each in (channel, *self._channels):
                if each is not None:
                    each.close()
            if self.listener is not None:
                self.listener.close()
        guest = guest_in(receiver.devices) if receiver is not None else None
        if guest is not None and migration.status == "completed":
            yield from self._go_on(guest)

    def _go_on(self, guest: dict[str, Any]) -> Task[None]:
        """Do what the source's guest did."""
        from ..accel.guest_job import GuestJob

        try:
            job = self._vm.start_guest(GuestJob.taken_over(guest))
        except VMError as error:
            self._vm.on_warning(f"the guest's job ends here: {error}")
            return
        ended = yield from job
        self._vm.emit("GUEST_ENDED", ended.describe(runs=self._vm.run_state.running))

    def _told_run_state(self, devices: bytes) -> str | None:
        """The run state to be in; raises `StreamError` for one that there is not."""
        state = run_state_in(devices, footers=self._migration.has_footers)
        if state is None or state in RUN_STATES:
            return "paused" if state in UNFINISHED else state
        failed = "error while loading state for instance 0x0 of device 'globalstate'"
        error = StreamError(f"invalid parameter value: {state}")
        raise error.of_section(failed, f"{failed}: Failed to load vmstate version_id: 1, ret: {-error.code}")

    def _open(self, cancellation: Cancellation) -> Channel:
        self._cancellation = cancellation
        if self.listener is None:
            return open_source(self._address, self._fd)
        try:
            if not self._migration.capabilities["multifd"]:
                return self._accept(self.listener, cancellation)
            from .multifd_receiving import gather

            migration = self._migration
            uuid, count = migration.own_uuid or bytes(16), migration.parameters["multifd-channels"]
            channel, self._channels = gather(self.listener, count, uuid, cancellation)
            return channel
        finally:
            self.listener.close()

    def _accept(self, listener: Listener, cancellation: Cancellation) -> Channel:
        channel = listener.accept(cancellation)
        if self._vm.release.covers("11.0"):  # it looks before it takes the migration for begun
            beginning = channel.receive_exactly(MAGIC_BYTES, cancellation)
            channel.push_back(beginning)
            if beginning != fmt.MAGIC.to_bytes(MAGIC_BYTES):
                channel.close()
                raise stranger(beginning)
        return channel

    def _receiver(self, channel: Channel, blocks: list[RAMBlock]) -> Receiver:
        if not self._channels:
            return Receiver(self._migration, channel, blocks, self._vm.page_size)
        from .multifd_receiving import MultifdReceiver

        return MultifdReceiver(self._migration, channel, self._channels, blocks, self._vm.page_size)

    def _take_over(self, run_state: str | None) -> None:
        migration, vm = self._migration, self._vm
        if run_state is not None and run_state not in LIVE_STATES:
            vm.run_state.name = run_state
        elif vm.run_state.autostart:
            vm.run_state.name = "paused"
            vm.run_state.cont()
        else:
            vm.run_state.name = "paused"
        migration.end("completed")

    def _fail(self, error: Exception) -> None:
        migration, vm = self._migration, self._vm
        if isinstance(error, MissingPage):
            lines = [f"load of migration failed: the host has no page for the memory: {error.strerror}"]
        elif isinstance(error, StreamError):
            lines = error.lines(vm.release)
        elif isinstance(error, VMError | OSError):
            lines = [f"load of migration failed: {error}"]
        else:
            lines = [f"load of migration failed: internal error: {type(error).__name__}: {error}"]
        at_once = isinstance(error, ChannelError)
        migration.error = "" if at_once else lines[-1]
        migration.incoming = None
        migration.end("failed")
        for line in lines if self._exit_on_error or at_once else lines[:-1]:
            vm.on_warning(line)
        if self._exit_on_error:
            vm.on_fatal()
