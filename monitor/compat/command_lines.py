"""The contract of a machine that a command line describes: it is built in process, on a roomy virtual host."""

from __future__ import annotations

import os
from dataclasses import replace

from ...vm.boards import find_machine_type, releases_with
from ...vm.boards.machine_type import MachineType
from ...vm.boards.targets import targets
from ...vm.compat.contract import Contract, Unchecked
from ...vm.compat.of_machine import contract_of
from ...vm.errors import VMError
from ...vm.known.distributions import taken_as, upstream_machine
from ...vm.machine import VirtualMachine
from ...vm.releases import Release, find_release
from ..command_line.options import parse
from ..command_line.settings import CommandLineError
from .nearest import is_release, nearest_release, versioned_machine
from .option_words import OptionWords
from .pasted import CommandLine
from .set_aside import Divided, divide, leave_out_device

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

HOST = (
    "nodes=8,memory=64T,overcommit=always,hugepages-2M=4194304,hugepages-1G=8192,hugepages-64K=1048576,"
    "hugepages-16M=65536,hugepages-512M=1024"
)
"""Where machines are built that are only looked at: with room and huge pages for anything."""
FLASH_INSTEAD_OF = "pc.bios"
"""What PCs have not where their firmware is in flash memory; they have another block then."""


def read_command_line(
    line: CommandLine,
    origin: str,
    version: str | None = None,
    look: Callable[[VirtualMachine], None] | None = None,
) -> Contract:
    """The contract; `version` is the QEMU to be, whatever else says so. Raises `VMError`.

    Who wants to `look` at the machine is given it while it stands.
    """
    notes: list[str] = []
    words = _with_upstream_machine(line.words, notes)
    words = _with_versioned_machine(words, line, version or line.version, notes)
    release = _release(line, words, version, notes)
    told = version or line.version
    exact = words == line.words and (told is None or is_release(told, release))
    try:
        divided = divide(words, release, lambda name: _is_modelled(words, line, release, name))
    except ValueError as error:
        raise VMError(str(error)) from None
    firmware = _leave_out_missing_firmware(divided)
    contract = _built_with_devices(line, divided, release, origin, look)
    if divided.aside:
        notes.append(f"not modelled, memory does not depend on it: {', '.join(divided.aside)}")
    unchecked = [*divided.unchecked, *firmware]
    gone = FLASH_INSTEAD_OF if divided.has_flash or firmware else None
    return replace(
        contract,
        blocks=tuple(block for block in contract.blocks if block.name != gone),
        unchecked=tuple(unchecked),
        surroundings=tuple(divided.surroundings),
        words=(line.program, *OptionWords(divided.used).words),
        exact=exact,
        notes=tuple(notes),
    )


def _with_upstream_machine(words: tuple[str, ...], notes: list[str]) -> tuple[str, ...]:
    """Machine types of distributions by the names that they stand for."""
    found = list(words)
    for number, word in enumerate(words[:-1]):
        if word.lstrip("-") in ("M", "machine"):
            parts = words[number + 1].split(",")
            for position, part in enumerate(parts):
                name = part.removeprefix("type=")
                upstream = upstream_machine(name) if position == 0 or part.startswith("type=") else None
                if upstream is not None:
                    notes.append(taken_as(name, *upstream))
                    parts[position] = upstream[0]
            found[number + 1] = ",".join(parts)
    return tuple(found)


def _with_versioned_machine(
    words: tuple[str, ...], line: CommandLine, told: str | None, notes: list[str]
) -> tuple[str, ...]:
    """An alias by the name that it has in a QEMU that is not modelled."""
    name = machine_name(words)
    versioned = None if told is None else versioned_machine(name, told, line.architecture)
    if versioned is None:
        return words
    notes.append(f"in QEMU {told} {name or 'the default machine'} is {versioned}")
    return (*words, "-machine", versioned)


