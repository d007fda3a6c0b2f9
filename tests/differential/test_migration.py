"""Migration with real QEMU on the other side, in both directions; and what both say of the same mistakes."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from struct import pack
from typing import Any

import pytest

from .oracle import OUR_ENVIRONMENT, RELEASES, our_command, qemu
from .partners import EVENTS, Partner, digest, filled, ours, partner, real

MIB = 1 << 20
SIZE = 64 * MIB
VARYING = (
    *("mbps", "pages-per-second", "dirty-sync-count", "transferred", "normal", "normal-bytes", "duplicate"),
    "downtime-bytes",
)
DIRECTIONS = (("real", "ours"), ("ours", "real"), ("ours", "ours"))


def memory(path: Path, machine: str = "none") -> list[str]:
    """A machine whose memory is a file, which tells what the memory holds."""
    ram = f"memory-backend-file,id=ram0,size={SIZE},mem-path={path},share=on"
    return ["-object", ram, "-M", f"{machine},memory-backend=ram0"]


def counted(told: dict[str, Any]) -> dict[str, Any]:
    """What is told of a migration and is no matter of time, of the contents, or of how often QEMU looks at them."""
    ram = {name: value for name, value in told.get("ram", {}).items() if name not in VARYING}
    members = sorted(name for name in told if name not in ("ram", "status"))
    return {"status": told["status"], "members": members, "ram": ram}


def moved(source: Partner, destination: Partner, where: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Migrate, and return what both tell then."""
    assert source.ask("migrate-set-capabilities", **EVENTS) == {}
    assert destination.ask("migrate-set-capabilities", **EVENTS) == {}
    assert source.ask("migrate", uri=where) == {}
    sent = source.wait_for("completed", "failed")
    destination.wait_for("completed", "failed")
    return sent, destination.ask("query-migrate")


@pytest.mark.parametrize("release", RELEASES)
def test_memory_arrives_and_both_tell_what_qemu_tells(release: str, tmp_path: Path) -> None:
    """Without a board no devices are needed: in each direction the same is told, and the stream has the same bytes."""
    found = []
    for number, (source_kind, destination_kind) in enumerate((("real", "real"), *DIRECTIONS)):
        folder = tmp_path / str(number)
        folder.mkdir()
        old, new = filled(folder / "old", SIZE, number), folder / "new"
        incoming = [*memory(new), "-incoming", f"unix:{folder}/socket"]
        with (
            partner(destination_kind, release, incoming, folder) as destination,
            partner(source_kind, release, memory(old), folder) as source,
        ):
            sent, received = moved(source, destination, f"unix:{folder}/socket")
            states = source.wait_for_state("postmigrate"), destination.wait_for_state("prelaunch")
            events = [event for event in source.events if not event.startswith("MIGRATION_PASS")]
            found.append((counted(sent), received, states, events, destination.events))
        assert digest(old) == digest(new)
    assert found[1:] == [found[0]] * 3


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("machine", ["pc", "q35"])
def test_a_running_machine_goes_through_us_and_runs_on(machine: str, release: str, tmp_path: Path) -> None:
    """QEMU to ramslot, which keeps the state of devices, and on to QEMU, which accepts it and runs."""
    paths = [filled(tmp_path / "0", SIZE, 1), tmp_path / "1", tmp_path / "2"]
    sockets = [f"unix:{tmp_path}/socket{number}" for number in range(2)]
    waiting = [[*memory(path, machine), "-incoming", where] for path, where in zip(paths[1:], sockets, strict=True)]
    with (
        real(release, memory(paths[0], machine), tmp_path) as first,
        ours(release, waiting[0], tmp_path) as between,
        real(release, waiting[1], tmp_path) as last,
    ):
        for each in (first, between, last):
            each.ask("cont")
        first.wait_for_state("running")
        moved(first, between, sockets[0])
        between.wait_for_state("running")
        assert digest(paths[0]) == digest(paths[1])
        kept = between.ask("query-migration-devices")
        assert {"timer", "cpu", "globalstate", "fw_cfg"} <= {section["name"] for section in kept["sections"]}
        assert (kept["source"], kept["run-state"]) == (sockets[0], "running")
        assert sum(section["size"] for section in kept["sections"]) < kept["bytes"]
        moved(between, last, sockets[1])
        assert last.wait_for_state("running") == "running"
        last.ask("stop")
        assert last.ask("query-status")["status"] == "paused"
        # The guest, which is the firmware, runs on at the destination and may write there.
        assert len(last.ask("query-memory-size-summary")) == 2


