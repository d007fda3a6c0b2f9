"""Two maps as text for a terminal: one list by address, in which what differs is marked."""

from __future__ import annotations

from ...vm.sizes import size_to_str
from ..map_ranges import GLYPHS, HOLES, name_text, size_of, slots_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

SIGNS = {"new": "+", "gone": "-"}
CHANGED = "~"
AROUND = 3
"""Lines of what is the same that are shown before and after a difference, as by `diff`; what is between is counted."""


def to_text(document: dict[str, Any]) -> str:
    """Both machines, then their ranges: `-` what went, `+` what came, `~` what became another."""
    before, after = document["sides"]
    lines = [f"- {before['label']} ({before['detail']})", f"+ {after['label']} ({after['detail']})"]
    shown = list(_marked(document))
    width = max((len(name_text(each[0])) for each in shown), default=0)
    near = {at + by for at, each in enumerate(shown) if each[1] != " " for by in range(-AROUND, AROUND + 1)}
    skipped = 0
    for at, (range_, sign, texts) in enumerate(shown):
        if at not in near:
            skipped += 1
            continue
        lines += _skipped(skipped)
        skipped = 0
        lines.append(_line(range_, sign, texts, width))
    return "".join(f"{line}\n" for line in [*lines, *_skipped(skipped)])


def _skipped(count: int) -> list[str]:
    return [f"  ... {count} alike"] if count else []


def _marked(document: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str, list[str]]]:
    """Every range of the second map, and those of the first that went, by address, with sign and words."""
    before, after = (side["map"] for side in document["sides"])
    changes = {change["after"]: change for change in document["changes"] if change["after"] is not None}
    found = [
        (before[change["before"]], "-", change["texts"]) for change in document["changes"] if change["after"] is None
    ]
    for number, shown in enumerate(after):
        change = changes.get(number)
        if change is not None or shown["kind"] not in HOLES:
            sign = " " if change is None else SIGNS.get(change["kinds"][0], CHANGED)
            found.append((shown, sign, [] if change is None else change["texts"]))
    yield from sorted(found, key=lambda each: (each[0]["start"], each[1] != "-"))


def _line(shown: dict[str, Any], sign: str, texts: list[str], width: int) -> str:
    size = size_to_str(size_of(shown))
    what = f"{GLYPHS[shown['kind']] * 4} {size:>9}  {shown['kind']:<9} {name_text(shown):<{width}}"
    words = "" if sign in SIGNS.values() else ", ".join(texts)
    return f"{sign} {shown['start']:016x} {what}  {slots_text(shown['slots']):<12}  {words}".rstrip()
