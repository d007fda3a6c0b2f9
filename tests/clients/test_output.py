"""Standard streams that are closed, full or given up by their reader."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from .program import ENVIRONMENT, Program

SHOW = ["-M", "q35", "-c", "info mtree"]


def run(shell: str, options: list[str]) -> subprocess.CompletedProcess[str]:
    """Run ramslot with these redirections of a shell."""
    command = ["sh", "-c", f'"$@" {shell}', "sh", sys.executable, "-m", "ramslot", *options]
    return subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("options", [SHOW, ["-help"], ["-M", "help"]])
def test_a_full_disk_is_told(options: list[str]) -> None:
    done = run("> /dev/full", options)
    assert done.returncode == 1
    assert done.stderr == "ramslot: No space left on device\n"


@pytest.mark.parametrize("options", [SHOW, ["-help"], ["-M", "help"]])
def test_a_reader_that_has_gone_is_no_news(options: list[str]) -> None:
    done = run("| true", options)
    assert done.stderr == ""


@pytest.mark.parametrize("shell", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams(shell: str) -> None:
    done = run(shell, ["-M", "none", "-c", "info status"])
    assert done.returncode == 0
    assert done.stdout == ("" if ">&- 2" in shell or shell == ">&-" else "VM status: running\n")
    assert done.stderr == ""


def test_what_is_refused_does_not_go_to_standard_output() -> None:
    done = run("2>&-", ["-M", "none", "-c", "absent"])
    assert (done.returncode, done.stdout) == (1, "")


def test_a_script_that_waits_can_be_ended_and_serves_others(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "script")
    program = Program(tmp_path, "--script", "script")
    assert program.client().call("query-status")["status"] == "prelaunch"
    assert program.end(signal.SIGTERM)[0] == 0


def test_names_that_the_locale_does_not_know() -> None:
    command = [sys.executable, "-m", "ramslot", "-M", "none", "-name", "\u00e9\udcff", "-c", "info name"]
    environment = {**ENVIRONMENT, "PYTHONIOENCODING": "ascii", "LC_ALL": "C.UTF-8"}
    done = subprocess.run(command, env=environment, capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, b"\xc3\xa9\xff\n")


def test_a_daemon_runs_no_script() -> None:
    done = run("", ["-M", "none", "-daemonize", "-c", "info status"])
    assert (done.returncode, done.stderr) == (1, "ramslot: -daemonize cannot be used with -c or -script\n")


def test_a_reader_that_does_not_read_does_not_make_us_deaf() -> None:
    lines = [word for _ in range(40) for word in ("-c", "info mtree")]
    command = [sys.executable, "-m", "ramslot", "-M", "q35", *lines]
    process = subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE)
    time.sleep(1)
    assert process.poll() is None
    process.terminate()
    assert process.wait(30) == 0
    assert process.stdout is not None
    process.stdout.close()


def test_a_byte_order_mark_is_no_part_of_the_script() -> None:
    command = [sys.executable, "-m", "ramslot", "-M", "none"]
    done = subprocess.run(
        command, env=ENVIRONMENT, input="\ufeffinfo status\n", capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "VM status: running\n")
