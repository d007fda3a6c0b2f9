import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ramslot.commands.keyval import OptionError, parse_keyval, parse_opts
from ramslot.monitor.command_line.device_options import MON_DEPRECATED
from ramslot.monitor.command_line.options import OPTIONS, parse, refuse_unmodelled, usage
from ramslot.monitor.command_line.settings import CommandLineError, Settings

GIB = 1 << 30


def read(line: str, program: str = "ramslot") -> Settings:
    return parse([program, *shlex.split(line)])


def refusal(line: str) -> list[str]:
    with pytest.raises(CommandLineError) as caught:
        read(line)
    return caught.value.messages


# Grammars


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        ("", []),
        ("x", [("k", "x")]),
        ("x,,y", [("k", "x,y")]),
        ("x,,", [("k", "x,")]),
        ("x,", [("k", "x")]),
        (",a=1", [("k", ""), ("a", "1")]),
        ("a=1,a=2", [("a", "1"), ("a", "2")]),
        ("a=b=c,,d,e=", [("a", "b=c,d"), ("e", "")]),
        ("x,flag,noflag,nodelay", [("k", "x"), ("flag", "on"), ("flag", "off"), ("nodelay", "on")]),
        ("x,help,?", [("k", "x"), ("help", None), ("?", None)]),
        ("=1", [("", "1")]),
    ],
)
def test_flat_grammar(text: str, pairs: list[tuple[str, str | None]]) -> None:
    assert list(parse_opts(text, "k", ("nodelay",))) == pairs


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("", {}),
        ("x", {"k": "x"}),
        ("x,a=1,a=2", {"k": "x", "a": "2"}),
        ("a.b=1,a.c.d=2", {"a": {"b": "1", "c": {"d": "2"}}}),
        ("a.1=y,a.0=x", {"a": ["x", "y"]}),
        ("a.0.b=1", {"a": [{"b": "1"}]}),
        ("a=b,,c,d=", {"a": "b,c", "d": ""}),
        ("__org.vendor_x.y=1", {"__org.vendor_x": {"y": "1"}}),
    ],
)
def test_tree_grammar(text: str, tree: dict[str, Any]) -> None:
    assert parse_keyval(text, "k") == (tree, False)


def test_tree_grammar_merges_and_keeps_what_it_merged_into() -> None:
    tree: dict[str, Any] = {}
    parse_keyval("a=1,b.c=2", None, tree)
    parse_keyval("a=3,b.d=4", None, tree)
    assert tree == {"a": "3", "b": {"c": "2", "d": "4"}}


def test_tree_grammar_sees_help_among_other_things() -> None:
    assert parse_keyval("x,help,a=1", "k") == ({"k": "x", "a": "1"}, True)
    assert parse_keyval("?", "k") == ({}, True)


@given(st.text("ab.0=,_-x", max_size=20))
def test_tree_grammar_gives_strings_dicts_and_lists_or_refuses(text: str) -> None:
    def check(node: Any) -> None:
        if isinstance(node, dict):
            for below in node.values():
                check(below)
        elif isinstance(node, list):
            assert node
            for below in node:
                check(below)
        else:
            assert isinstance(node, str)

    try:
        tree, _ = parse_keyval(text, "k")
    except OptionError as error:
        assert str(error)
    else:
        check(tree)


@given(st.lists(st.tuples(st.sampled_from(["a", "b", "c"]), st.text("xyz,=."))))
def test_doubled_commas_bring_every_value_through_both_grammars(pairs: list[tuple[str, str]]) -> None:
    text = ",".join(f"{key}={value.replace(',', ',,')}" for key, value in pairs)
    assert list(parse_opts(text)) == pairs
    assert parse_keyval(text) == (dict(pairs), False)


# What the options mean


