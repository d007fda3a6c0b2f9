"""DIMMs, cold and hot: what is asked for, where it goes, what all tables show of it, and what is refused, as in real QEMU."""

from __future__ import annotations

import json
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest

from .oracle import BOTH, OUR_ENVIRONMENT, RELEASES, compare, our_command, qemu

GIB = 1 << 30
SMALL = "".join(f" -object memory-backend-ram,id=m{number},size=64M" for number in range(6))
OTHERS = (
    " -object memory-backend-ram,id=large,size=2G -object memory-backend-ram,id=odd,size=1000001"
    " -object memory-backend-file,id=f,size=64M,mem-path=file.img,share=on"
    " -object memory-backend-file,id=aligned,size=6M,mem-path=other.img,align=4M -object memory-backend-ram,id=page,size=4k"
)
FILES = {"file.img": 64 << 20, "other.img": 6 << 20}
TABLES = (
    "info memory-devices", "info ramblock", "info mtree", "info mtree -f", "info mtree -o", "info numa",
    "info memory_size_summary", "info memdev", "info qom-tree /machine/peripheral",
    '{"execute": "qom-list", "arguments": {"path": "/machine/peripheral"}}', '{"execute": "query-memory-devices"}',
)  # fmt: skip


def plug(**arguments: object) -> str:
    return json.dumps({"execute": "device_add", "arguments": arguments})


def dimm(memdev: object, **arguments: object) -> str:
    return plug(driver="pc-dimm", memdev=memdev, **arguments)


def unplug(device: str) -> str:
    return json.dumps({"execute": "device_del", "arguments": {"id": device}})


def ask(command: str, **arguments: object) -> str:
    return json.dumps({"execute": command, "arguments": arguments})


D1 = "/machine/peripheral/d1"
REQUESTS = (
    plug(driver="pc-dimm"), dimm("none"), dimm(""), dimm(3), dimm("pc.ram"), dimm("m0", slot=7), dimm("m0", slot=-2),
    dimm("m0", slot="x"), dimm("m0", node=1), dimm("m0", node=-1), dimm("m0", node=1 << 32), dimm("m0", addr=4096),
    dimm("m0", addr=0), dimm("m0", addr=4 * GIB + 4096), dimm("m0", addr=1 << 40), dimm("m0", addr=-1),
    dimm("m0", addr=11 * GIB), dimm("m0", foo=1), dimm("m0", id=3), dimm("m0", id="1x"), dimm("m0", bus="x"),
    dimm("m0", bus=[]), dimm("m0", bus=True), dimm("m0", size=5), dimm("m0", hotplugged=True), dimm("m0", id="type"),
    dimm("m0", slot=1 << 63), dimm("m0", **{"as-option": True}), plug(driver="nosuch"), plug(driver=3), plug(),
    plug(driver="memory-backend-ram"), dimm("large"), dimm("odd"), dimm("page", id="small"), dimm("odd", slot=9),
    dimm("odd", node=9), dimm("odd", addr=5), plug(driver="pc-dimm", slot=9), plug(driver="pc-dimm", node=9),
    dimm("m1", node=7, slot=9), dimm("m1", node=7, addr=5), dimm("m1", slot=9, addr=5), dimm("m1", id="d1", slot=1),
    dimm("m1", id="d2"), dimm("m2", id="d1"), dimm("x", id="d1"), dimm("x", foo=1), dimm("m2", slot=1),
    dimm("m2", addr=4 * GIB), dimm("m2", addr=4 * GIB + (65 << 20)), dimm("large", addr=5), dimm("aligned"),
    dimm("aligned", addr=4 * GIB + (130 << 20)), dimm("m2"), dimm("f", id="f"), "info memory-devices",
    dimm("m3", id="d3"), dimm("/objects/m4", addr="0x124000000", slot="5"), dimm("m5", id="d5"), dimm("m4", id="d4"),
    '{"execute": "query-memory-devices"}', "info numa", unplug("d1"), unplug("nosuch"), unplug("/machine/peripheral/d3"),
    unplug("/machine/peripheral-anon/device[0]"), unplug("/machine"), unplug("/machine/peripheral"), unplug("d1/x"),
    unplug("/objects/m1"), unplug("/machine/unattached/device[0]"),
    "object_del m1", "object_del m5", "device_add pc-dimm,memdev=m5", "device_add", "device_add pc-dimm",
    "device_add driver=pc-dimm,memdev=m0", "device_add pc-dimm,id=1x,memdev=m0", "device_add pc-dimm,id=d1,id=d2,memdev=m0",
    "device_add pc-dimm,memdev=m0,node=x", "device_add pc-dimm,memdev=m0,addr=-1", "device_add pc-dimm,memdev=m0,addr=1G",
    "device_add pc-dimm,memdev=m0,slot=99999999999", "device_add pc-dimm,help", "device_add nosuch,help", "device_add memory-backend-ram,help", "device_add pc-dimm memdev=m0",
    "device_add pc-dimm,memdev=m0 ,slot=7", 'device_add "pc-dimm,memdev=m0"', "device_del", unplug("d1/memdev"), unplug("d1/x"), unplug(""), "device_del d1",
    "help device_add", "help device_del",
    ask("qom-list", path=D1), ask("device-list-properties", typename="pc-dimm"), ask("device-list-properties", typename="x"),
    ask("device-list-properties", typename="memory-backend-ram"), ask("qom-list-properties", typename="pc-dimm"),
    *(ask("qom-get", path=D1, property=name) for name in (
        "addr", "node", "slot", "size", "memdev", "hotplugged", "hotpluggable", "realized", "parent_bus", "type", "legacy-memdev")),
    *(ask("qom-set", path=D1, property=name, value=value) for name, value in (
        ("addr", 5), ("node", 1), ("slot", 1), ("size", 3), ("memdev", "m0"), ("hotplugged", False))),
    ask("qom-set", path="/machine/peripheral-anon/device[11]", property="addr", value=1), '{"execute": "system_reset"}',
    "info memory-devices",
)  # fmt: skip


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("machine", ["pc", "q35"])
def test_requests_right_and_wrong(machine: str, release: str, tmp_path: Path) -> None:
    options = f"-M {machine} -m 1G,slots=6,maxmem=2G{SMALL}{OTHERS}"
    requests = [line for line in REQUESTS if release != "5.2" or '"id": "type"' not in line]  # of which it dies
    compare("", "x86_64", options, requests, tmp_path, FILES, release=release)


