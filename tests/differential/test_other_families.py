"""virt, pseries and s390-ccw-virtio in all their versions, of each QEMU: every table of memory that real QEMU shows, and ours.

Each version is asked at its default size, with room for memory devices, and with a few options of its family that a seeded
choice picks; the newest is asked with all of them. In the QEMUs that are neither the newest nor the one with most versions
a version is asked with less. Interrupt lines, clocks and hotplug connectors of the object tree are
not modelled, and what TCG says of its own limits is not ours to say.
"""

from __future__ import annotations

import json
import os
import random
import re
import shlex
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from .oracle import QUIET, RELEASES, Outcome, our_command, qemu, replies, request, start, without_hints, without_ours
from .test_machines import TABLES

NEGOTIATION = '{"execute": "qmp_capabilities"}'
QUESTIONS = [*TABLES, "info qom-tree", "info numa"]
SAMPLED = 3
"""Options of its family that each version is asked with."""
WHOLE = ("11.1", "7.2")
"""The releases whose versions are all asked with that many, and everywhere."""

RAM = "-object memory-backend-ram,id=m,size="
FILE = "-object memory-backend-file,id=m,mem-path=ram.img,size="
MEMFD = "-object memory-backend-memfd,id=m,size="
NODES = (
    "-m 1G -smp 4 -object memory-backend-ram,id=a,size=512M -object memory-backend-memfd,id=b,size=512M"
    " -numa node,memdev=a -numa node,memdev=b"
)
FILES = {"ram.img": 2 << 30, "bios64K": 64 << 10, "bios65M": 65 << 20}
VERSIONS = [
    "11.1", "11.0", "10.2", "10.1", "10.0", "9.2", "9.1", "9.0", "8.2", "8.1", "8.0", "7.2", "7.1", "7.0", "6.2", "6.1", "6.0",
    "5.2", "5.1", "5.0", "4.2", "4.1", "4.0", "3.1", "3.0", "2.12", "2.12-sxxm", "2.11", "2.10", "2.9", "2.8", "2.7", "2.6",
    "2.5", "2.4", "2.3", "2.2", "2.1",
]  # fmt: skip


class Family:
    """The versions of a machine and what they are asked with; `everywhere` is asked of each version."""

    def __init__(
        self,
        name: str,
        targets: tuple[str, ...],
        oldest: dict[str, str],
        everywhere: Sequence[str],
        options: Sequence[str],
        workarounds: dict[str, str] | None = None,
    ) -> None:
        self.name = name
        self.targets = targets
        self.oldest = oldest
        """The oldest version, by release."""
        self.everywhere = everywhere
        self.options = options
        self.workarounds = workarounds or {}
        """What real QEMU needs to start a version at all."""

    def versions(self, release: str) -> list[str]:
        """The versions that a release has, newest first."""
        found = VERSIONS[VERSIONS.index(release) : VERSIONS.index(self.oldest[release]) + 1]
        return [version for version in found if "-" not in version or self.name == "pseries"]

    def cases(self, release: str, version: str) -> Iterator[tuple[str, str]]:
        """Target and options of each case."""
        chooser = random.Random(f"{self.name}-{version}")
        chosen = list(self.options) if version == release else chooser.sample(self.options, SAMPLED)
        options = [*self.everywhere, *chosen]
        if version != release and release not in WHOLE:
            options = chooser.sample(options, 2)
        for position, option in enumerate(options):
            target = self.targets[position % 4 == 3 and len(self.targets) > 1]
            machine = f"-M {self.name}-{version}{self.workarounds.get(version, '')}"
            yield target, machine + (option if option.startswith(",") else f" {option}".rstrip())


