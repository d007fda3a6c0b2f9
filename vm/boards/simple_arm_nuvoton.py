"""Simple boards, rows: Arm boards with a baseboard management controller of Nuvoton's. Data only."""

from __future__ import annotations

from .simple import Row
from .simple_parts import GIB, KIB, MIB, Block, MachineRam, Rom, SizeRule

NPCM7XX = (
    MachineRam(0),
    Block("ram2", 128 * KIB, 0xFFFD0000),
    Block("ram3", 4 * KIB, 0xC0008000),
    Rom("irom", 64 * KIB, 0xFFFF0000),
)
NPCM8XX = (
    MachineRam(0),
    Block("ram2", 256 * KIB, 0xFFFB0000),
    Block("ram3", 4 * KIB, 0xC0008000),
    Rom("irom", 64 * KIB, 0xFFFF0100),
)
DRAM_SIZES = tuple(size * MIB for size in (128, 256, 512, 1024, 2048))
DRAM_SIZES_TEXT = "DRAM size must be a power of two between 128 MiB and 2 GiB, inclusive."
NPCM7XX_SIZES = (
    SizeRule("npcm7xx_realize: NPCM7xx cannot address more than 2048 MiB of DRAM", maximum=2 * GIB),
    SizeRule(
        "npcm7xx_gcr_realize: unsupported DRAM size {text}",
        among=DRAM_SIZES,
        details=DRAM_SIZES_TEXT,
    ),
)
NPCM8XX_SIZES = (
    SizeRule("npcm8xx_realize: NPCM8xx cannot address more than 2048 MiB of DRAM", maximum=2 * GIB),
    SizeRule("npcm_gcr_realize: unsupported DRAM size {text}", among=DRAM_SIZES, details=DRAM_SIZES_TEXT),
)

ROWS = (
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
    Row(
        "npcm845-evb",
        "Nuvoton NPCM845 Evaluation Board (Cortex-A35)",
        "ram",
        GIB,
        NPCM8XX,
        NPCM8XX_SIZES,
        cpu="cortex-a35",
        max_cpus=4,
        targets=("aarch64",),
        since="10.0",
    ),
)
