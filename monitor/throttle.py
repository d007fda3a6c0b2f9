"""Events that come so fast that only the first and the latest of a second are told, as QEMU does with them.

Imported with the first of them.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeAlias

    from .loop import Loop

    Event: TypeAlias = tuple[str, dict[str, Any] | None, int, int]
    """Name, data, and when it happened: seconds and microseconds."""

INTERVAL = 1.0
"""Seconds in which nothing more is told of the same thing."""


class EventThrottle:
    """Tells of an event at once, and of the latest of those that follow too fast when its time has come.

    Devices are things of their own; `send` tells.
    """

    def __init__(self, loop: Loop, send: Callable[..., None]) -> None:
        self._loop = loop
        self._send = send
        self._held: dict[tuple[str, object], Event | None] = {}
        """The latest of each thing that waits; None where none came since the last was told."""

    def tell(self, event: Event) -> None:
        """Tell of an event, now or later."""
        key = event[0], (event[1] or {}).get("qom-path")
        if key in self._held:
            self._held[key] = event
        else:
            self._send(*event)
            self._wait(key)

    def _wait(self, key: tuple[str, object]) -> None:
        self._held[key] = None
        self._loop.call_later(INTERVAL, self._on_time, key)

    def _on_time(self, key: tuple[str, object]) -> None:
        event = self._held.pop(key)
        if event is not None:
            self._send(*event)
            self._wait(key)
