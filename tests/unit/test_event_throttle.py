"""Events that come too fast: one waits, the latest is told."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ramslot.monitor.throttle import INTERVAL, EventThrottle


class Clock:
    """A loop of which only the time is real."""

    def __init__(self) -> None:
        self.now = 0.0
        self.waiting: list[tuple[float, Callable[..., object], tuple[Any, ...]]] = []

    def call_later(self, seconds: float, callback: Callable[..., object], *arguments: Any) -> None:
        self.waiting.append((self.now + seconds, callback, arguments))

    def move(self, to: float) -> None:
        while True:
            due = sorted((row for row in self.waiting if row[0] <= to), key=lambda row: row[0])
            if not due:
                break
            self.waiting.remove(due[0])
            self.now = due[0][0]
            due[0][1](*due[0][2])
        self.now = to


@given(st.lists(st.tuples(st.floats(0, 2), st.sampled_from(["a", "b"])), max_size=20))
def test_events_that_come_too_fast_wait(steps: list[tuple[float, str]]) -> None:
    clock, told = Clock(), []
    loop: Any = clock
    throttle = EventThrottle(loop, lambda _name, data, when, _more: told.append((clock.now, data["qom-path"], when)))
    happened: dict[str, list[int]] = {"a": [], "b": []}
    for number, (pause, path) in enumerate(steps):
        clock.move(clock.now + pause)
        happened[path].append(number)
        throttle.tell(("E", {"qom-path": path}, number, 0))
    clock.move(clock.now + 10)
    for path, numbers in happened.items():
        times = [(when, number) for when, of, number in told if of == path]
        assert [number for _when, number in times][-1:] == numbers[-1:], "the latest is told"
        assert [number for _when, number in times] == sorted(number for _when, number in times)
        assert all(later[0] - earlier[0] >= INTERVAL - 1e-9 for earlier, later in pairwise(times))
