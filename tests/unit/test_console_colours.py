"""Colours of the console: what is typed, tables and other answers, on black and on white."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prompt_toolkit.document import Document
from pygments.token import Error, Keyword, Name, Number, String

from ramslot.commands import hmp_commands
from ramslot.monitor.console.highlighting import ConsoleLexer
from ramslot.monitor.console.lexers import (
    Address,
    AddressLexer,
    Dim,
    Heading,
    HelpLexer,
    HMPLexer,
    JSONLexer,
    Label,
    MapLexer,
    Memory,
    MemoryTreeLexer,
    MemslotLexer,
    ObjectTreeLexer,
    PropertyListLexer,
    RAMBlockLexer,
    output_lexer,
)
from ramslot.monitor.console.style import PLACES, TOKENS
from ramslot.monitor.program import Program

from .console_sessions import RELEASE, start

if TYPE_CHECKING:
    from collections.abc import Callable

    from pygments.lexer import Lexer

__all__ = ("start",)


def tokens(lexer: Lexer, text: str) -> list[tuple[Any, str]]:
    """The tokens that are more than blanks."""
    return [(token, value) for _start, token, value in lexer.get_tokens_unprocessed(text) if value.strip()]


LEXERS = [
    AddressLexer(),
    HelpLexer(),
    HMPLexer(commands=["stop", "info mtree"]),
    JSONLexer(),
    MapLexer(),
    MemoryTreeLexer(),
    MemslotLexer(),
    ObjectTreeLexer(),
    PropertyListLexer(),
    RAMBlockLexer(),
]
TABLE_PARTS = ("0000000000001000-0000000000001fff", " (prio 0, ram): ", "alias ", " @a ", "[disabled]", " KVM", "4 KiB")
OTHER_PARTS = ("info mtree", "-f", '"execute": ', "{", "}", '"', "'", "\\", "\n", " ", ": ", "address-space: ", "(é)")
FRAGMENTS = st.sampled_from(TABLE_PARTS + OTHER_PARTS)


@pytest.mark.parametrize("lexer", LEXERS, ids=lambda lexer: lexer.name)
@given(text=st.lists(FRAGMENTS | st.text(max_size=5)).map("".join))
def test_lexers_give_back_the_text(lexer: Lexer, text: str) -> None:
    assert "".join(value for _start, _token, value in lexer.get_tokens_unprocessed(text)) == text


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("info", [(Keyword, "info")]),
        ("info mtree -f", [(Keyword, "info mtree"), (Name.Decorator, "-f")]),
        ("info mtr", None),  # may become a command: no error yet
        ("info mtr ", [(Error, "info mtr")]),
        ("sto", None),
        ("stopp", [(Error, "stopp")]),
        ("# remark", [(Dim, "# remark")]),
    ],
)
def test_known_and_unknown_commands_look_different(line: str, expected: list[tuple[Any, str]] | None) -> None:
    found = tokens(HMPLexer(commands=hmp_commands(RELEASE)), line)
    if expected is None:
        assert all(token not in (Error, Keyword) for token, _value in found)
    else:
        assert found == expected


def test_parameters_have_their_colours() -> None:
    line = 'object_add memory-backend-file,id=m0,size=1.5G,mem-path="/a b",prealloc=on,x=0x10 --qmp'
    found = tokens(HMPLexer(commands=hmp_commands(RELEASE)), line)
    assert (Name.Class, "memory-backend-file") in found
    assert (Name.Attribute, "mem-path") in found
    assert (Number, "1.5G") in found
    assert (Number, "0x10") in found
    assert (String, '"/a b"') in found
    assert (Keyword.Constant, "on") in found
    assert found[-1] == (Name.Decorator, "--qmp")
    assert Error not in dict(found)


def test_json_has_its_colours() -> None:
    found = tokens(JSONLexer(), '{"execute": "stop", "id": -1.5e3, "arguments": {"a": [true, \'x\']}} nonsense')
    assert (Keyword, '"stop"') in found
    assert (Name.Attribute, '"arguments"') in found
    assert (Number, "-1.5e3") in found
    assert (Keyword.Constant, "true") in found
    assert (String, "'x'") in found
    assert found[-1] == (Error, "nonsense")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("  {} (prio 0, ram): pc.ram", {(Memory.RAM, "ram"), (Name, "pc.ram")}),
        ("  {} (prio 1, rom): pc.bios @0000000000020000 KVM", {(Memory.ROM, "rom"), (Dim, " @0000000000020000")}),
        ("  {} (prio -1, i/o): bus master container", {(Memory.IO, "i/o"), (Name, "bus master container")}),
        ("  {} (prio 0, romd): flash", {(Memory.ROMD, "romd"), (Number, "0")}),
        ("  {0} (prio 1, ram): alias a b @pc.ram {0}", {(Name.Alias, "a b"), (Dim, " @pc.ram {0}"), (Dim, "alias ")}),
        (
            "  {} (prio 0, i/o): x owner:{{dev path=/machine/q35}}",
            {(Name, "x"), (Dim, " owner:{{dev path=/machine/q35}}")},
        ),
    ],
)
def test_memory_types_names_and_aliases_look_different(line: str, expected: set[tuple[Any, str]]) -> None:
    address = "0000000000000000-000000000000ffff"
    found = tokens(MemoryTreeLexer(), line.format(address) + "\n")
    assert {(token, value.format(address)) for token, value in expected} <= set(found)
    assert (Address, address) in found


def test_disabled_regions_are_dim() -> None:
    line = "  0000000000000000-000000000000ffff (prio 1, ram): alias pam-ram @pc.ram [disabled]"
    assert tokens(MemoryTreeLexer(), line) == [(Dim, line)]


def test_every_table_of_a_machine_is_understood(start: Callable[..., Program]) -> None:
    program = start("-M", "q35", "-m", "6G")

    def found(line: str) -> set[Any]:
        lexer = output_lexer(line)
        assert lexer is not None
        text = program.worker.wait(program.run_hmp(program.context, line))
        shown = tokens(lexer, text)
        assert Error not in dict(shown), line
        return {token for token, _value in shown}

    assert {Address, Memory.RAM, Memory.ROM, Memory.IO, Name.Alias, Dim} <= found("info mtree -o -D")
    assert {Address, Memory.RAM, Memory.ROM, Memory.IO, Heading} <= found("info mtree -f")
    assert {Address, Name, Number} <= found("info ramblock")
    assert {Address, Name, Memory.RAM, Memory.ROM} <= found("info memslots")
    assert {Address, Name, Number, Memory.RAM, Memory.ROM} <= found("info memslots -v")
    assert {Address, Keyword, Memory.RAM, Memory.ROM, Memory.IO, Dim} <= found("info map")
    assert {Address, Label, Heading, Dim} <= found("why 0xc0000")
    assert {Heading, Number, Keyword.Constant} <= found("info memdev")
    assert Name.Object in found("info qom-tree")
    assert {Name.Attribute, Name.Object} <= found("qom-list /machine")
    assert Keyword in found("help")
    assert Number in found("qom-get /objects/pc.ram size")
    assert Keyword in found("info status --qmp")
    assert output_lexer("info version") is None


def luminance(colour: str) -> float:
    parts = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_colours_can_be_read_on_black_and_on_white() -> None:
    places = [style for style in PLACES.values() if "bg:" not in style]
    colours = {colour for style in [*TOKENS.values(), *places] for colour in re.findall("#[0-9a-f]{6}", style)}
    assert len(colours) > 5
    for colour in colours:
        assert (luminance(colour) + 0.05) / 0.05 > 3.75, f"{colour} on black"
        assert 1.05 / (luminance(colour) + 0.05) > 3.75, f"{colour} on white"


def test_input_lexer_knows_lines() -> None:
    line_of = ConsoleLexer(hmp_commands(RELEASE)).lex_document(Document('{"execute":\n"stop"}'))
    assert "".join(part[1] for part in line_of(1)) == '"stop"}'
    assert line_of(2) == []
