"""Simple boards, rows: Arm's own evaluation boards, and others of no larger family. Data only."""

from __future__ import annotations

from .simple import Row
from .simple_numa import SBSAMachine
from .simple_parts import (
    FIXED,
    GIB,
    KIB,
    MIB,
    RAM,
    Alias,
    Between,
    Block,
    Flash,
    ForEachCPU,
    MachineRam,
    Registers,
    Rom,
    SizeRule,
    Within,
)

# Arm's boards

INTEGRATOR_CP = (
    MachineRam(0),
    Alias("ram.alias", 0x80000000),
    Block("integrator.flash", MIB),
    Registers("integratorcm", 0x10000000, 0x800000),
    Registers("icp_pit", 0x13000000, 0x1000),
    Registers("icp-pic", 0x14000000, 0x800000),
    Registers("pl031", 0x15000000, 0x1000),
    Registers("pl011", 0x16000000, 0x1000),
    Registers("pl011", 0x17000000, 0x1000),
    Registers("pl050", 0x18000000, 0x1000),
    Registers("pl050", 0x19000000, 0x1000),
    Registers("dbg-leds", 0x1A000000, 0x1000000),
    Registers("pl181", 0x1C000000, 0x1000),
    Registers("pl041", 0x1D000000, 0x1000),
    Registers("pl110", 0xC0000000, 0x1000),
    Registers("icp-pic", 0xCA000000, 0x800000),
    Registers("icp_ctrl_regs", 0xCB000000, 0x800000),
)
VERSATILE = (
    MachineRam(0),
    Flash("versatile.flash", 64 * MIB, 0x34000000),
)
VERSATILE_SIZES = (SizeRule("versatilepb: memory size must not exceed 256MB", maximum=256 * MIB),)
VEXPRESS_A9 = (
    Alias("vexpress.lowmem", 0, RAM, 0, 64 * MIB),
    MachineRam(0x60000000),
    Flash("vexpress.flash0", 64 * MIB, 0x40000000),
    Alias("vexpress.flashalias", 0, "vexpress.flash0"),
    Flash("vexpress.flash1", 64 * MIB, 0x44000000),
    Block("vexpress.sram", 32 * MIB, 0x48000000),
    Block("vexpress.vram", 8 * MIB, 0x4C000000),
)
VEXPRESS_A15 = (
    MachineRam(0x80000000),
    Block("vexpress.a15sram", 64 * KIB, 0x2E000000),
    Flash("vexpress.flash0", 64 * MIB, 0x8000000),
    Alias("vexpress.flashalias", 0, "vexpress.flash0"),
    Flash("vexpress.flash1", 64 * MIB, 0xC000000),
    Block("vexpress.sram", 32 * MIB, 0x14000000),
    Block("vexpress.vram", 8 * MIB, 0x18000000),
)

# Arm's FPGA images; what is behind a TrustZone controller is nowhere in the address space "memory".

SSRAM = (
    Block("mps.ssram1", 4 * MIB, 0),
    Alias("mps.ssram1_m", 0x400000, "mps.ssram1"),
    Block("mps.ssram23", 4 * MIB, 0x20000000),
    Alias("mps.ssram23_m", 0x20400000, "mps.ssram23"),
)
AN385 = (
    MachineRam(0x21000000),
    Block("mps.blockram", 16 * KIB, 0x1000000),
    *(Alias(f"mps.blockram_m{copy}", 0x1000000 + copy * 0x4000, "mps.blockram") for copy in (1, 2, 3)),
    *SSRAM,
)
AN500 = (MachineRam(0x60000000), *SSRAM)
AN511 = (
    MachineRam(0x21000000),
    Block("mps.blockram", 256 * KIB, 0),
    Block("mps.ssram1", 8 * MIB, 0x400000),
    Block("mps.sram", 128 * KIB, 0x20000000),
    Block("mps.ssram23", 4 * MIB, 0x20400000),
)
SECURED_SSRAM = (Block("ssram-0", 4 * MIB), Block("ssram-1", 2 * MIB), Block("ssram-2", 2 * MIB))
SSE200_SRAM = tuple(Block(f"armsse.sram{bank}", 32 * KIB) for bank in range(4))
AN505 = (MachineRam(0x80000000), Block("armsse.sram0", 32 * KIB), *SECURED_SSRAM)
AN521 = (MachineRam(0x80000000), *SSE200_SRAM, *SECURED_SSRAM)
AN524 = (*SSE200_SRAM, Block("bram", 512 * KIB), Rom("QSPI", 8 * MIB))
AN547 = (
    Block("armsse.sram0", 2 * MIB),
    Block("armsse.sram1", 2 * MIB),
    Block("sse300-itcm", 512 * KIB),
    Block("sse300-dtcm", 512 * KIB),
    Block("sram", 2 * MIB),
    Rom("QSPI", 8 * MIB),
    Block("sram 2", 4 * MIB, 0x21000000),
)
AN536 = (
    Block("ATCM", 32 * KIB, 0),
    Rom("QSPI", 8 * MIB, 0x8000000),
    Block("BRAM", 512 * KIB, 0x10000000),
    MachineRam(0x20000000),
    *(
        Block(f"{memory}TCM{cpu}", 32 * KIB, 0xEE000000 + cpu * 0x400000 + place * 0x100000)
        for cpu in (0, 1)
        for place, memory in enumerate("ABC")
    ),
    ForEachCPU(lambda cpu: Block(f"cpu-{cpu}-memory", 4 * KIB)),
    *(Registers("cmsdk", 0xE0100000 + number * 0x1000, 0x1000) for number in range(10)),
    Registers("mps2-scc", 0xE0200000, 0x1000),
    Registers("mps2-fpgaio", 0xE0202000, 0x1000),
    *(Registers("uart", 0xE0205000 + number * 0x1000, 0x1000) for number in range(4)),
    Registers("pl031", 0xE020A000, 0x1000),
    Registers("lan9118-mmio", 0xE0300000, 0x100),
    Registers("gicv3_dist", 0xF0000000, 0x10000),
    ForEachCPU(lambda cpu: Registers(f"gicv3_redist{cpu}", 0xF0100000 + cpu * 0x20000, 0x20000)),
)

