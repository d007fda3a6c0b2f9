"""Simple boards, rows: Arm boards with a baseboard management controller of Aspeed's. Data only."""

from __future__ import annotations

from .simple import Row
from .simple_parts import GIB, KIB, MIB, BehindRam, Between, Block, MachineRam, Part, SizeRule, Within


def aspeed(
    ram_address: int, most: int, sram_address: int, sram_size: int, old_sram_size: int | None = None
) -> tuple[Part, ...]:
    """A system-on-chip of Aspeed's: its SDRAM controller has a window for the most that it can have."""
    ram = (MachineRam(0), BehindRam("ram-empty", most, -1000))
    return (
        Within("ram-container", ram_address, most, ram),
        Between("7.2", None, Block("aspeed.sram.0", sram_size, sram_address)),
        Between(None, "5.2", Block("aspeed.sram", old_sram_size or sram_size, sram_address)),
    )


def sdram(*sizes: int) -> tuple[SizeRule, ...]:
    """The sizes in MiB that an SDRAM controller can be set to."""
    return (SizeRule("Invalid RAM size {text}", among=tuple(size * MIB for size in sizes)),)


AST2400 = aspeed(0x40000000, 512 * MIB, 0x1E720000, 32 * KIB)
AST2500 = aspeed(0x80000000, GIB, 0x1E720000, 36 * KIB)
AST2600 = aspeed(0x80000000, 2 * GIB, 0x10000000, 89 * KIB, 64 * KIB)
AST2700 = (
    *aspeed(0x400000000, 8 * GIB, 0x10000000, 128 * KIB),
    Between(
        "11.1",
        None,
        Block("aspeed.vbootrom", 128 * KIB, 0),
        Block("aspeed.ioexp-sram.0", 256 * KIB, 0x30BC0000),
        Block("aspeed.ioexp-sram.1", 256 * KIB, 0x50BC0000),
    ),
)
AST1030 = (Block("aspeed.sram.0", 768 * KIB, 0), Between("10.0", None, Block("sec.sram", 256 * KIB, 0x79000000)))
AST1040 = (Block("aspeed.sram.0", 128 * KIB, 0x74B80000), Block("aspeed.hyperram.0", 16 * MIB, 0))
AST2400_SIZES = sdram(64, 128, 256, 512)
AST2500_SIZES = sdram(128, 256, 512, 1024)
AST2600_SIZES = sdram(256, 512, 1024, 2048)
AST2700_SIZES = sdram(256, 512, 1024, 2048, 4096, 8192)

ROWS = (
    Row(
        "palmetto-bmc",
        "OpenPOWER Palmetto BMC (ARM926EJ-S)",
        "ram",
        256 * MIB,
        AST2400,
        AST2400_SIZES,
        cpu="arm926",
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
    ),
    Row(
        "ast2500-evb",
        "Aspeed AST2500 EVB (ARM1176)",
        "ram",
        512 * MIB,
        AST2500,
        AST2500_SIZES,
        cpu="arm1176",
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
    ),
    Row("swift-bmc", "OpenPOWER Swift BMC (ARM1176)", "ram", 512 * MIB, AST2500, AST2500_SIZES, until="5.2"),
    Row(
        "witherspoon-bmc",
        "OpenPOWER Witherspoon BMC (ARM1176)",
        "ram",
        512 * MIB,
        AST2500,
        AST2500_SIZES,
        cpu="arm1176",
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
    ),
    # The RAM of those without SDRAM is nowhere, but they take -m.
    Row(
        "ast1030-evb",
        "Aspeed AST1030 MiniBMC (Cortex-M4)",
        "ram",
        0,
        AST1030,
        since="7.2",
        cpu="cortex-m4",
    ),
    Row(
        "ast1040-evb",
        "Aspeed AST1040 BIC EVB (Cortex-M4F)",
        "ram",
        0,
        AST1040,
        since="11.1",
        cpu="cortex-m4",
    ),
    Row(
        "ast1060-evb",
        "Aspeed AST1060 Platform Root of Trust (Cortex-M4)",
        "ram",
        128 * MIB,
        AST1030,
        since="11.1",
        cpu="cortex-m4",
    ),
    *(
        Row(name, description, "ram", size, AST2500, AST2500_SIZES, since="10.0", cpu="arm1176")
        for name, description, size in (
            ("supermicro-x11spi-bmc", "Supermicro X11 SPI BMC (ARM1176)", 512 * MIB),
            ("tiogapass-bmc", "Facebook Tiogapass BMC (ARM1176)", GIB),
            ("yosemitev2-bmc", "Facebook YosemiteV2 BMC (ARM1176)", 512 * MIB),
        )
    ),
    *(
        Row(name, description, "ram", size, AST2600, AST2600_SIZES, max_cpus=2, since="11.1", cpu="cortex-a7")
        for name, description, size in (
            ("anacapa-bmc", "Facebook Anacapa BMC (Cortex-A7)", 2 * GIB),
            ("catalina-bmc", "Facebook Catalina BMC (Cortex-A7)", 2 * GIB),
            ("gb200nvl-bmc", "Nvidia GB200NVL BMC (Cortex-A7)", GIB),
        )
    ),
    *(
        Row(
            f"ast2700{revision}-evb",
            f"Aspeed AST2700 {revision.upper()} EVB (Cortex-A35)",
            "ram",
            size,
            AST2700,
            AST2700_SIZES,
            max_cpus=4,
            alias=alias,
            targets=("aarch64",),
            since=since,
            until=until,
            cpu="cortex-a35",
        )
        for revision, size, alias, since, until in (
            ("a0", GIB, "ast2700-evb", "10.0", "10.0"),
            ("a1", GIB, None, "10.0", None),
            ("a2", 2 * GIB, "ast2700-evb", "11.1", None),
        )
    ),
)
