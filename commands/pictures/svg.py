"""The map as an SVG picture, of one machine or of two beside each other; light and dark, as the reader's screen is.

What is behind a range shows where a pointer rests on it, as `why` tells it of the first address.
"""

from __future__ import annotations

from html import escape

from ...vm.sizes import size_to_str
from ..explain import explanation
from ..map_ranges import HOLES, name_text, size_of, slots_text
from .assets import read
from .axis import Axis, Bar, bars, rows_in_all
from .chains import told

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

ROW = 26
TOP = 92
BOTTOM = 46
LEGIBLE = 14
"""Pixels; what is lower has no text, which would lie upon its neighbour's."""
MOST_BARS = 200
"""More than so many ranges are drawn as fewer that stand for several."""
LOWEST_BOX = 6
MOST_BOXES = 64
"""Slots of a range that are drawn each; more are drawn as one box that tells their number."""
SANS, MONO = 7.0, 7.25
"""Pixels of a character, on the average, of the two fonts."""
MARKS = {"new": "new", "gone": "gone", "slots": "renumbered"}
"""How a difference is coloured, by the first of its kinds."""
BADGES = {
    "moved": "moved",
    "resized": "resized",
    "new": "new",
    "gone": "gone",
    "name": "other name",
    "kind": "other kind",
    "offset": "other part",
    "ramblock": "other RAMBlock",
    "backend": "other backend",
    "slots": "other slot",
}
LEGEND = {
    "ram": "RAM",
    "rom": "ROM",
    "romd": "ROM device",
    "i/o": "registers",
    "room": "room for devices",
    "unplugged": "unplugged",
}


class Columns:
    """Where things are from left to right, in pixels."""

    def __init__(self, address: int, bar: int, width: int, slots: int = 0, backend: int = 0) -> None:
        self.address = address
        """Where addresses begin or end, whichever is next to the bar."""
        self.bar = bar
        self.width = width
        self.slots = slots
        self.backend = backend


ALONE = Columns(address=146, bar=158, width=420, slots=590, backend=716)
BESIDE = Columns(address=146, bar=158, width=300), Columns(address=982, bar=670, width=300)
SLOT_WIDTH = 112
WIDTHS = {1: 880, 2: 1128}


def draw(document: dict[str, Any]) -> str:
    """The picture of a document."""
    sides = document["sides"]
    along = Axis(*map(list, zip(*document["axis"], strict=True)))
    least = rows_in_all(along, MOST_BARS)
    scale = ROW if least < 1 else ROW / least
    canvas = Canvas(scale)
    places = [ALONE] if len(sides) == 1 else list(BESIDE)
    drawn = [bars(side["map"], along, least) for side in sides]
    if len(sides) == 2:
        _draw_ties(canvas, document, along)
    for side, columns, shown in zip(sides, places, drawn, strict=True):
        changed = _changed(document, side)
        for bar in shown:
            _draw_bar(canvas, side, bar, columns, changed)
    height = TOP + along.height * scale
    if len(sides) == 2:
        height = _draw_changes(canvas, document, height + 30)
    kinds = {shown["kind"] for side in sides for shown in side["map"]}
    _draw_legend(canvas, [kind for kind in LEGEND if kind in kinds], height + 28)
    return _framed(sides, canvas.parts, WIDTHS[len(sides)], round(height + BOTTOM))


class Canvas:
    """Collects what is drawn."""

    def __init__(self, scale: float) -> None:
        self.parts: list[str] = []
        self._scale = scale

    def y(self, rows: float) -> float:
        """Pixels from the top."""
        return TOP + rows * self._scale

    def add(self, tag: str, inner: str = "", **attributes: object) -> None:
        """An element; `class_` is `class`, and other `_` in names are `-`."""
        words = "".join(
            f' {name.rstrip("_").replace("_", "-")}="{_number(value)}"' for name, value in attributes.items()
        )
        self.parts.append(f"<{tag}{words}>{inner}</{tag}>" if inner else f"<{tag}{words}/>")

    def text(self, x: float, y: float, text: str, class_: str = "") -> None:
        """A line of text."""
        self.add("text", escape(text), **({"class_": class_} if class_ else {}), x=x, y=y)


def _number(value: object) -> object:
    return f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else value


