"""Pages at fixed places of a file (mapped-ram), which real QEMU writes and reads as well."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from struct import pack_into
from typing import Any

import pytest

from .oracle import RELEASES
from .partners import Partner, digest, filled, ours, partner, real
from .test_migration import DIRECTIONS, SIZE, memory
from .test_migration_channels import prepare, told

MAPPED = ("events", "mapped-ram")
WITH_FILES = [release for release in RELEASES if release in ("10.0", "11.1")]


def saved(source: Partner, where: str) -> dict[str, Any]:
    assert source.ask("migrate", uri=where) == {}
    return source.wait_for("completed", "failed")


def loaded(destination: Partner, where: str) -> dict[str, Any]:
    assert destination.ask("migrate-incoming", uri=where) == {}
    return destination.wait_for("completed", "failed")


@pytest.mark.parametrize("release", WITH_FILES)
@pytest.mark.parametrize("more", [(), ("multifd",)], ids=["", "multifd"])
@pytest.mark.parametrize("offset", [0, 0x5000])
def test_pages_have_fixed_places(more: tuple[str, ...], offset: int, release: str, tmp_path: Path) -> None:
    """What both tell is equal, and so are the files up to the state of devices: same places, bitmaps, pages."""
    found, files = [], []
    for number, (source_kind, destination_kind) in enumerate((("real", "real"), *DIRECTIONS)):
        folder = tmp_path / str(number)
        folder.mkdir()
        old, new, file = filled(folder / "old", SIZE, 1), folder / "new", folder / "file"
        file.write_bytes(b"somebody else's" * 2000)
        where = f"file:{file},offset={offset}"
        with partner(source_kind, release, memory(old), folder) as source:
            prepare(source, (*MAPPED, *more))
            sent = saved(source, where)
        with partner(destination_kind, release, [*memory(new), "-incoming", "defer"], folder) as destination:
            prepare(destination, (*MAPPED, *more))
            received = loaded(destination, where)
            found.append((told(sent), received, destination.wait_for_state("prelaunch"), destination.events))
        assert digest(old) == digest(new)
        content = file.read_bytes()
        end = content.rindex(b"ram0", offset, offset + 4096) + 4 + 8 + 28  # behind the header of its pages
        files.append((content[:end].replace(b"\1\0\0\0\1\3ram", b"\1\0\0\0\2\3ram"), content[end : (1 << 20) + SIZE]))
        assert file.stat().st_blocks * 512 < 8 << 20
    assert found[1:] == [found[0]] * 3
    assert all(other == files[0] for other in files[1:])


@pytest.mark.parametrize("release", WITH_FILES)
@pytest.mark.parametrize("machine", ["pc", "q35"])
def test_a_machine_goes_through_us_by_files(machine: str, release: str, tmp_path: Path) -> None:
    paths = [filled(tmp_path / "0", SIZE, 1), tmp_path / "1", tmp_path / "2"]
    files = [f"file:{tmp_path}/file{number}" for number in range(2)]
    with real(release, memory(paths[0], machine), tmp_path) as first:
        prepare(first, MAPPED)
        first.ask("cont")
        first.wait_for_state("running")
        saved(first, files[0])
    with ours(release, [*memory(paths[1], machine), "-incoming", "defer"], tmp_path) as between:
        prepare(between, MAPPED)
        between.ask("cont")
        loaded(between, files[0])
        between.wait_for_state("running")
        assert digest(paths[0]) == digest(paths[1])
        saved(between, files[1])
    with real(release, [*memory(paths[2], machine), "-incoming", "defer"], tmp_path) as last:
        prepare(last, MAPPED)
        last.ask("cont")
        loaded(last, files[1])
        assert last.wait_for_state("running") == "running"


@pytest.mark.parametrize(("source_kind", "destination_kind"), [("real", "real"), *DIRECTIONS])
def test_shared_memory_stays_as_it_is(source_kind: str, destination_kind: str, tmp_path: Path) -> None:
    """With x-ignore-shared as well; QEMU 10.0 fails to save so."""
    shared, file = filled(tmp_path / "memory", SIZE, 1), tmp_path / "file"
    before = digest(shared)
    with partner(source_kind, "11.1", memory(shared), tmp_path) as source:
        prepare(source, (*MAPPED, "x-ignore-shared"))
        assert saved(source, f"file:{file}")["status"] == "completed"
    with partner(destination_kind, "11.1", [*memory(shared), "-incoming", "defer"], tmp_path) as destination:
        prepare(destination, (*MAPPED, "x-ignore-shared"))
        assert loaded(destination, f"file:{file}")["status"] == "completed"
        assert destination.wait_for_state("prelaunch") == "prelaunch"
    assert digest(shared) == before


def changed(place: int, form: str, value: int) -> Callable[[bytearray, int], bytes]:
    """A file with another number at a place behind its only block's length."""

    def change(data: bytearray, head: int) -> bytes:
        pack_into(form, data, head + place, value)
        return bytes(data)

    return change


