"""Character devices, on real sockets, pipes and terminals."""

from __future__ import annotations

import os
import pty
import resource
import select
import socket
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ramslot.monitor.chardevs import addresses as addresses_module
from ramslot.monitor.chardevs import device as device_module
from ramslot.monitor.chardevs import sockets as sockets_module
from ramslot.monitor.chardevs.device import CONGESTED_SIZE, UNSENT_LIMIT, Chardev, ChardevError, FrontEnd
from ramslot.monitor.chardevs.opening import open_chardev
from ramslot.monitor.chardevs.options import ChardevOptions
from ramslot.monitor.loop import Loop
from ramslot.vm.releases import find_release

SECONDS = 20


class Recorder(FrontEnd):
    """Greets, remembers, and answers `ask:N` with N bytes."""

    def __init__(self, device: Chardev) -> None:
        self.device = device
        self.events: list[str] = []
        self.data = b""
        device.attach(self)

    def on_open(self) -> None:
        self.events.append("open")
        self.data = b""
        self.device.write(b"hello\n")

    def on_data(self, data: bytes) -> None:
        self.data += data
        while b"\n" in self.data:
            line, _, self.data = self.data.partition(b"\n")
            self.events.append(line.decode())
            if line.startswith(b"ask:"):
                self.device.write(b"." * int(line[4:]))

    def on_drain(self) -> None:
        self.events.append("drain")

    def on_hangup(self) -> None:
        self.events.append("hangup")

    def on_close(self) -> None:
        self.events.append("close")


@pytest.fixture
def loop() -> Iterator[Loop]:
    before = set(os.listdir("/proc/self/fd"))
    errors: list[Exception] = []
    loop = Loop(on_error=errors.append)
    yield loop
    loop.close()
    assert set(os.listdir("/proc/self/fd")) == before
    assert errors == []


