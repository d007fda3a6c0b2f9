"""Channels of pages beside the stream, as clients see it: a guest goes on, and whoever is stopped or killed is told of."""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import Random
from threading import Thread
from typing import Any

import pytest

from tests.differential.partners import Partner, digest, filled, ours

MIB = 1 << 20
SIZE = 64 * MIB
CAPABILITIES = {"capabilities": [{"capability": name, "state": True} for name in ("events", "multifd")]}


def memory(path: Path) -> list[str]:
    ram = f"memory-backend-file,id=ram0,size={SIZE},mem-path={path},share=on"
    return ["-accel", "sim", "-object", ram, "-M", "none,memory-backend=ram0"]


@pytest.fixture(params=["7.2", "11.1"])
def release(request: pytest.FixtureRequest) -> Any:
    return request.param


@contextmanager
def pair(release: str, tmp_path: Path, where: str, **parameters: Any) -> Iterator[tuple[Partner, Partner]]:
    with (
        ours(release, memory(filled(tmp_path / "old", SIZE, 5)), tmp_path) as source,
        ours(release, [*memory(tmp_path / "new"), "-incoming", "defer"], tmp_path) as destination,
    ):
        for each in (source, destination):
            assert each.ask("migrate-set-capabilities", **CAPABILITIES) == {}
            assert each.ask("migrate-set-parameters", **parameters) == {}
        assert destination.ask("migrate-incoming", uri=where) == {}
        yield source, destination


@pytest.mark.parametrize("where", ["unix:{}/socket", "tcp:127.0.0.1:0"])
def test_a_guest_goes_on_and_nothing_was_lost(where: str, release: str, tmp_path: Path) -> None:
    with pair(release, tmp_path, where.format(tmp_path), **{"multifd-channels": 4}) as (source, destination):
        destination.ask("cont")
        source.ask("cont")
        length = 16 * MIB
        job = {"start": 0, "length": length, "mode": "pattern", "value": 1 << 40, "passes": 40, "rate": 256 * MIB}
        assert source.ask("guest-run", **job) == {}
        time.sleep(0.05)
        place = destination.ask("query-migrate")["socket-address"][0]
        uri = f"unix:{place['path']}" if "path" in place else f"tcp:{place['host']}:{place['port']}"
        assert source.ask("migrate", uri=uri) == {}
        sent = source.wait_for("completed")
        assert sent["ram"]["multifd-bytes"] > length
        destination.wait_for_state("running")
        deadline = time.monotonic() + 60
        while (guest := destination.ask("query-guest"))["status"] == "running":
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert (guest["status"], guest["passes"]) == ("completed", 40)
        content = (tmp_path / "new").read_bytes()
        for gpa in range(0, length, 4096):
            assert int.from_bytes(content[gpa : gpa + 8], "little") == (1 << 40) + gpa
        assert content[length:] == (tmp_path / "old").read_bytes()[length:]


@pytest.mark.parametrize("seed", range(4))
def test_cancelled_or_killed_it_leaves_a_clear_state(seed: int, release: str, tmp_path: Path) -> None:
    dice = Random(seed)
    with pair(release, tmp_path, f"unix:{tmp_path}/socket", **{"max-bandwidth": 4 * MIB}) as (source, destination):
        before = digest(tmp_path / "old")
        source.ask("cont")
        source.ask("migrate", uri=f"unix:{tmp_path}/socket")
        source.wait_for("active", "completed")
        time.sleep(dice.random() / 5)
        if seed % 2:
            source.ask("migrate_cancel")
            source.wait_for("cancelled")
            assert source.ask("query-status")["status"] == "running"
            assert destination.process.wait(60) == 1
            assert "load of migration failed" in destination.errors
        else:
            destination.process.send_signal(signal.SIGKILL)
            source.wait_for("failed")
            source.wait_for_state("running")
        assert digest(tmp_path / "old") == before


def test_a_limit_holds_over_all_channels(release: str, tmp_path: Path) -> None:
    with pair(release, tmp_path, f"unix:{tmp_path}/socket", **{"max-bandwidth": 2 * MIB}) as (source, _destination):
        with (tmp_path / "old").open("r+b") as file:
            file.write(Random(1).randbytes(SIZE))
        source.ask("migrate", uri=f"unix:{tmp_path}/socket")
        source.wait_for("active")
        time.sleep(1)
        assert source.ask("query-migrate")["ram"]["multifd-bytes"] < 8 * MIB


def passed_on(source: socket.socket, destination: Path) -> None:
    """Give a destination what a source sent."""
    with source, socket.socket(socket.AF_UNIX) as target:
        target.connect(str(destination))
        while data := source.recv(1 << 16):
            target.sendall(data)


@pytest.mark.parametrize("family", [socket.AF_UNIX, socket.AF_INET])
def test_who_takes_it_late_has_what_was_sent(family: socket.AddressFamily, release: str, tmp_path: Path) -> None:
    """All fits into sockets, and the guest writes as soon as the source has completed: before anybody reads, or, where
    the source waits for that, behind it.
    """
    with ExitStack() as stack, pair(release, tmp_path, f"unix:{tmp_path}/socket") as (source, destination):
        noise = Random(1).randbytes(MIB // 16)
        (tmp_path / "old").write_bytes(noise.ljust(SIZE, b"\0"))
        before = digest(tmp_path / "old")
        between = stack.enter_context(socket.socket(family))
        between.bind(str(tmp_path / "between") if family == socket.AF_UNIX else ("127.0.0.1", 0))
        between.listen()
        name = between.getsockname()
        source.ask("migrate", uri=f"unix:{name}" if family == socket.AF_UNIX else f"tcp:{name[0]}:{name[1]}")
        connections = [between.accept()[0] for _ in range(3)]
        threads = [Thread(target=passed_on, args=(each, tmp_path / "socket")) for each in connections]
        if family == socket.AF_UNIX:
            time.sleep(0.3)
            assert source.ask("query-migrate")["status"] != "completed"
            for thread in threads:
                thread.start()
        source.wait_for("completed")
        source.ask("cont")
        source.ask("guest-run", start=0, length=len(noise), mode="pattern", value=1, wait=True)
        assert digest(tmp_path / "old") != before
        if family == socket.AF_INET:
            for thread in threads:
                thread.start()
        destination.wait_for("completed")
        for thread in threads:
            thread.join()
        assert digest(tmp_path / "new") == before
