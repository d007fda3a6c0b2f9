"""Preallocation: what its threads do with failures and cancellations, and how its progress reads."""

from __future__ import annotations

import _thread
import errno
import os
import threading
from collections.abc import Callable
from typing import Any

import pytest

from ramslot.monitor.progress import ProgressReporter, bar_text, duration_text
from ramslot.vm.errors import VMError
from ramslot.vm.hostmem import prealloc
from ramslot.vm.hostmem.prealloc import Preallocation
from ramslot.vm.steps import Cancellation

MIB = 1 << 20


class Host:
    """How much may be populated; None lets everything be."""

    def __init__(self) -> None:
        self.room: int | None = None
        self.asked = 0

    @property
    def populate_room(self) -> int | None:
        self.asked += 1
        return self.room


class Memory:
    """What is populated, and by whom."""

    page_size = 4096
    counted = True

    def __init__(self) -> None:
        self.ranges: list[tuple[int, int]] = []
        self.threads: set[int] = set()
        self.fails_at = -1
        self.host = Host()
        self.present = False

    def populate(self, start: int, length: int) -> None:
        if start == self.fails_at:
            raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))
        self.threads.add(threading.get_ident())
        if self.host.room is not None and not self.present:
            self.host.room -= length
        self.ranges.append((start, length))

    def page_nodes(self, offsets: range) -> list[int | None]:
        return [0 if self.present else None] * len(offsets)


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> Memory:
    monkeypatch.setattr(prealloc, "PORTION", MIB)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(4)))
    return Memory()


def make(memory: Any, length: int, threads: int = 1) -> Preallocation:
    return Preallocation(memory.host, "m", memory, length, threads)


@pytest.mark.parametrize("threads", [1, 2, 4, 400])
@pytest.mark.parametrize("length", [4096, MIB, 40 * MIB, 40 * MIB + 4096])
def test_each_byte_is_populated_once(memory: Memory, length: int, threads: int) -> None:
    preallocation = make(memory, length, threads)
    preallocation.run(Cancellation())
    end = 0
    for start, portion in sorted(memory.ranges):
        assert start == end
        end += portion
    assert (end, preallocation.done, preallocation.status) == (length, length, "completed")
    assert len(memory.threads) <= min(threads, 4)


def test_a_portion_is_no_smaller_than_a_page(memory: Memory) -> None:
    memory.page_size = 8 * MIB
    make(memory, 16 * MIB).run(Cancellation())
    assert memory.ranges == [(0, 8 * MIB), (8 * MIB, 8 * MIB)]


def test_terabytes_are_not_millions_of_portions(memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prealloc, "PORTION", 64 * MIB)
    make(memory, (16 << 40) + 4096).run(Cancellation())
    assert 8000 < len(memory.ranges) <= 8193
    assert all(start % 4096 == 0 for start, _length in memory.ranges)
    assert sum(length for _start, length in memory.ranges) == (16 << 40) + 4096


@pytest.mark.parametrize("threads", [1, 4])
def test_a_failure_of_one_thread_ends_all(memory: Memory, threads: int) -> None:
    memory.fails_at = 3 * MIB
    preallocation = make(memory, 4_000 * MIB, threads)
    with pytest.raises(VMError, match=r"^qemu_prealloc_mem: preallocating memory failed: Cannot allocate memory$"):
        preallocation.run(Cancellation())
    assert preallocation.status == "failed"
    assert preallocation.done < 4_000 * MIB


@pytest.mark.parametrize("threads", [1, 4])
def test_nothing_is_touched_for_which_the_kernel_would_kill(memory: Memory, threads: int) -> None:
    memory.host.room = 100 * MIB
    with pytest.raises(VMError, match=r"preallocating memory failed: Cannot allocate memory$"):
        make(memory, 200 * MIB, threads).run(Cancellation())
    assert 90 * MIB <= sum(length for _start, length in memory.ranges) <= 100 * MIB
    assert memory.host.asked <= 100 + 4


