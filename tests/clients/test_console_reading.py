"""Reading at the console, on a real terminal: pagers, pipes, what is watched, colours, files of one's own."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from .terminal import Terminal

needs_less = pytest.mark.skipif(shutil.which("less") is None, reason="there is no less")
Q35 = ("-M", "q35", "-m", "6G", "-accel", "sim")


@needs_less
def test_what_is_longer_than_the_screen_is_paged(terminal: Callable[..., Terminal]) -> None:
    console = terminal(*Q35, PAGER="less", LESS="FRX")
    console.type("info mtree\r")
    console.until(lambda: console.line == ":")
    assert "address-space: memory" in console.text
    row = next(row for row, line in enumerate(console.screen.display) if "system" in line)
    assert len({cell.fg for cell in console.screen.buffer[row].values()}) > 2  # it kept its colours
    console.type("G")
    console.until(lambda: console.line.startswith("(END)"))
    assert "address-space: memory\n" not in console.text
    console.type("/pcie-mmcfg-mmio\r")
    console.type("q")
    console.until_prompt()
    console.run("info status")
    assert "VM status: running" in console.text


@needs_less
def test_less_is_the_pager_where_none_is_named(terminal: Callable[..., Terminal]) -> None:
    console = terminal(*Q35, PAGER="less -i", LESS="FRX")
    console.run("info memory_size_summary")  # short answers are not
    console.type("info mtree\r")
    console.until(lambda: console.line == ":")
    console.type("\x03")  # is its own business
    console.type("q")
    console.until_prompt()


@pytest.mark.parametrize("environment", [{"PAGER": "cat"}, {"PAGER": ""}, {"TERM": "dumb", "PAGER": "false"}])
def test_who_wants_no_pager_has_none(terminal: Callable[..., Terminal], environment: dict[str, str]) -> None:
    console = terminal(*Q35, **environment)
    console.run("info mtree")
    assert "memory-region: system.flash" in console.text or "ram-above-4g" in console.text


def test_a_pager_of_ones_own_has_no_colours(terminal: Callable[..., Terminal], tmp_path: Path) -> None:
    console = terminal(*Q35, PAGER=f"cat -v > {tmp_path}/paged")
    console.run("info mtree")
    text = (tmp_path / "paged").read_text()
    assert text.startswith("address-space: memory\n")
    assert "^[" not in text


def test_events_wait_while_a_pager_has_the_terminal(terminal: Callable[..., Terminal]) -> None:
    console = terminal(*Q35, "-qmp", "unix:qmp.sock,server=on,wait=off", PAGER="sleep 1; echo paged; true")
    console.type("info mtree\r")
    time.sleep(0.3)
    console.type("stop\r")  # is typed ahead, and read when the pager has ended
    console.until_shown("event: STOP")
    assert console.text.index("paged") < console.text.index("event: STOP")


def test_answers_go_to_commands_and_files(terminal: Callable[..., Terminal], tmp_path: Path) -> None:
    console = terminal(*Q35)
    console.run("info ramblock | grep -c pc.ram")
    assert "\n1\n" in console.text
    console.run(f"info ramblock > {tmp_path}/table")
    assert "pc.ram" in (tmp_path / "table").read_text()
    console.run("-j info memory_size_summary")
    assert '"base-memory": 6442450944' in console.text
    console.run("info status | absent-program")
    assert "not found" in console.text
    assert "hint" not in console.text
    console.run("info status > /nonexistent/x")
    assert "Error: cannot write '/nonexistent/x': No such file or directory" in console.text


def test_ctrl_c_ends_the_command_behind_a_pipe(terminal: Callable[..., Terminal]) -> None:
    console = terminal(*Q35)
    console.type("info status | sleep 60\r")
    time.sleep(0.5)
    console.type("\x03")
    console.until_prompt()
    console.run("info version")
    assert "11.1" in console.text


def test_ctrl_c_ends_watching(terminal: Callable[..., Terminal], tmp_path: Path) -> None:
    console = terminal(*Q35, "-qmp", f"unix:{tmp_path}/qmp,server=on,wait=off")
    console.run("info name")
    console.type("watch 0.2 info status\r")
    console.until_shown("every 0.2 s: info status; Ctrl-C ends")
    console.until_shown("VM status: running")
    assert "(ramslot)" not in console.text  # it has a screen of its own
    with socket.socket(socket.AF_UNIX) as client, client.makefile("rb") as answers:
        client.connect(f"{tmp_path}/qmp")
        client.sendall(b'{"execute":"qmp_capabilities"}{"execute":"stop"}')
        for _ in range(4):
            answers.readline()
        console.until_shown("VM status: paused")
    row = next(row for row, line in enumerate(console.screen.display) if "VM status" in line)
    console.child.setwinsize(10, 20)  # is no reason to stop
    os.kill(console.pid, signal.SIGWINCH)
    assert any(cell.reverse for cell in console.screen.buffer[row].values()) or "paused" in console.text
    console.type("\x03")
    console.until(lambda: console.line == "(ramslot)")
    own, afterwards = (console.written.rindex(f"\x1b[?1049{end}".encode()) for end in "hl")
    assert own < afterwards < console.written.index(b"event: STOP")  # it waited
    assert b"VM status: " in console.written[afterwards:]


def test_what_changed_is_marked(terminal: Callable[..., Terminal]) -> None:
    console = terminal("-M", "pc", "-m", "1G", "-accel", "sim")
    console.run("dirty_log_start")
    console.type("watch 0.3 info guest\r")
    console.until_shown("every 0.3 s: info guest")
    console.type("\x03")
    console.until_prompt()
    console.run("mark")
    console.run("object_add memory-backend-ram,id=fresh,size=1M")
    console.run("diff")
    row = next(row for row, line in enumerate(console.screen.display) if line.startswith("+ "))
    assert console.screen.buffer[row][0].fg == "008700"


def test_a_start_up_file(terminal: Callable[..., Terminal], tmp_path: Path) -> None:
    (tmp_path / "config" / "ramslot").mkdir(parents=True)
    (tmp_path / "config" / "ramslot" / "startup").write_text(
        '# mine\nalias st info status\nnonsense\nset x 1M\n{"execute":\n "query-absent"}\n'
    )
    console = terminal("-M", "none")
    console.until(lambda: "ramslot/startup:3: unknown command: 'nonsense'" in console.text.replace("\n", ""))
    console.until_shown("ramslot/startup:5:")
    console.until_prompt()
    console.run("st")
    assert "VM status: running" in console.text
    console.run("object_add memory-backend-ram,id=m,size=$x")
    console.run("info memdev")
    assert "size:  1048576" in console.text


def test_scripts_at_the_console(terminal: Callable[..., Terminal], tmp_path: Path) -> None:
    (tmp_path / "a").write_text(f"stop\nsource {tmp_path}/b\ncont\n")
    (tmp_path / "b").write_text("info status\nassert info status contains running\n")
    console = terminal("-M", "none")
    console.run(f"source {tmp_path}/a")
    assert "VM status: paused" in console.text
    told = f"{tmp_path}/a:2: {tmp_path}/b:2: assertion failed: info status contains running"
    assert "".join(told.split()) in "".join(console.text.split())  # wherever the line was broken
    console.run("info status")
    assert "running" not in console.text.rsplit("VM status", 1)[1]
    (tmp_path / "b").write_text(f"source {tmp_path}/b\n")
    console.run(f"source {tmp_path}/b")
    assert "morethan16filesinoneanother" in "".join(console.text.split())


def test_what_is_typed_is_written_down(terminal: Callable[..., Terminal], tmp_path: Path) -> None:
    console = terminal("-M", "none", "-record", f"{tmp_path}/script", "-transcript", f"{tmp_path}/log")
    console.run("info status | tr a-z A-Z")
    console.run("nonsense")
    console.type('{"execute":\r"stop"}\r')
    console.until_shown("event: STOP")
    console.type("\x04")
    console.end()
    assert (tmp_path / "script").read_text() == (
        '# ramslot -M none\ninfo status | tr a-z A-Z\n# failed: nonsense\n{"execute":\n"stop"}\nquit\n'.removesuffix(
            "quit\n"
        )
    )
    log = (tmp_path / "log").read_text()
    assert "(ramslot) info status | tr a-z A-Z\nVM STATUS: RUNNING\n(ramslot) nonsense\nunknown command" in log


def test_vi_keys(terminal: Callable[..., Terminal], tmp_path: Path) -> None:
    (tmp_path / "inputrc").write_text("$if Bash\nset editing-mode emacs\n$endif\nset editing-mode vi\n")
    for arguments, environment in ((("-vi",), {}), ((), {"INPUTRC": f"{tmp_path}/inputrc"})):
        console = terminal("-M", "none", *arguments, **environment)
        console.type("xinfo status")
        console.until(lambda: console.line.endswith("xinfo status"))  # noqa: B023 - it is asked at once
        console.type("\x1b")
        time.sleep(0.7)
        console.type("0x")
        console.until(lambda: console.line == "(ramslot) info status")  # noqa: B023
        console.type("\r")
        console.until_shown("VM status: running")


def test_mistyped_words_are_recognised(terminal: Callable[..., Terminal]) -> None:
    console = terminal("-M", "q35", "-m", "1G,slots=1,maxmem=4G")
    for line, meant in {
        "object_add memory-backend-rm,id=a,size=1M": "memory-backend-ram",
        "object_add memory-backend-ram,id=a,sise=1M": "size",
        "device_add pc-dimn,id=d": "pc-dimm",
        "migrate_set_parameter max-bandwith 1": "max-bandwidth",
        "dif": "diff",
    }.items():
        console.run(line)
        assert f"hint: did you mean '{meant}'?" in console.text, line
        console.type("\x0c")


def test_tables_fit_the_terminal(terminal: Callable[..., Terminal]) -> None:
    console = terminal("-M", "pc", "-m", "6G", "-accel", "sim")
    console.run("info ramblock")
    row = next(line for line in console.screen.display if "pc.ram " in line)
    assert row.rstrip().endswith(" rw")
    console.run("info ramblock | cat")  # for other programs it is what it always is
    assert "0x0000000000000000 0x0000000180000000" in console.text.replace("\n", "")
