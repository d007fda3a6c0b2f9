"""An option of the command line, as the table of them and whatever else makes options tell it."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from ...vm.releases import Release
    from .parser import Parser

    Find: TypeAlias = "Callable[[str, Release], Option | None]"


class Option:
    """One row of the table: an option, how it is written, what it does, and the `Parser` method that takes it."""

    __slots__ = ("alias", "handler", "help", "name", "takes_value", "usage")

    def __init__(
        self, name: str, usage: str, help: str, handler: Callable[[Parser, str], None], alias: str = ""
    ) -> None:
        self.name = name
        self.alias = alias
        """Another name of the same option, or empty."""
        self.usage = usage
        """How the value is written; empty for an option that takes none."""
        self.takes_value = bool(usage)
        self.help = help
        """Lines of text."""
        self.handler = handler
