"""s390x: s390-ccw-virtio."""

from __future__ import annotations

import os

from ..errors import VMError
from ..qom import Property, take_bool
from .board import Board
from .machine import Machine
from .machine_type import MachineType
from .versions import family_versions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from ..qom import QOMObject
    from ..releases import Release
    from .pci import PCIRoot
    from .targets import Target

MIB = 1 << 20
GIB = 1 << 30
LEGACY_BLOCK = (8 << 40) - MIB
"""Bytes in a RAMBlock where more RAM is several: these machines had one for each memslot, and a slot had to be smaller
than 8 TiB."""
MAX_INCREMENTS = 1020
"""How many storage increments the machines that round RAM down could describe."""


DEVICES = (
    ("sclp", "", "sclp"),
    ("s390-sclp-event-facility", "sclp", "s390-sclp-event-facility"),
    ("s390-sclp-events-bus", "s390-sclp-event-facility", "s390-sclp-events-bus.0"),
    ("sclpquiesce", "s390-sclp-event-facility", "sclpquiesce"),
    ("sclp-cpu-hotplug", "s390-sclp-event-facility", "sclp-cpu-hotplug"),
    ("sclpcpi", "s390-sclp-event-facility", "sclpcpi"),
    ("s390-flic-qemu", "", "s390-flic-qemu"),
    ("s390-ipl", "", "s390-ipl"),
    ("s390-pcihost", "", "s390-pcihost"),
    ("PCI", "s390-pcihost", "pci.0"),
    ("s390-pcibus", "s390-pcihost", "s390-pcibus.0"),
    ("virtual-css-bridge", "", "virtual-css-bridge"),
    ("virtual-css-bus", "virtual-css-bridge", "virtual-css"),
    ("s390-skeys-qemu", "", "s390-skeys"),
    ("s390-storage_attributes-qemu", "", "s390-storage_attributes"),
    ("s390-tod-qemu", "", "s390-tod"),
)
"""Type, parent and name of each device and bus below the machine."""


def _key_wrap(name: str, description: str) -> Property:
    """A switch of the CPUs, which only is read back here; tools name it on every command line."""

    def setter(machine: S390Machine, value: object) -> None:
        machine.key_wrap[name] = take_bool(name, value)

    return Property(name, "bool", lambda machine: machine.key_wrap[name], setter, description)


class S390Machine(Machine):
    """RAM is one region from 0 on, whatever its size."""

    type_name = "s390-ccw-machine"
    has_legacy_pci = False
    has_channels = True
    maps_virtio_memory = True
    topology_levels: tuple[str, ...] = ("drawers", "books")
    tells_of_control_program = True
    """Whether the guest can say what it is."""
    least_ram = 3 * MIB
    """Bytes of RAM that the firmware needs."""
    checks_increments = True
    """Whether RAM must be whole storage increments."""
    plugs_memory = True
    """Whether there is room for memory devices; they are virtio-mem only."""
    rounds_ram_down = False
    """Whether RAM is made to fit the storage increments, instead of refused."""

    def __init__(self, machine_type: MachineType, board: Board) -> None:
        super().__init__(machine_type, board)
        self.key_wrap = {"aes-key-wrap": True, "dea-key-wrap": True}

    def fit_ram_size(self, size: int) -> int:
        """What fits a limited number of storage increments, which are as small as that allows."""
        if not self.rounds_ram_down:
            return size
        increment = MIB
        while size // increment > MAX_INCREMENTS:
            increment *= 2
        fitting = size // increment * increment
        if fitting != size:
            self.board.notices.append(
                f"Ram size {size // MIB}MB was fixed up to {fitting // MIB}MB to match machine restrictions. "
                "Consider updating the guest definition."
            )
        return fitting

    def cpu_place(self, index: int) -> dict[str, int]:
        """The core, counted over all sockets, and where there are such levels its socket, book and drawer."""
        place = {"core-id": index}
        if self.topology_levels:
            number = index // (self.smp["threads"] * self.smp["cores"])
            for level in ("sockets", "books", "drawers"):
                number, place[f"{level[:-1]}-id"] = divmod(number, self.smp[level])
        return place

    def check_ram(self) -> None:
        """RAM is handed to the guest in storage increments of at least 1 MiB."""
        if self.checks_increments and (self.board_ram_size % MIB or self.board_ram_size == 0):
            raise VMError("ram size must be multiples of 1 MiB")

    def build(self) -> None:
        """Map the RAM; the devices have no registers in memory."""
        if self.board.firmware is not None and not os.path.exists(self.board.firmware):
            raise VMError("could not find stage1 bootloader")
        if self.board_ram_size < self.least_ram:
            raise VMError("not enough RAM to load the BIOS file")
        if self.ram is not None:
            self.system.add_subregion(0, self.ram)
        if self.plugs_memory and self.max_ram_size > self.board_ram_size:
            self.add_device_memory(-(-self.board_ram_size // GIB) * GIB, self.max_ram_size - self.board_ram_size)
        for number in range(self.board.cpus):
            self.cpus.append(self.add_device(self.board.cpu_type))
            self.add_space(f"cpu-memory-{number}", self.system)
        made: dict[str, QOMObject] = {"": self}
        for type_name, parent, name in DEVICES:
            if type_name != "sclpcpi" or self.tells_of_control_program:
                made[name] = self.add_device(type_name, made[parent], name)

    system_devices = ()
    default_nic = "virtio-net-ccw"

    def pci_root(self) -> PCIRoot:
        """The bus of the host bridge."""
        from .zpci import ZPCIRoot

        return ZPCIRoot(self, self.children["s390-pcihost"].children["pci.0"])

    properties: tuple[Property, ...] = (
        _key_wrap("aes-key-wrap", "enable/disable AES key wrapping using the CPACF wrapping key"),
        _key_wrap("dea-key-wrap", "enable/disable DEA key wrapping using the CPACF wrapping key"),
    )


CHANGES: dict[str, dict[str, Any]] = {
    "11.0": {"has_legacy_pci": True},
    "10.0": {"tells_of_control_program": False},
    "6.1": {"prefers_sockets": True},
    "4.2": {"rounds_ram_down": True},
    "4.1": {"max_ram_block": LEGACY_BLOCK},
    "3.1": {"canonical_ram_block_names": True},
}
"""What a version has different from its successor."""


def machine_types(_target: Target, release: Release) -> Iterator[MachineType]:
    """The machine types of this family."""
    for version in family_versions("s390-ccw-virtio", S390Machine, release, CHANGES):
        yield MachineType(
            f"s390-ccw-virtio-{version.name}",
            S390Machine,
            f"Virtual s390x machine (version {version.name})",
            alias="s390-ccw-virtio" if version.is_newest else None,
            default_ram_id="s390.ram",
            default_cpu_type="qemu-s390x-cpu",
            max_cpus=248,
            hotpluggable_cpus=True,
            is_default=version.is_newest,
            deprecated=version.deprecated,
            settings=version.settings,
        )
