"""The interactive console: what is typed, completed, coloured, run and shown. Terminals proper are in tests/clients."""

from __future__ import annotations

import asyncio
import io
import os
import re
import socket
import stat
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prompt_toolkit.application import create_app_session
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.data_structures import Size
from prompt_toolkit.document import Document
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import ColorDepth, DummyOutput
from prompt_toolkit.output.plain_text import PlainTextOutput
from prompt_toolkit.output.vt100 import Vt100_Output
from pygments.token import Error, Keyword, Name, Number, String

from ramslot.commands import hmp_commands
from ramslot.monitor.command_line.options import parse
from ramslot.monitor.console import run_console, welcome
from ramslot.monitor.console.completer import ConsoleCompleter
from ramslot.monitor.console.highlighting import ConsoleLexer
from ramslot.monitor.console.history import history_path, open_history
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
from ramslot.monitor.console.qmp_completion import qmp_candidates
from ramslot.monitor.console.session import ConsoleSession
from ramslot.monitor.console.status_bar import status_bar
from ramslot.monitor.console.style import PLACES, TOKENS
from ramslot.monitor.console.subject import OwnSubject
from ramslot.monitor.console.suggestions import did_you_mean
from ramslot.monitor.console.typed import commands_in, is_unfinished
from ramslot.monitor.own_machine import OwnMachine
from ramslot.monitor.program import Program
from ramslot.monitor.scripts.recording import open_recorder
from ramslot.schema import contract
from ramslot.vm.errors import VMError
from ramslot.vm.releases import find_release

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from prompt_toolkit.output import Output
    from pygments.lexer import Lexer

