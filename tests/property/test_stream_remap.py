"""Rewritten streams: against a slow model of bytes, however they are cut, and whatever is wrong with them."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from random import Random
from struct import pack

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ramslot.vm.errors import VMError
from ramslot.vm.migration import format as fmt
from ramslot.vm.migration import writing
from ramslot.vm.migration.devices import own_devices
from ramslot.vm.migration.events import NEED_DATA, Command, Devices, LivePart, Pages, RAMBlockEntry
from ramslot.vm.migration.reading import StreamReader
from ramslot.vm.releases import NEWEST, find_release
from ramslot.vm.streams.block_map import BlockMap
from ramslot.vm.streams.contents import deliver
from ramslot.vm.streams.errors import BrokenStreamError, NotUnderstoodError
from ramslot.vm.streams.parts import PageRun
from ramslot.vm.streams.remap import Remapper
from ramslot.vm.streams.summary import Summary
from ramslot.vm.streams.walk import Walker
from tests.stream_pieces import pages

PAGE = 4096
Memory = dict[str, bytearray]
DEVICES = own_devices("none", find_release(NEWEST), PAGE, "running")


class Case:
    """A source, what is to become of its blocks, and what that should give by moving one page after the other."""

    def __init__(self, dice: Random) -> None:
        self.dice = dice
        self.blocks = [(f"/rom@etc/{number}", dice.randint(1, 12) * PAGE) for number in range(dice.randint(1, 4))]
        self.source: Memory = {name: bytearray(length) for name, length in self.blocks}
        self.maps: list[str] = []
        self.places: dict[tuple[str, int], tuple[str, int]] = {}
        lengths: dict[str, int] = {}
        stay = [name for name, _length in self.blocks if dice.random() < 0.3]
        targets = ["a", "b", "c:d/e", "ram"]
        order = [block for block in self.blocks if block[0] not in stay]
        dice.shuffle(order)
        for name, length in order:
            pages = length // PAGE
            cuts = sorted(dice.sample(range(1, pages), dice.randint(0, min(3, pages - 1))))
            words = []
            for start, end in zip([0, *cuts], [*cuts, pages], strict=True):
                target = dice.choice(targets)
                words.append(target + dice.choice(["", f"@{start * PAGE:#x}"]))
                words[-1] += f"+{(end - start) * 4}K"
                for page in range(start, end):
                    self.places[name, page] = target, lengths.get(target, 0)
                    lengths[target] = lengths.get(target, 0) + 1
            self.maps.append(f"{name}={','.join(words)}")
        for name, length in self.blocks:
            if name in stay:
                lengths[name] = length // PAGE
                self.places.update({(name, page): (name, page) for page in range(length // PAGE)})
        self.lengths = {name: count * PAGE for name, count in lengths.items()}

    def expected(self) -> Memory:
        found = {name: bytearray(length) for name, length in self.lengths.items()}
        for (name, page), (target, place) in self.places.items():
            found[target][place * PAGE : (place + 1) * PAGE] = self.source[name][page * PAGE : (page + 1) * PAGE]
        return found

    def stream(self, *, configuration: bool = True) -> bytes:
        """A source that sends some pages again, with a section of another device and commands between."""
        dice = self.dice
        data = writing.header("none" if configuration else None, uuid=bytes(range(16)) if configuration else None)
        data += writing.command(fmt.OPEN_RETURN_PATH) + writing.command(fmt.PING, b"\0\0\0\1")
        data += writing.section(fmt.SECTION_START, 2, writing.block_list(self.blocks), footers=configuration)
        head = pack(">B", len(fmt.HASH_TABLE)) + fmt.HASH_TABLE.encode() + pack(">II", 0, 1)
        data += writing.live_part(fmt.SECTION_START, 9, head, pack(">I", 24), footers=configuration)
        for _ in range(dice.randint(1, 4)):
            data += writing.section_head(fmt.SECTION_PART, 2) + self._pages()
            data += writing.section_tail(2, footers=configuration)
            chunk = pack(">IHH", 5, 2, 1) + dice.randbytes(32)
            data += writing.live_part(fmt.SECTION_PART, 9, b"", bytes(4) + chunk + bytes(8), footers=configuration)
        return data + writing.section(fmt.SECTION_END, 2, b"", footers=configuration) + DEVICES

    def _pages(self) -> bytes:
        dice = self.dice
        pieces: writing.Buffers = []
        last = ""
        for _ in range(dice.randint(0, 5)):
            name, length = dice.choice(self.blocks)
            first = dice.randrange(length // PAGE)
            count = dice.randint(1, length // PAGE - first)
            follows = name == last and dice.random() < 0.7
            if dice.random() < 0.4:
                content = bytes(count * PAGE)
                pieces.append(writing.zero_pages(name, first * PAGE, count, PAGE, follows=follows))
            else:
                content = dice.randbytes(count * PAGE)
                pieces.append(pages(name, first * PAGE, content, PAGE, follows=follows))
            self.source[name][first * PAGE : (first + count) * PAGE] = content
            last = name
        return b"".join(pieces)


def remapped(data: bytes, maps: list[str], cuts: Callable[[], int], page_size: int | None = None) -> bytes:
    """What comes out; what was sent before something was wrong is in the error's `sent`."""
    remapper = Remapper(BlockMap(maps), page_size)
    sent, at = b"", 0
    try:
        while True:
            room = remapper.room()
            piece = data[at : at + min(cuts(), len(room))]
            room[: len(piece)] = piece
            at += len(piece)
            sent += b"".join(remapper.take(len(piece)))
            if not piece:
                return sent
    except VMError as error:
        error.sent = sent  # type: ignore[attr-defined]  # for the test
        raise


