"""What is told of slow work, be it preallocation or a migration: a bar on a terminal for people, events for programs.

Imported when the first such work begins. What takes no longer than `INTERVAL` is told to nobody.
"""

from __future__ import annotations

import os
import sys

from ..vm.sizes import size_to_str

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeAlias

    from .loop import Loop

    Progress: TypeAlias = dict[str, Any]
    Describe: TypeAlias = Callable[[], Progress]
    Tell: TypeAlias = Callable[[Progress], object]

INTERVAL = 0.25
"""Seconds between two reports."""
BAR_WIDTH = 24
DEFAULT_COLUMNS = 80


class ProgressReporter:
    """Reports on slow work as long as there is any.

    Work is described by its `id`, how many bytes of a `total` are `done`, and, where that is known, the `rate` in bytes
    a second and the milliseconds `remaining`; work whose `total` is 0 has not come so far that there is something to
    show. `show` is given the text of the bar for the user's terminal, empty when there is nothing to show any more.
    """

    def __init__(self, loop: Loop, show: Callable[[str], object]) -> None:
        self._loop = loop
        self.show = show
        self._works: dict[object, tuple[Describe, Tell | None]] = {}
        self._young: set[object] = set()
        """What began since the last report of other work, and may be done soon."""
        self._reported: set[object] = set()
        self._ticking = False

    def begin(self, work: object, describe: Describe, tell: Tell | None = None) -> None:
        """Some work begins; `tell` is given what is told to programs, again and again and in the end."""
        self._works[work] = describe, tell
        if self._ticking:
            self._young.add(work)
        else:
            self._ticking = True
            self._loop.call_later(INTERVAL, self._tick)

    def end(self, work: object) -> None:
        """Some work has ended."""
        describe, tell = self._works.pop(work)
        self._young.discard(work)
        if work not in self._reported:
            return
        self._reported.remove(work)
        if tell is not None:
            tell(describe())
        if not self._reported:
            self.show("")

    def _tick(self) -> None:
        self._ticking = bool(self._works)
        if self._works:
            self._loop.call_later(INTERVAL, self._tick)
        shown = []
        young, self._young = self._young, set()
        for work, (describe, tell) in list(self._works.items()):
            if work in young:
                continue
            progress = describe()
            if progress["total"]:
                self._reported.add(work)
                shown.append(progress)
                if tell is not None:
                    tell(progress)
        if shown:
            self.show(bar_text(shown[0], len(shown)))


def bar_text(progress: dict[str, Any], count: int = 1) -> str:
    """The bar of one work out of `count`: `m0 [#####...]  21%  0.42 of 2 GiB, 1.1 GiB/s, 2 s left`."""
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
