"""What `ramslot attach` decides without a QEMU: addresses, monitors of command lines, what only reads, what may follow."""

from __future__ import annotations

from typing import Any

import pytest

from ramslot.monitor.attach.access import check_line, check_request, hmp_name
from ramslot.monitor.attach.addresses import Address
from ramslot.monitor.attach.command import parse_options
from ramslot.monitor.attach.completion import Lookup, next_words
from ramslot.monitor.attach.memory_maps import mapping_at, parse_maps
from ramslot.monitor.attach.process import choose_address
from ramslot.monitor.attach.schema import QEMUSchema, parse_help
from ramslot.monitor.console.qmp_completion import qmp_candidates
from ramslot.vm.errors import VMError


@pytest.mark.parametrize(
    ("text", "path", "host", "port"),
    [
        ("unix:/run/q", "/run/q", "", 0),
        ("unix:q,,r,access=read-only", "q,r", "", 0),
        ("tcp:localhost:4444", None, "localhost", 4444),
        ("tcp::4444", None, "127.0.0.1", 4444),
        ("tcp:[::1]:4444", None, "::1", 4444),
    ],
)
def test_addresses(text: str, path: str | None, host: str, port: int) -> None:
    address = Address(text)
    assert (address.path, address.host, address.port) == (path, host, port)


@pytest.mark.parametrize("text", ["", "unix:", "q", "tcp:4444", "tcp:x:y", "stdio", "unix", "fd:3"])
def test_addresses_that_are_none(text: str) -> None:
    with pytest.raises(VMError, match="expects unix:PATH or tcp:HOST:PORT"):
        Address(text)


@pytest.mark.parametrize(
    ("line", "address"),
    [
        ("-qmp unix:/run/q,server=on,wait=off", "unix:/run/q"),
        ("-qmp unix:/run/q,server,nowait", "unix:/run/q"),
        ("-qmp-pretty unix:q,server=on", "unix:/cwd/q"),
        ("--qmp tcp::4444,server=on", "tcp:127.0.0.1:4444"),
        ("-qmp tcp:0.0.0.0:4444,server=on", "tcp:127.0.0.1:4444"),
        ("-chardev socket,id=c,path=/run/q,server=on,wait=off -mon chardev=c,mode=control", "unix:/run/q"),
        ("-mon c,mode=control -chardev socket,path=/run/q,server=on,id=c", "unix:/run/q"),
        ("-chardev socket,id=c,host=h,port=1,server=on -mon chardev=c,mode=control,pretty=on", "tcp:h:1"),
        ("-monitor unix:/run/h,server=on -qmp stdio -qmp unix:/run/q,server=on", "unix:/run/q"),
        ("-qmp unix:/run/a,,b,server=on", "unix:/run/a,,b"),
    ],
)
def test_the_monitor_that_a_command_line_names(line: str, address: str) -> None:
    assert str(choose_address(["qemu", *line.split()], "process 1", "/cwd")) == address


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("-M pc", "was started without a QMP monitor"),
        ("-monitor unix:/run/h,server=on", "was started without a QMP monitor"),
        ("-chardev socket,id=c,path=/run/q,server=on -mon chardev=c,mode=readline", "without a QMP monitor"),
        ("-qmp stdio", "character device 'stdio', and no socket"),
        ("-qmp unix:/run/q", "does not listen"),
        ("-chardev socket,id=c,fd=5,server=on -mon chardev=c,mode=control", "handed down as descriptor 5"),
        ("-mon chardev=c,mode=control", "no character device 'c'"),
        ("-qmp tcp:h:1,server=on,telnet=on", "telnet"),
    ],
)
def test_why_no_monitor_can_be_connected_to(line: str, reason: str) -> None:
    with pytest.raises(VMError, match=reason):
        choose_address(["qemu", *line.split()], "process 1", "/cwd")


@pytest.mark.parametrize(
    "line", ["info mtree -f", " info status", "x /4xb 0", "xp/4xb 0", "p/x 1", "help", "?", "gpa2hva 0", "", "info/x y"]
)
def test_lines_that_read(line: str) -> None:
    check_line(line)
    check_request("human-monitor-command", {"command-line": line})


@pytest.mark.parametrize(
    "line",
    ["cont", "c", "device_add x", "i /1 0", "o 0 1", "quit", "\tstop", "infos", "/info", "info\0cont", "commit all"],
)
def test_lines_that_may_change_something(line: str) -> None:
    with pytest.raises(VMError, match="is not sent: attached to read only"):
        check_line(line)
    with pytest.raises(VMError):
        check_request("human-monitor-command", {"command-line": line})


def test_requests() -> None:
    for name in ("query-status", "x-query-numa", "qom-get", "device-list-properties"):
        check_request(name, {})
    for name in ("quit", "qom-set", "screendump", "query-rx-filter", "Query-status", "pmemsave", "ringbuf-read"):
        with pytest.raises(VMError) as failure:
            check_request(name, {})
        assert "-write" in (failure.value.hint or "")
    assert hmp_name("xp/4xb 0") == "xp"


