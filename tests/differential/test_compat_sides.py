"""The sides that `compat` takes beside command lines: machines that run, real QEMU's and ours, and streams they saved."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from ramslot.monitor.compat.asking import ask
from ramslot.monitor.compat.sides import read_side
from ramslot.vm.compat.comparing import compare
from ramslot.vm.compat.contract import Block, Contract

from ..recorders.compat import load, save
from .compat_sides import Side
from .oracle import RELEASES, qemu
from .partners import partner
from .test_compat import OF_MEMORY

NUMA = (
    "-smp 2 -m 32M -object memory-backend-ram,id=a,size=16M -object memory-backend-memfd,id=b,size=16M,share=on "
    "-numa node,memdev=a -numa node,memdev=b"
)
MACHINES = (
    "-M none,memory-backend=m -object memory-backend-memfd,id=m,size=4M",
    "-M pc -m 3584M",
    f"-M q35 {NUMA}",
    "-M pc -m 32M,slots=2,maxmem=1G -object memory-backend-ram,id=d,size=32M -device pc-dimm,memdev=d",
)


def as_told(contract: Contract) -> list[Block]:
    """The blocks as far as any monitor tells them: not what is shared but by backends, nor what could be resized."""
    return [
        replace(block, resizeable=block.used_length != block.max_length, shared=None, owner="")
        for block in contract.blocks
    ]


@pytest.mark.parametrize("kind", ["real", "ours"])
@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("options", MACHINES)
def test_a_machine_that_runs_is_what_its_command_line_says(
    options: str, release: str, kind: str, tmp_path: Path
) -> None:
    side = Side(release, "x86_64", options)
    path = tmp_path / "monitor"
    words = [*shlex.split(options), "-qmp", f"unix:{path},server=on,wait=off"]
    with partner(kind, release, words, tmp_path):
        running = read_side(f"unix:{path}")
    described = read_side(side.text)
    assert as_told(running) == as_told(described)
    for name in ("release", "machine_type", "page_size", "configured", "sends_switchover_start", "last_command"):
        assert getattr(running, name) == getattr(described, name), name
    for source, destination in ((running, described), (described, running)):
        verdict = compare(source, destination)
        assert verdict.compatible and verdict.certain, verdict.reasons
        assert not verdict.differences


@pytest.mark.parametrize("release", RELEASES)
def test_a_command_line_tells_the_blocks_of_its_devices(release: str, tmp_path: Path) -> None:
    """As a monitor does."""
    options = "-M pc -m 64M -device VGA -device e1000"
    path = tmp_path / "monitor"
    with partner("real", release, [*shlex.split(options), "-qmp", f"unix:{path},server=on,wait=off"], tmp_path):
        running = read_side(f"unix:{path}")
    described = read_side(Side(release, "x86_64", options).text)
    assert {"vga.vram", "vga.rom", "e1000.rom"} <= {block.name.rpartition("/")[2] for block in running.blocks}
    for source, destination in ((running, described), (described, running)):
        verdict = compare(source, destination)
        assert (verdict.compatible, verdict.certain) == (True, True)
        assert not verdict.differences
    without = read_side(Side(release, "x86_64", "-M pc -m 64M").text)
    refusal = compare(running, without).refusal
    assert refusal is not None and "vga.vram" in str(refusal.text)


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("options", MACHINES)
def test_a_saved_stream_has_the_blocks_of_its_machine(options: str, release: str, tmp_path: Path) -> None:
    side = Side(release, "x86_64", options)
    path = tmp_path / "stream"
    with partner("real", release, shlex.split(options), tmp_path) as source:
        source.ask("migrate-set-parameters", **{"max-bandwidth": 0})
        source.ask("migrate", uri=f"exec:cat > {path}")
        assert source.wait_for("completed", "failed")["status"] == "completed"
    saved, described = read_side(str(path)), read_side(side.text)
    assert [(block.name, block.used_length) for block in saved.blocks] == [
        (block.name, block.used_length) for block in described.blocks
    ]
    assert saved.sends_switchover_start == described.sends_switchover_start
    assert compare(saved, described).compatible
    other = read_side(Side(release, "x86_64", "-M pc -m 48M").text)
    assert not compare(saved, other).accepted


HELPED = [
    (Side("7.2", "x86_64", "-M pc -m 64M"), Side("11.1", "x86_64", "-M pc -m 32M")),
    (
        Side("7.2", "x86_64", "-M pc,memory-backend=m -m 32M -object memory-backend-memfd,id=m,size=32M"),
        Side("10.0", "x86_64", "-M pc-i440fx-7.2 -m 32M,slots=2,maxmem=1G"),
    ),
    (
        Side(
            "7.2",
            "x86_64",
            "-M q35 -m 32M,slots=2,maxmem=1G -object memory-backend-ram,id=d,size=32M -device pc-dimm,memdev=d",
        ),
        Side("7.2", "x86_64", "-M q35 -m 32M"),
    ),
    (Side("11.1", "x86_64", f"-M pc-q35-7.2 {NUMA}"), Side("7.2", "x86_64", "-M q35 -m 32M -smp 2")),
    (Side("7.2", "s390x", "-M s390-ccw-virtio-5.2 -m 64M"), Side("5.2", "s390x", "-M s390-ccw-virtio -m 32M")),
    (Side("7.2", "ppc64", "-M pseries-5.2 -m 512M"), Side("10.0", "ppc64", "-M pseries -m 256M")),
]


@pytest.mark.parametrize(("source", "destination"), HELPED)
def test_real_qemu_takes_the_memory_after_the_change(source: Side, destination: Side, tmp_path: Path) -> None:
    """And it does not before."""
    for side in (source, destination):
        if qemu(side.arch, side.release) is None:
            pytest.skip(f"there is no QEMU {side.release} for {side.arch}")
    verdict, fix = ask(source.text, destination.text)[0]
    assert fix is not None
    changed = Side(
        destination.release, destination.arch, shlex.join(word for word in fix.words[1:] if word != "-nodefaults")
    )
    stream = tmp_path / "stream"
    assert save(source, stream)
    before, after = load(destination, stream), load(changed, stream)
    assert verdict.refusal is not None
    assert before[0] == verdict.refusal.text or before == verdict.refusal.lines(verdict.release)
    assert after == "completed" or not any(OF_MEMORY.match(line) for line in after)
