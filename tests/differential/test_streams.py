"""Streams that real QEMU saved, looked into, compared, and rewritten in a file."""

from __future__ import annotations

import gzip
import shutil
import subprocess
from pathlib import Path
from struct import pack

import pytest

from .oracle import RELEASES
from .partners import digest, filled, real
from .saved_streams import FAMILIES, MIB, SIZE, as_json, backend, prepared, saved, stream


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
