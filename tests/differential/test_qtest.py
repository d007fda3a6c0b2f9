"""The qtest protocol against real QEMU: the same lines, reply for reply.

What real QEMU dies of is refused here with a reason, and so are the calls that need devices; both are asked alone.
"""

from __future__ import annotations

import os
import re
import select
import socket
import subprocess
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from .oracle import OUR_ENVIRONMENT, RELEASES, our_command, qemu
from .partners import ours, real

MIB = 1 << 20
RAM = 256 * MIB
SECONDS = 30.0
WITH_CLOCK = ("5.2", "11.1")
"""The measured QEMUs whose packages have the accelerator qtest."""
BOARDS = {
    "pc": ("x86_64", "pc", 0),
    "q35": ("x86_64", "q35", 0),
    "none": ("aarch64", "none", 0),
    "virt": ("aarch64", "virt", 0x40000000),
    "s390x": ("s390x", "s390-ccw-virtio", 0),
    "pseries": ("ppc64", "pseries", 0),
    "none, little": ("x86_64", "none", 0),
}
NUMBERS = ("{}", "+{}", "0{:o}", "{:#X}", "\t{:#x}", "-{:#x}")
HEXADECIMAL = (
    "0xabcd", "0xABCDEF01", "abcd", "0XAB", "0x", "0", "0xa", "0xabc", "0xzz11zz", "0xgf", "0xfg", "0x1g", "",
)  # fmt: skip
BASE64 = (
    "AQID", "A-QID", "====", "A=QI", "AQ==BAUG", "AQ=BAUGB", "AQ==", "ABC", "AQIDA", "AB", "", "BAUG AQ", "=AQI",
)  # fmt: skip


def memory_lines(base: int) -> list[str]:
    """Reads and writes of RAM from `base` + 4 MiB on, at its end, and where there is none."""
    place = base + 4 * MIB
    return [
        *("endianness", "endianness x y"),
        *word_lines(place, base + RAM),
        *data_lines(place),
        *number_lines(place),
        *far_lines(),
        *(f"readb {place:#x} x y", f"readb {place:#x} ", f"write {place:#x} 1 0x12 x", f"memset {place:#x} 1 1 x"),
    ]


def word_lines(place: int, end: int) -> list[str]:
    """Words of each size: at several alignments, of numbers that do not fit, and across the end of RAM."""
    lines = []
    for letter in "bwlq":
        for offset in (0, 3, 4094):
            at = f"{place + offset:#x}"
            lines += [f"write{letter} {at} 0x1122334455667788", f"read{letter} {at}", f"read {at} 9"]
        lines += [f"write{letter} {place:#x} -2", f"readq {place:#x}"]
        lines += [f"write{letter} {place:#x} +3 x", f"readq {place}"]
        lines += [f"read{letter} {end:#x}", f"write{letter} {end:#x} 7", f"read{letter} {end - 1:#x}"]
        lines += [f"write{letter} {end - 1:#x} 0x1122334455667788", f"read {end - 8:#x} 20"]
    return lines


def data_lines(place: int) -> list[str]:
    """Many bytes at once, right and wrong: as hexadecimal digits, in base64, and all the same."""
    lines = []
    for data in HEXADECIMAL:
        for size in (0, 1, 2, 3, 9):
            lines += [f"write {place:#x} {size} {data}", f"read {place:#x} 12"]
    for data in BASE64:
        for size in (0, 1, 2, 3):
            lines += [f"memset {place:#x} 16 0x77", f"b64write {place:#x} {size} {data}", f"read {place:#x} 12"]
    for size in (0, 1, 5, 4096, 100_000):
        lines += [f"memset {place:#x} {size} 0x1ff", f"memset {place:#x} {size} 300", f"b64read {place:#x} {size}"]
    return lines


def number_lines(place: int) -> list[str]:
    """Numbers as they may be written."""
    lines = []
    for written in NUMBERS:
        lines += [f"readb {written.format(place)}", f"writew {place:#x} {written.format(0x1234)}", f"readl {place:#x}"]
    return lines