def received(data: bytes, *, configuration: bool = True) -> tuple[dict[str, int], Memory, list[object], bytes]:
    """What the codec that destinations read with makes of a stream."""
    reader = StreamReader(PAGE, configuration=configuration, footers=configuration)
    reader.feed(data)
    reader.end()
    lengths: dict[str, int] = {}
    memory: Memory = {}
    others: list[object] = []
    devices = b""
    while (event := reader.next_event()) is not None:
        assert event is not NEED_DATA
        if isinstance(event, RAMBlockEntry):
            lengths[event.name] = event.length
            memory[event.name] = bytearray(event.length)
        elif isinstance(event, Pages):
            for offset, page in event.each(PAGE):
                memory[event.block][offset : offset + PAGE] = page
        elif isinstance(event, LivePart):
            others.append((event.kind, event.section_id, event.head, event.content))
        elif isinstance(event, Command):
            others.append((event.number, event.data))
        elif isinstance(event, Devices):
            devices = event.data
    return lengths, memory, others, devices


@settings(max_examples=150, deadline=None)
@given(st.integers(), st.booleans(), st.sampled_from([9, 300, 4096, 9000, 1 << 20]))
def test_every_page_comes_where_the_map_says(seed: int, configuration: bool, step: int) -> None:
    dice = Random(seed)
    case = Case(dice)
    data = case.stream(configuration=configuration)
    out = remapped(data, case.maps, lambda: dice.randint(1, step))
    lengths, memory, others, devices = received(out, configuration=configuration)
    assert lengths == case.lengths
    assert memory == case.expected()
    assert devices == DEVICES
    assert others == received(data, configuration=configuration)[2]


@settings(max_examples=100, deadline=None)
@given(st.integers())
def test_what_is_renamed_and_renamed_back_is_as_it_was(seed: int) -> None:
    dice = Random(seed)
    case = Case(dice)
    data = case.stream()
    names = [name for name, _length in case.blocks]
    out = remapped(data, [f"{name}=x{name}" for name in names], lambda: 777)
    back = remapped(out, [f"x{name}={name}" for name in names], lambda: 5000)
    assert received(back) == received(data)


@settings(max_examples=150, deadline=None)
@given(st.integers())
@example(126175763803201456)  # the end of a section with an address, before any page tells how large pages are
def test_what_is_cut_or_broken_ends_in_an_error_and_nothing_wrong_was_sent(seed: int) -> None:
    dice = Random(seed)
    case = Case(dice)
    data = case.stream()
    whole = remapped(data, case.maps, lambda: 1 << 20)
    end = len(data) - len(DEVICES)
    with pytest.raises(BrokenStreamError) as raised:
        remapped(data[: dice.randrange(8, end)], case.maps, lambda: dice.randint(1, 3000))
    assert whole.startswith(raised.value.sent)  # type: ignore[attr-defined]  # set above
    wrong = bytearray(data)
    for _ in range(dice.randint(1, 4)):
        wrong[dice.randrange(end)] = dice.randrange(256)
    try:
        out = remapped(bytes(wrong), case.maps, lambda: dice.randint(1, 3000))
    except VMError:
        return
    lengths, memory, _others, devices = received(out)
    assert memory.keys() == lengths.keys()
    assert devices == DEVICES


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=400), st.integers())
def test_noise_is_refused(noise: bytes, seed: int) -> None:
    dice = Random(seed)
    data = Case(dice).stream()
    for start in (b"", writing.header("none"), data[: dice.randrange(len(data) - len(DEVICES))]):
        walker, summary = Walker(), Summary()
        content = start + noise
        try:
            while True:
                room = walker.room()
                piece, content = content[: len(room)], content[len(room) :]
                room[: len(piece)] = piece
                for part in walker.walk(len(piece)):
                    summary.take(part, walker)
                if not piece:
                    break
        except VMError:
            continue
        summary.problems()
        summary.to_json(walker)


