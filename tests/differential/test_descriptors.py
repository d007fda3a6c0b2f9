"""Sets of descriptors (add-fd), asked of real QEMU and of ramslot over a socket that descriptors come along on."""

from __future__ import annotations

import array
import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from .oracle import OUR_ENVIRONMENT, RELEASES, our_command, qemu

Ask = tuple[str, str | None, dict[str, Any]]


class Client:
    """One client on a socket."""

    def __init__(self, path: Path) -> None:
        deadline = time.monotonic() + 30
        self.socket = socket.socket(socket.AF_UNIX)
        while self.socket.connect_ex(str(path)):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        self.lines = self.socket.makefile("rb")
        self.lines.readline()
        self.ask("qmp_capabilities")

    def ask(self, command: str, sent: int | None = None, /, **arguments: Any) -> Any:
        data = json.dumps({"execute": command, "arguments": arguments}).encode()
        rights = [] if sent is None else [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [sent]))]
        self.socket.sendmsg([data], rights)
        while True:
            answer = json.loads(self.lines.readline())
            if "event" not in answer:
                return answer.get("return", answer.get("error"))

    def close(self) -> None:
        self.lines.close()
        self.socket.close()


@contextmanager
def client(
    kind: str, release: str, folder: Path, arguments: Sequence[str], fds: Sequence[int] = ()
) -> Iterator[Client]:
    path = folder / f"qmp-{kind}"
    options = [*arguments, "-display", "none", "-nodefaults", "-S", "-qmp", f"unix:{path},server=on,wait=off"]
    command = our_command("x86_64", options, release)
    if kind == "real":
        program = qemu("x86_64", release)
        if program is None:
            pytest.skip(f"there is no QEMU {release}")
        command = [program, *options]
    process = subprocess.Popen(command, env=OUR_ENVIRONMENT, pass_fds=fds, cwd=folder)
    made = None
    try:
        made = Client(path)
        yield made
    finally:
        if made is not None:
            made.close()
        process.kill()
        process.wait()


def renumbered(answer: Any, known: dict[int, int]) -> Any:
    """An answer whose descriptors go by the order in which they were told first."""
    if isinstance(answer, list):
        return [renumbered(each, known) for each in answer]
    if isinstance(answer, dict):
        numbered = {name: renumbered(value, known) for name, value in answer.items()}
        if isinstance(answer.get("fd"), int):
            numbered["fd"] = known.setdefault(answer["fd"], len(known))
        return numbered
    return answer


ASKS: list[Ask] = [
    ("add-fd", None, {}),
    ("add-fd", "rw", {}),
    ("add-fd", "rw", {"fdset-id": 7, "opaque": "x"}),
    ("add-fd", "r", {"fdset-id": 7}),
    ("add-fd", "r", {"fdset-id": -1}),
    ("add-fd", "r", {}),
    ("add-fd", "w", {"fdset-id": 9, "opaque": ""}),
    ("query-fdsets", None, {}),
    ("remove-fd", None, {"fdset-id": 99}),
    ("remove-fd", None, {"fdset-id": 7, "fd": 999}),
    ("remove-fd", None, {"fdset-id": 7, "fd": -1}),
    ("remove-fd", None, {"fdset-id": 7}),
    ("query-fdsets", None, {}),
    ("remove-fd", None, {"fdset-id": 7}),
    ("migrate", None, {"uri": "file:/dev/fdset/0"}),
    ("query-migrate", None, {}),
    ("migrate", None, {"uri": "file:/dev/fdset/99"}),
    ("migrate", None, {"uri": "file:/dev/fdset/x"}),
    ("migrate", None, {"uri": "file:/dev/fdset/"}),
    ("migrate", None, {"uri": "file:/dev/fdset/9x"}),
    ("query-fdsets", None, {}),
    ("pmemsave", None, {"val": 0, "size": 10, "filename": "/dev/fdset/9"}),
    *(
        ("dump-guest-memory", None, {"paging": False, "protocol": f"file:/dev/fdset/{name}"})
        for name in ("0", "1", "99", "x", "9")
    ),
    ("add-fd", "r", {"fdset-id": 3}),
    ("query-fdsets", None, {}),
    ("cont", None, {}),
    ("remove-fd", None, {"fdset-id": 3}),
    ("query-fdsets", None, {}),
]
MODES = {"r": os.O_RDONLY, "w": os.O_WRONLY, "rw": os.O_RDWR}


