"""RAM as several blocks of the migration stream: what is refused, what is listed, and that nothing else changes."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from itertools import pairwise
from subprocess import run
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ramslot.commands import Context
from ramslot.commands.memory import query_ramblocks
from ramslot.schema import contract
from ramslot.vm.boards import machine_types
from ramslot.vm.boards.partition import divide_ram, equal_partition, fit_partition, parse_partition
from ramslot.vm.boards.targets import targets
from ramslot.vm.config import Config
from ramslot.vm.errors import VMError
from ramslot.vm.host.linux_memory import LinuxMemory
from ramslot.vm.machine import VirtualMachine
from ramslot.vm.memory.ramblock import RAMBlock
from ramslot.vm.memory.stream import stream_pieces
from ramslot.vm.preconfig import exit_preconfig
from ramslot.vm.releases import find_release
from ramslot.vm.steps import run_now

CONTRACT = contract(find_release("7.2").number)

KIB = 1 << 10
MIB = 1 << 20
GIB = 1 << 30
TIB = 1 << 40
LIMIT = 0x7FFFFF00000
"""Bytes in a block where old s390-ccw-virtio machines began another one."""

with open("/proc/sys/vm/overcommit_memory") as overcommit_memory:
    overcommits = pytest.mark.skipif(overcommit_memory.read() == "2\n", reason="this kernel counts every page")


def footprint() -> tuple[int, list[str]]:
    """Mappings that are kept out of forks, which guest memory is, and open files."""
    with open("/proc/self/smaps") as smaps:
        mappings = sum(line.startswith("VmFlags:") and " dc " in line for line in smaps)
    return mappings, sorted(os.listdir("/proc/self/fd"))


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    before = footprint()
    yield
    assert footprint() == before


def start(machine: str, partition: str | None = None, **fields: Any) -> VirtualMachine:
    config = Config()
    config.qemu = "7.2"
    config.machine_type = machine
    for name, value in fields.items():
        setattr(config, name, value)
    if partition is not None:
        config.machine_options = {**config.machine_options, "ram-partition": partition}
    return VirtualMachine(config)


def on_backend(machine: str, size: int, partition: str | None = None, **properties: Any) -> VirtualMachine:
    backend = {"qom-type": "memory-backend-ram", "id": "m", "size": size, "reserve": False, **properties}
    return start(machine, partition, objects=[backend], machine_options={"memory-backend": "m"})


def stream(vm: VirtualMachine) -> list[tuple[str, int, int]]:
    """The blocks that are an alias: name, where it begins in the block below, length."""
    aliases = [block for block in vm.topology.ram_blocks if block.aliased is not None]
    return [(block.name, block.aliased_offset, block.max_length) for block in aliases]


def seen(vm: VirtualMachine) -> list[object]:
    """All that a guest, and a kernel that runs it, can see of the memory."""
    views: list[object] = [
        (
            space.name,
            space.view.root.name if space.view.root is not None else None,
            [(flat.start, flat.end, flat.region.name, flat.offset, flat.readonly) for flat in space.view.ranges],
        )
        for space in vm.topology.spaces
    ]
    slots = [(slot.slot, slot.gpa, slot.size, slot.offset, slot.readonly) for slot in vm.accelerator.slots]
    return [*views, *slots]


# What the option says


def test_sizes_have_suffixes_and_the_last_may_be_left_out() -> None:
    assert parse_partition("a:4096+b:1.5M+c") == [("a", 4096), ("b", 3 * MIB // 2), ("c", None)]
    assert parse_partition("pc.ram") == [("pc.ram", None)]
    assert parse_partition("0000:00:02.0/vram:1G") == [("0000:00:02.0/vram", GIB)], "names of devices have colons"


@pytest.mark.parametrize(
    ("partition", "text"),
    [
        ("", "ram-partition: a block has no name"),
        (":1G", "ram-partition: a block has no name"),
        ("a:512M++b", "ram-partition: a block has no name"),
        ("a:512M+", "ram-partition: a block has no name"),
        ("a b", "ram-partition: 'a b' is not a name of at most 255 printable ASCII characters"),
        ("a\n", "ram-partition: 'a\\n' is not a name"),
        ("é", "ram-partition: 'é' is not a name"),
        ("n" * 256, "is not a name of at most 255 printable ASCII characters"),
        ("a:", "ram-partition: '' is no size for block 'a'"),
        ("a:512X+b", "ram-partition: '512X' is no size for block 'a'"),
        ("a:-4096+b", "ram-partition: '-4096' is no size for block 'a'"),
        ("a:16E", "ram-partition: '16E' is no size for block 'a'"),
        ("a:0+b", "ram-partition: block 'a' is empty"),
        ("a+b", "ram-partition: 'a' has no size, which only the last block may leave out"),
        ("a:512M+a", 'RAMBlock "a" already registered'),
        ("a:512M", "ram-partition: the sizes add up to 0x20000000, not equal to the RAM size (0x40000000)"),
        ("a:1G+b:1", "ram-partition: the sizes add up to 0x40000001, not equal to the RAM size (0x40000000)"),
        ("a:1G+b", "ram-partition: the sizes add up to 0x40000000, not less than the RAM size (0x40000000)"),
        ("a:15E+b:15E", "ram-partition: the sizes add up to 0x1e0"),
        ("a:6k+b", "ram-partition: block 'b' begins at 0x1800, not at a multiple of 0x1000"),
        ("pc.bios:512M+b", 'RAMBlock "pc.bios" already registered'),
        ("b:512M+/rom@etc/table-loader", 'RAMBlock "/rom@etc/table-loader" already registered'),
    ],
)
def test_refused_partitions_leave_nothing(partition: str, text: str) -> None:
    with pytest.raises(VMError) as refusal:
        start("pc", partition, ram_size=GIB)
    assert text in str(refusal.value)


def test_there_must_be_ram_and_one_backend_below() -> None:
    with pytest.raises(VMError, match="ram-partition: the machine has no RAM"):
        start("none", "a")
    node = {"qom-type": "memory-backend-ram", "id": "m", "size": GIB}
    with pytest.raises(VMError, match="'-machine ram-partition' and '-numa memdev' properties are mutually exclusive"):
        start("q35", "a", ram_size=GIB, objects=[node], numa=[("-numa node", {"type": "node", "memdev": "m"})])


def test_a_taken_name_is_no_traceback_for_a_backend_either() -> None:
    backend = {"qom-type": "memory-backend-ram", "id": "pc.bios", "size": GIB}
    with pytest.raises(VMError, match=r'RAMBlock "pc\.bios" already registered'):
        start("pc", objects=[backend], machine_options={"memory-backend": "pc.bios"})


def test_a_block_that_has_no_room_is_refused_and_closed() -> None:
    vm = start("none")
    memory = vm.host.map_anonymous(4 * KIB)
    vm.machine.add_block(RAMBlock("half", 1 << 63, 1 << 63, memory))
    with pytest.raises(VMError, match="cannot set up guest memory 'more': no room"):
        vm.machine.add_block(RAMBlock("more", 1 << 63, (1 << 63) + 1, vm.host.map_anonymous(4 * KIB)))
    vm.close()


PARTS = st.lists(st.integers(1, 1 << 50), min_size=1, max_size=8)


@given(PARTS, st.booleans())
def test_what_fits_is_all_of_the_ram(sizes: list[int], open_ended: bool) -> None:
    text = "+".join(f"b{number}:{size}" for number, size in enumerate(sizes))
    if open_ended:
        text = text.rpartition(":")[0]
    assert fit_partition(parse_partition(text), sum(sizes)) == [(f"b{n}", size) for n, size in enumerate(sizes)]
    for wrong in (sum(sizes[:-1]) or None, None if open_ended else sum(sizes) + 1):
        if wrong is not None:
            with pytest.raises(VMError, match="add up to"):
                fit_partition(parse_partition(text), wrong)


@given(st.integers(1, 1 << 50), st.integers(1, 1 << 50))
def test_equal_blocks_but_for_the_last(size: int, most: int) -> None:
    size = min(size, 100 * most)
    parts = equal_partition("r", size, most)
    assert sum(length for _, length in parts) == size
    assert all(length == most for _, length in parts[:-1])
    assert 0 < parts[-1][1] <= most
    assert [name for name, _ in parts] == ["r", *(f"r.{number}" for number in range(1, len(parts)))]


# What it does


def test_the_blocks_are_listed_in_place_of_the_backends() -> None:
    vm = start("pc", "low:256M+high", ram_size=GIB)
    listed = query_ramblocks(Context(vm, None), {})  # type: ignore[arg-type]  # no program is asked
    CONTRACT.check_result("query-ramblocks", listed)
    shown = {block["name"]: block for block in listed}
    address = shown[""]["host-address"]
    assert not shown[""]["migratable"]
    assert "aliases" not in shown[""]
    assert shown["high"]["aliases"] == {"region": "pc.ram", "ramblock-offset": 0, "offset": 256 * MIB}
    assert (shown["high"]["host-address"], shown["high"]["offset"]) == (address + 256 * MIB, GIB + 256 * MIB)
    assert (shown["low"]["host-address"], shown["low"]["offset"]) == (address, GIB)
    assert shown["pc.bios"]["migratable"]
    below = vm.machine.memory_backend.region.ram_block  # type: ignore[union-attr]  # the machine has RAM
    pieces = [(block.name, offset, length) for block, offset, length in stream_pieces(below, 255 * MIB, 2 * MIB)]  # type: ignore[arg-type]  # and a block
    assert pieces == [("low", 255 * MIB, MIB), ("high", 0, MIB)]
    with pytest.raises(VMError, match=r"object 'pc\.ram' is in use, can not be deleted"):
        run_now(vm.objects.delete("pc.ram"))
    vm.close()


def test_ram_that_is_no_whole_pages_ends_in_the_last_block() -> None:
    vm = on_backend("none", 1000001, "a:4k+b:995905", reserve=True)
    assert stream(vm) == [("b", 4096, 0xF4000), ("a", 0, 4096)]
    assert vm.machine.memory_space.view.ranges[-1].end == 1000001
    vm.close()


def test_a_block_begins_with_a_page_of_what_is_below(monkeypatch: pytest.MonkeyPatch) -> None:
    vm = start("none", ram_size=4 * MIB)
    ram = vm.machine.ram
    assert ram is not None
    assert ram.ram_block is not None
    monkeypatch.setattr(ram.ram_block.host, "page_size", 2 * MIB)
    with pytest.raises(VMError, match="block 'b' begins at 0x100000, not at a multiple of 0x200000"):
        divide_ram(vm.machine, ram, [("a", MIB), ("b", 3 * MIB)])
    monkeypatch.undo()
    vm.close()


def test_the_property_reads_back_and_stays_once_there_is_ram() -> None:
    vm = start("none", "b:1M+a", ram_size=3 * MIB)
    assert vm.machine.get("ram-partition") == "b:1M+a"
    with pytest.raises(VMError, match="ram-partition cannot be changed"):
        vm.machine.set("ram-partition", "a")
    with pytest.raises(VMError, match="expected: string"):
        vm.machine.set("ram-partition", 1)
    assert vm.machine.get("ram-partition") == "b:1M+a"
    vm.close()


def test_the_property_is_listed_after_those_of_qemu() -> None:
    names = [declared.name for declared in start_and_close("pc").class_properties()]
    assert names[-1] == "ram-partition"
    assert names.index("type") == 0


def start_and_close(machine: str) -> Any:
    vm = start(machine)
    vm.close()
    return vm.machine


def test_before_there_is_ram_it_can_be_set() -> None:
    vm = start("none", ram_size=2 * MIB, preconfig=True)
    vm.machine.set("ram-partition", "x:1M+y")
    run_now(exit_preconfig(vm))
    assert stream(vm) == [("x", 0, MIB), ("y", MIB, MIB)]
    vm.close()


def test_files_and_mem_path_are_divided_alike(tmp_path: Any) -> None:
    vm = start("q35", "x:1G+y", ram_size=3 * GIB, mem_path=str(tmp_path))
    assert stream(vm) == [("y", GIB, 2 * GIB), ("x", 0, GIB)]
    vm.close()


def test_bytes_are_the_same_from_whichever_block() -> None:
    vm = start("none", "x:1M+y", ram_size=2 * MIB)
    blocks = {block.name: block for block in vm.topology.ram_blocks}
    blocks[""].host.write(MIB + 5, b"abc")
    above = blocks["y"]
    assert above.host.read(above.host_address - above.host.address + 5, 3) == b"abc"
    vm.close()


def test_dirty_logging_asked_of_any_alias_is_that_of_the_memory() -> None:
    vm = start("pc", "low:1G+high", ram_size=5 * GIB)
    assert vm.machine.ram is not None
    for mask in (1, 0):
        vm.machine.ram.set_dirty_log_mask(mask)
        shown = [flat for flat in vm.machine.memory_space.view.ranges if flat.region.name == "pc.ram"]
        assert {flat.dirty_log_mask for flat in shown} == {mask}
        assert {slot.log_dirty for slot in vm.accelerator.slots if slot.block.region_name == "pc.ram"} == {mask == 1}
    vm.close()


@pytest.mark.parametrize("first", ["machine", "backend"])
def test_whoever_goes_first_nothing_stays(first: str) -> None:
    vm = start("none", "x:1M+y", ram_size=2 * MIB)
    mapped = footprint()
    backend = vm.machine.memory_backend
    assert backend is not None
    if first == "backend":
        backend.release()
        assert footprint() == mapped, "the aliases still show it"
        vm.machine.release()
    else:
        vm.machine.release()
        assert footprint() == mapped
        backend.release()
    assert footprint()[0] == mapped[0] - 1
    assert not len(vm.topology.ram_blocks)
    vm.close()


def test_closing_while_somebody_looks_can_be_done_again() -> None:
    vm = start("none", "x:1M+y", ram_size=2 * MIB)
    block = next(iter(vm.topology.ram_blocks))
    assert isinstance(block.host, LinuxMemory)
    view = block.host.view(0, 1)
    with pytest.raises(BufferError):
        vm.close()
    view.release()
    vm.close()
    assert not len(vm.topology.ram_blocks)


# The memory map stays


@pytest.mark.parametrize("target", sorted(targets(find_release("7.2"))))
def test_every_board_shows_what_it_shows_without(target: str) -> None:
    for machine_type in machine_types(targets(find_release("7.2"))[target], find_release("7.2")):
        if not machine_type.default_ram_size:
            continue
        plain = start(machine_type.name, target=target)
        vm = start(machine_type.name, f"one:{machine_type.default_ram_size // 2}+two", target=target)
        assert seen(vm) == seen(plain), machine_type.name
        assert {name for name, _, _ in stream(vm)} == {"one", "two"}, machine_type.name
        ram = vm.machine.memory_backend.region.ram_block  # type: ignore[union-attr]  # the machine has RAM
        assert not ram.migratable  # type: ignore[union-attr]  # and a block
        plain.close()
        vm.close()


@settings(max_examples=60)
@given(
    st.sampled_from(["pc", "q35", "isapc", "microvm", "virt", "s390-ccw-virtio", "none"]),
    st.integers(1, 5 * GIB // (256 * MIB)),
    st.lists(st.integers(1, 5 * GIB // MIB), max_size=6),
)
def test_any_partition_leaves_the_map_and_the_slots(machine: str, size: int, cuts: list[int]) -> None:
    ram_size = size * 256 * MIB
    borders = sorted({0, *(cut * MIB for cut in cuts if cut * MIB < ram_size), ram_size})
    sizes = [end - begin for begin, end in pairwise(borders)]
    before = footprint()
    plain = start(machine, ram_size=ram_size)
    vm = start(machine, "+".join(f"part{number}:{part}" for number, part in enumerate(sizes)), ram_size=ram_size)
    assert seen(vm) == seen(plain)
    assert sorted(stream(vm), key=lambda block: block[1]) == [
        (f"part{number}", borders[number], part) for number, part in enumerate(sizes)
    ]
    plain.close()
    vm.close()
    assert footprint() == before


# s390-ccw-virtio


@overcommits
@pytest.mark.parametrize("version", ["4.1", "4.0", "3.1", "2.12", "2.4"])
@pytest.mark.parametrize(
    ("size", "blocks"),
    [
        (LIMIT, {}),
        (LIMIT + MIB, {"s390.ram": LIMIT, "s390.ram.1": MIB}),
        (12 * TIB, {"s390.ram": LIMIT, "s390.ram.1": 12 * TIB - LIMIT}),
        (20 * TIB, {"s390.ram": LIMIT, "s390.ram.1": LIMIT, "s390.ram.2": 20 * TIB - 2 * LIMIT}),
    ],
)
def test_old_s390_machines_have_large_ram_in_blocks(version: str, size: int, blocks: dict[str, int]) -> None:
    vm = on_backend(f"s390-ccw-virtio-{version}", size)
    assert {name: length for name, _, length in stream(vm)} == blocks
    assert {block.name for block in vm.topology.ram_blocks} == ({*blocks, ""} if blocks else {"m"})
    newer = on_backend("s390-ccw-virtio-4.2", size)
    assert [block.name for block in newer.topology.ram_blocks] == ["m"]
    assert seen(newer) == seen(vm)
    newer.close()
    vm.close()


@overcommits
def test_what_the_user_says_wins_over_the_version_and_brings_it_to_a_new_one() -> None:
    vm = on_backend("s390-ccw-virtio-4.1", 12 * TIB, "one")
    assert stream(vm) == [("one", 0, 12 * TIB)]
    vm.close()
    old = on_backend("s390-ccw-virtio-4.1", 12 * TIB)
    new = on_backend("s390-ccw-virtio-7.2", 12 * TIB, old.machine.get("ram-partition"))
    assert stream(new) == stream(old)
    assert seen(new) == seen(old)
    new.close()
    old.close()


@overcommits
def test_a_backend_that_has_the_boards_own_id_is_divided_too() -> None:
    backend = {"qom-type": "memory-backend-ram", "id": "s390.ram", "size": 9 * TIB, "reserve": False}
    vm = start("s390-ccw-virtio-4.0", objects=[backend], machine_options={"memory-backend": "s390.ram"})
    assert [name for name, _, _ in stream(vm)] == ["s390.ram", "s390.ram.1"]
    vm.close()


# The command line


def ask(*options: str) -> tuple[int, str, str]:
    done = run([sys.executable, "-m", "ramslot", *options], capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout, done.stderr


def test_the_lines_of_info_ramblock() -> None:
    options = ["-qemu", "7.2", "-M", "none,ram-partition=a:1M+b", "-m", "3M"]
    status, text, errors = ask(*options, "-c", "info ramblock")
    assert (status, errors) == (0, "")
    assert text.splitlines()[1:] == [
        f"{'':24}    4 KiB  0x0000000000000000 0x0000000000300000 0x0000000000300000",
        f"{'b':>24}    4 KiB  0x0000000000400000 0x0000000000200000 0x0000000000200000"
        "  alias of ram @0x0000000000100000",
        f"{'a':>24}    4 KiB  0x0000000000300000 0x0000000000100000 0x0000000000100000"
        "  alias of ram @0x0000000000000000",
    ]


def test_mtree_and_memslots_name_what_is_below() -> None:
    status, text, _ = ask("-M", "none,ram_partition=a:1M+b", "-m", "3M", "-c", "info mtree", "-c", "info memslots")
    assert status == 0
    assert "alias b @ram 0000000000100000-00000000002fffff\n" in text
    assert text.splitlines()[-1].split()[-2:] == ["ram", "0000000000000000"]


def test_help_and_refusals() -> None:
    assert "  ram-partition=<string> - " in ask("-M", "virt,help", "--target", "arm")[1]
    assert "ram-partition=id:size+id:size+..." in ask("-help")[1]
    assert ask("-M", "pc,ram-partition=a:1", "-S", "-c", "info status") == (
        1,
        "",
        "ramslot: ram-partition: the sizes add up to 0x1, not equal to the RAM size (0x8000000)\n",
    )
    query = json.dumps({"execute": "qom-get", "arguments": {"path": "/machine", "property": "ram-partition"}})
    assert ask("-M", "pc,ram-partition=a", "-c", query)[1] == '{"return": "a"}\n'
