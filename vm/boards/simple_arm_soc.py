"""Simple boards, rows: Arm boards around a system-on-chip (i.MX, OMAP, Raspberry Pi, Allwinner). Data only."""

from __future__ import annotations

from .simple import Row
from .simple_parts import (
    FIXED,
    GIB,
    KIB,
    MIB,
    Alias,
    Between,
    Block,
    MachineRam,
    MirroredBanks,
    Registers,
    Rom,
    SizeRule,
    Within,
)

ONLY_AARCH64 = ("aarch64",)

# NXP i.MX

UP_TO_512M = (SizeRule("RAM size more than 512 MiB is not supported", maximum=512 * MIB),)
UP_TO_512M_OLD = (SizeRule("Invalid RAM size, should be {default}", maximum=512 * MIB),)
UP_TO_2G = (SizeRule("RAM size {size:x} above max supported (80000000)", maximum=2 * GIB),)
UP_TO_4G = (SizeRule("RAM size {size:x} above max supported (100000000)", maximum=4 * GIB),)
UP_TO_8G = (SizeRule("RAM size {size:x} above max supported (200000000)", maximum=8 * GIB),)
UP_TO_3840M = (SizeRule("RAM size {size:x} above max supported (f0000000)", maximum=0xF0000000),)

IMX25 = (
    Rom("imx25.rom0", 16 * KIB, 0),
    Rom("imx25.rom1", 16 * KIB, 0x404000),
    Block("imx25.iram", 128 * KIB, 0x78000000),
    Alias("imx25.iram_alias", 0x78020000, "imx25.iram", 0, 0x7FE0000),
    MirroredBanks("ram.alias", 0x80000000, 256 * MIB),
)
IMX31 = (
    Rom("imx31.secure_rom", 16 * KIB, 0),
    Rom("imx31.rom", 16 * KIB, 0x404000),
    Block("imx31.iram", 16 * KIB, 0x1FFFC000),
    Alias("imx31.iram_alias", 0x10000000, "imx31.iram", 0, 0xFFC0000),
    MirroredBanks("ram.alias", 0x80000000, 256 * MIB),
)
IMX6 = (
    Rom("imx6.rom", 96 * KIB, 0),
    Rom("imx6.caam", 16 * KIB, 0x100000),
    Block("imx6.ocram", 256 * KIB, 0x900000),
    Alias("imx6.ocram_alias", 0x940000, "imx6.ocram", 0, 0xC0000),
    MachineRam(0x10000000),
)
IMX6UL = (
    Rom("imx6ul.rom", 96 * KIB, 0),
    Rom("imx6ul.caam", 32 * KIB, 0x100000),
    Block("imx6ul.ocram", 128 * KIB, 0x900000),
    Alias("imx6ul.ocram_alias", 0x920000, "imx6ul.ocram", 0, 0x60000),
    MachineRam(0x80000000),
)
IMX7D = (
    MachineRam(0x80000000),
    Between(
        "10.0",
        None,
        Block("imx7.ocram", 128 * KIB, 0x900000),
        Block("imx7.ocram_epdc", 128 * KIB, 0x920000),
        Block("imx7.ocram_pxp", 32 * KIB, 0x940000),
        Block("imx7.ocram_s", 32 * KIB, 0x180000),
        Rom("imx7.rom", 96 * KIB, 0),
        Rom("imx7.caam", 32 * KIB, 0x100000),
    ),
)
IMX8MM = (MachineRam(0x40000000), Block("imx8mm.ocram", 256 * KIB, 0x900000))
IMX8MP = (MachineRam(0x40000000), Block("imx8mp.ocram", 576 * KIB, 0x900000))

# Texas Instruments OMAP

OMAP1 = (
    MachineRam(0x10000000),
    Block("omap1.sram", 192 * KIB, 0x20000000),
)
OMAP2 = (
    MachineRam(0x80000000),
    Block("omap2.sram", 640 * KIB, 0x40200000),
    Block("onenand.ram", 96 * KIB),
    Alias("onenand-mapped-ram", 0x400, "onenand.ram", 0x400, 0x17C00, 1),
)

# Raspberry Pi: with 1 GiB, the RAM reaches under the peripherals.

