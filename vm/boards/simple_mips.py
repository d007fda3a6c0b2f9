"""Simple boards, rows: MIPS. Data only."""

from __future__ import annotations

from .simple import Row
from .simple_parts import (
    GIB,
    KIB,
    MIB,
    RAM,
    Alias,
    Between,
    Block,
    Flash,
    MachineRam,
    Registers,
    Rom,
    SizeRule,
    SpdNotice,
    Within,
)

ONLY_64 = ("mips64", "mips64el")
ONLY_64_LITTLE = ("mips64el",)

MALTA = (
    MachineRam(0x80000000),
    Alias("mips_malta_low_preio.ram", 0, RAM, 0, 256 * MIB),
    Alias("mips_malta_low_postio.ram", 0x20000000, RAM, 512 * MIB),
    Flash("mips_malta.bios", 4 * MIB, 0x1E000000),
    Rom("bios.1fc", 4 * MIB, 0x1FC00000),
)
MIPSSIM = (
    MachineRam(0),
    Rom("mips_mipssim.bios", 4 * MIB, 0x1FC00000),
    Registers("io", 0x1FD00000, 0x10000),
)
JAZZ = (
    MachineRam(0),
    Rom("mips_jazz.bios", 504 * KIB, 0x1FC00000),
    Alias("mips_jazz.bios", 0xFFF00000, "mips_jazz.bios"),
    Between("7.2", None, Rom("dp8393x-jazz.prom", 4 * KIB, 0x8000B000)),
)
MAGNUM = (
    *JAZZ,
    Between("7.2", None, Block("g364fb.vram", 8 * MIB, 0x40000000)),
    Between(None, "5.2", Block("vram", 8 * MIB, 0x40000000)),
    Rom("g364fb.rom", 512 * KIB, 0x60000000),
)
PICA61 = (*JAZZ, Block("vga.vram", 8 * MIB, 0xE0000000))
JAZZ_SIZES = (SizeRule("RAM size more than 256Mb is not supported", maximum=256 * MIB),)
BOSTON = (
    Rom("boston.flash", 128 * MIB, 0x18000000),
    MachineRam(0x80000000),
    Alias("boston_low.ddr", 0, RAM, 0, 256 * MIB),
    Within("mips-cps-container", 0, 1 << 64, (Registers("mips-gcr", 0x1FBF8000, 0x8000),), 1),
)
FULOONG2E = (
    MachineRam(0),
    Rom("fuloong2e.bios", 512 * KIB, 0x1FC00000),
)
LOONGSON3 = (
    MachineRam(0x80000000),
    Alias("loongson3.lowmem", 0, RAM, 0, 256 * MIB),
    Rom("loongson3.bios", 2 * MIB, 0x1FC00000),
)

ROWS = (
    Row(
        "malta",
        "MIPS Malta Core LV",
        "mips_malta.ram",
        128 * MIB,
        MALTA,
        (SizeRule("Too much memory for this machine: {mib}MB, maximum 2048MB", maximum=2 * GIB), SpdNotice()),
        cpu="24Kf",
        cpu_64="20Kc",
        max_cpus=16,
        default_of=("mips", "mips64", "mips64el", "mipsel"),
    ),
    Row(
        "mipssim",
        "MIPS MIPSsim platform",
        "mips_mipssim.ram",
        128 * MIB,
        MIPSSIM,
        cpu="24Kf",
        cpu_64="5Kf",
        until="10.0",
    ),
    Row(
        "magnum",
        "MIPS Magnum",
        "mips_jazz.ram",
        128 * MIB,
        MAGNUM,
        JAZZ_SIZES,
        cpu="R4000",
        targets=ONLY_64,
    ),
    Row(
        "pica61",
        "Acer Pica 61",
        "mips_jazz.ram",
        128 * MIB,
        PICA61,
        JAZZ_SIZES,
        cpu="R4000",
        targets=ONLY_64,
    ),
    Row(
        "boston",
        "MIPS Boston",
        "boston.ddr",
        GIB,
        BOSTON,
        (SizeRule("Memory size must be 1GB or 2GB", among=(GIB, 2 * GIB)),),
        cpu="I6400",
        max_cpus=16,
        targets=ONLY_64_LITTLE,
    ),
    Row(
        "fuloong2e",
        "Fuloong 2e mini pc",
        "fuloong2e.ram",
        256 * MIB,
        FULOONG2E,
        (SizeRule("Invalid RAM size, should be 256MB", only_default=True),),
        cpu="Loongson-2E",
        targets=ONLY_64_LITTLE,
    ),
    Row(
        "loongson3-virt",
        "Loongson-3 Virtualization Platform",
        "loongson3.highram",
        1600 * MIB,
        LOONGSON3,
        (SizeRule("Loongson-3 machine needs at least 512MB memory", minimum=512 * MIB),),
        max_cpus=16,
        targets=ONLY_64_LITTLE,
        since="7.2",
    ),
)
