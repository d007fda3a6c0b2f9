"""`ramslot attach` in scripts, and at what is no QEMU, or none that behaves."""

from __future__ import annotations

import json
import random
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ..differential.attached import MACHINES, RELEASES, ask, running
from .program import ENVIRONMENT, Program

PATIENCE = 60


def attach(*arguments: str, script: str = "") -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "ramslot", "attach", *arguments],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        input=script,
        timeout=PATIENCE,
    )
    assert "Traceback" not in done.stderr
    assert "internal error" not in done.stderr
    return done


@pytest.mark.parametrize("release", RELEASES)
def test_lines_and_scripts(tmp_path: Path, release: str) -> None:
    script = tmp_path / "s"
    script.write_text('# a comment\ninfo status\n{"execute": "query-name",\n "id": 1}\nquery-status\n')
    with running("pc", release) as (address, process):
        done = attach(address, "-c", "info map", "-c", "why 0xc0000", "-script", str(script))
        assert (done.returncode, done.stderr) == (0, "")
        assert "0xc0000 is pc.rom + 0x0 (rom)" in done.stdout
        assert 'VM status: paused (prelaunch)\n{"return": {}, "id": 1}\n{\n' in done.stdout
        assert attach(address, script="info status\n").stdout == "VM status: paused (prelaunch)\n"
        done = attach(address, "-c", "info nonsense", "-c", "info status")
        assert (done.returncode, done.stdout) == (1, "")
        assert "unknown command: 'info nonsense'" in done.stderr
        done = attach(address, "-keep-going", "-c", "info nonsense", "-c", "info status")
        assert (done.returncode, done.stdout) == (1, "VM status: paused (prelaunch)\n")
        assert attach(address, "-c", "quit", "-c", "info status").stdout == ""
        assert attach("-pid", str(process.pid), "-c", "info diff").stdout.startswith("equal to what ramslot shows")
        assert attach(address, "-c", "info map | grep -c pc.rom").stdout == "1\n"
        assert json.loads(attach(address, "-c", "-j why 0").stdout)["ramblock"]["name"] == "pc.ram"
        done = attach(address, "-write", "-c", "mark", "-c", "object_add memory-backend-ram,id=x,size=1M", "-c", "diff")
        assert done.stdout.startswith("--- info ramblock (mark)\n+++ info ramblock (now)")
        done = attach(address, "-c", "help why", "-c", "help info map")
        assert done.stdout.startswith("why address [address-space] -- explain what is at a guest address")
        assert "info map [--output" in done.stdout
        assert attach(address, "-c", 'assert query-status $.status == "prelaunch"').returncode == 0


def test_json_is_one_value_a_line() -> None:
    lines = ("info mtree -f", "info ramblock", "info numa", "info map", "why 0", "info status", "query-kvm", "info pic")
    with running("pc", "7.2") as (address, _):
        done = attach(address, "--json", *(word for line in lines for word in ("-c", line)))
    answers = [json.loads(line)["return"] for line in done.stdout.splitlines()]
    assert len(answers) == len(lines)
    assert answers[0][0]["address-spaces"]
    assert answers[1][0]["name"] == "pc.ram"
    assert answers[3][0]["ramblock"] == "pc.ram"
    assert answers[4]["backend"]["type"] == "memory-backend-ram"
    assert answers[5]["status"] == "prelaunch"
    assert "irr=" in answers[7]
    assert answers[6]["present"] in (True, False)


def test_nothing_changes_without_being_asked() -> None:
    with running("none", "11.1") as (address, process):
        for line in ("cont", '{"execute": "cont"}', "object-del id=ram", 'human-monitor-command command-line="cont"'):
            done = attach(address, "-c", line)
            assert done.returncode == 1
            assert "is not sent: attached to read only" in done.stderr
            assert "hint: -write (or --write) lets it through" in done.stderr
        assert attach(address, "-c", "query-status").stdout.count("prelaunch") == 1
        assert attach(address, "-write", "-c", "cont").returncode == 0
        assert ask(address, '{"execute": "query-status"}')[0]["status"] == "running"
        assert attach(address, "-write", "-c", '{"execute": "quit"}').stdout == '{"return": {}}\n'
        assert process.wait(PATIENCE) == 0


