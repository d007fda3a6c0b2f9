"""Goes through a migration stream in constant memory: bytes in, parts out, each with its place.

Read into `room()`, then take the parts that `walk` yields; a count of 0 is the end. Whatever is behind the parts that
were told is still in the buffer, and comes to its front with the next `room()`. Where a stream's pages have fixed
places in its file, the bytes that are wanted next are not the next ones: `place` tells.
"""

from __future__ import annotations

from struct import Struct, pack

from ..migration import format as fmt
from ..migration.page_words import CONTINUED_PAGE, CONTINUED_ZERO, PAGE_WORD, PageWords
from ..migration.settings import IGNORE_SHARED, MAPPED_RAM
from .errors import FIXED_PLACES, NotUnderstoodError, foreign
from .mapped import MappedWindow
from .page_sizes import PAGE_SIZES, PAGE_SIZES_OF_MACHINES, SMALL_PAGE_SIZES, SMALLEST_PAGE
from .parts import BlockList, Configuration, DeviceBytes, PageRun, Section

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from typing import TypeAlias

    from .mapped import Place
    from .parts import Part
    from .window import Number

    Walking: TypeAlias = Generator["Part | None", None, None]
    Entry: TypeAlias = Generator[None, None, "tuple[str, int, int | None, int]"]

WORD = Struct(">Q")
BUFFER_BYTES = 1 << 20
LONGEST_MACHINE_NAME = 1 << 10
MOST_CAPABILITIES = 1 << 8
MOST_BLOCKS = 1 << 16
MOST_SECTIONS = 1 << 10
HOOK = 0x80
"""RDMA's, in the bits below a page's address."""
REFUSED_WORDS = {fmt.MULTIFD_FLUSH: "multifd", HOOK: "RDMA"}


