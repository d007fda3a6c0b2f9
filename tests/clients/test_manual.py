"""The manual page and completion for shells, loaded by the real programs; those that are not there are skipped."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from ramslot.commands import hmp_commands
from ramslot.monitor.command_line.options import OPTIONS
from ramslot.monitor.lines.commands import COMMANDS
from ramslot.monitor.main import SUBCOMMANDS
from ramslot.monitor.manual.words import options, subcommands, values_of
from ramslot.vm.releases import find_release

from .program import ENVIRONMENT

if TYPE_CHECKING:
    from pathlib import Path


def print_by(*words: str) -> str:
    command = [sys.executable, "-m", "ramslot", *words]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout


def shell(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"there is no {name}")
    return path


LINES = [
    ("ramslot -mach", {"-machine"}),
    ("ramslot --scr", {"--script"}),
    ("ramslot -M pc-q35-11", {"pc-q35-11.0", "pc-q35-11.1"}),
    ("ramslot --machine pc-q35-11", {"pc-q35-11.0", "pc-q35-11.1"}),
    ("ramslot -M none -qemu 1", {"10.0", "11.1"}),
    ("ramslot -object memory-backend-m", {"memory-backend-memfd"}),
    ("ramslot -display n", {"none"}),
    ("ramslot stre", {"stream"}),
    ("ramslot stream ver", {"verify"}),
    ("ramslot host e", {"export"}),
    ("ramslot -script pla", {"plan.hmp"}),
    ("ramslot stream info pla", {"plan.hmp"}),
]


@pytest.mark.parametrize(("line", "words"), LINES)
def test_bash_completes(tmp_path: Path, line: str, words: set[str]) -> None:
    (tmp_path / "plan.hmp").write_text("")
    script = (
        f"set -u; source /dev/stdin <<'END'\n{print_by('completion', 'bash')}\nEND\n"
        f"COMP_WORDS=({line}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); _ramslot; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    )
    done = subprocess.run([shell("bash"), "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert set(done.stdout.split()) == words


@pytest.mark.parametrize(("line", "words"), LINES)
def test_fish_completes(tmp_path: Path, line: str, words: set[str]) -> None:
    (tmp_path / "plan.hmp").write_text("")
    (tmp_path / "completion").write_text(print_by("completion", "fish"))
    script = f"source completion; complete -C '{line}'"
    environment = {**os.environ, "HOME": str(tmp_path)}
    done = subprocess.run(
        [shell("fish"), "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    assert {each.split("\t")[0] for each in done.stdout.splitlines()} == words


@pytest.mark.parametrize(("line", "words"), LINES)
def test_zsh_completes(tmp_path: Path, line: str, words: set[str]) -> None:
    import pexpect

    (tmp_path / "plan.hmp").write_text("")
    (tmp_path / "completion").write_text(print_by("completion", "zsh"))
    (tmp_path / ".zshrc").write_text(
        "unset zle_bracketed_paste; PS1='%%-'; autoload -U compinit; compinit -u -D; source ./completion; echo rea''dy\n"
    )
    environment = {**os.environ, "HOME": str(tmp_path), "ZDOTDIR": str(tmp_path), "TERM": "vt100"}
    child: pexpect.spawn[bytes] = pexpect.spawn(
        shell("zsh"), ["-d", "-i"], cwd=str(tmp_path), env=environment, timeout=10, dimensions=(50, 200)
    )
    child.expect("ready")
    child.expect_exact("%-")
    child.send(f"{line}\t\t")
    # What is typed is shown as it is; what is completed, behind it or below.
    rest = [word if len(words) > 1 else word.removeprefix(line.split()[-1]) for word in sorted(words)]
    for each in rest:
        child.expect_exact(each)
    child.close(force=True)


def test_the_scripts_of_shells_have_no_mistake(tmp_path: Path) -> None:
    for name in ("bash", "zsh", "fish"):
        if shutil.which(name) is not None:
            (tmp_path / name).write_text(print_by("completion", name))
            done = subprocess.run([name, "-n", tmp_path / name], capture_output=True, text=True, check=False)
            assert (done.returncode, done.stderr) == (0, "")


def test_nothing_is_left_out() -> None:
    assert {each.name for each in subcommands()} == set(SUBCOMMANDS)
    assert all(each.help for each in subcommands())
    by_name = {each.name: each for each in subcommands()}
    assert by_name["stream"].words == ["diff", "extract", "info", "ls", "remap", "verify"]
    assert {"-json", "-matrix"} <= set(by_name["compat"].options)
    assert len(list(options())) == sum(map(len, OPTIONS.values()))
    assert all(values_of(option) for option in options() if option.name in ("accel", "target", "script", "display"))
    for name in ("bash", "zsh", "fish"):
        text = print_by("completion", name)
        assert all(re.search(rf"[-o ' |]{re.escape(option.name)}\b", text) for option in options())


def test_the_manual_page_is_well_formed(tmp_path: Path) -> None:
    page = print_by("man")
    (tmp_path / "ramslot.1").write_text(page)
    command = [shell("groff"), "-man", "-Tascii", "-P-cbou", "-ww", "-rLL=100n", str(tmp_path / "ramslot.1")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "macro" not in done.stderr and "expected" not in done.stderr
    text = done.stdout
    for option in options():
        assert re.search(rf"^ +-{re.escape(option.name)}\b", text, re.MULTILINE), option.name
    joined = " ".join(text.split())
    for command_name in (*(each.name for each in hmp_commands(find_release(None)).values()), *COMMANDS, *SUBCOMMANDS):
        assert command_name in joined
    assert joined.count("Example: ") > 30
    assert "ramslot compat -matrix" in joined


def test_man_shows_the_page(tmp_path: Path) -> None:
    (tmp_path / "ramslot.1").write_text(print_by("man"))
    environment = {**os.environ, "MANPAGER": "cat", "MANWIDTH": "80", "LC_ALL": "C"}
    done = subprocess.run(
        [shell("man"), "-l", tmp_path / "ramslot.1"], env=environment, capture_output=True, text=True, check=False
    )
    if "minimized" in done.stdout or done.returncode:
        pytest.skip("this system's man shows nothing")
    assert "RAMSLOT(1)" in done.stdout


@pytest.mark.parametrize("words", [["completion"], ["completion", "tcsh"], ["man", "x"]])
def test_mistakes_are_told(words: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ramslot", *words], env=ENVIRONMENT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("usage: ")
