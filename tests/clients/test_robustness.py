"""What clients do wrong, and what takes long: the program answers on, is as it was, and leaks nothing."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ramslot.schema import contract
from ramslot.vm.releases import find_release

from .program import Client, Program, QMPError, wait_for

CONTRACT = contract(find_release(None).number)

Launch = Callable[..., Program]

MIB = 1 << 20
BAD_INPUT: list[tuple[bytes, int]] = [
    (b"{]", 1),
    (b"null", 1),
    (b"[]{}", 2),
    (b'{"execute": "query-status"\xff', 1),
    (b'{"execute": "x\n', 1),
    (b'{"execute": true}', 1),
    (b'{"execute": "query-status", "arguments": []}', 1),
    (b'{"execute": "query-status", "arguments": {"a": 1}}', 1),
    (b'{"execute": "query-status", "extra": 1}', 1),
    (b"}" * 100, 100),
    (b"[" * 10 * MIB + b"\n", 1),
    (b'{"a":' * (2 * MIB) + b"\n", 1),
    (b'"' + b"a" * 70 * MIB + b"\n", 1),
]
"""What is sent, and the errors that come at least."""


def settle(program: Program) -> tuple[int, list[str]]:
    return program.descriptors(), sorted(program.mappings())


@pytest.mark.parametrize(("data", "errors"), BAD_INPUT, ids=range(len(BAD_INPUT)))
def test_after_bad_input_the_next_command_works(launch: Launch, data: bytes, errors: int) -> None:
    program = launch()
    client = program.client()
    before, resident = client.call("query-memdev"), program.resident()
    mark = b'\n\xff{"execute": "query-status", "id": "mark"}'
    # The replies to all this may be more than the sockets hold: they are read while it is sent.
    sender = threading.Thread(target=client.send, args=[data + mark])
    sender.start()
    for _ in range(errors):
        reply = client.reply()
        assert reply["error"]["class"] in ("GenericError", "CommandNotFound"), reply
    while (reply := client.reply()).get("id") != "mark":
        assert reply["error"]["class"] == "GenericError", reply
    assert reply["return"]["status"] == "prelaunch"
    sender.join()
    assert client.call("query-memdev") == before
    assert program.resident() < resident + 400 * MIB


def test_chunks_of_any_size(launch: Launch) -> None:
    client = launch().client()
    request = b'{"execute": "query-name", "id": "' + b"x" * 65000 + b'"}'
    for step in (1, 7, 4096, len(request)):
        for start in range(0, len(request), step):
            client.send(request[start : start + step])
        reply = client.reply()
        assert reply["return"] == {} and len(reply["id"]) == 65000


@pytest.mark.parametrize(
    "last", [b"", b'{"execute": "query-na', b'{"execute": "human-monitor-command", "arguments": {"comm', b"\xf0\x9f"]
)
def test_a_client_dies_half_way(launch: Launch, last: bytes) -> None:
    program = launch("-qmp", "unix:b.sock,server=on,wait=off")
    other = program.client("b.sock")
    before = settle(program)
    for _ in range(20):
        client = program.client()
        client.send(last)
        client.close()
    wait_for(lambda: settle(program) == before, "end of the clients that are gone")
    assert other.call("query-status")["status"] == "prelaunch"
    assert program.client().call("query-name") == {}


def test_a_client_dies_before_its_answer(launch: Launch) -> None:
    program = launch()
    for _ in range(20):
        client = program.client()
        client.send(b'{"execute": "query-qmp-schema"}' * 20)
        client.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.close()
    assert program.client().call("query-name") == {}


def test_a_client_that_never_reads(launch: Launch) -> None:
    program = launch("-qmp", "unix:b.sock,server=on,wait=off")
    other = program.client("b.sock")
    other.call("query-qmp-schema")
    silent = program.client()
    resident = program.resident()
    silent.connection.settimeout(0.5)
    with pytest.raises(TimeoutError):
        for _ in range(20000):
            silent.send(b'{"execute": "query-qmp-schema"}' * 100)
    for _ in range(50):
        assert other.call("query-name") == {}
    assert program.resident() < resident + 100 * MIB
    silent.connection.settimeout(30)
    assert isinstance(silent.reply()["return"], list)
    silent.close()
    assert program.client().call("query-name") == {}


def test_a_person_that_never_reads(launch: Launch) -> None:
    program = launch("-monitor", "unix:hmp.sock,server=on,wait=off", machine="pc")
    client = program.client()
    person = program.connect("hmp.sock")
    person.settimeout(0.5)
    resident = program.resident()
    with pytest.raises(TimeoutError):
        for _ in range(20000):
            person.sendall(b"info mtree\n" * 100)
    for _ in range(50):
        assert client.call("query-name") == {}
    assert program.resident() < resident + 100 * MIB


# Nothing leaks


def add(kind: str, name: str, folder: Path) -> dict[str, object]:
    arguments: dict[str, object] = {"qom-type": f"memory-backend-{kind}", "id": name, "size": 64 * MIB}
    return arguments | ({"mem-path": str(folder / "ram.img")} if kind == "file" else {})


def failing(number: int, folder: Path) -> dict[str, object]:
    """An object-add that fails, each at another point."""
    (folder / "small.img").write_bytes(bytes(4096))
    (folder / "folder").mkdir(exist_ok=True)
    wrong: list[dict[str, object]] = [
        {"qom-type": "memory-backend-ram", "id": "used", "size": MIB},
        {"qom-type": "memory-backend-ram", "id": "n", "size": MIB, "policy": "bind"},
        {"qom-type": "memory-backend-ram", "id": "n", "size": MIB, "policy": "bind", "host-nodes": [100]},
        {"qom-type": "memory-backend-ram", "id": "n", "size": 1 << 62},
        {"qom-type": "memory-backend-ram", "id": "n", "size": MIB, "prealloc": True, "reserve": False},
        {"qom-type": "memory-backend-memfd", "id": "n", "size": 1000001},
        {"qom-type": "memory-backend-memfd", "id": "n", "size": 1 << 62},
        {"qom-type": "memory-backend-memfd", "id": "n", "size": MIB, "policy": "bind", "host-nodes": [100]},
        {"qom-type": "memory-backend-file", "id": "n", "size": MIB, "mem-path": str(folder / "small.img")},
        {"qom-type": "memory-backend-file", "id": "n", "size": MIB, "mem-path": str(folder / "absent" / "x")},
        {"qom-type": "memory-backend-file", "id": "n", "size": 1 << 60, "mem-path": str(folder / "folder")},
        {"qom-type": "memory-backend-file", "id": "n", "size": MIB, "mem-path": str(folder / "new"), "align": 3},
    ]
    return wrong[number % len(wrong)]


def test_backends_leave_nothing(launch: Launch, tmp_path: Path) -> None:
    program = launch()
    client = program.client()
    kinds = ("ram", "memfd", "file")

    def round_trip(number: int) -> None:
        arguments = add(kinds[number % 3], "m", tmp_path)
        client.send(json.dumps({"execute": "object-add", "arguments": arguments}).encode())
        assert client.answer("object-add") == {}
        assert any(mapping.startswith("0x4000000 ") for mapping in program.mappings())
        client.call("object-del", id="m")

    for number in range(6):
        round_trip(number)
    before, size = settle(program), program.virtual_size()
    for number in range(300):
        round_trip(number)
    assert settle(program) == before
    assert abs(program.virtual_size() - size) < 16 * MIB


def test_failures_leave_nothing(launch: Launch, tmp_path: Path) -> None:
    program = launch("-object", "memory-backend-ram,id=used,size=1M")
    client = program.client()

    def fail(number: int) -> None:
        client.send(json.dumps({"execute": "object-add", "arguments": failing(number, tmp_path)}).encode())
        with pytest.raises(QMPError) as caught:
            client.answer("object-add")
        assert "internal error" not in str(caught.value), failing(number, tmp_path)

    for number in range(24):
        fail(number)
    before, size, blocks = settle(program), program.virtual_size(), client.hmp("info ramblock")
    for number in range(300):
        fail(number)
    assert settle(program) == before
    assert abs(program.virtual_size() - size) < 16 * MIB
    assert client.hmp("info ramblock") == blocks
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "qmp.sock", "small.img"]
    assert not list((tmp_path / "folder").iterdir())


def test_random_requests(launch: Launch) -> None:
    """Whatever is asked, one reply comes to each request, and no defect of ours shows."""
    rng = random.Random(1)
    program = launch(machine="pc")
    client = program.client()
    commands = [command["name"] for command in client.call("query-commands")]
    commands = sorted(set(commands) - {"quit", "query-qmp-schema", "qmp_capabilities"})
    values: list[object] = [
        None,
        True,
        -1,
        0,
        1 << 63,
        1.5,
        "",
        "x",
        "/machine",
        "é",
        [],
        {},
        ["a"],
        {"a": 1},
        "memory-backend-ram",
    ]
    names = [
        "path",
        "property",
        "value",
        "id",
        "qom-type",
        "size",
        "command-line",
        "typename",
        "implements",
        "disabled",
        "owner",
        "cpu-index",
    ]
    for number in range(1000):
        arguments = {rng.choice(names): rng.choice(values) for _ in range(rng.randint(0, 4))}
        client.send(json.dumps({"execute": rng.choice(commands), "arguments": arguments, "id": number}).encode())
        reply = client.reply()
        assert reply["id"] == number
        assert "internal error" not in str(reply.get("error")), (arguments, reply)
    client.call("quit")
    assert program.end() == (0, "", "")


# Slow work


def test_prealloc_does_not_stop_others(launch: Launch) -> None:
    program = launch("-qmp", "unix:b.sock,server=on,wait=off", machine="pc")
    slow, other = program.client(), program.client("b.sock")
    other.call("query-status")
    request = {"qom-type": "memory-backend-memfd", "id": "m", "size": 2 << 30, "prealloc": True}
    slow.send(json.dumps({"execute": "object-add", "arguments": request}).encode())
    slow.connection.setblocking(False)
    longest, answered = 0.0, 0
    while True:
        started = time.monotonic()
        other.call("query-status")
        longest, answered = max(longest, time.monotonic() - started), answered + 1
        try:
            if slow.connection.recv(1, socket.MSG_PEEK):
                break
        except BlockingIOError:
            pass
    slow.connection.settimeout(60)
    assert slow.answer("object-add") == {}
    assert [memdev["prealloc"] for memdev in other.call("query-memdev") if memdev["id"] == "m"] == [True]
    print(f"\nlongest wait while 2 GiB were populated: {longest * 1000:.1f} ms, {answered} answers")
    assert answered > 10


def test_a_client_dies_while_its_memory_is_populated(launch: Launch) -> None:
    program = launch("-qmp", "unix:b.sock,server=on,wait=off")
    other = program.client("b.sock")
    # The first time, threads get what they keep.
    other.call("object-add", qom_type="memory-backend-memfd", id="m", size=1 << 30, prealloc=True)
    other.call("object-del", id="m")
    before = settle(program)
    client = program.client()
    request = {"qom-type": "memory-backend-memfd", "id": "m", "size": 1 << 30, "prealloc": True}
    client.send(json.dumps({"execute": "object-add", "arguments": request}).encode())
    wait_for(lambda: other.call("query-prealloc"), "preallocation")
    client.close()
    wait_for(lambda: not other.call("query-prealloc"), "end of it")
    wait_for(lambda: settle(program) == before, "end of what the client left")
    assert program.client().call("query-memdev") == []


def test_what_a_client_asked_before_it_died_is_done_all_the_same(launch: Launch) -> None:
    program = launch("-qmp", "unix:b.sock,server=on,wait=off")
    other, client = program.client("b.sock"), program.client()
    slow = {"qom-type": "memory-backend-memfd", "id": "m", "size": 4 << 30, "prealloc": True}
    quick = {"qom-type": "memory-backend-ram", "id": "n", "size": MIB}
    for request in (slow, quick):
        client.send(json.dumps({"execute": "object-add", "arguments": request}).encode())
    wait_for(lambda: other.call("query-prealloc"), "preallocation")
    client.close()
    wait_for(lambda: [memdev["id"] for memdev in other.call("query-memdev")] == ["n"], "second object")


def test_out_of_band_overtakes_what_runs_and_what_waits(launch: Launch) -> None:
    program = launch()
    client = Client(program.connect(), negotiate=False)
    request = {"qom-type": "memory-backend-memfd", "id": "m", "size": 64 << 20, "prealloc": True}
    for question in (
        {"execute": "qmp_capabilities", "arguments": {"enable": ["oob"]}, "id": 0},
        {"execute": "object-add", "arguments": request, "id": 1},
        {"execute": "query-memdev", "id": 2},
        {"exec-oob": "migrate-pause", "id": 3},
        {"exec-oob": "object-del", "arguments": {"id": "m"}, "id": 4},
        {"exec-oob": "no-such", "id": 5},
    ):
        client.send(json.dumps(question).encode())
    answered = {reply["id"]: reply for reply in [client.reply() for _ in range(6)]}
    # In order among themselves; whether what runs has ended before the others came is a matter of time.
    assert [number for number in answered if number in (3, 4, 5)] == [3, 4, 5]
    assert [number for number in answered if number in (0, 1, 2)] == [0, 1, 2]
    assert "migrate-pause is currently only supported" in answered[3]["error"]["desc"]
    assert answered[4]["error"]["desc"] == "The command object-del does not support OOB"
    assert [memdev["id"] for memdev in answered[2]["return"]] == ["m"]

    questions = (
        {"execute": "object-add", "arguments": request | {"id": "n"}, "id": 6},
        {"exec-oob": "migrate-recover", "arguments": {"uri": "tcp:1:2"}, "id": 7},
    )
    client.send(b"".join(json.dumps(question).encode() for question in questions))
    assert [client.reply()["id"] for _ in range(2)] == [7, 6]  # read in one go: the slow one had no time to end


def test_progress_is_told_and_a_preallocation_can_be_cancelled(launch: Launch) -> None:
    program = launch("-qmp", "unix:b.sock,server=on,wait=off")
    slow, other = program.client(), program.client("b.sock")
    before = settle(program)
    request = {"qom-type": "memory-backend-ram", "id": "m", "size": 16 << 30, "prealloc": True}
    slow.send(json.dumps({"execute": "object-add", "arguments": request}).encode())
    running = other.event("PREALLOC_PROGRESS")["data"]
    assert (running["id"], running["status"], running["total"]) == ("m", "running", 16 << 30)
    assert 0 < running["done"] < running["total"]
    CONTRACT.check_event("PREALLOC_PROGRESS", running)
    shown = other.call("query-prealloc")
    assert [each["done"] >= running["done"] for each in shown] == [True]
    assert other.hmp("info prealloc").startswith("m: ")
    other.call("prealloc-cancel", id="m")
    with pytest.raises(QMPError, match=r"^Operation cancelled$"):
        slow.answer("object-add")
    last = slow.events[-1]["data"]
    assert (last["id"], last["status"], "remaining" in last) == ("m", "cancelled", False)
    assert other.call("query-memdev") == [] == other.call("query-prealloc")
    assert settle(program) == before
    with pytest.raises(QMPError, match=r"^no memory is being preallocated for object 'm'$"):
        other.call("prealloc-cancel", id="m")
    assert other.hmp("info prealloc") == "no memory is being preallocated\r\n"


def test_what_is_quickly_done_is_told_to_nobody(launch: Launch) -> None:
    client = launch().client()
    client.call("object-add", qom_type="memory-backend-ram", id="m", size=MIB, prealloc=True)
    client.call("query-status")
    assert client.events == []


def test_the_program_ends_while_memory_is_populated(launch: Launch) -> None:
    program = launch()
    client = program.client()
    request = {"qom-type": "memory-backend-memfd", "id": "m", "size": 4 << 30, "prealloc": True}
    client.send(json.dumps({"execute": "object-add", "arguments": request}).encode())
    time.sleep(0.1)
    assert program.end(signal.SIGTERM) == (0, "", "")
    # Whether the request was still answered is left open.
    with pytest.raises((EOFError, ConnectionResetError)):
        while True:
            client.receive()


def test_12_tib_on_a_laptop(launch: Launch) -> None:
    program = launch(
        "-machine", "memory-backend=m", "-m", "12T", "-object", "memory-backend-ram,id=m,size=12T,reserve=off",
        machine="s390-ccw-virtio",
    )  # fmt: skip
    client = program.client()
    assert client.call("query-memory-size-summary")["base-memory"] == 12 << 40
    assert program.resident() < 100 * MIB


def test_two_clients_add_the_same_id_at_once(launch: Launch) -> None:
    program = launch("-qmp", "unix:b.sock,server=on,wait=off")
    clients = [program.client(), program.client("b.sock")]
    request = {"qom-type": "memory-backend-memfd", "id": "m", "size": 256 * MIB, "prealloc": True}
    for client in clients:
        client.send(json.dumps({"execute": "object-add", "arguments": request}).encode())
    results: list[str] = []
    for client in clients:
        try:
            client.answer("object-add")
            results.append("added")
        except QMPError as error:
            results.append(str(error))
    assert sorted(results) == ["added", "attempt to add duplicate property 'm' to object (type 'container')"]
    assert len(Client.call(clients[0], "query-memdev")) == 1


def test_sigterm_while_the_machine_is_being_made_ends_it_cleanly(launch: Launch) -> None:
    program = launch("-m", "4G", "-mem-prealloc", "-object", "memory-backend-ram,id=m,size=2G,prealloc=on")
    program.connect().recv(16)  # the greeting comes before the machine
    wait_for(lambda: program.resident() > 200 * MIB, "memory")
    assert program.end(signal.SIGTERM) == (0, "", "")


def make_memory_group() -> Path | None:
    """A memory control group of 300 MiB, in either version; None where none can be made."""
    for root, limit in (("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max")):
        group = Path(root) / f"ramslot-test-{os.getpid()}"
        try:
            group.mkdir()
        except OSError:
            continue
        try:
            (group / limit).write_text(f"{300 * MIB}")
        except OSError:
            group.rmdir()
            continue
        return group
    return None


@pytest.fixture
def memory_group() -> Iterator[Path]:
    group = make_memory_group()
    if group is None:
        pytest.skip("no memory control group can be made here")
    yield group
    wait_for(lambda: not (group / "cgroup.procs").read_text(), "end of the group's processes")
    group.rmdir()


@pytest.mark.parametrize("kind", ["ram", "memfd"])
def test_a_memory_limit_is_an_error_and_not_the_end(launch: Launch, memory_group: Path, kind: str) -> None:
    program = launch()
    client = program.client()
    (memory_group / "cgroup.procs").write_text(str(program.process.pid))
    client.call("object-add", qom_type="memory-backend-ram", id="small", size=64 * MIB, prealloc=True)
    before = settle(program)
    for threads in (1, 2):
        with pytest.raises(QMPError, match=r"^qemu_prealloc_mem: preallocating memory failed: Cannot allocate memory$"):
            client.call(
                "object-add",
                qom_type=f"memory-backend-{kind}",
                id="m",
                size=1 << 30,
                prealloc=True,
                prealloc_threads=threads,
            )
        assert settle(program) == before
    client.call("object-add", qom_type=f"memory-backend-{kind}", id="m", size=128 * MIB, prealloc=True)
    assert len(client.call("query-memdev")) == 2
    assert program.end(signal.SIGTERM) == (0, "", "")
