"""Simple boards, rows: m68k. Data only."""

from __future__ import annotations

from .simple import Row
from .simple_parts import GIB, KIB, MIB, SYSTEM, Alias, Between, Block, MachineRam, Registers, Rom, SizeRule
from .versions import VERSIONS

AN5206 = (
    MachineRam(0),
    Block("an5206.sram", 512, 0x20000000),
    Registers("mbar", 0x10000000, 0x1000),
)
MCF5208 = (
    Rom("mcf5208.rom", 2 * MIB, 0),
    MachineRam(0x40000000),
    Block("mcf5208.sram", 16 * KIB, 0x80000000),
    Registers("mcf", 0xFC048000, 0x100),
    Registers("uart", 0xFC060000, 0x40),
    Registers("uart", 0xFC064000, 0x40),
    Registers("uart", 0xFC068000, 0x40),
    Registers("m5208-timer", 0xFC080000, 0x4000),
    Registers("m5208-timer", 0xFC084000, 0x4000),
    Between("10.0", None, Registers("m5208-rcm", 0xFC0A0000, 0x80)),
    Registers("m5208-sys", 0xFC0A8000, 0x4000),
)
NEXT_CUBE = (
    MachineRam(0x4000000),
    Block("next-video", 0x1CB100, 0xB000000),
    Block("", 64, 0x20C0000, region="next.bmapmem"),
    Alias("next.bmapmem2", 0x820C0000, "next.bmapmem"),
    Rom("next.rom", 128 * KIB, 0x1000000),
    Between("10.0", None, Alias("next.rom2", 0, "next.rom")),
)
Q800 = (
    MachineRam(0),
    Rom("dp8393x-q800.prom", 4 * KIB, 0x50008000),
    Block("nubus-bus.0/09/macfb-vram", 4 * MIB, 0xF9000000, region="macfb-vram"),
    Rom("m68k_mac.rom", MIB, 0x40800000),
    Between("10.0", None, Alias("m68k_mac.rom-alias", 0x40000000, "m68k_mac.rom")),
    Between(
        None,
        "7.2",
        # The first 256 KiB of i/o show again in each slice.
        *(
            Alias(f"mac_m68k.io[{copy}]", 0x50000000 + copy * 0x40000, SYSTEM, 0x50000000, 0x40000)
            for copy in range(1, 256)
        ),
    ),
)
M68K_VIRT = (MachineRam(0),)

ROWS = (
    Row("an5206", "Arnewsh 5206", "an5206.ram", 128 * MIB, AN5206, cpu="m5206"),
    Row("mcf5208evb", "MCF5208EVB", "mcf5208.ram", 128 * MIB, MCF5208, cpu="m5208", default_of=("m68k",)),
    Row(
        "next-cube",
        "NeXT Cube",
        "next.ram",
        64 * MIB,
        NEXT_CUBE,
        cpu="m68040",
    ),
    Row(
        "q800",
        "Macintosh Quadra 800",
        "m68k_mac.ram",
        128 * MIB,
        Q800,
        (SizeRule("Too much memory for this machine: {mib} MiB, maximum 1024 MiB", maximum=GIB),),
        cpu="m68040",
        since="7.2",
    ),
    *(
        Row(
            f"virt-{version}",
            f"QEMU {version} M68K Virtual Machine",
            "m68k_virt.ram",
            128 * MIB,
            M68K_VIRT,
            (SizeRule("Too much memory for this machine: {kib} KiB, maximum 3399672 KiB", maximum=3399672 * KIB),),
            cpu="m68040",
            alias="virt",
            version=version,
        )
        for version in VERSIONS[: VERSIONS.index("6.0") + 1]
    ),
)
