"""A guest touches memory: slots, splits, aliases, holes and dirty logs as real guest code meets them, and the same in sim."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ramslot.vm.accel.guest_job import GuestJob
from ramslot.vm.config import Config
from ramslot.vm.errors import VMError
from ramslot.vm.host.kvm import KVM, KVMError
from ramslot.vm.host.kvm_vcpu import supported
from ramslot.vm.host.linux import LinuxHost
from ramslot.vm.hostmem.backend import MemoryBackend
from ramslot.vm.machine import VirtualMachine
from ramslot.vm.memory.dirty import DirtyPages
from ramslot.vm.memory.ramblock import RAMBlock
from ramslot.vm.memory.region import MemoryRegion
from ramslot.vm.memory.stream import stream_pages
from ramslot.vm.steps import Cancellation, run_now

KIB = 1 << 10
MIB = 1 << 20
GIB = 1 << 30
PAGE = 4096
SEED = 0x5EED_0000_0000_0000
MASK = (1 << 64) - 1

try:
    KVM(LinuxHost()).close()
    reason = "" if supported() else "guest code is that of x86_64"
except KVMError as error:
    reason = error.reason
in_kvm = pytest.mark.skipif(bool(reason), reason=reason)

ACCELERATORS = [
    pytest.param(("sim", {}), id="sim"),
    pytest.param(("kvm", {}), id="kvm", marks=in_kvm),
    pytest.param(("kvm", {"dirty-ring-size": "1024"}), id="kvm-ring", marks=in_kvm),
]
on_all = pytest.mark.parametrize("accelerator", ACCELERATORS)

Accelerator = tuple[str, dict[str, str]]


@contextmanager
def machine(
    accelerator: Accelerator,
    machine_type: str = "none",
    ram_size: int | None = None,
    partition: str | None = None,
    **limits: int,
) -> Iterator[VirtualMachine]:
    config = Config()
    config.machine_options = {} if partition is None else {"ram-partition": partition}
    config.machine_type, config.ram_size = machine_type, ram_size
    name, options = accelerator
    config.accelerators = [(name, {**options, **{key.replace("_", "-"): str(limits[key]) for key in limits}})]
    with VirtualMachine(config) as vm:
        yield vm


def run(vm: VirtualMachine, *arguments: Any, **more: Any) -> GuestJob:
    job = run_now(vm.start_guest(GuestJob(*arguments, **more)))
    assert job.status == "completed", job.error
    return job


def word(block: RAMBlock, offset: int) -> int:
    return int.from_bytes(block.host.read(offset, 8), "little")


def memory(vm: VirtualMachine) -> RAMBlock:
    assert vm.machine.ram is not None
    assert vm.machine.ram.ram_block is not None
    return vm.machine.ram.ram_block


def dirty(vm: VirtualMachine, pages: DirtyPages, block: RAMBlock) -> set[int]:
    vm.dirty_log.sync()
    runs = pages.blocks[block].runs() if block in pages.blocks else ()
    return {page for first, count in runs for page in range(first, first + count)}


@on_all
def test_every_border_of_a_gibibyte_in_slots_of_16_mib(accelerator: Accelerator) -> None:
    with machine(accelerator, "none", GIB, max_memslot_size=16 * MIB) as vm:
        assert len(vm.accelerator.slots) == 64
        pages = vm.dirty_log.start()
        borders = range(16 * MIB, GIB, 16 * MIB)
        for border in borders:
            run(vm, border - 24, 48, "pattern", 8, SEED)
        block = memory(vm)
        written = [border + distance for border in borders for distance in range(-24, 24, 8)]
        assert [word(block, at) for at in written] == [SEED + at for at in written]
        for border in borders:
            assert word(block, border - 32) == word(block, border + 24) == 0
        assert dirty(vm, pages, block) == {at // PAGE for at in written}


@on_all
def test_one_run_over_all_borders(accelerator: Accelerator) -> None:
    """A stride that has nothing to do with pages, slots or the guest's own windows."""
    stride = 40 * KIB + 8
    with machine(accelerator, "none", 2 * GIB, max_memslot_size=16 * MIB) as vm:
        pages = vm.dirty_log.start()
        job = run(vm, 0, 2 * GIB, "pattern", stride, SEED)
        written = range(0, 2 * GIB, stride)
        assert (job.accesses, job.exits) == (len(written), 0)
        block = memory(vm)
        assert all(word(block, at) == SEED + at for at in written[::97])
        assert dirty(vm, pages, block) == {page for at in written for page in (at // PAGE, (at + 7) // PAGE)}
        read = run(vm, 0, 2 * GIB, "read", stride)
        assert read.sum == sum(SEED + at for at in written) & MASK


@on_all
@pytest.mark.parametrize("stride", [PAGE, 2 * PAGE, 3 * PAGE, PAGE + 8, 64 * PAGE, 65 * PAGE])
def test_dirty_pages_of_strided_writes(accelerator: Accelerator, stride: int) -> None:
    with machine(accelerator, "none", 16 * MIB, max_memslot_size=3 * MIB) as vm:
        run(vm, 0, 16 * MIB, "write", PAGE, 1)  # before anybody watches
        pages = vm.dirty_log.start()
        block = memory(vm)
        assert dirty(vm, pages, block) == set()
        run(vm, 5 * PAGE, 8 * MIB, "write", stride, 7)
        expected = {at // PAGE for at in range(5 * PAGE, 5 * PAGE + 8 * MIB, stride)}
        assert dirty(vm, pages, block) == expected
        pages.clear()
        assert dirty(vm, pages, block) == set()
        run(vm, 0, 16 * MIB, "read", PAGE)
        assert dirty(vm, pages, block) == set()
        run(vm, MIB, 8, "write", value=9)
        assert dirty(vm, pages, block) == {MIB // PAGE}
        vm.dirty_log.stop(pages)
        assert not any(slot.log_dirty for slot in vm.accelerator.slots)


@on_all
def test_two_watchers_see_what_was_written_in_their_time(accelerator: Accelerator) -> None:
    with machine(accelerator, "none", MIB) as vm:
        block = memory(vm)
        first = vm.dirty_log.start()
        run(vm, 0, 8)
        second = vm.dirty_log.start()
        run(vm, PAGE, 8)
        vm.dirty_log.stop(first)
        run(vm, 2 * PAGE, 8)
        assert dirty(vm, second, block) == {1, 2}
        assert list(first.blocks[block].runs()) == [(0, 2)]


@on_all
def test_memory_above_4_gib_and_the_hole_below_it(accelerator: Accelerator) -> None:
    with machine(accelerator, "pc", 5 * GIB) as vm:
        block = memory(vm)
        run(vm, 4 * GIB, 2 * GIB, "pattern", 16 * MIB, SEED)
        assert [word(block, 3 * GIB + at) for at in range(0, 2 * GIB, 16 * MIB)] == [
            SEED + 4 * GIB + at for at in range(0, 2 * GIB, 16 * MIB)
        ]
        job = run(vm, 3 * GIB, GIB, "read", 256 * MIB)
        assert (job.accesses, job.exits, job.first_exit, job.sum) == (4, 4, 3 * GIB, 0)


@on_all
def test_writes_to_a_rom_leave_the_guest_and_reads_do_not(accelerator: Accelerator) -> None:
    with machine(accelerator, "pc", 128 * MIB) as vm:
        rom = next(slot for slot in vm.accelerator.slots if slot.gpa == 0xC0000)
        assert rom.readonly
        rom.block.host.write(rom.offset, b"firmware")
        job = run(vm, 0xC0000, 16 * KIB, "write", PAGE, 1)
        assert (job.accesses, job.exits, job.first_exit) == (4, 4, 0xC0000)
        job = run(vm, 0xC0000, 8, "read")
        assert (job.exits, job.sum) == (0, int.from_bytes(b"firmware", "little"))


@on_all
def test_an_alias_is_the_same_memory_and_the_same_dirty_pages(accelerator: Accelerator) -> None:
    with machine(accelerator, "none", 4 * MIB, max_memslot_size=MIB) as vm:
        assert vm.machine.ram is not None
        window = vm.topology.alias("window", vm.machine.ram, 3 * MIB // 2, 2 * MIB)
        vm.machine.system.add_subregion(GIB, window)
        pages = vm.dirty_log.start()
        run(vm, GIB, 2 * MIB, "pattern", 256 * KIB)
        written = range(0, 2 * MIB, 256 * KIB)
        assert [word(memory(vm), 3 * MIB // 2 + at) for at in written] == [GIB + at for at in written]
        assert dirty(vm, pages, memory(vm)) == {(3 * MIB // 2 + at) // PAGE for at in written}
        assert run(vm, 3 * MIB // 2, 2 * MIB, "read", 256 * KIB).sum == sum(GIB + at for at in written)


@on_all
def test_what_was_written_to_a_slot_that_goes_is_not_lost(accelerator: Accelerator) -> None:
    with machine(accelerator, "none", 4 * MIB) as vm:
        assert vm.machine.ram is not None
        window = vm.topology.alias("window", vm.machine.ram, 0, MIB)
        vm.machine.system.add_subregion(GIB, window)
        pages = vm.dirty_log.start()
        run(vm, GIB, 8 * PAGE)
        vm.machine.system.remove_subregion(window)
        run(vm, 2 * MIB, PAGE)
        assert dirty(vm, pages, memory(vm)) == {*range(8), 2 * MIB // PAGE}


@on_all
def test_32000_slots_are_those_of_the_table(accelerator: Accelerator) -> None:
    """Each slot shows, at its own address, its own page of the block: what a guest wrote there says so."""
    count = 32000
    with machine(accelerator, "none", count * PAGE, max_memslot_size=PAGE) as vm:
        slots = vm.accelerator.slots
        assert len(slots) == count
        pages = vm.dirty_log.start()
        run(vm, 0, count * PAGE, "pattern", PAGE, SEED)
        assert all(word(slot.block, slot.offset) == SEED + slot.gpa for slot in slots)
        assert dirty(vm, pages, memory(vm)) == set(range(count))


SIZES = st.integers(1, 12).map(lambda pages: pages * PAGE)
ROWS = st.lists(st.tuples(st.integers(0, 40), SIZES, st.integers(0, 2), st.booleans()), min_size=1, max_size=5)


@pytest.mark.parametrize("accelerator", ACCELERATORS[:2])
@settings(max_examples=40, deadline=None)
@given(rows=ROWS, largest=st.sampled_from([PAGE, 3 * PAGE, MIB]), hidden=st.integers(0, 4))
def test_random_topologies_are_what_the_flat_view_says(
    accelerator: Accelerator, rows: list[tuple[int, int, int, bool]], largest: int, hidden: int
) -> None:
    with machine(accelerator, "none", max_memslot_size=largest) as vm:
        regions: list[MemoryRegion] = []
        for number, (page, size, priority, readonly) in enumerate(rows):
            backend = run_now(vm.objects.add({"qom-type": "memory-backend-ram", "id": f"m{number}", "size": size}))
            assert isinstance(backend, MemoryBackend)
            region = backend.take()
            region.set_readonly(readonly)
            regions.append(region)
            vm.machine.system.add_subregion(page * PAGE, region, priority)
        compare_with_view(vm)
        regions[hidden % len(regions)].set_enabled(False)
        compare_with_view(vm)


def compare_with_view(vm: VirtualMachine) -> None:
    """The guest writes and reads every page; what it met is what the flat view shows."""
    expected_exits = 0
    expected_words = {}
    before = {block: [word(block, at) for at in range(0, block.used_length, PAGE)] for block in vm.topology.ram_blocks}
    for page in range(0, 56 * PAGE, PAGE):
        shown = vm.machine.memory_space.view.find(page)
        if shown is None or shown.readonly:
            expected_exits += 1
        else:
            assert shown.region.ram_block is not None
            expected_words[shown.region.ram_block, (shown.offset + page - shown.start) // PAGE] = SEED + page
    assert run(vm, 0, 56 * PAGE, "pattern", PAGE, SEED).exits == expected_exits
    for block, words in before.items():
        for page, old in enumerate(words):
            assert word(block, page * PAGE) == expected_words.get((block, page), old)


# While the guest runs


@contextmanager
def running(vm: VirtualMachine, *arguments: Any, **more: Any) -> Iterator[GuestJob]:
    """The guest on a thread of its own for the time of a block."""
    job = GuestJob(*arguments, **more)
    task = vm.start_guest(job)
    step = next(task)
    results: list[bool] = []
    thread = threading.Thread(target=lambda: results.append(step(Cancellation())))
    thread.start()
    try:
        yield job
    finally:
        vm.stop_guest()
        thread.join()
        with pytest.raises(StopIteration):
            task.send(results[0])
    assert job.status == "stopped", job.error


def progress(job: GuestJob) -> bool:
    """Whether it goes on, within some time."""
    before, deadline = job.accesses, time.monotonic() + 10
    while job.accesses == before and time.monotonic() < deadline:
        time.sleep(0.001)
    return job.accesses != before


@on_all
def test_slots_change_under_a_running_guest(accelerator: Accelerator) -> None:
    """The memory that it uses stays its memory while the slots around it, and its own, are made anew."""
    with machine(accelerator, "none", 8 * MIB, max_memslot_size=MIB) as vm:
        assert vm.machine.ram is not None
        pages = vm.dirty_log.start()
        with running(vm, 0, 4 * MIB, mode="pattern", passes=0, value=SEED) as job:
            for number in range(50):
                window = vm.topology.io("window", 16 * KIB)
                vm.machine.system.add_subregion(5 * MIB + number * PAGE, window, 1)  # splits the RAM's range
                hole = vm.topology.io("hole", PAGE)
                vm.machine.system.add_subregion(4 * MIB, hole, 1)
                vm.machine.system.remove_subregion(window)
                vm.machine.system.remove_subregion(hole)
                vm.dirty_log.sync()
            passes = job.passes_done
            while job.passes_done < passes + 2:
                time.sleep(0.001)
        assert job.exits == 0
        assert dirty(vm, pages, memory(vm)) == set(range(4 * MIB // PAGE))
        assert all(word(memory(vm), at) == SEED + at for at in range(0, 4 * MIB, PAGE))


@on_all
def test_a_hole_that_comes_and_goes_is_met_only_while_it_is_there(accelerator: Accelerator) -> None:
    with machine(accelerator, "none", MIB) as vm, running(vm, 0, MIB, passes=0) as job:
        assert progress(job)
        assert job.exits == 0
        hole = vm.topology.io("hole", PAGE)
        vm.machine.system.add_subregion(16 * PAGE, hole, 1)
        while not job.exits:
            time.sleep(0.001)
        assert job.first_exit == 16 * PAGE
        vm.machine.system.remove_subregion(hole)
        after = job.exits
        assert progress(job)
        assert job.exits == after


@on_all
def test_a_stopped_machine_runs_no_guest(accelerator: Accelerator) -> None:
    with machine(accelerator, "none", MIB) as vm, running(vm, 0, MIB, passes=0) as job:
        assert progress(job)
        vm.run_state.stop()
        pages = vm.dirty_log.start()
        before = job.accesses
        time.sleep(0.1)
        assert job.accesses == before
        assert dirty(vm, pages, memory(vm)) == set()
        vm.run_state.cont()
        assert progress(job)


@on_all
def test_rate(accelerator: Accelerator) -> None:
    with machine(accelerator, "none", 64 * MIB) as vm:
        began = time.monotonic()
        job = run(vm, 0, 2 * MIB, rate=8 * MIB)
        # (A fast machine must take its time; a slow one may take more.)
        assert time.monotonic() - began >= 0.2
        assert job.accesses == 2 * MIB // PAGE


@on_all
def test_one_guest_at_a_time_and_a_machine_that_ends_takes_it_along(accelerator: Accelerator) -> None:
    with machine(accelerator, "none", MIB) as vm, running(vm, 0, MIB, passes=0):
        with pytest.raises(VMError, match=r"^a guest is running already$"):
            vm.start_guest(GuestJob(0, PAGE))
        vm.close()


@on_all
def test_a_reset_ends_the_guest(accelerator: Accelerator) -> None:
    with machine(accelerator, "none", MIB) as vm, running(vm, 0, MIB, passes=0) as job:
        vm.reset("host-qmp-system-reset")
        assert job.status == "stopped"


# What only a kernel has


@in_kvm
def test_the_guests_own_slot_is_no_guest_memory() -> None:
    with machine(("kvm", {"max-memslots": "64"}), "none", 64 * MIB, max_memslot_size=MIB) as vm:
        before = [(slot.slot, slot.gpa) for slot in vm.accelerator.slots]
        with running(vm, 0, MIB, passes=0):
            assert [(slot.slot, slot.gpa) for slot in vm.accelerator.slots] == before
            space = vm.machine.memory_space.view
            assert [(shown.start, shown.end) for shown in space.ranges] == [(0, 64 * MIB)]
            assert [block.name for block in vm.topology.ram_blocks] == ["ram"]
        run(vm, 0, PAGE)


@in_kvm
def test_all_of_kvms_slots_leave_none_for_a_guest() -> None:
    with machine(("kvm", {}), "none", 32764 * PAGE, max_memslot_size=PAGE) as vm:
        assert len(vm.accelerator.slots) == vm.accelerator.slots.max_slots
        with pytest.raises(VMError, match=r"^no memslot is free for the guest's code$"):
            vm.start_guest(GuestJob(0, PAGE))
        assert vm.accelerator.slots.max_slots == 32764


@in_kvm
def test_memory_at_the_guests_own_address_is_refused_with_the_remedy() -> None:
    with machine(("kvm", {}), "none", MIB) as vm:
        assert vm.machine.ram is not None
        with running(vm, 0, MIB, passes=0) as job:
            gpa = (1 << min(vm._guest.processor.address_bits, 46)) - 2 * MIB  # type: ignore[union-attr]  # it runs
            window = vm.topology.alias("window", vm.machine.ram, 0, MIB)
            with pytest.raises(VMError, match=r"File exists \(the running guest's own code is at .*; stop the guest"):
                vm.machine.system.add_subregion(gpa, window)
            assert progress(job)
        vm.machine.system.add_subregion(gpa, window)
        run(vm, gpa, MIB, "pattern")
        assert word(memory(vm), PAGE) == gpa + PAGE


@in_kvm
def test_addresses_beyond_the_cpu() -> None:
    with machine(("kvm", {}), "none", MIB) as vm, pytest.raises(VMError, match=r"^the guest's addresses have only "):
        vm.start_guest(GuestJob(1 << 62, PAGE))


@on_all
def test_what_is_written_is_dirty_in_the_blocks_that_migrate(accelerator: Accelerator) -> None:
    with machine(accelerator, "none", 4 * MIB, partition="boot:1M+rest") as vm:
        pages = vm.dirty_log.start()
        run(vm, MIB - 2 * PAGE, 5 * PAGE)
        vm.dirty_log.sync()
        assert pages.count() == 5
        blocks = {block.name: block for block in vm.topology.ram_blocks}
        found = stream_pages(pages)
        assert {block.name: list(bitmap.runs()) for block, bitmap in found.blocks.items()} == {
            "boot": [(MIB // PAGE - 2, 2)],
            "rest": [(0, 3)],
        }
        assert set(found.blocks) == {blocks["boot"], blocks["rest"]}


@on_all
def test_one_guest_after_another_without_a_pause(accelerator: Accelerator) -> None:
    with machine(accelerator, "none", MIB) as vm:
        for number in range(5):
            with running(vm, 0, MIB, passes=0) as job:
                assert progress(job)
                vm.stop_guest()
                assert job.status == "stopped"
                run(vm, 0, MIB, value=number)
                assert memory(vm).host.read(0, 8) == number.to_bytes(8, "little")


@on_all
@pytest.mark.parametrize("mode", ["read", "write", "pattern"])
def test_where_the_guest_s_own_code_is_there_is_nothing_for_it(accelerator: Accelerator, mode: str) -> None:
    with machine(accelerator, "none", MIB) as vm:
        for start in range((1 << 46) - (4 << 20), 1 << 46, 2 << 20):
            job = run(vm, start, 2 * MIB, mode)
            assert (job.accesses, job.exits, job.first_exit, job.sum) == (512, 512, start, 0)


@on_all
@pytest.mark.parametrize("mode", ["read", "write"])
def test_many_accesses_to_nothing_among_memory(accelerator: Accelerator, mode: str) -> None:
    with machine(accelerator, "none", 4 * MIB) as vm:
        vm.machine.system.add_subregion(MIB, vm.topology.io("hole", 2 * MIB), 1)
        if mode == "read":
            run(vm, 0, 4 * MIB, "write", value=3)
        job = run(vm, 0, 4 * MIB, mode, value=5)
        assert (job.accesses, job.exits, job.first_exit) == (1024, 512, MIB)
        view = memory(vm).host.read(0, 4 * MIB)
        words = [int.from_bytes(view[page * PAGE : page * PAGE + 8], "little") for page in range(1024)]
        if mode == "read":
            assert job.sum == sum(words[:256] + words[768:])
        else:
            assert words == [5] * 256 + [0] * 512 + [5] * 256


def test_the_time_of_a_guest_is_what_passed() -> None:
    with machine(("sim", {}), "none", MIB) as vm:
        assert run(vm, 0, PAGE, rate=1).seconds < 1
