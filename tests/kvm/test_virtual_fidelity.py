"""The same backends on this machine and on a virtual host that is described alike: the same refusals, the same pools,
the same pages on the same nodes."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ramslot.vm.config import Config
from ramslot.vm.errors import VMError
from ramslot.vm.host import Host
from ramslot.vm.host.linux import LinuxHost
from ramslot.vm.host.virtual import VirtualHost
from ramslot.vm.host.virtual.reading import parse_description
from ramslot.vm.machine import VirtualMachine
from ramslot.vm.steps import run_now

MIB = 1 << 20
HUGE = 2 * MIB
POOL = f"/sys/kernel/mm/hugepages/hugepages-{HUGE >> 10}kB/nr_hugepages"
PAGES = 8

Step = tuple[str, Any]
ABSENT = {"policy": "bind", "host-nodes": [LinuxHost().nodes[-1] + 1]}
PARTLY = {"policy": "bind", "host-nodes": [LinuxHost().nodes[0], LinuxHost().nodes[-1] + 1]}


def ram(size: int, **properties: Any) -> Step:
    return _add("ram", size, properties)


def huge(size: int, **properties: Any) -> Step:
    return _add("memfd", size, {"hugetlb": True, "hugetlbsize": HUGE, **properties})


def memfd(size: int, **properties: Any) -> Step:
    return _add("memfd", size, properties)


def file(path: str, size: int, **properties: Any) -> Step:
    return _add("file", size, {"mem_path": path, **properties})


def _add(kind: str, size: int, properties: dict[str, Any]) -> Step:
    named = {name.replace("_", "-"): value for name, value in properties.items()}
    return "add", {"qom-type": f"memory-backend-{kind}", "id": "m", "size": size, **named}


def delete(name: str = "m") -> Step:
    return "delete", name


def prealloc(name: str = "m") -> Step:
    return "prealloc", name


SCENARIOS: dict[str, list[Step]] = {
    "reserved, populated, given back": [huge(5 * HUGE), prealloc(), delete()],
    "populated at once, by threads": [huge(8 * HUGE, prealloc=True, **{"prealloc-threads": 3}), delete()],
    "more than there is": [huge(9 * HUGE), huge(8 * HUGE), delete()],
    "the second one does not fit": [huge(5 * HUGE), huge(4 * HUGE, id="n"), huge(3 * HUGE, id="n"), prealloc("n"), delete(), delete("n")],
    "without reservation, too large": [huge(12 * HUGE, reserve=False), prealloc(), delete()],
    "without reservation, others have promises": [huge(5 * HUGE), huge(5 * HUGE, id="n", reserve=False), prealloc("n"), prealloc(), delete("n"), delete()],
    "private huge pages": [huge(5 * HUGE, share=False), huge(4 * HUGE, id="n"), prealloc(), delete()],
    "private without reservation": [huge(9 * HUGE, share=False, reserve=False), prealloc(), delete()],
    "prealloc against reserve": [huge(HUGE, reserve=False, prealloc=True)],
    "no such size": [memfd(4 * MIB, hugetlb=True, hugetlbsize=4 * MIB), memfd(4 * MIB, hugetlb=True, hugetlbsize=4096)],
    "an odd size": [memfd(6 * MIB, hugetlb=True, hugetlbsize=3 * MIB)],
    "the default size": [memfd(2 * HUGE, hugetlb=True, prealloc=True), delete()],
    "an empty pool": [memfd(1 << 30, hugetlb=True, hugetlbsize=1 << 30)],
    "not whole huge pages": [huge(3 * MIB), huge(MIB)],
    "bound where there is nothing": [ram(MIB, **ABSENT), huge(HUGE, **ABSENT), memfd(MIB, policy="interleave", host_nodes=[99])],
    "bound to a node and to nothing": [ram(MIB, prealloc=True, **PARTLY), delete(), huge(HUGE, prealloc=True, **PARTLY), delete()],
    "policies": [step for policy in ("bind", "preferred", "interleave") for step in (huge(3 * HUGE, policy=policy, host_nodes=[0], prealloc=True), delete())],
    "ordinary pages": [ram(6 * MIB, prealloc=True), delete(), ram(6 * MIB, share=True, prealloc=True), delete(), memfd(6 * MIB, prealloc=True), delete()],
    "private copies": [memfd(6 * MIB, share=False, prealloc=True), delete()],
    "odd sizes": [ram(MIB + 5, prealloc=True), delete(), memfd(MIB + 5, prealloc=True), delete()],
    "more than the machine has": [ram(1 << 46), ram(1 << 46, share=True), memfd(1 << 45, share=False), memfd(1 << 45), delete()],
    "more than can be addressed": [ram(1 << 47, reserve=False), ram(1 << 62, reserve=False), memfd(1 << 62), ram((1 << 64) - 4096)],
    "more, without reservation": [ram(1 << 46, reserve=False), delete(), memfd(1 << 45, reserve=False), delete()],
    "a name too long for a memfd": [memfd(MIB, id="m" * 240), memfd(MIB, id="m" * 228), delete("m" * 228)],
    "files": [file("{tmp}/ram", 6 * MIB, share=True), delete(), file("{tmp}/ram", 8 * MIB), file("{tmp}/ram", 4 * MIB, share=True), prealloc(), delete()],
    "a file below a file": [file("{tmp}/ram", MIB), delete(), file("{tmp}/ram/below", MIB)],
    "a directory": [file("{tmp}/", MIB, share=True), prealloc(), delete(), file("{tmp}/", MIB, readonly=True)],
    "a name too long": [file("{tmp}/" + "r" * 256, MIB), file("{tmp}/" + "r" * 255, MIB), delete()],
    "no name": [file("", MIB)],
    "files to read": [file("{tmp}/ram", MIB, readonly=True, share=True), prealloc(), delete(), file("{tmp}/other", MIB, readonly=True), delete()],
    "discarded data": [file("{tmp}/ram", MIB, share=True, discard_data=True), prealloc(), delete()],
    "alignment": [file("{tmp}/ram", MIB, align=4097), file("{tmp}/ram", MIB, align=12288), file("{tmp}/ram", MIB, align=1 << 30), delete()],
    "in a full tmpfs": [file("{small}/ram", 4 * MIB, share=True), prealloc(), delete(), file("{small}/ram", 4 * MIB, id="n", prealloc=True)],
    "a tmpfs keeps its files": [file("{small}/a", MIB // 2, share=True, prealloc=True), delete(), file("{small}/b", MIB, share=True, prealloc=True), file("{small}/b", MIB // 2, share=True, prealloc=True), delete()],
    "temporary files in a tmpfs": [file("{small}", 4 * MIB, share=True, prealloc=True), file("{small}", MIB, share=True, prealloc=True), delete()],
    "private copies of a tmpfs": [file("{small}/c", MIB, prealloc=True), file("{small}/d", MIB, id="n", prealloc=True), delete()],
    "hugetlbfs": [file("{huge}", 5 * HUGE, prealloc=True), file("{huge}", 4 * HUGE, id="n"), delete(), file("{huge}/kept", 3 * HUGE, share=True, prealloc=True), delete(), huge(6 * HUGE), huge(5 * HUGE), delete()],
    "hugetlbfs, smaller than a page": [file("{huge}/small", MIB), file("{huge}/odd", 3 * MIB, share=True, prealloc=True), delete()],
}  # fmt: skip


@pytest.fixture(scope="module")
def pool() -> Iterator[None]:
    """Huge pages in the host's pool, and no others."""
    try:
        with open(POOL, "r+") as file:
            if file.read().strip() != "0":
                pytest.skip("somebody else uses the pool of huge pages")
            file.write(str(PAGES))
        with open(POOL) as file:
            got = int(file.read())
    except OSError as error:
        pytest.skip(f"no huge pages can be had here: {error}")
    try:
        if got < PAGES:
            pytest.skip(f"the host has no room for huge pages: {got}")
        yield
    finally:
        with open(POOL, "w") as file:
            file.write("0")


