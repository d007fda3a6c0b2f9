"""Terminals, files, pipes, logs, telnet, and clients that come back: what each kind of character device adds."""

from __future__ import annotations

import os
import select
import socket
import stat
import time
from pathlib import Path

import pytest

from ramslot.monitor.chardevs.device import ChardevError
from ramslot.monitor.chardevs.opening import open_chardev
from ramslot.monitor.chardevs.telnet import GREETING, TelnetInput
from ramslot.monitor.loop import Loop
from ramslot.vm.releases import find_release

from .chardev_clients import Recorder, client, loop, read, run_until, settle

__all__ = ("loop",)


def read_file(fd: int) -> bytes:
    """What is there to be read, which may take its time through a terminal."""
    assert select.select([fd], [], [], 20)[0]
    return os.read(fd, 100)


def test_a_terminal_serves_one_client_after_another(loop: Loop) -> None:
    device = open_chardev(loop, {"backend": "pty", "id": "c"})
    name = device.filename.removeprefix("pty:")
    front_end = Recorder(device)
    for answers in (1, 2):
        fd = os.open(name, os.O_RDWR | os.O_NOCTTY)
        try:
            run_until(loop, lambda: device.connected)
            assert read_file(fd) == b"hello\n"  # as it was written: the terminal is in raw mode
            os.write(fd, b"one\nask:5\n")
            run_until(loop, lambda: front_end.events.count("ask:5") == answers)  # noqa: B023 - called at once
            assert read_file(fd) == b"....."
        finally:
            os.close(fd)
        run_until(loop, lambda: not device.connected)
    assert front_end.events == ["open", "one", "ask:5", "close"] * 2
    device.close()


@pytest.mark.parametrize("ends", ["at once", "later"])
def test_who_leaves_a_terminal_unread_is_not_waited_for(loop: Loop, ends: str) -> None:
    """The terminal stays full for ever, and says that there is room."""
    device = open_chardev(loop, {"backend": "pty", "id": "c"})
    front_end = Recorder(device)
    fd = os.open(device.filename.removeprefix("pty:"), os.O_RDWR | os.O_NOCTTY)
    run_until(loop, lambda: device.connected)
    os.write(fd, b"ask:1000000\n")
    run_until(loop, lambda: device.congested)
    os.close(fd)
    if ends == "later":
        run_until(loop, lambda: not device.connected)
        assert front_end.events[-1] == "close"
    device.close()
    assert not device.connected


def test_a_link_to_a_terminal_is_made_and_removed(loop: Loop, tmp_path: Path) -> None:
    link = tmp_path / "link"
    device = open_chardev(loop, {"backend": "pty", "id": "c", "path": str(link)})
    assert str(link.readlink()) == device.filename.removeprefix("pty:")
    with pytest.raises(ChardevError, match="Failed to create PTY symlink: File exists"):
        open_chardev(loop, {"backend": "pty", "id": "d", "path": str(link)})
    device.close()
    assert not link.is_symlink()

    device = open_chardev(loop, {"backend": "pty", "id": "c", "path": str(link)})
    link.unlink()
    link.write_text("another's")
    device.close()
    assert link.read_text() == "another's"

    old = open_chardev(loop, {"backend": "pty", "id": "c", "path": str(tmp_path / "x")}, None, find_release("7.2"))
    assert not (tmp_path / "x").is_symlink()
    old.close()


@pytest.mark.parametrize(("append", "kept"), [("off", ""), ("on", "before\n")])
def test_a_file_takes_what_is_written(loop: Loop, tmp_path: Path, append: str, kept: str) -> None:
    (tmp_path / "in").write_text("one\ntwo\n")
    (tmp_path / "out").write_text("before\n")
    options = {"backend": "file", "id": "c", "path": str(tmp_path / "out"), "append": append}
    device = open_chardev(loop, options | {"input-path": str(tmp_path / "in")})
    front_end = Recorder(device)
    run_until(loop, lambda: "two" in front_end.events)
    for _ in range(5):
        loop.run_once(0.01)
    assert front_end.events == ["open", "one", "two"]  # the end of the input is not that of the output
    device.write(b"later\n")
    assert (tmp_path / "out").read_text() == kept + "hello\nlater\n"
    device.close()
    assert front_end.events[-1] == "close"


def test_pipes_have_nobody_who_comes_or_goes(loop: Loop, tmp_path: Path) -> None:
    path = tmp_path / "p"
    for end in ("in", "out"):
        os.mkfifo(f"{path}.{end}")
    device = open_chardev(loop, {"backend": "pipe", "id": "c", "path": str(path)})
    front_end = Recorder(device)
    for number in range(3):
        with open(f"{path}.in", "wb") as pipe:
            pipe.write(b"word%d\n" % number)
        run_until(loop, lambda: len(front_end.events) == number + 2)  # noqa: B023 - called at once
    with open(f"{path}.out", "rb", buffering=0) as pipe:
        assert pipe.read(100) == b"hello\n"
    assert front_end.events == ["open", "word0", "word1", "word2"]
    device.close()


def test_half_a_pair_of_pipes_is_none(loop: Loop, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "p.in")
    with pytest.raises(ChardevError, match=r"Could not open .*/p': No such file"):
        open_chardev(loop, {"backend": "pipe", "id": "c", "path": str(tmp_path / "p")})


