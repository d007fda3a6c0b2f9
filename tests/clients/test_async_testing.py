"""Endpoints of `ramslot.testing` for asyncio: client, endpoint and look from behind in one loop that never stands."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Coroutine, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, assert_type

import pytest
from qemu.qmp import ExecuteError, QMPClient

from ramslot.testing import (
    AsyncMachineEndpoint,
    CommandError,
    EndpointError,
    answers,
    async_attach,
    async_endpoint,
    async_replay,
    endpoint,
)

from .program import ENVIRONMENT

PATIENCE = 20.0
MACHINE = ("-M", "none", "-object", "memory-backend-ram,id=m,size=4k")


def run(conversation: Coroutine[Any, Any, None]) -> None:
    """Hold a conversation in a loop of its own."""
    asyncio.run(asyncio.wait_for(conversation, PATIENCE))


async def connected(path: str) -> QMPClient:
    client = QMPClient("test")
    await client.connect(path)
    return client


@pytest.fixture
def nothing_left() -> Iterator[None]:
    """Descriptors, threads and processes are as they were."""
    endpoint(MACHINE).close()  # whatever is made once
    before = left()
    yield
    assert left() == before


def left() -> tuple[list[str], list[str], str]:
    threads = sorted(thread.name for thread in threading.enumerate())
    starter = f"/proc/{os.getpid()}/task/{os.getpid()}/children"
    processes = "".join(
        Path(f"/proc/{pid}/task/{pid}/children").read_text() for pid in Path(starter).read_text().split()
    )
    return sorted(os.listdir("/proc/self/fd")), threads, processes


@pytest.mark.usefixtures("nothing_left")
def test_the_library_and_the_look_from_behind_share_a_loop() -> None:
    async def conversation() -> None:
        async with async_endpoint(["-M", "q35", "-m", "64M"], qemu="7.2") as vm:
            assert vm.version.startswith("7.2.")
            client = await connected(vm.socket_path)
            size = {"qom-type": "memory-backend-ram", "id": "x", "size": 8192}
            _, status = await asyncio.gather(client.execute("object-add", size), vm.query_status())
            assert_type(status, answers.StatusInfo)
            assert status["running"]
            assert [memdev.get("id") for memdev in await vm.query_memdev()] == ["x", "pc.ram"]
            assert (await vm.query_ramblocks())[0]["name"] == "pc.ram"
            assert vm.commands == ["qmp_capabilities", "object-add"]
            assert vm.assert_sent("object-add", qom_type="memory-backend-ram")["arguments"] == size
            await vm.object_del(id="x")
            with pytest.raises(CommandError, match="object 'x' not found"):
                await vm.object_del(id="x")
            vm.fault("error", "query-memdev")
            with pytest.raises(ExecuteError, match="injected by a test"):
                await client.execute("query-memdev")
            vm.fault("silence", "query-name")
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(client.execute("query-name"), 0.1)
            assert await vm.query_name() == {}
            await client.disconnect()

    run(conversation())


def test_events_are_waited_for() -> None:
    async def conversation() -> None:
        async with async_endpoint(MACHINE) as vm:
            client = await connected(vm.socket_path)
            waiting = asyncio.create_task(vm.wait_event("STOP"))
            await client.execute("stop")
            assert (await waiting)["event"] == "STOP"
            assert [event["event"] for event in vm.events] == ["STOP"]
            with pytest.raises(EndpointError, match="no event RESUME came"):
                await vm.wait_event("RESUME", timeout=0.01)
            waiting = asyncio.create_task(vm.wait_event("RESUME"))
            await vm.quit()
            with pytest.raises(EndpointError, match="no event RESUME came"):
                await waiting
            assert (await vm.wait_event("SHUTDOWN"))["data"]["reason"] == "host-qmp-quit"
            with suppress(EOFError):  # it may have heard already that the endpoint has gone
                await client.disconnect()

    run(conversation())


def stand_still(vm: AsyncMachineEndpoint, seconds: float, then: int = signal.SIGCONT) -> None:
    """From now on, nothing is answered for so long."""
    os.kill(vm.pid, signal.SIGSTOP)
    asyncio.get_running_loop().call_later(seconds, os.kill, vm.pid, then)


@pytest.mark.usefixtures("nothing_left")
def test_a_cancelled_command_leaves_the_connection_as_it_was() -> None:
    async def conversation() -> None:
        async with async_endpoint(MACHINE) as vm:
            stand_still(vm, 1.5)
            begun = asyncio.create_task(vm.object_add(qom_type="memory-backend-ram", id="begun", size=4096))
            queued = asyncio.create_task(vm.object_add(qom_type="memory-backend-ram", id="queued", size=4096))
            given_up = 0
            for _ in range(20):  # more than the loop has threads: none of them is taken
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(vm.query_name(), 0.01)
                given_up += 1
            assert begun.cancel() and queued.cancel()
            assert await asyncio.wait_for(asyncio.to_thread(lambda: given_up), 1) == 20
            # Of many that wait, each has its own answer.
            status, memdevs, name = await asyncio.gather(vm.query_status(), vm.query_memdev(), vm.query_name())
            assert "running" in status and name == {}
            assert sorted(memdev["id"] for memdev in memdevs if "id" in memdev) == ["begun", "m"]
            assert begun.cancelled() and queued.cancelled()

    run(conversation())


def test_the_loop_never_stands() -> None:
    """Also while the endpoint starts and ends, and while a command takes its time."""

    async def conversation() -> None:
        stops = []

        async def look() -> None:
            while True:
                before = time.monotonic()
                await asyncio.sleep(0.001)
                stops.append(time.monotonic() - before)

        looking = asyncio.create_task(look())
        async with async_endpoint(["-M", "q35"]) as vm:
            stand_still(vm, 1)
            await vm.query_qmp_schema()
            stand_still(vm, 1)
        looking.cancel()
        assert max(stops) < 0.9

    run(conversation())


@pytest.mark.usefixtures("nothing_left")
def test_who_waits_for_an_answer_hears_of_the_end() -> None:
    async def conversation() -> None:
        async with async_endpoint(MACHINE) as vm:
            stand_still(vm, 0.2, signal.SIGKILL)
            waiting = [asyncio.create_task(vm.query_name()) for _ in range(3)]
            await asyncio.sleep(0.05)
        for result in await asyncio.gather(*waiting, return_exceptions=True):
            assert isinstance(result, EndpointError)
        with pytest.raises(EndpointError, match="the endpoint is closed"):
            await vm.query_name()
        with pytest.raises(EndpointError):
            await vm.wait_event("STOP")

    run(conversation())


@pytest.mark.usefixtures("nothing_left")
def test_two_at_once() -> None:
    async def conversation() -> None:
        async with async_endpoint(MACHINE, qemu="5.2") as old, async_endpoint(MACHINE, qemu="11.1") as new:
            old.fault("error", "query-name")
            clients = await asyncio.gather(connected(old.socket_path), connected(new.socket_path))
            answers = await asyncio.gather(
                *(client.execute("query-name") for client in clients), return_exceptions=True
            )
            assert isinstance(answers[0], ExecuteError) and answers[1] == {}
            versions = await asyncio.gather(old.query_version(), new.query_version())
            assert [version["qemu"]["major"] for version in versions] == [5, 11]
            assert old.commands == new.commands == ["qmp_capabilities", "query-name"]
            for client in clients:
                await client.disconnect()

    run(conversation())


@pytest.mark.usefixtures("nothing_left")
@pytest.mark.parametrize("moment", ["start", "body", "end"])
def test_cancelled_at_any_moment_it_ends_wholly(moment: str) -> None:
    async def conversation() -> None:
        reached = asyncio.Event()

        async def use() -> None:
            if moment == "start":
                reached.set()
            async with async_endpoint(MACHINE) as vm:
                assert moment != "start", "it was cancelled before"
                if moment == "body":
                    reached.set()
                    await vm.wait_event("STOP", PATIENCE)
                stand_still(vm, 0.1)
                reached.set()

        using = asyncio.create_task(use())
        await reached.wait()
        await asyncio.sleep(0.001)
        for _ in range(3):
            using.cancel()
            await asyncio.sleep(0)
        with pytest.raises(asyncio.CancelledError):
            await using

    began = time.monotonic()
    run(conversation())
    assert time.monotonic() - began < 5, "the loop stood, and did not let the endpoint go on"


@pytest.mark.usefixtures("nothing_left")
def test_an_exception_within_ends_it_and_is_told() -> None:
    async def conversation() -> None:
        with pytest.raises(ZeroDivisionError):
            async with async_endpoint(MACHINE) as vm:
                client = await connected(vm.socket_path)
                vm.fault("delay", "query-name", seconds=100)
                asking = asyncio.create_task(client.execute("query-name"))
                await asyncio.sleep(0.01)
                1 / 0  # noqa: B018
        assert not vm.running
        with pytest.raises(Exception, match=r"Disconnected|interrupted"):
            await asking
        with suppress(EOFError):
            await client.disconnect()
        with pytest.raises(EndpointError, match='unsupported machine type: "nosuch"'):
            async with async_endpoint(["-M", "nosuch"]):
                pass

    run(conversation())


@pytest.mark.usefixtures("nothing_left")
def test_clients_in_all_threads_of_the_loop_do_not_keep_it_from_ending() -> None:
    def ask(path: str) -> bytes:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(3)
            client.connect(path)
            return client.recv(1)

    async def conversation() -> None:
        async with async_endpoint(MACHINE) as vm:
            vm.fault("silence", "greeting", nth=None)
            asking = [asyncio.create_task(asyncio.to_thread(ask, vm.socket_path)) for _ in range(50)]
            await asyncio.sleep(0.1)
        results = await asyncio.gather(*asking, return_exceptions=True)
        assert not any(isinstance(result, TimeoutError) for result in results)

    run(conversation())


@pytest.mark.usefixtures("nothing_left")
def test_attached_and_replayed(tmp_path: Path) -> None:
    session = tmp_path / "session"

    async def conversation() -> None:
        async with async_endpoint(MACHINE) as vm, async_attach(vm.socket_path, record=session) as outer:
            client = await connected(outer.socket_path)
            memdevs = await client.execute("query-memdev")
            assert memdevs == await vm.query_memdev()
            await client.disconnect()
        assert outer.commands == vm.commands == ["qmp_capabilities", "query-memdev"]
        async with async_replay(session) as again:
            client = await connected(again.socket_path)
            assert await client.execute("query-memdev") == memdevs
            await client.disconnect()
        with pytest.raises(EndpointError, match=r"the client did not send .*query-memdev"):
            async with async_replay(session) as again:
                client = await connected(again.socket_path)
                await client.disconnect()
        async with async_replay(session, strict=False) as loose:
            assert loose.mismatches == []

    run(conversation())


def test_the_first_import_of_endpoints_does_without_asyncio() -> None:
    code = "import sys, ramslot.testing; print('asyncio' in sys.modules); ramslot.testing.async_endpoint"
    done = subprocess.run([sys.executable, "-c", code], env=ENVIRONMENT, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_a_late_answer_is_nobody_elses(monkeypatch: pytest.MonkeyPatch) -> None:
    with endpoint(MACHINE) as vm:
        monkeypatch.setattr("ramslot.monitor.testing.control.PATIENCE", 0.05)
        os.kill(vm.pid, signal.SIGSTOP)
        with pytest.raises(EndpointError, match=r"no answer within 0\.05 s"):
            vm.query_memdev()
        monkeypatch.setattr("ramslot.monitor.testing.control.PATIENCE", PATIENCE)
        os.kill(vm.pid, signal.SIGCONT)
        assert vm.query_name() == {}


def test_threads_may_share_an_endpoint() -> None:
    with endpoint(MACHINE) as vm:
        wrong: list[object] = []

        def ask() -> None:
            for _ in range(50):
                answer = vm.query_memdev()
                if [memdev.get("id") for memdev in answer] != ["m"] or vm.query_name() != {}:
                    wrong.append(answer)

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        vm.stop()
        assert vm.wait_event("STOP")["event"] == "STOP"
        for thread in threads:
            thread.join()
        assert wrong == [], json.dumps(wrong[:1])
