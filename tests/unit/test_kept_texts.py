"""Texts that are kept between two looks at memory: never stale."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from ramslot.commands import Context
from ramslot.monitor.dispatch import run_hmp_line
from ramslot.vm.machine import VirtualMachine
from ramslot.vm.memory.region import MemoryRegion
from ramslot.vm.steps import run_now

from .memory_devices import GIB, MIB, add_backend, add_memory, machine, vm, want

__all__ = ("vm",)

VIEWS = ("info mtree", "info mtree -f", "info mtree -D", "info mtree -o", "info ramblock")


@contextmanager
def nothing_shown(vm: VirtualMachine) -> Iterator[None]:
    """Take away what views keep of regions, ranges and RAMBlocks, and give it back in the end."""
    regions: dict[MemoryRegion, None] = dict.fromkeys(space.root for space in vm.topology.spaces)
    for region in (queue := list(regions)):
        for other in (*region.subregions, *([region.alias] if region.alias is not None else [])):
            if other not in regions:
                regions[other] = None
                queue.append(other)
    views = {space.view for space in vm.topology.spaces}
    of_regions = [(region, region.shown) for region in regions]
    of_views = [(view, view.shown) for view in views]
    of_blocks = [(block, block.shown) for block in vm.topology.ram_blocks]
    for region in regions:
        region.shown = {}
    for view in views:
        view.shown = [None] * len(view.ranges)
    for block, _ in of_blocks:
        block.shown = None
    yield
    for region, kept_of_region in of_regions:
        region.shown = kept_of_region
    for view, kept_of_view in of_views:
        view.shown = kept_of_view
    for block, kept_of_block in of_blocks:
        block.shown = kept_of_block


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 9), max_size=12))
def test_kept_texts_are_never_stale(steps: list[int]) -> None:
    with machine() as vm:
        vm.plugging.guest.follow("accept")
        add_memory(vm, 3 * GIB, **{"dynamic-memslots": True})
        program: Any = None
        keeping = Context(vm, program)
        for number, step in enumerate(steps):
            if step < 4:
                want(vm, step * GIB)
            elif step == 4:
                add_backend(vm, f"m{number}", MIB)
            elif step == 5:
                add_backend(vm, f"m{number}", MIB)
                vm.plugging.add({"driver": "ivshmem-plain", "memdev": f"m{number}", "id": f"i{number}"}, hot=True)
            elif step == 6 and len(vm.plugging.devices) > 1:
                vm.plugging.request_removal(vm.plugging.devices[-1])
            elif step == 7:
                vm.machine.system.set_enabled(not vm.machine.system.enabled)
            elif step == 8 and vm.machine.ram is not None:
                vm.machine.ram.set_readonly(not vm.machine.ram.readonly)
            else:
                alias = next(each for each in vm.machine.system.subregions if each.name == "ram-below-4g")
                alias.set_alias_offset(MIB - alias.alias_offset)
            for view in VIEWS:
                for _ in range(2):
                    kept = run_now(run_hmp_line(keeping, view))
                    with nothing_shown(vm):
                        assert kept == run_now(run_hmp_line(Context(vm, program), view))


def test_ranges_tell_whether_they_are_in_slots_now(vm: VirtualMachine) -> None:
    program: Any = None

    def in_slots() -> int:
        return run_now(run_hmp_line(Context(vm, program), "info mtree -f")).count(" KVM\n")

    assert in_slots() == 0
    vm.accelerator.in_kernel = True
    at_first = in_slots()
    assert at_first > 1
    largest, vm.accelerator.slots.max_size = vm.accelerator.slots.max_size, 4096
    assert in_slots() < at_first
    vm.accelerator.slots.max_size = largest
    assert in_slots() == at_first
    vm.accelerator.in_kernel = False
    assert in_slots() == 0
