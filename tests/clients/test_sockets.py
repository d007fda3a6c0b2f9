"""Clients on plain sockets: one after another, several at once, unix, tcp and inherited; and the ways it all ends."""

from __future__ import annotations

import os
import shlex
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ramslot.monitor.command_line.device_options import MON_DEPRECATED

from .program import ENVIRONMENT, QUIET, Client, Program, QMPError, is_listening, wait_for

Launch = Callable[..., Program]


def test_clients_one_after_another(launch: Launch) -> None:
    program = launch()
    for number in range(5):
        client = program.client()
        client.call("object-add", qom_type="memory-backend-ram", id=f"m{number}", size=4096)
        assert len(client.call("query-memdev")) == number + 1
        client.close()


def test_the_next_client_waits_for_the_one_before(launch: Launch) -> None:
    program = launch()
    first = program.client()
    waiting = program.connect()
    waiting.settimeout(0.2)
    with pytest.raises(TimeoutError):
        waiting.recv(1)
    first.close()
    assert Client(waiting).call("query-status")["status"] == "prelaunch"


def test_monitors_at_once_see_one_machine(launch: Launch) -> None:
    program = launch("-qmp", "unix:b.sock,server=on,wait=off", "-monitor", "unix:hmp.sock,server=on,wait=off")
    first, second, person = program.client(), program.client("b.sock"), program.connect("hmp.sock")
    first.call("object-add", qom_type="memory-backend-ram", id="m", size=4096)
    assert [memdev["id"] for memdev in second.call("query-memdev")] == ["m"]
    person.sendall(b"object_del m\ncont\n")
    assert second.event("RESUME") and first.event("RESUME")
    assert second.call("query-memdev") == []
    text = b""
    while text.count(b"(qemu) ") < 3:
        text += person.recv(4096)


def test_tcp_is_loopback_unless_told_otherwise(launch: Launch) -> None:
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        port = chosen.getsockname()[1]
    launch("-qmp", f"tcp::{port},server=on,wait=off", qmp=False)
    connection = socket.socket()
    wait_for(lambda: connection.connect_ex(("127.0.0.1", port)) == 0, "listener")
    assert Client(connection).call("query-name") == {}
    listening = Path("/proc/net/tcp").read_text() + Path("/proc/net/tcp6").read_text()
    addresses = [line.split()[1] for line in listening.splitlines() if f":{port:04X} " in line and " 0A " in line]
    assert all(address.startswith("0100007F") or address.endswith(f"01000000:{port:04X}") for address in addresses)


def test_inherited_socket_pair(launch: Launch) -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        number = theirs.fileno()
        program = launch(
            "-chardev", f"socket,id=mon,fd={number}", "-mon", "chardev=mon,mode=control", qmp=False, pass_fds=[number]
        )
    client = Client(ours)
    assert client.call("query-status")["running"] is False
    client.call("quit")
    assert client.at_end()
    status, output, errors = program.end()
    assert (status, output) == (0, "")
    assert errors.endswith(f"{MON_DEPRECATED}\n")


def test_inherited_listening_socket(launch: Launch, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "inherited.sock"))
        listener.listen()
        number = listener.fileno()
        program = launch(
            "-chardev", f"socket,id=charmonitor,fd={number},server=on,wait=off", "-mon",
            "chardev=charmonitor,id=monitor,mode=control", qmp=False, pass_fds=[number],
        )  # fmt: skip
        for _ in range(3):
            client = program.client("inherited.sock")
            assert client.call("query-version")["qemu"]["major"] == 11
            client.close()


def test_it_connects_to_a_driver_that_listens(launch: Launch, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "driver.sock"))
        listener.listen()
        launch("-chardev", "socket,path=driver.sock,id=c", "-mon", "chardev=c,mode=control", qmp=False)
        listener.settimeout(30)
        client = Client(listener.accept()[0])
        assert client.greeting["QMP"]["capabilities"] == ["oob"]


