"""DIMMs: memory modules in slots, their memory that of a backend."""

from __future__ import annotations

from ..errors import VMError
from ..qom import Property, take_bool, take_int, take_str
from .device import MemoryDevice
from .memdev import MEMDEV, HasMemdev
from .space import NO_SLOTS, check_slot
from .values import DeviceProperty, take_signed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..boards.machine import Machine
    from ..memory.region import MemoryRegion
    from .rooms import Rooms

EJECT_REQUEST = 3
FAILED = 1
"""ACPI's numbers for what a guest answers to, and what it answers."""


class PCDIMM(MemoryDevice, HasMemdev):
    """A DIMM. Where address and slot are left open the machine decides."""

    type_name = "pc-dimm"
    abstract = False
    kind = "dimm"
    is_memory_module = True
    persistent = False
    label_size = 0

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.node = 0
        self.addr = 0
        self.slot = -1
        self._placed = False

    @classmethod
    def check_place(cls, machine: Machine, rooms: Rooms, bus: str | None, *, hot: bool) -> None:
        """Raise `VMError` for a bus, of which it knows none, and where nobody could plug it."""
        cls.check_bus(machine, rooms, bus, None)
        if hot and cls.type_name not in machine.pluggable:
            raise VMError(f"Device '{cls.type_name}' can not be hotplugged on this machine")

    @property
    def address(self) -> int:
        """Where the guest sees it."""
        return self.addr

    @property
    def numa_node(self) -> int:
        """The NUMA node that it belongs to."""
        return self.node

    @property
    def has_uuid(self) -> bool:
        """Whether one was given to it."""
        return False

    @property
    def length(self) -> int:
        """Bytes of memory that the guest sees."""
        return self.memdev.size if self.memdev is not None else 0

    @property
    def region(self) -> MemoryRegion:
        """The backend's."""
        return self.backend_region

    def alignment(self, machine: Machine) -> int:
        """What its address and size must be multiples of."""
        return self.backend.address_alignment if machine.dimm_alignment is None else machine.dimm_alignment

    def check(self, machine: Machine, rooms: Rooms) -> None:
        """Find its slot and address; raises `VMError`."""
        room = rooms.memory
        if self.type_name in machine.pluggable:
            machine.check_dimm(self)
            if room is None:
                check_slot(self.slot, machine.ram_slots)
                raise VMError(NO_SLOTS)
            slot = room.choose_slot(self.slot)
            room.check_memslots(1, machine.board.memslots, self.qemu)
            self.addr = room.choose_address(
                self.addr, self._checked_length(), self.alignment(machine), self.qemu, machine.board.warn_later
            )
            self.slot = slot
        checks = [self._check_node, self._check_backend]
        if machine.board.release.settings("devices").get("busy first", False):
            checks.reverse()
        for check in checks:
            check(machine)

    def _check_node(self, machine: Machine) -> None:
        nodes = len(machine.numa_nodes)
        if self.node and self.node >= nodes:
            raise VMError(
                f"'DIMM property node has value {self.node}' which exceeds the number of numa nodes: {nodes or 1}"
            )

    def _checked_length(self) -> int:
        """How long it is, so that it can be placed; raises `VMError` if that cannot be told."""
        return self.backend.size

    def _check_backend(self, _machine: Machine) -> None:
        if self.backend.in_use:
            raise VMError(f"can't use already busy memdev: {self.backend.name}")

    def realize(self, machine: Machine, rooms: Rooms) -> None:
        """Take the backend and map it; raises `VMError`, nothing changed, if that fails."""
        if self.type_name not in machine.pluggable:
            self.backend.in_use = True
            self.realized = True
            return
        assert rooms.memory is not None, "it was looked at"
        self.backend.take()
        try:
            self._make_region(machine)
            rooms.memory.put(self, self.slot)
        except BaseException:
            self.backend.leave()
            raise
        machine.take_dimm(self)
        self._placed = self.realized = True

    def _make_region(self, machine: Machine) -> None:
        """Make what is mapped, where that is not the backend's region."""

    def unrealize(self, machine: Machine, rooms: Rooms) -> None:
        """Give the backend back."""
        if self._placed:
            assert rooms.memory is not None, "it is there"
            rooms.memory.take(self)
        self.backend.leave()
        self.realized = self._placed = False

    def check_removal(self, machine: Machine, rooms: Rooms) -> None:
        """Raise `VMError` where there is nobody who could unplug it."""
        if self.type_name not in machine.pluggable:
            raise VMError(f"Device '{self.type_name}' can not be hotplugged on this machine")
        machine.check_removal(self)

    def acpi_status(self, accepted: bool) -> dict[str, Any]:
        """The guest's answer to a request to eject; a DIMM that is gone has no id any more."""
        named = {} if accepted or self.device_id is None else {"device": self.device_id}
        return {
            **named,
            "slot": str(self.slot),
            "slot-type": "DIMM",
            "source": EJECT_REQUEST,
            "status": 0 if accepted else FAILED,
        }

    def describe_place(self, rooms: Rooms) -> dict[str, Any]:
        """Its address, slot, node and size."""
        return self._place()

    def _place(self) -> dict[str, Any]:
        return {"addr": self.addr, "slot": self.slot, "node": self.node, "size": self.length}

    def describe(self) -> dict[str, Any]:
        """What `query-memory-devices` tells of it."""
        return {
            **self._place(),
            "memdev": self.backend.path,
            "hotplugged": self.hotplugged,
            "hotpluggable": self.hotpluggable,
        }

    # Properties

    def _set_node(self, value: object) -> None:
        self.node = take_int("node", value, "uint32_t", 32)

    def _set_addr(self, value: object) -> None:
        self.addr = take_int("addr", value, "uint64", 64)

    def _set_slot(self, value: object) -> None:
        self.slot = take_signed("slot", value, "int32_t", 32)

    properties: tuple[Property, ...] = (
        DeviceProperty("node", "uint32", lambda dimm: dimm.node, _set_node, default=0),
        MEMDEV,
        DeviceProperty("addr", "uint64", lambda dimm: dimm.addr, _set_addr, default=0),
        DeviceProperty("slot", "int32", lambda dimm: dimm.slot, _set_slot, default=-1),
        Property("legacy-memdev", "str", None, until="10.0"),
    )
    instance_properties: tuple[Property, ...] = (Property("size", "uint64", lambda dimm: dimm.length),)


