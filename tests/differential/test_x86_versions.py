"""The x86 machine types, version by version: every table of memory, every refusal, as real QEMU has them."""

from __future__ import annotations

import json
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from .oracle import OUR_ENVIRONMENT, RELEASES, compare, our_command, qemu, without_ours

QUESTIONS = [
    "info mtree", "info mtree -f", "info mtree -o", "info mtree -D", "info ramblock", "info memdev",
    "info memory_size_summary", "info qom-tree", '{"execute": "query-cpus-fast"}',
    '{"execute": "qom-list", "arguments": {"path": "/objects"}}',
]  # fmt: skip
OTHER_ROWS = 4
"""What is compared beside the questions: status, stderr, negotiation, quit."""
NOT_HERE = ("x-remote", "nitro", "xenfv", "xenfv-3.1", "xenfv-4.2", "xenpv")

I440FX = (
    "11.1", "11.0", "10.2", "10.1", "10.0", "9.2", "9.1", "9.0", "8.2", "8.1", "8.0", "7.2", "7.1", "7.0", "6.2", "6.1", "6.0",
    "5.2", "5.1", "5.0", "4.2", "4.1", "4.0", "3.1", "3.0", "2.12", "2.11", "2.10", "2.9", "2.8", "2.7", "2.6", "2.5", "2.4",
    "2.3", "2.2", "2.1", "2.0", "1.7", "1.6", "1.5", "1.4",
)  # fmt: skip
OLDEST = {"11.1": "5.2", "10.0": "2.4", "7.2": "1.4", "5.2": "1.4"}
"""Of the i440FX, by release; the Q35 ends with 2.4 at the latest, and has a 4.0.1."""
SMALL = ["isapc", "microvm"]
TURNS = ("8.2", "8.1", "8.0", "7.0", "2.4", "2.1", "2.0", "1.7", "1.6")
Q35_TURNS = ("8.2", "8.0", "7.0", "6.0", "2.4")
"""Versions that differ from their successors in what memory shows."""


def i440fx(release: str) -> list[str]:
    known = I440FX[I440FX.index(release) : I440FX.index(OLDEST[release]) + 1]
    old = ["pc-1.3", "pc-1.2", "pc-1.1", "pc-1.0"] if release == "5.2" else []
    return [*(f"pc-i440fx-{version}" for version in known), *old]


def q35(release: str) -> list[str]:
    versions = [name.rpartition("-")[2] for name in i440fx(release) if name.startswith("pc-i440fx")]
    if "2.4" in versions:
        versions = versions[: versions.index("2.4") + 1]
        versions.insert(versions.index("4.0"), "4.0.1")
    return [f"pc-q35-{version}" for version in versions]


def turning_points(release: str) -> list[str]:
    chosen = [f"pc-i440fx-{version}" for version in (release, *TURNS)] + [
        f"pc-q35-{version}" for version in (release, *Q35_TURNS)
    ]
    known = [*i440fx(release), *q35(release)]
    return [name for name in chosen if name in known]


BACKEND = ",memory-backend=m -object memory-backend-ram,id=m,reserve=off,size="
SIZES = ["1B", "1000k", "1M", "700001k", "1234567B", "2G", "2815M", "2816M", "3071M", "3583M", "3584M", "4G", "9G"]
HUGE = ["900G", "977G", "978G", "979G", "1008G", "1009G", "1010G", "1021G", "1022G", "1T", "2T"]
CPUS = ["max", "486", "base", "qemu32", "pentium3", "athlon", "qemu64,vendor=GenuineIntel", "pentium3,vendor=AuthenticAMD",
        "qemu64,phys-bits=44", "qemu64,phys-bits=33", "qemu32,phys-bits=40", "qemu64,phys-bits=60"]  # fmt: skip
