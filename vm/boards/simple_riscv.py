"""Simple boards, rows: RISC-V. Data only."""

from __future__ import annotations

from .simple import Row
from .simple_numa import RISCVMachine, RISCVVirtMachine
from .simple_parts import (
    FIXED,
    GIB,
    KIB,
    MIB,
    RAM,
    Alias,
    Block,
    Flash,
    MachineRam,
    RamLimit,
    Registers,
    Rom,
    SizeRule,
)

ONLY_32 = ("riscv32",)
ONLY_64 = ("riscv64",)

OPENTITAN = (
    MachineRam(0x10000000),
    Rom("riscv.lowrisc.ibex.rom", 32 * KIB, 0x8000),
    Rom("riscv.lowrisc.ibex.flash", MIB, 0x20000000),
    Alias("riscv.lowrisc.ibex.flash_virtual", 0x80000000, "riscv.lowrisc.ibex.flash", 0, 512 * KIB),
)
SIFIVE_E = (
    MachineRam(0x80000000),
    Rom("riscv.sifive.e.mrom", 8 * KIB, 0x1000),
    Rom("riscv.sifive.e.xip", 512 * MIB, 0x20000000),
)
SIFIVE_U = (
    MachineRam(0x80000000),
    Rom("riscv.sifive.u.mrom", 60 * KIB, 0x1000),
    Block("riscv.sifive.u.l2lim", 32 * MIB, 0x8000000),
    Block("riscv.sifive.u.flash0", 256 * MIB, 0x20000000),
)
SPIKE = (
    MachineRam(0x80000000),
    Rom("riscv.spike.mrom", 60 * KIB, 0x1000),
)
VIRT = (
    MachineRam(0x80000000),
    Rom("riscv_virt_board.mrom", 60 * KIB, 0x1000),
    Flash("virt.flash0", 32 * MIB, 0x20000000),
    Flash("virt.flash1", 32 * MIB, 0x22000000),
)
VIRT_32 = (*VIRT, Registers("gpex_mmio_window", 0x300000000, 4 * GIB))
SHAKTI_C = (
    MachineRam(0x80000000),
    Rom("riscv.shakti.c.rom", 8 * KIB, 0x1000),
)
ICICLE_KIT = (
    Block("microchip.pfsoc.rsvd0_mem", 256, 0),
    Block("microchip.pfsoc.e51_dtim_mem", 8 * KIB, 0x1000000),
    Block("microchip.pfsoc.l2lim", 32 * MIB, 0x8000000),
    Rom("microchip.pfsoc.envm.data", 128 * KIB, 0x20220000),
    Rom("microchip.pfsoc.qspi_xip", 16 * MIB, 0x21000000),
    Alias("microchip.icicle.kit.ram_low", 0x80000000, RAM, 0, GIB),
    Alias("microchip.icicle.kit.ram_low.alias", 0xC0000000, "microchip.icicle.kit.ram_low"),
    Alias("microchip.icicle.kit.ram_high", 0x1000000000, RAM, GIB),
    Alias("microchip.icicle.kit.ram_high.alias", 0x1400000000, "microchip.icicle.kit.ram_high"),
)
BOSTON_AIA = (
    Rom("boston.flash", 128 * MIB, 0x18000000),
    MachineRam(0x80000000),
    Alias("boston_low.ddr", 0, RAM, 0, 256 * MIB),
    Registers("mips-cps", 0x1FB80000, 0xE000),
)
K230 = (
    Block("sram", 2 * MIB, 0x80200000),
    Rom("bootrom", 64 * KIB, 0x91200000),
    MachineRam(0),
)
KUNMINGHU = (
    MachineRam(0x80000000),
    Rom("xiangshan.kunminghu.rom", 60 * KIB, 0x1000),
)
ATLANTIS = (
    MachineRam(0x100000000),
    Alias("tt_atlantis.ram_low", 0, RAM, 0, 2 * GIB),
    Rom("tt-atlantis.bootrom", 8 * KIB, 0x80000000),
)

