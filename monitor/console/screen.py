"""Writing to the terminal: coloured text, above the prompt while there is one."""

from __future__ import annotations

import os

from prompt_toolkit.application import run_in_terminal
from prompt_toolkit.application.current import get_app_session
from prompt_toolkit.output.plain_text import PlainTextOutput
from prompt_toolkit.renderer import print_formatted_text

TYPE_CHECKING = False
if TYPE_CHECKING:
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

    @property
    def prompting(self) -> Application[str] | None:
        """The prompt that waits for the user now."""
        app = self._session.app
        return app if app is not None and app.is_running else None

    def show_progress(self, text: str) -> None:
        """Overwrite the line of progress, or wipe it out with an empty one; none is shown below a prompt."""
        from ..progress import fitted

        output = self._session.output
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
        """Print fragments; they bring their own line ends."""
        self.show_progress("")
        if self.prompting is None:
            self._print(fragments)
        else:
            run_in_terminal(lambda: self._print(fragments))

    def write_line(self, text: str, place: str) -> None:
        """Print a line in the style of a place of `style.PLACES`."""
        self.write([(f"class:{place}", text), ("", "\n")])

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
