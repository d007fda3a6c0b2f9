"""Simple boards, rows: Arm boards with a baseboard management controller (Aspeed, Nuvoton). Data only."""

from __future__ import annotations

from .simple import Row
from .simple_parts import GIB, KIB, MIB, BehindRam, Between, Block, MachineRam, Part, Rom, SizeRule, Within


def aspeed(ram_address: int, most: int, sram_address: int, sram_size: int) -> tuple[Part, ...]:
    """A system-on-chip of Aspeed's: its SDRAM controller has a window for the most that it can have."""
    ram = (MachineRam(0), BehindRam("ram-empty", most, -1000))
    return (
        Within("ram-container", ram_address, most, ram),
        Block("aspeed.sram.0", sram_size, sram_address),
    )


def sdram(*sizes: int) -> tuple[SizeRule, ...]:
    """The sizes in MiB that an SDRAM controller can be set to."""
    return (SizeRule("Invalid RAM size {text}", among=tuple(size * MIB for size in sizes)),)


AST2400 = aspeed(0x40000000, 512 * MIB, 0x1E720000, 32 * KIB)
AST2500 = aspeed(0x80000000, GIB, 0x1E720000, 36 * KIB)
AST2600 = aspeed(0x80000000, 2 * GIB, 0x10000000, 89 * KIB)
AST2400_SIZES = sdram(64, 128, 256, 512)
AST2500_SIZES = sdram(128, 256, 512, 1024)
AST2600_SIZES = sdram(256, 512, 1024, 2048)

NPCM7XX = (
    MachineRam(0),
    Block("ram2", 128 * KIB, 0xFFFD0000),
    Block("ram3", 4 * KIB, 0xC0008000),
    Rom("irom", 64 * KIB, 0xFFFF0000),
)
NPCM7XX_SIZES = (
    SizeRule("npcm7xx_realize: NPCM7xx cannot address more than 2048 MiB of DRAM", maximum=2 * GIB),
    SizeRule(
        "npcm7xx_gcr_realize: unsupported DRAM size {text}",
        among=tuple(size * MIB for size in (128, 256, 512, 1024, 2048)),
        details="DRAM size must be a power of two between 128 MiB and 2 GiB, inclusive.",
    ),
)

