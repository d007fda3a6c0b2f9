"""Clients of a listening socket: greeted, heard, slow, gone, and more than there are descriptors for."""

from __future__ import annotations

import resource
import select
import socket
import struct
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from ramslot.monitor.chardevs import device as device_module
from ramslot.monitor.chardevs import sockets as sockets_module
from ramslot.monitor.chardevs.device import CONGESTED_SIZE, UNSENT_LIMIT, ChardevError, FrontEnd
from ramslot.monitor.chardevs.opening import open_chardev
from ramslot.monitor.loop import Loop

from .chardev_clients import SECONDS, Recorder, client, loop, read, run_until, server, settle

__all__ = ("loop",)


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