def test_nothing_given_leaves_all_to_the_machine() -> None:
    settings = read("")
    config = settings.config
    assert config.program == "ramslot"
    assert (config.target, config.machine_type, config.ram_size, config.max_ram_size) == (None, None, None, None)
    assert (config.machine_options, config.accelerators, config.objects, config.smp) == ({}, [], [], {})
    assert settings.wants_console
    assert settings.question is None


@pytest.mark.parametrize(
    ("line", "sizes"),
    [
        ("-m 6", (6 << 20, None, None)),
        ("-m 6G,slots=0x4,maxmem=8G", (6 * GIB, 8 * GIB, 4)),
        ("-m size=1.5G -m slots=1 -m maxmem=2G", (3 * GIB // 2, 2 * GIB, 1)),
        ("-m 1G -m 2G", (2 * GIB, None, None)),
        ("-m 1B", (8192, None, None)),
        ("-m 1G,maxmem=8589934592", (GIB, 8 * GIB, None)),
        ("-m 0", (None, None, None)),
        ("-m ''", (None, None, None)),
        ("-m 1G -m 0", (None, None, None)),
        ("-m maxmem=64M", (None, 64 << 20, None)),
        ("-m 1G,slots=-1,maxmem=2G", (GIB, 2 * GIB, (1 << 64) - 1)),
        ("-M pc,memory.size=1G,memory.max-size=2G,memory.slots=2", (GIB, 2 * GIB, 2)),
        ("-m 2G -M pc,memory.size=1G", (2 * GIB, None, None)),
        ("-m 0 -M pc,memory.size=1G", (GIB, None, None)),
    ],
)
def test_memory(line: str, sizes: tuple[int | None, int | None, int | None]) -> None:
    config = read(line).config
    assert (config.ram_size, config.max_ram_size, config.ram_slots) == sizes


def test_ram_that_would_round_to_nothing_is_refused() -> None:
    assert refusal("-m 18446744073709551615B") == ["Parameter 'memory.size' expects size"]


def test_machine_options_merge() -> None:
    config = read("-M pc,usb=off -machine type=q35,memory_backend=m -machine usb=on,x.y=1,l.0=a").config
    assert config.machine_type == "q35"
    assert config.machine_options == {"usb": "on", "memory-backend": "m", "x": {"y": "1"}, "l": ["a"]}


def test_smp() -> None:
    assert read("-smp 4,maxcpus=8 -M pc,smp.threads=2 -smp sockets=0x2").config.smp == {
        "cpus": 4,
        "maxcpus": 8,
        "threads": 2,
        "sockets": 2,
    }


@pytest.mark.parametrize(
    ("line", "accelerators"),
    [
        ("-accel kvm -accel sim", [("kvm", {}), ("sim", {})]),
        ("-M pc,accel=kvm:sim", [("kvm", {}), ("sim", {})]),
        ("-enable-kvm", [("kvm", {})]),
        ("-M pc,accel=tcg -enable-kvm", [("kvm", {})]),
        (
            "-accel sim,max-memslot-size=4T,max-memslots=0x20",
            [("sim", {"max-memslot-size": str(4 << 40), "max-memslots": "32"})],
        ),
        ("-accel sim -accel kvm,nonsense=1", [("sim", {})]),
        ("-accel qtest", [("qtest", {})]),
        ("-accel xen -accel hax -accel tcg", [("tcg", {})]),
    ],
)
def test_accelerators(line: str, accelerators: list[tuple[str, dict[str, str]]]) -> None:
    assert read(line).config.accelerators == accelerators


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("-accel kvm,foo=1", "-accel kvm,foo=1: Property 'kvm-accel.foo' not found"),
        ("-accel sim,foo=1", "-accel sim,foo=1: Property 'sim-accel.foo' not found"),
        (
            "-accel kvm,max-memslot-size=1X",
            "-accel kvm,max-memslot-size=1X: Parameter 'max-memslot-size' expects size",
        ),
        ("-accel sim,max-memslots=-1", "-accel sim,max-memslots=-1: Parameter 'max-memslots' expects uint64"),
    ],
)
def test_accelerator_properties_are_refused(line: str, text: str) -> None:
    assert refusal(line) == [text]