FILES: dict[str, Callable[[bytearray, int], bytes]] = {
    "a later version": changed(0, ">I", 2),
    "an earlier version": changed(0, ">I", 0),
    "a bitmap far away": changed(12, ">Q", 1 << 40),
    "a bitmap before everything": changed(12, ">Q", (1 << 64) - 1),
    "pages far away": changed(20, ">Q", 1 << 40),
    "pages at an odd place": changed(20, ">Q", 0x100001),
    "an end within the pages": lambda data, _head: bytes(data[:0x180000]),
    "an end within the stream": lambda data, _head: bytes(data[: (1 << 20) + SIZE + 4]),
    "an end within the bitmap": lambda data, head: bytes(data[: head + 40]),
    "an end within the header": lambda data, head: bytes(data[: head + 7]),
    "another block": lambda data, _head: bytes(data).replace(b"\4ram0", b"\4ram9"),
    "pages behind the last": lambda data, head: (
        bytes(data[: head + 28]) + b"\xff" * 2048 + bytes(data[head + 28 + 2048 :])
    ),
    "nothing": lambda _data, _head: b"",
}
"""Files that are not what they should be. Of another page size 10.0 dies, and of pages behind the stream's place it reads
the stream anew."""


@pytest.mark.parametrize("release", WITH_FILES)
def test_hostile_files_end_in_the_same_words(release: str, tmp_path: Path) -> None:
    with ours(release, memory(filled(tmp_path / "old", SIZE, 4)), tmp_path) as source:
        prepare(source, MAPPED)
        saved(source, f"file:{tmp_path}/good")
    good = bytearray((tmp_path / "good").read_bytes())
    head = good.index(b"\4ram0") + 5 + 8
    for name, change in FILES.items():
        (tmp_path / "file").write_bytes(change(bytearray(good), head))
        answers: list[Any] = []
        for kind in ("real", "ours"):
            with partner(kind, release, [*memory(tmp_path / kind), "-incoming", "defer"], tmp_path) as destination:
                prepare(destination, MAPPED)
                try:
                    loaded(destination, f"file:{tmp_path}/file")
                    answers.append(digest(tmp_path / kind))
                except (EOFError, BrokenPipeError):
                    said = [line.partition(": ")[2] for line in destination.errors.splitlines()]
                    answers.append((destination.process.wait(30), said))
        assert answers[0] == answers[1], name


@pytest.mark.parametrize("release", WITH_FILES)
@pytest.mark.parametrize("sides", [(MAPPED, ()), ((), MAPPED)])
def test_both_sides_must_want_it(sides: tuple[tuple[str, ...], ...], release: str, tmp_path: Path) -> None:
    with ours(release, memory(filled(tmp_path / "old", SIZE, 4)), tmp_path) as source:
        prepare(source, sides[0])
        saved(source, f"file:{tmp_path}/file")
    answers = []
    for kind in ("real", "ours"):
        with partner(kind, release, [*memory(tmp_path / kind), "-incoming", "defer"], tmp_path) as destination:
            prepare(destination, sides[1])
            assert destination.ask("migrate-incoming", uri=f"file:{tmp_path}/file") == {}
            status = destination.process.wait(30)
            answers.append((status, [line.partition(": ")[2] for line in destination.errors.splitlines()]))
    assert answers[0] == answers[1]


@pytest.mark.parametrize("release", WITH_FILES)
def test_only_a_file_will_do(release: str, tmp_path: Path) -> None:
    answers = []
    for kind in ("real", "ours"):
        with (
            partner(kind, release, ["-M", "none"], tmp_path) as source,
            partner(kind, release, ["-M", "none", "-incoming", "defer"], tmp_path) as destination,
        ):
            found = []
            for more in ((), ("multifd",)):
                prepare(source, (*MAPPED, *more))
                prepare(destination, (*MAPPED, *more))
                for uri in ("exec:cat", "fd:x", "tcp:localhost:1", f"unix:{tmp_path}/x"):
                    found += [source.ask("migrate", uri=uri), destination.ask("migrate-incoming", uri=uri)]
        answers.append(found)
    assert answers[0] == answers[1]


def test_pages_that_became_zeros_since_are_zeros(tmp_path: Path) -> None:
    """A guest writes, and writes zeros over it, while the file is written over and over."""
    old, new = filled(tmp_path / "old", SIZE, 4), tmp_path / "new"
    with ours("11.1", memory(old), tmp_path) as source:
        prepare(source, MAPPED, **{"max-bandwidth": 100 << 20, "downtime-limit": 1})
        source.ask("cont")
        source.ask("guest-run", start=0, length=SIZE, mode="write", value=0, passes=3, rate=100 << 20)
        assert saved(source, f"file:{tmp_path}/file")["status"] == "completed"
    with ours("11.1", [*memory(new), "-incoming", "defer"], tmp_path) as destination:
        prepare(destination, MAPPED)
        loaded(destination, f"file:{tmp_path}/file")
        assert digest(old) == digest(new)


def test_a_file_is_not_written_past_the_cache(tmp_path: Path) -> None:
    with ours("11.1", ["-M", "none"], tmp_path) as source:
        prepare(source, MAPPED, **{"direct-io": True})
        refused = "Error: migration parameter 'direct-io' is not supported (QEMU has it)"
        assert source.ask("migrate", uri=f"file:{tmp_path}/file") == refused
        assert not (tmp_path / "file").exists()


@pytest.mark.parametrize("release", WITH_FILES)
def test_such_a_file_is_a_template_for_devices(release: str, tmp_path: Path) -> None:
    with real(release, memory(filled(tmp_path / "old", SIZE, 4), "pc"), tmp_path) as source:
        prepare(source, MAPPED)
        saved(source, f"file:{tmp_path}/file")
    with ours(release, memory(tmp_path / "new", "pc"), tmp_path) as machine:
        assert machine.ask("migration-devices-load", filename=f"{tmp_path}/file") == {}
        kept = machine.ask("query-migration-devices")
        assert {"timer", "cpu", "globalstate"} <= {section["name"] for section in kept["sections"]}
