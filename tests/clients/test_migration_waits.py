"""Who waits for the end of a migration: a script that began it, and a person; see also `test_console_terminal`."""

from __future__ import annotations

import socket
import subprocess
import time
from pathlib import Path

from tests.differential.oracle import OUR_ENVIRONMENT, our_command
from tests.differential.partners import ours

RELEASE = "7.2"


def test_a_script_sees_its_migration_through(tmp_path: Path) -> None:
    line = f'migrate "exec:cat > {tmp_path}/stream"'
    command = our_command("x86_64", ["-M", "none", "-m", "16", "-c", line], RELEASE)
    assert subprocess.run(command, env=OUR_ENVIRONMENT, timeout=60).returncode == 0
    assert (tmp_path / "stream").read_bytes().endswith(b"}")
    command = our_command("x86_64", ["-M", "none", "-c", "migrate unix:/nonexistent/x"], RELEASE)
    failed = subprocess.run(command, env=OUR_ENVIRONMENT, timeout=60, capture_output=True, text=True)
    assert failed.returncode == 1
    assert "Failed to connect to '/nonexistent/x'" in failed.stderr


def test_a_script_goes_on_behind_its_migration(tmp_path: Path) -> None:
    """A line that does not say -d is done when the migration is; where that fails, so does the line."""

    def run(*lines: str) -> tuple[int, str, str]:
        given = [word for line in lines for word in ("-c", line)]
        done = subprocess.run(
            our_command("x86_64", ["-M", "none", "-m", "16", *given], "11.1"),
            env=OUR_ENVIRONMENT,
            timeout=60,
            capture_output=True,
            text=True,
        )
        return done.returncode, done.stdout, done.stderr

    where = f'"exec:sleep 0.3; cat > {tmp_path}/stream"'
    assert run(f"migrate {where}", "info status") == (0, "VM status: paused (postmigrate)\n", "")
    status, output, _errors = run(f"migrate -d {where}", "info status")
    assert (status, "postmigrate" in output) == (0, False)
    assert (tmp_path / "stream").read_bytes().endswith(b"}")
    line = "migrate unix:/nonexistent/x"
    error = "Error: Failed to connect to '/nonexistent/x': No such file or directory"
    assert run(line, "info status") == (1, "", f"ramslot: -c '{line}': {error}\n")


def test_the_end_of_the_program_ends_a_persons_wait(tmp_path: Path) -> None:
    """At a monitor and in a script; nothing is said of it."""
    monitor = f"unix:{tmp_path}/monitor,server=on,wait=off"
    with (
        ours(RELEASE, ["-M", "none", "-monitor", monitor], tmp_path) as source,
        socket.socket(socket.AF_UNIX) as person,
    ):
        person.connect(f"{tmp_path}/monitor")
        person.sendall(b'migrate "exec:exec sleep 30"\r')
        source.wait_for("active", "setup")
        source.ask("quit")
        assert source.process.wait(10) == 0
        assert source.errors == ""
    line = 'migrate "exec:exec sleep 30"'
    script = subprocess.Popen(
        our_command("x86_64", ["-M", "none", "-c", line, "-c", "info status"], RELEASE),
        env=OUR_ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    children = Path(f"/proc/{script.pid}/task/{script.pid}/children")
    deadline = time.monotonic() + 60
    while not any(path.read_text() for path in children.parent.parent.glob("*/children")):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    script.terminate()
    output, _errors = script.communicate(timeout=60)
    assert output == b""
    assert script.returncode == 0