PLUGGABLE = [
    "-m 2G,slots=2,maxmem=4G", "-m 1G,maxmem=5G", "-m 4G,slots=257,maxmem=8G", "-m 4G,slots=256,maxmem=8G", "-m 1G,slots=3",
    "-m 1G,maxmem=2147483649", "-m 1G,maxmem=1T", "-m 1G,slots=4,maxmem=900G", "-m 1G,slots=2,maxmem=1021G",
    "-m 1G,slots=2,maxmem=990G", "-m 2G,maxmem=1G",
]  # fmt: skip
PROCESSORS = [
    "-smp 4", "-smp 6,threads=2,cores=3,sockets=1", "-smp 8,threads=2", "-smp 3,maxcpus=8", "-smp 5,cores=2,sockets=3,maxcpus=6",
    "-smp 255", "-smp 9,threads=3,cores=5,maxcpus=210", "-smp 300", "-smp 4,dies=2", "-smp 12,sockets=2", "-smp 1,maxcpus=64",
]  # fmt: skip
BACKENDS = [
    ",memory-backend=m -object memory-backend-file,id=m,mem-path=ram.img,size=1G", " -m 1G -mem-path .",
    ",memory-backend=m -object memory-backend-memfd,id=m,size=1G", ",memory-backend=m -object memory-backend-ram,id=m,size=64M",
    ",memory-backend=m -m 1G -object memory-backend-memfd,id=m,size=1G -object memory-backend-file,id=f,size=1M,mem-path=.",
]  # fmt: skip
PROPERTIES = [
    "max-ram-below-4g=1G -m 4G", "max-ram-below-4g=4G -m 3968M", "max-ram-below-4g=2500M -m 6G", "max-ram-below-4g=512K -m 4G",
    "max-ram-below-4g=5G", "max-ram-below-4g=3G -m 9G", "hpet=off", "hpet=on", "i8042=off", "vmport=off", "vmport=on,i8042=off",
    "pic=off", "pit=off", "acpi=off", "acpi=off -m 1G,slots=2,maxmem=3G", "sata=off", "smbus=off", "usb=on", "smm=off",
    "graphics=off", "pic=off,pit=off,hpet=off", "x-oem-id=ABCDEFGHI", "max-fw-size=17M", "smbios-entry-point-type=64",
    "smbios-entry-point-type=3", "usb=maybe", "pic=maybe", "acpi=off,usb=on", "memory-backend=nothing",
]  # fmt: skip
MICROVM = [
    "rtc=off", "rtc=on", "pic=off", "pit=off", "ioapic2=off", "ioapic2=on", "pcie=on", "usb=on", "pcie=on,usb=on -m 6G", "acpi=off",
    "acpi=off,ioapic2=on,pcie=on,usb=on", "isa-serial=off", "x-option-roms=off", "auto-kernel-cmdline=off", "rtc=foo",
    "max-ram-below-4g=1G", "acpi=on -m 1G,slots=2,maxmem=3G", "pic=off,pit=off,rtc=off -m 512k", "smm=on -m 4G",
]  # fmt: skip

LESS = ("10.0", "5.2")
"""Releases that are asked with fewer cases."""

scores: dict[str, list[int]] = {}


def cases(release: str) -> list[tuple[str, str]]:
    """Each machine at two sizes; everything else on a few of them, always the same few."""
    choice = random.Random(7)
    every = [*i440fx(release), *q35(release), *SMALL]
    turns = turning_points(release)
    newest = f"pc-i440fx-{release}"
    older = ("pc-i440fx-6.0", "pc-i440fx-5.2") if release == "11.1" else ("pc-i440fx-4.0", "pc-i440fx-3.1")
    chosen = [("x86_64", f"-M {machine} -m {size}") for machine in every for size in ("128M", "6G")]
    for size in SIZES:
        machines = [*choice.sample(every, 2), choice.choice(SMALL)]
        chosen += [(choice.choice(("x86_64", "i386")), f"-M {machine} -m {size}") for machine in machines]
    for size in HUGE:
        chosen += [("x86_64", f"-M {machine}{BACKEND}{size}") for machine in choice.sample(turns, 3)]
    for cpu in CPUS:
        machines = [newest, choice.choice(turns), choice.choice(SMALL)]
        chosen += [
            ("x86_64", f"-M {each}{BACKEND}{choice.choice(('1000G', '60G', '64G'))} -cpu {cpu}") for each in machines
        ]
    for options in [*PLUGGABLE, *PROCESSORS]:
        machines = [*choice.sample(every, 2), choice.choice(turns)]
        chosen += [("x86_64", f"-M {machine} {options}") for machine in machines]
    for options in BACKENDS:
        chosen += [("x86_64", f"-M {machine}{options}") for machine in (*older, choice.choice(every))]
    for options in PROPERTIES:
        machines = [choice.choice(turns), choice.choice(["isapc", *every[:-1]])]
        chosen += [("x86_64", f"-M {machine},{options}") for machine in machines]
    chosen += [("x86_64", f"-M microvm,{options}") for options in MICROVM]
    if release == "5.2":
        chosen = [(arch, options.replace("reserve=off,", "")) for arch, options in chosen]
    if release in LESS:
        chosen = [*chosen[: 2 * len(every) : 2], *choice.sample(chosen[2 * len(every) :], 80)]
    return [case for case in dict.fromkeys(chosen) if not (release == "10.0" and "-smp 300" in case[1])]


