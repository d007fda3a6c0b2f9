"""What may be written in a line beyond HMP, and what becomes of its answer. Scripts and terminals are in tests/clients."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ramslot.commands import hmp_commands
from ramslot.monitor.command_line.options import parse
from ramslot.monitor.dispatch import HMPLineError
from ramslot.monitor.lines.commands import COMMANDS
from ramslot.monitor.lines.jsonpath import PathError, find, literal
from ramslot.monitor.lines.redirection import Redirection, split_redirection
from ramslot.monitor.lines.session import LineSession
from ramslot.monitor.lines.tree_view import TreeView, split_view
from ramslot.monitor.lines.variables import expanded, substituted
from ramslot.monitor.own_machine import OwnMachine
from ramslot.monitor.program import Program
from ramslot.vm.releases import VERSIONS, find_release

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def lines(request: pytest.FixtureRequest) -> Iterator[Callable[[str], str]]:
    """Run a line on a machine (a q35 with room for DIMMs unless the test says another) and return what it prints."""
    arguments = getattr(request, "param", ("-M", "q35", "-m", "2G,slots=2,maxmem=8G"))
    program = Program(parse(["ramslot", *arguments]))
    try:
        program.open_monitors()
        program.start_machine()
        session = LineSession(OwnMachine(program))
        yield lambda line: program.worker.wait(session.run(line)).text
    finally:
        program.close()


# Where a text goes


@pytest.mark.parametrize(
    ("line", "command", "redirection"),
    [
        ("info mtree", "info mtree", None),
        ("info mtree | grep ram | wc -l", "info mtree", Redirection("|", "grep ram | wc -l")),
        ("info mtree |less", "info mtree", Redirection("|", "less")),
        ("info mtree > f", "info mtree", Redirection(">", "f")),
        ("info mtree >> f", "info mtree", Redirection(">>", "f")),
        ('info mtree >"a b"', "info mtree", Redirection(">", "a b")),
        ("xp /1xw 0x10 | 3", "xp /1xw 0x10 | 3", None),
        ("xp /1xw 0x10 | (1 + 2)", "xp /1xw 0x10 | (1 + 2)", None),
        ("xp /1xw 0x10 | 3 | od", "xp /1xw 0x10 | 3", Redirection("|", "od")),
        ('migrate "exec:cat > f | g"', 'migrate "exec:cat > f | g"', None),
        ('migrate "exec:cat \\" > f"', 'migrate "exec:cat \\" > f"', None),
        ("migrate exec:cat>f", "migrate exec:cat>f", None),
        ("| x", "| x", None),
    ],
)
def test_where_a_text_goes(line: str, command: str, redirection: Redirection | None) -> None:
    assert split_redirection(line) == (command, redirection)


def test_texts_go_to_files_and_commands(lines: Callable[[str], str], tmp_path: Path) -> None:
    table = lines("info ramblock")
    assert lines(f"info ramblock > {tmp_path}/f") == ""
    assert lines(f"info ramblock >> {tmp_path}/f") == ""
    assert (tmp_path / "f").read_text() == table * 2
    assert lines("info ramblock | grep pc.ram | wc -l").strip() == "1"
    assert lines("info ramblock | cat") == table


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("info status > /nonexistent/f", "Error: cannot write '/nonexistent/f': No such file or directory"),
        ("info status > /dev/full", "Error: cannot write '/dev/full': No space left on device"),
        ("info status > a\0b", "Error: cannot write 'a\0b': embedded null byte"),
        ("info status | a\0b", "Error: cannot run 'a\0b': embedded null byte"),
        ("info status >", "Error: '>' wants the name of a file"),
        ("info status | exit 3", "'exit 3' ended with status 3"),
        ("info status | kill -9 $$$$", "'kill -9 $$' ended with signal 9"),
        ("nonsense > {0}/f", "unknown command: 'nonsense'"),
        ("object_del nobody > {0}/f", "'object_del' prints nothing; a parameter with blanks stands in double quotes"),
        ("info mtree -x > {0}/f", "mtree: unsupported option -x"),
    ],
)
def test_texts_that_go_nowhere(lines: Callable[[str], str], tmp_path: Path, line: str, text: str) -> None:
    with pytest.raises(HMPLineError, match=re.escape(text)):
        lines(line.format(tmp_path))
    assert not list(tmp_path.iterdir())
    assert lines("info status") == "VM status: running\n"


def test_answers_as_json(lines: Callable[[str], str]) -> None:
    blocks = json.loads(lines("-j info ramblock"))
    assert blocks[0]["name"] == "pc.ram"
    assert json.loads(lines("--json info status"))["status"] == "running"
    assert json.loads(lines("-j info status | cat")) == json.loads(lines("-j info status"))
    with pytest.raises(HMPLineError, match="object 'x' not found"):
        lines("-j object_del x")
    with pytest.raises(HMPLineError, match="unknown command: '-j'"):
        lines("-j")


# Parts of a tree


def model(text: str) -> list[tuple[int, list[int], str]]:
    """Each line of a tree with its depth and the numbers of the lines above it; a slow reading of what is printed."""
    rows: list[tuple[int, list[int], str]] = []
    above: list[tuple[int, int]] = []
    for number, line in enumerate(text.splitlines()):
        if not re.match(r"(\[DETECTED OVERFLOW!\])? +[0-9a-f]{16}-", line):
            above = []
            rows.append((-1, [], line))
            continue
        indent = len(line.removeprefix("[DETECTED OVERFLOW!]")) - len(
            line.removeprefix("[DETECTED OVERFLOW!]").lstrip()
        )
        above = [(number, depth) for number, depth in above if depth < indent]
        rows.append((len(above), [number for number, _ in above], line))
        above.append((number, indent))
    return rows


@pytest.mark.parametrize("flags", ["", " -f", " -o", " -D"])
def test_a_name_is_found_with_what_leads_to_it(lines: Callable[[str], str], flags: str) -> None:
    rows = model(lines(f"info mtree{flags}"))
    found = {number for number, (depth, _, line) in enumerate(rows) if depth >= 0 and "ram" in line.partition("): ")[2]}
    wanted = {number for each in found for number in [*rows[each][1], each]}
    shown = [line for line in lines(f"info mtree{flags} --find RAM").splitlines() if re.match(" +[0-9a-f]{16}-", line)]
    assert shown == [rows[number][2] for number in sorted(wanted) if rows[number][0] >= 0]


@given(address=st.integers(0, 2**36))
def test_an_address_is_found(address: int) -> None:
    view = TreeView()
    view.wanted = hex(address)
    rows = model(TREE)
    found = [
        line
        for depth, _, line in rows
        if depth >= 0 and int(line.split("-")[0], 16) <= address <= int(line.split("-")[1].split()[0], 16)
    ]
    shown = view.of(TREE).splitlines()
    assert [line for line in shown if line in found] == found
    for line in shown:  # and nothing that does not lead there
        number = [row[2] for row in rows].index(line)
        leads = any(number in above for _, above, each in rows if each in found)
        assert line in found or leads or rows[number][0] < 0


@pytest.mark.parametrize("depth", [0, 1, 2, 9])
def test_what_is_folded_is_counted(lines: Callable[[str], str], depth: int) -> None:
    whole = lines("info mtree")
    shown = lines(f"info mtree --depth {depth}")
    rows = model(whole)
    assert [re.sub(r" \[\+\d+\]$", "", line) for line in shown.splitlines()] == [
        line for level, _, line in rows if level <= depth
    ]
    hidden = sum(int(count) for count in re.findall(r"\[\+(\d+)\]$", shown, re.MULTILINE))
    assert hidden == sum(level > depth for level, _, _ in rows)


TREE = """\
address-space: memory
  0000000000000000-ffffffffffffffff (prio 0, i/o): system
    0000000000000000-00000000bfffffff (prio 0, ram): below
      0000000000010000-000000000001ffff (prio 1, i/o): hole
    0000000100000000-000000013fffffff (prio 0, ram): above
