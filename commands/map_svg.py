"""The map of guest-physical space as an SVG picture: ranges to scale, with the memslots and backends beside them."""

from __future__ import annotations

from html import escape

from ..vm.sizes import size_to_str
from .map import HOLES, name_text, rows_of, size_of, slots_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

ROW = 20
ROWS = 30
TOP = 56
WIDTH = 860
BAR_X, BAR_WIDTH = 170, 130
SLOT_X, SLOT_WIDTH = 310, 90
BACKEND_X, BACKEND_WIDTH = 410, 8
TEXT_X = 430
MOST_BOXES = 64
"""Slots of a range that are drawn each; more are drawn as one box that tells their number."""

STYLE = """\
text { font: 12px sans-serif; fill: #222 }
.address { font-family: monospace; text-anchor: end }
.title { font-size: 16px; font-weight: bold }
.dim { fill: #777 }
.in { text-anchor: middle }
rect { stroke: #fff; stroke-width: 1 }
.ram { fill: #5b9bd5 } .rom { fill: #e0a458 } .romd { fill: #d98cb3 } .io { fill: #b8b8b8 }
.slot { fill: #d7e8c8; stroke: #6a994e } .backend { fill: #8064a2 }
.hole { fill: none; stroke: #999; stroke-dasharray: 3 4 }
"""


def draw(ranges: list[dict[str, Any]], title: str) -> str:
    """The picture of what `query-map` answers."""
    parts: list[str] = []
    y = TOP
    for shown, rows in zip(ranges, rows_of(ranges, ROWS), strict=True):
        height = rows * ROW
        parts += _range(shown, y, height)
        y += height
    height = y + ROW
    head = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}">',
        f"<title>{escape(title)}</title>",
        f"<style>\n{STYLE}</style>",
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
        _text(16, 24, title, "title"),
        _text(BAR_X, TOP - 12, "addresses", "dim"),
        _text(SLOT_X, TOP - 12, "memslots", "dim"),
        _text(TEXT_X, TOP - 12, "what they show, and the backend", "dim"),
    ]
    return "\n".join([*head, *parts, "</svg>"]) + "\n"


def _range(shown: dict[str, Any], y: int, height: int) -> list[str]:
    parts = [_text(BAR_X - 8, y + 14, f"{shown['start']:016x}", "address")]
    size = size_to_str(size_of(shown))
    if shown["kind"] in HOLES:
        middle = BAR_X + BAR_WIDTH // 2
        parts.append(f'<path class="hole" d="M{middle} {y}V{y + height}"/>')
        what = "what is not modelled" if shown["kind"] == "unknown" else name_text(shown)
        return [*parts, _text(TEXT_X, y + 14, f"{size} of {what}", "dim")]
    kind = shown["kind"].replace("/", "")
    parts.append(f'<rect class="{kind}" x="{BAR_X}" y="{y}" width="{BAR_WIDTH}" height="{height}"/>')
    parts.append(_text(BAR_X + BAR_WIDTH // 2, y + height // 2 + 4, f"{size} {shown['kind']}", "in"))
    parts += _slots(shown, y, height)
    text = name_text(shown)
    if "backend" in shown:
        parts.append(f'<rect class="backend" x="{BACKEND_X}" y="{y}" width="{BACKEND_WIDTH}" height="{height}"/>')
        text += f" (backend {shown['backend']})"
    return [*parts, _text(TEXT_X, y + 14, text)]


def _slots(shown: dict[str, Any], y: int, height: int) -> list[str]:
    slots = shown["slots"]
    if not slots:
        return []
    whole = {"start": slots[0]["start"], "end": slots[-1]["end"]}
    drawn = slots if len(slots) <= min(MOST_BOXES, height // 4) else [whole]
    parts = []
    for box in drawn:
        top = y + (box["start"] - shown["start"]) * height / size_of(shown)
        tall = max(1.0, (box["end"] - box["start"] + 1) * height / size_of(shown))
        parts.append(f'<rect class="slot" x="{SLOT_X}" y="{top:.1f}" width="{SLOT_WIDTH}" height="{tall:.1f}"/>')
    return [*parts, _text(SLOT_X + SLOT_WIDTH // 2, y + height // 2 + 4, slots_text(slots), "in")]


def _text(x: int, y: int, text: str, name: str = "") -> str:
    label = f' class="{name}"' if name else ""
    return f'<text{label} x="{x}" y="{y}">{escape(text)}</text>'
