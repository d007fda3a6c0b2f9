"""Reads a migration stream: bytes in, events out. It touches no socket and no memory, and knows no machine.

Read what comes into `room()`, say that it `came`, and take events until there is `NEED_DATA`; say `end` when nothing
more comes. Pages are good until there is to be room again. What an event tells is checked as far as the stream alone
decides; who has the memory checks the rest, in the order of the events.
"""

from __future__ import annotations

import errno
from struct import pack

from . import format as fmt
from . import refusals
from .devices import HEADER, end_of_devices
from .errors import StreamError, cut
from .events import NEED_DATA, Command, Configuration, Devices, LivePart, NeedData
from .feed import Feed
from .ram_reading import RAMReader
from .settings import IGNORE_SHARED, MAPPED_RAM

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from .events import Event, MappedPages
    from .feed import Parsing

LONGEST_MACHINE_NAME = 1 << 10
"""Bytes; what claims to be longer is refused before it is waited for."""
USUAL_PAGE = 4096
MOST_CAPABILITIES = 1 << 8
LARGEST_FILE = 1 << 63
MOST_SECTIONS = 1 << 10
"""Of devices that are sent while the guest runs."""
MOST_DEVICE_BYTES = 256 << 20
"""What follows the RAM is kept whole; more than this is no state of devices."""


