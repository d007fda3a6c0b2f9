"""Sessions with real QEMU: recorded through the proxy, given again strictly and loosely, and hostile on demand."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from qemu.qmp import ExecInterruptedError, ExecuteError, QMPClient, QMPError

from ramslot.testing import CommandError, Endpoint, EndpointError, RecordingError, async_endpoint, endpoint, replay

from .oracle import RELEASES, qemu

ARGUMENTS = ("-M", "none", "-S", "-object", "memory-backend-ram,id=m,size=4k")
Conversation = Callable[[QMPClient], Awaitable[Any]]


def talk(vm: Endpoint, conversation: Conversation) -> Any:
    """Hold a conversation through the library."""

    async def run() -> Any:
        client = QMPClient("test")
        await client.connect(vm.socket_path)
        try:
            return await conversation(client)
        finally:
            try:
                await client.disconnect()
            except (EOFError, OSError):
                pass  # that the endpoint hung up

    return asyncio.run(asyncio.wait_for(run(), 30))


async def session(client: QMPClient) -> list[Any]:
    """Some of everything: values, an error, events, the same question twice, many at once."""
    answers: list[Any] = [await client.execute("query-memdev")]
    with pytest.raises(ExecuteError) as caught:
        await client.execute("object-del", {"id": "nosuch"})
    answers.append(str(caught.value))
    with client.listener("RESUME") as listener:
        await client.execute("cont")
        answers.append((await listener.get())["event"])
    answers += await asyncio.gather(
        *(client.execute("qom-list", {"path": path}) for path in ("/objects", "/machine/peripheral"))
    )
    await client.execute("object-del", {"id": "m"})
    return [*answers, await client.execute("query-memdev")]


def program(release: str) -> str:
    found = qemu("x86_64", release)
    if found is None:
        pytest.skip(f"QEMU {release} is not installed")
    return found


@pytest.fixture(params=RELEASES)
def recording(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, list[Any]]:
    """A recorded session with real QEMU, and what the client learnt in it."""
    path = tmp_path / "session.jsonl"
    with endpoint(ARGUMENTS, program=program(request.param), record=path) as vm:
        assert vm.version.startswith(request.param)
        answers = talk(vm, session)
    return path, answers


def test_a_recording_given_again(recording: tuple[Path, list[Any]]) -> None:
    path, answers = recording
    assert [memdev["id"] for memdev in answers[0]] == ["m"] and answers[-1] == []
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert lines[:2] == [{"ramslot-recording": 1}, {"connected": True}] and lines[-1] == {"disconnected": "client"}
    assert {"server": {"event": "RESUME"}} in lines
    for strict in (True, False):
        with replay(path, strict=strict) as vm:
            assert talk(vm, session) == answers
            assert vm.mismatches == []


def test_recorded_from_ramslot_it_is_the_same(recording: tuple[Path, list[Any]], tmp_path: Path) -> None:
    """But for the greeting, who it was."""
    release = json.loads(recording[0].read_text().splitlines()[2])["server"]["QMP"]["version"]["qemu"]
    with endpoint(ARGUMENTS, qemu=f"{release['major']}.{release['minor']}", record=tmp_path / "ours.jsonl") as vm:
        talk(vm, session)
    theirs, ours = (path.read_text().splitlines()[3:] for path in (recording[0], tmp_path / "ours.jsonl"))
    assert sorted(ours) == sorted(theirs)


def test_what_differs_from_the_recording(recording: tuple[Path, list[Any]]) -> None:
    path, _answers = recording

    async def other(client: QMPClient) -> Any:
        return await client.execute("query-name")

    async def first_only(client: QMPClient) -> Any:
        return await client.execute("query-memdev")

    with pytest.raises(EndpointError, match=r'sends \{"execute": "query-name".*, in the recording it sends \{"execute": "query-memdev"'), replay(path) as vm, pytest.raises(ExecInterruptedError):  # fmt: skip
        talk(vm, other)
    with pytest.raises(EndpointError, match=r"the client did not send .*object-del"), replay(path) as vm:
        talk(vm, first_only)
    with replay(path, strict=False) as vm:
        with pytest.raises(ExecuteError, match=r"not in the recording: .*query-name"):
            talk(vm, other)
        assert len(vm.mismatches) == 1
        assert [talk(vm, first_only) for _ in range(3)] == [_answers[0], [], []]


def test_a_replay_can_be_hostile(recording: tuple[Path, list[Any]]) -> None:
    path, answers = recording
    with replay(path) as vm:
        vm.fault("split", nth=None, at=(1, 9))
        vm.fault("stale", "cont")
        assert talk(vm, session) == answers


@pytest.mark.parametrize("release", RELEASES)
def test_real_qemu_can_be_hostile(release: str) -> None:
    async def ask(client: QMPClient) -> Any:
        return await client.execute("object-del", {"id": "m"})

    with endpoint(ARGUMENTS, program=program(release)) as vm:
        vm.fault("disconnect", "object-del")
        with pytest.raises(QMPError):
            talk(vm, ask)
        assert [memdev["id"] for memdev in vm.execute("query-memdev")] == ["m"]
        vm.fault("disconnect", "object-del", at=(0,))
        with pytest.raises(QMPError):
            talk(vm, ask)
        assert vm.execute("query-memdev") == []
        assert vm.commands == ["qmp_capabilities", "object-del"] * 2


@pytest.mark.parametrize("release", RELEASES)
def test_real_qemu_is_awaited(release: str) -> None:
    async def conversation() -> None:
        async with async_endpoint(ARGUMENTS, program=program(release)) as real, async_endpoint(ARGUMENTS) as ours:
            for vm in (real, ours):
                status, memdevs = await asyncio.gather(vm.query_status(), vm.query_memdev())
                assert status["running"] is False and [memdev.get("id") for memdev in memdevs] == ["m"]
                await vm.cont()
                assert (await vm.wait_event("RESUME"))["event"] == "RESUME"
                with pytest.raises(CommandError, match="object 'nosuch' not found"):
                    await vm.object_del(id="nosuch")

    asyncio.run(conversation())


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no connection is in it"),
        ('{"ramslot-recording": 2}\n', "1: a recording begins with"),
        ('{"ramslot-recording": 1}\n{"client"\n', "2: no JSON"),
        ('{"ramslot-recording": 1}\n{"nobody": 1}\n', "2: a line is one of connected, disconnected, client, server"),
    ],
)
def test_files_that_are_no_recordings(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "file").write_text(text)
    with pytest.raises(RecordingError, match=reason):
        replay(tmp_path / "file")
