"""Memory of the ARM virt board besides its RAM: flash with the firmware, what secure accesses see, memory's tags."""

from __future__ import annotations

from ..errors import VMError
from . import arm_virt_layout as layout
from .flash import add_flash_region

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..memory.region import MemoryRegion
    from .arm_virt import VirtMachine

MASK_64 = (1 << 64) - 1
TAG_RATIO = 32
"""Bytes of memory for one byte of its tags."""
TAG_SPACE_SIZE = MASK_64 // TAG_RATIO


def add_secure_memory(machine: VirtMachine) -> None:
    """What secure accesses see, if there are to be any: all that the others see, and more."""
    if machine.options["secure"]:
        machine.secure = machine.own_region(machine.topology.container("secure-memory"))
        machine.secure.add_subregion(0, machine.system, -1)


def add_flash(machine: VirtMachine) -> None:
    """Flash with the firmware, and the secure RAM; raises `VMError` for what cannot be in them."""
    contents = _firmware(machine)
    for number, name in enumerate(layout.FLASHES):
        flash = machine.add_device("cfi.pflash01", machine, name)
        _check_image(machine, number)
        region = add_flash_region(machine, number, layout.FLASH_SIZE)
        if number == 0 and contents:
            assert region.ram_block is not None
            machine.fill_rom(region.ram_block, contents)
        view = machine.secure if number == 0 and machine.secure is not None else machine.system
        machine.place(view, number * layout.FLASH_SIZE, region, flash)
    if machine.secure is not None:
        _add_ram(machine, "virt.secure-ram", machine.secure, layout.SECURE_RAM_ADDRESS, layout.SECURE_RAM_SIZE)


def _check_image(machine: VirtMachine, number: int) -> None:
    """Refuse an image that is not as large as the flash memory."""
    image = machine.board.flash.get(number)
    if image is not None and image.size != layout.FLASH_SIZE:
        text = machine.board.release.text("flash of another size", layout.OTHER_SIZE)
        name = f"/machine/{layout.FLASHES[number]}"
        raise VMError(text.format(name, layout.FLASH_SIZE, number, image.size))


def _firmware(machine: VirtMachine) -> bytes:
    """Contents of the firmware file, empty if none was named."""
    path = machine.board.firmware
    if path is None:
        return b""
    if 0 in machine.board.flash:
        raise VMError(layout.TWO_FIRMWARES)
    try:
        with open(path, "rb") as file:
            contents = file.read(layout.FLASH_SIZE + 1)
    except OSError:
        raise VMError(f"Could not find ROM image '{path}'") from None
    if len(contents) > layout.FLASH_SIZE:
        raise VMError(f"Could not load ROM image '{path}'")
    return contents


def _add_ram(machine: VirtMachine, name: str, container: MemoryRegion, address: int, size: int) -> None:
    machine.place(container, address, machine.topology.ram(name, size, machine.make_rom_block(name, size)))


def add_tag_memory(machine: VirtMachine) -> None:
    """The tags of the RAM, and of secure RAM, which CPUs find at a fraction of its address; raises `VMError`."""
    if not machine.options["mte"]:
        return
    if machine.cpu_model != "max" or not machine.cpu_is_64_bit:
        raise VMError("MTE requested, but not supported by the guest CPU")
    tags = machine.own_region(machine.topology.container("tag-memory", TAG_SPACE_SIZE))
    root = tags
    if machine.secure is not None:
        root = machine.own_region(machine.topology.container("secure-tag-memory", TAG_SPACE_SIZE))
        root.add_subregion(0, tags, -1)
        address, size = layout.SECURE_RAM_ADDRESS, layout.SECURE_RAM_SIZE
        _add_ram(machine, "mach-virt.secure-tag", root, address // TAG_RATIO, size // TAG_RATIO)
    _add_ram(machine, "mach-virt.tag", tags, layout.RAM_ADDRESS // TAG_RATIO, machine.board_ram_size // TAG_RATIO)
    for number in range(len(machine.cpus)):
        machine.add_space(f"cpu-tag-memory-{number}", tags)
        if root is not tags:
            machine.add_space(f"cpu-tag-memory-{number}", root)