BACKENDS = (
    " -object memory-backend-ram,id=a,size=256M -object memory-backend-memfd,id=m,size=4M"
    " -object memory-backend-ram,id=c,size=512M"
)
NODES = (
    " -numa node,memdev=n0 -numa node,memdev=n1"
    " -object memory-backend-ram,id=n0,size=2G -object memory-backend-ram,id=n1,size=3G"
)
PSERIES = "pseries,cap-cfpc=broken,cap-sbbc=broken,cap-ibs=broken,cap-ccf-assist=off"
MACHINES = (
    ("x86_64", "none"), ("x86_64", "microvm"), ("x86_64", "isapc"), ("x86_64", "pc"),
    ("x86_64", "pc,acpi=off -m 1G,slots=1,maxmem=2G"), ("x86_64", "pc -m 1G,maxmem=2G"), ("s390x", "s390-ccw-virtio"),
    ("aarch64", "none"), ("aarch64", "virt -cpu max -m 1G,slots=2,maxmem=4G"), ("ppc64", PSERIES),
    ("x86_64", f"q35 -m 5G,slots=2,maxmem=8G{NODES}"),
)  # fmt: skip
OLD_MACHINES = ("pc-i440fx-2.4", "pc-i440fx-2.1", "pc-q35-2.12")


@pytest.mark.parametrize("release", BOTH)
@pytest.mark.parametrize(("arch", "machine"), MACHINES)
def test_machines_and_their_tables(arch: str, machine: str, release: str, tmp_path: Path) -> None:
    questions = (dimm("a", id="d"), *TABLES, dimm("c", node=1), dimm("m", slot=9), dimm("m"), unplug("d"), *TABLES)
    compare("", arch, f"-M {machine}{BACKENDS}", questions, tmp_path, release=release)


@pytest.mark.parametrize("machine", OLD_MACHINES)
def test_old_machines(machine: str, tmp_path: Path) -> None:
    questions = (dimm("a", id="d"), dimm("m"), *TABLES)
    compare("", "x86_64", f"-M {machine} -m 1G,slots=3,maxmem=2G{BACKENDS}", questions, tmp_path)


COLD = (
    "pc-dimm,memdev=c,id=d,slot=2 -device pc-dimm,memdev=a,addr=0x140000000 -device pc-dimm,memdev=m",
    "pc-dimm,memdev=a,foo=1", "pc-dimm,memdev=b", "nosuch", "pc-dimm", "pc-dimm,id=1x,memdev=a", "pc-dimm,memdev=a,slot=9",
    "pc-dimm,id=d,memdev=a -device pc-dimm,id=d,memdev=c", "pc-dimm,memdev=a -device pc-dimm,memdev=a", "memory-backend-ram",
    "pc-dimm,memdev=a,bus=x", "''", "pc-dimm,memdev=a,node=5", """'{"driver": "pc-dimm", "memdev": "a", "slot": 9}'""",
    """'{"driver": "pc-dimm", "memdev": "a", "slot": 1, "id": "j"}'""",
)  # fmt: skip


