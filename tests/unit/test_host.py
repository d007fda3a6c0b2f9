"""What the real host tells of itself: pages, nodes, pools of huge pages, and that there is no KVM."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from ramslot.vm.host.kvm import KVM, KVMError
from ramslot.vm.host.linux import LinuxHost

from .linux_host import GIB, MIB, PAGE, host, nothing_left

__all__ = ("host", "nothing_left")


def test_facts_of_this_host(host: LinuxHost) -> None:
    assert host.page_size == PAGE
    assert 64 * MIB < host.total_memory <= os.sysconf("SC_PHYS_PAGES") * PAGE
    assert host.nodes
    assert host.default_huge_page_size in (None, *host.huge_page_sizes)
    for size in host.huge_page_sizes:
        whole = host.huge_pages(size)
        assert 0 <= whole.free <= whole.total


@pytest.mark.parametrize(
    ("online", "nodes"), [("0\n", (0,)), ("0-3\n", (0, 1, 2, 3)), ("0-1,3,8-9\n", (0, 1, 3, 8, 9))]
)
def test_nodes(tmp_path: Path, online: str, nodes: tuple[int, ...]) -> None:
    (tmp_path / "devices/system/node").mkdir(parents=True)
    (tmp_path / "devices/system/node/online").write_text(online)
    assert LinuxHost(sys=str(tmp_path)).nodes == nodes


def test_pools_of_huge_pages(tmp_path: Path) -> None:
    for above, total, free in (
        ("kernel/mm/hugepages/hugepages-2048kB", 96, 24),
        ("kernel/mm/hugepages/hugepages-1048576kB", 2, 2),
        ("devices/system/node/node1/hugepages/hugepages-2048kB", 32, 8),
    ):
        (tmp_path / above).mkdir(parents=True)
        (tmp_path / above / "nr_hugepages").write_text(f"{total}\n")
        (tmp_path / above / "free_hugepages").write_text(f"{free}\n")
        (tmp_path / above / "resv_hugepages").write_text("3\n")
    (tmp_path / "meminfo").write_text("HugePages_Total:      96\nHugepagesize:       2048 kB\n")
    host = LinuxHost(sys=str(tmp_path), proc=str(tmp_path))
    assert host.huge_page_sizes == (2 * MIB, GIB)
    assert host.default_huge_page_size == 2 * MIB
    pools = [host.huge_pages(2 * MIB), host.huge_pages(2 * MIB, 1), host.huge_pages(GIB), host.huge_pages(GIB, 1)]
    found = [(pool.total, pool.free, pool.reserved) for pool in pools]
    assert found == [(96, 24, 3), (32, 8, 0), (2, 2, 3), (0, 0, 0)]


def test_host_without_numa_and_huge_pages(tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text("MemTotal:       24 kB\n")
    host = LinuxHost(sys=str(tmp_path), proc=str(tmp_path))
    assert (host.nodes, host.huge_page_sizes, host.default_huge_page_size) == ((0,), (), None)


# KVM that is not there. The texts are what QEMU 7.2 prints for the same device file.


def test_absent_kvm(host: LinuxHost, tmp_path: Path) -> None:
    host.kvm_device = str(tmp_path / "kvm")
    with pytest.raises(KVMError) as caught:
        KVM(host)
    assert caught.value.reason == "Could not access KVM kernel module: No such file or directory"
    assert str(caught.value) == "failed to initialize kvm: No such file or directory"
    assert caught.value.errno == errno.ENOENT


def test_something_else_for_kvm(host: LinuxHost, tmp_path: Path) -> None:
    host.kvm_device = str(tmp_path / "kvm")
    (tmp_path / "kvm").write_text("")
    with pytest.raises(KVMError) as caught:
        KVM(host)
    assert caught.value.reason == "kvm version too old"
    assert str(caught.value) == "failed to initialize kvm: Inappropriate ioctl for device"
