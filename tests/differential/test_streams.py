"""Streams that real QEMU saved, looked into; and rewritten ones, which real QEMU of another layout takes and runs on with."""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from struct import pack
from typing import Any

import pytest

from ramslot.monitor.compat.sides import read_side

from .oracle import OUR_ENVIRONMENT, RELEASES
from .partners import Partner, digest, filled, ours, real

MIB = 1 << 20
SIZE = 64 * MIB
PROGRAM = [sys.executable, "-m", "ramslot"]


def stream(*words: str | Path, status: int = 0) -> str:
    """What `ramslot stream WORDS...` prints on the stream that the status is about."""
    command = [*PROGRAM, "stream", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, env=OUR_ENVIRONMENT, timeout=100)
    assert (done.returncode, "Traceback" in done.stderr) == (status, False), done.stderr
    return done.stdout or done.stderr


def as_json(*words: str | Path, status: int = 0) -> Any:
    return json.loads(stream(*words, "--json", status=status))


def backend(name: str, path: Path, size: int = SIZE) -> list[str]:
    return ["-object", f"memory-backend-file,id={name},size={size},mem-path={path},share=on"]


def saved(machine: Partner, path: Path, *capabilities: str) -> None:
    """Save a machine's stream to a file."""
    switched = [{"capability": name, "state": True} for name in ("events", *capabilities)]
    assert machine.ask("migrate-set-capabilities", capabilities=switched) == {}
    assert machine.ask("migrate-set-parameters", **{"max-bandwidth": 0}) == {}
    assert machine.ask("migrate", uri=f"exec:cat > {path}") == {}
    assert machine.wait_for("completed", "failed")["status"] == "completed"


FAMILIES = {
    "pc": ("x86_64", ["-M", "pc,memory-backend=m"]),
    "q35": ("x86_64", ["-M", "q35,memory-backend=m"]),
    "none": ("x86_64", ["-M", "none,memory-backend=m"]),
    "virt": ("aarch64", ["-M", "virt,memory-backend=m", "-cpu", "cortex-a57"]),
    "pseries": ("ppc64", ["-M", "pseries,memory-backend=m"]),
    "s390x": ("s390x", ["-M", "s390-ccw-virtio,memory-backend=m", "-accel", "tcg"]),
    "sun4u": ("sparc64", ["-M", "sun4u,memory-backend=m"]),
    "xilinx-zynq-a9": ("arm", ["-M", "xilinx-zynq-a9,memory-backend=m"]),
}


