"""Whatever is typed: a line is answered or refused, and the session goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ramslot.commands import hmp_commands
from ramslot.monitor.command_line.options import parse
from ramslot.monitor.dispatch import HMPLineError
from ramslot.monitor.lines.commands import COMMANDS
from ramslot.monitor.lines.jsonpath import PathError, find
from ramslot.monitor.lines.redirection import split_redirection
from ramslot.monitor.lines.session import LineSession
from ramslot.monitor.own_machine import OwnMachine
from ramslot.monitor.program import Program
from ramslot.vm.releases import find_release

if TYPE_CHECKING:
    from collections.abc import Iterator

LEFT_OUT = (
    "q",
    "quit",
    "migrate",
    "migrate_incoming",
    "dump-guest-memory",
    "memsave",
    "pmemsave",
    "info map",
    "source",
    "include",
)
"""What ends the program, and what writes or reads files and runs commands."""
WORDS = (
    *(name for name in (*hmp_commands(find_release(None)), *COMMANDS) if name not in LEFT_OUT),
    *(
        "-j",
        "--json",
        "--depth",
        "--find",
        "not",
        "contains",
        "matches",
        "fails",
        "==",
        "$.x",
        "$",
        "$x",
        "${x}",
        "$$",
        '"',
        "\\",
    ),
    *(
        "-f",
        "-o",
        "0",
        "1",
        "0x10",
        "pc.ram",
        "/objects",
        "a",
        "x",
        "(",
        "[",
        "[?",
        "*",
        ",",
        "=",
        "ram",
        "\0",
        "\udcff",
        "é",
        " ",
    ),
)
LINES = st.lists(st.sampled_from(WORDS), max_size=7).map(" ".join)


@pytest.fixture(scope="module")
def program() -> Iterator[Program]:
    made = Program(parse(["ramslot", "-M", "pc", "-m", "64M,slots=2,maxmem=1G", "-accel", "sim"]))
    made.start_machine()
    yield made
    made.close()


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=st.lists(LINES, max_size=4))
def test_a_line_is_answered_or_refused(program: Program, lines: list[str]) -> None:
    session = LineSession(OwnMachine(program))
    for line in lines:
        if any(f"{word} " in f"{line} " for word in LEFT_OUT) or split_redirection(line)[1] is not None:
            continue
        try:
            printed = program.worker.wait(session.run(line))
        except HMPLineError as failure:
            assert str(failure)
        else:
            assert not printed.text or printed.text.endswith("\n") or line.strip().startswith("-j")
    assert program.worker.wait(session.run("info kvm")).text.startswith("kvm support")


@given(
    path=st.lists(st.sampled_from(["$", ".", "..", "a", "[", "]", "*", "0", "-1", "?", "==", '"', "'", "@", " "])).map(
        "".join
    )
)
def test_a_path_leads_somewhere_or_is_refused(path: str) -> None:
    try:
        found = find(path, {"a": [{"a": 0}, 1, "a"], "b": None})
    except PathError as error:
        assert str(error)
    else:
        assert isinstance(found, list)
