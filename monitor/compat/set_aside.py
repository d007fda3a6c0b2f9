"""Divides the options of a whole QEMU's command line: what memory depends on, what it does not, and what brings
RAMBlocks that are not modelled here.

Devices are built with the machine, so that their RAMBlocks are compared. What is not known to bring none is taken to
bring some.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ...commands.keyval import parse_opts
from ...vm.compat.contract import Unchecked
from ...vm.devices.other import knows_blocks
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
DEFAULTS = ("vga", "nic", "net", "netdev")
"""What says which devices a board has unasked."""
FLASH_BLOCKS = "system.flash0, system.flash1, isa-bios"
MEMORY_OBJECTS = ("memory-backend-", "thread-context")
MEMORY_DEVICES = ("pc-dimm", "nvdimm", "virtio-mem", "virtio-pmem", "ivshmem-plain")


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
        found.used.append((name, value))
    elif name in DEFAULTS:
        found.surroundings.append(text)
        found.used.append((name, value))
        if name != "vga" and (value or "").partition(",")[0] != "none":
            found.aside[f"-{name}"] = None
    elif name == "pflash" or (name == "drive" and _pairs(value or "").get("if") == "pflash"):
        found.flash.add_drive(name, value or "", {"file": value or ""} if name == "pflash" else _pairs(value or ""))
    elif name in BRINGS_BLOCKS:
        found.unchecked.append(Unchecked(text, BRINGS_BLOCKS[name]))
        found.surroundings.append(text)
    elif name not in SILENT:
        if name == "blockdev":
            found.flash.add_node(value or "", _pairs(value or "", "driver"))
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
    text = f"-device {value}"
    found.surroundings.append(text)
    found.used.append(("device", _as_pairs(value, "driver")))
    if kind.startswith(MEMORY_DEVICES):
        return
    if knows_blocks(kind, release):
        found.aside[f"-device {kind}"] = None
    else:
        found.unchecked.append(Unchecked(f"-device {kind}"))


def leave_out_device(found: Divided, message: str) -> bool:
    """Let a device that is no memory be unchecked if a message is about it; false if there is none such."""
    for place, (name, value) in enumerate(found.used):
        kind = _driver(value or "", "driver") if name == "device" else ""
        if kind and not kind.startswith(MEMORY_DEVICES) and message.startswith(f"-device {value}: "):
            del found.used[place]
            found.aside.pop(f"-device {kind}", None)
            found.unchecked.append(Unchecked(f"-device {kind} ({message.removeprefix(f'-device {value}: ')})"))
            return True
    return False


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
