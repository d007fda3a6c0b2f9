"""VirtIO devices: the device itself, which is a part of the one that users make, and how that is reached by PCI."""

from __future__ import annotations

from ..errors import VMError
from ..qom import Property, QOMObject, listing_order
from .compat import apply_older
from .device import PluggableDevice, SettableDevice
from .pci import PCIDevice
from .values import bit, kept, switch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, ClassVar

    from ..boards.machine import Machine
    from ..memory.region import MemoryRegion
    from ..releases import Release
    from .rooms import Rooms

PAGE = 0x1000
QUEUES = 1024
"""How many queues the registers have room for."""
UNSET = 0xFFFFFFFF
MOST_VECTORS = 2048


class VirtIODevice(SettableDevice):
    """What a driver talks to, whatever the bus."""

    type_name = "virtio-device"
    abstract = True
    label = ""
    """How regions call it."""

    def check(self, machine: Machine, rooms: Rooms) -> None:
        """Raise `VMError` if the machine cannot have it as it is set."""

    def realize(self, machine: Machine, rooms: Rooms, block_prefix: str) -> None:
        """Take what it needs; raises `VMError`. RAMBlocks of it have that before their names."""
        self.realized = True

    def unrealize(self, machine: Machine, rooms: Rooms) -> None:
        """Give it back."""
        self.realized = False

    properties: tuple[Property, ...] = (
        bit("indirect_desc", True),
        bit("event_idx", True),
        bit("notify_on_empty", True),
        bit("any_layout", True),
        bit("iommu_platform", False),
        bit("packed", False),
        bit("queue_reset", True, since="7.2"),
        bit("in_order", False, since="10.0"),
        *switch("use-started", True),
        *switch("use-disabled-flag", True),
        *switch("x-disable-legacy-check", False),
    )


class _Alias(Property):
    """A property of a part that is shown as the whole's."""

    __slots__ = ("default", "is_size", "of")

    def __init__(self, of: Property) -> None:
        def getter(device: VirtIOProxy) -> Any:
            return device.virtio.get(of.name)

        def setter(device: VirtIOProxy, value: Any) -> None:
            device.virtio.set(of.name, value)

        readable = getter if of.getter is not None else None
        super().__init__(of.name, of.type_name, readable, setter, of.description, since=of.since, until=of.until)
        self.of = of
        """The part's, which says why it cannot be set if it cannot."""
        self.default = getattr(of, "default", None)
        self.is_size = getattr(of, "is_size", False)

    @property
    def is_settable(self) -> bool:
        """Whether it can be set at all."""
        return self.of.is_settable


def _aliased(implementation: type[VirtIODevice], release: Release) -> Iterator[Property]:
    """The properties of a part that are the whole's, too, in the order in which QEMU gives them to it."""
    in_order_of_tables = release.settings("devices").get("aliases by table", True)
    for base in implementation.__mro__:
        if base is SettableDevice:
            break
        rows = [row for row in base.__dict__.get("properties", ()) if release.covers(row.since, row.until)]
        if in_order_of_tables:
            by_name = {row.name: row for row in rows}
            yield from (by_name[name] for name in reversed(listing_order(by_name)))
        else:
            yield from (row for row in rows if not row.name.startswith("legacy-"))
    yield from implementation.instance_properties


class Bus(QOMObject):
    """What is between the device that users make and the part that a driver talks to."""

    def __init__(self, type_name: str) -> None:
        super().__init__()
        self.type_name = type_name


