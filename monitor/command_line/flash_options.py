"""The options that put an image into flash memory: -pflash, -drive if=pflash, -machine pflash0= with -blockdev.

Of a block device as much is understood as decides on its size and contents: a file, a part of it (raw), an image in
QEMU's own format. No other block device is looked at, nor is the file that it names.
"""

from __future__ import annotations

import os

from ...commands.keyval import OptionError
from ...vm.boards.flash import FlashImage
from ...vm.sizes import parse_integer, parse_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ...vm.boards.machine import Machine
    from .groups import Context

SECTOR = 512
"""Files are taken to be whole sectors."""
QCOW2 = b"QFI\xfb"
UNKNOWN_BLOCKS = "system.flash0, system.flash1, isa-bios"
PROBED = (
    "WARNING: Image format was not specified for '{0}' and probing guessed raw.\n"
    "         Automatically detecting the format is dangerous for raw images, write operations on block 0 will be"
    " restricted.\n"
    "         Specify the 'raw' format explicitly to remove the restrictions."
)


class UnknownImageError(Exception):
    """What a block device contains cannot be told."""


class FlashOptions:
    """What has been said about block devices so far."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._images = context.settings.config.flash
        self.nodes: dict[str, tuple[str, dict[str, Any]]] = {}
        """Block devices by their names, each with the option as spelled."""
        self.drives: list[tuple[str, dict[str, str]]] = []
        """Those that are flash memory."""

    def place_nodes(self, named: list[str | None]) -> None:
        """Take what `-machine pflash0=` and so on name.

        :raise OptionError: there is none, or its file is not there.
        """
        for number, name in enumerate(named):
            if not name:
                continue
            if name not in self.nodes:
                self._context.where = ""
                raise OptionError(f"Property 'cfi.pflash01.drive' can't find value '{name}'")
            where, options = self.nodes[name]
            self._place(number, where, f"-machine pflash{number}=", options)

    def place_drives(self, machine: type[Machine]) -> None:
        """Take the drives that are flash memory.

        :raise OptionError: one cannot be had, or the machine has no such flash.
        """
        units: dict[int, str] = {}
        for where, pairs in self.drives:
            self._context.where = where
            unit = _unit(pairs, units)
            units[unit] = where
            if not machine.flash_modelled:
                self._context.leave_out(where, UNKNOWN_BLOCKS)
            elif unit in self._images:
                raise OptionError("clashes with -machine")
            else:
                self._place(unit, where, where, pairs)
        for unit, where in units.items():
            if machine.flash_modelled and unit >= len(machine.flashes):
                self._context.where = where
                raise OptionError(f"machine type does not support if=pflash,bus=0,unit={unit}")

    def _place(self, unit: int, where: str, what: str, options: dict[str, Any]) -> None:
        self._context.where = where
        try:
            image = self._image(options, [])
        except UnknownImageError:
            self._context.leave_out(what, UNKNOWN_BLOCKS)
            return
        if not image.is_plain:
            self._context.leave_out(what, "the contents of flash memory")
        self._images[unit] = image

    def _image(self, options: dict[str, Any], above: list[str]) -> FlashImage:
        """What a block device shows."""
        driver = options.get("driver", options.get("format"))
        source = options.get("file", options.get("filename", options.get("file.filename")))
        if isinstance(source, str) and source in self.nodes and _is_format(driver):
            if source in above:
                raise UnknownImageError
            image = self._image(self.nodes[source][1], [*above, source])
        elif isinstance(source, dict):
            image = self._image(source, above)
        elif isinstance(source, str) and source:
            image = _open(source)
        elif driver is not None:
            raise OptionError('A block device must be specified for "file"')
        else:
            raise OptionError("Must specify either driver or file")
        return self._formatted(image, driver, options)

    def _formatted(self, image: FlashImage, driver: str | None, options: dict[str, Any]) -> FlashImage:
        if driver in ("file", "host_device"):
            return image
        if driver not in (None, "raw", "qcow2"):
            raise UnknownImageError
        virtual_size = _qcow2_size(image.path)
        if driver is None and virtual_size is None:
            self._context.warn_alone(PROBED.format(image.path))
        if driver == "qcow2" and virtual_size is None:
            raise OptionError("Image is not in qcow2 format")
        if virtual_size is not None and driver != "raw":
            return FlashImage(image.path, 0, virtual_size, is_plain=False)
        offset = _number(options, "offset") or 0
        size = _number(options, "size")
        return FlashImage(image.path, image.offset + offset, image.size - offset if size is None else size)


def _unit(pairs: dict[str, str], taken: dict[int, str]) -> int:
    """Which flash memory a drive is."""
    numbers = {key: _integer(key, pairs[key]) for key in ("index", "bus", "unit") if key in pairs}
    if "index" in numbers and len(numbers) > 1:
        raise OptionError("index cannot be used with bus and unit")
    unit = numbers.get("index", numbers.get("unit"))
    if unit is None:
        unit = next(number for number in range(len(taken) + 1) if number not in taken)
    if unit in taken:
        raise OptionError(f"drive with bus=0, unit={unit} (index={numbers.get('index', -1)}) exists")
    return unit


def _integer(key: str, text: str) -> int:
    try:
        return parse_integer(text)
    except ValueError:
        raise OptionError(f"Parameter '{key}' expects a number") from None


def _number(options: dict[str, Any], key: str) -> int | None:
    value = options.get(key)
    if value is None or isinstance(value, int):
        return value
    try:
        return parse_size(value)
    except ValueError:
        raise OptionError(f"Parameter '{key}' expects a non-negative number below 2^64") from None


def _is_format(driver: str | None) -> bool:
    return driver not in (None, "file", "host_device")


def _open(source: str) -> FlashImage:
    """All of a file."""
    path = source.removeprefix("file:")
    protocol, colon, _ = path.partition(":")
    if colon and protocol.replace("+", "").replace("-", "").isalnum() and "/" not in protocol:
        raise UnknownImageError
    try:
        with open(path, "rb") as file:
            size = file.seek(0, os.SEEK_END)
    except OSError as error:
        raise OptionError(f"Could not open '{path}': {error.strerror}") from None
    return FlashImage(path, 0, -(-size // SECTOR) * SECTOR)


def _qcow2_size(path: str) -> int | None:
    """How much an image in QEMU's own format shows; None if it is none."""
    with open(path, "rb") as file:
        header = file.read(32)
    return int.from_bytes(header[24:32], "big") if header.startswith(QCOW2) else None
