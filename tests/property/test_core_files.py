"""Core files: what is written is read back by a plain reader, and holds what the guest's addresses show."""

from __future__ import annotations

import os
import struct
import subprocess
import tempfile
from itertools import pairwise
from pathlib import Path
from random import Random
from shutil import which

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ramslot import Config, VirtualMachine, VMError
from ramslot.monitor.streams.memory import CoreFile
from ramslot.vm.dump.elf import NAMES, CoreFormat, core_layout
from ramslot.vm.dump.file import DumpFile
from ramslot.vm.dump.saved import SavedCore
from ramslot.vm.memory.access import read
from ramslot.vm.steps import run_now

MIB = 1 << 20

formats = st.builds(CoreFormat, st.sampled_from([32, 64]), st.sampled_from("<>"), st.integers(0, 0xFFFF))
load_lists = st.lists(st.tuples(st.integers(0, 2**31), st.integers(1, 2**20)), max_size=40)


def sections_of(data: bytes, wide: bool, order: str) -> list[tuple[int, ...]]:
    at, size, count = struct.unpack_from(f"{order}{'Q' if wide else 'I'}", data, 40 if wide else 32)[0], 0, 0
    size, count = struct.unpack_from(f"{order}HH", data, 58 if wide else 46)
    shape = f"{order}II4QII2Q" if wide else f"{order}10I"
    return [struct.unpack_from(shape, data, at + number * size) for number in range(count)]


def segments_of(data: bytes) -> list[tuple[int, int, int, int]]:
    """The type, offset, address and length of all segments, also if there are very many."""
    wide, order = data[4] == 2, "<" if data[5] == 1 else ">"
    at = struct.unpack_from(f"{order}{'Q' if wide else 'I'}", data, 32 if wide else 28)[0]
    size, count = struct.unpack_from(f"{order}HH", data, 54 if wide else 42)
    if count == 0xFFFF:
        count = sections_of(data, wide, order)[0][7]
    found = []
    for number in range(count):
        fields = struct.unpack_from(f"{order}II6Q" if wide else f"{order}8I", data, at + number * size)
        kind, offset, virtual, physical, length, in_memory = (fields[0], *fields[2:7]) if wide else fields[:6]
        assert virtual == physical and length == in_memory
        found.append((kind, offset, physical, length))
    return found


@given(formats, load_lists, st.binary(max_size=50), st.booleans())
def test_what_was_laid_out_is_read_back(
    file: CoreFormat, loads: list[tuple[int, int]], notes: bytes, has_names: bool
) -> None:
    layout = core_layout(file, loads, notes, has_names=has_names)
    found = segments_of(layout.head)
    assert [(kind, address, length) for kind, _offset, address, length in found] == [
        (4, 0, len(notes)),
        *((1, *load) for load in loads),
    ]
    assert layout.head[found[0][1] :] == notes
    assert found[0][1] + len(notes) == layout.memory_at
    places = [(offset, offset + length) for _kind, offset, _address, length in found]
    assert all(before[1] == after[0] for before, after in pairwise(places))
    assert places[-1][1] + len(layout.tail) == layout.size
    assert struct.unpack_from(f"{file.order}HH", layout.head, 16) == (4, file.machine)
    if has_names:
        _empty, names = sections_of(layout.head, file.bits == 64, file.order)
        assert (names[1], names[4], names[5]) == (3, places[-1][1], len(NAMES))
        assert layout.tail[names[0] :].startswith(b".shstrtab\0")


@pytest.mark.parametrize("has_names", [False, True])
@pytest.mark.parametrize("count", [0xFFFE - 1, 0xFFFE, 0xFFFF, 70_000])
def test_very_many_segments_are_counted_elsewhere(count: int, has_names: bool, tmp_path: Path) -> None:
    loads = [(number << 12, 1) for number in range(count)]
    layout = core_layout(CoreFormat(64, "<", 62), loads, has_names=has_names)
    assert len(segments_of(layout.head)) == count + 1
    readelf = which("readelf")
    if readelf is None:
        pytest.skip("there is no readelf, which would be asked as well")
    core = tmp_path / "core"
    core.write_bytes(layout.head + bytes(count) + layout.tail)
    told = subprocess.run([readelf, "-lW", core], capture_output=True, text=True, check=True)
    assert told.stdout.count(" LOAD ") == count
    assert told.stderr == "" or has_names  # readers wonder at the header's size that QEMU since 7.2 tells


