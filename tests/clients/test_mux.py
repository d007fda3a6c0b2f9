"""`ramslot mux` between real QEMUs and several clients at once, good ones and bad ones."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ..differential.attached import PATIENCE, RELEASES, ask, running, wait_for_socket
from .program import ENVIRONMENT, wait_for


class Client:
    """A connection that was greeted, and negotiated unless told otherwise."""

    def __init__(self, path: Path, *, negotiate: bool = True, oob: bool = False) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(PATIENCE)
        self.socket.connect(str(path))
        self.file = self.socket.makefile("rb")
        self.events: list[dict[str, Any]] = []
        self.greeting = self.file.readline()
        if negotiate:
            arguments = {"enable": ["oob"]} if oob else {}
            assert self.ask("qmp_capabilities", **arguments) == {"return": {}}

    def send(self, *messages: dict[str, Any]) -> None:
        self.socket.sendall(b"".join(json.dumps(message).encode() for message in messages))

    def line(self) -> bytes:
        """The next reply as it came."""
        while True:
            line = self.file.readline()
            message = json.loads(line) if line else {}
            if "event" not in message:
                return line
            self.events.append(message)

    def reply(self) -> Any:
        return json.loads(self.line())

    def ask(self, command: str, **arguments: Any) -> Any:
        self.send({"execute": command, "arguments": arguments})
        return self.reply()

    def event(self) -> str:
        """The name of the next event; replies may not come before it."""
        if self.events:
            return str(self.events.pop(0)["event"])
        return str(json.loads(self.file.readline())["event"])

    def close(self) -> None:
        self.file.close()
        self.socket.close()


class Mux:
    """A mux of two sockets in a folder, `all` and `look`, of which the second is read-only."""

    def __init__(self, address: str, folder: Path) -> None:
        self.all, self.look = folder / "all", folder / "look"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "ramslot", "mux", address, f"unix:{self.all}", f"unix:{self.look},access=read-only"],
            env=ENVIRONMENT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.clients: list[Client] = []
        wait_for_socket(self.all, self.process)  # type: ignore[arg-type]  # of text, which is only shown
        wait_for_socket(self.look, self.process)  # type: ignore[arg-type]

    def client(self, path: Path | None = None, **options: Any) -> Client:
        self.clients.append(Client(path or self.all, **options))
        return self.clients[-1]

    def close(self) -> None:
        for client in self.clients:
            client.close()
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def mux(tmp_path: Path) -> Iterator[Callable[[str], Mux]]:
    started: list[Mux] = []

    def start(address: str) -> Mux:
        started.append(Mux(address, tmp_path))
        return started[-1]

    yield start
    for each in started:
        each.close()


@pytest.mark.parametrize("release", RELEASES)
def test_several_clients_have_ids_of_their_own(mux: Callable[[str], Mux], release: str) -> None:
    with running("none", release) as (address, _):
        served = mux(address)
        clients = [served.client() for _ in range(5)]
        names = ["query-status", "query-name", "query-version", "query-kvm", "nonsense"]
        for client in clients:
            client.send(*({"execute": name, "id": number} for number, name in enumerate(names)))
        answers = [[client.reply() for _ in names] for client in clients]
        assert all(each == answers[0] for each in answers)
        assert [answer["id"] for answer in answers[0]] == list(range(len(names)))
        assert answers[0][0]["return"]["status"] == "prelaunch"
        assert answers[0][4]["error"]["class"] == "CommandNotFound"
        for request_id in (None, "a", {"b": [1]}, 1.5, True):
            clients[0].send({"execute": "query-kvm", "id": request_id})
            assert clients[0].reply()["id"] == request_id
        clients[0].send({"execute": "query-kvm"})
        assert "id" not in clients[0].reply()


ASKED: tuple[dict[str, Any], ...] = (
    {"execute": "query-version", "id": 1},
    {"execute": "query-qmp-schema"},
    {"execute": "query-memdev", "id": "x"},
    {"execute": "human-monitor-command", "arguments": {"command-line": "info mtree"}},
    {"execute": "qom-get", "arguments": {"path": "/machine", "property": "none"}, "id": [1]},
    {"execute": "object-add", "arguments": {"qom-type": "memory-backend-ram", "id": "ram", "size": 4096}},
    {"execute": "nonsense"},
    {"arguments": {}},
    {"execute": 1},
    {"execute": "qmp_capabilities"},
    {"execute": "query-kvm", "bad": 1},
)


@pytest.mark.parametrize("release", RELEASES)
def test_answers_are_those_of_qemu_to_the_byte(mux: Callable[[str], Mux], release: str) -> None:
    with running("none", release) as (address, _):
        direct = Client(Path(address.removeprefix("unix:")))
        expected = [direct.greeting]
        for request in ASKED:
            direct.send(request)
            expected.append(direct.line())
        direct.close()
        client = mux(address).client()
        found = [client.greeting]
        for request in ASKED:
            client.send(request)
            found.append(client.line())
        assert found == expected


def test_events_go_to_all_who_negotiated(mux: Callable[[str], Mux]) -> None:
    with running("none", "7.2") as (address, _):
        served = mux(address)
        first, second, looking = served.client(), served.client(), served.client(served.look)
        early = served.client(negotiate=False)
        assert first.ask("cont") == {"return": {}}
        assert [each.event() for each in (first, second, looking)] == ["RESUME"] * 3
        assert early.ask("query-status")["error"]["class"] == "CommandNotFound"
        assert early.ask("qmp_capabilities") == {"return": {}}
        assert not early.events
        assert first.ask("stop") == {"return": {}}
        assert [each.event() for each in (first, second, looking, early)] == ["STOP"] * 4


def test_who_may_only_read_changes_nothing(mux: Callable[[str], Mux]) -> None:
    with running("none", "11.1") as (address, process):
        looking = mux(address).client()
        assert "return" in looking.ask("query-status")
        looking = Client(Path(str(looking.socket.getpeername())).with_name("look"))
        for command, arguments in (
            ("quit", {}),
            ("cont", {}),
            ("human-monitor-command", {"command-line": "cont"}),
            ("human-monitor-command", {"command-line": "  i /1 0"}),
            ("pmemsave", {"val": 0, "size": 1, "filename": "x"}),
            ("getfd", {"fdname": "x"}),
        ):
            assert "attached to read only" in looking.ask(command, **arguments)["error"]["desc"]
        assert looking.ask("query-status")["return"]["status"] == "prelaunch"
        assert "VM status" in looking.ask("human-monitor-command", **{"command-line": "info status"})["return"]
        assert process.poll() is None
        looking.close()


def test_a_client_that_dies_within_a_command_harms_nobody(mux: Callable[[str], Mux]) -> None:
    with running("none", "7.2") as (address, process):
        served = mux(address)
        good = served.client()
        process.send_signal(signal.SIGSTOP)
        for _ in range(10):
            with socket.socket(socket.AF_UNIX) as connection:
                connection.connect(str(served.all))
                connection.recv(4096)
                connection.sendall(b'{"execute": "qmp_capabilities"}{"execute": "query-qmp-schema", "id": 7}' * 3)
        good.send({"execute": "query-status", "id": 7})
        process.send_signal(signal.SIGCONT)
        assert good.reply() == {"return": ask_status(good), "id": 7}


def ask_status(client: Client) -> Any:
    return client.ask("query-status")["return"]


def test_who_does_not_read_waits_alone(mux: Callable[[str], Mux]) -> None:
    with running("none", "7.2") as (address, _):
        served = mux(address)
        slow, good = served.client(), served.client()
        slow.socket.setblocking(False)
        request = json.dumps({"execute": "query-qmp-schema"}).encode()
        sent = 0
        for _ in range(1000):
            try:
                sent += slow.socket.send(request)
            except BlockingIOError:
                break
        for _ in range(20):
            assert "return" in good.ask("query-status")
        with open(f"/proc/{served.process.pid}/statm") as file:
            assert int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE") < 128 << 20
        slow.socket.settimeout(PATIENCE)
        for _ in range(min(20, sent // len(request))):
            assert "return" in slow.reply()


@pytest.mark.parametrize("way", ["kill", "quit"])
def test_the_end_of_qemu_is_the_end_of_all(mux: Callable[[str], Mux], way: str) -> None:
    with running("none", "11.1") as (address, process):
        served = mux(address)
        first, second, early = served.client(), served.client(), served.client(negotiate=False)
        if way == "kill":
            process.kill()
        else:
            assert first.ask("quit") == {"return": {}}
            assert second.event() == "SHUTDOWN"
        for client in (first, second, early):
            wait_for(lambda client=client: client.file.readline() == b"", "end of the connection")  # type: ignore[misc]
        assert served.process.wait(PATIENCE) == (1 if way == "kill" else 0)
        assert served.process.stderr is not None
        said = served.process.stderr.read()
        assert ("QEMU has ended" in said) == (way == "kill")
        assert "Traceback" not in said
        assert not served.all.exists()


def test_the_end_of_the_mux_leaves_qemu_to_the_next(mux: Callable[[str], Mux]) -> None:
    with running("none", "7.2") as (address, _):
        served = mux(address)
        client = served.client()
        served.process.terminate()
        assert client.file.read() == b""
        assert served.process.wait(PATIENCE) == 0
        assert ask(address, '{"execute": "query-status"}')[0]["status"] == "prelaunch"


@pytest.mark.parametrize("release", ["5.2", "11.1"])
def test_descriptors_are_passed_on(mux: Callable[[str], Mux], release: str, tmp_path: Path) -> None:
    with running("none", release) as (address, _):
        client = mux(address).client()
        file = tmp_path / "f"
        file.write_bytes(b"")
        with file.open("rb") as opened:
            message = json.dumps({"execute": "getfd", "arguments": {"fdname": "f"}}).encode()
            socket.send_fds(client.socket, [message], [opened.fileno()])
            assert client.reply() == {"return": {}}
        assert client.ask("closefd", fdname="f") == {"return": {}}
        assert client.ask("closefd", fdname="f")["error"]["desc"] == "File descriptor named 'f' not found"
        assert "No file descriptor supplied" in client.ask("getfd", fdname="g")["error"]["desc"]


def test_out_of_band(mux: Callable[[str], Mux]) -> None:
    with running("none", "11.1") as (address, _):
        served = mux(address)
        client, without = served.client(oob=True), served.client()
        client.send({"exec-oob": "query-status", "id": 1})
        assert client.reply()["error"]["desc"] == "The command query-status does not support OOB"
        client.send({"exec-oob": "migrate-recover", "arguments": {"uri": "tcp:127.0.0.1:1"}, "id": 2})
        answer = client.reply()
        assert answer["id"] == 2
        assert "ecover can only be run when postcopy is paused" in answer["error"]["desc"]
        without.send({"exec-oob": "migrate-recover", "arguments": {"uri": "x"}})
        assert "exec-oob" in without.reply()["error"]["desc"]


PIECES = (
    *(b'{"execute": "qmp_capabilities"}', b'{"execute": "query-status", "id": 1}', b'{"execute": "query-kvm"', b"}"),
    *(
        b"{",
        b"[",
        b'"',
        b"\\",
        b"\xff",
        b"\0",
        b"\n",
        b"null",
        b'{"execute": "nonsense"}',
        b'{"exec-oob": "x"}',
        b"1e9",
    ),
    *(b'{"execute": "human-monitor-command", "arguments": {"command-line": "info mtree"}}', b"[" * 2000, b"]" * 2000),
)


@pytest.mark.parametrize("seed", range(4))
def test_bad_clients_at_once(mux: Callable[[str], Mux], seed: int) -> None:
    chance = random.Random(seed)
    with running("none", chance.choice(RELEASES)) as (address, process):
        served = mux(address)
        good = served.client()
        bad: list[socket.socket] = []
        expected = ask_status(good)
        for number in range(300):
            if len(bad) < 12:
                bad.append(socket.socket(socket.AF_UNIX))
                bad[-1].connect(str(chance.choice((served.all, served.look))))
                bad[-1].setblocking(False)
            each = chance.choice(bad)
            try:
                each.send(chance.choice(PIECES) if chance.random() < 0.8 else chance.randbytes(chance.randrange(200)))
                if chance.random() < 0.5:
                    each.recv(1 << 16)
            except (BlockingIOError, BrokenPipeError, ConnectionResetError):
                pass
            if chance.random() < 0.1:
                bad.remove(each)
                each.close()
            if number % 20 == 0:
                assert ask_status(good) == expected
        for each in bad:
            each.close()
        assert ask_status(good) == expected
        assert process.poll() is None
        assert served.process.poll() is None
        descriptors = Path(f"/proc/{served.process.pid}/fd")
        wait_for(lambda: len(list(descriptors.iterdir())) < 16, "connections given back")
        served.process.send_signal(signal.SIGTERM)
        assert served.process.stderr is not None
        assert served.process.stderr.read() == ""


def test_tcp_with_any_port(tmp_path: Path) -> None:
    with running("none", "7.2") as (address, _):
        process = subprocess.Popen(
            [sys.executable, "-m", "ramslot", "mux", address, "tcp:127.0.0.1:0", "tcp:127.0.0.1:0,access=read-only"],
            env=ENVIRONMENT,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert process.stdout is not None
            places = [process.stdout.readline().strip() for _ in range(2)]
            assert places[1].endswith(",access=read-only")
            done = attach(places[0], "-write", "-c", "cont", "-c", "query-status")
            assert '"status": "running"' in done.stdout
            done = attach(places[1].partition(",")[0], "-write", "-c", "stop")
            assert done.returncode == 1
            assert "stop is not sent" in done.stderr
        finally:
            process.terminate()
            assert process.wait(PATIENCE) == 0
            process.communicate()


def attach(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ramslot", "attach", *arguments],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=PATIENCE,
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "usage:"),
        (("unix:/nowhere/q",), "expects an address to listen at"),
        (("unix:/nowhere/q", "unix:/tmp/x"), "there is no such socket"),
        (("unix:/nowhere/q", "unix:/tmp/x,access=all"), "'access=all' is no option"),
        (("unix:/nowhere/q", "unix:/tmp/x,bad=1"), "'bad' is no option"),
        (("qmp", "unix:/tmp/x"), "expects unix:PATH or tcp:HOST:PORT"),
    ],
)
def test_what_is_wrong_is_told(words: tuple[str, ...], said: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ramslot", "mux", *words], env=ENVIRONMENT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_place_that_cannot_be_had(tmp_path: Path) -> None:
    with running("none", "7.2") as (address, _):
        begun = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "ramslot", "mux", address, f"unix:{tmp_path}/no/such"],
            env=ENVIRONMENT,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert time.monotonic() - begun < 60
        assert done.returncode == 1
        assert "Failed to bind socket" in done.stderr
        assert ask(address, '{"execute": "query-status"}')