def test_unknown_accelerators_are_named_and_passed_over() -> None:
    assert read("-accel xen -accel sim").warnings == ["-accel xen: invalid accelerator xen", "falling back to sim"]
    assert refusal("-accel xen -accel hax") == [
        "-accel xen: invalid accelerator xen",
        "-accel hax: invalid accelerator hax",
    ]


def test_simple_options() -> None:
    settings = read(
        "--mem-path /dev/shm -mem-prealloc -cpu max -S -bios fw -pidfile p -daemonize --name a,,b"
        " -uuid 12345678-1234-1234-1234-123456789ABC"
    )
    config = settings.config
    assert (config.mem_path, config.mem_prealloc, config.cpu_model, config.paused) == ("/dev/shm", True, "max", True)
    assert (config.firmware, config.name, config.uuid) == ("fw", "a,b", "12345678-1234-1234-1234-123456789abc")
    assert (settings.pidfile, settings.daemonize) == ("p", True)


def test_objects_as_pairs_and_as_json_are_the_same() -> None:
    config = read(
        "-object memory-backend-ram,id=a,size=1M,share=on"
        """ -object '{"qom-type": "memory-backend-ram", "id": "b", "size": 1048576, "share": true}'"""
    ).config
    assert [thing | {"id": ""} for thing in config.objects] == [
        {"qom-type": "memory-backend-ram", "id": "", "size": 1 << 20, "share": True}
    ] * 2
    assert [thing["id"] for thing in config.objects] == ["a", "b"]


@pytest.mark.parametrize(
    ("program", "line", "target"),
    [
        ("ramslot", "", None),
        ("/usr/bin/qemu-system-s390x", "", "s390x"),
        ("qemu-system-x86_64-microvm", "", "x86_64"),
        ("./mine-qemu-system-arm", "", "arm"),
        ("/opt/qemu-system-ppc64-7.2", "", "ppc64"),
        ("ramslot", "--target aarch64", "aarch64"),
        ("qemu-system-arm", "-target aarch64", "aarch64"),
    ],
)
def test_target(program: str, line: str, target: str | None) -> None:
    config = read(line, program).config
    assert config.target == target
    assert config.program == program.rpartition("/")[2]


@pytest.mark.parametrize(
    ("program", "line", "variable", "qemu"),
    [
        ("qemu-system-x86_64-7.2", "", None, "7.2"),
        ("qemu-system-x86_64-7.2", "", "5.2", "7.2"),
        ("qemu-system-x86_64-7.2", "-qemu 10.0", None, "10.0"),
        ("qemu-system-x86_64", "", "5.2", "5.2"),
        ("qemu-system-x86_64-5.2.0", "", None, "5.2"),
    ],
)
def test_the_programs_name_may_say_the_version(program: str, line: str, variable: str | None, qemu: str) -> None:
    assert parse([program, *line.split()], qemu=variable).config.qemu == qemu


def test_a_version_that_there_is_not_is_refused_by_the_programs_name() -> None:
    with pytest.raises(CommandLineError, match=r"^qemu-system-arm-1.0: QEMU 1.0 is none that ramslot can be: "):
        parse(["/bin/qemu-system-arm-1.0"])


# Devices, monitors, console


