"""Pygments lexers of our own: for what is typed (HMP lines, QMP JSON) and for what the commands print.

A lexer knows how a text looks, not how it was made; which colours its tokens have is in `style`. Every lexer gives
back exactly the text it was given.
"""

from __future__ import annotations

import re

from pygments.lexer import Lexer, RegexLexer, bygroups, default
from pygments.token import Comment, Error, Generic, Keyword, Name, Number, Operator, Punctuation, String, Text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from pygments.token import _TokenType

    Tokens = Iterator[tuple[int, _TokenType, str]]

# Below tokens that every style has colours for: others use these lexers, too (`pygmentize -l qemu-mtree`).
Address = Number.Hex.Address
Dim = Comment.Dim
Heading = Generic.Heading
Label = Name.Label
Memory = Name.Builtin.Memory
MEMORY_TYPES = {"ram": Memory.RAM, "rom": Memory.ROM, "romd": Memory.ROMD, "i/o": Memory.IO}


def _groups(*tokens: _TokenType) -> Any:
    """One token for each group of an expression."""
    return bygroups(*tokens)  # type: ignore[no-untyped-call]  # pygments' stubs leave its arguments open


_NUMBER = r"-?(?:0[xX][0-9a-fA-F]+|[0-9]+(?:\.[0-9]+)?[bkmgtpeBKMGTPE]?)"
_NUMBER_END = r"(?![^\s,:-])"


PREFIXES = re.compile(r"\s*(?:-j|--json|watch(?:\s+[0-9.]+)?|assert(?:\s+not)?)\s+(?=\S)")
"""What stands before a whole line."""


class HMPLexer(Lexer):
    """A line of HMP as it is typed. The option `commands` are the names there are, `info` ones with both words; those
    of the newest QEMU and the prompt's own where none are given. `aliases` may change later.

    A command is an error once no name can begin so; what stands behind an unknown command is plain text.
    """

    name = "HMP"
    aliases = ["qemu-hmp"]

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._commands = frozenset(options.get("commands") or _known_commands())
        self._aliases: Any = options.get("aliases", ())
        self._parameters = HMPParameterLexer()

    def get_tokens_unprocessed(self, text: str) -> Tokens:
        """Yield the tokens of `text` with their positions."""
        position = 0
        for line in text.splitlines(keepends=True):
            for start, token, value in self._line(line):
                yield position + start, token, value
            position += len(line)

    def _line(self, line: str) -> Tokens:
        prefix = PREFIXES.match(line)
        if prefix is not None:
            yield 0, Keyword, prefix[0]
            for start, token, value in self._line(line[prefix.end() :]):
                yield prefix.end() + start, token, value
            return
        match = re.match(r"(\s*)(#.*|info\s+\S+|\S*)", line)
        assert match is not None
        if match[1]:
            yield 0, Text, match[1]
        words = match[2]
        if not words:
            return
        if words.startswith("#"):
            yield match.start(2), Dim, words
        else:
            yield match.start(2), self._command_token(" ".join(words.split()), line[match.end() :]), words
        for start, token, value in self._parameters.get_tokens_unprocessed(line[match.end() :]):
            yield match.end() + start, token, value

    def _command_token(self, name: str, rest: str) -> _TokenType:
        if name in self._commands or name in self._aliases:
            return Keyword
        unfinished = not rest and any(command.startswith(name) for command in self._commands)
        return Text if unfinished else Error


def _known_commands() -> list[str]:
    from ...commands import hmp_commands
    from ...vm.releases import find_release
    from ..lines.commands import COMMANDS

    return [*hmp_commands(find_release(None)), *COMMANDS]


class HMPParameterLexer(RegexLexer):
    """What stands behind an HMP command."""

    name = "HMP parameters"
    flags = re.NOFLAG
    tokens = {
        "root": [
            (r"\s+", Text),
            (r"--qmp(?=\s*$)", Name.Decorator),
            (r"-[a-zA-Z]+(?=\s|$)", Name.Decorator),
            (r'"(?:[^"\\]|\\.)*"?', String),
            (r"[{\[].*", Text),
            (r"([a-zA-Z][\w.-]*)(=)", _groups(Name.Attribute, Operator)),
            (_NUMBER + _NUMBER_END, Number),
            (r"(?:on|off|true|false)(?=[\s,]|$)", Keyword.Constant),
            (r"memory-backend-\w+", Name.Class),
            (r"[,:=]", Punctuation),
            (r"[^\s,=:\"]+", Text),
            (r".", Text),
        ]
    }


