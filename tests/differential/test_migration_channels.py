"""Pages that go beside the stream, with real QEMU on the other side: on channels of their own (multifd)."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from .oracle import RELEASES
from .partners import Partner, digest, filled, ours, partner, real
from .test_migration import DIRECTIONS, SIZE, counted, memory

MULTIFD = ("events", "multifd")


def prepare(each: Partner, capabilities: tuple[str, ...], **parameters: Any) -> None:
    wanted = [{"capability": name, "state": True} for name in capabilities]
    assert each.ask("migrate-set-capabilities", capabilities=wanted) == {}
    assert each.ask("migrate-set-parameters", **parameters) == {}


def moved(
    source: Partner, destination: Partner, where: str, capabilities: tuple[str, ...], **parameters: Any
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Migrate, both sides being set alike, and return what they tell then."""
    for each in (source, destination):
        prepare(each, capabilities, **parameters)
    assert destination.ask("migrate-incoming", uri=where) == {}
    assert source.ask("migrate", uri=where) == {}
    sent = source.wait_for("completed", "failed")
    destination.wait_for("completed", "failed")
    return sent, destination.ask("query-migrate")


def told(sent: dict[str, Any]) -> dict[str, Any]:
    """What of that is no matter of how pages were dealt out."""
    found = counted(sent)
    found["ram"].pop("multifd-bytes")
    return found


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("method", ["none", "zlib"])
def test_pages_arrive_on_channels_of_their_own(method: str, release: str, tmp_path: Path) -> None:
    found = []
    for number, (source_kind, destination_kind) in enumerate((("real", "real"), *DIRECTIONS)):
        folder = tmp_path / str(number)
        folder.mkdir()
        old, new = filled(folder / "old", SIZE, number), folder / "new"
        with (
            partner(destination_kind, release, [*memory(new), "-incoming", "defer"], folder) as destination,
            partner(source_kind, release, memory(old), folder) as source,
        ):
            parameters = {"multifd-channels": 1 + number, "multifd-compression": method}
            sent, received = moved(source, destination, f"unix:{folder}/socket", MULTIFD, **parameters)
            states = source.wait_for_state("postmigrate"), destination.wait_for_state("prelaunch")
            assert sent["ram"]["multifd-bytes"] > 0
            found.append((told(sent), received, states, destination.events))
        assert digest(old) == digest(new)
    assert found[1:] == [found[0]] * 3


@pytest.mark.parametrize(
    ("release", "machine"),
    [
        *((release, "pc-i440fx-5.2") for release in RELEASES if release != "11.1"),
        *(("10.0", f"pc-q35-{version}") for version in ("8.0", "8.1", "9.0")),
        ("11.1", "pc-i440fx-7.2"),
        ("11.1", "pc"),
    ],
)
def test_a_running_machine_goes_through_us_by_channels(release: str, machine: str, tmp_path: Path) -> None:
    """When channels meet, and where zeros are told, is a matter of the version of QEMU and of the machine."""
    paths = [filled(tmp_path / "0", SIZE, 1), tmp_path / "1", tmp_path / "2"]
    sockets = [f"unix:{tmp_path}/socket{number}" for number in range(2)]
    with (
        real(release, memory(paths[0], machine), tmp_path) as first,
        ours(release, [*memory(paths[1], machine), "-incoming", "defer"], tmp_path) as between,
        real(release, [*memory(paths[2], machine), "-incoming", "defer"], tmp_path) as last,
    ):
        assert first.ask("query-migrate-parameters").get("zero-page-detection") == between.ask(
            "query-migrate-parameters"
        ).get("zero-page-detection")
        for each in (first, between, last):
            each.ask("cont")
        first.wait_for_state("running")
        moved(first, between, sockets[0], MULTIFD, **{"multifd-channels": 3})
        between.wait_for_state("running")
        assert digest(paths[0]) == digest(paths[1])
        moved(between, last, sockets[1], MULTIFD, **{"multifd-channels": 3})
        assert last.wait_for_state("running") == "running"


