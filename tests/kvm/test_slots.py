"""The machine's memslots in a real KVM: the same that real QEMU registers, and really the machine's memory."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ramslot.vm.accel.memslots import Memslot
from ramslot.vm.config import Config
from ramslot.vm.devices.values import OptionText
from ramslot.vm.errors import VMError
from ramslot.vm.host.kvm import KVM, KVMVM, KVMError
from ramslot.vm.host.linux import LinuxHost
from ramslot.vm.machine import VirtualMachine
from ramslot.vm.memory.ramblock import RAMBlock

from ..differential.oracle import qemu

MIB = 1 << 20
GIB = 1 << 30
PAGE = os.sysconf("SC_PAGE_SIZE")
TRACE = re.compile(
    r"kvm_set_user_memory (?:AddrSpace#0 )?Slot#(\d+) flags=(0x\w+) gpa=(0x\w+) size=(0x\w+) ua=0x\w+ (?:guest_memfd=\S+ guest_memfd_offset=\S+ )?ret=(-?\d+)"
)

Slots = dict[int, tuple[int, int, int]]
"""gpa, size and flags by slot number."""

try:
    KVM(LinuxHost()).close()
except KVMError as error:
    pytestmark = pytest.mark.skip(reason=error.reason)


def footprint() -> tuple[list[str], list[str]]:
    """Open files, and mappings of guest memory: all that the kernel was told to leave out of forks."""
    fds = [f"/proc/self/fd/{fd}" for fd in os.listdir("/proc/self/fd")]
    links = [os.readlink(fd) for fd in fds if os.path.lexists(fd)]
    with open("/proc/self/smaps") as smaps:
        guest = [line for line in smaps if line.startswith("VmFlags:") and " dc " in line]
    return sorted(links), guest


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    before = footprint()
    yield
    assert footprint() == before


class Spy:
    """What the kernel was told and took."""

    def __init__(self) -> None:
        self.vm: KVMVM | None = None
        self.slots: Slots = {}

    def watch(self, register: Callable[..., None]) -> Callable[..., None]:
        def set_user_memory_region(
            vm: KVMVM, slot: int, flags: int, gpa: int, size: int, hva: int, as_id: int = 0
        ) -> None:
            register(vm, slot, flags, gpa, size, hva, as_id)
            self.vm = vm
            if size:
                self.slots[slot] = gpa, size, flags
            else:
                del self.slots[slot]

        return set_user_memory_region


@pytest.fixture
def spy(monkeypatch: pytest.MonkeyPatch) -> Spy:
    spy = Spy()
    monkeypatch.setattr(KVMVM, "set_user_memory_region", spy.watch(KVMVM.set_user_memory_region))
    return spy


@pytest.fixture
def start() -> Iterator[Callable[..., VirtualMachine]]:
    machines: list[VirtualMachine] = []

    def start(machine_type: str, ram_size: int | None = None, **options: object) -> VirtualMachine:
        config = Config()
        config.machine_type = machine_type
        config.ram_size = ram_size
        config.accelerators = [("kvm", {})]
        for name, value in options.items():
            setattr(config, name, value)
        machines.append(VirtualMachine(config))
        return machines[-1]

    yield start
    for machine in machines:
        machine.close()


def table(vm: VirtualMachine) -> Slots:
    return {
        memslot.slot: (memslot.gpa, memslot.size, (2 if memslot.readonly else 0) | memslot.log_dirty)
        for memslot in vm.accelerator.slots
    }


def slots_of_qemu(release: str, arguments: list[str]) -> Slots:
    """Replay the trace of real QEMU."""
    program = qemu("x86_64", release)
    if program is None:
        pytest.skip(f"no QEMU {release} to compare with")
    command = [program, *arguments, "-accel", "kvm", "-display", "none", "-nodefaults", "-S", "-monitor", "stdio"]
    command += ["-d", "trace:kvm_set_user_memory"]
    done = subprocess.run(command, input="quit\n", capture_output=True, text=True, timeout=60, check=True)
    slots: Slots = {}
    for number, *fields, result in TRACE.findall(done.stderr):
        flags, gpa, size = (int(field, 16) for field in fields)
        assert result == "0"
        if size:
            slots[int(number)] = gpa, size, flags
        else:
            slots.pop(int(number))
    assert slots, done.stderr
    return slots


VERSIONS = (
    "pc-i440fx-1.4",
    "pc-i440fx-1.7",
    "pc-i440fx-2.1",
    "pc-i440fx-4.2",
    "pc-q35-2.4",
    "pc-q35-4.0",
    "pc-q35-6.0",
)
COMMON = ("none", "pc", "q35", "microvm")
MACHINES = [
    *(("7.2", machine) for machine in (*COMMON, "isapc", *VERSIONS)),
    *(("11.1", machine) for machine in (*COMMON, "pc-i440fx-8.1", "pc-q35-5.2")),
    *(("10.0", machine) for machine in COMMON),
    *(("5.2", machine) for machine in COMMON),
]


@pytest.mark.parametrize("megabytes", [128, 2048, 3583, 3584, 4096, 6144])
@pytest.mark.parametrize(("release", "machine_type"), MACHINES)
def test_slots_equal_those_of_real_qemu(
    release: str, machine_type: str, megabytes: int, start: Callable[..., VirtualMachine], spy: Spy
) -> None:
    vm = start(machine_type, megabytes * MIB, qemu=release)
    assert table(vm) == slots_of_qemu(release, ["-M", machine_type, "-m", f"{megabytes}M"])
    assert spy.slots == table(vm)


@pytest.mark.parametrize("release", ["5.2", "7.2", "10.0", "11.1"])
@pytest.mark.parametrize("machine_type", ["pc", "q35", "isapc", "pc-i440fx-5.2", "pc-q35-5.2"])
@pytest.mark.parametrize("model", ["std", "cirrus"])
def test_slots_beside_a_vga_equal_those_of_real_qemu(
    model: str, machine_type: str, release: str, start: Callable[..., VirtualMachine], spy: Spy
) -> None:
    if (model, machine_type) == ("std", "isapc"):
        pytest.skip("QEMU logs what the guest draws, which nobody looks at here")
    vm = start(machine_type, 128 * MIB, qemu=release, vga=model)
    assert table(vm) == slots_of_qemu(release, ["-M", machine_type, "-m", "128M", "-vga", model])
    assert spy.slots == table(vm)


@pytest.mark.parametrize("release", ["5.2", "7.2", "10.0", "11.1"])
def test_slots_of_dimms_equal_those_of_real_qemu(start: Callable[..., VirtualMachine], release: str) -> None:
    backends = {"a": 256 * MIB, "b": 64 * MIB, "c": 6 * MIB}
    options = ["-M", "q35,nvdimm=on", "-m", "1G,slots=4,maxmem=4G"]
    for name, size in backends.items():
        options += ["-object", f"memory-backend-ram,id={name},size={size}"]
    plugged: list[dict[str, str]] = [
        {"driver": "pc-dimm", "memdev": "a", "addr": "0x120000000"},
        {"driver": "nvdimm", "memdev": "b", "label-size": "2M"},
        {"driver": "pc-dimm", "memdev": "c"},
    ]
    for device in plugged:
        options += ["-device", ",".join(f"{name}={value}" for name, value in device.items())]
    vm = start(
        "q35",
        GIB,
        qemu=release,
        max_ram_size=4 * GIB,
        ram_slots=4,
        machine_options={"nvdimm": "on"},
        objects=[{"qom-type": "memory-backend-ram", "id": name, "size": size} for name, size in backends.items()],
        devices=[("", {name: OptionText(value) for name, value in device.items()}) for device in plugged],
    )
    assert table(vm) == slots_of_qemu(release, options)


@pytest.mark.parametrize("size", [5 * PAGE, 1_000_001])
@pytest.mark.parametrize("readonly", [False, True])
def test_slots_of_odd_and_read_only_backends_equal_those_of_real_qemu(
    size: int, readonly: bool, start: Callable[..., VirtualMachine], tmp_path: Path
) -> None:
    path = str(tmp_path / "ram")
    with open(path, "wb") as file:
        file.truncate(2 * MIB)
    properties = {"id": "m", "size": size, "mem-path": path, "share": True, "readonly": readonly}
    vm = start(
        "none",
        qemu="7.2",
        machine_options={"memory-backend": "m"},
        objects=[{"qom-type": "memory-backend-file", **properties}],
    )
    text = f"memory-backend-file,id=m,size={size},mem-path={path},share=on,readonly={'on' if readonly else 'off'}"
    assert table(vm) == slots_of_qemu("7.2", ["-M", "none,memory-backend=m", "-object", text])


@pytest.mark.parametrize("machine_type", ["none", "pc", "q35"])
def test_each_slot_is_the_memory_of_its_block(
    machine_type: str, start: Callable[..., VirtualMachine], spy: Spy
) -> None:
    """A byte written at a slot's hva, through the kernel, is the byte that the RAMBlock shows, and the other way."""
    vm = start(machine_type, 4 * GIB)
    with open("/proc/self/mem", "r+b", buffering=0) as memory:
        for number, memslot in enumerate(vm.accelerator.slots, 1):
            for distance in (0, memslot.size - 1):
                memory.seek(memslot.hva + distance)
                memory.write(bytes([number]))
                offset = memslot.offset + distance
                assert memslot.block.host.read(offset, 1) == bytes([number])
                memslot.block.host.write(offset, bytes([number + 100]))
                memory.seek(memslot.hva + distance)
                assert memory.read(1) == bytes([number + 100])


