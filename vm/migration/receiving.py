"""Reads a stream and puts what it brings into memory, after everything that must be equal was compared."""

from __future__ import annotations

import errno
from contextlib import suppress

from . import format as fmt
from . import refusals
from .arriving import Arrivals
from .devices import end_of_devices
from .errors import StreamError
from .events import (
    Command,
    Configuration,
    Devices,
    FilledPage,
    Flush,
    LivePart,
    MappedPages,
    Pages,
    RAMBlockEntry,
    SectionEnd,
)
from .ram import PORTION, region_address
from .reading import LARGEST_FILE, StreamReader
from .settings import TOLD
from .writing import answer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..memory.ramblock import RAMBlock
    from ..steps import Cancellation
    from .arriving import Landing
    from .channel import Channel
    from .events import Event
    from .state import Migration


class Receiver:
    """Puts what a stream brings into memory, on a worker's thread."""

    def __init__(self, migration: Migration, channel: Channel, blocks: list[RAMBlock], page_size: int) -> None:
        self._migration = migration
        self._channel = channel
        self._blocks = {block.name: block for block in blocks}
        self._page_size = page_size
        self._memory = Arrivals(page_size)
        has_configuration = migration.has_footers
        self._reader = StreamReader(
            page_size,
            configuration=has_configuration,
            footers=has_configuration,
            last_command=migration.last_command,
        )
        self._answers = False
        self.lengths: dict[str, int] = {}
        """Of blocks that become longer or shorter."""
        self.warnings: list[str] = []
        self.devices = b""
        self.live_devices: list[LivePart] = []

    def run(self, cancellation: Cancellation) -> None:
        """Receive all of it. Raises `StreamError`, `OSError`, `MissingPage`, and `VMError` when cancelled."""
        for event in self._reader.events(lambda room: self._receive(room, cancellation)):
            cancellation.check()
            self._take(event, cancellation)
        if self._answers:
            with suppress(OSError):  # the source may not wait for it
                self._channel.send([answer(fmt.SHUT, 0)], cancellation)

    def _receive(self, room: memoryview, cancellation: Cancellation) -> int:
        return self._channel.receive_into(room, cancellation)

    def _take(self, event: Event, cancellation: Cancellation) -> None:
        if isinstance(event, Pages | FilledPage | MappedPages):
            try:
                self._take_contents(event, cancellation)
            except StreamError as error:
                raise self._reader.of_section(error) from None
        elif isinstance(event, Flush | SectionEnd):
            self._meet(event, cancellation)
        elif isinstance(event, RAMBlockEntry):
            self._check_entry(event)
        elif isinstance(event, Configuration):
            self._check_configuration(event)
        elif isinstance(event, Command):
            self._obey(event, cancellation)
        elif isinstance(event, LivePart):
            self.live_devices.append(event)
        elif isinstance(event, Devices):
            self._take_devices(event.data)

    def _take_devices(self, data: bytes) -> None:
        from .device_cuts import device_cut

        migration = self._migration
        if not end_of_devices(data):
            wrong = device_cut(data, migration.vm.release, footers=migration.has_footers)
            if wrong is not None:
                raise wrong
        self.devices = data

    def _take_contents(self, event: Pages | FilledPage | MappedPages, cancellation: Cancellation) -> None:
        if isinstance(event, Pages):
            self._place(event)
        elif isinstance(event, FilledPage):
            self._place_filled(event)
        else:
            place = self._reader.place_behind(event, self._channel.position)
            if not self._migration.ignores(self._blocks[event.block]):
                self._load(event, cancellation)
            self._channel.position = place
            self._reader.jump()

    def _meet(self, event: Flush | SectionEnd, _cancellation: Cancellation) -> None:
        """Wait for other channels, if there are some."""
        if isinstance(event, Flush) and not self._migration.vm.release.covers("8.1"):
            raise self._reader.of_section(refusals.unknown_flags(fmt.MULTIFD_FLUSH))

    def _load(self, mapped: MappedPages, cancellation: Cancellation) -> None:
        """Have the pages of a block in memory that are at a place of the file; raises `StreamError`."""
        from .mapped import bitmap_bytes, runs

        channel, page_size = self._channel, self._page_size
        size = bitmap_bytes(mapped.length, page_size)
        bitmap = channel.receive_at(mapped.bitmap_offset, size) if mapped.bitmap_offset < LARGEST_FILE else b""
        if len(bitmap) < size:
            raise StreamError("Error reading dirty bitmap")
        for first, last, there in runs(bitmap, mapped.length // page_size):
            if not there:
                self._place(Pages(mapped.block, [(first * page_size, last - first, None)], page_size))
                continue
            for offset in range(first * page_size, last * page_size, PORTION):
                cancellation.check()
                count = min(PORTION, last * page_size - offset)
                data = channel.receive_at(mapped.pages_offset + offset, count)
                if len(data) < count:
                    newer = self._migration.vm.release.covers("11.0")
                    reason = f"Partial read of size {len(data)}, expected {count}"
                    reason = "Unexpected end-of-file before all data were read" if newer else reason
                    place = f"page {offset:x}from file offset {mapped.pages_offset + offset:x}"
                    raise StreamError(f"({mapped.block}) failed to read {place}: {reason}")
                self._place(Pages(mapped.block, [(offset, count // page_size, memoryview(data))], page_size))

    def _place(self, pages: Pages) -> None:
        """Have pages in memory; raises `StreamError` for some that there are not."""
        page_size = self._page_size
        parts = [(offset, count * page_size) for offset, count, _contents in pages.runs]
        self._memory.put(self._block(pages.block, parts), pages)

    def _place_filled(self, page: FilledPage) -> None:
        if self._migration.vm.release.covers("9.1"):
            raise StreamError(f"Found a zero page with value {page.fill}")
        block = self._block(page.block, [(page.offset, self._page_size)])
        self._memory.write_bytes(block, page.offset, bytes([page.fill]) * self._page_size)

    def _landing(self, name: str, parts: list[tuple[int, int]]) -> Landing:
        """Where parts of a block are, offset and length each, whose contents come next; raises as `_place`."""
        return self._memory.landing(self._block(name, parts), parts)

    def _block(self, name: str, parts: list[tuple[int, int]]) -> RAMBlock:
        block = self._blocks.get(name)
        if block is None:
            raise StreamError(f"Illegal RAM offset {parts[0][0]:x}", also=(f"Can't find block {name}",))
        limit = self.lengths.get(name, block.used_length)
        for offset, length in parts:
            if offset + length > limit:
                raise StreamError(f"Illegal RAM offset {max(offset, limit):x}")
        return block

    def _check_entry(self, entry: RAMBlockEntry) -> None:
        block = self._blocks.get(entry.name)
        if block is None:
            raise self._reader.of_section(refusals.unknown_block(entry.name))
        if entry.address is not None and self._migration.ignores(block):
            own = region_address(self._migration.vm.topology, block)
            if own != entry.address:
                raise self._reader.of_section(refusals.moved_block(entry.name, entry.address, own))
        misfit = refusals.misfit(entry.name, entry.length, block)
        if misfit is not None:
            raise self._reader.of_section(misfit)
        if entry.length != block.used_length:
            self.lengths[entry.name] = entry.length

    def _check_configuration(self, told: Configuration) -> None:
        own = self._migration.machine_name
        if refusals.is_other_machine(told.machine_type, own):
            raise refusals.other_machine(told.machine_type, own)
        bits = self._page_size.bit_length() - 1
        least = self._migration.least_page_bits
        if (least if told.page_bits is None else told.page_bits) != bits:
            raise refusals.other_page_bits(least if told.page_bits is None else told.page_bits, bits)
        self._check_capabilities(told.capabilities or [])
        self._check_uuid(told.uuid)

    def _check_capabilities(self, told: list[str]) -> None:
        for name in TOLD:
            own = self._migration.capabilities.get(name, False)
            if own != (name in told):
                raise refusals.other_capability(name, own)

    def _check_uuid(self, told: bytes | None) -> None:
        own = self._migration.own_uuid
        if told is None or told == own:
            return
        if own is None:
            self.warnings.append(f"warning: UUID is received {refusals.uuid_text(told)}, but local uuid isn't set")
            return
        raise refusals.other_uuid(told, own)

    def _obey(self, command: Command, cancellation: Cancellation) -> None:
        if command.number == fmt.OPEN_RETURN_PATH:
            self._answers = True
            if self._migration.awaits_acknowledgement:  # no device of ours has anything against it
                self._channel.send([answer(fmt.SWITCHOVER_ACK)], cancellation)
        elif command.number == fmt.PING:
            value = int.from_bytes(command.data)
            if not self._answers:
                raise StreamError(f"CMD_PING ({value:#x}) received with no return path", errno.EPERM)
            self._channel.send([answer(fmt.PONG, value)], cancellation)
        elif command.number in fmt.POSTCOPY_COMMANDS:
            raise StreamError(f"{fmt.COMMANDS[command.number][0]}: postcopy is not supported", errno.ENOTSUP)