def machine_name(words: tuple[str, ...]) -> str | None:
    """The machine type that a command line names."""
    name = None
    for number, word in enumerate(words[:-1]):
        if word.lstrip("-") in ("M", "machine"):
            parts = words[number + 1].split(",")
            typed = [part.removeprefix("type=") for part in parts if part.startswith("type=")]
            name = typed[-1] if typed else (parts[0] if "=" not in parts[0] else name)
    return name


def _release(line: CommandLine, words: tuple[str, ...], version: str | None, notes: list[str]) -> Release:
    """The QEMU to be: the one that was told, or the nearest that is modelled."""
    named = [words[at + 1] for at, word in enumerate(words[:-1]) if word.lstrip("-") == "qemu"]
    told = version or (named[-1] if named else None) or line.version
    if told is not None:
        return nearest_release(told, machine_name(words), line.architecture, notes)
    release = find_release(os.environ.get("RAMSLOT_QEMU"))
    name = machine_name(words)
    with_it = list(releases_with(name, line.architecture)) if name is not None else []
    if with_it and release.name not in with_it:
        notes.append(f"nothing tells the version of QEMU: taken as {with_it[0]}, the newest modelled one with {name}")
        return find_release(with_it[0])
    if line.program.rpartition("/")[2] != "ramslot":
        notes.append(f"nothing tells the version of QEMU: taken as {release.name}")
    return release


def _architecture(line: CommandLine, release: Release) -> str | None:
    """The target that the program's name tells; `kvm` and the like are for PCs."""
    name = line.architecture
    if name is None and line.program.rpartition("/")[2].startswith(("kvm", "qemu-kvm")):
        return "x86_64"
    return name if name is None or name in targets(release) else None


def _machine_type(words: tuple[str, ...], line: CommandLine, release: Release) -> MachineType:
    return find_machine_type(machine_name(words), _architecture(line, release), release)[0]


def _is_modelled(words: tuple[str, ...], line: CommandLine, release: Release, name: str) -> bool:
    declared = _machine_type(words, line, release).machine.class_properties(release)
    name = name.replace("_", "-")
    return name == "hmat" or any(each.name == name and each.setter is not None for each in declared)


def _leave_out_missing_firmware(divided: Divided) -> list[Unchecked]:
    """Firmware that is not on this host has a size that nobody knows here."""
    missing = [path for name, path in divided.used if name == "bios" and not os.path.isfile(path or "")]
    divided.used[:] = [(name, value) for name, value in divided.used if name != "bios" or value not in missing]
    return [Unchecked(f"-bios {path}, which is not here", "the firmware's") for path in missing]


def _built_with_devices(
    line: CommandLine,
    divided: Divided,
    release: Release,
    origin: str,
    look: Callable[[VirtualMachine], None] | None,
) -> Contract:
    """The contract, less the devices that have no place in what is modelled of the machine."""
    while True:
        try:
            return _built(line, divided.used, release, origin, look)
        except VMError as error:
            if not leave_out_device(divided, str(error)):
                raise


def _built(
    line: CommandLine,
    used: list[tuple[str, str | None]],
    release: Release,
    origin: str,
    look: Callable[[VirtualMachine], None] | None,
) -> Contract:
    architecture = _architecture(line, release)
    fixed = ("qemu",) if architecture is None else ("qemu", "target")
    options = [option for option in used if option[0] not in fixed]
    options += [("qemu", release.name), ("S", None)]
    if architecture is not None:
        options.append(("target", architecture))
    try:
        settings = parse(["ramslot", *OptionWords(options).words], qemu=release.name)
    except CommandLineError as error:
        raise VMError(error.messages[-1]) from None
    if settings.question is not None:
        raise VMError("the options ask for help, and describe no machine")
    config = settings.config
    config.host = config.host or HOST
    with VirtualMachine(config) as vm:
        if look is not None:
            look(vm)
        return contract_of(vm, origin)
