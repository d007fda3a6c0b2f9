"""What the commands about streams have in common: the words of their command lines, the bar, the exit statuses."""

from __future__ import annotations

import os
from time import monotonic

from ...vm.errors import VMError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .files import StreamFile

PROGRESS_SECONDS = 0.25
BROKEN, NOT_UNDERSTOOD = 1, 2
"""Exit statuses: of broken streams, and of what is refused."""


class Words:
    """The words of a command line: files, and options, each with its values."""

    def __init__(self, words: list[str], values: tuple[str, ...], flags: tuple[str, ...]) -> None:
        """Read them; raises `VMError`."""
        self.files: list[str] = []
        self.options: dict[str, list[str]] = {}
        rest = iter(words)
        for word in rest:
            name = word[1:] if word.startswith("--") else word
            if not word.startswith("-") or word == "-":
                self.files.append(word)
            elif name in flags:
                self.options[name] = [""]
            elif name in values:
                value = next(rest, None)
                if value is None:
                    raise VMError(f"{word} expects a value")
                self.options.setdefault(name, []).append(value)
            else:
                raise VMError(f"{word}: there is no such option")
        self.page_size = _page_size(self.value("-page-size"))
        """Bytes; None if it is not told."""
        self._offsets = [_size("-offset", text) for text in self.options.get("-offset", ["0"])]

    def __contains__(self, name: str) -> bool:
        return name in self.options

    def offset(self, number: int) -> int:
        """Where in a file the stream begins; one that is told is that of all files."""
        return self._offsets[min(number, len(self._offsets) - 1)]

    def value(self, name: str) -> str | None:
        """What an option was given last."""
        return self.options[name][-1] if name in self.options else None


def _size(option: str, text: str) -> int:
    from ...vm.sizes import parse_size

    try:
        return parse_size(text)
    except ValueError:
        raise VMError(f"{option} {text}: expects a size") from None


def _page_size(text: str | None) -> int | None:
    """What `-page-size` says; raises `VMError`."""
    from ...vm.sizes import parse_size
    from ...vm.streams.page_sizes import PAGE_SIZES

    if text is None:
        return None
    try:
        size = parse_size(text)
    except ValueError:
        size = 0
    if size not in PAGE_SIZES:
        raise VMError(f"-page-size {text}: targets have pages of {', '.join(map(str, sorted(PAGE_SIZES)))} bytes")
    return size


class Progress:
    """A bar on a terminal for what takes long."""

    def __init__(self, file: StreamFile) -> None:
        self._file = file
        self._began = self._told = monotonic()

    def tell(self) -> None:
        """Draw the bar, if it is time."""
        now = monotonic()
        size = self._file.size
        if now - self._told < PROGRESS_SECONDS or not size:
            return
        self._told = now
        from ..progress import bar_text, show_on_stderr

        done = min(self._file.position(), size)
        rate = int(done / (now - self._began))
        told: dict[str, Any] = {"id": os.path.basename(self._file.path), "done": done, "total": size, "rate": rate}
        if rate:
            told["remaining"] = (size - done) * 1000 // rate
        show_on_stderr(bar_text(told))

    def end(self) -> None:
        """Wipe the bar out."""
        if self._told != self._began:
            from ..progress import show_on_stderr

            show_on_stderr("")


def print_json(value: object) -> None:
    """Tell programs."""
    import json

    print(json.dumps(value, indent=2))
