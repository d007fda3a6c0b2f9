"""Memory that goes to and fro between real QEMU and ours while each side keeps it in another way: no byte changes."""

from __future__ import annotations

import hashlib
import os
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from .oracle import REFERENCE, RELEASES
from .partners import Partner, filled, ours, partner

MIB, TIB = 1 << 20, 1 << 40
NODE = 32 * MIB
SIZE = 2 * NODE
KVM = os.access("/dev/kvm", os.R_OK | os.W_OK)


def node(kind: str, number: int, more: str = "") -> list[str]:
    return ["-object", f"memory-backend-{kind},id=ram{number},size={NODE}{more}"]


def one(kind: str, more: str = "") -> list[str]:
    """One backend that the stream has as the blocks of a machine with two nodes."""
    backend = ["-object", f"memory-backend-{kind},id=all,size={SIZE}{more}"]
    return [*backend, "-M", f"pc,memory-backend=all,ram-partition=ram0:{NODE}+ram1"]


NODES = ["-M", "pc", "-numa", "node,memdev=ram0", "-numa", "node,memdev=ram1"]
"""What real QEMU has on each of its turns: NUMA nodes whose backends are RAMBlocks by their names."""
HOW_OURS_HAS_IT = {
    "one, ram": one("ram"),
    "one, memfd": one("memfd"),
    "one, a shared file": one("file", ",mem-path=all,share=on"),
    "one, a private file": one("file", ",mem-path=all,share=off"),
    "one, bound": one("ram", ",policy=bind,host-nodes=0,prealloc=on"),
    "one, shared and not reserved": one("ram", ",share=on,reserve=off"),
    "one, in small slots": [*one("ram"), "-accel", "sim,max-memslot-size=5M"],
    "one, in KVM": [*one("memfd"), "-accel", "kvm,max-memslot-size=12M"],
    "nodes, bound": [
        *node("ram", 0, ",policy=bind,host-nodes=0"),
        *node("memfd", 1, ",policy=preferred,host-nodes=0,share=off"),
        *(*NODES, "-accel", "sim,max-memslots=12"),
    ],
    "nodes, one of them a file": [*node("file", 0, ",mem-path=node,share=on"), *node("ram", 1), *NODES],
}


def files(folder: Path, *, noise: int | None = None) -> list[str]:
    """Two nodes in files, with noise in them or empty."""
    options = []
    for number in range(2):
        path = folder / f"node{number}"
        if noise is not None:
            filled(path, NODE, noise + number)
        options += node("file", number, f",mem-path={path},share=on")
    return [*options, *NODES]


