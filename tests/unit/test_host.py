"""The real host: what the kernel says of our mappings (/proc/self/smaps, numa_maps), not what our fields say."""

from __future__ import annotations

import errno
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ramslot.vm.host import HostMemory, generate, libc, linux_memory
from ramslot.vm.host.kvm import KVM, KVMError
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


# The generated declarations


def test_generated_module_is_fresh(tmp_path: Path) -> None:
    with open(generate.generate(str(tmp_path))) as fresh, open(os.path.join(generate.HERE, "_libc.py")) as committed:
        assert committed.read() == fresh.read()


HEADERS = ["fcntl.h", "linux/kvm.h", "linux/magic.h", "linux/memfd.h", "linux/mempolicy.h", "sys/ioctl.h"]
HEADERS += ["sys/mman.h", "sys/syscall.h", "sys/uio.h", "sys/vfs.h", "unistd.h"]

COMPILE = """
import json, re, sys
from cffi import FFI
declarations, headers, directory = sys.argv[1], sys.argv[2].split(), sys.argv[3]
ffi = FFI()
open_ended = re.sub(r"^#define (\\w+) .*$", r"#define \\1 ...", declarations, flags=re.M)
ffi.cdef(re.sub(r"^};$", "    ...;\\n};", open_ended, flags=re.M))
source = "".join(f"#include <{header}>\\n" for header in headers)
# (The C library hides this name behind underscores.)
ffi.set_source("checked", source + "typedef __fsid_t fsid_t;\\n", extra_compile_args=["-Werror=int-conversion",
    "-Werror=incompatible-pointer-types", "-Werror=implicit-function-declaration"])
ffi.compile(tmpdir=directory)
sys.path.insert(0, directory)
from checked import ffi, lib
structs = {name: ffi.typeof("struct " + name) for name in ffi.list_types()[1]}
print(json.dumps({
    "constants": {name: getattr(lib, name) for name in re.findall(r"^#define (\\w+)", declarations, flags=re.M)},
    "numbers": {"mbind": getattr(lib, "SYS_mbind", None)},
    "layouts": {name: [ffi.sizeof(struct), {field: (at.offset, ffi.sizeof(at.type)) for field, at in struct.fields}]
                for name, struct in structs.items() if not name.startswith("$")},
}))
"""


def compiled(tmp_path: Path) -> dict[str, dict[str, object]]:
    """Compile the declarations in API mode against the real headers; skip where that is impossible."""
    trial = "".join(f"#include <{header}>\n" for header in HEADERS)
    try:
        subprocess.run(["cc", "-E", "-x", "c", "-"], input=trial, text=True, capture_output=True, check=True)
    except FileNotFoundError:
        pytest.skip("no C compiler")
    except subprocess.CalledProcessError as error:
        pytest.skip(f"headers are missing: {error.stderr.splitlines()[0]}")
    if subprocess.run([sys.executable, "-c", "import setuptools, cffi.setuptools_ext"], capture_output=True).returncode:
        pytest.skip("cffi compiles only with setuptools")
    everywhere, of_x86, newer = re.split(r"/\* <asm/kvm.h>, .*|/\* .* since Linux 6.8 \*/", generate.declarations())
    declarations = everywhere + "\n#define SYS_mbind 0\n#define SYS_move_pages 0\n"
    if os.uname().machine == "x86_64":
        declarations += of_x86
    if "KVM_SET_USER_MEMORY_REGION2" in Path("/usr/include/linux/kvm.h").read_text():
        declarations += newer
    command = [sys.executable, "-W", "ignore", "-c", COMPILE, declarations, " ".join(HEADERS), str(tmp_path)]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    result: dict[str, dict[str, object]] = json.loads(run.stdout.splitlines()[-1])
    return result


def test_declarations_equal_the_kernel_headers(tmp_path: Path) -> None:
    real = compiled(tmp_path)
    assert libc.MBIND_NUMBERS[os.uname().machine] == real["constants"].pop("SYS_mbind")
    assert libc.MOVE_PAGES_NUMBERS[os.uname().machine] == real["constants"].pop("SYS_move_pages")
    assert {name: getattr(libc.lib, name) for name in real["constants"]} == real["constants"]
    layouts = {}
    for name in real["layouts"]:
        struct = libc.ffi.typeof(f"struct {name}")
        fields = {field: [at.offset, libc.ffi.sizeof(at.type)] for field, at in struct.fields}
        layouts[name] = [libc.ffi.sizeof(struct), fields]
    assert layouts == real["layouts"]
    assert "kvm_dirty_log" in layouts


def test_the_newer_memory_region_begins_with_the_older_one() -> None:
    older, newer = (dict(libc.ffi.typeof(f"struct kvm_userspace_memory_region{n}").fields) for n in ("", "2"))
    assert {name: at.offset for name, at in older.items()} == {name: newer[name].offset for name in older}


def test_import_stays_cheap() -> None:
    def loaded_by(module: str) -> set[str]:
        check = f"import sys; before = set(sys.modules); import {module}; print(*set(sys.modules) - before)"
        run = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
        return set(run.stdout.split())

    assert "_cffi_backend" not in loaded_by("ramslot.vm.host.linux")
    loaded = loaded_by("ramslot.vm.host.linux_mapping")
    heavy = {"typing", "dataclasses", "enum", "pathlib", "contextlib", "threading", "cffi", "pycparser", "json"}
    assert "_cffi_backend" in loaded
    assert not heavy & loaded
    assert "ramslot.vm.host.kvm" not in loaded


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


# Files


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


# Facts


def test_facts_of_this_host(host: LinuxHost) -> None:
    assert host.page_size == PAGE
    assert host.total_memory > 64 * MIB
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
