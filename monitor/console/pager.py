"""Long answers at a terminal: the user's `$PAGER`, or `less`, told to leave colours and what fits the screen alone."""

from __future__ import annotations

import io
import os
import shutil

from prompt_toolkit.output.vt100 import Vt100_Output
from prompt_toolkit.renderer import print_formatted_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from prompt_toolkit.formatted_text import StyleAndTextTuples
    from prompt_toolkit.output import Output
    from prompt_toolkit.styles import BaseStyle

NO_PAGER = ("", "cat")
LESS_OPTIONS = "export LESS=${LESS-FRX};"
"""What `less` does where the user has not said: end if all fits (F), pass colours (R), leave the text there (X)."""


def pager_command(environment: Mapping[str, str]) -> str | None:
    """The shell's command that shows long answers; None where there is none, or the user wants none."""
    pager = environment.get("PAGER")
    if pager is None:
        pager = "less" if shutil.which("less", path=environment.get("PATH")) else ""
    return None if pager.strip() in NO_PAGER else f"{LESS_OPTIONS} {pager}"


def shows_colours(command: str) -> bool:
    """Whether a pager is known to pass colours on."""
    return os.path.basename(command.removeprefix(LESS_OPTIONS).split()[0]) in ("less", "bat", "moar", "moor", "ov")


def is_terminal(output: Output) -> bool:
    """Whether `output` is a terminal that can do more than plain text."""
    try:
        return isinstance(output, Vt100_Output) and os.isatty(output.fileno())
    except (OSError, ValueError):  # one that somebody only plays
        return False


def wants_pager(output: Output, text: str) -> bool:
    """Whether `output` is a terminal that `text` is too long for."""
    if not is_terminal(output):
        return False
    size = output.get_size()
    rows = 0
    for line in text.splitlines():
        rows += 1 + max(len(line) - 1, 0) // size.columns
        if rows >= size.rows:
            return True
    return False


def as_escapes(fragments: StyleAndTextTuples, output: Output, style: BaseStyle) -> str:
    """Fragments as the terminal `output` is told of them."""
    written = io.StringIO()
    told = Vt100_Output(
        written, output.get_size, term="xterm", default_color_depth=output.get_default_color_depth(), enable_cpr=False
    )
    print_formatted_text(told, fragments, style)
    return written.getvalue().replace("\r\n", "\n")