BOARDS = {
    "pc": ("x86_64", ["-M", "pc"]),
    "q35": ("x86_64", ["-M", "q35"]),
    "virt": ("aarch64", ["-M", "virt", "-cpu", "cortex-a57"]),
}


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_in_a_saved_stream_is_what_the_machine_has(family: str, release: str, tmp_path: Path) -> None:
    arch, machine = FAMILIES[family]
    size = 256 * MIB if family == "pseries" else SIZE
    memory, file = filled(tmp_path / "memory", size, 1), tmp_path / "stream"
    with real(release, ["-m", str(size // MIB), *backend("m", memory, size), *machine], tmp_path, arch) as source:
        try:
            saved(source, file)
        except (EOFError, BrokenPipeError):
            pytest.skip(f"QEMU {release} dies of saving {family}")
        told = as_json("info", file)
        blocks = source.ask("human-monitor-command", **{"command-line": "info ramblock"})
    assert stream("verify", file).startswith(f"{file}: whole, ")
    lengths = {line.split()[0]: int(line.split()[4], 16) for line in blocks.splitlines()[1:]}
    assert all(lengths[block["name"]] == block["size"] for block in told["blocks"])
    assert told["ram"]["missing-pages"] == 0
    content = memory.read_bytes()
    pages = [content[at : at + told["page-size"]] for at in range(0, size, told["page-size"])]
    block = next(block for block in told["blocks"] if block["name"] in ("m", "/objects/m"))
    assert block["zero-pages"] == pages.count(bytes(told["page-size"]))
    assert {"timer", "globalstate"} <= {device["name"] for device in told["devices"]}
    assert told["run-state"] == "prelaunch"
    for form in ("raw", "sparse"):
        stream("extract", file, "-block", block["name"], "-o", tmp_path / form, "-format", form)
        assert digest(tmp_path / form) == digest(memory)
    assert (tmp_path / "sparse").stat().st_blocks < (tmp_path / "raw").stat().st_blocks
    assert stream("diff", file, file) == "nothing differs\n"


@pytest.mark.parametrize("release", ["5.2", "7.2"])
def test_pages_that_are_sent_compressed_are_extracted(release: str, tmp_path: Path) -> None:
    memory = tmp_path / "memory"
    memory.write_bytes(b"".join(bytes([number % 251 + 1]) * 1000 for number in range(SIZE // 1000)).ljust(SIZE, b"\0"))
    with real(release, ["-m", "64", *backend("m", memory), "-M", "none,memory-backend=m"], tmp_path) as source:
        saved(source, tmp_path / "stream", "compress")
    assert as_json("info", tmp_path / "stream")["blocks"][0]["sent"]["compressed"] > 16000
    stream("extract", tmp_path / "stream", "-o", tmp_path / "out")
    assert digest(tmp_path / "out" / "m.raw") == digest(memory)
    stream("remap", "-map", "m=a+24M,b", tmp_path / "stream", "-o", tmp_path / "other")
    stream("extract", tmp_path / "other", "-o", tmp_path / "parts")
    joined = (tmp_path / "parts" / "a.raw").read_bytes() + (tmp_path / "parts" / "b.raw").read_bytes()
    assert joined == memory.read_bytes()


WITH_MAPPED_RAM = [release for release in RELEASES if release in ("10.0", "11.1")]


def saved_mapped(machine: Partner, path: Path, *capabilities: str, offset: int = 0) -> None:
    """Save a machine with its pages at fixed places of a file."""
    prepared(machine, "mapped-ram", *capabilities)
    assert machine.ask("migrate", uri=f"file:{path},offset={offset}") == {}
    assert machine.wait_for("completed", "failed")["status"] == "completed"


@pytest.mark.parametrize("release", WITH_MAPPED_RAM)
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("more", "offset"), [((), 0), (("multifd",), 0x5000)], ids=["alone", "multifd"])
def test_pages_at_fixed_places_are_those_of_the_machine(
    more: tuple[str, ...], offset: int, family: str, release: str, tmp_path: Path
) -> None:
    """The same as in a stream through a pipe of the same machine."""
    arch, machine = FAMILIES[family]
    size = 256 * MIB if family == "pseries" else SIZE
    memory, file = filled(tmp_path / "memory", size, 1), tmp_path / "mapped"
    options = ["-m", str(size // MIB), *backend("m", memory, size), *machine]
    with real(release, options, tmp_path, arch) as source:
        try:
            saved_mapped(source, file, *more, offset=offset)
        except (EOFError, BrokenPipeError):
            pytest.skip(f"QEMU {release} dies of saving {family}")
    expected = digest(memory)
    with real(release, options, tmp_path, arch) as source:  # some boards make new random numbers for their guests
        saved(source, tmp_path / "stream")
    at = ["-offset", str(offset)]
    told, other = as_json("info", file, *at), as_json("info", tmp_path / "stream")
    assert told["capabilities"] == ["mapped-ram"]
    for key in ("machine-type", "page-size", "ram", "devices"):
        assert told[key] == other[key], key
    assert told["run-state"] == "prelaunch"
    assert [block["name"] for block in told["blocks"]] == [block["name"] for block in other["blocks"]]
    assert stream("verify", file, *at).startswith(f"{file}: whole, ")
    name = next(block["name"] for block in told["blocks"] if block["name"] in ("m", "/objects/m"))
    stream("extract", file, *at, "-block", name, "-o", tmp_path / "out")
    assert digest(tmp_path / "out") == expected
    found = as_json("diff", file, tmp_path / "stream", *at, "-offset", "0", status=1)["differences"]
    assert found[0] == {"what": "capabilities", "from": ["mapped-ram"], "to": []}
    same = digest(memory) == expected
    assert [entry for entry in found if entry["what"] in ("block", "pages") and (same or entry["name"] != name)] == []
    hashes = [as_json("ls", "-hash", *words)["blocks"] for words in ([file, *at], [tmp_path / "stream"])]
    for one, other in zip(*hashes, strict=True):
        assert (one["hash"] == other["hash"]) == (same or one["name"] != name), one["name"]
    if not offset:
        with (tmp_path / "packed").open("wb") as packed:
            subprocess.run(["gzip", "-1c", file], stdout=packed, check=True)
        side = read_side(str(file))
        assert [(block.name, block.used_length) for block in side.blocks] == [
            (block["name"], block["size"]) for block in told["blocks"]
        ]
        assert (side.page_size, side.capabilities) == (told["page-size"], ("mapped-ram",))
        assert "neither from a pipe nor compressed" in stream("info", tmp_path / "packed", status=2)


@pytest.mark.parametrize("release", WITH_MAPPED_RAM)
@pytest.mark.parametrize("board", BOARDS)
@pytest.mark.parametrize("more", [(), ("multifd",)], ids=["alone", "multifd"])
def test_fixed_places_are_rewritten_for_other_blocks(
    more: tuple[str, ...], board: str, release: str, tmp_path: Path
) -> None:
    """Real QEMU with two nodes takes the file, goes on, saves its own; and this becomes one block again."""
    arch, machine = BOARDS[board]
    memory = filled(tmp_path / "memory", SIZE, 1)
    first = ["-m", "64", "-smp", "2", *machine]
    with real(release, [*first, *backend("m", memory), "-M", "memory-backend=m"], tmp_path, arch) as source:
        source.ask("cont")
        source.wait_for_state("running")
        time.sleep(0.5)
        saved_mapped(source, tmp_path / "one", *more, offset=0x3000)
    stream("remap", "-map", SPLIT, tmp_path / "one", "-offset", "0x3000", "-o", tmp_path / "two")
    assert stream("verify", tmp_path / "two").startswith(f"{tmp_path}/two: whole, ")
    with real(release, [*two_nodes(tmp_path), *machine, "-incoming", "defer"], tmp_path, arch) as middle:
        prepared(middle, "mapped-ram", *more)
        assert middle.ask("migrate-incoming", uri=f"file:{tmp_path}/two") == {}
        assert middle.wait_for("completed", "failed")["status"] == "completed", middle.errors
        middle.wait_for_state("paused")
        assert contents(tmp_path / "0", tmp_path / "1") == contents(memory)
        middle.ask("cont")
        middle.wait_for_state("running")
        time.sleep(0.5)  # of saving two nodes so, right after they go on, QEMU dies in an assertion of its own
        saved_mapped(middle, tmp_path / "back", *more)
    stream("remap", "-map", "ram0=n", "-map", "ram1=n", tmp_path / "back", "-o", tmp_path / "again")
    last = [*first, *backend("n", tmp_path / "new"), "-M", "memory-backend=n", "-incoming", "defer"]
    with real(release, last, tmp_path, arch) as end:
        prepared(end, "mapped-ram", *more)
        assert end.ask("migrate-incoming", uri=f"file:{tmp_path}/again") == {}
        assert end.wait_for("completed", "failed")["status"] == "completed", end.errors
        end.wait_for_state("paused")
        assert contents(tmp_path / "0", tmp_path / "1") == contents(tmp_path / "new")
    assert (tmp_path / "again").stat().st_blocks * 512 < 16 * MIB


def test_shared_memory_that_stays_away_has_no_place(tmp_path: Path) -> None:
    """QEMU 10.0 fails to save so."""
    memory = filled(tmp_path / "memory", SIZE, 1)
    with real("11.1", ["-m", "64", *backend("m", memory), "-M", "pc,memory-backend=m"], tmp_path) as source:
        saved_mapped(source, tmp_path / "mapped", "x-ignore-shared")
    told = as_json("info", tmp_path / "mapped")
    assert told["capabilities"] == ["x-ignore-shared", "mapped-ram"]
    assert told["ram"]["missing-pages"] == told["blocks"][0]["missing-pages"] == SIZE // 4096
    assert stream("verify", tmp_path / "mapped").startswith(f"{tmp_path}/mapped: whole, ")
    words: list[str | Path] = ["remap", "-map", "m=n", tmp_path / "mapped", "-o", tmp_path / "out"]
    assert "x-ignore-shared and mapped-ram together" in stream(*words, status=2)
    assert "-o has to say which is the new one" in stream(*words[:-2], status=2)
    assert not (tmp_path / "out").exists()


def test_what_differs_is_told(tmp_path: Path) -> None:
    memory = filled(tmp_path / "memory", SIZE, 1)
    machine = ["-m", "64", *backend("m", memory), "-M", "pc,memory-backend=m"]
    for number in range(2):
        with real("7.2", machine, tmp_path) as source:
            saved(source, tmp_path / str(number))
        with memory.open("r+b") as file:
            file.seek(5 * MIB + 17)
            file.write(b"changed")
    found = as_json("diff", tmp_path / "0", tmp_path / "1", status=1)["differences"]
    pages = [entry for entry in found if entry.get("name") == "m"]
    assert pages == [{"what": "pages", "name": "m", "pages": 1, "ranges": [[5 * MIB, 5 * MIB + 4096]]}]
    hashes = [as_json("ls", tmp_path / str(number), "-hash")["blocks"][0]["hash"] for number in range(2)]
    assert hashes[0] != hashes[1]
    assert "block m: 1 pages differ" in stream("diff", tmp_path / "0", tmp_path / "1", status=1)


def save_file(path: Path, data: bytes, compressed: int, order: str = "<") -> Path:
    """A save file as libvirt writes it."""
    xml = b"<domain type='kvm'><name>x</name></domain>\0<cookie/>\0"
    head = b"LibvirtQemudSave" + pack(f"{order}5I56x", 2, len(xml), 1, compressed, xml.index(b"<cookie"))
    path.write_bytes(head + xml + data)
    return path


def test_save_files_of_libvirt_are_read(tmp_path: Path) -> None:
    import bz2
    import lzma

    with real("7.2", ["-M", "none", "-m", "16"], tmp_path) as source:
        saved(source, tmp_path / "stream")
    data = (tmp_path / "stream").read_bytes()
    packed = {0: data, 1: gzip.compress(data), 2: bz2.compress(data), 3: lzma.compress(data)}
    for number, tool in ((4, "lzop"), (5, "zstd")):
        if shutil.which(tool) is not None:
            packed[number] = subprocess.run([tool, "-c"], input=data, capture_output=True, check=True).stdout
    for number, content in packed.items():
        for order in "<>":
            file = save_file(tmp_path / f"{number}", content, number, order)
            told = as_json("info", file)
            assert told["libvirt"] == {"was-running": True, "xml-bytes": 43}
            assert told["size"] == len(data)
            assert stream("diff", file, tmp_path / "stream") == "nothing differs\n"
        if number:
            save_file(tmp_path / "cut", content[:-9], number)
            assert "broken" in stream("verify", tmp_path / "cut", status=1)
            (tmp_path / "bare").write_bytes(content)
            assert as_json("info", tmp_path / "bare")["size"] == len(data)
    assert "format 6, which is not known" in stream("info", save_file(tmp_path / "6", data, 6), status=2)
    (tmp_path / "part").write_bytes(b"LibvirtQemudPart" + bytes(100))
    assert "did not finish" in stream("info", tmp_path / "part", status=1)


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


def two_nodes(folder: Path) -> list[str]:
    """A machine whose memory is in two nodes."""
    nodes = ["-smp", "2", "-numa", "node,memdev=ram0", "-numa", "node,memdev=ram1"]
    return [
        "-m",
        "64",
        *backend("ram0", folder / "0", SIZE // 4),
        *backend("ram1", folder / "1", SIZE // 4 * 3),
        *nodes,
    ]


def one_block(folder: Path) -> list[str]:
    return ["-m", "64", "-smp", "2", *backend("m", folder / "memory")]


def contents(*paths: Path) -> str:
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()


SPLIT = "m=ram0@0+16M,ram1@16M"


def prepared(machine: Partner, *capabilities: str) -> None:
    switched = [{"capability": name, "state": True} for name in ("events", *capabilities)]
    assert machine.ask("migrate-set-capabilities", capabilities=switched) == {}


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


@pytest.mark.parametrize("release", RELEASES)
def test_shared_memory_that_stays_away_is_renamed_and_not_divided(release: str, tmp_path: Path) -> None:
    filled(tmp_path / "memory", SIZE, 1)
    machine = ["-m", "64", "-M", "none,memory-backend=m"]
    with real(release, [*backend("m", tmp_path / "memory"), *machine], tmp_path) as source:
        saved(source, tmp_path / "stream", "x-ignore-shared")
    told = as_json("info", tmp_path / "stream")
    assert (told["capabilities"], told["ram"]["missing-pages"]) == (["x-ignore-shared"], SIZE // 4096)
    assert "is not one whole block" in stream("remap", "-map", "m=a+1M,b", tmp_path / "stream", status=2)
    stream("remap", "-map", "m=n", tmp_path / "stream", "-o", tmp_path / "renamed")
    renamed = [*backend("n", tmp_path / "memory"), "-m", "64", "-M", "none,memory-backend=n", "-incoming", "defer"]
    with real(release, renamed, tmp_path) as destination:
        prepared(destination, "x-ignore-shared")
        assert destination.ask("migrate-incoming", uri=f"exec:cat {tmp_path}/renamed") == {}
        assert destination.wait_for_state("prelaunch") == "prelaunch"


@pytest.mark.parametrize("release", RELEASES)
def test_devices_may_come_before_the_memory(release: str, tmp_path: Path) -> None:
    """virtio-mem tells early which of its memory is plugged, since QEMU 8.0; how long that is, nobody tells."""
    memory = ["-m", "64M,slots=1,maxmem=1G", "-object", "memory-backend-ram,id=m,size=64M"]
    machine = ["-M", "pc", *memory, "-device", "virtio-mem-pci,memdev=m,requested-size=32M"]
    with real(release, machine, tmp_path) as source:
        saved(source, tmp_path / "stream")
    told = as_json("info", tmp_path / "stream")
    assert told["ram"]["missing-pages"] > 0
    stream("verify", tmp_path / "stream")
    stream("remap", "-map", "pc.ram=pc.ram", tmp_path / "stream", "-o", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == (tmp_path / "stream").read_bytes()
    stream("remap", "-map", "pc.ram=a+16M,b", tmp_path / "stream", "-o", tmp_path / "divided")
    nodes = [f"memory-backend-ram,id={name},size={size}M" for name, size in (("a", 16), ("b", 48))]
    numa = [word for node in nodes for word in ("-object", node)] + ["-numa", "node,memdev=a", "-numa", "node,memdev=b"]
    with real(release, [*machine, *numa, "-incoming", f"exec:cat {tmp_path}/divided"], tmp_path) as destination:
        assert destination.wait_for_state("prelaunch") == "prelaunch"


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


def cut_and_wrong(data: bytes) -> dict[str, bytes]:
    middle = len(data) // 2
    return {
        "cut": data[:middle],
        "empty": b"",
        "noise": bytes(range(256)) * 99,
        "longer": data + b"\0" * 9,
        "hole": data[:200] + bytes(5000) + data[5200:],
    }


def test_broken_files_are_told_and_nothing_is_left(tmp_path: Path) -> None:
    with real("7.2", ["-M", "none", "-m", "16"], tmp_path) as source:
        saved(source, tmp_path / "stream")
    for name, data in cut_and_wrong((tmp_path / "stream").read_bytes()).items():
        (tmp_path / name).write_bytes(data)
        status = 2 if name == "noise" else 1
        stream("verify", tmp_path / name, status=status)
        if name == "longer":
            continue
        stream("extract", tmp_path / name, "-block", "ram", "-o", tmp_path / "out", status=status)
        stream("remap", "-map", "ram=x", tmp_path / name, "-o", tmp_path / "out", status=status)
        assert not (tmp_path / "out").exists()
