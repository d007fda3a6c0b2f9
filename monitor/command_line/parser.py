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
    from .options import Option

    CheckMachine = Callable[[str, str | None, Release], None]
    Find = Callable[[str], Option | None]

_HEXADECIMAL = frozenset("0123456789abcdefABCDEF")


class Parser:
    """The state of reading one command line."""

    def __init__(self, program: str) -> None:
        self.context = groups.Context()
        self.settings = self.context.settings
        self.config = self.settings.config
        self.config.program = program.rpartition("/")[2]
        _, prefix, architecture = self.config.program.rpartition("qemu-system-")
        if prefix:
            self.config.target = architecture.removesuffix("-microvm")
        self.machine = MachineOptions(self.context)
        self.devices = DeviceOptions(self.context)
        self.objects = ObjectOptions(self.context)
        self.disk_image: str | None = None

    def read(self, words: list[str], qemu: str | None, find: Find) -> None:
        """Take every option: first all names are looked up, by `find`, then each value is read."""
        self.choose_release("RAMSLOT_QEMU", qemu)
        uses: list[tuple[Option, str, str]] = []
        position = 0
        while position < len(words):
            word = words[position]
            position += 1
            if not word.startswith("-"):
                self.disk_image = word
                continue
            self.context.where = word
            option = find(word)
            if option is None:
                raise OptionError(_no_option(word, self.context.release))
            value = ""
            if option.takes_value:
                if position == len(words):
                    raise OptionError("requires an argument")
                value = words[position]
                position += 1
            if option.name == "qemu":
                self.choose_release(word, value)
            uses.append((option, word, value))
        for option, word, value in uses:
            self.context.where = f"{word} {value}" if option.takes_value else word
            option.handler(self, value)

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
        self.machine.merge_memory()
        self.context.where = ""
        machine_type = self.machine.properties.pop("type", None)
        if machine_type is not None:
            if not isinstance(machine_type, str):
                raise OptionError("Parameters 'type.*' are unexpected")
            self.config.machine_type = machine_type
            if check_machine is not None:
                if self.context.release.settings("options").get("told with mistakes", False):
                    self.context.where = self.machine.where
                check_machine(machine_type, self.config.target, self.context.release)
                self.context.where = ""
        self.devices.finish_devices()
        if self.disk_image is not None:
            raise OptionError(f"{self.disk_image}: there are no disks here, only the memory of a machine")
        self.machine.finish_properties()
        self.machine.finish_accelerators()
        if self.config.cpu_model == "":
            raise OptionError("-cpu option cannot be empty")
        if self.config.cpu_model is not None and groups.is_help(self.config.cpu_model):
            raise Answered(Question("cpu"))
        self.devices.finish_qtest()
        self.devices.finish_monitors()

    # Options whose values need reading

    def take_name(self, value: str) -> None:
        """Take `-name`."""
        for name in self.context.read(groups.NAME, value).get("guest", ()):
            self.config.name = name

    def take_uuid(self, value: str) -> None:
        """Take `-uuid`."""
        groups = value.split("-")
        if [len(group) for group in groups] != [8, 4, 4, 4, 12] or not _HEXADECIMAL.issuperset("".join(groups)):
            raise OptionError("failed to parse UUID string: wrong format")
        self.config.uuid = value.lower()

    def take_audio(self, value: str) -> None:
        """Take `-audio`, which came late; of its drivers there is only none."""
        if not self.context.release.covers("7.2"):
            self.context.where = "-audio"
            raise OptionError("invalid option")
        if value == "none" and not self.context.release.covers("10.0"):
            raise OptionError("Parameter 'model' is missing")
        refuse_all_but(("none",), value)

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
        """Take `-display`, of which there is only none."""
        if groups.is_help(value):
            raise Answered(Question("text", text="Available display backend types:\nnone"))
        display, wants_help = parse_keyval(value, "type")
        if wants_help:
            raise OptionError("Help is not available for this option")
        kind = display.pop("type", None)
        if kind is None:
            raise OptionError("Parameter 'type' is missing")
        if kind in groups.DISPLAYS:
            self.context.where = ""
            raise OptionError(f"Display '{kind}' is not available.")
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
                raise OptionError("there is no CPU whose power could be managed: 'cpu-pm' can only be off")


def _no_option(word: str, release: Release) -> str:
    """What is said of an option that is not ours: QEMU may have it."""
    from ...vm.known import option

    known = option(word.removeprefix("-").removeprefix("-"), release)
    return "invalid option" if known is None else "this option is not modelled (QEMU has it)"


def refuse_all_but(values: tuple[str, ...], value: str) -> None:
    """Raise `OptionError` for a value of an option of which there is only what makes nothing."""
    if value not in values:
        raise OptionError(f"only '{values[0]}' is modelled (QEMU has more)")


def _is_inherited(fd: int) -> bool:
    """Whether a descriptor is there, and is none that we opened."""
    try:
        return os.get_inheritable(fd)
    except (OSError, OverflowError):
        return False