class VirtIOProxy(PluggableDevice):
    """The device that users make; `virtio` is the part that a driver talks to."""

    abstract = True
    has_more_rows = True
    virtio_class: ClassVar[type[VirtIODevice]]
    bus_type = ""
    """The type of the bus between the two."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.virtio = self.virtio_class(self.qemu, self.tree)
        self.virtio.hotplugged = self.hotplugged
        self.add_child("virtio-backend", self.virtio)

    @classmethod
    def instance_rows(cls, release: Release | None) -> tuple[Property, ...]:
        """The part, and its properties as those of the whole."""
        assert release is not None, "devices are of a release"
        backend = Property("virtio-backend", f"child<{cls.virtio_class.type_name}>", None)
        return backend, *(_Alias(row) for row in _aliased(cls.virtio_class, release))

    def use_machine(self, machine: Machine) -> None:
        """Have what older machine types have different."""
        for device in (self, self.virtio):
            apply_older(device, machine.machine_type.name)

    def add_bus(self) -> None:
        """The bus between the two, once the device is there."""
        self.list_regions()  # those that are older come before it, which shows in lists
        self.add_child("virtio-bus", Bus(self.bus_type))

    def parts(self) -> list[SettableDevice]:
        """The devices inside it, which are gone before it is."""
        return [self.virtio]


class VirtIOPCI(PCIDevice, VirtIOProxy):
    """A VirtIO device behind PCI: its registers, modern and legacy, and its interrupts."""

    type_name = "virtio-pci"
    abstract = True
    bus_type = "virtio-pci-bus"
    is_express = True
    modern_only = False
    """Whether drivers from before VirtIO 1.0 never knew the device."""
    vectors = 0
    """How many interrupts it has where it is not said."""

    def use_machine(self, machine: Machine) -> None:
        """Have what other machine types have different."""
        super().use_machine(machine)
        if not machine.has_legacy_pci:
            self.kept["disable-legacy"] = "on"

    def _check_values(self) -> None:
        super()._check_values()
        if not self._has_modern and not self._has_legacy:
            hint = "Set either disable-modern or disable-legacy to off"
            raise VMError("device cannot work as neither modern nor legacy mode is enabled", hint=hint)

    @property
    def _has_modern(self) -> bool:
        return self.modern_only or not self.kept.get("disable-modern", False)

    @property
    def _has_legacy(self) -> bool:
        if self.modern_only:
            return False
        return bool(self.kept.get("disable-legacy", "auto") != "on")

    def check(self, machine: Machine, rooms: Rooms) -> None:
        """Find its place; raises `VMError`."""
        super().check(machine, rooms)
        self.virtio.check(machine, rooms)
        if self.pci.root.needs_interrupts and not self.has_interrupts:
            self.had_parts = True
            raise VMError("MSI-X support is mandatory in the S390 architecture")
        if self._has_legacy and self.virtio.kept.get("iommu_platform", False):
            raise VMError("VIRTIO_F_IOMMU_PLATFORM was supported by neither legacy nor transitional device")

    def realize(self, machine: Machine, rooms: Rooms) -> None:
        """Be on the bus, with registers that are not mapped yet."""
        self.virtio.realize(machine, rooms, f"{self.pci.name_of(self)}/")
        super().realize(machine, rooms)

    def make_registers(self, machine: Machine) -> None:
        """Modern and legacy ones, interrupts, and the bus behind them."""
        self.kept["disable-legacy"] = "off" if self._has_legacy else "on"
        self.kept["disable-modern"] = not self._has_modern
        bar = self._make_modern_bar(machine)
        self.add_bus()
        if self._has_modern:
            self._make_modern_registers(machine, bar)
        vectors = self.kept.get("vectors", UNSET)
        self.kept["vectors"] = vectors = self.vectors if vectors == UNSET else vectors
        if vectors > MOST_VECTORS and self.find_vectors():
            machine.board.warn_later(f"unable to init msix vectors to {vectors}")
            self.kept["vectors"] = 0
        elif vectors and self.find_vectors():
            table = self.own_region(machine.topology.container(f"{self.type_name}-msix", PAGE))
            machine.place(table, 0, machine.topology.io("msix-table", vectors * 16), self)
            machine.place(table, 0x800, machine.topology.io("msix-pba", 8), self)
        if self._has_legacy:
            self.own_region(machine.topology.io("virtio-pci", 0x40))

    @property
    def has_interrupts(self) -> bool:
        """Whether it has interrupts of its own."""
        asked = self.kept.get("vectors", UNSET)
        return self.find_vectors() and (asked == UNSET or 0 < asked <= MOST_VECTORS)

    def find_vectors(self) -> bool:
        """Whether the device of this version has interrupts of its own."""
        return self.qemu.covers("10.0")

    def _make_modern_bar(self, machine: Machine) -> MemoryRegion:
        size = 1 << (3 * PAGE + self._notify_size - 1).bit_length()
        bar = self.own_region(machine.topology.container("virtio-pci", size))
        if self.qemu.settings("devices").get("shows registers", True):
            self.add_space(machine, "virtio-pci-cfg-mem-as", bar)
        return bar

    @property
    def _notify_size(self) -> int:
        return QUEUES * (PAGE if self.kept.get("page-per-vq", False) else 4)

    @property
    def register_suffix(self) -> str:
        """What registers are called by besides what they do."""
        return f"-{self.virtio.label}" if self.qemu.settings("devices").get("names registers", True) else ""

    def _make_modern_registers(self, machine: Machine, bar: MemoryRegion) -> None:
        topology = machine.topology
        suffix = self.register_suffix
        for number, name in enumerate(("common", "isr", "device")):
            machine.place(bar, number * PAGE, topology.io(f"virtio-pci-{name}{suffix}", PAGE), self)
        machine.place(bar, 3 * PAGE, topology.io(f"virtio-pci-notify{suffix}", self._notify_size), self)
        by_port = self.own_region(topology.io(f"virtio-pci-notify-pio{suffix}", 4))
        if self.kept.get("modern-pio-notify", False):
            ports = self.own_region(topology.container("virtio-pci-io", 4))
            ports.add_subregion(0, by_port)
            if self.qemu.settings("devices").get("shows registers", True):
                self.add_space(machine, "virtio-pci-cfg-io-as", ports)

    def unrealize(self, machine: Machine, rooms: Rooms) -> None:
        """Leave the bus, and give back what the device has."""
        super().unrealize(machine, rooms)
        self.virtio.unrealize(machine, rooms)

    properties: tuple[Property, ...] = (
        bit("virtio-pci-bus-master-bug-migration", False),
        bit("migrate-extra", True, until="10.0"),
        bit("modern-pio-notify", False),
        bit("x-disable-pcie", False, until="10.0"),
        bit("page-per-vq", False),
        kept("x-ignore-backend-features", "bool", False, until="7.2"),
        bit("x-ignore-backend-features", False, since="10.0", until="10.0"),
        bit("ats", False),
        bit("x-ats-page-aligned", True, since="7.2"),
        bit("x-pcie-deverr-init", True, until="10.0"),
        bit("x-pcie-lnkctl-init", True, until="10.0"),
        bit("x-pcie-pm-init", True, until="10.0"),
        bit("x-pcie-pm-no-soft-reset", False, since="10.0"),
        bit("x-pcie-flr-init", True),
        bit("aer", False, since="7.2"),
    )


VECTORS: tuple[Property, ...] = (
    kept("vectors", "uint32", UNSET, since="10.0"),
    bit("ioeventfd", True, since="10.0"),
)
"""What devices with interrupts have besides."""
GENERATIONS: tuple[Property, ...] = (
    kept("disable-legacy", "OnOffAuto", "auto", "on/off/auto"),
    *switch("disable-modern", False),
)
"""Of devices whose name does not say whether they are for old drivers."""
