"""What the console's parts look like: one table from tokens and places on the screen to colours.

The colours have about the same contrast on black and on white, so that no one has to say which terminal it is.
"""

from __future__ import annotations

from prompt_toolkit.styles import Style
from prompt_toolkit.styles.pygments import pygments_token_to_classname
from pygments.token import Error, Generic, Keyword, Name, Number, Operator, Punctuation, String

from .lexers import Address, Dim, Heading, Label, Memory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pygments.token import _TokenType

BLUE = "#0087af"
BROWN = "#af5f00"
GREEN = "#008700"
GREY = "#767676"
OLIVE = "#5f8700"
PURPLE = "#875fd7"
RED = "#d70000"
ROSE = "#af5faf"
TEAL = "#00875f"

TOKENS: dict[_TokenType, str] = {
    Error: RED,
    Generic.Deleted: RED,
    Generic.Inserted: GREEN,
    Generic.Subheading: BLUE,
    Keyword: f"{BLUE} bold",
    Keyword.Constant: f"nobold {PURPLE}",
    Name.Alias: GREY,
    Name.Attribute: TEAL,
    Name.Class: ROSE,
    Name.Decorator: BROWN,
    Number: PURPLE,
    Operator: GREY,
    Punctuation: GREY,
    String: OLIVE,
    Address: BLUE,
    Dim: GREY,
    Heading: "bold",
    Label: GREY,
    Memory.RAM: GREEN,
    Memory.ROM: BROWN,
    Memory.ROMD: ROSE,
    Memory.IO: PURPLE,
}

PLACES = {
    "prompt": f"{GREEN} bold",
    "continuation": GREY,
    "auto-suggestion": GREY,
    "dim": GREY,
    "error": RED,
    "hint": BROWN,
    "changed": "reverse",
    "title": "bold",
    # Written the wrong way round: without colours, "reverse" alone remains.
    "bottom-toolbar": "reverse fg:#303030 bg:#d0d0d0",
    "bottom-toolbar.running": "bg:#87d787",
    "bottom-toolbar.paused": "bg:#ffd75f",
    "completion-menu": "fg:#d0d0d0 bg:#303030",
    "completion-menu.completion.current": "fg:#ffffff bg:#005f87 noreverse",
    "completion-menu.meta.completion": "fg:#b2b2b2 bg:#444444",
    "completion-menu.meta.completion.current": "fg:#ffffff bg:#0087af",
    "scrollbar.background": "bg:#444444",
    "scrollbar.button": "bg:#949494",
}


def token_class(token: _TokenType) -> str:
    """The style of a token, as the fragments of prompt_toolkit name it."""
    return f"class:{pygments_token_to_classname(token)}"


def make_style() -> Style:
    """The style of all that the console shows."""
    tokens = [(pygments_token_to_classname(token), style) for token, style in TOKENS.items()]
    return Style([*tokens, *PLACES.items()])
