"""Typing at the console: words found by their letters, the prompt's own commands, keys, and what was probably meant."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document

from ramslot.monitor.command_line.options import parse
from ramslot.monitor.console.completer import MOST_WORDS, ConsoleCompleter, matching
from ramslot.monitor.console.key_bindings import wants_vi
from ramslot.monitor.console.suggestions import did_you_mean_within
from ramslot.monitor.console.typed import numbered_commands
from ramslot.monitor.lines.session import LineSession
from ramslot.monitor.own_machine import OwnMachine
from ramslot.monitor.program import Program

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def program() -> Iterator[Program]:
    made = Program(parse(["ramslot", "-M", "pc", "-m", "64M,slots=2,maxmem=1G"]))
    made.start_machine()
    yield made
    made.close()


def completed(program: Program, text: str, session: LineSession | None = None) -> list[str]:
    """What the line may become."""
    completer = ConsoleCompleter(program, session or LineSession(OwnMachine(program)))
    document = Document(text)
    return [
        text[: len(text) + each.start_position] + each.text
        for each in completer.get_completions(document, CompleteEvent(completion_requested=True))
    ]


@given(
    typed=st.text("abB-.^]", min_size=2, max_size=4),
    words=st.lists(st.text("abAB-.^]x", min_size=1, max_size=8), unique=True, max_size=12),
)
def test_words_are_found_by_their_letters(typed: str, words: list[str]) -> None:
    beginning = [word for word in words if word.startswith(typed)]

    def has_letters(word: str) -> bool:
        rest = iter(word.lower())
        return all(letter in rest for letter in typed.lower())

    found = [word for word, _ in matching(typed, [(word, "") for word in words])]
    if beginning:
        assert found == beginning
    else:
        assert sorted(found) == sorted(word for word in words if has_letters(word))


def test_long_names_that_are_alike_take_no_time() -> None:
    words = [("a" * 2000 + str(number), "") for number in range(50)]
    assert matching("a" * 30 + "b", words) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("info rmb", ["info ramblock"]),
        ("object_add membakmemfd", ["object_add memory-backend-memfd"]),
        ("device_add pc-dimm,mdev", ["device_add pc-dimm,memdev="]),
        ("mar", ["mark "]),
        ("watch 1 info rambl", ["watch 1 info ramblock"]),
        ("assert not info rambl", ["assert not info ramblock"]),
        ("-j info rambl", ["-j info ramblock"]),
        ("info mtree --d", ["info mtree --depth"]),
        ("info mtree | gre", []),
        ("echo $si", ["echo $size"]),
        ("diff st", ["diff start"]),
        ("help wat", ["help watch"]),
    ],
)
def test_what_else_is_completed(program: Program, text: str, expected: list[str]) -> None:
    session = LineSession(OwnMachine(program))
    for line in ("set size 1G", "mark start", "alias im info mtree"):
        program.worker.wait(session.run(line))
    found = completed(program, text, session)
    assert found == expected
    assert "im" in completed(program, "i", session)


def test_files_are_completed(program: Program, tmp_path: Path) -> None:
    (tmp_path / "plan.hmp").write_text("")
    (tmp_path / "plans").mkdir()
    assert completed(program, f"source {tmp_path}/pl") == [f"source {tmp_path}/plan.hmp", f"source {tmp_path}/plans/"]
    assert completed(program, "source /nonexistent/x") == []


def test_of_very_many_words_some_are_offered(program: Program) -> None:
    for number in range(MOST_WORDS + 20):
        line = f"object_add memory-backend-ram,id=mem{number},size=4K,reserve=off"
        program.worker.wait(program.run_hmp(program.context, line))
    assert len(completed(program, "object_del ")) == MOST_WORDS
    assert completed(program, "object_del mem119") == ["object_del mem119"]
    assert completed(program, "object_del m1e9") == []
    assert "object_del mem119" in completed(program, "object_del m119")


@pytest.mark.parametrize(
    ("inputrc", "vi"),
    [
        ("set editing-mode vi\n", True),
        ("SET Editing-Mode VI\n", True),
        ("set editing-mode vi\nset editing-mode emacs\n", False),
        ("$if Bash\nset editing-mode vi\n$endif\n", False),
        ("$if ramslot\nset editing-mode vi\n$endif\n", True),
        ("$if Bash\n$if ramslot\nset editing-mode vi\n$endif\n$endif\n", False),
        ("$if Bash\n$else\nset editing-mode vi\n$endif\n", True),
        ("# set editing-mode vi\nset editing-mode\n$endif\n\xff\n", False),
    ],
)
def test_the_inputrc_says_whose_keys(tmp_path: Path, inputrc: str, vi: bool) -> None:
    (tmp_path / "inputrc").write_text(inputrc)
    assert wants_vi({"INPUTRC": f"{tmp_path}/inputrc"}) is vi


@pytest.mark.parametrize(
    ("line", "error", "hint"),
    [
        ("object_add memory-backend-rm,id=a", "Error: invalid object type: memory-backend-rm", "memory-backend-ram"),
        ("object_add memory-backend-ram,id=a,sise=1M", "Error: Parameter 'size' is missing", "size"),
        ("object_add memory-backend-ram,id=a", "Error: Parameter 'size' is missing", None),
        ("device_add pc-dim,id=d", "Error: 'pc-dim' is not a valid device model name", "pc-dimm"),
        ("device_add pc-dimm,memdv=m", "Error: Property 'pc-dimm.memdv' not found", "memdev"),
        ("object_del x", "Error: object 'x' not found", None),
        ("object_add memory-backend-ram,id=a,size=0", "property 'size' of memory-backend-ram is '0'", None),
    ],
)
def test_what_was_meant_is_of_the_same_place(program: Program, line: str, error: str, hint: str | None) -> None:
    assert program.vm is not None
    told = did_you_mean_within(program.vm, line, f"{error}\n")
    assert told == (None if hint is None else f"did you mean '{hint}'?")


def test_commands_know_their_lines() -> None:
    assert numbered_commands('a\n# b\n\n{"x":\n1}\nc\n{"y":') == [
        (1, "a"), (4, '{"x":\n1}\n'), (6, "c"), (7, '{"y":\n'),
    ]  # fmt: skip
