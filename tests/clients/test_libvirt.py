"""libvirt, unmodified, manages a domain whose emulator is ramslot, and its memory, as it does one of real QEMU's."""

from __future__ import annotations

import itertools
import json
import re
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from ..differential.oracle import qemu
from .libvirt import PATIENCE, Libvirt
from .program import wait_for

pytestmark = pytest.mark.timeout(600)  # libvirt waits here and there

MIB = 1 << 20
VERSION = "7.2"
"""The QEMU that is played: libvirt 9.0 does not know the commands of much newer ones."""

DOMAIN = """
<domain type='qemu'>
  <name>{name}</name>
  <uuid>{uuid}</uuid>
  <maxMemory slots='8' unit='MiB'>2048</maxMemory>
  <memory unit='MiB'>640</memory>
  {backing}
  <vcpu>2</vcpu>
  <iothreads>1</iothreads>
  <os><type arch='x86_64' machine='{machine}'>hvm</type></os>
  <features><acpi/></features>
  <cpu>
    <numa>
      <cell id='0' cpus='0' memory='256' unit='MiB'/>
      <cell id='1' cpus='1' memory='256' unit='MiB'/>
    </numa>
  </cpu>
  <devices>
    <emulator>{emulator}</emulator>
    <controller type='usb' model='none'/>
    <memballoon model='virtio'/>
    <memory model='dimm'><target><size unit='MiB'>128</size><node>0</node></target></memory>
  </devices>
</domain>
"""
IN_FILES = "<memoryBacking><source type='file'/><access mode='shared'/></memoryBacking>"
DIMM = "<memory model='dimm'><target><size unit='MiB'>128</size><node>1</node></target></memory>"
VIRTIO_MEM = """
<memory model='virtio-mem'>
  <target>
    <size unit='MiB'>256</size><node>0</node><block unit='MiB'>2</block><requested unit='MiB'>64</requested>
  </target>
</memory>
"""
UUID = "5fc6d76d-d650-43eb-9e02-88680f7476c4"


@pytest.fixture(scope="module")
def libvirt() -> Iterator[Libvirt]:
    session = Libvirt()
    yield session
    session.stop()


class Domain:
    """One domain of a session, that ends with its test."""

    def __init__(self, libvirt: Libvirt, name: str, machine: str, emulator: str) -> None:
        self.libvirt = libvirt
        self.name = name
        self.options = {"name": name, "uuid": UUID, "machine": machine, "emulator": emulator}
        self.define()
        self.file("dimm", DIMM)
        self.file("virtio-mem", VIRTIO_MEM)

    @classmethod
    def of(cls, libvirt: Libvirt, name: str) -> Domain:
        """One that is there already."""
        made = cls.__new__(cls)
        made.libvirt, made.name = libvirt, name
        return made

    def define(self, backing: str = "") -> None:
        """Tell libvirt of it, or of what is different now."""
        self.file("domain", DOMAIN.format(**self.options, backing=backing))
        self.libvirt.virsh("define", "domain.xml")

    def file(self, name: str, text: str) -> None:
        (self.libvirt.folder / f"{name}.xml").write_text(text)

    def do(self, command: str, *words: str, fails: bool = False) -> str:
        """What virsh says to a command that is about the domain."""
        return self.libvirt.virsh(command, self.name, *words, fails=fails)

    def ask(self, command: str, **arguments: Any) -> Any:
        """What the emulator answers, asked behind libvirt's back."""
        named = {name.replace("_", "-"): value for name, value in arguments.items()}
        said = self.do("qemu-monitor-command", json.dumps({"execute": command, "arguments": named}))
        answer = json.loads(said)
        assert "return" in answer, answer
        return answer["return"]

    def hmp(self, line: str) -> str:
        return self.libvirt.hmp(self.name, line)

    def xml(self) -> str:
        return self.do("dumpxml")

    def close(self) -> None:
        for command in ("destroy", "undefine"):
            process = self.libvirt.virsh_process(command, self.name)
            process.communicate(timeout=PATIENCE)


@pytest.fixture(params=["pc", "q35"])
def domain(request: pytest.FixtureRequest, libvirt: Libvirt) -> Iterator[Domain]:
    emulator = libvirt.emulator(f"qemu-system-x86_64-{VERSION}")
    made = Domain(libvirt, "ours", request.param, emulator)
    yield made
    made.close()


MACHINES = (
    ("x86_64", "5.2", "q35"), ("s390x", "10.0", "s390-ccw-virtio"), ("aarch64", "7.2", "virt"), ("ppc64", "11.1", "pseries"),
)  # fmt: skip


def test_what_it_can_is_probed(libvirt: Libvirt) -> None:
    emulator = libvirt.emulator("qemu-system-x86_64")
    told = libvirt.virsh("domcapabilities", "--emulatorbin", emulator)
    assert f"<path>{emulator}</path>" in told
    assert "<machine>pc-i440fx-11.1</machine>" in told
    for arch, version, machine in MACHINES:
        emulator = libvirt.emulator(f"qemu-system-{arch}-{version}")
        told = libvirt.virsh(
            "domcapabilities", "--emulatorbin", emulator, "--virttype", "qemu", "--arch", arch, "--machine", machine
        )
        assert f"-{version}</machine>" in told
    guests = libvirt.virsh("capabilities")
    assert f"<emulator>{libvirt.folder}/bin/qemu-system-x86_64</emulator>" in guests
    assert "<machine maxCpus='288'>q35</machine>" in guests or "q35</machine>" in guests


