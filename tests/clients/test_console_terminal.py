"""The interactive console on a real pseudo-terminal, as its user sees it: the screen is what a terminal makes of it."""

from __future__ import annotations

import os
import re
import signal
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from .terminal import Terminal


def test_greets_shows_the_machine_and_quits(terminal: Callable[..., Terminal]) -> None:
    console = terminal("-M", "q35", "-m", "6G")
    assert "pc-q35-11.1, 6 GiB RAM; 'help' lists the commands" in console.text
    console.until_shown("pc-q35-11.1 │ running │ 6 GiB RAM │ sim: 6/32764 memslots │ 0 clients")
    console.run("info status")
    assert "VM status: running" in console.text
    console.type("quit\r")
    assert console.end() == 0
    assert "SHUTDOWN" not in console.text
    assert "Traceback" not in console.text


def test_the_prompt_is_coloured_and_the_error_red(terminal: Callable[..., Terminal]) -> None:
    console = terminal()
    console.run("nonsense")
    row = next(row for row, line in enumerate(console.screen.display) if line.startswith("unknown command"))
    assert console.screen.buffer[row][0].fg == "d70000"
    assert console.screen.buffer[console.screen.cursor.y][0].fg == "008700"


def test_no_color(terminal: Callable[..., Terminal]) -> None:
    console = terminal(NO_COLOR="1")
    console.run("info ramblock")
    console.run("nonsense")
    console.until_shown("0 clients")
    cells = [cell for row in console.screen.buffer.values() for cell in row.values()]
    assert {cell.fg for cell in cells} == {cell.bg for cell in cells} == {"default"}
    assert any(cell.reverse for cell in cells)  # the status bar


def test_dumb_terminal(terminal: Callable[..., Terminal]) -> None:
    console = terminal(TERM="dumb")
    console.run("info status")
    console.run("nonsense")
    assert "VM status: running\n" in console.text
    assert b"\x1b" not in console.written


def test_tab_completes_words_of_the_machine(terminal: Callable[..., Terminal]) -> None:
    console = terminal()
    console.run("object_add memory-backend-ram,id=fresh,size=1M")
    console.type("object_del \t")
    console.until(lambda: console.line == "(ramslot) object_del fresh")
    console.type("\x03")
    console.until_prompt()
    console.type("object_add memory-backend-ram,po\t")
    console.until(lambda: console.line.endswith("policy="))


def test_ctrl_c_cancels_the_line_and_the_machine_lives(terminal: Callable[..., Terminal]) -> None:
    console = terminal()
    console.type("stop")
    console.until(lambda: console.line == "(ramslot) stop")
    console.type("\x03")
    console.until_prompt()
    os.kill(console.pid, signal.SIGINT)
    console.until_shown("Ctrl-D or 'quit' ends the session")
    console.until_prompt()
    console.run("info status")
    assert "VM status: running" in console.text


def test_ctrl_d_quits(terminal: Callable[..., Terminal]) -> None:
    console = terminal()
    console.type("\x04")
    assert console.end() == 0


def test_unfinished_json_goes_on_in_the_next_line(terminal: Callable[..., Terminal]) -> None:
    console = terminal()
    console.type('{"execute":\r')
    console.until(lambda: console.line.strip() == "...")
    console.type('"query-status"}\r')
    console.until_shown('"status": "running"')
    console.until_prompt()


def test_qmp_client_beside_one_who_types(terminal: Callable[..., Terminal], tmp_path: Path) -> None:
    path = f"{tmp_path}/qmp"
    console = terminal("-M", "none", "-qmp", f"unix:{path},server=on,wait=off")
    console.type("info sta")
    console.until(lambda: console.line == "(ramslot) info sta")
    with socket.socket(socket.AF_UNIX) as client, client.makefile("rb") as answers:
        client.connect(path)
        assert b"QMP" in answers.readline()
        client.sendall(b'{"execute":"qmp_capabilities"}{"execute":"stop"}')
        assert b"return" in answers.readline()
        assert b"STOP" in answers.readline()
        assert b"return" in answers.readline()
        console.until(lambda: "paused" in console.text and "1 client" in console.text)
        console.until(lambda: console.line == "(ramslot) info sta")  # the line is as it was, below the event
        assert "event: STOP\n(ramslot) info sta" in console.text
        console.type("tus\r")
        console.until_shown("VM status: paused")
    console.until_shown("0 clients")


