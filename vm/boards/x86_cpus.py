"""What a CPU model decides about guest memory: its vendor, how many address bits it has, and whether it has an APIC.

Nothing executes here, so models are told apart only where QEMU 7.2's memory map depends on them; what is not in the
tables is an Intel CPU with 64 bits.
"""

from __future__ import annotations

from ..errors import VMError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..host import Host
    from ..releases import Release

AMD = "AuthenticAMD"
VENDORS = {
    **dict.fromkeys(("athlon", "phenom", "qemu64", "max", "EPYC"), AMD),
    **dict.fromkeys((f"Opteron_G{generation}" for generation in range(1, 6)), AMD),
    "Dhyana": "HygonGenuine",
    "base": "",
}
"""By the first word of the model's name."""
INTEL = "GenuineIntel"
WITHOUT_36_BITS = ("486", "base", "pentium")
WITHOUT_LONG_MODE = (*WITHOUT_36_BITS, "athlon", "coreduo", "kvm32", "n270", "pentium2", "pentium3", "qemu32")
WITHOUT_APIC = ("486", "base")
WITH_X2APIC = (
    "max", "Broadwell", "Cascadelake", "ClearwaterForest", "Cooperlake", "Denverton", "DiamondRapids", "GraniteRapids",
    "Haswell", "Icelake", "IvyBridge", "KnightsMill", "SandyBridge", "SapphireRapids", "SierraForest", "Skylake",
    "Snowridge", "YongFeng",
)  # fmt: skip


class CPUModel:
    """What is known of the CPUs of a machine."""

    __slots__ = ("has_apic", "has_x2apic", "long_mode", "phys_bits", "threads_refused", "vendor")

    def __init__(
        self, name: str, options: dict[str, str], target: str, accelerated: bool, host: Host, release: Release
    ) -> None:
        """Raises `VMError` if the options cannot be.

        `host` is what the CPU follows: KVM shows the guest its vendor, and `-cpu host` is the host's whatever keeps
        the slots.
        """
        family = name.partition("-")[0]
        accelerated = accelerated or family == "host"
        follows_host = accelerated and family in ("host", "max")
        self.vendor = options.get("vendor") or (host.cpu_vendor if accelerated else VENDORS.get(family, INTEL))
        self.long_mode = target == "x86_64" and family not in WITHOUT_LONG_MODE
        rules = release.settings("x86 CPUs")
        self.phys_bits = _phys_bits(family, options, self.long_mode, host if follows_host else None, rules)
        self.has_x2apic = accelerated or options.get("x2apic", "on" if family in WITH_X2APIC else "off") == "on"
        self.has_apic = family not in WITHOUT_APIC
        self.threads_refused = self.vendor == AMD and not (accelerated and family == "EPYC")
        """Whether several threads of a core are against the model: it has no `topoext`, which TCG cannot do."""


def _phys_bits(family: str, options: dict[str, str], long_mode: bool, host: Host | None, rules: dict[str, Any]) -> int:
    """The width of addresses: the host's, if one is to be followed. `rules` are those of an older release."""
    try:
        wanted = int(options.get("phys-bits", "0"), 0)
    except ValueError:
        raise VMError("Parameter 'phys-bits' expects uint32_t") from None
    if not long_mode:
        if wanted:
            raise VMError("phys-bits is not user-configurable in 32 bit")
        return 32 if family in (*WITHOUT_36_BITS, *rules.get("more of 32 bits", ())) else 36
    if host is not None and not wanted and options.get("host-phys-bits") != "off":
        return host.phys_bits
    most = rules.get("most phys-bits")
    if most is not None and wanted and not 32 <= wanted <= most:
        raise VMError(f"phys-bits should be between 32 and {most}  (but is {wanted})")
    if wanted and wanted < 32:
        raise VMError(f"phys-bits should be at least 32 (but is {wanted})")
    return wanted or 40


def apic_id(cpu: int, smp: dict[str, int]) -> int:
    """The number of a CPU's APIC: each level of the topology takes whole bits of it."""
    number = shift = 0
    for level in ("threads", "cores", "modules", "dies"):
        cpu, index = divmod(cpu, smp[level])
        number += index << shift
        shift += (smp[level] - 1).bit_length()
    return number + (cpu << shift)


def apic_ids_used(smp: dict[str, int]) -> int:
    """One more than the last APIC id that a CPU can have."""
    return apic_id(smp["maxcpus"] - 1, smp) + 1