@settings(max_examples=100, deadline=None)
@given(st.integers())
def test_devices_that_are_none_are_told(seed: int) -> None:
    """What follows the memory is anything: it is told as broken or as undescribed, and is nobody's defect."""
    dice = Random(seed)
    data = Case(dice).stream()
    wrong = bytearray(data)
    start = len(data) - len(DEVICES)
    for _ in range(dice.randint(1, 6)):
        wrong[dice.randrange(start + 1, len(data))] = dice.choice([0, 5, 34, 44, 91, 125, dice.randrange(256)])
    walker, summary = Walker(), Summary()
    left = bytes(wrong) + dice.randbytes(dice.choice([0, 0, 3]))
    more = True
    while more:
        room = walker.room()
        piece, left = left[: len(room)], left[len(room) :]
        room[: len(piece)] = piece
        for part in walker.walk(len(piece)):
            summary.take(part, walker)
        more = bool(piece)
    told = summary.to_json(walker)
    assert summary.problems() or len(told["devices"]) == 2 or summary.devices.endswith(b"\0")


SETUP = writing.header("none") + writing.section(fmt.SECTION_START, 2, writing.block_list([("r", 4 * PAGE)]))
WORDS = writing.section_head(fmt.SECTION_PART, 2)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"\x16\x03\x01\x02\x00\x01", "this is TLS"),
        (b"\x11\x22\x33\x44" + bytes(60), "a channel of multifd"),
        (writing.header("no\x1b[2J"), r"no machine type is called 'no\\x1b\[2J'"),
        (
            writing.header("none") + writing.section(fmt.SECTION_START, 2, writing.block_list([("r\x00", PAGE)])),
            r"wrong at 'r\\x00'",
        ),
        (b"GET / HTTP/1.0\r\n", "this is no migration stream"),
        (writing.header("none", capabilities=["mapped-ram"]), "capability 'mapped-ram'"),
        (writing.header("none", capabilities=["x-colo"]), "capability 'x-colo'"),
        (writing.header("none") + writing.command(3, b"\0" * 16), "the source wants postcopy"),
        (writing.header("none") + writing.command(99), "command 99"),
        (SETUP + WORDS + pack(">Q", fmt.MULTIFD_FLUSH), "made with multifd"),
        (SETUP + WORDS + pack(">Q", 0x80), "made with RDMA"),
        (SETUP + pack(">BIB", fmt.SECTION_START, 3, 5) + b"block" + bytes(8), "a section of 'block'"),
        (SETUP + pack(">BIB", fmt.SECTION_FULL, 3, 5) + b"early" + bytes(8), "comes before the memory"),
        (
            writing.header("none")
            + writing.section(fmt.SECTION_START, 2, b"")
            + writing.section(fmt.SECTION_END, 2, b""),
            "tells of no RAMBlocks",
        ),
    ],
)
def test_what_is_not_understood_is_refused_before_a_byte_is_sent(data: bytes, text: str) -> None:
    for step in (1, 7, 1 << 16):
        with pytest.raises((NotUnderstoodError, BrokenStreamError), match=text) as raised:
            remapped(data + b"\1", ["r=x"], lambda: step)  # noqa: B023 - it is called at once
        assert raised.value.sent == b""  # type: ignore[attr-defined]  # set above


