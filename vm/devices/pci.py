"""PCI devices: what they have in common, and where the guest's memory is a window of one.

Their registers are not mapped anywhere before a guest says where; the guest's part played here never does.
"""

from __future__ import annotations

from ..errors import VMError
from ..qom import Property
from .device import PluggableDevice
from .pci_bus import FUNCTIONS, NUMBERS, PCIBus
from .values import DeviceProperty, bit, kept, take_signed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..boards.machine import Machine
    from ..memory.address_space import AddressSpace
    from ..memory.region import MemoryRegion
    from .rooms import Rooms

HIGHEST_INDEX = 16383
"""The highest number that ACPI gives to a device."""
ANY_SIZE = 0xFFFFFFFF


class PCIDevice(PluggableDevice):
    """A device on a PCI bus; `devfn` is eight times its slot, and its function."""

    type_name = "pci-device"
    abstract = True
    goes_at_reset = True
    is_express = False
    """Whether it is known as one of PCI Express before it is on a bus."""
    is_bridge = False
    """Whether there is another bus behind it."""
    pci: PCIBus
    """The bus that it is on, or is to be."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.devfn: int | None = None
        self._bus_path = ""
        self._spaces: list[AddressSpace] = []
        self._window: MemoryRegion | None = None
        """On what it sees as memory, which knows of it."""

    @classmethod
    def check_place(cls, machine: Machine, rooms: Rooms, bus: str | None, *, hot: bool) -> None:
        """Raise `VMError` if there is no bus for it, or not one of that name, or it comes too late."""
        pci = rooms.find_pci(bus)
        if pci is None:
            cls.check_bus(machine, rooms, bus, None)
            if machine.pci_modelled:
                raise VMError(f"No 'PCI' bus found for device '{cls.type_name}'")
            raise VMError(f"PCI devices are not modelled on machine '{machine.machine_type.name}' (QEMU may have them)")
        if hot and not pci.root.hotplug:
            hint = "devices can be on this bus only from the start: -device on the command line"
            raise VMError(f"Bus '{pci.root.bus.name}' does not support hotplugging", hint=hint)

    def choose_bus(self, rooms: Rooms, bus: str | None) -> None:
        """Be on the bus of that name, or on the one that is taken where none is named."""
        found = rooms.find_pci(bus)
        assert found is not None, "it was looked for"
        self.pci = found

    @property
    def has_several_functions(self) -> bool:
        """Whether its slot has more functions."""
        return bool(self.kept.get("multifunction", False))

    def bus_path(self) -> str:
        """The path of the bus that it is on."""
        return self._bus_path

    def check(self, machine: Machine, rooms: Rooms) -> None:
        """Find its place; raises `VMError`."""
        self._check_values()
        self.devfn = self.pci.choose(self)

    @property
    def has_interrupts(self) -> bool:
        """Whether it has interrupts of its own."""
        return False

    def _check_values(self) -> None:
        size = self.kept.get("romsize", ANY_SIZE)
        if size != ANY_SIZE and (not size or size & (size - 1)):
            raise VMError(f"ROM size {size} is not a power of two")
        for name in ("romfile", "failover_pair_id", "sriov-pf"):
            if self.kept.get(name):
                raise VMError(f"Property '{self.type_name}.{name}' is not modelled (QEMU has it)")
        if self.kept.get("acpi-index", 0) > HIGHEST_INDEX:
            raise VMError(f"acpi-index should be less or equal to {HIGHEST_INDEX}")

    def realize(self, machine: Machine, rooms: Rooms) -> None:
        """Be on the bus, with an address space for its own accesses."""
        self.pci.put(self)
        self._bus_path = self.pci.root.bus.path
        assert self.devfn is not None, "it was chosen"
        topology, memory = machine.topology, self.pci.root.enter(self.devfn)
        container = self.own_region(topology.container("bus master container"))
        self._window = window = topology.alias("bus master", memory or machine.system, 0, machine.system.size)
        if self.hotplugged:
            machine.place(container, 0, window, self, enabled=False)
        self.add_space(machine, self.type_name, container)
        self.make_registers(machine)
        if not self.hotplugged:  # the bus has it only when all else is there
            machine.place(container, 0, window, self, enabled=False)
        self.realized = True

    def make_registers(self, machine: Machine) -> None:
        """The windows by which a guest reaches it."""

    def add_space(self, machine: Machine, name: str, root: MemoryRegion) -> None:
        """An address space that is there as long as the device is."""
        self._spaces.append(machine.add_space(name, root))

    def unrealize(self, machine: Machine, rooms: Rooms) -> None:
        """Leave the bus."""
        for space in self._spaces:
            machine.topology.remove_space(space)
        self._spaces.clear()
        if self._window is not None and self._window.container is not None:
            self._window.container.remove_subregion(self._window)
        self.pci.take(self)
        assert self.devfn is not None, "it is there"
        self.pci.root.leave(self.devfn)
        self.realized = False

    @property
    def goes_unasked(self) -> bool:
        """Whether it is gone at once when that is asked for: nobody can have taken it."""
        return self.pci.lets_go and self.hotplugged

    def check_removal(self, machine: Machine, rooms: Rooms) -> None:
        """Raise `VMError` where nobody could take it away."""
        if not self.pci.root.hotplug:
            raise VMError(f"Bus '{self.pci.root.bus.name}' does not support hotplugging")
        tells = self.qemu.covers("7.2") or self.pci.is_port
        if self.removal_requested and tells and not self.pci.root.repeats_requests:
            raise VMError(f"Device {self.device_id or '(null)'} is already in the process of unplug")

    def describe_place(self, rooms: Rooms) -> dict[str, Any]:
        """Its function on the bus."""
        return {"function": self.pci.name_of(self)}

    def acpi_status(self, accepted: bool) -> dict[str, Any] | None:
        """A guest tells nothing of it."""
        return None

    # Properties

    def _set_addr(self, value: object) -> None:
        """Take `SLOT.FUNCTION`, or `SLOT`, hexadecimal; or the number itself, -1 being any."""
        if isinstance(value, int) and not isinstance(value, bool):
            take_signed("addr", value, "int32_t", 32)
            if not -1 <= value < NUMBERS:
                raise VMError(f"Parameter 'addr' expects a value between -1 and {NUMBERS - 1}")
            self.devfn = None if value == -1 else value
            return
        number = _parse_address(value) if isinstance(value, str) else None
        if number is None:
            if not isinstance(value, str):
                raise VMError("Invalid parameter type for 'addr', expected int or str")
            raise VMError(f"Property '{self.type_name}.addr' doesn't take value '{value}'")
        self.devfn = number

    def _addr(self) -> int:
        return -1 if self.devfn is None else self.devfn

    def _legacy_addr(self) -> str:
        slot, function = divmod(self._addr(), FUNCTIONS)
        return f"{slot:02x}.{function:x}"

    _ADDRESS = "Slot and optional function number, example: 06.0 or 06"
    properties: tuple[Property, ...] = (
        DeviceProperty("addr", "int32", _addr, _set_addr, _ADDRESS, default=-1, reads_text=True, until="7.2"),
        DeviceProperty("addr", "str", _addr, _set_addr, _ADDRESS, default=-1, since="10.0"),
        Property("legacy-addr", "str", _legacy_addr, until="10.0"),
        kept("romfile", "str"),
        kept("romsize", "uint32", ANY_SIZE, since="7.2"),
        kept("rombar", "uint32", 1, until="7.2"),
        kept("rombar", "int32", -1, since="10.0"),
        bit("multifunction", False),
        bit("x-pcie-lnksta-dllla", True),
        bit("x-pcie-extcap-init", True, until="10.0"),
        kept("failover_pair_id", "str"),
        kept("acpi-index", "uint32", 0, since="7.2"),
        bit("x-pcie-err-unc-mask", True, since="10.0"),
        bit("x-pcie-ari-nextfn-1", False, since="10.0"),
        kept(
            "x-max-bounce-buffer-size",
            "size",
            4096,
            "Maximum buffer size allocated for bounce buffers used for mapped access to indirect DMA memory",
            since="10.0",
        ),
        kept("sriov-pf", "str", since="11.1"),
        bit("x-pcie-ext-tag", True, since="10.0"),
        Property("busnr", "busnr", lambda _device: 0, since="10.0"),
    )


_NUMBER = r"\s*\+?(?:0x)?([0-9a-f]+)"


def _parse_address(text: str) -> int | None:
    """The number that a slot and a function mean; None if they mean none."""
    import re

    match = re.fullmatch(_NUMBER + rf"(?:\.{_NUMBER})?", text, re.IGNORECASE)
    if match is None:
        return None
    slot, function = int(match[1], 16), int(match[2] or "0", 16)
    return slot * FUNCTIONS + function if slot < 32 and function < FUNCTIONS else None
