"""`watch`: a line's answer again and again on a screen of its own, with what changed marked, until Ctrl-C."""

from __future__ import annotations

import time

from ..dispatch import HMPLineError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from prompt_toolkit.formatted_text import StyleAndTextTuples

    from ...vm.steps import Cancellation, Step, Task
    from ..lines.session import LineSession
    from .screen import Screen

SECONDS = 2.0
LEAST_SECONDS = 0.1
CHANGED = "class:changed"
LOOK = 0.05
"""Seconds between two looks at whether it is to end."""


def watch(session: LineSession, screen: Screen, rest: str) -> Task[str]:
    """Show a line's answer every so many seconds; returns the last one when it is cancelled. Raises `HMPLineError`."""
    seconds, line = _split(rest)
    text: str | None = None
    before: list[str] = []
    with screen.taken_over():
        while True:
            cancellation: list[Cancellation] = []
            text = (yield from session.run(line, captured=True)).text
            now = text.splitlines()
            heading = f"every {seconds:g} s: {line}; Ctrl-C ends"
            screen.show_whole([("class:dim", f"{heading}\n\n"), *marked(before or now, now)])
            before = now
            yield _pause(seconds, cancellation.append, lambda: session.target.ending)
            if cancellation[0].requested or session.target.ending:
                return text


def marked(before: list[str], now: list[str]) -> StyleAndTextTuples:
    """The lines of `now`, those marked that `before` has not: in the words that differ, or wholly if they are new."""
    from difflib import SequenceMatcher

    fragments: StyleAndTextTuples = []
    matcher = SequenceMatcher(None, before, now, autojunk=False)
    for kind, old_start, old_end, start, end in matcher.get_opcodes():
        same_count = old_end - old_start == end - start
        for offset, line in enumerate(now[start:end]):
            if kind == "equal":
                fragments.append(("", line))
            elif same_count:
                fragments += _marked_words(before[old_start + offset], line)
            else:
                fragments.append((CHANGED, line))
            fragments.append(("", "\n"))
    return fragments


def _marked_words(old: str, new: str) -> StyleAndTextTuples:
    import re

    old_words, words = (re.findall(r"\s+|\S+", line) for line in (old, new))
    if len(old_words) != len(words):
        return [(CHANGED, new)]
    return [
        ("" if word == old_word or word.isspace() else CHANGED, word)
        for old_word, word in zip(old_words, words, strict=True)
    ]


def _split(rest: str) -> tuple[float, str]:
    words = rest.split(maxsplit=1)
    try:
        seconds = max(float(words[0]), LEAST_SECONDS) if words else SECONDS
        line = words[1] if len(words) > 1 else ""
    except ValueError:
        seconds, line = SECONDS, rest.strip()
    if not line or not seconds < 1e6:
        raise HMPLineError("watch: expects [SECONDS] LINE\n")
    return seconds, line


def _pause(seconds: float, tell: Callable[[Cancellation], object], ending: Callable[[], bool]) -> Step:
    def step(cancellation: Cancellation) -> None:
        tell(cancellation)
        end = time.monotonic() + seconds
        while not (cancellation.requested or ending()) and (left := end - time.monotonic()) > 0:
            time.sleep(min(left, LOOK))

    return step
