"""Simple boards, rows: SPARC. Data only."""

from __future__ import annotations

from .simple import Row
from .simple_parts import GIB, KIB, MIB, Block, MachineRam, Part, Registers, Rom, SizeRule

SUN4M_SMALL = (
    MachineRam(0),
    Rom("sun4m.prom", MIB, 0x70000000),
    Rom("sun4m.idreg", 4, 0x78000000),
)
SS_5 = (*SUN4M_SMALL, Block("sun4m.afx", 4, 0x6E000000))


def sun4m_large(*parts: Part) -> tuple[Part, ...]:
    """A board whose RAM, with more than 52 GiB of it, reaches under the registers that all have."""
    return (
        MachineRam(0),
        Rom("sun4m.prom", MIB, 0xFF0000000),
        *parts,
        Registers("fwcfg.ctl", 0xD00000510, 2),
        Registers("fwcfg.data", 0xD00000512, 1),
        Registers("apc", 0xEFA000000, 1),
    )


SS_10 = sun4m_large(
    Rom("sun4m.idreg", 4, 0xEF0000000),
    Registers("espdma-mmio", 0xEF0400000, 0x10),
    Registers("ledma-mmio", 0xEF0400010, 0x10),
    Registers("ledma-mmio", 0xEF0400020, 4),
    Registers("esp-regs", 0xEF0800000, 0x40),
    Registers("lance-mmio", 0xEF0C00000, 4),
)
SS_600MP = sun4m_large(
    Registers("espdma-mmio", 0xEF0081000, 0x10),
    Registers("ledma-mmio", 0xEF0081010, 0x10),
    Registers("ledma-mmio", 0xEF0081020, 4),
    Registers("esp-regs", 0xEF0080000, 0x40),
    Registers("lance-mmio", 0xEF0060000, 4),
)
LEON3 = (
    MachineRam(0x40000000),
    Rom("Leon3.bios", 8 * MIB, 0),
)
NIAGARA = (
    Block("sun4v-hv.ram", 63 * MIB, 0x100000),
    MachineRam(0x80000000),
    Block("sun4v.nvram", 8 * KIB, 0x1F11000000),
    Block("sun4v-md.rom", 8 * KIB, 0x1F12000000),
    Block("sun4v-hv.rom", 8 * KIB, 0x1F12080000),
    Block("sun4v.prom", 4 * MIB, 0xFFF0000000),
    Registers("serial", 0x1F10000000, 8),
    Registers("sun4v-rtc", 0xFFF0C1FFF8, 8),
)

UP_TO_256M = (SizeRule("Too much memory for this machine: {mib}, maximum 256", maximum=256 * MIB),)
UP_TO_60G = (SizeRule("Too much memory for this machine: {mib}, maximum 61440", maximum=60 * GIB),)
ONLY_32 = ("sparc",)


def sun4m(name: str, model: str, parts: tuple[Part, ...], cpu: str, *, default_of: tuple[str, ...] = ()) -> Row:
    """A workstation with one processor and up to 256 MiB."""
    return Row(
        name,
        f"Sun4m platform, {model}",
        "sun4m.ram",
        128 * MIB,
        parts,
        UP_TO_256M,
        cpu=cpu,
        default_of=default_of,
        targets=ONLY_32,
    )


def sun4m_smp(name: str, model: str, parts: tuple[Part, ...]) -> Row:
    """A workstation with up to four processors and 60 GiB."""
    return Row(
        name,
        f"Sun4m platform, {model}",
        "sun4m.ram",
        128 * MIB,
        parts,
        UP_TO_60G,
        cpu="TI-SuperSparc-II",
        max_cpus=4,
        targets=ONLY_32,
    )


ROWS = (
    sun4m("LX", "SPARCstation LX", SUN4M_SMALL, "TI-MicroSparc-I"),
    sun4m("SPARCClassic", "SPARCClassic", SUN4M_SMALL, "TI-MicroSparc-I"),
    sun4m("SPARCbook", "SPARCbook", SUN4M_SMALL, "TI-MicroSparc-I"),
    sun4m("SS-4", "SPARCstation 4", SUN4M_SMALL, "Fujitsu-MB86904"),
    sun4m("SS-5", "SPARCstation 5", SS_5, "Fujitsu-MB86904", default_of=ONLY_32),
    sun4m("Voyager", "SPARCstation Voyager", SUN4M_SMALL, "Fujitsu-MB86904"),
    sun4m_smp("SS-10", "SPARCstation 10", SS_10),
    sun4m_smp("SS-20", "SPARCstation 20", SS_10),
    sun4m_smp("SS-600MP", "SPARCserver 600MP", SS_600MP),
    Row(
        "leon3_generic",
        "Leon-3 generic",
        "leon3.ram",
        128 * MIB,
        LEON3,
        (SizeRule("Too much memory for this machine: {mib}MB, maximum 1G", maximum=GIB),),
        cpu="LEON3",
        targets=ONLY_32,
        max_cpus=4,
    ),
    Row(
        "niagara",
        "Sun4v platform, Niagara",
        "sun4v-partition.ram",
        128 * MIB,
        NIAGARA,
        cpu="Sun-UltraSparc-T1",
        targets=("sparc64",),
    ),
)
