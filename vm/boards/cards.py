"""What the memory of a machine shows of a graphics card, a NIC or another device that is no memory itself: RAMBlocks,
and the window on a VGA's memory below 1 MiB.

Which device has which blocks is recorded from real QEMUs (`vm/known/device_blocks.txt`). What is in them is not
modelled: they are zeros until somebody writes, also ROMs.
"""

from __future__ import annotations

import os

from ..errors import VMError
from ..known import find_row

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..memory.ramblock import RAMBlock
    from ..memory.region import MemoryRegion
    from ..qom import QOMObject
    from .machine import Machine

    Options = Mapping[str, object]
    """Properties that were given, by name."""

MIB = 1 << 20
VGA_PORTS = ((0x3B4, 2), (0x3BA, 1), (0x3C0, 16), (0x3D4, 2), (0x3DA, 1))
LOW_WINDOW, LOW_WINDOW_SIZE = 0xA0000, 0x20000
LINEAR_WINDOW = 0xE0000000
"""Where an ISA card has all of its memory."""
VGAS = ("VGA", "qxl-vga", "vmware-svga", "virtio-vga", "ati-vga", "isa-vga")
CIRRUS = ("cirrus-vga", "isa-cirrus-vga")
WITHOUT_PATH = ("vmsvga.fifo",)
"""RAMBlocks that are one for all devices of a type."""
ANY_SIZE = 0xFFFFFFFF
LEAST_VGA, MOST_VGA = 1, 512
"""Bounds of the memory of a VGA, in MiB."""


def card_blocks(machine: Machine, type_name: str, options: Options) -> list[tuple[str, int]] | None:
    """The RAMBlocks of a device with their sizes, in the order in which they come; None if they are not known.

    Raises `VMError` for a ROM's file that is not there.
    """
    row = find_row("device_blocks", type_name, machine.board.release)
    if row is None:
        return None
    found = []
    for block in row[1:]:
        name, _, text = block.partition("=")
        size = machine.card_sizes.get(f"{type_name}/{name}", int(text))
        if is_option_rom(name, type_name):
            length = _rom_size(size, options)
            if length:
                found.append((name, length))
        else:
            rule = _SIZES.get((type_name if type_name.startswith("qxl") else "", name))
            found.append((name, rule(options, size) if rule is not None else size))
    return found


def is_option_rom(name: str, type_name: str) -> bool:
    """Whether a block of that name is what `romfile` names; QEMU cuts long names."""
    return name.endswith(".rom") or name == type_name


def _rom_size(recorded: int, options: Options) -> int:
    path, size = options.get("romfile"), options.get("romsize", ANY_SIZE)
    if path == "" or options.get("rombar", 1) == 0:
        return 0
    assert isinstance(size, int), "it was checked"
    if isinstance(path, str):
        try:
            length = os.path.getsize(path)
        except OSError:
            raise VMError(f'failed to find romfile "{path}"') from None
        recorded = 1 << (length - 1).bit_length()
        if size != ANY_SIZE and length > size:
            raise VMError(f'romfile "{path}" ({length} bytes) is too large for ROM size {size}')
    return recorded if size == ANY_SIZE else size


def _power(size: int) -> int:
    return 1 << (size - 1).bit_length()


def _number(options: Options, name: str, otherwise: int) -> int:
    """A property; what is unset, or -1, is `otherwise`."""
    value = options.get(name, ANY_SIZE)
    assert isinstance(value, int), "it was checked"
    return otherwise if value == ANY_SIZE else value


