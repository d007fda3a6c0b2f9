"""Files whose pages have fixed places, gone through in reads of any length, against what was written to them."""

from __future__ import annotations

import os
import re
import tempfile
from contextlib import suppress
from random import Random
from struct import pack_into

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ramslot.monitor.streams import remap_mapped
from ramslot.monitor.streams.command import run_stream_command
from ramslot.vm.errors import VMError
from ramslot.vm.migration import format as fmt
from ramslot.vm.streams import mapped
from ramslot.vm.streams.contents import deliver
from ramslot.vm.streams.errors import BrokenStreamError, NotUnderstoodError
from ramslot.vm.streams.parts import BlockList, DeviceBytes, PageRun
from ramslot.vm.streams.walk import Walker
from tests.stream_pieces import mapped_file

DEVICES = b"\4devices\0"
MOST_READS = 100_000
MIB = 1 << 20


class Memory:
    """Keeps what pages hold."""

    def __init__(self) -> None:
        self.blocks: dict[str, bytearray] = {}

    def pages(self, block: str, offset: int, pieces: list[memoryview]) -> None:
        for piece in pieces:
            self.blocks[block][offset : offset + len(piece)] = piece
            offset += len(piece)

    def fill(self, block: str, offset: int, length: int, byte: int) -> None:
        self.blocks[block][offset : offset + length] = bytes([byte]) * length

    def current(self, block: str, offset: int, length: int) -> bytes:
        raise AssertionError("there are no changes of pages")


class Walk:
    """What was found in a file, and which bytes of it were read."""

    def __init__(self, data: bytes, dice: Random, *, origin: int = 0, buffer: int = 1 << 20, reads: bool = True):
        self.memory = Memory()
        self.there: dict[str, list[bool]] = {}
        self.devices = b""
        self.read: list[tuple[int, int]] = []
        self._reads = reads
        self.walker = Walker(buffer_bytes=buffer, origin=origin, reads_pages=reads)
        count = 1
        while count:
            room = self.walker.room()
            start = origin + self.walker.place
            piece = data[start : start + dice.randint(1, len(room))]
            count = len(piece)
            room[:count] = piece
            self.read.append((start, start + count))
            assert len(self.read) < MOST_READS, "it ends"
            for part in self.walker.walk(count):
                self._take(part)

    def _take(self, part: object) -> None:
        if isinstance(part, BlockList):
            self.there = {name: [] for name, _length, _address in part.blocks}
            if self._reads:
                self.memory.blocks = {name: bytearray(b"?" * length) for name, length, _address in part.blocks}
        elif isinstance(part, PageRun):
            assert part.offset == len(self.there[part.block]) * self.walker.page_size, "all come once, in order"
            self.there[part.block] += [part.kind == fmt.PAGE] * part.count
            if self._reads:
                deliver(part, self.walker, self.memory)
        elif isinstance(part, DeviceBytes):
            self.devices += self.walker.buffer[part.at : part.end]


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 40), st.integers(0, 3)), min_size=1, max_size=4),
    st.sampled_from([1024, 4096, 8192]),
    st.sampled_from([0, 4096, 70000]),
    st.integers(0, 1 << 32),
)
def test_pages_come_as_they_were_written(shapes: list[tuple[int, int]], page_size: int, origin: int, seed: int) -> None:
    dice = Random(seed)
    blocks = {
        f"block{number}": b"".join(bytes([dice.choice((0, 0, 7, 9)[: kind + 1])]) * page_size for _ in range(count))
        for number, (count, kind) in enumerate(shapes)
    }
    data = mapped_file(blocks, DEVICES, origin, page_size)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mapped, "PORTION", 16)
        found = Walk(data, dice, origin=origin, buffer=dice.choice((9000, 20000, 1 << 20)))
        told = Walk(data, dice, origin=origin, reads=False)
    expected = {
        name: [any(content[at : at + page_size]) for at in range(0, len(content), page_size)]
        for name, content in blocks.items()
    }
    for walk in (found, told):
        assert walk.there == expected
        assert walk.devices == DEVICES
        assert walk.walker.complete
        assert walk.walker.position == len(data) - origin
    assert {name: bytes(content) for name, content in found.memory.blocks.items()} == blocks
    assert not any(expected.values()) or found.walker.page_size == page_size


def test_nothing_is_read_that_no_bitmap_names() -> None:
    content = bytearray(64 * 4096)
    content[4096 * 5] = content[4096 * 40] = 1
    data = mapped_file({"a": bytes(content), "b": bytes(4096)}, DEVICES)
    first = data.index(content)
    walk = Walk(data, Random(1))
    names = [(first + page * 4096, first + (page + 1) * 4096) for page in (5, 40)]
    inside = [(start, end) for start, end in walk.read if first <= start < first + len(content)]
    assert inside
    assert all(any(start >= page[0] and end <= page[1] for page in names) for start, end in inside)


