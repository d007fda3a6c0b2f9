"""Files of the real host whose contents are memory: named, unlinked, memfd, of huge pages."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ramslot.vm.host.linux import LinuxHost

from .linux_host import MIB, PAGE, host, nothing_left, vma

__all__ = ("host", "nothing_left")


def test_files(host: LinuxHost, tmp_path: Path) -> None:
    path = str(tmp_path / "ram")
    with pytest.raises(FileNotFoundError) as caught:
        host.open_file(path)
    assert caught.value.strerror == "No such file or directory"
    file = host.create_file(path)
    with pytest.raises(FileExistsError):
        host.create_file(path)
    assert (file.size, file.page_size, os.get_inheritable(file.fd)) == (0, PAGE, False)
    file.truncate(MIB)
    file.allocate(0, 2 * MIB)
    assert file.size == 2 * MIB
    memory = host.map_file(file, MIB, offset=MIB, share=True)
    file.close()
    file.close()
    assert file.fd == -1
    assert path in open_maps()
    with memory.view(0, 5) as view:
        view[:] = b"hello"
    memory.close()
    again = host.open_file(path, readonly=True)
    assert os.pread(again.fd, 5, MIB) == b"hello"
    with pytest.raises(OSError) as refused:
        again.truncate(0)
    assert refused.value.errno in (errno.EBADF, errno.EINVAL)
    again.close()
    host.unlink(path)
    assert os.listdir(tmp_path) == []
    with pytest.raises(IsADirectoryError):
        host.open_file(str(tmp_path))


def open_maps() -> str:
    with open("/proc/self/maps") as maps:
        return maps.read()


def test_readonly_mapping(host: LinuxHost, tmp_path: Path) -> None:
    path = tmp_path / "rom"
    path.write_bytes(b"rom" + bytes(PAGE - 3))
    file = host.open_file(str(path), readonly=True)
    memory = host.map_file(file, PAGE, readonly=True)
    memory.populate(0, PAGE)
    with memory.view(0, 3) as view:
        assert (view.readonly, bytes(view)) == (True, b"rom")
    assert vma(memory.address)["access"] == "r--p"
    memory.close()
    with pytest.raises(PermissionError):
        host.map_file(file, PAGE, share=True)
    file.close()


def test_unlinked_file_has_no_name(host: LinuxHost, tmp_path: Path) -> None:
    file = host.create_unlinked(str(tmp_path), "backing.")
    assert os.listdir(tmp_path) == []
    status = os.fstat(file.fd)
    assert (status.st_nlink, status.st_mode & 0o777) == (0, 0o600)
    file.close()


def test_impossible_file_sizes(host: LinuxHost) -> None:
    file = host.create_memfd("test")
    for size in (1 << 63, (1 << 64) - 1):
        with pytest.raises(OSError) as caught:
            file.truncate(size)
        assert caught.value.errno == errno.EINVAL
        assert caught.value.__notes__ == [f"ftruncate({file.fd:#x}, {size:#x})"]
    file.close()


def test_memfd(host: LinuxHost) -> None:
    file = host.create_memfd("guest", sealable=True)
    assert os.readlink(f"/proc/self/fd/{file.fd}") == "/memfd:guest (deleted)"
    assert not os.get_inheritable(file.fd)
    file.truncate(2 * MIB)
    file.allocate(0, 2 * MIB)
    file.punch_hole(0, MIB)
    assert (file.size, os.fstat(file.fd).st_blocks * 512) == (2 * MIB, MIB)
    file.seal_size()
    attempts: list[Callable[[], object]] = [
        lambda: file.truncate(MIB),
        lambda: file.truncate(3 * MIB),
        file.seal_size,
    ]
    for attempt in attempts:
        with pytest.raises(PermissionError):
            attempt()
    file.close()
    unsealable = host.create_memfd("guest")
    with pytest.raises(PermissionError):
        unsealable.seal_size()
    unsealable.close()


def test_huge_pages(host: LinuxHost) -> None:
    size = host.default_huge_page_size
    if size is None:
        pytest.skip("the kernel has no huge pages")
    file = host.create_memfd("huge", size, sealable=True)
    assert file.page_size == size
    file.truncate(2 * size)
    memory = host.map_file(file, size + 1, share=True, reserve=False)
    assert (memory.page_size, memory.size, memory.address % size) == (size, 2 * size, 0)
    assert vma(memory.address)["KernelPageSize"] == f"{size >> 10} kB"
    if host.huge_pages(size).free == 0:
        with pytest.raises(OSError) as caught:
            memory.populate(0, 2 * size)
        assert caught.value.errno in (errno.EFAULT, errno.ENOMEM)
        with pytest.raises(OSError) as refused:
            host.map_file(file, 2 * size, share=True)
        assert refused.value.errno == errno.ENOMEM
    memory.close()
    file.close()


def test_huge_page_size_that_no_kernel_has(host: LinuxHost) -> None:
    with pytest.raises(OSError) as caught:
        host.create_memfd("huge", 3 * PAGE)
    assert caught.value.errno == errno.ENODEV