def test_unix_socket_is_the_owners_alone(launch: Launch, tmp_path: Path) -> None:
    program = launch(umask=0)
    program.client()
    assert stat.S_IMODE(os.stat(tmp_path / "qmp.sock").st_mode) == 0o600


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signals_end_it_cleanly(launch: Launch, tmp_path: Path, number: int) -> None:
    program = launch("-pidfile", "pid", "-qmp", "unix:b.sock,server=on,wait=off")
    client, other = program.client(), program.client("b.sock")
    client.call("object-add", qom_type="memory-backend-file", id="m", size=65536, mem_path=".")
    assert Path(tmp_path / "pid").read_text() == f"{program.process.pid}\n"
    assert program.end(number) == (0, "", "")
    for each in (client, other):
        assert each.event("SHUTDOWN")["data"] == {"guest": False, "reason": "host-signal"}
        assert each.at_end()
    assert os.listdir(tmp_path) == []


def test_quit_tells_all_clients(launch: Launch, tmp_path: Path) -> None:
    program = launch("-qmp", "unix:b.sock,server=on,wait=off")
    client, other = program.client(), program.client("b.sock")
    client.send(b'{"execute": "query-name"}{"execute": "quit", "id": 7}{"execute": "query-name", "id": 8}')
    assert client.reply() == {"return": {}}
    assert client.reply() == {"return": {}, "id": 7}
    assert client.at_end() and other.at_end()
    for each in (client, other):
        assert [event["data"]["reason"] for event in each.events if event["event"] == "SHUTDOWN"] == ["host-qmp-quit"]
    assert program.end() == (0, "", "")
    assert os.listdir(tmp_path) == []


def test_daemonize_returns_when_all_is_there(launch: Launch, tmp_path: Path) -> None:
    options = ["-M", "none", *QUIET, "-qmp", "unix:qmp.sock,server=on,wait=off", "-pidfile", "pid", "-daemonize"]
    subprocess.run([sys.executable, "-m", "ramslot", *options], cwd=tmp_path, env=ENVIRONMENT, check=True, timeout=30)
    pid = int((tmp_path / "pid").read_text())
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(tmp_path / "qmp.sock"))
        client = Client(connection)
        assert os.getsid(pid) != os.getsid(0)
        client.call("quit")
        assert client.at_end()
        client.close()
    wait_for(lambda: not os.listdir(tmp_path), "clean folder")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ("-qmp unix:absent/x.sock,server=on,wait=off", "Failed to bind socket to absent/x.sock: No such file or directory"),
        ("-object memory-backend-ram,id=m,size=0", "doesn't take value '0'"),
        ("-M none,memory-backend=x -qmp unix:a.sock,server=on,wait=off", "Memory backend 'x' not found"),
        ("-daemonize -pidfile pid -M none,memory-backend=x -qmp unix:a.sock,server=on,wait=off", "Memory backend 'x' not found"),
        ("-pidfile absent/pid", "cannot create PID file"),
        ("-smp 2 -pidfile pid", "Invalid SMP CPUs 2"),
    ],
)  # fmt: skip
def test_a_refused_start_leaves_nothing(tmp_path: Path, options: str, text: str) -> None:
    command = [sys.executable, "-m", "ramslot", "-M", "none", *QUIET, *options.split()]
    ended = subprocess.run(
        command, cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, timeout=30, check=False
    )
    assert ended.returncode == 1 and text in ended.stderr and ended.stderr.startswith("ramslot: ")
    assert "Traceback" not in ended.stderr
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        (["info status"], 0),
        (["absent"], 1),
        (["info status", '{"execute": "absent"}', "info name"], 1),
        (["quit", "absent"], 0),
    ],
)
@pytest.mark.parametrize("keep_going", [False, True])
def test_exit_status_of_scripted_commands(tmp_path: Path, lines: list[str], status: int, keep_going: bool) -> None:
    options = [word for line in lines for word in ("-c", line)] + ["--keep-going"] * keep_going
    command = [sys.executable, "-m", "ramslot", "-M", "none", *options]
    ended = subprocess.run(
        command, cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, timeout=30, check=False
    )
    assert ended.returncode == status, ended.stderr
    script = tmp_path / "script"
    script.write_text("# comment\n" + "\n".join(lines) + "\n")
    command = [sys.executable, "-m", "ramslot", "-M", "none", "--script", "script", *["--keep-going"] * keep_going]
    again = subprocess.run(
        command, cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, timeout=30, check=False
    )
    assert again.returncode == status and again.stdout == ended.stdout


