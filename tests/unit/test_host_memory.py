"""Memory of the real host: mapped, looked into, advised, bound to nodes, populated and discarded."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ramslot.vm.host import HostMemory, libc, linux_memory
from ramslot.vm.host.linux import LinuxHost

from .linux_host import GIB, MIB, PAGE, TIB, flags, host, nothing_left, overcommits, resident, vma

__all__ = ("host", "nothing_left")


# Mappings


@pytest.mark.parametrize("size", [1, PAGE, 5 * PAGE, MIB, 2 * MIB, 64 * MIB + 17])
@pytest.mark.parametrize("share", [False, True])
def test_anonymous_memory_is_mapped_as_qemu_does(host: LinuxHost, size: int, share: bool) -> None:
    memory = host.map_anonymous(size, share)
    assert memory.size == -(-size // PAGE) * PAGE
    assert memory.address % (2 * MIB) == 0
    end = memory.address + memory.size
    seen = vma(memory.address)
    assert (int(seen["end"], 16), seen["access"]) == (end, "rw-s" if share else "rw-p")
    assert vma(end)["access"] == "---p"
    assert "dc" in flags(memory)
    if os.path.exists("/sys/kernel/mm/transparent_hugepage"):
        assert "hg" in flags(memory)
    memory.close()


@overcommits
@pytest.mark.parametrize("align", [0, 1, 4 * MIB, GIB])
def test_alignment(host: LinuxHost, align: int) -> None:
    memory = host.map_anonymous(MIB, reserve=False, align=align)
    assert memory.address % max(align, 2 * MIB) == 0
    memory.close()


@overcommits
def test_twelve_terabytes_without_reservation(host: LinuxHost) -> None:
    memory = host.map_anonymous(12 * TIB, reserve=False)
    assert "nr" in flags(memory)
    with memory.view(12 * TIB - 3, 3) as last:
        last[:] = b"end"
    with memory.view(0, 12 * TIB) as whole:
        assert whole[-3:].tobytes() == b"end"
        assert whole[0] == 0
    assert resident(memory) < GIB
    memory.close()


def test_reservation_is_refused_where_the_kernel_counts_every_page(tmp_path: Path) -> None:
    (tmp_path / "sys/vm").mkdir(parents=True)
    (tmp_path / "sys/vm/overcommit_memory").write_text("2\n")
    strict = LinuxHost(proc=str(tmp_path))
    text = 'Skipping reservation of swap space is not supported: "/proc/sys/vm/overcommit_memory" is "2"'
    file = strict.create_memfd("test")
    file.truncate(PAGE)
    attempts: list[Callable[[], object]] = [
        lambda: strict.map_anonymous(PAGE, reserve=False),
        lambda: strict.map_anonymous(PAGE, share=True, reserve=False),
        lambda: strict.map_file(file, PAGE, reserve=False),
    ]
    for attempt in attempts:
        with pytest.raises(OSError) as caught:
            attempt()
        assert (caught.value.errno, caught.value.strerror) == (errno.EOPNOTSUPP, text)
    strict.map_file(file, PAGE, share=True, reserve=False).close()
    file.close()


@overcommits
@pytest.mark.parametrize(
    ("size", "number"),
    [(0, errno.EINVAL), (1 << 60, errno.ENOMEM), ((1 << 64) - 1, errno.ENOMEM), (1 << 70, errno.ENOMEM)],
)
def test_failed_mapping(host: LinuxHost, size: int, number: int) -> None:
    with pytest.raises(OSError) as caught:
        host.map_anonymous(size, reserve=False)
    assert (caught.value.errno, caught.value.strerror) == (number, os.strerror(number))


def test_failure_of_the_second_step_leaves_no_reservation(host: LinuxHost) -> None:
    file = host.create_memfd("test")
    file.close()
    with pytest.raises(OSError) as caught:
        host.map_file(file, 64 * MIB, page_size=PAGE)
    assert caught.value.errno == errno.EBADF


def test_error_names_the_call_in_a_note(host: LinuxHost) -> None:
    with pytest.raises(OSError) as caught:
        host.map_anonymous(1 << 60)
    assert str(caught.value) == "[Errno 12] Cannot allocate memory"
    assert caught.value.__notes__ == [f"mmap(0x0, {(1 << 60) + 2 * MIB:#x}, 0x0, 0x22, -0x1, 0x0)"]


# Views


def test_views_are_the_memory(host: LinuxHost) -> None:
    memory = host.map_anonymous(MIB)
    with memory.view(10, 5) as five, memory.view(12, 1) as one:
        assert (len(five), five.format, five.readonly) == (5, "B", False)
        five[:] = b"abcde"
        assert bytes(one) == b"c"
    with memory.view(MIB, 0) as nothing:
        assert len(nothing) == 0
    memory.close()


@pytest.mark.parametrize(("offset", "length"), [(-1, 1), (0, MIB + 1), (MIB, 1), (MIB + 1, 0), (0, -1), (1 << 64, 1)])
def test_ranges_outside_are_refused(host: LinuxHost, offset: int, length: int) -> None:
    memory = host.map_anonymous(MIB)
    for method in (memory.view, memory.populate, memory.discard):
        with pytest.raises(ValueError, match="is not within memory of 0x100000 bytes"):
            method(offset, length)
    memory.close()


def test_memory_in_use_is_not_unmapped(host: LinuxHost) -> None:
    memory = host.map_anonymous(MIB)
    part = memoryview(memory.view(0, 100)[10:])[5:]
    with pytest.raises(BufferError):
        memory.close()
    part[0] = 7
    other = memory.view(15, 1)
    part.release()
    with pytest.raises(BufferError):
        memory.close()
    assert other[0] == 7
    other.release()
    memory.close()
    memory.close()
    assert vma(memory.address) == {}
    for method in (memory.view, memory.populate, memory.discard):
        with pytest.raises(ValueError, match="closed"):
            method(0, 1)
    with pytest.raises(ValueError, match="closed"):
        memory.advise_dump(True)


# Advice and policy


def test_advice(host: LinuxHost) -> None:
    memory = host.map_anonymous(MIB)
    if os.path.exists("/sys/kernel/mm/ksm"):
        memory.advise_merge(True)
        assert "mg" in flags(memory)
        memory.advise_merge(False)
        assert "mg" not in flags(memory)
    memory.advise_dump(False)
    assert "dd" in flags(memory)
    memory.advise_dump(True)
    assert "dd" not in flags(memory)
    memory.close()


def numa_policy(memory: HostMemory) -> str:
    with open("/proc/self/numa_maps") as numa_maps:
        return next(line.split()[1] for line in numa_maps if line.startswith(f"{memory.address:x} "))


@pytest.mark.skipif(not os.path.exists("/proc/self/numa_maps"), reason="the kernel has no NUMA")
def test_bind(host: LinuxHost) -> None:
    node = host.nodes[0]
    memory = host.map_anonymous(MIB)
    try:
        memory.bind("bind", [node])
    except PermissionError:
        memory.close()
        pytest.skip("mbind is not permitted here")
    assert numa_policy(memory) == f"bind:{node}"
    memory.bind("interleave", [node])
    assert numa_policy(memory) == f"interleave:{node}"
    memory.bind("preferred", [node])
    assert numa_policy(memory) == f"prefer:{node}"
    memory.populate(0, MIB)
    memory.bind("default", [])
    assert numa_policy(memory) == "default"
    for absent in (host.nodes[-1] + 1, 64, 127, 1023):
        with pytest.raises(OSError) as caught:
            memory.bind("bind", [absent])
        assert caught.value.errno == errno.EINVAL
    memory.close()


# Populate and discard


class OldKernel:
    """madvise as before Linux 5.14, interrupted by a signal at first."""

    def __init__(self) -> None:
        self.answers = [errno.EINTR, errno.EINVAL]

    def __call__(self, address: int, length: int, advice: int) -> None:
        if advice in (libc.lib.MADV_POPULATE_READ, libc.lib.MADV_POPULATE_WRITE):
            number = self.answers.pop(0)
            raise OSError(number, os.strerror(number))
        libc.madvise(address, length, advice)


@pytest.fixture(params=["this kernel", "before 5.14"])
def kernel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "before 5.14":
        monkeypatch.setattr(linux_memory, "madvise", OldKernel())


@pytest.mark.usefixtures("kernel")
@pytest.mark.parametrize("share", [False, True])
def test_populate_allocates_and_changes_nothing(host: LinuxHost, share: bool) -> None:
    memory = host.map_anonymous(8 * MIB, share)
    libc.madvise(memory.address, memory.size, 15)  # MADV_NOHUGEPAGE, or whole huge pages come along
    with memory.view(MIB, 6) as view:
        view[:] = b"before"
    memory.populate(MIB, 3 * MIB)
    assert resident(memory) == 3 * MIB
    with memory.view(0, 8 * MIB) as view:
        assert bytes(view[MIB : MIB + 6]) == b"before"
        assert view.tobytes().count(0) == 8 * MIB - 6
    memory.close()


@pytest.mark.usefixtures("kernel")
@pytest.mark.parametrize("readonly", [False, True])
def test_populate_is_refused_where_access_would_kill(host: LinuxHost, readonly: bool) -> None:
    file = host.create_memfd("test")
    file.truncate(4 * PAGE)
    memory = host.map_file(file, 4 * PAGE, share=True, readonly=readonly)
    file.truncate(2 * PAGE)
    with pytest.raises(OSError) as caught:
        memory.populate(0, 4 * PAGE)
    assert (caught.value.errno, caught.value.strerror) == (errno.EFAULT, "Bad address")
    memory.close()
    file.close()


def test_populate_refuses_an_odd_start(host: LinuxHost) -> None:
    memory = host.map_anonymous(MIB)
    with pytest.raises(OSError) as caught:
        memory.populate(1, PAGE)
    assert caught.value.errno == errno.EINVAL
    memory.close()


@pytest.mark.parametrize("share", [False, True])
def test_discard_gives_pages_back(host: LinuxHost, share: bool) -> None:
    memory = host.map_anonymous(4 * MIB, share)
    memory.populate(0, 4 * MIB)
    with memory.view(0, 4 * MIB) as view:
        view[0] = view[2 * MIB] = 1
        memory.discard(0, 2 * MIB)
        assert (view[2 * MIB], resident(memory)) == (1, 2 * MIB)
        assert view[0] == 0
    memory.close()


def test_discard_of_a_file(host: LinuxHost) -> None:
    file = host.create_memfd("test")
    file.truncate(MIB)
    os.pwrite(file.fd, b"file", 0)
    private = host.map_file(file, MIB)
    shared = host.map_file(file, MIB, share=True)
    with private.view(0, 4) as mine, shared.view(0, 4) as ours:
        mine[:] = b"mine"
        assert (bytes(mine), bytes(ours)) == (b"mine", b"file")
        private.discard(0, MIB)
        assert bytes(mine) == b"file"
        shared.discard(0, MIB)
        assert (file.size, os.fstat(file.fd).st_blocks) == (MIB, 0)
        assert (bytes(mine), bytes(ours)) == (bytes(4), bytes(4))
    private.close()
    shared.close()
    file.close()
