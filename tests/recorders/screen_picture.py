"""What is on a terminal's screen as an SVG picture: the same signs in the same colours, on a dark or on a light ground."""

from __future__ import annotations

import re
from html import escape
from itertools import groupby
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyte.screens import Char, Screen

WIDTH, HEIGHT = 8.0, 17
"""Pixels of a sign."""
LEFT, TOP = 18, 46
SHADES = {"█": 1.0, "▓": 0.75, "▒": 0.5, "░": 0.28}
"""Signs that are drawn, for fonts have them in all heights; and how much of their ground they cover."""
STYLE = """\
:root { --ground: #fff; --bar: #eff2f5; --ink: #1f2328; --line: #d1d9e0 }
@media screen and (prefers-color-scheme: dark) {
  :root { --ground: #0d1117; --bar: #1c2128; --ink: #e6edf3; --line: #30363d }
}
text { font: 13px ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace; fill: var(--ink); white-space: pre }
.b { font-weight: bold }
.ground { fill: var(--ground); stroke: var(--line) }
.bar { fill: var(--bar) }
.title { font-family: system-ui, sans-serif; text-anchor: middle; opacity: .75 }
"""


def draw_screen(screen: Screen, title: str) -> str:
    """The picture of a screen, down to its last line with anything on it, in a window with a title."""
    lines = [[screen.buffer[row][column] for column in range(screen.columns)] for row in range(screen.lines)]
    width, height = LEFT * 2 + screen.columns * WIDTH, TOP + len(lines) * HEIGHT + 16
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height}" width="{width:g}" height="{height}" '
        f'role="img" aria-label="{escape(title)}">',
        f"<title>{escape(title)}</title>",
        f"<style>\n{STYLE}</style>",
        f'<rect class="ground" x=".5" y=".5" width="{width - 1:g}" height="{height - 1}" rx="9"/>',
        f'<path class="bar" d="M1 30V10Q1 1 10 1H{width - 10:g}Q{width - 1:g} 1 {width - 1:g} 10V30Z"/>',
        *(f'<circle cx="{x}" cy="16" r="5.5" fill="{colour}"/>' for x, colour in DOTS),
        f'<text class="title" x="{width / 2:g}" y="20">{escape(title)}</text>',
    ]
    for row, line in enumerate(lines):
        parts += _line(line, TOP + row * HEIGHT)
    return "\n".join([*parts, "</svg>"]) + "\n"


DOTS = ((20, "#ff5f57"), (38, "#febc2e"), (56, "#28c840"))


def _line(line: list[Char], y: int) -> Iterator[str]:
    column = 0
    for (ink, ground, bold, shade), run in groupby(line, _look):
        text = "".join(sign.data for sign in run)
        x, width = LEFT + column * WIDTH, len(text) * WIDTH
        column += len(text)
        if ground is not None:
            yield f'<rect x="{x:g}" y="{y}" width="{width:g}" height="{HEIGHT}" fill="{ground}"/>'
        fill = f' fill="{ink}"' if ink is not None else ""
        if shade is not None:
            fill = fill or ' fill="var(--ink)"'
            yield f'<rect x="{x:g}" y="{y}" width="{width:g}" height="{HEIGHT}"{fill} opacity="{shade:g}"/>'
        elif text.strip():
            style = f' style="fill:{ink}"' if ink is not None else ""
            weight = ' class="b"' if bold else ""
            yield (
                f'<text{weight}{style} x="{x:g}" y="{y + 13}" textLength="{width:g}" '
                f'lengthAdjust="spacingAndGlyphs">{escape(text)}</text>'
            )


def _look(sign: Char) -> tuple[str | None, str | None, bool, float | None]:
    """Colour of the sign, of its ground, whether it is bold, and how much of its ground it covers; None is usual."""
    ink, ground = _colour(sign.fg), _colour(sign.bg)
    if sign.reverse:
        ink, ground = ground or "var(--ground)", ink or "var(--ink)"
    return ink, ground, sign.bold, SHADES.get(sign.data)


def _colour(name: str) -> str | None:
    """A colour of the terminal as one of CSS; those that have numbers and not names are hexadecimal digits."""
    if name == "default":
        return None
    return f"#{name}" if re.fullmatch("[0-9a-f]{6}", name) else name