"""


def test_views_together_and_mistakes(lines: Callable[[str], str]) -> None:
    assert split_view("info mtree --find a --depth 2 -f")[0] == "info mtree -f"
    assert lines("info mtree --depth 0 -f --find pc.bios").count("pc.bios") >= 1
    for line, text in {
        "info mtree --depth": "mtree: --depth wants a value",
        "info mtree --depth x": "mtree: --depth wants a number, not 'x'",
        "info mtree --find absent": "nothing of 'absent' in it",
    }.items():
        with pytest.raises(HMPLineError, match=text):
            lines(line)


# Names


def test_variables_and_aliases(lines: Callable[[str], str]) -> None:
    lines("set size 64K")
    lines("set name m")
    lines("alias mk object_add memory-backend-ram,id=$name,size=$size")
    lines("mk")
    lines("set name n")
    lines("mk")
    assert lines("info memdev").count("memory backend: ") == 3  # and the machine's own
    assert lines("set") == "name n\nsize 64K\n"
    assert lines("set name") == "name n\n"
    assert lines("alias mk") == "alias mk object_add memory-backend-ram,id=$name,size=$size\n"
    lines("unalias mk")
    with pytest.raises(HMPLineError, match="unknown command: 'mk'"):
        lines("mk")
    lines("alias st info status | cat")
    assert lines("st") == "VM status: running\n"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("echo $x ${x}y $$x", "echo 1G 1Gy $x"),
        ('migrate "exec:cat > $HOME/$x"', 'migrate "exec:cat > $HOME/1G"'),
        ("assert query-status $.status", "assert query-status $.status"),
        ('{"a": "$x", "b": "$y"}', '{"a": "1G", "b": "$y"}'),
    ],
)
def test_where_a_variable_is_one(line: str, expected: str) -> None:
    assert substituted(line, {"x": "1G"}) == expected
    assert expanded(line, {}, {"x": "1G"}) == expected


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("echo $y", r"\$y is not set"),
        ("set y", r"\$y is not set"),
        ("set 1y 2", "'1y' is no name of a variable"),
        ("alias stop cont", "'stop' is a command already"),
        ("alias mark cont", "'mark' is a command already"),
        ("unalias x", "there is no alias 'x'"),
        ("diff", "there is no mark 'mark'"),
        ("diff a b c", "at most two marks"),
        ("watch info status", "'watch' is for the console"),
    ],
)
def test_mistakes_in_names(lines: Callable[[str], str], line: str, text: str) -> None:
    with pytest.raises(HMPLineError, match=text):
        lines(line)


# Marks


def test_what_changed_since_a_mark(lines: Callable[[str], str]) -> None:
    lines("mark")
    lines("mark start")
    assert lines("diff") == ""
    lines("object_add memory-backend-ram,id=m,size=1G")
    lines("device_add pc-dimm,id=d,memdev=m")
    changed = lines("diff start")
    for table in ("info mtree", "info mtree -f", "info ramblock", "info memslots", "info memory-devices"):
        assert f"--- {table} (start)\n+++ {table} (now)\n" in changed
    assert "+      0000000100000000-000000013fffffff (prio 0, ram): m\n" in changed
    lines("mark plugged")
    assert lines("diff start plugged") == changed.replace("(now)", "(plugged)")
    lines("guest_policy accept")
    lines("device_del d")
    lines("object_del m")
    assert lines("diff start") == ""


# Checks


@pytest.mark.parametrize(
    "claim",
    [
        "info ramblock contains pc.ram",
        'info ramblock contains "  pc.ram"',
        "not info ramblock contains nobody.ram",
        "info ramblock matches ^ +pc.ram .* rw$",
        "object_del nobody fails",
        "object_del nobody fails not found",
        "not info status fails",
        'query-status $.status == "running"',
        "query-status $.status == running",
        "query-status $.running",
        "not query-status $.absent",
        "query-memory-size-summary $.base-memory == 2G",
        "query-memory-size-summary $.base-memory > 0x7fffffff",
        "-j info ramblock $[?name=='pc.ram'].used-length == 2G",
        "info ramblock $..name contains pc",
        "not info ramblock $[*].used-length > 2G",
        "not query-status $.status > 3",
    ],
)
def test_what_holds(lines: Callable[[str], str], claim: str) -> None:
    if claim == "info ramblock $..name contains pc":
        with pytest.raises(HMPLineError, match="assertion failed"):  # each of them has to
            lines(f"assert {claim}")
        return
    assert lines(f"assert {claim}") == ""
    opposite = claim.removeprefix("not ") if claim.startswith("not ") else f"not {claim}"
    with pytest.raises(HMPLineError, match=f"assertion failed: {re.escape(opposite)}"):
        lines(f"assert {opposite}")


@pytest.mark.parametrize(
    ("claim", "text"),
    [
        ("", "assert: expects"),
        ("info status", "assert: expects"),
        ("info status contains", "assert: expects"),
        ("contains x", "assert: expects"),
        ("info status matches (", "'\\(' is no regular expression"),
        ("query-status $.a[", "of the path '\\$.a\\[' is not understood"),
        ("nonsense contains x", "unknown command: 'nonsense'"),
        ("nonsense $.x", "unknown command: 'nonsense'"),
        ("object_add memory-backend-ram,id=a,size=4K fails", "it did not fail"),
    ],
)
def test_claims_that_are_none(lines: Callable[[str], str], claim: str, text: str) -> None:
    with pytest.raises(HMPLineError, match=text):
        lines(f"assert {claim}")


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("$", [{"a": [{"n": "x", "v": 1}, {"n": "y", "v": 2}], "b-c": {"n": "z"}}]),
        ("$.a[0].n", ["x"]),
        ("$.a[-1].v", [2]),
        ("$['b-c'].n", ["z"]),
        ("$.b-c.*", ["z"]),
        ("$.a[*].v", [1, 2]),
        ("$..n", ["x", "y", "z"]),
        ('$.a[?n=="y"].v', [2]),
        ("$.a[?(@.v == 2)].n", ["y"]),
        ("$.a[7]", []),
        ("$.a.n", []),
    ],
)
def test_paths(path: str, found: list[object]) -> None:
    value = {"a": [{"n": "x", "v": 1}, {"n": "y", "v": 2}], "b-c": {"n": "z"}}
    assert find(path, value) == found


def test_paths_that_are_none() -> None:
    for path in ("a", "$.", "$[", "$[a]", "$.a b"):
        with pytest.raises(PathError):
            find(path, {})
    assert [literal(text) for text in ("1G", "0x10", '"a"', "'a'", "true", "12", "a-b")] == [
        1 << 30, 16, "a", "a", True, 12, "a-b",
    ]  # fmt: skip


# Help


def test_help_has_an_example_and_our_own_commands(lines: Callable[[str], str]) -> None:
    text = lines("help")
    assert all(f"\n{name} " in text for name in COMMANDS if name != "help")
    assert lines("help mark").endswith("example: mark start\n")
    assert lines("help info mtree").splitlines()[-1].startswith("example: info mtree")
    assert lines("help info") == lines("info")
    with pytest.raises(HMPLineError, match="unknown command: 'nonsense'"):
        lines("help nonsense")


def test_no_release_has_a_command_of_ours() -> None:
    for release in map(find_release, VERSIONS):
        assert not (set(COMMANDS) - {"help"}) & set(hmp_commands(release))


def test_claims_and_aliases_have_pipes_of_their_own(lines: Callable[[str], str]) -> None:
    lines("alias slots info memslots | grep -c rw")
    assert lines("assert slots matches ^[0-9]+$") == ""
    assert lines("assert info ramblock | tr a-z A-Z contains PC.RAM") == ""
    lines("alias large assert query-memory-size-summary $.base-memory > 1G")
    assert lines("large") == ""
    with pytest.raises(HMPLineError, match="assertion failed"):
        lines("assert info ramblock | tr a-z A-Z contains pc.ram")