@pytest.mark.parametrize(
    ("maps", "text"),
    [
        (["r"], "expects SOURCE=NAME"),
        (["=x"], "expects SOURCE=NAME"),
        (["r="], "expects SOURCE=NAME"),
        (["r=x,"], "a piece has no name"),
        (["r=x", "r=y"], "says twice"),
        (["q=x"], "there is no RAMBlock 'q'; there are: r, s"),
        (["r=x@4K"], "leaves out bytes before 0x1000"),
        (["r=x+8K,y@4K"], "has bytes twice at 0x1000"),
        (["r=x,y"], "does not say where 'x' ends"),
        (["r=x+8K"], "says nothing of what is from 0x2000 on"),
        (["r=x+32K"], "takes 0x0 to 0x8000"),
        (["r=x+0,y"], "takes 0x0 to 0x0"),
        (["r=x+2K,y"], "divides pages of 4096 bytes at 'x'"),
        (["r=s"], "'s' is a RAMBlock that stays"),
        ([f"r={'x' * 256}"], "at most 255 bytes"),
        (["r=x@99999999999999999999"], "a size that is none"),
    ],
)
def test_maps_that_do_not_fit_are_refused(maps: list[str], text: str) -> None:
    with pytest.raises(VMError, match=text):
        BlockMap(maps).layout([("r", 4 * PAGE), ("s", PAGE)], PAGE)


def test_blocks_may_change_places_and_keep_odd_lengths() -> None:
    layout = BlockMap(["r=s", "s=r"]).layout([("r", 5000), ("s", PAGE)], PAGE)
    assert layout.blocks == [("s", 5000), ("r", PAGE)]


def test_pages_of_other_sizes_are_divided_as_such() -> None:
    """The first two pages tell the size, before anything is sent."""
    blocks = writing.block_list([("r", 1 << 16)])
    for size in (1024, 8192):
        data = writing.header("none") + writing.section(fmt.SECTION_START, 2, blocks)
        content = pages("r", 0, bytes(range(256)) * 256, size, follows=False)
        data += WORDS + content + writing.section_tail(2) + writing.section(fmt.SECTION_END, 2, b"") + DEVICES
        out = remapped(data, ["r=x+8K,y"], lambda: 1000)
        assert out == remapped(data, ["r=x+8K,y"], lambda: 1000, size)
    with pytest.raises(VMError, match="divides pages of 8192 bytes") as raised:
        remapped(data, ["r=x+12K,y"], lambda: 1000)
    assert raised.value.sent == b""  # type: ignore[attr-defined]  # set above


def test_who_meets_larger_pages_behind_zeros_is_told_what_helps() -> None:
    size = 16384
    data = writing.header("none")
    data += writing.section(fmt.SECTION_START, 2, writing.block_list([("r", 1 << 16)])) + WORDS
    data += writing.zero_pages("r", 0, 2, size, follows=False)
    data += pages("r", 2 * size, b"\xff" * size, size, follows=True)
    data += writing.section_tail(2) + writing.section(fmt.SECTION_END, 2, b"") + DEVICES
    with pytest.raises(BrokenStreamError, match=r"if its pages have no 4096 bytes, -page-size helps"):
        remapped(data, ["r=x"], lambda: 5000)
    assert len(remapped(data, ["r=x"], lambda: 5000, size)) == len(data)


class Kept:
    """Keeps pages in memory."""

    def __init__(self, length: int) -> None:
        self.memory = bytearray(length)

    def pages(self, block: str, offset: int, pieces: list[memoryview]) -> None:
        content = b"".join(pieces)
        self.memory[offset : offset + len(content)] = content

    def fill(self, block: str, offset: int, length: int, byte: int) -> None:
        self.memory[offset : offset + length] = bytes([byte]) * length

    def current(self, block: str, offset: int, length: int) -> bytes:
        return bytes(self.memory[offset : offset + length])


def test_compressed_and_changed_pages_pass_and_are_understood() -> None:
    content, newer = bytes(range(256)) * 16, bytearray(bytes(range(256)) * 16)
    newer[200:203], newer[4090:4096] = b"new", b"at end"
    packed = zlib.compress(content)
    patch = bytes((0xC8, 1, 3)) + b"new" + pack("<BB", 3887 & 0x7F | 0x80, 3887 >> 7) + b"\6at end"
    data = SETUP + WORDS + pack(">QB", PAGE | fmt.COMPRESSED_PAGE, 1) + b"r" + pack(">I", len(packed)) + packed
    data += pack(">QBH", PAGE | fmt.XBZRLE | fmt.CONTINUE, 1, len(patch)) + patch
    data += writing.section_tail(2) + writing.section(fmt.SECTION_END, 2, b"") + DEVICES
    out = remapped(data, ["r=q+4K,x@4K"], lambda: 100)
    kept = Kept(4 * PAGE)
    walker = Walker()
    walker.room()[: len(out)] = out
    for part in walker.walk(len(out)):
        if isinstance(part, PageRun):
            assert (part.block, part.offset) == ("x", 0)
            deliver(part, walker, kept)
    assert kept.memory[:PAGE] == newer
