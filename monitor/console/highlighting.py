"""From text to coloured fragments: the input line while it is typed, and answers before they are printed."""

from __future__ import annotations

from prompt_toolkit.formatted_text.utils import split_lines
from prompt_toolkit.lexers import Lexer as InputLexer

from ..lines.commands import COMMANDS
from .lexers import HMPLexer, JSONLexer
from .style import token_class
from .typed import is_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from prompt_toolkit.document import Document
    from prompt_toolkit.formatted_text import StyleAndTextTuples
    from pygments.lexer import Lexer

    from ..lines.session import LineSession


def highlight(text: str, lexer: Lexer | None) -> StyleAndTextTuples:
    """`text` in the lexer's colours, or as it is."""
    if lexer is None:
        return [("", text)]
    return [(token_class(token), value) for _start, token, value in lexer.get_tokens_unprocessed(text)]


class ConsoleLexer(InputLexer):
    """Colours what is typed: QMP from its first brace on, HMP otherwise."""

    def __init__(self, commands: Iterable[str], session: LineSession | None = None) -> None:
        self._hmp = HMPLexer(commands=[*commands, *COMMANDS], aliases=session.aliases if session is not None else ())
        self._json = JSONLexer()

    def lex_document(self, document: Document) -> Callable[[int], StyleAndTextTuples]:
        """The function that returns the fragments of a line by its number."""
        lexer: Lexer = self._json if is_json(document.text) else self._hmp
        lines = list(split_lines(highlight(document.text, lexer)))
        return lambda number: lines[number] if number < len(lines) else []
