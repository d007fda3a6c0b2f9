"""Simple boards, rows: Arm boards around a system-on-chip of Xilinx's and AMD's. Data only."""

from __future__ import annotations

from .simple import Row
from .simple_parts import GIB, KIB, MIB, RAM, Alias, Between, Block, Flash, MachineRam, Part, SizeRule

ONLY_AARCH64 = ("aarch64",)

ZYNQ = (
    MachineRam(0),
    Block("zynq.ocm_ram", 256 * KIB, 0xFFFC0000),
    Flash("zynq.pflash", 64 * MIB, 0xE2000000),
)
ZYNQMP = (
    Alias("ddr-ram-low", 0, RAM, 0, 2 * GIB),
    Alias("ddr-ram-high", 0x800000000, RAM, 2 * GIB),
    *(Block(f"zynqmp.ocm_ram_bank_{bank}", 64 * KIB, 0xFFFC0000 + bank * 0x10000) for bank in range(4)),
)


def versal_ram(*ranges: tuple[int, int]) -> tuple[Part, ...]:
    """Where the network-on-chip shows the RAM: addresses and sizes, filled one after another."""
    return tuple(
        Alias(f"noc-ddr-range{number}", address, RAM, sum(size for _address, size in ranges[:number]), size)
        for number, (address, size) in enumerate(ranges)
    )


# As observed: the second range hides the end of the first.
HIGH_DDR = ((0x800000000, 32 * GIB), (0xC00000000, 256 * GIB), (0x10000000000, 734 * GIB))
VERSAL = (
    Between("11.1", None, *versal_ram((0, 2 * GIB), *HIGH_DDR)),
    Between(None, "10.0", *versal_ram((0, 2 * GIB), (0x800000000, 32 * GIB), (0xC000000000, 990 * GIB))),
    Between("7.2", None, *(Block(f"xram[{bank}]", MIB, 0xFE800000 + bank * MIB) for bank in range(4))),
    Block("ocm", 256 * KIB, 0xFFFC0000),
)
VERSAL2 = (*versal_ram((0, 2046 * MIB), *HIGH_DDR), Block("ocm", 2 * MIB, 0xBBE00000))

ROWS = (
    Row(
        "xilinx-zynq-a9",
        "Xilinx Zynq 7000 Platform Baseboard for Cortex-A9",
        "zynq.ext_ram",
        128 * MIB,
        ZYNQ,
        (SizeRule("RAM size more than 2 GiB is not supported", maximum=2 * GIB),),
        cpu="cortex-a9",
        max_cpus=2,
    ),
    Row(
        "xlnx-zcu102",
        "Xilinx ZynqMP ZCU102 board with 4xA53s and 2xR5Fs based on the value of smp",
        "ddr-ram",
        128 * MIB,
        ZYNQMP,
        (SizeRule("ERROR: RAM size 0x{size:x} above max supported of 0x880000000", maximum=34 * GIB),),
        max_cpus=6,
        targets=ONLY_AARCH64,
    ),
    Row(
        "xlnx-versal-virt",
        "Xilinx Versal Virtual development board",
        "ddr",
        128 * MIB,
        VERSAL,
        max_cpus=4,
        targets=ONLY_AARCH64,
        until="10.0",
    ),
    Row(
        "amd-versal-virt",
        "AMD Versal Virtual development board",
        "ddr",
        128 * MIB,
        VERSAL,
        max_cpus=4,
        alias="xlnx-versal-virt",
        targets=ONLY_AARCH64,
        since="11.1",
    ),
    Row(
        "amd-versal2-virt",
        "AMD Versal Gen 2 Virtual development board",
        "ddr",
        128 * MIB,
        VERSAL2,
        max_cpus=18,
        targets=ONLY_AARCH64,
        since="11.1",
    ),
)
