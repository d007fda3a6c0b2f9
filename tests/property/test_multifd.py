"""Packets of pages: what is written is read however it is cut, and hostile bytes end in words or in nothing."""

from __future__ import annotations

import zlib
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ramslot.vm.migration.errors import StreamError
from ramslot.vm.migration.events import Pages, Synchronized
from ramslot.vm.migration.multifd import (
    METHODS,
    PACKET_BYTES,
    SYNC,
    PacketReader,
    hello,
    packet_head,
    pages_in_packet,
    read_hello,
)

PAGE = 4096
Memory = dict[tuple[str, int], bytes]


def fed(reader: PacketReader, data: bytes, dice: Random) -> tuple[Memory, int]:
    """What packets bring, page by page, and how often channels are to meet."""
    memory: Memory = {}
    meetings, at = 0, 0
    while at < len(data):
        ahead = reader.pages_ahead if dice.random() < 0.5 else []
        for start, length in ahead:  # some take the contents themselves
            for offset in range(start, start + length, PAGE):
                memory[reader.block, offset] = data[at : at + PAGE]
                at += PAGE
        count = 0
        if not ahead:
            buffer = reader.get_buffer()
            count = min(len(buffer), len(data) - at, dice.choice([1, 7, PAGE, 1 << 20]))
            buffer[:count] = data[at : at + count]
            at += count
        for event in reader.passed() if ahead else reader.buffer_updated(count):
            if isinstance(event, Synchronized):
                meetings += 1
            else:
                assert isinstance(event, Pages)
                for offset, page in event.each(PAGE):
                    memory[event.block, offset] = bytes(page)
    return memory, meetings


def runs(dice: Random, room: int) -> list[range]:
    """Some pages, at most so many."""
    found = []
    while room and dice.random() < 0.7:
        count, first = dice.randint(1, room), dice.randrange(1 << 30)
        room -= count
        found.append(range(first * PAGE, (first + count) * PAGE, PAGE))
    return found


@settings(max_examples=50, deadline=None)
@given(st.integers(), st.sampled_from(sorted(METHODS)))
def test_packets_are_read_however_they_are_cut(seed: int, method: str) -> None:
    dice = Random(seed)
    deflate = zlib.compressobj(1)
    expected: Memory = {}
    data, meetings = b"", 0
    for number in range(dice.randint(1, 5)):
        block, sync = dice.choice(["ram0", "x" * 255, "0000:00:02.0/vga.vram"]), dice.random() < 0.5
        pages = runs(dice, pages_in_packet(PAGE))
        zeros = runs(dice, pages_in_packet(PAGE) - sum(map(len, pages)))
        contents = [dice.randbytes(8) * (PAGE // 8) for run in pages for _ in run]
        sent = b"".join(contents)
        if method == "zlib" and sent:
            sent = deflate.compress(sent) + deflate.flush(zlib.Z_SYNC_FLUSH)
        flags = METHODS[method] | (SYNC if sync else 0)
        data += packet_head(PAGE, number, flags=flags, block=block, pages=pages, zeros=zeros, size=len(sent)) + sent
        meetings += sync
        offsets = [offset for run in pages for offset in run]
        expected |= {(block, offset): content for offset, content in zip(offsets, contents, strict=True)}
        expected |= {(block, offset): bytes(PAGE) for run in zeros for offset in run}
    reader = PacketReader(PAGE, method)
    assert fed(reader, data, dice) == (expected, meetings)
    assert reader.is_between


@settings(max_examples=200, deadline=None)
@given(st.integers(), st.sampled_from(sorted(METHODS)))
def test_hostile_packets_are_refused_or_harmless(seed: int, method: str) -> None:
    dice = Random(seed)
    pages = [range(0, 3 * PAGE, PAGE)]
    data = bytearray(packet_head(PAGE, 0, flags=METHODS[method], block="ram0", pages=pages, size=3 * PAGE))
    data += dice.randbytes(3 * PAGE)
    for _ in range(dice.randint(1, 6)):
        data[dice.randrange(dice.choice([64, 400, len(data)]))] = dice.choice([0, 1, 255, dice.randrange(256)])
    reader = PacketReader(PAGE, method)
    try:
        memory, _ = fed(reader, bytes(data) * 2, dice)
    except StreamError:
        return
    assert len(memory) <= 2 * PACKET_BYTES // PAGE


def test_noise_becomes_longer_when_it_is_packed() -> None:
    content = Random(1).randbytes(PACKET_BYTES)
    sent = zlib.compress(content, 1)
    assert len(sent) > PACKET_BYTES
    pages = [range(0, PACKET_BYTES, PAGE)]
    head = packet_head(PAGE, 0, flags=METHODS["zlib"], block="ram0", pages=pages, size=len(sent))
    memory, _ = fed(PacketReader(PAGE, "zlib"), head + sent, Random(1))
    assert b"".join(memory["ram0", offset] for offset in pages[0]) == content


def test_a_small_packet_cannot_become_a_large_one() -> None:
    sent = zlib.compress(bytes(64 << 20))
    head = packet_head(PAGE, 0, flags=METHODS["zlib"], block="ram0", pages=[range(0, PAGE, PAGE)], size=len(sent))
    with pytest.raises(StreamError, match="size received 4097 size expected 4096"):
        fed(PacketReader(PAGE, "zlib"), head + sent, Random(1))


def test_a_channel_tells_who_it_belongs_to() -> None:
    uuid = bytes(range(16))
    assert len(hello(3, uuid)) == 64
    assert read_hello(hello(3, uuid), 4, uuid) == 3
    for data, count, other in (
        (hello(3, uuid), 3, uuid),
        (hello(3, uuid), 4, bytes(16)),
        (hello(3, uuid)[:63], 4, uuid),
    ):
        with pytest.raises(StreamError):
            read_hello(data, count, other)