BIG = f"{RAM}{{0}},reserve=off -m {{0}}"
VIRT = Family(
    "virt",
    ("aarch64", "arm"),
    {"11.1": "5.2", "10.0": "2.6", "7.2": "2.6", "5.2": "2.6"},
    ("", "-m 6G,maxmem=9G,slots=2", f",memory-backend=m {FILE}1G -smp 3"),
    (
        "-m 7k", "-m 1000001B", "-m 17M", "-m 1G", "-m 3G", "-m 1G,maxmem=1025M", "-m 1023M,maxmem=2500M -smp 4",
        "-m 1G,slots=1,maxmem=1049625K", ",highmem=off", ",highmem=off -m 3G", ",highmem=off -m 3073M",
        ",highmem=off -m 1G,maxmem=3G", ",highmem=off -m 1G,maxmem=3G,slots=1", ",secure=on -smp 2",
        ",virtualization=on -smp 2", ",secure=on,virtualization=on,highmem=off,acpi=off", ",acpi=off",
        "-smp 4,clusters=2", "-smp 8,sockets=2,clusters=2,cores=2,maxcpus=8", "-smp 4,dies=2", "-smp 9", "-smp 600",
        ",gic-version=3 -smp 3", ",gic-version=3,its=off", ",gic-version=max,virtualization=on -smp 2",
        ",gic-version=4", ",gic-version=4,virtualization=on -smp 2", ",gic-version=host", ",gic-version=5",
        ",gic-version=3,highmem=off -smp 124", "-cpu cortex-a7", "-cpu cortex-a9",
        "-m 4G,maxmem=8G,slots=257", "-m 1G,maxmem=1T", "-m 1G,maxmem=1023G", "-m 1G,maxmem=1023G,slots=1",
        "-m 1G,maxmem=16383P", f",memory-backend=m {BIG.format('200G')}", f",memory-backend=m {BIG.format('256G')}",
        f",memory-backend=m {BIG.format('300G')}", f",memory-backend=m {BIG.format('511G')}",
        f",memory-backend=m {BIG.format('1023G')}", f",memory-backend=m {BIG.format('1T')}", f",memory-backend=m {RAM}64M",
        f",memory-backend=m {RAM}1G", f",memory-backend=m {RAM}3G", f",memory-backend=m {RAM}1000001",
        f",memory-backend=m {MEMFD}64M", f"{RAM}5M {FILE.replace('id=m', 'id=n')}1M", "-mem-path ram.img -m 1G -smp 4",
        "-bios bios64K", "-bios nowhere", "-bios bios65M", NODES, NODES.replace("-smp 4", "-smp 4,sockets=2"),
    ),
)  # fmt: skip
AARCH64_ONLY = [
    "-M virt -cpu cortex-a57", "-M virt -cpu cortex-a57 -bios bios64K", "-M virt -cpu max",
    "-M virt -cpu cortex-a57 -bios bios64K -m 1G,maxmem=2G,slots=2 -smp 2", "-M virt-4.1 -cpu cortex-a57 -bios bios64K",
    "-M virt,secure=on -cpu cortex-a57 -bios bios64K", "-M virt,acpi=off -cpu cortex-a57 -bios bios64K",
    "-M virt -cpu cortex-a57 -m 1G,maxmem=17T", "-M virt -cpu max -m 1G,maxmem=5P", "-M virt -cpu neoverse-n1 -m 1G,maxmem=300T",
    "-M virt -cpu a64fx -m 1G,maxmem=2T", "-M virt -cpu cortex-a76 -m 1G,maxmem=1023G", "-M virt,mte=on",
    "-M virt,mte=on -cpu max", "-M virt,mte=on,secure=on -cpu max -smp 2", "-M virt,gic-version=3 -smp 124",
    "-M virt,gic-version=4,virtualization=on -smp 62", "-M virt,gic-version=4,virtualization=on -smp 400",
    "-M virt-6.1,gic-version=4,virtualization=on -smp 2", f"-M virt,memory-backend=m -cpu cortex-a57 {BIG.format('4T')}",
]  # fmt: skip
PSERIES = Family(
    "pseries",
    ("ppc64", "ppc64le"),
    {"11.1": "5.2", "10.0": "3.0", "7.2": "2.1", "5.2": "2.1"},
    ("", "-m 4G,maxmem=8G,slots=2", f",memory-backend=m {FILE}1G -m 1G -smp 3"),
    (
        "-m 256M", "-m 2G", "-m 5G", "-m 64M", "-m 127M", "-m 128M", "-m 1000001K", "-m 255M", "-m 300M", "-m 257M",
        "-m 512M,maxmem=5G", "-m 4G,maxmem=4G", "-m 1G,maxmem=4097M", "-m 1G,maxmem=2000M", "-m 1G,maxmem=2G,slots=32",
        "-m 1G,maxmem=2G,slots=33", "-m 300M,maxmem=1G,slots=33", "-m 256M,maxmem=300M,slots=33", "-smp 2,maxcpus=4",
        "-smp 4,threads=2", "-smp 2,dies=2", "-smp 5000", "-smp 8,sockets=2", f",memory-backend=m {RAM}256M",
        f",memory-backend=m {RAM}512M", f",memory-backend=m {RAM}300M", f",memory-backend=m {RAM}100M",
        f",memory-backend=m {MEMFD}512M", f",memory-backend=m {BIG.format('32G')}", f"{RAM}5M {FILE.replace('id=m', 'id=n')}1M",
        "-mem-path ram.img -m 1G", "-bios bios64K", "-bios nowhere", "-cpu power7", "-cpu power8", "-cpu power9",
        "-cpu power10", "-cpu 970mp", "-cpu max", "-cpu 970fx", ",ic-mode=xics", ",ic-mode=xive -cpu power9",
        ",ic-mode=dual -cpu power9", ",ic-mode=xive -cpu power8", ",ic-mode=dual -cpu power8", ",ic-mode=both",
        ",cap-cfpc=broken,cap-sbbc=broken,cap-ibs=broken,cap-ccf-assist=off", ",cap-cfpc=maybe", NODES,
        NODES.replace("-smp 4", "-smp 4,sockets=2"), NODES.replace("512M", "384M", 1).replace("512M", "640M"),
        NODES.replace("512M", "64M", 1).replace("512M", "960M"),
    ),
    dict.fromkeys(["2.11", "2.10", *(f"2.{minor}" for minor in range(9, 0, -1))], ",cap-htm=off"),
)  # fmt: skip
S390 = Family(
    "s390-ccw-virtio",
    ("s390x",),
    {"11.1": "5.2", "10.0": "2.9", "7.2": "2.4", "5.2": "2.4"},
    ("", "-m 1021M -smp 3", f",memory-backend=m {FILE}1G -m 1G"),
    (
        "-m 1M", "-m 17M", "-m 2G", "-m 2041M", "-m 2047M", "-m 2049M", "-m 3073M", "-m 5G", "-m 1G,maxmem=4G,slots=3",
        "-m 1020M,maxmem=1021M", "-m 1G,maxmem=512M", "-smp 2,maxcpus=8", "-smp 249", "-smp 4,sockets=2", "-smp 2,clusters=2",
        f",memory-backend=m {RAM}1021M", f",memory-backend=m {RAM}1500K", f",memory-backend=m {RAM}8K",
        f",memory-backend=m {MEMFD}64M", f",memory-backend=m {BIG.format('9T')}", f"{RAM}5M {FILE.replace('id=m', 'id=n')}1M",
        f",memory-backend=m -m 1021M {RAM}1020M", "-mem-path . -m 1G", ",aes-key-wrap=off", "-m 100M -numa node",
    ),
)  # fmt: skip
FAMILIES = (VIRT, PSERIES, S390)
DIVIDED = re.compile(r"-M s390-ccw-virtio-([23]\.|4\.[01]\b).*size=(9|12|20)T")
"""Machines that have their RAM in several RAMBlocks, as they had of old and have not in real 7.2."""
SHOWS_BLOCKS = {"info ramblock", "info mtree", "info mtree -o", "info mtree -D", "info qom-tree"}

