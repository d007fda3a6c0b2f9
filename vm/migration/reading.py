"""Reads a migration stream: bytes in, events out. It touches no socket and no memory, and knows no machine.

Feed bytes as they come and take events until there is `NEED_DATA`; say `end` when nothing more comes. What an event
tells is checked as far as the stream alone decides; who has the memory checks the rest, in the order of the events.
"""

from __future__ import annotations

import errno
import sys
from array import array
from struct import pack

from . import format as fmt
from . import mapped
from .devices import end_of_devices
from .errors import StreamError, cut
from .events import (
    NEED_DATA,
    Command,
    Configuration,
    Devices,
    Flush,
    LivePart,
    MappedPages,
    NeedData,
    Pages,
    RAMBlockEntry,
    RAMEntries,
    RAMStart,
    SectionEnd,
    ZeroPages,
)
from .settings import IGNORE_SHARED, MAPPED_RAM
from .writing import ENTRY, zero_words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import TypeAlias

    from .events import Event

    Parsing: TypeAlias = Generator["Event | NeedData", None, None]
    Taking: TypeAlias = Generator["NeedData", None, bytes]

LONGEST_MACHINE_NAME = 1 << 10
"""Bytes; what claims to be longer is refused before it is waited for."""
MOST_CAPABILITIES = 1 << 8
MOST_SECTIONS = 1 << 10
"""Of devices that are sent while the guest runs."""
MOST_DEVICE_BYTES = 256 << 20
"""What follows the RAM is kept whole; more than this is no state of devices."""
PAGE_WORD = 8
PORTIONS = 8, 55, 192
"""Pages that are looked at together: few first, for few may follow. All of them are in one event, and held once."""


