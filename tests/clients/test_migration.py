"""Migration as clients see it: ways to go, a guest that goes on, and what is left when somebody is stopped or killed."""

from __future__ import annotations

import array
import json
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.differential.partners import EVENTS, Partner, digest, filled, ours

from .kill_rounds import Round

MIB = 1 << 20
SIZE = 64 * MIB
RELEASE = "7.2"
SLOW = {"max-bandwidth": 2 * MIB, "downtime-limit": 1}


def memory(path: Path, accelerator: str = "sim") -> list[str]:
    ram = f"memory-backend-file,id=ram0,size={SIZE},mem-path={path},share=on"
    return ["-accel", accelerator, "-object", ram, "-M", "none,memory-backend=ram0"]


@pytest.fixture
def source(tmp_path: Path) -> Iterator[Partner]:
    with ours(RELEASE, memory(filled(tmp_path / "old", SIZE, 5)), tmp_path) as machine:
        machine.ask("migrate-set-capabilities", **EVENTS)
        yield machine


def waiting(tmp_path: Path, uri: str, *more: str) -> Partner:
    return ours(RELEASE, [*memory(tmp_path / "new"), "-incoming", uri, *more], tmp_path)


@pytest.mark.parametrize("way", ["unix", "tcp", "exec"])
def test_memory_goes_every_way(way: str, source: Partner, tmp_path: Path) -> None:
    port = Random(os.getpid()).randrange(20000, 30000)
    going, coming = {
        "unix": (f"unix:{tmp_path}/socket",) * 2,
        "tcp": (f"tcp:127.0.0.1:{port}",) * 2,
        "exec": (f"exec:cat > {tmp_path}/stream", f"exec:cat {tmp_path}/stream"),
    }[way]
    if way == "exec":
        assert source.ask("migrate", uri=going) == {}
        assert source.wait_for("completed", "failed")["status"] == "completed"
        destination = waiting(tmp_path, coming)
    else:
        destination = waiting(tmp_path, coming)
        assert source.ask("migrate", uri=going) == {}
        source.wait_for("completed")
    with destination:
        destination.wait_for_state("prelaunch")
        assert digest(tmp_path / "old") == digest(tmp_path / "new")


def test_a_file_holds_a_stream_behind_an_offset(tmp_path: Path) -> None:
    with ours("11.1", memory(filled(tmp_path / "old", SIZE, 5)), tmp_path) as source:
        assert source.ask("migrate", uri=f"file:{tmp_path}/stream,offset=4k") == {}
        source.wait_for("completed")
    where = {"transport": "file", "filename": f"{tmp_path}/stream", "offset": 4096}
    with ours("11.1", [*memory(tmp_path / "new"), "-incoming", "defer"], tmp_path) as destination:
        channels = [{"channel-type": "main", "addr": where}]
        assert destination.ask("migrate-incoming", channels=channels) == {}
        destination.wait_for_state("prelaunch")
        assert digest(tmp_path / "old") == digest(tmp_path / "new")


def test_a_descriptor_that_came_along_is_a_way(tmp_path: Path) -> None:
    """As libvirt has it: the client opens the file and sends the descriptor with getfd."""
    options = [*memory(filled(tmp_path / "old", SIZE, 5)), "-qmp", f"unix:{tmp_path}/qmp,server=on,wait=off"]
    with ours(RELEASE, options, tmp_path) as source, socket.socket(socket.AF_UNIX) as client:
        client.connect(f"{tmp_path}/qmp")
        reader = client.makefile("r")
        reader.readline()

        def ask(command: str, fds: tuple[int, ...] = (), **arguments: Any) -> Any:
            text = json.dumps({"execute": command, "arguments": arguments}).encode()
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
            client.sendmsg([text], rights)
            answer = json.loads(reader.readline())
            return answer.get("return", answer.get("error", {}).get("desc"))

        ask("qmp_capabilities")
        assert ask("getfd", fdname="m") == "No file descriptor supplied via SCM_RIGHTS"
        with (tmp_path / "stream").open("wb") as file:
            assert ask("getfd", (file.fileno(),), fdname="1m") == (
                "Parameter 'fdname' expects a name not starting with a digit"
            )
            assert ask("getfd", (file.fileno(),), fdname="n") == {}
            assert ask("getfd", (file.fileno(),), fdname="m") == {}
        before = len(os.listdir(f"/proc/{source.process.pid}/fd"))
        assert ask("closefd", fdname="n") == {}
        assert ask("closefd", fdname="n") == "File descriptor named 'n' not found"
        assert len(os.listdir(f"/proc/{source.process.pid}/fd")) == before - 1
        assert ask("migrate", uri="fd:m") == {}
        source.wait_for("completed")
        reader.close()
    with waiting(tmp_path, f"exec:cat {tmp_path}/stream") as destination:
        destination.wait_for_state("prelaunch")
        assert digest(tmp_path / "old") == digest(tmp_path / "new")


