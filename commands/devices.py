"""Memory devices. None can be plugged, so there are none to tell of."""

from __future__ import annotations

from .hmp import HMPCommand, fixed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from . import Arguments, Context


def query_memory_devices(_context: Context, _arguments: Arguments) -> list[dict[str, Any]]:
    """The devices that are plugged."""
    return []


def _render_devices(_result: list[dict[str, Any]], _words: Any) -> str:
    return ""


HMP = (
    HMPCommand(
        "info memory-devices",
        fixed("query-memory-devices"),
        _render_devices,
        help="show memory devices",
    ),
)
