"""-numa: nodes, the container of their memories, CPUs, distances, HMAT, and refusals, equal to real QEMU's."""

from __future__ import annotations

from pathlib import Path

import pytest

from .numa_lines import random_line
from .oracle import BOTH, compare, qemu

A = "-object memory-backend-ram,id=a,size=64M"
B = "-object memory-backend-ram,id=b,size=64M"
QUESTIONS = (
    "info numa",
    "info ramblock",
    "info memdev",
    "info mtree",
    "info mtree -f",
    "info mtree -o",
    '{"execute": "query-cpus-fast"}',
    '{"execute": "query-memdev"}',
    '{"execute": "set-numa-node", "arguments": {"type": "node"}}',
    '{"execute": "set-numa-node", "arguments": {"type": "foo"}}',
)

NO_MITIGATIONS = "cap-cfpc=broken,cap-sbbc=broken,cap-ibs=broken,cap-ccf-assist=off"
"""What QEMU's own emulation of a POWER CPU does not warn of."""

NODES = """
-m 128M {A} {B} -numa node,memdev=a -numa node,memdev=b -smp 4
-m 128M {A} {B} -numa node,memdev=a,cpus=0-1 -numa node,memdev=b,cpus=2-3 -smp 4
-m 128M {A} {B} -numa node,memdev=a,nodeid=1 -numa node,memdev=b,nodeid=0 -smp 2
-m 128M {A} {B} -numa node,memdev=a -numa node,memdev=b -smp 4,maxcpus=8
-m 128M {A} {B} -numa node,memdev=a -numa node,memdev=b -smp 4,sockets=2
-m 128M {A} {B} -numa node,memdev=a,cpus=0 -numa node,memdev=b,cpus=1 -smp 4
-m 128M {A} {B} -numa node,memdev=a -numa node,memdev=b,cpus=1 -smp 2,maxcpus=4,sockets=2
-m 128M {A} {B} -numa node,memdev=a -numa node -numa node,memdev=b
-m 64M {A} -numa node,memdev=a -mem-path /absent/path
{A} {B} -numa node,memdev=a -numa node,memdev=b
-m 6G -object memory-backend-ram,id=a,size=4G -object memory-backend-memfd,id=b,size=2G -numa node,memdev=a -numa node,memdev=b
-m 128M,slots=2,maxmem=1G
-m 128M,maxmem=1G -smp 2
""".strip()
REFUSED = """
-m 128M {A} {B} -numa node,memdev=a,nodeid=1 -numa node,memdev=b,nodeid=1
-m 128M {A} {B} -numa node,memdev=a,nodeid=2 -numa node,memdev=b,nodeid=0
-m 128M {A} {B} -numa node,memdev=a -numa node,memdev=zz
-m 128M {A} {B} -numa node,memdev=a -numa node,memdev=a
-m 128M {A} {B} -numa node,memdev=a
-m 256M {A} {B} -numa node,memdev=a -numa node,memdev=b
-m 128M {A} {B} -numa node,memdev=a -numa node,mem=64M
-m 128M {A} {B} -numa node,memdev=a,cpus=0 -numa node,memdev=b,cpus=0 -smp 2
-m 128M {A} -numa node,memdev=a,cpus=9
-M memory-backend=a -m 64M {A} {B} -numa node,memdev=b
-M none -m 128M {A} {B} -numa node,memdev=a -numa node,memdev=b
-numa node,mem=64M
-numa node -numa node
-numa node
-numa foo
-numa node,foo=1
-numa node,nodeid=200
-numa node,memdev=
-numa node,nodeid=x
-numa node,nodeid=-1
-numa node,nodeid=70000
-numa node,cpus=x
-numa node,cpus=3-1
-numa node,cpus=0-70000
-numa node,mem=x
-numa node,initiator=x
-numa nodeid=1
-numa type=node,nodeid=0
""".strip()


