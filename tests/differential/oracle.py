"""Asks real QEMU and ramslot the same questions, and says where the answers differ.

A question is an HMP line, or QMP if it begins with `{`. One process of each answers all questions of a case. What real QEMU
answered is kept in `recorded/` (`pytest tests/differential --record` writes it anew) and serves where QEMU is not
installed; there, of a long answer only the digest is kept. Nothing that is to be compared is decided here.

Which QEMU: a release of those that ramslot can be, see `qemu`.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pytest

import ramslot
from ramslot.vm.releases import NEWEST, VERSIONS

RECORDED = Path(__file__).parent / "recorded"
LONGEST_KEPT = 100
"""Characters of an answer that is recorded as it is; of a longer one the digest is."""
ORACLES = os.environ.get("RAMSLOT_ORACLES", str(Path(__file__).parent.parent.parent / ".oracles"))
"""Where `.ci/install-qemu VERSION` has put QEMUs: `VERSION/bin/qemu-system-ARCH`."""
REFERENCE = "7.2"
"""The release that is compared where a suite does not say which."""
BOTH = (REFERENCE, NEWEST)
"""What most suites are compared with."""
RELEASES = tuple(reversed(VERSIONS))
"""The releases that there is something to compare with, oldest first."""
QUIET = ("-display", "none", "-nodefaults", "-S", "-qmp", "stdio")
OUR_ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(str(ramslot.__file__)).parent.parent)}
MACHINES = ("none", "pc-i440fx-7.2", "pc-q35-7.2", "s390-ccw-virtio-7.2")
"""The machine types that `query-machines` is compared for."""

NEWER = ("offset", "rom", "memory-backend-shm")
"""Properties of objects, and types, that QEMU 7.2 does not have yet."""
OUR_MACHINE_MEMBERS = ("description", "deprecation", "default-ram-size", "in-versions")

recording: dict[str, dict[str, list[str]]] = {}
"""What real QEMU answered in this session: by file, then by case."""


class Outcome:
    """What a process answered, event names among it, what it said on stderr (less its name), and its exit status."""

    def __init__(self, replies: list[str], errors: str, status: int) -> None:
        self.replies = replies
        self.errors = errors
        self.status = status


def without_ours(machine: dict[str, Any]) -> dict[str, Any]:
    """A machine of `query-machines` without what QEMU does not tell."""
    return {name: value for name, value in machine.items() if name not in OUR_MACHINE_MEMBERS}


def our_command(arch: str, options: Iterable[str], release: str = REFERENCE) -> list[str]:
    return [sys.executable, "-m", "ramslot", "--qemu", release, "--target", arch, *options]


@cache
def qemu(arch: str, release: str = REFERENCE) -> str | None:
    """The program that is QEMU `release` for `arch`; in CI it must be there, the reference and any that was installed."""
    for program in (f"{ORACLES}/{release}/bin/qemu-system-{arch}", shutil.which(f"qemu-system-{arch}")):
        if program is not None and os.path.exists(program):
            version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
            if version.startswith(f"QEMU emulator version {release}."):
                return program
    if os.environ.get("CI") and (release == REFERENCE or os.path.isdir(f"{ORACLES}/{release}")):
        pytest.fail(f"CI must ask a qemu-system-{arch} of version {release} anew")
    return None


# Asking


def start(command: Sequence[str], folder: Path) -> subprocess.Popen[bytes]:
    folder.mkdir(parents=True, exist_ok=True)
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=folder,
        env=OUR_ENVIRONMENT,
        pipesize=1 << 20,  # what does not fit into the pipe QEMU throws away when it quits
    )


def request(question: str) -> str:
    if question.startswith("{"):
        return question
    return json.dumps({"execute": "human-monitor-command", "arguments": {"command-line": question}})


def finish(process: subprocess.Popen[bytes], questions: Sequence[str], program: str) -> Outcome:
    """Ask, wait for the end, and sort out what came."""
    lines = ['{"execute": "qmp_capabilities"}', *map(request, questions), '{"execute": "quit"}', ""]
    try:
        output, errors = process.communicate("\n".join(lines).encode(), timeout=60)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    # QEMU's boards say `qemu` here and there.
    said = re.sub(rf"^({re.escape(program)}|qemu): ", "", without_hints(errors.decode()), flags=re.MULTILINE)
    return Outcome(list(replies(output.decode(), questions)), said, process.returncode)


def without_hints(errors: str) -> str:
    """What ramslot says on stderr without what QEMU has not."""
    errors = re.sub(r"^(hint: |ramslot: not modelled, ).*\n", "", errors, flags=re.MULTILINE)
    # A QEMU finds the modules of another build, too, and says so.
    return re.sub(r"^.*failed to initialize module: .*\nOnly modules from .*\n\n?", "", errors, flags=re.MULTILINE)


AT_ANY_TIME = ("DEVICE_DELETED",)
"""Events that QEMU tells when it finds the time."""


def replies(output: str, questions: Sequence[str]) -> Iterable[str]:
    """The answer to each question in a form that can be compared; an event stands where it came, or at the end."""
    asked = iter(["{", *questions, "{"])
    events: list[str] = []
    late: list[str] = []
    for line in output.split("\r\n"):
        message = json.loads(line) if line else {"QMP": None}
        if "event" in message:
            kept = late if message["event"] in AT_ANY_TIME else events
            kept.append(f"{message['event']} {json.dumps(message.get('data'))}\n")
        elif "QMP" not in message:
            yield "".join(events) + comparable(next(asked), message)
            events = []
    yield "".join((*events, *late))


def comparable(question: str, reply: dict[str, Any]) -> str:
    """A reply as text, without what is not determined."""
    value = reply.get("return")
    if not question.startswith("{") and isinstance(value, str):
        lines = value.splitlines(keepends=True)
        value = "".join(line for line in lines if "(chardev-stdio)" not in line and "(irq)" not in line)  # theirs alone
        value = re.sub(r"thread_id=\d+", "thread_id=", value)
        value = re.sub(r" 0x0000[0-9a-f]{12}  r", " HVA  r", value)
        return "\r\n\r\n".join(sections(value)) if question.startswith("info mtree") else value
    if "query-iothreads" in question and isinstance(value, list):
        for thread in value:
            thread.pop("thread-id")
    if "query-cpus-fast" in question and isinstance(value, list):
        for cpu in value:
            cpu.pop("thread-id")
            cpu.pop("type", None)  # ours alone
    if "query-machines" in question and isinstance(value, list):
        reply["return"] = sorted(
            (without_ours(known) for known in value if known["name"] in MACHINES), key=lambda known: str(known["name"])
        )
    if isinstance(value, list) and value and "qom-list" in question and '"/objects"' not in question:
        reply["return"] = sorted(members(question, value), key=lambda member: str(member["name"]))
    return json.dumps(reply, sort_keys=True)


def members(question: str, found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of devices and machines we have the children, not all properties; of backends all, and some of newer QEMUs."""
    if "qom-list-" in question or "objects" in question:
        return [member for member in found if member["name"] not in NEWER]
    return [member for member in found if member["type"].startswith("child<") and member["name"] != "compat_monitor0"]


