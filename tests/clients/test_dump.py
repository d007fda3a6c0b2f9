"""Dumps as clients see them: others are answered meanwhile, a descriptor that came along, ends of clients and program."""

from __future__ import annotations

import array
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from shutil import which

import pytest

from .program import Program, QMPError, wait_for

Launch = Callable[..., Program]
MIB = 1 << 20
SECOND = "-qmp", "unix:other.sock,server=on,wait=off"


@pytest.fixture
def fifo(tmp_path: Path) -> Path:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    return path


def reading(path: Path) -> int:
    return os.open(path, os.O_RDONLY | os.O_NONBLOCK)


def test_others_are_answered_while_one_waits(launch: Launch, fifo: Path) -> None:
    program = launch("-m", "64M", *SECOND)
    one, other = program.client(), program.client("other.sock")
    with os.fdopen(reading(fifo), "rb"):
        before = program.descriptors()
        one.send(
            b'{"execute": "dump-guest-memory", "arguments": {"paging": false, "protocol": "file:%s"}}'
            % os.fsencode(fifo)
        )
        wait_for(lambda: other.call("query-dump")["status"] == "active", "dump")
        assert other.hmp("info dump").startswith("Status: active\r\nFinished: 0.00 %")
        with pytest.raises(QMPError, match="There is a dump in process, please wait"):
            other.call("dump-guest-memory", paging=False, protocol="file:x")
        assert other.call("object-add", qom_type="memory-backend-ram", id="m", size=MIB) == {}
        assert other.call("dump-cancel") == {}
        assert one.reply()["error"]["desc"] == "Operation cancelled"
        assert other.event("DUMP_COMPLETED")["data"]["error"] == "Operation cancelled"
        wait_for(lambda: program.descriptors() == before, "closed file")


def test_nobody_there_to_read(launch: Launch, fifo: Path) -> None:
    client = launch("-m", "64M").client()
    with pytest.raises(QMPError, match=r"^Could not create '.*': No such device or address$"):
        client.call("dump-guest-memory", paging=False, protocol=f"file:{fifo}")


@pytest.mark.parametrize("detach", [True, False])
def test_who_goes_takes_what_it_waits_for_along(launch: Launch, fifo: Path, detach: bool) -> None:
    """And leaves what goes on by itself."""
    program = launch("-m", "64M", *SECOND)
    one, other = program.client(), program.client("other.sock")
    with os.fdopen(reading(fifo), "rb"):
        arguments = {"paging": False, "protocol": f"file:{fifo}", "detach": detach}
        one.send(json.dumps({"execute": "dump-guest-memory", "arguments": arguments}).encode())
        wait_for(lambda: other.call("query-dump")["status"] == "active", "dump")
        one.close()
        if detach:
            assert other.call("query-dump")["status"] == "active"
            other.call("dump-cancel")
        wait_for(lambda: other.call("query-dump")["status"] == "failed", "end of the dump")


@pytest.mark.parametrize("detach", [True, False])
def test_the_program_ends_in_the_middle_of_one(launch: Launch, fifo: Path, detach: bool) -> None:
    program = launch("-m", "64M", *SECOND)
    one, other = program.client(), program.client("other.sock")
    with os.fdopen(reading(fifo), "rb"):
        arguments = {"paging": False, "protocol": f"file:{fifo}", "detach": detach}
        one.send(json.dumps({"execute": "dump-guest-memory", "arguments": arguments}).encode())
        wait_for(lambda: other.call("query-dump")["status"] == "active", "dump")
        status, _output, errors = program.end(signal.SIGTERM)
    assert status == 0
    assert "Traceback" not in errors


def test_to_a_descriptor_that_came_along(launch: Launch, tmp_path: Path) -> None:
    program = launch("-m", "16M")
    client = program.client()
    path = tmp_path / "core"
    before = program.descriptors()
    with path.open("wb") as file:
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [file.fileno()]))]
        request = json.dumps({"execute": "getfd", "arguments": {"fdname": "d"}}).encode()
        client.connection.sendmsg([request], rights)
        assert client.answer("getfd") == {}
    assert client.call("dump-guest-memory", paging=False, protocol="fd:d") == {}
    with pytest.raises(QMPError, match="File descriptor named 'd' has not been found"):
        client.call("dump-guest-memory", paging=False, protocol="fd:d")
    assert program.descriptors() == before
    assert 16 * MIB < path.stat().st_size < 17 * MIB
    assert client.event("DUMP_COMPLETED")["data"]["result"]["completed"] == 16 * MIB


DRGN = """
import sys, drgn
program = drgn.Program()
program.set_core_dump(sys.argv[1])
print(program.read(5 << 20, 8, physical=True).hex())
"""
VOLATILITY = """
import sys, pathlib
from volatility3.framework import contexts
from volatility3.framework.layers import elf, physical
context = contexts.Context()
context.config["base.location"] = pathlib.Path(sys.argv[1]).absolute().as_uri()
context.add_layer(physical.FileLayer(context, "base", "base"))
print(elf.Elf64Stacker.stack(context, "base").read(5 << 20, 8).hex())
"""


def dumped(launch: Launch, board: str, tmp_path: Path) -> Path:
    """A core of 16 MiB with a known word at 5 MiB."""
    client = launch("-m", "16M", machine=board).client()
    client.call("guest-run", start=5 * MIB, length=4096, mode="write", value=0x1122334455667788, passes=1)
    client.call("cont")
    wait_for(lambda: client.call("query-guest")["status"] == "completed", "end of the guest")
    assert client.hmp("dump-guest-memory core") == ""
    return tmp_path / "core"


@pytest.mark.parametrize(("reader", "script"), [("drgn", DRGN), ("volatility3", VOLATILITY)])
def test_readers_of_cores_find_the_memory(launch: Launch, reader: str, script: str, tmp_path: Path) -> None:
    """Of q35; that of `none` is one of 32 bits, as QEMU's, of which both know no physical addresses."""
    if find_spec(reader) is None:
        pytest.skip(f"there is no {reader}")
    command = [sys.executable, "-c", script, str(dumped(launch, "q35", tmp_path))]
    told = subprocess.run(command, capture_output=True, text=True, check=False)
    assert told.stdout == "8877665544332211\n", told.stderr


@pytest.mark.parametrize("board", ["none", "q35"])
def test_a_debugger_reads_it(launch: Launch, board: str, tmp_path: Path) -> None:
    """Memory is where the guest has it; registers are missing, and that is what it says."""
    gdb = which("gdb")
    if gdb is None:
        pytest.skip("there is no gdb")
    core = str(dumped(launch, board, tmp_path))
    command = [gdb, "-nx", "-batch", "-ex", "x/2xw 0x500000", "-ex", "info registers", "-c", core]
    told = subprocess.run(command, capture_output=True, text=True, check=False)
    assert re.search(r"0x500000:\s+0x55667788\s+0x11223344", told.stdout)
    assert "Couldn't find general-purpose registers in core file" in told.stdout + told.stderr
