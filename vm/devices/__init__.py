"""Devices that users plug, cold (`-device`) and hot (`device_add`): those that are memory, and in `other` the rest.

`space` is where memory devices go, `device` what all devices have in common, `values` how their properties are read,
and a module for each kind; `plugging` is what a machine does to have one and to be rid of it.
"""

from __future__ import annotations

from ..loading import load

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..boards.targets import Target
    from ..releases import Release
    from .device import PluggableDevice

X86 = ("x86_64", "i386")
ARM = ("aarch64", "arm")
POWER = ("ppc64", "ppc64le")
LOONGARCH = ("loongarch64",)
S390 = ("s390x",)


class DeviceType:
    """One type of devices: the module and the class that implement it, and the targets that have it.

    `targets` maps each to the first version of QEMU whose target has it; of `others` all do.
    """

    __slots__ = ("alias", "bus", "category", "class_name", "description", "module", "others", "targets", "x86_class")

    def __init__(
        self,
        module: str,
        class_name: str,
        targets: dict[tuple[str, ...], str | None],
        *,
        others: bool = False,
        category: str = "Misc devices",
        bus: str | None = None,
        alias: str | None = None,
        x86_class: str | None = None,
        description: str | None = None,
    ) -> None:
        self.module = module
        self.class_name = class_name
        self.targets = targets
        self.others = others
        """Whether all other targets with PCI have it, too."""
        self.category = category
        """Where `-device help` lists it."""
        self.bus = bus
        self.x86_class = class_name if x86_class is None else x86_class
        """The class that it is on PCs."""
        self.alias = alias
        """The name that people may say instead, where a target has it."""
        self.description = description

    def is_on(self, target: str, release: Release) -> bool:
        """Whether a target of a release has it."""
        for names, since in self.targets.items():
            if target in names:
                return release.covers(since)
        return self.others and target not in TARGETS_WITHOUT_PCI


_DIMM = "DIMM memory module"
_WITH_DIMMS: dict[tuple[str, ...], str | None] = {(*X86, *ARM, *POWER, *LOONGARCH): None}
TARGETS_WITHOUT_PCI = (
    "avr", "m68k", "microblaze", "microblazeel", "or1k", "rx", "sh4eb", "sparc", "tricore", "xtensa", "xtensaeb",
    "hexagon",
)  # fmt: skip
DEVICE_TYPES = {
    "pc-dimm": DeviceType("dimm", "PCDIMM", _WITH_DIMMS, category="Uncategorized devices", description=_DIMM),
    "nvdimm": DeviceType("dimm", "NVDIMM", _WITH_DIMMS, category="Storage devices", description=_DIMM),
    "virtio-mem-pci": DeviceType(
        "virtio_mem_proxy", "VirtIOMemPCI", {X86: None, ARM: "7.2", S390: "10.0"}, bus="PCI",
        x86_class="VirtIOMemPCIWithOldGuests",
    ),
    "virtio-mem-ccw": DeviceType("virtio_mem_proxy", "VirtIOMemCCW", {S390: "10.0"}, bus="virtual-css-bus"),
    "virtio-pmem-pci": DeviceType("virtio_pmem", "VirtIOPMemPCI", {X86: None}, bus="PCI"),
    "virtio-balloon-pci": DeviceType("balloon", "VirtIOBalloonPCI", {}, others=True, bus="PCI", alias="virtio-balloon"),
    "virtio-balloon-ccw": DeviceType(
        "balloon", "VirtIOBalloonCCW", {S390: None}, bus="virtual-css-bus", alias="virtio-balloon",
    ),
    "ivshmem-plain": DeviceType(
        "ivshmem", "IVSHMEMPlain", {(*X86, *ARM, *POWER, *LOONGARCH, "ppc", "riscv32", "riscv64"): None},
        bus="PCI", description="Inter-VM shared memory",
    ),
}  # fmt: skip
"""The types of devices that users can plug, by QOM name."""


def device_types(target: Target, release: Release) -> list[str]:
    """The types of devices that users can plug on a target."""
    return [name for name, row in DEVICE_TYPES.items() if row.is_on(target.name, release)]


def has_type(name: str, target: Target, release: Release) -> bool:
    """Whether users can plug devices of that type on a target; the same as being among its `device_types`."""
    row = DEVICE_TYPES.get(name)
    return row is not None and row.is_on(target.name, release)


def device_class(type_name: str, target: Target) -> type[PluggableDevice]:
    """The class of one of `DEVICE_TYPES` on a target."""
    row = DEVICE_TYPES[type_name]
    name = row.x86_class if target.name in X86 else row.class_name
    return getattr(load(f"{__name__}.{row.module}"), name)  # type: ignore[no-any-return]  # the table above


def is_memory_type(name: str) -> bool:
    """Whether some target has a memory device of that name."""
    return name in DEVICE_TYPES or any(row.alias == name for row in DEVICE_TYPES.values())


def find_class(type_name: str, target: Target, release: Release) -> type[PluggableDevice]:
    """The class of a type that users can plug on a target, memory or not."""
    if has_type(type_name, target, release):
        return device_class(type_name, target)
    from .other import other_class

    return other_class(type_name, target, release)


def resolve_alias(type_name: str, target: Target, release: Release) -> str:
    """The type that a name means on a target: where two have it as their other name, the one behind channels."""
    named = [name for name in device_types(target, release) if DEVICE_TYPES[name].alias == type_name]
    return named[-1] if named else type_name