def test_the_life_of_a_domain_and_its_memory(domain: Domain) -> None:
    folder = domain.libvirt.folder
    domain.do("start")
    assert domain.do("domstate", "--reason").strip() == "running (booted)"
    assert domain.ask("query-status")["status"] == "running"
    assert [node["size"] for node in domain.ask("query-numa")] == [384 * MIB, 256 * MIB]
    domain.hmp("guest_policy accept")

    domain.do("attach-device", "dimm.xml", "--live")
    domain.do("attach-device", "virtio-mem.xml", "--live")
    kinds = [(device["type"], device["data"]["id"]) for device in domain.ask("query-memory-devices")]
    assert kinds == [("dimm", "dimm0"), ("dimm", "dimm1"), ("virtio-mem", "virtiomem0")]
    xml = domain.xml()
    assert "<address type='dimm' slot='1' base='0x108000000'/>" in xml
    wait_for(lambda: "<current unit='KiB'>65536</current>" in domain.xml(), "MEMORY_DEVICE_SIZE_CHANGE")

    domain.do("update-memory-device", "--alias", "virtiomem0", "--requested-size", "128MiB")
    assert domain.ask("qom-get", path="/machine/peripheral/virtiomem0", property="size") == 128 * MIB
    wait_for(lambda: "<current unit='KiB'>131072</current>" in domain.xml(), "MEMORY_DEVICE_SIZE_CHANGE")

    domain.do("setmem", "400M", "--live")
    assert domain.ask("query-balloon") == {"actual": 400 * MIB}
    domain.do("dommemstat", "--period", "2", "--live")
    assert domain.ask("qom-get", path="/machine/peripheral/balloon0", property="guest-stats-polling-interval") == 2
    assert f"actual {400 << 10}\n" in domain.do("dommemstat")
    assert domain.hmp("info balloon").strip() == "balloon: actual=400"
    assert f"balloon.current={528 << 10}\n" in domain.do("domstats", "--balloon")

    domain.do("suspend")
    assert domain.do("domstate", "--reason").strip() == "paused (user)"
    assert domain.ask("query-status")["status"] == "paused"
    domain.do("resume")
    assert domain.ask("query-status")["running"]

    domain.do("dump", f"{folder}/core", "--memory-only")
    assert (folder / "core").read_bytes()[:4] == b"\x7fELF"
    assert domain.ask("query-dump")["status"] == "completed"
    domain.do("detach-device", "dimm.xml", "--live")
    assert [device["data"]["id"] for device in domain.ask("query-memory-devices")] == ["dimm0", "virtiomem0"]
    domain.do("reset")
    domain.do("shutdown")
    domain.do("destroy")
    assert domain.do("domstate").strip() == "shut off"
    domain.do("undefine")
    assert domain.name not in domain.libvirt.virsh("list", "--all", "--name").split()


def test_a_job_is_told_of_while_it_goes_on(domain: Domain) -> None:
    domain.do("start")
    dump = domain.libvirt.virsh_process("dump", domain.name, "core", "--memory-only")

    def job() -> str:
        assert dump.poll() is None, "it ended unseen"
        said = domain.do("domjobinfo")
        return said if "Operation" in said else ""

    told = wait_for(job, "job")
    assert re.search(r"^Operation: +Dump", told, re.M) and re.search(r"^Memory total: +640\.\d+ MiB", told, re.M), told
    assert dump.communicate(timeout=PATIENCE)[1] is None and dump.returncode == 0
    assert re.search(r"^Job type: +None", domain.do("domjobinfo"), re.M)


def test_a_guest_is_saved_and_restored(domain: Domain) -> None:
    domain.define(IN_FILES)
    domain.do("start")
    domain.do("attach-device", "dimm.xml", "--live")
    for name, text in (("ram-node1", b"from node 1"), ("dimm1", b"plugged")):
        (file,) = domain.libvirt.folder.glob(f"config/libvirt/qemu/ram/*/{name}")
        with file.open("r+b") as memory:
            memory.seek(1 * MIB)
            memory.write(text)
    domain.do("save", "image")
    assert domain.do("domstate").strip() == "shut off"
    domain.libvirt.virsh("restore", "image")
    assert domain.do("domstate", "--reason").strip() == "running (restored)"
    assert domain.ask("query-status")["running"]
    assert read(domain, 0x10100000, 11) == b"from node 1"
    assert read(domain, 0x108100000, 7) == b"plugged"
    assert [device["data"]["id"] for device in domain.ask("query-memory-devices")] == ["dimm0", "dimm1"]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@pytest.mark.parametrize("way", ["ours to ours", "real to ours", "real to ours to real"])
