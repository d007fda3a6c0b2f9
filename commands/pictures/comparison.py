"""What two maps have different: which range of one is which of the other, and what became of it."""

from __future__ import annotations

from ..map_ranges import name_text, size_of, slots_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

    Range = dict[str, Any]
    Key = Callable[[Range], tuple[Any, ...]]

EMPTY = ("hole", "unknown", "room")
"""What is no thing of its own: it is where the others are not."""


def _keys(*names: str) -> Key:
    return lambda shown: tuple(size_of(shown) if name == "size" else shown[name] for name in names)


PASSES = (
    _keys("start", "end", "kind", "name", "offset"),
    _keys("size", "kind", "name", "offset"),
    _keys("start", "kind", "name", "offset"),
    _keys("kind", "name", "offset"),
    _keys("start", "end", "kind", "offset"),
    _keys("start", "kind", "offset"),
    _keys("kind", "name"),
    _keys("start", "end"),
)
"""By what a range of one map is found in the other, the surest first; of several that fit, each takes the next."""


class Change:
    """A range that the maps have differently: its numbers in both, None where a map has it not; and what differs."""

    __slots__ = ("after", "before", "kinds", "texts")

    def __init__(self, before: int | None, after: int | None, differences: dict[str, str]) -> None:
        self.before = before
        self.after = after
        self.kinds = list(differences)
        """Of `new`, `gone`, `moved`, `resized`, `name`, `kind`, `offset`, `ramblock`, `backend` and `slots`."""
        self.texts = list(differences.values())
        """One for each kind, for people."""

    def to_json(self) -> dict[str, Any]:
        """All of it, by the names of the attributes."""
        return {name: getattr(self, name) for name in ("before", "after", "kinds", "texts")}


def compare(before: Sequence[Range], after: Sequence[Range], *, numbered: bool = True) -> list[Change]:
    """All that differs from one map to the other, by address; `numbered` says that numbers of slots mean something."""
    partners, gone, new = _partners(before, after)
    rooms, rooms_gone, rooms_new = _rooms(before, after)
    changes = [Change(number, None, {"gone": "gone"}) for number in (*gone, *rooms_gone)]
    changes += [Change(None, number, {"new": "new"}) for number in (*new, *rooms_new)]
    for one, other in (*partners, *rooms):
        differences = dict(_differences(before[one], after[other], numbered))
        if differences:
            changes.append(Change(one, other, differences))

    def address(change: Change) -> tuple[int, bool]:
        shown = before[change.before] if change.before is not None else after[change.after or 0]
        return shown["start"], change.before is None

    return sorted(changes, key=address)


def _partners(before: Sequence[Range], after: Sequence[Range]) -> tuple[list[tuple[int, int]], list[int], list[int]]:
    """Numbers of ranges that are each other's, and those of ranges that have no partner, on either side."""
    ours = [number for number, shown in enumerate(before) if shown["kind"] not in EMPTY]
    theirs = [number for number, shown in enumerate(after) if shown["kind"] not in EMPTY]
    found: list[tuple[int, int]] = []
    for key in PASSES:
        waiting: dict[tuple[Any, ...], list[int]] = {}
        for number in reversed(theirs):
            waiting.setdefault(key(after[number]), []).append(number)
        matched = [(one, same.pop()) for one in ours if (same := waiting.get(key(before[one])))]
        found += matched
        ours = sorted({*ours} - {one for one, _other in matched})
        theirs = sorted({*theirs} - {other for _one, other in matched})
    return found, ours, theirs


def _rooms(before: Sequence[Range], after: Sequence[Range]) -> tuple[list[tuple[int, int]], list[int], list[int]]:
    """The same of the room for memory devices, which differs of itself where a map has none, or less in its place."""
    ours, theirs = (
        {shown["start"]: number for number, shown in enumerate(ranges) if shown["kind"] == "room"}
        for ranges in (before, after)
    )
    if not ours or not theirs:
        return [], list(ours.values()), list(theirs.values())
    return [(ours[start], theirs[start]) for start in ours.keys() & theirs.keys()], [], []


def _differences(old: Range, new: Range, numbered: bool) -> Iterator[tuple[str, str]]:
    if old["start"] != new["start"]:
        yield "moved", f"moved from {old['start']:#x} to {new['start']:#x}"
    if size_of(old) != size_of(new):
        yield "resized", f"resized from {_size(old)} to {_size(new)}"
    for name in ("kind", "name", "ramblock", "backend"):
        was, is_now = old.get(name), new.get(name)
        # A backend and its block are most often named as the region is, and renamed with it.
        follows = name in ("ramblock", "backend") and (was, is_now) == (old["name"], new["name"])
        if was != is_now and not follows:
            yield name, f"{WORDS[name]} {was or 'none'} became {is_now or 'none'}"
    if old["offset"] != new["offset"]:
        yield "offset", f"shows {name_text(new)}, not {name_text(old)}"
    if _division(old, numbered) != _division(new, numbered):
        was, is_now = slots_text(old["slots"]), slots_text(new["slots"])
        yield "slots", f"{was or 'no slot'} became {is_now or 'no slot'}"


WORDS = {"kind": "kind", "name": "name", "ramblock": "RAMBlock", "backend": "backend"}


def _division(shown: Range, numbered: bool) -> list[tuple[int, int]]:
    """The slots of a range: number, if that matters, and place in it."""
    return [(slot["slot"] if numbered else 0, slot["start"] - shown["start"]) for slot in shown["slots"]]


def _size(shown: Range) -> str:
    from ...vm.sizes import size_to_str

    return size_to_str(size_of(shown))