def test_the_last_portions_need_no_room_for_threads_without_work(
    memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_thread(*_arguments: object) -> int:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(_thread, "start_new_thread", no_thread)
    memory.host.room = 8 * MIB
    preallocation = make(memory, 8 * MIB, 4)
    preallocation.run(Cancellation())
    assert preallocation.done == 8 * MIB


def test_with_much_room_it_is_looked_up_now_and_then(memory: Memory) -> None:
    memory.host.room = 100 << 30
    make(memory, 4 << 30).run(Cancellation())
    assert memory.host.asked == 1


def test_what_is_there_already_needs_no_room(memory: Memory) -> None:
    memory.host.room, memory.present = 0, True
    preallocation = make(memory, 8 * MIB)
    preallocation.run(Cancellation())
    assert preallocation.done == 8 * MIB


def test_memory_that_is_not_counted_is_not_refused(memory: Memory) -> None:
    memory.host.room, memory.counted = 0, False
    make(memory, 8 * MIB).run(Cancellation())
    assert memory.host.asked == 0


def test_cancelled_before_it_has_begun(memory: Memory) -> None:
    preallocation = make(memory, 4 * MIB)
    preallocation.cancel()
    with pytest.raises(VMError, match=r"^Operation cancelled$"):
        preallocation.run(Cancellation())
    assert (preallocation.status, memory.ranges) == ("cancelled", [])


def test_without_threads_one_does_it_all(memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_thread(*_arguments: object) -> int:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(_thread, "start_new_thread", no_thread)
    preallocation = make(memory, 4 * MIB, 4)
    preallocation.run(Cancellation())
    assert preallocation.done == 4 * MIB


@pytest.mark.parametrize(
    ("progress", "text"),
    [
        (
            {"id": "m", "done": 0, "total": 1 << 30, "rate": 0},
            "m [........................]   0%  0 B of 1 GiB",
        ),
        (
            {"id": "m", "done": 1 << 29, "total": 1 << 30, "rate": 1 << 28, "remaining": 2001},
            "m [############............]  50%  512 MiB of 1 GiB, 256 MiB/s, 3 s left",
        ),
        (
            {"id": "m", "done": 1 << 30, "total": 1 << 30, "rate": 1 << 30, "remaining": 0},
            "m [########################] 100%  1 GiB of 1 GiB, 1 GiB/s, 0 s left",
        ),
    ],
)
def test_bar(progress: dict[str, Any], text: str) -> None:
    assert bar_text(progress) == text
    assert bar_text(progress, 3) == text + " (and 2 more)"


class Clock:
    """A loop whose timers go off when the test says so."""

    def __init__(self) -> None:
        self.waiting: list[Callable[[], object]] = []

    def call_later(self, _seconds: float, callback: Callable[[], object]) -> None:
        self.waiting.append(callback)

    def tick(self) -> None:
        due, self.waiting = self.waiting, []
        for callback in due:
            callback()


def test_slow_work_of_all_kinds_shares_a_bar() -> None:
    clock, shown, told = Clock(), list[str](), list[int]()
    reporter = ProgressReporter(clock, shown.append)  # type: ignore[arg-type]  # all that it needs of a loop
    works = [{"id": name, "done": 0, "total": total, "rate": 0} for name, total in (("a", 0), ("b", 8), ("c", 8))]
    for work in works:
        reporter.begin(id(work), lambda work=work: work, lambda progress: told.append(progress["total"]))  # type: ignore[misc]  # a default binds
    clock.tick()
    assert shown == [], "the first has nothing to show yet, and the others may be done soon"
    clock.tick()
    assert shown == [bar_text(works[1], 2)]
    works[0]["total"] = 4
    clock.tick()
    assert shown[1:] == [bar_text(works[0], 3)]
    for work in works:
        reporter.end(id(work))
    assert shown[2:] == [""]
    assert told == [8, 8, 4, 8, 8, 4, 8, 8]
    clock.tick()
    assert (len(shown), clock.waiting) == (3, [])


def test_what_is_quick_is_told_to_nobody_while_other_work_is_told_of() -> None:
    clock, told = Clock(), list[str]()
    reporter = ProgressReporter(clock, lambda _text: None)  # type: ignore[arg-type]  # all that it needs of a loop

    def begin(name: str) -> None:
        progress = {"id": name, "done": 0, "total": 1, "rate": 0}
        reporter.begin(name, lambda: progress, lambda progress: told.append(progress["id"]))

    begin("slow")
    begin("quick")
    clock.tick()
    reporter.end("quick")
    begin("later")
    clock.tick()
    assert told == ["slow", "slow"]
    clock.tick()
    assert told == ["slow", "slow", "slow", "later"]


def test_what_is_quick_is_told_to_nobody() -> None:
    clock, shown = Clock(), list[str]()
    reporter = ProgressReporter(clock, shown.append)  # type: ignore[arg-type]  # all that it needs of a loop
    reporter.begin("m", lambda: {"id": "m", "done": 0, "total": 1, "rate": 0}, lambda _progress: pytest.fail("told"))
    reporter.end("m")
    clock.tick()
    assert (shown, clock.waiting) == ([], [])


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [(0, "0 s"), (1, "1 s"), (59_001, "1 min 0 s"), (200_000, "3 min 20 s"), (3_900_000, "1 h 5 min")],
)
def test_duration(milliseconds: int, text: str) -> None:
    assert duration_text(milliseconds) == text