PERIPHERALS = (
    Registers("bcm2835-sys-timer", 0x3000, 0x20),
    Registers("bcm2835-txp", 0x4000, 0x1000, -1000),
    Registers("mphi", 0x6000, 0x1000),
    Registers("bcm2835-dma", 0x7000, 0x1000),
    Registers("bcm2835-ic", 0xB200, 0x200),
    Registers("bcm2835-sp804", 0xB400, 0x40, -1000),
    Registers("bcm2835-mbox", 0xB800, 0x400),
    Between("7.2", None, Registers("bcm2835-powermgt", 0x100000, 0x200)),
    Between(None, "5.2", Registers("bcm2835-powermgt", 0x100000, 0x114)),
    Registers("bcm2835-cprman", 0x101000, 0x2000),
    Registers("bcm2835-rng", 0x104000, 0x10),
    Registers("bcm2835_gpio", 0x200000, 0x1000),
    Registers("pl011", 0x201000, 0x1000),
    Registers("bcm2835-sdhost", 0x202000, 0x1000),
    Registers("bcm2835-i2s", 0x203000, 0x100, -1000),
    Between("10.0", None, Registers("bcm2835-spi", 0x204000, 0x18), Registers("bcm2835-i2c", 0x205000, 0x24)),
    Between(
        None,
        "7.2",
        Registers("bcm2835-spi0", 0x204000, 0x20, -1000),
        Registers("bcm2835-i2c0", 0x205000, 0x20, -1000),
    ),
    Registers("bcm2835-otp", 0x20F000, 0x80, -1000),
    Registers("bcm2835-thermal", 0x212000, 8),
    Registers("bcm2835-spis", 0x214000, 0x100, -1000),
    Registers("bcm2835-aux", 0x215000, 0x100),
    Registers("sdhci", 0x300000, 0x100),
    Registers("bcm2835-smi", 0x600000, 0x100, -1000),
    Between("10.0", None, *(Registers("bcm2835-i2c", address, 0x24) for address in (0x804000, 0x805000))),
    Between(
        None,
        "7.2",
        Registers("bcm2835-i2c1", 0x804000, 0x20, -1000),
        Registers("bcm2835-i2c2", 0x805000, 0x20, -1000),
    ),
    Registers("bcm2835-dbus", 0x900000, 0x8000, -1000),
    Registers("bcm2835-ave0", 0x910000, 0x8000, -1000),
    Registers("dwc2-io", 0x980000, 0x1000),
    Registers("dwc2-fifo", 0x981000, 0x10000),
    Registers("bcm2835-v3d", 0xC00000, 0x1000, -1000),
    Registers("bcm2835-sdramc", 0xE00000, 0x100, -1000),
    Registers("bcm2835-dma-chan15", 0xE05000, 0x100),
)
BCM2835 = (MachineRam(0), Within("bcm2835-peripherals", 0x20000000, 0x1000000, PERIPHERALS, 1))
BCM2838 = (MachineRam(0),)
BCM2836 = (MachineRam(0), Within("bcm2835-peripherals", 0x3F000000, 0x1000000, PERIPHERALS, 1))

# Allwinner

ALLWINNER_A10 = (
    Block("sram A", 48 * KIB, 0),
    MachineRam(0x40000000),
)
ALLWINNER_R40 = (
    Block("sram A1", 16 * KIB, 0),
    Block("sram A2", 16 * KIB, 0x4000),
    Block("sram A3", 13 * KIB, 0x8000),
    Block("sram A4", 3 * KIB, 0xB400),
    MachineRam(0x40000000),
)
ALLWINNER_H3 = (
    Block("sram A1", 64 * KIB, 0),
    Block("sram A2", 32 * KIB, 0x44000),
    Block("sram C", 44 * KIB, 0x10000),
    Block("allwinner-h3-dramc.row-mirror", 4 * KIB, 0x40000000, 10),
    MachineRam(0x40000000),
)

