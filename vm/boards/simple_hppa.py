"""Simple boards, rows: HP's PA-RISC machines. Data only."""

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
    ForEachCPU,
    ForSizes,
    MachineRam,
    RamLimit,
    Registers,
    SizeRule,
)

MOST_RAM_32 = 3840 * MIB
MOST_RAM_64 = 256 * GIB
UP_TO_3840M = (RamLimit("info: Max RAM size limited to 3840 MB", maximum=MOST_RAM_32),)
UP_TO_256G = (RamLimit("info: Max RAM size limited to 262144 MB", maximum=MOST_RAM_64),)

HPPA = (
    MachineRam(0, -1),
    Block("firmware", 8 * MIB, 0xF0000000),
)
# In QEMU 10.0, RAM beyond the most there can be is mapped all the same, between what else is there.
PERIPHERALS = (
    Registers("isa-io", 0xF9000000, 2 * KIB),
    Registers("lasi", 0xFFD00000, MIB),
    Registers("dino", 0xFFF80000, 4 * KIB),
    Registers("serial", 0xFFF83800, 8),
    Registers("fwcfg.ctl", 0xFFFA0000, 2),
    Registers("fwcfg.data", 0xFFFA0004, 1),
    ForEachCPU(lambda cpu: Registers(f"cpu{cpu}-io-eir", 0xFFFB0000 + cpu * 0x1000, 4)),
    ForEachCPU(lambda cpu: Registers(f"cpu{cpu}-io-rtc", 0xFFFB0010 + cpu * 0x1000, 16)),
)
PA_7300LC = (
    Between(None, "10.0", *HPPA, *PERIPHERALS),
    Between(
        "11.1",
        None,
        Alias("lowmem", 0, RAM, 0, MOST_RAM_32),
        Block("firmware", MIB, 0xF0000000),
    ),
)
PA_8500 = (
    Alias("lowmem", 0, RAM, 0, GIB),
    Alias("highmem", 0x4040000000, RAM, GIB, 3 * GIB),
    Alias("highmem2", 0x100000000, RAM, 4 * GIB, MOST_RAM_64 - 4 * GIB),
    Block("firmware", MIB, 0xFFFFFFF0F0000000),
)
PA_8700 = (
    Between(
        None,
        "10.0",
        ForSizes(0, MOST_RAM_32, MachineRam(0, -1)),
        ForSizes(
            MOST_RAM_32,
            None,
            Alias("lowmem", 0, RAM, 0, MOST_RAM_32),
            Alias("highmem", 0x100000000, RAM, MOST_RAM_32, MOST_RAM_64 - MOST_RAM_32),
        ),
        Block("firmware", 8 * MIB, 0xFFFFFFF0F0000000),
    ),
    Between(
        "11.1",
        None,
        Alias("lowmem", 0, RAM, 0, MOST_RAM_32),
        Alias("highmem", 0x4040000000, RAM, MOST_RAM_32, 256 * MIB),
        Alias("highmem2", 0x100000000, RAM, 4 * GIB, MOST_RAM_64 - 4 * GIB),
        Block("firmware", MIB, 0xFFFFFFF0F0000000),
    ),
)

ROWS = (
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
        until="7.2",
    ),
    Row(
        "715",
        "HP 715/64 workstation",
        "hppa.ram",
        256 * MIB,
        PA_7300LC,
        UP_TO_3840M,
        cpu="pa-7300lc",
        max_cpus=8,
        since="11.1",
    ),
    Row(
        "A400",
        "HP A400-44 server",
        "hppa.ram",
        GIB,
        PA_8500,
        UP_TO_256G,
        cpu="pa-8500",
        max_cpus=16,
        since="11.1",
    ),
    Row(
        "B160L",
        "HP B160L workstation",
        "hppa.ram",
        512 * MIB,
        PA_7300LC,
        UP_TO_3840M,
        cpu="pa-7300lc",
        max_cpus=16,
        default_of=("hppa",),
        since="10.0",
    ),
    Row(
        "C3700",
        "HP C3700 workstation",
        "hppa.ram",
        GIB,
        PA_8700,
        UP_TO_256G,
        cpu="pa-8700",
        max_cpus=16,
        since="10.0",
    ),
)