HELP = """\
device_add driver[,prop=value][,...] -- add device, like -device on the command line
drive_add [-n] [[<domain>:]<bus>:]<slot>
[file=file][,if=type] -- add drive to PCI storage controller
help|? [cmd] -- show the help
info [subcommand] -- show various information about the system state
info mtree [-f][-d][-o][-D] -- show memory tree (-f: dump flat view)
info numa  -- show NUMA information
qom-get path property -- print QOM property
\t\t\t-d: something that goes on
"""
SCHEMA: list[dict[str, Any]] = [
    {"name": "object-add", "meta-type": "command", "arg-type": "1", "ret-type": "0"},
    {"name": "query-x", "meta-type": "command", "arg-type": "2", "ret-type": "0"},
    {
        "name": "1",
        "meta-type": "object",
        "members": [{"name": "qom-type", "type": "3"}, {"name": "id", "type": "str"}],
        "tag": "qom-type",
        "variants": [{"case": "a", "type": "4"}],
    },
    {
        "name": "2",
        "meta-type": "object",
        "members": [{"name": "flat", "type": "bool", "default": None}, {"name": "kind", "type": "3"}],
    },
    {"name": "3", "meta-type": "enum", "values": ["a", "b"]},
    {"name": "4", "meta-type": "object", "members": [{"name": "size", "type": "int"}]},
    {"name": "str", "meta-type": "builtin", "json-type": "string"},
    {"name": "bool", "meta-type": "builtin", "json-type": "boolean"},
    {"name": "int", "meta-type": "builtin", "json-type": "int"},
]


def test_help_is_understood() -> None:
    found = parse_help(HELP.replace("\n", "\r\n"))
    assert set(found) == {"device_add", "drive_add", "help", "?", "info", "info mtree", "info numa", "qom-get"}
    assert found["info mtree"].flags == ["-f", "-d", "-o", "-D"]
    assert found["info numa"].syntax == ""
    assert found["?"].help == "show the help"


def words_after(line: str) -> list[str]:
    start, found = next_words(line, parse_help(HELP), QEMUSchema(SCHEMA))
    assert not isinstance(found, Lookup)
    return [line[:start] + word for word, _ in found if word.startswith(line[start:])]


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("info m", ["info mtree"]),
        ("info mtree -", ["info mtree -f", "info mtree -d", "info mtree -o", "info mtree -D"]),
        ("info mtree -f -", ["info mtree -f -d", "info mtree -f -o", "info mtree -f -D"]),
        ("q", ["qom-get", "query-x"]),
        ("query-x ", ["query-x flat=", "query-x kind="]),
        ("query-x kind=a ", ["query-x kind=a flat="]),
        ("query-x flat=t", ["query-x flat=true"]),
        ("help dev", ["help device_add"]),
        ("help info n", ["help info numa"]),
        ("nonsense ", []),
    ],
)
def test_what_may_follow(line: str, found: list[str]) -> None:
    assert words_after(line) == found


@pytest.mark.parametrize(
    ("line", "command", "answer", "found"),
    [
        (
            "qom-get /mach",
            "qom-list",
            [{"name": "machine", "type": "child<x>"}, {"name": "y", "type": "int"}],
            "/machine",
        ),
        ("qom-get /machine/ty", "qom-list", [{"name": "type", "type": "child<t>"}], "/machine/type"),
        ("qom-get /machine ty", "qom-list", [{"name": "type", "type": "string"}], "type"),
        ("device_add pc-d", "qom-list-types", [{"name": "pc-dimm"}], "pc-dimm"),
        ("device_add pc-dimm,me", "device-list-properties", [{"name": "memdev", "type": "link<m>"}], "memdev="),
    ],
)
def test_what_must_be_asked_for(line: str, command: str, answer: object, found: str) -> None:
    start, lookup = next_words(line, parse_help(HELP))
    assert isinstance(lookup, Lookup)
    assert lookup.command == command
    assert found in [word for word, _ in lookup.read(answer)]
    assert found.startswith(line[start:])
    answers: tuple[Any, ...] = (None, {}, [1], "x", [{"type": 1}])
    for strange in answers:
        assert isinstance(lookup.read(strange), list)


def test_qmp_is_completed_from_the_schema() -> None:
    schema = QEMUSchema(SCHEMA)
    assert [name for name, _ in qmp_candidates(schema, '{"execute": "')[1]] == ["object-add", "query-x"]
    start = '{"execute": "object-add", "arguments": {"qom-type": "'
    assert [name for name, _ in qmp_candidates(schema, start)[1]] == ["a", "b"]
    names = [name for name, _ in qmp_candidates(schema, start + 'a", "')[1]]
    assert names == ["id", "size"]


def test_mappings() -> None:
    maps = "7f0000000000-7f0000200000 rw-p 00000000 00:00 0 \n7f1000000000-7f1000001000 r--s 00000000 00:01 9 /m d\n"
    numa = "7f0000000000 bind:1 anon=2 dirty=2 N0=1 N1=511 kernelpagesize_kB=4\n7f1000000000 default file=/m\n"
    first, second = parse_maps(maps, numa)
    assert (first.policy, first.nodes, first.page_size) == ("bind:1", {0: 1, 1: 511}, 4096)
    assert (second.path, second.nodes) == ("/m d", {})
    assert mapping_at([first, second], 0x7F00001FFFFF) is first
    assert mapping_at([first, second], 0x7F0000200000) is None


def test_options() -> None:
    options = parse_options(["unix:/q", "--write", "-c", "a", "--c", "b", "-script", "f", "-json", "-wait", "2"])
    assert (options.address, options.commands, options.script, options.wait) == ("unix:/q", ["a", "b"], "f", 2.0)
    assert options.switches == {"write", "json"}
    for words in (
        ["-c", "x"],
        ["unix:/q", "unix:/r"],
        ["unix:/q", "-pid", "1"],
        ["-pid", "x"],
        ["unix:/q", "-c"],
        ["-x"],
    ):
        with pytest.raises(VMError):
            parse_options(words)
    for wait in ("0", "-1", "nan", "x", "inf"):
        with pytest.raises(VMError):
            parse_options(["unix:/q", "-wait", wait])