@pytest.mark.parametrize("release", RELEASES)
def test_all_that_only_reads_leaves_qemu_as_it_was(release: str) -> None:
    state = (
        "info qom-tree",
        "info mtree -D",
        "info ramblock",
        "info status",
        "info chardev",
        "info migrate_parameters",
    )
    with running("pc", release) as (address, process):
        schema = ask(address, '{"execute": "query-qmp-schema"}')[0]
        types = {each["name"]: each for each in schema}
        names = sorted(
            each["name"]
            for each in schema
            if each["meta-type"] == "command"
            and each["name"].startswith(("query-", "x-query-"))
            and all("default" in member for member in types[each["arg-type"]].get("members", ()))
        )
        assert len(names) > 50
        before = ask(address, *state)
        done = attach(
            address, "-keep-going", *(word for name in names for word in ("-c", json.dumps({"execute": name})))
        )
        refused = [line for line in done.stderr.splitlines() if "is not sent" in line]
        assert len(refused) == names.count("query-rx-filter")
        assert ask(address, *state) == before
        assert process.poll() is None


def test_the_monitor_of_another_ramslot_answers_for_itself(launch: Callable[..., Program]) -> None:
    program = launch(machine="pc")
    program.client().close()
    address = f"unix:{program.folder}/qmp.sock"
    done = attach(address, "-c", "info map", "-c", "info memslots", "-c", "query-memslots")
    assert done.returncode == 0
    assert "derived" not in done.stdout
    assert "accelerator: sim" in done.stdout
    assert attach(address, "-c", "guest_policy accept").returncode == 1


@pytest.mark.parametrize("machine", MACHINES)
def test_a_pretty_monitor_and_one_before_its_machine(machine: str, tmp_path: Path) -> None:
    with running(machine, "7.2", "-qmp-pretty", f"unix:{tmp_path}/p,server=on,wait=off") as _:
        assert attach(f"unix:{tmp_path}/p", "-c", "info map", "-c", "info status").returncode == 0
    with running("none", "7.2", "-preconfig") as (address, _):
        done = attach(address, "-c", "query-status", "-c", "info map")
        assert '"status"' in done.stdout
        assert "permitted only after machine initialization has completed" in done.stderr


def test_sockets_of_another_kind_are_told(tmp_path: Path) -> None:
    more = ("-monitor", f"unix:{tmp_path}/h,server=on,wait=off", "-qtest", f"unix:{tmp_path}/t,server=on,wait=off")
    with running("none", "7.2", *more) as (address, _):
        assert "this is a human monitor" in attach(f"unix:{tmp_path}/h", "-c", "info status").stderr
        assert "does not greet" in attach(f"unix:{tmp_path}/t", "-wait", "0.5", "-c", "info status").stderr
        assert "no such socket" in attach(f"unix:{tmp_path}/n", "-c", "info status").stderr
        (tmp_path / "f").write_text("")
        assert "nobody listens there" in attach(f"unix:{tmp_path}/f", "-c", "info status").stderr
        with socket.socket(socket.AF_UNIX) as other:
            other.connect(address.removeprefix("unix:"))
            other.recv(100)
            done = attach(address, "-wait", "0.5", "-c", "info status")
            assert done.returncode == 1
            assert "'ramslot mux' serves several" in done.stderr
        assert attach(address, "-c", "info status").returncode == 0


def test_what_is_asked_for_wrongly(tmp_path: Path) -> None:
    assert attach().returncode == 1
    assert attach("--help").returncode == 0
    assert "info map" in attach("--help").stdout
    for words in (("nowhere",), ("-pid", "x"), ("unix:/x", "unix:/y"), ("unix:/x", "-bad")):
        done = attach(*words)
        assert done.returncode == 1
        assert done.stderr.startswith(("ramslot: attach: ", "__main__.py: attach: "))
    with running("none", "7.2") as (address, _):
        assert "cannot read script" in attach(address, "-script", str(tmp_path / "none")).stderr


