"""How the outcomes of many pairs are told: as a table, as JSON, and as a picture."""

from __future__ import annotations

from collections import Counter
from html import escape

from ...vm.compat.contract import Contract
from ...vm.compat.fleet import KINDS, Outcome

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

SIGNS = dict(zip(KINDS, "█▒!mxs?", strict=True))
WORDS = dict(
    zip(
        KINDS,
        (
            "fits",
            "fits, of what was checked",
            "accepted, but memory lies elsewhere",
            "another machine type",
            "a block is missing",
            "another size",
            "something else",
        ),
        strict=True,
    )
)
COLOURS = dict(zip(KINDS, ("#2e8b57", "#a8d5ba", "#f4a742", "#8b1e3f", "#c0392b", "#e07a5f", "#777777"), strict=True))
CELL = 14
LABEL = 7
"""Pixels of a character of a label."""
MOST_TITLES = 250_000
"""Cells of a picture that say what they are; a larger one would have nothing but that."""


def to_json(names: Sequence[str], sides: Sequence[Contract], found: Sequence[Outcome], shard: str) -> dict[str, Any]:
    """All of it; several shards' `pairs` are simply put together."""
    return {
        "sides": [
            {"name": name, "qemu": side.release, "machine": side.machine_type, "notes": list(side.notes)}
            for name, side in zip(names, sides, strict=True)
        ],
        "shard": shard,
        "pairs": [
            {
                "from": each.source,
                "to": each.destination,
                "compatible": each.compatible,
                "kind": each.kind,
                "error": each.error,
            }
            for each in found
        ],
    }


def to_text(names: Sequence[str], found: Sequence[Outcome]) -> str:
    """A table with a row for each source and a column for each destination, and what is most in the way."""
    cells = {(each.source, each.destination): SIGNS[each.kind] for each in found}
    width = max(map(len, names), default=0)
    count = len(names)
    digits = len(str(max(count - 1, 0)))
    lines = [
        f"{'':{width}} {'':{digits}}  {''.join(str(place).rjust(digits)[row] for place in range(count))}".rstrip()
        for row in range(digits)
    ]
    for source in dict.fromkeys(each.source for each in found):
        row = "".join(cells.get((source, place), "·") for place in range(count))
        lines.append(f"{names[source]:>{width}} {source:>{digits}}  {row}")
    kinds = Counter(each.kind for each in found)
    lines += ["", *(f"{SIGNS[kind]} {kinds[kind]:>6}  {WORDS[kind]}" for kind in KINDS if kinds[kind])]
    errors = Counter(each.error for each in found if each.error is not None)
    if errors:
        lines += ["", "most in the way:", *(f"{number:>6}  {text}" for text, number in errors.most_common(5))]
    return "\n".join(lines) + "\n"


def to_svg(names: Sequence[str], found: Sequence[Outcome]) -> str:
    """A heat map: sources down, destinations across."""
    left = LABEL * max(map(len, names), default=0) + 12
    count = len(names)
    sources = list(dict.fromkeys(each.source for each in found))
    rows = {source: row for row, source in enumerate(sources)}
    width, height = left + CELL * count + 10, left + CELL * len(sources) + 20 * len(KINDS) + 20
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{max(width, 360)}" height="{height}" '
        'font-family="sans-serif" font-size="11">'
    ]
    for place, name in enumerate(names):
        x = left + CELL * place + CELL - 3
        parts.append(f'<text transform="translate({x},{left - 6}) rotate(-90)">{escape(name)}</text>')
    for source in sources:
        y = left + CELL * rows[source] + CELL - 3
        parts.append(f'<text x="{left - 6}" y="{y}" text-anchor="end">{escape(names[source])}</text>')
    tells = len(found) <= MOST_TITLES
    for each in found:
        at = f'x="{left + CELL * each.destination}" y="{left + CELL * rows[each.source]}"'
        title = f"{names[each.source]} -> {names[each.destination]}: {each.error or WORDS[each.kind]}"
        inner = f"<title>{escape(title)}</title>" if tells else ""
        parts.append(f'<rect {at} width="{CELL - 1}" height="{CELL - 1}" fill="{COLOURS[each.kind]}">{inner}</rect>')
    kinds = Counter(each.kind for each in found)
    for number, kind in enumerate(kind for kind in KINDS if kinds[kind]):
        y = left + CELL * len(sources) + 16 + 20 * number
        parts.append(f'<rect x="12" y="{y}" width="12" height="12" fill="{COLOURS[kind]}"/>')
        parts.append(f'<text x="30" y="{y + 10}">{kinds[kind]} {WORDS[kind]}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"
