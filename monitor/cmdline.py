"""The command line: what each option means, in the one table that also makes the help text.

The result is plain values (`Settings`, with the VM's `Config`); nothing is opened or made here, and which machine
types exist is not known. Mistakes are found in QEMU's order: options that do not exist, then the syntax of all options
as they stand, then what they mean together. The texts are QEMU 7.2's, measured, where QEMU has the same mistake.
"""

from __future__ import annotations

import os

from ..commands.keyval import OptionError, parse_keyval
from ..vm.errors import VMError
from ..vm.releases import find_release
from ..vm.sizes import parse_integer
from . import options
from .device_options import DeviceOptions
from .machine_options import MachineOptions
from .object_options import ObjectOptions
from .settings import Answered, CommandLineError, Question, Settings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ..vm.releases import Release

    CheckMachine = Callable[[str, str | None, Release], None]


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


def parse(argv: list[str], check_machine: CheckMachine | None = None, qemu: str | None = None) -> Settings:
    """Return the meaning of a command line whose first word is the name the program was run by.

    `check_machine` is called with the machine type, if one was named, the target, if one was, and the version of QEMU
    to be, at the point where QEMU looks it up: after all syntax and before what the options mean together. `qemu` is
    that version where no option says it.

    :raise CommandLineError: the command line is refused.
    """
    parser = _Parser(argv[0])
    try:
        parser.read(argv[1:], qemu)
        parser.finish(check_machine)
    except Answered as answered:
        parser.settings.question = answered.question
    except OptionError as error:
        messages = [*parser.settings.warnings, parser.context.located(str(error))]
        raise CommandLineError(messages, error.hint, parser.config) from None
    return parser.settings


def usage(program: str) -> str:
    """Return the help text."""
    lines = [f"usage: {program} [options]"]
    for heading, rows in OPTIONS.items():
        lines += ["", f"{heading}:"]
        for row in rows:
            lines += _usage_lines(row)
    return "\n".join(lines)


def _no_option(word: str, release: Release) -> str:
    """What is said of an option that is not ours: QEMU may have it."""
    from ..vm.known import option

    known = option(word.removeprefix("-").removeprefix("-"), release)
    return "invalid option" if known is None else "this option is not modelled (QEMU has it)"


def _usage_lines(row: Option) -> list[str]:
    """Return an option's help in QEMU's layout: its writing, and the text from column 16 on."""
    names = f"-{row.alias} or -{row.name}" if row.alias else f"-{row.name}"
    head = f"{names} {row.usage}".rstrip()
    texts = row.help.split("\n")
    if len(head) < 16:
        head = f"{head:<16}{texts.pop(0)}"
    return [head, *(" " * 16 + text for text in texts)]


def _is_inherited(fd: int) -> bool:
    """Whether a descriptor is there, and is none that we opened."""
    try:
        return os.get_inheritable(fd)
    except (OSError, OverflowError):
        return False


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
        self.objects = ObjectOptions(self.context)
        self.disk_image: str | None = None

    def read(self, words: list[str], qemu: str | None) -> None:
        """Take every option: first all names are looked up, then each value is read."""
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
            option = _find(word)
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
        if self.config.cpu_model is not None and options.is_help(self.config.cpu_model):
            raise Answered(Question("cpu"))
        self.devices.finish_qtest()
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

    def take_audio(self, value: str) -> None:
        """Take `-audio`, which came late; of its drivers there is only none."""
        if not self.context.release.covers("7.2"):
            self.context.where = "-audio"
            raise OptionError("invalid option")
        if value == "none" and not self.context.release.covers("10.0"):
            raise OptionError("Parameter 'model' is missing")
        _nothing("none")(self, value)

    def take_add_fd(self, value: str) -> None:
        """Take `-add-fd`: a descriptor that the program was started with."""
        given = self.context.read(options.ADD_FD, value)
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

    def take_script(self, value: str) -> None:
        """Take `-script`, which goes only once."""
        if self.settings.script is not None:
            raise OptionError("there is a script already")
        self.settings.script = value

    def take_overcommit(self, value: str) -> None:
        """Take `-overcommit`; the last value of each hint counts, over all uses."""
        for key, values in self.context.read(options.OVERCOMMIT, value).items():
            if key == "mem-lock":
                self.config.lock_memory = values[-1] == "on"
            elif values[-1] == "on":
                raise OptionError("there is no CPU whose power could be managed: 'cpu-pm' can only be off")


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


