"""Pages that the host cannot give: whoever touches guest memory is told where and why, and the machine goes on."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ramslot.vm.accel.guest_job import GuestJob
from ramslot.vm.config import Config
from ramslot.vm.errors import VMError
from ramslot.vm.host import MissingPage
from ramslot.vm.host.kvm import KVM, KVMError
from ramslot.vm.host.linux import LinuxHost
from ramslot.vm.machine import VirtualMachine
from ramslot.vm.steps import run_now

from .kernel import MIB, PAGE, pool

try:
    KVM(LinuxHost()).close()
    reason = ""
except KVMError as error:
    reason = error.reason

ACCELERATORS = ["sim", pytest.param("kvm", marks=pytest.mark.skipif(bool(reason), reason=reason))]
on_both = pytest.mark.parametrize("accelerator", ACCELERATORS)
SIZE = 8 * MIB
ORACLE = "the host has no page for the guest at {:#x}: memory-backend-{} 'b' + {:#x}: {}"


def machine(accelerator: str, backend: dict[str, object], host: str | None = None) -> VirtualMachine:
    config = Config()
    config.machine_type, config.machine_options = "none", {"memory-backend": "b"}
    config.accelerators = [(accelerator, {})]
    config.objects = [{"id": "b", "size": SIZE, **backend}]
    config.host = host
    return VirtualMachine(config)


def of_file(path: object) -> dict[str, object]:
    return {"qom-type": "memory-backend-file", "mem-path": str(path), "share": True}


def touch(vm: VirtualMachine, mode: str, start: int = 0, length: int = SIZE) -> GuestJob:
    return run_now(vm.start_guest(GuestJob(start, length, mode, value=7)))


@pytest.fixture
def full_tmpfs(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MiB."""
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4M", "none", tmp_path], capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"no tmpfs can be mounted: {mounted.stderr.strip()}")
    yield tmp_path
    subprocess.run(["umount", tmp_path], check=True)


@on_both
@pytest.mark.parametrize("mode", ["read", "write", "pattern"])
def test_a_full_file_system(accelerator: str, mode: str, full_tmpfs: Path) -> None:
    with machine(accelerator, of_file(full_tmpfs)) as vm:
        job = touch(vm, mode)
        full = ORACLE.format(4 * MIB, "file", 4 * MIB, f"the file system of {full_tmpfs} is full")
        assert (job.status, job.error) == ("failed", full)
        assert (job.accesses, job.exits) == (1024, 0)
        assert touch(vm, mode, length=4 * MIB).status == "completed"


@on_both
@pytest.mark.parametrize("mode", ["read", "write", "pattern"])
def test_a_file_that_somebody_cuts(accelerator: str, mode: str, tmp_path: Path) -> None:
    path = tmp_path / "ram"
    with machine(accelerator, of_file(path)) as vm:
        assert touch(vm, mode).status == "completed"
        os.truncate(path, 5 * MIB + 1)
        job = touch(vm, mode)
        place = 5 * MIB + PAGE
        cut = ORACLE.format(place, "file", place, f"the file {path} ends at {5 * MIB + 1:#x}")
        assert (job.status, job.error, job.accesses, job.exits) == ("failed", cut, place // PAGE, 0)
        os.truncate(path, SIZE)
        assert touch(vm, mode).status == "completed"


@on_both
def test_a_huge_page_that_is_not_there(accelerator: str) -> None:
    if pool("free"):
        pytest.skip("there are free huge pages")
    backend = {"qom-type": "memory-backend-memfd", "hugetlb": True, "hugetlbsize": 2 * MIB, "reserve": False}
    with machine(accelerator, backend) as vm:
        job = touch(vm, "write", 2 * MIB)
        assert job.error.startswith(ORACLE.format(2 * MIB, "memfd", 2 * MIB, "no huge page of 2 MiB is free"))


def test_the_dirty_rate_says_what_it_could_not_sample(tmp_path: Path) -> None:
    path = tmp_path / "ram"
    with machine("sim", of_file(path)) as vm:
        task = vm.dirty_rate.start(1, "second", 4096, "page-sampling")
        os.truncate(path, 0)
        with pytest.raises(
            VMError, match=r"^the dirty rate cannot be sampled: the host has no page for memory-backend-f"
        ):
            run_now(task)
        assert vm.dirty_rate.status == "unstarted"


def test_the_exact_first_page_beyond_a_described_tmpfs() -> None:
    config = Config()
    config.machine_type, config.ram_size, config.mem_path = "none", 128 * MIB, "/dev/shm"
    config.host = "nodes=1,memory=128M,overcommit=1"  # half of the memory is /dev/shm
    with VirtualMachine(config) as vm:
        job = run_now(vm.start_guest(GuestJob(0, 128 * MIB)))
        assert job.error.startswith("the host has no page for the guest at 0x4000000: memory-backend-file 'ram'")
        assert job.error.endswith("the file system of /dev/shm is full")


# Holes at random


@on_both
@settings(max_examples=40, deadline=None)
@given(
    sizes=st.lists(st.integers(0, SIZE), min_size=1, max_size=4),
    start=st.integers(0, SIZE // 8 - 1),
    words=st.integers(1, SIZE // 8),
    stride=st.sampled_from([8, 512, PAGE, 3 * PAGE, MIB]),
    mode=st.sampled_from(["read", "write", "pattern"]),
)
def test_wherever_a_file_ends_the_first_missing_page_is_told(
    accelerator: str,
    sizes: list[int],
    start: int,
    words: int,
    stride: int,
    mode: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    path = tmp_path_factory.mktemp("holes") / "ram"
    with machine(accelerator, of_file(path)) as vm:
        first, last = 8 * start, min(8 * start + 8 * words, SIZE)
        for size in sizes:
            os.truncate(path, size)
            end = -(-size // PAGE) * PAGE
            job = run_now(vm.start_guest(GuestJob(first, last - first, mode, stride)))
            missing = next((gpa for gpa in range(first, last, stride) if gpa >= end), None)
            assert job.exits == 0
            if missing is None:
                assert (job.status, job.error) == ("completed", "")
            else:
                text = ORACLE.format(missing, "file", missing, f"the file {path} ends at {size:#x}" if size else "")
                assert job.status == "failed" and job.error.startswith(text)
                assert job.accesses == (missing - first) // stride
        path.unlink()


def test_memory_is_read_and_written_up_to_what_is_missing(tmp_path: Path) -> None:
    host = LinuxHost()
    file = host.create_file(str(tmp_path / "file"))
    file.truncate(SIZE)
    memory = host.map_file(file, SIZE, share=True)
    file.truncate(3 * PAGE)
    calls: list[Callable[[], object]] = [
        lambda: memory.read(PAGE, SIZE - PAGE),
        lambda: memory.write(PAGE, bytes([1]) * (SIZE - PAGE)),
        lambda: memory.sum_words(PAGE, 2000, PAGE),
        lambda: memory.write_words(PAGE, 2000, PAGE, 5, 1),
        lambda: memory.sum_words(PAGE, 4096, 8),
        lambda: memory.write_words(PAGE, 4096, 8, 5, 1),
    ]
    for call in calls:
        with pytest.raises(MissingPage) as caught:
            call()
        assert caught.value.offset == 3 * PAGE
    assert memory.read(PAGE, 16) == (5).to_bytes(8, "little") + (6).to_bytes(8, "little")
    memory.close()
    file.close()
