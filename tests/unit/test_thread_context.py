"""Thread contexts: their life beside tasks that use them, and what their properties refuse."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator
from typing import Any

import pytest

from ramslot.vm.config import Config
from ramslot.vm.errors import VMError
from ramslot.vm.host.linux import LinuxHost
from ramslot.vm.hostmem.backend import MemoryBackend
from ramslot.vm.hostmem.thread_context import ThreadContext
from ramslot.vm.machine import VirtualMachine
from ramslot.vm.steps import Cancellation, run_now

MIB = 1 << 20


def threads() -> set[str]:
    return set(os.listdir("/proc/self/task"))


def only(expected: set[str]) -> bool:
    """Whether these threads are left; a thread that has ended is seen for another moment."""
    deadline = time.monotonic() + 10
    while threads() != expected and time.monotonic() < deadline:
        time.sleep(0.001)
    return threads() == expected


@pytest.fixture
def vm() -> Iterator[VirtualMachine]:
    config = Config()
    config.machine_type = "none"
    before = threads()
    with VirtualMachine(config) as vm:
        yield vm
    assert only(before)


def context(vm: VirtualMachine, name: str = "tc", **properties: object) -> ThreadContext:
    arguments = {"qom-type": "thread-context", "id": name}
    made = run_now(vm.objects.add(arguments | {name.replace("_", "-"): value for name, value in properties.items()}))
    assert isinstance(made, ThreadContext)
    return made


PREALLOCATED: dict[str, Any] = {
    "qom-type": "memory-backend-ram", "id": "m", "size": 8 * MIB, "prealloc": True, "prealloc-context": "tc"
}  # fmt: skip


def test_a_context_deleted_while_it_works_ends_afterwards(vm: VirtualMachine) -> None:
    before = threads()
    context(vm)
    task = vm.objects.add(PREALLOCATED)
    step = next(task)
    run_now(vm.objects.delete("tc"))
    assert len(threads()) == len(before) + 1
    step(Cancellation())
    with pytest.raises(StopIteration):
        task.send(None)
    assert vm.tree.objects.get("m") == "/objects/m"
    run_now(vm.objects.delete("m"))
    assert only(before)


def test_another_context_may_be_chosen_while_one_works(vm: VirtualMachine) -> None:
    before = threads()
    context(vm)
    arguments = PREALLOCATED | {"prealloc": False}
    backend = run_now(vm.objects.add(arguments))
    assert isinstance(backend, MemoryBackend)
    task = backend.set_task("prealloc", True)
    assert task is not None
    step = next(task)
    backend.set("prealloc-context", "")
    run_now(vm.objects.delete("tc"))
    step(Cancellation())
    with pytest.raises(StopIteration):
        task.send(None)
    assert backend.get("prealloc") is True
    assert only(before)


def test_a_cancelled_backend_lets_go_of_its_context(vm: VirtualMachine) -> None:
    before = threads()
    context(vm)
    task = vm.objects.add(PREALLOCATED)
    step = next(task)
    cancelled = Cancellation()
    cancelled.requested = True
    with pytest.raises(VMError, match=r"^Operation cancelled$") as caught:
        step(cancelled)
    with pytest.raises(VMError, match=r"^Operation cancelled$"):
        task.throw(caught.value)
    assert (caught.value.hint, vm.objects.backends()) == (None, [])
    run_now(vm.objects.delete("tc"))
    assert only(before)


def test_what_could_not_be_made_leaves_no_thread(vm: VirtualMachine) -> None:
    before = threads()
    for properties, text in (
        ({"cpu_affinity": [5000]}, "Setting CPU affinity failed: Invalid argument"),
        ({"node_affinity": [5000]}, "The nodes select no CPUs"),
        ({"cpu_affinity": []}, "CPU list is empty"),
        ({"node_affinity": []}, "Node list is empty"),
        ({"cpu_affinity": [0], "node_affinity": [0]}, "Mixing CPU and node affinity not supported"),
    ):
        with pytest.raises(VMError, match=f"^{text}$"):
            context(vm, **properties)
    assert only(before)
    context(vm)
    with pytest.raises(VMError, match="duplicate"):
        context(vm)


def test_a_link_that_names_several_objects(vm: VirtualMachine) -> None:
    context(vm, "x")
    context(vm, "y")
    vm.tree.root.add_child("other", type(vm.tree.root)()).add_child("x", vm.tree.objects.children["y"])
    with pytest.raises(VMError, match=r"^Path 'x' does not uniquely identify an object$"):
        run_now(vm.objects.add(PREALLOCATED | {"prealloc-context": "x"}))


def test_a_host_that_moves_no_threads(vm: VirtualMachine, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(LinuxHost, "set_affinity", refuse)
    monkeypatch.setattr(LinuxHost, "node_cpus", lambda _host, _node: ())
    with pytest.raises(VMError, match=r"^Setting CPU affinity failed: Operation not permitted$"):
        context(vm, cpu_affinity=[0])
    with pytest.raises(VMError, match=r"^The nodes select no CPUs$"):
        context(vm, node_affinity=[0])
