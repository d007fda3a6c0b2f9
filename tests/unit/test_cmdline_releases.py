"""Which QEMU a line is read as: the program's name, -qemu, options of some releases, machine types of distributions."""

import pytest

from ramslot.monitor.command_line.options import parse
from ramslot.monitor.command_line.settings import CommandLineError

from .command_lines import read, refusal


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


def test_the_version_counts_wherever_it_stands() -> None:
    assert list(read("-realtime mlock=off -qemu 5.2").aside) == ["-realtime"]
    assert refusal("-realtime mlock=off -qemu 7.2") == ["-realtime: invalid option"]


@pytest.mark.parametrize(("option", "since"), [("action panic=none", "7.2"), ("run-with user=x", "10.0")])
def test_options_come_with_releases(option: str, since: str) -> None:
    assert read(f"-qemu {since} -{option}").aside
    assert refusal(f"-qemu 5.2 -{option}") == [f"-{option.split()[0]}: invalid option"]


def test_audio_came_late() -> None:
    assert refusal("-qemu 5.2 -audio none") == ["-audio: invalid option"]
    assert refusal("-qemu 7.2 -audio none") == ["-audio none: Parameter 'model' is missing"]


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
