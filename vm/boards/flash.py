"""Flash memory that images were put into: where PCs have it, and what it contains."""

from __future__ import annotations

from ..errors import VMError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..memory.region import MemoryRegion
    from .machine import Machine
    from .x86_pc import PCMachine

SECTOR = 4096
"""Bytes that a PC's flash memories are multiples of."""
LOW_SIZE = 128 << 10
"""How much of the firmware a PC has below 1 MiB, at most."""
MIB = 1 << 20
FOUR_GIB = 4 << 30


class FlashImage:
    """What is in a flash memory: `size` bytes of a file from `offset` on; if not `is_plain`, only the size counts."""

    __slots__ = ("is_plain", "offset", "path", "size")

    def __init__(self, path: str, offset: int, size: int, *, is_plain: bool = True) -> None:
        self.path = path
        self.offset = offset
        self.size = size
        self.is_plain = is_plain

    def read(self) -> bytes:
        """The contents, what is beyond the end of the file being zero; raises `OSError`."""
        if not self.is_plain:
            return b""
        with open(self.path, "rb") as file:
            file.seek(self.offset)
            return file.read(self.size)


def add_flash_region(machine: Machine, number: int, size: int) -> MemoryRegion:
    """A flash memory of `size` bytes with what was put into it; raises `VMError`."""
    name = machine.flashes[number]
    block = machine.make_rom_block(name, size)
    if number in machine.board.flash:
        try:
            machine.fill_rom(block, machine.board.flash[number].read())
        except OSError:
            raise VMError("failed to read the initial flash content") from None
    return machine.topology.rom_device(name, size, block)


def add_pc_flash(machine: PCMachine, container: MemoryRegion) -> None:
    """A PC's firmware in flash memories below 4 GiB, the first one at the end; raises `VMError`."""
    images = machine.board.flash
    if 0 not in images:
        raise VMError("pflash1 requires pflash0")
    most, total = int(str(machine.kept_options["max-fw-size"])), 0
    for number, image in sorted(images.items()):
        if not image.size or image.size % SECTOR:
            raise VMError(
                f"system firmware block device pflash{number} has invalid size {image.size}",
                details=f"info: its size must be a non-zero multiple of {SECTOR:#x}",
            )
        total += image.size
        if total > most:
            raise VMError(f"combined size of system firmware exceeds {most} bytes")
        flash = machine.add_device("cfi.pflash01", machine, machine.flashes[number])
        region = add_flash_region(machine, number, image.size)
        machine.place(machine.system, FOUR_GIB - total, region, flash)
        if number == 0:
            _add_low_flash(machine, container, region)


def _add_low_flash(machine: PCMachine, container: MemoryRegion, flash: MemoryRegion) -> None:
    """The end of the firmware, at the end of the first MiB."""
    size = min(flash.size, LOW_SIZE)
    if machine.copies_flash:
        block = machine.make_rom_block("isa-bios", size)
        assert flash.ram_block is not None
        machine.fill_rom(block, flash.ram_block.host.read(flash.size - size, size))
        low = machine.topology.rom("isa-bios", size, block)
    else:
        low = machine.topology.alias("isa-bios", flash, flash.size - size, size)
    machine.place(container, MIB - size, low, priority=1)
    low.set_readonly(True)