def run_until(loop: Loop, condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, "nothing happened"
        loop.run_once(0.1)


def settle(loop: Loop) -> None:
    """Serve the loop until nothing more is ready."""
    while select.select([loop.fileno()], [], [], 0.02)[0]:
        loop.run_once(0)


def client(path: Path) -> socket.socket:
    result = socket.socket(socket.AF_UNIX)
    result.settimeout(SECONDS)
    result.connect(str(path))
    return result


def server(loop: Loop, path: Path) -> Chardev:
    return open_chardev(loop, {"backend": "socket", "id": "c", "path": str(path), "server": "on", "wait": "off"})


def read(loop: Loop, peer: socket.socket, count: int) -> bytes:
    """Read so many bytes, serving the loop meanwhile."""
    received = bytearray()
    peer.setblocking(False)
    deadline = time.monotonic() + SECONDS
    while len(received) < count:
        assert time.monotonic() < deadline, f"{len(received)} bytes came"
        loop.run_once(0)
        try:
            data = peer.recv(count - len(received))
        except BlockingIOError:
            continue
        if not data:
            break
        received += data
    peer.settimeout(SECONDS)
    return bytes(received)


def test_a_client_is_greeted_and_heard(loop: Loop, tmp_path: Path) -> None:
    device = server(loop, tmp_path / "s")
    front_end = Recorder(device)
    with client(tmp_path / "s") as peer:
        assert read(loop, peer, 6) == b"hello\n"
        peer.sendall(b"one\ntwo\n")
        run_until(loop, lambda: "two" in front_end.events)
    run_until(loop, lambda: "close" in front_end.events)
    assert front_end.events == ["open", "one", "two", "close"]
    assert not device.connected
    device.write(b"to nobody")
    device.close()


def test_two_clients_one_after_the_other(loop: Loop, tmp_path: Path) -> None:
    device = server(loop, tmp_path / "s")
    front_end = Recorder(device)
    with client(tmp_path / "s") as first, client(tmp_path / "s") as second:
        assert read(loop, first, 6) == b"hello\n"
        second.sendall(b"early\n")
        settle(loop)
        second.setblocking(False)
        with pytest.raises(BlockingIOError):
            second.recv(1)
        first.close()
        assert read(loop, second, 6) == b"hello\n"
        run_until(loop, lambda: "early" in front_end.events)
    run_until(loop, lambda: front_end.events.count("close") == 2)
    assert front_end.events == ["open", "close", "open", "early", "close"]
    device.close()


def test_two_devices_at_once(loop: Loop, tmp_path: Path) -> None:
    devices = [server(loop, tmp_path / name) for name in "ab"]
    front_ends = [Recorder(device) for device in devices]
    with client(tmp_path / "a") as a, client(tmp_path / "b") as b:
        a.sendall(b"to a\n")
        b.sendall(b"to b\n")
        run_until(loop, lambda: "to a" in front_ends[0].events and "to b" in front_ends[1].events)
        for device in devices:
            device.close()
        assert (a.recv(100), a.recv(1)) == (b"hello\n", b"")
        assert (b.recv(100), b.recv(1)) == (b"hello\n", b"")


def reset(peer: socket.socket) -> None:
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()


@pytest.mark.parametrize("leave", [socket.socket.close, reset, lambda peer: peer.shutdown(socket.SHUT_WR)])
@pytest.mark.parametrize("kind", ["unix", "tcp"])
def test_a_client_that_dies_in_mid_line(loop: Loop, tmp_path: Path, kind: str, leave: Callable[..., None]) -> None:
    address = {"path": str(tmp_path / "s")} if kind == "unix" else {"host": "127.0.0.1", "port": "0"}
    device = open_chardev(loop, {"backend": "socket", "id": "c", "server": "on", "wait": "off", **address})
    front_end = Recorder(device)
    for _ in range(3):
        if kind == "unix":
            peer = client(tmp_path / "s")
        else:
            peer = socket.create_connection(("127.0.0.1", int(device.filename.split(":")[-1].split(",")[0])))
        with peer:
            peer.sendall(b"whole\nhal")
            run_until(loop, lambda: front_end.events and front_end.events[-1] == "whole")
            leave(peer)
            run_until(loop, lambda: not device.connected)
    assert front_end.events == ["open", "whole", "close"] * 3
    device.close()


def test_what_a_client_sent_before_it_left_is_obeyed_although_it_does_not_read(loop: Loop, tmp_path: Path) -> None:
    device = server(loop, tmp_path / "s")
    front_end = Recorder(device)
    with client(tmp_path / "s") as peer:
        peer.sendall(b"ask:10\nquit\n")
    run_until(loop, lambda: "close" in front_end.events)
    assert front_end.events == ["open", "ask:10", "quit", "close"]
    device.close()


def test_after_a_half_close_all_answers_still_come(loop: Loop, tmp_path: Path) -> None:
    device = server(loop, tmp_path / "s")
    Recorder(device)
    size = 3_000_000
    with client(tmp_path / "s") as peer:
        peer.sendall(b"ask:%d\n" % size)
        peer.shutdown(socket.SHUT_WR)
        settle(loop)
        assert len(read(loop, peer, 6 + size + 1)) == 6 + size
    run_until(loop, lambda: not device.connected)
    device.close()


def test_ten_megabytes_for_a_slow_reader_do_not_stop_others(loop: Loop, tmp_path: Path) -> None:
    slow_device, other_device = server(loop, tmp_path / "slow"), server(loop, tmp_path / "other")
    slow_end, other_end = Recorder(slow_device), Recorder(other_device)
    size = 10_000_000
    with client(tmp_path / "slow") as slow, client(tmp_path / "other") as other:
        slow.sendall(b"ask:%d\n" % size)
        run_until(loop, lambda: slow_device.congested)
        slow.sendall(b"later\n")
        other.sendall(b"hi\nask:3\n")
        assert read(loop, other, 9) == b"hello\n..."
        assert "later" not in slow_end.events  # not even read from it
        received = bytearray()
        while len(received) < size + 6:
            received += read(loop, slow, min(100_000, size + 6 - len(received)))
        assert received == b"hello\n" + b"." * size
        run_until(loop, lambda: "later" in slow_end.events)
        assert slow_end.events == ["open", f"ask:{size}", "drain", "later"]
        assert not slow_device.congested
        assert other_end.events == ["open", "hi", "ask:3"]
    slow_device.close()
    other_device.close()


def test_a_client_that_never_reads_is_dropped_before_memory_grows(loop: Loop, tmp_path: Path) -> None:
    device = server(loop, tmp_path / "s")
    front_end = Recorder(device)
    event = b"e" * CONGESTED_SIZE
    with client(tmp_path / "s") as peer:
        run_until(loop, lambda: device.connected)
        written = 0
        while "close" not in front_end.events:
            device.write(event)
            written += len(event)
            assert written < 2 * UNSENT_LIMIT
            loop.run_once(0)
        assert written > UNSENT_LIMIT
        peer.settimeout(SECONDS)
        while peer.recv(1 << 20):
            pass
    with client(tmp_path / "s") as peer:
        assert read(loop, peer, 6) == b"hello\n"
    device.close()


def test_one_answer_may_be_larger_than_the_limit(loop: Loop, tmp_path: Path) -> None:
    device = server(loop, tmp_path / "s")
    Recorder(device)
    size = UNSENT_LIMIT + 1_000_000
    with client(tmp_path / "s") as peer:
        peer.sendall(b"ask:%d\n" % size)
        settle(loop)
        assert len(read(loop, peer, size + 6)) == size + 6
    device.close()


def test_reading_can_be_paused(loop: Loop, tmp_path: Path) -> None:
    device = server(loop, tmp_path / "s")
    front_end = Recorder(device)
    with client(tmp_path / "s") as peer:
        run_until(loop, lambda: device.connected)
        device.pause_reading()
        peer.sendall(b"one\n")
        settle(loop)
        assert front_end.events == ["open"]
        device.resume_reading()
        run_until(loop, lambda: "one" in front_end.events)
        device.pause_reading()
        peer.sendall(b"last\n")
        peer.close()
        settle(loop)  # would never settle if the hang-up were told again and again
        assert front_end.events == ["open", "one", "hangup"]
        assert device.connected
        device.resume_reading()
        run_until(loop, lambda: "last" in front_end.events)
        run_until(loop, lambda: not device.connected)
    with client(tmp_path / "s") as peer:
        peer.sendall(b"two\n")
        run_until(loop, lambda: "two" in front_end.events)
    device.close()


def test_close_sends_what_is_left_to_a_client_that_reads(loop: Loop, tmp_path: Path) -> None:
    device = server(loop, tmp_path / "s")
    Recorder(device)
    received = bytearray()
    with client(tmp_path / "s") as peer:
        run_until(loop, lambda: device.connected)
        device.write(b"." * 5_000_000)

        def drain() -> None:
            while data := peer.recv(1 << 16):
                received.extend(data)

        thread = threading.Thread(target=drain)
        thread.start()
        device.close()
        thread.join(SECONDS)
    assert len(received) == 5_000_006


def test_close_does_not_wait_for_a_client_that_does_not_read(
    loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device_module, "_LAST_WORDS_SECONDS", 0.01)
    device = server(loop, tmp_path / "s")
    front_end = Recorder(device)
    with client(tmp_path / "s"):
        run_until(loop, lambda: device.connected)
        device.write(b"." * 5_000_000)
        device.close()
    assert front_end.events == ["open", "close"]
    device.close()


def test_an_exception_in_a_front_end_is_reported_and_the_device_goes_on(tmp_path: Path) -> None:
    class Broken(Recorder):
        def on_data(self, data: bytes) -> None:
            super().on_data(data)
            raise ValueError(data)

    errors: list[Exception] = []
    loop = Loop(on_error=errors.append)
    device = server(loop, tmp_path / "s")
    front_end = Broken(device)
    with client(tmp_path / "s") as peer:
        peer.sendall(b"one\n")
        run_until(loop, lambda: errors)
        peer.sendall(b"two\n")
        run_until(loop, lambda: len(errors) == 2)
    assert front_end.events == ["open", "one", "two"]
    device.close()
    loop.close()


def test_a_device_has_one_front_end(loop: Loop, tmp_path: Path) -> None:
    device = server(loop, tmp_path / "s")
    Recorder(device)
    with pytest.raises(ChardevError, match=r"^Device 'c' is in use$"):
        device.attach(FrontEnd())
    device.close()


def test_a_client_waits_while_there_are_no_descriptors(
    loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sockets_module, "_ACCEPT_RETRY_SECONDS", 0.05)
    device = server(loop, tmp_path / "s")
    front_end = Recorder(device)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    with client(tmp_path / "s") as peer:
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, limits[1]))
        try:
            loop.run_once(1)
            assert not select.select([loop.fileno()], [], [], 0)[0], "the loop would spin"
            assert front_end.events == []
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        assert read(loop, peer, 6) == b"hello\n"
    device.close()


