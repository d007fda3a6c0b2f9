"""The destination: waits for a source and takes over its memory."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from uuid import UUID

from ..errors import VMError
from ..host import MissingPage
from . import format as fmt
from .arriving import Arrivals
from .channel import Channel, Listener, listen, open_source
from .devices import guest_in, run_state_in, without_guest
from .errors import StreamError
from .events import NEED_DATA, Command, Configuration, Devices, LivePart, Pages, RAMBlockEntry, ZeroPages
from .ram import region_address, stream_blocks
from .reading import StreamReader
from .settings import TOLD
from .writing import answer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..memory.ramblock import RAMBlock
    from ..steps import Cancellation, Task
    from .address import Address
    from .events import Event
    from .state import Migration

CONFIGURATION_HOOK = "post load hook failed for: configuration, version_id: 1, minimum_version: 0"
LIVE_STATES = ("running", "suspended")
UNFINISHED = ("inmigrate", "finish-migrate")
RUN_STATES = frozenset(
    {
        *("debug", "inmigrate", "internal-error", "io-error", "paused", "postmigrate", "prelaunch", "finish-migrate"),
        *("restore-vm", "running", "save-vm", "shutdown", "suspended", "watchdog", "guest-panicked", "colo"),
    }
)
"""What a machine can be in, as QMP tells it."""


class Receiver:
    """Puts what a stream brings into memory, on a worker's thread."""

    def __init__(self, migration: Migration, channel: Channel, blocks: list[RAMBlock], page_size: int) -> None:
        self._migration = migration
        self._channel = channel
        self._blocks = {block.name: block for block in blocks}
        self._page_size = page_size
        self._memory = Arrivals(page_size)
        has_configuration = migration.has_footers
        self._reader = StreamReader(page_size, configuration=has_configuration, footers=has_configuration)
        self._answers = False
        self.lengths: dict[str, int] = {}
        """Of blocks that become longer or shorter."""
        self.warnings: list[str] = []
        self.devices = b""
        self.live_devices: list[LivePart] = []

    def run(self, cancellation: Cancellation) -> None:
        """Receive all of it. Raises `StreamError`, `OSError`, `MissingPage`, and `VMError` when cancelled."""
        reader = self._reader
        while True:
            event = reader.next_event()
            cancellation.check()
            if event is None:
                break
            if event is NEED_DATA:
                data = self._channel.receive(cancellation)
                if data:
                    reader.feed(data)
                else:
                    reader.end()
            else:
                self._take(event, cancellation)  # type: ignore[arg-type]  # what it is not was told above
        if self._answers:
            with suppress(OSError):  # the source may not wait for it
                self._channel.send([answer(fmt.SHUT, 0)], cancellation)

    def _take(self, event: Event, cancellation: Cancellation) -> None:
        if isinstance(event, Pages):
            block = self._block(event.block, event.offset, event.count * self._page_size)
            self._memory.write(block, event)
        elif isinstance(event, ZeroPages):
            self._clear(event)
        elif isinstance(event, RAMBlockEntry):
            self._check_entry(event)
        elif isinstance(event, Configuration):
            self._check_configuration(event)
        elif isinstance(event, Command):
            self._obey(event, cancellation)
        elif isinstance(event, LivePart):
            self.live_devices.append(event)
        elif isinstance(event, Devices):
            self.devices = event.data

    def _clear(self, event: ZeroPages) -> None:
        if event.fill and self._migration.vm.release.covers("9.1"):
            raise self._reader.of_section(StreamError(f"Found a zero page with value {event.fill}"))
        block = self._block(event.block, event.offset, event.length)
        if event.fill:
            self._memory.write_bytes(block, event.offset, bytes([event.fill]) * event.length)
        else:
            self._memory.clear(block, event.offset, event.length)

    def _block(self, name: str, offset: int, length: int) -> RAMBlock:
        block = self._blocks.get(name)
        if block is None:
            error = StreamError(f"Illegal RAM offset {offset:x}", also=(f"Can't find block {name}",))
            raise self._reader.of_section(error)
        limit = self.lengths.get(name, block.used_length)
        if offset + length > limit:
            beyond = max(offset, limit)
            raise self._reader.of_section(StreamError(f"Illegal RAM offset {beyond:x}"))
        return block

    def _check_entry(self, entry: RAMBlockEntry) -> None:
        block = self._blocks.get(entry.name)
        if block is None:
            error = StreamError(f'Unknown ramblock "{entry.name}", cannot accept migration')
            raise self._reader.of_section(error)
        if entry.address is not None and self._migration.ignores(block):
            own = region_address(self._migration.vm.topology, block)
            if own != entry.address:
                text = f"Mismatched GPAs for block {entry.name} {entry.address} != {own}"
                raise self._reader.of_section(StreamError(text))
        if entry.length != block.used_length:
            if block.resizeable and entry.length <= block.max_length:
                self.lengths[entry.name] = entry.length
                return
            text = f"Size mismatch: {entry.name}: {entry.length:#x} != {block.used_length:#x}"
            if block.resizeable:
                text = f"Size too large: {entry.name}: {entry.length:#x} > {block.max_length:#x}"
            raise self._reader.of_section(StreamError(f"{text}: {os.strerror(errno.EINVAL)}"))

    def _check_configuration(self, told: Configuration) -> None:
        own = self._migration.machine_name
        if told.machine_type != own:
            text = f"Machine type received is '{told.machine_type}' and local is '{own}'"
            raise StreamError(text, newer=f"{CONFIGURATION_HOOK}: {text}")
        bits = self._page_size.bit_length() - 1
        if told.page_bits is not None and told.page_bits != bits:
            raise StreamError(f"Received TARGET_PAGE_BITS is {told.page_bits} but local is {bits}")
        self._check_capabilities(told.capabilities or [])
        self._check_uuid(told.uuid)

    def _check_capabilities(self, told: list[str]) -> None:
        for name in TOLD:
            own = self._migration.capabilities[name]
            if own != (name in told):
                states = "on, but received capability is off" if own else "off, but received capability is on"
                hook = f"{CONFIGURATION_HOOK}: Failed to validate capabilities"
                raise StreamError(f"Capability {name} is {states}", newer=hook, reported=True)

    def _check_uuid(self, told: bytes | None) -> None:
        own = self._migration.own_uuid
        if told is None or told == own:
            return
        if own is None:
            self.warnings.append(f"warning: UUID is received {UUID(bytes=told)}, but local uuid isn't set")
            return
        text = f"UUID received is {UUID(bytes=told)} and local is {UUID(bytes=own)}"
        hook = "post load hook failed for: configuration/uuid, version_id: 1, minimum_version: 1, ret: -22"
        newer = f"Loading VM subsection 'configuration/uuid' in 'configuration' failed: {hook}"
        raise StreamError(text, newer=newer, reported=True)

    def _obey(self, command: Command, cancellation: Cancellation) -> None:
        if command.number == fmt.OPEN_RETURN_PATH:
            self._answers = True
        elif command.number == fmt.PING:
            value = int.from_bytes(command.data)
            if not self._answers:
                raise StreamError(f"CMD_PING ({value:#x}) received with no return path", errno.EPERM)
            self._channel.send([answer(fmt.PONG, value)], cancellation)
        elif command.number in fmt.POSTCOPY_COMMANDS:
            raise StreamError(f"{fmt.COMMANDS[command.number][0]}: postcopy is not supported", errno.ENOTSUP)


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

    def listen(self) -> None:
        """Be there for the source, if it comes to us; raises `VMError`."""
        if self._address.kind in ("unix", "tcp"):
            self.listener = listen(self._address)
        elif self._address.kind == "fd":
            self._fd = self._find_descriptor(self._address.path)
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
            receiver = Receiver(migration, channel, blocks, vm.page_size)
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
            if channel is not None:
                channel.close()
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
        self._vm.emit("GUEST_ENDED", ended.describe(runs=self._vm.running))

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
        if self.listener is not None:
            return self.listener.accept(cancellation)
        return open_source(self._address, self._fd)

    def _take_over(self, run_state: str | None) -> None:
        migration, vm = self._migration, self._vm
        if run_state is not None and run_state not in LIVE_STATES:
            vm.run_state = run_state
        elif vm.autostart:
            vm.run_state = "paused"
            vm.cont()
        else:
            vm.run_state = "paused"
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
        migration.error = lines[-1]
        migration.incoming = None
        migration.end("failed")
        for line in lines if self._exit_on_error else lines[:-1]:
            vm.on_warning(line)
        if self._exit_on_error:
            vm.on_fatal()