def _draw_bar(canvas: Canvas, side: dict[str, Any], bar: Bar, columns: Columns, changed: dict[int, str]) -> None:
    shown = side["map"][bar.first]
    top, bottom = canvas.y(bar.top), canvas.y(bar.bottom)
    kind = _class(shown["kind"]) if not bar.is_pile else "pile"
    state = next((changed[number] for number in range(bar.first, bar.last + 1) if number in changed), "")
    canvas.parts.append(f'<g class="{f"bar {kind} {state}".strip()}"><title>{escape(_title(side, bar))}</title>')
    is_legible = bottom - top > LEGIBLE
    if is_legible:
        _draw_address(canvas, shown["start"], columns, top)
    x, width = columns.bar, columns.width
    if kind in ("hole", "unknown"):
        for at in (x + 0.5, x + width - 0.5):
            canvas.add("path", class_="torn", d=f"M{_number(at)} {_number(top)}V{_number(bottom)}")
    else:
        canvas.add("rect", class_="body", x=x, y=top + 1, width=width, height=max(bottom - top - 2, 1), rx=3)
        if shown["kind"] not in HOLES or bar.is_pile:
            canvas.add("rect", class_="edge", x=x, y=top + 1, width=5, height=max(bottom - top - 2, 1), rx=2)
    if is_legible:
        _draw_label(canvas, side, bar, columns, top)
    if columns.slots and not bar.is_pile:
        _draw_slots(canvas, shown, columns, top, bottom)
    canvas.parts.append("</g>")


def _draw_address(canvas: Canvas, address: int, columns: Columns, top: float) -> None:
    digits = f"{address:016x}"
    zeros = digits[: len(digits) - len(digits.lstrip("0"))][:15]
    inner = f'<tspan class="dim">{zeros}</tspan>{digits[len(zeros) :]}' if zeros else digits
    side = "mono" if columns.address > columns.bar else "mono end"
    canvas.add("text", inner, class_=side, x=columns.address, y=top + 17.5)


def _draw_label(canvas: Canvas, side: dict[str, Any], bar: Bar, columns: Columns, top: float) -> None:
    ranges, y = side["map"], top + 17.5
    shown = ranges[bar.first]
    size = ranges[bar.last]["end"] - shown["start"] + 1
    right = size_to_str(size)
    if not columns.slots and shown["slots"] and not bar.is_pile:
        right = f"{slots_text(shown['slots'])} · {right}"
    room = int((columns.width - 40 - len(right) * SANS) / SANS)
    if bar.is_pile:
        canvas.text(columns.bar + 14, y, _cut(_pile_text(ranges, bar), room), "name")
    else:
        canvas.text(columns.bar + 14, y, _cut(name_text(shown), room), "dim" if shown["kind"] in HOLES else "name")
    canvas.text(columns.bar + columns.width - 12, y, right, "end dim" if shown["kind"] in HOLES else "end")
    if columns.backend and "backend" in shown and not bar.is_pile:
        canvas.text(columns.backend, y, _cut(shown["backend"], 22))