# Socket files.


@pytest.mark.parametrize("umask", [0, 0o022, 0o777])
def test_the_socket_file_is_for_its_owner_alone(loop: Loop, tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        device = server(loop, tmp_path / "s")
    finally:
        os.umask(before)
    assert (tmp_path / "s").stat().st_mode & 0o777 == 0o600 & ~umask
    device.close()


def test_the_socket_file_is_made_with_its_final_mode(loop: Loop, tmp_path: Path) -> None:
    """There is no moment at which another user could connect: bind itself makes the file with mode 0600."""
    seen: list[int] = []
    real_listen = addresses_module._listen

    def looks(listener: socket.socket, address: str) -> None:
        class Spy:
            family = socket.AF_UNIX

            def __getattr__(self, name: str) -> object:
                if name == "listen":
                    seen.append(os.stat(address).st_mode & 0o777)
                return getattr(listener, name)

        real_listen(Spy(), address)  # type: ignore[arg-type]  # stands in for the socket

    before = os.umask(0)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(addresses_module, "_listen", looks)
            device = server(loop, tmp_path / "s")
    finally:
        os.umask(before)
    assert seen == [0o600]
    device.close()


def test_a_stale_socket_file_is_replaced_and_ours_removed(loop: Loop, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(tmp_path / "s"))
    device = server(loop, tmp_path / "s")
    client(tmp_path / "s").close()
    device.close()
    assert not (tmp_path / "s").exists()


def test_the_file_of_another_is_not_removed(loop: Loop, tmp_path: Path) -> None:
    device = server(loop, tmp_path / "s")
    (tmp_path / "s").unlink()
    (tmp_path / "s").write_text("another's")
    device.close()
    assert (tmp_path / "s").read_text() == "another's"


def test_the_file_is_removed_from_where_it_was_made(
    loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    device = server(loop, Path("s"))
    assert device.filename == "disconnected:unix:s,server=on"
    monkeypatch.chdir("/")
    device.close()
    assert not (tmp_path / "s").exists()


# Other addresses.


def test_tcp(loop: Loop) -> None:
    device = open_chardev(
        loop, {"backend": "socket", "id": "c", "host": "", "port": "0", "server": "on", "wait": "off"}
    )
    front_end = Recorder(device)
    name = device.filename
    assert name.startswith("disconnected:tcp:127.0.0.1:")
    port = int(name.split(":")[-1].removesuffix(",server=on"))
    with socket.create_connection(("127.0.0.1", port)) as peer:
        assert read(loop, peer, 6) == b"hello\n"
        mine = peer.getsockname()[1]
        assert device.filename == f"tcp:127.0.0.1:{port},server=on <-> 127.0.0.1:{mine}"
    run_until(loop, lambda: "close" in front_end.events)
    device.close()
    again = open_chardev(
        loop, {"backend": "socket", "id": "c", "host": "127.0.0.1", "port": str(port), "server": "on", "wait": "off"}
    )
    again.close()


def test_connecting_to_a_listener(loop: Loop, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "l"))
        listener.listen()
        device = open_chardev(loop, {"backend": "socket", "id": "c", "path": str(tmp_path / "l")})
        front_end = Recorder(device)
        with listener.accept()[0] as peer:
            peer.sendall(b"one\n")
            run_until(loop, lambda: "one" in front_end.events)
            assert peer.recv(100) == b"hello\n"
            assert device.filename == f"unix:{tmp_path / 'l'}"
        run_until(loop, lambda: "close" in front_end.events)
        assert device.filename == f"disconnected:unix:{tmp_path}/l"
        device.close()


def test_an_inherited_connection(loop: Loop) -> None:
    mine, theirs = socket.socketpair()
    os.set_inheritable(mine.fileno(), True)
    fd = mine.detach()
    device = open_chardev(loop, {"backend": "socket", "id": "c", "fd": str(fd)})
    front_end = Recorder(device)
    assert not os.get_inheritable(fd)
    with theirs:
        theirs.sendall(b"one\n")
        run_until(loop, lambda: "one" in front_end.events)
        device.close()
        assert (theirs.recv(100), theirs.recv(1)) == (b"hello\n", b"")


@pytest.mark.parametrize("listening", [True, False])
def test_an_inherited_listener(loop: Loop, tmp_path: Path, listening: bool) -> None:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "l"))
    if listening:
        listener.listen()
    device = open_chardev(
        loop, {"backend": "socket", "id": "c", "fd": str(listener.detach()), "server": "on", "wait": "off"}
    )
    Recorder(device)
    for _ in range(2):
        with client(tmp_path / "l") as peer:
            assert read(loop, peer, 6) == b"hello\n"
    device.close()
    assert (tmp_path / "l").exists()  # not made by us