def far_lines() -> list[str]:
    """The last bytes of all addresses."""
    far = (1 << 64) - 2
    reads = [f"read {far} 4", f"readq {far}", f"b64read {far:#x} 3"]
    return [*reads, f"memset {far} 1 1", "readb -18446744073709551615"]


OTHERS = (
    "foo", "foo bar", " readb 0", " ", "READB 0", "readb\t0", "endianness\r", "inq 0", "qmp", "\x80\xff", "x" * 5000,
    "inb 0x1234", "inw 0x1234", "inl 0x1234", "inb 0xffff", "inw 0xffff", "inl 0xfffd", "inl 0xffff", "outb 0x1234 0x55",
    "outw 0x1234 -1", "outl 0xffff 1", "inb 4660 x", "irq_intercept_in nonesuch", "irq_intercept_out /nonesuch",
    "irq_intercept_in ", "set_irq_in nonesuch x y z", "module_load nonesuch- x", "irq_intercept_out_named x y", "clock_foo",
)  # fmt: skip
CLOCK = (
    "clock_step", "clock_step 100", "clock_step", "clock_step 7 x", "clock_set 50", "clock_set 107", "clock_set 1000",
    "clock_set 1000", "clock_step 0", "clock_step -5", "clock_set -1", "clock_step 9223372036854775807", "clock_step",
    "clock_set 9223372036854775807", "clock_step 1", "clock_step 0x10",
)  # fmt: skip
DEADLY = (
    "readb", "readw", "writel 0", "writeb", "read 0", "read", "read 0 0", "write 0 1", "memset 0 1", "b64read 0", "inb",
    "b64write 0 1", "outb 1", "readb x", "readb 0x", "readb 08", "readb  0", "readb 0\r", "readb 18446744073709551616",
    "writeb 0x1000 y", "read 0x2000 1k", "memset 0 x 1", "memset 0 1 99999999999999999999", "inb 0x10000", "outb -1 0",
    "set_irq_in x y 0", "irq_intercept_in", "module_load", "module_load a", "read 0 -1",
    "irq_intercept_in /machine", "write 0 0x1000000000000 0x11",
)  # fmt: skip
"""What makes every real QEMU abort."""


