"""Ping-pong across versions: a machine of one real QEMU goes through ramslot, being another release, to that other QEMU."""

from __future__ import annotations

from pathlib import Path

import pytest

from .oracle import RELEASES
from .partners import digest, filled, ours, real
from .test_migration import moved

MIB = 1 << 20
PAIRS = [(old, new) for old in RELEASES for new in RELEASES if float(old) != float(new)]
FAMILIES: dict[str, tuple[str, list[str]]] = {
    "pc-i440fx": ("x86_64", []),
    "pc-q35": ("x86_64", []),
    "virt": ("aarch64", ["-cpu", "cortex-a15"]),  # of others the registers differ between all versions
    "pseries": ("ppc64", ["-cpu", "power9"]),
    "s390-ccw-virtio": ("s390x", ["-accel", "tcg"]),
}
MEETINGS = sorted(
    {
        (family, version, old, new)
        for old, new in PAIRS
        for family in FAMILIES
        for version in (min(old, new, key=float), RELEASES[0])
    }
)
"""The newest version of a machine that two QEMUs have, and the oldest that all have."""


def size_of(family: str) -> int:
    """MiB of a machine; what is divided among slots has to be large."""
    return 256 if family == "pseries" else 64


def memory(path: Path, family: str, version: str) -> list[str]:
    """A machine whose memory is a file, which tells what the memory holds."""
    ram = f"memory-backend-file,id=ram0,size={size_of(family)}M,mem-path={path},share=on"
    return ["-object", ram, "-M", f"{family}-{version},memory-backend=ram0", "-m", f"{size_of(family)}"]


def lets_itself(family: str, version: str, first: str, second: str, folder: Path) -> bool:
    """Whether one real QEMU's machine goes to the other real QEMU, with nobody between."""
    arch, options = FAMILIES[family]
    machine, where = [*options, "-M", f"{family}-{version}", "-m", f"{size_of(family)}"], f"unix:{folder}/direct"
    with (
        real(second, [*machine, "-incoming", where], folder, arch) as destination,
        real(first, machine, folder, arch) as source,
    ):
        source.ask("migrate", uri=where)
        source.wait_for("completed", "failed")
        try:
            return destination.wait_for_state("prelaunch", "paused") != ""
        except (EOFError, BrokenPipeError):
            return False


@pytest.mark.parametrize(("family", "version", "first", "second"), MEETINGS)
def test_versions_meet_in_us(family: str, version: str, first: str, second: str, tmp_path: Path) -> None:
    arch, options = FAMILIES[family]
    if arch != "x86_64" and not lets_itself(family, version, first, second, tmp_path):
        pytest.skip("real QEMU does not let this machine go to the other version")
    paths = [filled(tmp_path / "0", size_of(family) * MIB, 2), tmp_path / "1", tmp_path / "2"]
    sockets = [f"unix:{tmp_path}/socket{number}" for number in range(2)]
    machines = [[*options, *memory(path, family, version)] for path in paths]
    with (
        real(first, machines[0], tmp_path, arch) as source,
        ours(second, [*machines[1], "-incoming", sockets[0]], tmp_path, arch) as between,
        real(second, [*machines[2], "-incoming", sockets[1]], tmp_path, arch) as last,
    ):
        moved(source, between, sockets[0])
        assert between.wait_for_state("prelaunch", "paused")
        assert digest(paths[0]) == digest(paths[1])
        moved(between, last, sockets[1])
        assert last.wait_for_state("prelaunch", "paused")
        assert digest(paths[1]) == digest(paths[2])