def test_roms_are_read_only_for_the_guest(start: Callable[..., VirtualMachine], spy: Spy) -> None:
    vm = start("pc", 128 * MIB)
    flags = {gpa: flags for gpa, _, flags in spy.slots.values()}
    assert flags == {0: 0, 0x100000: 0, 0xC0000: 2, 0xE0000: 2, 0xFFFC0000: 2}
    assert {memslot.gpa for memslot in vm.accelerator.slots if memslot.readonly} == {0xC0000, 0xE0000, 0xFFFC0000}


def test_a_large_section_takes_many_slots_in_the_kernel(start: Callable[..., VirtualMachine], spy: Spy) -> None:
    vm = start("none", GIB, accelerators=[("kvm", {"max-memslot-size": str(16 * MIB)})])
    assert spy.slots == {number: (number * 16 * MIB, 16 * MIB, 0) for number in range(64)}
    assert table(vm) == spy.slots
    assert spy.vm is not None
    for memslot in vm.accelerator.slots:
        with pytest.raises(FileExistsError):
            spy.vm.set_user_memory_region(1000, 0, memslot.gpa + 16 * MIB - PAGE, PAGE, memslot.hva)


def test_slots_come_and_go_with_regions(start: Callable[..., VirtualMachine], spy: Spy) -> None:
    vm = start("none", 2 * MIB, accelerators=[("kvm", {"max-memslot-size": str(MIB)})])
    system, ram = vm.machine.system, vm.machine.ram
    assert ram is not None
    window = vm.topology.alias("window", ram, MIB, MIB)
    system.add_subregion(GIB, window)
    assert spy.slots[2] == (GIB, MIB, 0)
    ram.set_dirty_log_mask(1)
    assert {number: flags for number, (_, _, flags) in spy.slots.items()} == {0: 1, 1: 1, 2: 1}
    ram.set_dirty_log_mask(0)
    window.set_readonly(True)
    assert spy.slots[2] == (GIB, MIB, 2)
    ram.set_enabled(False)
    assert spy.slots == {}
    ram.set_enabled(True)
    assert spy.slots == table(vm) == {0: (0, MIB, 0), 1: (MIB, MIB, 0), 2: (GIB, MIB, 2)}


