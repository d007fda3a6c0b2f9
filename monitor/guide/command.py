"""`ramslot guide`: which pages of the reference there are, and one of them."""

from __future__ import annotations

import sys
from pathlib import Path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

PAGES = Path(__file__).parent
WIDEST = 100
"""Columns of text that are read with ease."""
USAGE = """\
usage: {program} guide [TOPIC]

shows a page of the reference, at a terminal in your pager. Topics:
"""


def topics() -> dict[str, str]:
    """The topics, in alphabetical order, with their titles."""
    return {page.stem: _title(page.read_text(encoding="utf-8")) for page in sorted(PAGES.glob("*.md"))}


def _title(text: str) -> str:
    return text.partition("\n")[0].removeprefix("# ")


def run_guide_command(program: str, words: list[str]) -> int:
    """Carry out `guide WORDS...` and return the exit status."""
    asks = not words or words[0].lstrip("-") in ("help", "h")
    known = topics()
    if asks:
        width = max(map(len, known))
        print(
            USAGE.format(program=program) + "".join(f"\n    {name:{width}}  {title}" for name, title in known.items())
        )
        return 0
    if len(words) > 1 or words[0] not in known:
        from difflib import get_close_matches

        near = get_close_matches(words[0], known, 1)
        hint = f"; did you mean '{near[0]}'?" if near else ""
        print(f"{program}: guide: there is no topic '{' '.join(words)}'{hint}", file=sys.stderr)
        return 2
    _show((PAGES / f"{words[0]}.md").read_text(encoding="utf-8"))
    return 0


def _show(text: str) -> None:
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        print(text, end="")
        return
    from pydoc import pager
    from shutil import get_terminal_size

    pager(wrapped(text, min(get_terminal_size().columns, WIDEST)))


def wrapped(text: str, width: int) -> str:
    """A page with its paragraphs as wide as that; examples and tables stay as they are."""
    from textwrap import fill

    pieces = text.split("```")
    for number in range(0, len(pieces), 2):  # the others are examples
        paragraphs = pieces[number].split("\n\n")
        pieces[number] = "\n\n".join(_wrapped_paragraph(each, width, fill) for each in paragraphs)
    return "```".join(pieces)


def _wrapped_paragraph(text: str, width: int, fill: Callable[..., str]) -> str:
    if not text.strip() or text.lstrip()[0] in "#|-":
        return text
    lead = text[: len(text) - len(text.lstrip("\n"))]
    tail = text[len(text.rstrip("\n")) :]
    return lead + fill(" ".join(text.split()), width, break_long_words=False, break_on_hyphens=False) + tail