# Servers

HIGHBANK_PERIPHERALS = (
    Block("highbank.sysram", 32 * KIB, 0xFFF88000),
    Registers("ahci", 0xFFE08000, 0x1000),
    *(Registers("pl061", address, 0x1000) for address in (0xFFF30000, 0xFFF31000, 0xFFF32000, 0xFFF33000)),
    Registers("sp804", 0xFFF34000, 0x1000),
    Registers("pl031", 0xFFF35000, 0x1000),
    Registers("pl011", 0xFFF36000, 0x1000),
    Registers("pl022", 0xFFF39000, 0x1000),
    Registers("highbank_regs", 0xFFF3C000, 0x1000),
)
HIGHBANK = (
    MachineRam(0),
    *HIGHBANK_PERIPHERALS,
    Registers("a9-scu", 0xFFF10000, 0x100),
    Registers("gic_cpu", 0xFFF10100, 0x100),
    Registers("a9gtimer shared", 0xFFF10200, 0x20),
    Registers("arm_mptimer_timer", 0xFFF10600, 0x20),
    Registers("arm_mptimer_timer", 0xFFF10620, 0x20),
    Registers("gic_dist", 0xFFF11000, 0x1000),
    Registers("l2x0_cc", 0xFFF12000, 0x1000),
)
MIDWAY = (
    MachineRam(0),
    *HIGHBANK_PERIPHERALS,
    Registers("gic_dist", 0xFFF11000, 0x1000),
    Registers("gic_cpu", 0xFFF12000, 0x2000),
    Registers("gic_viface", 0xFFF14000, 0x1000),
    Registers("gic_viface", 0xFFF15000, 0x200),
    Registers("gic_vcpu", 0xFFF16000, 0x2000),
)
SBSA = (
    Block("sbsa.flash0", 256 * MIB),
    Flash("sbsa.flash1", 256 * MIB, 0x10000000),
    MachineRam(0x10000000000),
    Block("sbsa-ref.secure-ram", 512 * MIB),
    Between(
        "10.0",
        None,
        Block("0000:00:01.0/bochs-display-vram", 16 * MIB, region="bochs-display-vram"),
        Rom("0000:00:01.0/bochs-display.rom", 32 * KIB, region="bochs-display.rom"),
    ),
    Between(
        None,
        "7.2",
        Block("0000:00:01.0/vga.vram", 16 * MIB, region="vga.vram"),
        Block("0000:00:01.0/vga.rom", 64 * KIB, region="vga.rom"),
    ),
)

# Devices

DIGIC = (
    MachineRam(0),
    Flash("pflash", 4 * MIB),
    Within(
        "pflash",
        0xF8000000,
        128 * MIB,
        tuple(Alias("pflash-alias", copy * 4 * MIB, "pflash") for copy in range(32)),
    ),
)
COLLIE = (
    MachineRam(0xC0000000),
    Flash("collie.fl1", 32 * MIB, 0),
    Flash("collie.fl2", 32 * MIB, 0x8000000),
)
MUSICPAL = (
    MachineRam(0),
    Block("musicpal.sram", 128 * KIB, 0xC0000000),
)