def sections(text: str) -> list[str]:
    """The sections of `info mtree`, whose order changes from run to run, as do the numbers and names at their heads."""
    found = []
    for section in text.split("\r\n\r\n"):
        lines = re.sub(r"^FlatView #\d+", "FlatView", section).splitlines(keepends=True)
        heads = [line for line in lines if re.match(r'address-space: | AS "', line)]
        found.append("".join(sorted(heads) + [line for line in lines if line not in heads]))
    return sorted(found)


# Comparing


def compare(
    record: str | None,
    arch: str,
    options: str,
    questions: Sequence[str],
    folder: Path,
    files: Mapping[str, int] | None = None,
    release: str = REFERENCE,
    quiet: Sequence[str] = QUIET,
) -> Outcome:
    """Assert that both answer alike; returns our outcome. `files` are made, with these sizes, where each runs; `quiet`
    is what is added to the options.

    `release` is the QEMU to compare with. `record` names the file of recorded answers; it is empty where they depend on the host (its CPUs, its NUMA nodes).
    """
    for name, size in (files or {}).items():
        for side in ("theirs", "ours"):
            path = folder / side / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
            os.truncate(path, size)
    words = shlex.split(options)
    program = qemu(arch, release)
    if record and release != REFERENCE:
        record = f"{record}-{release}"
    theirs = start([program, *words, *quiet], folder / "theirs") if program else None
    ours = start(our_command(arch, [*words, *quiet], release), folder / "ours")
    outcome = finish(ours, questions, "ramslot")
    outcome.errors = outcome.errors.replace(f"{folder}/ours/", "")
    found = texts(outcome)
    key = f"{arch} {options} | {digest(chr(10).join(questions))}"
    if theirs is None:
        assert record is not None
        expected = recall(record, key)
        found = [shorten(text) for text in found]
    else:
        answered = finish(theirs, questions, f"qemu-system-{arch}")
        answered.errors = answered.errors.replace(f"{folder}/theirs/", "")
        expected = texts(answered)
        if program and ended_too_soon(expected, found):
            again = finish(start([program, *words, *quiet], folder / "theirs"), questions, f"qemu-system-{arch}")
            again.errors = again.errors.replace(f"{folder}/theirs/", "")
            expected = texts(again)
        if record:
            recording.setdefault(record, {})[key] = [shorten(text) for text in expected]
    names = ["status", "stderr", "negotiation", *questions, "quit", "end"]
    rows = [row for row in zip_longest(names, expected, found, fillvalue="") if row[1] != row[2]]
    # Where only one of them starts, what only that one answers does not help.
    report = "\n".join(difference(*row) for row in (rows[:2] if expected[0] != found[0] else rows))
    assert not report, f"qemu-system-{arch} {options}\n{report}"
    return outcome


