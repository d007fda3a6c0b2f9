"""The older of the public Python clients, `qmp`, unchanged: it sends no newline and no ids, and reads line by line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ramslot.testing import endpoint

from .program import Program, is_listening, wait_for

qmp: Any = pytest.importorskip("qmp", reason="there is no client 'qmp'")

Launch = Callable[..., Program]


@pytest.mark.parametrize("version", ["5.2", "7.2", "10.0", "11.1"])
def test_a_conversation(launch: Launch, version: str) -> None:
    program = launch("-qemu", version)
    path = program.folder / "qmp.sock"
    wait_for(lambda: is_listening(path), "socket")
    with qmp.QEMUMonitorProtocol(str(path)) as client:
        greeting = client.connect()
        assert ".".join(str(greeting["QMP"]["version"]["qemu"][part]) for part in ("major", "minor")) == version
        assert client.command("query-status")["running"] is False
        client.command("object-add", **object_of_a_mebibyte(version))
        assert [memdev["id"] for memdev in client.command("query-memdev")] == ["m"]
        with pytest.raises(Exception, match="object 'nobody' not found"):
            client.command("object-del", id="nobody")
        assert client.cmd_obj({"execute": "absent"})["error"]["class"] == "CommandNotFound"
        client.command("cont")
        assert client.pull_event(wait=5.0)["event"] == "RESUME"


def object_of_a_mebibyte(version: str) -> dict[str, Any]:
    """Up to QEMU 5.2 the properties are in `props`."""
    size = {"size": 1 << 20}
    return {"qom-type": "memory-backend-ram", "id": "m", **({"props": size} if version == "5.2" else size)}


def test_an_event_before_a_reply_is_kept() -> None:
    with endpoint() as vm:
        vm.fault("event", command="query-status", event="STOP")
        with qmp.QEMUMonitorProtocol(vm.socket_path) as client:
            client.connect()
            assert "status" in client.command("query-status")
            assert [event["event"] for event in client.get_events()] == ["STOP"]


def test_it_takes_a_stale_reply_for_its_answer() -> None:
    """Without ids it cannot know better: a fault of its handling, which these tests are for finding."""
    with endpoint() as vm:
        vm.fault("stale", command="query-memdev")
        with qmp.QEMUMonitorProtocol(vm.socket_path) as client:
            client.connect()
            status = client.command("query-status")
            assert client.command("query-memdev") == status
