"""Machines and backends whose memory the kernel is asked about."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ramslot.vm.config import Config
from ramslot.vm.hostmem.backend import MemoryBackend
from ramslot.vm.machine import VirtualMachine
from ramslot.vm.steps import run_now

from .kernel import MIB, POOL, Add, guest_mappings, pool


@pytest.fixture
def vm() -> Iterator[VirtualMachine]:
    config = Config()
    config.machine_type, config.qemu = "none", "11.1"  # which has all backends
    before = guest_mappings(), sorted(os.listdir("/proc/self/fd"))
    vm = VirtualMachine(config)
    yield vm
    vm.close()
    assert (guest_mappings(), sorted(os.listdir("/proc/self/fd"))) == before


@pytest.fixture
def add(vm: VirtualMachine, tmp_path: Path) -> Add:
    """Adds a backend of 6 MiB named `m`."""

    def add(kind: str, size: int = 6 * MIB, **properties: object) -> MemoryBackend:
        arguments: dict[str, Any] = {"qom-type": f"memory-backend-{kind}", "id": "m", "size": size}
        arguments |= {name.replace("_", "-"): value for name, value in properties.items()}
        if kind == "file":
            arguments.setdefault("mem-path", str(tmp_path / "ram"))
        made = run_now(vm.objects.add(arguments))
        assert isinstance(made, MemoryBackend)
        return made

    return add


@pytest.fixture
def huge_pages() -> Iterator[None]:
    """Eight free huge pages in the host's pool, and nobody else's, while a test runs."""
    path = f"{POOL}/nr_hugepages"
    try:
        before = pool("nr")
        with open(path, "w") as file:
            file.write(str(before + 8))
    except OSError as error:
        pytest.skip(f"no huge pages can be had here: {error}")
    try:
        if pool("nr") < before + 8:
            pytest.skip(f"the host has no room for huge pages: {pool('nr')}")
        if pool("free") - pool("resv") != 8:
            pytest.skip("somebody else uses huge pages")
        yield
    finally:
        with open(path, "w") as file:
            file.write(str(before))


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Callable[[str, str], Path]]:
    """Mounts a file system of a type with options and gives its folder; all are gone after the test."""
    mounted: list[Path] = []

    def mount(kind: str, options: str) -> Path:
        folder = tmp_path / f"{kind}{len(mounted)}"
        folder.mkdir()
        done = subprocess.run(["mount", "-t", kind, "-o", options, "none", folder], capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"{kind} cannot be mounted here: {done.stderr.strip()}")
        mounted.append(folder)
        return folder

    yield mount
    for folder in mounted:
        # The machine may still have memory of it, which keeps it until then.
        subprocess.run(["umount", "--lazy", folder], check=True)
