"""What a guest may be asked, and the gate that its slices go through."""

from __future__ import annotations

import threading
import time

import pytest

from ramslot.vm.accel.guest import Gate
from ramslot.vm.accel.guest_job import GuestJob
from ramslot.vm.accel.sim import SimMemslotTable
from ramslot.vm.accel.sim_guest import SimProcessor
from ramslot.vm.config import Config
from ramslot.vm.errors import VMError
from ramslot.vm.machine import VirtualMachine
from ramslot.vm.steps import run_now


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((4, 8), "Parameter 'start' expects a multiple of 8"),
        ((0, 12), "Parameter 'length' expects a multiple of 8"),
        ((0, 0), "Parameter 'length' expects a size above 0"),
        ((0, 8, "write", 9), "Parameter 'stride' expects a multiple of 8"),
        ((0, 8, "write", 0), "Parameter 'stride' expects a size above 0"),
    ],
)
def test_jobs_that_cannot_be(arguments: tuple[int, ...], text: str) -> None:
    with pytest.raises(VMError) as caught:
        GuestJob(*arguments)  # type: ignore[arg-type]  # a mode is among them
    assert str(caught.value) == text


@pytest.mark.parametrize("name", ["tcg", "qtest"])
def test_an_accelerator_without_slots_runs_no_guest(name: str) -> None:
    config = Config()
    config.machine_type, config.accelerators = "none", [(name, {})]
    with VirtualMachine(config) as vm, pytest.raises(VMError, match=f"^accelerator {name} has no memslots, which a "):
        vm.start_guest(GuestJob(0, 8))


def test_who_holds_the_gate_waits_for_the_end_of_a_slice_and_keeps_the_next_one_out() -> None:
    gate = Gate()
    inside, leave, entered = threading.Event(), threading.Event(), []

    def guest() -> None:
        for number in range(2):
            assert gate.enter(lambda: True, lambda: False)
            entered.append(number)
            inside.set()
            leave.wait()
            gate.leave()

    thread = threading.Thread(target=guest)
    thread.start()
    inside.wait()
    threading.Timer(0.05, leave.set).start()
    with gate:
        assert leave.is_set()
        assert entered == [0]
        with gate:
            time.sleep(0.1)
        time.sleep(0.1)
        assert entered == [0]
    thread.join()
    assert entered == [0, 1]


def test_a_guest_that_must_wait_can_be_stopped() -> None:
    gate = Gate()
    with gate:
        began = time.monotonic()
        assert not gate.enter(lambda: True, lambda: time.monotonic() > began + 0.1)
    assert not gate.enter(lambda: False, lambda: time.monotonic() > began + 0.2)


def test_a_guest_that_looks_at_the_slots_just_before_a_change_looks_again_after_it() -> None:
    config = Config()
    config.machine_type, config.ram_size = "none", 1 << 20
    with VirtualMachine(config) as vm:
        slots = vm.accelerator.slots
        assert isinstance(slots, SimMemslotTable)
        processor = SimProcessor(slots)
        job = GuestJob(0, 1 << 20)

        class LateSlice:
            """A slice that was under way when the change wanted to begin."""

            def __enter__(self) -> None:
                processor.run(job, 0x8000, 1)

            def __exit__(self, *_error: object) -> None:
                pass

        slots.guest_held = LateSlice()
        hole = vm.topology.io("hole", 4096)
        vm.machine.system.add_subregion(0x8000, hole, 1)
        assert job.exits == 0
        processor.run(job, 0x8000, 1)
        assert (job.exits, job.first_exit) == (1, 0x8000)
        vm.machine.system.remove_subregion(hole)
        assert job.exits == 2
        processor.run(job, 0x8000, 1)
        assert job.exits == 2


def test_a_guest_takes_pages_of_a_virtual_host() -> None:
    config = Config()
    config.machine_type, config.ram_size, config.host = "none", 64 << 20, "nodes=1,memory=16M,overcommit=1"
    with VirtualMachine(config) as vm:
        memory = vm.topology.ram_blocks
        (block,) = memory
        job = run_now(vm.start_guest(GuestJob(0, 8 << 20)))
        assert (job.status, vm.host.residency([block.host])) == ("completed", [{0: 8 << 20}])
        job = run_now(vm.start_guest(GuestJob(1 << 20, 32 << 20, stride=1 << 20)))
        assert (job.status, vm.host.residency([block.host])) == ("completed", [{0: (8 << 20) + 25 * 4096}])
        job = run_now(vm.start_guest(GuestJob(0, 64 << 20)))
        assert job.status == "failed"
        assert job.error.startswith("the host has no page for the guest at 0x")
        assert vm.host.available_memory == 0


def test_a_job_goes_to_another_machine_whole() -> None:
    job = GuestJob(4096, 8192, "pattern", value=7, passes=3)
    job.advance(1)
    job.note_exit(4096)
    taken = GuestJob.taken_over(job.told())
    assert taken.told() == job.told()
    assert (taken.position, taken.passes_done) == (8192, 0)
    assert taken.advance(1) == 12288
    assert (taken.position, taken.passes_done) == (4096, 1)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(
            ("value", 1.5),
            ("passes", "x"),
            ("accesses", [1]),
            ("stride", 8.0),
            ("seconds", float("inf")),
            ("stride", 0),
        ),
        *(("seconds", "1"), ("start", -4096), ("mode", "x"), ("mode", []), ("position", 0), ("position", 4097)),
        *(("length", 0), ("first_exit", "x"), ("sum", 1 << 64), ("rate", True), ("seconds", float("nan"))),
    ],
)
def test_a_job_that_cannot_be_read_is_refused(name: str, value: object) -> None:
    told = GuestJob(4096, 8192).told()
    with pytest.raises(VMError):
        GuestJob.taken_over({**told, name: value})
    del told[name]
    with pytest.raises(VMError):
        GuestJob.taken_over(told)
