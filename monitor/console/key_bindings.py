"""Whose keys the prompt has: Emacs's, or vi's where the user's other programs have them, by readline's own file."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

APPLICATION = "ramslot"
"""Our name in `$if` of an inputrc."""


def wants_vi(environment: Mapping[str, str]) -> bool:
    """Whether the user's inputrc says `set editing-mode vi` (readline(3))."""
    for path in (environment.get("INPUTRC") or "~/.inputrc", "/etc/inputrc"):
        try:
            with open(os.path.expanduser(path), encoding="utf-8", errors="replace") as file:
                return _editing_mode(file) == "vi"
        except OSError:
            continue
    return False


def _editing_mode(lines: Iterable[str]) -> str:
    """The mode that is set last; what stands below a `$if` counts only where that names us."""
    mode = "emacs"
    conditions: list[bool] = []
    for line in lines:
        words = line.lower().split()
        if words[:1] == ["$if"]:
            conditions.append(words[1:] == [APPLICATION])
        elif words[:1] == ["$else"] and conditions:
            conditions[-1] = not conditions[-1]
        elif words[:1] == ["$endif"] and conditions:
            conditions.pop()
        elif words[:2] == ["set", "editing-mode"] and len(words) > 2 and all(conditions):
            mode = words[2]
    return mode
