"""Memory backends: defaults, checks, what may be set when, and that every failure leaves nothing behind."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ramslot.schema import contract
from ramslot.schema.visiting import qdict_order
from ramslot.vm.config import Config
from ramslot.vm.errors import VMError
from ramslot.vm.host.linux import LinuxHost
from ramslot.vm.host.linux_memory import LinuxMemory
from ramslot.vm.hostmem.backend import MemoryBackend
from ramslot.vm.machine import VirtualMachine
from ramslot.vm.objects import OBJECT_TYPES, SETTING_ORDER, object_class
from ramslot.vm.releases import NEWEST, find_release
from ramslot.vm.steps import Cancellation, run_now

RELEASE = find_release(NEWEST)
CONTRACT = contract(RELEASE.number)

MIB = 1 << 20
PAGE = os.sysconf("SC_PAGE_SIZE")

COMMON: dict[str, object] = {
    "type": None,
    "size": MIB,
    "share": False,
    "reserve": True,
    "merge": True,
    "dump": True,
    "prealloc": False,
    "prealloc-threads": 1,
    "prealloc-context": "",
    "policy": "default",
    "host-nodes": [],
    "x-use-canonical-path-for-ramblock-id": False,
}
DEFAULTS: dict[str, dict[str, object]] = {
    "ram": {},
    "memfd": {"share": True, "hugetlb": False, "hugetlbsize": 0, "seal": True},
    "file": {
        "mem-path": None,
        "align": 0,
        "offset": 0,
        "readonly": False,
        "rom": "off",
        "pmem": False,
        "discard-data": False,
    },
    "shm": {"share": True},
}


def footprint() -> tuple[int, list[str]]:
    """Mappings that are kept out of forks, which guest memory is, and open files."""
    with open("/proc/self/smaps") as smaps:
        mappings = sum(line.startswith("VmFlags:") and " dc " in line for line in smaps)
    return mappings, sorted(os.listdir("/proc/self/fd"))


@pytest.fixture
def vm() -> Iterator[VirtualMachine]:
    config = Config()
    config.qemu = NEWEST
    config.machine_type = "none"
    before = footprint()
    vm = VirtualMachine(config)
    yield vm
    vm.close()
    assert footprint() == before


def arguments(kind: str, path: Path, **properties: object) -> dict[str, Any]:
    given: dict[str, Any] = {"qom-type": f"memory-backend-{kind}", "id": "m", "size": MIB}
    if kind == "file":
        given["mem-path"] = str(path / "ram")
    return given | {name.replace("_", "-"): value for name, value in properties.items()}


def add(vm: VirtualMachine, kind: str, path: Path, **properties: object) -> MemoryBackend:
    made = run_now(vm.objects.add(arguments(kind, path, **properties)))
    assert isinstance(made, MemoryBackend)
    return made


@pytest.mark.parametrize("kind", DEFAULTS)
def test_defaults(vm: VirtualMachine, tmp_path: Path, kind: str) -> None:
    backend = add(vm, kind, tmp_path)
    expected = COMMON | DEFAULTS[kind] | {"type": f"memory-backend-{kind}"}
    if kind == "file":
        expected["mem-path"] = str(tmp_path / "ram")
    names = {name for name, listed in backend.list_properties() if not listed.startswith("child<")}
    assert {name: backend.get(name) for name in names} == expected


def test_the_kinds_there_are() -> None:
    assert {object_class(name, RELEASE).type_name for name in OBJECT_TYPES} == set(OBJECT_TYPES)
    assert set(DEFAULTS) == {name.removeprefix("memory-backend-") for name in OBJECT_TYPES if "memory" in name}
    with pytest.raises(VMError, match=r"^Parameter 'qom-type' does not accept value 'memory-backend'$"):
        object_class("memory-backend", RELEASE)


def test_properties_are_set_in_the_order_of_qemus_table() -> None:
    # Of the others all is looked at together.
    kinds = [type_name for type_name in OBJECT_TYPES if type_name not in ("secret", "iothread")]
    names = {member.name for kind in kinds for member in CONTRACT.properties("object-add", kind)} - {"qom-type", "id"}
    assert list(SETTING_ORDER) == qdict_order(sorted(names))


NOT_NOW = "cannot change property value"


@pytest.mark.parametrize(
    ("kind", "name", "value", "text"),
    [
        ("ram", "size", 2 * MIB, "cannot change property size of memory-backend-ram "),
        ("ram", "share", True, NOT_NOW),
        ("ram", "reserve", False, NOT_NOW),
        ("memfd", "hugetlbsize", 2 * MIB, NOT_NOW),
        ("file", "mem-path", "/x", "cannot change property 'mem-path' of memory-backend-file"),
        ("file", "align", 4096, "cannot change property 'align' of memory-backend-file"),
        ("file", "readonly", True, "cannot change property 'readonly' of memory-backend-file."),
        ("file", "pmem", True, "cannot change property 'pmem' of memory-backend-file."),
        ("ram", "prealloc-threads", 0, "property 'prealloc-threads' of memory-backend-ram doesn't take value '0'"),
        ("ram", "policy", "strict", "Parameter 'policy' does not accept value 'strict'"),
        ("ram", "host-nodes", 0, "Invalid parameter type for 'host-nodes', expected: array"),
        ("ram", "host-nodes", [128], "Invalid host-nodes value: 128"),
        ("ram", "merge", 1, "Invalid parameter type for 'merge', expected: boolean"),
    ],
)
def test_what_cannot_be_set_on_memory_that_exists(
    vm: VirtualMachine, tmp_path: Path, kind: str, name: str, value: object, text: str
) -> None:
    backend = add(vm, kind, tmp_path)
    before = backend.get(name)
    with pytest.raises(VMError) as caught:
        backend.set(name, value)
    assert (str(caught.value), backend.get(name)) == (text, before)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("merge", False),
        ("dump", False),
        ("prealloc", True),
        ("prealloc-threads", 8),
        ("policy", "bind"),
        ("host-nodes", [0, 3]),
        ("x-use-canonical-path-for-ramblock-id", True),
    ],
)
def test_what_can_be_set_on_memory_that_exists(vm: VirtualMachine, tmp_path: Path, name: str, value: object) -> None:
    backend = add(vm, "ram", tmp_path)
    backend.set(name, value)
    assert backend.get(name) == value


def test_preallocation_cannot_be_taken_back(vm: VirtualMachine, tmp_path: Path) -> None:
    backend = add(vm, "ram", tmp_path, prealloc=True)
    backend.set("prealloc", False)
    assert backend.get("prealloc") is True


@pytest.mark.parametrize(
    ("kind", "properties", "text"),
    [
        ("ram", {"size": 0}, "property 'size' of memory-backend-ram doesn't take value '0'"),
        ("ram", {"size": 1 << 50}, "cannot set up guest memory 'm': Cannot allocate memory"),
        ("ram", {"size": (1 << 64) - 1}, "cannot set up guest memory 'm': Cannot allocate memory"),
        ("ram", {"prealloc": True, "reserve": False}, "'prealloc=on' and 'reserve=off' are incompatible"),
        ("ram", {"policy": "bind"}, "host-nodes must be set for policy bind"),
        (
            "ram",
            {"host_nodes": [0]},
            "host-nodes must be empty for policy default, or you should explicitly specify a policy other than default",
        ),
        (
            "ram",
            {"policy": "bind", "host_nodes": [127]},
            "cannot bind memory to host NUMA nodes: Invalid argument",
        ),
        ("ram", {"id": "1m"}, "Parameter 'id' expects an identifier"),
        ("ram", {"id": "type"}, "attempt to add duplicate property 'type' to object (type 'container')"),
        (
            "memfd",
            {"size": 1_000_001},
            "m backing store size 0xf4241 is too small for 'size' option 0xf5000 plus 'offset' option 0x0",
        ),
        ("memfd", {"size": 1 << 63}, "failed to resize memfd to 9223372036854775808: Invalid argument"),
        ("memfd", {"hugetlbsize": 0}, "Property 'memory-backend-memfd.hugetlbsize' doesn't take value '0'"),
        (
            "memfd",
            {"hugetlb": True, "hugetlbsize": MIB},
            "failed to create memfd with flags 0x50000007: No such device",
        ),
        ("memfd", {"hugetlb": True, "hugetlbsize": 3000}, "Hugepage size must be a power of 2"),
        (
            "file",
            {"mem_path": "/nosuch/ram"},
            "can't open backing store /nosuch/ram for guest RAM: No such file or directory",
        ),
        ("file", {"align": 3000}, "alignment 0xbb8 must be multiples of page size 0x1000"),
        ("file", {"align": 3 * 4096}, "alignment 0x3000 must be a power of two"),
        ("nosuch", {}, "Parameter 'qom-type' does not accept value 'memory-backend-nosuch'"),
    ],
)
def test_refusals_leave_nothing(
    vm: VirtualMachine, tmp_path: Path, kind: str, properties: dict[str, Any], text: str
) -> None:
    before = footprint()
    with pytest.raises(VMError) as caught:
        add(vm, kind, tmp_path, **properties)
    assert str(caught.value) == text
    assert footprint() == before
    assert (vm.objects.backends(), list(vm.topology.ram_blocks), list(tmp_path.iterdir())) == ([], [], [])
    assert add(vm, "ram", tmp_path).length == MIB, "the next one is well"


def test_a_file_that_is_too_small_stays_as_it_is(vm: VirtualMachine, tmp_path: Path) -> None:
    (tmp_path / "ram").write_bytes(b"x" * 65536)
    with pytest.raises(
        VMError,
        match=r"^m backing store size 0x10000 is too small for 'size' option 0x100000 plus 'offset' option 0x0$",
    ):
        add(vm, "file", tmp_path)
    assert (tmp_path / "ram").read_bytes() == b"x" * 65536


@pytest.mark.parametrize(
    ("call", "given"),
    [
        ("bind", {"policy": "bind", "host_nodes": [0]}),
        ("populate", {"prealloc": True}),
        ("populate", {"prealloc": True, "prealloc_threads": 4, "size": 600 * MIB}),
    ],
)
@pytest.mark.parametrize("kind", DEFAULTS)
def test_a_host_that_fails_half_way_leaves_nothing(
    vm: VirtualMachine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    call: str,
    given: dict[str, Any],
) -> None:
    def fail(*_arguments: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    before = footprint()
    monkeypatch.setattr(LinuxMemory, call, fail)
    with pytest.raises(VMError, match=r"Input/output error$"):
        add(vm, kind, tmp_path, **given)
    assert footprint() == before
    assert (vm.objects.backends(), list(vm.topology.ram_blocks)) == ([], [])


def test_a_kernel_without_ksm_is_no_error(vm: VirtualMachine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: object) -> None:
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(LinuxMemory, "advise_merge", fail)
    backend = add(vm, "ram", tmp_path)
    backend.set("merge", False)
    assert backend.get("merge") is False


@pytest.mark.parametrize("threads", [1, 3])
def test_preallocation_is_done_in_portions_by_threads(
    vm: VirtualMachine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threads: int
) -> None:
    portions: list[tuple[int, int]] = []
    monkeypatch.setattr(LinuxMemory, "populate", lambda _memory, start, length: portions.append((start, length)))
    monkeypatch.setattr("ramslot.vm.hostmem.prealloc.PORTION", MIB)
    add(vm, "ram", tmp_path, size=4 * MIB + PAGE, prealloc=True, prealloc_threads=threads)
    assert sorted(portions) == [(number * MIB, MIB) for number in range(4)] + [(4 * MIB, PAGE)]


def test_cancelled_preallocation_leaves_nothing(
    vm: VirtualMachine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, cancellation = footprint(), Cancellation()
    populated: list[int] = []

    def populate(_memory: object, start: int, _length: int) -> None:
        populated.append(start)
        cancellation.requested = True

    monkeypatch.setattr(LinuxMemory, "populate", populate)
    monkeypatch.setattr("ramslot.vm.hostmem.prealloc.PORTION", MIB)
    task = vm.objects.add(arguments("ram", tmp_path, size=64 * MIB, prealloc=True))
    step = next(task)
    with pytest.raises(VMError, match=r"^attempt to add duplicate property 'm' to object"):
        add(vm, "ram", tmp_path)
    with pytest.raises(VMError, match=r"^Operation cancelled$") as cancelled:
        step(cancellation)
    with pytest.raises(VMError, match=r"^Operation cancelled$"):
        task.throw(cancelled.value)
    assert populated == [0]
    assert footprint() == before
    assert add(vm, "ram", tmp_path).in_use is False


def test_a_task_that_is_given_up_leaves_nothing(vm: VirtualMachine, tmp_path: Path) -> None:
    before = footprint()
    task = vm.objects.add(arguments("ram", tmp_path, prealloc=True))
    next(task)
    assert footprint() != before
    task.close()
    assert footprint() == before
    assert vm.objects.backends() == []


@pytest.mark.parametrize("kind", DEFAULTS)
def test_a_block_lives_as_long_as_its_backend(vm: VirtualMachine, tmp_path: Path, kind: str) -> None:
    before = footprint()
    backend = add(vm, kind, tmp_path, size=5 * PAGE)
    (block,) = vm.topology.ram_blocks
    assert (block.name, block.region_name, block.used_length) == ("", "m", 5 * PAGE)
    assert backend.region is not None
    assert (backend.region.size, backend.region.ram_block) == (5 * PAGE, block)
    run_now(vm.objects.delete("m"))
    backend.release()
    assert footprint() == before
    assert list(vm.topology.ram_blocks) == []


def test_an_odd_size_is_kept_and_its_block_rounded_up(vm: VirtualMachine, tmp_path: Path) -> None:
    backend = add(vm, "ram", tmp_path, size=1_000_001)
    assert (backend.get("size"), backend.length) == (1_000_001, 0xF5000)
    assert [block.max_length for block in vm.topology.ram_blocks] == [0xF5000]


def test_a_read_only_file_is_a_rom(vm: VirtualMachine, tmp_path: Path) -> None:
    (tmp_path / "ram").write_bytes(bytes(1 << 21))
    backend = add(vm, "file", tmp_path, readonly=True, share=True)
    assert backend.region is not None
    assert backend.region.type_text == "rom"
    assert [block.readonly for block in vm.topology.ram_blocks] == [True]


def test_canonical_names(vm: VirtualMachine, tmp_path: Path) -> None:
    add(vm, "ram", tmp_path, x_use_canonical_path_for_ramblock_id=True)
    assert [block.region_name for block in vm.topology.ram_blocks] == ["/objects/m"]


def test_defaults_of_the_machine_apply() -> None:
    config = Config()
    config.qemu = NEWEST
    config.machine_type, config.mem_prealloc = "none", True
    config.machine_options = {"mem-merge": "off", "dump-guest-core": "off"}
    config.objects = [{"qom-type": "memory-backend-ram", "id": "m", "size": MIB}]
    vm = VirtualMachine(config)
    (backend,) = vm.objects.backends()
    assert [backend.get(name) for name in ("merge", "dump", "prealloc")] == [False, False, True]
    vm.close()


def test_no_huge_pages_at_all(tmp_path: Path) -> None:
    """A host whose kernel has none says so as QEMU does."""
    (tmp_path / "meminfo").write_text("MemTotal: 1 kB\n")
    config = Config()
    config.qemu = NEWEST
    config.machine_type = "none"
    vm = VirtualMachine(config, LinuxHost(proc=str(tmp_path)))
    with pytest.raises(VMError, match=r"^failed to create memfd with flags 0x7: No such device$"):
        add(vm, "memfd", tmp_path, hugetlb=True)
    vm.close()


def test_large_memory_is_given_back_by_another_thread(vm: VirtualMachine, tmp_path: Path) -> None:
    before = footprint()
    backend = add(vm, "ram", tmp_path, size=1 << 30)
    task = vm.objects.delete("m")
    step = next(task)
    assert vm.objects.backends() == [backend], "what is not done is not told"
    with pytest.raises(VMError, match=r"^object 'm' is in use, can not be deleted$"):
        run_now(vm.objects.delete("m"))
    step(Cancellation())
    with pytest.raises(StopIteration):
        task.send(None)
    assert vm.objects.backends() == []
    assert footprint() == before


def test_memory_that_somebody_looks_at_stays(vm: VirtualMachine, tmp_path: Path) -> None:
    for size in (MIB, 1 << 30):
        backend = add(vm, "ram", tmp_path, size=size)
        assert isinstance(backend.memory, LinuxMemory)
        view = backend.memory.view(0, 1)
        with pytest.raises(VMError, match=r"^object 'm' is in use, can not be deleted$"):
            run_now(vm.objects.delete("m"))
        assert vm.objects.backends() == [backend]
        assert len(list(vm.topology.ram_blocks)) == 1
        view.release()
        del view
        run_now(vm.objects.delete("m"))
        assert vm.objects.backends() == []
