"""Simple boards, rows: PowerPC. Data only."""

from __future__ import annotations

from .simple import Row
from .simple_parts import (
    GIB,
    KIB,
    MIB,
    Between,
    Block,
    Flash,
    ForSizes,
    MachineRam,
    RamNotice,
    Registers,
    Rom,
    SdramBanks,
    SdramLayout,
    SizeRule,
)

SMALL_RAM = RamNotice("warning: skiboot may not work with < 1GB of RAM", minimum=GIB)


def powernv(
    processor: str,
    revision: str,
    homer: int,
    occ: int,
    alias: str | None = None,
    since: str = "7.2",
    system: str | None = None,
    until: str | None = None,
) -> Row:
    """A non-virtualized POWER machine; `homer` and `occ` are where the memory of its service processor is."""
    description = f"IBM PowerNV (Non-Virtualized) {'Power' if processor == '11' else 'POWER'}{processor}"
    return Row(
        f"powernv{processor}{f'-{system.lower()}' if system else ''}",
        f"{description} {system}" if system else description,
        "pnv.ram",
        1792 * MIB if until else GIB,
        (
            MachineRam(0),
            Between(None, "7.2", Registers("homer-main-memory", homer, 4 * MIB)),
            Between("10.0", None, Block("homer-chip0-memory", 4 * MIB, homer)),
            Registers("occ-common-area", occ, 0x25800),
        ),
        (SMALL_RAM if until else SizeRule("Invalid RAM size, should be bigger than {default}", minimum=GIB),),
        cpu=f"power{processor}_{revision}",
        max_cpus=2048,
        alias=alias,
        targets=("ppc64", "ppc64le"),
        since=None if until else since,
        until=until,
    )


BAMBOO_SDRAM = SdramLayout(4, (256, 128, 64, 32, 16, 8, 4))
REF405EP_SDRAM = SdramLayout(2, (256, 128, 64, 32, 16, 8, 4))
SAM460EX_SDRAM = SdramLayout(1, (2048, 1024, 512, 256, 128, 64, 32, 16, 8))
OLD_BAMBOO_SDRAM = SdramLayout(4, (256, 128, 64, 32, 16, 8), "")
OLD_SAM460EX_SDRAM = SdramLayout(1, (2048, 1024, 512, 256, 128, 64, 32), "")

