"""Simple boards: their RAM, ROM and flash at every size that they accept, and their words about one that they do not.

Registers are told only where they cut RAM: of `info mtree -f` the lines of memory in the address space "memory" are
compared. Boards that real QEMU starts only with a firmware or kernel file get an empty one there; ramslot needs none.
"""

from __future__ import annotations

import json
import re
import struct
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ramslot.vm.boards.machine_type import MachineType
from ramslot.vm.boards.simple import MODULES, machine_types
from ramslot.vm.boards.targets import targets
from ramslot.vm.releases import find_release
from ramslot.vm.sizes import parse_size, round_ram_size

from .oracle import QUIET, RELEASES, Outcome, finish, our_command, qemu, recall, recording, shorten, start, without_ours

RECORD = "simple_boards"
QUESTIONS = ("info ramblock", "info memdev", "info mtree -f", "info memory_size_summary")
PROBES = ("1B", "17M", "32M", "64M", "128M", "256M", "300M", "512M", "1G", "2047M", "2G", "2049M", "3073M", "5G")
WIDE = {
    "amd-versal-virt": ("3G", "40G", "1100G"),
    "amd-versal2-virt": ("3G", "40G", "1100G"),
    "clipper": ("9T",),
    "highbank": ("200G",),
    "A400": ("64G", "600G"),
    "B160L": ("64G",),
    "C3700": ("64G", "600G"),
    "loongson3-virt": ("200G",),
    "niagara": ("200G", "1100G"),
    "powernv8": ("600G",),
    "powernv9": ("40T",),
    "powernv10": ("60T",),
    "ppce500": ("64G", "200G"),
    "sbsa-ref": ("8192G", "8193G"),
    "SS-10": ("53G", "60G", "61G"),
    "SS-20": ("60G",),
    "SS-600MP": ("60G",),
    "vexpress-a15": ("30G", "31G"),
    "xlnx-versal-virt": ("3G", "40G", "1100G"),
    "xlnx-zcu102": ("34G", "35G"),
}
"""More RAM than hosts have, as a backend that reserves nothing."""
NEEDS = {
    "an5206": "-kernel empty",
    "axis-dev88": "-kernel empty",
    "boston": "-bios empty",
    "canon-a1100": "-bios empty",
    "cheetah": "-kernel empty",
    "gdbsim-r5f562n7": "-bios empty",
    "gdbsim-r5f562n8": "-bios empty",
    "leon3_generic": "-bios empty",
    "loongson3-virt": "-bios empty",
    "mcf5208evb": "-kernel empty",
    "microchip-icicle-kit": "-bios none",
    "mpc8544ds": "-bios elf",
    "niagara": "-L .",
    "ppce500": "-bios elf",
    "q800": "-bios empty",
    "riscv32 virt": "-bios none",
    "riscv64 virt": "-bios none",
    "sifive_u": "-bios none",
    "spike": "-bios none",
    "sx1": "-kernel empty",
    "sx1-v1": "-kernel empty",
}
"""What real QEMU wants before it starts a board."""
NEEDS_IN = {
    ("11.1", "ast2700a1-evb"): "-bios empty",
    ("11.1", "ast2700a2-evb"): "-bios empty",
    ("11.1", "boston-aia"): "-bios empty",
    ("11.1", "k230"): "-bios none",
    ("11.1", "pegasos1"): "-bios empty",
    ("11.1", "pegasos2"): "-bios empty",
    ("11.1", "tt-atlantis"): "-bios none",
    ("10.0", "microchip-icicle-kit"): "-bios none -kernel empty",
    ("11.1", "microchip-icicle-kit"): "-bios none -kernel empty",
    ("10.0", "next-cube"): "-bios empty",
    ("11.1", "next-cube"): "-bios empty",
}
NIAGARA_FILES = ("nvram1", "1up-md.bin", "1up-hv.bin", "reset.bin", "q.bin", "openboot.bin")
ABSENT_DEVICES = re.compile(
    r"has no peer|extension for hart|no device tree|booting from flash drive|audio|alsa|SecureDigital|BMC device|option rom|Virtual OpenFirmware|Failed to load firmware",
    re.IGNORECASE,
)
"""What real QEMU says of devices that ramslot does not have."""


def boards(name: str) -> Iterator[tuple[str, MachineType, bool]]:
    """Target and type of every simple board of a release, and whether the same type was met on another target."""
    seen = set()
    release = find_release(name)
    for target in MODULES:
        if target in targets(release):
            for machine_type in machine_types(targets(release)[target], release):
                key = (machine_type.name, target in ("riscv32",))
                yield target, machine_type, key in seen
                seen.add(key)


BOARDS = {release: list(boards(release)) for release in RELEASES}
FIRST_ASKED = ("7.2", "10.0", "11.1", "5.2")
KNOWN_IN = {
    release: {machine_type.name for _target, machine_type, _again in found} for release, found in BOARDS.items()
}
FIRST = [
    (release, target, machine_type)
    for release, found in BOARDS.items()
    for target, machine_type, again in found
    if not again
]
AGAIN = [(target, machine_type) for target, machine_type, again in BOARDS["7.2"] if again]
scores: dict[str, list[int]] = {}
"""Of each board, how many answers were equal, and how many there were."""


