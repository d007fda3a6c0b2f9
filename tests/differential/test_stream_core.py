"""Core files of saved streams against what real QEMU dumps that took the same stream: places, lengths, every byte."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from .oracle import RELEASES
from .partners import filled, real
from .saved_streams import MIB, backend, saved, stream
from .test_dump import dump, read_core

SIZE = 64 * MIB
PLUGGED = "-m 64M,slots=2,maxmem=1G -object memory-backend-ram,id=d,size=128M -device pc-dimm,memdev=d"
BOARDS = {
    "pc": ("x86_64", "-m 64M -M pc,memory-backend=m"),
    "q35 with a DIMM": ("x86_64", f"-M q35,memory-backend=m {PLUGGED}"),
    "below 4 GiB": ("x86_64", "-m 64M -M pc,memory-backend=m,max-ram-below-4g=32M"),
    "nodes": (
        "x86_64",
        "-m 64M -M q35 -numa node,memdev=m -numa node,memdev=n -object memory-backend-ram,id=n,size=32M",
    ),
    "none": ("x86_64", "-m 64M -M none,memory-backend=m"),
    "i386": ("i386", "-m 64M -M pc,memory-backend=m"),
    "virt": ("aarch64", "-m 64M -M virt,memory-backend=m -cpu cortex-a57"),
    "s390x": ("s390x", "-m 64M -M s390-ccw-virtio,memory-backend=m -accel tcg"),
    "pseries": ("ppc64", "-m 256M -M pseries,memory-backend=m"),
}


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("board", BOARDS)
def test_the_file_is_what_qemu_dumps_after_the_same_stream(board: str, release: str, tmp_path: Path) -> None:
    arch, options = BOARDS[board]
    size = {"nodes": 32 * MIB, "pseries": 256 * MIB}.get(board, SIZE)
    memory = filled(tmp_path / "memory", size, 1)
    machine = [*options.split(), *backend("m", memory, size)]
    with real(release, machine, tmp_path, arch) as source:
        saved(source, tmp_path / "stream")
    line = f"qemu-system-{arch}-{release} -nodefaults {' '.join(machine)}"
    stream("extract", tmp_path / "stream", "-o", tmp_path / "mine", "-format", "elf", "-machine", line)
    with real(release, [*machine, "-incoming", f"exec:cat {tmp_path}/stream"], tmp_path, arch) as destination:
        destination.wait_for("completed", "failed")
        destination.wait_for_state("prelaunch", "paused")
        answer, told = dump(destination, tmp_path / "theirs")
    assert (answer, told["status"]) == ({}, "completed")
    mine, theirs = read_core(tmp_path / "mine"), read_core(tmp_path / "theirs")
    assert (mine.kind, mine.loads) == (theirs.kind, theirs.loads)
    for load, one, other in zip(mine.loads, mine.contents, theirs.contents, strict=True):
        assert one == other, f"at {load[1]:#x}"
    assert sum(map(len, mine.contents)) >= size
    assert (tmp_path / "mine").stat().st_blocks * 512 < 16 * MIB


def test_a_debugger_reads_it(tmp_path: Path) -> None:
    if shutil.which("gdb") is None:
        pytest.skip("there is no gdb")
    memory = filled(tmp_path / "memory", SIZE, 1)
    with memory.open("r+b") as file:
        file.seek(0x200000)
        file.write(b"found where the guest has it\0")
    machine = ["-m", "64M", "-M", "pc,memory-backend=m", *backend("m", memory)]
    with real("7.2", machine, tmp_path) as source:
        saved(source, tmp_path / "stream")
    line = f"qemu-system-x86_64-7.2 -nodefaults {' '.join(machine)}"
    stream("extract", tmp_path / "stream", "-o", tmp_path / "core", "-format", "elf", "-machine", line)
    command = ["gdb", "-nx", "-batch", "-ex", "x/s 0x200000", "-core", str(tmp_path / "core")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert 'found where the guest has it"' in done.stdout, done.stderr


REFUSED = {
    "-m 32M -M pc": 'Unknown ramblock "m", cannot accept migration',
    "-m 32M -M pc,memory-backend=m -object memory-backend-ram,id=m,size=32M": "Size mismatch: m: 0x4000000 != 0x2000000",
    "-m 64M -M q35,memory-backend=m -object memory-backend-ram,id=m,size=64M": "Machine type received is 'pc-i440fx-7.2'",
    "-m 64M,slots=1,maxmem=1G -M pc,memory-backend=m -object memory-backend-ram,id=m,size=64M "
    "-object memory-backend-ram,id=d,size=128M -device pc-dimm,memdev=d": "the machine has a RAMBlock 'd'",
    "-m 64M -M nonsense": "unsupported machine type",
}


@pytest.mark.parametrize("options", REFUSED)
def test_other_machines_are_refused_and_nothing_is_left(options: str, tmp_path: Path) -> None:
    memory = filled(tmp_path / "memory", SIZE, 1)
    with real("7.2", ["-m", "64M", "-M", "pc,memory-backend=m", *backend("m", memory)], tmp_path) as source:
        saved(source, tmp_path / "stream")
    line = f"qemu-system-x86_64-7.2 -nodefaults {options}"
    words: list[str | Path] = [
        "extract",
        tmp_path / "stream",
        "-o",
        tmp_path / "core",
        "-format",
        "elf",
        "-machine",
        line,
    ]
    assert REFUSED[options] in stream(*words, status=2)
    assert not (tmp_path / "core").exists()
