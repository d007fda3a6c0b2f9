"""The map as a page for browsers: one file that asks no one for anything, with what it shows in it as JSON."""

from __future__ import annotations

from html import escape

from .assets import read

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

SCRIPTS = ("data.js", "chain.js", "view.js", "panel.js", "page.js")
"""In the order in which they need each other."""


def make_page(document: dict[str, Any]) -> str:
    """The page of a document."""
    import json

    data = json.dumps(document, separators=(",", ":"), ensure_ascii=False)
    pieces = {
        "title": escape("Map of " + " and ".join(side["label"] for side in document["sides"])),
        "style": read("colours.css") + read("page.css"),
        # Nothing in a name may end the element that it stands in.
        "data": data.replace("<", "\\u003c"),
        "script": "".join(map(read, SCRIPTS)),
    }
    first, *rest = read("page.html").split("{{")
    return first + "".join(pieces[name] + text for name, text in (part.split("}}", 1) for part in rest))
