"""The command line: what each option means, in the one table that also makes the help text.

The result is plain values (`Settings`, with the VM's `Config`); nothing is opened or made here, and which machine
types exist is not known. Mistakes are found in QEMU's order: options that do not exist, then the syntax of all options
as they stand, then what they mean together. The texts are QEMU 7.2's, measured, where QEMU has the same mistake.
"""

from __future__ import annotations

from ..commands.keyval import OptionError, parse_keyval
from ..vm.sizes import parse_size
from . import options
from .device_options import DeviceOptions
from .machine_options import MachineOptions
from .settings import Answered, CommandLineError, Question, Settings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


class Option:
    """One row of the table: an option, how it is written, what it does, and the `_Parser` method that takes it."""

    __slots__ = ("alias", "handler", "help", "name", "takes_value", "usage")

    def __init__(
        self, name: str, usage: str, help: str, handler: Callable[[_Parser, str], None], alias: str = ""
    ) -> None:
        self.name = name
        self.alias = alias
        """Another name of the same option, or empty."""
        self.usage = usage
        """How the value is written; empty for an option that takes none."""
        self.takes_value = bool(usage)
        self.help = help
        """Lines of text."""
        self.handler = handler


def parse(argv: list[str], check_machine: Callable[[str, str | None], None] | None = None) -> Settings:
    """Return the meaning of a command line whose first word is the name the program was run by.

    `check_machine` is called with the machine type, if one was named, and the target, if one was, at the point where
    QEMU looks it up: after all syntax and before what the options mean together.

    :raise CommandLineError: the command line is refused.
    """
    parser = _Parser(argv[0])
    try:
        parser.read(argv[1:])
        parser.finish(check_machine)
    except Answered as answered:
        parser.settings.question = answered.question
    except OptionError as error:
        raise CommandLineError([*parser.settings.warnings, parser.context.located(str(error))]) from None
    return parser.settings


def usage(program: str) -> str:
    """Return the help text."""
    lines = [f"usage: {program} [options]"]
    for heading, rows in OPTIONS.items():
        lines += ["", f"{heading}:"]
        for row in rows:
            lines += _usage_lines(row)
    return "\n".join(lines)


def _usage_lines(row: Option) -> list[str]:
    """Return an option's help in QEMU's layout: its writing, and the text from column 16 on."""
    names = f"-{row.alias} or -{row.name}" if row.alias else f"-{row.name}"
    head = f"{names} {row.usage}".rstrip()
    texts = row.help.split("\n")
    if len(head) < 16:
        head = f"{head:<16}{texts.pop(0)}"
    return [head, *(" " * 16 + text for text in texts)]


