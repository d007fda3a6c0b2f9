"""Clients that let a guest run, and see what it wrote."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ramslot.vm.host.kvm import KVM, KVMError
from ramslot.vm.host.linux import LinuxHost

from .program import Program, QMPError, wait_for

Launch = Callable[..., Program]

try:
    KVM(LinuxHost()).close()
    reason = ""
except KVMError as error:
    reason = error.reason

ACCELERATORS = [
    "sim",
    pytest.param("kvm", marks=pytest.mark.skipif(bool(reason), reason=reason)),
    pytest.param("kvm,dirty-ring-size=1024", marks=pytest.mark.skipif(bool(reason), reason=reason)),
]
TWO = ("-qmp", "unix:two.sock,server=on,wait=off")
on_all = pytest.mark.parametrize("accelerator", ACCELERATORS)


@on_all
def test_run_wait_and_look(launch: Launch, accelerator: str) -> None:
    client = launch("-m", "64M", "-accel", f"{accelerator},max-memslot-size=16M").client()
    client.call("cont")
    client.call("dirty-log-start")
    client.call("guest-run", mode="pattern", start=16 << 20, length=8192, value=5, wait=True)
    ended = client.event("GUEST_ENDED")["data"]
    assert (ended["status"], ended["accesses"], ended["exits"]) == ("completed", 2, 0)
    assert client.call("query-guest") == ended
    log = client.call("query-dirty-log", ranges=True)
    assert log == {
        "enabled": True,
        "page-size": 4096,
        "blocks": [{"ramblock": "ram", "pages": 2, "ranges": [{"offset": 16 << 20, "length": 8192}]}],
    }
    client.call("dirty-log-clear")
    assert "         0 pages " in client.hmp("info dirty_log")
    client.hmp("guest_run read,start=16M,length=8k,wait=on")
    assert client.call("query-guest")["sum"] == (16 << 20) + 5 + (16 << 20) + 4096 + 5
    client.call("dirty-log-stop")
    assert client.hmp("info dirty_log") == "dirty log: off\r\n"


@on_all
def test_monitors_are_answered_while_the_guest_runs(launch: Launch, accelerator: str) -> None:
    program = launch("-m", "256M", "-accel", accelerator, *TWO)
    first, second = program.client(), program.client("two.sock")
    first.call("guest-run", length=256 << 20, passes=0)
    assert first.call("query-guest")["status"] == "paused", "it was started with -S"
    first.call("cont")
    wait_for(lambda: second.call("query-guest")["accesses"], "access")
    with pytest.raises(QMPError, match=r"^a guest is running already$"):
        second.call("guest-run", length=4096)
    began = time.monotonic()
    for _ in range(20):
        second.call("query-memslots")
    assert time.monotonic() - began < 10
    second.call("stop")
    assert first.call("query-guest")["status"] == "paused"
    second.call("guest-stop")
    assert first.event("GUEST_ENDED")["data"]["status"] == "stopped"
    first.call("cont")
    first.call("guest-run", length=4096, wait=True)
    assert first.call("query-guest")["status"] == "completed"


@on_all
def test_numbers_are_unsigned_as_everywhere(launch: Launch, accelerator: str) -> None:
    client = launch("-m", "1M", "-accel", accelerator).client()
    client.call("cont")
    client.call("guest-run", length=16, stride=-8, value=-1, rate=-1, wait=True)
    client.call("guest-run", mode="read", length=8, wait=True)
    assert client.call("query-guest")["sum"] == 2**64 - 1
    for arguments in ({"length": -8, "start": 16}, {"length": 16, "start": -8}):
        with pytest.raises(QMPError, match=r"^the guest's addresses have only \d+ bits$"):
            client.call("guest-run", **arguments)


@on_all
def test_the_program_ends_while_a_guest_runs(launch: Launch, accelerator: str) -> None:
    program = launch("-m", "64M", "-accel", accelerator)
    client = program.client()
    client.call("cont")
    client.call("guest-run", length=64 << 20, passes=0)
    client.call("quit")
    assert program.end() == (0, "", "")


def test_a_hotplugged_hole_and_what_cannot_be(launch: Launch) -> None:
    client = launch("-m", "1M", "-accel", "sim").client()
    client.call("cont")
    client.call("guest-run", start=0, length=2 << 20, stride=1 << 20, wait=True)
    assert client.call("query-guest")["first-exit"] == 1 << 20
    assert "not answered by memory: 1, the first at 0000000000100000\r\n" in client.hmp("info guest")
    for arguments, text in (
        ({"length": 12}, "Parameter 'length' expects a multiple of 8"),
        ({}, "Parameter 'length' is missing"),
        ({"length": 8, "mode": "x"}, "Parameter 'mode' does not accept value 'x'"),
        ({"length": 8, "passes": -1}, "Parameter 'passes' expects uint32_t"),
    ):
        with pytest.raises(QMPError) as caught:
            client.call("guest-run", **arguments)
        assert str(caught.value) == text
    assert client.hmp("guest_run write,length=1X").startswith("Error: Parameter 'length' expects ")
    for command in ("dirty-log-stop", "dirty-log-clear"):
        with pytest.raises(QMPError, match=r"^the dirty log is not started$"):
            client.call(command)
    client.call("dirty-log-start")
    with pytest.raises(QMPError, match=r"^the dirty log is started already$"):
        client.call("dirty-log-start")


@on_all
@pytest.mark.parametrize("mode", ["page-sampling", "dirty-bitmap", "dirty-ring"])
def test_dirty_rate(launch: Launch, accelerator: str, mode: str) -> None:
    """A guest that covers 32 MiB per second writes as much, however it is measured."""
    program = launch("-m", "64M", "-smp", "2", "-accel", accelerator, *TWO, machine="pc")
    client, other = program.client(), program.client("two.sock")
    client.call("cont")
    has_ring = "ring" in accelerator
    if mode != "page-sampling" and (mode == "dirty-ring") != has_ring:
        with pytest.raises(QMPError, match=f"^mode {mode} is not enabled, use other method instead.$"):
            client.call("calc-dirty-rate", calc_time=1, mode=mode)
        return
    client.call("guest-run", mode="pattern", length=64 << 20, passes=0, rate=32 << 20)
    # (The pattern is the same in each pass: only the first changes what is sampled.)
    more = {"sample_pages": 16384} if mode == "page-sampling" else {}
    client.call("calc-dirty-rate", calc_time=1, mode=mode, **more)
    assert other.call("query-dirty-rate")["status"] == "measuring"
    with pytest.raises(QMPError, match=r"^the dirty rate is already being measured\.$"):
        other.call("calc-dirty-rate", calc_time=1)
    wait_for(lambda: "dirty-rate" in other.call("query-dirty-rate"), "rate")
    measured = other.call("query-dirty-rate")
    assert 10 <= measured["dirty-rate"] <= 40, measured
    assert measured["sample-pages"] == (16384 if mode == "page-sampling" else 0)
    assert ("vcpu-dirty-rate" in measured) == has_ring or mode == "page-sampling"
    if mode == "dirty-ring":
        assert client.hmp("info dirty_rate").endswith(" (MB/s)\r\nvcpu[1], Dirty rate: 0 (MB/s)\r\n")
        assert client.call("query-memslots")["slots"][0]["log-dirty"] is False


def test_a_measurement_does_not_keep_the_program(launch: Launch) -> None:
    program = launch("-m", "64M")
    client = program.client()
    client.call("calc-dirty-rate", calc_time=60)
    began = time.monotonic()
    client.call("quit")
    assert program.end() == (0, "", "")
    assert time.monotonic() - began < 30


def test_a_script_waits_for_its_guest(tmp_path: Path) -> None:
    import subprocess
    import sys

    from .program import ENVIRONMENT

    lines = ["guest_run pattern,length=64k,wait=on", "info guest", "guest_run length=1"]
    command = [sys.executable, "-m", "ramslot", "-M", "none", "-m", "1M", "--keep-going"]
    done = subprocess.run(
        [*command, *(word for line in lines for word in ("-c", line))],
        env=ENVIRONMENT, cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stdout.startswith("guest: completed, pattern 0000000000000000-000000000000ffff, stride 4 KiB\n")
    assert "Invalid parameter" in done.stderr or "expects" in done.stderr


def test_who_waits_is_told_of_a_failure(launch: Launch) -> None:
    client = launch("-m", "64M", "-accel", "sim", "-host", "nodes=1,memory=16M,overcommit=1").client()
    with pytest.raises(QMPError, match=r"^a guest runs while the machine does, which is paused"):
        client.call("guest-run", length=4096, wait=True)
    client.call("cont")
    with pytest.raises(QMPError, match=r"^the host has no page for the guest at 0x1000000: memory-backend-ram "):
        client.call("guest-run", length=64 << 20, wait=True)
    assert client.event("GUEST_ENDED")["data"]["status"] == "failed"


@on_all
def test_a_page_that_is_gone_ends_nobody(launch: Launch, accelerator: str, tmp_path: Path) -> None:
    """A file that somebody truncates under a guest, and two clients that go on."""
    path = tmp_path / "ram"
    backend = f"memory-backend-file,id=b,mem-path={path},share=on,size=16M"
    program = launch("-object", backend, "-accel", accelerator, *TWO, machine="none,memory-backend=b")
    first, second = program.client(), program.client("two.sock")
    first.call("cont")
    os.truncate(path, 5 << 20)
    gone = rf"^the host has no page for the guest at 0x500000: memory-backend-file 'b' \+ 0x500000: the file {path} ends at"
    for mode in ("write", "read", "pattern"):
        with pytest.raises(QMPError, match=gone):
            first.call("guest-run", mode=mode, length=16 << 20, wait=True)
        assert second.call("query-status")["running"]
    second.call("calc-dirty-rate", **{"calc-time": 1, "sample-pages": 4096})
    wait_for(lambda: second.call("query-dirty-rate")["status"] != "measuring", "end of sampling")
    assert second.call("query-address", address=8 << 20)["ramblock"]["name"] in ("b", "/objects/b")
    os.truncate(path, 16 << 20)
    first.call("guest-run", mode="write", length=16 << 20, wait=True)
    assert second.call("query-guest")["status"] == "completed"
