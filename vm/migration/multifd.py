"""Pages on channels of their own (capability `multifd`), as packets: bytes in and out.

A channel begins with who it belongs to, and has packets of up to 512 KiB of one RAMBlock's pages: where they are, those
with contents first, then since QEMU 9.0 those of zeros; behind that the contents. A packet may say that all channels
are to be waited for. Observed of QEMU 5.2 to 11.1.
"""

from __future__ import annotations

import sys
import zlib
from array import array
from struct import Struct

from . import format as fmt
from .errors import StreamError
from .events import Pages, Synchronized
from .refusals import uuid_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .events import PacketEvent, PageRun

PACKET_BYTES = 512 << 10
"""Of contents, at most."""
PACKED_BYTES = 2 * PACKET_BYTES
"""What they are at most when they are packed: noise becomes longer. QEMU has room for as many."""
HELLO = Struct(">II16sB39x")
HEAD = Struct(">IIIIIIQI28x256s")
SYNC = 0x01
METHODS = {"none": 0x00, "zlib": 0x02}
"""How contents can be packed, as flags tell it."""
METHOD_BITS = 0x3E


def pages_in_packet(page_size: int) -> int:
    """How many pages a packet has room for."""
    return PACKET_BYTES // page_size


def hello(number: int, uuid: bytes) -> bytes:
    """What a channel begins with: its number, and the UUID of the machine, or zeros."""
    return HELLO.pack(fmt.MULTIFD_MAGIC, fmt.MULTIFD_VERSION, uuid, number)


def read_hello(data: bytes, count: int, uuid: bytes) -> int:
    """The number that a channel tells behind its magic, one of `count`; raises `StreamError`."""
    if len(data) < HELLO.size:
        raise StreamError("Unexpected end-of-file before all data were read")
    number: int
    _magic, version, told, number = HELLO.unpack(data)
    if version != fmt.MULTIFD_VERSION:
        raise refused(f"received packet version {version} expected {fmt.MULTIFD_VERSION}")
    if told != uuid:
        expected = f"expected uuid '{uuid_text(uuid)}' for channel {number}"
        raise refused(f"received uuid '{uuid_text(told)}' and {expected}")
    if number >= count:
        text = f"received channel id {number} is greater than number of channels {count}"
        raise refused(text, newer=f"received channel id {number} exceeds channel count {count}")
    return number


def refused(text: str, newer: str = "") -> StreamError:
    """What is wrong with a channel."""
    return StreamError(f"multifd: {text}", newer=f"multifd: {newer}" if newer else "")


def packet_head(
    page_size: int,
    number: int,
    *,
    flags: int = 0,
    block: str = "",
    pages: Sequence[range] = (),
    zeros: Sequence[range] = (),
    size: int = 0,
    allocated: int | None = None,
) -> bytes:
    """What a packet begins with: which pages it has, as ranges of offsets, and how many bytes follow."""
    room = pages_in_packet(page_size)
    offsets = array("Q", bytes(8 * room))
    at = 0
    for run in (*pages, *zeros):
        offsets[at : at + len(run)] = array("Q", run)
        at += len(run)
    if sys.byteorder == "little":
        offsets.byteswap()
    told = sum(map(len, pages)), sum(map(len, zeros))
    allocated = room if allocated is None else allocated
    head = (fmt.MULTIFD_MAGIC, fmt.MULTIFD_VERSION, flags, allocated, told[0], size, number, told[1], block.encode())
    return HEAD.pack(*head) + offsets.tobytes()