def test_error_with_a_hint(terminal: Callable[..., Terminal]) -> None:
    console = terminal("-M", "none", "-m", "16M")
    console.run("mtree")
    assert "unknown command: 'mtree'\nhint: did you mean 'info mtree'?" in console.text


def test_sigterm_restores_the_terminal(terminal: Callable[..., Terminal], tmp_path: Path) -> None:
    path = f"{tmp_path}/qmp"
    console = terminal("-M", "none", "-qmp", f"unix:{path},server=on,wait=off")
    console.type("sto")
    console.until(lambda: console.line == "(ramslot) sto")
    os.kill(console.pid, signal.SIGTERM)
    assert console.end() == 0
    assert 'event: SHUTDOWN {"guest": false, "reason": "host-signal"}' in console.text
    assert "clients" not in console.text  # the status bar is gone
    assert console.written.rindex(b"\x1b[?2004l") > console.written.rindex(b"\x1b[?2004h")  # no bracketed paste
    assert not os.path.exists(path)
    assert "Traceback" not in console.text


def test_the_terminal_s_end_ends_the_program(terminal: Callable[..., Terminal], tmp_path: Path) -> None:
    pidfile = tmp_path / "pid"
    console = terminal("-M", "none", "-pidfile", str(pidfile))
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), console.child.fileno())
    console.child.wait()
    assert console.child.exitstatus == 0
    assert not pidfile.exists()


def resident_memory(pid: int) -> int:
    """Bytes of a process that are in memory."""
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_ctrl_c_cancels_a_long_command(terminal: Callable[..., Terminal]) -> None:
    console = terminal("-M", "none")
    before = resident_memory(console.pid)
    console.type("object_add memory-backend-ram,id=big,size=4G,prealloc=on,prealloc-threads=1\r")
    console.until(lambda: resident_memory(console.pid) > before + (32 << 20))
    console.until(lambda: "left; Ctrl-C cancels" in console.line)  # the first may come before there is a rate
    assert re.fullmatch(r"big \[#*\.*\] +\d+%  .* of 4 GiB, .* [MG]iB/s, .* s left; Ctrl-C cancels", console.line)
    console.type("\x03")
    console.until_shown("Error: Operation cancelled")
    assert "big [" not in console.text
    console.until_prompt()
    console.run("info memdev")
    assert "memory backend" not in console.text
    assert resident_memory(console.pid) < before + (32 << 20)


def test_a_bar_is_shown_while_the_machine_is_being_made(terminal: Callable[..., Terminal]) -> None:
    console = terminal("-M", "none", "-m", "4G", "-mem-prealloc", "-c", "info status", prompt=False)
    console.until_shown("ram [#")
    console.until_shown("VM status: running")
    assert "ram [" not in console.text


def noisy(tmp_path: Path) -> tuple[str, ...]:
    """A machine with 16 MiB that take some time where there is a limit."""
    (tmp_path / "noise").write_bytes(os.urandom(16 << 20))
    ram = f"memory-backend-file,id=ram0,size=16M,mem-path={tmp_path}/noise,share=on"
    return "-object", ram, "-M", "none,memory-backend=ram0", "-accel", "sim"


def test_a_migration_has_a_bar_and_ctrl_c_cancels_it(terminal: Callable[..., Terminal], tmp_path: Path) -> None:
    console = terminal(*noisy(tmp_path))
    console.run("migrate_set_parameter max-bandwidth 4M")
    console.type('migrate "exec:cat >/dev/null"\r')
    console.until(lambda: "iB/s" in console.line and "left" in console.line)
    shown = r"migration \[#*\.*\] +\d+%  .* of 16 MiB, .* [MK]iB/s, .* s left; Ctrl-C cancels"
    assert re.fullmatch(shown, console.line)
    console.type("\x03")
    console.until_shown("Error: Operation cancelled")
    assert "migration [" not in console.text
    console.until_prompt()
    console.run("info migrate")
    assert "cancelled" in console.text
    console.run("migrate_set_parameter max-bandwidth 0")
    console.run('migrate "exec:cat >/dev/null"')
    console.run("info status")
    assert "VM status: paused (postmigrate)" in console.text