def test_a_guest_goes_on_and_its_counters_prove_that_nothing_was_lost(source: Partner, tmp_path: Path) -> None:
    with waiting(tmp_path, f"unix:{tmp_path}/socket") as destination:
        destination.ask("cont")
        source.ask("cont")
        length = 16 * MIB
        job = {"start": 0, "length": length, "mode": "pattern", "value": 1 << 40, "passes": 40, "rate": 256 * MIB}
        assert source.ask("guest-run", **job) == {}
        time.sleep(0.05)
        assert source.ask("migrate", uri=f"unix:{tmp_path}/socket") == {}
        told = source.wait_for("completed")
        assert told["ram"]["dirty-sync-count"] >= 2
        assert destination.wait_for_state("running")
        left = source.ask("query-guest")
        deadline = time.monotonic() + 60
        while (guest := destination.ask("query-guest"))["status"] == "running":
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert (guest["status"], guest["passes"]) == ("completed", 40)
        assert guest["accesses"] == 40 * (length // 4096) > left["accesses"]
        destination.ask("query-status")
        assert destination.events[-1] == "GUEST_ENDED completed"
        content = (tmp_path / "new").read_bytes()
        for gpa in range(0, length, 4096):
            assert int.from_bytes(content[gpa : gpa + 8], "little") == (1 << 40) + gpa
        assert content[length:] == (tmp_path / "old").read_bytes()[length:]


def test_auto_converge_slows_a_guest_that_writes_faster_than_is_sent(source: Partner, tmp_path: Path) -> None:
    source.ask("migrate-set-capabilities", capabilities=[{"capability": "auto-converge", "state": True}])
    source.ask("migrate-set-parameters", **{"max-bandwidth": 32 * MIB, "downtime-limit": 1, "cpu-throttle-initial": 40})
    source.ask("cont")
    source.ask("guest-run", start=0, length=4 * MIB, mode="pattern", passes=0)
    with waiting(tmp_path, f"unix:{tmp_path}/socket") as destination:
        source.ask("migrate", uri=f"unix:{tmp_path}/socket")
        deadline = time.monotonic() + 60
        while (told := source.ask("query-migrate")).get("cpu-throttle-percentage", 0) < 50:
            assert time.monotonic() < deadline, told
            time.sleep(0.02)
        assert source.ask("migrate_cancel") == {}
        assert source.wait_for("cancelled")
        assert source.ask("query-guest")["status"] == "running"
        assert destination.process.wait(60) == 1


def test_it_waits_before_the_switch_over_where_that_is_asked(source: Partner, tmp_path: Path) -> None:
    pausing = {"capability": "pause-before-switchover", "state": True}
    source.ask("migrate-set-capabilities", capabilities=[pausing])
    source.ask("cont")
    with waiting(tmp_path, f"unix:{tmp_path}/socket") as destination:
        source.ask("migrate", uri=f"unix:{tmp_path}/socket")
        source.wait_for("pre-switchover")
        assert source.ask("query-status")["status"] == "finish-migrate"
        assert source.ask("migrate-continue", state="active") == (
            "Error: Migration not in expected state: pre-switchover"
        )
        assert source.ask("migrate-continue", state="pre-switchover") == {}
        source.wait_for("completed")
        assert destination.wait_for_state("paused")
    assert source.events[-4:] == [
        "MIGRATION pre-switchover",
        "MIGRATION device",
        "MIGRATION_PASS 2",
        "MIGRATION completed",
    ]


@pytest.mark.parametrize("seed", range(6))
def test_cancelled_at_any_time_the_source_runs_on(seed: int, source: Partner, tmp_path: Path) -> None:
    dice = Random(seed)
    before = digest(tmp_path / "old")
    source.ask("cont")
    source.ask("migrate-set-parameters", **SLOW)
    with waiting(tmp_path, f"unix:{tmp_path}/socket") as destination:
        source.ask("migrate", uri=f"unix:{tmp_path}/socket")
        time.sleep(dice.random() / 2)
        assert source.ask("migrate_cancel") == {}
        assert source.wait_for("cancelled", "completed")["status"] == "cancelled"
        assert source.ask("query-status")["status"] == "running"
        assert destination.process.wait(60) == 1
        assert "load of migration failed" in destination.errors
    assert digest(tmp_path / "old") == before
    with waiting(tmp_path, f"unix:{tmp_path}/socket") as destination:
        source.ask("migrate-set-parameters", **{"max-bandwidth": 0, "downtime-limit": 300})
        assert source.ask("migrate", uri=f"unix:{tmp_path}/socket") == {}
        source.wait_for("completed")
        assert destination.wait_for_state("paused")
        assert digest(tmp_path / "new") == before


@pytest.mark.parametrize("seed", range(12))
def test_whoever_is_killed_leaves_the_other_with_a_clear_state(seed: int, tmp_path: Path) -> None:
    """A guest writes meanwhile, and real QEMU is one of the two now and then."""
    assert Round(seed, tmp_path).run()


def test_a_destination_may_outlive_what_failed(tmp_path: Path) -> None:
    with ours("11.1", [*memory(tmp_path / "new"), "-incoming", "defer"], tmp_path) as destination:
        where = f"unix:{tmp_path}/socket"
        assert destination.ask("migrate-incoming", uri=where, **{"exit-on-error": False}) == {}
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(f"{tmp_path}/socket")
            client.sendall(b"QEVM, more or less")
        assert destination.wait_for("failed") == {
            "status": "failed",
            "error-desc": "load of migration failed: Operation not supported: Unsupported migration stream version, file version 2c206d6f != 3",
        }
        assert destination.ask("query-status")["status"] == "inmigrate"
        assert not (tmp_path / "socket").exists()


def test_two_at_once_and_settings_meanwhile_are_refused(source: Partner, tmp_path: Path) -> None:
    source.ask("migrate-set-parameters", **SLOW)
    with waiting(tmp_path, f"unix:{tmp_path}/socket"):
        source.ask("migrate", uri=f"unix:{tmp_path}/socket")
        busy = "Error: There's a migration process in progress"
        assert source.ask("migrate", uri="exec:true") == busy
        assert source.ask("migrate-set-capabilities", **EVENTS) == busy
        assert source.ask("migrate-set-parameters", **{"max-bandwidth": 0}) == {}
        source.wait_for("completed")


@pytest.mark.parametrize("name", ["xbzrle", "postcopy-ram", "rdma-pin-all", "background-snapshot"])
def test_what_is_not_supported_is_refused(name: str, source: Partner) -> None:
    wanted = [{"capability": "events", "state": True}, {"capability": name, "state": True}]
    answer = source.ask("migrate-set-capabilities", capabilities=wanted)
    assert answer == f"Error: migration capability '{name}' is not supported (QEMU has it)"
    assert {"capability": name, "state": False} in source.ask("query-migrate-capabilities")


def test_a_saved_stream_is_a_template_for_devices(tmp_path: Path) -> None:
    with ours(RELEASE, ["-M", "none"], tmp_path) as saving:
        saving.ask("migrate", uri=f"exec:cat > {tmp_path}/stream")
        saving.wait_for("completed")
    with ours(RELEASE, ["-M", "none"], tmp_path) as machine:
        assert machine.ask("query-migration-devices") == {"bytes": 0, "sections": []}
        assert machine.ask("migration-devices-load", filename=f"{tmp_path}/stream") == {}
        kept = machine.ask("query-migration-devices")
        assert [section["name"] for section in kept["sections"]] == ["timer", "globalstate"]
        assert kept["source"] == f"{tmp_path}/stream"
        missing = machine.ask("migration-devices-load", filename="/nonexistent")
        assert missing == "Error: Could not open '/nonexistent': No such file or directory"
    with ours(RELEASE, ["-M", "pc"], tmp_path) as other:
        answer = other.ask("migration-devices-load", filename=f"{tmp_path}/stream")
        assert answer == f"Error: '{tmp_path}/stream' is of machine type 'none' and this is 'pc-i440fx-7.2'"


# What was found by trying to break it


def quits(machine: Partner) -> None:
    """Whether it ends at once when told to, whatever it waits for, and says nothing of it."""
    machine.ask("quit")
    assert machine.process.wait(10) == 0
    assert "Operation cancelled" not in machine.errors


@pytest.mark.parametrize(
    "uri", ["exec:exec 0<&-; exec sleep 30", "exec:cat >/dev/null; exec sleep 30", "exec:exec sleep 30"]
)
def test_a_program_that_does_not_end_holds_nobody_up(uri: str, source: Partner) -> None:
    assert source.ask("migrate", uri=uri) == {}
    time.sleep(0.3)
    assert source.ask("query-status")["running"] is False
    source.ask("migrate_cancel")
    source.wait_for("cancelled", "failed")
    quits(source)


def test_nobody_who_answers_holds_nobody_up(source: Partner, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as full, socket.socket(socket.AF_UNIX) as first:
        full.bind(f"{tmp_path}/full")
        full.listen(0)
        first.connect(f"{tmp_path}/full")
        assert source.ask("migrate", uri=f"unix:{tmp_path}/full") == {}
        time.sleep(0.2)
        assert source.ask("migrate_cancel") == {}
        source.wait_for("cancelled")
        assert source.ask("migrate", uri=f"unix:{tmp_path}/full") == {}
        quits(source)


@pytest.mark.parametrize("uri", ["unix:{}/socket", "exec:exec sleep 30", "tcp:127.0.0.1:0"])
def test_who_waits_for_a_source_ends_when_told_to(uri: str, tmp_path: Path) -> None:
    with waiting(tmp_path, uri.format(tmp_path)) as destination:
        quits(destination)
    assert not (tmp_path / "socket").exists()


def test_a_socket_that_another_has_made_since_stays(tmp_path: Path) -> None:
    with waiting(tmp_path, f"unix:{tmp_path}/socket") as destination:
        assert (tmp_path / "socket").stat().st_mode & 0o777 == 0o600
        (tmp_path / "socket").unlink()
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(f"{tmp_path}/socket")
            quits(destination)
            assert (tmp_path / "socket").exists()


def test_a_pipe_that_nobody_reads_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with ours("11.1", ["-M", "none"], tmp_path) as machine:
        answer = machine.ask("migrate", uri=f"file:{tmp_path}/pipe")
        assert answer == f"Error: Could not create '{tmp_path}/pipe': No such device or address"
        assert machine.ask("migration-devices-load", filename=f"{tmp_path}/pipe").startswith("Error: ")
        quits(machine)


def test_what_is_before_the_offset_of_a_file_stays(tmp_path: Path) -> None:
    (tmp_path / "stream").write_bytes(b"x" * 8192)
    with ours("11.1", ["-M", "none"], tmp_path) as machine:
        where = {"transport": "file", "filename": f"{tmp_path}/stream", "offset": 1 << 63}
        answer = machine.ask("migrate", channels=[{"channel-type": "main", "addr": where}])
        assert answer.startswith(f"Error: Could not create '{tmp_path}/stream': ")
        assert machine.ask("query-migrate")["status"] == "failed"
    (tmp_path / "stream").write_bytes(b"x" * 8192)
    with ours("11.1", ["-M", "none"], tmp_path) as machine:
        assert machine.ask("migrate", uri=f"file:{tmp_path}/stream,offset=4k") == {}
        machine.wait_for("completed")
    content = (tmp_path / "stream").read_bytes()
    assert content[:4096] == b"x" * 4096
    assert content[4096:4100] == b"QEVM"


@pytest.mark.parametrize(
    ("addr", "missing"),
    [
        ({"transport": "socket"}, "type"),
        ({"transport": "socket", "type": "inet", "port": "1"}, "host"),
        ({"transport": "socket", "type": "unix"}, "path"),
        ({"transport": "file", "filename": "x"}, "offset"),
        ({"transport": "exec"}, "args"),
    ],
)
def test_channels_with_members_missing_are_refused(addr: dict[str, Any], missing: str, tmp_path: Path) -> None:
    with ours("11.1", ["-M", "none"], tmp_path) as machine:
        answer = machine.ask("migrate", channels=[{"channel-type": "main", "addr": addr}])
        assert answer == f"Error: Parameter '{missing}' is missing"
        other = {"transport": "exec", "args": ["true"]}
        assert machine.ask("migrate", channels=[{"channel-type": "cpr", "addr": other}]).startswith(
            "Error: Channel list"
        )


def test_a_guest_that_is_all_holes_is_sent_in_little_memory(tmp_path: Path) -> None:
    """As is one of 12 TiB, where it would be more than a GiB."""
    ram = ["-object", "memory-backend-ram,id=ram0,size=48G,reserve=off", "-M", "none,memory-backend=ram0"]
    with ours(RELEASE, [*ram, "-accel", "sim"], tmp_path) as source:
        before = resident_at_most(source)
        assert source.ask("migrate", uri="exec:cat >/dev/null") == {}
        source.wait_for("completed")
        assert resident_at_most(source) - before < 32 * MIB


def resident_at_most(machine: Partner) -> int:
    """The most bytes of memory that a machine has had in use."""
    status = Path(f"/proc/{machine.process.pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) << 10


def test_a_limit_holds_however_small(source: Partner, tmp_path: Path) -> None:
    (tmp_path / "old").write_bytes(Random(1).randbytes(16 * MIB).ljust(SIZE, b"\0"))
    source.ask("migrate-set-parameters", **{"max-bandwidth": 4 * MIB})
    began = time.monotonic()
    source.ask("migrate", uri="exec:cat >/dev/null")
    source.wait_for("completed")
    assert time.monotonic() - began > 2, "16 MiB of noise take some 4 seconds, less what may be ahead"


def test_devices_stay_as_they_are_while_memory_moves(tmp_path: Path) -> None:
    machine = ["-m", "64M,slots=4,maxmem=1G", "-object", "memory-backend-ram,id=m0,size=16M"]
    machine += ["-object", "memory-backend-ram,id=m1,size=16M", "-device", "pc-dimm,memdev=m0,id=d0"]
    machine += ["-object", "memory-backend-ram,id=v,size=64M", "-device", "virtio-mem-pci,memdev=v,id=v0"]
    with ours(RELEASE, machine, tmp_path) as source:
        source.ask("set-guest-policy", policy="accept")
        source.ask("migrate-set-capabilities", capabilities=[{"capability": "pause-before-switchover", "state": True}])
        source.ask("migrate", uri="exec:cat >/dev/null")
        source.wait_for("pre-switchover")
        assert source.ask("device_add", driver="pc-dimm", memdev="m1", id="d1") == (
            "Error: device_add not allowed while migrating"
        )
        assert source.ask("device_del", id="d0") == "Error: device_del not allowed while migrating"
        path = "/machine/peripheral/v0"
        assert source.ask("qom-set", path=path, property="requested-size", value=32 * MIB) == {}
        assert source.ask("qom-get", path=path, property="size") == 0
        assert source.ask("cont") == "Error: Migration is not finalized yet"
        assert source.ask("system_reset") == {}
        assert source.ask("query-status")["status"] == "finish-migrate"
        source.ask("migrate_cancel")
        source.wait_for("cancelled")
        assert source.ask("qom-get", path=path, property="size") == 32 * MIB
        assert source.ask("device_del", id="d0") == {}


def test_a_reset_leaves_a_destination_waiting(tmp_path: Path) -> None:
    with waiting(tmp_path, f"unix:{tmp_path}/socket") as destination:
        destination.ask("system_reset")
        assert destination.ask("query-status")["status"] == "inmigrate"


def test_pages_larger_than_the_hosts_are_never_divided(tmp_path: Path) -> None:
    """A page of alpha has two of the host, of which one alone may be there."""
    machine = ["-M", "none", "-m", "4", "-accel", "sim"]
    with (
        ours(RELEASE, [*machine, "-incoming", f"unix:{tmp_path}/socket"], tmp_path, "alpha") as destination,
        ours(RELEASE, machine, tmp_path, "alpha") as source,
    ):
        source.ask("cont")
        for page in (513, 515, 700):
            source.ask("guest-run", start=page * 4096, length=8, mode="write", value=page, wait=True)
        source.ask("migrate", uri=f"unix:{tmp_path}/socket")
        source.wait_for("completed")
        destination.wait_for_state("paused")
        for page in (513, 515, 700):
            found = destination.ask("read-memory", address=page * 4096, size=8)["data"]
            assert bytes.fromhex(found) == page.to_bytes(8, "little")


def test_named_descriptors_come_in_as_well(tmp_path: Path) -> None:
    with waiting(tmp_path, "defer") as destination:
        assert destination.ask("migrate-incoming", uri="fd:abc") == (
            "Error: File descriptor named 'abc' has not been found"
        )
        assert destination.ask("migrate-incoming", uri="fd:999") == (
            "Error: Failed to open file descriptor 999: Bad file descriptor"
        )
        assert destination.ask("migrate-incoming", uri=f"unix:{tmp_path}/socket") == {}


def test_before_the_board_is_made_nobody_is_waited_for(tmp_path: Path) -> None:
    with waiting(tmp_path, f"unix:{tmp_path}/socket", "-preconfig") as destination:
        assert not (tmp_path / "socket").exists()
        assert destination.ask("x-exit-preconfig") == {}
        assert (tmp_path / "socket").exists()
        assert destination.ask("query-status")["status"] == "inmigrate"
