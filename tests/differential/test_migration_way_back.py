"""What a destination says on the way back, and what is made of it: real QEMU's and ours."""

from __future__ import annotations

import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from .oracle import RELEASES
from .partners import partner
from .test_migration import DIRECTIONS, counted


@pytest.mark.parametrize("release", RELEASES)
def test_a_way_back_is_waited_for(release: str, tmp_path: Path) -> None:
    outcomes = []
    for source_kind, destination_kind in (("real", "real"), *DIRECTIONS):
        where = f"unix:{tmp_path}/{source_kind}-{destination_kind}"
        machine = ["-M", "none", "-m", "16"]
        with (
            partner(destination_kind, release, [*machine, "-incoming", where], tmp_path) as destination,
            partner(source_kind, release, machine, tmp_path) as source,
        ):
            both = [{"capability": name, "state": True} for name in ("return-path", "events")]
            source.ask("migrate-set-capabilities", capabilities=both)
            source.ask("migrate", uri=where)
            told = source.wait_for("completed", "failed")
            states = source.wait_for_state("postmigrate"), destination.wait_for_state("prelaunch")
            outcomes.append((counted(told), states, [event for event in source.events if "PASS" not in event]))
    assert outcomes[1:] == outcomes[:1] * 3


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("answer", [b"\0\2\0\4\0\0\0\1\0\1\0\4\0\0\0\0", b"\0\1\0\4\0\0\0\5", b"garbage!", b""])
def test_what_comes_back_is_understood_alike(answer: bytes, release: str, tmp_path: Path) -> None:
    def serve(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        received = b""
        with connection:
            while not received.endswith(b"}"):
                received += connection.recv(1 << 16)
            connection.sendall(answer)
            connection.shutdown(socket.SHUT_WR)
            if not answer.startswith(b"\0\2"):
                return
            while connection.recv(1 << 16):
                pass

    if release == "5.2" and not answer.startswith(b"\0\2"):
        pytest.skip("QEMU 5.2 does not always wait to hear of a failure")
    outcomes = []
    for kind in ("real", "ours"):
        with (
            socket.socket(socket.AF_UNIX) as listener,
            partner(kind, release, ["-M", "none", "-m", "4"], tmp_path) as source,
        ):
            listener.bind(f"{tmp_path}/{kind}")
            listener.listen(1)
            server = threading.Thread(target=serve, args=(listener,))
            server.start()
            wanted = [{"capability": "return-path", "state": True}]
            source.ask("migrate-set-capabilities", capabilities=wanted)
            source.ask("migrate", uri=f"unix:{tmp_path}/{kind}")
            told = source.wait_for("completed", "failed")
            server.join()
            outcomes.append((told["status"], told.get("error-desc"), source.wait_for_state("prelaunch", "postmigrate")))
    assert outcomes[0] == outcomes[1]


WITH_ACKNOWLEDGEMENT = [release for release in RELEASES if release in ("10.0", "11.1")]


def switched(*names: str) -> dict[str, Any]:
    return {"capabilities": [{"capability": name, "state": True} for name in names]}


@pytest.mark.parametrize("release", WITH_ACKNOWLEDGEMENT)
def test_the_guest_is_stopped_when_the_destination_agrees(release: str, tmp_path: Path) -> None:
    outcomes = []
    for source_kind, destination_kind in (("real", "real"), *DIRECTIONS):
        where = f"unix:{tmp_path}/{source_kind}-{destination_kind}"
        machine = ["-M", "none", "-m", "16"]
        with (
            partner(destination_kind, release, [*machine, "-incoming", "defer"], tmp_path) as destination,
            partner(source_kind, release, machine, tmp_path) as source,
        ):
            for each in (source, destination):
                assert each.ask("migrate-set-capabilities", **switched("return-path", "switchover-ack")) == {}
            destination.ask("migrate-incoming", uri=where)
            source.ask("cont")
            source.wait_for_state("running")
            source.ask("migrate", uri=where)
            told = source.wait_for("completed", "failed")
            outcomes.append(
                (told["status"], source.wait_for_state("postmigrate"), destination.wait_for_state("paused", "running"))
            )
    assert outcomes[1:] == outcomes[:1] * 3


@pytest.mark.parametrize("release", WITH_ACKNOWLEDGEMENT)
def test_a_destination_that_does_not_agree_is_waited_for(release: str, tmp_path: Path) -> None:
    """Since 11.0 it is the devices that are asked, of which none minds."""
    outcomes = []
    for kind in ("real", "ours"):
        with (
            socket.socket(socket.AF_UNIX) as listener,
            partner(kind, release, ["-M", "none", "-m", "4"], tmp_path) as source,
        ):
            listener.bind(f"{tmp_path}/{kind}")
            listener.listen(1)
            source.ask("cont")
            source.wait_for_state("running")
            source.ask("migrate-set-capabilities", **switched("return-path", "switchover-ack"))
            source.ask("migrate", uri=f"unix:{tmp_path}/{kind}")
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(30)
                received = b""
                while b"\x7e\0\0\0" not in received:
                    received += connection.recv(1 << 16)
                status = source.wait_for("device", "active")["status"]
                if release == "10.0":
                    assert status == "active"
                    assert source.ask("query-status")["status"] == "running"
                    connection.sendall(b"\0\7\0\0")
                while not received.endswith(b"}"):
                    received += connection.recv(1 << 16)
                stopped = source.wait_for("device")["status"]
                connection.sendall(b"\0\1\0\4\0\0\0\0")
                ended = source.wait_for("completed")["status"]
                outcomes.append((status if release == "10.0" else "", stopped, ended))
    assert outcomes[0] == outcomes[1]


@pytest.mark.parametrize("release", WITH_ACKNOWLEDGEMENT)
def test_an_acknowledgement_needs_a_way_back(release: str, tmp_path: Path) -> None:
    outcomes = []
    for kind in ("real", "ours"):
        with partner(kind, release, ["-M", "none"], tmp_path) as source:
            found = [source.ask("migrate-set-capabilities", **switched("switchover-ack"))]
            found.append(source.ask("migrate-set-capabilities", **switched("switchover-ack", "return-path")))
            off = [{"capability": "return-path", "state": False}]
            found.append(source.ask("migrate-set-capabilities", capabilities=off))
            found.append(source.ask("migrate-set-capabilities", **switched("release-ram")))
            outcomes.append(found)
    assert outcomes[0] == outcomes[1]