def ended_too_soon(expected: list[str], found: list[str]) -> bool:
    """Whether QEMU differs only in events for which it may have found no time before its end."""
    return expected[:-1] == found[:-1] and expected[-1] != found[-1] and found[-1].startswith(AT_ANY_TIME)


def texts(outcome: Outcome) -> list[str]:
    """Everything that is compared."""
    return [str(outcome.status), outcome.errors, *outcome.replies]


def difference(name: str, expected: str, found: str) -> str:
    lines = difflib.unified_diff(
        expected.splitlines(keepends=True), found.splitlines(keepends=True), "QEMU", "ramslot", n=0
    )
    return f"--- {name}\n" + "\n".join(line.rstrip("\r\n") for line in lines)


# Recorded answers


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def shorten(text: str) -> str:
    return text if len(text) <= LONGEST_KEPT else f"sha256 {digest(text)}"


@cache
def load(record: str) -> dict[str, list[str]]:
    path = RECORDED / f"{record}.json"
    known: dict[str, list[str]] = json.loads(path.read_text()) if path.exists() else {}
    return known


def recall(record: str, key: str) -> list[str]:
    kept = load(record).get(key) if record else None
    if kept is None:
        pytest.skip("this QEMU is not installed and its answers were not recorded")
    return kept


def write_recordings() -> None:
    """Keep what this session has learnt, one line per case; cases that were not asked are dropped with their file."""
    RECORDED.mkdir(exist_ok=True)
    for record, cases in recording.items():
        lines = [f"{json.dumps(key)}: {json.dumps(kept)}" for key, kept in sorted(cases.items())]
        (RECORDED / f"{record}.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")
