"""The guest's part in virtio-mem and the balloon: what is wanted is done, late, in part or not at all; people are told."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ramslot.vm.config import Config
from ramslot.vm.errors import VMError
from ramslot.vm.host import Host
from ramslot.vm.host.virtual import VirtualHost
from ramslot.vm.host.virtual.reading import parse_description
from ramslot.vm.machine import VirtualMachine
from ramslot.vm.steps import Cancellation, run_now

from .memory_devices import BLOCK, GIB, MIB, V, add_backend, add_memory, listen, machine, shown_bytes, state, vm, want

if TYPE_CHECKING:
    from ramslot.vm.steps import Task

__all__ = ("vm",)


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
    size_change = {"id": "v", "size": 4 * MIB, "qom-path": V}
    assert events == [("MEMORY_DEVICE_SIZE_CHANGE", size_change), ("BALLOON_CHANGE", {"actual": GIB // 2})]
    assert device in vm.plugging.devices, "its removal was refused, and that is over"
    vm.plugging.guest.follow("none")
    vm.plugging.request_removal(device)
    assert device in vm.plugging.devices
    vm.plugging.guest.follow("accept")
    assert device not in vm.plugging.devices
    assert ("DEVICE_DELETED", {"device": "n", "path": "/machine/peripheral/n"}) in events


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


def test_no_more_is_wanted_of_what_is_to_go(vm: VirtualMachine) -> None:
    memory = add_memory(vm)
    vm.plugging.request_removal(vm.plugging.devices[0])
    with pytest.raises(VMError, match="in the process of unplug"):
        want(vm, BLOCK)
    assert memory.requested == 0


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
    run_now(vm.objects.delete("c"))


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


def test_a_balloon_leaves_alone_what_keeps_its_contents() -> None:
    config = Config()
    config.machine_type, config.ram_size, config.max_ram_size, config.ram_slots = "pc", 64 * MIB, GIB, 4
    config.machine_options = {"nvdimm": "on"}
    with VirtualMachine(config) as vm:
        for name in ("kept", "d"):
            add_backend(vm, name, 64 * MIB)
        vm.plugging.add({"driver": "nvdimm", "memdev": "kept"}, hot=True)
        module = vm.plugging.add({"driver": "pc-dimm", "memdev": "d"}, hot=True)
        memory = [backend.memory for backend in vm.objects.backends() if backend.name in ("kept", "d")]
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