def require_qemu(target: str) -> None:
    """Skip what is not recorded, there is so much of it."""
    if qemu(target) is None:
        pytest.skip("QEMU 7.2 is not installed")


@pytest.mark.parametrize("machine", ["pc", "q35"])
@pytest.mark.parametrize("line", NODES.splitlines())
@pytest.mark.parametrize("release", BOTH)
def test_nodes(release: str, machine: str, line: str, tmp_path: Path) -> None:
    compare("numa", "x86_64", f"-M {machine} {line.format(A=A, B=B)}", QUESTIONS, tmp_path, release=release)


@pytest.mark.parametrize(
    ("target", "machine"),
    [
        ("x86_64", "isapc"),
        ("x86_64", "microvm"),
        ("x86_64", "pc-i440fx-2.3"),
        ("i386", "pc-q35-5.0"),
        ("aarch64", "virt -cpu cortex-a57"),
        ("arm", "virt-2.9"),
        ("ppc64", f"pseries,{NO_MITIGATIONS}"),
        ("ppc64", f"pseries-5.0,{NO_MITIGATIONS}"),
    ],
)
@pytest.mark.parametrize("release", BOTH)
def test_other_families(release: str, target: str, machine: str, tmp_path: Path) -> None:
    size = "256M" if "pseries" in machine else "64M"
    backends = f"-object memory-backend-ram,id=a,size={size} -object memory-backend-ram,id=b,size={size}"
    total = "512M" if "pseries" in machine else "128M"
    nodes = "-numa node,memdev=a -numa node,memdev=b"
    compare(
        "numa", target, f"-M {machine} -m {total} {backends} {nodes} -smp 1", QUESTIONS[:-2], tmp_path, release=release
    )


@pytest.mark.parametrize("line", REFUSED.splitlines())
@pytest.mark.parametrize("release", BOTH)
def test_refused(release: str, line: str, tmp_path: Path) -> None:
    compare("numa", "x86_64", line.format(A=A, B=B), (), tmp_path, release=release)


# Slots for CPUs

CPU_QUESTIONS = (
    '{"execute": "query-hotpluggable-cpus"}',
    "info hotpluggable-cpus",
    '{"execute": "query-cpus-fast"}',
    "info cpus",
    "info numa",
)
TOPOLOGIES = """
-smp 1
-smp 2
-smp 3
-smp 4,sockets=2
-smp 2,maxcpus=4
-smp 2,maxcpus=8,sockets=2
-smp 4,sockets=4
-smp 4,sockets=1,cores=4
-smp 1,maxcpus=6,sockets=3,cores=2
-smp 6,maxcpus=12,sockets=3,cores=4,threads=1
-smp 3,maxcpus=4,cores=2
""".strip().splitlines()
X86_TOPOLOGIES = """
-smp 8,sockets=2,dies=2,cores=2
-smp 3,maxcpus=8,sockets=2,dies=2,cores=2
-smp 16,dies=4
-smp 4,cores=2,threads=2 -cpu Nehalem
-smp 5,maxcpus=16,sockets=2,dies=2,cores=2,threads=2 -cpu Nehalem
-smp 4,clusters=2
""".strip().splitlines()
ARM_TOPOLOGIES = """
-smp 8,sockets=2,clusters=2,cores=2
-smp 3,maxcpus=8,sockets=2,clusters=2,cores=2
-smp 16,sockets=2,clusters=2,cores=2,threads=2
-smp 4,dies=2
""".strip().splitlines()
TOPOLOGIES_OF = {
    "x86_64 -M pc": TOPOLOGIES + X86_TOPOLOGIES,
    "x86_64 -M pc-i440fx-6.1": TOPOLOGIES[:6],
    "x86_64 -M q35": X86_TOPOLOGIES,
    "i386 -M pc-q35-4.0": TOPOLOGIES[:6],
    "x86_64 -M microvm": TOPOLOGIES[:4] + X86_TOPOLOGIES[:2],
    "x86_64 -M isapc": TOPOLOGIES[:2],
    "x86_64 -M none": TOPOLOGIES[:2],
    "aarch64 -M virt -cpu cortex-a57": TOPOLOGIES[:5] + ARM_TOPOLOGIES,
    "arm -M virt-6.1": TOPOLOGIES[:6],
    "aarch64 -M none": TOPOLOGIES[:1],
    f"ppc64 -M pseries,{NO_MITIGATIONS}": [*TOPOLOGIES, "-smp 4,threads=2", "-smp 4,clusters=2"],
    f"ppc64 -M pseries-6.1,{NO_MITIGATIONS}": TOPOLOGIES[:6],
    f"ppc64 -M pseries-2.6,cap-htm=off,{NO_MITIGATIONS}": TOPOLOGIES[:6],
    "s390x -M s390-ccw-virtio": [*TOPOLOGIES[:6], "-smp 4,dies=2"],
    "s390x -M s390-ccw-virtio-6.1": TOPOLOGIES[:3],
    "s390x -M none": TOPOLOGIES[:1],
}