scores: dict[str, list[int]] = {}
"""Equal and asked answers of each family."""


@pytest.fixture(scope="module", autouse=True)
def score_lines(request: pytest.FixtureRequest) -> Iterator[None]:
    """Print the score of each family at the end."""
    yield
    reporter = request.config.pluginmanager.get_plugin("terminalreporter")
    capture = request.config.pluginmanager.get_plugin("capturemanager")
    if reporter is None or capture is None:
        return
    with capture.global_and_fixture_disabled():
        reporter.ensure_newline()
        for name, (equal, asked) in scores.items():
            reporter.write_line(f"{name}: {equal}/{asked} equal")


def ask(process: subprocess.Popen[bytes], program: str) -> tuple[Outcome, str]:
    """What was answered, and what else was said on stdout.

    It is told to quit only when all is read: QEMU drops what does not fit into the pipe then.
    """
    assert process.stdin is not None and process.stdout is not None
    output = b""
    awaited = len(QUESTIONS) + 1
    lines = [NEGOTIATION, *map(request, QUESTIONS)]
    try:
        os.write(process.stdin.fileno(), "".join(f"{line}\n" for line in lines).encode())
    except BrokenPipeError:
        awaited = 0
    while awaited and (line := process.stdout.readline()):
        output += line
        awaited -= line.startswith((b'{"return"', b'{"error"'))
    rest, errors = process.communicate(b'{"execute": "quit"}\n', timeout=60)
    output += rest
    notices = re.findall(r"^[^{\r\n].*\n", output.decode(), re.MULTILINE)
    text = re.sub(r"^[^{\r\n].*\n", "", output.decode(), flags=re.MULTILINE)
    said = re.sub(rf"^{re.escape(program)}: ", "", without_hints(errors.decode()), flags=re.MULTILINE)
    said = re.sub(r"^warning: TCG doesn't support requested feature, .*\n", "", said, flags=re.MULTILINE)
    return Outcome(list(replies(text, QUESTIONS)), said, process.returncode), "".join(notices)