def changed(data: bytes, name: str, form: str, place: int, value: int) -> bytes:
    """With another number in what is told of a block."""
    copy = bytearray(data)
    pack_into(form, copy, copy.index(bytes([len(name)]) + name.encode()) + 1 + len(name) + 8 + place, value)
    return bytes(copy)


HOSTILE: dict[str, tuple[str, str, int, int, str]] = {
    "a later version": ("a", ">I", 0, 2, "version 2 of pages at fixed places, and only 1 is known"),
    "pages of no size": ("a", ">Q", 4, 0, "'a' has pages of 0 bytes"),
    "pages of two sizes": ("b", ">Q", 4, 8192, "'b' has pages of 8192 bytes"),
    "a bitmap before all": ("b", ">Q", 12, 0, "'b' has its bitmap at 0x0 and its pages at 0x200000"),
    "a bitmap far away": ("b", ">Q", 12, 1 << 40, "'b' has its bitmap at 0x10000000000"),
    "a bitmap in the pages": ("a", ">Q", 12, (1 << 20) - 4, "'a' has its bitmap at 0xffffc and"),
    "pages before all": ("b", ">Q", 20, 0, "and its pages at 0x0"),
    "pages far away": ("b", ">Q", 20, 1 << 50, "the stream ends at byte"),
    "pages behind every file": ("b", ">Q", 20, (1 << 64) - MIB, "and its pages at 0xfffffffffff00000"),
    "pages at an odd place": ("a", ">Q", 20, MIB + 1, "and its pages at 0x100001"),
    "a bitmap longer than the file": ("b", ">Q", -8, 1 << 60, "the list of RAMBlocks is wrong at 'b'"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_what_is_wrong_with_places_is_told(case: str) -> None:
    name, form, place, value, text = HOSTILE[case]
    data = changed(mapped_file({"a": b"x" * 4096, "b": b"y" * 4096}, DEVICES), name, form, place, value)
    with pytest.raises((BrokenStreamError, NotUnderstoodError)) as raised:
        Walk(data, Random(1))
    assert text in str(raised.value)


def test_pages_outside_their_places_are_refused() -> None:
    data = mapped_file({"a": b"x" * 4096}, DEVICES)
    with pytest.raises(BrokenStreamError, match="a page outside its fixed place"):
        Walk(data[: -len(DEVICES) - 13] + (fmt.PAGE).to_bytes(8) + bytes(99), Random(1))


def test_a_pipe_is_refused() -> None:
    walker = Walker()
    data = mapped_file({"a": b"x" * 4096}, DEVICES)[:200]
    walker.room()[: len(data)] = data
    with pytest.raises(NotUnderstoodError, match="neither from a pipe nor compressed"):
        list(walker.walk(len(data)))


WHOLE = mapped_file({"a": bytes(8192) + b"x" * 8192, "b": b"y" * 4096}, DEVICES)
TELLING = [found.start() for found in re.finditer(rb"[^\0xy]", WHOLE)]


@settings(deadline=None)
@given(st.integers(0, 1 << 32))
def test_files_that_are_cut_or_changed_end_in_an_error_or_well(seed: int) -> None:
    dice = Random(seed)
    with pytest.raises(VMError):
        Walk(WHOLE[: dice.randrange(len(WHOLE) - len(DEVICES))], dice)
    data = bytearray(WHOLE)
    for _ in range(dice.randint(1, 3)):
        place = (dice.choice(TELLING) + dice.randint(-4, 4)) % len(data)
        data[place] = dice.choice((0, 1, 0x7F, 0xFF, dice.randrange(256)))
    with suppress(VMError):
        Walk(bytes(data), dice, reads=False)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 1 << 32))
def test_a_rewritten_file_has_every_page_where_the_map_has_it(seed: int) -> None:
    dice = Random(seed)
    pages = dice.randint(2, 60)
    kinds = [dice.choice((0, 0, 1, 2)) for _ in range(pages)]
    content = b"".join(bytes([kind]) * 4096 for kind in kinds)
    edge = dice.randrange(1, pages) * 4096
    blocks = {"m": content, "other": b"o" * 8192, "tail": bytes(4096) + b"t" * 4096}
    origin = dice.choice((0, 4096))
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(remap_mapped, "BITMAP_PAGES", 16)
        saved, new = os.path.join(folder, "saved"), os.path.join(folder, "new")
        with open(saved, "wb") as file:
            file.write(mapped_file(blocks, DEVICES, origin))
        maps = ["-map", f"m=a+{edge},b", "-map", "tail=b"]
        words = ["remap", *maps, saved, "-o", new, "-offset", str(origin)]
        assert run_stream_command("ramslot", words) == 0
        with open(new, "rb") as file:
            data = file.read()
    expected = {"a": content[:edge], "b": content[edge:] + blocks["tail"], "other": blocks["other"]}
    walk = Walk(data, dice)
    assert walk.memory.blocks == expected
    assert walk.devices == DEVICES
    assert walk.there["a"] + walk.there["b"] == [kind > 0 for kind in kinds] + [False, True]
    assert data == mapped_file({name: expected[name] for name in walk.there}, DEVICES)
