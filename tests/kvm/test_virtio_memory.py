"""Memory that comes and goes with a guest's driver: its memslots in a real KVM, and its pages by the kernel's own word."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ramslot.vm.config import Config
from ramslot.vm.host.kvm import KVM, KVMError
from ramslot.vm.host.linux import LinuxHost
from ramslot.vm.machine import VirtualMachine

from ..differential.oracle import our_command, qemu
from ..differential.test_devices import Asked
from ..differential.virtio_driver import PLUG, UNPLUG, UNPLUG_ALL, QTest, VirtIODriver, memory_request

MIB = 1 << 20
GIB = 1 << 30
BLOCK = 2 * MIB
SLOT = 2
MOST_BLOCKS = 32768
"""How many one request may have."""
TRACE = re.compile(r"Slot#(\d+) flags=(0x\w+) gpa=(0x\w+) size=(0x\w+)")

try:
    KVM(LinuxHost()).close()
    NO_KVM = ""
except KVMError as error:
    NO_KVM = error.reason
needs_kvm = pytest.mark.skipif(bool(NO_KVM), reason=NO_KVM)

Slots = dict[int, tuple[int, int]]


def replay(trace: str) -> Slots:
    """gpa and size of each slot."""
    slots: Slots = {}
    for number, _flags, gpa, size in TRACE.findall(trace):
        if int(size, 16):
            slots[int(number)] = int(gpa, 16), int(size, 16)
        else:
            slots.pop(int(number))
    return slots


def requests(present: int, wanted: int, base: int) -> Iterator[bytes]:
    """What a driver asks for on the way from `present` to `wanted` bytes."""
    low, high = sorted((present, wanted))
    for start in range(low, high, MOST_BLOCKS * BLOCK):
        blocks = min(high - start, MOST_BLOCKS * BLOCK) // BLOCK
        yield memory_request(PLUG if wanted > present else UNPLUG, base + start, blocks)


@needs_kvm
@pytest.mark.parametrize(
    ("release", "size", "max_size", "dynamic"),
    [
        ("5.2", 4, 9, False),
        ("7.2", 4, 9, False),
        *(
            (release, size, most, True)
            for release in ("10.0", "11.1")
            for size, most in ((4, 9), (8, 9), (5, 300), (7, 300), (60, 70))
        ),
        ("11.1", 4, 9, False),
    ],
)
def test_slots_follow_what_is_plugged(release: str, size: int, max_size: int, dynamic: bool, tmp_path: Path) -> None:
    program = qemu("x86_64", release)
    if program is None:
        pytest.skip(f"no QEMU {release} to compare with")
    reserve = "" if release == "5.2" else ",reserve=off"
    options = f"-M pc -m 1G,slots=2,maxmem={max_size}G -object memory-backend-ram,id=a,size={size}G{reserve} -accel kvm"
    options += " -display none -nodefaults -qmp stdio -S"
    qtest, trace = QTest(tmp_path / "qtest"), tmp_path / "trace"
    theirs = Asked([program, *options.split(), "-trace", "kvm_set_user_memory", "-D", str(trace), *qtest.options])
    qtest.accept()
    ours = Asked(our_command("x86_64", options.split(), release))
    device = {"driver": "virtio-mem-pci", "memdev": "a", "id": "v"} | ({"dynamic-memslots": True} if dynamic else {})
    try:
        for one in (theirs, ours):
            assert one.ask("device_add", **device) == {"return": {}}
        ours.ask("set-guest-policy", policy="accept")
        driver = VirtIODriver(qtest, SLOT)
        driver.start(2, 1)
        base, present = driver.config(16, "q"), 0
        for wanted in (3 * GIB, size * GIB, GIB + BLOCK, GIB, GIB - BLOCK, BLOCK, size * GIB // 2, 0):
            for one in (theirs, ours):
                one.ask("qom-set", path="/machine/peripheral/v", property="requested-size", value=wanted)
            for request in requests(present, wanted, base):
                assert driver.send(0, request, 10) == bytes(10)
            present = wanted
            told = {slot["slot"]: (slot["gpa"], slot["size"]) for slot in ours.ask("query-memslots")["return"]["slots"]}
            assert told == replay(trace.read_text())
        assert driver.send(0, memory_request(UNPLUG_ALL), 10) == bytes(10)
    finally:
        theirs.close()
        ours.close()
        qtest.close()


def resident(address: int) -> int:
    """Bytes of a mapping that are there, as the kernel says."""
    with open("/proc/self/smaps") as smaps:
        text = smaps.read()
    for block in re.split(r"\n(?=[0-9a-f]+-[0-9a-f]+ )", text):
        start = int(block.partition("-")[0], 16)
        if start == address:
            found = re.search(r"^Rss: +(\d+) kB", block, re.MULTILINE)
            assert found is not None
            return int(found[1]) << 10
    raise AssertionError(f"no mapping at {address:#x}")


@pytest.fixture
def vm(tmp_path: Path) -> Iterator[VirtualMachine]:
    (tmp_path / "file").touch()
    os.truncate(tmp_path / "file", 64 * MIB)
    config = Config()
    config.machine_type, config.ram_size, config.max_ram_size, config.ram_slots = "pc", 64 * MIB, GIB, 2
    backends: list[dict[str, Any]] = [
        {"qom-type": "memory-backend-ram", "id": "ram"},
        {"qom-type": "memory-backend-ram", "id": "shared", "share": True},
        {"qom-type": "memory-backend-memfd", "id": "memfd"},
        {"qom-type": "memory-backend-file", "id": "file", "mem-path": str(tmp_path / "file"), "share": True},
    ]
    config.objects = [{**backend, "size": 64 * MIB} for backend in backends]
    machine = VirtualMachine(config)
    yield machine
    machine.close()


@pytest.mark.parametrize("backend", ["ram", "shared", "memfd", "file"])
@pytest.mark.parametrize("prealloc", [False, True])
def test_what_is_unplugged_goes_back_to_the_host(
    backend: str, prealloc: bool, vm: VirtualMachine, tmp_path: Path
) -> None:
    vm.plugging.guest.follow("accept")
    device = {"driver": "virtio-mem-pci", "memdev": backend, "id": "v", "prealloc": prealloc}
    vm.plugging.add(device, hot=True)
    memory = vm.tree.objects.children[backend].memory  # type: ignore[attr-defined]  # a backend
    proxy = vm.machine.children["peripheral"].children["v"]
    assert resident(memory.address) == 0
    proxy.set("requested-size", 48 * MIB)
    assert resident(memory.address) == (48 * MIB if prealloc else 0)
    memory.populate(0, 48 * MIB)
    memory.write(40 * MIB, b"there")
    proxy.set("requested-size", 16 * MIB)
    assert resident(memory.address) == 16 * MIB
    if backend == "file":
        assert os.stat(tmp_path / "file").st_blocks * 512 == 16 * MIB
    vm.plugging.reset()
    vm.plugging.guest.follow("none")
    proxy.set("requested-size", 0)
    vm.plugging.reset()
    assert resident(memory.address) == 0
    assert memory.read(40 * MIB, 5) == bytes(5)


def test_what_the_balloon_has_is_the_hosts(vm: VirtualMachine) -> None:
    vm.plugging.guest.follow("accept")
    vm.plugging.add({"driver": "virtio-balloon-pci", "id": "b"}, hot=True)
    assert vm.machine.memory_backend is not None
    memory = vm.machine.memory_backend.memory
    assert memory is not None
    memory.populate(0, 64 * MIB)
    address = memory.address
    vm.plugging.resize_balloon(20 * MIB + 4096)
    assert resident(address) == 20 * MIB + 4096
    assert vm.plugging.find_balloon().actual == 20 * MIB + 4096
    vm.plugging.resize_balloon(64 * MIB)
    assert resident(address) == 20 * MIB + 4096
    memory.populate(0, 64 * MIB)
    vm.plugging.guest.follow("refuse")
    vm.plugging.resize_balloon(MIB)
    assert resident(address) == 64 * MIB
    vm.plugging.guest.follow("partial")
    assert vm.plugging.find_balloon().actual == 64 * MIB - 63 * MIB // 2