def test_monitors_and_their_devices_in_order() -> None:
    settings = read(
        "-qmp unix:/a,,b,server=on,wait=off -chardev socket,id=c,fd=3,server=yes -mon c,mode=control,pretty=on"
        " -monitor tcp::4444,server -qmp-pretty null -qmp chardev:d -chardev null,id=d"
    )
    assert [(monitor.chardev, monitor.mode, monitor.pretty) for monitor in settings.monitors] == [
        ("compat_monitor0", "control", False),
        ("c", "control", True),
        ("compat_monitor1", "readline", False),
        ("compat_monitor2", "control", True),
        ("d", "control", False),
    ]
    assert {label: device.options for label, device in settings.chardevs.items()} == {
        "compat_monitor0": {
            "id": "compat_monitor0",
            "backend": "socket",
            "path": "/a,b",
            "server": "on",
            "wait": "off",
        },
        "c": {"id": "c", "backend": "socket", "fd": "3", "server": "on"},
        "compat_monitor1": {
            "id": "compat_monitor1",
            "backend": "socket",
            "host": "127.0.0.1",
            "port": "4444",
            "server": "on",
        },
        "compat_monitor2": {"id": "compat_monitor2", "backend": "null"},
        "d": {"id": "d", "backend": "null"},
    }
    assert settings.chardevs["c"].origin == "-chardev socket,id=c,fd=3,server=yes"


def test_old_spelling_of_a_server_is_taken_with_a_warning() -> None:
    settings = read("-chardev socket,id=a,path=z,server,nowait")
    assert settings.chardevs["a"].options == {
        "backend": "socket",
        "id": "a",
        "path": "z",
        "server": "on",
        "wait": "off",
    }
    where = "-chardev socket,id=a,path=z,server,nowait: warning: short-form boolean option"
    assert settings.warnings == [
        f"{where} 'server' deprecated\nPlease use server=on instead",
        f"{where} 'nowait' deprecated\nPlease use wait=off instead",
    ]
    assert read("-qmp unix:z,server,nowait").warnings == []


@pytest.mark.parametrize("key", ["tn3270", "websocket", "logtimestamp"])
def test_what_a_socket_cannot_do_is_refused_and_never_ignored(key: str) -> None:
    assert refusal(f"-chardev socket,id=a,path=z,{key}=on") == [
        f"-chardev socket,id=a,path=z,{key}=on: option '{key}' is not supported"
    ]
    assert key not in read(f"-chardev socket,id=a,path=z,{key}=off").chardevs["a"].options


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("-M pc", True),
        ("-qmp unix:/x,server=on,wait=off", True),
        ("-chardev null,id=a -mon a,mode=control", True),
        ("-nographic", True),
        ("-nographic -display none", True),
        ("-display none", False),
        ("-nodefaults", False),
        ("-nographic -nodefaults", False),
        ("-daemonize", False),
        ("-qmp stdio", False),
        ("-monitor stdio", False),
        ("-monitor none", False),
        ("-monitor unix:/x,server=on", False),
        ("-c 'info mtree'", False),
        ("--script -", False),
    ],
)
def test_console(line: str, wanted: bool) -> None:
    assert read(line).wants_console is wanted


def test_commands_and_scripts() -> None:
    settings = read("-c 'info mtree -f' --c quit --script plan.hmp --keep-going")
    assert settings.commands == ["info mtree -f", "quit"]
    assert (settings.script, settings.keep_going) == ("plan.hmp", True)
    assert not read("").keep_going


# Mistakes; their texts are compared with QEMU's in tests/differential


def test_a_missing_machine_is_found_after_syntax_and_before_meaning() -> None:
    class NoSuchMachineError(Exception):
        pass

    def check_machine(name: str, _target: str | None, _release: object) -> None:
        assert name == "zz"
        raise NoSuchMachineError

    with pytest.raises(CommandLineError):
        parse(["x", "-M", "zz", "-m", "1X"], check_machine)
    with pytest.raises(NoSuchMachineError):
        parse(["x", "-M", "zz", "-smp", "x", "-m", "1,slots=1", "-chardev", "null", "-accel", "y"], check_machine)


def test_audio_came_late() -> None:
    assert refusal("-qemu 5.2 -audio none") == ["-audio: invalid option"]
    assert refusal("-qemu 7.2 -audio none") == ["-audio none: Parameter 'model' is missing"]


MON_WARNING = f"-mon c: {MON_DEPRECATED}"


