"""What the options mean, what is asked by them, and mistakes; QEMU's own words are in tests/differential."""

import subprocess
import sys

import pytest

from ramslot.monitor.command_line.options import OPTIONS, parse, usage
from ramslot.monitor.command_line.settings import CommandLineError

from .command_lines import read, refusal

GIB = 1 << 30


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


def test_certificates_are_always_looked_at() -> None:
    assert read("-object tls-creds-x509,id=t,dir=.,sanity-check=on").credentials["t"]["sanity-check"] == "on"
    assert "sanity-check=off" in refusal("-object tls-creds-x509,id=t,dir=.,sanity-check=off")[0]


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


def test_warnings_come_before_the_mistake() -> None:
    messages = refusal("-m 1G,slots")
    assert len(messages) == 2
    assert "deprecated" in messages[0]
    assert messages[1] == "-m 1G,slots: Parameter 'slots' expects a number"


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
        told = row.help.split("\n")
        texts = [line[16:] for line in lines[shown:]]
        start = texts.index(told[0])
        assert texts[start : start + len(told)] == told
        assert start <= row.usage.count("\n") + 1  # right below the writing, or beside it


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