def test_the_kernels_refusal_changes_nothing(start: Callable[..., VirtualMachine], spy: Spy) -> None:
    """Somebody else's slot is in the way of the second of two regions that are added together."""
    vm = start("none", 2 * MIB)
    ram, system, before = vm.machine.ram, vm.machine.system, table(vm)
    assert ram is not None
    assert spy.vm is not None
    block = ram.ram_block
    assert isinstance(block, RAMBlock)
    spy.vm.set_user_memory_region(1000, 0, 2 * GIB, PAGE, block.host.address)
    others = dict(spy.slots)
    windows = [vm.topology.alias(str(number), ram, 0, MIB) for number in range(2)]
    with (
        pytest.raises(
            VMError,
            match=r"gpa 0x80000000, size 0x100000, .*: File exists \(it overlaps a slot that is not in the table\)$",
        ),
        vm.topology.transaction(),
    ):
        system.set_size(8 * GIB)
        for number, window in enumerate(windows, 1):
            system.add_subregion(number * GIB, window)
    assert table(vm) == before
    assert spy.slots == others
    assert [window.container for window in windows] == [None, None]
    assert [flat.region for flat in vm.machine.memory_space.view.ranges] == [ram]
    spy.vm.set_user_memory_region(1000, 0, 2 * GIB, 0, block.host.address)
    system.add_subregion(2 * GIB, windows[1])
    assert table(vm) == {0: (0, 2 * MIB, 0), 1: (2 * GIB, MIB, 0)}


