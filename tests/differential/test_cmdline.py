"""Command lines, right and wrong, through real QEMU 7.2 and through `parse`: same messages, same exit status."""

import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from ramslot.monitor.command_line.options import parse
from ramslot.monitor.command_line.settings import CommandLineError

PROGRAM = "qemu-system-x86_64"

pytestmark = pytest.mark.skipif(shutil.which(PROGRAM) is None, reason=f"{PROGRAM} is not installed")

BASE = ["-M", "none", "-display", "none", "-nodefaults", "-S"]
QUIT = '{"execute":"qmp_capabilities"}{"execute":"quit"}'
LINES = Path(__file__).parent / "command_lines"
"""Command lines by what becomes of them and by subject, one to a line of text."""


def lines(pattern: str) -> list[str]:
    """All lines of the files whose names fit."""
    found = [line for file in sorted(LINES.glob(pattern)) for line in file.read_text("utf-8").splitlines()]
    assert found, f"there is no {LINES}/{pattern}"
    return found


def real(arguments: list[str], folder: str) -> tuple[str, str, int]:
    done = subprocess.run(
        [PROGRAM, *arguments], input=QUIT, cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )
    return done.stdout, done.stderr, done.returncode


def ours(arguments: list[str]) -> tuple[str, int]:
    try:
        settings = parse(["/usr/bin/" + PROGRAM, *arguments], qemu="7.2")
    except CommandLineError as error:
        messages, status = error.messages, 1
    else:
        messages, status = settings.warnings, settings.question.status if settings.question else 0
    return "".join(f"{PROGRAM}: {message}\n" for message in messages), status


@pytest.mark.parametrize("line", lines("wrong/*.txt"))
def test_wrong_lines_end_with_the_same_text(line: str, tmp_path: str) -> None:
    arguments = [*BASE, *shlex.split(line)]
    _, text, status = real(arguments, tmp_path)
    assert status == 1
    assert ours(arguments) == (text, status)


@pytest.mark.parametrize("line", lines("right/*.txt"))
def test_right_lines_are_right_with_the_same_warnings(line: str, tmp_path: str) -> None:
    arguments = [*BASE, *shlex.split(line), "-qmp", "stdio"]
    _, text, status = real(arguments, tmp_path)
    assert status == 0
    assert ours(arguments) == (text, status)


@pytest.mark.parametrize("line", lines("questions.txt"))
def test_questions_are_answered_in_the_same_place(line: str, tmp_path: str) -> None:
    arguments = [*BASE, *shlex.split(line)]
    output, text, status = real(arguments, tmp_path)
    assert ours(arguments) == (text, status)
    question = parse([PROGRAM, *arguments], qemu="7.2").question
    assert question is not None
    if question.kind == "text":
        assert question.text + "\n" == output