def modelled(text: str) -> str:
    """An answer without those objects that we do not have."""
    return re.sub(r"^.*\((irq|clock|spapr-drc-\w+)\)\r?\n", "", text, flags=re.MULTILINE)


def differences(score: list[int], target: str, options: str, folder: Path, release: str = "7.2") -> Iterator[str]:
    """Ask both; how each answer that is not equal differs."""
    program = qemu(target, release)
    if program is None:
        pytest.skip(f"there is no qemu-system-{target} of version {release}")
    words = shlex.split(options)
    theirs = start([program, *words, *QUIET], folder)
    ours = start(our_command(target, [*words, *QUIET], release), folder)
    expected, their_notices = ask(theirs, f"qemu-system-{target}")
    found, our_notices = ask(ours, "ramslot")
    pairs = [("status", str(expected.status), str(found.status)), ("stderr", expected.errors, found.errors)]
    if expected.status == 0:
        pairs.append(("stdout", their_notices, our_notices))
        pairs += zip(["", *QUESTIONS], expected.replies, found.replies, strict=False)
    if DIVIDED.search(options):
        pairs = [pair for pair in pairs if pair[0] not in SHOWS_BLOCKS]
    score[1] += len(pairs)
    for question, wanted, got in pairs:
        wanted, got = (re.sub(r" 0x0000[5-7][0-9a-f]{11}  r", " HVA  r", text) for text in (wanted, got))
        if modelled(wanted) == modelled(got):
            score[0] += 1
        else:
            yield f"--- {release} {target} {options}: {question}\n{first_difference(modelled(wanted), modelled(got))}"