@pytest.mark.parametrize("release", BOTH)
@pytest.mark.parametrize("device", COLD)
def test_from_the_start(device: str, release: str, tmp_path: Path) -> None:
    options = f"-M pc -m 1G,slots=4,maxmem=4G{BACKENDS} -device {device}"
    compare("", "x86_64", options, (*TABLES, '{"execute": "system_reset"}'), tmp_path, release=release)


@pytest.mark.parametrize("release", BOTH)
@pytest.mark.parametrize("machine", ["none", "microvm"])
def test_where_nothing_takes_it(machine: str, release: str, tmp_path: Path) -> None:
    compare("", "x86_64", f"-M {machine}{BACKENDS} -device pc-dimm,memdev=a,id=d", TABLES, tmp_path, release=release)


NVDIMMS = (
    " -object memory-backend-ram,id=a,size=256M -object memory-backend-file,id=f,size=64M,mem-path=file.img,share=on"
    " -object memory-backend-file,id=g,size=64M,mem-path=other.img,share=on,readonly=on -object memory-backend-ram,id=b,size=128M"
)
NVDIMM_FILES = {"file.img": 64 << 20, "other.img": 64 << 20, "firmware": 64 << 10}
NF = "/machine/peripheral/nf"
KEPT = (
    plug(driver="nvdimm", memdev="a", id="n"), *TABLES, plug(driver="nvdimm", memdev="f", id="nf", **{"label-size": 131072}),
    *(plug(driver="nvdimm", memdev="b", **{"label-size": size}) for size in (100, 128 << 20, -1)),
    plug(driver="nvdimm", memdev="b", unarmed=3), plug(driver="nvdimm", memdev="b", uuid="x"),
    plug(driver="nvdimm", memdev="g"),
    plug(driver="nvdimm", memdev="g", unarmed=True, uuid="12345678-1234-1234-1234-123456789abc"), *TABLES,
    ask("device-list-properties", typename="nvdimm"), ask("qom-list-properties", typename="nvdimm"),
    ask("qom-list", path=NF), "device_add nvdimm,help", unplug("nf"), unplug("n"),
    *(ask("qom-get", path=NF, property=name) for name in ("label-size", "unarmed", "uuid", "size", "addr")),
    ask("qom-set", path=NF, property="label-size", value=3), ask("qom-set", path=NF, property="unarmed", value=True),
    "device_add nvdimm,memdev=b,label-size=0x30000,unarmed=x", "device_add nvdimm,memdev=b,label-size=x",
    "device_add nvdimm,memdev=b,label-size=-1", "device_add nvdimm,memdev=b,label-size=192K,unarmed=on,id=h",
    dimm("b"), ask("qom-get", path="/machine", property="nvdimm"),
)  # fmt: skip


@pytest.mark.parametrize("release", BOTH)
@pytest.mark.parametrize(
    ("arch", "machine"),
    [
        ("x86_64", "pc,nvdimm=on -m 1G,slots=4,maxmem=4G"),
        ("x86_64", "q35,nvdimm=on -m 5G,slots=4,maxmem=9G"),
        ("x86_64", "pc -m 1G,slots=4,maxmem=4G"),
        ("aarch64", "virt,nvdimm=on -cpu max -bios firmware -m 1G,slots=4,maxmem=4G"),
        ("aarch64", "virt -cpu max -bios firmware -m 1G,slots=4,maxmem=4G"),
        ("aarch64", "virt,nvdimm=on -cpu max -m 1G,slots=4,maxmem=4G"),
    ],
)
def test_dimms_that_keep_their_contents(arch: str, machine: str, release: str, tmp_path: Path) -> None:
    compare("", arch, f"-M {machine}{NVDIMMS}", KEPT, tmp_path, NVDIMM_FILES, release=release)


@pytest.mark.parametrize("release", BOTH)
@pytest.mark.parametrize("machine", ["pc,nvdimm=x", "isapc,nvdimm=on", "microvm,nvdimm=on", "none,nvdimm=on"])
def test_machines_and_nvdimms(machine: str, release: str, tmp_path: Path) -> None:
    compare("", "x86_64", f"-M {machine}", ("info mtree",), tmp_path, release=release)


def test_on_a_logical_partition(tmp_path: Path) -> None:
    """What no guest has taken goes at once; one that was there from the start waits."""
    small = " -object memory-backend-ram,id=s,size=64M"
    questions = (dimm("s"), dimm("c", id="hot"), *TABLES, unplug("hot"), unplug("cold"), unplug("cold"), *TABLES)
    options = f"-M {PSERIES} -m 1G,slots=3,maxmem=4G{BACKENDS}{small}"
    compare("", "ppc64", f"{options} -device pc-dimm,memdev=a,id=cold", questions, tmp_path)