# Waiting for the first client.


def test_a_server_waits_for_its_first_client(loop: Loop, tmp_path: Path) -> None:
    notes: list[str] = []
    path = tmp_path / "s"

    def connect() -> None:
        while not path.exists():
            time.sleep(0.001)
        while peers[0].connect_ex(str(path)):
            time.sleep(0.001)
        peers[0].sendall(b"one\n")

    with socket.socket(socket.AF_UNIX) as peer:
        peers = [peer]
        thread = threading.Thread(target=connect)
        thread.start()
        device = open_chardev(loop, {"backend": "socket", "id": "c", "path": str(path), "server": "on"}, notes.append)
        thread.join()
        assert device.connected
        assert device.filename == f"unix:{path},server=on"
        front_end = Recorder(device)
        run_until(loop, lambda: "one" in front_end.events)
        assert front_end.events == ["open", "one"]
    assert notes == [f"info: QEMU waiting for connection on: disconnected:unix:{path},server=on"]
    device.close()


def test_waiting_ends_when_the_loop_is_stopped(loop: Loop, tmp_path: Path) -> None:
    loop.call_later(0.01, loop.stop)
    device = open_chardev(loop, {"backend": "socket", "id": "c", "path": str(tmp_path / "s"), "server": "on"})
    assert not device.connected
    device.close()