@pytest.mark.parametrize("machine", ["pc", "q35"])
def test_a_guest_migrates_from_host_to_host(libvirt: Libvirt, machine: str, way: str) -> None:
    name = f"qemu-system-x86_64-{VERSION}"
    real = qemu("x86_64", VERSION)
    if real is None and "real" in way:
        pytest.skip(f"QEMU {VERSION} is not installed")
    there = Libvirt(host_uuid="6d1dd5f7-3c4f-4b53-8d29-6a3c1b0a7f11")
    emulators = {"ours": (libvirt.emulator(name), there.emulator(name)), "real": (real, real)}
    kinds = way.split(" to ")
    domain = Domain(libvirt, "moving", machine, str(emulators[kinds[0]][0]))
    try:
        domain.define(IN_FILES)
        domain.do("start")
        domain.do("attach-device", "virtio-mem.xml", "--live")
        (file,) = libvirt.folder.glob("config/libvirt/qemu/ram/*/ram-node0")
        with file.open("r+b") as memory:
            memory.seek(200 * MIB)
            memory.write(b"moved")
        here = 0
        for kind, following in itertools.pairwise(kinds):
            xml = domain.do("dumpxml", "--migratable").replace(
                str(emulators[kind][here]), str(emulators[following][1 - here])
            )
            domain.file("next", xml)
            target = (there, libvirt)[here]
            domain.do(
                "migrate", target.uri, "--live", "--xml", "next.xml", "--migrateuri", f"tcp://127.0.0.1:{free_port()}"
            )
            assert domain.name not in domain.libvirt.virsh("list", "--name").split()
            here, domain = 1 - here, Domain.of(target, domain.name)
            assert domain.do("domstate", "--reason").strip() == "running (migrated)"
            assert read(domain, 200 * MIB, 5) == b"moved"
            assert [device["type"] for device in domain.ask("query-memory-devices")] == ["dimm", "virtio-mem"]
        domain.close()
    finally:
        Domain.of(libvirt, "moving").close()
        there.stop()


def read(domain: Domain, address: int, size: int) -> bytes:
    """Bytes of the guest's memory, as its monitor shows them."""
    lines = domain.hmp(f"xp /{size}xb {address:#x}").splitlines()
    return bytes(int(word, 16) for line in lines for word in line.partition(":")[2].split())


STEPS = """
start
domstate --reason
attach-device dimm.xml --live
attach-device virtio-mem.xml --live
attach-device virtio-mem.xml --live --config --current
dumpxml
update-memory-device --alias virtiomem0 --requested-size 128MiB
update-memory-device --alias virtiomem0 --requested-size 3MiB
update-memory-device --alias virtiomem0 --requested-size 1GiB
setmem 400M --live
setmem 4G --live
setmaxmem 4G --live
dommemstat
dommemstat --period 2 --live
dommemstat
domstats --balloon --state --block --interface --iothread --dirtyrate
qemu-monitor-command --hmp info#memory-devices
qemu-monitor-command --hmp info#balloon
qemu-monitor-command --hmp info#numa
qemu-monitor-command --hmp nonsense
suspend
domstate --reason
suspend
resume
domjobinfo
domjobabort
dumpxml
numatune
iothreadinfo
domblklist
domiflist
domdirtyrate-calc 1
dump --memory-only {folder}/core-{name}
domjobinfo --completed
dump {folder}/stream-{name}
save {folder}/saved-{name}
domstate --reason
start
domstate --reason
managedsave
dominfo
start
domstate --reason
dumpxml
destroy
domstate --reason
undefine
""".strip().splitlines()
NOT_COMPARED = re.compile(
    r"^(rss|Id:|CPU time:| +balloon\.rss=| +vcpu\.|  <cpu mode.*|    <(model|feature) .*|  <cpu>|Used memory:.*) ?.*\n",
    re.M,
)
"""What is of processes and of the host, and the model of the CPUs, which do nothing here."""


@pytest.mark.parametrize("machine", ["pc", "q35"])
def test_libvirt_says_the_same_of_real_qemu(libvirt: Libvirt, machine: str) -> None:
    real = qemu("x86_64", VERSION)
    if real is None:
        pytest.skip(f"QEMU {VERSION} is not installed")
    said = []
    for name, emulator in (("real", real), ("ours", libvirt.emulator(f"qemu-system-x86_64-{VERSION}"))):
        domain = Domain(libvirt, name, machine, emulator)
        try:
            said.append(list(steps_of(domain, emulator)))
        finally:
            domain.close()
    assert len(said[0]) == len(STEPS)
    for theirs, ours in zip(*said, strict=True):
        assert ours == theirs


def steps_of(domain: Domain, emulator: str) -> Iterator[tuple[str, int, str]]:
    for step in STEPS:
        command, *words = step.format(folder=domain.libvirt.folder, name=domain.name).split()
        process = domain.libvirt.virsh_process(command, domain.name, *(word.replace("#", " ") for word in words))
        text, _ = process.communicate(timeout=PATIENCE)
        text = NOT_COMPARED.sub("", text.replace(emulator, "EMULATOR"))
        text = re.sub(r"id='\d+'>", "id=''>", re.sub(rf"\b{domain.name}\b", "NAME", text))
        yield step, process.returncode, text
