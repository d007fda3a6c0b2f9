"""The dirty rate's texts and refusals, QMP and HMP, against real QEMU."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from .oracle import BOTH, QUIET, REFERENCE, RELEASES, compare, finish, our_command, qemu, start

# Never what the dirty ring or bitmap would really measure: without KVM real QEMU crashes.
LINES = [
    "info dirty_rate",
    "info dirty_rate x",
    "help calc_dirty_rate",
    "help info dirty_rate",
    *(f"calc_dirty_rate {rest}" for rest in (
        "", "0", "-0", "61", "-1", "-5", "abc", "1 64", "1 127", "1 16385", "1 70000", "1 -5", "-x 1", "1 2 3",
        "-r -b 1", "-b -r 1", "-r 61", "-r 1 200", "-r 1 5", "4294967297", "0x", "1+", "(1", "(70", "1)", "7*9",
        "100/0", "100%0", "~0", "1 -", "61 64", "30+31", "2*(30+1)", "0x3d", "075", "09", "1k", "8&7^9|60", "61 x",
        "18446744073709551616", "-b 61", "--r 1", "$rip", "'a'", "100-40+3", "+61", "1 1 +", "0b", "'a", "'", "''"
    )),
    *(
        json.dumps({"execute": "calc-dirty-rate", "arguments": arguments})
        for arguments in (
            {}, {"calc-time": 0}, {"calc-time": 61}, {"calc-time": -1}, {"calc-time": "1"}, {"calc-time": 1.0},
            {"calc-time": 1, "sample-pages": 127}, {"calc-time": 1, "sample-pages": 16385},
            {"calc-time": 1, "sample-pages": -1}, {"calc-time": 61, "sample-pages": 1}, {"calc-time": 1, "mode": "x"},
            {"calc-time": 1, "mode": "dirty-ring", "sample-pages": 200},
            {"calc-time": 1, "mode": "dirty-ring", "sample-pages": 2}, {"calc-time": 1, "mode": None},
            {"calc-time": 1, "x": 1}, {"calc-time": 2**64},
        )
    ),
    '{"execute": "query-dirty-rate"}',
    "info dirty_rate",
]  # fmt: skip


@pytest.mark.parametrize("release", RELEASES)
def test_refusals_change_nothing(release: str, tmp_path: Path) -> None:
    lines = [line for line in LINES if release == REFERENCE or "$rip" not in line]  # later ones know the register
    compare("dirty_rate", "x86_64", "-M pc -m 64M", lines, tmp_path, release=release)


@pytest.mark.parametrize("release", BOTH)
@pytest.mark.parametrize("line", ["calc_dirty_rate 1", "calc_dirty_rate 0x2 128", "calc_dirty_rate 1+1 16384"])
def test_while_it_measures(release: str, line: str, tmp_path: Path) -> None:
    """A second request is refused, in a new process each, for what is measured takes its time."""
    program = qemu("x86_64", release)
    if program is None:
        pytest.skip("this QEMU is not installed")
    questions = [line, line, '{"execute": "calc-dirty-rate", "arguments": {"calc-time": 99}}']
    theirs = finish(start([program, "-M", "none", "-m", "64M", *QUIET], tmp_path), questions, program)
    ours = finish(
        start(our_command("x86_64", ["-M", "none", "-m", "64M", *QUIET], release), tmp_path), questions, "ramslot"
    )
    assert ours.replies[1] == theirs.replies[1]
    # (QEMU's thread may not have begun to measure when the next line comes.)
    assert ours.replies[2] in ("Error: the dirty rate is already being measured.\r\n", theirs.replies[2])
    assert json.loads(ours.replies[3])["error"]["desc"] == "the dirty rate is already being measured."


def measured(command: list[str], lines: list[str]) -> list[Any]:
    """The answers to `lines`, each asked 1.5 s after the one before."""
    process = subprocess.Popen(
        [*command, "-M", "none", "-m", "64M", *QUIET], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin
    assert process.stdout
    answers = []
    for line in ['{"execute": "qmp_capabilities"}', *lines]:
        process.stdin.write(line + "\n")
        process.stdin.flush()
        while "event" in (message := json.loads(process.stdout.readline())) or "QMP" in message:
            pass
        answers.append(message["return"])
        time.sleep(1.5 if "calc" in line else 0)
    process.communicate('{"execute": "quit"}\n')
    return answers[1:]


@pytest.mark.parametrize("release", BOTH)
def test_the_result_of_a_guest_that_writes_nothing(release: str) -> None:
    program = qemu("x86_64", release)
    if program is None:
        pytest.skip("this QEMU is not installed")
    lines = [
        '{"execute": "calc-dirty-rate", "arguments": {"calc-time": 1, "sample-pages": 200}}',
        '{"execute": "query-dirty-rate"}',
        '{"execute": "human-monitor-command", "arguments": {"command-line": "info dirty_rate"}}',
    ]
    theirs = measured([program], lines)
    os.environ.update(PYTHONPATH=str(Path(our_package()).parent))
    ours = measured(our_command("x86_64", [], release), lines)
    assert abs(theirs[1].pop("start-time") - ours[1].pop("start-time")) < 60, "the same clock"
    assert ours[:2] == theirs[:2]
    assert re.sub(r"Time: \d+", "", ours[2]) == re.sub(r"Time: \d+", "", theirs[2])


def our_package() -> str:
    import ramslot

    return str(Path(str(ramslot.__file__)).parent)


RING_SIZES = ["3", "abc", "-1", "4294967296", "1x", ""]


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("size", RING_SIZES)
def test_bad_sizes_of_the_dirty_ring(release: str, size: str, tmp_path: Path) -> None:
    if not os.path.exists("/dev/kvm"):
        pytest.skip("no /dev/kvm")
    compare("dirty_rate", "x86_64", f"-M none -accel kvm,dirty-ring-size={size}", [], tmp_path, release=release)