def test_an_interrupt_while_waiting_leaves_nothing(loop: Loop, tmp_path: Path) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    loop.call_soon(interrupt)
    with pytest.raises(KeyboardInterrupt):
        open_chardev(loop, {"backend": "socket", "id": "c", "path": str(tmp_path / "s"), "server": "on"})
    assert not (tmp_path / "s").exists()


# Wrong options and addresses, in the words of QEMU 7.2.


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"id": "a"}, 'chardev: "a" missing backend'),
        ({"backend": "nosuch", "id": "a"}, "'nosuch' is not a valid char driver name"),
        ({"backend": "null"}, "chardev: no id specified"),
        ({"backend": "socket", "id": "a", "foo": "x"}, "Invalid parameter 'foo'"),
        ({"backend": "null", "id": "a", "server": "maybe"}, "Parameter 'server' expects 'on' or 'off'"),
        ({"backend": "socket", "id": "a", "wait": "maybe"}, "Parameter 'wait' expects 'on' or 'off'"),
        ({"backend": "stdio", "id": "a", "signal": "maybe"}, "Parameter 'signal' expects 'on' or 'off'"),
        ({"backend": "socket", "id": "a", "reconnect": "a"}, "Parameter 'reconnect' expects a number"),
        ({"backend": "socket", "id": "a"}, "Unable to parse FD number "),
        ({"backend": "socket", "id": "a", "fd": "3x"}, "Unable to parse FD number 3x"),
        ({"backend": "socket", "id": "a", "fd": "-1"}, "File descriptor '-1' is not a socket"),
        ({"backend": "socket", "id": "a", "fd": "777"}, "File descriptor '777' is not a socket"),
        ({"backend": "socket", "id": "a", "fd": "777", "server": "on"}, "File descriptor '777' is not a socket"),
        ({"backend": "socket", "id": "a", "fd": "9" * 30}, f"File descriptor '{'9' * 30}' is not a socket"),
        (
            {"backend": "socket", "id": "a", "path": "x", "host": "y"},
            "None or one of 'path', 'fd' or 'host' option required.",
        ),
        ({"backend": "socket", "id": "a", "host": "h", "wait": "on"}, "chardev: socket: no port given"),
        (
            {"backend": "socket", "id": "a", "path": "x", "wait": "off"},
            "'wait' option is incompatible with socket in client connect mode",
        ),
        (
            {"backend": "socket", "id": "a", "path": "x", "server": "on", "reconnect": "1"},
            "'reconnect' option is incompatible with socket in server listen mode",
        ),
        (
            {"backend": "socket", "id": "a", "fd": "9", "reconnect": "3"},
            "'reconnect' option is incompatible with 'fd' address type",
        ),
        (
            {"backend": "socket", "id": "a", "path": "/nope/x", "server": "on"},
            "Failed to bind socket to /nope/x: No such file or directory",
        ),
        (
            {"backend": "socket", "id": "a", "path": "/nope/x"},
            "Failed to connect to '/nope/x': No such file or directory",
        ),
        ({"backend": "socket", "id": "a", "path": "/", "server": "on"}, "Failed to unlink socket /: Is a directory"),
        (
            {"backend": "socket", "id": "a", "path": "x" * 110},
            f"UNIX socket path '{'x' * 110}' is too long\nPath must be less than 108 bytes",
        ),
        (
            {"backend": "socket", "id": "a", "host": "127.0.0.1", "port": "abc"},
            "address resolution failed for 127.0.0.1:abc: Servname not supported for ai_socktype",
        ),
        (
            {"backend": "socket", "id": "a", "host": "127.0.0.1", "port": "-1", "server": "on"},
            "address resolution failed for 127.0.0.1:-1: Servname not supported for ai_socktype",
        ),
        (
            {"backend": "socket", "id": "a", "host": "127.0.0.1", "port": "70000"},
            "address resolution failed for 127.0.0.1:70000: Servname not supported for ai_socktype",
        ),
        (
            {"backend": "socket", "id": "a", "host": "192.0.2.1", "port": "99", "server": "on"},
            "Failed to bind socket: Cannot assign requested address",
        ),
        (
            {"backend": "socket", "id": "a", "path": "", "server": "on"},
            "Failed to bind socket to : No such file or directory",
        ),
    ],
)
def test_refusals(loop: Loop, options: dict[str, str], text: str) -> None:
    with pytest.raises(ChardevError) as refusal:
        open_chardev(loop, options)
    assert str(refusal.value) == text