class JSONLexer(RegexLexer):
    """JSON as QEMU reads it (strings in single quotes too), typed or printed."""

    name = "QMP JSON"
    aliases = ["qemu-qmp"]
    flags = re.NOFLAG
    tokens = {
        "root": [
            (r"\s+", Text),
            (
                r'("execute"|\'execute\'|"exec-oob"|\'exec-oob\')(\s*)(:)(\s*)("[^"]*"?|\'[^\']*\'?)',
                _groups(Name.Attribute, Text, Punctuation, Text, Keyword),
            ),
            (r'("(?:[^"\\\n]|\\.)*"|\'(?:[^\'\\\n]|\\.)*\')(\s*)(:)', _groups(Name.Attribute, Text, Punctuation)),
            (r'"(?:[^"\\\n]|\\.)*"?|\'(?:[^\'\\\n]|\\.)*\'?', String),
            (r"-?[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?", Number),
            (r"(?:true|false|null)\b", Keyword.Constant),
            (r"[{}\[\],:]", Punctuation),
            (r"\w+|.", Error),
        ]
    }


def _memory_type(lexer: Lexer, match: re.Match[str], _context: Any = None) -> Tokens:
    yield match.start(), MEMORY_TYPES.get(match[0], Memory), match[0]


class MemoryTreeLexer(RegexLexer):
    """`info mtree`, with any of its options: trees of regions and flat views."""

    name = "info mtree"
    aliases = ["qemu-mtree"]
    flags = re.MULTILINE
    tokens = {
        "root": [
            (r"^(address-space: |memory-region: |FlatView #)(.*)$", _groups(Label, Heading)),
            (r'^( AS )(".*?")(, root: )(.*)$', _groups(Label, Heading, Label, Text)),
            (r"^( Root memory region: )(.*)$", _groups(Label, Text)),
            (r"^  No rendered FlatView$", Dim),
            (r"^.*\[disabled\].*$", Dim),
            (r"^(\[DETECTED OVERFLOW!\])( +)", _groups(Error, Text)),
            (r"^ +(?=[0-9a-f]{16}-)", Text),
            (r"[0-9a-f]{16}-[0-9a-f]{16}", Address, "region"),
            (r"\n", Text),
            (r".+", Text),
        ],
        "region": [
            (r"( \(prio )(-?[0-9]+)(, )", _groups(Label, Number, Label)),
            (r"[a-z/]+(?=\): )", _memory_type),
            (r"(\): )(alias )", _groups(Label, Dim), "alias"),
            (r"(\): )(.*?)(?= @[0-9a-f]{16}| KVM$| KVM | (?:owner|parent):\{|$)", _groups(Label, Name), "rest"),
            (r"\n", Text, "#pop"),
            (r".", Text),
        ],
        "alias": [
            (r"(.*?)( @.*? [0-9a-f]{16}-[0-9a-f]{16})", _groups(Name.Alias, Dim)),
            default("rest"),
        ],
        "rest": [
            (r" @[0-9a-f]{16}", Dim),
            (r" KVM\b", Keyword),
            (r" (?:owner|parent):\{.*\}", Dim),
            (r"\n", Text, "root"),
            (r".", Text),
        ],
    }


class RAMBlockLexer(RegexLexer):
    """`info ramblock`."""

    name = "info ramblock"
    aliases = ["qemu-ramblock"]
    flags = re.MULTILINE
    tokens = {
        "root": [
            (r"^ *Block Name .*$", Label),
            (
                r"^(.*?)( +[0-9.]+ [KMGT]?i?B)( +)((?:0x)?[0-9a-f]+)( +)((?:0x)?[0-9a-f]+)( +)((?:0x)?[0-9a-f]+)(.*)$",
                _groups(Name, Number, Text, Address, Text, Number, Text, Number, Text),
            ),
            (r"\n", Text),
            (r".+", Text),
        ]
    }


class MemslotLexer(RegexLexer):
    """`info memslots`."""

    name = "info memslots"
    aliases = ["ramslot-memslots"]
    flags = re.MULTILINE
    tokens = {
        "root": [
            (r"^(accelerator: )(\w+)(, )([0-9]+)(.*)$", _groups(Label, Heading, Text, Number, Text)),
            (r"^ *Slot .*$", Label),
            (
                r"^( *[0-9]+ +[0-9]+ )([0-9a-f]+-[0-9a-f]+)( +[0-9.]+ [KMGTPE]?i?B )",
                _groups(Text, Address, Number),
            ),
            (r"rw[-d](?= )", Memory.RAM),
            (r"r-[-d](?= )", Memory.ROM),
            (r"( +)(.+?)( +)([0-9a-f]+)(?=$| +(?:0x)?[0-9a-f]+ +[0-9])", _groups(Text, Name, Text, Dim)),
            (r"( +)((?:0x)?[0-9a-f]+)( +[0-9.]+ [KMG]?i?B)(.*)$", _groups(Text, Address, Number, Text)),
            (r"\n", Text),
            (r".", Text),
        ]
    }