@pytest.fixture(scope="module", autouse=True)
def report(request: pytest.FixtureRequest) -> Iterator[None]:
    """Print the score of each board at the end."""
    yield
    reporter = request.config.pluginmanager.get_plugin("terminalreporter")
    capture = request.config.pluginmanager.get_plugin("capturemanager")
    assert reporter is not None
    assert capture is not None
    totals = [sum(score[place] for score in scores.values()) for place in (0, 1)]
    with capture.global_and_fixture_disabled():
        reporter.ensure_newline()
        for board, (equal, asked) in {**scores, "simple boards": totals}.items():
            reporter.write_line(f"{board}: {equal}/{asked} equal")


def sizes_of(machine_type: MachineType) -> list[str]:
    """The default, all probes that the row accepts, and two that it refuses, as near to those as can be."""
    rules = machine_type.settings["row"].sizes

    def accepted(probe: str) -> bool:
        size = round_ram_size(parse_size(probe, "M"))
        return all(rule.accepts(size, machine_type.default_ram_size) for rule in rules)

    answers = [accepted(probe) for probe in PROBES]
    good = [probe for probe, answer in zip(PROBES, answers, strict=True) if answer]
    first = answers.index(True) if True in answers else len(PROBES) // 2
    last = len(answers) - answers[::-1].index(True) - 1 if True in answers else first - 1
    refused = [probe for probe, answer in zip(PROBES[:first], answers, strict=False) if not answer][-1:]
    refused += PROBES[last + 1 :][: 2 - len(refused)]
    return ["", *good, *refused]


def options_of(release: str, machine_type: MachineType) -> list[str]:
    """The command lines that a board is asked with: all where it is met first, fewer in the other releases."""
    name = machine_type.name
    sizes = sizes_of(machine_type)
    is_asked_all = release == next(each for each in FIRST_ASKED if name in KNOWN_IN[each])
    if not is_asked_all:
        sizes = [sizes[0], sizes[-3 if len(sizes) > 2 else -1], sizes[-1]]
    lines = [f"-M {name} -m {size}".removesuffix(" -m ") for size in dict.fromkeys(sizes)]
    if not is_asked_all:
        return lines
    default = machine_type.default_ram_size or 64 << 20
    lines.append(f"-M {name},memory-backend=m -object memory-backend-ram,id=m,size={default}")
    for size in WIDE.get(name, ()):
        lines.append(f"-M {name},memory-backend=m -object memory-backend-ram,id=m,size={size},reserve=off")
    return lines


@pytest.fixture(scope="module")
def firmware(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files of `NEEDS`."""
    folder = tmp_path_factory.mktemp("firmware")
    for name in ("empty", *NIAGARA_FILES):
        (folder / name).write_bytes(bytes(8192))
    identification = b"\x7fELF\x01\x02\x01" + bytes(9)
    header = struct.pack(">HHIIIIIHHHHHH", 2, 20, 1, 0x1000, 52, 0, 0, 52, 32, 1, 0, 0, 0)
    segment = struct.pack(">8I", 1, 0, 0x1000, 0x1000, 84, 84, 5, 0x1000)
    (folder / "elf").write_bytes(identification + header + segment)
    return folder


def expected(release: str, target: str, options: str, board: str, folder: Path) -> list[str]:
    """What real QEMU answers, or answered when it was recorded."""
    key = f"{target} {options}"
    record = RECORD if release == "7.2" else f"{RECORD}-{release}"
    program = qemu(target, release)
    if program is None:
        return recall(record, key)
    needs = NEEDS.get(board) or NEEDS.get(f"{target} {board}", "")
    needs = NEEDS_IN.get((release, board), needs)
    sound = ["-audio", "none"] if release in ("10.0", "11.1") else []
    words = [program, *options.split(), *needs.split(), *sound, *QUIET]
    answers = memory_answers(finish(start(words, folder), QUESTIONS, f"qemu-system-{target}"))
    recording.setdefault(record, {})[key] = [shorten(answer) for answer in answers]
    return answers


def found(release: str, target: str, options: str, folder: Path) -> list[str]:
    process = start(our_command(target, [*options.split(), *QUIET], release), folder)
    return memory_answers(finish(process, QUESTIONS, "ramslot"))


def memory_answers(outcome: Outcome) -> list[str]:
    """Status, what was said, and the answers to the questions as far as they are about memory."""
    said = [line for line in outcome.errors.splitlines() if line and not ABSENT_DEVICES.search(line)]
    answers = [str(outcome.status), "\n".join(said)]
    if outcome.status == 0:
        blocks, memdev, flat, summary = outcome.replies[1:5]
        views = (view for view in flat.split("\r\n\r\n") if ' AS "memory",' in view)
        lines = [line for line in next(views).splitlines() if re.search(r"prio -?\d+, (ram|rom|romd)\)", line)]
        blocks = re.sub(r" 0x0000[5-7][0-9a-f]{11}  r", " HVA  r", blocks)
        answers += [blocks, memdev, "\n".join(lines), summary]
    return answers


def differences(release: str, target: str, options: str, board: str, folder: Path, firmware: Path) -> list[str]:
    """Where the two answer unlike; a crash of QEMU's has to be a clear error here."""
    theirs, ours = expected(release, target, options, board, firmware), found(release, target, options, folder)
    if qemu(target, release) is None:
        ours = [shorten(answer) for answer in ours]
    if int(theirs[0]) < 0:
        unlike = [] if ours[0] == "1" and ours[1] else ["QEMU crashes, and this is no error"]
    else:
        unlike = [f"- {their}\n+ {our}" for their, our in zip(theirs, ours, strict=False) if their != our] or [
            "one starts"
        ] * (len(theirs) != len(ours))
    score = scores.setdefault(f"{target} {board}", [0, 0])
    score[0] += not unlike
    score[1] += 1
    return [f"{release} {target} {options}\n{text}" for text in unlike]


def check(release: str, target: str, board: str, lines: list[str], folder: Path, firmware: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda options: differences(release, target, options, board, folder, firmware), lines))
    unlike = [text for result in results for text in result]
    assert not unlike, "\n".join(unlike)