class Client:
    """A program whose standard input and output speak qtest."""

    def __init__(self, command: Sequence[str], folder: Path) -> None:
        options = ["-display", "none", "-nodefaults", "-qtest", "stdio", "-qtest-log", "none"]
        self.process = subprocess.Popen(
            [*command, *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=folder,
            env=OUR_ENVIRONMENT,
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self._input, self._output = self.process.stdin, self.process.stdout

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_error: object) -> None:
        self.process.kill()
        self.process.communicate()

    def ask(self, lines: Sequence[str]) -> list[str]:
        """The replies, one to a line; fewer where the program dies."""
        self._input.write("".join(f"{line}\n" for line in lines).encode("latin-1"))
        self._input.flush()
        deadline = time.monotonic() + SECONDS
        received = b""
        while received.count(b"\n") < len(lines) and time.monotonic() < deadline:
            if select.select([self._output], [], [], 1)[0]:
                data = os.read(self._output.fileno(), 1 << 20)
                if not data:
                    break
                received += data
        return received.decode("latin-1").split("\n")[:-1]


def options_of(machine: str, clock: bool = False) -> list[str]:
    accelerator = ["-accel", "qtest"] if clock else ["-accel", "tcg", "-S"]
    model = ["-cpu", "cortex-a15"] if machine == "none" else ["-cpu", "cortex-a57"] if machine == "virt" else []
    return ["-M", machine, "-m", "256M", *model, *accelerator]


def answers(kind: str, arch: str, options: list[str], release: str, lines: Sequence[str], folder: Path) -> list[str]:
    if kind == "real":
        program = qemu(arch, release)
        if program is None:
            pytest.skip(f"there is no QEMU {release} for {arch}")
        command = [program, *options]
    else:
        command = our_command(arch, options, release)
    with Client(command, folder) as client:
        return client.ask(lines)


def compare(board: str, release: str, lines: Sequence[str], folder: Path, clock: bool = False) -> None:
    arch, machine, _base = BOARDS[board]
    options = options_of(machine, clock)
    theirs, mine = (answers(kind, arch, options, release, lines, folder) for kind in ("real", "ours"))
    assert len(theirs) == len(lines)
    assert [row for row in zip(lines, theirs, mine, strict=True) if row[1] != row[2]] == []


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("board", ["pc", "q35", "none", "virt", "s390x", "pseries"])
def test_memory(board: str, release: str, tmp_path: Path) -> None:
    lines = memory_lines(BOARDS[board][2])
    if release != "11.1":  # those write what lies behind what they decoded, too
        lines = [line for line in lines if not leaks(line)]
    compare(board, release, lines, tmp_path)


def leaks(line: str) -> bool:
    """Whether an older QEMU is asked to write more bytes than the text has."""
    words = line.split(" ")
    lengths = {"AQ==": 1, "====": 1, "ABC": 0, "AQIDA": 3, "AQ==BAUG": 4, "=AQI": 3}
    return words[0] == "b64write" and int(words[2]) > lengths.get(words[3], 3)


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("board", ["none", "s390x", "pseries"])
def test_the_rest(board: str, release: str, tmp_path: Path) -> None:
    compare(board, release, OTHERS, tmp_path)


@pytest.mark.parametrize("release", RELEASES)
def test_intercepts_of_a_device_without_lines(release: str, tmp_path: Path) -> None:
    lines = [f"irq_intercept_{way} /machine/unattached/device[0]" for way in ("in", "out", "in")]
    compare("s390x", release, [*lines, "irq_intercept_out nonesuch"], tmp_path)


@pytest.mark.parametrize("release", WITH_CLOCK)
@pytest.mark.parametrize("board", ["none", "none, little"])
def test_the_clock(board: str, release: str, tmp_path: Path) -> None:
    if board == "none, little":
        arch, _machine, _base = BOARDS[board]
        options = ["-M", "none", "-accel", "qtest"]
    else:
        arch, options = BOARDS[board][0], options_of("none", clock=True)
    theirs, mine = (answers(kind, arch, options, release, CLOCK, tmp_path) for kind in ("real", "ours"))
    assert (len(theirs), mine) == (len(CLOCK), theirs)


@pytest.mark.parametrize("release", RELEASES)
def test_no_clock_with_another_accelerator(release: str, tmp_path: Path) -> None:
    compare("s390x", release, ["clock_step", "clock_step 5", "clock_set", "clock_set x"], tmp_path)


@pytest.mark.parametrize("release", RELEASES)
def test_what_qemu_dies_of_is_refused(release: str, tmp_path: Path) -> None:
    arch, machine, _base = BOARDS["s390x"]
    options = options_of(machine)
    mine = answers("ours", arch, options, release, [*DEADLY, "readb 0"], tmp_path)
    assert [reply[:5] for reply in mine] == ["FAIL "] * len(DEADLY) + ["OK 0x"]
    assert [reply for reply in mine if "internal" in reply] == []
    if release in WITH_CLOCK:
        for line in DEADLY[::4]:
            theirs = answers("real", arch, options, release, [line], tmp_path)
            assert theirs == [] or theirs[0].startswith("Bail out!"), line


def test_roms_are_not_written(tmp_path: Path) -> None:
    lines = ["write 0xfffffff0 4 0x01020304", "memset 0xd0000 4 1", "write 0xfff80 0x100 0x11", "readl 0xd0000"]
    before = ["readl 0xfffffff0", "readl 0xfff80"]
    with Client(our_command("x86_64", ["-M", "pc"], "11.1"), tmp_path) as client:
        replies = client.ask([*before, *lines, *before])
    assert replies[2:6] == ["OK", "OK", "OK", "OK 0x0000000000000000"]
    assert replies[:2] == replies[6:]
    compare("pc", "11.1", lines, tmp_path)


@pytest.mark.parametrize("kinds", [("ours", "real"), ("real", "ours"), ("ours", "ours")])
def test_what_is_written_migrates(kinds: tuple[str, str], tmp_path: Path) -> None:
    """Pages that a client writes while memory is copied in rounds arrive as they were last."""
    start = {"ours": ours, "real": real}
    machines, streams = [], []
    with ExitStack() as stack:
        for number, kind in enumerate(kinds):
            listener = stack.enter_context(socket.socket(socket.AF_UNIX))
            listener.bind(str(tmp_path / f"qtest{number}"))
            listener.listen()
            listener.settimeout(SECONDS)
            options = ["-M", "none", "-m", "64M", "-cpu", "cortex-a15", "-accel", "tcg", "-qtest-log", "none"]
            options += ["-qtest", f"unix:{tmp_path}/qtest{number}"]
            options += ["-incoming", f"unix:{tmp_path}/stream"] if number else []
            machines.append(stack.enter_context(start[kind]("11.1", options, tmp_path / kind, "aarch64")))
            with listener.accept()[0] as connection:
                streams.append(stack.enter_context(connection.makefile("rwb", buffering=0)))

        def ask(which: int, line: str) -> str:
            streams[which].write(f"{line}\n".encode())
            return streams[which].readline().decode().strip()

        places = range(MIB, 64 * MIB, MIB)
        source, destination = machines
        for place in places:
            assert ask(0, f"memset {place:#x} 0x80000 {place // MIB}") == "OK"
        source.ask("migrate-set-parameters", **{"max-bandwidth": 8 * MIB})
        source.ask("migrate", uri=f"unix:{tmp_path}/stream")
        deadline = time.monotonic() + SECONDS
        while source.ask("query-migrate").get("ram", {}).get("transferred", 0) < 4 * MIB:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        for place in places:
            assert ask(0, f"writeq {place + 0x1000:#x} {place + 5:#x}") == "OK"
        assert source.ask("query-migrate")["status"] == "active"
        source.ask("migrate-set-parameters", **{"max-bandwidth": 1 << 40})
        source.wait_for("completed")
        destination.wait_for("completed")
        for place in places:
            for which in (0, 1):
                assert (which, ask(which, f"readq {place + 0x1000:#x}")) == (which, f"OK {place + 5:#018x}")


OBJECT = (
    "info qom-tree", "qom-list /machine/qtest", "qom-get /machine/qtest log",
    "qom-get /machine/qtest chardev", "qom-set /machine/qtest log x", "qom-set /machine/qtest chardev x",
)  # fmt: skip


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("log", [(), ("-qtest-log", "none")])
def test_the_object(release: str, log: Sequence[str], tmp_path: Path) -> None:
    told = []
    for start in (real, ours):
        with start(release, ["-M", "none", "-qtest", "null", *log], tmp_path) as machine:
            told.append([machine.ask("human-monitor-command", **{"command-line": line}) for line in OBJECT])
            listed = machine.ask("qom-list", path="/machine")
            told[-1].append([each for each in listed if each["type"].startswith("child<")])
    assert told[0] == told[1]


@pytest.mark.parametrize("release", RELEASES)
def test_the_log(release: str, tmp_path: Path) -> None:
    program = qemu("x86_64", release)
    if program is None:
        pytest.skip(f"there is no QEMU {release}")
    options = ["-M", "pc", "-m", "16M", "-S", "-display", "none", "-nodefaults", "-qtest", "stdio", "-qtest-log", "log"]
    lines = "endianness\nfoo bar  baz\nwrite 0 1 x\nb64write 0 5 AQID\nreadb 0 \n"
    found = []
    for command in ([program, *options], our_command("x86_64", options, release)):
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=tmp_path,
            env=OUR_ENVIRONMENT,
        )  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(lines.encode())
        process.stdin.flush()
        for _ in range(5):
            process.stdout.readline()
        process.terminate()
        process.communicate()
        log = (tmp_path / "log").read_text()
        found.append(re.sub(r"\d+\.\d{6}", lambda stamp: str(min(float(stamp[0]) // 1e9, 1)), log).split("[I +")[0])
    assert found[0] == found[1]