class Chain:
    """Machines on a way, each in a folder of its own; the last one has the memory."""

    def __init__(self, release: str, size: int, folder: Path, arch: str = "x86_64") -> None:
        self._release = release
        self._size = size
        self._folder = folder
        self._arch = arch
        self._number = 0
        self._stack = ExitStack()
        self._last: Partner | None = None
        self.digests: list[str] = []
        """Of all memory, at each stop."""

    def __enter__(self) -> Chain:
        return self

    def __exit__(self, *_error: object) -> None:
        self._stack.close()

    def folder(self) -> Path:
        """Of the next machine."""
        folder = self._folder / str(self._number)
        folder.mkdir(exist_ok=True)
        return folder

    def start(self, kind: str, options: list[str]) -> None:
        """The machine where the memory is in the beginning."""
        self._last = self._stack.enter_context(partner(kind, self._release, options, self.folder(), self._arch))
        self._stop()

    def go_to(self, kind: str, options: list[str], release: str | None = None) -> None:
        """Migrate to another machine, and end the one that it was."""
        assert self._last is not None
        where = f"unix:{self.folder()}/socket"
        options = [*options, "-m", str(self._size // MIB), "-incoming", where]
        following = partner(kind, release or self._release, options, self.folder(), self._arch)
        self._stack.enter_context(following)
        self._last.ask("migrate-set-parameters", **{"max-bandwidth": 0})
        assert self._last.ask("migrate", uri=where) == {}
        told = self._last.wait_for("completed", "failed")
        assert told["status"] == "completed", (told, self._last.errors, following.errors)
        following.wait_for_state("prelaunch", "paused")
        self._last.close()
        self._last = following
        self._stop()

    def _stop(self) -> None:
        assert self._last is not None
        path = self.folder() / "memory"
        answer = self._last.ask("pmemsave", val=0, size=self._size, filename=str(path))
        assert answer == {}, answer
        self.digests.append(hashlib.sha256(path.read_bytes()).hexdigest())
        path.unlink()
        self._number += 1


FEW = "one, ram", "nodes, bound"
"""Enough for the other releases, whose streams differ and not how ours has memory."""


@pytest.mark.parametrize(
    ("first", "release"),
    [(way, release) for way in HOW_OURS_HAS_IT for release in RELEASES if release == REFERENCE or way in FEW],
)
def test_blocks_of_two_nodes_are_one_backend_here(first: str, release: str, tmp_path: Path) -> None:
    """Real QEMU to ours, back, to ours that has it in the next way, and back: two round trips of each side."""
    ways = list(HOW_OURS_HAS_IT)
    second = ways[(ways.index(first) + 1) % len(ways)]
    if "one, in KVM" in (first, second) and not KVM:
        pytest.skip("there is no KVM")
    with Chain(release, SIZE, tmp_path) as chain:
        chain.start("real", [*files(chain.folder(), noise=1), "-m", "64"])
        for way in (first, second):
            chain.go_to("ours", HOW_OURS_HAS_IT[way])
            chain.go_to("real", files(chain.folder()))
        # The firmware that real QEMU starts with is in the memory's image of itself, and comes along.
        assert chain.digests == chain.digests[:1] * 5


@pytest.mark.skipif(not KVM, reason="there is no KVM")
@pytest.mark.parametrize("release", RELEASES)
def test_real_qemu_in_kvm_goes_to_and_fro(release: str, tmp_path: Path) -> None:
    """Devices have other state there, which ours keeps as it came."""
    in_kvm = ["-accel", "kvm"]
    with Chain(release, SIZE, tmp_path) as chain:
        chain.start("real", [*files(chain.folder(), noise=3), *in_kvm, "-m", "64"])
        for way in ("one, in KVM", "one, in small slots"):
            chain.go_to("ours", HOW_OURS_HAS_IT[way])
            chain.go_to("real", [*files(chain.folder()), *in_kvm])
        assert chain.digests == chain.digests[:1] * 5


def mainframe(blocks: str, kind: str = "ram", more: str = "") -> list[str]:
    """A mainframe of an old version, whose RAM the stream has in some blocks."""
    backend = ["-object", f"memory-backend-{kind},id=all,size={SIZE}{more}"]
    return [*backend, "-M", f"s390-ccw-virtio-4.1,memory-backend=all,ram-partition={blocks}"]


@pytest.mark.parametrize("release", [release for release in RELEASES if float(release) < 11])
def test_an_old_mainframe_goes_to_and_fro(release: str, tmp_path: Path) -> None:
    ram = f"memory-backend-file,id=s390.ram,size={SIZE},mem-path={filled(tmp_path / 'ram', SIZE, 7)},share=off"
    plain = ["-M", "s390-ccw-virtio-4.1", "-accel", "tcg"]
    with Chain(release, SIZE, tmp_path, "s390x") as chain:
        old = ["-object", ram, "-M", "s390-ccw-virtio-4.1,memory-backend=s390.ram", "-accel", "tcg"]
        chain.start("real", [*old, "-m", "64"])
        chain.go_to("ours", ["-M", "s390-ccw-virtio-4.1"])
        chain.go_to("real", plain)
        chain.go_to("ours", [*mainframe("s390.ram", "memfd"), "-accel", "sim,max-memslot-size=3M"])
        chain.go_to("real", plain)
        assert chain.digests == chain.digests[:1] * 5


def test_chunks_go_from_version_to_version_and_from_way_to_way(tmp_path: Path) -> None:
    """The chunks that no QEMU of today has, in small: each stop is another release and has the memory otherwise."""
    blocks = "s390.ram:32M+s390.ram.1"
    filled(tmp_path / "ram", SIZE, 9)
    ways = [
        ("7.2", [*mainframe(blocks, "memfd"), "-accel", "sim,max-memslot-size=3M"]),
        ("10.0", mainframe(blocks, "ram", ",policy=bind,host-nodes=0")),
        ("5.2", [*mainframe(blocks, "file", ",mem-path=file,share=on"), "-accel", "sim,max-memslots=8"]),
        ("7.2", mainframe(blocks, "ram", ",reserve=off")),
    ]
    with Chain("5.2", SIZE, tmp_path, "s390x") as chain:
        chain.start("ours", [*mainframe(blocks, "file", f",mem-path={tmp_path}/ram,share=on"), "-m", "64"])
        for release, way in ways:
            chain.go_to("ours", way, release)
        assert chain.digests == chain.digests[:1] * 5


CHUNK = 8 * TIB - MIB
"""What an old mainframe has in its first block, with more RAM than that."""


def huge(path: Path, version: str, partition: str = "") -> list[str]:
    """A mainframe of 9 TiB, in a file with holes."""
    ram = f"memory-backend-file,id=all,size=9T,mem-path={path},share=on,reserve=off"
    named = f",ram-partition={partition}" if partition else ""
    return ["-object", ram, "-M", f"s390-ccw-virtio-{version},memory-backend=all{named}", "-m", "9T", "-accel", "sim"]


@pytest.mark.parametrize(
    ("version", "partition", "refusal"),
    [
        ("4.1", "", None),
        ("4.1", f"s390.ram:{CHUNK}+s390.ram.1", None),
        ("4.1", "s390.ram", f"Size mismatch: s390.ram: {CHUNK:#x} != {9 * TIB:#x}: Invalid argument"),
        ("4.1", f"s390.ram:{CHUNK}+more", 'Unknown ramblock "s390.ram.1", cannot accept migration'),
        ("4.2", f"s390.ram:{CHUNK}+s390.ram.1", "Machine type received is 's390-ccw-virtio-4.1' and local is "),
    ],
)
def test_real_chunks_meet_their_like(version: str, partition: str, refusal: str | None, tmp_path: Path) -> None:
    """More than 8 TiB for real. The file is shared, so that its memory stays and the blocks alone are compared."""
    path = tmp_path / "ram"
    try:
        with path.open("wb") as file:
            file.truncate(9 * TIB)
    except OSError as error:
        pytest.skip(f"no such file can be had here: {error}")
    shared: dict[str, Any] = {"capabilities": [{"capability": "x-ignore-shared", "state": True}]}
    with (
        ours("7.2", [*huge(path, version, partition), "-incoming", "defer"], tmp_path, "s390x") as destination,
        ours("7.2", huge(path, "4.1"), tmp_path, "s390x") as source,
    ):
        where = f"unix:{tmp_path}/socket"
        for each in (destination, source):
            assert each.ask("migrate-set-capabilities", **shared) == {}
        assert destination.ask("migrate-incoming", uri=where) == {}
        source.ask("cont")
        assert source.ask("guest-run", start=CHUNK - 4096, length=8192, mode="pattern", value=5, wait=True) == {}
        assert source.ask("migrate", uri=where) == {}
        if refusal is not None:
            assert destination.process.wait(60) == 1
            assert refusal in destination.errors
            return
        assert source.wait_for("completed", "failed")["status"] == "completed"
        destination.wait_for_state("prelaunch", "paused")
        for gpa in (CHUNK - 4096, CHUNK):  # the last page of one block and the first of the next
            assert (
                int.from_bytes(bytes.fromhex(destination.ask("read-memory", address=gpa, size=8)["data"]), "little")
                == 5 + gpa
            )


@pytest.mark.skipif(not KVM, reason="there is no KVM")
def test_a_guest_goes_on_from_layout_to_layout(tmp_path: Path) -> None:
    """It writes to each page once, by real instructions and by plain writes in turn, and misses none."""
    start, length, value = 2 * MIB, 60 * MIB, 1 << 40
    ways = ("one, in KVM", "nodes, bound", "one, in small slots", "one, in KVM", "nodes, one of them a file")
    job: dict[str, Any] = {"start": start, "length": length, "mode": "pattern", "value": value, "rate": 12 * MIB}
    with ExitStack() as stack:
        last: Partner | None = None
        for number, way in enumerate(ways):
            where = f"unix:{tmp_path}/socket{number}"
            incoming = [] if last is None else ["-incoming", where]
            folder = tmp_path / str(number)
            machine = stack.enter_context(ours("7.2", [*HOW_OURS_HAS_IT[way], "-m", "64", *incoming], folder))
            machine.ask("cont")
            if last is None:
                assert machine.ask("guest-run", **job) == {}
            else:
                last.ask("migrate-set-parameters", **{"max-bandwidth": 0})
                assert last.ask("migrate", uri=where) == {}
                assert last.wait_for("completed", "failed")["status"] == "completed", last.errors
                machine.wait_for_state("running")  # what the source has sent is not yet what has come
                assert number > 1 or last.ask("query-guest")["accesses"] < length // 4096, "it goes on there"
            last = machine
        assert last is not None
        deadline = time.monotonic() + 60
        while (guest := last.ask("query-guest"))["status"] == "running":
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert (guest["status"], guest["accesses"]) == ("completed", length // 4096), guest
        assert last.ask("pmemsave", val=start, size=length, filename=str(tmp_path / "memory")) == {}
    content = (tmp_path / "memory").read_bytes()
    lost = [
        gpa for gpa in range(0, length, 4096) if int.from_bytes(content[gpa : gpa + 8], "little") != value + start + gpa
    ]
    assert not lost