# The banks of ref405ep are off until firmware programs them: its RAM is nowhere.
REF405EP = (
    Block("ppc405.ocm", 4 * KIB),
    Block("ref405ep.sram", 512 * KIB, 0xFFF00000),
)
SAM460EX = (
    SdramBanks("ppc4xx.sdram", 0, SAM460EX_SDRAM),
    *(Block(f"ppc4xx.l2sram_bank{bank}", 64 * KIB) for bank in range(4)),
    Block("ppc440.l2cache_ram", 256 * KIB, 0x400000000),
    Block("pci.0:06.0/sm501.local", 64 * MIB, region="sm501.local"),
    Flash("sam460ex.flash", MIB, 0x4FFF00000),
)
HEATHROW = (
    MachineRam(0),
    Rom("ppc_heathrow.bios", 4 * MIB, 0xFFC00000),
)
CORE99 = (
    MachineRam(0),
    Rom("ppc_core99.bios", MIB, 0xFFF00000),
    Registers("macio-nvram", 0xFFF04000, 0x4000),
)
# QEMU 5.2 had no limit for the RAM, which reached under these.
UNINORTH = (
    Registers("fwcfg.ctl", 0xF0000510, 2),
    Registers("fwcfg.data", 0xF0000512, 1),
    Registers("unin-pci-conf-idx", 0xF0800000, 0x1000),
    Registers("unin-pci-conf-data", 0xF0C00000, 0x1000),
    Registers("unin-pci-isa-mmio", 0xF2000000, 0x800000),
    Registers("unin", 0xF8000000, 0x1000),
)
UNINORTH_32 = (
    *UNINORTH,
    Registers("unin-pci-conf-idx", 0xF2800000, 0x1000),
    Registers("unin-pci-conf-data", 0xF2C00000, 0x1000),
    Registers("unin-pci-conf-idx", 0xF4800000, 0x1000),
    Registers("unin-pci-conf-data", 0xF4C00000, 0x1000),
)
VIRTEX = (
    MachineRam(0),
    Flash("virtex.flash", 16 * MIB, 0xFC000000),
    Registers("xlnx.xps-intc", 0x81800000, 0x20),
    Registers("serial", 0x83E01003, 0x20),
    Registers("xlnx.xps-timer", 0x83C00000, 0x20),
)
MPC8544DS = (MachineRam(0),)
E500 = (
    MachineRam(0),
    Registers("mpc-i2c", 0xFE0003000, 0x14),
    Registers("pci-conf-idx", 0xFE0008000, 4),
    Registers("pci-conf-data", 0xFE0008004, 4),
    Registers("pci.reg", 0xFE0008C00, 0x400),
    Registers("glb", 0xFE0040000, 0x10F0),
    Registers("tmr", 0xFE00410F0, 0x220),
    Registers("msi", 0xFE0041600, 0x200),
    Registers("summary", 0xFE0043800, 0x800),
    Registers("src", 0xFE0050000, 0x2000),
    Registers("cpu", 0xFE0060000, 0x1F100),
    Registers("mpc8544.guts", 0xFE00E0000, 0x1000),
    Registers("mpc8xxx_gpio", 0xFE00FF000, 0x1000),
    Registers("e500 spin pv device", 0xFEF000000, 0x400),
)
PEGASOS1 = (
    MachineRam(0),
    Rom("rom", 512 * KIB, 0xFFF80000),
)
PEGASOS2 = (
    MachineRam(0),
    Between(None, "10.0", Rom("pegasos2.rom", 512 * KIB, 0xFFF00000)),
    Between("11.1", None, Rom("rom", 512 * KIB, 0xFFF00000)),
)
AMIGAONE = (
    MachineRam(0),
    ForSizes(0, GIB, Block("init-cache", 32 * KIB, 0x40000000)),
    Flash("nvram", 4 * KIB, 0xFD0E0000),
    Rom("rom", 512 * KIB, 0xFFF00000),
)
PPE42 = (MachineRam(0xFFF80000),)

MULTIPLE_OF_64M = SizeRule("RAM size must be multiple of 67108864", multiple=64 * MIB)
UP_TO_2G = SizeRule("RAM size more than 2 GiB is not supported", maximum=2 * GIB)


def power_of_two(least: int) -> SizeRule:
    """What a memory module can have, from `least` MiB on; real QEMU ends on an assertion."""
    sizes = tuple(MIB << step for step in range(12) if 1 << step >= least)
    return SizeRule(f"Invalid RAM size {{text}}, should be a power of two from {least} MiB to 2 GiB", among=sizes)