def test_a_migration_that_fails_is_the_lines_failure(terminal: Callable[..., Terminal]) -> None:
    console = terminal("-M", "none")
    console.run("migrate unix:/nonexistent/x")
    assert "Error: Failed to connect to '/nonexistent/x': No such file or directory" in console.text
    console.run('migrate -d "exec:sleep 5"')
    assert "Error: " not in console.text.split("migrate -d")[1]


def test_a_scripts_migration_has_a_bar_too(terminal: Callable[..., Terminal], tmp_path: Path) -> None:
    limit = "migrate_set_parameter max-bandwidth 8M"
    line = 'migrate "exec:cat >/dev/null"'
    console = terminal(*noisy(tmp_path), "-c", limit, "-c", line, "-c", "info status", prompt=False)
    console.until_shown("migration [#")
    console.until_shown("VM status: paused (postmigrate)")
    assert "migration [" not in console.text
    assert console.end() == 0


def test_a_bar_of_a_dump_and_ctrl_c(terminal: Callable[..., Terminal], tmp_path: Path) -> None:
    """A pipe that nobody empties takes all the time there is."""
    os.mkfifo(tmp_path / "fifo")
    reader = os.open(tmp_path / "fifo", os.O_RDONLY | os.O_NONBLOCK)
    console = terminal("-M", "none", "-m", "1G")
    console.type(f"dump-guest-memory {tmp_path}/fifo\r")
    console.until_shown(f"{tmp_path}/fifo [....")
    console.type("\x03")
    console.until_shown("Error: Operation cancelled")
    console.until_prompt()
    console.run("info dump")
    assert "Status: failed" in console.text
    os.close(reader)


def test_a_machine_that_the_host_refuses_is_explained(terminal: Callable[..., Terminal]) -> None:
    backend = "memory-backend-memfd,id=m,size=3G,hugetlb=on,host-nodes=1,policy=bind,prealloc=on"
    host = "nodes=2,memory=8G,hugepages-1G=2"
    console = terminal("-host", host, "-M", "none", "-object", backend, prompt=False)
    console.until_shown("preallocating memory failed: Bad address")
    console.until_shown("hint: 1 more huge pages of 1 GiB are needed on node 1: 3, and 2 can be had")
    assert console.end() == 1


def test_how_a_list_is_written_is_told(terminal: Callable[..., Terminal]) -> None:
    console = terminal("-M", "none")
    console.type("object_add memory-backend-ram,id=m,size=1M,host-nodes=0,policy=bind\r")
    console.until_shown("hint: a list is written NAME.0=VALUE,NAME.1=VALUE here")
    console.until_prompt()


def test_resizing_the_window_redraws_the_prompt(terminal: Callable[..., Terminal]) -> None:
    console = terminal()
    console.type("info status")
    console.until(lambda: console.line == "(ramslot) info status")
    console.screen.resize(20, 60)
    console.child.setwinsize(20, 60)
    console.until(lambda: "0 client" in console.text)
    console.until(lambda: console.line == "(ramslot) info status")
    console.type("\r")
    console.until_shown("VM status: running")


def test_long_output_and_ctrl_l(terminal: Callable[..., Terminal]) -> None:
    console = terminal("-M", "q35", "-m", "6G")
    console.run("info mtree")
    assert "ram-above-4g" in console.text
    console.type("\x0c")
    console.until(lambda: "ram-above-4g" not in console.text)
    console.until_prompt()
    assert console.screen.cursor.y == 0


def test_history_and_suggestions_come_back(terminal: Callable[..., Terminal]) -> None:
    first = terminal("-M", "none", "-m", "16M")
    first.run("info memory_size_summary")
    first.type("\x04")
    first.end()
    second = terminal("-M", "none", "-m", "16M")
    second.type("info mem")
    second.until(lambda: second.line == "(ramslot) info memory_size_summary")  # suggested
    second.type("\x1b[C\r")
    second.until_shown("base memory: 16777216")
