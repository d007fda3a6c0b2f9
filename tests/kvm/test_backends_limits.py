"""Memory backends at the host's limits: what is refused leaves nothing behind, and the hint names what is missing."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ramslot.vm.errors import VMError
from ramslot.vm.host.linux_memory import LinuxMemory
from ramslot.vm.hostmem.thread_context import ThreadContext
from ramslot.vm.machine import VirtualMachine
from ramslot.vm.steps import run_now

from .kernel import HUGE, MIB, PAGE, Add, flags, mapping, numa, overcommits, page_nodes, policy, pool, resident, view

Mount = Callable[[str, str], Path]
OVERCOMMIT = "/proc/sys/vm/overcommit_memory"


def refused(add: Add, *arguments: object, **properties: object) -> VMError:
    with pytest.raises(VMError) as caught:
        add(*arguments, **properties)
    return caught.value


def left(vm: VirtualMachine) -> tuple[int, int]:
    return len(vm.objects.backends()), len(list(vm.topology.ram_blocks))


# NUMA nodes and CPUs


@pytest.mark.parametrize("kind", ["ram", "memfd", "file", "shm"])
def test_every_page_is_on_the_node_it_is_bound_to(add: Add, kind: str) -> None:
    backend = add(kind, policy="bind", host_nodes=[0], prealloc=True)
    assert set(page_nodes(backend)) == {0}
    assert any(re.fullmatch(r"N0=\d+", word) for word in numa(backend))


@pytest.mark.parametrize("kind", ["ram", "memfd", "file"])
def test_no_page_is_anywhere_until_it_is_touched(add: Add, kind: str) -> None:
    backend = add(kind, size=8 * PAGE)
    assert {-number for number in page_nodes(backend)} <= {errno.ENOENT, errno.EFAULT}
    view(backend)[3 * PAGE] = 1
    assert [number for number, node in enumerate(page_nodes(backend)) if node >= 0] == [3] or "hg" in flags(backend)


def test_the_policy_is_set_before_the_first_page_is_touched(add: Add, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, str]] = []
    populate = LinuxMemory.populate

    def watched(memory: LinuxMemory, start: int, length: int) -> None:
        with open("/proc/self/numa_maps") as maps:
            line = next(line for line in maps if line.startswith(f"{memory.address:x} "))
        with open("/proc/self/smaps") as smaps:
            fields = smaps.read().partition(f"{memory.address:x}-")[2]
        seen.append((line.split()[1], fields[fields.index("Rss:") :].split()[1]))
        populate(memory, start, length)

    monkeypatch.setattr(LinuxMemory, "populate", watched)
    assert policy(add("ram", policy="bind", host_nodes=[0], prealloc=True)) == "bind:0"
    assert seen[0] == ("bind:0", "0")


def test_a_node_that_is_absent_is_refused_before_a_page_is_touched(
    add: Add, vm: VirtualMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LinuxMemory, "populate", lambda *_arguments: pytest.fail("touched"))
    error = refused(add, "ram", policy="bind", host_nodes=[100], prealloc=True)
    assert str(error) == "cannot bind memory to host NUMA nodes: Invalid argument"
    assert error.hint is not None
    assert error.hint.startswith("node 100 is not there: this host has node 0")
    assert left(vm) == (0, 0)


def allowed_cpus(thread_id: int | str) -> str:
    with open(f"/proc/self/task/{thread_id}/status") as status:
        return next(line.split()[1] for line in status if line.startswith("Cpus_allowed_list:"))


def make_context(vm: VirtualMachine, **properties: object) -> ThreadContext:
    arguments = {"qom-type": "thread-context", "id": "tc"}
    made = run_now(vm.objects.add(arguments | {name.replace("_", "-"): value for name, value in properties.items()}))
    assert isinstance(made, ThreadContext)
    return made


def only(threads: set[str]) -> bool:
    """Whether these threads are left; a thread that has ended is seen for another moment."""
    deadline = time.monotonic() + 10
    while set(os.listdir("/proc/self/task")) != threads and time.monotonic() < deadline:
        time.sleep(0.001)
    return set(os.listdir("/proc/self/task")) == threads


ONE_CPU = sorted(os.sched_getaffinity(0))[-1]


def test_a_context_is_a_living_thread_on_its_cpus(vm: VirtualMachine) -> None:
    before = set(os.listdir("/proc/self/task"))
    context = make_context(vm, cpu_affinity=[ONE_CPU])
    assert set(os.listdir("/proc/self/task")) - before == {str(context.thread_id)}
    assert allowed_cpus(context.thread_id) == str(ONE_CPU)
    context.set("node-affinity", [0])
    assert context.get("cpu-affinity") == list(vm.host.node_cpus(0))
    run_now(vm.objects.delete("tc"))
    assert only(before)


@pytest.mark.parametrize("threads", [1, 3])
def test_pages_are_preallocated_on_the_contexts_cpus(
    add: Add, vm: VirtualMachine, monkeypatch: pytest.MonkeyPatch, threads: int
) -> None:
    seen: set[str] = set()
    populate = LinuxMemory.populate

    def watched(memory: LinuxMemory, start: int, length: int) -> None:
        seen.add(allowed_cpus(os.readlink("/proc/thread-self").rpartition("/")[2]))
        populate(memory, start, length)

    monkeypatch.setattr(LinuxMemory, "populate", watched)
    ours = os.sched_getaffinity(0)
    make_context(vm, cpu_affinity=[ONE_CPU])
    backend = add("ram", prealloc=True, prealloc_context="tc", prealloc_threads=threads)
    assert (seen, resident(backend)) == ({str(ONE_CPU)}, 6 * MIB)
    assert os.sched_getaffinity(0) == ours


def test_a_deleted_context_lives_as_long_as_a_backend_holds_it(add: Add, vm: VirtualMachine) -> None:
    before = set(os.listdir("/proc/self/task"))
    make_context(vm, cpu_affinity=[ONE_CPU])
    backend = add("ram", prealloc_context="tc")
    run_now(vm.objects.delete("tc"))
    assert backend.get("prealloc-context") == ""
    backend.set("prealloc", True)
    assert resident(backend) == 6 * MIB
    run_now(vm.objects.delete("m"))
    assert only(before)


def test_what_fails_on_a_contexts_thread_is_told(add: Add, vm: VirtualMachine, tmp_path: Path) -> None:
    make_context(vm)
    backend = add("file", share=True, prealloc_context="tc")
    os.truncate(tmp_path / "ram", MIB)
    with pytest.raises(VMError, match=r"^qemu_prealloc_mem: preallocating memory failed: Bad address$"):
        backend.set("prealloc", True)


# Huge pages


@pytest.mark.parametrize("share", [False, True])
def test_huge_pages_of_hugetlbfs(add: Add, vm: VirtualMachine, huge_pages: None, mount: Mount, share: bool) -> None:
    folder = mount("hugetlbfs", "pagesize=2M")
    backend = add("file", 4 * HUGE, mem_path=str(folder), share=share, prealloc=True)
    fields = mapping(backend)
    assert fields["KernelPageSize"] == "2048 kB"
    assert fields["Shared_Hugetlb" if share else "Private_Hugetlb"] == "8192 kB" or share
    assert "ht" in flags(backend)
    assert "kernelpagesize_kB=2048" in numa(backend)
    assert pool("free") == pool("nr") - 4
    run_now(vm.objects.delete("m"))
    assert pool("free") == pool("nr")
    assert list(folder.iterdir()) == []


def test_a_machine_in_hugetlbfs(huge_pages: None, mount: Mount) -> None:
    folder = mount("hugetlbfs", "pagesize=2M")
    options = ["-M", "pc", "-m", "8M", "-mem-path", str(folder), "-mem-prealloc", "-c", "info ramblock"]
    done = ramslot(*options)
    assert re.search(r"pc.ram +2 MiB .* 0x0000000000800000 .*$", done.stdout, re.MULTILINE), done
    done = ramslot(*options[:3], "64M", *options[4:])
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("ramslot: unable to map backing store for guest RAM: Cannot allocate memory\nhint: ")
    assert pool("free") == pool("nr")


def ramslot(*options: str, limit: str = "") -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "ramslot", *options]
    if limit:
        command = ["sh", "-c", f'{limit}; exec "$@"', "sh", *command]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)


def test_missing_huge_pages_are_counted(add: Add, vm: VirtualMachine, huge_pages: None) -> None:
    error = refused(add, "memfd", 20 * HUGE, hugetlb=True, hugetlbsize=HUGE)
    assert str(error) == "unable to map backing store for guest RAM: Cannot allocate memory"
    assert error.hint == (
        "12 more huge pages of 2 MiB are needed: 20, and 8 can be had; reserve=off maps it all the same"
    )
    assert left(vm) == (0, 0)
    held = add("memfd", 3 * HUGE, hugetlb=True, hugetlbsize=HUGE)
    hint = refused(
        lambda kind, **more: add(kind, 6 * HUGE, id="n", **more), "memfd", hugetlb=True, hugetlbsize=HUGE
    ).hint
    assert hint == "1 more huge pages of 2 MiB are needed: 6, and 5 can be had; reserve=off maps it all the same"
    assert (held.get("size"), pool("resv")) == (3 * HUGE, 3)
    run_now(vm.objects.delete("m"))
    assert (pool("free"), pool("resv")) == (pool("nr"), 0)


def test_populating_without_huge_pages_is_an_error_and_not_a_signal(
    add: Add, vm: VirtualMachine, huge_pages: None
) -> None:
    backend = add("memfd", 20 * HUGE, hugetlb=True, hugetlbsize=HUGE, reserve=False)
    assert "nr" in flags(backend)
    backend.reserve = True  # QEMU refuses to preallocate what is not reserved; the kernel shall have its say
    with pytest.raises(VMError, match=r"^qemu_prealloc_mem: preallocating memory failed: Bad address$") as caught:
        backend.set("prealloc", True)
    assert caught.value.hint is not None
    assert "more huge pages of 2 MiB are needed" in caught.value.hint
    assert backend.get("prealloc") is False
    run_now(vm.objects.delete("m"))
    assert (pool("free"), pool("resv")) == (pool("nr"), 0)


def test_only_whole_huge_pages_can_be_bound(add: Add, vm: VirtualMachine, huge_pages: None, mount: Mount) -> None:
    folder = mount("hugetlbfs", "pagesize=2M")
    error = refused(add, "file", 3 * MIB, mem_path=str(folder), policy="bind", host_nodes=[0])
    assert str(error) == "backend 'memory-backend-file' memory size must be multiple of 2 MiB"
    assert left(vm) == (0, 0)


@pytest.mark.parametrize(
    ("properties", "text", "hint"),
    [
        (
            {"hugetlb": True, "hugetlbsize": 16 * MIB},
            "failed to create memfd with flags 0x60000007: No such device",
            r"this host has (no huge pages|huge pages of .*MiB.*)",
        ),
        (
            {"hugetlb": True, "hugetlbsize": HUGE, "size": 3 * MIB},
            f"failed to resize memfd to {3 * MIB}: Invalid argument",
            r"3 MiB is no multiple of the 2 MiB pages: size=2M or 4M",
        ),
    ],
)
def test_huge_pages_of_another_size(add: Add, properties: dict[str, object], text: str, hint: str) -> None:
    error = refused(add, "memfd", **properties)
    assert str(error) == text
    assert re.fullmatch(hint, error.hint or "")


# Files


def test_a_full_file_system(add: Add, vm: VirtualMachine, mount: Mount) -> None:
    folder = mount("tmpfs", "size=8M")
    error = refused(add, "file", 16 * MIB, mem_path=str(folder / "ram"), share=True, prealloc=True)
    assert str(error) == "qemu_prealloc_mem: preallocating memory failed: Bad address"
    assert error.hint == f"the file system of {folder / 'ram'} has 0 B left, 8 MiB less than is needed"
    assert list(folder.iterdir()) == []
    assert os.statvfs(folder).f_bavail * PAGE == 8 * MIB
    assert left(vm) == (0, 0)
    assert resident(add("file", 8 * MIB, mem_path=str(folder), share=True, prealloc=True)) == 8 * MIB


def test_a_file_that_was_there_stays_after_a_failure(add: Add, mount: Mount) -> None:
    file = mount("tmpfs", "size=8M") / "ram"
    file.touch()
    refused(add, "file", 16 * MIB, mem_path=str(file), share=True, prealloc=True)
    assert file.exists()


def test_a_file_on_a_read_only_file_system(add: Add, mount: Mount) -> None:
    folder = mount("tmpfs", "size=8M")
    (folder / "ram").write_bytes(b"x" * 6 * MIB)
    subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
    error = refused(add, "file", mem_path=str(folder / "ram"))
    assert str(error) == f"can't open backing store {folder / 'ram'} for guest RAM: Read-only file system"
    assert error.hint == "readonly=on,rom=off makes writable RAM of a file that can only be read"
    backend = add("file", mem_path=str(folder / "ram"), readonly=True, rom="off")
    view(backend)[:2] = b"ab"
    assert bytes(view(backend)[:3]) == b"abx"
    assert (folder / "ram").read_bytes()[:3] == b"xxx"


def test_an_offset_into_a_file(add: Add, vm: VirtualMachine, tmp_path: Path) -> None:
    (tmp_path / "ram").write_bytes(b"a" * 4 * MIB + b"b" * 4 * MIB)
    backend = add("file", 4 * MIB, offset=4 * MIB, share=True)
    assert bytes(view(backend)[:1]) == b"b"
    view(backend)[:1] = b"c"
    assert (tmp_path / "ram").read_bytes()[4 * MIB - 1 : 4 * MIB + 2] == b"acb"
    run_now(vm.objects.delete("m"))
    for size, offset, text in (
        (4 * MIB, 4 * MIB + PAGE, TOO_SMALL.format(4 * MIB + PAGE)),
        (4 * MIB, 8 * MIB, TOO_SMALL.format(8 * MIB)),
        (4 * MIB, 100, "offset 0x64 must be multiples of page size 0x1000"),
    ):
        assert str(refused(add, "file", size, offset=offset)) == text
    (tmp_path / "ram").unlink()
    for offset in (1 << 63, (1 << 64) - PAGE, (1 << 63) - PAGE):
        assert str(refused(add, "file", offset=offset)).startswith("unable to map backing store for guest RAM: ")
        assert list(tmp_path.iterdir()) == []
    add("file", 4 * MIB, offset=MIB)
    assert (tmp_path / "ram").stat().st_size == 5 * MIB


TOO_SMALL = "m backing store size 0x800000 is too small for 'size' option 0x400000 plus 'offset' option {:#x}"


@pytest.mark.parametrize(
    ("properties", "access", "rom"),
    [
        ({}, "rw-p", "off"),
        ({"readonly": True}, "r--p", "on"),
        ({"readonly": True, "rom": "on", "share": True}, "r--s", "on"),
        ({"readonly": True, "rom": "auto", "share": True}, "r--s", "on"),
        ({"readonly": True, "rom": "off"}, "rw-p", "off"),
    ],
)
def test_rom(add: Add, tmp_path: Path, properties: dict[str, object], access: str, rom: str) -> None:
    (tmp_path / "ram").write_bytes(bytes(6 * MIB))
    backend = add("file", **properties)
    assert (mapping(backend)["access"], backend.get("rom")) == (access, rom)
    assert backend.region is not None
    assert backend.region.readonly == (rom == "on")


@pytest.mark.parametrize(
    ("properties", "text"),
    [
        ({"rom": "on"}, "property 'rom' = 'on' is not supported with 'readonly' = 'off'"),
        (
            {"rom": "off", "readonly": True, "share": True},
            "property 'rom' = 'off' is incompatible with 'readonly' = 'on' and 'share' = 'on'",
        ),
        ({"rom": "maybe"}, "Parameter 'rom' does not accept value 'maybe'"),
    ],
)
def test_rom_refused(add: Add, tmp_path: Path, properties: dict[str, object], text: str) -> None:
    assert str(refused(add, "file", **properties)) == text
    assert list(tmp_path.iterdir()) == []


# Shared memory


def test_shared_memory_has_no_name(add: Add, vm: VirtualMachine) -> None:
    before = sorted(os.listdir("/dev/shm"))
    found = mapping(add("shm"))
    assert re.fullmatch(r"/dev/shm/ramslot-shm\.\w+ \(deleted\)", found["name"])
    assert sorted(os.listdir("/dev/shm")) == before
    run_now(vm.objects.delete("m"))
    assert str(refused(add, "shm", share=False)) == "can't create shm backend with `share=off`"
    assert (
        str(refused(add, "shm", 1000001))
        == "m backing store size 0xf4241 is too small for 'size' option 0xf5000 plus 'offset' option 0x0"
    )
    assert str(refused(add, "shm", 1 << 63)) == f"failed to resize POSIX shared memory to {1 << 63}: Invalid argument"
    assert str(refused(add, "shm", 0)) == "property 'size' of memory-backend-shm doesn't take value '0'"
    assert left(vm) == (0, 0)


# Limits of the process and of the host


def test_a_limit_on_address_space_is_an_error_and_the_process_lives() -> None:
    command = "object_add memory-backend-ram,id=m,size=4G"
    done = ramslot("-M", "none", "--keep-going", "-c", command, "-c", "info memdev", limit="ulimit -v 2000000")
    told = (
        f"ramslot: -c '{command}': Error: cannot set up guest memory 'm': Cannot allocate memory\nhint: the limit on "
    )
    assert done.stderr.startswith(told)
    assert (done.returncode, done.stdout) == (1, "\n")


def test_hint_about_the_limit_on_address_space(add: Add, monkeypatch: pytest.MonkeyPatch, vm: VirtualMachine) -> None:
    import resource

    before = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * PAGE
    resource.setrlimit(resource.RLIMIT_AS, (used + (512 << 20), before[1]))
    try:
        error = refused(add, "ram", 2 << 30)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
    assert str(error) == "cannot set up guest memory 'm': Cannot allocate memory"
    assert re.fullmatch(
        r"the limit on the process's address space \(ulimit -v\) has 5\d\d MiB left, 1.5 GiB less than is needed",
        error.hint or "",
    )
    assert left(vm) == (0, 0)


@overcommits
@pytest.mark.parametrize(
    ("size", "hint"),
    [
        (1 << 46, "reserve=off maps memory that the host need not have"),
        (1 << 50, "a process has 128 TiB of addresses, and 1 PiB are asked for"),
    ],
)
def test_hint_about_reservation(add: Add, size: int, hint: str) -> None:
    error = refused(add, "ram", size)
    assert (str(error), error.hint) == ("cannot set up guest memory 'm': Cannot allocate memory", hint)


@pytest.mark.skipif(
    not os.access(OVERCOMMIT, os.W_OK) or os.geteuid() != 0, reason="vm.overcommit_memory is not ours to set"
)
def test_a_host_that_counts_every_page(add: Add, capsys: pytest.CaptureFixture[str]) -> None:
    before = Path(OVERCOMMIT).read_text()
    try:
        Path(OVERCOMMIT).write_text("2")
    except OSError as error:
        pytest.skip(f"vm.overcommit_memory cannot be set: {error}")
    try:
        unreserved = refused(add, "ram", reserve=False)
        huge = refused(add, "ram", 1 << 45)
    finally:
        Path(OVERCOMMIT).write_text(before)
    assert str(unreserved) == "cannot set up guest memory 'm'"
    assert capsys.readouterr().err == (
        'Skipping reservation of swap space is not supported: "/proc/sys/vm/overcommit_memory" is "2"\n'
    )
    assert unreserved.hint == "vm.overcommit_memory=2 counts every page; with 0 or 1, reserve=off is possible"
    assert (huge.hint or "").startswith("the host's commit limit (vm.overcommit_memory=2) has ")


# Ten thousand objects


def test_ten_thousand_objects_leave_nothing(vm: VirtualMachine, tmp_path: Path) -> None:
    kinds: list[dict[str, object]] = [
        {"qom-type": "memory-backend-ram"}, {"qom-type": "memory-backend-ram", "share": True, "reserve": False},
        {"qom-type": "memory-backend-memfd"}, {"qom-type": "memory-backend-shm"},
        {"qom-type": "memory-backend-file", "mem-path": str(tmp_path / "ram")},
        {"qom-type": "memory-backend-file", "mem-path": str(tmp_path), "share": True, "prealloc": True},
        {"qom-type": "memory-backend-ram", "prealloc": True, "policy": "preferred", "host-nodes": [0]},
        {"qom-type": "memory-backend-ram", "prealloc-context": "tc"},
        {"qom-type": "memory-backend-ram", "policy": "bind"}, {"qom-type": "thread-context"},
    ]  # fmt: skip
    make_context(vm)

    def use() -> tuple[int, int, int, int]:
        with open("/proc/self/maps") as maps:
            mappings = len(maps.readlines())
        with open("/proc/self/statm") as statm:
            memory = int(statm.read().split()[1]) * PAGE
        return mappings, len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task")), memory

    def round_(number: int) -> None:
        arguments = kinds[number % len(kinds)] | {"id": f"m{number % 7}"}
        if arguments["qom-type"] != "thread-context":
            arguments["size"] = 16 * PAGE
        try:
            run_now(vm.objects.add(arguments))
        except VMError as error:
            assert str(error) == "host-nodes must be set for policy bind"
        else:
            run_now(vm.objects.delete(f"m{number % 7}"))

    first = set(os.listdir("/proc/self/task"))
    for number in range(1000):
        round_(number)
    assert only(first)
    before = use()
    for number in range(10_000):
        round_(number)
    assert only(first)
    mappings, descriptors, threads, memory = use()
    assert (mappings - before[0] <= 2, descriptors, threads) == (True, *before[1:3])
    assert memory - before[3] < 2 * MIB
    assert left(vm) == (0, 0)