def test_a_port_in_use(loop: Loop) -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = str(busy.getsockname()[1])
        with pytest.raises(ChardevError, match=r"^Failed to find an available port: Address already in use$"):
            open_chardev(loop, {"backend": "socket", "id": "a", "host": "127.0.0.1", "port": port, "server": "on"})
    with pytest.raises(ChardevError, match=rf"^Failed to connect to '127.0.0.1:{port}': Connection refused$"):
        open_chardev(loop, {"backend": "socket", "id": "a", "host": "127.0.0.1", "port": port})


def test_a_socket_that_cannot_listen(loop: Loop) -> None:
    mine, theirs = socket.socketpair()
    with theirs, pytest.raises(ChardevError, match=r"^Failed to listen on fd socket: Invalid argument$"):
        open_chardev(loop, {"backend": "socket", "id": "a", "fd": str(mine.detach()), "server": "on"})


def test_options_have_the_defaults_of_qemu() -> None:
    options = ChardevOptions({"backend": "socket", "id": "a", "path": "p", "server": "on"}, find_release(None))
    assert (options.server, options.wait, options.signal) == (True, True, True)


def test_null(loop: Loop) -> None:
    device = open_chardev(loop, {"backend": "null", "id": "n", "path": "ignored, as QEMU does"})
    front_end = Recorder(device)
    device.write(b"lost")
    device.close()
    assert front_end.events == []
    assert device.filename == "null"


