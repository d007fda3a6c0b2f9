"""The migration stream: what is written is read, however it is cut, and hostile bytes end in QEMU's words or in nothing."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ramslot.vm.config import Config
from ramslot.vm.host import Host
from ramslot.vm.machine import VirtualMachine
from ramslot.vm.migration import format as fmt
from ramslot.vm.migration import writing
from ramslot.vm.migration.channel import Channel
from ramslot.vm.migration.devices import guest_in, own_devices, run_state_in, sections, with_guest, with_run_state
from ramslot.vm.migration.errors import StreamError
from ramslot.vm.migration.events import NEED_DATA, Configuration, Devices, Pages, RAMBlockEntry
from ramslot.vm.migration.frames import Frames
from ramslot.vm.migration.ram import stream_blocks
from ramslot.vm.migration.reading import StreamReader
from ramslot.vm.migration.receiving import Receiver
from ramslot.vm.migration.way_back import WayBack, WayBackError
from ramslot.vm.releases import NEWEST, VERSIONS, find_release
from ramslot.vm.steps import Cancellation
from tests.stream_pieces import pages

PAGE = 4096
MIB = 1 << 20
BLOCKS = (("ram0", 24 * PAGE), ("0000:00:02.0/vga.vram", 8 * PAGE))
RELEASE = find_release(NEWEST)

Content = dict[str, bytearray]


def page(dice: Random) -> bytes:
    return bytes(PAGE) if dice.random() < 0.4 else dice.randbytes(8) * (PAGE // 8)


def kinds(content: bytes) -> Iterator[tuple[int, int, bool]]:
    """Where pages of one kind begin and end, and whether they are zeros: page by page."""
    zero = [content[at : at + PAGE] == bytes(PAGE) for at in range(0, len(content), PAGE)]
    start = 0
    for number in range(1, len(zero) + 1):
        if number == len(zero) or zero[number] != zero[start]:
            yield start * PAGE, number * PAGE, zero[start]
            start = number


def stream(contents: list[tuple[str, int, bytes]], *, configuration: bool = True, footers: bool = True) -> bytes:
    """A whole stream of `BLOCKS`: each content is a section of its own."""
    data = writing.header("none" if configuration else None)
    data += writing.section(fmt.SECTION_START, 2, writing.block_list(BLOCKS), footers=footers)
    for name, offset, content in contents:
        pieces: writing.Buffers = []
        follows = False
        for start, end, is_zero in kinds(content):
            part, at = memoryview(content)[start:end], offset + start
            if is_zero:
                pieces.append(writing.zero_pages(name, at, (end - start) // PAGE, PAGE, follows=follows))
            else:
                pieces.append(pages(name, at, part, PAGE, follows=follows))
            follows = True
        data += writing.section_head(fmt.SECTION_PART, 2) + b"".join(pieces) + writing.section_tail(2, footers=footers)
    data += writing.section(fmt.SECTION_END, 2, b"", footers=footers)
    return data + own_devices("none", RELEASE, PAGE, "running")


def read(data: bytes, cuts: Callable[[], int], **options: bool) -> tuple[Content, bytes]:
    """What a stream brings, fed in pieces: the memory, and the devices."""
    reader = StreamReader(PAGE, **options)
    memory = {name: bytearray(length) for name, length in BLOCKS}
    at, told, devices = 0, [], b""
    while (event := reader.next_event()) is not None:
        if event is NEED_DATA:
            size = cuts()
            if at < len(data):
                reader.feed(data[at : at + size])
            else:
                reader.end()
            at += size
        elif isinstance(event, Pages):
            for offset, page in event.each(PAGE):
                memory[event.block][offset : offset + PAGE] = page
        elif isinstance(event, RAMBlockEntry):
            told.append((event.name, event.length))
        elif isinstance(event, Configuration):
            assert event.machine_type == "none"
        elif isinstance(event, Devices):
            devices = event.data
    assert tuple(told) == BLOCKS
    return memory, devices


@settings(max_examples=60, deadline=None)
@given(st.integers(), st.sampled_from([(True, True), (False, False)]), st.sampled_from([7, 61, 4095, 4104, 1 << 20]))
def test_what_is_written_is_read_however_it_is_cut(seed: int, form: tuple[bool, bool], step: int) -> None:
    dice = Random(seed)
    expected = {name: bytearray(length) for name, length in BLOCKS}
    contents = []
    for _ in range(dice.randint(0, 6)):
        name, length = dice.choice(BLOCKS)
        first = dice.randrange(length // PAGE)
        content = b"".join(page(dice) for _ in range(dice.randint(1, length // PAGE - first)))
        contents.append((name, first * PAGE, content))
        expected[name][first * PAGE : first * PAGE + len(content)] = content
    data = stream(contents, configuration=form[0], footers=form[1])
    memory, devices = read(data, lambda: dice.randint(1, step), configuration=form[0], footers=form[1])
    assert memory == expected
    assert run_state_in(devices) == "running"


class Memory:
    """Memory that only can be read."""

    def __init__(self, content: bytes) -> None:
        self.content = content

    def read_pages(self, offset: int, pages: Sequence[memoryview]) -> None:
        for at, page in zip(range(offset, len(self.content), PAGE), pages, strict=True):
            page[:] = self.content[at : at + PAGE]


@pytest.mark.parametrize("gap", [0, 8])
def test_frames_tell_every_page_and_send_what_they_hold(gap: int) -> None:
    dice = Random(3)
    frames = Frames(PAGE, 64, gap)
    for _ in range(200):
        content = b"".join(page(dice) for _ in range(dice.randint(1, 20)))
        first, count = dice.randrange(44), len(content) // PAGE
        frames.read(first, count, Memory(content), 0)  # type: ignore[arg-type]
        told = [
            ((start - first) * PAGE, (end - first) * PAGE, zero)
            for start, end, zero in frames.kinds(first, first + count)
        ]
        assert told == list(kinds(content))
        offset, expected = dice.randrange(1 << 40) * PAGE, memoryview(content)
        if gap:
            frames.label(first, first + count, offset, fmt.PAGE | fmt.CONTINUE)
            assert bytes(frames.piece(first, first + count)) == pages("", offset, expected, PAGE, follows=True)
            head = writing.page_head("ram0", offset)
            sent = head + bytes(frames.piece(first, first + count, labelled=False))
            assert sent == pages("ram0", offset, expected, PAGE, follows=False)
        else:
            assert bytes(frames.piece(first, first + count)) == content


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, (1 << 36) - 1),
    st.integers(0, 9000),
    st.sampled_from([1024, 4096, 8192, 65536]),
)
def test_zero_pages_are_told_page_by_page(first: int, count: int, page_size: int) -> None:
    flags = fmt.ZERO | fmt.CONTINUE
    offsets = range(first * page_size, (first + count) * page_size, page_size)
    expected = b"".join((offset | flags).to_bytes(8) + b"\0" for offset in offsets)
    assert writing.zero_words(first * page_size, count, page_size) == expected


def mutated(data: bytes, dice: Random) -> bytes:
    """The data with a few mistakes in it."""
    changed = bytearray(data)
    for _ in range(dice.randint(1, 4)):
        at = dice.randrange(len(changed))
        kind = dice.randrange(4)
        if kind == 0:
            changed[at] = dice.randrange(256)
        elif kind == 1:
            del changed[at:]
        elif kind == 2:
            del changed[at : at + dice.randint(1, 20)]
        else:
            changed[at:at] = dice.randbytes(dice.randint(1, 20))
        if not changed:
            return b"Q"
    return bytes(changed)


@pytest.fixture(scope="module")
def machines() -> Iterator[list[VirtualMachine]]:
    made = [VirtualMachine(configuration(release)) for release in VERSIONS]
    yield made
    for vm in made:
        vm.close()


def configuration(release: str) -> Config:
    config = Config()
    config.machine_type, config.qemu, config.paused = "none", release, True
    config.objects = [{"qom-type": "memory-backend-ram", "id": name, "size": 24 * PAGE} for name in ("ram0",)]
    config.machine_options = {"memory-backend": "ram0"}
    return config


def received(vm: VirtualMachine, data: bytes, host: Host) -> str:
    """How a machine takes a stream: the text of what is wrong with it, or nothing."""
    reading, sending = os.pipe()
    os.set_inheritable(reading, False)
    with os.fdopen(sending, "wb") as pipe:
        if len(data) > 60000:
            data = data[:60000]
        pipe.write(data)
    channel = Channel(reading)
    try:
        Receiver(vm.migration, channel, stream_blocks(vm.topology.ram_blocks), PAGE).run(Cancellation())
    except StreamError as error:
        lines = error.lines(vm.release)
        assert lines[-1].startswith("load of migration failed: ")
        return "\n".join(lines)
    finally:
        channel.close()
    return ""


@pytest.mark.parametrize("seed", range(40))
def test_hostile_streams_end_and_leave_the_machine_as_it_was(machines: list[VirtualMachine], seed: int) -> None:
    """5 streams each, of which nearly all are wrong; what is in the memory may have changed, and nothing else."""
    dice = Random(seed)
    vm = dice.choice(machines)
    table = [(block.name, block.used_length, block.offset) for block in vm.topology.ram_blocks]
    for _ in range(5):
        content = b"".join(page(dice) for _ in range(dice.randint(1, 8)))
        data = writing.header("none")
        data += writing.section(fmt.SECTION_START, 2, writing.block_list([("ram0", 24 * PAGE)]))
        data += writing.section_head(fmt.SECTION_PART, 2)
        data += pages("ram0", 0, content, PAGE, follows=False)
        data += writing.section_tail(2) + writing.section(fmt.SECTION_END, 2, b"")
        data += own_devices("none", vm.release, PAGE, "running")
        assert received(vm, data, vm.host) == ""
        received(vm, mutated(data, dice), vm.host)
    assert table == [(block.name, block.used_length, block.offset) for block in vm.topology.ram_blocks]
    assert vm.run_state.name == "prelaunch"


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_end(tail: bytes, begun: bool) -> None:
    data = (writing.header("none") if begun else b"") + tail
    reader = StreamReader(PAGE)
    reader.feed(data)
    reader.end()
    try:
        while reader.next_event() is not None:
            pass
    except StreamError as error:
        with pytest.raises(StreamError):
            reader.next_event()
        for release in VERSIONS:
            assert error.lines(find_release(release))


@pytest.mark.parametrize("release", VERSIONS)
def test_devices_are_told_apart_and_their_run_state_changes_alone(release: str) -> None:
    data = own_devices("none", find_release(release), PAGE, "prelaunch")
    assert [section.name for section in sections(data)] == ["timer", "globalstate"]
    changed = with_run_state(data, "running")
    assert (run_state_in(changed), len(changed)) == ("running", len(data))
    assert with_run_state(changed, "prelaunch") == data


def test_a_guest_goes_with_the_description() -> None:
    data = own_devices("none", RELEASE, PAGE, "running")
    told = with_guest(data, {"start": 4096})
    assert guest_in(told) == {"start": 4096}
    assert guest_in(data) is None
    assert [section.name for section in sections(told)] == ["timer", "globalstate"]


@pytest.mark.parametrize(
    "text", [b"", b"{}", b"[]", b'{"devices": 3}', b'{"devices": [3, {}, {"name": 1}]}', b"{" * 300]
)
def test_a_description_that_is_none_tells_nothing(text: bytes) -> None:
    data = own_devices("none", RELEASE, PAGE, "running").partition(b"\0\x06")[0]
    data += b"\0\x06" + len(text).to_bytes(4) + text
    assert sections(data) == []
    assert run_state_in(data) is None
    assert with_run_state(data, "paused") == data


def test_sections_that_nobody_described_are_told_apart_however_many() -> None:
    data = own_devices("none", RELEASE, PAGE, "running")
    first = sections(data)[0]
    hidden = b"".join(
        b"\4" + number.to_bytes(4) + b"\1x" + bytes(8) + b"\x7e" + number.to_bytes(4) for number in range(9, 3009)
    )
    found = sections(data[: first.end] + hidden + data[first.end :])
    assert [section.name for section in found] == ["timer", *["x"] * 3000, "globalstate"]


@pytest.mark.parametrize(
    "endless",
    [
        b"\1\0\0\0\5\nspapr/htab" + bytes(4) + b"\0\0\0\1" + (bytes(4) + b"\0\0\0\1\xff\xff\0\0" + bytes(16 * 65535)),
        b"\4\0\0\0\5" + bytes(1 << 20),
    ],
)
def test_what_never_ends_is_refused(endless: bytes) -> None:
    reader = StreamReader(PAGE)
    reader.feed(writing.header("none") + endless)
    with pytest.raises(StreamError, match="too much"):
        for _ in range(1000):
            if reader.next_event() is NEED_DATA:
                reader.feed(endless[-(1 << 20) :])


def test_a_list_of_blocks_that_is_cut_ends() -> None:
    reader = StreamReader(PAGE)
    data = writing.header("none") + writing.section_head(fmt.SECTION_START, 2) + (MIB | fmt.MEM_SIZE).to_bytes(8)
    reader.feed(data)
    reader.end()
    with pytest.raises(StreamError):
        for _ in range(10):
            reader.next_event()


@given(st.integers(1, 9))
def test_a_way_back_is_understood_however_it_is_cut(step: int) -> None:
    messages = writing.answer(fmt.PONG, 1) + b"\0\7\0\0" + b"\0\4\0\3abc" + writing.answer(fmt.SHUT, 0)
    way_back = WayBack()
    for start in range(0, len(messages), step):
        assert not way_back.closed
        way_back.feed(messages[start : start + step])
    assert way_back.closed
    way_back.feed(b"")
    for wrong in (b"garbage!", b"\0\0\0\0", b"\0\1\0\5", writing.answer(fmt.SHUT, 5), b""):
        with pytest.raises(WayBackError):
            WayBack().feed(wrong)