FAMILIES = {
    "virt": ("aarch64", ["-M", "virt", "-cpu", "cortex-a57"]),
    "virt, 32 bits": ("arm", ["-M", "virt"]),
    "pseries": ("ppc64", ["-M", "pseries"]),
    "s390x": ("s390x", ["-M", "s390-ccw-virtio", "-accel", "tcg"]),
    "microvm": ("x86_64", ["-M", "microvm"]),
    "SS-5": ("sparc", ["-M", "SS-5"]),
    "malta": ("mips", ["-M", "malta"]),
}


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("family", FAMILIES)
def test_all_families_go_through_us(family: str, release: str, tmp_path: Path) -> None:
    """Those that have a guest to run here run on in the end; a mainframe without a disk would not."""
    arch, machine = FAMILIES[family]
    if qemu(arch, release) is None:
        pytest.skip(f"there is no QEMU {release} for {arch}")
    options = [*machine, "-m", "256"]
    sockets = [f"unix:{tmp_path}/socket{number}" for number in range(2)]
    with (
        real(release, options, tmp_path, arch) as first,
        ours(release, [*options, "-incoming", sockets[0]], tmp_path, arch) as between,
        real(release, [*options, "-incoming", sockets[1]], tmp_path, arch) as last,
    ):
        state = "prelaunch" if family == "s390x" else "running"
        if state == "running":
            for each in (first, between, last):
                each.ask("cont")
            first.wait_for_state("running")
        moved(first, between, sockets[0])
        assert between.wait_for_state(state)
        kept = between.ask("query-migration-devices")
        assert kept["run-state"] == state
        assert len(kept["sections"]) > 8
        moved(between, last, sockets[1])
        assert last.wait_for_state(state)


PLUGGED = "64M,slots=2,maxmem=1G"
LAYOUTS = {
    "DIMM": ["-m", PLUGGED, "-object", "memory-backend-ram,id=m,size=32M", "-device", "pc-dimm,memdev=m,id=d"],
    "NVDIMM": [
        *("-M", "nvdimm=on", "-m", PLUGGED, "-object", "memory-backend-ram,id=m,size=32M"),
        *("-device", "nvdimm,memdev=m,id=d"),
    ],
    "virtio-mem": [
        *("-m", PLUGGED, "-object", "memory-backend-ram,id=m,size=64M"),
        *("-device", "virtio-mem-pci,memdev=m,id=d,requested-size=32M"),
    ],
    "balloon": ["-m", "64M", "-device", "virtio-balloon-pci,id=b"],
    "NUMA": [
        *("-m", "128M", "-smp", "2", "-object", "memory-backend-ram,id=a,size=64M"),
        *("-object", "memory-backend-memfd,id=b,size=64M", "-numa", "node,memdev=a", "-numa", "node,memdev=b"),
    ],
    "VGA and NIC": ["-m", "64M", "-device", "VGA", "-netdev", "user,id=n", "-device", "virtio-net-pci,netdev=n"],
    "behind a port": [
        *("-M", "q35", "-m", "64M", "-device", "pcie-root-port,id=r,chassis=1", "-device", "e1000e,bus=r,netdev=n"),
        *("-netdev", "user,id=n", "-device", "virtio-vga,addr=9", "-device", "qemu-xhci", "-device", "usb-tablet"),
    ],
    "without footers": ["-M", "pc-i440fx-2.3", "-m", "64M"],
    "a hole below 4 GiB": ["-m", "4G"],
}


