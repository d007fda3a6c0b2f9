"""Memory backends as the kernel sees them: /proc/self/smaps, numa_maps and files tell, not our own fields."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from ramslot.vm.errors import VMError
from ramslot.vm.machine import VirtualMachine
from ramslot.vm.steps import run_now

from .kernel import HUGE, MIB, PAGE, Add, flags, mapping, overcommits, policy, resident, view

TIB = 1 << 40
KINDS = ("ram", "memfd", "file", "shm")
SHARING = [(kind, share) for kind in KINDS for share in (False, True) if share or kind != "shm"]


@pytest.mark.parametrize(("kind", "share"), SHARING)
def test_size_and_sharing(add: Add, kind: str, share: bool) -> None:
    backend = add(kind, share=share)
    assert mapping(backend)["size"] == str(6 * MIB)
    assert mapping(backend)["access"] == ("rw-s" if share else "rw-p")
    assert ("sh" in flags(backend)) == share


def test_a_memfd_is_named_and_a_file_is_where_it_was_asked_for(add: Add, vm: VirtualMachine, tmp_path: Path) -> None:
    assert mapping(add("memfd"))["name"].startswith("/memfd:memory-backend-memfd")
    run_now(vm.objects.delete("m"))
    assert mapping(add("file"))["name"] == str(tmp_path / "ram")


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_resident_until_it_is_touched_or_preallocated(add: Add, vm: VirtualMachine, kind: str) -> None:
    backend = add(kind)
    assert resident(backend) == 0
    backend.set("prealloc", True)
    assert resident(backend) == 6 * MIB
    run_now(vm.objects.delete("m"))
    assert resident(add(kind, prealloc=True)) == 6 * MIB


def test_several_threads_preallocate_every_page(add: Add, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ramslot.vm.hostmem.prealloc.PORTION", MIB)
    backend = add("ram", 33 * MIB + PAGE, prealloc=True, prealloc_threads=4)
    assert resident(backend) == 33 * MIB + PAGE


def test_preallocation_keeps_what_a_file_holds(add: Add, tmp_path: Path) -> None:
    contents = os.urandom(6 * MIB)
    (tmp_path / "ram").write_bytes(contents)
    assert view(add("file", prealloc=True, share=True)) == contents
    assert (tmp_path / "ram").read_bytes() == contents


@pytest.mark.parametrize("kind", KINDS)
def test_advice_on_dumps_and_merging(add: Add, vm: VirtualMachine, kind: str) -> None:
    share = kind == "shm"
    backend = add(kind, share=share)
    merges = "mg" in flags(backend)
    if os.path.exists("/sys/kernel/mm/ksm") and not share:
        assert merges, "on unless told otherwise"
    assert "dd" not in flags(backend)
    backend.set("dump", False)
    backend.set("merge", False)
    assert "dd" in flags(backend)
    assert "mg" not in flags(backend)
    backend.set("dump", True)
    backend.set("merge", True)
    assert "dd" not in flags(backend)
    assert ("mg" in flags(backend)) == merges
    run_now(vm.objects.delete("m"))
    assert flags(add(kind, share=share, dump=False, merge=False)) & {"dd", "mg"} == {"dd"}


@overcommits
@pytest.mark.parametrize("kind", KINDS)
def test_memory_without_reservation(add: Add, vm: VirtualMachine, kind: str) -> None:
    assert "nr" not in flags(add(kind))
    run_now(vm.objects.delete("m"))
    assert "nr" in flags(add(kind, reserve=False))


@overcommits
def test_a_laptop_holds_twelve_tebibytes(add: Add) -> None:
    found = mapping(add("ram", 12 * TIB, reserve=False))
    assert int(found["size"]) == 12 * TIB
    assert found["Rss"] == "0 kB"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["bind", "preferred", "interleave"])
def test_numa_policy(add: Add, kind: str, name: str) -> None:
    backend = add(kind, policy=name, host_nodes=[0], prealloc=True)
    # A preference for one node is what newer kernels print as `prefer (many)`.
    assert policy(backend).startswith({"bind": "bind", "preferred": "prefer", "interleave": "interleave"}[name])
    assert policy(backend).endswith(":0")
    assert resident(backend) == 6 * MIB


def test_default_policy_leaves_the_kernels(add: Add) -> None:
    assert policy(add("ram")) == "default"


def test_a_node_that_is_absent_is_refused_and_leaves_nothing(add: Add, vm: VirtualMachine) -> None:
    with pytest.raises(VMError, match=r"^cannot bind memory to host NUMA nodes: Invalid argument$"):
        add("ram", policy="bind", host_nodes=[127])
    assert (vm.objects.backends(), list(vm.topology.ram_blocks)) == ([], [])


@pytest.mark.parametrize("share", [False, True])
def test_writes_reach_the_file_only_when_shared(add: Add, tmp_path: Path, share: bool) -> None:
    backend = add("file", share=share)
    view(backend)[PAGE : PAGE + 5] = b"hello"
    assert (tmp_path / "ram").stat().st_size == 6 * MIB
    assert (tmp_path / "ram").read_bytes()[PAGE : PAGE + 5] == (b"hello" if share else bytes(5))


@pytest.mark.parametrize("discard", [False, True])
def test_discarded_data_is_gone_from_the_file(add: Add, vm: VirtualMachine, tmp_path: Path, discard: bool) -> None:
    backend = add("file", share=True, discard_data=discard)
    view(backend)[:5] = b"hello"
    run_now(vm.objects.delete("m"))
    assert (tmp_path / "ram").read_bytes()[:5] == (bytes(5) if discard else b"hello")
    assert (tmp_path / "ram").stat().st_size == 6 * MIB


@pytest.mark.parametrize("share", [False, True])
def test_read_only_files(add: Add, vm: VirtualMachine, tmp_path: Path, share: bool) -> None:
    (tmp_path / "ram").write_bytes(b"x" * 6 * MIB)
    backend = add("file", share=share, readonly=True, discard_data=True)
    assert mapping(backend)["access"] == ("r--s" if share else "r--p")
    assert view(backend).readonly
    backend.set("prealloc", True)
    run_now(vm.objects.delete("m"))
    assert (tmp_path / "ram").read_bytes() == b"x" * 6 * MIB


def test_a_directory_gets_a_file_that_has_no_name(add: Add, tmp_path: Path) -> None:
    found = mapping(add("file", mem_path=str(tmp_path), share=True))
    assert found["name"].startswith(str(tmp_path))
    assert found["name"].endswith("(deleted)")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("sealed", [True, False])
def test_a_sealed_memfd_keeps_its_size(add: Add, monkeypatch: pytest.MonkeyPatch, sealed: bool) -> None:
    """A second descriptor of the memfd, as a vhost process would have it, cannot change the size."""
    kept: list[int] = []
    make = type(vm_host()).create_memfd

    def create_memfd(host: Any, *arguments: Any) -> Any:
        file = make(host, *arguments)
        kept.append(os.dup(file.fd))
        return file

    monkeypatch.setattr(type(vm_host()), "create_memfd", create_memfd)
    add("memfd", seal=sealed)
    for size in (PAGE, 64 * MIB):
        if sealed:
            with pytest.raises(PermissionError):
                os.ftruncate(kept[0], size)
        else:
            os.ftruncate(kept[0], size)
    os.close(kept[0])


def vm_host() -> Any:
    from ramslot.vm.host.linux import LinuxHost

    return LinuxHost()


def test_huge_pages_come_from_the_pool(add: Add, vm: VirtualMachine, huge_pages: None) -> None:
    backend = add("memfd", 4 * HUGE, hugetlb=True, hugetlbsize=HUGE, prealloc=True)
    assert mapping(backend)["KernelPageSize"] == "2048 kB"
    assert "ht" in flags(backend)
    assert (
        int(mapping(backend)["Shared_Hugetlb"].split()[0]) + int(mapping(backend)["Private_Hugetlb"].split()[0]) == 8192
    )
    assert [block.page_size for block in vm.topology.ram_blocks] == [HUGE]
    view(backend)[-1] = 1
    run_now(vm.objects.delete("m"))


def test_more_huge_pages_than_there_are(add: Add, vm: VirtualMachine, huge_pages: None) -> None:
    with pytest.raises(VMError, match=r"Cannot allocate memory$"):
        add("memfd", 4096 * HUGE, hugetlb=True, hugetlbsize=HUGE)
    assert (vm.objects.backends(), list(vm.topology.ram_blocks)) == ([], [])


def test_a_file_that_lost_its_space_is_an_error_and_not_a_signal(add: Add, tmp_path: Path) -> None:
    """Touching these pages would be SIGBUS."""
    backend = add("file", share=True)
    os.truncate(tmp_path / "ram", MIB)
    with pytest.raises(VMError, match=r"^qemu_prealloc_mem: preallocating memory failed: Bad address$"):
        backend.set("prealloc", True)
    assert backend.get("prealloc") is False