@pytest.mark.parametrize(
    ("machine", "topology"), [(name, each) for name, found in TOPOLOGIES_OF.items() for each in found]
)
@pytest.mark.parametrize("release", BOTH)
def test_slots_for_cpus(release: str, machine: str, topology: str, tmp_path: Path) -> None:
    target, _, options = machine.partition(" ")
    compare("numa", target, f"{options} {topology}", CPU_QUESTIONS, tmp_path, release=release)


PLACED = """
{A} {B} -numa node,memdev=a -numa node,memdev=b -smp 4,sockets=2
{A} {B} -numa node,memdev=a -numa node,memdev=b -smp 3,maxcpus=8,sockets=2
{A} {B} -numa node,memdev=a -numa node,memdev=b -smp 8,sockets=2,dies=2,cores=2
{A} {B} -numa node,memdev=a -numa node,memdev=b -smp 4,sockets=2 -numa cpu,node-id=1,socket-id=0 -numa cpu,node-id=0,socket-id=1
{A} {B} -numa node,memdev=a -numa node,memdev=b -smp 4,sockets=1 -numa cpu,node-id=1,core-id=0 -numa cpu,node-id=0,core-id=1
{A} {B} -numa node,memdev=a -numa node,memdev=b -smp 8,sockets=2,dies=2,cores=2 -numa cpu,node-id=1,die-id=1 -numa cpu,node-id=0,die-id=0
{A} {B} -numa node,memdev=a -numa node,memdev=b -smp 8,sockets=2,dies=2,cores=2 -numa cpu,node-id=1,die-id=2
{A} {B} -numa node,memdev=a -numa node,memdev=b -smp 4 -numa cpu,node-id=1,thread-id=0
{A} {B} -numa node,memdev=a -numa node,memdev=b -smp 4 -numa cpu,node-id=1
{A} {B} -numa node,memdev=a -numa node,memdev=b -smp 4 -numa cpu,node-id=1,core-id=0 -numa cpu,node-id=0,core-id=0
{A} {B} -numa node,memdev=a -numa node,memdev=b -smp 4 -numa cpu,node-id=1,cluster-id=0,thread-id=7
{A} {B} -numa node,memdev=a -numa node,memdev=b -smp 4 -numa cpu,node-id=1,core-id=-1
{A} {B} -numa node,memdev=a,cpus=0-1 -numa node,memdev=b -smp 4 -numa cpu,node-id=1,core-id=1
{A} {B} -numa node,memdev=a,cpus=0-1 -numa node,memdev=b -smp 4 -numa cpu,node-id=0,core-id=1
{A} {B} -numa node,memdev=a -numa cpu,node-id=1,core-id=1 -numa node,memdev=b -smp 4
{A} {B} -numa node,memdev=a -numa node,memdev=b -numa dist,src=0,dst=1,val=20
{A} {B} -numa node,memdev=a -numa node,memdev=b -numa dist,src=0,dst=1,val=20 -numa dist,src=1,dst=0,val=255
{A} {B} -numa node,memdev=a -numa node,memdev=b -numa node -numa dist,src=0,dst=1,val=20 -numa dist,src=1,dst=0,val=255
{A} {B} -numa node,memdev=a -numa node,memdev=b -numa dist,src=0,dst=0,val=10
{A} -m 256M -numa node,memdev=a -numa node -numa dist,src=0,dst=0,val=10
-M foo -numa dist
-numa dist -object foo
-numa dist -object memory-backend-ram,id=x,size=0
-numa node,nodeid=200 -numa dist
-numa dist,src=0,dst=1,val=1.5
-numa dist,src=0,src=1,dst=1,val=20
-numa dist,id=5,src=1,dst=0,val=20
-numa dist,id=x,src=1,dst=0,val=20
-numa {{"type":"node"}}
-numa help
-numa node,help
-numa cpu,socket-id=99999999999999999999
""".strip().splitlines()


