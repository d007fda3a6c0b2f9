"""What people and programs are told of memory that is being preallocated: events, and a bar on a terminal.

Imported when the first preallocation begins. What takes no longer than `INTERVAL` is told to nobody.
"""

from __future__ import annotations

import os
import sys

from ..commands.prealloc import describe
from ..vm.sizes import size_to_str

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ..vm.hostmem.prealloc import Preallocation
    from ..vm.machine import VirtualMachine
    from .loop import Loop

INTERVAL = 0.25
"""Seconds between two reports."""
EVENT = "PREALLOC_PROGRESS"
BAR_WIDTH = 24
DEFAULT_COLUMNS = 80


class ProgressReporter:
    """Reports on the preallocations of a machine as long as there are any.

    `show` is given the text of the bar for the user's terminal, empty when there is nothing to show any more.
    """

    def __init__(self, loop: Loop, vm: VirtualMachine, show: Callable[[str], object]) -> None:
        self._loop = loop
        self._vm = vm
        self.show = show
        self._reported: set[Preallocation] = set()
        self._ticking = False

    def on_change(self, preallocation: Preallocation) -> None:
        """A preallocation has begun, or ended."""
        if preallocation.status == "running":
            if not self._ticking:
                self._ticking = True
                self._loop.call_later(INTERVAL, self._tick)
        elif preallocation in self._reported:
            self._reported.remove(preallocation)
            self._vm.emit(EVENT, describe(preallocation))
            if not self._reported:
                self.show("")

    def _tick(self) -> None:
        running = self._vm.preallocations
        self._ticking = bool(running)
        if running:
            self._loop.call_later(INTERVAL, self._tick)
        self._reported.update(running)
        for preallocation in running:
            self._vm.emit(EVENT, describe(preallocation))
        if running:
            self.show(bar_text(describe(running[0]), len(running)))


def bar_text(progress: dict[str, Any], count: int = 1) -> str:
    """The bar of one preallocation out of `count`: `m0 [#####...]  21%  0.42 of 2 GiB, 1.1 GiB/s, 2 s left`."""
    done, total = progress["done"], progress["total"]
    filled = done * BAR_WIDTH // total
    text = f"{progress['id']} [{'#' * filled}{'.' * (BAR_WIDTH - filled)}] {done * 100 // total:3}%"
    text += f"  {size_to_str(done)} of {size_to_str(total)}"
    if progress["rate"]:
        text += f", {size_to_str(progress['rate'])}/s"
    if "remaining" in progress:
        text += f", {duration_text(progress['remaining'])} left"
    return text + (f" (and {count - 1} more)" if count > 1 else "")


def duration_text(milliseconds: int) -> str:
    """A time in the two largest of its units: `2 s`, `3 min 20 s`, `1 h 5 min`."""
    seconds = -(-milliseconds // 1000)
    if seconds < 60:
        return f"{seconds} s"
    minutes, seconds = divmod(seconds, 60)
    if minutes < 60:
        return f"{minutes} min {seconds} s"
    return f"{minutes // 60} h {minutes % 60} min"


def show_on_stderr(text: str) -> None:
    """Draw the bar in place on stderr, if that is a terminal; an empty text wipes it out."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{fitted(text, sys.stderr.fileno())}\x1b[K")
        sys.stderr.flush()


def fitted(text: str, terminal: int) -> str:
    """As much of `text` as a line of the terminal holds."""
    try:
        columns = os.get_terminal_size(terminal).columns or DEFAULT_COLUMNS
    except OSError:
        columns = DEFAULT_COLUMNS
    return text[: columns - 1]