class StreamReader:
    """One stream. `page_size` is the target's, None for who reads but the list of RAMBlocks. Old machine types
    have neither configuration nor section footers.

    `last_command` is the newest that the reader is to know: older QEMUs stop at those of newer ones.
    """

    def __init__(
        self,
        page_size: int | None,
        *,
        configuration: bool = True,
        footers: bool = True,
        last_command: int = fmt.SWITCHOVER_START,
    ) -> None:
        self._last_command = last_command
        self._has_configuration = configuration
        self._has_footers = footers
        self._feed = Feed()
        self._ram = RAMReader(self._feed, page_size or USUAL_PAGE)
        self._ram.any_page_size = page_size is None
        self._sections: dict[int, str] = {}
        """Which sections parts may follow of, by their ids."""
        self._context = "", ""
        """What is said of the section that is being read, should it fail."""
        self._events = self._parse()
        self._failure: StreamError | None = None
        self._kept = 0
        """Bytes of devices that were told while the guest runs."""

    def room(self) -> memoryview:
        """Where what comes next belongs; never empty."""
        return self._feed.room()

    def came(self, count: int) -> None:
        """So many bytes are in the room now."""
        self._feed.came(count)

    def feed(self, data: bytes) -> None:
        """Take bytes that are somewhere else."""
        while data:
            room = self.room()
            count = min(len(room), len(data))
            room[:count] = data[:count]
            self.came(count)
            data = data[count:]

    def end(self) -> None:
        """Nothing more comes."""
        self._feed.end()

    @property
    def ahead(self) -> int:
        """Bytes that were fed and not read yet."""
        return self._feed.have

    def jump(self) -> None:
        """What is fed next is from another place."""
        self._feed.jump()

    def place_behind(self, mapped: MappedPages, position: int) -> int:
        """Where in the file the stream goes on behind pages at a fixed place; it was read up to `position`.

        Raises `StreamError` where that would be before what was read already.
        """
        if not mapped.pages_offset:  # they have no place, and stay where they are (x-ignore-shared)
            return position - self.ahead
        end = mapped.pages_offset + mapped.length
        if not position - self.ahead <= end < LARGEST_FILE:
            raise StreamError("Error reading dirty bitmap")
        return end

    def events(self, receive: Callable[[memoryview], int]) -> Iterator[Event]:
        """All events, of bytes that `receive` puts into a buffer and tells the number of, 0 at their end.

        Raises `StreamError`, and what `receive` raises.
        """
        while (event := self.next_event()) is not None:
            if not isinstance(event, NeedData):
                yield event
            elif count := receive(self.room()):
                self.came(count)
            else:
                self.end()

    def next_event(self) -> Event | NeedData | None:
        """The next event, `NEED_DATA`, or None behind the last. Raises `StreamError`, each time from then on."""
        if self._failure is not None:
            raise self._failure
        try:
            return next(self._events, None)
        except StreamError as error:
            self._failure = error
            raise

    # The stream

    def _parse(self) -> Parsing:
        magic = yield from self._feed.number(4)
        if magic != fmt.MAGIC:
            newer = f"Not a migration stream, magic: {magic:x} != {fmt.MAGIC:x}"
            raise StreamError("Not a migration stream", newer=newer)
        version = yield from self._feed.number(4)
        if version == fmt.OLD_VERSION:
            newer = "SaveVM v2 format is obsolete and no longer supported"
            raise StreamError("SaveVM v2 format is obsolete and don't work anymore", errno.ENOTSUP, newer=newer)
        if version != fmt.VERSION:
            text = "Unsupported migration stream version"
            newer = f"{text}, file version {version:x} != {fmt.VERSION:x}"
            raise StreamError(text, errno.ENOTSUP, newer=newer)
        if self._has_configuration:
            yield from self._configuration()
        while True:
            kind = yield from self._feed.peek()
            if kind is None:
                raise cut("Failed to load section ID: stream error: -5: Channel error: Input/output error")
            if kind == fmt.END_OF_STREAM or (kind == fmt.SECTION_FULL and not (yield from self._is_early())):
                yield from self._devices()
                return
            self._feed.at += 1
            yield from self._section(kind)

    def _configuration(self) -> Parsing:
        kind = yield from self._feed.number(1)
        if kind != fmt.CONFIGURATION:
            raise refusals.no_configuration(kind)
        length = yield from self._feed.number(4)
        name = None if length > LONGEST_MACHINE_NAME else (yield from self._feed.exact(length))
        if name is None:
            raise _cut_configuration("Failed to load configuration:name")
        found = Configuration(name.decode("latin-1"))
        while (yield from self._feed.peek()) == fmt.SUBSECTION:
            self._feed.at += 1
            subsection = yield from self._feed.name()
            yield from self._feed.padded(4)
            yield from self._configuration_part(found, subsection)
        self._ram.tells_addresses = IGNORE_SHARED in (found.capabilities or ())
        self._ram.is_mapped = MAPPED_RAM in (found.capabilities or ())
        yield found

    def _configuration_part(self, found: Configuration, subsection: str | None) -> Parsing:
        if subsection == "configuration/target-page-bits":
            found.page_bits = yield from self._feed.number(4)
        elif subsection == "configuration/uuid":
            found.uuid = yield from self._feed.exact(16)
        elif subsection == "configuration/capabilities":
            found.capabilities = []
            count = yield from self._feed.number(4)
            if count > MOST_CAPABILITIES:
                raise _cut_configuration("Failed to load configuration:capabilities")
            for _ in range(count):
                name = yield from self._feed.name()
                if name is None:
                    raise _cut_configuration("Failed to load configuration:capabilities")
                found.capabilities.append(name)
        else:
            raise _cut_configuration(f"Failed to load configuration:{subsection}")

    def _section(self, kind: int) -> Parsing:
        if kind == fmt.SECTION_START:
            yield from self._start()
        elif kind == fmt.SECTION_PART or kind == fmt.SECTION_END:
            yield from self._part(kind)
        elif kind == fmt.SECTION_FULL:
            yield from self._early()
        elif kind == fmt.COMMAND:
            yield from self._command()
        else:
            raise refusals.unknown_section_type(kind)

    def _start(self) -> Parsing:
        section_id = yield from self._feed.number(4)
        name = yield from self._feed.name()
        if name is None:
            raise StreamError(f"Unable to read ID string for section {section_id}")
        instance = yield from self._feed.number(4)
        version = yield from self._feed.number(4)
        if len(self._sections) >= MOST_SECTIONS:
            raise StreamError("more devices are sent while the guest runs than any machine has")
        if name in fmt.LIVE_DEVICES:
            self._sections[section_id] = name
            head = pack(">B", len(name)) + name.encode() + pack(">II", instance, version)
            yield from self._live_part(fmt.SECTION_START, section_id, name, head)
            return
        if name != fmt.RAM or instance:
            text = (
                f"section or instance '{name}' {instance}. Make sure that your current VM setup matches your saved VM "
                "setup, including any hotplugged devices"
            )
            raise StreamError(f"Unknown savevm {text}", newer=f"Unknown {text}")
        if version != fmt.RAM_VERSION:
            text = f"unsupported version {version} for '{name}' v{fmt.RAM_VERSION}"
            raise StreamError(f"savevm: {text}", newer=text)
        self._sections[section_id] = name
        yield from self._in_section(self._ram.words(section_id), *refusals.section_start(name, version))
        yield from self._footer(section_id, name)

    def _is_early(self) -> Generator[NeedData, None, bool]:
        """Whether the section that comes next is of a device that is sent before the memory."""
        start = HEADER.size + 1
        head = yield from self._feed.look(start)
        name = (yield from self._feed.look(start + head[-1])) if len(head) == start else b""
        return name.endswith(fmt.EARLY_DEVICE)

    def _early(self) -> Parsing:
        """A section that does not tell how long it is: it ends where its footer is, and another one begins."""
        section_id = yield from self._feed.number(4)
        name = (yield from self._feed.name()) or ""
        numbers = yield from self._feed.padded(8)
        content = yield from self._feed.until(HEADER.pack(fmt.FOOTER, section_id), fmt.SECTION_KINDS)
        if content is None:
            raise refusals.missing_footer(name, section_id)
        self._kept += self._count_kept(len(content))
        yield LivePart(fmt.SECTION_FULL, section_id, pack(">B", len(name)) + name.encode("latin-1") + numbers, content)
        yield from self._footer(section_id, name)

    def _part(self, kind: int) -> Parsing:
        section_id = yield from self._feed.number(4)
        name = self._sections.get(section_id)
        if name is None:
            text = f"section {section_id}"
            raise StreamError(f"Unknown savevm {text}", newer=f"Unknown {text}")
        if name != fmt.RAM:
            yield from self._live_part(kind, section_id, name, b"")
            return
        words = self._ram.words(section_id)
        yield from self._in_section(words, *refusals.section_part(name, section_id, fmt.RAM_VERSION))
        yield from self._footer(section_id, name)

    def _live_part(self, kind: int, section_id: int, name: str, head: bytes) -> Parsing:
        content: list[bytes] = []
        parse = self._hash_table if name == fmt.HASH_TABLE else self._attributes
        yield from self._in_section(parse(content), *refusals.section_part(name, section_id, 1))
        self._kept += sum(map(len, content))
        yield LivePart(kind, section_id, head, b"".join(content))
        yield from self._footer(section_id, name)

    def _count_kept(self, size: int) -> int:
        """Refuse to keep more than any machine's devices are in; returns the size."""
        if self._kept + size > MOST_DEVICE_BYTES:
            raise StreamError("too much is sent to be the state of devices")
        return size

    def _hash_table(self, content: list[bytes]) -> Parsing:
        """The hash table of a pseries machine's MMU: how large it is, or entries, chunk by chunk."""
        head = yield from self._feed.exact(4)
        kept = 0
        while head is not None:
            kept = self._count_kept(kept + len(head))
            content.append(head)
            if content == [head] and any(head):
                return
            chunk = yield from self._feed.exact(8)
            if chunk is None:
                break
            content.append(chunk)
            if not any(chunk):
                return
            head = yield from self._feed.exact(int.from_bytes(chunk[4:6]) * fmt.HASH_TABLE_ENTRY)
        raise StreamError("", errno.EIO)

    def _attributes(self, content: list[bytes]) -> Parsing:
        """The storage attributes of a mainframe's pages, chunk by chunk."""
        kept = 0
        while (word := (yield from self._feed.exact(8))) is not None:
            kept = self._count_kept(kept + len(word))
            content.append(word)
            flags = int.from_bytes(word) & fmt.ATTRIBUTES_FLAGS
            if flags == fmt.ATTRIBUTES_END:
                return
            if flags == fmt.ATTRIBUTES_MORE:
                length = yield from self._feed.exact(8)
                chunk = None if length is None else (yield from self._feed.exact(int.from_bytes(length)))
                if length is None or chunk is None:
                    break
                content += length, chunk
                kept = self._count_kept(kept + len(chunk))
        raise StreamError("", errno.EIO)

    def _in_section(self, content: Parsing, failed: str, newer: str) -> Parsing:
        self._context = failed, newer
        try:
            yield from content
        except StreamError as error:
            raise self.of_section(error) from None
        self._context = "", ""

    def of_section(self, error: StreamError) -> StreamError:
        """The error as one of the section that is being read."""
        failed, newer = self._context
        return error.of_section(failed, f"{newer}{-error.code}")

    def _footer(self, section_id: int, name: str) -> Parsing:
        if not self._has_footers:
            return
        if (yield from self._feed.number(1)) != fmt.FOOTER:
            raise refusals.missing_footer(name, section_id)
        newer = f"Section footer error, section_id: {section_id}"
        found = yield from self._feed.number(4)
        if found != section_id:
            text = f"Mismatched section id in footer for {name} - read {found:#x} expected {section_id:#x}"
            raise StreamError(text, newer=newer, reported=True)

    def _command(self) -> Parsing:
        number = yield from self._feed.number(2)
        length = yield from self._feed.number(2)
        if number not in fmt.COMMANDS or number > self._last_command:
            raise refusals.unknown_command(number, length)
        name, expected = fmt.COMMANDS[number]
        if expected is not None and length != expected:
            text = f"{name} received with bad length - expecting {expected}, got {length}"
            raise StreamError(text, errno.ERANGE)
        yield Command(number, (yield from self._feed.padded(length)))

    def _devices(self) -> Parsing:
        """Gather all that follows. Who waits for an answer does not close the stream: it may end before it ends."""
        gathered = bytearray()
        while True:
            grown = self._feed.have
            gathered += self._feed.rest
            self._feed.at += grown
            if len(gathered) > MOST_DEVICE_BYTES:
                raise StreamError("too much follows the RAM to be the state of devices")
            if self._feed.ended or (grown and end_of_devices(gathered)):
                break
            yield NEED_DATA
        yield Devices(bytes(gathered))


def _cut_configuration(text: str) -> StreamError:
    newer = "Failed to load configuration state: stream error: -5"
    return StreamError(text, errno.EIO, newer=newer, newer_code=errno.EINVAL)