@pytest.mark.parametrize(("append", "kept"), [("off", b""), ("on", b"before\n")])
def test_a_log_has_what_clients_are_sent(loop: Loop, tmp_path: Path, append: str, kept: bytes) -> None:
    (tmp_path / "log").write_bytes(b"before\n")
    options = {"backend": "socket", "id": "c", "path": str(tmp_path / "s"), "server": "on", "wait": "off"}
    device = open_chardev(loop, options | {"logfile": str(tmp_path / "log"), "logappend": append})
    Recorder(device)
    device.write(b"to nobody\n")
    with client(tmp_path / "s") as peer:
        peer.sendall(b"ask:200000\n")
        assert read(loop, peer, 200006) == b"hello\n" + b"." * 200000
    run_until(loop, lambda: not device.connected)
    device.close()
    assert (tmp_path / "log").read_bytes() == kept + b"hello\n" + b"." * 200000


def test_no_log_is_left_open_where_the_device_cannot_be(loop: Loop, tmp_path: Path) -> None:
    with pytest.raises(ChardevError, match="Failed to connect"):
        open_chardev(
            loop, {"backend": "socket", "id": "c", "path": str(tmp_path / "s"), "logfile": str(tmp_path / "log")}
        )


@pytest.mark.parametrize(
    ("sent", "meant"),
    [
        (b"plain", b"plain"),
        (b"a\xff\xffb", b"a\xffb"),
        (b"a\xff\xfd\x01b\xff\xfc\x22c", b"abc"),
        (b"a\xff\xf1b\xff\xf3c", b"abc"),
        (b"\xff", b""),
        (b"\xff\xfb", b""),
    ],
)
def test_telnet_commands_are_no_input(sent: bytes, meant: bytes) -> None:
    assert TelnetInput().feed(sent) == meant
    byte_by_byte = TelnetInput()
    assert b"".join(byte_by_byte.feed(sent[place : place + 1]) for place in range(len(sent))) == meant


def test_telnet(loop: Loop, tmp_path: Path) -> None:
    options = {"backend": "socket", "id": "c", "path": str(tmp_path / "s"), "server": "on", "wait": "off"}
    device = open_chardev(loop, options | {"telnet": "on"})
    front_end = Recorder(device)
    for _ in range(2):  # what one leaves unfinished is not the next one's
        with client(tmp_path / "s") as peer:
            peer.sendall(b"on\xff\xfd\x01e\n\xff\xfd")
            assert read(loop, peer, len(GREETING) + 6) == GREETING + b"hello\n"
            run_until(loop, lambda: "one" in front_end.events)
        run_until(loop, lambda: not device.connected)
    assert front_end.events == ["open", "one", "close"] * 2
    device.close()


def test_one_that_comes_back_says_once_that_nobody_is_there(loop: Loop, tmp_path: Path) -> None:
    said: list[str] = []
    options = {"backend": "socket", "id": "c", "path": str(tmp_path / "s"), "reconnect-ms": "1"}
    device = open_chardev(loop, options, said.append)
    front_end = Recorder(device)
    end = time.monotonic() + 0.1
    while time.monotonic() < end:
        loop.run_once(0.01)
    failure = (
        f"Unable to connect character device c: Failed to connect to '{tmp_path / 's'}': No such file or directory"
    )
    assert said == [failure]
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen()
        for _ in range(50):
            run_until(loop, lambda: device.connected)
            with listener.accept()[0] as peer:
                assert peer.recv(100) == b"hello\n"
            run_until(loop, lambda: not device.connected)
    assert front_end.events == ["open", "close"] * 50
    run_until(loop, lambda: len(said) > 1)
    assert said == [failure, failure.replace("No such file or directory", "Connection refused")]
    device.close()
    settle(loop)


def test_one_that_is_closed_on_its_way_leaves_nothing(loop: Loop) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = str(listener.getsockname()[1])
        fillers = []
        for _ in range(4):  # until connections hang in the kernel
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", int(port)))
            fillers.append(filler)
        options = {"backend": "socket", "id": "c", "host": "127.0.0.1", "port": port, "reconnect-ms": "1"}
        device = open_chardev(loop, options)
        for _ in range(3):
            loop.run_once(0.01)
        device.close()
        for filler in fillers:
            filler.close()


def test_the_first_free_port_of_several(loop: Loop) -> None:
    options = {"backend": "socket", "id": "c", "host": "127.0.0.1", "server": "on", "wait": "off"}
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        if port > 65000:
            pytest.skip("no room behind the port that the kernel chose")
        with pytest.raises(ChardevError, match="Failed to find an available port: Address already in use"):
            open_chardev(loop, options | {"port": str(port), "to": str(port)})
        device = open_chardev(loop, options | {"port": str(port), "to": str(port + 100)})
        found = int(device.filename.rpartition(":")[2].partition(",")[0])
        assert port < found <= port + 100
        device.close()


def test_the_file_of_a_socket_is_its_owners_alone(loop: Loop, tmp_path: Path) -> None:
    options = {"backend": "socket", "id": "c", "path": str(tmp_path / "s"), "server": "on", "wait": "off"}
    device = open_chardev(loop, options)
    assert stat.S_IMODE((tmp_path / "s").stat().st_mode) & 0o077 == 0
    device.close()


def test_null(loop: Loop) -> None:
    device = open_chardev(loop, {"backend": "null", "id": "n", "path": "ignored, as QEMU does"})
    front_end = Recorder(device)
    device.write(b"lost")
    device.close()
    assert front_end.events == []
    assert device.filename == "null"