RELEASE = find_release(None)
CTRL_C, CTRL_D, TAB, UP, ESCAPE = "\x03", "\x04", "\t", "\x1b[A", "\x1b"


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Program]]:
    """Make programs that are closed at the end."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("INPUTRC", str(tmp_path / "inputrc"))
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    programs: list[Program] = []

    def start_program(*arguments: str) -> Program:
        program = Program(parse(["ramslot", *(arguments or ("-M", "none", "-m", "16M"))]))
        programs.append(program)
        program.open_monitors()
        program.start_machine()
        return program

    yield start_program
    for program in reversed(programs):
        program.close()


def lines_of(shown: io.StringIO) -> str:
    return shown.getvalue().replace("\r", "")


def console_of(program: Program) -> ConsoleSession:
    settings = program.settings
    recorder = open_recorder(program.warn, settings.record, settings.transcript)
    return ConsoleSession(OwnMachine(program), OwnSubject(program), recorder=recorder, vi=settings.vi)


def type_into(program: Program, keys: str, output: Output | None = None) -> str:
    """Everything that a console shows to one who types `keys` and then leaves, should the program go on."""
    shown = io.StringIO()
    with create_pipe_input() as pipe, create_app_session(pipe, output or PlainTextOutput(shown)):
        pipe.send_text(keys + CTRL_C + CTRL_D)
        asyncio.run(console_of(program).run())
    return lines_of(shown)


def tokens(lexer: Lexer, text: str) -> list[tuple[Any, str]]:
    """The tokens that are more than blanks."""
    return [(token, value) for _start, token, value in lexer.get_tokens_unprocessed(text) if value.strip()]


# What is typed


@pytest.mark.parametrize(
    ("text", "commands"),
    [
        ("", []),
        ("  \n# remark\n", []),
        (" info mtree -f ", ["info mtree -f"]),
        ("stop\ncont", ["stop", "cont"]),
        ('{"execute": "stop"}', ['{"execute": "stop"}\n']),
        ('{"execute":\n "stop"}\ncont', ['{"execute":\n "stop"}\n', "cont"]),
        ('stop\n{"execute":\n', ["stop", '{"execute":\n\n']),
        ("qom-set /objects/m size {}", ["qom-set /objects/m size {}"]),
    ],
)
def test_text_is_cut_into_commands(text: str, commands: list[str]) -> None:
    assert commands_in(text) == commands


@pytest.mark.parametrize(
    ("text", "unfinished"),
    [
        ("", False),
        ("info mtree", False),
        ("info {", False),
        ("{", True),
        ('{"execute": "stop"', True),
        ('{"execute": "stop"}', False),
        ('{"arguments": {"a": [1,', True),
        ('{"execute": "sto', False),  # a string ends with its line: QEMU reports it
        ("{]", False),
        ('stop\n{"execute":', True),
    ],
)
def test_only_unfinished_json_goes_on_in_the_next_line(text: str, unfinished: bool) -> None:
    assert is_unfinished(text) is unfinished


# Colours

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


# Completion


def completions(program: Program, text: str) -> dict[str, str]:
    """Complete texts after completion, with their meanings."""
    found = ConsoleCompleter(program).get_completions(Document(text), CompleteEvent())
    return {text[: len(text) + word.start_position] + word.text: word.display_meta_text for word in found}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "stop"),
        ("inf", "info "),
        ("info mem", "info memslots "),
        ("info mtree -", "info mtree -f"),
        ("help in", "help info"),
        ("object_add memory-backend-m", "object_add memory-backend-memfd"),
        ("object_add memory-backend-ram,si", "object_add memory-backend-ram,size="),
        ("object_add memory-backend-ram,policy=", "object_add memory-backend-ram,policy=bind"),
        ("object_add memory-backend-ram,id=a,share=o", "object_add memory-backend-ram,id=a,share=on"),
        ("object_del r", "object_del ram"),
        ("qom-get /obj", "qom-get /objects/"),
        ("qom-get /objects/ram si", "qom-get /objects/ram size"),
        ("info status --", "info status --qmp"),
        ("device_add pc-", "device_add pc-dimm"),
        ("device_add pc-dimm,mem", "device_add pc-dimm,memdev="),
        ("device_add pc-dimm,", "device_add pc-dimm,id="),
        ("device_add virtio-mem-pci,req", "device_add virtio-mem-pci,requested-size="),
        ("device_add virtio-mem-pci,prealloc=o", "device_add virtio-mem-pci,prealloc=on"),
        ("guest_policy de", "guest_policy delay"),
        ("what_if dev", "what_if device_add"),
        ("what_if device_add nvdimm,lab", "what_if device_add nvdimm,label-size="),
        ("guest_policy ac", "guest_policy accept"),
        ('{"', '{"execute'),
        ('{"execute": "query-mem', '{"execute": "query-memdev'),
        ("{'execute': 'sto", "{'execute': 'stop"),
        ('{"execute": "qom-get", "arguments": {"pa', '{"execute": "qom-get", "arguments": {"path'),
        (
            '{"execute": "object-add", "arguments": {"qom-type": "memory-backend-fi',
            '{"execute": "object-add", "arguments": {"qom-type": "memory-backend-file',
        ),
        (
            '{"execute": "object-add", "arguments": {"qom-type": "memory-backend-file", "mem',
            '{"execute": "object-add", "arguments": {"qom-type": "memory-backend-file", "mem-path',
        ),
    ],
)
def test_completion(start: Callable[..., Program], text: str, expected: str) -> None:
    assert expected in completions(start(), text)


def test_devices_are_completed(start: Callable[..., Program]) -> None:
    backends = ["-object", "memory-backend-ram,id=used,size=2M", "-object", "memory-backend-ram,id=free,size=2M"]
    memory = ["-M", "pc", "-m", "64M,slots=2,maxmem=1G"]
    program = start(*memory, *backends, "-device", "pc-dimm,memdev=used,id=plugged")
    assert set(completions(program, "device_add pc-dimm,memdev=")) == {"device_add pc-dimm,memdev=free"}
    assert set(completions(program, "device_del ")) == {"device_del plugged"}


@pytest.mark.parametrize(
    "text", ["nonsense ", "info nonsense ", "stop ", "object_add x,", '{"execute": "x", "arguments": {"', "{}", "{[1"]
)
def test_nothing_can_be_completed(start: Callable[..., Program], text: str) -> None:
    assert completions(start(), text) == {}


def test_completion_shows_help_in_one_line(start: Callable[..., Program]) -> None:
    meanings = completions(start(), "")
    assert meanings["stop"] == hmp_commands(RELEASE)["stop"].help
    assert all("\n" not in meaning and len(meaning) <= 60 for meaning in meanings.values())


def test_what_must_be_given_is_offered_first(start: Callable[..., Program]) -> None:
    assert list(completions(start(), "object_add memory-backend-ram,"))[:2] == [
        "object_add memory-backend-ram,id=",
        "object_add memory-backend-ram,size=",
    ]


def test_completion_learns_from_the_machine(start: Callable[..., Program]) -> None:
    program = start()
    assert "object_del fresh" not in completions(program, "object_del ")
    program.worker.wait(program.run_hmp(program.context, "object_add memory-backend-ram,id=fresh,size=1M"))
    assert completions(program, "object_del ")["object_del fresh"] == "memory-backend-ram"
    program.worker.wait(program.run_hmp(program.context, "object_del fresh"))
    assert "object_del fresh" not in completions(program, "object_del ")


def test_given_arguments_are_not_offered_again() -> None:
    _start, found = qmp_candidates(contract(RELEASE.number), '{"execute": "qom-get", "arguments": {"path": "/", "')
    assert [word for word, _meaning in found] == ["property"]


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("mtree", "did you mean 'info mtree'?"),
        ("object-add x", "did you mean 'object_add'?"),
        ("info ramblok", "did you mean 'info ramblock'?"),
        ("query-uuid", 'a QMP command: {"execute": "query-uuid"}'),
        ("exit", "'quit' ends the program"),
        ("xyzzy", None),
        ("stop now", None),
    ],
)
def test_mistyped_commands_are_recognised(line: str, hint: str | None) -> None:
    assert did_you_mean(RELEASE, line) == hint


# The status bar and the greeting


def bar(program: Program) -> str:
    return "".join(part[1] for part in status_bar(program))


def test_status_bar_tells_of_the_machine(start: Callable[..., Program], tmp_path: Path) -> None:
    path = f"{tmp_path}/qmp"
    program = start("-M", "q35", "-m", "6G", "-S", "-name", "one", "-qmp", f"unix:{path},server=on,wait=off")
    assert bar(program) == " one │ pc-q35-11.1 │ prelaunch │ 6 GiB RAM │ sim: 6/32764 memslots │ 0 clients "
    program.worker.wait(program.run_hmp(program.context, "cont"))
    assert "│ running │" in bar(program)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)
        program.loop.run_once(1)
        assert bar(program).endswith("│ 1 client ")


def test_status_bar_without_slots(start: Callable[..., Program]) -> None:
    assert "tcg, no memslots" in bar(start("-M", "none", "-accel", "tcg"))


def test_welcome_names_machine_and_help(start: Callable[..., Program]) -> None:
    line = welcome(start("-M", "pc"))
    assert "pc-i440fx-11.1, 128 MiB RAM" in line
    assert "QEMU 11.1" in line
    assert "help" in line


# History


def test_history_is_kept_for_its_owner_only(start: Callable[..., Program], tmp_path: Path) -> None:
    type_into(start(), "info status\r")
    path = history_path()
    assert path == str(tmp_path / "state/ramslot/history")
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert list(open_history(path).load_history_strings()) == ["info status"]
    assert type_into(start(), UP + "\r").count("VM status: running") == 1


@pytest.mark.parametrize("base", ["", "relative"])
def test_history_follows_xdg(monkeypatch: pytest.MonkeyPatch, base: str) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", base)
    monkeypatch.setenv("HOME", "/home/x")
    assert history_path() == "/home/x/.local/state/ramslot/history"


def test_history_that_cannot_be_written_is_no_failure(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    history = open_history(str(tmp_path / "file/ramslot/history"))
    history.append_string("stop")
    assert history.get_strings() == ["stop"]


def test_history_goes_on_when_writing_fails_later(tmp_path: Path) -> None:
    history = open_history(str(tmp_path / "ramslot/history"))
    (tmp_path / "ramslot/history").unlink()
    (tmp_path / "ramslot").rmdir()
    history.append_string("stop")
    assert history.get_strings() == ["stop"]


# Sessions


def test_hmp_is_run_and_answered(start: Callable[..., Program]) -> None:
    shown = type_into(start(), "stop\rinfo status\r")
    assert "event: STOP\n" in shown
    assert "VM status: paused\n" in shown


def test_qmp_is_run_without_negotiation(start: Callable[..., Program]) -> None:
    shown = type_into(start(), '{"execute": "query-name", "id": 7}{"execute": "query-kvm"}\r')
    assert '{\n    "return": {},\n    "id": 7\n}\n' in shown
    assert '"present": true' in shown


def test_unfinished_json_continues(start: Callable[..., Program]) -> None:
    shown = type_into(start(), '{"execute":\r"stop"}\rinfo status\r')
    assert "VM status: paused" in shown


@pytest.mark.parametrize(
    ("typed", "text"),
    [
        ('{"execute": "nonsense"}\r', "The command nonsense has not been found"),
        ('{"execute": "object-del", "arguments": {"id": "x"}}\r', "object 'x' not found"),
        ('{"execute": "sto\r', "JSON parse error, stray"),
        ("{]\r", "1:2: JSON parse error, expecting key"),
        ('{"execute":' + ESCAPE + "\r", "JSON parse error, premature EOI"),
        ("{}\r", "QMP input lacks member 'execute'"),
        ("nonsense\r", "unknown command: 'nonsense'\n"),
        ("object_del x\r", "Error: object 'x' not found\n"),
        ("info mtree -x\r", 'mtree: unsupported option -x\nTry "help info mtree" for more information\n'),
    ],
)
def test_errors_are_qemu_s_and_the_session_goes_on(start: Callable[..., Program], typed: str, text: str) -> None:
    shown = type_into(start(), typed + "info status\r")
    assert text in shown
    assert "VM status: running" in shown


def test_a_hint_has_its_own_line(start: Callable[..., Program], monkeypatch: pytest.MonkeyPatch) -> None:
    program = start()
    assert program.vm is not None

    def refuse(_name: str) -> None:
        raise VMError("no such thing", hint="make one")

    monkeypatch.setattr(program.vm, "delete_object", refuse)  # stands for any refusal with a remedy
    assert "Error: no such thing\nhint: make one\n" in type_into(program, "object_del x\r")
    shown = type_into(start(), "mtree\r")
    assert "unknown command: 'mtree'\nhint: did you mean 'info mtree'?\n" in shown


def test_a_defect_of_ours_does_not_end_the_session(
    start: Callable[..., Program], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    program = start()
    assert program.vm is not None
    monkeypatch.setattr(program.vm, "delete_object", lambda _name: 1 // 0)  # a defect
    assert "internal error: ZeroDivisionError" in type_into(program, "object_del x\r")
    assert "VM status: running" in type_into(start(), "info status\r")
    assert "internal error" in capsys.readouterr().err


def test_several_lines_pasted_at_once_are_all_run(start: Callable[..., Program]) -> None:
    shown = type_into(start(), '\x1b[200~stop\n# remark\n{"execute":\n"cont"}\x1b[201~\rinfo status\r')
    assert shown.index("event: STOP") < shown.index("event: RESUME") < shown.index("VM status: running")


@pytest.mark.parametrize("farewell", ["quit\r", "q\r", CTRL_D, '{"execute": "quit"}\r'])
def test_ways_to_leave(start: Callable[..., Program], farewell: str) -> None:
    program = start()
    assert program.vm is not None
    events: list[Any] = []
    program.vm.observers.append(lambda name, data: events.append((name, data)))
    shown = type_into(program, farewell + "stop\r")
    assert events == [("SHUTDOWN", {"guest": False, "reason": "host-qmp-quit"})]
    assert "STOP" not in shown


def test_ctrl_c_cancels_the_line_and_nothing_else(start: Callable[..., Program]) -> None:
    program = start()
    shown = type_into(program, "stop" + CTRL_C + "info status\r" + CTRL_C)
    assert "VM status: running" in shown
    assert "Ctrl-D or 'quit' ends the session" in shown


def test_tab_completes(start: Callable[..., Program]) -> None:
    program = start()
    shown = io.StringIO()

    async def session() -> None:
        with create_pipe_input() as pipe, create_app_session(pipe, PlainTextOutput(shown)):
            running = asyncio.create_task(console_of(program).run())
            pipe.send_text("info statu" + TAB)
            await asyncio.sleep(0.2)
            pipe.send_text("\r" + CTRL_D)
            await running

    asyncio.run(session())
    assert "VM status: running" in lines_of(shown)


@pytest.mark.parametrize(("no_color", "escape"), [("", "\x1b[0;38;5;160m"), ("1", "\x1b[0m")])
def test_colours_go_with_the_wish_of_the_user(
    start: Callable[..., Program], monkeypatch: pytest.MonkeyPatch, no_color: str, escape: str
) -> None:
    monkeypatch.setenv("NO_COLOR", no_color)
    shown = io.StringIO()
    output = Vt100_Output(
        shown, lambda: Size(24, 80), term="xterm", default_color_depth=ColorDepth.from_env(), enable_cpr=False
    )
    type_into(start(), "info ramblock\rnonsense\r", output)
    assert f"{escape}unknown command: 'nonsense'" in shown.getvalue()
    assert ("38;5" in shown.getvalue()) is not bool(no_color)


def test_other_monitors_are_served_while_one_types(start: Callable[..., Program], tmp_path: Path) -> None:
    path = f"{tmp_path}/qmp"
    program = start("-M", "none", "-qmp", f"unix:{path},server=on,wait=off")
    shown = io.StringIO()

    async def session() -> None:
        with create_pipe_input() as pipe, create_app_session(pipe, PlainTextOutput(shown)):
            running = asyncio.create_task(console_of(program).run())
            pipe.send_text("info sta")
            reader, writer = await asyncio.open_unix_connection(path)
            assert b"QMP" in await reader.readline()
            writer.write(b'{"execute":"qmp_capabilities"}{"execute":"stop"}{"execute":"quit"}')
            answers = await reader.readuntil(b'"host-qmp-quit"')
            writer.close()
            await writer.wait_closed()
            await running
        assert answers.count(b'"return"') == 2
        assert b"SHUTDOWN" in answers

    asyncio.run(asyncio.wait_for(session(), 20))
    assert "event: STOP\n" in lines_of(shown)
    assert 'event: SHUTDOWN {"guest": false, "reason": "host-qmp-quit"}\n' in lines_of(shown)


def test_timers_of_the_loop_run_under_the_console(start: Callable[..., Program]) -> None:
    program = start()
    program.loop.call_later(0.05, program.shut_down, "host-signal")
    with create_pipe_input() as pipe, create_app_session(pipe, DummyOutput()):
        asyncio.run(asyncio.wait_for(console_of(program).run(), 20))
    assert program.loop.stopping


def test_a_long_command_can_be_cancelled_and_others_go_on(
    start: Callable[..., Program], monkeypatch: pytest.MonkeyPatch
) -> None:
    program = start()
    seen: list[str] = []

    def slow_step(cancellation: Any) -> None:
        program.loop.call_threadsafe(seen.append, "served")
        while not cancellation.requested:
            pass
        cancellation.check()

    def slow(_arguments: Any) -> Iterator[Any]:
        yield slow_step

    assert program.vm is not None
    monkeypatch.setattr(program.vm, "add_object", slow)  # stands for a huge prealloc
    monkeypatch.setattr("ramslot.monitor.console.execution.PATIENCE", 0.05)
    program.loop.call_later(0.5, lambda: os.kill(os.getpid(), 2))
    shown = type_into(program, "object_add memory-backend-ram,id=a,size=1M\rinfo status\r")
    assert seen == ["served"]
    assert "still running; Ctrl-C cancels\n" in shown
    assert "Error: Operation cancelled\n" in shown
    assert "VM status: running" in shown


def test_the_end_cancels_a_long_command(start: Callable[..., Program], monkeypatch: pytest.MonkeyPatch) -> None:
    program = start()

    def slow_step(cancellation: Any) -> None:
        program.loop.call_threadsafe(program.shut_down, "host-signal")
        while not cancellation.requested:
            time.sleep(0.001)
        cancellation.check()

    def slow(_arguments: Any) -> Iterator[Any]:
        yield slow_step

    assert program.vm is not None
    monkeypatch.setattr(program.vm, "add_object", slow)  # stands for a huge prealloc
    assert "Operation cancelled" in type_into(program, "object_add memory-backend-ram,id=a,size=1M\rstop\r")


def test_run_console_greets(start: Callable[..., Program], capsys: pytest.CaptureFixture[str]) -> None:
    with create_pipe_input() as pipe, create_app_session(pipe, DummyOutput()):
        pipe.send_text(CTRL_D)
        run_console(start())
    assert capsys.readouterr().out.startswith("ramslot ")


def test_only_the_console_loads_its_libraries() -> None:
    code = (
        "import sys; import ramslot.monitor.main, ramslot.monitor.program, ramslot.monitor.console; "
        "print([name for name in ('prompt_toolkit', 'pygments', 'asyncio') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