def first_difference(wanted: str, got: str) -> str:
    lines, ours = wanted.splitlines(), got.splitlines()
    missing = [line for line in lines if line not in ours]
    extra = [line for line in ours if line not in lines]
    return "\n".join([*(f"-{line}" for line in missing[:4]), *(f"+{line}" for line in extra[:4])]) or "other order"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, size in FILES.items():
        with open(tmp_path / name, "wb") as file:
            file.truncate(size)
    return tmp_path


@pytest.mark.parametrize(
    ("release", "family", "version"),
    [
        pytest.param(release, family, version, id=f"{release}-{family.name}-{version}")
        for release in RELEASES
        for family in FAMILIES
        for version in family.versions(release)
    ],
)
def test_version(release: str, family: Family, version: str, folder: Path) -> None:
    score = scores.setdefault(f"{family.name} of {release}", [0, 0])
    found = [text for case in family.cases(release, version) for text in differences(score, *case, folder, release)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("release", RELEASES)
def test_64_bit_arm(release: str, folder: Path) -> None:
    score = scores.setdefault(f"virt of {release}", [0, 0])
    lacks = {"11.1": "virt-4", "5.2": "virt-6"}.get(release, "virt-0")
    asked = [options for options in AARCH64_ONLY if lacks not in options]
    found = [text for options in asked for text in differences(score, "aarch64", options, folder, release)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("size", ["12T", "20T"])
@pytest.mark.parametrize("version", ["4.2", "4.1", "4.0", "2.12", "2.4"])
def test_blocks_of_old_s390_machines_leave_the_memory_map(version: str, size: str, folder: Path) -> None:
    options = f"-M s390-ccw-virtio-{version},memory-backend=m {BIG.format(size)}"
    found = list(differences([0, 0], "s390x", options, folder))
    assert not found, "\n".join(found)


@pytest.mark.parametrize("option", ["cap-htm=on", "cap-rpt-invalidate=on", "cap-htm=off", "memory.size=0"])
def test_what_emulation_lacks(option: str, folder: Path) -> None:
    found = list(differences([0, 0], "ppc64", f"-M pseries,{option}", folder))
    assert not found, "\n".join(found)


@pytest.mark.parametrize("target", ["aarch64", "arm", "ppc64", "ppc64le", "s390x"])
def test_lists(target: str, folder: Path) -> None:
    """`-M help` has the same lines for these machines; `query-machines` says the same of each."""
    program = qemu(target)
    if program is None:
        pytest.skip(f"there is no qemu-system-{target} of version 7.2")
    commands = ([program], our_command(target, []))
    pattern = re.compile(r"virt(-\d|  )|pseries|s390-")
    lines = [start([*command, "-M", "help"], folder).communicate(timeout=60)[0].decode() for command in commands]
    theirs, ours = ([line for line in text.splitlines() if pattern.match(line)] for text in lines)
    assert ours == theirs
    question = b"".join(
        f'{{"execute": "{name}"}}\n'.encode() for name in ("qmp_capabilities", "query-machines", "quit")
    )
    answers = [
        start([*command, "-M", "none", *QUIET], folder).communicate(question, timeout=60)[0].splitlines()[2]
        for command in commands
    ]
    known = [
        {
            found["name"]: without_ours(found)
            for found in json.loads(answer)["return"]
            if pattern.match(found["name"] + "  ")
        }
        for answer in answers
    ]
    assert known[1] == known[0]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ("-M s390-ccw-virtio-4.2 -m 8K", "ram size must be multiples of 1 MiB"),
        (
            f"-M pseries,memory-backend=m {RAM}1G",
            "Maximum memory size 0x20000000 is less than the memory size 0x40000000",
        ),
    ],
)
def test_where_qemu_dies(options: str, text: str, folder: Path) -> None:
    process = start(our_command("s390x" if "s390" in options else "ppc64", [*shlex.split(options), *QUIET]), folder)
    _output, errors = process.communicate(timeout=60)
    assert (process.returncode, without_hints(errors.decode())) == (1, f"ramslot: {text}\n")
