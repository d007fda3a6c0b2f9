"""Where addresses are drawn: to scale, holes folded, and what is the same address in two maps on the same height.

The axis is in rows, each high enough for a line of text. Zooming stretches it and changes nothing else.
"""

from __future__ import annotations

from _bisect import bisect_right

from ..map_ranges import HOLES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

ROWS = 20
"""Rows over which all that is no hole is spread, before each piece is given at least one; where there are very many
pieces there are more, half of their number, so that what is large still looks it."""
END = 1 << 64


class Axis:
    """All addresses in pieces, each with its height in rows."""

    __slots__ = ("heights", "starts", "tops")

    def __init__(self, starts: list[int], heights: list[int]) -> None:
        self.starts = starts
        self.heights = heights
        self.tops = [0]
        for height in heights:
            self.tops.append(self.tops[-1] + height)

    @property
    def height(self) -> int:
        """Of all."""
        return self.tops[-1]

    def top(self, address: int) -> float:
        """Where an address is drawn, in rows; up to 2^64."""
        if address >= END:
            return self.height
        number = bisect_right(self.starts, address) - 1
        end = self.starts[number + 1] if number + 1 < len(self.starts) else END
        share = (address - self.starts[number]) / (end - self.starts[number])
        return self.tops[number] + share * self.heights[number]

    def to_json(self) -> list[list[int]]:
        """Start and rows of each piece."""
        return [list(piece) for piece in zip(self.starts, self.heights, strict=True)]


def axis(maps: Sequence[list[dict[str, Any]]]) -> Axis:
    """The axis of one map or of several: a piece wherever one has another range; what is a hole in all folds."""
    starts = sorted({shown["start"] for ranges in maps for shown in ranges})
    sizes = [end - start for start, end in zip(starts, [*starts[1:], END], strict=True)]
    fulls = [any(range_at(ranges, start)["kind"] not in HOLES for ranges in maps) for start in starts]
    total = sum(size for size, full in zip(sizes, fulls, strict=True) if full)
    rows = max(ROWS, len(starts) // 2)
    heights = [
        max(1, (size * rows + total // 2) // total) if full else 1 for size, full in zip(sizes, fulls, strict=True)
    ]
    return Axis(starts, heights)


def range_at(ranges: list[dict[str, Any]], address: int) -> dict[str, Any]:
    """The range of a map that has an address."""
    return ranges[bisect_right(ranges, address, key=_start) - 1]


def _start(shown: dict[str, Any]) -> int:
    start: int = shown["start"]
    return start


class Bar:
    """What is drawn for the ranges `[first, last]` of a map: one, or several that are too small to be drawn each."""

    __slots__ = ("bottom", "first", "last", "top")

    def __init__(self, first: int, last: int, top: float, bottom: float) -> None:
        self.first = first
        self.last = last
        self.top = top
        self.bottom = bottom

    @property
    def is_pile(self) -> bool:
        """Whether it stands for several ranges."""
        return self.first < self.last


def bars(ranges: list[dict[str, Any]], along: Axis, least: float) -> list[Bar]:
    """The bars of a map, none less than `least` rows high but what is left over at the end of a run."""
    found: list[Bar] = []
    pile: Bar | None = None
    for number, shown in enumerate(ranges):
        top, bottom = along.top(shown["start"]), along.top(shown["end"] + 1)
        if bottom - top >= least:
            pile = None
            found.append(Bar(number, number, top, bottom))
        elif pile is None:
            pile = Bar(number, number, top, bottom)
            found.append(pile)
        else:
            pile.last, pile.bottom = number, bottom
            if pile.bottom - pile.top >= least:
                pile = None
    return found


def rows_in_all(along: Axis, most: int) -> float:
    """The height in rows that a bar needs so that no more than about `most` are drawn."""
    return max(0.75, along.height / most)