ROWS = (
    Row(
        "imx25-pdk",
        "ARM i.MX25 PDK board (ARM926)",
        "imx25.ram",
        128 * MIB,
        IMX25,
        UP_TO_512M,
        since="7.2",
    ),
    Row(
        "imx25-pdk",
        "ARM i.MX25 PDK board (ARM926)",
        "imx25.ram",
        128 * MIB,
        IMX25,
        UP_TO_512M_OLD,
        until="5.2",
    ),
    Row("kzm", "ARM KZM Emulation Baseboard (ARM1136)", "kzm.ram", 128 * MIB, IMX31, UP_TO_512M),
    Row(
        "sabrelite",
        "Freescale i.MX6 Quad SABRE Lite Board (Cortex-A9)",
        "sabrelite.ram",
        128 * MIB,
        IMX6,
        UP_TO_3840M,
        max_cpus=4,
    ),
    Row(
        "mcimx6ul-evk",
        "Freescale i.MX6UL Evaluation Kit (Cortex-A7)",
        "mcimx6ul-evk.ram",
        128 * MIB,
        IMX6UL,
        UP_TO_2G,
    ),
    Row(
        "mcimx7d-sabre",
        "Freescale i.MX7 DUAL SABRE (Cortex-A7)",
        "mcimx7d-sabre.ram",
        128 * MIB,
        IMX7D,
        UP_TO_2G,
        max_cpus=2,
    ),
    Row(
        "imx8mm-evk",
        "NXP i.MX 8MM EVK Board",
        "imx8mm-evk.ram",
        2 * GIB,
        IMX8MM,
        UP_TO_4G,
        max_cpus=4,
        targets=ONLY_AARCH64,
        since="11.1",
    ),
    Row(
        "imx8mp-evk",
        "NXP i.MX 8M Plus EVK Board",
        "imx8mp-evk.ram",
        6 * GIB,
        IMX8MP,
        UP_TO_8G,
        max_cpus=4,
        targets=ONLY_AARCH64,
        since="10.0",
    ),
    Row(
        "cheetah",
        "Palm Tungsten|E aka. Cheetah PDA (OMAP310)",
        "omap1.dram",
        32 * MIB,
        (*OMAP1, Rom("palmte.flash", 8 * MIB, 0)),
        (FIXED,),
        cpu="ti925t",
        until="7.2",
    ),
    Row(
        "sx1",
        "Siemens SX1 (OMAP310) V2",
        "omap1.dram",
        32 * MIB,
        (*OMAP1, Rom("omap_sx1.flash0-0", 32 * MIB, 0)),
        (FIXED,),
        cpu="ti925t",
    ),
    Row(
        "sx1-v1",
        "Siemens SX1 (OMAP310) V1",
        "omap1.dram",
        32 * MIB,
        (*OMAP1, Rom("omap_sx1.flash0-0", 16 * MIB, 0)),
        (FIXED,),
        cpu="ti925t",
    ),
    Row(
        "n800",
        "Nokia N800 tablet aka. RX-34 (OMAP2420)",
        "omap2.dram",
        128 * MIB,
        OMAP2,
        (FIXED,),
        cpu="arm1136-r2",
        until="7.2",
    ),
    Row(
        "n810",
        "Nokia N810 tablet aka. RX-44 (OMAP2420)",
        "omap2.dram",
        128 * MIB,
        OMAP2,
        (FIXED,),
        cpu="arm1136-r2",
        until="7.2",
    ),
    Row("raspi0", "Raspberry Pi Zero (revision 1.2)", "ram", 512 * MIB, BCM2835, (FIXED,)),
    Row("raspi1ap", "Raspberry Pi A+ (revision 1.1)", "ram", 512 * MIB, BCM2835, (FIXED,)),
    Row(
        "raspi2b",
        "Raspberry Pi 2B (revision 1.1)",
        "ram",
        GIB,
        BCM2836,
        (FIXED,),
        max_cpus=4,
    ),
    Row(
        "raspi3ap",
        "Raspberry Pi 3A+ (revision 1.0)",
        "ram",
        512 * MIB,
        BCM2836,
        (FIXED,),
        max_cpus=4,
        targets=ONLY_AARCH64,
    ),
    Row(
        "raspi3b",
        "Raspberry Pi 3B (revision 1.2)",
        "ram",
        GIB,
        BCM2836,
        (FIXED,),
        max_cpus=4,
        targets=ONLY_AARCH64,
    ),
    Row(
        "raspi4b",
        "Raspberry Pi 4B (revision 1.5)",
        "ram",
        2 * GIB,
        BCM2838,
        (FIXED,),
        max_cpus=4,
        targets=ONLY_AARCH64,
        since="10.0",
    ),
    Row(
        "cubieboard",
        "cubietech cubieboard (Cortex-A8)",
        "cubieboard.ram",
        GIB,
        ALLWINNER_A10,
        (SizeRule("This machine can only be used with 512MiB or 1GiB RAM", among=(512 * MIB, GIB)),),
        cpu="cortex-a8",
    ),
    Row(
        "orangepi-pc",
        "Orange Pi PC (Cortex-A7)",
        "orangepi.ram",
        GIB,
        ALLWINNER_H3,
        (SizeRule("This machine can only be used with 1GiB of RAM", only_default=True),),
        cpu="cortex-a7",
        max_cpus=4,
    ),
    Row(
        "bpim2u",
        "Bananapi M2U (Cortex-A7)",
        "bpim2u.ram",
        GIB,
        ALLWINNER_R40,
        (
            SizeRule(
                "allwinner_r40_dramc_realize: ram-size {mib} MiB is not supported", among=(256 * MIB, 512 * MIB, GIB)
            ),
        ),
        cpu="cortex-a7",
        max_cpus=4,
        since="10.0",
    ),
)