class _Parser:
    """The state of reading one command line."""

    def __init__(self, program: str) -> None:
        self.context = options.Context()
        self.settings = self.context.settings
        self.config = self.settings.config
        self.config.program = program.rpartition("/")[2]
        _, prefix, architecture = self.config.program.rpartition("qemu-system-")
        if prefix:
            self.config.target = architecture.removesuffix("-microvm")
        self.machine = MachineOptions(self.context)
        self.devices = DeviceOptions(self.context)
        self.disk_image: str | None = None

    def read(self, words: list[str]) -> None:
        """Take every option: first all names are looked up, then each value is read."""
        uses: list[tuple[Option, str, str]] = []
        position = 0
        while position < len(words):
            word = words[position]
            position += 1
            if not word.startswith("-"):
                self.disk_image = word
                continue
            self.context.where = word
            option = _find(word)
            if option is None:
                raise OptionError("invalid option")
            value = ""
            if option.takes_value:
                if position == len(words):
                    raise OptionError("requires an argument")
                value = words[position]
                position += 1
            uses.append((option, word, value))
        for option, word, value in uses:
            self.context.where = f"{word} {value}" if option.takes_value else word
            option.handler(self, value)

    def finish(self, check_machine: Callable[[str, str | None], None] | None) -> None:
        """Find out what the options mean together, in the order in which QEMU comes upon mistakes."""
        self.machine.merge_memory()
        self.context.where = ""
        machine_type = self.machine.properties.pop("type", None)
        if machine_type is not None:
            if not isinstance(machine_type, str):
                raise OptionError("Parameters 'type.*' are unexpected")
            self.config.machine_type = machine_type
            if check_machine is not None:
                check_machine(machine_type, self.config.target)
        self.devices.finish_devices()
        if self.disk_image is not None:
            raise OptionError(f"{self.disk_image}: there are no disks here, only the memory of a machine")
        self.machine.finish_properties()
        self.machine.finish_accelerators()
        if self.config.cpu_model == "":
            raise OptionError("-cpu option cannot be empty")
        if self.config.cpu_model is not None and options.is_help(self.config.cpu_model):
            raise Answered(Question("cpu"))
        self.devices.finish_monitors()

    # Options whose values need reading

    def take_name(self, value: str) -> None:
        """Take `-name`."""
        for name in self.context.read(options.NAME, value).get("guest", ()):
            self.config.name = name

    def take_uuid(self, value: str) -> None:
        """Take `-uuid`."""
        groups = value.split("-")
        if [len(group) for group in groups] != [8, 4, 4, 4, 12] or not _HEXADECIMAL.issuperset("".join(groups)):
            raise OptionError("failed to parse UUID string: wrong format")
        self.config.uuid = value.lower()

    def take_display(self, value: str) -> None:
        """Take `-display`, of which there is only none."""
        if options.is_help(value):
            raise Answered(Question("text", text="Available display backend types:\nnone"))
        display, wants_help = parse_keyval(value, "type")
        if wants_help:
            raise OptionError("Help is not available for this option")
        kind = display.pop("type", None)
        if kind is None:
            raise OptionError("Parameter 'type' is missing")
        if kind in options.DISPLAYS:
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

    def take_object(self, value: str) -> None:
        """Take `-object`, as pairs or as JSON."""
        from .. import schema

        try:
            if value.startswith("{"):
                arguments = _json_object(value)
                schema.check("object-add", arguments)
            else:
                pairs = self.context.read(options.OBJECT, value)
                if any(options.is_help(word) for word in (*pairs, *pairs.get("qom-type", ()))):
                    subject = pairs.get("qom-type", [""])[-1]
                    raise Answered(Question("object", "" if options.is_help(subject) else subject))
                arguments = self._typed("object-add", pairs)
        except schema.ArgumentError as error:
            raise OptionError(str(error)) from None
        self.config.objects.append(arguments)

    def take_script(self, value: str) -> None:
        """Take `-script`, which goes only once."""
        if self.settings.script is not None:
            raise OptionError("there is a script already")
        self.settings.script = value

    def take_numa(self, value: str) -> None:
        """Take `-numa`, as pairs or as JSON."""
        from .. import schema

        try:
            if value.startswith("{"):
                arguments = _json_object(value)
                schema.check("set-numa-node", arguments)
            else:
                arguments = self._typed("set-numa-node", self.context.read(options.NUMA, value))
        except schema.ArgumentError as error:
            raise OptionError(str(error)) from None
        self.config.numa.append((self.context.where, arguments))

    def _typed(self, command: str, pairs: dict[str, list[str]]) -> dict[str, Any]:
        """The arguments of a QMP command that an option's pairs stand for; raises `schema.ArgumentError`."""
        from .. import schema

        flat = {key: values if len(values) > 1 else values[0] for key, values in pairs.items()}
        return schema.from_keyval(command, flat, "cli", lambda text: parse_size(text, warn=self.context.warn))


def _json_object(text: str) -> dict[str, Any]:
    """Return the one JSON object that an option's value is."""
    from ..commands.json_stream import parse_json

    try:
        value = parse_json(text)
    except ValueError as error:
        raise OptionError(str(error)) from None
    assert isinstance(value, dict)
    return value


def _store(attribute: str, config: bool = True) -> Callable[[_Parser, str], None]:
    """Return a handler that keeps an option's value as it is."""

    def handler(parser: _Parser, value: str) -> None:
        setattr(parser.config if config else parser.settings, attribute, value)

    return handler


def _switch(attribute: str, config: bool = True) -> Callable[[_Parser, str], None]:
    """Return a handler that notes that an option was given."""

    def handler(parser: _Parser, _value: str) -> None:
        setattr(parser.config if config else parser.settings, attribute, True)

    return handler


_HEXADECIMAL = frozenset("0123456789abcdefABCDEF")

