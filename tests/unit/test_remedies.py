"""What is said after an error: the text stays QEMU's, the hint comes on a line of its own, and following it helps."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys

import pytest

BACKEND = "-object memory-backend-ram,id=m"


def run(line: str, *commands: str, text: str = "") -> subprocess.CompletedProcess[str]:
    words = [word for command in commands for word in ("-c", command)]
    command = [sys.executable, "-m", "ramslot", *shlex.split(line), *words]
    return subprocess.run(command, input=text, capture_output=True, text=True, timeout=60)


ASKED = [
    (
        "--target aarch64 -M virt,highmem=off -m 4G",
        "highmem=on, or at most 3 GiB",
        "--target aarch64 -M virt,highmem=off -m 3G",
    ),
    (f"-M none {BACKEND},size=0", "a memory backend has memory; leave memdev= out for a NUMA node without", "-M none"),
    (
        f"-M pc -m 4G -numa node,memdev=m {BACKEND},size=1G",
        "-m 1G fits the nodes; for -m 4G they are 3G too small",
        f"-M pc -m 1G -numa node,memdev=m {BACKEND},size=1G",
    ),
    ("--target ppc64 -M pseries -m 300M", "the nearest: 256M or 512M", "--target ppc64 -M pseries -m 256M"),
    ("--target s390x -m 4097k", "the nearest: -m 4M or -m 5M", "--target s390x -m 5M"),
    (
        "-m 4G,maxmem=2G",
        "maxmem is all of the memory: what -m gives, and what may be plugged",
        "-m 1G,maxmem=2G",
    ),
    (
        f"-M pc,memory-backend=m {BACKEND},size=1G -m 2G",
        "-m 1G is what the backend has; or leave -m out",
        f"-M pc,memory-backend=m {BACKEND},size=1G -m 1G",
    ),
    (
        f"-M pc,memory-backend=n {BACKEND},size=1G",
        "there are m; -object memory-backend-ram,id=n,size=SIZE would make it",
        "-M pc,memory-backend=n -object memory-backend-ram,id=n,size=1G",
    ),
    ("-m 1G,slots=2", "maxmem=SIZE is missing: what -m gives, and what may be plugged", "-m 1G,slots=2,maxmem=2G"),
    (
        "-m 1G,slots=2,maxmem=1G",
        "maxmem is all of the memory: what -m gives, and what may be plugged into the slots",
        "-m 1G,slots=2,maxmem=2G",
    ),
    ("--target arm -M raspi2b -m 2G", "-m 1G", "--target arm -M raspi2b -m 1G"),
    (
        "--host nodes=1,memory=4G -m 8G",
        "a memory backend of its own maps memory that the host need not have: "
        "-object memory-backend-ram,id=mem,size=8G,reserve=off -machine memory-backend=mem",
        "--host nodes=1,memory=4G -object memory-backend-ram,id=mem,size=8G,reserve=off -machine memory-backend=mem",
    ),
    (
        "--host nodes=1,memory=4G -M none -m 1048576",
        "a memory backend of its own maps memory that the host need not have: -object memory-backend-ram,id=mem,"
        "size=1T,reserve=off -machine memory-backend=mem; -m counts MiB unless it names a unit",
        "--host nodes=1,memory=4G -M none -m 1048576K",
    ),
    (
        f"--host nodes=1,memory=4G -M none {BACKEND},size=8G",
        "reserve=off maps memory that the host need not have",
        f"--host nodes=1,memory=4G -M none {BACKEND},size=8G,reserve=off",
    ),
    (
        "--host nodes=1,memory=4G,memlock=8M -m 1G -overcommit mem-lock=on",
        "1 GiB of locked memory are needed, the limit is 8 MiB (ulimit -l)",
        "--host nodes=1,memory=4G,memlock=2G -m 1G -overcommit mem-lock=on",
    ),
    (
        "--host nodes=1,memory=16G,hugepages-2M=5000 -M none -object memory-backend-memfd,id=m,size=8193M,hugetlb=on",
        "8193 MiB is no multiple of the 2 MiB pages: size=8G or 8194M",
        "--host nodes=1,memory=16G,hugepages-2M=5000 -M none -object memory-backend-memfd,id=m,size=8194M,hugetlb=on",
    ),
    (
        "-M pc -m 1G -numa node,mem=1G",
        "a backend for each node: -object memory-backend-ram,id=ID,size=SIZE -numa node,memdev=ID",
        f"-M pc -m 1G {BACKEND},size=1G -numa node,memdev=m",
    ),
    (
        f"-M pc -m 2G {BACKEND},size=1G -numa node,memdev=m -numa node,memdev=m",
        "each NUMA node, and the machine, wants a memory backend of its own",
        f"-M pc -m 2G {BACKEND},size=1G -object memory-backend-ram,id=n,size=1G "
        "-numa node,memdev=m -numa node,memdev=n",
    ),
]


@pytest.mark.parametrize(("line", "hint", "mended"), ASKED, ids=[line for line, _, _ in ASKED])
def test_the_start_tells_what_helps_and_it_does(line: str, hint: str, mended: str) -> None:
    refused = run(line, "info status")
    assert refused.returncode == 1
    told = refused.stderr.splitlines()
    assert told[0].startswith("ramslot: ")
    assert told[-1] == f"hint: {hint}"
    accepted = run(mended, "info status")
    assert (accepted.returncode, accepted.stderr) == (0, "")


def test_a_script_tells_it_after_the_text() -> None:
    answer = run("-M none", "object_add memory-backend-ram,id=m,size=0")
    assert answer.stderr.splitlines() == [
        "ramslot: -c 'object_add memory-backend-ram,id=m,size=0': "
        "Error: property 'size' of memory-backend-ram doesn't take value '0'",
        "hint: a memory backend has memory; leave memdev= out for a NUMA node without",
    ]


def test_a_client_asks_for_the_hint_of_its_last_error() -> None:
    refused = {"qom-type": "memory-backend-ram", "id": "m", "size": 0}
    requests = [
        {"execute": "qmp_capabilities"},
        {"execute": "query-hint"},
        {"execute": "object-add", "arguments": refused},
        {"execute": "query-hint"},
        {"execute": "human-monitor-command", "arguments": {"command-line": "object_del m"}},
        {"execute": "query-hint"},
        {"execute": "human-monitor-command", "arguments": {"command-line": "info hint"}},
        {"execute": "quit"},
    ]
    done = run("-M none -qmp stdio -S", text="".join(json.dumps(each) + "\n" for each in requests))
    answers = [reply["return"] for line in done.stdout.splitlines() if "return" in (reply := json.loads(line))]
    text = "property 'size' of memory-backend-ram doesn't take value '0'"
    assert answers[1] == {}
    assert answers[2] == {
        "error": text,
        "hint": "a memory backend has memory; leave memdev= out for a NUMA node without",
    }
    assert answers[3:6] == [
        "Error: object 'm' not found\r\n",
        {"error": "object 'm' not found"},
        "object 'm' not found\r\nno hint\r\n",
    ]


def test_memory_that_nothing_uses_is_told_of() -> None:
    unused = run(f"-m 1G {BACKEND},size=1G", "info status")
    assert unused.stderr == "hint: nothing uses the memory of m; with -machine memory-backend=ID it is the RAM\n"
    assert unused.returncode == 0
    for used in (f"-m 1G {BACKEND},size=1G -machine memory-backend=m", f"-m 1G,slots=1,maxmem=2G {BACKEND},size=1G"):
        assert run(used, "info status").stderr == ""
    assert run(f"-M none {BACKEND},size=1G", "info status").stderr == ""


@pytest.mark.parametrize(
    ("name", "taken"),
    [
        ("pc-q35-rhel9.2.0", "Red Hat Enterprise Linux's, taken as pc-q35-7.2"),
        ("pc-i440fx-noble", "Ubuntu's, taken as pc-i440fx-8.2"),
        ("pc-i440fx-jammy-hpb", "Ubuntu's, taken as pc-i440fx-6.2 (-hpb is -cpu MODEL,host-phys-bits=on)"),
        ("pc+pve0", "Proxmox VE's, taken as pc"),
        ("pc-q35-8.1+pve0", "Proxmox VE's, taken as pc-q35-8.1"),
    ],
)
def test_names_of_distributions(name: str, taken: str) -> None:
    assert run(f"-M {name}", "info status").stderr.splitlines()[0] == f"ramslot: {name} is {taken}"
    for other in ("pc-q35-rhel6.6.0", "pc-nonesuch", "zzz"):
        assert "hint" not in run(f"-M {other}", "info status").stderr


def test_machines_of_other_releases() -> None:
    told = run("--qemu 11.1 -M pc-i440fx-2.1", "info status").stderr.splitlines()
    assert told[-1] == "hint: --qemu 7.2 has pc-i440fx-2.1"
    told = run("--qemu 7.2 --target aarch64 -M virt-8.0", "info status").stderr.splitlines()
    assert told[-1] == "hint: --qemu 11.1 has virt-8.0"
    told = run("--qemu 7.2 -M pc-i440fx-99.0", "info status").stderr.splitlines()
    assert not told[-1].startswith("hint")
