"""Reads a fleet: one side on a line, or a name and a side."""

from __future__ import annotations

import csv
import os
import re

from ...vm.compat.contract import Contract
from ...vm.errors import VMError
from .sides import MOST_BYTES, read_side

NAMED = re.compile(r"([\w.@+/-]*[\w])[,\t]\s*(.+)$")
"""A name has no blanks, and what follows it is no part of a side."""


def read_fleet(path: str) -> list[tuple[str, str]]:
    """Names and sides, in order; raises `VMError`."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            lines = file.read(MOST_BYTES).splitlines()
    except OSError as error:
        raise VMError(f"Could not read '{path}': {error.strerror}") from None
    found: list[tuple[str, str]] = []
    for line in lines:
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        found.append(_named(text, str(len(found))))
    if len(found) < 2:
        raise VMError(f"'{path}' has fewer than two sides")
    return found


def _named(text: str, number: str) -> tuple[str, str]:
    match = NAMED.match(text)
    if match is None or match[1].startswith("-"):
        return number, text
    side = match[2]
    if side.startswith('"'):  # as spreadsheets write what has commas
        side = next(csv.reader([side]))[0]
    return match[1], side


def read_contracts(fleet: list[tuple[str, str]], folder: str) -> list[Contract]:
    """The contracts of a fleet's sides, equal ones read once; raises `VMError`.

    Files are looked for beside the fleet's.
    """
    known: dict[str, Contract] = {}
    wrong: dict[str, str] = {}
    for name, side in fleet:
        if side not in known and side not in wrong:
            beside = os.path.join(folder, side)
            try:
                known[side] = read_side(beside if os.path.isfile(beside) else side)
            except VMError as error:
                wrong[side] = f"{name}: {error}"
    if wrong:
        raise VMError("\n".join(wrong.values()))
    return [known[side] for _name, side in fleet]
