"""How an HMP command is declared, and how the rest of its line is parsed.

An HMP command stands for a QMP command: `request` makes that command's name and arguments, `render` the text from its
result. Syntax, help and completion all come from `parameters`.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeAlias

    from ..vm.machine import VirtualMachine
    from ..vm.steps import Task
    from . import Context

    Words: TypeAlias = dict[str, Any]
    Request: TypeAlias = Callable[[VirtualMachine, Words], tuple[str, dict[str, Any]]]
    Parameter: TypeAlias = "Flag | Word | Format | Number"
    Render: TypeAlias = Callable[[Any, Words], str]
    Stamp: TypeAlias = Callable[[VirtualMachine, Words], object]
    Wait: TypeAlias = Callable[[Context, Words, bool], Task[str]]


class HMPError(Exception):
    """A line that cannot be understood; `str(error)` is the whole text to print."""


class Flag:
    """An option such as `-f`."""

    __slots__ = ("letter", "name")

    def __init__(self, letter: str, name: str) -> None:
        self.letter = letter
        self.name = name


class Word:
    """A word, in double quotes if it has blanks; `kind` says what completes it."""

    __slots__ = ("kind", "name", "option", "optional", "rest", "what")

    def __init__(
        self,
        name: str,
        kind: str = "",
        *,
        optional: bool = False,
        rest: bool = False,
        option: str = "",
        what: str = "string",
    ) -> None:
        self.name = name
        self.kind = kind
        self.optional = optional
        self.rest = rest
        """Whether it takes all that is left of the line."""
        self.option = option
        """What has to stand before it, such as `--output`; the word may then be left out with it."""
        self.what = what
        """What is said to be expected where it is not there."""


class Format:
    """How something is to be shown: letters behind a `/`, which may be left out; they may stand right behind the
    command's name."""

    __slots__ = ("kind", "name", "optional")

    def __init__(self, name: str) -> None:
        self.name = name
        self.kind = ""
        self.optional = True


class Number:
    """A number, which may be given as an expression."""

    __slots__ = ("kind", "name", "optional", "positive", "short")

    def __init__(self, name: str, *, optional: bool = False, positive: bool = False, short: bool = False) -> None:
        self.name = name
        self.positive = positive
        self.short = short
        """Whether it has 32 bits, and no sign."""
        self.kind = ""
        self.optional = optional


class HMPCommand:
    """One HMP command, `info` commands being named with both words."""

    __slots__ = (
        "aliases",
        "example",
        "help",
        "name",
        "parameters",
        "preconfig",
        "render",
        "request",
        "since",
        "stamp",
        "syntax",
        "until",
        "wait",
    )

    def __init__(
        self,
        name: str,
        request: Request,
        render: Render | None = None,
        *,
        help: str,
        syntax: str = "",
        parameters: tuple[Parameter, ...] = (),
        aliases: tuple[str, ...] = (),
        preconfig: bool = False,
        stamp: Stamp | None = None,
        wait: Wait | None = None,
        since: str | None = None,
        until: str | None = None,
        example: str = "",
    ) -> None:
        self.name = name
        self.request = request
        self.render = render if render is not None else _nothing
        self.help = help
        self.syntax = syntax
        self.parameters = parameters
        self.aliases = aliases
        self.preconfig = preconfig
        """Whether it can be used before the board is made; its QMP command must be allowed then, too."""
        self.stamp = stamp
        """A value that is the same as long as the text is; None for one that may always be another."""
        self.wait = wait
        """A task that sees what the command began through and returns more text, raising `VMError` if it came to
        nothing. Its last argument says whether whoever asked can wait; the others get the text at once."""
        self.since = since
        self.until = until
        """The first and the last version of QEMU with this command; where one has another, that is a row of its own."""
        self.example = example or name
        """A line that shows how it is used; its name where that is all."""

    @property
    def help_line(self) -> str:
        """The line of this command in `help`."""
        return f"{'|'.join((self.name, *self.aliases))} {self.syntax} -- {self.help}\n"

    @property
    def prints(self) -> bool:
        """Whether it has anything to tell where it succeeds."""
        return self.render is not _nothing

    def parse(self, rest: str, typed_name: str) -> Words:
        """The words of a line behind the command's name; raises `HMPError` with QEMU's text.

        As with QEMU, flags are understood in the order in which they are declared.
        """
        words: Words = {}
        label = "|".join((self.name.removeprefix("info "), *self.aliases))
        hint = f'\nTry "help {typed_name}" for more information\n'
        rest = rest.lstrip()
        for position, parameter in enumerate(self.parameters):
            if isinstance(parameter, Flag):
                letter = rest[1:2] if rest.startswith("-") else None
                if letter == parameter.letter:
                    words[parameter.name] = True
                    rest = rest[2:].lstrip()
                elif letter is not None and letter not in _letters(self.parameters[position:]):
                    raise HMPError(f"{label}: unsupported option -{letter}{hint if letter else hint[1:]}")
            elif isinstance(parameter, Format):
                if rest.startswith("/"):
                    words[parameter.name], _, rest = rest[1:].partition(" ")
                    rest = rest.lstrip()
            elif isinstance(parameter, Number):
                if rest or not parameter.optional:
                    words[parameter.name], rest = self._take_number(rest, typed_name, parameter)
            elif parameter.option:
                rest = self._take_option(parameter, rest, words, f"{label}: string expected{hint}")
            elif not rest:
                if not parameter.optional:
                    raise HMPError(f"{label}: {parameter.what} expected{hint}")
            elif parameter.rest:
                words[parameter.name], rest = rest, ""
            else:
                words[parameter.name], rest = take_word(rest)
        if rest.strip():
            raise HMPError(f"{label}: extraneous characters at the end of line{hint}")
        return words

    def _take_option(self, parameter: Word, rest: str, words: Words, missing: str) -> str:
        """Take a word that follows its option, if that stands here; returns what is left of the line."""
        first, after = take_word(rest) if rest else ("", "")
        if first != parameter.option:
            return rest
        if not after:
            raise HMPError(missing)
        words[parameter.name], after = take_word(after)
        return after

    def _take_number(self, rest: str, typed_name: str, parameter: Number) -> tuple[int, str]:
        from .expression import take_expression

        try:
            number, rest = take_expression(rest)
            if parameter.positive and number < 0:
                raise HMPError("enter a positive value\n")
            if parameter.short and number >> 32:
                raise HMPError(f"'{self.name}' has failed: integer is for 32-bit values\n")
            return number, rest
        except HMPError as error:
            raise HMPError(f'{error}Try "help {typed_name}" for more information\n') from None


def _letters(parameters: tuple[Parameter, ...]) -> list[str]:
    return [parameter.letter for parameter in parameters if isinstance(parameter, Flag)]


def take_word(text: str) -> tuple[str, str]:
    """The first word of `text`, which may be in double quotes with backslash escapes, and what follows it."""
    if not text.startswith('"'):
        word, *rest = text.split(maxsplit=1)
        return word, rest[0] if rest else ""
    word, position = "", 1
    while position < len(text) and text[position] != '"':
        if text[position] == "\\" and position + 1 < len(text):
            position += 1
            word += {"n": "\n", "r": "\r"}.get(text[position], text[position])
        else:
            word += text[position]
        position += 1
    return word, text[position + 1 :].lstrip()


def fixed(name: str) -> Request:
    """The request of an HMP command that always means the same QMP command, without arguments."""
    return lambda _vm, _words: (name, {})


def _nothing(_result: Any, _words: Words) -> str:
    return ""