def test_qemu_ends_meanwhile() -> None:
    with running("none", "7.2") as (address, process):
        child = subprocess.Popen(
            [sys.executable, "-m", "ramslot", "attach", address],
            env=ENVIRONMENT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write("info status\n")
        child.stdin.flush()
        assert child.stdout.readline() == "VM status: paused (prelaunch)\n"
        process.kill()
        assert child.wait(PATIENCE) == 1  # while its script goes on
        _, errors = child.communicate()
        assert "QEMU has ended, or has closed the connection" in errors
        assert "Traceback" not in errors


# Something that is no QEMU and pretends to be one

GREETING = {"QMP": {"version": {"qemu": {"micro": 0, "minor": 2, "major": 7}, "package": ""}, "capabilities": ["oob"]}}
VERSION = {"qemu": {"micro": 0, "minor": 2, "major": 7}, "package": ""}
STRANGE: tuple[Any, ...] = (None, 1, "x", [], {}, [1], [{}], {"qemu": 1}, [{"name": 1}], "address-space: x\n", VERSION)


class Impostor:
    """Answers requests with what it is given, or with strange things; ends when it has no client."""

    def __init__(self, path: Path, answer: Callable[[dict[str, Any]], bytes], greeting: bytes | None = None) -> None:
        self._answer = answer
        self._greeting = json.dumps(GREETING).encode() + b"\r\n" if greeting is None else greeting
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self) -> None:
        connection, _ = self._listener.accept()
        with self._listener, connection, connection.makefile("rb") as file:
            try:
                connection.sendall(self._greeting)
                for line in file:
                    connection.sendall(self._answer(json.loads(line)))
            except OSError:
                pass


@pytest.fixture
def impostor(tmp_path: Path) -> Iterator[Callable[..., str]]:
    started: list[Impostor] = []

    def start(answer: Callable[[dict[str, Any]], bytes], greeting: bytes | None = None) -> str:
        path = tmp_path / f"i{len(started)}"
        started.append(Impostor(path, answer, greeting))
        return f"unix:{path}"

    yield start
    for each in started:
        each.thread.join(PATIENCE)


def reply(request: dict[str, Any], value: Any) -> bytes:
    return json.dumps({"return": value, "id": request["id"]}).encode() + b"\r\n"


@pytest.mark.parametrize("seed", range(12))
def test_strange_answers_end_in_words(impostor: Callable[..., str], seed: int) -> None:
    chance = random.Random(seed)
    good = {"query-version": VERSION, "query-commands": [{"name": "query-version"}], "qom-get": "pc-i440fx-7.2-machine"}

    def answer(request: dict[str, Any]) -> bytes:
        known = good.get(request["execute"])
        value = known if known is not None and chance.random() < 0.9 else chance.choice(STRANGE)
        noise = chance.choice((b"", b"", b"", b"[1, 2]\r\n", b'{"event": 1}\r\n', b'{"return": 1, "id": 9999}\r\n'))
        return noise + reply(request, value)

    lines = ("info map", "why 0", "info memslots -v", "query-numa", "info compat x", "info diff -M pc", "query-mtree")
    done = attach(impostor(answer), "-keep-going", "-wait", "5", *(word for line in lines for word in ("-c", line)))
    assert done.returncode == 1
    assert done.stderr


@pytest.mark.parametrize(
    "greeting", [b"hello\r\n", b"{}\r\n", b'{"QMP": 1}\r\n', b"[" * 5000, b"\xff\xfe\0", b'{"QMP": {}}\r\n']
)
def test_strange_greetings(impostor: Callable[..., str], greeting: bytes) -> None:
    done = attach(impostor(lambda request: reply(request, None), greeting), "-wait", "0.5", "-c", "info status")
    assert done.returncode == 1
    assert "attach: unix:" in done.stderr