def _draw_slots(canvas: Canvas, shown: dict[str, Any], columns: Columns, top: float, bottom: float) -> None:
    slots = shown["slots"]
    if not slots:
        return
    height = bottom - top
    whole = {"start": slots[0]["start"], "end": slots[-1]["end"]}
    drawn = slots if len(slots) <= min(MOST_BOXES, height // LOWEST_BOX) else [whole]
    numbers_each = 1 < len(drawn) <= height // ROW
    for box in drawn:
        y = top + (box["start"] - shown["start"]) * height / size_of(shown)
        tall = (box["end"] - box["start"] + 1) * height / size_of(shown)
        canvas.add("rect", class_="slot", x=columns.slots, y=y + 1, width=SLOT_WIDTH, height=max(tall - 2, 1), rx=3)
        if numbers_each and tall > LEGIBLE:
            canvas.text(columns.slots + SLOT_WIDTH / 2, y + 17.5, f"slot {box['slot']}", "middle")
    if not numbers_each and height > LEGIBLE:
        canvas.text(columns.slots + SLOT_WIDTH / 2, top + 17.5, slots_text(slots), "middle")


# Two machines


def _changed(document: dict[str, Any], side: dict[str, Any]) -> dict[int, str]:
    """How ranges of a side are marked, by their numbers; none where there is nothing to compare with."""
    name = "before" if side is document["sides"][0] else "after"
    return {change[name]: _mark(change["kinds"]) for change in document.get("changes", ()) if change[name] is not None}


def _mark(kinds: list[str]) -> str:
    return MARKS.get(kinds[0], "change")


def _draw_ties(canvas: Canvas, document: dict[str, Any], along: Axis) -> None:
    """Between the two maps: what became of what."""
    maps = [side["map"] for side in document["sides"]]
    left, right = BESIDE[0].bar + BESIDE[0].width, BESIDE[1].bar
    middle = (left + right) / 2
    badges = []
    for change in document["changes"]:
        mark = _mark(change["kinds"])
        ends = []
        for ranges, number in zip(maps, (change["before"], change["after"]), strict=True):
            if number is not None:
                shown = ranges[number]
                ends.append((canvas.y(along.top(shown["start"])), canvas.y(along.top(shown["end"] + 1))))
        if len(ends) == 2:
            (one, two), (three, four) = ends
            curve = f"M{left} {one + 1:.1f}C{middle} {one + 1:.1f} {middle} {three + 1:.1f} {right} {three + 1:.1f}"
            curve += f"V{four - 1:.1f}C{middle} {four - 1:.1f} {middle} {two - 1:.1f} {left} {two - 1:.1f}Z"
            canvas.add("path", class_=f"tie {mark}", d=curve)
        top, bottom = ends[-1]
        if bottom - top > LEGIBLE:
            badges.append((change, mark, top))
    for change, mark, top in badges:
        text = _cut(" · ".join(BADGES[kind] for kind in change["kinds"]), 26)
        width = len(text) * SANS + 16
        x = left + 8 if change["after"] is None else right - 8 - width
        canvas.add("rect", class_=f"badge {mark}", x=x, y=top + 4, width=width, height=18, rx=9)
        canvas.text(x + width / 2, top + 17, text, f"badge-text middle {mark}")


def _draw_changes(canvas: Canvas, document: dict[str, Any], y: float) -> float:
    """The differences in words; returns where they end."""
    changes = document["changes"]
    heading = f"{len(changes)} difference{'s' * (len(changes) != 1)}" if changes else "Nothing differs"
    canvas.text(24, y, heading, "name")
    for change in changes[:MOST_BARS]:
        y += 20
        at, number = (1, change["after"]) if change["before"] is None else (0, change["before"])
        shown = document["sides"][at]["map"][number]
        canvas.text(24, y, f"{shown['start']:016x}", "mono")
        canvas.text(158, y, _cut(f"{name_text(shown)}: {', '.join(change['texts'])}", 130))
    if len(changes) > MOST_BARS:
        y += 20
        canvas.text(24, y, f"and {len(changes) - MOST_BARS} more", "dim")
    return y


# Around it


def _draw_legend(canvas: Canvas, kinds: list[str], y: float) -> None:
    x = 24.0
    for kind in kinds:
        canvas.parts.append(f'<g class="bar {_class(kind)}">')
        canvas.add("rect", class_="body", x=x, y=y - 11, width=14, height=14, rx=3)
        canvas.add("rect", class_="edge", x=x, y=y - 11, width=4, height=14, rx=2)
        canvas.parts.append("</g>")
        canvas.text(x + 20, y, LEGEND[kind], "dim")
        x += 44 + len(LEGEND[kind]) * SANS
    canvas.text(x, y, "heights are to scale, from one row on; holes are folded", "dim")


def _framed(sides: list[dict[str, Any]], parts: list[str], width: int, height: int) -> str:
    title = " and ".join(side["label"] for side in sides)
    head = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'role="img" aria-label="' + escape(f"Memory map of {title}") + '">',
        f"<title>{escape(title)}</title>",
        f"<style>\n{read('colours.css')}{read('svg.css')}</style>",
        f'<rect class="paper" width="{width}" height="{height}"/>',
    ]
    canvas = Canvas(ROW)
    if len(sides) == 1:
        canvas.text(24, 36, sides[0]["label"], "title")
        canvas.text(24, 57, sides[0]["detail"], "dim")
        for x, text in (
            (24, "address"),
            (ALONE.bar, "what is there"),
            (ALONE.slots, "memslots"),
            (ALONE.backend, "backend"),
        ):
            canvas.text(x, TOP - 10, text, "dim")
    else:
        for side, columns in zip(sides, BESIDE, strict=True):
            canvas.text(columns.bar, 36, side["label"], "title")
            canvas.text(columns.bar, 57, side["detail"], "dim")
    return "\n".join([*head, *canvas.parts, *parts, "</svg>"]) + "\n"


def _class(kind: str) -> str:
    return kind.replace("/", "")


def _title(side: dict[str, Any], bar: Bar) -> str:
    shown, last = side["map"][bar.first], side["map"][bar.last]
    place = f"{shown['start']:016x}-{last['end']:016x}"
    if bar.is_pile:
        return f"{place}: {_pile_text(side['map'], bar)}"
    return "\n".join([place, *explanation(told(side, shown["start"]), with_page=False)])


def _pile_text(ranges: list[dict[str, Any]], bar: Bar) -> str:
    """How many ranges there are, and the names of the first and the last that is no hole."""
    inside = [shown for shown in ranges[bar.first : bar.last + 1] if shown["kind"] not in HOLES]
    named = [name_text(shown) for shown in inside]
    names = f": {named[0]}" + (f" to {named[-1]}" if len(named) > 1 else "") if named else ""
    return f"{len(inside)} range{'s' * (len(inside) != 1)}{names}"


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: max(most - 1, 1)]}…"