def test_too_few_slots_are_a_start_error_that_leaves_nothing() -> None:
    config = Config()
    config.machine_type, config.ram_size = "none", GIB
    config.accelerators = [("kvm", {"max-memslot-size": str(16 * MIB), "max-memslots": "63"})]
    with pytest.raises(VMError, match=r"not enough memslots: 64 needed, 63 free of 63"):
        VirtualMachine(config)


def test_each_refusal_of_the_kernel_is_explained(start: Callable[..., VirtualMachine]) -> None:
    """The rule that is named is the one that was broken: every other thing about the slot was right."""
    vm = start("none", 4 * MIB, accelerators=[("kvm", {"max-memslot-size": str(2 * MIB)})])
    slots = vm.accelerator.slots
    assert vm.machine.ram is not None
    block = vm.machine.ram.ram_block
    assert isinstance(block, RAMBlock)
    free = 1 << 32
    limit = slots.max_slots

    def refusal(
        number: int, gpa: int, size: int = MIB, offset: int = 0, *, readonly: bool = False, as_id: int = 0
    ) -> str:
        with pytest.raises(VMError) as caught:
            slots.put(Memslot(number, as_id, gpa, size, block, offset, readonly, False))
        return str(caught.value).partition(": ")[2].partition(": ")[2]

    assert refusal(5, 3 * MIB) == "File exists (it overlaps slot 1 (0x200000-0x3fffff))"
    assert refusal(5, MIB, 2 * MIB) == "File exists (it overlaps slot 0 (0x0-0x1fffff))"
    assert refusal(1, MIB, 2 * MIB, 2 * MIB) == "File exists (it overlaps slot 0 (0x0-0x1fffff))"
    assert refusal(5, free + 1) == f"Invalid argument (gpa {free + 1:#x} is not a multiple of the page size {PAGE:#x})"
    assert refusal(5, free, MIB + 1) == f"Invalid argument (size 0x100001 is not a multiple of the page size {PAGE:#x})"
    assert "hva " in (text := refusal(5, free, offset=1)) and text.endswith(
        " is not a multiple of the page size 0x1000)"
    )
    assert refusal(limit + 8, free) == f"Invalid argument (slot {limit + 8} is beyond the last, {limit - 1})"
    kept = "Invalid argument (slot 0 exists (0x0-0x1fffff) and cannot change its "
    assert refusal(0, 0, MIB) == kept + "size 0x200000)"
    assert refusal(0, 0, 2 * MIB, readonly=True) == kept + "protection against writes)"
    assert refusal(0, 0, 2 * MIB, 2 * MIB) == kept + "host memory)"
    assert refusal(5, (1 << 64) - MIB, 2 * MIB) == "Invalid argument (it ends beyond the last address)"
