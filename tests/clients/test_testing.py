"""`ramslot.testing` as a test of somebody's QMP client uses it: plain sockets, and the library `qemu.qmp` unchanged."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import textwrap
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qemu.qmp import QMPClient, QMPError
from qemu.qmp.legacy import QEMUMonitorProtocol

import ramslot.testing
from ramslot.testing import CommandError, EndpointError, Fault, MachineEndpoint, attach, endpoint
from ramslot.vm.releases import VERSIONS

PATIENCE = 20.0
MACHINE = ("-M", "none", "-object", "memory-backend-ram,id=m,size=4k")


@pytest.fixture
def vm() -> Iterator[MachineEndpoint]:
    with endpoint(MACHINE) as started:
        yield started


class PlainClient:
    """A socket, and lines."""

    def __init__(self, path: str, negotiate: bool = True) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(PATIENCE)
        self.socket.connect(path)
        self._file = self.socket.makefile("rb")
        if negotiate:
            assert "QMP" in self.receive()
            assert self.ask("qmp_capabilities") == {"return": {}}

    def __enter__(self) -> PlainClient:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self.socket.close()

    def ask(self, command: str, **arguments: Any) -> Any:
        self.socket.sendall(json.dumps({"execute": command, "arguments": arguments}).encode())
        return self.receive()

    def receive(self) -> Any:
        line = self._file.readline()
        return json.loads(line) if line else None


# The endpoint


@pytest.mark.parametrize("version", VERSIONS)
def test_every_version(version: str) -> None:
    with endpoint(MACHINE, qemu=version) as vm:
        assert vm.version == ".".join(map(str, VERSIONS[version]))
        with PlainClient(vm.socket_path) as client:
            number = client.ask("query-version")["return"]["qemu"]
            assert f"{number['major']}.{number['minor']}" == version


def test_what_the_client_sent_and_the_state_from_behind(vm: MachineEndpoint) -> None:
    with PlainClient(vm.socket_path) as client:
        client.ask("object-add", **{"qom-type": "memory-backend-ram", "id": "x", "size": 8192})
        client.ask("nosuch")
        assert [memdev["id"] for memdev in vm.execute("query-memdev")] == ["x", "m"]
        assert vm.commands == ["qmp_capabilities", "object-add", "nosuch"]
        assert vm.assert_sent("object-add", id="x", qom_type="memory-backend-ram")["arguments"]["size"] == 8192
        with pytest.raises(AssertionError, match=r"object-add with \{'id': 'y'\} was not sent, but\n  \{'execute'"):
            vm.assert_sent("object-add", id="y")
        with pytest.raises(CommandError, match="object 'y' not found") as caught:
            vm.execute("object-del", {"id": "y"})
        assert caught.value.error_class == "GenericError"
        client.ask("stop")
        assert vm.wait_event("STOP")["event"] == "STOP"
        with pytest.raises(EndpointError, match="no event RESUME came"):
            vm.wait_event("RESUME", timeout=0.01)


def test_the_example_of_the_docstring() -> None:
    example = str(ramslot.testing.__doc__).split("\n\n")[1].replace("...", "use(vm)")

    def use(vm: MachineEndpoint) -> None:
        with PlainClient(vm.socket_path) as client:
            assert client.ask("object-add", **{"qom-type": "memory-backend-ram", "id": "m", "size": 4096}) is None

    exec(textwrap.dedent(example), {"use": use})


def test_typed_methods_ask_from_behind() -> None:
    with endpoint(["-M", "q35", "-m", "64M"]) as vm:
        assert vm.query_ramblocks() == vm.execute("query-ramblocks")
        vm.object_add(qom_type="memory-backend-ram", id="m", size=4096)
        assert [memdev.get("id") for memdev in vm.query_memdev()] == ["m", "pc.ram"]
        assert vm.qom_get(path="/objects/m", property="size") == 4096
        assert vm.sent == []


def test_quit_and_crash_are_the_endpoints_own() -> None:
    for command, arguments in (("quit", None), ("kill", None)):
        with endpoint(MACHINE) as vm, PlainClient(vm.socket_path) as client:
            if command == "quit":
                vm.execute(command, arguments)
                assert vm.wait_event("SHUTDOWN")["data"]["reason"] == "host-qmp-quit"
            else:
                os.kill(vm.pid, 9)
            while client.receive() is not None:
                pass
            deadline = time.monotonic() + PATIENCE
            while vm.running:
                assert time.monotonic() < deadline
            with PlainClient(vm.socket_path, negotiate=False) as late:
                assert late.receive() is None
            with pytest.raises(EndpointError, match="the endpoint has ended"):
                vm.execute("query-name")


def test_a_start_that_fails_says_why_and_leaves_nothing() -> None:
    endpoint(MACHINE).close()  # whatever is made once
    before = sorted(os.listdir("/proc/self/fd")), threading.active_count()
    for options, text in (
        ({"arguments": ["-M", "nosuch"]}, 'unsupported machine type: "nosuch"'),
        ({"qemu": "3.1"}, "QEMU 3.1 is none that ramslot can be"),
        ({"program": "/nosuch"}, "/nosuch: No such file or directory"),
    ):
        with pytest.raises(EndpointError, match=text):
            endpoint(**options)
    with pytest.raises(FileNotFoundError):
        endpoint(record="/nosuch/file")
    assert (sorted(os.listdir("/proc/self/fd")), threading.active_count()) == before


def test_nothing_is_left_behind() -> None:
    endpoint(MACHINE).close()
    before = sorted(os.listdir("/proc/self/fd")), threading.active_count()
    for _ in range(3):
        with endpoint(MACHINE) as vm, PlainClient(vm.socket_path):
            vm.fault("delay", "query-name", seconds=100)
            pid, folder = vm.pid, os.path.dirname(vm.socket_path)
        vm.close()
        assert not os.path.exists(folder) and not os.path.exists(f"/proc/{pid}")
    assert (sorted(os.listdir("/proc/self/fd")), threading.active_count()) == before


def test_paths_are_those_of_the_folder(tmp_path: Path) -> None:
    with endpoint(["-M", "none", "-object", "memory-backend-file,id=f,size=4k,mem-path=ram.img"], folder=tmp_path):
        assert (tmp_path / "ram.img").stat().st_size == 4096


def test_descriptors_go_along(vm: MachineEndpoint, tmp_path: Path) -> None:
    with PlainClient(vm.socket_path) as client, open(tmp_path / "file", "w") as file:
        socket.send_fds(client.socket, [b'{"execute": "add-fd", "arguments": {"fdset-id": 5}}'], [file.fileno()])
        assert client.receive()["return"]["fdset-id"] == 5
        assert [fdset["fdset-id"] for fdset in vm.execute("query-fdsets")] == [5]


def test_one_client_after_another_as_with_qemu(vm: MachineEndpoint) -> None:
    with PlainClient(vm.socket_path, negotiate=False) as second:
        second.receive()
        with PlainClient(vm.socket_path, negotiate=False) as third:
            third.socket.settimeout(0.05)
            with pytest.raises(TimeoutError):
                third.receive()
            second.socket.close()
            second._file.close()
            third.socket.settimeout(PATIENCE)
            third._file = third.socket.makefile("rb")
            assert "QMP" in third.receive()


def test_a_recording_has_all_that_clients_sent_and_nothing_of_the_end(tmp_path: Path) -> None:
    for _ in range(5):
        with endpoint(MACHINE, record=tmp_path / "session") as vm:
            with PlainClient(vm.socket_path) as client:
                client.socket.sendall(b'{"execute": "stop"}')
            vm.close()
        lines = (tmp_path / "session").read_text().splitlines()
        assert '{"client": {"execute": "stop"}}' in lines
        assert lines[-1] == '{"disconnected": "client"}'
        assert "SHUTDOWN" not in str(lines)


def test_a_proxy_before_what_is_there_already(vm: MachineEndpoint) -> None:
    with attach(vm.socket_path) as outer, PlainClient(outer.socket_path) as client:
        outer.fault("error", "query-name")
        assert client.ask("query-name")["error"]["desc"] == "injected by a test"
        assert client.ask("query-memdev")["return"][0]["id"] == "m"
        assert outer.commands == ["qmp_capabilities", "query-name", "query-memdev"]
        assert vm.commands == ["qmp_capabilities", "query-memdev"]


def test_the_process_that_starts_them_may_be_killed(vm: MachineEndpoint) -> None:
    os.kill(int(Path(f"/proc/{vm.pid}/stat").read_text().rpartition(")")[2].split()[1]), 9)
    with endpoint(MACHINE) as another:
        assert another.query_name() == {}
    assert vm.query_name() == {}


def test_many_at_once() -> None:
    with ExitStack() as stack, ThreadPoolExecutor(8) as pool:
        started = list(pool.map(lambda _: stack.enter_context(endpoint(MACHINE)), range(16)))
        assert len({vm.pid for vm in started}) == len({vm.socket_path for vm in started}) == 16
        assert all(vm.query_name() == {} for vm in started)


# Faults, seen by a plain socket


def test_a_split_is_seen_byte_by_byte(vm: MachineEndpoint) -> None:
    with PlainClient(vm.socket_path) as client:
        vm.fault("split", "query-name")
        client.socket.sendall(b'{"execute": "query-name"}')
        seen: list[bytes] = []
        while not seen or seen[-1] != b"\n":
            seen.append(client.socket.recv(1000))
        assert b"".join(seen) == b'{"return": {}}\r\n'
        assert {len(piece) for piece in seen} == {1}


def test_a_slow_reader_makes_the_client_wait(vm: MachineEndpoint) -> None:
    """The endpoint reads nothing after the command, so what a client may send without waiting is bounded."""
    with PlainClient(vm.socket_path) as client:
        vm.fault("slow", "query-name", seconds=100)
        client.socket.settimeout(0.2)
        with pytest.raises(TimeoutError):
            client.socket.sendall(b'{"execute": "query-name"}' + b" " * (1 << 22))


def test_refused_clients(vm: MachineEndpoint) -> None:
    with PlainClient(vm.socket_path) as client:
        vm.fault("refuse", nth=2)
        with PlainClient(vm.socket_path, negotiate=False) as patient:
            with PlainClient(vm.socket_path, negotiate=False) as refused:
                assert refused.receive() is None
            assert client.ask("query-name") == {"return": {}}
            client.__exit__()
            assert "QMP" in patient.receive()


def test_a_withheld_command_is_not_carried_out_and_one_whose_reply_is_lost_is() -> None:
    for kind, at, carried_out in (("disconnect", (), False), ("disconnect", (0,), True), ("error", (), False)):
        with endpoint(MACHINE) as vm, PlainClient(vm.socket_path) as client:
            vm.fault(kind, "object-del", at=at)  # type: ignore[arg-type]  # these are kinds
            answer = client.ask("object-del", id="m")
            assert answer is None if kind == "disconnect" else "error" in answer
            assert (vm.execute("query-memdev") == []) is carried_out
            assert vm.commands[-1] == "object-del"


# Faults, handled by `qemu.qmp`

GARBAGE = {"no JSON": b"\xff{]\r\n", "no object": b"[]\r\n", "empty": b"\r\n", "no reply": b"{}\r\n"}
FAULTS: dict[str, dict[str, Any]] = {
    "delay": {"kind": "delay"},
    "slow": {"kind": "slow"},
    "split": {"kind": "split"},
    "split once": {"kind": "split", "at": (1,)},
    "event": {"kind": "event"},
    "stale": {"kind": "stale"},
    "duplicate": {"kind": "duplicate"},
    "error": {"kind": "error"},
    "disconnect before": {"kind": "disconnect"},
    "disconnect instead": {"kind": "disconnect", "at": (0,)},
    "disconnect within": {"kind": "disconnect", "at": (9,)},
    "disconnect behind": {"kind": "disconnect", "at": (1 << 20,)},
    **{f"garbage: {name}": {"kind": "garbage", "garbage": garbage} for name, garbage in GARBAGE.items()},
    "garbage: without end": {"kind": "garbage", "garbage": b"x" * (11 << 20)},
}
HARMLESS = {"delay", "slow", "split", "split once", "event", "stale", "duplicate"}
"""What a client has to bear. (Of a stale or a second reply it knows by the id that it is none of its own.)"""
BORNE = {
    "greeting": HARMLESS - {"event", "duplicate"},
    "qmp_capabilities": HARMLESS - {"event", "stale"},
    "query-memdev": HARMLESS | {"disconnect behind", "garbage: no reply"},
}
"""Where `qemu.qmp` gives the right answer; everywhere else it raises. No events are sent before the negotiation, and it
has no ids there, so that it must not go on with what is no answer to it."""
KNOWN_FAULTS = {("qmp_capabilities", "disconnect behind"): "connect() fails by a bare AssertionError (qemu.qmp 0.0.6)"}


async def ask_library(path: str) -> Any:
    client = QMPClient("test")
    try:
        await client.connect(path)
        assert await client.execute("query-name") == {}
        return await client.execute("query-memdev")
    finally:
        try:
            await client.disconnect()
        except (EOFError, OSError, QMPError, ValueError):
            pass  # the library tells here why the connection ended


@pytest.mark.parametrize(
    ("name", "command"),
    [(name, command) for name in FAULTS for command in BORNE if (name, command) != ("error", "greeting")],
)
def test_the_library_answers_right_or_raises(name: str, command: str, request: pytest.FixtureRequest) -> None:
    if (command, name) in KNOWN_FAULTS:
        request.applymarker(pytest.mark.xfail(reason=KNOWN_FAULTS[command, name], raises=AssertionError, strict=False))
    with endpoint(MACHINE) as vm:
        vm.fault(command=command, **FAULTS[name])
        honest = vm.execute("query-memdev")
        try:
            answer = asyncio.run(asyncio.wait_for(ask_library(vm.socket_path), PATIENCE))
        except QMPError:
            assert name not in BORNE[command]
        else:
            assert answer == honest
            assert name in BORNE[command]


faults = st.builds(
    Fault,
    kind=st.sampled_from(["event", "stale", "duplicate", "split", "error", "disconnect", "garbage", "delay"]),
    command=st.sampled_from([None, "query-name", "query-memdev"]),
    nth=st.sampled_from([1, 2, None]),
    seconds=st.just(0.01),
    at=st.integers(0, 300).map(lambda offset: (offset,)),
    garbage=st.sampled_from(list(GARBAGE.values())),
)


@settings(max_examples=40, deadline=None)
@given(st.lists(faults, min_size=1, max_size=4))
def test_the_library_under_any_faults(faults: list[Fault]) -> None:
    with endpoint(MACHINE) as vm:
        honest = vm.query_memdev()
        for fault in faults:
            vm.fault(**asdict(fault))
        try:
            assert asyncio.run(asyncio.wait_for(ask_library(vm.socket_path), PATIENCE)) == honest
        except QMPError:
            assert {fault.kind for fault in faults} & {"error", "disconnect", "garbage"}


def test_the_library_without_ids_takes_a_stale_reply_for_an_answer(vm: MachineEndpoint) -> None:
    """`cmd_obj` of its synchronous half sends no ids, so nobody can tell; `cmd` does and is not deceived."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)  # which it takes, and leaves open
    client = QEMUMonitorProtocol(vm.socket_path)
    client.settimeout(PATIENCE)
    client.connect()
    try:
        for _ in range(2):
            vm.fault("stale", "query-memdev")
        assert client.cmd("query-name") == {}
        assert client.cmd("query-memdev") == vm.execute("query-memdev")
        assert client.cmd_obj({"execute": "query-name"}) == {"return": {}}
        vm.fault("stale", "query-memdev")
        assert client.cmd_obj({"execute": "query-memdev"}) == {"return": {}}
    finally:
        client.close()
        asyncio.set_event_loop(None)
        loop.close()


def test_the_library_waits_for_ever_for_a_silent_endpoint_unless_told_how_long(vm: MachineEndpoint) -> None:
    async def ask() -> None:
        client = QMPClient("test")
        await client.connect(vm.socket_path)
        vm.fault("silence", "query-name")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.execute("query-name"), 0.2)
        assert await client.execute("query-memdev") == vm.execute("query-memdev")
        await client.disconnect()

    asyncio.run(ask())
