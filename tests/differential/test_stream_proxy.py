"""`ramslot proxy` between two real QEMUs: streams rewritten on their way, and the guest that runs on in another layout."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

import pytest

from .oracle import OUR_ENVIRONMENT, RELEASES
from .partners import digest, filled, ours, real
from .saved_streams import (
    BOARDS,
    FAMILIES,
    MIB,
    PROGRAM,
    SIZE,
    SPLIT,
    backend,
    contents,
    one_block,
    prepared,
    saved,
    two_nodes,
)


class Proxy:
    """`ramslot proxy`, waiting."""

    def __init__(
        self, folder: Path, *maps: str, source: str = "", destination: str = "", fit: tuple[str, ...] = ()
    ) -> None:
        self.source = source or f"unix:{folder}/proxy"
        words = ["proxy", self.source, destination or f"unix:{folder}/destination", "--json", *fit]
        for text in maps:
            words += "--map", text
        self.process = subprocess.Popen(
            [*PROGRAM, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=OUR_ENVIRONMENT
        )
        while not self._listens(folder) and self.process.poll() is None:
            time.sleep(0.01)

    def _listens(self, folder: Path) -> bool:
        if not self.source.startswith("tcp:"):
            return (folder / "proxy").exists()
        port = int(self.source.rpartition(":")[2])
        listed = Path("/proc/net/tcp").read_text()
        return f"0100007F:{port:04X} 00000000:0000 0A" in listed

    def __enter__(self) -> Proxy:
        return self

    def __exit__(self, *_error: object) -> None:
        self.process.kill()
        self.process.communicate()

    def end(self, status: int) -> str:
        """Wait until it has ended, and return what it said."""
        out, errors = self.process.communicate(timeout=60)
        assert self.process.returncode == status, errors
        assert "Traceback" not in errors
        return out if not status else errors


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("board", BOARDS)
@pytest.mark.parametrize("way", ["live", "return-path", "saved"])
def test_a_running_guest_gets_numa_nodes_and_comes_back(way: str, board: str, release: str, tmp_path: Path) -> None:
    """One block becomes the memory of two nodes, and these one block again; the guest, a firmware, runs on each time."""
    arch, machine = BOARDS[board]
    filled(tmp_path / "memory", SIZE, 1)
    where = f"unix:{tmp_path}/destination"
    remap = " ".join([f"PYTHONPATH={OUR_ENVIRONMENT['PYTHONPATH']}", *PROGRAM, "stream remap --map"])
    incoming = f"exec:{remap} {SPLIT} {tmp_path}/stream" if way == "saved" else where
    single = ["-m", "64", "-smp", "2", *backend("m", tmp_path / "memory")]
    with real(release, [*single, *machine, "-M", "memory-backend=m"], tmp_path, arch) as source:
        prepared(source, *(["return-path"] if way == "return-path" else []))
        source.ask("cont")
        source.wait_for_state("running")
        time.sleep(0.3)  # the firmware begins
        if way == "saved":
            saved(source, tmp_path / "stream")
        with real(release, [*two_nodes(tmp_path), *machine, "-incoming", incoming], tmp_path, arch) as middle:
            prepared(middle)
            if way != "saved":
                with Proxy(tmp_path, SPLIT) as proxy:
                    assert source.ask("migrate", uri=proxy.source) == {}
                    assert source.wait_for("completed", "failed")["status"] == "completed"
                    told = json.loads(proxy.end(0))
                    assert (told["sent-back"] > 0) == (way == "return-path")
            middle.wait_for("completed", "failed")
            assert middle.wait_for_state("paused") == "paused", middle.errors
            assert contents(tmp_path / "0", tmp_path / "1") == contents(tmp_path / "memory")
            middle.ask("cont")
            assert middle.wait_for_state("running")
            back = ["-m", "64", "-smp", "2", *backend("m", tmp_path / "back"), *machine, "-M", "memory-backend=m"]
            with (
                real(release, [*back, "-incoming", where], tmp_path, arch) as last,
                Proxy(tmp_path, "ram0=m", "ram1=m") as proxy,
            ):
                prepared(last)
                assert middle.ask("migrate", uri=proxy.source) == {}
                assert middle.wait_for("completed", "failed")["status"] == "completed"
                proxy.end(0)
                last.wait_for("completed", "failed")
                assert last.wait_for_state("paused") == "paused"
                assert contents(tmp_path / "0", tmp_path / "1") == contents(tmp_path / "back")
                last.ask("cont")
                assert last.wait_for_state("running")
                time.sleep(0.2)
                assert last.ask("query-status")["status"] == "running"


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("board", BOARDS)
@pytest.mark.parametrize("way", ["command line", "monitor"])
def test_the_maps_are_found_from_what_the_destination_is(way: str, board: str, release: str, tmp_path: Path) -> None:
    """One block becomes two nodes, the second of which is larger and so comes first in streams; and these one again."""
    arch, machine = BOARDS[board]
    filled(tmp_path / "memory", SIZE, 1)
    where = ["-incoming", f"unix:{tmp_path}/destination"]
    program = f"qemu-system-{arch}-{release} -nodefaults"
    first = ["-m", "64", "-smp", "2", *backend("m", tmp_path / "memory"), *machine, "-M", "memory-backend=m"]
    second = [*two_nodes(tmp_path), *machine]
    last = [word.replace("=m", "=other").replace("/memory", "/back") for word in first]

    def side(options: list[str], monitor: str) -> str:
        return f"unix:{tmp_path}/{monitor}" if way == "monitor" else f"{program} {' '.join(options)}"

    def watched(options: list[str], monitor: str) -> list[str]:
        return [*options, "-qmp", f"unix:{tmp_path}/{monitor},server=on,wait=off"]

    with real(release, watched([*second, *where], "q2"), tmp_path, arch) as middle:
        with (
            real(release, first, tmp_path, arch) as source,
            Proxy(tmp_path, fit=("-fit", side(second, "q2"))) as proxy,
        ):
            source.ask("migrate", uri=proxy.source)
            assert source.wait_for("completed", "failed")["status"] == "completed"
            proxy.end(0)
        middle.wait_for("completed", "failed")
        assert middle.wait_for_state("prelaunch", "paused")
        assert contents(tmp_path / "0", tmp_path / "1") == contents(tmp_path / "memory")
        with real(release, watched([*last, *where], "q3"), tmp_path, arch) as end:
            with Proxy(tmp_path, fit=("-fit", side(last, "q3"))) as proxy:
                middle.ask("migrate", uri=proxy.source)
                assert "does not tell in which order ram1" in proxy.end(2)
                assert middle.wait_for("completed", "failed")["status"] == "failed"
            with Proxy(tmp_path, fit=("-fit", side(last, "q3"), "-from", side(second, "q2"))) as proxy:
                middle.ask("migrate", uri=proxy.source)
                assert middle.wait_for("completed", "failed")["status"] == "completed"
                proxy.end(0)
            end.wait_for("completed", "failed")
            assert end.wait_for_state("prelaunch", "paused")
            assert contents(tmp_path / "back") == contents(tmp_path / "memory")


COUNTER = 0x5000
"""Where in its memory a guest counts."""
CODE = bytes.fromhex("31c0 8ed8 66ff060050 ebf9".replace(" ", ""))
"""xor ax, ax; mov ds, ax; then for ever: inc dword [0x5000]."""


def counted(path: Path) -> int:
    with path.open("rb") as file:
        file.seek(COUNTER)
        return int.from_bytes(file.read(4), "little")


def counts_on(path: Path) -> bool:
    """Whether a guest is alive: it counts in its memory, which is a file."""
    start, deadline = counted(path), time.monotonic() + 30
    while counted(path) == start and time.monotonic() < deadline:
        time.sleep(0.01)
    return counted(path) != start


def free_port() -> int:
    import socket

    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("transport", ["unix", "tcp"])
def test_a_guest_counts_on_behind_the_proxy(transport: str, release: str, tmp_path: Path) -> None:
    """It writes a page all the time, which is so sent again and again, and goes on from where it was."""
    (tmp_path / "bios").write_bytes(CODE.rjust(0xFFF0 + len(CODE), b"\0").ljust(1 << 16, b"\0"))
    filled(tmp_path / "memory", SIZE, 1)
    guest = ["-M", "pc", "-bios", str(tmp_path / "bios"), "-accel", "tcg"]
    where = f"unix:{tmp_path}/destination" if transport == "unix" else f"tcp:127.0.0.1:{free_port()}"
    here = "" if transport == "unix" else f"tcp:127.0.0.1:{free_port()}"
    with (
        real(release, [*one_block(tmp_path), *guest, "-M", "memory-backend=m"], tmp_path) as source,
        real(release, [*two_nodes(tmp_path), *guest, "-incoming", where], tmp_path) as destination,
    ):
        prepared(source, "return-path")
        prepared(destination, "return-path")
        source.ask("cont")
        assert counts_on(tmp_path / "memory")
        with Proxy(tmp_path, SPLIT, source=here, destination=where) as proxy:
            source.ask("migrate", uri=proxy.source)
            assert source.wait_for("completed", "failed")["status"] == "completed"
            proxy.end(0)
        destination.wait_for("completed", "failed")
        assert destination.wait_for_state("paused")
        assert contents(tmp_path / "0", tmp_path / "1") == contents(tmp_path / "memory")
        assert counted(tmp_path / "0") > 0
        destination.ask("cont")
        assert counts_on(tmp_path / "0")


@pytest.mark.parametrize("family", ["s390x", "pseries", "virt", "none"])
@pytest.mark.parametrize("release", RELEASES)
def test_backends_are_renamed(release: str, family: str, tmp_path: Path) -> None:
    """What is sent while the guest runs besides its memory passes, too (a hash table, storage attributes)."""
    arch, machine = FAMILIES[family]
    size = 256 * MIB if family == "pseries" else SIZE
    where = f"unix:{tmp_path}/destination"
    filled(tmp_path / "old", size, 1)
    options = ["-m", str(size // MIB), *machine]
    renamed = [option.replace("memory-backend=m", "memory-backend=n") for option in options]
    with (
        real(release, [*options, *backend("m", tmp_path / "old", size)], tmp_path, arch) as source,
        real(
            release, [*renamed, *backend("n", tmp_path / "new", size), "-incoming", where], tmp_path, arch
        ) as destination,
        Proxy(tmp_path, "m=n") as proxy,
    ):
        prepared(source)
        prepared(destination)
        source.ask("migrate", uri=proxy.source)
        assert source.wait_for("completed", "failed")["status"] == "completed"
        proxy.end(0)
        destination.wait_for("completed", "failed")
        assert destination.wait_for_state("prelaunch")
        assert digest(tmp_path / "old") == digest(tmp_path / "new")


@pytest.mark.parametrize("release", RELEASES)
def test_what_ramslot_divides_is_joined_for_qemu(release: str, tmp_path: Path) -> None:
    """The blocks of migratable aliases, as an old mainframe has them, become one; and one becomes them."""
    where = f"unix:{tmp_path}/destination"
    divided = ["-M", "none,memory-backend=r,ram-partition=s390.ram:16M+s390.ram.1:24M+s390.ram.2"]
    whole = [*backend("m", tmp_path / "new"), "-M", "none,memory-backend=m", "-incoming", where]
    maps = [f"s390.ram{suffix}=m" for suffix in ("", ".1", ".2")]
    filled(tmp_path / "old", SIZE, 1)
    with (
        ours(release, [*backend("r", tmp_path / "old"), *divided], tmp_path) as source,
        real(release, whole, tmp_path) as destination,
        Proxy(tmp_path, *maps) as proxy,
    ):
        prepared(source)
        prepared(destination)
        source.ask("migrate", uri=proxy.source)
        assert source.wait_for("completed", "failed")["status"] == "completed"
        proxy.end(0)
        destination.wait_for("completed", "failed")
        assert digest(tmp_path / "old") == digest(tmp_path / "new")


REFUSED = {
    "multifd": (["multifd"], SPLIT, "makes several connections|made with multifd"),
    "postcopy": (["postcopy-ram"], SPLIT, "the source wants postcopy"),
    "a map that does not fit": ([], "m=ram0+1G,ram1", "takes 0x0 to 0x40000000 for 'ram0'"),
    "a block that there is not": ([], "pc.ram=ram0", "there is no RAMBlock 'pc.ram'; there are: m, "),
}


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("reason", REFUSED)
def test_what_is_refused_leaves_both_sides_as_they_were(reason: str, release: str, tmp_path: Path) -> None:
    """The destination is not connected to: it still waits, and takes the next migration; the guest goes on."""
    import re

    capabilities, text, expected = REFUSED[reason]
    where = f"unix:{tmp_path}/destination"
    options = [*one_block(tmp_path), "-M", "pc,memory-backend=m"]
    filled(tmp_path / "memory", SIZE, 1)
    with (
        real(release, options, tmp_path) as source,
        real(release, [*two_nodes(tmp_path), "-M", "pc", "-incoming", where], tmp_path) as destination,
    ):
        source.ask("cont")
        source.wait_for_state("running")
        prepared(source, *capabilities)
        prepared(destination)
        with Proxy(tmp_path, text) as proxy:
            source.ask("migrate", uri=proxy.source)
            assert re.search(expected, proxy.end(2))
            assert source.wait_for("completed", "failed")["status"] == "failed"
        assert source.wait_for_state("running") == "running"
        assert destination.ask("query-status")["status"] == "inmigrate"
        off = [{"capability": name, "state": False} for name in capabilities]
        assert source.ask("migrate-set-capabilities", capabilities=off) == {}
        with Proxy(tmp_path, SPLIT) as proxy:
            source.ask("migrate", uri=proxy.source)
            assert source.wait_for("completed", "failed")["status"] == "completed"
            proxy.end(0)
        destination.wait_for("completed", "failed")
        assert contents(tmp_path / "0", tmp_path / "1") == contents(tmp_path / "memory")


def test_a_destination_that_goes_away_leaves_the_guest_where_it_is(tmp_path: Path) -> None:
    where = f"unix:{tmp_path}/destination"
    filled(tmp_path / "memory", SIZE, 1)
    with (
        real("7.2", [*one_block(tmp_path), "-M", "pc,memory-backend=m"], tmp_path) as source,
        real("7.2", [*two_nodes(tmp_path), "-M", "pc", "-incoming", where], tmp_path) as destination,
        Proxy(tmp_path, SPLIT) as proxy,
    ):
        source.ask("cont")
        source.wait_for_state("running")
        source.ask("migrate-set-parameters", **{"max-bandwidth": MIB})
        source.ask("migrate", uri=proxy.source)
        source.wait_for("active")
        time.sleep(0.2)
        destination.close()
        assert "broke off" in proxy.end(1)
        assert source.wait_for("failed")["status"] == "failed"
        assert source.wait_for_state("running") == "running"