PARTITION_BACKENDS = (
    "".join(f" -object memory-backend-ram,id=a{number},size=256M" for number in range(4))
    + " -object memory-backend-ram,id=o,size=100M -object memory-backend-ram,id=l,size=512M"
)
UUID = "12345678-1234-1234-1234-123456789abc"


def nvdimm(memdev: str, label_size: int = 0, **options: object) -> str:
    labels = {"label-size": label_size} if label_size else {}
    return plug(driver="nvdimm", memdev=memdev, **labels, **options)


ON_A_PARTITION = (
    nvdimm("a0"), nvdimm("a0", uuid=UUID), nvdimm("o", uuid=UUID), nvdimm("a0", 131072), nvdimm("a0", 131072, uuid=UUID),
    nvdimm("l", 131072, uuid=UUID), nvdimm("l", 256 << 20), nvdimm("l", 256 << 20, uuid=UUID, id="n"),
    nvdimm("a1", uuid=UUID, slot=9), nvdimm("a1", uuid=UUID, addr=5), *TABLES, dimm("a2", id="d"), *TABLES, unplug("n"),
    ask("qom-get", path="/machine", property="nvdimm"),
)  # fmt: skip


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("nvdimms", ["", ",nvdimm=on", ",nvdimm=off"])
def test_dimms_that_keep_their_contents_on_a_partition(nvdimms: str, release: str, tmp_path: Path) -> None:
    options = f"-M {PSERIES}{nvdimms} -m 1G,slots=4,maxmem=8G{PARTITION_BACKENDS}"
    compare("", "ppc64", options, ON_A_PARTITION, tmp_path, release=release)


class Asked:
    """A QMP monitor, and the events that came meanwhile."""

    def __init__(self, command: list[str]) -> None:
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=OUR_ENVIRONMENT)
        self.events: list[Any] = []
        self.ask("qmp_capabilities")

    def ask(self, command: str, **arguments: object) -> Any:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(ask(command, **arguments).encode() + b"\n")
        self.process.stdin.flush()
        while True:
            message = json.loads(self.process.stdout.readline())
            if "event" in message:
                self.events.append((message["event"], message.get("data")))
            elif "QMP" not in message:
                return message

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


HOTPLUG = 0xA00
EJECT = 8


@pytest.mark.parametrize("release", RELEASES)
def test_what_a_guest_that_lets_go_or_not_leads_to(release: str, tmp_path: Path) -> None:
    """In QEMU its part is played by writing to the registers that a guest's firmware code writes to."""
    program = qemu("x86_64", release)
    if program is None:
        pytest.skip("this QEMU is not installed")
    options = [*f"-M pc -m 1G,slots=2,maxmem=2G{SMALL} -nodefaults -display none -qmp stdio".split()]
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "qtest"))
        listener.listen(1)
        options_of_theirs = ["-accel", "tcg", "-S", "-qtest", f"unix:{tmp_path / 'qtest'}", "-qtest-log", "/dev/null"]
        theirs = Asked([program, *options, *options_of_theirs])
        connection = listener.accept()[0]
    registers = connection.makefile("rw")
    ours = Asked(our_command("x86_64", options, release))

    def write(*values: str) -> None:
        for value in values:
            registers.write(f"{value}\n")
            registers.flush()
            assert registers.readline().startswith("OK")

    def answer(slot: int, status: int) -> None:
        write(f"outl {HOTPLUG} {slot}", f"outl {HOTPLUG + 4} 3", f"outl {HOTPLUG + 8} {status}")

    try:
        for one in (theirs, ours):
            one.ask("device_add", driver="pc-dimm", memdev="m0", id="d")
            one.ask("device_add", driver="pc-dimm", memdev="m1")
        for slot, device, accepts in ((0, "d", False), (0, "d", True), (1, "/machine/peripheral-anon/device[0]", True)):
            ours.ask("set-guest-policy", policy="accept" if accepts else "refuse")
            assert ours.ask("device_del", id=device) == theirs.ask("device_del", id=device)
            if accepts:
                write(f"outl {HOTPLUG} {slot}", f"outb {HOTPLUG + 0x14} {EJECT}")
            answer(slot, 0 if accepts else 1)
            command = "query-memory-devices"
            assert ours.ask(command) == theirs.ask(command)
            assert ours.events == theirs.events
        assert len(ours.events) >= 5
    finally:
        theirs.close()
        ours.close()
        registers.close()
        connection.close()
