"""What the kernel tells of a backend's memory: /proc/self/smaps, numa_maps, move_pages, the pools of huge pages."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable

import pytest

from ramslot.vm.host.linux_memory import LinuxMemory
from ramslot.vm.hostmem.backend import MemoryBackend

MIB = 1 << 20
PAGE = os.sysconf("SC_PAGE_SIZE")
HUGE = 2 * MIB
POOL = f"/sys/kernel/mm/hugepages/hugepages-{HUGE >> 10}kB"

Add = Callable[..., MemoryBackend]
"""Adds a backend of 6 MiB named `m`."""

with open("/proc/sys/vm/overcommit_memory") as overcommit_memory:
    overcommits = pytest.mark.skipif(overcommit_memory.read() == "2\n", reason="this kernel counts every page")


def guest_mappings() -> int:
    """How many mappings are kept out of forks, which ours are."""
    with open("/proc/self/smaps") as smaps:
        return sum(line.startswith("VmFlags:") and " dc " in line for line in smaps)


def mapping(backend: MemoryBackend) -> dict[str, str]:
    """What /proc/self/smaps says of a backend's memory."""
    assert backend.memory is not None
    fields: dict[str, str] = {}
    with open("/proc/self/smaps") as smaps:
        for line in smaps:
            if line.startswith(f"{backend.memory.address:x}-"):
                span, access, *_, name = line.split(maxsplit=5) if line.count(" ") > 5 else [*line.split(), ""]
                start, end = (int(bound, 16) for bound in span.split("-"))
                fields = {"size": str(end - start), "access": access, "name": name.strip()}
            elif fields and not line[0].isupper():
                break
            elif fields:
                field, _, value = line.partition(":")
                fields[field] = value.strip()
    return fields


def flags(backend: MemoryBackend) -> set[str]:
    return set(mapping(backend)["VmFlags"].split())


def resident(backend: MemoryBackend) -> int:
    return int(mapping(backend)["Rss"].split()[0]) << 10


def numa(backend: MemoryBackend) -> list[str]:
    """The words of /proc/self/numa_maps: the policy, then how many pages there are where."""
    assert backend.memory is not None
    with open("/proc/self/numa_maps") as maps:
        return next(line.split()[1:] for line in maps if line.startswith(f"{backend.memory.address:x} "))


def policy(backend: MemoryBackend) -> str:
    return numa(backend)[0]


def view(backend: MemoryBackend) -> memoryview:
    assert isinstance(backend.memory, LinuxMemory)
    return backend.memory.view(0, backend.memory.size)


def page_nodes(backend: MemoryBackend) -> list[int]:
    """The node of each page, negative where there is none, as move_pages(2) tells it."""
    assert backend.memory is not None
    count = -(-backend.memory.size // PAGE)
    pages = (ctypes.c_void_p * count)(*(backend.memory.address + PAGE * number for number in range(count)))
    status = (ctypes.c_int * count)()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(279, 0, ctypes.c_ulong(count), pages, None, status, 0):
        pytest.skip(f"move_pages: {os.strerror(ctypes.get_errno())}")
    return list(status)


def pool(kind: str) -> int:
    """The huge pages that the host has (`nr`), of which are `free`, of which are promised (`resv`)."""
    with open(f"{POOL}/{kind}_hugepages") as file:
        return int(file.read())