class StreamReader:
    """One stream. `page_size` is the target's; old machine types have neither configuration nor section footers."""

    def __init__(self, page_size: int, *, configuration: bool = True, footers: bool = True) -> None:
        self._page_size = page_size
        self._has_configuration = configuration
        self._has_footers = footers
        self._buffer = memoryview(b"")
        self._at = 0
        self._ended = False
        self._sections: dict[int, str] = {}
        """Which sections parts may follow of, by their ids."""
        self._block = ""
        """Of which the last page was."""
        self._context = "", ""
        """What is said of the section that is being read, should it fail."""
        self._events = self._parse()
        self._failure: StreamError | None = None
        self._tells_addresses = False
        self._is_mapped = False
        self._kept = 0
        """Bytes of devices that were told while the guest runs."""

    def feed(self, data: bytes | bytearray | memoryview) -> None:
        """Take bytes, which must stay as they are."""
        rest = self._buffer[self._at :]
        self._buffer = memoryview(bytes(rest) + data if len(rest) else data)
        self._at = 0

    def end(self) -> None:
        """Nothing more comes."""
        self._ended = True

    def next_event(self) -> Event | NeedData | None:
        """The next event, `NEED_DATA`, or None behind the last. Raises `StreamError`, each time from then on."""
        if self._failure is not None:
            raise self._failure
        try:
            return next(self._events, None)
        except StreamError as error:
            self._failure = error
            raise

    # Bytes

    def _have(self) -> int:
        return len(self._buffer) - self._at

    def _padded(self, count: int) -> Taking:
        """Take bytes; behind the end of the stream there are zeros, as QEMU reads numbers there."""
        while self._have() < count and not self._ended:
            yield NEED_DATA
        taken = bytes(self._buffer[self._at : self._at + count])
        self._at += len(taken)
        return taken.ljust(count, b"\0")

    def _number(self, count: int) -> Generator[NeedData, None, int]:
        return int.from_bytes((yield from self._padded(count)))

    def _exact(self, count: int) -> Generator[NeedData, None, bytes | None]:
        """Take bytes; None if the stream ends before."""
        while self._have() < count:
            if self._ended or count > MOST_DEVICE_BYTES:
                return None
            yield NEED_DATA
        taken = bytes(self._buffer[self._at : self._at + count])
        self._at += count
        return taken

    def _name(self) -> Generator[NeedData, None, str | None]:
        """A name that begins with its length; None if it is not there, or empty."""
        length = yield from self._number(1)
        name = yield from self._exact(length)
        return name.decode("latin-1") if name else None

    # The stream

    def _parse(self) -> Parsing:
        magic = yield from self._number(4)
        if magic != fmt.MAGIC:
            newer = f"Not a migration stream, magic: {magic:x} != {fmt.MAGIC:x}"
            raise StreamError("Not a migration stream", newer=newer)
        version = yield from self._number(4)
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
            kind = yield from self._exact(1)
            if kind is None:
                raise cut("Failed to load section ID: stream error: -5: Channel error: Input/output error")
            if kind[0] == fmt.SECTION_FULL or kind[0] == fmt.END_OF_STREAM:
                self._at -= 1
                yield from self._devices()
                return
            yield from self._section(kind[0])

    def _configuration(self) -> Parsing:
        kind = yield from self._number(1)
        if kind != fmt.CONFIGURATION:
            text = "Configuration section missing"
            raise StreamError(text, newer=f"{text}, {kind:x} != {fmt.CONFIGURATION:x}")
        length = yield from self._number(4)
        name = None if length > LONGEST_MACHINE_NAME else (yield from self._exact(length))
        if name is None:
            raise _cut_configuration("Failed to load configuration:name")
        found = Configuration(name.decode("latin-1"))
        while (yield from self._peek()) == fmt.SUBSECTION:
            self._at += 1
            subsection = yield from self._name()
            yield from self._padded(4)
            yield from self._configuration_part(found, subsection)
        self._tells_addresses = IGNORE_SHARED in (found.capabilities or ())
        self._is_mapped = MAPPED_RAM in (found.capabilities or ())
        yield found

    def _configuration_part(self, found: Configuration, subsection: str | None) -> Parsing:
        if subsection == "configuration/target-page-bits":
            found.page_bits = yield from self._number(4)
        elif subsection == "configuration/uuid":
            found.uuid = yield from self._exact(16)
        elif subsection == "configuration/capabilities":
            found.capabilities = []
            count = yield from self._number(4)
            if count > MOST_CAPABILITIES:
                raise _cut_configuration("Failed to load configuration:capabilities")
            for _ in range(count):
                name = yield from self._name()
                if name is None:
                    raise _cut_configuration("Failed to load configuration:capabilities")
                found.capabilities.append(name)
        else:
            raise _cut_configuration(f"Failed to load configuration:{subsection}")

    def _peek(self) -> Generator[NeedData, None, int | None]:
        """The next byte, which stays; None at the end."""
        while not self._have():
            if self._ended:
                return None
            yield NEED_DATA
        return self._buffer[self._at]

    def _section(self, kind: int) -> Parsing:
        if kind == fmt.SECTION_START:
            yield from self._start()
        elif kind == fmt.SECTION_PART or kind == fmt.SECTION_END:
            yield from self._part(kind)
        elif kind == fmt.COMMAND:
            yield from self._command()
        else:
            text = f"type {kind}"
            raise StreamError(f"Unknown savevm section {text}", newer=f"Unknown section {text}")

    def _start(self) -> Parsing:
        section_id = yield from self._number(4)
        name = yield from self._name()
        if name is None:
            raise StreamError(f"Unable to read ID string for section {section_id}")
        instance = yield from self._number(4)
        version = yield from self._number(4)
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
        failed = f"error while loading state for instance 0x0 of device '{name}'"
        newer = f"{failed}: Failed to load vmstate version_id: {version}, ret: "
        yield from self._in_section(self._words(section_id), failed, newer)
        yield from self._footer(section_id, name)

    def _part(self, kind: int) -> Parsing:
        section_id = yield from self._number(4)
        name = self._sections.get(section_id)
        if name is None:
            text = f"section {section_id}"
            raise StreamError(f"Unknown savevm {text}", newer=f"Unknown {text}")
        if name != fmt.RAM:
            yield from self._live_part(kind, section_id, name, b"")
            return
        failed = f"error while loading state section id {section_id}({name})"
        newer = f"Failed to load vmstate version_id: {fmt.RAM_VERSION}, ret: "
        yield from self._in_section(self._words(section_id), failed, newer)
        yield from self._footer(section_id, name)

    def _live_part(self, kind: int, section_id: int, name: str, head: bytes) -> Parsing:
        content: list[bytes] = []
        failed = f"error while loading state section id {section_id}({name})"
        parse = self._hash_table if name == fmt.HASH_TABLE else self._attributes
        yield from self._in_section(parse(content), failed, "Failed to load vmstate version_id: 1, ret: ")
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
        head = yield from self._exact(4)
        kept = 0
        while head is not None:
            kept = self._count_kept(kept + len(head))
            content.append(head)
            if content == [head] and any(head):
                return
            chunk = yield from self._exact(8)
            if chunk is None:
                break
            content.append(chunk)
            if not any(chunk):
                return
            head = yield from self._exact(int.from_bytes(chunk[4:6]) * fmt.HASH_TABLE_ENTRY)
        raise StreamError("", errno.EIO)

    def _attributes(self, content: list[bytes]) -> Parsing:
        """The storage attributes of a mainframe's pages, chunk by chunk."""
        kept = 0
        while (word := (yield from self._exact(8))) is not None:
            kept = self._count_kept(kept + len(word))
            content.append(word)
            flags = int.from_bytes(word) & fmt.ATTRIBUTES_FLAGS
            if flags == fmt.ATTRIBUTES_END:
                return
            if flags == fmt.ATTRIBUTES_MORE:
                length = yield from self._exact(8)
                chunk = None if length is None else (yield from self._exact(int.from_bytes(length)))
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
        newer = f"Section footer error, section_id: {section_id}"
        if (yield from self._number(1)) != fmt.FOOTER:
            raise StreamError(f"Missing section footer for {name}", newer=newer, reported=True)
        found = yield from self._number(4)
        if found != section_id:
            text = f"Mismatched section id in footer for {name} - read {found:#x} expected {section_id:#x}"
            raise StreamError(text, newer=newer, reported=True)

    def _command(self) -> Parsing:
        number = yield from self._number(2)
        length = yield from self._number(2)
        if number not in fmt.COMMANDS:
            raise StreamError(f"MIG_CMD {number:#x} unknown (len {length:#x})")
        name, expected = fmt.COMMANDS[number]
        if expected is not None and length != expected:
            text = f"{name} received with bad length - expecting {expected}, got {length}"
            raise StreamError(text, errno.ERANGE)
        yield Command(number, (yield from self._padded(length)))

    def _devices(self) -> Parsing:
        """Gather all that follows. Who waits for an answer does not close the stream: it may end before it ends."""
        gathered = bytearray()
        while True:
            gathered += self._buffer[self._at :]
            grown, self._at = self._at < len(self._buffer), len(self._buffer)
            if len(gathered) > MOST_DEVICE_BYTES:
                raise StreamError("too much follows the RAM to be the state of devices")
            if self._ended or (grown and end_of_devices(gathered)):
                break
            yield NEED_DATA
        yield Devices(bytes(gathered))

    # RAM

    def _words(self, section_id: int) -> Parsing:
        """The content of a RAM section, up to its end."""
        low_bits = self._page_size - 1
        while True:
            if self._have() >= PAGE_WORD:  # there are many of these
                self._at += PAGE_WORD
                word = int.from_bytes(self._buffer[self._at - PAGE_WORD : self._at])
            elif (data := (yield from self._exact(PAGE_WORD))) is not None:
                word = int.from_bytes(data)
            else:
                raise StreamError("Getting RAM address failed", errno.EIO)
            flags = word & low_bits
            if flags == fmt.END_OF_SECTION:
                yield SectionEnd()
                return
            if flags == fmt.MULTIFD_FLUSH:
                yield Flush()
                continue
            if flags == fmt.MEM_SIZE:
                yield RAMStart(section_id, word - flags)
                yield from self._entries(word - flags)
                continue
            kind = flags & ~fmt.CONTINUE
            if kind == fmt.ZERO or kind == fmt.PAGE:
                yield from self._name_block(word, flags)
                yield from self._run(word - flags, zero=kind == fmt.ZERO)
            else:
                yield from self._refuse(kind)

    def _entries(self, total: int) -> Parsing:
        while total > 0:
            name = (yield from self._name()) or ""
            length = yield from self._number(8)
            address = (yield from self._number(8)) if self._tells_addresses else None
            yield RAMBlockEntry(name, length, address)
            if self._is_mapped:
                yield from self._mapped(name, length)
            if self._ended and not self._have():
                raise StreamError("", errno.EIO)
            total -= length
        yield RAMEntries()

    def _mapped(self, name: str, length: int) -> Parsing:
        data = yield from self._exact(mapped.HEAD.size)
        if data is None:
            text = f"(expected {mapped.HEAD.size}, got {self._have()} bytes)"
            raise StreamError(f"Could not read whole mapped-ram migration header {text}")
        version, page_size, bitmap_offset, pages_offset = mapped.HEAD.unpack(data)
        if version > mapped.VERSION:
            text = f"(expected <= {mapped.VERSION}, got {version})"
            raise StreamError(f"Migration mapped-ram capability version not supported {text}")
        if page_size != self._page_size:
            text = f"invalid page_size {page_size} (expected {self._page_size})"
            raise StreamError(f"Migration mapped-ram header has {text}")
        if pages_offset % mapped.ALIGNMENT:
            raise StreamError(f"Error reading ramblock {name} pages, region has bad alignment")
        yield MappedPages(name, length, bitmap_offset, pages_offset)

    @property
    def ahead(self) -> int:
        """Bytes that were fed and not read yet."""
        return self._have()

    def jump(self) -> None:
        """What is fed next is from another place."""
        self._buffer, self._at = memoryview(b""), 0

    def _name_block(self, word: int, flags: int) -> Parsing:
        if not flags & fmt.CONTINUE:
            self._block = (yield from self._name()) or ""
        elif not self._block:
            raise StreamError(f"Illegal RAM offset {word - flags:x}", also=("Ack, bad migration stream!",))

    def _refuse(self, kind: int) -> Parsing:
        if kind == fmt.COMPRESSED_PAGE:
            raise StreamError("Received an unexpected compressed page")
        if kind == fmt.XBZRLE:
            raise StreamError("XBZRLE pages are not supported")
        raise StreamError(f"Unknown combination of migration flags: {kind:#x}")
        yield NEED_DATA

    def _run(self, offset: int, *, zero: bool) -> Parsing:
        """A page, and those that follow it in the block and are there already."""
        page_size = self._page_size
        if zero:
            fill = yield from self._number(1)
            count = 1 + self._zero_pages_here(offset, fill)
            yield ZeroPages(self._block, offset, count * page_size, fill)
            return
        while self._have() < page_size:
            if self._ended:
                raise StreamError("", errno.EIO)
            yield NEED_DATA
        start = self._at
        self._at += page_size
        count = 1 + self._pages_here(offset)
        yield Pages(self._block, offset, count, self._buffer[start : self._at], page_size + PAGE_WORD)

    def _pages_here(self, offset: int) -> int:
        """Pass over the pages that follow, each as QEMU sends what continues a block, and return how many these are."""
        page_size, stride = self._page_size, self._page_size + PAGE_WORD
        flags, found, room = fmt.PAGE | fmt.CONTINUE, 0, self._room(offset)
        for count in PORTIONS:
            count = min(count, self._have() // stride, room - found)
            words = bytes(self._buffer[self._at : self._at + count * stride].cast("Q")[:: stride // PAGE_WORD])
            begin = (offset + (found + 1) * page_size) | flags
            expected = array("Q", range(begin, begin + count * page_size, page_size))
            if sys.byteorder == "little":
                expected.byteswap()
            same = _equal_entries(words, expected.tobytes(), PAGE_WORD)
            self._at += same * stride
            found += same
            if same < count or not count:
                break
        return found

    def _room(self, offset: int) -> int:
        """How many pages may follow one at an offset: words end somewhere."""
        return ((1 << 64) - offset) // self._page_size - 1

    def _zero_pages_here(self, offset: int, fill: int) -> int:
        """Pass over the zero pages that follow, and return how many these are."""
        page_size, found, room = self._page_size, 0, self._room(offset)
        count = PORTIONS[0]
        while True:
            count = min(count, self._have() // ENTRY, room - found)
            here = bytes(self._buffer[self._at : self._at + count * ENTRY])
            expected = zero_words(offset + (found + 1) * page_size, count, page_size, fill)
            same = _equal_entries(here, expected, ENTRY)
            self._at += same * ENTRY
            found += same
            if same < count or not count:
                return found
            count *= 8


def _equal_entries(found: bytes, expected: bytes, size: int) -> int:
    """With how many entries of a size both begin."""
    if found == expected:
        return len(found) // size
    low, high = 0, len(found) // size - 1
    while low < high:
        middle = (low + high + 1) // 2
        if found[: middle * size] == expected[: middle * size]:
            low = middle
        else:
            high = middle - 1
    return low


def _cut_configuration(text: str) -> StreamError:
    newer = "Failed to load configuration state: stream error: -5"
    return StreamError(text, errno.EIO, newer=newer, newer_code=errno.EINVAL)