STEPS = st.lists(st.tuples(st.integers(0, 8 * MIB - 1), st.binary(min_size=1, max_size=3)), max_size=12)
PARTS = st.one_of(
    st.none(), st.tuples(st.integers(0, 9 * MIB), st.integers(1, 9 * MIB)), st.just((0xFFFC0000, 1 << 40))
)


@settings(deadline=None, max_examples=25)
@given(STEPS, PARTS, st.sampled_from(["pc", "q35", "microvm", "none"]))
def test_a_dump_holds_what_addresses_show(
    written: list[tuple[int, bytes]], part: tuple[int, int] | None, board: str
) -> None:
    """Whole and in part, with holes of memory as zeros, against memory read address by address."""
    config = Config()
    config.machine_type, config.ram_size = board, 8 * MIB
    with VirtualMachine(config) as vm, tempfile.TemporaryDirectory() as folder:
        view = vm.machine.memory_space.view
        for address, data in written:
            found = view.find(address)
            if found is not None and found.region.ram_block is not None and address + len(data) <= found.end:
                found.region.ram_block.host.write(found.offset + address - found.start, data)
        path = os.path.join(folder, "core")
        begin, length = part or (None, 0)
        start, end = (0, 1 << 33) if part is None else (part[0], part[0] + part[1])
        shown = [flat for flat in view.ranges if flat.is_memory and flat.start < end and flat.end > start]
        if not shown:
            with pytest.raises(VMError, match="no guest memory to dump"):
                vm.dump.start(DumpFile.create(path), begin, length)
            assert not os.path.exists(path)
            return
        run_now(vm.dump.start(DumpFile.create(path), begin, length))
        core = Path(path).read_bytes()
        loads = segments_of(core)[1:]
        assert vm.dump.done == vm.dump.length == sum(load[3] for load in loads)
        inside = sum(min(flat.end, end) - max(flat.start, start) for flat in shown)
        assert inside == vm.dump.length
        for _kind, offset, address, size in loads:
            assert start <= address and address + size <= end
            assert core[offset : offset + size] == read(view, address, address + size)


PLACED = {"pc": 8 * MIB, "none": MIB, "q35": 16 * MIB}


@pytest.mark.parametrize("machine", PLACED)
def test_what_a_stream_has_goes_to_where_the_guest_finds_it(machine: str, tmp_path: Path) -> None:
    """As the core file of the machine itself, written from one block after the other."""
    dice = Random(1)
    config = Config()
    config.machine_type, config.ram_size = machine, PLACED[machine]
    with VirtualMachine(config) as vm:
        contents = {}
        for block in vm.topology.ram_blocks:
            contents[block.name] = dice.randbytes(block.used_length // 4096) * 4096
            block.host.write(0, contents[block.name])
        run_now(vm.dump.start(DumpFile.create(str(tmp_path / "own"))))
        core = SavedCore(vm, {name: len(content) for name, content in contents.items()})
        short = SavedCore(vm, {name: len(content) - 1 for name, content in contents.items()})
    file = CoreFile(str(tmp_path / "saved"), core)
    file.create()
    for name, content in contents.items():
        for start in range(0, len(content), step := 3 * 4096):
            end = min(start + step, len(content))
            pieces = [memoryview(content)[at : at + 4096] for at in range(start, end, 4096)]
            file.fill(name, start, end - start, 7)
            file.fill(name, start, end - start, 0)
            file.pages(name, start, pieces)
            shown = sum(count for _at, _start, count in core.places(name, start, 4096))
            assert not shown or file.current(name, start, 4096) == pieces[0]
    file.close(keep=True)
    assert (tmp_path / "saved").read_bytes() == (tmp_path / "own").read_bytes()
    assert core.missing == []
    assert set(short.missing) == {part.block for part in core.parts}
