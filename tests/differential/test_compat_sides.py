"""The sides that `compat` takes beside command lines: machines that run, real QEMU's and ours, and streams they saved."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from ramslot.monitor.compat.sides import read_side
from ramslot.vm.compat.comparing import compare
from ramslot.vm.compat.contract import Block, Contract

from .compat_sides import Side
from .oracle import RELEASES
from .partners import partner

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


def as_told(block: Block) -> Block:
    """A block as far as a monitor of a real QEMU tells it."""
    firmware = block.role == "board"
    return replace(
        block,
        resizeable=block.used_length != block.max_length,
        shared=None if firmware or block.owner == "pc.ram" else block.shared,
        owner="" if firmware else block.owner,
    )


def simplified(contract: Contract) -> list[Block]:
    return [replace(as_told(block), shared=None, owner="") for block in contract.blocks]


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
    assert simplified(running) == simplified(described)
    for name in ("release", "machine_type", "page_size", "configured", "sends_switchover_start", "last_command"):
        assert getattr(running, name) == getattr(described, name), name
    for source, destination in ((running, described), (described, running)):
        verdict = compare(source, destination)
        assert verdict.compatible and verdict.certain, verdict.reasons
        assert not verdict.differences


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
    assert compare(saved, described).compatible
    other = read_side(Side(release, "x86_64", "-M pc -m 48M").text)
    assert not compare(saved, other).accepted