NO_UUID = "00000000-0000-0000-0000-000000000000"
HEXADECIMAL = frozenset("0123456789abcdefABCDEF")
LEAST_LABEL = 128 << 10
"""Bytes that labels need."""


class NVDIMM(PCDIMM):
    """A DIMM that keeps its contents. Labels at its end are not memory of the guest."""

    type_name = "nvdimm"
    kind = "nvdimm"
    persistent = True

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.unarmed = False
        self.uuid = NO_UUID
        self._memory: MemoryRegion | None = None

    @property
    def length(self) -> int:
        """Bytes of memory that the guest sees: without the labels, and whole pages or what it is aligned to."""
        backend = self.memdev
        if backend is None:
            return 0
        alignment = backend.address_alignment
        return max(backend.size - self.label_size, 0) // alignment * alignment

    @property
    def has_uuid(self) -> bool:
        """Whether one was given to it."""
        return self.uuid != NO_UUID

    @property
    def region(self) -> MemoryRegion:
        """What is seen of the backend's."""
        assert self._memory is not None, "it is there while the device is"
        return self._memory

    def _checked_length(self) -> int:
        backend = self.backend
        if backend.size <= self.label_size or not self.length:
            raise VMError(
                f"the size of memdev {backend.name} ({backend.size:#x}) is too small to contain nvdimm label "
                f"({self.label_size:#x}) and aligned PMEM ({backend.address_alignment:#x})"
            )
        if not self.unarmed and backend.memory is not None and backend.memory.readonly:
            raise VMError(f"'unarmed' property must be 'on' since memdev {backend.name} is read-only")
        return self.length

    def _make_region(self, machine: Machine) -> None:
        region = super().region
        self._memory = self.own_region(machine.topology.alias("nvdimm-memory", region, 0, self.length))
        self._memory.nonvolatile = True

    def check_removal(self, machine: Machine, rooms: Rooms) -> None:
        """No guest lets go of one."""
        super().check_removal(machine, rooms)
        raise VMError(machine.told_without_guest or "nvdimm device hot unplug is not supported yet.")

    # Properties

    def _set_label_size(self, value: object) -> None:
        size = take_int("label-size", value, "uint64", 64)
        if size < LEAST_LABEL:
            raise VMError(f"Property 'nvdimm.label-size' ({size:#x}) is required at least {LEAST_LABEL:#x}")
        self.label_size = size

    def _is_unarmed(self) -> bool:
        return self.unarmed

    def _set_unarmed(self, value: object) -> None:
        self.unarmed = take_bool("unarmed", value)

    def _set_uuid(self, value: object) -> None:
        text = take_str("uuid", value)
        if text == "auto":
            from uuid import uuid4

            text = str(uuid4())
        parts = text.split("-")
        digits = "".join(parts)
        if [len(part) for part in parts] != [8, 4, 4, 4, 12] or not HEXADECIMAL.issuperset(digits):
            raise VMError("Property 'nvdimm.uuid' has invalid value")
        self.uuid = text.lower()

    properties = (
        DeviceProperty("unarmed", "bool", _is_unarmed, _set_unarmed, "on/off", default=False, since="10.0"),
        DeviceProperty("unarmed", "bool", _is_unarmed, _set_unarmed, default=False, until="7.2"),
    )
    instance_properties = (
        DeviceProperty(
            "label-size",
            "int",
            lambda dimm: dimm.label_size,
            _set_label_size,
            is_size=True,
            frozen_text="cannot change property value",
        ),
        DeviceProperty("uuid", "QemuUUID", lambda dimm: dimm.uuid, _set_uuid),
    )