OPTIONS: dict[str, tuple[Option, ...]] = {
    "Standard options": (
        Option("help", "", "show this text and exit", _Parser.take_help, alias="h"),
        Option("version", "", "show the version and exit", _Parser.take_version),
        Option(
            "machine",
            "[type=]name[,prop=value][,...]",
            "choose the kind of machine ('-machine help' for a list)\n"
            "accel=accel1[:accel2[:...]] names accelerators to try\n"
            "memory-backend=id names the object that is the machine's RAM",
            lambda parser, value: parser.machine.take_machine(value),
            alias="M",
        ),
        Option(
            "target", "arch", "be what qemu-system-arch is, where the machine alone does not tell", _store("target")
        ),
        Option("cpu", "cpu", "name the CPU model", _store("cpu_model")),
        Option(
            "accel",
            "[accel=]accelerator[,prop=value][,...]",
            "keep memory slots as an accelerator does (kvm, sim, tcg or qtest);\n"
            "given again, the first usable one is taken\n"
            "max-memslots=n (most slots of kvm or sim)\n"
            "max-memslot-size=size (larger pieces of memory take several slots)\n"
            "dirty-ring-size=n (kvm: places in the dirty ring of each CPU; 0 logs in bitmaps)",
            lambda parser, value: parser.machine.take_accelerator(value),
        ),
        Option(
            "enable-kvm",
            "",
            "the same as -machine accel=kvm",
            lambda parser, value: parser.machine.take_enable_kvm(value),
        ),
        Option(
            "smp",
            "[[cpus=]n][,maxcpus=n][,sockets=n][,dies=n][,clusters=n][,cores=n][,threads=n]",
            "number and topology of the CPUs",
            lambda parser, value: parser.machine.take_smp(value),
        ),
        Option(
            "numa",
            "node[,nodeid=n][,cpus=first[-last]][,memdev=id][,mem=size][,initiator=n]",
            "a NUMA node, with its CPUs and the memory backend that is its memory",
            lambda parser, value: parser.take_numa(value),
        ),
        Option(
            "m",
            "[size=]megs[,slots=n,maxmem=size]",
            "size of the guest's RAM in MiB, or with a suffix (B, K, M, G, T, P, E)\n"
            "slots: number of hotplug slots\n"
            "maxmem: most memory there can ever be, in bytes or with a suffix",
            lambda parser, value: parser.machine.take_memory(value),
        ),
        Option("mem-path", "FILE", "back the guest's RAM by a file, or by files in a directory", _store("mem_path")),
        Option("mem-prealloc", "", "allocate all of the guest's RAM at the start", _switch("mem_prealloc")),
        Option("name", "name", "name the guest", _Parser.take_name),
        Option("uuid", "%08x-%04x-%04x-%04x-%012x", "set the machine's UUID", _Parser.take_uuid),
        Option("bios", "file", "take the firmware from a file", _store("firmware")),
        Option("S", "", "do not start the guest ('cont' does)", _switch("paused")),
    ),
    "Generic object creation": (
        Option(
            "object",
            "TYPENAME[,PROP1=VALUE1,...]",
            "make an object, with an id ('-object help' for the types)",
            _Parser.take_object,
        ),
    ),
    "Monitors and scripts": (
        Option(
            "c",
            "line",
            "run a line of HMP or QMP and exit; may be repeated",
            lambda parser, value: parser.settings.commands.append(value),
        ),
        Option(
            "script",
            "file",
            "run the lines of a file ('-': standard input) and exit",
            lambda parser, value: parser.take_script(value),
        ),
        Option("keep-going", "", "go on after a failed line of -c or -script", _switch("keep_going", False)),
        Option(
            "monitor",
            "dev",
            "open an HMP monitor on a character device",
            lambda parser, value: parser.devices.take_monitor(value),
        ),
        Option(
            "qmp",
            "dev",
            "open a QMP monitor on a character device",
            lambda parser, value: parser.devices.take_qmp(value),
        ),
        Option(
            "qmp-pretty",
            "dev",
            "the same with indented answers",
            lambda parser, value: parser.devices.take_qmp_pretty(value),
        ),
        Option(
            "mon",
            "[chardev=]name[,mode=readline|control][,pretty[=on|off]]",
            "open a monitor on a device made by -chardev",
            lambda parser, value: parser.devices.take_mon(value),
        ),
        Option(
            "chardev",
            "socket,id=id,path=path|host=host,port=port|fd=n[,server=on|off][,wait=on|off]\n"
            "-chardev stdio,id=id\n"
            "-chardev null,id=id",
            "make a character device",
            lambda parser, value: parser.devices.take_chardev(value),
        ),
    ),
    "Surroundings": (
        Option("display", "none", "show nothing", _Parser.take_display),
        Option("nographic", "", "show nothing but the monitor", _switch("nographic", False)),
        Option("nodefaults", "", "open no monitor that was not asked for", _switch("nodefaults", False)),
        Option("no-user-config", "", "accepted: there is no configuration file", lambda parser, value: None),
        Option("pidfile", "file", "write the process id to a file", _store("pidfile", False)),
        Option("daemonize", "", "go to the background when all is ready", _switch("daemonize", False)),
    ),
}
"""Every option there is, by the heading it stands under in the help text."""

_BY_NAME = {name: row for rows in OPTIONS.values() for row in rows for name in (row.name, row.alias) if name}


def _find(word: str) -> Option | None:
    """Return the option that a word with one or two dashes names."""
    return _BY_NAME.get(word[2:] if word.startswith("--") else word[1:])