@pytest.mark.parametrize(
    ("layout", "release"),
    # Devices of 8.0 and newer may tell of themselves before the memory, which 11.1 does first of all.
    [*((layout, "7.2") for layout in LAYOUTS), ("virtio-mem", "10.0"), ("virtio-mem", "11.1")]
    + [(layout, release) for layout in ("VGA and NIC", "behind a port") for release in RELEASES if release != "7.2"],
)
def test_all_layouts_go_through_us(layout: str, release: str, tmp_path: Path) -> None:
    machine = LAYOUTS[layout]
    sockets = [f"unix:{tmp_path}/socket{number}" for number in range(2)]
    with (
        real(release, machine, tmp_path) as first,
        ours(release, [*machine, "-incoming", sockets[0]], tmp_path) as between,
        real(release, [*machine, "-incoming", sockets[1]], tmp_path) as last,
    ):
        for each in (first, between, last):
            each.ask("migrate-set-parameters", **{"max-bandwidth": 0})
        moved(first, between, sockets[0])
        assert between.wait_for_state("prelaunch", "paused")
        kept = between.ask("query-migration-devices")
        assert len(kept["sections"]) > 8
        assert kept["bytes"] < 4 * MIB
        moved(between, last, sockets[1])
        assert last.wait_for_state("prelaunch", "paused")


@pytest.mark.parametrize(
    ("here", "there", "text"),
    [
        (["-m", "64M"], ["-m", "128M"], "Size mismatch: pc.ram: 0x4000000 != 0x8000000: Invalid argument"),
        (
            ["-m", "64M"],
            ["-m", "64M", "-M", "memory-backend=r", "-object", "memory-backend-ram,id=r,size=64M"],
            'Unknown ramblock "pc.ram", cannot accept migration',
        ),
        (["-m", "64M", "-M", "pc"], ["-m", "64M", "-M", "q35"], "Machine type received is"),
    ],
)
def test_memory_that_does_not_fit_is_refused_in_the_same_words(
    here: list[str], there: list[str], text: str, tmp_path: Path
) -> None:
    outcomes = []
    for source_kind, destination_kind in (("real", "real"), *DIRECTIONS):
        where = f"unix:{tmp_path}/{source_kind}-{destination_kind}"
        with (
            partner(destination_kind, "7.2", [*there, "-incoming", where], tmp_path) as destination,
            partner(source_kind, "7.2", here, tmp_path) as source,
        ):
            before = source.ask("query-status")
            source.ask("migrate", uri=where)
            status = destination.process.wait(60)
            told = [line.partition(": ")[2] for line in destination.errors.splitlines()]
            source.wait_for("failed", "completed")
            outcomes.append((status, told))
            assert source.ask("query-status")["running"] == before["running"]
    assert text in outcomes[0][1][0]
    assert outcomes[1:] == outcomes[:1] * 3


# Mistakes


def begun(blocks: list[tuple[str, int]], total: int | None = None) -> bytes:
    """A stream of a machine without a board, up to its list of RAMBlocks."""
    listed = b"".join(bytes([len(name)]) + name.encode() + pack(">Q", length) for name, length in blocks)
    told = sum(length for _name, length in blocks) if total is None else total
    return (
        b"QEVM\0\0\0\3\7\0\0\0\4none\1\0\0\0\2\3ram\0\0\0\0\0\0\0\4"
        + pack(">Q", told | 4)
        + listed
        + pack(">Q", 0x10)
        + b"\x7e\0\0\0\2"
    )