def test_errors_leave_the_client_and_the_machine_alive(launch: Launch) -> None:
    client = launch().client()
    for command, arguments in (
        ("absent", {}),
        ("object-del", {"id": "m"}),
        ("object-add", {}),
        ("qom-get", {"path": "/x"}),
    ):
        with pytest.raises(QMPError):
            client.call(command, **arguments)
        assert client.call("query-status") == {"status": "prelaunch", "running": False}


def test_a_server_without_a_terminal_serves_on(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "ramslot", "-M", "none", "-qmp", "unix:qmp.sock,server=on,wait=off"]
    process = subprocess.Popen(command, cwd=tmp_path, env=ENVIRONMENT, stdin=subprocess.DEVNULL)
    wait_for(lambda: is_listening(tmp_path / "qmp.sock"), "socket")
    time.sleep(0.3)
    assert process.poll() is None
    process.terminate()
    assert process.wait(30) == 0
    assert not (tmp_path / "qmp.sock").exists()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--script", "a", "--script", "b"], "--script b: there is a script already"),
        (["-pidfile", "absent/pid"], "cannot create PID file"),
    ],
)
def test_options_that_go_once_or_nowhere(tmp_path: Path, options: list[str], text: str) -> None:
    command = [sys.executable, "-m", "ramslot", "-M", "none", "-display", "none", *options]
    ended = subprocess.run(command, cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert (ended.returncode, text in ended.stderr) == (1, True)


def activated(folder: Path, names: str, count: int, *options: str) -> subprocess.Popen[bytes]:
    """As systemd starts a program: its sockets from 3 on, and its own process id in its environment."""
    sockets = [socket.socket(socket.AF_UNIX) for _ in range(count)]
    for number, listener in enumerate(sockets):
        listener.bind(str(folder / f"{number}.sock"))
        listener.listen()
    moves = " ".join(f"{3 + number}<&{listener.fileno()}" for number, listener in enumerate(sockets))
    command = shlex.join([sys.executable, "-m", "ramslot", "-M", "none", *QUIET, *options])
    process = subprocess.Popen(
        ["/bin/bash", "-c", f"LISTEN_PID=$$ LISTEN_FDS={count} LISTEN_FDNAMES={names} exec {command} {moves}"],
        cwd=folder,
        env=ENVIRONMENT,
        pass_fds=[listener.fileno() for listener in sockets],
        stderr=subprocess.PIPE,
    )
    for listener in sockets:
        listener.close()
    return process


def test_sockets_that_systemd_passes(tmp_path: Path) -> None:
    with activated(tmp_path, "people:programs", 2, "-qmp", "systemd:programs", "-monitor", "systemd:people") as program:
        with socket.socket(socket.AF_UNIX) as person, socket.socket(socket.AF_UNIX) as connection:
            person.connect(str(tmp_path / "0.sock"))
            connection.connect(str(tmp_path / "1.sock"))
            client = Client(connection)
            assert b"QEMU" in person.recv(100)
            names = {each["filename"] for each in client.call("query-chardev")}
            assert names == {f"unix:{tmp_path / '0.sock'},server=on", f"unix:{tmp_path / '1.sock'},server=on"}
            client.call("quit")
            client.close()
        assert program.wait(30) == 0
    assert (tmp_path / "0.sock").exists()  # they are not ours to remove


@pytest.mark.parametrize(
    ("names", "asked", "text"),
    [
        ("a:b", "c", "systemd passes no socket named 'c'"),
        ("a:a", "a", "systemd passes 2 sockets named 'a'"),
        ("a:b", "", "systemd passes 2 sockets; name one"),
    ],
)
def test_sockets_that_systemd_does_not_pass(tmp_path: Path, names: str, asked: str, text: str) -> None:
    with activated(tmp_path, names, 2, "-qmp", f"systemd:{asked}") as program:
        _, errors = program.communicate(timeout=30)
    assert program.returncode == 1
    assert text in errors.decode()


def test_another_process_is_meant(launch: Launch) -> None:
    status, _, errors = launch("-qmp", "systemd:x", qmp=False).end()
    assert (status, "systemd passes no socket (LISTEN_FDS, LISTEN_PID)" in errors) == (1, True)
