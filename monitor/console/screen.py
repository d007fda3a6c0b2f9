"""Writing to the terminal: coloured text, above the prompt while there is one."""

from __future__ import annotations

import os
from contextlib import contextmanager

from prompt_toolkit.application import run_in_terminal
from prompt_toolkit.application.current import get_app_session
from prompt_toolkit.formatted_text import fragment_list_to_text
from prompt_toolkit.formatted_text.utils import split_lines
from prompt_toolkit.output.plain_text import PlainTextOutput
from prompt_toolkit.renderer import print_formatted_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from prompt_toolkit.application import Application
    from prompt_toolkit.formatted_text import StyleAndTextTuples
    from prompt_toolkit.styles import BaseStyle


class Screen:
    """The terminal as a place to print on. Colours follow the terminal and `NO_COLOR`."""

    def __init__(self, style: BaseStyle) -> None:
        self._session = get_app_session()
        self._style = style
        self.progress = ""
        """The line of progress that stands where the next text goes."""
        self.lent = False
        """Whether the terminal is another program's for now, or shows a screen of its own."""
        self.is_whole = False
        """Whether it is lent to a screen of our own."""
        self._held: list[StyleAndTextTuples] = []
        """What was to be printed meanwhile."""

    @property
    def prompting(self) -> Application[str] | None:
        """The prompt that waits for the user now."""
        app = self._session.app
        return app if app is not None and app.is_running else None

    def show_progress(self, text: str) -> None:
        """Overwrite the line of progress, or wipe it out with an empty one; none is shown below a prompt."""
        from ..progress import fitted

        output = self._session.output
        if self.lent:
            return
        if self.prompting is not None or isinstance(output, PlainTextOutput) or not (text or self.progress):
            return
        self.progress = text
        try:
            output.write_raw("\r" + (fitted(text, output.fileno())))
            output.erase_end_of_line()
            output.flush()
        except OSError:
            self.give_up()

    def write(self, fragments: StyleAndTextTuples) -> None:
        """Print fragments; they bring their own line ends. While the terminal is lent they wait."""
        if self.lent:
            self._held.append(fragments)
            return
        self.show_progress("")
        if self.prompting is None:
            self._print(fragments)
        else:
            run_in_terminal(lambda: self._print(fragments))

    def write_line(self, text: str, place: str) -> None:
        """Print a line in the style of a place of `style.PLACES`."""
        self.write([(f"class:{place}", text), ("", "\n")])

    def lend(self, lent: bool) -> None:
        """Leave the terminal to another program, or have it again and print what waited."""
        self.show_progress("")
        self._session.output.flush()
        self.lent = lent
        if not lent:
            held, self._held = self._held, []
            for fragments in held:
                self.write(fragments)

    @contextmanager
    def taken_over(self) -> Iterator[None]:
        """Show a screen of its own, by `show_whole`, and afterwards what was there before."""
        self.lend(True)
        self.is_whole = True
        try:
            self._session.output.enter_alternate_screen()
            yield
        finally:
            self._session.output.quit_alternate_screen()
            self.is_whole = False
            self.lend(False)

    def show_whole(self, fragments: StyleAndTextTuples) -> None:
        """Show as much of `fragments` as the screen has room for, in place of what it shows."""
        output = self._session.output
        size = output.get_size()
        output.erase_screen()
        output.cursor_goto(0, 0)
        self._print(cropped(fragments, size.rows - 1, size.columns))

    def fitted(self, line: str, text: str) -> str:
        """What `line` printed as the terminal has room for it."""
        from .pager import is_terminal
        from .tables import narrowed

        output = self._session.output
        return narrowed(line, text, output.get_size().columns) if is_terminal(output) else text

    def page(self, fragments: StyleAndTextTuples) -> tuple[str, str] | None:
        """What a pager is to show, and its command; None where the answer is short, or there is no pager."""
        from .pager import as_escapes, pager_command, shows_colours, wants_pager

        text = fragment_list_to_text(fragments)
        command = pager_command(os.environ)
        if command is None or not wants_pager(self._session.output, text):
            return None
        return (as_escapes(fragments, self._session.output, self._style) if shows_colours(command) else text), command

    def give_up(self) -> None:
        """The terminal is gone: let what is still to be written vanish, at the interpreter's end too."""
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self._session.output.fileno())
        os.close(nowhere)

    def _print(self, fragments: StyleAndTextTuples) -> None:
        try:
            print_formatted_text(self._session.output, fragments, self._style)
        except OSError:
            self.give_up()


def cropped(fragments: StyleAndTextTuples, rows: int, columns: int) -> StyleAndTextTuples:
    """The first lines of `fragments`, each up to the last column; a last line tells of how many there are more."""
    lines = list(split_lines(fragments))
    hidden = len(lines) - rows
    if hidden > 0:
        lines = [*lines[: rows - 1], [("class:dim", f"... {hidden + 1} more lines")]]
    shown: StyleAndTextTuples = []
    for number, line in enumerate(lines):
        room = columns
        shown += [("", "\n")] if number else []
        for style, text, *_ in line:
            shown.append((style, text[:room]))
            room = max(0, room - len(text))
    return shown