def family(options: str) -> str:
    words = options.split()[1].split(",")[0].split("-")
    return "-".join(words[:2])


@pytest.fixture(scope="module", autouse=True)
def scoreboard(request: pytest.FixtureRequest) -> Iterator[None]:
    """Print the score of each family at the end."""
    yield
    reporter = request.config.pluginmanager.get_plugin("terminalreporter")
    capture = request.config.pluginmanager.get_plugin("capturemanager")
    assert reporter is not None
    assert capture is not None
    with capture.global_and_fixture_disabled():
        reporter.ensure_newline()
        for name, (equal, asked) in sorted(scores.items()):
            reporter.write_line(f"{name}: {equal}/{asked} equal")


@pytest.mark.parametrize(
    ("release", "arch", "options"), [(release, *case) for release in RELEASES for case in cases(release)]
)
def test_version(release: str, arch: str, options: str, tmp_path: Path) -> None:
    score = scores.setdefault(f"{family(options)} of {release}", [0, 0])
    asked = len(QUESTIONS) + OTHER_ROWS
    score[1] += asked
    try:
        compare("x86_versions", arch, options, QUESTIONS, tmp_path, {"ram.img": 1 << 30}, release)
    except AssertionError as error:
        score[0] += asked - str(error).count("\n--- ")
        raise
    score[0] += asked


def ask(command: list[str], *, text: str = "") -> str:
    done = subprocess.run(
        command, input=text, capture_output=True, text=True, env=OUR_ENVIRONMENT, check=True, pipesize=1 << 20
    )
    return done.stdout


LISTED = [(release, target) for release in RELEASES for target in ("x86_64", "i386")] + [("7.2", "x86_64-microvm")]


@pytest.mark.parametrize(("release", "target"), LISTED)
def test_list_of_machines(release: str, target: str) -> None:
    program = qemu(target, release)
    if program is None:
        pytest.skip(f"QEMU {release} is not installed")
    theirs = ask([program, "-M", "help"]).splitlines()
    assert ask(our_command(target, ["-M", "help"], release)).splitlines() == [
        line for line in theirs if line.split()[0] not in NOT_HERE
    ]


@pytest.mark.parametrize(("release", "target"), LISTED)
def test_query_machines(release: str, target: str) -> None:
    program = qemu(target, release)
    if program is None:
        pytest.skip(f"QEMU {release} is not installed")
    lines = "".join(f'{{"execute": "{name}"}}\n' for name in ("qmp_capabilities", "query-machines", "quit"))
    options = ["-M", "none", "-display", "none", "-nodefaults", "-S", "-qmp", "stdio"]
    known = []
    for command in ([program, *options], our_command(target, options, release)):
        machines = json.loads(ask(command, text=lines).splitlines()[2])["return"]
        known.append({each["name"]: without_ours(each) for each in machines if each["name"] not in NOT_HERE})
    assert known[1] == known[0]


@pytest.mark.parametrize("release", ["11.1", "10.0", "7.2"])
@pytest.mark.parametrize("machine", ["pc", "isapc", "microvm", "pc-i440fx-2.0"])
def test_no_ram_at_all(release: str, machine: str, tmp_path: Path) -> None:
    machine = "pc-i440fx-5.2" if "2.0" in machine and release != "7.2" else machine
    questions = [*(f"info {what}" for what in ("ramblock", "memdev", "memory_size_summary", "mtree"))]
    questions += ["info mtree -f", "info mtree -o", "info mtree -D"]
    compare("x86", "x86_64", f"-M {machine},memory.size=0", questions, tmp_path, release=release)
