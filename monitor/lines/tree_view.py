"""`info mtree --depth N` and `--find NAME|ADDRESS`: less of a long tree, by its text, whatever else it was asked for.

The lines between trees stay, so that what is left still tells whose region it is.
"""

from __future__ import annotations

import re

from ..dispatch import HMPLineError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

OPTIONS = ("--depth", "--find")
_REGION = re.compile(r"(?:\[DETECTED OVERFLOW!\])?( +)([0-9a-f]{16})-([0-9a-f]{16}) \(.*?\): (.*)")


class TreeView:
    """What is wanted of a tree."""

    __slots__ = ("depth", "wanted")

    def __init__(self) -> None:
        self.depth: int | None = None
        """Levels below a tree's root that are shown; None is all of them."""
        self.wanted: str | None = None
        """A part of a name, or an address, of which the lines are shown with those that lead to them."""

    @property
    def is_plain(self) -> bool:
        """Whether nothing is left out."""
        return self.depth is None and self.wanted is None

    def of(self, text: str) -> str:
        """The part of `text`, which `info mtree` printed, that is wanted; raises `HMPLineError` where there is none."""
        lines = text.splitlines(keepends=True)
        if self.wanted is not None:
            kept = list(_found(lines, _matcher(self.wanted)))
            if not kept:
                raise HMPLineError(f"nothing of '{self.wanted}' in it\n")
            lines = kept
        return "".join(lines if self.depth is None else _folded(lines, self.depth))


def split_view(line: str) -> tuple[str, TreeView]:
    """A line without its `OPTIONS`, and what they mean; raises `HMPLineError`. Other commands have none."""
    view = TreeView()
    words = line.split()
    if words[:2] != ["info", "mtree"] or not any(option in words for option in OPTIONS):
        return line, view
    kept: list[str] = []
    rest = iter(words)
    for word in rest:
        if word not in OPTIONS:
            kept.append(word)
            continue
        value = next(rest, None)
        if value is None:
            raise HMPLineError(f"mtree: {word} wants a value\n")
        if word == "--find":
            view.wanted = value
        elif value.isdecimal() and value.isascii():
            view.depth = int(value[:6])
        else:
            raise HMPLineError(f"mtree: --depth wants a number, not '{value}'\n")
    return " ".join(kept), view


def _matcher(wanted: str) -> Callable[[re.Match[str]], bool]:
    """Whether a region's line is one of those wanted: it has that address within, or that text in its name."""
    if re.fullmatch(r"0[xX][0-9a-fA-F]+|[0-9]+", wanted, re.ASCII):
        address = int(wanted, 16 if wanted[:2] in ("0x", "0X") else 10)
        return lambda region: int(region[2], 16) <= address <= int(region[3], 16)
    return lambda region: wanted.lower() in region[4].lower()


def _found(lines: Iterable[str], matches: Callable[[re.Match[str]], bool]) -> Iterable[str]:
    """The regions that match, each behind those that lead to it and behind the heading of its tree."""
    heading: list[str] = []
    leading: list[tuple[int, str]] = []
    """Depths and lines above the present one; a line that was shown is empty."""
    shown = False
    for line in lines:
        region = _REGION.match(line)
        if region is None and line.strip():
            heading.append(line)
        elif region is None:
            if shown:
                yield line
            heading, leading, shown = [], [], False
        else:
            while leading and leading[-1][0] >= len(region[1]):
                leading.pop()
            leading.append((len(region[1]), line))
            if matches(region):
                yield from heading
                yield from (each for _, each in leading if each)
                heading, leading, shown = [], [(depth, "") for depth, _ in leading], True


def _folded(lines: Iterable[str], depth: int) -> Iterable[str]:
    """The lines down to a depth, with how many more there are behind the last one above them."""
    above: list[int] = []
    shown: str | None = None
    hidden = 0
    for line in [*lines, ""]:
        region = _REGION.match(line)
        while region is not None and above and above[-1] >= len(region[1]):
            above.pop()
        if region is None:
            above = []
        else:
            above.append(len(region[1]))
            if len(above) > depth + 1:
                hidden += 1
                continue
        if shown is not None:
            yield f"{shown.rstrip()} [+{hidden}]\n" if hidden else shown
        shown, hidden = line, 0