class PacketReader:
    """One channel behind what it begins with.

    Fill `get_buffer` and tell `buffer_updated` how much of it was filled, which gives events. Their data is good until
    the next call. Where there are `pages_ahead`, their contents may be taken off the channel instead, and `passed`
    gives the events without them. All raise `StreamError`.
    """

    def __init__(self, page_size: int, method: str) -> None:
        self._page_size = page_size
        self._room = pages_in_packet(page_size)
        self._flag = METHODS[method]
        self._inflate = zlib.decompressobj() if method == "zlib" else None
        self._head = memoryview(bytearray(HEAD.size + 8 * self._room))
        self._data = memoryview(bytearray(PACKET_BYTES if self._inflate is None else PACKED_BYTES))
        self._filled = 0
        self._size = -1
        """Bytes of contents that are to come, or -1 before their head is there."""
        self._offsets: array[int] = array("Q")
        self.block = ""
        """Whose pages the packet has."""
        self._counts = 0, 0
        self._flags = 0

    @property
    def is_between(self) -> bool:
        """Whether the channel may end here."""
        return self._size < 0 and not self._filled

    def get_buffer(self) -> memoryview:
        """Where what comes next belongs; never empty."""
        return (self._head if self._size < 0 else self._data[: self._size])[self._filled :]

    @property
    def pages_ahead(self) -> list[tuple[int, int]]:
        """The parts of the block whose contents come next as they are, all of them: offset and length."""
        if self._size <= 0 or self._filled or self._inflate is not None:
            return []
        page_size, offsets = self._page_size, self._offsets
        return [(offsets[first], (end - first) * page_size) for first, end in self._runs(0, self._counts[0])]

    def passed(self) -> Iterator[PacketEvent]:
        """The contents of the pages ahead went elsewhere: what else the packet brings."""
        self._size = -1
        return self._events_behind()

    def buffer_updated(self, count: int) -> Iterator[PacketEvent]:
        """So many bytes came: what they complete."""
        self._filled += count
        if self._size < 0 and self._filled == len(self._head):
            self._read_head()
        if self._size >= 0 and self._filled == self._size:
            data = self._data[: self._size]
            self._filled, self._size = 0, -1
            yield from self._events(data)

    def _read_head(self) -> None:
        magic, version, flags, allocated, count, size, _number, zeros, name = HEAD.unpack_from(self._head)
        if magic != fmt.MULTIFD_MAGIC:
            raise refused(f"received packet magic {magic:x} expected {fmt.MULTIFD_MAGIC:x}")
        if version != fmt.MULTIFD_VERSION:
            raise refused(f"received packet version {version} expected {fmt.MULTIFD_VERSION}")
        if allocated > self._room or count + zeros > self._room:
            many = max(allocated, count + zeros)
            raise refused(f"received packet with {many} pages and expected maximum pages are {self._room}")
        if count and flags & METHOD_BITS != self._flag:
            raise refused(f"flags received {flags & METHOD_BITS:x} flags expected {self._flag:x}")
        if self._inflate is None or not count:  # otherwise who sends may tell anything
            size = count * self._page_size
        elif size > PACKED_BYTES:
            raise refused(f"received packet with {size} bytes, and there are at most {PACKED_BYTES}")
        self._offsets = array("Q", bytes(self._head[HEAD.size :]))
        if sys.byteorder == "little":
            self._offsets.byteswap()
        self.block = name.partition(b"\0")[0].decode("latin-1")
        self._counts, self._flags = (count, zeros), flags
        self._filled, self._size = 0, size

    def _events(self, data: memoryview) -> Iterator[PacketEvent]:
        page_size, count = self._page_size, self._counts[0]
        if self._inflate is not None and count:
            data = self._inflated(data, count * page_size)
        runs: list[PageRun] = [
            (self._offsets[first], end - first, data[first * page_size : end * page_size])
            for first, end in self._runs(0, count)
        ]
        yield from self._events_behind(runs)

    def _events_behind(self, runs: Sequence[PageRun] = ()) -> Iterator[PacketEvent]:
        count, zeros = self._counts
        zero_runs = [(self._offsets[first], end - first, None) for first, end in self._runs(count, count + zeros)]
        if runs or zero_runs:
            yield Pages(self.block, [*runs, *zero_runs], self._page_size)
        if self._flags & SYNC:
            yield Synchronized()

    def _inflated(self, data: memoryview, size: int) -> memoryview:
        assert self._inflate is not None, "it was asked for"
        try:
            found = self._inflate.decompress(data, size + 1)
        except zlib.error as error:
            raise refused(f"inflate failed: {error}") from None
        if len(found) != size:
            raise refused(f"packet size received {len(found)} size expected {size}")
        return memoryview(found)

    def _runs(self, first: int, end: int) -> Iterator[tuple[int, int]]:
        """The pages of a part of the packet as runs that follow each other in the block."""
        offsets, page_size, start = self._offsets, self._page_size, first
        if first < end and offsets[end - 1] - offsets[first] == (end - 1 - first) * page_size:
            run = range(offsets[first], offsets[end - 1] + 1, page_size)  # nearly always it is one
            if offsets[first:end] == array("Q", run):
                yield first, end
                return
        for number in range(first + 1, end + 1):
            if number == end or offsets[number] != offsets[number - 1] + page_size:
                yield start, number
                start = number