@pytest.mark.parametrize("line", PLACED)
@pytest.mark.parametrize("release", BOTH)
def test_places_and_distances(release: str, line: str, tmp_path: Path) -> None:
    compare("numa", "x86_64", line.format(A=A, B=B), CPU_QUESTIONS, tmp_path, release=release)


# The Heterogeneous Memory Attribute Table

HMAT = "-M pc,hmat=on {A} {B} -numa node,memdev=a,cpus=0 -numa node,memdev=b,initiator=0"
LATENCY = "-numa hmat-lb,initiator=0,target=0,hierarchy=memory,data-type=access-latency"
BANDWIDTH = "-numa hmat-lb,initiator=0,target=0,hierarchy=memory,data-type=access-bandwidth"
KNOWN = f"{LATENCY},latency=5 {BANDWIDTH},bandwidth=1G"
CACHE = "-numa hmat-cache,node-id=0,size=10K,level=1,associativity=direct,policy=write-back,line=64"
LEVEL_2 = CACHE.replace("level=1", "level=2")
ATTRIBUTES = [
    *(f"{LATENCY}{rest}" for rest in ("", ",latency=0", ",latency=1", ",bandwidth=1G", ",latency=1,bandwidth=1G")),
    *(f"{BANDWIDTH}{rest}" for rest in ("", ",bandwidth=0", ",bandwidth=1M", ",latency=1", ",latency=1,bandwidth=1G")),
    *(f"{LATENCY},latency={value}" for value in (65534, 65535, 655340, 655350, 10**18, 2**64 - 1, 2**64)),
    *(
        f"{BANDWIDTH},bandwidth={value}"
        for value in ("1K", "1.5M", "65534M", "65535M", "65536M", "32767G", "16383P", "18446744073709551615")
    ),
    *(
        f"{LATENCY},latency={first} {LATENCY.replace('target=0', 'target=1')},latency={second}"
        for first, second in ((1, 65534), (10, 655340), (10, 655350), (655350, 10), (65535, 1), (0, 7), (7, 0))
    ),
    *(
        f"{BANDWIDTH},bandwidth={first} {BANDWIDTH.replace('target=0', 'target=1')},bandwidth={second}"
        for first, second in (("1M", "65534M"), ("1M", "32G"), ("1M", "64G"), ("64G", "1M"), ("3M", "1T"), ("0", "1M"))
    ),
    f"{LATENCY},latency=5 {LATENCY},latency=5",
    f"{BANDWIDTH},bandwidth=1G {BANDWIDTH},bandwidth=1G",
    *(f"{LATENCY},latency=5".replace("initiator=0", f"initiator={node}") for node in (1, 2, 3, 70000)),
    *(f"{LATENCY},latency=5".replace("target=0", f"target={node}") for node in (1, 2, 3, -1)),
    CACHE,
    f"{LATENCY},latency=5 {CACHE}",
    f"{LATENCY},latency=0 {BANDWIDTH},bandwidth=0 {CACHE}",
    f"{KNOWN} {CACHE}",
    f"{KNOWN} {CACHE} {CACHE}",
    f"{KNOWN} {LEVEL_2}",
    f"{KNOWN} {CACHE} {LEVEL_2}",
    f"{KNOWN} {CACHE} {LEVEL_2.replace('10K', '11K')}",
    *(f"{KNOWN} {CACHE.replace('level=1', f'level={level}')}" for level in (0, 3, 4, 255, 256)),
    *(f"{KNOWN} {CACHE.replace('node-id=0', f'node-id={node}')}" for node in (1, 2, 5000000000)),
    f"{KNOWN} {CACHE.replace('direct', 'x')}",
    f"{KNOWN} {CACHE.replace('write-back', 'x')}",
    f"{KNOWN} {CACHE.replace('line=64', 'line=65536')}",
    f"{KNOWN} {CACHE.replace('10K', '0')}",
    "-numa node,initiator=1",
    "-numa node,initiator=3",
    "-numa node,initiator=127,cpus=0",
]


