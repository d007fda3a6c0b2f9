"""Where a socket listens or connects: files, TCP, inherited descriptors; and waiting for the first client."""

from __future__ import annotations

import os
import socket
import threading
import time
from pathlib import Path

import pytest

from ramslot.monitor.chardevs import addresses as addresses_module
from ramslot.monitor.chardevs.opening import open_chardev
from ramslot.monitor.loop import Loop

from .chardev_clients import Recorder, client, loop, read, run_until, server

__all__ = ("loop",)


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