RAM = begun([("ram", 4 * MIB)])
PART = RAM + b"\2\0\0\0\2"
EMPTY = b"QEVM\0\0\0\3\7\0\0\0\4none"
STREAMS = {
    "no stream": b"hello world, not a stream",
    "cut in the magic": b"QE",
    "version 2": b"QEVM\0\0\0\2",
    "version 9": b"QEVM\0\0\0\x09",
    "no configuration": b"QEVM\0\0\0\3\1\0\0\0\2\3ram\0\0\0\0\0\0\0\4",
    "another machine": b"QEVM\0\0\0\3\7\0\0\0\2pc\1",
    "cut in the machine's name": b"QEVM\0\0\0\3\7\0\0\0\xffpc\1",
    "cut in a section's head": EMPTY + b"\1\0\0",
    "another device's section": EMPTY + b"\1\0\0\0\2\3foo\0\0\0\0\0\0\0\4",
    "another version": EMPTY + b"\1\0\0\0\2\3ram\0\0\0\0\0\0\0\x05",
    "another instance": EMPTY + b"\1\0\0\0\2\3ram\0\0\0\1\0\0\0\x04",
    "the beginning of the machine's name, unknown block": begun([("pc.ram", MIB)]).replace(b"\4none", b"\2no"),
    "unknown block": begun([("pc.ram", MIB)]),
    "smaller block": begun([("ram", MIB)]),
    "larger block": begun([("ram", 1024 * MIB)]),
    "larger total": begun([("ram", 4 * MIB)], 5 * MIB),
    "no footer": RAM[:-5] + b"\x7f\0\0\0\2",
    "another footer": RAM[:-1] + b"\3",
    "unknown section": RAM + b"\2\0\0\0\x09",
    "unknown type of section": RAM + b"\x33",
    "page behind the end": PART + pack(">Q", 4 * MIB | 8) + b"\3ram" + bytes(4096),
    "page of an unknown block": PART + pack(">Q", 8) + b"\3rom" + bytes(4096),
    "page of no block": PART + pack(">Q", 0x28) + bytes(4096),
    "unknown flags": PART + pack(">Q", 0x800) + bytes(4096),
    "two flags": PART + pack(">Q", 0xA) + b"\3ram" + bytes(4096),
    "cut in a page": PART + pack(">Q", 8) + b"\3ram" + bytes(40),
    "cut behind a section": RAM,
    "unknown command": RAM + b"\x08\0\x63\0\0",
    "command of newer QEMUs, then another length": RAM + b"\x08\0\x0b\0\0\x08\0\2\0\0\0\0\0\0",
    "flags of a page of half the size": PART + pack(">Q", 0x2) + b"\3ram\0" + pack(">Q", 0x822),
    "command of another length": RAM + b"\x08\0\2\0\0\0\0\0\0",
    "ping without a way back": RAM + b"\x08\0\2\0\4\0\0\0\1\0",
}
SINCE_10 = {"filled page": PART + pack(">Q", 0x2) + b"\3ram\7" + pack(">Q", 0x10) + b"\x7e\0\0\0\2\0"}
"""What older QEMUs take."""