ROWS = (
    Row(
        "bamboo",
        "bamboo",
        "ppc4xx.sdram",
        128 * MIB,
        (SdramBanks("ppc4xx.sdram", 0, BAMBOO_SDRAM),),
        (BAMBOO_SDRAM,),
        cpu="440epb",
        since="7.2",
    ),
    Row(
        "bamboo",
        "bamboo",
        "ppc4xx.sdram",
        128 * MIB,
        (SdramBanks("ppc4xx.sdram", 0, OLD_BAMBOO_SDRAM),),
        (OLD_BAMBOO_SDRAM,),
        cpu="440epb",
        until="5.2",
    ),
    Row(
        "ref405ep",
        "ref405ep",
        "ppc405.ram",
        128 * MIB,
        REF405EP,
        (REF405EP_SDRAM,),
        until="7.2",
        since="7.2",
    ),
    Row(
        "sam460ex",
        "aCube Sam460ex",
        "ppc4xx.sdram",
        512 * MIB,
        SAM460EX,
        (
            SizeRule("Memory over 2 GiB is not supported", maximum=2 * GIB),
            SizeRule("Memory below 64 MiB is not supported", minimum=64 * MIB),
            SAM460EX_SDRAM,
        ),
        cpu="460exb",
        since="7.2",
    ),
    Row(
        "sam460ex",
        "aCube Sam460ex",
        "ppc4xx.sdram",
        512 * MIB,
        SAM460EX,
        (OLD_SAM460EX_SDRAM,),
        cpu="460exb",
        until="5.2",
    ),
    Row(
        "g3beige",
        "Heathrow based PowerMac",
        "ppc_heathrow.ram",
        128 * MIB,
        HEATHROW,
        (SizeRule("Too much memory for this machine: {mib} MB, maximum 2047 MB", maximum=2047 * MIB),),
        cpu="750_v3.1",
        default_of=("ppc",),
    ),
    Row(
        "mac99",
        "Mac99 based PowerMac",
        "ppc_core99.ram",
        128 * MIB,
        CORE99,
        (UP_TO_2G,),
        cpu="7400_v2.9",
        cpu_64="970fx_v3.1",
        since="7.2",
    ),
    *(
        Row(
            "mac99",
            "Mac99 based PowerMAC",
            "ppc_core99.ram",
            128 * MIB,
            (*CORE99, *bridges),
            cpu="7400_v2.9",
            cpu_64="970fx_v3.1",
            targets=targets,
            until="5.2",
        )
        for bridges, targets in ((UNINORTH_32, ("ppc",)), (UNINORTH, ("ppc64", "ppc64le")))
    ),
    Row("virtex-ml507", "Xilinx Virtex ML507 reference design", "ram", 128 * MIB, VIRTEX, cpu="440-xilinx"),
    Row(
        "mpc8544ds",
        "mpc8544ds",
        "mpc8544ds.ram",
        128 * MIB,
        MPC8544DS,
        (SizeRule("The MPC8544DS board only supports up to 3GB of RAM", maximum=3 * GIB), MULTIPLE_OF_64M),
        cpu="e500v2_v30",
        max_cpus=15,
    ),
    Row(
        "ppce500",
        "generic paravirt e500 platform",
        "mpc8544ds.ram",
        128 * MIB,
        E500,
        (MULTIPLE_OF_64M,),
        cpu="e500v2_v30",
        max_cpus=32,
    ),
    Row(
        "pegasos2",
        "Genesi/bPlan Pegasos II",
        "ram",
        512 * MIB,
        PEGASOS2,
        (UP_TO_2G, power_of_two(32)),
        cpu="7457_v1.2",
        since="7.2",
    ),
    Row(
        "pegasos1",
        "Genesi/bPlan Pegasos I",
        "ram",
        512 * MIB,
        PEGASOS1,
        (UP_TO_2G, power_of_two(32)),
        cpu="750cxe_v3.1b",
        since="11.1",
    ),
    Row(
        "amigaone",
        "Eyetech AmigaOne/Mai Logic Teron",
        "ram",
        512 * MIB,
        AMIGAONE,
        (UP_TO_2G, power_of_two(4)),
        cpu="7457_v1.2",
        since="10.0",
    ),
    Row(
        "ppe42_machine",
        "PPE42 Test Machine",
        "ram",
        512 * KIB,
        PPE42,
        (SizeRule("RAM size more than 512 KiB is not supported", maximum=512 * KIB),),
        cpu="PPE42XM",
        since="11.1",
    ),
    # Both have the alias of QEMU 10.0; this one is meant by it.
    powernv("10", "v2.0", 0x300FFD800000, 0x300FFFD80000, since="10.0", system="Rainier"),
    *(
        powernv(*row, until=until)
        for row in (
            ("8", "v2.0", 0x7FFD800000, 0x7FFFD80000),
            ("9", "v2.2", 0x203FFD800000, 0x203FFFD80000),
            ("10", "v2.0", 0x300FFD800000, 0x300FFFD80000),
        )
        for until in (None, "5.2")
    ),
    powernv("11", "v2.0", 0x300FFD800000, 0x300FFFD80000, "powernv", "11.1"),
)