ROWS = (
    Row(
        "integratorcp",
        "ARM Integrator/CP (ARM926EJ-S)",
        "integrator.ram",
        128 * MIB,
        INTEGRATOR_CP,
        cpu="arm926",
    ),
    Row(
        "versatileab",
        "ARM Versatile/AB (ARM926EJ-S)",
        "versatile.ram",
        128 * MIB,
        VERSATILE,
        VERSATILE_SIZES,
        cpu="arm926",
    ),
    Row(
        "versatilepb",
        "ARM Versatile/PB (ARM926EJ-S)",
        "versatile.ram",
        128 * MIB,
        VERSATILE,
        VERSATILE_SIZES,
        cpu="arm926",
    ),
    Row(
        "vexpress-a9",
        "ARM Versatile Express for Cortex-A9",
        "vexpress.highmem",
        128 * MIB,
        VEXPRESS_A9,
        (SizeRule("vexpress-a9: cannot model more than 1GB RAM", maximum=GIB),),
        cpu="cortex-a9",
        max_cpus=4,
    ),
    Row(
        "vexpress-a15",
        "ARM Versatile Express for Cortex-A15",
        "vexpress.highmem",
        128 * MIB,
        VEXPRESS_A15,
        (SizeRule("vexpress-a15: cannot model more than 30GB RAM", maximum=30 * GIB),),
        cpu="cortex-a15",
        max_cpus=4,
    ),
    Row(
        "mps2-an385",
        "ARM MPS2 with AN385 FPGA image for Cortex-M3",
        "mps.ram",
        16 * MIB,
        AN385,
        (FIXED,),
        cpu="cortex-m3",
    ),
    Row(
        "mps2-an386",
        "ARM MPS2 with AN386 FPGA image for Cortex-M4",
        "mps.ram",
        16 * MIB,
        AN385,
        (FIXED,),
        cpu="cortex-m4",
    ),
    Row(
        "mps2-an500",
        "ARM MPS2 with AN500 FPGA image for Cortex-M7",
        "mps.ram",
        16 * MIB,
        AN500,
        (FIXED,),
        cpu="cortex-m7",
    ),
    Row(
        "mps2-an505",
        "ARM MPS2 with AN505 FPGA image for Cortex-M33",
        "mps.ram",
        16 * MIB,
        AN505,
        (FIXED,),
        cpu="cortex-m33",
    ),
    Row(
        "mps2-an511",
        "ARM MPS2 with AN511 DesignStart FPGA image for Cortex-M3",
        "mps.ram",
        16 * MIB,
        AN511,
        (FIXED,),
        cpu="cortex-m3",
    ),
    Row(
        "mps2-an521",
        "ARM MPS2 with AN521 FPGA image for dual Cortex-M33",
        "mps.ram",
        16 * MIB,
        AN521,
        (FIXED,),
        cpu="cortex-m33",
        max_cpus=2,
    ),
    Row(
        "mps3-an524",
        "ARM MPS3 with AN524 FPGA image for dual Cortex-M33",
        "DDR",
        2 * GIB,
        AN524,
        (FIXED,),
        cpu="cortex-m33",
        max_cpus=2,
        since="7.2",
    ),
    Row(
        "mps3-an547",
        "ARM MPS3 with AN547 FPGA image for Cortex-M55",
        "DDR",
        2 * GIB,
        AN547,
        (FIXED,),
        cpu="cortex-m55",
        since="7.2",
    ),
    Row(
        "mps3-an536",
        "ARM MPS3 with AN536 FPGA image for Cortex-R52",
        "DDR",
        3 * GIB,
        AN536,
        cpu="cortex-r52",
        max_cpus=2,
        since="10.0",
    ),
    Row(
        "highbank",
        "Calxeda Highbank (ECX-1000)",
        "highbank.dram",
        128 * MIB,
        HIGHBANK,
        max_cpus=4,
        until="10.0",
        cpu="cortex-a9",
    ),
    Row(
        "midway",
        "Calxeda Midway (ECX-2000)",
        "highbank.dram",
        128 * MIB,
        MIDWAY,
        max_cpus=4,
        until="10.0",
        cpu="cortex-a15",
    ),
    Row(
        "sbsa-ref",
        "QEMU 'SBSA Reference' ARM Virtual Machine",
        "sbsa-ref.ram",
        GIB,
        SBSA,
        (SizeRule("sbsa-ref: cannot model more than 8192GB RAM", maximum=8192 * GIB),),
        cpu="neoverse-n2",
        max_cpus=512,
        targets=("aarch64",),
        machine=SBSAMachine,
        settings={"page_size": 4096},
    ),
    Row("canon-a1100", "Canon PowerShot A1100 IS (ARM946)", "ram", 64 * MIB, DIGIC, (FIXED,)),
    Row("collie", "Sharp SL-5500 (Collie) PDA (SA-1110)", "strongarm.sdram", 512 * MIB, COLLIE, (FIXED,), cpu="sa1110"),
    Row(
        "musicpal",
        "Marvell 88w8618 / MusicPal (ARM926EJ-S)",
        "musicpal.ram",
        32 * MIB,
        MUSICPAL,
        (FIXED,),
        cpu="arm926",
    ),
)