@pytest.fixture
def places(tmp_path: Path) -> Iterator[dict[str, str]]:
    """An ordinary directory, a tmpfs of 1 MiB, a hugetlbfs."""
    found = {"tmp": str(tmp_path / "tmp"), "small": str(tmp_path / "small"), "huge": str(tmp_path / "huge")}
    for path in found.values():
        os.mkdir(path)
    mounted = []
    try:
        for kind, options, path in (("tmpfs", "size=1M", found["small"]), ("hugetlbfs", "pagesize=2M", found["huge"])):
            done = subprocess.run(["mount", "-t", kind, "-o", options, "none", path], capture_output=True, text=True)
            if done.returncode:
                pytest.skip(f"cannot mount here: {done.stderr.strip()}")
            mounted.append(path)
        yield found
    finally:
        for path in mounted:
            subprocess.run(["umount", "-l", path], check=True)


def perform(host: Host, steps: list[Step], places: dict[str, str]) -> list[Any]:
    """What each step said, and where all pages were after it."""
    config = Config()
    config.machine_type = "none"
    config.qemu = "7.2"
    outcomes: list[Any] = []
    with VirtualMachine(config, host) as vm:
        for what, argument in steps:
            try:
                if what == "add":
                    path = {"mem-path": argument["mem-path"].format(**places)} if "mem-path" in argument else {}
                    run_now(vm.objects.add({**argument, **path}))
                elif what == "prealloc":
                    next(backend for backend in vm.objects.backends() if backend.name == argument).set("prealloc", True)
                else:
                    run_now(vm.objects.delete(argument))
                said = None
            except VMError as error:
                said = str(error)
            backends = vm.objects.backends()
            resident = host.residency([backend.memory for backend in backends if backend.memory is not None])
            huge = host.huge_pages(HUGE)
            outcomes.append((what, said, huge.free, huge.reserved, [backend.name for backend in backends], resident))
    left = host.huge_pages(HUGE)
    return [*outcomes, (left.free, left.reserved)]


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_same_happens_on_both(pool: None, places: dict[str, str], name: str) -> None:
    real = LinuxHost()
    virtual = VirtualHost(parse_description(real.describe().to_json()))
    expected = perform(real, SCENARIOS[name], places)
    found = perform(virtual, SCENARIOS[name], places)
    assert found == expected


def test_the_export_of_this_machine_reads_back() -> None:
    described = LinuxHost().describe()
    assert parse_description(described.to_json()) == described
    assert VirtualHost(described).describe() == described
