"""What a CPU model decides about guest memory: its vendor, how many address bits it has, and whether it has an APIC.

Nothing executes here, so models are told apart only where QEMU 7.2's memory map depends on them; what is not in the
tables is an Intel CPU with 64 bits.
"""

from __future__ import annotations

from ..errors import VMError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..host import Host

AMD = "AuthenticAMD"
VENDORS = {
    **dict.fromkeys(("athlon", "phenom", "qemu64", "max", "EPYC"), AMD),
    **dict.fromkeys((f"Opteron_G{generation}" for generation in range(1, 6)), AMD),
    "Dhyana": "HygonGenuine",
    "base": "",
}
"""By the first word of the model's name."""
INTEL = "GenuineIntel"
WITHOUT_PAE_ADDRESSES = ("486", "base", "coreduo", "n270", "pentium", "qemu32")
WITHOUT_LONG_MODE = (*WITHOUT_PAE_ADDRESSES, "athlon", "kvm32", "pentium2", "pentium3")
WITHOUT_APIC = ("486", "base")
MAX_PHYS_BITS = 52


class CPUModel:
    """What is known of the CPUs of a machine."""

    __slots__ = ("has_apic", "phys_bits", "threads_refused", "vendor")

    def __init__(self, name: str, options: dict[str, str], target: str, accelerated: bool, host: Host) -> None:
        """Raises `VMError` if the options cannot be.

        `host` is what the CPU follows: KVM shows the guest its vendor, and `-cpu host` is the host's whatever keeps
        the slots.
        """
        family = name.partition("-")[0]
        accelerated = accelerated or family == "host"
        follows_host = accelerated and family in ("host", "max")
        self.vendor = options.get("vendor") or (host.cpu_vendor if accelerated else VENDORS.get(family, INTEL))
        long_mode = target == "x86_64" and family not in WITHOUT_LONG_MODE
        self.phys_bits = _phys_bits(family, options, long_mode, host if follows_host else None)
        self.has_apic = family not in WITHOUT_APIC
        self.threads_refused = self.vendor == AMD and not (accelerated and family == "EPYC")
        """Whether several threads of a core are against the model: it has no `topoext`, which TCG cannot do."""

    @property
    def has_64bit_hole(self) -> bool:
        """Whether PCI has a window above RAM, so that both must fit in what can be addressed."""
        return self.phys_bits > 32


def _phys_bits(family: str, options: dict[str, str], long_mode: bool, host: Host | None) -> int:
    """The width of addresses: the host's, if one is to be followed."""
    try:
        wanted = int(options.get("phys-bits", "0"), 0)
    except ValueError:
        raise VMError("Parameter 'phys-bits' expects uint32_t") from None
    if not long_mode:
        if wanted:
            raise VMError("phys-bits is not user-configurable in 32 bit")
        return 32 if family in WITHOUT_PAE_ADDRESSES else 36
    if host is not None and not wanted and options.get("host-phys-bits") != "off":
        return host.phys_bits
    if wanted and not 32 <= wanted <= MAX_PHYS_BITS:
        raise VMError(f"phys-bits should be between 32 and {MAX_PHYS_BITS}  (but is {wanted})")
    return wanted or 40


def apic_ids_used(smp: dict[str, int]) -> int:
    """One more than the last APIC id: each level of the topology takes whole bits of it."""
    threads, cores, dies = (smp[level] for level in ("threads", "cores", "dies"))
    last = smp["maxcpus"] - 1
    number = 0
    for index, count in (
        (last // (threads * cores * dies), 0),
        (last // (threads * cores) % dies, dies),
        (last // threads % cores, cores),
        (last % threads, threads),
    ):
        number = (number << max(count - 1, 0).bit_length()) + index
    return number + 1
