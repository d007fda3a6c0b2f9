"""Tables that are wider than the terminal: what all rows have in common is left out, first blanks, then leading zeros,
then `0x`. What is left is aligned as it was; the terminal wraps what does not fit even so.
"""

from __future__ import annotations

import re
from itertools import groupby

ABOVE = {"info ramblock": 0, "info memslots": 1}
"""The lines whose answer is a table, and how many lines it has above its head."""
_ADDRESS = re.compile(r"(?P<blanks> *)(?P<prefix>0x|)(?P<first>[0-9a-f]{16})(?:-(?P<last>[0-9a-f]{16}))?(?P<end> *)")


def narrowed(line: str, text: str, columns: int) -> str:
    """What `line` printed, so that it fits so many columns if it can."""
    name = " ".join(line.split()[:2])
    lines = text.splitlines()
    if name not in ABOVE or len(lines) < ABOVE[name] + 2 or max(map(len, lines)) <= columns:
        return text
    above, table = lines[: ABOVE[name]], lines[ABOVE[name] :]
    fields = _fields(table)
    for shorten in (lambda field: field, _shortened, lambda field: _shortened(field, "")):
        rows = [" ".join(row).rstrip() for row in zip(*map(shorten, fields), strict=True)]
        if max(map(len, rows)) <= columns:
            break
    return "".join(f"{each}\n" for each in (*above, *rows))


def _fields(table: list[str]) -> list[list[str]]:
    """The columns of a table, each as its cells: what is between places that are blank in every line."""
    width = max(map(len, table))
    padded = [row.ljust(width) for row in table]
    blank = [all(row[place] == " " for row in padded) for place in range(width)]
    fields = []
    for is_blank, places in groupby(range(width), key=lambda place: blank[place]):
        if not is_blank:
            start, *_ = run = list(places)
            fields.append([row[start : run[-1] + 1] for row in padded])
    return fields


def _shortened(field: list[str], prefix: str = "0x") -> list[str]:
    """A column of addresses without the leading zeros that all of them have; its head stays whole.

    `prefix` is what becomes of a `0x`.
    """
    head, *cells = field
    addresses = [_ADDRESS.fullmatch(cell) for cell in cells]
    numbers = [each[group] for each in addresses if each is not None for group in ("first", "last") if each[group]]
    if len([each for each in addresses if each is not None]) < len(cells) or not numbers:
        return field
    kept = max(len(number.lstrip("0")) or 1 for number in numbers)
    short = [
        f"{prefix if each['prefix'] else ''}{each['first'][-kept:]}{'-' + each['last'][-kept:] if each['last'] else ''}"
        for each in addresses
        if each is not None
    ]
    width = max(map(len, (head.strip(), *short)))
    is_right = not head.endswith(" ") and head.startswith(" ")
    return [cell.rjust(width) if is_right else cell.ljust(width) for cell in (head.strip(), *short)]
