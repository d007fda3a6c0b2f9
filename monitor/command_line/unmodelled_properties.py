"""The properties of machines and accelerators that QEMU has and nothing here models: told as its other options are."""

from __future__ import annotations

from ...commands.keyval import OptionError
from ...vm.boards import find_machine_type
from ...vm.boards.x86_machine import X86Machine
from ...vm.errors import VMError
from ...vm.known import cpu_model, machine_kinds, machine_property, option_group
from . import unmodelled_values

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ...vm.boards.machine_type import MachineType
    from .parser import Parser

MACHINE_BLOCKS = {
    "pflash0": "system.flash0, isa-bios",
    "pflash1": "system.flash1",
    "igvm-cfg": "",
    "confidential-guest-support": "",
    "memory-encryption": "",
    "sgx-epc": "",
    "aux-ram-share": "",
    "cxl": "",
    "cxl-fmw": "",
}
"""Properties of machines likewise."""
OF_OURS = ("accel", "firmware", "memory", "smp")
"""Properties that other parts of the command line read."""
X86_TARGETS = ("i386", "x86_64")
LARGEST_CPUS = ("max", "host")
"""Models that have properties of their own."""
CPU_OPTIONS = ("phys-bits", "host-phys-bits", "vendor", "x2apic", "aarch64", "pmu")
"""Properties of CPUs that decide on addresses, or on what devices there are."""
CPU_SPELLINGS = {"tsc-freq": "tsc-frequency"}
KERNEL_ONLY = ("append", "initrd")
"""Properties that nothing but a kernel has a use for, in the order in which QEMU looks at them."""
KERNEL = ("kernel", "initrd", "dtb", "shim")
"""Properties that fill the guest's RAM where no firmware fetches them, as on PCs."""


def finish_machine(parser: Parser) -> None:
    """Find out what is in the machine's flash memories, and take away the properties that are not modelled.

    :raise OptionError: what was named is not there, or a value is wrong.
    """
    try:
        machine_type = find_machine_type(parser.config.machine_type, parser.config.target, parser.context.release)[0]
    except VMError:
        return  # it is told when the machine is made
    machine, properties = machine_type.machine, parser.machine.properties
    named = [properties.pop(f"pflash{number}", None) for number in range(len(machine.flashes))]
    if any(named) or parser.has_block_devices:
        parser.flash.place_nodes(named)
        parser.flash.place_drives(machine)
        parser.context.where = ""
    take_machine_properties(parser, machine_type)


def take_machine_properties(parser: Parser, machine_type: MachineType) -> None:
    """Take those properties away that QEMU's machine has and ours has not.

    :raise OptionError: a value is wrong.
    """
    context, properties = parser.context, parser.machine.properties
    if "boot" in properties:
        boot = properties.pop("boot")
        unmodelled_values.check_boot(boot)
        parser.check_later(unmodelled_values.LAST, lambda: unmodelled_values.check_boot_times(boot))
        context.set_aside(parser.machine.spelled.get("boot", "-machine boot="))
    declared = {each.name for each in machine_type.machine.class_properties(context.release) if each.setter is not None}
    kinds: dict[str, str] | None = None
    for key in list(properties):
        name = key.replace("_", "-")
        if name in declared or name in OF_OURS or not machine_property(machine_type.name, name, context.release):
            continue
        kinds = machine_kinds() if kinds is None else kinds
        value = properties.pop(key)
        unmodelled_values.check_property(name, value, kinds.get(name))
        what = parser.machine.spelled.get(key, f"-machine {name}=")
        if name in MACHINE_BLOCKS or (name in KERNEL and not issubclass(machine_type.machine, X86Machine)):
            context.leave_out(what, MACHINE_BLOCKS.get(name, ""))
        else:
            context.set_aside(what)


def check_kernel(properties: dict[str, Any]) -> None:
    """Refuse what only a kernel has a use for."""
    for key in KERNEL_ONLY:
        if properties.get(key) and not properties.get("kernel"):
            raise OptionError(f"-{key} only allowed with -kernel option")


def take_cpu_options(parser: Parser, model: str, options: str) -> None:
    """Tell of what `-cpu MODEL,OPTIONS` says of the CPUs and memory does not depend on.

    :raise OptionError: an x86 CPU has no such property, or a flag is neither on nor off.
    """
    context = parser.context
    try:
        target = find_machine_type(parser.config.machine_type, parser.config.target, context.release)[1]
    except VMError:
        return  # it is told when the machine is made
    if not cpu_model(target.arch, model, context.release):
        return  # likewise
    known = option_group("cpu/x86", context.release) if target.arch in X86_TARGETS else None
    if known is not None and model in LARGEST_CPUS:
        known = known | (option_group("cpu/x86/max", context.release) or {})
    words = [word for word in options.split(",") if word]
    for word in sorted(words, key=lambda word: word[0] in "+-"):
        key, equals, value = word.lstrip("+-").partition("=")
        is_flag = word[0] in "+-"
        name = key.replace("_", "-")
        if known is not None:
            _check_cpu_option(f"{model}-{target.arch}-cpu", known, name, None if is_flag else value if equals else "on")
        if name == "host-phys-bits-limit":
            context.leave_out(f"-cpu {name}=", "")
        elif name not in CPU_OPTIONS:
            context.set_aside("-cpu flags")


def _check_cpu_option(type_name: str, known: dict[str, str], name: str, value: str | None) -> None:
    """`value` is None of a flag with a sign."""
    kind = known.get(CPU_SPELLINGS.get(name, name))
    if kind is None:
        text = f"Property '{type_name}.{name}' not found"
    elif kind == "bool" and value not in (None, "on", "off", "yes", "no", "true", "false", "y", "n"):
        text = f"Parameter '{name}' expects 'on' or 'off'"
    else:
        return
    raise OptionError(text if value is None else f"can't apply global {type_name}.{name}={value}: {text}")
