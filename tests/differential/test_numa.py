"""-numa node: nodes, the container of their memories, and refusals, equal to real QEMU's."""

from __future__ import annotations

from pathlib import Path

import pytest

from .oracle import compare

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


@pytest.mark.parametrize("machine", ["pc", "q35"])
@pytest.mark.parametrize("line", NODES.splitlines())
def test_nodes(machine: str, line: str, tmp_path: Path) -> None:
    compare("numa", "x86_64", f"-M {machine} {line.format(A=A, B=B)}", QUESTIONS, tmp_path)


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
def test_other_families(target: str, machine: str, tmp_path: Path) -> None:
    size = "256M" if "pseries" in machine else "64M"
    backends = f"-object memory-backend-ram,id=a,size={size} -object memory-backend-ram,id=b,size={size}"
    total = "512M" if "pseries" in machine else "128M"
    nodes = "-numa node,memdev=a -numa node,memdev=b"
    compare("numa", target, f"-M {machine} -m {total} {backends} {nodes} -smp 1", QUESTIONS[:-2], tmp_path)


@pytest.mark.parametrize("line", REFUSED.splitlines())
def test_refused(line: str, tmp_path: Path) -> None:
    compare("numa", "x86_64", line.format(A=A, B=B), (), tmp_path)