def said(command: list[str], path: Path) -> tuple[int, str]:
    """Exit status and stderr of who loads a file."""
    options = ["-display", "none", "-nodefaults", "-M", "none", "-m", "4", "-monitor", "none"]
    run = subprocess.run(
        [*command, *options, "-incoming", f"exec:cat {path}"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=OUR_ENVIRONMENT,
        timeout=60,
    )
    lines = [line.partition(": ")[2] for line in run.stderr.splitlines() if line.partition(":")[0].startswith("qemu")]
    ours_too = [line.partition(": ")[2] for line in run.stderr.splitlines() if line.startswith("ramslot: ")]
    return run.returncode, "\n".join(line for line in lines + ours_too if "initialize module" not in line)


@pytest.mark.parametrize("release", RELEASES)
def test_hostile_streams_end_in_the_same_words(release: str, tmp_path: Path) -> None:
    program = qemu("x86_64", release)
    if program is None:
        pytest.skip(f"there is no QEMU {release}")
    wrong = {}
    for name, data in {**STREAMS, **(SINCE_10 if float(release) >= 10 else {})}.items():
        path = tmp_path / "stream"
        path.write_bytes(data)
        theirs, mine = said([program], path), said(our_command("x86_64", [], release), path)
        if theirs != mine:
            wrong[name] = theirs, mine
    assert not wrong


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("said_first", [b"", b"QEVM", b"hello, who is there?"])
def test_strangers_at_the_socket_end_it_in_the_same_words(said_first: bytes, release: str, tmp_path: Path) -> None:
    import socket

    outcomes = []
    for kind in ("real", "ours"):
        where = f"{tmp_path}/{kind}"
        waiting = ["-M", "none", "-m", "4", "-incoming", f"unix:{where}"]
        with partner(kind, release, waiting, tmp_path) as destination, socket.socket(socket.AF_UNIX) as stranger:
            stranger.connect(where)
            stranger.sendall(said_first)
            stranger.close()
            status = destination.process.wait(60)
            outcomes.append((status, [line.partition(": ")[2] for line in destination.errors.splitlines()]))
    assert outcomes[0] == outcomes[1]


URIS = (
    *("foo", "foo:bar", "unix:/nonexistent/x", "tcp:127.0.0.1:1", "tcp:x", "tcp:", "fd:none", "fd:7", "unix:"),
    "file:/nonexistent/x",
)


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("uri", URIS)
def test_a_place_that_is_none_is_told_the_same(uri: str, release: str, tmp_path: Path) -> None:
    outcomes = []
    for kind in ("real", "ours"):
        with partner(kind, release, ["-M", "none"], tmp_path) as source:
            source.ask("migrate-set-capabilities", **EVENTS)
            answer = source.ask("migrate", uri=uri)
            if answer == {}:
                source.wait_for("failed")
            state = source.ask("query-status")["status"]
            outcomes.append((answer, source.ask("query-migrate"), state, source.events))
    assert outcomes[0] == outcomes[1]


REQUESTS: list[tuple[str, dict[str, Any]]] = [
    ("query-migrate", {}),
    ("query-migrate-capabilities", {}),
    ("query-migrate-parameters", {}),
    ("migrate-incoming", {"uri": "unix:/x"}),
    ("migrate_cancel", {}),
    ("migrate-continue", {"state": "pre-switchover"}),
    ("migrate-pause", {}),
    ("migrate-recover", {"uri": "unix:/x"}),
    ("migrate", {"uri": "exec:true", "resume": True}),
    ("migrate", {}),
    ("migrate-set-capabilities", {"capabilities": []}),
    *[
        ("migrate-set-capabilities", {"capabilities": [{"capability": name, "state": state}]})
        for name, state in (("events", True), ("auto-converge", True), ("multifd", False), ("xbzrle", False))
    ],
    *[
        ("migrate-set-parameters", {name: value})
        for name, values in {
            "xbzrle-cache-size": [0, 4095, 5000, MIB, -1, 1 << 62],
            "cpu-throttle-initial": [0, 100, 50],
            "cpu-throttle-increment": [0, 100, 5],
            "max-cpu-throttle": [10, 100, 60],
            "throttle-trigger-threshold": [0, 101, 40],
            "announce-max": [100_001, 0],
            "announce-initial": [100_001, 1],
            "announce-rounds": [1001, 0],
            "announce-step": [0, 10_001, 1],
            "multifd-channels": [0, 255],
            "downtime-limit": [2_000_001, 2_000_000],
            "max-bandwidth": [-1, 0, 5],
        }.items()
        for value in values
    ],
    ("query-migrate-capabilities", {}),
    ("query-migrate-parameters", {}),
]
NEWER_VALUES: dict[str, list[Any]] = {
    "multifd-channels": [256, -1, 3],
    "multifd-zlib-level": [10, 9],
    "multifd-zstd-level": [21, 20],
    "multifd-qatzip-level": [0, 10, 9],
    "vcpu-dirty-limit": [0, 5],
    "x-vcpu-dirty-limit-period": [0, 1001, 5],
    "avail-switchover-bandwidth": [-1, 1],
    "mode": ["x", "normal"],
    "zero-page-detection": ["legacy", "x"],
}
NEWER_REQUESTS: list[tuple[str, dict[str, Any]]] = [
    ("migrate-set-parameters", {name: value}) for name, values in NEWER_VALUES.items() for value in values
]
LINES = (
    *("info migrate", "info migrate_capabilities", "info migrate_parameters", "migrate_set_capability events on"),
    *("migrate_set_capability foo on", "migrate_set_parameter max-bandwidth 5", "migrate_set_parameter foo 1"),
    *("migrate_set_parameter max-bandwidth 5M", "migrate_set_parameter max-bandwidth x", "migrate_cancel"),
    *("migrate_set_parameter xbzrle-cache-size 1M", "migrate_set_parameter cpu-throttle-tailslow on"),
    *("migrate_set_parameter downtime-limit 2000001", "migrate_continue setup", "migrate_pause", "migrate_recover x"),
    *("migrate_incoming foo:", "info migrate_parameters", "migrate_set_parameter"),
)


@pytest.mark.parametrize("release", RELEASES)
def test_settings_are_taken_and_refused_alike(release: str, tmp_path: Path) -> None:
    requests = [*REQUESTS, *(NEWER_REQUESTS if float(release) >= 10 else ()), *REQUESTS[:3]]
    answers: list[list[Any]] = []
    for kind in ("real", "ours"):
        with partner(kind, release, ["-M", "none"], tmp_path) as machine:
            asked: list[Any] = [machine.ask(command, **arguments) for command, arguments in requests]
            lines = [machine.ask("human-monitor-command", **{"command-line": line}) for line in LINES]
            answers.append([*zip(map(json.dumps, requests), asked, strict=True), *zip(LINES, lines, strict=True)])
    assert [pair for pair in zip(*answers, strict=True) if pair[0] != pair[1]] == []


@pytest.mark.parametrize("release", RELEASES)
def test_a_destination_that_waits_is_told_the_same(release: str, tmp_path: Path) -> None:
    answers: list[list[Any]] = []
    for kind in ("real", "ours"):
        found: list[Any] = []
        with partner(kind, release, ["-M", "none", "-m", "4", "-incoming", "defer"], tmp_path) as machine:
            found += machine.ask("query-status"), machine.ask("query-migrate")
            for uri in ("foo", f"unix:{tmp_path}/{kind}"):
                found.append(machine.ask("migrate-incoming", uri=uri))
            found += machine.ask("migrate", uri="exec:true"), machine.ask("query-status"), machine.ask("cont")
            found.append(machine.ask("query-status"))
            found.append(json.dumps(machine.ask("query-migrate")).replace(f"/{kind}", "/socket"))
            machine.ask("stop")
            found.append(machine.ask("query-status"))
        answers.append(found)
    assert answers[0] == answers[1]


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("uri", ["foo", "unix:/nonexistent/x", "tcp:x"])
def test_a_place_to_wait_at_that_is_none_keeps_it_from_starting(uri: str, release: str, tmp_path: Path) -> None:
    program = qemu("x86_64", release)
    if program is None:
        pytest.skip(f"there is no QEMU {release}")
    if uri == "foo" and float(release) >= 10:
        pytest.skip("QEMU takes it for a part of a channel's description")
    outcomes = []
    for command in ([program], our_command("x86_64", [], release)):
        options = ["-M", "none", "-display", "none", "-monitor", "none", "-incoming", uri]
        run = subprocess.run([*command, *options], capture_output=True, text=True, env=OUR_ENVIRONMENT, timeout=60)
        last = [line for line in run.stderr.splitlines() if "-incoming" in line]
        outcomes.append((run.returncode, [line.partition(": ")[2] for line in last]))
    assert outcomes[0] == outcomes[1]


UUIDS = "12345678-1234-1234-1234-123456789abc", "12345678-1234-1234-1234-123456789abd"


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize(
    ("capabilities", "uuid"),
    [
        (["x-ignore-shared"], UUIDS[0]),
        ([], UUIDS[0]),
        (["x-ignore-shared", "validate-uuid"], UUIDS[1]),
        (["x-ignore-shared"], None),
    ],
)
def test_both_sides_must_agree(capabilities: list[str], uuid: str | None, release: str, tmp_path: Path) -> None:
    """The source shares a file with the destination, which gets the other memory alone, and tells its UUID."""

    def switched(names: list[str]) -> dict[str, Any]:
        return {"capabilities": [{"capability": name, "state": True} for name in names]}

    shared = filled(tmp_path / "shared", 4 * MIB, 3)
    ram = f"memory-backend-file,id=r,size=4M,mem-path={shared},share=on"
    dimm = ["-m", "4M,slots=1,maxmem=1G", "-object", "memory-backend-ram,id=d,size=16M", "-device", "pc-dimm,memdev=d"]
    machine = ["-object", ram, "-M", "pc,memory-backend=r", *dimm]
    outcomes = []
    for source_kind, destination_kind in (("real", "real"), *DIRECTIONS):
        own = [] if uuid is None else ["-uuid", uuid]
        with (
            partner(destination_kind, release, [*machine, *own, "-incoming", "defer"], tmp_path) as destination,
            partner(source_kind, release, [*machine, "-uuid", UUIDS[0]], tmp_path) as source,
        ):
            source.ask("migrate-set-capabilities", **switched(["x-ignore-shared", "validate-uuid"]))
            destination.ask("migrate-set-capabilities", **switched(capabilities))
            where = f"unix:{tmp_path}/{source_kind}-{destination_kind}"
            assert destination.ask("migrate-incoming", uri=where) == {}
            source.ask("migrate", uri=where)
            total = source.wait_for("completed", "failed").get("ram", {}).get("total")
            try:
                state = destination.wait_for_state("prelaunch")
            except (EOFError, BrokenPipeError):
                state = f"ended with {destination.process.wait(60)}"
            said = [line.partition(": ")[2] for line in destination.errors.splitlines()]
            outcomes.append((state, total if state == "prelaunch" else None, said))
    assert outcomes[1:] == outcomes[:1] * 3
