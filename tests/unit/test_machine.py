"""VirtualMachine: starting, failing to start, running, events, and giving all back."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

from ramslot.vm.config import Config
from ramslot.vm.errors import VMError
from ramslot.vm.host.linux import LinuxHost
from ramslot.vm.machine import VirtualMachine
from ramslot.vm.objects import is_identifier, object_types
from ramslot.vm.releases import NEWEST, find_release
from ramslot.vm.steps import run_now

KIB = 1 << 10
MIB = 1 << 20
GIB = 1 << 30
TIB = 1 << 40


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


def configured(machine_type: str | None = None, **fields: Any) -> Config:
    config = Config()
    config.machine_type = machine_type
    for name, value in fields.items():
        setattr(config, name, value)
    return config


def backend(name: str, size: int, **properties: Any) -> dict[str, Any]:
    return {"qom-type": "memory-backend-ram", "id": name, "size": size, **properties}


def blocks(vm: VirtualMachine) -> list[tuple[str, int, int]]:
    return [(block.name, block.offset, block.max_length) for block in vm.topology.ram_blocks]


def test_every_field_of_a_configuration_begins_as_it_is_declared() -> None:
    config = Config()
    assert set(Config.__annotations__) == set(Config.__slots__)
    for name, declared in Config.__annotations__.items():
        assert (getattr(config, name) is None) == declared.endswith("| None"), name


def test_with_nothing_given_it_is_qemus_default_machine() -> None:
    vm = VirtualMachine(Config())
    assert (vm.machine_type.name, vm.target.name) == (f"pc-i440fx-{NEWEST}", "x86_64")
    assert vm.machine.ram_size == 128 * MIB
    assert blocks(vm)[0] == ("pc.ram", 0, 128 * MIB)
    assert (vm.accelerator.name, vm.run_state.name) == ("sim", "running")
    vm.close()


@pytest.mark.parametrize(
    ("machine_type", "megabytes", "low", "high"),
    [
        ("pc", 3583, 3583, 0),
        ("pc", 3584, 3072, 512),
        ("q35", 2815, 2815, 0),
        ("q35", 2816, 2048, 768),
        ("s390-ccw-virtio", 9000, 9000, 0),
        ("none", 5000, 5000, 0),
    ],
)
def test_ram_is_where_the_board_has_it(machine_type: str, megabytes: int, low: int, high: int) -> None:
    vm = VirtualMachine(configured(machine_type, ram_size=megabytes * MIB))
    shown = [flat for flat in vm.machine.memory_space.view.ranges if flat.region is vm.machine.ram]
    assert max(flat.end for flat in shown if flat.start < 4 * GIB) == low * MIB
    if high:
        assert (shown[-1].start, shown[-1].end, shown[-1].offset) == (4 * GIB, 4 * GIB + high * MIB, low * MIB)
    vm.close()


@overcommits
@pytest.mark.parametrize("machine_type", ["s390-ccw-virtio", "none"])
def test_a_laptop_holds_a_guest_of_twelve_tebibytes(machine_type: str) -> None:
    config = configured(machine_type, objects=[backend("m", 12 * TIB, reserve=False)])
    config.machine_options = {"memory-backend": "m"}
    vm = VirtualMachine(config)
    assert vm.machine.ram_size == 12 * TIB
    assert sum(memslot.size for memslot in vm.accelerator.slots) == 12 * TIB
    assert blocks(vm) == [("m", 0, 12 * TIB)]
    vm.close()


def test_backends_come_before_the_ram() -> None:
    vm = VirtualMachine(configured("none", ram_size=MIB, objects=[backend("a", 4 * KIB), backend("b", 2 * MIB)]))
    assert blocks(vm) == [("", 256 * KIB, 2 * MIB), ("ram", 256 * KIB + 2 * MIB, MIB), ("", 0, 4 * KIB)]
    vm.close()


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"machine_type": "nosuch"}, 'unsupported machine type: "nosuch"'),
        ({"machine_options": {"nosuch": "1"}}, "Property 'none-machine.nosuch' not found"),
        ({"machine_options": {"mem-merge": "maybe"}}, "Parameter 'mem-merge' expects 'on' or 'off'"),
        ({"machine_options": {"memory-backend": "m"}}, "Memory backend 'm' not found"),
        (
            {"machine_options": {"memory-backend": "m"}, "mem_path": "/tmp"},
            "'-mem-path' can't be used together with'-machine memory-backend'",
        ),
        (
            {"machine_options": {"memory-backend": "m"}, "objects": [backend("m", MIB)], "ram_size": 2 * MIB},
            "Machine memory size does not match the size of the memory backend",
        ),
        (
            {"objects": [backend("ram", MIB)], "ram_size": MIB},
            "object's id 'ram' is reserved for the default RAM backend, it can't be used for any other purposes",
        ),
        (
            {"objects": [backend("m", MIB), backend("m", MIB)]},
            "attempt to add duplicate property 'm' to object (type 'container')",
        ),
        ({"ram_size": 1 << 50}, "cannot set up guest memory 'ram': Cannot allocate memory"),
        (
            {"accelerators": [("sim", {"max-memslots": "1", "max-memslot-size": "4096"})], "ram_size": MIB},
            "not enough memslots: 256 needed, 1 free of 1",
        ),
        ({"machine_type": "s390-ccw-virtio", "ram_size": MIB + 8192}, "ram size must be multiples of 1 MiB"),
        ({"machine_type": "pc", "firmware": "/nosuch"}, "could not load PC BIOS '/nosuch'"),
    ],
)
def test_a_refused_start_leaves_nothing(fields: dict[str, Any], text: str) -> None:
    with pytest.raises(VMError) as caught:
        VirtualMachine(configured(**{"machine_type": "none", **fields}))
    assert str(caught.value).partition("\n")[0] == text


def test_the_first_accelerator_that_works_is_taken() -> None:
    host = LinuxHost()
    host.kvm_device = "/nosuch/kvm"
    config = configured("none", accelerators=[("kvm", {}), ("sim", {"max-memslots": "7"})])
    vm = VirtualMachine(config, host)
    assert (vm.accelerator.name, vm.accelerator.slots.max_slots) == ("sim", 7)
    assert vm.warnings[-1] == "falling back to sim"
    vm.close()
    with pytest.raises(VMError, match=r"^failed to initialize kvm: No such file or directory$"):
        VirtualMachine(configured("none", accelerators=[("kvm", {})]), host)


def test_an_emulator_has_no_slots() -> None:
    vm = VirtualMachine(configured("pc", accelerators=[("tcg", {})]))
    assert (len(vm.accelerator.slots), vm.accelerator.follows) == (0, False)
    vm.close()


def test_run_states_and_events() -> None:
    vm = VirtualMachine(configured("none", paused=True))
    events: list[tuple[str, object]] = []
    vm.observers.append(lambda name, data: events.append((name, data)))
    assert (vm.run_state.name, vm.run_state.running) == ("prelaunch", False)
    vm.run_state.stop()
    vm.run_state.cont()
    vm.run_state.cont()
    assert (vm.run_state.name, vm.run_state.running) == ("running", True)
    vm.run_state.stop()
    vm.run_state.stop()
    assert vm.run_state.name == "paused"
    vm.reset("host-qmp-system-reset")
    assert vm.run_state.name == "prelaunch"
    reset = {"guest": False, "reason": "host-qmp-system-reset"}
    assert events == [("RESUME", None), ("STOP", None), ("RESET", reset)]
    vm.close()


def test_an_observer_may_leave_while_it_is_told() -> None:
    vm = VirtualMachine(configured("none"))
    told: list[str] = []

    def once(name: str, _data: object) -> None:
        told.append(name)
        vm.observers.remove(once)

    vm.observers += [once, lambda name, _data: told.append(name)]
    vm.emit("STOP")
    vm.emit("RESUME")
    assert told == ["STOP", "STOP", "RESUME"]
    vm.close()


def test_objects_that_are_used_stay() -> None:
    config = configured("none", objects=[backend("m", MIB), backend("idle", MIB)])
    config.machine_options = {"memory-backend": "m"}
    vm = VirtualMachine(config)
    for name, text in (("m", "Cannot delete host memory backend 'm' which is mapped"), ("x", "object 'x' not found")):
        with pytest.raises(VMError, match=f"^{text}$"):
            run_now(vm.objects.delete(name))
    run_now(vm.objects.delete("idle"))
    assert [found.name for found in vm.objects.backends()] == ["m"]
    with pytest.raises(VMError, match=r"^can't use already busy memdev: m$"):
        vm.objects.backends()[0].take()
    vm.close()


def test_the_300th_object_finds_the_place_of_the_first() -> None:
    vm = VirtualMachine(configured("none", ram_size=MIB))
    before = footprint()
    offsets = set()
    for _ in range(300):
        run_now(vm.objects.add(backend("m", 64 * KIB)))
        offsets.add(next(block.offset for block in vm.topology.ram_blocks if block.region_name == "m"))
        run_now(vm.objects.delete("m"))
    assert offsets == {MIB}
    assert footprint() == before
    vm.close()


def test_closing_twice() -> None:
    vm = VirtualMachine(configured("pc", objects=[backend("m", MIB)]))
    vm.close()
    vm.close()
    assert (blocks(vm), len(vm.accelerator.slots)) == ([], 0)


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        ("m", True),
        ("pc.ram", True),
        ("a-b_c.1", True),
        ("", False),
        ("1a", False),
        ("_a", False),
        ("ä", False),
        ("a/b", False),
    ],
)
def test_identifiers(text: str, valid: bool) -> None:
    assert is_identifier(text) is valid


def test_object_types() -> None:
    oldest = ["memory-backend-file", "memory-backend-memfd", "memory-backend-ram"]
    assert object_types(find_release("5.2")) == ["iothread", *oldest, "secret"]
    assert object_types(find_release("7.2")) == ["iothread", *oldest, "secret", "thread-context"]
    assert object_types(find_release("10.0")) == ["iothread", *oldest, "memory-backend-shm", "secret", "thread-context"]


@pytest.mark.parametrize("machine", ["pc-q35-7.2", "virt-7.2", "malta"])
def test_no_ram_where_qemu_dies_of_it(machine: str) -> None:
    config = Config()
    config.machine_type, config.ram_size = machine, 0
    with pytest.raises(VMError, match=f"^Machine type '{machine}' cannot start without RAM$"):
        VirtualMachine(config)