ROWS = (
    Row(
        "opentitan",
        "RISC-V Board compatible with OpenTitan",
        "riscv.lowrisc.ibex.ram",
        128 * KIB,
        OPENTITAN,
        (FIXED,),
        cpu="lowrisc-ibex",
        targets=ONLY_32,
        since="7.2",
    ),
    Row(
        "sifive_e",
        "RISC-V Board compatible with SiFive E SDK",
        "riscv.sifive.e.ram",
        16 * KIB,
        SIFIVE_E,
        (FIXED,),
        cpu="sifive-e31",
        cpu_64="sifive-e51",
        since="7.2",
    ),
    Row(
        "sifive_u",
        "RISC-V Board compatible with SiFive U SDK",
        "riscv.sifive.u.ram",
        128 * MIB,
        SIFIVE_U,
        cpu="sifive-u34",
        cpu_64="sifive-u54",
        max_cpus=5,
        since="7.2",
    ),
    Row(
        "spike",
        "RISC-V Spike board",
        "riscv.spike.ram",
        128 * MIB,
        SPIKE,
        cpu="max",
        max_cpus=8,
        machine=RISCVMachine,
        settings={"max_sockets": 8},
        since="7.2",
    ),
    Row(
        "virt",
        "RISC-V VirtIO board",
        "riscv_virt_board.ram",
        128 * MIB,
        VIRT_32,
        (RamLimit("Limiting RAM size to 10 GiB", maximum=10 * GIB),),
        cpu="rv32",
        max_cpus=512,
        targets=ONLY_32,
        machine=RISCVVirtMachine,
        since="7.2",
    ),
    Row(
        "virt",
        "RISC-V VirtIO board",
        "riscv_virt_board.ram",
        128 * MIB,
        VIRT,
        cpu="rv64",
        max_cpus=512,
        targets=ONLY_64,
        machine=RISCVVirtMachine,
        since="7.2",
    ),
    Row(
        "shakti_c",
        "RISC-V Board compatible with Shakti SDK",
        "riscv.shakti.c.ram",
        128 * MIB,
        SHAKTI_C,
        cpu="shakti-c",
        targets=ONLY_64,
        since="7.2",
        deprecated="Currently unmaintained with no known users",
    ),
    Row(
        "microchip-icicle-kit",
        "Microchip PolarFire SoC Icicle Kit",
        "microchip.icicle.kit.ram",
        1537 * MIB,
        ICICLE_KIT,
        (SizeRule("Invalid RAM size, should be bigger than {default}", minimum=1537 * MIB),),
        max_cpus=5,
        targets=ONLY_64,
        since="7.2",
    ),
    Row(
        "boston-aia",
        "MIPS Boston-aia",
        "boston.ddr",
        2 * GIB,
        BOSTON_AIA,
        (SizeRule("Memory size must be 1GB, 2GB, 3GB, or 4GB", among=tuple(count * GIB for count in range(1, 5))),),
        cpu="mips-p8700",
        max_cpus=64,
        targets=ONLY_64,
        since="11.1",
    ),
    Row(
        "k230",
        "RISC-V Board compatible with Kendryte K230 SDK",
        "riscv.K230.ram",
        2 * GIB,
        K230,
        (SizeRule("Invalid RAM size, should be {default}", minimum=2 * GIB),),
        targets=ONLY_64,
        since="11.1",
    ),
    Row(
        "xiangshan-kunminghu",
        "RISC-V Board compatible with the Xiangshan Kunminghu FPGA prototype platform",
        "xiangshan.kunminghu.ram",
        128 * MIB,
        KUNMINGHU,
        cpu="xiangshan-kunminghu",
        max_cpus=16,
        targets=ONLY_64,
        since="11.1",
    ),
    Row(
        "tt-atlantis",
        "Tenstorrent Atlantis RISC-V SoC (Experimental)",
        "tt_atlantis.ram",
        4 * GIB,
        ATLANTIS,
        cpu="tt-ascalon",
        max_cpus=8,
        targets=ONLY_64,
        since="11.1",
    ),
)
