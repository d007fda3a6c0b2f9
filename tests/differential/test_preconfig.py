"""-preconfig: what is permitted before the board is made, set-numa-node, and leaving it, equal to real QEMU's."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ramslot.commands import hmp_commands
from ramslot.schema import contract
from ramslot.vm.releases import find_release

from .oracle import BOTH, compare, our_command, qemu, start

pytestmark = pytest.mark.parametrize("release", BOTH)


def qmp(command: str, **arguments: object) -> str:
    named = {name.replace("_", "-"): value for name, value in arguments.items()}
    return json.dumps({"execute": command, "arguments": named} if named else {"execute": command})


def numa(kind: str, **options: object) -> str:
    return qmp("set-numa-node", type=kind, **options)


A = qmp("object-add", qom_type="memory-backend-ram", id="a", size=64 << 20)
B = qmp("object-add", qom_type="memory-backend-ram", id="b", size=64 << 20)
NODES = (A, B, numa("node", memdev="a"), numa("node", memdev="b"))
SLOTS = qmp("query-hotpluggable-cpus")
LEAVE = qmp("x-exit-preconfig")
AFTER = (qmp("query-status"), SLOTS, qmp("query-cpus-fast"), "info numa", "info status", "info cpus", "info memdev")
LATENCY = {"initiator": 0, "target": 0, "hierarchy": "memory", "data-type": "access-latency"}
BANDWIDTH = {**LATENCY, "data-type": "access-bandwidth"}
CACHE = {"node-id": 0, "size": 10240, "level": 1, "associativity": "direct", "policy": "write-back", "line": 8}

SCENARIOS: dict[str, tuple[str, tuple[str, ...]]] = {
    "left at once": ("", (LEAVE, *AFTER, LEAVE, numa("node"), numa("x"), numa("node", foo=1))),
    "nodes": ("-m 128M -smp 4,maxcpus=8", (*NODES, SLOTS, LEAVE, *AFTER)),
    "places of CPUs": (
        "-m 128M -smp 4,sockets=2",
        (*NODES, numa("cpu", node_id=1, socket_id=0), SLOTS, numa("cpu", node_id=0, socket_id=1), LEAVE, *AFTER),
    ),
    "some CPUs": (
        "-m 128M -smp 2",
        (A, B, numa("node", memdev="a"), numa("node", memdev="b", cpus=[1]), LEAVE, *AFTER),
    ),
    "distances": ("-m 128M", (*NODES, numa("dist", src=0, dst=1, val=30), LEAVE, *AFTER)),
    "missing distance": ("-m 128M", (*NODES, numa("node"), numa("dist", src=0, dst=1, val=30), LEAVE, SLOTS)),
    "wrong total": ("-m 256M", (*NODES, LEAVE, SLOTS)),
    "missing node": ("-m 128M", (A, B, numa("node", memdev="a", nodeid=3), LEAVE, SLOTS)),
    "one memdev twice": ("-m 128M", (A, numa("node", memdev="a"), numa("node", memdev="a"), LEAVE, SLOTS)),
    "reserved id": ("-m 128M", (qmp("object-add", qom_type="memory-backend-ram", id="pc.ram", size=4096), LEAVE)),
    "nodes of the command line": (
        "-m 128M -object memory-backend-ram,id=a,size=64M -numa node,memdev=a",
        (B, numa("node", memdev="b"), numa("node", nodeid=0), LEAVE, *AFTER),
    ),
    "memory attributes": (
        "-m 128M -M hmat=on",
        (
            A,
            B,
            numa("node", memdev="a", cpus=[0]),
            numa("node", memdev="b", initiator=0),
            numa("hmat-cache", **CACHE),
            numa("hmat-lb", **LATENCY, latency=5),
            numa("hmat-lb", **LATENCY, latency=6),
            numa("hmat-lb", **{**LATENCY, "initiator": 1}, latency=6),
            numa("hmat-lb", **BANDWIDTH, bandwidth=1000),
            numa("hmat-lb", **BANDWIDTH, bandwidth=1 << 30),
            numa("hmat-cache", **CACHE),
            numa("hmat-cache", **CACHE),
            LEAVE,
            *AFTER,
        ),
    ),
    "not paused": ("-preconfig", (qmp("query-status"), LEAVE)),
}

WRONG = (
    numa("dist", src=0, dst=1, val=20),
    numa("dist", src=0, dst=1, val=256),
    numa("dist", src=0, dst=1, val=-1),
    numa("dist", src=-1, dst=1, val=-1),
    numa("dist", src=0, dst=1, val="20"),
    numa("dist", src=0, dst=1, val=1.5),
    numa("dist", src=0, dst=1),
    numa("dist", dst=1),
    numa("dist", src=None, dst=1, val=20),
    numa("dist", src=0, dst=1, val=20, x=3),
    numa("dist", src=128, dst=1, val=20),
    numa("cpu"),
    numa("cpu", node_id=0),
    numa("cpu", node_id=100),
    numa("cpu", node_id="1"),
    numa("cpu", node_id=1 << 70),
    numa("cpu", node_id=0, core_id=1.0),
    numa("cpu", node_id=0, core_id=1, foo=1),
    numa("hmat-lb"),
    numa("hmat-lb", initiator=0, target=0, hierarchy="x"),
    numa("hmat-lb", initiator=0, target=0, hierarchy="memory", data_type="x"),
    numa("hmat-lb", initiator=0, target=0, hierarchy=1, data_type="x"),
    numa("hmat-lb", **LATENCY),
    numa("hmat-lb", **LATENCY, latency="5"),
    numa("hmat-lb", **LATENCY, latency=-5),
    numa("hmat-lb", **LATENCY, bandwidth="5M"),
    numa("hmat-cache"),
    numa("hmat-cache", **{**CACHE, "level": 256}),
    numa("hmat-cache", **{**CACHE, "line": 65536}),
    numa("hmat-cache", **{**CACHE, "policy": "direct"}),
    numa("hmat-cache", **{**CACHE, "node-id": 1 << 32}),
    numa("hmat-cache", **CACHE),
    numa("node", nodeid=70000),
    numa("node", nodeid=128),
    numa("node", cpus=1),
    numa("node", cpus=[70000]),
    numa("node", cpus=["0"]),
    numa("node", cpus=[1]),
    numa("node", memdev=1),
    numa("node", memdev="absent"),
    numa("node", initiator=3),
    numa("node", mem="1"),
    qmp("set-numa-node"),
    qmp("set-numa-node", type=3),
    qmp("set-numa-node", type="help"),
    numa("node"),
    numa("node", nodeid=0),
    numa("cpu", node_id=0, core_id=5),
    numa("cpu", node_id=0, die_id=0),
    numa("cpu", node_id=0, cluster_id=0),
)


@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("machine", ["pc", "q35"])
def test_scenario(release: str, scenario: str, machine: str, tmp_path: Path) -> None:
    options, questions = SCENARIOS[scenario]
    compare("preconfig", "x86_64", f"-preconfig -M {machine} {options}", questions, tmp_path, release=release)


@pytest.mark.parametrize("options", ["", "-M pc-i440fx-5.0", "-M none", "-M hmat=on", "-M q35 -smp 2"])
def test_wrong_requests(release: str, options: str, tmp_path: Path) -> None:
    compare("preconfig", "x86_64", f"-preconfig {options}", WRONG, tmp_path, release=release)


@pytest.mark.parametrize("machine", ["pc", "pc-i440fx-5.0"])
def test_parts_of_the_ram(release: str, machine: str, tmp_path: Path) -> None:
    questions = (numa("node", mem=64 << 20), numa("node", mem=64 << 20), LEAVE, "info numa")
    compare("preconfig", "x86_64", f"-preconfig -M {machine} -m 128M", questions, tmp_path, release=release)


@pytest.mark.parametrize(
    ("target", "options"),
    [
        ("aarch64", "-M virt -cpu cortex-a57 -m 128M -smp 4,clusters=2"),
        ("s390x", "-m 128M -smp 2,maxcpus=3"),
        ("x86_64", "-M microvm -m 128M"),
        ("x86_64", "-M none"),
    ],
)
def test_other_machines(release: str, target: str, options: str, tmp_path: Path) -> None:
    compare("preconfig", target, f"-preconfig {options}", (*NODES, SLOTS, LEAVE, *AFTER), tmp_path, release=release)


def test_refused_at_the_start(release: str, tmp_path: Path) -> None:
    for options in ("-numa node,memdev=absent", "-M memory-backend=absent", "-numa dist", "-m 1M,maxmem=1K"):
        compare("preconfig", "x86_64", f"-preconfig {options}", (LEAVE,), tmp_path, release=release)


def test_every_command_is_permitted_as_in_qemu(release: str, tmp_path: Path) -> None:
    """Asked with an argument that no command has: permission is looked at first."""
    commands = contract(find_release(release).number).commands()
    theirs = {"query-memory-size-summary"} | set(commands)
    ours_alone = {name for name, command in commands.items() if command.since.startswith("ramslot")}
    names = sorted(theirs - ours_alone - {"qmp_capabilities"})
    compare("preconfig", "x86_64", "-preconfig", [qmp(name, no_such=1) for name in names], tmp_path, release=release)


def test_before_negotiation_nothing_is_permitted(release: str, tmp_path: Path) -> None:
    theirs = qemu("x86_64", release)
    for command in (our_command("x86_64", [], release), *([[theirs]] if theirs else [])):
        process = start([*command, "-preconfig", "-display", "none", "-qmp", "stdio"], tmp_path)
        output, _ = process.communicate(f"{LEAVE}\n{qmp('qmp_capabilities')}\n{qmp('quit')}\n".encode(), timeout=60)
        assert b"Expecting capabilities negotiation" in output.splitlines()[1]


class HumanMonitor:
    """The HMP monitor of a process, line by line."""

    def __init__(self, command: list[str], folder: Path) -> None:
        folder.mkdir()
        self.process = subprocess.Popen(
            [*command, "-nodefaults", "-display", "none", "-preconfig", "-monitor", "unix:hmp,server=on,wait=off"],
            cwd=folder,
            stderr=subprocess.DEVNULL,
        )
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(30)
        while self.socket.connect_ex(str(folder / "hmp")):
            assert self.process.poll() is None
            time.sleep(0.01)
        self.read()

    def read(self) -> str:
        data = b""
        while not data.endswith(b"(qemu) "):
            data += self.socket.recv(0x10000)
        return data.decode().rpartition("\x1b[K")[2]

    def ask(self, line: str) -> str:
        self.socket.sendall(line.encode() + b"\n")
        return self.read()

    def close(self) -> None:
        self.socket.close()
        self.process.kill()
        self.process.wait()


@pytest.fixture
def human_monitors(release: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[HumanMonitor]]:
    program = qemu("x86_64", release)
    if program is None:
        pytest.skip("this QEMU is not installed")
    from .oracle import OUR_ENVIRONMENT

    monkeypatch.setenv("PYTHONPATH", OUR_ENVIRONMENT["PYTHONPATH"])
    monitors = [
        HumanMonitor([program], tmp_path / "theirs"),
        HumanMonitor(our_command("x86_64", [], release), tmp_path / "ours"),
    ]
    yield monitors
    for monitor in monitors:
        monitor.close()


DIFFERENT = {"help", "?", "info", "info version", "info qom-tree"}
"""Theirs tells of more."""


def test_human_monitor(release: str, human_monitors: list[HumanMonitor]) -> None:
    theirs, ours = human_monitors
    commands = hmp_commands(find_release(release))
    left_out = DIFFERENT | {"quit", "q", "exit_preconfig"}
    lines = [name for name in sorted(commands) if name not in left_out]
    lines += ["cont x", "help cont", "help exit_preconfig", "help info numa", "nosuch", "info nosuch"]
    lines += ["object_add memory-backend-ram,id=a,size=1M", "info memdev", "object_del a", "info hotpluggable-cpus"]
    lines += ["exit_preconfig x", "exit_preconfig", "exit_preconfig", "info numa", "info status", "info numa x"]
    for line in lines:
        expected = theirs.ask(line)
        if line not in commands or "unknown command" not in expected:  # else it is ours alone
            assert ours.ask(line) == expected, line
    assert "cont" in ours.ask("help")
