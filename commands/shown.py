"""Descriptions that last: what a view tells of a thing, kept with it until it changes, and the text made of that."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Shown(dict[str, "Any"]):
    """A description that keeps its text, as `text`, once it was made; nobody changes it after that.

    Regions, flat views and RAMBlocks hold theirs as `shown` and drop it with every change, so a view of hundreds of
    them costs what changed.
    """

    __slots__ = ("text",)

    text: str

    def __init__(self, description: dict[str, Any]) -> None:
        super().__init__(description)
        self.text = ""
