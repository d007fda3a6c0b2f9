"""Simple boards, rows: architectures that have one or two of them. Data only."""

from __future__ import annotations

from .simple import Row
from .simple_parts import GIB, KIB, MIB, RAM, Alias, Block, MachineRam, Registers, Rom, SizeRule

CLIPPER = (
    MachineRam(0),
    Registers("pchip0", 0x80180000000, 0x10000000),
    Registers("cchip0", 0x801A0000000, 0x10000000),
    Registers("dchip0", 0x801B0000000, 0x10000000),
    Registers("pci0-iack", 0x801F8000000, 0x4000000),
    Registers("pci0-io", 0x801FC000000, 0x2000000),
    Registers("pci0-conf", 0x801FE000000, 0x1000000),
)
AXIS_DEV88 = (
    MachineRam(0x40000000),
    Block("axisdev88.chipram", 128 * KIB, 0x38000000),
)
HPPA = (
    MachineRam(0, -1),
    Block("firmware", 8 * MIB, 0xF0000000),
)
LOONGARCH_VIRT = (
    Alias("loongarch.lowram", 0, RAM, 0, 256 * MIB),
    Alias("loongarch.highmem", 0x90000000, RAM, 256 * MIB),
    Block("/rom@etc/acpi/tables", 16 * KIB, max_size=2 * MIB),
    Block("/rom@etc/table-loader", 16 * KIB, max_size=64 * KIB),
    Block("/rom@etc/acpi/rsdp", 16 * KIB),
)
RX62N7 = (
    MachineRam(0x1000000),
    Block("iram", 64 * KIB, 0),
    Rom("flash-data", 32 * KIB, 0x100000),
    Rom("flash-code", 384 * KIB, 0xFFF80000),
)
RX62N8 = (
    MachineRam(0x1000000),
    Block("iram", 96 * KIB, 0),
    Rom("flash-data", 32 * KIB, 0x100000),
    Rom("flash-code", 512 * KIB, 0xFFF80000),
)
RX62N_SIZES = (SizeRule("Invalid RAM size, should be more than {default}", minimum=16 * MIB),)

ROWS = (
    Row(
        "clipper",
        "Alpha DP264/CLIPPER",
        "ram",
        128 * MIB,
        CLIPPER,
        cpu="ev67",
        max_cpus=4,
        default_of=("alpha",),
        targets=("alpha",),
    ),
    Row(
        "axis-dev88",
        "AXIS devboard 88",
        "axisdev88.ram",
        128 * MIB,
        AXIS_DEV88,
        cpu="crisv32",
        default_of=("cris",),
        targets=("cris",),
    ),
    Row(
        "hppa",
        "HPPA B160L machine",
        "ram",
        512 * MIB,
        HPPA,
        (SizeRule("RAM size is currently restricted to 3GB", maximum=3 * GIB),),
        cpu="",
        max_cpus=16,
        default_of=("hppa",),
        targets=("hppa",),
        until="7.2",
    ),
    Row(
        "virt",
        "Loongson-3A5000 LS7A1000 machine",
        "loongarch.ram",
        GIB,
        LOONGARCH_VIRT,
        (SizeRule("ram_size must be greater than 1G.", minimum=GIB),),
        cpu="la464",
        max_cpus=4,
        default_of=("loongarch64",),
        targets=("loongarch64",),
        since="7.2",
        until="7.2",
    ),
    Row(
        "gdbsim-r5f562n7",
        "gdb simulator (R5F562N7 MCU and external RAM)",
        "ext-sdram",
        16 * MIB,
        RX62N7,
        RX62N_SIZES,
        cpu="rx62n",
        targets=("rx",),
        since="7.2",
    ),
    Row(
        "gdbsim-r5f562n8",
        "gdb simulator (R5F562N8 MCU and external RAM)",
        "ext-sdram",
        16 * MIB,
        RX62N8,
        RX62N_SIZES,
        cpu="rx62n",
        targets=("rx",),
        since="7.2",
    ),
)