@pytest.mark.parametrize(
    ("line", "messages"),
    [
        ("-qtest foo", ["'foo' is not a valid char driver", 'Failed to initialize device for qtest: "foo"']),
        ("-qtest chardev:a", ['Failed to initialize device for qtest: "chardev:a"']),
        (
            "-chardev null,id=qtest -qtest null",
            ["Duplicate ID 'qtest' for chardev", 'Failed to initialize device for qtest: "null"'],
        ),
        ("-qtest null -qtest chardev:x", ['Failed to initialize device for qtest: "chardev:x"']),
        ("-chardev null,id=c -qtest chardev:c -mon c", [MON_WARNING, "-mon c: chardev 'c' is already in use"]),
        ("--qemu 10.0 -chardev null,id=c -qtest chardev:c -mon c", ["-mon c: Device 'c' is in use"]),
        ("-qtest", ["-qtest: requires an argument"]),
    ],
)
def test_devices_of_qtest_are_refused_as_by_qemu(line: str, messages: list[str]) -> None:
    assert refusal(line) == messages


def test_the_device_of_qtest() -> None:
    settings = parse(["x", "-chardev", "null,id=c", "-qtest", "foo", "-qtest", "chardev:c", "-qtest-log", "none"])
    assert (settings.qtest, settings.qtest_log, list(settings.chardevs)) == ("c", "none", ["c"])
    settings = parse(["x", "-qtest", "unix:path=/tmp/a,server=on", "-qtest-log", "a"])
    assert (settings.qtest, settings.qtest_log) == ("qtest", "a")
    assert settings.chardevs["qtest"].options == {
        "backend": "socket",
        "path": "/tmp/a",
        "server": "on",
        "id": "qtest",
    }


def test_a_disk_image_must_be_there(tmp_path: Path) -> None:
    assert refusal("disk.img") == ["disk.img: Could not open 'disk.img': No such file or directory"]
    image = tmp_path / "disk.img"
    image.touch()
    assert read(str(image)).aside == {"a disk image": None}


def test_warnings_come_before_the_mistake() -> None:
    messages = refusal("-m 1G,slots")
    assert len(messages) == 2
    assert "deprecated" in messages[0]
    assert messages[1] == "-m 1G,slots: Parameter 'slots' expects a number"


@pytest.mark.parametrize("line", ["-nographic -daemonize", "-daemonize -nographic"])
def test_a_monitor_on_standard_input_cannot_go_to_the_background(line: str) -> None:
    assert refusal(line) == ["-nographic cannot be used with -daemonize"]
    assert read(f"{line} -nodefaults").daemonize
    assert read(f"{line} -qmp null").daemonize


# Questions


@pytest.mark.parametrize(
    ("line", "kind", "subject"),
    [
        ("-h", "help", ""),
        ("--help -m 1X", "help", ""),
        ("-version", "version", ""),
        ("-machine help", "machine", ""),
        ("-M pc,help", "machine", "pc"),
        ("-object help", "object", ""),
        ("-object memory-backend-ram,help", "object", "memory-backend-ram"),
        ("-cpu help", "cpu", ""),
        ("-accel help", "text", ""),
        ("-accel ''", "text", ""),
        ("-chardev help", "text", ""),
        ("-display help", "text", ""),
    ],
)
def test_questions(line: str, kind: str, subject: str) -> None:
    question = read(line).question
    assert question is not None
    assert (question.kind, question.subject, question.status) == (kind, subject, 0)
    assert bool(question.text) is (kind == "text")


def test_help_text_shows_every_option_in_columns() -> None:
    lines = usage("me").splitlines()
    assert lines[0] == "usage: me [options]"
    assert max(map(len, lines)) <= 100
    for row in (row for rows in OPTIONS.values() for row in rows):
        assert any(line.split(" ")[0] == f"-{row.alias or row.name}" for line in lines)
        shown = next(index for index, line in enumerate(lines) if f"-{row.name}" in line.split(" ")[:3])
        assert lines[shown].find(row.help.split("\n")[0]) in (-1, 16)


