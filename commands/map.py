"""All guest-physical addresses at a glance: as ranges, as a drawing of text, as a picture."""

from __future__ import annotations

from .hmp import HMPCommand, Word
from .map_ranges import GLYPHS, HOLES, map_ranges, name_text, rows_of, size_of, slots_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..vm.machine import VirtualMachine
    from . import Arguments, Context

ROWS = 24
"""Rows over which all that is no hole is spread, before each range is given at least one."""
BAR = 8


def query_map(context: Context, _arguments: Arguments) -> list[dict[str, Any]]:
    """The ranges of the flat view, and the holes between them."""
    return map_ranges(context.vm)


def save_map(context: Context, arguments: Arguments) -> dict[str, Any]:
    """Draw the map as a picture, of the kind that is named or that the file's name tells."""
    from .pictures.saving import kind_of, save

    path = arguments["filename"]
    kind = arguments.get("format") or kind_of(path)
    from .pictures.document import document, side_of

    save(path, document([side_of(context)]), kind)
    return {}


def _size(size: int) -> str:
    from ..vm.sizes import size_to_str

    return size_to_str(size)


# Text


def _map_request(_vm: VirtualMachine, words: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    return ("save-map", {"filename": words["output"]}) if "output" in words else ("query-map", {})


def _render_map(result: Any, words: dict[str, Any]) -> str:
    return f"saved as {words['output']}\n" if "output" in words else map_text(result)


def map_text(result: list[dict[str, Any]]) -> str:
    """The drawing of what `query-map` answers, as text."""
    width = max([len(name_text(shown)) for shown in result if shown["kind"] not in HOLES], default=0)
    lines = []
    for shown, rows in zip(result, rows_of(result, ROWS), strict=True):
        bar = GLYPHS[shown["kind"]] * BAR
        kind = "" if shown["kind"] in HOLES else shown["kind"]
        text = f"{shown['start']:016x} {bar} {_size(size_of(shown)):>9}  {kind:<4} {name_text(shown):<{width}}"
        text += f"  {slots_text(shown['slots']):<12}" + (f"  backend {shown['backend']}" if "backend" in shown else "")
        lines.append(text.rstrip())
        lines += [f"{'':16} {bar}"] * (rows - 1)
    return "".join(f"{line}\n" for line in lines)


HMP = (
    HMPCommand(
        "info map",
        _map_request,
        _render_map,
        help="draw guest-physical space to scale, holes folded (--output: into a file, as a picture or as a page)",
        syntax="[--output file.svg|file.html]",
        parameters=(Word("output", "file", option="--output"),),
        example="info map --output map.svg",
    ),
)