STRANGERS = {
    "another program": b"\0\0\0\1" + bytes(60),
    "a later version": bytes.fromhex("1122334400000002") + bytes(56),
    "another machine": bytes.fromhex("1122334400000001") + bytes(range(16)) + bytes(40),
    "one too many": bytes.fromhex("1122334400000001") + bytes(16) + b"\x09" + bytes(39),
    "one that ends": bytes.fromhex("1122334400000001"),
}


def refused(command: Partner, where: Path, data: bytes) -> tuple[int, list[str]]:
    """The exit status of a destination that meets a stranger, and what it says."""
    prepare(command, MULTIFD, **{"multifd-channels": 1})
    assert command.ask("migrate-incoming", uri=f"unix:{where}") == {}
    with socket.socket(socket.AF_UNIX) as stranger:
        stranger.connect(str(where))
        stranger.sendall(data)
        stranger.shutdown(socket.SHUT_WR)
        status = command.process.wait(30)
    return status, [line.partition(": ")[2] for line in command.errors.splitlines()]


@pytest.mark.parametrize("release", ["10.0", "11.1"])  # older ones say the same of most, and wait for ever
@pytest.mark.parametrize("stranger", STRANGERS)
def test_a_stranger_is_refused_in_the_same_words(stranger: str, release: str, tmp_path: Path) -> None:
    answers = []
    for kind in ("real", "ours"):
        with partner(kind, release, ["-M", "none", "-incoming", "defer"], tmp_path) as destination:
            answers.append(refused(destination, tmp_path / kind, STRANGERS[stranger]))
    assert answers[0] == answers[1]


@pytest.mark.parametrize("release", ["10.0", "11.1"])
def test_where_channels_cannot_go_is_told_the_same(release: str, tmp_path: Path) -> None:
    answers = []
    for kind in ("real", "ours"):
        found: list[Any] = []
        with (
            partner(kind, release, ["-M", "none"], tmp_path) as source,
            partner(kind, release, ["-M", "none", "-incoming", "defer"], tmp_path) as deferred,
            partner(kind, release, ["-M", "none", "-incoming", f"unix:{tmp_path}/{kind}"], tmp_path) as waiting,
        ):
            prepare(source, MULTIFD)
            prepare(deferred, MULTIFD)
            for uri in ("exec:cat", "fd:x", f"file:{tmp_path}/out"):
                found += [source.ask("migrate", uri=uri), deferred.ask("migrate-incoming", uri=uri)]
            found.append(source.ask("query-migrate"))
            for state in (False, True):
                wanted = [{"capability": "multifd", "state": state}]
                found.append(waiting.ask("migrate-set-capabilities", capabilities=wanted))
        answers.append(found)
    assert answers[0] == answers[1]


@pytest.mark.parametrize("method", ["", "none", "zlib"])
@pytest.mark.parametrize("destination_kind", ["real", "ours"])
def test_zeros_that_nobody_looks_for_are_sent_as_they_are(destination_kind: str, method: str, tmp_path: Path) -> None:
    """Most of the memory is a hole, longer than what is read at once."""
    old, new, where = filled(tmp_path / "old", SIZE, 1), tmp_path / "new", f"unix:{tmp_path}/socket"
    with old.open("r+b") as file:
        file.truncate(2 << 20)
        file.truncate(SIZE)
    with (
        partner(destination_kind, "10.0", [*memory(new), "-incoming", "defer"], tmp_path) as destination,
        ours("10.0", memory(old), tmp_path) as source,
    ):
        assert source.ask("migrate-set-parameters", **{"zero-page-detection": "none"}) == {}
        parameters = {"multifd-channels": 3, "multifd-compression": method} if method else {}
        sent, _received = moved(source, destination, where, MULTIFD if method else ("events",), **parameters)
        assert (sent["ram"]["normal"], sent["ram"]["duplicate"]) == (SIZE // 4096, 0)
    assert digest(old) == digest(new)
