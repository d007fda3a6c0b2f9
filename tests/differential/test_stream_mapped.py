"""Saved files with pages at fixed places (mapped-ram): looked into, and rewritten for real QEMU of another layout."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest

from ramslot.monitor.compat.sides import read_side

from .oracle import RELEASES
from .partners import Partner, digest, filled, real
from .saved_streams import (
    BOARDS,
    FAMILIES,
    MIB,
    SIZE,
    SPLIT,
    as_json,
    backend,
    contents,
    prepared,
    saved,
    stream,
    two_nodes,
)

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
