"""Simple boards, rows: architectures that have one or two of them. Data only."""

from __future__ import annotations

from .simple import Row
from .simple_parts import KIB, MIB, Block, MachineRam, RamNotice, Registers, Rom, SizeRule

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
RX62N_TEXT = "Invalid RAM size, should be more than {default}"
RX62N_SIZES = SizeRule(RX62N_TEXT, minimum=16 * MIB)
RX62N_NOTICE = RamNotice(RX62N_TEXT, minimum=16 * MIB)

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
    *(
        Row(
            f"gdbsim-r5f562{model}",
            f"gdb simulator (R5F562{model.upper()} MCU and external RAM)",
            "ext-sdram",
            16 * MIB,
            parts,
            (rule,),
            cpu="rx62n",
            targets=("rx",),
            since=since,
            until=until,
        )
        for model, parts in (("n7", RX62N7), ("n8", RX62N8))
        for rule, since, until in ((RX62N_SIZES, "7.2", None), (RX62N_NOTICE, None, "5.2"))
    ),
)
