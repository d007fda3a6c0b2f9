"""Which device is which function of a PCI bus. The rules and their words are QEMU's."""

from __future__ import annotations

from ..errors import VMError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..boards.pci import PCIRoot
    from .pci import PCIDevice

FUNCTIONS = 8
"""How many a slot has."""
NUMBERS = 32 * FUNCTIONS


class PCIBus:
    """The functions of a bus by number: eight times the slot, and the function.

    `chain` is what stands in names of devices between the root bus and this one: `:SLOT.FUNCTION` of each bridge.
    """

    __slots__ = ("_devices", "_reserved", "chain", "is_port", "lets_go", "only_bridges", "root", "uses_slot_zero")

    def __init__(self, root: PCIRoot, chain: str = "") -> None:
        self.root = root
        self.chain = chain
        self.is_port = False
        """Whether it is one of PCI Express behind a port."""
        self.lets_go = False
        """Whether a device that no guest has taken is gone at once when that is asked for."""
        self.only_bridges = False
        """Whether other devices cannot be on it."""
        self.uses_slot_zero = True
        """Whether the first slot can be used, which a hotplug controller of the bridge may not know."""
        self._devices: dict[int, PCIDevice] = {}
        self._reserved: dict[int, str] = {}

    def choose(self, device: PCIDevice) -> int:
        """The number that a device asks for, or the first free slot; raises `VMError` if it cannot be had."""
        wanted, kind = device.devfn, device.type_name
        if self.only_bridges and not device.is_bridge:
            assert self.root.bus.parent is not None, "it came with a device"
            raise VMError(f"PCI: Only PCI/PCIe bridges can be plugged into {self.root.bus.parent.type_name}")
        if wanted is None:
            free = (number for number in range(0, NUMBERS, FUNCTIONS) if not self._holder(number))
            wanted = next(free, None)
            if wanted is None:
                raise VMError(f"PCI: no slot/function available for {kind}, all in use or reserved")
            # As observed: newer versions look at the slot that no number at all would be.
            looked_at = NUMBERS - 1 if device.qemu.covers("10.0") else wanted
            if self.is_port and device.is_express and device.qemu.covers("10.0"):
                looked_at = 0
        else:
            looked_at = wanted
        slot, function = divmod(wanted, FUNCTIONS)
        holder = self._holder(wanted)
        if holder is not None:
            has_id = device.qemu.settings("devices").get("holders have ids", True)
            who = f"{holder[0]},id={holder[1] or '(null)'}" if has_id else holder[0]
            raise VMError(f"PCI: slot {slot} function {function} not available for {kind}, in use by {who}")
        if not slot and not self.uses_slot_zero:
            raise VMError("Unsupported PCI slot 0 for standard hotplug controller. Valid slots are between 1 and 31.")
        first = self._holder(looked_at // FUNCTIONS * FUNCTIONS)
        if device.hotplugged and first:
            raise VMError(
                f"PCI: slot {looked_at // FUNCTIONS} function 0 already occupied by {first[0]}, "
                f"new func {kind} cannot be exposed to guest."
            )
        self._check_functions(device, slot, function)
        return wanted

    def _check_functions(self, device: PCIDevice, slot: int, function: int) -> None:
        """A device of several functions says so in the first one, which others rely on."""
        if function:
            if self._holder(slot * FUNCTIONS) and not self._has_several(slot):
                raise VMError(f"PCI: single function device can't be populated in function {slot:x}.{function:x}")
        elif not device.has_several_functions:
            for other in range(1, FUNCTIONS):
                if self._holder(slot * FUNCTIONS + other):
                    raise VMError(
                        f"PCI: {slot:x}.0 indicates single function, but {slot:x}.{other:x} is already populated."
                    )

    def _holder(self, number: int) -> tuple[str, str | None] | None:
        """Type and id of what is there; None if nothing is."""
        device = self._devices.get(number)
        if device is not None:
            return device.type_name, device.device_id
        type_name = self.root.functions.get(number, self._reserved.get(number))
        return (type_name, None) if type_name is not None else None

    def _has_several(self, slot: int) -> bool:
        """Whether the first function of a slot says that there are more; of the board's own those that have more."""
        device = self._devices.get(slot * FUNCTIONS)
        if device is not None:
            return device.has_several_functions
        return any(slot * FUNCTIONS < number < (slot + 1) * FUNCTIONS for number in self.root.functions)

    def reserve(self, type_name: str) -> None:
        """Let the first free slot be taken for good."""
        free = (number for number in range(0, NUMBERS, FUNCTIONS) if not self._holder(number))
        self._reserved[next(free)] = type_name

    def put(self, device: PCIDevice) -> None:
        """Let a device be at the number that was chosen for it."""
        assert device.devfn is not None, "it was chosen"
        self._devices[device.devfn] = device

    def take(self, device: PCIDevice) -> None:
        """Take a device out."""
        assert device.devfn is not None, "it is there"
        del self._devices[device.devfn]

    def name_of(self, device: PCIDevice) -> str:
        """How RAMBlocks call a device."""
        assert device.devfn is not None, "it is there"
        slot, function = divmod(device.devfn, FUNCTIONS)
        return f"{self.root.name}{self.chain}:{slot:02x}.{function:x}"
