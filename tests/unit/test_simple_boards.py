"""The rows of simple boards: what they accept, say and place; real QEMU is asked elsewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ramslot.commands import Context
from ramslot.monitor.dispatch import run_hmp_line
from ramslot.vm.boards import machine_types as all_machine_types
from ramslot.vm.boards.machine_type import MachineType
from ramslot.vm.boards.simple import MODULES, SimpleMachine, machine_types
from ramslot.vm.boards.simple_parts import RAM, SYSTEM, Alias, Block, MachineRam, Part, SdramLayout, SizeRule, Within
from ramslot.vm.boards.targets import targets
from ramslot.vm.config import Config
from ramslot.vm.errors import VMError
from ramslot.vm.machine import VirtualMachine
from ramslot.vm.releases import find_release
from ramslot.vm.steps import run_now

MIB = 1 << 20
GIB = 1 << 30


def start(target: str, machine: str, ram_size: int | None = None, qemu: str = "7.2") -> VirtualMachine:
    config = Config()
    config.qemu = qemu
    config.target, config.machine_type, config.ram_size = target, machine, ram_size
    return VirtualMachine(config)


def memory(vm: VirtualMachine) -> list[tuple[int, int, str, int]]:
    """Start, end, name and offset of what is memory in the address space "memory"."""
    return [
        (shown.start, shown.end, shown.region.name, shown.offset)
        for shown in vm.machine.memory_space.view.ranges
        if shown.is_memory
    ]


def simple_types() -> list[tuple[str, MachineType]]:
    return [
        (target, found)
        for target in MODULES
        for found in machine_types(targets(find_release("7.2"))[target], find_release("7.2"))
    ]


def parts_of(parts: tuple[Part, ...]) -> list[Part]:
    """All parts, those within others too."""
    found: list[Part] = []
    for part in parts:
        found.append(part)
        if isinstance(part, Within):
            found += parts_of(part.parts)
    return found


def test_every_board_starts_with_its_default_size() -> None:
    for target, machine_type in simple_types():
        vm = start(target, machine_type.name)
        try:
            assert vm.machine.ram_size == machine_type.default_ram_size
            blocks = {block.name: block.used_length for block in vm.topology.ram_blocks}
            if machine_type.default_ram_size:
                assert blocks[machine_type.default_ram_id] == machine_type.default_ram_size
        finally:
            vm.close()


@pytest.mark.parametrize("target", MODULES)
def test_a_name_is_listed_once_and_at_most_one_machine_is_the_default(target: str) -> None:
    listed = list(all_machine_types(targets(find_release("7.2"))[target], find_release("7.2")))
    names = [machine_type.name for machine_type in listed]
    assert len(set(names)) == len(names)
    assert sum(machine_type.is_default for machine_type in listed) <= 1


def test_listing_builds_no_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object) -> None:
        raise AssertionError("a machine was built")

    monkeypatch.setattr(SimpleMachine, "__init__", refuse)
    assert len(simple_types()) > 100


def test_every_message_can_be_filled_in() -> None:
    known = {"size", "size:x", "kib", "mib", "text", "default", "left:x"}
    for _target, machine_type in simple_types():
        for rule in machine_type.settings["row"].sizes:
            assert set(re.findall(r"\{(.*?)\}", rule.message)) <= known, machine_type.name


def test_every_alias_shows_a_part_that_is_there() -> None:
    for _target, machine_type in simple_types():
        named = {RAM, SYSTEM}
        for part in parts_of(machine_type.settings["row"].parts):
            if isinstance(part, Alias):
                assert part.target in named, machine_type.name
            named.add(part.region if isinstance(part, Block) else part.name)


def test_ram_is_placed_once() -> None:
    for _target, machine_type in simple_types():
        placed = [part for part in parts_of(machine_type.settings["row"].parts) if isinstance(part, MachineRam)]
        assert len(placed) <= 1, machine_type.name


@pytest.mark.parametrize(
    ("target", "machine", "size", "message"),
    [
        ("arm", "musicpal", 16 * MIB, "Invalid RAM size, should be 32 MiB"),
        ("arm", "palmetto-bmc", 100 * MIB, "Invalid RAM size 100 MiB"),
        ("arm", "mcimx6ul-evk", 2049 * MIB, "RAM size 80100000 above max supported (80000000)"),
        ("arm", "npcm750-evb", 3 * GIB, "npcm7xx_realize: NPCM7xx cannot address more than 2048 MiB of DRAM"),
        ("m68k", "virt", 4 * GIB, "Too much memory for this machine: 4194304 KiB, maximum 3399672 KiB"),
        ("mips", "malta", 3 * GIB, "Too much memory for this machine: 3072MB, maximum 2048MB"),
        ("ppc", "mpc8544ds", 100 * MIB, "RAM size must be multiple of 67108864"),
        ("ppc", "sam460ex", 32 * MIB, "Memory below 64 MiB is not supported"),
        ("ppc64", "powernv", 512 * MIB, "Invalid RAM size, should be bigger than 1 GiB"),
        ("rx", "gdbsim-r5f562n8", 8 * MIB, "Invalid RAM size, should be more than 16 MiB"),
        ("sparc", "SS-5", 512 * MIB, "Too much memory for this machine: 512, maximum 256"),
        ("ppc", "pegasos2", 17 * MIB, "Invalid RAM size 17 MiB, should be a power of two from 32 MiB to 2 GiB"),
    ],
)
def test_refused_sizes(target: str, machine: str, size: int, message: str) -> None:
    with pytest.raises(VMError) as refusal:
        start(target, machine, size).close()
    assert str(refusal.value) == message


def test_an_sdram_refusal_names_the_nearest_size() -> None:
    with pytest.raises(VMError) as refusal:
        start("ppc", "bamboo", 1020 * MIB).close()
    assert refusal.value.full_text == (
        "Invalid SDRAM banks\n"
        "at most 4 banks of 256, 128, 64, 32, 16, 8, 4 MiB each supported\n"
        "Possible valid RAM size: 896 MiB"
    )


@pytest.mark.parametrize(
    ("size", "banks"),
    [(4, [4]), (148, [128, 16, 4]), (1024, [256] * 4), (600, [256, 256, 64, 16]), (1, []), (5000, [256] * 4)],
)
def test_sdram_banks_take_the_largest_first(size: int, banks: list[int]) -> None:
    layout = SdramLayout(4, (256, 128, 64, 32, 16, 8, 4))
    assert layout.banks(size * MIB) == [bank * MIB for bank in banks]


@pytest.mark.parametrize(
    ("rule", "good", "bad"),
    [
        (SizeRule("", only_default=True), [7], [6, 8]),
        (SizeRule("", minimum=3, maximum=9), [3, 9], [2, 10]),
        (SizeRule("", multiple=4, maximum=8), [4, 8], [6, 12]),
        (SizeRule("", among=(1, 5)), [1, 5], [2, 7]),
        (SizeRule(""), [0, 7, 1 << 50], []),
    ],
)
def test_size_rules(rule: SizeRule, good: list[int], bad: list[int]) -> None:
    assert [size for size in good + bad if rule.accepts(size, 7)] == good


@pytest.mark.parametrize(
    ("size", "shown"),
    [
        (128, [(0x80000000, 0x88000000, "kzm.ram", 0), (0x88000000, 0x90000000, "kzm.ram", 0)]),
        (512, [(0x80000000, 0xA0000000, "kzm.ram", 0)]),
        (300, [(0x80000000, 0x92C00000, "kzm.ram", 0), (0x92C00000, 0x95800000, "kzm.ram", 0x10000000)]),
    ],
)
def test_an_unfilled_bank_shows_its_ram_again(size: int, shown: list[tuple[int, int, str, int]]) -> None:
    vm = start("arm", "kzm", size * MIB)
    try:
        assert [entry for entry in memory(vm) if entry[2] == "kzm.ram"] == shown
    finally:
        vm.close()


def test_windows_on_ram_end_with_it() -> None:
    for size, shown in (
        (128 * MIB, [(0, 128 * MIB, "ddr-ram", 0)]),
        (3 * GIB, [(0, 2 * GIB, "ddr-ram", 0), (0x800000000, 0x840000000, "ddr-ram", 2 * GIB)]),
    ):
        vm = start("aarch64", "xlnx-zcu102", size)
        try:
            assert [entry for entry in memory(vm) if entry[2] == "ddr-ram"] == shown
        finally:
            vm.close()


def test_registers_cut_ram() -> None:
    vm = start("arm", "raspi2b")
    try:
        ram = [entry for entry in memory(vm) if entry[2] == "ram"]
        assert ram[0] == (0, 0x3F003000, "ram", 0)
        assert len(ram) == 26
    finally:
        vm.close()


def test_a_board_without_ram_takes_it_but_shows_it_nowhere() -> None:
    vm = start("arm", "ast1030-evb", 64 * MIB)
    try:
        assert [block.name for block in vm.topology.ram_blocks] == ["ram", "aspeed.sram.0"]
        assert [entry[2] for entry in memory(vm)] == ["aspeed.sram.0"]
    finally:
        vm.close()


def test_more_ram_than_is_counted() -> None:
    config = Config()
    config.qemu = "7.2"
    config.target, config.machine_type, config.machine_options = "riscv32", "virt", {"memory-backend": "m"}
    config.objects = [{"qom-type": "memory-backend-ram", "id": "m", "size": 11 * GIB, "reserve": False}]
    vm = VirtualMachine(config)
    try:
        assert vm.machine.ram_size == 10 * GIB
        assert vm.warnings == ["Limiting RAM size to 10 GiB"]
    finally:
        vm.close()


def test_spd_notice() -> None:
    for size, warnings in ((528, []), (2047, ["warning: SPD cannot represent final ffMB of SDRAM"])):
        vm = start("mips", "malta", size * MIB)
        try:
            assert vm.warnings == warnings
        finally:
            vm.close()


def firmware_warnings(target: str, machine: str, firmware: str) -> list[str]:
    config = Config()
    config.qemu = "7.2"
    config.target, config.machine_type, config.firmware = target, machine, firmware
    with VirtualMachine(config) as vm:
        return list(vm.warnings)


def test_firmware_is_not_ignored_silently(tmp_path: Path) -> None:
    (tmp_path / "bios.bin").write_bytes(b"code")
    said = firmware_warnings("mips", "malta", str(tmp_path / "bios.bin"))
    assert ["bios.bin" in warning for warning in said] == [True]
    with pytest.raises(VMError, match=r"^Could not load MIPS bios 'absent.bin'$"):
        firmware_warnings("mips", "malta", "absent.bin")


def test_words_in_place_of_firmware() -> None:
    assert firmware_warnings("riscv64", "virt", "none") == firmware_warnings("riscv64", "virt", "default") == []
    with pytest.raises(VMError, match=r'^Unable to load the RISC-V firmware "absent.bin"$'):
        firmware_warnings("riscv64", "virt", "absent.bin")
    with pytest.raises(VMError, match=r"^could not load firmware 'none'$"):
        firmware_warnings("riscv64", "shakti_c", "none")


def test_boards_whose_registers_are_not_modelled_say_so() -> None:
    config = Config()
    config.qemu = "7.2"
    config.target, config.machine_type = "arm", "versatilepb"
    with VirtualMachine(config) as vm:
        context = Context(vm, None)  # type: ignore[arg-type]  # no program is needed
        for line, told in (
            (
                "why 0x10001000",
                "0x10001000 is no memory; whether a device answers is not known: this board's registers",
            ),
            ("info map", "no memory; registers are not modelled"),
            ("info mtree", "(only memory: this board's registers are not modelled)"),
        ):
            assert told in run_now(run_hmp_line(context, line))
        assert "not modelled" not in run_now(run_hmp_line(context, "why 0"))
    config.target, config.machine_type = "x86_64", "pc"
    with VirtualMachine(config) as vm:
        context = Context(vm, None)  # type: ignore[arg-type]  # no program is needed
        for line in ("why 0x10000000000", "info map", "info mtree"):
            assert "not modelled" not in run_now(run_hmp_line(context, line))


def test_page_size_of_a_board_decides_offsets() -> None:
    vm = start("aarch64", "sbsa-ref", 8192)
    try:
        assert sorted(block.offset for block in vm.topology.ram_blocks)[1] == 256 << 10
    finally:
        vm.close()


def test_closing_gives_all_memory_back() -> None:
    vm = start("sparc", "SS-5")
    vm.close()
    assert not vm.machine.blocks


def test_parts_for_some_sizes_of_ram_only() -> None:
    for size, there in ((GIB, True), (2 * GIB, False)):
        vm = start("ppc", "amigaone", size, "11.1")
        assert any(name == "init-cache" for _start, _end, name, _offset in memory(vm)) == there
        vm.close()


def test_each_cpu_has_memory() -> None:
    config = Config()
    config.qemu, config.target, config.machine_type, config.smp = "11.1", "arm", "mps3-an536", {"cpus": 2}
    vm = VirtualMachine(config)
    assert [block.region_name for block in vm.machine.blocks][-2:] == ["cpu-0-memory", "cpu-1-memory"]
    vm.close()


def test_a_notice_of_little_ram_is_no_error() -> None:
    vm = start("ppc64", "powernv9", 64 * MIB, "5.2")
    assert "warning: skiboot may not work with < 1GB of RAM" in vm.machine.board.warnings
    vm.close()


@pytest.mark.parametrize(
    ("smp", "pages"), [({"cpus": 1}, 2), ({"cpus": 19}, 3), ({"cpus": 17, "sockets": 17}, 3), ({"cpus": 256}, 11)]
)
def test_loongarch_tables_grow_with_cpus(smp: dict[str, int], pages: int) -> None:
    config = Config()
    config.qemu, config.target, config.machine_type, config.smp = "11.1", "loongarch64", "virt", smp
    vm = VirtualMachine(config)
    sizes = {block.region_name: block.used_length for block in vm.machine.blocks}
    assert sizes["/rom@etc/acpi/tables"] == pages * 4096
    vm.close()


def test_what_loongarch_says_of_memory_that_may_come() -> None:
    config = Config()
    config.qemu, config.target, config.machine_type = "11.1", "loongarch64", "virt"
    config.ram_size, config.max_ram_size, config.ram_slots = GIB, 2 * GIB, 257
    with pytest.raises(VMError, match="unsupported amount of memory slots: 257"):
        VirtualMachine(config)


def test_boards_without_firmware() -> None:
    config = Config()
    config.qemu, config.target, config.machine_type, config.firmware = "11.1", "arm", "bpim2u", __file__
    with pytest.raises(VMError, match="BIOS not supported for this machine"):
        VirtualMachine(config)