def _nothing(*values: str) -> Callable[[_Parser, str], None]:
    """Return a handler of an option of which there is only what makes nothing."""

    def handler(_parser: _Parser, value: str) -> None:
        if value not in values:
            raise OptionError(f"only '{values[0]}' is modelled (QEMU has more)")

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
            "memory-backend=id names the object that is the machine's RAM\n"
            "ram-partition=id:size+id:size+... gives it to migration as these RAMBlocks",
            lambda parser, value: parser.machine.take_machine(value),
            alias="M",
        ),
        Option("qemu", "version", "be that version of QEMU: 11.1, 10.0, 7.2 or 5.2", lambda _parser, _value: None),
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
            "node[,nodeid=n][,cpus=first[-last]][,memdev=id][,mem=size][,initiator=n]\n"
            "-numa dist,src=n,dst=n,val=distance\n"
            "-numa cpu,node-id=n[,socket-id=n][,die-id=n][,cluster-id=n][,core-id=n][,thread-id=n]\n"
            "-numa hmat-lb,initiator=n,target=n,hierarchy=memory|{first|second|third}-level,\n"
            "      data-type={access|read|write}-{latency|bandwidth}[,latency=ns][,bandwidth=size]\n"
            "-numa hmat-cache,node-id=n,size=size,level=n,line=n,\n"
            "      associativity=none|direct|complex,policy=none|write-back|write-through",
            "a NUMA node with its CPUs and the memory backend that is its memory;\n"
            "distances between nodes (10 is local); the node of some CPUs;\n"
            "latencies, bandwidths and caches of nodes (with -machine hmat=on)",
            lambda parser, value: parser.objects.take_numa(value),
        ),
        Option(
            "m",
            "[size=]megs[,slots=n,maxmem=size]",
            "size of the guest's RAM in MiB, or with a suffix (B, K, M, G, T, P, E)\n"
            "slots: number of hotplug slots\n"
            "maxmem: most memory there can ever be, in bytes or with a suffix",
            lambda parser, value: parser.machine.take_memory(value),
        ),
        Option(
            "device",
            "driver[,prop=value][,...]",
            "plug a memory device ('-device help': which; '-device driver,help': its properties)",
            lambda parser, value: parser.objects.take_device(value),
        ),
        Option("mem-path", "FILE", "back the guest's RAM by a file, or by files in a directory", _store("mem_path")),
        Option(
            "overcommit",
            "[mem-lock=on|off][,cpu-pm=off]",
            "mem-lock: keep all memory in RAM, now and later (default: off)",
            _Parser.take_overcommit,
        ),
        Option(
            "host",
            "file|nodes=n,memory=size[,hugepages-SIZE=n][,key=value...]",
            "be on a virtual host, which accounts for memory and maps none: one that a JSON\n"
            "file describes ('host export' makes one of this machine), or nodes that each\n"
            "have so much memory and so many huge pages, as in hugepages-1G=64\n"
            "overcommit=0|1|2,ratio=percent,swap=size (the kernel's rule for promises)\n"
            "memlock=size, max-memslots=n, max-memslot-size=size, phys-bits=n (limits)\n"
            "page-size=size, default-hugepage-size=size, cpu-vendor=name",
            _store("host"),
        ),
        Option("mem-prealloc", "", "allocate all of the guest's RAM at the start", _switch("mem_prealloc")),
        Option("name", "name", "name the guest", _Parser.take_name),
        Option(
            "add-fd",
            "fd=fd,set=set[,opaque=opaque]",
            "have descriptor 'fd', which the program was started with, in set 'set' of /dev/fdset",
            _Parser.take_add_fd,
        ),
        Option("uuid", "%08x-%04x-%04x-%04x-%012x", "set the machine's UUID", _Parser.take_uuid),
        Option("bios", "file", "take the firmware from a file", _store("firmware")),
        Option(
            "incoming",
            "unix:path|tcp:host:port|exec:command|fd:n|file:path|defer",
            "wait for the memory of another machine, which 'migrate' sends; with defer, for\n"
            "'migrate-incoming' to say where",
            _store("incoming"),
        ),
        Option("S", "", "do not start the guest ('cont' does)", _switch("paused")),
        Option(
            "preconfig",
            "",
            "make no board until x-exit-preconfig; set-numa-node works until then",
            _switch("preconfig"),
        ),
    ),
    "Generic object creation": (
        Option(
            "object",
            "TYPENAME[,PROP1=VALUE1,...]",
            "make an object, with an id ('-object help' for the types)",
            lambda parser, value: parser.objects.take_object(value),
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
        Option(
            "qtest",
            "dev",
            "speak the qtest protocol on a character device: read and write the guest's memory",
            lambda parser, value: parser.devices.take_qtest(value),
        ),
        Option(
            "qtest-log",
            "file|none",
            "write what is said there to a file (default: stderr)",
            _store("qtest_log", False),
        ),
    ),
    "Surroundings": (
        Option("display", "none", "show nothing", _Parser.take_display),
        Option("vga", "none", "accepted: there is no display", _nothing("none")),
        Option("serial", "none|null", "accepted: there is no serial port", _nothing("none", "null")),
        Option("parallel", "none|null", "accepted: there is no parallel port", _nothing("none", "null")),
        Option("net", "none", "accepted: there is no network", _nothing("none")),
        Option("nic", "none", "accepted: there is no network", _nothing("none")),
        Option("audio", "none", "accepted: there is no sound", _Parser.take_audio),
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