class Walker(MappedWindow):
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
        super().__init__(buffer_bytes, origin or 0, reads_pages=reads_pages)
        self.page_size = page_size or 0
        self._flags = (page_size or SMALLEST_PAGE) - 1
        self._can_jump = origin is not None
        self._guessed = False
        """Whether the size of pages is the usual one, because nothing told it."""
        self.configuration: Configuration | None = None
        self._sections: dict[int, str] = {}
        self._lengths: dict[str, int] = {}
        self._block = ""
        self._ram_ended = False
        self.complete = False
        """Whether the memory has come wholly."""
        self._expected: PageWords | None = None
        """Once the size of pages is known."""
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

    # RAM

    def _know_page_size(self, size: int) -> None:
        self.page_size = size
        self._flags = size - 1

    def _words(self) -> Walking:
        what = f"the section '{fmt.RAM}'"
        while True:
            yield from self._need(8, what)
            word = WORD.unpack_from(self.buffer, self.at)[0]
            flags = word & self._flags
            if (run := self._continued(word, flags)) is not None:
                yield run
                continue
            if flags == fmt.END_OF_SECTION:
                if word != flags:  # of larger pages it would be other flags, and nobody knows yet how large they are
                    raise self._broken(f"the end of a section has an address ({word:#x})")
                self.at += 8
                return
            if flags == fmt.MEM_SIZE:
                yield from self._block_list(word - flags)
                continue
            if self.is_mapped:
                if flags != fmt.MULTIFD_FLUSH:
                    raise self._broken(f"a page outside its fixed place (flags {flags:#x})")
                self.at += 8
                continue
            yield from self._pages(word, what)

    def _continued(self, word: int, flags: int) -> PageRun | None:
        """Pages that continue a block and are there wholly, as most are; None if what is next are no such."""
        zeros = flags == CONTINUED_ZERO
        if self._expected is None or not (zeros or flags == CONTINUED_PAGE) or self.is_mapped:
            return None
        at, offset, size = self.at, word - flags, 1 if zeros else self.page_size
        count = self._expected.following(self._view, at, self._end, offset, zeros=zeros)
        if not count or offset + count * self.page_size > self._lengths[self._block]:
            return None
        self.at += count * (PAGE_WORD + size)
        run = PageRun(flags - fmt.CONTINUE, self._block, offset, at, at + PAGE_WORD, size, named=False)
        run.count = count
        return run

    def _block_list(self, total: int) -> Walking:
        what = "the list of RAMBlocks"
        if self._lengths:
            raise self._broken("the RAMBlocks are told a second time")
        self.list_start = self.position
        # Who rewrites it needs all of it in one place.
        size = 8
        blocks: list[tuple[str, int, int | None]] = []
        places: list[Place] = []
        left = total
        while left > 0:
            name, length, address, size = yield from self._entry(size, left, what)
            self._lengths[name] = length
            blocks.append((name, length, address))
            left -= length
            if self.is_mapped:
                self.at += size
                size = 0
                place = yield from self._mapped_place(name, length, may_stay=address is not None)
                places += [] if place is None else [place]
        at = self.at
        self.at += size
        yield BlockList(at, self.at, blocks)
        if self.is_mapped and self.page_size:
            self._know_page_size(self.page_size)
            yield from self._mapped_pages(places)

    def _entry(self, at: int, left: int, what: str) -> Entry:
        """A block that is told `at` bytes behind the present place, and where its entry ends."""
        assert self.configuration is not None, "it comes first"
        tells_addresses = IGNORE_SHARED in self.configuration.capabilities
        yield from self._need(at + 1, what)
        named = at + 1 + self.buffer[self.at + at]
        end = named + (16 if tells_addresses else 8)
        if end > len(self.buffer) or len(self._lengths) >= MOST_BLOCKS:
            raise self._broken("there are more RAMBlocks than any machine has")
        yield from self._need(end, what)
        name = self.buffer[self.at + at + 1 : self.at + named].decode("utf-8", "surrogateescape")
        length = WORD.unpack_from(self.buffer, self.at + named)[0]
        address = WORD.unpack_from(self.buffer, self.at + named + 8)[0] if tells_addresses else None
        if not name.isprintable() or not name or name in self._lengths or length > left:
            raise self._broken(f"the list of RAMBlocks is wrong at {name!r} with {length:#x} bytes")
        return name, length, address, end

    def _pages(self, word: int, what: str) -> Walking:
        """A page, and those that follow it in the block and are there already."""
        flags = word & self._flags
        kind = flags & ~fmt.CONTINUE
        if kind not in (fmt.ZERO, fmt.PAGE, fmt.XBZRLE, fmt.COMPRESSED_PAGE):
            if kind in REFUSED_WORDS:
                raise NotUnderstoodError(f"at byte {self.position}: the stream was made with {REFUSED_WORDS[kind]}")
            guess = f" (if its pages have no {self.page_size} bytes, -page-size helps)" if self._guessed else ""
            raise self._broken(f"no page's word has the flags {flags:#x}{guess}")
        body = 8
        named = not flags & fmt.CONTINUE
        if named:
            yield from self._need(9, what)
            body = 9 + self.buffer[self.at + 8]
            yield from self._need(body, what)
            self._block = self.buffer[self.at + 9 : self.at + body].decode("utf-8", "surrogateescape")
        length = self._lengths.get(self._block)
        if length is None:
            raise self._broken(f"a page of the RAMBlock {self._block!r}, which there is not")
        if not self.page_size:
            yield from self._find_page_size(word - flags, body, kind)
        offset = word - flags
        if offset + self.page_size > length:
            raise self._broken(f"a page at {offset:#x} of '{self._block}', which has {length:#x} bytes")
        size = yield from self._size(kind, body, what)
        yield from self._need(body + size, what)
        run = PageRun(kind, self._block, offset, self.at, self.at + body, size, named=named)
        self.at += body + size
        if kind == fmt.ZERO or kind == fmt.PAGE:
            self._gather(run, (length - offset) // self.page_size - 1)
        yield run

    def _size(self, kind: int, body: int, what: str) -> Number:
        """Bytes of a page's content, which begins `body` bytes behind the present place."""
        if kind == fmt.ZERO:
            return 1
        if kind == fmt.PAGE:
            return self.page_size
        start = body + 1 if kind == fmt.XBZRLE else body
        width = 2 if kind == fmt.XBZRLE else 4
        yield from self._need(start + width, what)
        size = int.from_bytes(self.buffer[self.at + start : self.at + start + width])
        if not 0 < size <= 2 * self.page_size:
            raise self._broken(f"a page of {size} bytes")
        return start - body + width + size

    def _gather(self, run: PageRun, most: int) -> None:
        """Pass over the pages that follow, each as QEMU sends what continues a block."""
        zeros = run.kind == fmt.ZERO
        run.fill = self.buffer[run.body] if zeros else 0
        if run.fill:
            return
        if self._expected is None:
            self._expected = PageWords(self.page_size)
        offset = run.offset + self.page_size
        count = min(self._expected.following(self._view, self.at, self._end, offset, zeros=zeros), most)
        self.at += count * (8 + run.size)
        run.count += count

    def _find_page_size(self, offset: int, body: int, kind: int) -> Generator[None, None, None]:
        """Tell the size of pages by the first: by where the next one is, or by an address that is none of 4 KiB.

        Pages of zeros, some of which may not be sent, do not tell that they are larger.
        """
        zero = kind == fmt.ZERO
        for size in PAGE_SIZES if kind == fmt.PAGE else SMALL_PAGE_SIZES if zero else ():
            place = body + (1 if zero else size)
            while self._end - self.at < place + 8 and not self._ended:
                yield
            if self._end - self.at < place + 8:
                break
            word = WORD.unpack_from(self.buffer, self.at + place)[0]
            if word in (offset + size | fmt.CONTINUE | fmt.ZERO, offset + size | fmt.CONTINUE | fmt.PAGE):
                self._know_page_size(size)
                return
        self._guessed = True
        self._know_page_size(PAGE_SIZES[0])
