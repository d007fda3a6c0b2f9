"""Maps drawn and compared, over all that they may be: positions against plain fractions, differences against sets."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ramslot.commands.map_ranges import HOLES
from ramslot.commands.pictures.axis import ROWS, axis, bars, range_at
from ramslot.commands.pictures.comparison import EMPTY, compare

END = 1 << 64
PIECES = st.lists(
    st.tuples(
        st.integers(0, 1 << 46),
        st.integers(1, 1 << 40),
        st.sampled_from(["ram", "rom", "romd", "i/o", "room", "unplugged"]),
        st.sampled_from(["a", "b", "c"]),
        st.integers(0, 3),
        st.integers(0, 2),
    ),
    max_size=12,
)


@st.composite
def maps(draw: st.DrawFn) -> list[dict[str, Any]]:
    """What `query-map` may answer: all addresses once, in order."""
    found: list[dict[str, Any]] = []
    end = 0
    for distance, size, kind, name, offset, slots in draw(PIECES):
        if distance:
            found.append(
                {"start": end, "end": end + distance - 1, "kind": "hole", "name": "", "offset": 0, "slots": []}
            )
            end += distance
        half = size // 2
        places = (
            [(end, end + size - 1)] if slots == 1 or not half else [(end, end + half - 1), (end + half, end + size - 1)]
        )
        held = [
            {"slot": len(found) + at, "start": low, "end": high}
            for at, (low, high) in enumerate(places if slots else ())
        ]
        shown = {"start": end, "end": end + size - 1, "kind": kind, "name": name, "offset": offset, "slots": held}
        if kind == "room":
            shown |= {"name": "", "offset": 0, "slots": []}
        found.append(shown)
        end += size
    found.append({"start": end, "end": END - 1, "kind": "hole", "name": "", "offset": 0, "slots": []})
    return found


@given(st.lists(maps(), min_size=1, max_size=2))
def test_the_axis_has_every_address_in_order_and_to_scale(drawn: list[list[dict[str, Any]]]) -> None:
    along = axis(drawn)
    starts = sorted({shown["start"] for ranges in drawn for shown in ranges})
    sizes = [end - start for start, end in zip(starts, [*starts[1:], END], strict=True)]
    full = [any(range_at(ranges, start)["kind"] not in HOLES for ranges in drawn) for start in starts]
    total = sum(size for size, is_full in zip(sizes, full, strict=True) if is_full)
    rows = max(ROWS, len(starts) // 2)
    assert along.starts == starts
    for size, is_full, height in zip(sizes, full, along.heights, strict=True):
        exact = Fraction(size * rows, total) if is_full else Fraction(1)
        assert height >= 1 and abs(height - max(exact, Fraction(1))) <= Fraction(1, 2)
    tops = [along.top(place) for start, size in zip(starts, sizes, strict=True) for place in (start, start + size // 2)]
    assert tops == sorted(tops) and tops[0] == 0 and along.top(END) == along.height


@given(maps(), st.floats(0.5, 40))
def test_bars_leave_no_range_out(ranges: list[dict[str, Any]], least: float) -> None:
    along = axis([ranges])
    found = bars(ranges, along, least)
    assert [number for bar in found for number in range(bar.first, bar.last + 1)] == list(range(len(ranges)))
    assert found[0].top == 0 and found[-1].bottom == along.height
    for bar, following in pairwise(found):
        assert bar.bottom == following.top
        # What is too low either ends a run of such, or is before something that is not.
        assert bar.bottom - bar.top >= least or following.bottom - following.top >= least


def things(ranges: list[dict[str, Any]]) -> set[int]:
    return {number for number, shown in enumerate(ranges) if shown["kind"] not in EMPTY}


def plain(shown: dict[str, Any]) -> dict[str, Any]:
    """A range without what follows from its place."""
    return {**shown, "slots": [(slot["slot"], slot["start"] - shown["start"]) for slot in shown["slots"]]}


@given(maps(), maps())
def test_each_range_is_the_same_or_in_one_difference(before: list[dict[str, Any]], after: list[dict[str, Any]]) -> None:
    changes = compare(before, after)
    ours = [change.before for change in changes if change.before is not None]
    theirs = [change.after for change in changes if change.after is not None]
    assert len(set(ours)) == len(ours) and len(set(theirs)) == len(theirs)
    alike = {number: before[number] for number in things(before) - set(ours)}
    others = {number: after[number] for number in things(after) - set(theirs)}
    assert [plain(shown) for shown in alike.values()] == [plain(shown) for shown in others.values()]
    for change in changes:
        assert len(change.kinds) == len(change.texts) >= 1
        assert (change.before is None) == (change.kinds == ["new"]) and (change.after is None) == (
            change.kinds == ["gone"]
        )
        if change.before is not None and change.after is not None:
            one, other = before[change.before], after[change.after]
            assert ("moved" in change.kinds) == (one["start"] != other["start"])
            assert ("resized" in change.kinds) == (one["end"] - one["start"] != other["end"] - other["start"])
            assert ("name" in change.kinds) == (one["name"] != other["name"])


@given(maps())
def test_a_map_differs_not_from_itself(ranges: list[dict[str, Any]]) -> None:
    assert compare(ranges, ranges) == []