def _vga_memory(options: Options, recorded: int) -> int:
    megabytes = _number(options, "vgamem_mb", recorded // MIB)
    return _power(min(max(megabytes, LEAST_VGA), MOST_VGA)) * MIB


def _bochs_memory(options: Options, recorded: int) -> int:
    return _power(_number(options, "vgamem", recorded))


def _qxl_memory(options: Options, recorded: int) -> int:
    shown = _power(min(max(_number(options, "vgamem_mb", 16), 8), 256)) * MIB
    size = _number(options, "ram_size_mb", 0) * MIB or _number(options, "ram_size", recorded)
    return _power(max(size, 2 * shown))


def _qxl_surfaces(options: Options, recorded: int) -> int:
    if _number(options, "revision", 5) == 1:
        return 0x1000
    size = _number(options, "vram_size_mb", 0) * MIB or _number(options, "vram_size", recorded)
    return _power(max(size, _number(options, "vram64_size_mb", 0) * MIB, 0x1000))


_QXL: dict[str, Callable[[Options, int], int]] = {
    "vga.vram": _qxl_memory,
    "qxl.vgavram": _qxl_memory,
    "qxl.vram": _qxl_surfaces,
}
_SIZES: dict[tuple[str, str], Callable[[Options, int], int]] = {
    ("", "vga.vram"): _vga_memory,
    ("", "bochs-display-vram"): _bochs_memory,
    **{(kind, name): rule for kind in ("qxl", "qxl-vga") for name, rule in _QXL.items()},
}
"""How large a block is that properties decide on; those of a QXL have names of their own for them."""


class CardMemory:
    """The blocks of one device and its VGA's windows, as long as it is there."""

    __slots__ = ("_blocks", "_machine", "_owner", "_placed")

    def __init__(self, machine: Machine, owner: QOMObject) -> None:
        self._machine = machine
        self._owner = owner
        self._blocks: list[RAMBlock] = []
        self._placed: list[MemoryRegion] = []

    def add(self, type_name: str, path: str, blocks: list[tuple[str, int]]) -> None:
        """Make the blocks and the windows; `path` is that of the device, empty where names have none.

        Raises `VMError`, with nothing left behind.
        """
        machine = self._machine
        for name, size in blocks:
            is_shared = name in WITHOUT_PATH or (machine.global_vga_memory and name == "vga.vram")
            full = f"{path}/{name}" if path and not is_shared else name
            try:
                block = machine.make_rom_block(full, size)
            except VMError:
                self.remove()
                raise
            self._blocks.append(block)
            make = machine.topology.rom if is_option_rom(name, type_name) else machine.topology.ram
            region = self._owner.own_region(make(name, size, block))
            if type_name == "isa-vga":
                machine.system.add_subregion(LINEAR_WINDOW, region)
                self._placed.append(region)
        self._add_windows(type_name)

    def _add_windows(self, type_name: str) -> None:
        spaces = self._machine.vga_spaces()
        if spaces is None or type_name not in (*VGAS, *CIRRUS):
            return
        memory, ports = spaces
        topology = self._machine.topology
        if type_name in CIRRUS:
            window = self._place(memory, LOW_WINDOW, topology.container("cirrus-lowmem-container", LOW_WINDOW_SIZE), 1)
            self._place(window, 0, topology.io("cirrus-low-memory", LOW_WINDOW_SIZE))
            self._place(ports, 0x3B0, topology.io("cirrus-io", 0x30))
            return
        self._place(memory, LOW_WINDOW, topology.io("vga-lowmem", LOW_WINDOW_SIZE), 1)
        self._place(ports, 0x1CE, topology.io("vbe", 4)).port_list = True
        for address, size in VGA_PORTS:
            self._place(ports, address, topology.io("vga", size)).port_list = True

    def _place(self, container: MemoryRegion, address: int, region: MemoryRegion, priority: int = 0) -> MemoryRegion:
        self._placed.append(region)
        return self._machine.place(container, address, region, self._owner, priority)

    def remove(self) -> None:
        """Take all of it away, and give the memory back."""
        for region in reversed(self._placed):
            if region.container is not None:
                region.container.remove_subregion(region)
        for block in self._blocks:
            self._machine.drop_block(block)
        self._placed.clear()
        self._blocks.clear()
