"""Scripts: checks, variables, files that include others, what is written down and run again. By `-script`, `-c`, stdin."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from .program import ENVIRONMENT

if TYPE_CHECKING:
    from pathlib import Path


def run(folder: Path, *arguments: str, script: str | None = None) -> subprocess.CompletedProcess[str]:
    if script is not None:
        (folder / "plan.hmp").write_text(script)
        arguments = (*arguments, "-script", "plan.hmp")
    command = [sys.executable, "-m", "ramslot", "-M", "none", "-m", "16M", *arguments]
    return subprocess.run(
        command,
        cwd=folder,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        stdin=subprocess.DEVNULL,
    )


PLAN = """\
# a machine with one backend
set name m
set size 1M
object_add memory-backend-ram,id=$name,size=$size
{"execute": "qom-get",
 "arguments": {"path": "/objects/$name", "property": "size"}}
assert query-memdev $[?id=="m"].size == $size
assert info memdev contains $name
info memdev | grep -c 'backend: [mr].*$$' > count
include more/checks.hmp
"""


def test_a_script_of_all_there_is(tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "checks.hmp").write_text(
        "assert not info status contains paused\ninclude last.hmp\necho done\n"
    )
    (tmp_path / "more" / "last.hmp").write_text("object_del $name\nassert object_del $name fails not found")
    done = run(tmp_path, script=PLAN)
    assert (done.returncode, done.stdout, done.stderr) == (0, '{"return": 1048576}\ndone\n', "")
    assert (tmp_path / "count").read_text() == "2\n"


@pytest.mark.parametrize(
    ("script", "told"),
    [
        (
            "\n\nassert info status contains paused\necho no",
            "plan.hmp:3: assertion failed: info status contains paused",
        ),
        ("echo a\necho $y", "plan.hmp:2: $y is not set\nhint: 'set y VALUE' sets it; $$ is a $"),
        ("include absent.hmp", "plan.hmp:1: Error: cannot read script 'absent.hmp': No such file or directory"),
        ("include", "plan.hmp:1: include: the name of a file expected"),
        ("include plan.hmp", "plan.hmp:1: include: more than 16 scripts in one another"),
        ("info status | grep absent", "plan.hmp:1: 'grep absent' ended with status 1"),
        ("watch info status", "plan.hmp:1: 'watch' is for the console"),
        ("source inner.hmp", "inner.hmp:2: unknown command: 'nonsense'"),
        ('{"execute":\n"stop"', "end of script: JSON parse error, premature EOI"),
    ],
)
def test_mistakes_have_their_place(tmp_path: Path, script: str, told: str) -> None:
    (tmp_path / "inner.hmp").write_text("# inner\nnonsense\necho no\n")
    done = run(tmp_path, script=f"{script}\necho no\n" if "{" not in script else script)
    assert done.returncode == 1
    assert f"ramslot: {told}" in done.stderr or f"__main__.py: {told}" in done.stderr
    assert done.stderr.count(told) == 1
    assert "no" not in done.stdout.split()


def test_all_lines_are_run_where_that_is_wished(tmp_path: Path) -> None:
    (tmp_path / "inner.hmp").write_text("nonsense\necho inner\n")
    done = run(tmp_path, "--keep-going", script="include inner.hmp\nassert info status contains paused\necho outer\n")
    assert (done.returncode, done.stdout) == (1, "inner\nouter\n")


def test_what_was_run_is_written_down(tmp_path: Path) -> None:
    lines = ("info status", "nonsense", '{"execute": "query-kvm"}', "set x 1", "echo $x")
    given = [word for line in lines for word in ("-c", line)]
    first = run(tmp_path, *given, "--keep-going", "-record", "script", "-transcript", "log")
    assert first.returncode == 1
    assert (tmp_path / "script").read_text() == (
        '# ramslot -M none -m 16M\ninfo status\n# failed: nonsense\n{"execute": "query-kvm"}\nset x 1\necho $x\n'
    )
    again = run(tmp_path, "-script", "script")
    assert (again.returncode, again.stdout) == (0, first.stdout)
    log = (tmp_path / "log").read_text()
    assert "(ramslot) info status\nVM status: running\n(ramslot) nonsense\nunknown command: 'nonsense'\n" in log


def test_where_nothing_can_be_written_down(tmp_path: Path) -> None:
    done = run(tmp_path, "-record", "absent/script", "-c", "info status")
    assert (done.returncode, done.stdout) == (1, "")
    assert "cannot write 'absent/script': No such file or directory" in done.stderr
    done = run(tmp_path, "-display", "none", "-record", "script")
    assert "-record and -transcript want a script, or a console at a terminal" in done.stderr
    done = run(tmp_path, "-record", "/dev/full", "-c", "info status", "-c", "info name")
    assert done.stdout == "VM status: running\n"
    assert done.stderr.count("cannot write '/dev/full': No space left on device") == 1


def test_a_transcript_is_run_again(tmp_path: Path) -> None:
    run(tmp_path, "-c", "info memory_size_summary", "-c", "info status", "-transcript", "log")
    command = [sys.executable, "-m", "ramslot", "replay", "log"]

    def replay(*more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*command, *more], cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, check=False
        )

    done = replay()
    assert (done.returncode, done.stdout, done.stderr) == (0, "2 lines, all answered as before\n", "")
    done = replay("--", "-M", "none", "-m", "32M")
    assert done.returncode == 1
    assert "-base memory: 16777216\n+base memory: 33554432\n" in done.stdout
    (tmp_path / "log").write_text("no transcript\n")
    assert replay().returncode == 2
    (tmp_path / "log").unlink()
    done = replay()
    assert (done.returncode, done.stderr) == (2, "ramslot: cannot read 'log': No such file or directory\n")


def test_a_transcript_of_several_lines_and_addresses(tmp_path: Path) -> None:
    script = 'info ramblock\n{"execute":\n"query-memory-size-summary"}\nnonsense\ninfo status | tr a-z A-Z\n'
    run(tmp_path, "--keep-going", "-transcript", "log", script=script)
    command = [sys.executable, "-m", "ramslot", "replay", "log"]
    done = subprocess.run(command, cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("4 lines, all answered as before\n", 0)


def test_keys_of_a_console_that_there_is_not(tmp_path: Path) -> None:
    done = run(tmp_path, "-M", "none", "-vi", "-c", "info status")
    assert (done.returncode, done.stdout) == (1, "")
    assert "-vi wants a console at a terminal" in done.stderr
