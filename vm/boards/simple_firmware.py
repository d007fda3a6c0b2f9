"""What simple boards say of `-bios`: what they load is not modelled, but a file that is not there is refused as QEMU
refuses it, and some boards have words beside files.

Imported when `-bios` is used. Where no text stands here, QEMU starts whatever the file is.
"""

from __future__ import annotations

import os

from ..errors import VMError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..releases import Release

WORDS = ("none", "default")
"""RISC-V: no firmware, or that which comes with QEMU."""
WITH_WORDS = ("k230", "microchip-icicle-kit", "sifive_u", "spike", "tt-atlantis", "virt")
WITHOUT_FIRMWARE = ("bpim2u", "cubieboard", "orangepi-pc")
"""Boards that take no `-bios`, whatever the file is."""

MISSING = {
    "Unable to find the RISC-V BIOS \"{}\"": WITH_WORDS,
    "Could not find OPAL firmware '{}'": (
        "powernv8", "powernv9", "powernv10", "powernv10-rainier", "powernv11",
    ),
    "Could not find ROM image '{}'": (
        "kudo-bmc", "mcf5208evb", "mori-bmc", "npcm750-evb", "npcm845-evb", "quanta-gbs-bmc", "quanta-gsj", "sbsa-ref",
        "vexpress-a15", "vexpress-a9",
    ),
    "Could not find firmware '{}'": ("amigaone", "pegasos1", "pegasos2", "ref405ep"),
    "Could not load MIPS bios '{}'": ("fuloong2e", "loongson3-virt", "magnum", "malta", "mipssim", "pica61"),
    "Could not open option rom '{}': No such file or directory": ("gdbsim-r5f562n7", "gdbsim-r5f562n8"),
    "Couldn't find rom image '{}'.": ("canon-a1100",),
    "Failed to load firmware '{}'.": ("next-cube",),
    "Failed to load firmware from {}": ("raspi0", "raspi1ap", "raspi2b", "raspi3ap", "raspi3b", "raspi4b"),
    "Unable to find {}": ("highbank", "midway"),
    "could not find firmware/kernel file '{}'": ("mpc8544ds", "ppce500"),
    "could not load MacROM '{}'": ("q800",),
    "could not load PowerPC bios '{}'": ("g3beige", "mac99"),
    "could not load firmware '{}'": ("opentitan", "shakti_c", "xiangshan-kunminghu"),
    "could not load prom '{}'": (
        "LX", "SPARCClassic", "SPARCbook", "SS-10", "SS-20", "SS-4", "SS-5", "SS-600MP", "Voyager",
    ),
    "no firmware provided": ("715", "A400", "B160L", "C3700", "hppa"),
    "no palcode provided": ("clipper",),
    "unable to load firmware image '{}'": ("boston", "boston-aia"),
}  # fmt: skip
"""By text, which boards say it of a file that is not there. The text is also the name by which a release says it
otherwise (`Release.text`)."""
LOONGARCH_MISSING = "Could not find ROM image '{}'"
"""`virt` is a board of another target too."""


def check_firmware(machine: str, target: str, path: str, release: Release) -> bool:
    """Whether there is a file that the board would load; raises `VMError` where it must be there and is not."""
    loongarch = target.startswith("loongarch")
    if machine in WITH_WORDS and path in WORDS and not loongarch:
        return False
    if machine in WITHOUT_FIRMWARE:
        raise VMError("BIOS not supported for this machine")
    if os.path.exists(path):
        return True
    if machine.startswith("virt") and loongarch:
        raise VMError(LOONGARCH_MISSING.format(path))
    for text, boards in MISSING.items():
        if machine in boards:
            raise VMError(release.text(text, text).format(path))
    return True
