"""Reads the options of one command line: a method for each whose value needs reading, and what they mean together."""

from __future__ import annotations

import os

from ...commands.keyval import OptionError, parse_keyval
from ...vm.errors import VMError
from ...vm.releases import find_release
from ...vm.sizes import parse_integer
from . import groups
from .device_options import DeviceOptions
from .machine_options import MachineOptions
from .object_options import ObjectOptions
from .settings import Answered, Question

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ...vm.releases import Release
    from .flash_options import FlashOptions
    from .option import Find, Option

    CheckMachine = Callable[[str, str | None, Release], None]

EARLY, BLOCK_DEVICES, LATE = range(3), range(3, 5), range(5, 9)
"""The stages of QEMU's start at which it looks at what options mean."""
MODELLED = {"type", "accel", "memory", "smp", "memory-backend", "firmware"}
"""Properties of machines that need not be looked for: all have them."""

EXPANDED = ("readconfig", "set")
"""Options that stand for others, or change them."""
_HEXADECIMAL = frozenset("0123456789abcdefABCDEF")


class Parser:
    """The state of reading one command line."""

    def __init__(self, program: str) -> None:
        self.context = groups.Context()
        self.settings = self.context.settings
        self.config = self.settings.config
        self.config.program = program.rpartition("/")[2]
        _, prefix, architecture = self.config.program.rpartition("qemu-system-")
        self.named_version: str | None = None
        """The version of QEMU that the name the program was run by says."""
        if prefix:
            stem, _, version = architecture.rpartition("-")
            if stem and version[:1].isdigit():
                architecture, self.named_version = stem, version
            self.config.target = architecture.removesuffix("-microvm")
        self.machine = MachineOptions(self.context)
        self.devices = DeviceOptions(self.context)
        self.objects = ObjectOptions(self.context, self.devices)
        self.disk_image: str | None = None
        self._flash: FlashOptions | None = None
        self._checks: list[tuple[int, str, Callable[[], None]]] = []

    def read(self, words: list[str], qemu: str | None, find: Find) -> None:
        """Take every option: first all names are looked up, by `find`, then each value is read."""
        if self.named_version is not None:
            self.choose_release(self.config.program, self.named_version)
        else:
            self.choose_release("RAMSLOT_QEMU", qemu)
        for position, word in enumerate(words[:-1]):
            if word in ("-qemu", "--qemu"):
                self.choose_release(word, words[position + 1])
        uses: list[tuple[Option, str, str]] = []
        position = 0
        while position < len(words):
            word = words[position]
            position += 1
            if not word.startswith("-"):
                self.disk_image = word
                continue
            self.context.where = word
            option = find(word, self.context.release)
            if option is None:
                raise OptionError("invalid option")
            value = ""
            if option.takes_value:
                if position == len(words):
                    raise OptionError("requires an argument")
                value = words[position]
                position += 1
            uses.append((option, f"{word} {value}" if option.takes_value else word, value))
        if any(option.name in EXPANDED for option, _, _ in uses):
            from .config_file import expand

            uses = expand(self.context, uses, find)
        for option, where, value in uses:
            self.context.where = where
            option.handler(self, value)

    def check_later(self, stage: int, check: Callable[[], None]) -> None:
        """Let something about the option at hand be checked when QEMU's start comes to that stage."""
        self._checks.append((stage, self.context.where, check))

    def _check(self, stages: range) -> None:
        for stage, where, check in sorted(self._checks, key=lambda each: each[0]):
            if stage in stages:
                self.context.where = where
                check()
        self.context.where = ""

    def choose_release(self, origin: str, name: str | None) -> None:
        """Be that version of QEMU, which decides on what all other options mean."""
        self.context.where = origin
        try:
            self.context.release = find_release(name)
        except VMError as error:
            raise OptionError(str(error)) from None
        self.config.qemu = self.context.release.name

    def finish(self, check_machine: CheckMachine | None) -> None:
        """Find out what the options mean together, in the order in which QEMU comes upon mistakes."""
        self.context.where = ""
        if "initrd" in self.machine.properties or "append" in self.machine.properties:
            from .unmodelled_properties import check_kernel

            check_kernel(self.machine.properties)
        self._check(EARLY)
        self.machine.merge_memory()
        self.context.where = ""
        self._choose_machine_type(check_machine)
        self.config.default_devices = not self.settings.nodefaults
        self.devices.finish_devices()
        self._finish_disk_image()
        self._check(BLOCK_DEVICES)
        if self.has_block_devices or not self.machine.properties.keys() <= MODELLED:
            from .unmodelled_properties import finish_machine

            finish_machine(self)
        self.machine.finish_properties()
        if self.machine.accelerators:
            from .accelerator_options import finish_accelerators

            finish_accelerators(self.machine)
        self._finish_cpu_model()
        self.devices.finish_qtest()
        self._check(LATE)
        self.devices.finish_monitors()
        if self.devices.ports:
            from .unmodelled import check_ports

            check_ports(self.devices)

    def _choose_machine_type(self, check_machine: CheckMachine | None) -> None:
        machine_type = self.machine.properties.pop("type", None)
        if machine_type is None:
            return
        if not isinstance(machine_type, str):
            raise OptionError("Parameters 'type.*' are unexpected")
        self.config.machine_type = machine_type = self._upstream(machine_type)
        if check_machine is not None:
            if self.context.release.settings("options").get("told with mistakes", False):
                self.context.where = self.machine.where
            check_machine(machine_type, self.config.target, self.context.release)
            self.context.where = ""

    def _finish_disk_image(self) -> None:
        if self.disk_image is None:
            return
        if not os.path.exists(self.disk_image):
            raise OptionError(f"{self.disk_image}: Could not open '{self.disk_image}': No such file or directory")
        self.context.set_aside("a disk image")

    def _finish_cpu_model(self) -> None:
        if self.config.cpu_model == "":
            raise OptionError("-cpu option cannot be empty")
        if self.config.cpu_model is not None and "," in self.config.cpu_model:
            from .unmodelled_properties import take_cpu_options

            model, _, options = self.config.cpu_model.partition(",")
            take_cpu_options(self, model, options)
        if self.config.cpu_model is not None and groups.is_help(self.config.cpu_model):
            raise Answered(Question("cpu"))

    def _upstream(self, name: str) -> str:
        """The machine type that a distribution's stands for; any other as it is."""
        if "+pve" in name or ("-" in name and ("-rhel" in name or not name[-1].isdigit())):
            from ...vm.known.distributions import taken_as, upstream_machine

            found = upstream_machine(name)
            if found is not None:
                self.context.warn_alone(taken_as(name, *found))
                return found[0]
        return name

    @property
    def flash(self) -> FlashOptions:
        """What is known of block devices."""
        if self._flash is None:
            from .flash_options import FlashOptions

            self._flash = FlashOptions(self.context)
        return self._flash

    @property
    def has_block_devices(self) -> bool:
        """Whether there are any."""
        return self._flash is not None

    # Options whose values need reading

    def take_name(self, value: str) -> None:
        """Take `-name`."""
        for key, values in self.context.read(groups.NAME, value).items():
            if key == "guest":
                self.config.name = values[-1]
            elif key != "id":
                self.context.set_aside(f"-name {key}=")

    def take_accelerator(self, value: str) -> None:
        """Take `-accel`."""
        from .accelerator_options import take_accelerator

        take_accelerator(self.machine, value)

    def take_uuid(self, value: str) -> None:
        """Take `-uuid`."""
        groups = value.split("-")
        if [len(group) for group in groups] != [8, 4, 4, 4, 12] or not _HEXADECIMAL.issuperset("".join(groups)):
            raise OptionError("failed to parse UUID string: wrong format")
        self.config.uuid = value.lower()

    def take_add_fd(self, value: str) -> None:
        """Take `-add-fd`: a descriptor that the program was started with."""
        given = self.context.read(groups.ADD_FD, value)
        fd, number = (parse_integer(given.get(key, ["-1"])[-1]) for key in ("fd", "set"))
        if fd < 0:
            raise OptionError("fd option is required and must be non-negative")
        if fd <= 2:
            raise OptionError("fd cannot be a standard I/O stream")
        if not _is_inherited(fd):
            raise OptionError("fd is not valid or already in use")
        if number < 0:
            raise OptionError("set option is required and must be non-negative")
        self.config.descriptors.append((fd, number, given.get("opaque", [None])[-1]))

    def take_display(self, value: str) -> None:
        """Take `-display`, of which there is only none; others show a screen that there is not."""
        if groups.is_help(value):
            raise Answered(Question("text", text="Available display backend types:\nnone"))
        display, wants_help = parse_keyval(value, "type")
        if wants_help:
            raise OptionError("Help is not available for this option")
        kind = display.pop("type", None)
        if kind is None:
            raise OptionError("Parameter 'type' is missing")
        if kind in groups.DISPLAYS:
            self.context.set_aside("-display")
            return
        if kind != "none":
            raise OptionError(f"Parameter 'type' does not accept value '{kind}'")
        for key in sorted(display):
            raise OptionError(f"Parameter '{key}' is unexpected")
        self.settings.display = "none"

    def take_help(self, _value: str) -> None:
        """Take `-help`."""
        raise Answered(Question("help"))

    def take_version(self, _value: str) -> None:
        """Take `-version`."""
        raise Answered(Question("version"))

    def take_script(self, value: str) -> None:
        """Take `-script`, which goes only once."""
        if self.settings.script is not None:
            raise OptionError("there is a script already")
        self.settings.script = value

    def take_overcommit(self, value: str) -> None:
        """Take `-overcommit`; the last value of each hint counts, over all uses."""
        for key, values in self.context.read(groups.OVERCOMMIT, value).items():
            if key == "mem-lock":
                self.config.lock_memory = values[-1] == "on"
            elif values[-1] == "on":
                self.context.set_aside(f"-overcommit {key}=")


def _is_inherited(fd: int) -> bool:
    """Whether a descriptor is there, and is none that we opened."""
    try:
        return os.get_inheritable(fd)
    except (OSError, OverflowError):
        return False