@pytest.mark.parametrize("release", RELEASES)
def test_sets_are_kept_and_told_as_qemus_are(release: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    given = {mode: os.open(tmp_path / "file", flags) for mode, flags in MODES.items()}
    found = []
    try:
        for kind in ("real", "ours"):
            known: dict[int, int] = {}
            with client(kind, release, tmp_path, ["-M", "none"]) as asked:
                answers = [asked.ask(name, given[mode] if mode else None, **more) for name, mode, more in ASKS]
            found.append([renumbered(answer, known) for answer in answers])
    finally:
        for fd in given.values():
            os.close(fd)
    for ask, theirs, mine in zip(ASKS, *found, strict=True):
        assert theirs == mine, ask


@pytest.mark.parametrize("release", ["10.0", "11.1"])
@pytest.mark.parametrize(("source", "destination"), [("ours", "real"), ("real", "ours"), ("ours", "ours")])
def test_a_machine_goes_by_a_set(source: str, destination: str, release: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"hello" * 2000)
    writing, reading = os.open(path, os.O_WRONLY), os.open(path, os.O_RDONLY)
    try:
        with client(source, release, tmp_path, ["-M", "none", "-m", "1"]) as asked:
            asked.ask("add-fd", reading, **{"fdset-id": 4})
            asked.ask("add-fd", writing, **{"fdset-id": 4})
            assert asked.ask("migrate", uri="file:/dev/fdset/4,offset=100") == {}
            while asked.ask("query-migrate")["status"] != "completed":
                time.sleep(0.01)
        assert path.read_bytes()[:104] == b"hello" * 20 + b"QEVM"
        with client(destination, release, tmp_path, ["-M", "none", "-m", "1", "-incoming", "defer"]) as asked:
            asked.ask("add-fd", writing, **{"fdset-id": 4})
            asked.ask("add-fd", reading, **{"fdset-id": 4})
            assert asked.ask("migrate-incoming", uri="file:/dev/fdset/4,offset=100") == {}
            while asked.ask("query-migrate")["status"] != "completed":
                time.sleep(0.01)
    finally:
        os.close(writing)
        os.close(reading)


@pytest.mark.parametrize("release", RELEASES)
def test_descriptors_that_were_inherited_are_in_sets(release: str, tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_RDONLY)
    os.set_inheritable(fd, True)
    given = ["-M", "none", "-add-fd", f"fd={fd},set=1,opaque=x", "-add-fd", f"fd={fd:#x},set=0"]
    found = []
    try:
        for kind in ("real", "ours"):
            known: dict[int, int] = {}
            with client(kind, release, tmp_path, given, [fd]) as asked:
                found.append(renumbered(asked.ask("query-fdsets"), known))
    finally:
        os.close(fd)
    assert found[0] == found[1] != []


WRONG = (
    "fd=99,set=1",
    "fd=0,set=1",
    "fd=3",
    "set=1",
    "fd=-1,set=1",
    "fd=x,set=1",
    "fd=99999999999,set=1",
    "fd=9,foo=1",
    "",
)


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("value", WRONG)
def test_descriptors_that_are_none_are_refused_alike(value: str, release: str) -> None:
    program = qemu("x86_64", release)
    if program is None:
        pytest.skip(f"there is no QEMU {release}")
    found = []
    for command in ([program], our_command("x86_64", [], release)):
        told = subprocess.run(
            [*command, "-M", "none", "-display", "none", "-add-fd", value],
            env=OUR_ENVIRONMENT,
            capture_output=True,
            text=True,
            timeout=60,
            stdin=subprocess.DEVNULL,
        )
        found.append((told.returncode, told.stderr.partition(": ")[2]))
    assert found[0] == found[1]