# Standard input and output need a process of their own.

ECHOING = """
import os, sys
from ramslot.monitor.chardevs.device import ChardevError, FrontEnd
from ramslot.monitor.chardevs.opening import open_chardev
from ramslot.monitor.loop import Loop
from ramslot.vm.releases import find_release

class Echo(FrontEnd):
    def on_open(self):
        device.write(b"hello\\n")

    def on_data(self, data):
        device.write(data.upper())
        if b"quit" in data:
            loop.stop()

    def on_close(self):
        device.write(b"lost")

loop = Loop()
device = open_chardev(loop, {"backend": "stdio", "id": "s", "signal": sys.argv[2]})
try:
    open_chardev(loop, {"backend": "stdio", "id": "t"})
except ChardevError as error:
    device.write(f"{error}\\n".encode())
device.set_echo(sys.argv[1] == "echo")
device.attach(Echo())
loop.call_later(float(sys.argv[3]), loop.stop)
loop.run()
device.write(b"bye\\n")
device.close()
loop.close()
"""

REFUSED = b"cannot use stdio by multiple character devices\n"


def stdio(*arguments: str, **streams: object) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", ECHOING, *arguments]
    return subprocess.Popen(command, **streams)  # type: ignore[call-overload, no-any-return]  # passed through


def test_stdio_on_pipes_outlives_the_end_of_input() -> None:
    with stdio("echo", "on", "1", stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        output, _ = process.communicate(b"one\n", timeout=SECONDS)
    assert output == REFUSED + b"hello\nONE\nbye\n"


def test_stdio_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"one\nquit\n")
    with (
        open(tmp_path / "in", "rb") as source,
        open(tmp_path / "out", "wb") as sink,
        stdio("echo", "on", "60", stdin=source, stdout=sink) as process,
    ):
        assert process.wait(SECONDS) == 0
    assert (tmp_path / "out").read_bytes() == REFUSED + b"hello\nONE\nQUIT\nbye\n"


def test_stdio_gives_back_blocking_pipes() -> None:
    source, feed = os.pipe()
    result, sink = os.pipe()
    with stdio("echo", "on", "60", stdin=source, stdout=sink) as process:
        os.write(feed, b"x")
        output = b""
        while not output.endswith(b"X"):
            output += os.read(result, 100)
        assert (os.get_blocking(source), os.get_blocking(sink)) == (False, False)
        os.write(feed, b"quit")
        assert process.wait(SECONDS) == 0
    assert (os.get_blocking(source), os.get_blocking(sink)) == (True, True)
    for fd in (source, feed, result, sink):
        os.close(fd)


@pytest.mark.parametrize(("echo", "signal"), [("echo", "on"), ("noecho", "on"), ("noecho", "off")])
def test_stdio_on_a_terminal(echo: str, signal: str) -> None:
    master, terminal = pty.openpty()
    before = termios.tcgetattr(terminal)
    with stdio(echo, signal, "60", stdin=terminal, stdout=terminal) as process:
        output = b""
        while b"hello" not in output:
            output += os.read(master, 1000)
        flags = termios.tcgetattr(terminal)[3]
        assert bool(flags & termios.ECHO) == bool(flags & termios.ICANON) == (echo == "echo")
        assert bool(flags & termios.ISIG) == (signal == "on")
        os.write(master, b"quit\r" if echo == "echo" else b"quit")
        while b"bye" not in output:
            output += os.read(master, 1000)
        assert process.wait(SECONDS) == 0
    assert (b"quit" in output) == (echo == "echo")
    assert termios.tcgetattr(terminal) == before
    assert os.get_blocking(terminal)
    os.close(master)
    os.close(terminal)
