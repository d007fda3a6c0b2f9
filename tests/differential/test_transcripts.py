"""What is written down of a session with real QEMU is answered the same by ramslot, and the other way round."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from ..clients.program import ENVIRONMENT
from .attached import MACHINES, RELEASES, options_of, running

if TYPE_CHECKING:
    from pathlib import Path

LINES = (
    *("info status", "info ramblock", "info memory-devices", "info memory_size_summary", "info memdev", "info numa"),
    *(
        "info mtree -f",
        "info mtree",
        "qom-list /machine/peripheral",
        "xp /4xw 0x3000000",
        "info nonsense",
        "info mtree -x",
    ),
    *(
        "set x 0x1000",
        "gpa2hpa $y",
        "info ramblock | head -1",
        "info mtree --depth 1",
        "assert info status contains paused",
    ),
    *('{"execute": "query-memdev"}', '{"execute": "query-memory-devices"}'),
)


def ramslot(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ramslot", *words]
    return subprocess.run(
        command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, timeout=60, check=False, stdin=subprocess.DEVNULL
    )  # fmt: skip


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("machine", MACHINES)
def test_transcripts_are_run_again(tmp_path: Path, machine: str, release: str) -> None:
    arch, options = options_of(machine)
    own = ("-qemu", release, "-target", arch, *options)
    given = [word for line in LINES for word in ("-c", line)]
    with running(machine, release) as (address, _):
        ramslot(tmp_path, "attach", address, "-keep-going", *given, "-transcript", "theirs")
        ramslot(tmp_path, *own, "--keep-going", *given, "-transcript", "ours")
        for words in (
            ("theirs", "--", *own),  # a session with QEMU on ours
            ("ours", "--", "attach", address),  # ours on QEMU
            ("theirs",),  # each on its own kind
            ("ours",),
        ):
            done = ramslot(tmp_path, "replay", *words)
            assert (done.stdout, done.stderr) == (f"{len(LINES)} lines, all answered as before\n", ""), words
            assert done.returncode == 0


def test_what_differs_is_shown(tmp_path: Path) -> None:
    with running("none", "7.2") as (address, _):
        ramslot(
            tmp_path, "attach", address, "-c", "info memory_size_summary", "-transcript", "log", "-record", "script"
        )
        done = ramslot(tmp_path, "replay", "log", "--", "-M", "none", "-m", "32M")
        assert done.returncode == 1
        assert "-base memory: 67108864\n+base memory: 33554432\n" in done.stdout
        assert (tmp_path / "script").read_text() == f"# ramslot attach {address}\ninfo memory_size_summary\n"
    done = ramslot(tmp_path, "replay", "log")  # it is gone
    assert (done.returncode, done.stdout) == (2, "")
    assert "attach" in done.stderr
