"""`why`, `info map` and `info slots-cost`: what they say, in text and as QMP."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ramslot.commands import Context
from ramslot.monitor.dispatch import HMPLineError, execute, is_task, run_hmp_line
from ramslot.schema import contract
from ramslot.vm.config import Config
from ramslot.vm.errors import VMError
from ramslot.vm.machine import VirtualMachine
from ramslot.vm.releases import find_release
from ramslot.vm.steps import run_now

CONTRACT = contract(find_release(None).number)

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30


@pytest.fixture
def make() -> Iterator[Callable[..., Context]]:
    """Make machines whose commands can be run; they are closed at the end."""
    machines: list[VirtualMachine] = []

    def start(machine_type: str = "pc", size: int = 6 * GIB, **fields: Any) -> Context:
        config = Config()
        config.machine_type, config.ram_size = machine_type, size
        for name, value in fields.items():
            setattr(config, name, value)
        machines.append(VirtualMachine(config))
        return Context(machines[-1], None)  # type: ignore[arg-type]  # no command here needs the program

    yield start
    for machine in machines:
        machine.close()


def ask(context: Context, command: str, **arguments: Any) -> Any:
    given = {name.replace("_", "-"): value for name, value in arguments.items()}
    result = execute(context, command, given)
    result = run_now(result) if is_task(result) else result
    CONTRACT.check_result(command, result)
    return result


def hmp(context: Context, line: str) -> str:
    return run_now(run_hmp_line(context, line))


def test_the_whole_chain(make: Callable[..., Context]) -> None:
    context = make()
    slots = {slot.gpa: slot for slot in context.vm.accelerator.slots}
    address = 5 * GIB
    info = ask(context, "query-address", address=address)
    assert [step["name"] for step in info["path"]] == ["system", "ram-above-4g", "pc.ram"]
    assert info["path"][1]["alias"] == {"name": "pc.ram", "offset": 3 * GIB}
    assert [step["offset"] for step in info["path"]] == [address, GIB, 4 * GIB]
    assert info["range"]["start"] == 4 * GIB and not info["range"]["readonly"]
    assert info["ramblock"] == {"name": "pc.ram", "offset": 4 * GIB, "ram-address": 4 * GIB}
    slot = slots[4 * GIB]
    assert info["memslot"] == {"slot": slot.slot, "as-id": 0, "offset": GIB}
    assert info["host"]["address"] == slot.hva + GIB
    assert info["backend"] == {"path": "/objects/pc.ram", "type": "memory-backend-ram"}
    assert info["shadowed"] == []


def test_the_node_is_told_once_the_page_is_there(make: Callable[..., Context]) -> None:
    context = make("none", MIB)
    assert "node" not in ask(context, "query-address", address=0x1234)["host"]
    (slot,) = context.vm.accelerator.slots
    slot.block.host.write(0x1000, b"\1")
    assert ask(context, "query-address", address=0x1234)["host"]["node"] in context.vm.host.nodes
    assert "on node" in hmp(context, "why 0x1234")


@pytest.mark.parametrize(
    ("address", "reasons"),
    [
        (0xC0000, {("disabled", "pam-ram"), ("priority", "pam-pci"), ("disabled", "pam-rom"), ("disabled", "pam-pci")}),
        (0xFFFFFFF0, set()),
    ],
)
def test_who_is_hidden_and_why(make: Callable[..., Context], address: int, reasons: set[tuple[str, str]]) -> None:
    info = ask(make(), "query-address", address=address)
    assert {(each["reason"], each["by"]) for each in info["shadowed"]} == reasons
    assert info["readonly-by"] == info["path"][-1]["name"]


def test_where_nothing_is(make: Callable[..., Context]) -> None:
    context = make()
    info = ask(context, "query-address", address=-1)
    assert info == {"address": (1 << 64) - 1, "address-space": "memory", "path": [], "shadowed": []}
    assert hmp(context, "why 0xffffffffffffffff").startswith("0xffffffffffffffff is nothing")


def test_other_address_spaces(make: Callable[..., Context]) -> None:
    context = make()
    info = ask(context, "query-address", address=0xCF8, address_space="I/O")
    assert info["path"][-1]["name"] == "pci-conf-idx"
    assert "memslot" not in info and "ramblock" not in info
    with pytest.raises(VMError, match=r"^address space 'nosuch' not found$"):
        ask(context, "query-address", address=0, address_space="nosuch")


@pytest.mark.parametrize("address", ["", "x", "-1", "0x10000000000000000", "1.2.3", "16E"])
def test_bad_addresses(make: Callable[..., Context], address: str) -> None:
    with pytest.raises(HMPLineError):
        hmp(make("none", 0), f"why {address}")


def test_text_and_its_qmp_twin(make: Callable[..., Context]) -> None:
    context = make()
    assert '"query-address", "arguments": {"address": 4294967296}' in hmp(context, "why 4G --qmp")
    lines = hmp(context, "why 0x100000000").splitlines()
    assert lines[0] == "0x100000000 is pc.ram + 0xc0000000 (ram)"
    expected = "ram-above-4g: 0000000100000000-00000001bfffffff, prio 0, alias of pc.ram @0xc0000000"
    assert lines[2].strip() == expected
    assert "memslot:    1 of address space 0, + 0x0" in lines


MACHINES = ["none", "pc", "q35", "microvm", "isapc", "virt", "pseries", "s390-ccw-virtio"]


@pytest.mark.parametrize("machine_type", MACHINES)
def test_the_map_has_every_address_once(make: Callable[..., Context], machine_type: str) -> None:
    context = make(machine_type, 1 * GIB)
    end = -1
    slots = []
    for shown in ask(context, "query-map"):
        assert shown["start"] == end + 1 and shown["end"] >= shown["start"]
        assert (shown["kind"] == "hole") == (not shown["name"])
        slots += [slot["slot"] for slot in shown["slots"]]
        for slot in shown["slots"]:
            assert shown["start"] <= slot["start"] <= slot["end"] <= shown["end"]
        end = shown["end"]
    assert end == (1 << 64) - 1
    assert sorted(slots) == sorted(slot.slot for slot in context.vm.accelerator.slots)
    text = hmp(context, "info map")
    assert text.count("█") + text.count("▓") > 0
    assert len(text.splitlines()) < 200


def test_the_map_is_to_scale(make: Callable[..., Context]) -> None:
    lines = hmp(make("q35", 8 * GIB), "info map").splitlines()
    rows: list[tuple[str, int]] = []
    for line in lines:
        if line[0] != " ":
            rows.append((line, 0))
        rows[-1] = (rows[-1][0], rows[-1][1] + 1)
    heights = {line.split()[0]: height for line, height in rows}
    assert heights["0000000100000000"] == pytest.approx(3 * heights["0000000000100000"], abs=1)
    assert all(height == 1 for line, height in rows if "nothing" in line)


def test_a_machine_without_memory_has_a_map(make: Callable[..., Context]) -> None:
    context = make("none", 0)
    assert [shown["kind"] for shown in ask(context, "query-map")] == ["hole"]
    assert "nothing" in hmp(context, "info map")
    for line, error in (("info map --output", "string expected"), ("info map nonsense", "extraneous")):
        with pytest.raises(HMPLineError, match=error):
            hmp(context, line)


def test_slots_with_what_is_behind_them(make: Callable[..., Context]) -> None:
    context = make("none", 64 * MIB, mem_prealloc=True)
    (slot,) = ask(context, "query-memslots", host=True)["slots"]
    assert slot["host"] == {"page-size": 4096, "sampled": 64, "present": 64, "nodes": [0]}
    assert "host" not in ask(context, "query-memslots")["slots"][0]
    assert hmp(context, "info memslots -v").splitlines()[2].endswith("   4 KiB 0")
    empty = make("none", 64 * MIB)
    assert hmp(empty, "info memslots -v").splitlines()[2].endswith("   4 KiB - (0% present)")


def test_who_uses_the_slots(make: Callable[..., Context]) -> None:
    context = make(accelerators=[("sim", {"max-memslot-size": str(GIB), "max-memslots": "100"})])
    cost = ask(context, "query-memslots-cost")
    count = len(context.vm.accelerator.slots)
    assert cost["spaces"] == [{"as-id": 0, "used": count, "free": 100 - count}]
    assert cost["users"][0]["ramblock"] == "pc.ram"
    assert sum(user["slots"] for user in cost["users"]) == count
    assert cost["users"][0]["backend"] == "pc.ram" and "backend" not in cost["users"][1]
    assert cost["metadata"]["total"] == sum(user["metadata"]["total"] for user in cost["users"])
    assert cost["metadata"]["reverse-map"] == 0
    assert "address space 0: " in hmp(context, "info slots-cost")
    emulator = make(accelerators=[("tcg", {})])
    assert ask(emulator, "query-memslots-cost")["users"] == []


def test_as_what_a_byte_migrates(make: Callable[..., Context]) -> None:
    context = make("none", GIB, machine_options={"ram-partition": "boot:256M+rest"})
    place = ask(context, "query-address", address=300 * MIB)["ramblock"]
    assert place["stream"] == {"name": "rest", "offset": 44 * MIB}
    assert place["offset"] == 300 * MIB
    assert "RAMBlock:   (without a name) + 0x12c00000, ram address 0x12c00000, migrates as rest + 0x2c00000" in hmp(
        context, "why 300M"
    )
    assert "stream" not in ask(make("none", GIB), "query-address", address=0)["ramblock"]
