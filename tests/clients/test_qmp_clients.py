"""Clients that others wrote: the library `qemu.qmp` and its shell."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from qemu.qmp import ConnectError, EventListener, ExecInterruptedError, ExecuteError, QMPClient

from ramslot.schema import contract
from ramslot.vm.releases import find_release

from .program import ENVIRONMENT, PATIENCE, Program, is_listening, wait_for

CONTRACT = contract(find_release(None).number)

Launch = Callable[..., Program]


async def ask(client: QMPClient, command: str, **arguments: object) -> Any:
    """The value of a command's reply."""
    return await client.execute(command, arguments)


def talk(program: Program, conversation: Callable[[QMPClient], Awaitable[None]], name: str = "qmp.sock") -> None:
    """Hold a conversation through the library, from connecting to disconnecting."""

    async def connected() -> QMPClient:
        # The socket has a name before it listens.
        while True:
            client = QMPClient("test")
            try:
                await client.connect(str(program.folder / name))
                return client
            except ConnectError:
                await client.disconnect()
                assert program.process.poll() is None, program.process.communicate()
                await asyncio.sleep(0.005)

    async def run() -> None:
        client = await connected()
        try:
            await conversation(client)
        finally:
            # The library raises EOFError here, or not, by whether it has seen the end of the connection already.
            with suppress(EOFError):
                await client.disconnect()

    asyncio.run(asyncio.wait_for(run(), PATIENCE))


def test_greeting_and_capabilities(launch: Launch) -> None:
    async def conversation(client: QMPClient) -> None:
        greeting = client.greeting
        assert greeting is not None
        version: Any = greeting.QMP.version
        assert (version["qemu"]["major"], version["qemu"]["minor"]) == find_release(None).number
        assert version["package"].startswith("ramslot ")
        assert greeting.QMP.capabilities == ["oob"]
        assert await client.execute("query-version") == version

    talk(launch(), conversation)


def test_every_query_without_arguments_answers_as_the_schema_says(launch: Launch) -> None:
    async def conversation(client: QMPClient) -> None:
        names = [command["name"] for command in await ask(client, "query-commands")]
        assert set(names) == set(CONTRACT.commands())
        for name in names:
            members = CONTRACT.types.arguments(CONTRACT.commands()[name]).members.values()
            if name.startswith("query-") and not any(member.required for member in members):
                try:
                    CONTRACT.check_result(name, await client.execute(name))
                except ExecuteError as error:
                    assert machine == "none" and name in ("query-hotpluggable-cpus", "query-balloon"), error

    balloon = ("-device", "virtio-balloon")
    for machine, options in (("none", ()), ("pc", balloon), ("s390-ccw-virtio", balloon)):
        program = launch("-accel", "sim", *options, machine=machine)
        talk(program, conversation)
        assert program.end(signal.SIGTERM)[0] == 0


def test_backends_come_and_go(launch: Launch) -> None:
    async def conversation(client: QMPClient) -> None:
        for kind in ("ram", "memfd"):
            await client.execute("object-add", {"qom-type": f"memory-backend-{kind}", "id": kind, "size": 1 << 20})
        found = await ask(client, "query-memdev")
        assert sorted(memdev["id"] for memdev in found) == ["memfd", "ram"]
        assert await client.execute("qom-get", {"path": "/objects/memfd", "property": "share"}) is True
        await client.execute("object-del", {"id": "ram"})
        with pytest.raises(ExecuteError, match="object 'ram' not found") as caught:
            await client.execute("object-del", {"id": "ram"})
        assert caught.value.error_class == "GenericError"
        with pytest.raises(ExecuteError, match="The command x has not been found") as caught:
            await client.execute("x")
        assert caught.value.error_class == "CommandNotFound"

    talk(launch(), conversation)


def test_many_requests_at_once_are_answered_each_its_own(launch: Launch) -> None:
    async def conversation(client: QMPClient) -> None:
        paths = ["/objects", "/machine", "/machine/unattached"] * 20
        wanted = [client.execute("qom-get", {"path": path, "property": "type"}) for path in paths]
        assert await asyncio.gather(*wanted) == ["container", "none-machine", "container"] * 20

    talk(launch(), conversation)


def test_events(launch: Launch) -> None:
    async def conversation(client: QMPClient) -> None:
        with client.listener() as listener:
            for command in ("cont", "stop", "system_reset"):
                await client.execute(command)
            events = [dict(await listener.get())["event"] for _ in range(3)]
        assert events == ["RESUME", "STOP", "RESET"]

    talk(launch(), conversation)


def test_quit_ends_the_connection(launch: Launch) -> None:
    program = launch()
    reasons = []

    async def conversation(client: QMPClient) -> None:
        listener = EventListener(names=["SHUTDOWN"])
        client.register_listener(listener)
        try:
            await client.execute("quit")
        except ExecInterruptedError:
            pytest.fail("quit was not answered")
        event: Any = await listener.get()
        reasons.append(event["data"]["reason"])

    talk(program, conversation)
    assert reasons == ["host-qmp-quit"]
    assert program.end() == (0, "", "")


def test_clients_of_the_library_one_after_another_and_at_once(launch: Launch) -> None:
    program = launch("-qmp", "unix:b.sock,server=on,wait=off")

    async def conversation(client: QMPClient) -> None:
        assert (await ask(client, "query-status"))["status"] == "prelaunch"

        async def nested() -> None:
            other = QMPClient("other")
            await other.connect(str(program.folder / "b.sock"))
            with client.listener("RESUME") as listener:
                await other.execute("cont")
                await listener.get()
            await other.execute("stop")
            await other.execute("system_reset")
            await other.disconnect()

        await nested()

    for _ in range(3):
        talk(program, conversation)


# qmp-shell


def shell(program: Program, lines: list[str], *options: str) -> list[str]:
    """What `qmp-shell` prints for these lines."""
    path = program.folder / "qmp.sock"
    wait_for(lambda: is_listening(path), "socket")
    ended = subprocess.run(
        [sys.executable, "-m", "qemu.qmp.qmp_shell", *options, str(path)],
        input="\n".join([*lines, ""]),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
        env={**ENVIRONMENT, "HOME": str(program.folder)},
    )
    assert ended.returncode == 0 and ended.stderr == "", ended.stderr
    return ended.stdout.splitlines()


def test_shell(launch: Launch) -> None:
    lines = [
        "query-status", "object-add qom-type=memory-backend-ram id=m size=1048576", "query-memdev", "object-del id=x",
        "qom-get path=/objects/m property=size", "absent",
    ]  # fmt: skip
    printed = "\n".join(shell(launch(), lines))
    for wanted in (
        '"status": "prelaunch"',
        '"id": "m"',
        "object 'x' not found",
        '{"return": 1048576}',
        "has not been found",
    ):
        assert wanted in printed, printed


def test_human_shell(launch: Launch, tmp_path: Path) -> None:
    program = launch("-name", "vm1", machine="pc")
    printed = shell(
        program, ["info name", "info ramblock", "object_add memory-backend-ram,id=m,size=8k", "info memdev"], "-H"
    )
    for wanted in ("vm1", "Block Name", "memory backend: m", "size:  8192"):
        assert any(wanted in line for line in printed), printed
