"""Goes through a migration stream in constant memory: bytes in, parts out, each with its place.

Read into `room()`, then take the parts that `walk` yields; a count of 0 is the end. Whatever is behind the parts that
were told is still in the buffer, and comes to its front with the next `room()`. Where a stream's pages have fixed
places in its file, the bytes that are wanted next are not the next ones: `place` tells.
"""

from __future__ import annotations

from struct import pack

from ..migration import format as fmt
from ..migration.settings import IGNORE_SHARED, MAPPED_RAM
from .errors import FIXED_PLACES, NotUnderstoodError, foreign
from .page_sizes import PAGE_SIZES, PAGE_SIZES_OF_MACHINES
from .parts import Configuration, DeviceBytes, Section
from .ram import RAMWindow

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from typing import TypeAlias

    from .parts import Part

    Walking: TypeAlias = Generator["Part | None", None, None]

BUFFER_BYTES = 1 << 20
LONGEST_MACHINE_NAME = 1 << 10
MOST_CAPABILITIES = 1 << 8
MOST_SECTIONS = 1 << 10


class Walker(RAMWindow):
    """One stream. `page_size` is the target's; without it, the stream tells by its configuration or its first page.

    `origin` is where the stream begins in a file in which every place can be read, None elsewhere; pages with fixed
    places are passed over without `reads_pages`.
    """

    def __init__(
        self,
        page_size: int | None = None,
        buffer_bytes: int = BUFFER_BYTES,
        *,
        origin: int | None = None,
        reads_pages: bool = True,
    ) -> None:
        super().__init__(page_size, buffer_bytes, origin or 0, reads_pages=reads_pages)
        self._can_jump = origin is not None
        self.configuration: Configuration | None = None
        self._sections: dict[int, str] = {}
        self._ram_ended = False
        self.complete = False
        """Whether the memory has come wholly."""
        self._parts = self._parse()

    def walk(self, count: int) -> Iterator[Part]:
        """Go on with bytes that were read into the room, none at the end of the stream.

        Raises `BrokenStreamError` and `NotUnderstoodError`.
        """
        self._arrived(count)
        for part in self._parts:
            if part is None:
                return
            yield part

    # The stream

    def _parse(self) -> Walking:
        yield from self._header()
        yield from self._configuration()
        while True:
            kind = yield from self._number(1, "the head of a section")
            if kind == fmt.COMMAND:
                yield from self._command()
            elif kind == fmt.SECTION_START:
                yield from self._start()
            elif kind in (fmt.SECTION_PART, fmt.SECTION_END):
                yield from self._part(kind)
            elif kind == fmt.SECTION_FULL and not self._ram_ended:
                yield from self._early()
            elif kind in (fmt.SECTION_FULL, fmt.END_OF_STREAM):
                self.at -= 1
                break
            else:
                raise self._broken(f"no section begins with {kind:#04x}")
        if not self._ram_ended:
            raise self._broken("the stream ends before its memory does")
        self.complete = True
        while True:
            if self.at < self._end:
                start, self.at = self.at, self._end
                yield DeviceBytes(start, self.at)
            if self._ended:
                return
            yield None

    def _header(self) -> Walking:
        yield from self._need(4, "its header")
        magic = bytes(self.buffer[:4])
        if magic != fmt.MAGIC.to_bytes(4):
            raise foreign(magic)
        self.at = 4
        version = yield from self._number(4, "its header")
        if version != fmt.VERSION:
            raise NotUnderstoodError(f"the stream's version is {version}, and only {fmt.VERSION} is known")

    def _configuration(self) -> Walking:
        what = "its configuration"
        yield from self._need(1, what)
        if self.buffer[self.at] != fmt.CONFIGURATION:
            self.configuration = Configuration(None)
            yield self.configuration
            return
        self.at += 1
        length = yield from self._number(4, what)
        if length > LONGEST_MACHINE_NAME:
            raise self._broken(f"no machine type has a name of {length} bytes")
        found = Configuration((yield from self._text(length, what)))
        if not str(found.machine_type).isprintable():
            raise self._broken(f"no machine type is called {found.machine_type!r}")
        while True:
            yield from self._need(1, what)
            if self.buffer[self.at] != fmt.SUBSECTION:
                break
            self.at += 1
            name = yield from self._name(what)
            yield from self._number(4, what)
            yield from self._configuration_part(found, name)
        self._check_capabilities(found.capabilities)
        self.is_mapped = MAPPED_RAM in found.capabilities
        self._tells_addresses = IGNORE_SHARED in found.capabilities
        if not self.page_size and found.machine_type in PAGE_SIZES_OF_MACHINES:
            self._know_page_size(PAGE_SIZES_OF_MACHINES[found.machine_type])
        if found.page_bits is not None and not self.page_size:
            if 1 << found.page_bits not in PAGE_SIZES:
                raise self._broken(f"no target has pages of 2^{found.page_bits} bytes")
            self._know_page_size(1 << found.page_bits)
        self.configuration = found
        yield found

    def _configuration_part(self, found: Configuration, name: str) -> Walking:
        what = "its configuration"
        if name == "configuration/target-page-bits":
            found.page_bits = yield from self._number(4, what)
        elif name == "configuration/uuid":
            yield from self._need(16, what)
            found.uuid = bytes(self.buffer[self.at : self.at + 16])
            self.at += 16
        elif name == "configuration/capabilities":
            count = yield from self._number(4, what)
            if count > MOST_CAPABILITIES:
                raise self._broken(f"there are no {count} capabilities")
            for _ in range(count):
                found.capabilities.append((yield from self._name(what)))
        else:
            raise NotUnderstoodError(f"at byte {self.position}: the configuration tells of {name!r}")

    def _check_capabilities(self, capabilities: list[str]) -> None:
        for name in capabilities:
            if name == MAPPED_RAM and not self._can_jump:
                raise NotUnderstoodError(FIXED_PLACES)
            if name not in (IGNORE_SHARED, MAPPED_RAM):
                raise NotUnderstoodError(
                    f"the stream was made with the capability {name!r}, which is not understood here"
                )

    def _command(self) -> Walking:
        number = yield from self._number(2, "a command")
        length = yield from self._number(2, "a command")
        name, expected = fmt.COMMANDS.get(number, (str(number), None))
        if number in fmt.POSTCOPY_COMMANDS:
            raise NotUnderstoodError(f"at byte {self.position}: the source wants postcopy (command {name})")
        if number not in fmt.COMMANDS:
            raise NotUnderstoodError(f"at byte {self.position}: command {number}")
        if expected is not None and length != expected:
            raise self._broken(f"command {name} with {length} bytes instead of {expected}")
        yield from self._skip(length, "a command")
        yield Section(fmt.COMMAND, 0, name)

    def _start(self) -> Walking:
        section_id = yield from self._number(4, "the head of a section")
        name = yield from self._name("the head of a section")
        instance = yield from self._number(4, "the head of a section")
        version = yield from self._number(4, "the head of a section")
        if name not in fmt.LIVE_DEVICES and (name != fmt.RAM or instance):
            raise NotUnderstoodError(f"at byte {self.position}: a section of {name!r}, whose length is not told")
        if name == fmt.RAM and version != fmt.RAM_VERSION:
            raise NotUnderstoodError(f"at byte {self.position}: version {version} of the section '{name}'")
        if len(self._sections) >= MOST_SECTIONS:
            raise self._broken("more devices are sent while the guest runs than any machine has")
        self._sections[section_id] = name
        yield from self._content(fmt.SECTION_START, section_id, name)

    def _early(self) -> Walking:
        """The state of a device that is told before the memory; it does not tell how long it is."""
        section_id = yield from self._number(4, "the head of a section")
        name = yield from self._name("the head of a section")
        yield from self._skip(8, "the head of a section")
        mark = pack(">BI", fmt.FOOTER, section_id)
        known = name.encode("utf-8", "surrogateescape").endswith(fmt.EARLY_DEVICE)
        if not known or not (yield from self._seek(mark, fmt.SECTION_KINDS, f"the section '{name}'")):
            raise NotUnderstoodError(f"at byte {self.position}: the state of '{name}' comes before the memory")
        self.at += len(mark)
        yield Section(fmt.SECTION_FULL, section_id, name)

    def _part(self, kind: int) -> Walking:
        section_id = yield from self._number(4, "the head of a section")
        name = self._sections.get(section_id)
        if name is None:
            raise self._broken(f"section {section_id} goes on and has not begun")
        yield from self._content(kind, section_id, name)
        if kind == fmt.SECTION_END and name == fmt.RAM:
            self._ram_ended = True

    def _content(self, kind: int, section_id: int, name: str) -> Walking:
        yield Section(kind, section_id, name)
        if name == fmt.RAM:
            yield from self._words()
        elif name == fmt.HASH_TABLE:
            yield from self._hash_table()
        else:
            yield from self._attributes()
        assert self.configuration is not None, "it comes first"
        if self.configuration.machine_type is None:
            return
        what = f"the end of the section '{name}'"
        footer, found = (yield from self._number(1, what)), (yield from self._number(4, what))
        if footer != fmt.FOOTER or found != section_id:
            raise self._broken(f"the section '{name}' does not end where it should")

    def _hash_table(self) -> Walking:
        what = f"the section '{fmt.HASH_TABLE}'"
        if (yield from self._number(4, what)):
            return
        while chunk := (yield from self._number(8, what)):
            yield from self._skip((chunk >> 16 & 0xFFFF) * fmt.HASH_TABLE_ENTRY, what)
            yield from self._number(0, what)

    def _attributes(self) -> Walking:
        what = f"the section '{fmt.STORAGE_ATTRIBUTES}'"
        while (flags := (yield from self._number(8, what)) & fmt.ATTRIBUTES_FLAGS) != fmt.ATTRIBUTES_END:
            if flags == fmt.ATTRIBUTES_MORE:
                yield from self._skip((yield from self._number(8, what)), what)
