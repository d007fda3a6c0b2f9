"""What memory of the real host holds: which pages there may be, and pages that are copied in bulk."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ramslot.vm.host import HostMemory, MissingPage
from ramslot.vm.host.linux import LinuxHost

PAGE = os.sysconf("SC_PAGE_SIZE")
PAGES = 32


@pytest.fixture
def host() -> LinuxHost:
    return LinuxHost()


def of_file(host: LinuxHost, path: Path, size: int, *, share: bool, offset: int = 0) -> HostMemory:
    file = host.open_file(str(path), False)
    memory = host.map_file(file, size, offset, share, False, True, 0)
    file.close()
    return memory


def told_pages(memory: HostMemory) -> set[int]:
    return {
        page
        for first, length in memory.populated(0, memory.size)
        for page in range(first // PAGE, -(-(first + length) // PAGE))
    }


def test_holes_of_a_shared_file_are_told_and_not_touched(host: LinuxHost, tmp_path: Path) -> None:
    path = tmp_path / "ram"
    with path.open("wb") as file:
        file.truncate(PAGES * PAGE)
        for page in (3, 4, 9):
            file.seek(page * PAGE)
            file.write(b"x")
    before = path.stat().st_blocks
    memory = of_file(host, path, PAGES * PAGE, share=True)
    assert told_pages(memory) == {3, 4, 9}
    memory.write(20 * PAGE + 5, b"y")
    assert told_pages(memory) == {3, 4, 9, 20}
    memory.discard(3 * PAGE, 2 * PAGE)
    assert told_pages(memory) == {9, 20}
    assert path.stat().st_blocks <= before
    memory.close()


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pages=st.sets(st.integers(0, PAGES - 1)), grain=st.sampled_from([1, PAGE, 3 * PAGE, 64 * PAGE]))
def test_small_parts_of_a_file_may_be_told_as_longer_ones(tmp_path: Path, pages: set[int], grain: int) -> None:
    path = tmp_path / "ram"
    with path.open("wb") as file:
        file.truncate(PAGES * PAGE)
        for page in pages:
            file.seek(page * PAGE)
            file.write(b"x")
    memory = of_file(LinuxHost(), path, PAGES * PAGE, share=True)
    told = [*memory.populated(0, memory.size, grain)]
    memory.close()
    ends = [start + length for start, length in told]
    assert all(end <= start for end, (start, _length) in zip(ends, told[1:], strict=False))
    assert all(length >= grain or end == PAGES * PAGE for (_start, length), end in zip(told, ends, strict=True))
    there = {page for start, length in told for page in range(start // PAGE, -(-(start + length) // PAGE))}
    assert pages <= there
    assert grain > PAGE or pages == there


def test_what_is_behind_a_files_end_is_no_hole(host: LinuxHost, tmp_path: Path) -> None:
    path = tmp_path / "ram"
    path.write_bytes(b"x" * PAGE * 8)
    memory = of_file(host, path, PAGE * 8, share=True)
    os.truncate(path, PAGE * 2)
    assert told_pages(memory) == set(range(8))
    with pytest.raises(MissingPage):
        memory.read(0, PAGE * 8)
    memory.close()


def test_a_mapping_from_the_middle_of_a_file(host: LinuxHost, tmp_path: Path) -> None:
    path = tmp_path / "ram"
    with path.open("wb") as file:
        file.truncate(PAGES * PAGE)
        file.seek(10 * PAGE)
        file.write(b"x")
    memory = of_file(host, path, 16 * PAGE, share=True, offset=8 * PAGE)
    assert told_pages(memory) == {2}
    memory.close()


def test_nobody_knows_of_a_private_mapping_of_a_file(host: LinuxHost, tmp_path: Path) -> None:
    path = tmp_path / "ram"
    path.write_bytes(b"")
    os.truncate(path, 4 * PAGE)
    memory = of_file(host, path, 4 * PAGE, share=False)
    assert told_pages(memory) == set(range(4))
    memory.close()


@pytest.fixture(scope="module", params=["anonymous", "of a file", "of nobody's file"])
def memory(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostMemory]:
    path = tmp_path_factory.mktemp("memory") / "ram"
    path.write_bytes(bytes((PAGES + 3) * PAGE))
    if request.param == "of a file":
        memory = of_file(LinuxHost(), path, PAGES * PAGE, share=True, offset=3 * PAGE)
    else:
        memory = LinuxHost().map_anonymous(PAGES * PAGE, request.param != "anonymous", True, 0)
    yield memory
    memory.close()


def pages_of(buffer: memoryview, page_size: int, stride: int) -> list[memoryview]:
    return [buffer[start : start + page_size] for start in range(0, len(buffer), stride)]


@settings(deadline=None)
@given(st.data())
def test_pages_are_copied_between_any_places(memory: HostMemory, data: st.DataObject) -> None:
    page_size = data.draw(st.sampled_from([8, 512, PAGE]))
    stride = page_size + data.draw(st.sampled_from([0, 1, 8, 100]))
    count = data.draw(st.integers(1, min(2000, PAGES * PAGE // page_size)))
    offset = data.draw(st.integers(0, PAGES * PAGE - count * page_size))
    before = os.urandom(PAGES * PAGE)
    memory.write(0, before)
    buffer = memoryview(bytearray(os.urandom(count * stride)))
    was = bytes(buffer)
    memory.read_pages(offset, pages_of(buffer, page_size, stride))
    for number in range(count):
        start, at = number * stride, offset + number * page_size
        assert buffer[start : start + page_size] == before[at : at + page_size]
        assert buffer[start + page_size : start + stride] == was[start + page_size : start + stride]
    new = memoryview(os.urandom(count * stride))
    memory.write_pages([(offset, new)], page_size, stride)
    pages = b"".join(new[number * stride : number * stride + page_size] for number in range(count))
    assert memory.read(0, len(before)) == before[:offset] + pages + before[offset + len(pages) :]


def test_where_pages_are_missing_is_told(host: LinuxHost, tmp_path: Path) -> None:
    path = tmp_path / "ram"
    path.write_bytes(b"x" * PAGE * 8)
    memory = of_file(host, path, PAGE * 8, share=True)
    os.truncate(path, PAGE * 5)
    buffer = memoryview(bytearray(6 * (PAGE + 8)))
    with pytest.raises(MissingPage) as missing:
        memory.read_pages(2 * PAGE, pages_of(buffer, PAGE, PAGE + 8))
    assert missing.value.offset == 5 * PAGE
    with pytest.raises(ValueError):
        memory.read_pages(3 * PAGE, pages_of(buffer, PAGE, PAGE + 8))
    memory.close()


@settings(deadline=None)
@given(st.data())
def test_memory_is_received_into_any_places(memory: HostMemory, data: st.DataObject) -> None:
    before = os.urandom(PAGES * PAGE)
    memory.write(0, before)
    expected = bytearray(before)
    cuts = sorted(data.draw(st.sets(st.integers(0, PAGES * PAGE), min_size=2, max_size=9)))
    parts = data.draw(st.permutations([(start, end - start) for start, end in pairwise(cuts)]))
    sent = os.urandom(data.draw(st.integers(1, sum(length for _start, length in parts))))
    left = sent
    for start, length in parts:
        expected[start : start + min(length, len(left))] = left[:length]
        left = left[length:]
    source, sink = os.pipe()
    try:
        os.set_blocking(source, False)
        os.write(sink, sent[: 1 << 16])  # what a pipe holds
        came = memory.receive(source, parts)
        assert came == min(len(sent), 1 << 16)
        if came == len(sent):
            assert memory.read(0, len(before)) == expected
        with pytest.raises(BlockingIOError):
            memory.receive(source, parts)
        os.close(sink)
        sink = -1
        assert memory.receive(source, parts) == 0
    finally:
        os.close(source)
        if sink >= 0:
            os.close(sink)


@settings(deadline=None)
@given(st.data())
def test_memory_is_sent_from_any_place(memory: HostMemory, data: st.DataObject) -> None:
    content = os.urandom(PAGES * PAGE)
    memory.write(0, content)
    start = data.draw(st.integers(0, PAGES * PAGE - 1))
    length = data.draw(st.integers(1, PAGES * PAGE - start))
    copied = data.draw(st.booleans())
    here, there = socket.socketpair()
    with here, there:
        here.setblocking(False)
        sent, came = 0, b""
        while sent < length:
            sent += memory.send(here.fileno(), start + sent, length - sent, copied=copied)
            came += there.recv(1 << 20)
        assert sent == length
        while len(came) < length:
            came += there.recv(1 << 20)
        assert came == content[start : start + length]
        with pytest.raises(BlockingIOError):
            while True:
                memory.send(here.fileno(), 0, PAGES * PAGE, copied=copied)
        there.close()
        with pytest.raises(BrokenPipeError):
            memory.send(here.fileno(), 0, PAGE, copied=copied)


def test_what_was_sent_and_copied_stays_as_it_was(memory: HostMemory) -> None:
    memory.write(0, content := os.urandom(4 * PAGE))
    here, there = socket.socketpair()
    with here, there:
        sent = memory.send(here.fileno(), 0, 4 * PAGE)
        memory.write(0, os.urandom(4 * PAGE))
        assert there.recv(sent, socket.MSG_WAITALL) == content[:sent]


@pytest.mark.parametrize("copied", [True, False])
def test_where_what_is_sent_is_missing_is_told(copied: bool, host: LinuxHost, tmp_path: Path) -> None:
    path = tmp_path / "ram"
    path.write_bytes(b"x" * PAGE * 8)
    memory = of_file(host, path, PAGE * 8, share=True)
    os.truncate(path, PAGE * 5)
    here, there = socket.socketpair()
    with here, there:
        start = 3 * PAGE
        with pytest.raises(MissingPage) as missing:
            while True:
                start += memory.send(here.fileno(), start, 7 * PAGE - start, copied=copied)
        assert missing.value.offset == 5 * PAGE
        here.close()
        assert there.recv(8 * PAGE) == b"x" * (start - 3 * PAGE)
    memory.close()


def test_what_is_received_for_a_page_that_is_missing_is_told(host: LinuxHost, tmp_path: Path) -> None:
    path = tmp_path / "ram"
    path.write_bytes(b"x" * PAGE * 8)
    memory = of_file(host, path, PAGE * 8, share=True)
    os.truncate(path, PAGE * 5)
    here, there = socket.socketpair()
    with here, there:
        there.sendall(b"y" * (4 * PAGE))
        start = 3 * PAGE
        with pytest.raises(MissingPage) as missing:
            while True:
                start += memory.receive(here.fileno(), [(start, 7 * PAGE - start)])
    assert missing.value.offset == 5 * PAGE
    memory.close()
