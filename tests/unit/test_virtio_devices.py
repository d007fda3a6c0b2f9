"""Devices on PCI and behind VirtIO: places, memslots and sizes against slow models, the guest's part, what failing leaves."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ramslot.commands import Context
from ramslot.commands.explain import query_address
from ramslot.commands.map import query_map
from ramslot.commands.what_if import what_if_device_add
from ramslot.monitor.dispatch import run_hmp_line
from ramslot.monitor.throttle import INTERVAL, EventThrottle
from ramslot.vm.config import Config
from ramslot.vm.devices.memslots import piece_size
from ramslot.vm.devices.pci import PCIDevice
from ramslot.vm.devices.preview import preview
from ramslot.vm.devices.virtio_mem import VirtIOMem
from ramslot.vm.devices.virtio_mem_proxy import VirtIOMemProxy
from ramslot.vm.errors import VMError
from ramslot.vm.host import Host
from ramslot.vm.host.virtual import VirtualHost
from ramslot.vm.host.virtual.reading import parse_description
from ramslot.vm.machine import VirtualMachine
from ramslot.vm.memory.region import MemoryRegion
from ramslot.vm.steps import Cancellation, run_now

from .test_devices import GIB, MIB, Asked, add_backend, machine, state

if TYPE_CHECKING:
    from ramslot.vm.steps import Task

V = "/machine/peripheral/v"
BLOCK = 2 * MIB


@pytest.fixture
def vm() -> Iterator[VirtualMachine]:
    with machine() as made:
        yield made


def add_memory(vm: VirtualMachine, size: int = 64 * MIB, **more: Any) -> VirtIOMem:
    """A virtio-mem device `v` with a backend of its own."""
    add_backend(vm, "b", size, reserve=False)
    device = vm.plugging.add({"driver": "virtio-mem-pci", "id": "v", "memdev": "b", **more}, hot=True)
    assert isinstance(device, VirtIOMemProxy)
    return device.virtio


def want(vm: VirtualMachine, size: int) -> None:
    vm.tree.resolve(V).set("requested-size", size)


def listen(vm: VirtualMachine) -> list[tuple[str, Any]]:
    events: list[tuple[str, Any]] = []
    vm.observers.append(lambda name, data: events.append((name, data)))
    return events


PLACES = st.lists(
    st.tuples(st.one_of(st.none(), st.integers(0, 63)), st.booleans(), st.booleans()), min_size=1, max_size=24
)


def model_of_place(taken: dict[int, bool], wanted: int | None, several: bool) -> int | None:
    """Where a device goes, cold, given who is there and says that its slot has several functions; None if nowhere."""
    if wanted is None:
        wanted = next((slot * 8 for slot in range(32) if slot * 8 not in taken), None)
    if wanted is None or wanted in taken:
        return None
    first = wanted // 8 * 8
    if wanted != first:
        return wanted if taken.get(first, True) else None
    return wanted if several or not any(first + other in taken for other in range(1, 8)) else None


@settings(max_examples=60, deadline=None)
@given(PLACES)
def test_places_on_the_bus_follow_a_model(steps: list[tuple[int | None, bool, bool]]) -> None:
    with machine() as vm:
        taken = {0x00: False, 0x08: True, 0x09: True, 0x0B: True}
        placed: list[PCIDevice] = []
        for number, (wanted, several, leave) in enumerate(steps):
            if leave and placed:
                gone = placed.pop(number % len(placed))
                assert gone.devfn is not None
                del taken[gone.devfn]
                vm.plugging.remove(gone)
                continue
            add_backend(vm, f"m{number}", MIB)
            address = {} if wanted is None else {"addr": f"{wanted // 8:x}.{wanted % 8}"}
            arguments = {"driver": "ivshmem-plain", "memdev": f"m{number}", "multifunction": several, **address}
            expected = model_of_place(taken, wanted, several)
            try:
                made = vm.plugging.add(arguments, hot=False)
            except VMError:
                assert expected is None
                continue
            assert isinstance(made, PCIDevice) and made.devfn is not None
            assert made.devfn == expected
            taken[made.devfn] = several
            placed.append(made)


@given(st.integers(1, 1 << 20), st.sampled_from([1, 2, 8, 512, 4096]), st.integers(1, 300))
def test_pieces_cover_the_memory_and_are_no_more_than_allowed(units: int, block: int, limit: int) -> None:
    """In units of a MiB."""
    size, block_size = units * block * MIB, block * MIB
    piece = piece_size(size, block_size, limit)
    count = -(-size // piece)
    assert count <= limit
    assert piece == size or (piece % block_size == 0 and piece >= GIB)
    if count > 1 and piece > GIB and piece > block_size:
        assert -(-size // (piece - block_size)) > limit, "they are not larger than they need be"


def shown_bytes(vm: VirtualMachine) -> int:
    """Bytes of the backend that the guest sees."""
    ranges = vm.machine.memory_space.view.ranges
    return sum(found.end - found.start for found in ranges if found.region.name == "b")


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["accept", "partial", "refuse", "none"]), st.integers(0, 1536)), max_size=12))
def test_sizes_follow_what_is_wanted(steps: list[tuple[str, int]]) -> None:
    with machine() as vm:
        memory = add_memory(vm, 3 * GIB, **{"dynamic-memslots": True})
        events = listen(vm)
        plugged = 0
        for policy, blocks in steps:
            vm.plugging.guest.follow("none")
            want(vm, blocks * BLOCK)
            vm.plugging.guest.follow(policy)
            there = {"accept": blocks * BLOCK, "partial": plugged + int((blocks * BLOCK - plugged) / 2 / BLOCK) * BLOCK}
            expected = there.get(policy, plugged)
            told = [("MEMORY_DEVICE_SIZE_CHANGE", {"id": "v", "size": expected, "qom-path": V})]
            assert events == (told if expected != plugged else [])
            events.clear()
            plugged = expected
            assert memory.plugged == plugged
            assert shown_bytes(vm) == -(-plugged // GIB) * GIB
            assert len([slot for slot in vm.accelerator.slots if slot.block.region_name == "b"]) == -(-plugged // GIB)


def test_more_than_there_is_is_not_waited_for(vm: VirtualMachine) -> None:
    vm.plugging.guest.follow("accept")
    memory = add_memory(vm, **{"requested-size": GIB})
    assert memory.plugged == 64 * MIB
    assert not vm.plugging.devices[0].wants_change


def test_what_was_asked_before_is_answered_when_there_is_a_guest(vm: VirtualMachine) -> None:
    memory = add_memory(vm, **{"requested-size": 4 * MIB})
    device = vm.plugging.add({"driver": "virtio-balloon-pci", "id": "n"}, hot=True)
    vm.plugging.resize_balloon(GIB // 2)
    events = listen(vm)
    vm.plugging.request_removal(device)
    assert memory.plugged == 0 and not events
    vm.plugging.guest.follow("refuse")
    assert memory.plugged == 0 and not events
    vm.plugging.request_removal(device)
    vm.plugging.guest.follow("accept")
    assert memory.plugged == 4 * MIB
    names = [name for name, _data in events]
    assert names.count("DEVICE_DELETED") == 2 or vm.plugging.find_balloon().actual == GIB // 2


class Waiting:
    """Tasks whose steps are run when it is asked for."""

    def __init__(self) -> None:
        self.tasks: list[Task[None]] = []

    def start(self, task: Task[None]) -> None:
        next(task)
        self.tasks.append(task)

    def finish(self) -> None:
        for task in self.tasks:
            with pytest.raises(StopIteration):
                task.send(None)
        self.tasks.clear()


def test_a_guest_that_takes_its_time(vm: VirtualMachine) -> None:
    waiting = Waiting()
    vm.plugging.guest.start_task = waiting.start
    vm.plugging.guest.follow("delay", 5)
    memory = add_memory(vm)
    want(vm, 8 * MIB)
    want(vm, 4 * MIB)
    assert memory.plugged == 0 and len(waiting.tasks) == 1
    waiting.finish()
    assert memory.plugged == 4 * MIB
    want(vm, 0)
    vm.plugging.guest.follow("none")
    waiting.finish()
    assert memory.plugged == 4 * MIB, "there is no guest any more"
    vm.plugging.guest.follow("delay", 5)
    waiting.finish()
    assert memory.plugged == 0
    device = vm.plugging.devices[0]
    vm.plugging.request_removal(device)
    vm.plugging.guest.follow("accept")
    assert not vm.plugging.devices
    waiting.finish()


def test_what_waits_is_not_done_by_another_rule(vm: VirtualMachine) -> None:
    waiting = Waiting()
    vm.plugging.guest.start_task = waiting.start
    vm.plugging.guest.follow("delay", 5)
    memory = add_memory(vm)
    want(vm, 64 * MIB)
    vm.plugging.guest.follow("partial")
    assert memory.plugged == 32 * MIB
    waiting.finish()
    assert memory.plugged == 32 * MIB


def test_memslots_that_others_may_need_are_theirs() -> None:
    with few_slots(520) as vm:
        add_memory(vm, 3 * GIB, **{"dynamic-memslots": True})
        add_backend(vm, "m", MIB * 4)
        vm.accelerator.slots.max_slots = len(list(vm.accelerator.slots)) + 3
        before = state(vm)
        with pytest.raises(VMError, match="hypervisor has not enough free memory slots left"):
            vm.plugging.add({"driver": "pc-dimm", "memdev": "m"}, hot=True)
        assert state(vm) == before
        vm.accelerator.slots.max_slots += 1
        vm.plugging.add({"driver": "pc-dimm", "memdev": "m"}, hot=True)
        vm.plugging.guest.follow("accept")
        want(vm, 3 * GIB)
        assert shown_bytes(vm) == 3 * GIB


def test_pages_that_do_not_go_are_told(vm: VirtualMachine, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = add_memory(vm)
    vm.plugging.guest.follow("accept")
    want(vm, 8 * MIB)

    def fail(_self: object, _start: int, _length: int) -> None:
        raise OSError(1, os.strerror(1))

    told: list[str] = []
    vm.on_warning = told.append
    monkeypatch.setattr(type(memory.backend.memory), "discard", fail)
    want(vm, 0)
    assert memory.plugged == 8 * MIB
    assert told == ["warning: the guest failed: Unexpected error discarding RAM: Operation not permitted"]
    add_backend(vm, "c", 4 * MIB)
    before = state(vm)
    with pytest.raises(VMError, match="Unexpected error discarding RAM"):
        vm.plugging.add({"driver": "virtio-mem-pci", "memdev": "c"}, hot=True)
    assert state(vm) == before
    run_now(vm.delete_object("c"))


def test_a_delay_really_passes(vm: VirtualMachine) -> None:
    vm.plugging.guest.follow("delay", 0.01)
    memory = add_memory(vm, **{"requested-size": BLOCK})
    assert memory.plugged == BLOCK
    cancellation = Cancellation()
    cancellation.requested = True
    tasks: list[Task[None]] = []
    vm.plugging.guest.start_task = tasks.append
    want(vm, 0)
    with pytest.raises(VMError, match="cancelled"):
        next(tasks[0])(cancellation)


REFUSED: tuple[dict[str, Any], ...] = (
    {"memdev": "absent"}, {"memdev": "used"}, {"addr": "1"}, {"addr": []}, {"addr": "x"}, {"addr": True}, {"addr": 1 << 70},
    {"requested-size": 1}, {"requested-size": {}}, {"block-size": 3}, {"block-size": 1 << 63}, {"memaddr": 7}, {"node": 3},
    {"memaddr": 1 << 63}, {"romfile": "x"}, {"failover_pair_id": "n"}, {"bus": "isa.0"}, {"bus": "absent"}, {"vectors": -1},
    {"disable-legacy": 5}, {"dynamic-memslots": True, "unplugged-inaccessible": "off"}, {"acpi-index": 1 << 20},
    {"memdev": "preallocated"}, {"size": 4}, {"virtio-backend": "x"}, {"busnr": 3}, {"sriov-pf": "q"}, {"realized": True},
)  # fmt: skip


@pytest.mark.parametrize("change", REFUSED)
def test_what_is_refused_changes_nothing(vm: VirtualMachine, change: dict[str, Any]) -> None:
    for name in ("used", "free"):
        add_backend(vm, name, 64 * MIB)
    add_backend(vm, "preallocated", 4 * MIB, prealloc=True)
    vm.plugging.add({"driver": "virtio-mem-pci", "memdev": "used", "id": "u"}, hot=True)
    arguments = {"driver": "virtio-mem-pci", "memdev": "free", "id": "v"}
    before, spaces = state(vm), [space.name for space in vm.topology.spaces]
    with pytest.raises(VMError):
        vm.plugging.add({**arguments, **change}, hot=True)
    assert (state(vm), [space.name for space in vm.topology.spaces]) == (before, spaces)
    vm.plugging.add(arguments, hot=True)


def few_slots(count: int) -> VirtualMachine:
    config = Config()
    config.machine_type, config.ram_size, config.max_ram_size, config.ram_slots = "pc", GIB, 8 * GIB, 4
    config.accelerators = [("sim", {"max-memslots": str(count)})]
    return VirtualMachine(config)


def test_a_full_slot_table_refuses_and_changes_nothing() -> None:
    with few_slots(5) as vm:
        add_backend(vm, "b", 64 * MIB)
        before, spaces = state(vm), len(vm.topology.spaces)
        with pytest.raises(VMError):
            vm.plugging.add({"driver": "virtio-mem-pci", "memdev": "b", "id": "v"}, hot=True)
        assert (state(vm), len(vm.topology.spaces)) == (before, spaces)
        run_now(vm.delete_object("b"))


def test_a_guest_for_which_there_are_no_slots_fails_and_people_are_told() -> None:
    with few_slots(600) as vm:
        memory = add_memory(vm, 3 * GIB, **{"dynamic-memslots": True})
        told: list[str] = []
        vm.on_warning = told.append
        slots = vm.accelerator.slots
        slots.max_slots = len(list(slots)) + 1
        vm.plugging.guest.follow("accept")
        want(vm, GIB)
        assert memory.plugged == GIB and not told
        want(vm, 2 * GIB)
        assert memory.plugged == GIB and shown_bytes(vm) == GIB
        assert len(told) == 1 and "the guest failed" in told[0]
        want(vm, 0)
        assert memory.plugged == 0


def test_a_host_without_memory_fails_and_people_are_told(vm: VirtualMachine, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = add_memory(vm, prealloc=True)
    assert memory.backend.memory is not None

    def fail(_start: int, _length: int) -> None:
        raise OSError(12, os.strerror(12))

    told: list[str] = []
    vm.on_warning = told.append
    monkeypatch.setattr(type(memory.backend.memory), "populate", lambda _self, start, length: fail(start, length))
    vm.plugging.guest.follow("accept")
    want(vm, BLOCK)
    assert memory.plugged == 0
    assert told == ["warning: the guest failed: no memory for the blocks of 'b': Cannot allocate memory"]


def test_many_rounds_leave_nothing(vm: VirtualMachine) -> None:
    vm.plugging.guest.follow("accept")

    def rounds(count: int) -> tuple[int, int, int]:
        for _ in range(count):
            add_memory(vm, 2 * GIB, **{"dynamic-memslots": True, "requested-size": BLOCK})
            want(vm, 2 * GIB)
            want(vm, 0)
            vm.plugging.add({"driver": "virtio-balloon-pci", "id": "n"}, hot=True)
            vm.plugging.resize_balloon(GIB // 2)
            for device in list(vm.plugging.devices):
                vm.plugging.request_removal(device)
            run_now(vm.delete_object("b"))
        gc.collect()
        regions = sum(isinstance(found, MemoryRegion) for found in gc.get_objects())
        with open("/proc/self/maps") as maps:
            return len(os.listdir("/proc/self/fd")), regions, len(maps.readlines())

    rounds(20)
    before, blocks = rounds(20), state(vm)
    after = rounds(300)
    assert state(vm) == blocks
    assert after[:2] == before[:2] and abs(after[2] - before[2]) < 10


WHAT_IF: tuple[tuple[str, dict[str, Any], str | None], ...] = (
    ("pc", {"driver": "virtio-mem-pci", "memdev": "free"}, None),
    ("pc", {"driver": "virtio-mem-pci", "memdev": "free", "addr": "1"}, "leave out addr="),
    (
        "pc",
        {"driver": "virtio-mem-pci", "memdev": "free", "memaddr": 5},
        "leave out memaddr=; it goes to 0x100000000 then",
    ),
    ("pc", {"driver": "virtio-mem-pci", "memdev": "odd"}, "make the backend 4M or 6M large, a multiple of 2M"),
    ("pc", {"driver": "virtio-mem-pci", "memdev": "absent"}, "name a memory backend that exists: memdev=ID"),
    ("pc", {"driver": "virtio-mem-pci", "memdev": "huge"}, "start the machine with -m …,maxmem=20G"),
    ("pc", {"driver": "virtio-balloon-pci"}, None),
    ("pc", {"driver": "virtio-balloon-pci", "bus": "isa.0"}, ""),
    (
        "q35",
        {"driver": "virtio-mem-pci", "memdev": "free"},
        "have it from the start: -device virtio-mem-pci,memdev=free",
    ),
    ("q35", {"driver": "virtio-balloon"}, "have it from the start: -device virtio-balloon"),
)


@pytest.mark.parametrize(("machine_type", "arguments", "fix"), WHAT_IF)
def test_what_would_become_of_it(machine_type: str, arguments: dict[str, Any], fix: str | None) -> None:
    with machine(machine_type=machine_type) as vm:
        for name, size in (("free", 64 * MIB), ("odd", 5 * MIB), ("huge", 19 * GIB)):
            add_backend(vm, name, size, reserve=False)
        before = state(vm)
        told: list[str] = []
        vm.on_warning = told.append
        found = preview(vm.plugging, {**arguments, "block-size": MIB} if "memdev" in arguments else arguments)
        assert state(vm) == before and not told
        found = preview(vm.plugging, arguments)
        assert found.fix == (fix or None)
        context: Any = Asked(vm)
        answer = what_if_device_add(context, arguments)
        assert answer["fits"] == (fix is None)
        if fix is None:
            assert answer["function"] == "0000:00:02.0"
            vm.plugging.add(arguments, hot=True)


def test_dynamic_memslots_are_foreseen(vm: VirtualMachine) -> None:
    add_backend(vm, "b", 3 * GIB, reserve=False)
    context: Any = Asked(vm)
    arguments = {"driver": "virtio-mem-pci", "memdev": "b", "dynamic-memslots": True}
    assert what_if_device_add(context, arguments)["memslots"] == 3
    assert what_if_device_add(context, {**arguments, "dynamic-memslots": False})["memslots"] == 1


def test_map_and_why_tell_what_is_plugged(vm: VirtualMachine) -> None:
    vm.plugging.guest.follow("accept")
    add_memory(vm, 3 * GIB, **{"dynamic-memslots": True, "requested-size": GIB // 2})
    context: Any = Asked(vm)
    kinds = [
        (shown["kind"], shown["name"], shown["start"]) for shown in query_map(context, {}) if shown["start"] >= 4 * GIB
    ]
    assert kinds[:3] == [("ram", "b", 4 * GIB), ("unplugged", "v", 5 * GIB), ("room", "", 7 * GIB)]
    told = [
        query_address(context, {"address": address}).get("device") for address in (4 * GIB, 4 * GIB + GIB // 2, 5 * GIB)
    ]
    device = {"path": V, "type": "virtio-mem-pci"}
    assert told == [{**device, "plugged": True}, {**device, "plugged": False}, {**device, "plugged": False}]
    assert query_address(context, {"address": 7 * GIB})["room"]
    assert "room" not in query_address(context, {"address": 1 << 45})


class Clock:
    """A loop of which only the time is real."""

    def __init__(self) -> None:
        self.now = 0.0
        self.waiting: list[tuple[float, Callable[..., object], tuple[Any, ...]]] = []

    def call_later(self, seconds: float, callback: Callable[..., object], *arguments: Any) -> None:
        self.waiting.append((self.now + seconds, callback, arguments))

    def move(self, to: float) -> None:
        while True:
            due = sorted((row for row in self.waiting if row[0] <= to), key=lambda row: row[0])
            if not due:
                break
            self.waiting.remove(due[0])
            self.now = due[0][0]
            due[0][1](*due[0][2])
        self.now = to


@given(st.lists(st.tuples(st.floats(0, 2), st.sampled_from(["a", "b"])), max_size=20))
def test_events_that_come_too_fast_wait(steps: list[tuple[float, str]]) -> None:
    clock, told = Clock(), []
    loop: Any = clock
    throttle = EventThrottle(loop, lambda _name, data, when, _more: told.append((clock.now, data["qom-path"], when)))
    happened: dict[str, list[int]] = {"a": [], "b": []}
    for number, (pause, path) in enumerate(steps):
        clock.move(clock.now + pause)
        happened[path].append(number)
        throttle.tell(("E", {"qom-path": path}, number, 0))
    clock.move(clock.now + 10)
    for path, numbers in happened.items():
        times = [(when, number) for when, of, number in told if of == path]
        assert [number for _when, number in times][-1:] == numbers[-1:], "the latest is told"
        assert [number for _when, number in times] == sorted(number for _when, number in times)
        assert all(later[0] - earlier[0] >= INTERVAL - 1e-9 for earlier, later in pairwise(times))


def test_on_a_described_host_memory_goes_back_too() -> None:
    host: Host = VirtualHost(parse_description({"nodes": [{"memory": 8 * GIB}]}))
    config = Config()
    config.machine_type, config.ram_size, config.max_ram_size, config.ram_slots = "pc", GIB, 8 * GIB, 4
    with VirtualMachine(config, host) as vm:
        vm.plugging.guest.follow("accept")
        free = host.available_memory
        add_memory(vm, GIB, prealloc=True)
        want(vm, GIB // 2)
        assert free - host.available_memory == GIB // 2
        want(vm, GIB // 4)
        assert free - host.available_memory == GIB // 4
        want(vm, 0)
        assert host.available_memory == free


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


def test_a_balloon_leaves_alone_what_keeps_its_contents() -> None:
    config = Config()
    config.machine_type, config.ram_size, config.max_ram_size, config.ram_slots = "pc", 64 * MIB, GIB, 4
    config.machine_options = {"nvdimm": "on"}
    with VirtualMachine(config) as vm:
        for name in ("kept", "d"):
            add_backend(vm, name, 64 * MIB)
        vm.plugging.add({"driver": "nvdimm", "memdev": "kept"}, hot=True)
        module = vm.plugging.add({"driver": "pc-dimm", "memdev": "d"}, hot=True)
        memory = [backend.memory for backend in vm.backends() if backend.name in ("kept", "d")]
        for each in memory:
            assert each is not None
            each.write(0, b"contents")
        vm.plugging.guest.follow("accept")
        vm.plugging.add({"driver": "virtio-balloon-pci"}, hot=True)
        balloon = vm.plugging.find_balloon()
        assert balloon.actual == 128 * MIB
        vm.plugging.resize_balloon(16 * MIB)
        assert sorted(each.read(0, 8) for each in memory if each is not None) == [bytes(8), b"contents"]
        vm.plugging.request_removal(module)
        assert balloon.actual == 0
        vm.plugging.resize_balloon(64 * MIB)
        assert balloon.actual == 64 * MIB


def test_a_device_with_one_piece_has_its_memslot(vm: VirtualMachine) -> None:
    add_memory(vm, 64 * MIB, **{"dynamic-memslots": True})
    add_backend(vm, "m", 4 * MIB)
    vm.accelerator.slots.max_slots = len(list(vm.accelerator.slots)) + 1
    with pytest.raises(VMError):
        vm.plugging.add({"driver": "pc-dimm", "memdev": "m"}, hot=True)
    vm.plugging.guest.follow("accept")
    want(vm, 64 * MIB)
    assert shown_bytes(vm) == 64 * MIB


def test_no_more_is_wanted_of_what_is_to_go(vm: VirtualMachine) -> None:
    memory = add_memory(vm)
    vm.plugging.request_removal(vm.plugging.devices[0])
    with pytest.raises(VMError, match="in the process of unplug"):
        want(vm, BLOCK)
    assert memory.requested == 0


def test_contents_stay_where_plugging_fails(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"contents" + bytes(64 * MIB - 8))
    with few_slots(5) as vm:
        path = str(tmp_path / "file")
        properties = {"qom-type": "memory-backend-file", "id": "f", "size": 64 * MIB, "mem-path": path, "share": True}
        run_now(vm.add_object(properties))
        with pytest.raises(VMError):
            vm.plugging.add({"driver": "virtio-mem-pci", "memdev": "f"}, hot=True)
    assert (tmp_path / "file").read_bytes()[:8] == b"contents"
