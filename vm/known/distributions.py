"""Names that distributions give to machine types of their own, and the upstream version that each stands for.

As far as that is publicly known: a distribution's types are those of the QEMU that it ships, with changes of its own.
Sources: the release notes and package archives of the distributions.
"""

from __future__ import annotations

RHEL = {
    "7.6": "2.12", "8.0": "3.1", "8.1": "4.1", "8.2": "4.2", "8.3": "5.1", "8.4": "5.2", "8.5": "6.0", "8.6": "6.2",
    "9.0": "6.2", "9.2": "7.2", "9.4": "8.2", "9.6": "9.1",
}  # fmt: skip
"""By the version of Red Hat Enterprise Linux in `pc-q35-rhel9.2.0`."""
UBUNTU = {
    "xenial": "2.5", "yakkety": "2.6", "zesty": "2.8", "artful": "2.10", "bionic": "2.11", "cosmic": "2.12",
    "disco": "3.1", "eoan": "4.0", "focal": "4.2", "groovy": "5.0", "hirsute": "5.2", "impish": "6.0", "jammy": "6.2",
    "kinetic": "7.0", "lunar": "7.2", "mantic": "8.0", "noble": "8.2", "oracular": "9.0", "plucky": "9.2",
}  # fmt: skip
"""By the name of the series in `pc-i440fx-noble`; `-hpb` behind it means the host's address bits."""


def upstream_machine(name: str) -> tuple[str, str] | None:
    """The upstream machine type that a distribution's stands for, and whose name it is; None for any other name."""
    stem, mark, _ = name.partition("+pve")
    if mark:
        return stem, "Proxmox VE"
    stem, mark, version = name.partition("-rhel")
    if mark:
        upstream = RHEL.get(".".join(version.split(".")[:2]))
        return (f"{stem}-{upstream}", "Red Hat Enterprise Linux") if upstream is not None else None
    stem, _, series = name.removesuffix("-hpb").rpartition("-")
    return (f"{stem}-{UBUNTU[series]}", "Ubuntu") if series in UBUNTU else None


def taken_as(name: str, upstream: str, whose: str) -> str:
    """What people are told where a distribution's machine type stands for another."""
    bits = " (-hpb is -cpu MODEL,host-phys-bits=on)" if name.endswith("-hpb") else ""
    return f"{name} is {whose}'s, taken as {upstream}{bits}"