@pytest.mark.parametrize(
    ("release", "target", "machine_type"),
    FIRST,
    ids=[f"{release}-{target}-{kind.name}" for release, target, kind in FIRST],
)
def test_every_size(release: str, target: str, machine_type: MachineType, tmp_path: Path, firmware: Path) -> None:
    check(release, target, machine_type.name, options_of(release, machine_type), tmp_path, firmware)


TABLES = """
-smp 18
-smp 19
-smp 1,maxcpus=256
-smp 16,sockets=16
-smp 17,sockets=17
-smp 16,threads=2
-smp 18,threads=2
-m 1G,maxmem=1G
-m 300M,maxmem=1G
-m 1G,maxmem=2G,slots=13
-m 1G,maxmem=2G,slots=14
-m 1G,maxmem=2G,slots=256
-m 1G,maxmem=2G,slots=257
-m 1G,maxmem=2147483649B
-smp 18 -numa node,mem=128M
-smp 19 -numa node,mem=128M
-smp 17 -numa node,mem=64M -numa node,mem=64M
-smp 18 -numa node,mem=64M -numa node,mem=64M
-smp 15 -m 512M -numa node,mem=200M -numa node,mem=312M -machine hmat=on
-smp 64,sockets=64 -m 128M -numa node,mem=32M -numa node,mem=32M -numa node,mem=32M -numa node,mem=32M
-smp 4 -machine acpi=off
""".strip().splitlines()
"""What decides on the size of LoongArch's ACPI tables, and on the room for memory devices."""


@pytest.mark.parametrize("release", ["10.0", "11.1"])
def test_tables(release: str, tmp_path: Path, firmware: Path) -> None:
    check(release, "loongarch64", "virt", [f"-M virt {line}" for line in TABLES], tmp_path, firmware)


@pytest.mark.parametrize("target", sorted({target for target, _machine_type in AGAIN}))
def test_default_size_on_other_targets(target: str, tmp_path: Path, firmware: Path) -> None:
    for other, machine_type in AGAIN:
        if other == target:
            check("7.2", target, machine_type.name, [f"-M {machine_type.name}"], tmp_path, firmware)


@pytest.mark.parametrize(
    ("release", "target"),
    [(release, target) for release in RELEASES for target in MODULES if target in targets(find_release(release))],
)
def test_listing(release: str, target: str) -> None:
    """`query-machines` and `-M help` say the same of every simple board."""
    program = qemu(target, release)
    if program is None:
        pytest.skip(f"there is no qemu-system-{target} of version {release}")
    names = {machine_type.name for other, machine_type, _again in BOARDS[release] if other == target}
    assert listed(our_command(target, [], release), names) == listed([program], names)
    assert helped(our_command(target, [], release), names) == helped([program], names)


def listed(command: list[str], names: set[str]) -> dict[str, object]:
    lines = '{"execute": "qmp_capabilities"}\n{"execute": "query-machines"}\n{"execute": "quit"}\n'
    done = subprocess.run(
        [*command, "-M", "none", *QUIET], input=lines, capture_output=True, text=True, check=True, pipesize=1 << 20
    )
    replies = [json.loads(line).get("return") for line in done.stdout.splitlines()]
    machines = next(reply for reply in replies if isinstance(reply, list))
    return {machine["name"]: without_ours(machine) for machine in machines if machine["name"] in names}


def helped(command: list[str], names: set[str]) -> list[str]:
    done = subprocess.run([*command, "-M", "help"], capture_output=True, text=True, check=True)
    return [
        line
        for line in done.stdout.splitlines()
        if line.split()[0] in names or any(f"(alias of {name})" in line for name in names)
    ]