@pytest.mark.parametrize("line", ATTRIBUTES)
@pytest.mark.parametrize("release", BOTH)
def test_memory_attributes(release: str, line: str, tmp_path: Path) -> None:
    compare("numa", "x86_64", f"{HMAT.format(A=A, B=B)} {line}", CPU_QUESTIONS[-1:], tmp_path, release=release)


@pytest.mark.parametrize(
    "options", ["-M pc,hmat=off {A} {B} " + CACHE, "-M none,hmat=on", "-M pc,hmat=x", "-numa node,initiator=0", LATENCY]
)
@pytest.mark.parametrize("release", BOTH)
def test_without_memory_attributes(release: str, options: str, tmp_path: Path) -> None:
    compare("numa", "x86_64", options.format(A=A, B=B), (), tmp_path, release=release)


# Random lines

X86_LEVELS = ("socket-id", "core-id", "thread-id")
PSERIES = tuple(f"pseries-{version},{NO_MITIGATIONS}" for version in ("7.2", "6.1", "5.2", "5.1", "5.0"))
BATCHES = {
    "x86_64": (100, ("pc", "q35", "pc-i440fx-5.0", "microvm"), X86_LEVELS, "64M"),
    "aarch64": (30, ("virt", "virt-5.0", "virt-2.9"), ("cluster-id", *X86_LEVELS), "64M"),
    "ppc64": (30, PSERIES, ("core-id",), "256M"),
}


@pytest.mark.parametrize("target", BATCHES)
def test_random_lines(target: str, tmp_path: Path) -> None:
    require_qemu(target)
    count, machines, levels, size = BATCHES[target]
    started = 0
    for seed in range(count):
        line = random_line(seed, machines, levels, size)
        outcome = compare(None, target, line, CPU_QUESTIONS, tmp_path / str(seed))
        started += outcome.status == 0
    assert started > count / 10


PARTS = """
-m 512M -numa node,mem=512
-m 512M -numa node,mem=512.
-m 512M -numa node,mem=0x200
-m 512M -numa node,mem=+512
-m 512M -numa node,mem=512B
-m 512M -numa node,mem=1.5
-m 512M -numa node,mem=0
-m 512M -numa node,mem=
-m 512M -numa node,mem=17592186044416
-m 512M -numa node,mem=0.5G
-m 512M -numa node,mem=1,mem=512
-m 512M -numa node,mem=256M,cpus=0 -numa node,mem=256M,cpus=1 -smp 2
-m 512M -numa node,mem=512M -numa node
-m 512M,slots=2,maxmem=1G -numa node,mem=512M
-m 512M -mem-path /dev/shm -numa node,mem=512M
-m 512M -object memory-backend-ram,id=m,size=512M -M memory-backend=m -numa node,mem=512M
-m 512M -object memory-backend-ram,id=m,size=512M -M memory-backend=m -numa node
""".strip().splitlines()


