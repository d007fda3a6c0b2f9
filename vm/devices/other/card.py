"""Devices on a PCI bus of which memory shows only RAMBlocks: NICs, graphics, disks, controllers."""

from __future__ import annotations

from ...boards.cards import CardMemory, card_blocks, is_option_rom
from ...errors import VMError
from ..pci import PCIDevice
from ..virtio import PAGE, VirtIOPCI
from .offered import Offering
from .properties import check_hotpluggable, check_required

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ...boards.machine import Machine
    from ...memory.region import MemoryRegion
    from ..rooms import Rooms

MEMORY_PROPERTIES = ("memdev", "volatile-memdev", "persistent-memdev", "lsa")
"""What gives a device the memory of a backend, which is more than blocks of its own."""


class Card(PCIDevice, Offering):
    """A device on PCI; its registers are not mapped before a guest says where, and so are not there."""

    type_name = "pci-card"
    abstract = True

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._memory: CardMemory | None = None
        self._blocks: list[tuple[str, int]] = []

    @classmethod
    def check_place(cls, machine: Machine, rooms: Rooms, bus: str | None, *, hot: bool) -> None:
        """Raise `VMError` if it cannot be plugged later, or where other devices cannot."""
        if hot:
            check_hotpluggable(cls.type_name, machine.board.release)
        super().check_place(machine, rooms, bus, hot=hot)

    def _check_values(self) -> None:
        romfile = self.kept.pop("romfile", None)
        try:
            super()._check_values()
        finally:
            if romfile is not None:
                self.kept["romfile"] = romfile

    def check(self, machine: Machine, rooms: Rooms) -> None:
        """Find its place, and what it needs; raises `VMError`."""
        for name in MEMORY_PROPERTIES:
            if self.kept.get(name):
                raise VMError(f"Property '{self.type_name}.{name}' is not modelled (QEMU has it)")
        super().check(machine, rooms)
        check_required(self.type_name, self.kept)
        if self.hotplugged and self.kept.get("rombar", 1) == 0 and self.kept.get("romfile") != "":
            without = {name: value for name, value in self.kept.items() if name != "rombar"}
            if any(
                is_option_rom(name, self.type_name) for name, _ in card_blocks(machine, self.type_name, without) or ()
            ):
                raise VMError("Hot-plugged device without ROM bar can't have an option ROM")
        self._blocks = card_blocks(machine, self.type_name, self.kept) or []

    def realize(self, machine: Machine, rooms: Rooms) -> None:
        """Be on the bus, with its blocks and the buses behind it; raises `VMError`, nothing changed, if that fails."""
        super().realize(machine, rooms)
        self._memory = CardMemory(machine, self)
        try:
            self._memory.add(self.type_name, self.pci.name_of(self), self._blocks)
        except VMError:
            self._memory = None
            super().unrealize(machine, rooms)
            raise
        self.offer_buses(rooms)

    def unrealize(self, machine: Machine, rooms: Rooms) -> None:
        """Leave the bus, and give the memory back."""
        self.withdraw_buses(machine, rooms)
        if self._memory is not None:
            self._memory.remove()
            self._memory = None
        super().unrealize(machine, rooms)


class VirtIOCard(Card, VirtIOPCI):
    """A VirtIO device on PCI that is no memory."""

    type_name = "virtio-card"
    abstract = True

    def use_machine(self, machine: Machine) -> None:
        """Have what other machine types have different; interrupts they had always."""
        super().use_machine(machine)
        self.kept.pop("vectors", None)

    def find_vectors(self) -> bool:
        """Whether the device of this version has interrupts of its own."""
        return self.declares("vectors")

    @property
    def _has_legacy(self) -> bool:
        return super()._has_legacy and not (self.pci.is_port and self.kept.get("disable-legacy", "auto") == "auto")

    def _make_modern_registers(self, machine: Machine, bar: MemoryRegion) -> None:
        if self.type_name != "virtio-vga":
            super()._make_modern_registers(machine, bar)
            return
        # The registers of the VGA come first.
        topology, suffix = machine.topology, self.register_suffix
        for name, address, size in (
            ("vga ioports remapped", 0x400, 32),
            ("bochs dispi interface", 0x500, 22),
            ("qemu extended regs", 0x600, 8),
            (f"virtio-pci-common{suffix}", PAGE, PAGE // 2),
            (f"virtio-pci-isr{suffix}", PAGE + PAGE // 2, PAGE // 2),
            (f"virtio-pci-device{suffix}", 2 * PAGE, PAGE),
            (f"virtio-pci-notify{suffix}", 3 * PAGE, PAGE),
        ):
            machine.place(bar, address, topology.io(name, size), self)
