"""Divides the options of a whole QEMU's command line: what memory depends on, what it does not, and what brings
RAMBlocks that are not modelled here.

Which devices bring RAMBlocks is recorded from real QEMUs (`vm/known/device_blocks.txt`). What is not known to bring
none is taken to bring some.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ...commands.keyval import parse_opts
from ...vm.compat.contract import Unchecked
from ...vm.known import covers, parted, rows
from ..command_line.options import find_option
from ..command_line.unmodelled import BRINGS_BLOCKS
from ..command_line.unmodelled_properties import MACHINE_BLOCKS
from .flash_files import FlashFiles

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ...vm.releases import Release

USED = frozenset(
    {
        *("machine", "M", "qemu", "target", "cpu", "smp", "numa", "m", "mem-path", "mem-prealloc", "bios", "uuid"),
        *("nodefaults", "object", "device", "host"),
    }
)
"""What makes a contract; the rest of what is modelled (monitors, scripts, -S, -accel) makes none."""
QUESTIONS = ("h", "help", "version", "audio-help")
SILENT = frozenset(
    {
        *(
            "S",
            "accel",
            "enable-kvm",
            "overcommit",
            "name",
            "qmp",
            "qmp-pretty",
            "mon",
            "monitor",
            "chardev",
            "display",
        ),
        *(
            "nographic",
            "no-user-config",
            "pidfile",
            "daemonize",
            "incoming",
            "preconfig",
            "c",
            "script",
            "keep-going",
            "strict",
            "id",
        ),
    }
)
"""Modelled here, and of no use to a contract: nobody needs to be told."""
FLASH_BLOCKS = "system.flash0, system.flash1, isa-bios"
MEMORY_OBJECTS = ("memory-backend-", "thread-context")
MEMORY_DEVICES = ("pc-dimm", "nvdimm", "virtio-mem", "virtio-pmem", "ivshmem-plain")
WITHOUT_PLACE = ("bus", "multifunction", "devno", "iommu_platform", "disable-legacy", "disable-modern", "failover")
"""Of memory behind PCI or a channel: where the device itself is says nothing of its memory."""
VGA = frozenset(
    {
        *("VGA", "cirrus-vga", "isa-cirrus-vga", "isa-vga", "vmware-svga", "qxl-vga", "virtio-vga", "virtio-vga-gl"),
        *("vhost-user-vga", "ati-vga", "virtio-vga-rutabaga"),
    }
)
"""With one of these there is no default VGA."""


@dataclass(slots=True)
class Divided:
    """A command line in its parts."""

    used: list[tuple[str, str | None]] = field(default_factory=list)
    """The options that memory depends on: their names and values."""
    aside: dict[str, None] = field(default_factory=dict)
    """What it does not depend on, as people know it, each once."""
    unchecked: list[Unchecked] = field(default_factory=list)
    surroundings: list[str] = field(default_factory=list)
    """All that decides on the names and sizes of RAMBlocks that are not modelled, as it was written."""
    flash: FlashFiles = field(default_factory=FlashFiles)
    """What is in flash memory."""
    has_flash: bool = False
    """Whether the firmware is in flash memory, which is not known here, not in a ROM."""
    has_defaults: bool = True
    no_vga: bool = False
    no_nic: bool = False


def divide(words: tuple[str, ...], release: Release, properties: Callable[[str], bool]) -> Divided:
    """Divide the words of a command line; `properties` tells which properties of machines are modelled.

    Raises `ValueError` for what is no option, and for one whose value is missing.
    """
    found = Divided()
    position = 0
    while position < len(words):
        word = words[position]
        position += 1
        if not word.startswith("-"):
            found.aside["a disk image"] = None
            continue
        name = word.lstrip("-") if word.startswith("--") else word[1:]
        if name in QUESTIONS:
            raise ValueError(f"{word}: asks for help, and describes no machine")
        option = find_option(word, release)
        if option is None:
            raise ValueError(f"{word}: invalid option")
        value = None
        if option.takes_value:
            if position == len(words):
                raise ValueError(f"{word}: requires an argument")
            value = words[position]
            position += 1
        _take(found, name, value, release, properties)
    _add_flash(found)
    _add_defaults(found)
    return found


def _add_flash(found: Divided) -> None:
    """Flash memory is as its images are; where one is not on this host, nothing of it is known here."""
    if found.flash.are_here:
        found.used += found.flash.options
        return
    found.has_flash = True
    for text in found.flash.texts:
        found.unchecked.append(Unchecked(text, FLASH_BLOCKS))
        found.surroundings.append(text)


def _take(found: Divided, name: str, value: str | None, release: Release, properties: Callable[[str], bool]) -> None:
    text = f"-{name}" if value is None else f"-{name} {value}"
    if name in ("M", "machine"):
        _take_machine(found, value or "", properties)
    elif name == "object":
        _take_object(found, value or "")
    elif name == "device":
        _take_device(found, value or "", release)
    elif name in USED:
        found.has_defaults = found.has_defaults and name != "nodefaults"
        found.used.append((name, value))
    elif name in ("vga", "nic", "net", "netdev"):
        _take_default(found, name, value or "", text)
    elif name == "pflash" or (name == "drive" and _pairs(value or "").get("if") == "pflash"):
        found.flash.add_drive(name, value or "", {"file": value or ""} if name == "pflash" else _pairs(value or ""))
    elif name in BRINGS_BLOCKS:
        found.unchecked.append(Unchecked(text, BRINGS_BLOCKS[name]))
        found.surroundings.append(text)
    elif name not in SILENT:
        if name == "blockdev":
            found.flash.add_node(value or "", _pairs(value or "", "driver"))
        found.aside[f"-{name}"] = None


def _take_default(found: Divided, name: str, value: str, text: str) -> None:
    """What takes the place of a default device."""
    found.surroundings.append(text)
    if name == "vga":
        found.no_vga = True
        if value != "none":
            found.unchecked.append(Unchecked(text, "the VGA's memory and ROM"))
        return
    found.no_nic = True
    kind = value.partition(",")[0]
    if kind != "none" and name != "netdev" and (name == "nic" or kind == "nic"):
        found.unchecked.append(Unchecked(text, "the NIC's ROM"))
    elif kind != "none":
        found.aside[f"-{name}"] = None


def _take_machine(found: Divided, value: str, properties: Callable[[str], bool]) -> None:
    kept = []
    for key, text in _pairs(value, "type").items():
        if key == "type" or properties(key) or key.partition(".")[0] in ("memory", "smp"):
            kept.append(text if key == "type" else f"{key}={text}")
        elif key in ("pflash0", "pflash1"):
            found.flash.add_property(key, text)
        elif key in MACHINE_BLOCKS:
            found.unchecked.append(Unchecked(f"-machine {key}=", MACHINE_BLOCKS[key]))
            found.surroundings.append(f"-machine {key}={text}")
        elif key not in ("accel", "kernel-irqchip", "kernel_irqchip"):
            found.aside[f"-machine {key}="] = None
    if kept:
        found.used.append(("machine", ",".join(each.replace(",", ",,") for each in kept)))


def _take_object(found: Divided, value: str) -> None:
    kind = _driver(value, "qom-type")
    if kind.startswith(MEMORY_OBJECTS):
        if kind == "memory-backend-epc":
            found.unchecked.append(Unchecked(f"-object {kind}"))
        else:
            found.used.append(("object", _as_pairs(value, "qom-type")))
    else:
        found.aside[f"-object {kind}"] = None


def _take_device(found: Divided, value: str, release: Release) -> None:
    kind = _driver(value, "driver")
    if kind.startswith(MEMORY_DEVICES):
        found.used.append(("device", _as_pairs(value, "driver") if kind.endswith("dimm") else _without_place(value)))
        found.surroundings.append(f"-device {value}")
        return
    found.surroundings.append(f"-device {value}")
    found.no_vga = found.no_vga or kind in VGA
    blocks = _blocks_of(kind, release)
    rom_only = bool(blocks) and all(name.endswith(".rom") for name in blocks or ())
    if blocks == {} or (rom_only and _pairs(value, "driver").get("romfile") == ""):
        found.aside[f"-device {kind}"] = None
    else:
        found.unchecked.append(Unchecked(f"-device {kind}", ", ".join(blocks or ())))


def _blocks_of(kind: str, release: Release) -> dict[str, int] | None:
    """The RAMBlocks that a device brings, with their sizes; None where that is not known."""
    for known, *blocks in rows("device_blocks"):
        name, _, marks = parted(known)
        if name == kind and covers(marks, release):
            return {block: int(size) for block, _, size in (each.partition("=") for each in blocks)}
    return None


def _add_defaults(found: Divided) -> None:
    if found.has_defaults and not found.no_vga:
        found.unchecked.append(Unchecked("the default VGA", "its memory and ROM"))
        found.surroundings.append("default VGA")
    if found.has_defaults and not found.no_nic:
        found.unchecked.append(Unchecked("the default NIC", "its ROM"))
        found.surroundings.append("default NIC")


def _driver(value: str, key: str) -> str:
    return str(_pairs(value, key).get(key, ""))


def _pairs(value: str, implied: str | None = None) -> dict[str, str]:
    """The pairs of an option, as QemuOpts or as JSON; the last of each key counts."""
    if value.startswith("{"):
        import json

        try:
            found = json.loads(value)
        except ValueError:
            return {}
        return {key: each if isinstance(each, str) else json.dumps(each) for key, each in found.items()}
    return {key: "on" if text is None else text for key, text in parse_opts(value, implied)}


def _as_pairs(value: str, implied: str) -> str:
    """JSON as pairs, which can be changed one by one; what has parts within stays as it is."""
    if not value.startswith("{"):
        return value
    import json

    try:
        found = json.loads(value)
    except ValueError:
        return value
    if not isinstance(found, dict) or any(isinstance(each, list | dict) for each in found.values()):
        return value
    texts = {key: each if isinstance(each, str) else json.dumps(each) for key, each in found.items()}
    texts = {key: {"true": "on", "false": "off"}.get(text, text) for key, text in texts.items()}
    first = texts.pop(implied, "")
    return ",".join([first, *(f"{key}={text.replace(',', ',,')}" for key, text in texts.items())])


def _without_place(value: str) -> str:
    kept = {key: text for key, text in _pairs(value, "driver").items() if key not in (*WITHOUT_PLACE, "addr")}
    driver = kept.pop("driver", "")
    return ",".join([driver, *(f"{key}={text.replace(',', ',,')}" for key, text in kept.items())])