def test_reading_a_command_line_loads_nothing_heavy() -> None:
    code = (
        "import sys; before = set(sys.modules); from ramslot.monitor.command_line.options import parse;"
        "parse(['x', '-M', 'pc', '-m', '1G', '-qmp', 'stdio']); print(*(set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "ramslot.monitor.command_line.options" in loaded
    assert {name for name in loaded if not name.startswith(("ramslot.commands", "ramslot.monitor", "ramslot.vm"))} <= {
        "ramslot",
        "__future__",
    }


# What is not modelled


def test_what_is_not_modelled_is_told_and_refused_with_strict() -> None:
    settings = Settings()
    assert settings.left_out == []
    settings.aside |= {"-rtc": None, "-boot": None}
    settings.unmodelled |= {"-device a": "a.rom, a.ram", "-device b": ""}
    told = [
        "not modelled, memory does not depend on it: -rtc, -boot",
        "not modelled, and memory depends on it: -device a (a.rom, a.ram), -device b",
    ]
    assert settings.left_out == told
    refuse_unmodelled(settings)
    settings.strict = True
    with pytest.raises(CommandLineError) as caught:
        refuse_unmodelled(settings)
    assert caught.value.messages[:-1] == told


@pytest.mark.parametrize(
    ("line", "aside"),
    [
        ("-rtc base=utc -no-shutdown -rtc driftfix=slew", "-rtc, -no-shutdown"),
        ("-boot c -k de -usb", "-k, -boot"),
        ("-machine pc,kernel_irqchip=split,fd-bootchk=off", "-machine kernel-irqchip=, -machine fd-bootchk="),
        ("-kernel k -append a -initrd i", "-kernel, -append, -initrd"),
        ("-machine kernel=k", "-machine kernel="),
        ("-name a,debug-threads=on,process=b", "-name debug-threads=, -name process="),
        ("-overcommit cpu-pm=on", "-overcommit cpu-pm="),
        ("-accel kvm,kernel-irqchip=on,dirty-ring-size=1024", "-accel kernel-irqchip="),
        ("-display gtk,gl=on -vnc :1 -serial none -parallel null", "-display, -vnc"),
        ("-serial pty -serial mon:stdio -serial /dev/ttyS0", "-serial"),
        ("-chardev msmouse,id=a -chardev spicevmc,id=b,name=vdagent", "-chardev msmouse, -chardev spicevmc"),
        ("-global PIIX4_PM.disable_s3=1 -global driver=kvm-pit,property=lost_tick_policy,value=delay", "-global"),
        ("-id 100 -smbios type=1,uuid=x -blockdev null-co,node-name=n", "-id, -smbios, -blockdev"),
        ('-blockdev \'{"driver":"null-co","node-name":"n"}\' -drive if=none,id=d', "-blockdev, -drive"),
    ],
)
def test_what_memory_does_not_depend_on_is_set_aside(line: str, aside: str) -> None:
    settings = read(line)
    assert ", ".join(settings.aside) == aside
    assert not settings.unmodelled
    assert not settings.config.machine_options.keys() - {"usb"}
    assert refusal(f"{line} -strict")[-2].endswith(f"depend on it: {aside}")


@pytest.mark.parametrize(
    ("line", "left_out"),
    [
        ("-loadvm s", {"-loadvm": ""}),
        ("-acpitable data=x", {"-acpitable": "/rom@etc/acpi/tables"}),
        ("-global mch.extended-tseg-mbytes=16", {"-global mch.extended-tseg-mbytes": ""}),
        ("-global VGA.vgamem_mb=32", {"-global VGA.vgamem_mb": ""}),
        ("-machine pc,cxl=on", {"-machine cxl=": ""}),
        ("-machine virt -target aarch64 -kernel k", {"-kernel": ""}),
    ],
)
def test_what_memory_depends_on_is_told_apart(line: str, left_out: dict[str, str]) -> None:
    settings = read(line)
    assert settings.unmodelled == left_out
    assert not settings.aside
    assert refusal(f"{line} -strict")[-1] == "-strict: what is not modelled is refused"


def test_objects_are_there_by_name() -> None:
    settings = read('-object throttle-group,id=i -object \'{"qom-type":"rng-builtin","id":"s"}\'')
    assert settings.config.other_objects == {"i": "throttle-group", "s": "rng-builtin"}
    assert list(settings.aside) == ["-object throttle-group", "-object rng-builtin"]


def test_objects_that_are_monitors() -> None:
    settings = read("-chardev null,id=c -object monitor-qmp,id=q,chardev=c,pretty=on")
    assert settings.config.monitors == {"q": "monitor-qmp"}
    (monitor,) = settings.monitors
    assert (monitor.chardev, monitor.mode, monitor.pretty) == ("c", "control", True)
    assert refusal("-object monitor-hmp,id=q,chardev=c")[0].endswith('chardev "c" not found')


@pytest.mark.parametrize(
    ("name", "upstream", "whose"),
    [
        ("pc-q35-9.2+pve1", "pc-q35-9.2", "Proxmox VE"),
        ("q35+pve0", "q35", "Proxmox VE"),
        ("pc-q35-rhel9.4.0", "pc-q35-8.2", "Red Hat Enterprise Linux"),
        ("pc-i440fx-noble", "pc-i440fx-8.2", "Ubuntu"),
    ],
)
def test_machine_types_of_distributions(name: str, upstream: str, whose: str) -> None:
    settings = read(f"-M {name}")
    assert settings.config.machine_type == upstream
    assert settings.warnings == [f"{name} is {whose}'s, taken as {upstream}"]


def test_flags_of_cpus_are_set_aside() -> None:
    settings = read("-M pc -cpu qemu64,+aes,hv_relaxed,phys-bits=42")
    assert (list(settings.aside), settings.unmodelled) == (["-cpu flags"], {})
    assert not read("-M pc -cpu qemu64,phys-bits=42,x2apic=on").aside
    assert read("-M pc -cpu max,host-phys-bits-limit=39").unmodelled == {"-cpu host-phys-bits-limit=": ""}
    assert refusal("-M pc -cpu qemu64,+bogus") == ["Property 'qemu64-x86_64-cpu.bogus' not found"]


def test_the_version_counts_wherever_it_stands() -> None:
    assert list(read("-realtime mlock=off -qemu 5.2").aside) == ["-realtime"]
    assert refusal("-realtime mlock=off -qemu 7.2") == ["-realtime: invalid option"]


def test_a_monitor_wants_a_device_that_is_opened() -> None:
    text = refusal("-qemu 7.2 -chardev msmouse,id=a -mon chardev=a")[0]
    assert text.startswith("-mon chardev=a: monitors on a character device")


def test_mon_is_deprecated_once() -> None:
    settings = read("-chardev null,id=a -mon a -chardev null,id=b -mon b")
    assert settings.warnings == [f"-mon a: {MON_DEPRECATED}"]
    assert read("-qemu 10.0 -chardev null,id=a -mon a").warnings == []


@pytest.mark.parametrize(("option", "since"), [("action panic=none", "7.2"), ("run-with user=x", "10.0")])
def test_options_come_with_releases(option: str, since: str) -> None:
    assert read(f"-qemu {since} -{option}").aside
    assert refusal(f"-qemu 5.2 -{option}") == [f"-{option.split()[0]}: invalid option"]


def test_certificates_are_always_looked_at() -> None:
    assert read("-object tls-creds-x509,id=t,dir=.,sanity-check=on").credentials["t"]["sanity-check"] == "on"
    assert "sanity-check=off" in refusal("-object tls-creds-x509,id=t,dir=.,sanity-check=off")[0]
