"""The real host, what the kernel says of our mappings (/proc/self/smaps), and a check that every test leaves nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from ramslot.vm.host import HostMemory
from ramslot.vm.host.linux import LinuxHost

PAGE = os.sysconf("SC_PAGE_SIZE")
MIB = 1 << 20
GIB = 1 << 30
TIB = 1 << 40

with open("/proc/sys/vm/overcommit_memory") as overcommit_memory:
    overcommits = pytest.mark.skipif(overcommit_memory.read() == "2\n", reason="this kernel counts every page")


def footprint() -> tuple[int, list[str], list[str]]:
    """What a leak would change: bytes without access (reservations, guards), mapped files, open files."""
    reserved = 0
    files = []
    with open("/proc/self/maps") as maps:
        for line in maps:
            span, access, _, _, _, *name = line.split(maxsplit=5)
            start, end = (int(bound, 16) for bound in span.split("-"))
            if access.startswith("---"):
                reserved += end - start
            if name and name[0].startswith("/") and ".so" not in name[0]:
                files.append(line)
    return reserved, files, os.listdir("/proc/self/fd")


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    before = footprint()
    yield
    assert footprint() == before


@pytest.fixture
def host() -> LinuxHost:
    return LinuxHost()


def vma(address: int) -> dict[str, str]:
    """Return the fields of the mapping in /proc/self/smaps that begins at an address."""
    fields: dict[str, str] = {}
    with open("/proc/self/smaps") as smaps:
        for line in smaps:
            if line.startswith(f"{address:x}-"):
                span, access = line.split()[:2]
                fields = {"end": span.split("-")[1], "access": access}
            elif fields and line[0].isupper():
                name, _, value = line.partition(":")
                fields[name] = value.strip()
            elif fields:
                break
    return fields


def flags(memory: HostMemory) -> list[str]:
    return vma(memory.address)["VmFlags"].split()


def resident(memory: HostMemory) -> int:
    return int(vma(memory.address)["Rss"].split()[0]) << 10
