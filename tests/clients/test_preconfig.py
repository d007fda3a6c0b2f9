"""-preconfig over a socket, in a script and at the console: NUMA nodes are named, then the machine is made, or not."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from .program import ENVIRONMENT, Program, QMPError
from .terminal import Terminal

Launch = Callable[..., Program]
OTHER = ("-qmp", "unix:other.sock,server=on,wait=off")


def test_two_clients_make_a_machine(launch: Launch) -> None:
    program = launch("-preconfig", *OTHER, "-m", "128M", "-smp", "2,maxcpus=4", machine="pc")
    first, second = program.client(), program.client("other.sock")
    assert first.call("query-status")["status"] == "prelaunch"
    with pytest.raises(QMPError, match="'cont' is permitted only after machine initialization has completed"):
        second.call("cont")
    for name in "ab":
        first.call("object-add", qom_type="memory-backend-ram", id=name, size=64 << 20)
        second.call("set-numa-node", type="node", memdev=name)
    assert [slot.get("qom-path") for slot in first.call("query-hotpluggable-cpus")] == [None] * 4
    first.call("set-numa-node", type="dist", src=0, dst=1, val=17)
    second.call("x-exit-preconfig")
    with pytest.raises(QMPError, match="permitted only before machine initialization"):
        first.call("x-exit-preconfig")
    assert first.hmp("info numa").startswith("2 nodes")
    assert [node["distances"] for node in second.call("query-numa")] == [[10, 17], [17, 10]]
    assert [bool(slot.get("qom-path")) for slot in first.call("query-hotpluggable-cpus")] == [False] * 2 + [True] * 2
    assert len(program.mappings()) >= 2


def test_a_machine_that_cannot_be_made_ends_the_program(launch: Launch) -> None:
    program = launch("-preconfig", *OTHER, "-m", "128M", machine="pc")
    first, second = program.client(), program.client("other.sock")
    first.call("set-numa-node", type="node")
    first.send(b'{"execute": "x-exit-preconfig"}{"execute": "query-status"}')
    assert first.at_end()
    assert second.at_end()
    assert (first.events, second.events) == ([], [])
    status, output, errors = program.end()
    assert (status, output) == (1, "")
    assert errors.startswith("ramslot: total memory for NUMA nodes (0x0) should equal RAM size (0x8000000)\n")


def test_prealloc_on_the_way_out_keeps_nobody_waiting(launch: Launch) -> None:
    program = launch("-preconfig", *OTHER, "-m", "512M", "-mem-prealloc", machine="pc")
    first, second = program.client(), program.client("other.sock")
    first.send(b'{"execute": "x-exit-preconfig"}')
    assert second.call("query-status")["status"] == "prelaunch"
    with pytest.raises(QMPError, match="permitted only"):
        second.call("set-numa-node", type="node")
    assert first.answer("x-exit-preconfig") == {}
    assert second.call("query-cpus-fast")


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ramslot", *arguments]
    return subprocess.run(command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, timeout=60)


def test_a_script_leaves_preconfig(tmp_path: Path) -> None:
    lines = ("object_add memory-backend-ram,id=a,size=64M", "set_numa_node node,memdev=a", "exit_preconfig")
    options = [word for line in (*lines, "info numa") for word in ("-c", line)]
    done = run(tmp_path, "-M", "pc", "-m", "64M", "-preconfig", *options)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "1 nodes\nnode 0 cpus: 0\nnode 0 size: 64 MB\nnode 0 plugged: 0 MB\n"


@pytest.mark.parametrize("line", ["exit_preconfig", '{"execute": "x-exit-preconfig"}'])
def test_a_script_that_cannot_leave_says_so_once(line: str, tmp_path: Path) -> None:
    done = run(tmp_path, "-M", "pc", "-m", "64M", "-preconfig", "-c", "set_numa_node node", "-c", line, "-c", "stop")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("ramslot: total memory for NUMA nodes (0x0) should equal RAM size (0x4000000)\n")


def test_the_console_is_of_use_before_there_is_a_machine() -> None:
    terminal = Terminal("-M", "pc", "-m", "64M", "-preconfig")
    try:
        terminal.until(lambda: terminal.line.startswith("(ramslot)"))
        terminal.child.send("info numa\r")
        terminal.until_shown("Command 'info numa' not available until machine initialization has completed.")
        terminal.until_shown("hint: 'exit_preconfig'")
        terminal.child.send('{"execute": "set-numa-node", "arguments": {"type": "node", "nodeid": 128}}\r')
        terminal.until_shown("Max number of NUMA nodes reached: 128")
        terminal.child.send("exit_preconfig\r")
        terminal.child.send("info numa\r")
        terminal.until_shown("0 nodes")
        terminal.child.send("quit\r")
        terminal.until(lambda: not terminal.child.isalive())
        assert terminal.child.exitstatus == 0
    finally:
        terminal.child.close(force=True)
