"""Dumps: holes are not read, what a descriptor is, what goes wrong on the way, cancellation, and what is left then."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from ramslot import Config, VirtualMachine, VMError
from ramslot.vm.dump import dump as dump_module
from ramslot.vm.dump.file import DumpFile
from ramslot.vm.dump.pieces import machine_pieces
from ramslot.vm.steps import Cancellation, run_now

MIB = 1 << 20


def machine(board: str = "none", size: int = 8 * MIB, **members: Any) -> VirtualMachine:
    config = Config()
    config.machine_type, config.ram_size, config.paused = board, size, True
    for name, value in members.items():
        setattr(config, name, value)
    return VirtualMachine(config)


@pytest.fixture
def vm() -> Iterator[VirtualMachine]:
    before = len(os.listdir("/proc/self/fd"))
    with machine() as vm:
        yield vm
    assert len(os.listdir("/proc/self/fd")) == before


def events_of(vm: VirtualMachine) -> list[tuple[str, Any]]:
    seen: list[tuple[str, Any]] = []
    vm.observers.append(lambda name, data: seen.append((name, data)))
    return seen


def write(vm: VirtualMachine, address: int, data: bytes) -> None:
    found = vm.machine.memory_space.view.find(address)
    assert found is not None and found.region.ram_block is not None
    found.region.ram_block.host.write(found.offset + address - found.start, data)


def test_a_terabyte_of_holes_is_neither_read_nor_written(tmp_path: Path) -> None:
    backend = {"qom-type": "memory-backend-ram", "id": "m", "size": 1 << 40, "reserve": False}
    core = tmp_path / "core"
    with machine(size=1 << 40, objects=[backend], machine_options={"memory-backend": "m"}) as vm:
        write(vm, (1 << 40) - 3, b"end")
        try:
            run_now(vm.dump.start(DumpFile.create(str(core))))
        except VMError as error:  # a file system whose files are never so large
            pytest.skip(str(error))
        assert vm.dump.describe() == {"status": "completed", "completed": 1 << 40, "total": 1 << 40}
        block = next(iter(vm.topology.ram_blocks))
        assert sum(count for _first, count in block.host.populated(0, 1 << 40)) <= 2 * MIB
    status = core.stat()
    assert status.st_size > 1 << 40 and status.st_blocks * 512 <= 8 * MIB and status.st_mode & 0o777 == 0o400
    with core.open("rb") as file:
        file.seek(-len(b"end\0.shstrtab\0"), os.SEEK_END)
        assert file.read() == b"end\0.shstrtab\0"


def test_a_file_that_is_there_is_emptied_and_stays_when_it_fails(vm: VirtualMachine, tmp_path: Path) -> None:
    core = tmp_path / "core"
    core.write_bytes(b"x" * 20 * MIB)
    run_now(vm.dump.start(DumpFile.create(str(core))))
    assert 8 * MIB < core.stat().st_size < 9 * MIB
    with pytest.raises(VMError, match="no guest memory to dump"):
        vm.dump.start(DumpFile.create(str(core)), 1 << 40, 1)
    assert core.stat().st_size == 0 and vm.dump.describe() == {"status": "failed", "completed": 0, "total": 0}
    with pytest.raises(VMError, match="no guest memory to dump"):
        vm.dump.start(DumpFile.create(str(tmp_path / "new")), 1 << 40, 1)
    assert os.listdir(tmp_path) == ["core"]


@pytest.mark.parametrize("flags", [0, os.O_APPEND])
def test_a_descriptor_is_written_from_where_it_stands_on(vm: VirtualMachine, flags: int, tmp_path: Path) -> None:
    """Over what is there already, whose bytes are no holes."""
    path, plain = tmp_path / "given", tmp_path / "plain"
    path.write_bytes(b"y" * (12 * MIB))
    write(vm, 5 * MIB, b"here")
    run_now(vm.dump.start(DumpFile.create(str(plain))))
    fd = os.open(path, os.O_WRONLY | flags)
    os.lseek(fd, 100, os.SEEK_SET)
    run_now(vm.dump.start(DumpFile(fd, "fd:given")))
    start = 12 * MIB if flags else 100
    written = path.read_bytes()
    assert written[start : start + plain.stat().st_size] == plain.read_bytes()
    assert written[:start] == b"y" * start and written[start + plain.stat().st_size :].strip(b"y") == b""


def test_through_a_pipe(vm: VirtualMachine, tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    write(vm, 3 * MIB + 5, b"here")
    run_now(vm.dump.start(DumpFile.create(str(plain))))
    source, sink = os.pipe()
    got = bytearray()

    def read_all() -> None:
        while data := os.read(source, MIB):
            got.extend(data)

    reader = threading.Thread(target=read_all)
    reader.start()
    run_now(vm.dump.start(DumpFile(sink, "fd:pipe")))
    reader.join()
    os.close(source)
    assert got == plain.read_bytes()


def test_a_pipe_that_nobody_reads_any_more(vm: VirtualMachine) -> None:
    source, sink = os.pipe()
    os.close(source)
    seen = events_of(vm)
    with pytest.raises(VMError, match=r"^dump: failed to write elf header: Broken pipe$"):
        run_now(vm.dump.start(DumpFile(sink, "fd:pipe")))
    result = {"status": "failed", "completed": 0, "total": 8 * MIB}
    assert seen == [("DUMP_COMPLETED", {"result": result, "error": "dump: failed to write elf header: Broken pipe"})]


def run_on_a_thread(task: Generator[Any, Any, None]) -> tuple[threading.Thread, Cancellation]:
    step, cancellation = next(task), Cancellation()

    def run() -> None:
        try:
            step(cancellation)
        except VMError as error:
            with pytest.raises(VMError):
                task.throw(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread, cancellation


@pytest.mark.parametrize("running", [False, True])
def test_cancelled_while_nobody_takes_what_is_written(vm: VirtualMachine, running: bool, tmp_path: Path) -> None:
    if running:
        vm.run_state.cont()
    seen = events_of(vm)
    source, sink = os.pipe()
    thread, _cancellation = run_on_a_thread(vm.dump.start(DumpFile(sink, "fd:pipe")))
    time.sleep(0.05)
    assert vm.is_dumping and vm.run_state.name == ("save-vm" if running else "prelaunch")
    for refused in (vm.run_state.cont, vm.run_state.stop):
        with pytest.raises(VMError, match="There is a dump in process"):
            refused()
    vm.dump.cancel()
    thread.join(10)
    os.close(source)
    assert not thread.is_alive() and vm.run_state.running is running
    names = [name for name, _data in seen]
    assert names == (["STOP", "DUMP_COMPLETED", "RESUME"] if running else ["DUMP_COMPLETED"])
    assert dict(seen)["DUMP_COMPLETED"]["error"] == "Operation cancelled"


def test_cancelled_before_it_has_begun_leaves_no_file(vm: VirtualMachine, tmp_path: Path) -> None:
    task = vm.dump.start(DumpFile.create(str(tmp_path / "core")))
    vm.dump.cancel()
    with pytest.raises(VMError, match=r"^Operation cancelled$"):
        run_now(task)
    assert os.listdir(tmp_path) == [] and vm.dump.describe()["status"] == "failed"


def test_of_a_page_that_the_host_has_not_is_told_where_and_why(tmp_path: Path) -> None:
    path = tmp_path / "memory"
    backend: dict[str, Any] = {"qom-type": "memory-backend-file", "id": "m", "size": 8 * MIB, "mem-path": str(path)}
    with machine(objects=[backend | {"share": True}], machine_options={"memory-backend": "m"}) as vm:
        os.truncate(path, 5 * MIB)
        place = rf"memory-backend-file 'm' \+ 0x500000: the file {path} ends at 0x500000"
        text = f"^dump: failed to save memory: the host has no page for {place}$"
        with pytest.raises(VMError, match=text):
            run_now(vm.dump.start(DumpFile.create(str(tmp_path / "core"))))
        assert os.listdir(tmp_path) == ["memory"]


def test_memory_that_goes_meanwhile(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Read whole: shared memory has no holes that anybody knows."""
    backend: dict[str, Any] = {"qom-type": "memory-backend-ram", "id": "m", "size": 8 * MIB, "share": True}
    monkeypatch.setattr(dump_module, "PORTION", MIB)
    vm = machine(objects=[backend], machine_options={"memory-backend": "m"})
    task = vm.dump.start(DumpFile.create(str(tmp_path / "core")))
    step = next(task)
    vm.close()
    with pytest.raises(VMError, match="some of this memory has gone meanwhile") as failure:
        step(Cancellation())
    with pytest.raises(VMError):
        task.throw(failure.value)
    assert os.listdir(tmp_path) == []


def test_what_is_seen_as_one_is_one_piece() -> None:
    """The parts of pc.ram that firmware's settings cut are apart only where something else is between them."""
    with machine("pc", 6 << 30) as vm:
        found = [(piece.start, piece.end, piece.block.region_name) for piece in machine_pieces(vm)]
    assert found == [
        (0, 0xC0000, "pc.ram"),
        (0xC0000, 0xE0000, "pc.rom"),
        (0xE0000, 0x100000, "pc.bios"),
        (0x100000, 0xC0000000, "pc.ram"),
        (0xFFFC0000, 1 << 32, "pc.bios"),
        (1 << 32, (6 << 30) + (1 << 30), "pc.ram"),
    ]