@pytest.mark.parametrize("line", PARTS)
def test_parts_of_the_ram(line: str, tmp_path: Path) -> None:
    compare("numa", "x86_64", f"-M pc-i440fx-5.0 {line}", ("info numa",), tmp_path)


VERSIONS = {
    "x86_64": [
        f"{family}-{version}"
        for family in ("pc-i440fx", "pc-q35")
        for version in ("2.10", "2.11", "4.1", "4.2", "5.0", "5.1")
    ],
    "aarch64": [f"virt-{version} -cpu cortex-a57" for version in ("2.11", "4.1", "4.2", "5.0", "5.1")],
    "ppc64": [
        f"pseries-2.5,cap-htm=off,{NO_MITIGATIONS.removesuffix(',cap-ccf-assist=off')}",
        *(f"pseries-{version},{NO_MITIGATIONS}" for version in ("4.2", "5.0", "5.1")),
    ],
    "s390x": ["s390-ccw-virtio-4.2", "s390-ccw-virtio"],
}
IMPLICIT = """
-m 512M
-m 512M,slots=2,maxmem=1G
-m 512M,maxmem=1G
-m 512M -numa node,mem=512M
-m 512M,maxmem=1G -object memory-backend-ram,id=m,size=512M -numa node,memdev=m
-m 512M -object memory-backend-ram,id=m,size=512M -M memory-backend=m
""".strip().splitlines()


@pytest.mark.parametrize(
    ("target", "machine"), [(target, each) for target, found in VERSIONS.items() for each in found]
)
def test_versions(target: str, machine: str, tmp_path: Path) -> None:
    """What versions differ in: nodes that nobody named, and `mem=`."""
    require_qemu(target)
    for number, line in enumerate(IMPLICIT):
        compare(None, target, f"-M {machine} {line}", ("info numa",), tmp_path / str(number))


RISCV = """
-numa node,memdev=a -numa node,memdev=b
-numa node,memdev=a -numa node,memdev=b -smp 2
-numa node,memdev=a -numa node,memdev=b -smp 5
-numa node,memdev=a -numa node,memdev=b -smp 3,maxcpus=5
-numa node,memdev=a -numa node,memdev=b -numa node -smp 4
-numa node,memdev=a -numa node,memdev=b -numa node -smp 2,maxcpus=4
-numa node,memdev=a,cpus=0 -numa node,memdev=b,cpus=1 -smp 4
-numa node,memdev=a,cpus=0 -numa node,memdev=b,cpus=1 -smp 2,maxcpus=4
-numa node,memdev=a,cpus=0,cpus=2 -numa node,memdev=b,cpus=1,cpus=3 -smp 4
-numa node,memdev=a,cpus=0-3 -numa node,memdev=b -smp 4
-numa node,memdev=a -numa node,memdev=b -numa node -numa node -numa node -smp 5
-numa node,memdev=a -numa node,memdev=b -numa cpu,node-id=0,core-id=0 -numa cpu,node-id=1,core-id=1 -smp 2
-numa node,memdev=a -numa node,memdev=b -numa cpu,node-id=1,thread-id=1 -smp 2
-numa node,mem=64 -numa node,mem=64M -smp 2
-numa node -numa node,memdev=a -numa node,memdev=b -smp 4
-numa node,memdev=a -numa node -numa node,memdev=b -smp 4
-m 128M,slots=2,maxmem=1G
""".strip().splitlines()


@pytest.mark.parametrize("machine", ["riscv64 -M virt", "riscv64 -M spike", "aarch64 -M sbsa-ref"])
@pytest.mark.parametrize("line", RISCV)
def test_simple_boards(machine: str, line: str, tmp_path: Path) -> None:
    target, _, options = machine.partition(" ")
    require_qemu(target)
    compare(
        None,
        target,
        f"{options} -m 128M {A} {B} {line}",
        ("info numa", "info ramblock"),
        tmp_path,
    )