ROWS = (
    Row(
        "palmetto-bmc",
        "OpenPOWER Palmetto BMC (ARM926EJ-S)",
        "ram",
        256 * MIB,
        AST2400,
        AST2400_SIZES,
        cpu="arm926",
        since="7.2",
    ),
    Row(
        "quanta-q71l-bmc",
        "Quanta-Q71l BMC (ARM926EJ-S)",
        "ram",
        128 * MIB,
        AST2400,
        AST2400_SIZES,
        since="7.2",
        cpu="arm926",
    ),
    Row(
        "supermicrox11-bmc",
        "Supermicro X11 BMC (ARM926EJ-S)",
        "ram",
        256 * MIB,
        AST2400,
        AST2400_SIZES,
        cpu="arm926",
        since="7.2",
    ),
    Row(
        "ast2500-evb",
        "Aspeed AST2500 EVB (ARM1176)",
        "ram",
        512 * MIB,
        AST2500,
        AST2500_SIZES,
        cpu="arm1176",
        since="7.2",
    ),
    Row(
        "fp5280g2-bmc",
        "Inspur FP5280G2 BMC (ARM1176)",
        "ram",
        512 * MIB,
        AST2500,
        AST2500_SIZES,
        until="10.0",
        since="7.2",
        cpu="arm1176",
    ),
    Row(
        "g220a-bmc",
        "Bytedance G220A BMC (ARM1176)",
        "ram",
        GIB,
        AST2500,
        AST2500_SIZES,
        since="7.2",
        cpu="arm1176",
    ),
    Row(
        "romulus-bmc",
        "OpenPOWER Romulus BMC (ARM1176)",
        "ram",
        512 * MIB,
        AST2500,
        AST2500_SIZES,
        cpu="arm1176",
        since="7.2",
    ),
    Row(
        "sonorapass-bmc",
        "OCP SonoraPass BMC (ARM1176)",
        "ram",
        512 * MIB,
        AST2500,
        AST2500_SIZES,
        until="10.0",
        cpu="arm1176",
        since="7.2",
    ),
    Row(
        "witherspoon-bmc",
        "OpenPOWER Witherspoon BMC (ARM1176)",
        "ram",
        512 * MIB,
        AST2500,
        AST2500_SIZES,
        cpu="arm1176",
        since="7.2",
    ),
    Row(
        "ast2600-evb",
        "Aspeed AST2600 EVB (Cortex-A7)",
        "ram",
        GIB,
        AST2600,
        AST2600_SIZES,
        max_cpus=2,
        cpu="cortex-a7",
        since="7.2",
    ),
    Row(
        "bletchley-bmc",
        "Facebook Bletchley BMC (Cortex-A7)",
        "ram",
        2 * GIB,
        AST2600,
        AST2600_SIZES,
        max_cpus=2,
        since="7.2",
        cpu="cortex-a7",
    ),
    Row(
        "fby35-bmc",
        "Facebook fby35 BMC (Cortex-A7)",
        "ram",
        2 * GIB,
        AST2600,
        AST2600_SIZES,
        max_cpus=2,
        since="7.2",
        cpu="cortex-a7",
    ),
    Row(
        "fuji-bmc",
        "Facebook Fuji BMC (Cortex-A7)",
        "ram",
        2 * GIB,
        AST2600,
        AST2600_SIZES,
        max_cpus=2,
        since="7.2",
        cpu="cortex-a7",
    ),
    Row(
        "qcom-dc-scm-v1-bmc",
        "Qualcomm DC-SCM V1 BMC (Cortex A7)",
        "ram",
        GIB,
        AST2600,
        AST2600_SIZES,
        max_cpus=2,
        until="10.0",
        since="7.2",
        cpu="cortex-a7",
    ),
    Row(
        "qcom-firework-bmc",
        "Qualcomm DC-SCM V1/Firework BMC (Cortex A7)",
        "ram",
        GIB,
        AST2600,
        AST2600_SIZES,
        max_cpus=2,
        until="10.0",
        since="7.2",
        cpu="cortex-a7",
    ),
    Row(
        "rainier-bmc",
        "IBM Rainier BMC (Cortex-A7)",
        "ram",
        GIB,
        AST2600,
        AST2600_SIZES,
        max_cpus=2,
        since="7.2",
        cpu="cortex-a7",
    ),
    Row(
        "tacoma-bmc",
        "OpenPOWER Tacoma BMC (Cortex-A7)",
        "ram",
        GIB,
        AST2600,
        AST2600_SIZES,
        max_cpus=2,
        until="7.2",
        since="7.2",
    ),
    # Its RAM is nowhere: it has only SRAM, but takes -m.
    Row(
        "ast1030-evb",
        "Aspeed AST1030 MiniBMC (Cortex-M4)",
        "ram",
        0,
        (Block("aspeed.sram.0", 768 * KIB, 0), Between("10.0", None, Block("sec.sram", 256 * KIB, 0x79000000))),
        since="7.2",
        cpu="cortex-m4",
    ),
    Row(
        "kudo-bmc",
        "Kudo BMC (Cortex-A9)",
        "ram",
        GIB,
        NPCM7XX,
        NPCM7XX_SIZES,
        cpu="cortex-a9",
        max_cpus=2,
        since="7.2",
    ),
    Row(
        "mori-bmc",
        "Mori BMC (Cortex-A9)",
        "ram",
        GIB,
        NPCM7XX,
        NPCM7XX_SIZES,
        cpu="cortex-a9",
        max_cpus=2,
        since="7.2",
    ),
    Row(
        "npcm750-evb",
        "Nuvoton NPCM750 Evaluation Board (Cortex-A9)",
        "ram",
        512 * MIB,
        NPCM7XX,
        NPCM7XX_SIZES,
        cpu="cortex-a9",
        max_cpus=2,
    ),
    Row(
        "quanta-gbs-bmc",
        "Quanta GBS (Cortex-A9)",
        "ram",
        GIB,
        NPCM7XX,
        NPCM7XX_SIZES,
        cpu="cortex-a9",
        max_cpus=2,
        since="7.2",
    ),
    Row("quanta-gsj", "Quanta GSJ (Cortex-A9)", "ram", 512 * MIB, NPCM7XX, NPCM7XX_SIZES, cpu="cortex-a9", max_cpus=2),
)
