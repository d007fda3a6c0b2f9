"""What clients of a monitor may not do: `access=read-only` and `--allow-path`."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ramslot.commands import hmp_commands
from ramslot.commands.limits import NAMED_PATHS
from ramslot.schema import contract
from ramslot.schema.types import Array, Object
from ramslot.vm.releases import find_release

from .program import Client, Program, QMPError, wait_for

Launch = Callable[..., Program]
RELEASE = find_release(None)
CONTRACT = contract(RELEASE.number)
MIB = 1 << 20

ARGUMENTS: dict[str, dict[str, Any]] = {
    "query-stats": {"target": "vm"},
    "qom-list": {"path": "/objects"},
    "qom-list-get": {"paths": ["/objects/m", "/machine"]},
    "qom-get": {"path": "/objects/m", "property": "size"},
    "qom-list-properties": {"typename": "memory-backend-ram"},
    "read-memory": {"address": 0, "size": 4096},
    "query-host-address": {"address": 0},
    "query-host-physical-address": {"address": 0},
    "device-list-properties": {"typename": "pc-dimm"},
    "query-compat": {"partner": "qemu-system-x86_64 -M pc -m 64M"},
    "query-address": {"address": 0},
    "human-monitor-command": {"command-line": "info mtree"},
    "what-if-device-add": {"driver": "pc-dimm", "memdev": "m", "id": "d"},
}
"""Of commands that only read and need some."""

LINES = {
    "object_add": "object_add memory-backend-ram,id=n,size=1M",
    "object_del": "object_del m",
    "prealloc_cancel": "prealloc_cancel m",
    "qom-set": "qom-set /objects/m merge off",
    "pmemsave": "pmemsave 0 4096 out",
    "memsave": "memsave 0 4096 out",
    "dump-guest-memory": "dump-guest-memory out",
    "device_add": "device_add pc-dimm,memdev=m,id=d",
    "device_del": "device_del d",
    "guest_policy": "guest_policy refuse",
    "balloon": "balloon 32",
    "guest_run": "guest_run pattern,start=0x200000,length=4k",
    "calc_dirty_rate": "calc_dirty_rate 1",
    "getfd": "getfd x",
    "closefd": "closefd x",
    "chardev-remove": "chardev-remove spare",
    "migrate": "migrate file:out",
    "migrate_incoming": "migrate_incoming file:out",
    "migrate_continue": "migrate_continue pre-switchover",
    "migrate_recover": "migrate_recover tcp:1:2",
    "migrate_set_capability": "migrate_set_capability multifd on",
    "migrate_set_parameter": "migrate_set_parameter downtime-limit 7",
    "migrate_devices": "migrate_devices in",
    "set_numa_node": "set_numa_node node",
}
"""Lines that would change something, were they permitted; the others need no arguments."""
READERS = ("qom-get", "qom-list", "x", "xp", "gpa2hva", "gpa2hpa", "what_if", "why", "help", "?", "info")


def start(launch: Launch, tmp_path: Path, *options: str) -> tuple[Program, Client, Client]:
    """A machine with something of everything, a client that may all, and one that may only read."""
    program = launch(
        *("-m", "64M,slots=4,maxmem=1G", "-object", "memory-backend-memfd,id=m,size=2M", "-chardev", "null,id=spare"),
        *("-qmp", "unix:ro.sock,access=read-only,server=on,wait=off", *options),
        machine="pc",
    )
    return program, program.client(), program.client("ro.sock")


def fingerprint(program: Program, client: Client) -> Any:
    """What there is: all objects with all their values, memory, slots, settings; what the process has; files."""
    paths = [""]
    tree: list[Any] = [client.call("query-qom-tree", path="/")]
    while tree:
        node = tree.pop()
        path = node.get("path", "")
        for child in node["children"]:
            child["path"] = f"{path}/{child['name']}"
            paths.append(child["path"])
            tree.append(child)
    values = client.call("qom-list-get", paths=[path or "/" for path in paths])
    asked: tuple[str, ...] = (
        "query-status",
        "query-memdev",
        "query-memslots",
        "query-migrate",
        "query-migrate-capabilities",
    )
    asked += ("query-migrate-parameters", "query-dirty-rate", "query-dirty-log", "query-fdsets", "query-chardev")
    asked += (
        "query-memory-devices",
        "query-dump",
        "query-guest",
        "query-guest-policy",
        "query-prealloc",
        "query-mtree",
    )
    return {
        "values": dict(zip(paths, values, strict=True)),
        **{name: client.call(name) for name in asked},
        "memory": client.call("read-memory", address=0, size=MIB),
        "descriptors": program.descriptors(),
        "files": sorted(os.listdir(program.folder)),
    }


def test_each_command_that_only_reads_changes_nothing(launch: Launch, tmp_path: Path) -> None:
    program, client, reader = start(launch, tmp_path)
    client.call("guest-run", mode="pattern", start=0x200000, length=4096)
    wait_for(lambda: client.call("query-guest")["status"] != "running", "end of the guest's work")
    client.call("cont")
    for _ in range(2):  # the first time things are made that the program keeps
        before = fingerprint(program, client)
    reader.call("query-status")
    reader.events.clear()  # of what was done before
    for name, command in CONTRACT.commands().items():
        if command.reads_only and name != "qmp_capabilities":
            assert command.arguments.get("required", []) == [] or name in ARGUMENTS
            try:
                reader.call(name, **ARGUMENTS.get(name, {}))
            except QMPError as error:
                assert "read-only" not in str(error)
    for line in (
        "help",
        "info mtree -f",
        "info numa",
        "xp/4x 0",
        "why 0",
        "qom-list /",
        "what_if device_add pc-dimm,memdev=m",
    ):
        assert "read-only" not in reader.call("human-monitor-command", command_line=line)
    assert fingerprint(program, client) == before
    assert not reader.events


def test_every_other_command_is_refused(launch: Launch, tmp_path: Path) -> None:
    program, client, reader = start(launch, tmp_path)
    before = fingerprint(program, client)
    permitted = {each["name"] for each in reader.call("query-commands")}
    assert permitted == {name for name, command in CONTRACT.commands().items() if command.reads_only}
    for name, command in CONTRACT.commands().items():
        if not command.reads_only:
            with pytest.raises(QMPError) as refused:
                reader.call(name)
            assert refused.value.qmp_class == "GenericError"
            assert str(refused.value) == f"monitor 'compat_monitor1' is read-only, and {name} does more than to read"
    for name, row in hmp_commands(RELEASE).items():
        if name.startswith("info ") or name in READERS:
            continue
        text = reader.call("human-monitor-command", command_line=LINES.get(row.name, row.name))
        assert "is read-only" in text, (name, text)
    assert "is read-only" in reader.call("human-monitor-command", command_line="info map --output out.svg")
    assert fingerprint(program, client) == before
    assert len(client.call("query-commands")) == len(CONTRACT.commands())


def test_out_of_band_is_no_way_around(launch: Launch, tmp_path: Path) -> None:
    program = launch("-qmp", "unix:ro.sock,access=read-only,server=on,wait=off", qmp=False)
    reader = Client(program.connect("ro.sock"), negotiate=False)
    reader.send(b'{"execute": "qmp_capabilities", "arguments": {"enable": ["oob"]}}{"exec-oob": "migrate-pause"}')
    assert reader.reply() == {"return": {}}
    assert "is read-only" in reader.reply()["error"]["desc"]


def test_the_human_monitor_may_be_read_only_too(launch: Launch, tmp_path: Path) -> None:
    program, client, _ = start(launch, tmp_path, "-monitor", "unix:hmp.sock,server=on,wait=off,access=read-only")
    with program.connect("hmp.sock") as person:
        person.sendall(b"object_add memory-backend-ram,id=n,size=1M\nstop\nquit\ninfo status\n")
        said = b""
        while b"VM status" not in said:
            said += person.recv(4096)
    assert said.count(b"Error: monitor 'compat_monitor2' is read-only, and ") == 3
    assert [memdev["id"] for memdev in client.call("query-memdev") if memdev["id"] == "n"] == []


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (("-qmp", "null,access=some"), "Parameter 'access' does not accept value 'some'"),
        (("-chardev", "null,id=c", "-mon", "c,access=none"), "Parameter 'access' does not accept value 'none'"),
        (("-allow-path", "nowhere"), "'nowhere' is no folder"),
    ],
)
def test_mistakes(launch: Launch, options: tuple[str, ...], text: str) -> None:
    status, _, errors = launch(*options, qmp=False).end()
    assert status == 1
    assert text in errors


# --allow-path


@pytest.fixture
def limited(launch: Launch, tmp_path: Path) -> Client:
    """A client that may name files in `in`."""
    (tmp_path / "in" / "deep").mkdir(parents=True)
    (tmp_path / "out").mkdir()
    (tmp_path / "in" / "away").symlink_to(tmp_path / "out")
    (tmp_path / "in" / "file").symlink_to(tmp_path / "out" / "file")
    (tmp_path / "inside").mkdir()
    return launch("--allow-path", str(tmp_path / "in"), "-m", "64M", machine="pc").client()


def requests(path: str) -> dict[str, dict[str, Any]]:
    """Each command that names a file, naming this one."""
    channel = {"channel-type": "main", "addr": {"transport": "file", "filename": path, "offset": 0}}
    return {
        "object-add": {"qom-type": "memory-backend-file", "id": "f", "size": MIB, "mem-path": path},
        "device_add": {"driver": "e1000", "romfile": path},
        "what-if-device-add": {"driver": "e1000", "romfile": path},
        "pmemsave": {"val": 0, "size": 4096, "filename": path},
        "memsave": {"val": 0, "size": 4096, "filename": path},
        "save-map": {"filename": path},
        "migration-devices-load": {"filename": path},
        "dump-guest-memory": {"paging": False, "protocol": f"file:{path}"},
        "migrate": {"uri": f"file:{path}"},
        "migrate-incoming": {"channels": [channel]},
        "migrate-recover": {"uri": f"unix:{path}"},
        "query-compat": {"partner": path},
    }


OUTSIDE = (
    "out/file",
    "/etc/passwd",
    "in/../out/file",
    "in/away/file",
    "in/file",
    "in/deep/../../out/file",
    "inside/file",
    "in/../inside/file",
    "/dev/fdset/1/../../../etc/passwd",
    "/dev/fd/1",
    "/proc/self/mem",
    "/proc/self/cwd/out/file",
)


def test_files_elsewhere_are_not_named(limited: Client, tmp_path: Path) -> None:
    assert set(requests("")) == set(NAMED_PATHS)
    for path in OUTSIDE:
        for name, arguments in requests(path).items():
            with pytest.raises(QMPError, match="is in none of the folders that clients may use: ") as refused:
                limited.call(name, **arguments)
            assert str(refused.value).startswith(f"'{path}'"), name
    assert os.listdir(tmp_path / "out") == os.listdir(tmp_path / "inside") == []
    assert limited.call("query-status")["status"] == "prelaunch"


def test_objects_name_no_files_elsewhere_in_any_form(launch: Launch, tmp_path: Path) -> None:
    """A secret reads a file, and in QEMU 5.2 properties are one level deeper."""
    (tmp_path / "in").mkdir()
    limits = "--allow-path", str(tmp_path / "in"), "-m", "64M"
    secret = {"file": "/etc/passwd"}
    cases: list[tuple[str, dict[str, Any]]] = [
        ("11.1", {"qom-type": "secret", **secret}),
        ("5.2", {"qom-type": "secret", "props": secret}),
        ("5.2", {"qom-type": "memory-backend-file", "props": {"mem-path": "out", "size": 4096}}),
    ]
    for number, (version, arguments) in enumerate(cases):
        name = f"{number}.sock"
        client = launch(*limits, "-qemu", version, "-qmp", f"unix:{name},server=on,wait=off").client(name)
        with pytest.raises(QMPError, match="is in none of the folders that clients may use: "):
            client.call("object-add", id="s", **arguments)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("path", ["in/file2", "in/deep/file", "in/../in/file2", "out/../in/file2"])
def test_files_there_are(limited: Client, tmp_path: Path, path: str) -> None:
    limited.call("object-add", **requests(path)["object-add"])
    limited.call("pmemsave", **requests(path)["pmemsave"])
    assert (tmp_path / path).stat().st_size == 4096
    limited.call("object-del", id="f")
    limited.call("save-map", filename=str(tmp_path / path), format="svg")
    assert "<svg" in (tmp_path / path).read_text()
    limited.call("dump-guest-memory", **requests(path)["dump-guest-memory"])
    assert (tmp_path / path).read_bytes()[:4] == b"\x7fELF"
    limited.call("migrate", uri=f"file:{path}")
    wait_for(lambda: limited.call("query-migrate").get("status") == "completed", "end of the migration")
    assert limited.call("human-monitor-command", command_line=f"pmemsave 0 16 {path}") == ""
    assert "none of the folders" in limited.call("human-monitor-command", command_line="pmemsave 0 16 out/x")


def test_no_program_is_run(limited: Client, tmp_path: Path) -> None:
    channel = {"channel-type": "main", "addr": {"transport": "exec", "args": ["/bin/sh", "-c", "echo >out/x"]}}
    for name, arguments in (
        ("migrate", {"uri": "exec:cat >in/x"}),
        ("migrate", {"channels": [channel]}),
        ("migrate-incoming", {"uri": "exec:cat in/x"}),
        ("migrate-recover", {"uri": "exec:cat in/x"}),
    ):
        with pytest.raises(QMPError, match=r"programs \(exec:\) are not run"):
            limited.call(name, **arguments)
    assert not (tmp_path / "in" / "x").exists()
    assert not (tmp_path / "out" / "x").exists()


@pytest.mark.parametrize(
    "partner", ["qemu-system-x86_64 -M pc -bios /etc/passwd", "kvm -drive if=pflash,file=/etc/passwd"]
)
def test_firmware_of_a_partner_is_a_file_too(limited: Client, partner: str) -> None:
    with pytest.raises(QMPError, match="'/etc/passwd' is in none of the folders"):
        limited.call("query-compat", partner=partner)
    limited.call("query-compat", partner="qemu-system-x86_64 -M pc -m 64M")


def test_who_starts_the_program_is_not_limited(launch: Launch, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    status, _, errors = launch(
        *("-allow-path", "in", "-object", "memory-backend-file,id=f,size=1M,mem-path=out"),
        *("-c", "pmemsave 0 16 saved", "-c", "info status"),
        qmp=False,
    ).end()
    assert (status, errors) == (0, "") or "f" in errors
    assert (tmp_path / "saved").exists()


def test_without_it_nothing_is_limited(launch: Launch, tmp_path: Path) -> None:
    client = launch("-m", "64M", machine="pc").client()
    client.call("pmemsave", val=0, size=16, filename=str(tmp_path / "x"))
    assert (tmp_path / "x").stat().st_size == 16


WORDS = ("path", "file", "uri", "protocol", "partner", "exec", "command")
NO_FILES = {
    ("qom-list", "path"), ("qom-list-get", "paths"), ("qom-get", "path"), ("qom-set", "path"), ("query-qom-tree", "path"),
    ("human-monitor-command", "command-line"), ("object-add", "x-use-canonical-path-for-ramblock-id"),
    ("migrate-set-parameters", "cpr-exec-command"),
}  # fmt: skip
"""Paths of the object tree, what is checked in its turn, and what nothing is done with."""
OF_DEVICES = {"device_add", "what-if-device-add"}
"""Properties of devices are in no schema."""


def test_no_argument_that_may_name_a_file_was_forgotten() -> None:
    def names(type_: Any, seen: set[int]) -> set[str]:
        if id(type_) in seen:
            return set()
        seen.add(id(type_))
        if isinstance(type_, Array):
            return names(type_.element, seen)
        if not isinstance(type_, Object):
            return set()
        found = set()
        for each in (type_, *type_.cases.values()):
            for name, member in each.members.items():
                found |= {name} if any(word in name for word in WORDS) else names(member.type, seen)
        return found

    found = {
        (name, argument)
        for name, command in CONTRACT.commands().items()
        for argument in names(CONTRACT.types.arguments(command), set())
    }
    assert {name for name, argument in found - NO_FILES} == set(NAMED_PATHS) - OF_DEVICES
