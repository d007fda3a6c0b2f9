"""The command line: what each option means, in the one table that also makes the help text.

The result is plain values (`Settings`, with the VM's `Config`); nothing is opened or made here, and which machine
types exist is not known. Mistakes are found in QEMU's order: options that do not exist, then the syntax of all options
as they stand, then what they mean together. The texts are QEMU 7.2's, measured, where QEMU has the same mistake.
"""

from __future__ import annotations

from ...commands.keyval import OptionError
from ...vm.loading import load
from .option import Option
from .parser import Parser
from .settings import Answered, CommandLineError, Settings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ...vm.releases import Release
    from .parser import CheckMachine


def parse(argv: list[str], check_machine: CheckMachine | None = None, qemu: str | None = None) -> Settings:
    """Return the meaning of a command line whose first word is the name the program was run by.

    `check_machine` is called with the machine type, if one was named, the target, if one was, and the version of QEMU
    to be, at the point where QEMU looks it up: after all syntax and before what the options mean together. `qemu` is
    that version where no option says it.

    :raise CommandLineError: the command line is refused.
    """
    parser = Parser(argv[0])
    try:
        parser.read(argv[1:], qemu, find_option)
        parser.finish(check_machine)
        refuse_unmodelled(parser.settings)
    except Answered as answered:
        parser.settings.question = answered.question
    except OptionError as error:
        messages = [*parser.settings.warnings, parser.context.located(str(error))]
        raise CommandLineError(messages, error.hint, parser.config) from None
    return parser.settings


def refuse_unmodelled(settings: Settings) -> None:
    """With `-strict`, raise `CommandLineError` if anything is not modelled."""
    if settings.strict and settings.left_out:
        raise CommandLineError([*settings.warnings, *settings.left_out, "-strict: what is not modelled is refused"])


def usage(program: str, others: Iterable[str] = ()) -> str:
    """Return the help text; `others` are the first words that make another program of this one."""
    lines = [
        f"usage: {program} [options]",
        *(f"       {program} {name} ..." for name in others),
        *([f"Each of these tells more with -help; '{program} guide' is the reference."] if others else []),
        "Options that QEMU has and that are not listed here are set aside, and that is told.",
    ]
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


def _store(attribute: str, config: bool = True) -> Callable[[Parser, str], None]:
    """Return a handler that keeps an option's value as it is."""

    def handler(parser: Parser, value: str) -> None:
        setattr(parser.config if config else parser.settings, attribute, value)

    return handler


def _switch(attribute: str, config: bool = True) -> Callable[[Parser, str], None]:
    """Return a handler that notes that an option was given."""

    def handler(parser: Parser, _value: str) -> None:
        setattr(parser.config if config else parser.settings, attribute, True)

    return handler


def _load(function: str) -> Callable[[Parser, str], None]:
    """Return a handler that is loaded when its option is given."""

    def handler(parser: Parser, value: str) -> None:
        load(f"{__package__}.default_devices").__dict__[function](parser, value)

    return handler


OPTIONS: dict[str, tuple[Option, ...]] = {
    "Standard options": (
        Option("help", "", "show this text and exit", Parser.take_help, alias="h"),
        Option("version", "", "show the version and exit", Parser.take_version),
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
        Option("readconfig", "file", "read options from a file", lambda _parser, _value: None),
        Option("set", "group.id.arg=value", "set a value of an option that has an id", lambda _parser, _value: None),
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
            Parser.take_accelerator,
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
            "[mem-lock=on|off]",
            "mem-lock: keep all memory in RAM, now and later (default: off)",
            Parser.take_overcommit,
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
        Option("name", "name", "name the guest", Parser.take_name),
        Option(
            "add-fd",
            "fd=fd,set=set[,opaque=opaque]",
            "have descriptor 'fd', which the program was started with, in set 'set' of /dev/fdset",
            Parser.take_add_fd,
        ),
        Option("uuid", "%08x-%04x-%04x-%04x-%012x", "set the machine's UUID", Parser.take_uuid),
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
        Option(
            "record", "file", "write the lines that are typed, or run, to a file, as a script", _store("record", False)
        ),
        Option(
            "transcript",
            "file",
            "write them with their answers ('replay' compares)",
            _store("transcript", False),
        ),
        Option(
            "vi", "", "have vi's keys at the console, as the inputrc's 'set editing-mode vi' does", _switch("vi", False)
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
            "open a QMP monitor on a character device\n(systemd:name is a listening socket that systemd passes)",
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
            "[chardev=]name[,mode=readline|control][,pretty[=on|off]][,access=full|read-only]",
            "open a monitor on a device made by -chardev\n"
            "access=read-only (also behind the device of -qmp and -monitor) refuses what is more\n"
            "than to read",
            lambda parser, value: parser.devices.take_mon(value),
        ),
        Option(
            "allow-path",
            "folder",
            "let clients of monitors name files of the host in this folder only; may be repeated",
            lambda parser, value: parser.devices.take_allowed_path(value),
        ),
        Option(
            "chardev",
            "socket,id=id,path=path|host=host,port=port|fd=n[,server=on|off][,wait=on|off]\n"
            "         [,reconnect-ms=n][,abstract=on|off][,tight=on|off][,telnet=on|off]\n"
            "         [,to=port][,ipv4=on|off][,ipv6=on|off][,tls-creds=id]\n"
            "-chardev stdio,id=id\n"
            "-chardev pty,id=id[,path=link]\n"
            "-chardev file,id=id,path=path[,append=on|off][,input-path=path]\n"
            "-chardev pipe,id=id,path=path\n"
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
        Option("display", "none", "show nothing, not even the console", Parser.take_display),
        Option("vga", "model", "the board's VGA: none, std, cirrus, vmware, qxl, virtio", _load("take_vga")),
        Option("net", "nic[,model=type]|none|network", "a NIC of the board's kind, or none", _load("take_net")),
        Option("nic", "none|network[,model=type]", "a NIC of the board's kind, or none", _load("take_nic")),
        Option("netdev", "network,id=id[,...]", "a network for a device (set aside)", _load("take_netdev")),
        Option("nographic", "", "show nothing but the monitor", _switch("nographic", False)),
        Option(
            "nodefaults",
            "",
            "open no monitor and add no VGA or NIC that was not asked for",
            _switch("nodefaults", False),
        ),
        Option("strict", "", "refuse what is not modelled, instead of telling it", _switch("strict", False)),
        Option("no-user-config", "", "accepted: there is no configuration file", lambda parser, value: None),
        Option("pidfile", "file", "write the process id to a file", _store("pidfile", False)),
        Option("daemonize", "", "go to the background when all is ready", _switch("daemonize", False)),
    ),
}
"""Every option there is, by the heading it stands under in the help text."""

_BY_NAME = {name: row for rows in OPTIONS.values() for row in rows for name in (row.name, row.alias) if name}


def find_option(word: str, release: Release) -> Option | None:
    """Return the option that a word with one or two dashes names; None if there is none in that QEMU."""
    name = word[2:] if word.startswith("--") else word[1:]
    found = _BY_NAME.get(name)
    if found is None:
        from .unmodelled import find_unmodelled

        found = find_unmodelled(name, release)
    return found