class AddressLexer(RegexLexer):
    """`why`: what an address is, and the way to it."""

    name = "why"
    aliases = ["ramslot-why"]
    flags = re.MULTILINE
    tokens = {
        "root": [
            (r"^(0x[0-9a-f]+)( is )(.*)$", _groups(Address, Text, Heading)),
            (r"^(shadowed: +)(.*)(: )(.*)$", _groups(Label, Dim, Label, Text)),
            (r"^(?:region|flat range|RAMBlock|memslot|host|backend): +", Label),
            (r"[0-9a-f]{16}-[0-9a-f]{16}|0x[0-9a-f]+", Address),
            (r"\n", Text),
            (r"[^\n0-9a-f]+|.", Text),
        ]
    }


class MapLexer(RegexLexer):
    """`info map`: bars in the colours of what they stand for."""

    name = "info map"
    aliases = ["ramslot-map"]
    flags = re.MULTILINE
    tokens = {
        "root": [
            (r"^[0-9a-f]{16}", Address),
            (r"█+", Memory.RAM),
            (r"▓+", Memory.ROM),
            (r"▒+", Memory.ROMD),
            (r"░+", Memory.IO),
            (r"┊.*", Dim),
            (r"(?:\d+ )?slots? [\d, -]+|\d+ slots", Keyword),
            (r"backend .*$", Name.Object),
            (r"\n", Text),
            (r"[^\n█▓▒░┊]", Text),
        ]
    }


class PropertyListLexer(RegexLexer):
    """Lines of `name: value`: `info memdev`, `info status` and the like."""

    name = "properties"
    aliases = ["qemu-properties"]
    flags = re.MULTILINE
    tokens = {
        "root": [
            (r"^(memory backend: )(.*)$", _groups(Label, Heading)),
            (r"^( *[A-Za-z][\w -]*: *)", _groups(Label), "value"),
            (r"\n", Text),
            (r".+", Text),
        ],
        "value": [
            (r"(?:true|false|enabled|disabled)$", Keyword.Constant),
            (_NUMBER + r"$", Number),
            (r"running$", Memory.RAM),
            (r"paused.*$", Memory.ROM),
            (r"\n", Text, "#pop"),
            (r".+", Text),
        ],
    }


class ObjectTreeLexer(RegexLexer):
    """`info qom-tree` and `qom-list`: lines of `name (type)`."""

    name = "objects"
    aliases = ["qemu-qom"]
    flags = re.MULTILINE
    tokens = {
        "root": [
            (r"^( *)(.*?)( )(\((?:child|link)<.*>\))$", _groups(Text, Name.Object, Text, Dim)),
            (r"^( *)(/.*?)( )(\(.*\))$", _groups(Text, Name.Object, Text, Dim)),
            (r"^(.*?)( )(\(.*\))$", _groups(Name.Attribute, Text, Dim)),
            (r"\n", Text),
            (r".+", Text),
        ]
    }


class HelpLexer(RegexLexer):
    """`help`: lines of `name|alias parameters -- meaning`."""

    name = "help"
    flags = re.MULTILINE
    tokens = {
        "root": [
            (
                r"^(info )?([^\s|\[]+)((?:\|\S+)?)( )(.*?)(-- )(.*)$",
                _groups(Keyword, Keyword, Dim, Text, Name.Attribute, Dim, Text),
            ),
            (r"\n", Text),
            (r".+", Text),
        ]
    }


_LEXERS: dict[str, type[Lexer]] = {
    "?": HelpLexer,
    "help": HelpLexer,
    "info": HelpLexer,
    "info kvm": PropertyListLexer,
    "info map": MapLexer,
    "info memdev": PropertyListLexer,
    "info memory_size_summary": PropertyListLexer,
    "info memslots": MemslotLexer,
    "info mtree": MemoryTreeLexer,
    "info qom-tree": ObjectTreeLexer,
    "info ramblock": RAMBlockLexer,
    "info status": PropertyListLexer,
    "qom-get": JSONLexer,
    "qom-list": ObjectTreeLexer,
    "why": AddressLexer,
}


def output_lexer(line: str) -> Lexer | None:
    """The lexer of what the HMP line `line` prints; None if that is plain text."""
    words = line.split()
    if not words:
        return None
    if words[0] in ("-j", "--json"):
        return JSONLexer()
    if words[0] == "diff":
        from pygments.lexers.diff import DiffLexer

        return DiffLexer()
    if words[-1] == "--qmp":
        return JSONLexer()
    name = " ".join(words[:2]) if words[0] == "info" else words[0]
    lexer = _LEXERS.get(name)
    return None if lexer is None else lexer()
