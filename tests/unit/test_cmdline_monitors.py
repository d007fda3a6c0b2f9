"""Options for monitors, their character devices, the console and qtest."""

import pytest

from ramslot.monitor.command_line.device_options import MON_DEPRECATED
from ramslot.monitor.command_line.options import parse

from .command_lines import read, refusal


def test_monitors_and_their_devices_in_order() -> None:
    settings = read(
        "-qmp unix:/a,,b,server=on,wait=off -chardev socket,id=c,fd=3,server=yes -mon c,mode=control,pretty=on"
        " -monitor tcp::4444,server -qmp-pretty null -qmp chardev:d -chardev null,id=d"
    )
    assert [(monitor.chardev, monitor.mode, monitor.pretty) for monitor in settings.monitors] == [
        ("compat_monitor0", "control", False),
        ("c", "control", True),
        ("compat_monitor1", "readline", False),
        ("compat_monitor2", "control", True),
        ("d", "control", False),
    ]
    assert {label: device.options for label, device in settings.chardevs.items()} == {
        "compat_monitor0": {
            "id": "compat_monitor0",
            "backend": "socket",
            "path": "/a,b",
            "server": "on",
            "wait": "off",
        },
        "c": {"id": "c", "backend": "socket", "fd": "3", "server": "on"},
        "compat_monitor1": {
            "id": "compat_monitor1",
            "backend": "socket",
            "host": "127.0.0.1",
            "port": "4444",
            "server": "on",
        },
        "compat_monitor2": {"id": "compat_monitor2", "backend": "null"},
        "d": {"id": "d", "backend": "null"},
    }
    assert settings.chardevs["c"].origin == "-chardev socket,id=c,fd=3,server=yes"


def test_old_spelling_of_a_server_is_taken_with_a_warning() -> None:
    settings = read("-chardev socket,id=a,path=z,server,nowait")
    assert settings.chardevs["a"].options == {
        "backend": "socket",
        "id": "a",
        "path": "z",
        "server": "on",
        "wait": "off",
    }
    where = "-chardev socket,id=a,path=z,server,nowait: warning: short-form boolean option"
    assert settings.warnings == [
        f"{where} 'server' deprecated\nPlease use server=on instead",
        f"{where} 'nowait' deprecated\nPlease use wait=off instead",
    ]
    assert read("-qmp unix:z,server,nowait").warnings == []


@pytest.mark.parametrize("key", ["tn3270", "websocket", "logtimestamp"])
def test_what_a_socket_cannot_do_is_refused_and_never_ignored(key: str) -> None:
    assert refusal(f"-chardev socket,id=a,path=z,{key}=on") == [
        f"-chardev socket,id=a,path=z,{key}=on: option '{key}' is not supported"
    ]
    assert key not in read(f"-chardev socket,id=a,path=z,{key}=off").chardevs["a"].options


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("-M pc", True),
        ("-qmp unix:/x,server=on,wait=off", True),
        ("-chardev null,id=a -mon a,mode=control", True),
        ("-nographic", True),
        ("-nographic -display none", True),
        ("-display none", False),
        ("-nodefaults", False),
        ("-nographic -nodefaults", False),
        ("-daemonize", False),
        ("-qmp stdio", False),
        ("-monitor stdio", False),
        ("-monitor none", False),
        ("-monitor unix:/x,server=on", False),
        ("-c 'info mtree'", False),
        ("--script -", False),
    ],
)
def test_console(line: str, wanted: bool) -> None:
    assert read(line).wants_console is wanted


def test_objects_that_are_monitors() -> None:
    settings = read("-chardev null,id=c -object monitor-qmp,id=q,chardev=c,pretty=on")
    assert settings.config.monitors == {"q": "monitor-qmp"}
    (monitor,) = settings.monitors
    assert (monitor.chardev, monitor.mode, monitor.pretty) == ("c", "control", True)
    assert refusal("-object monitor-hmp,id=q,chardev=c")[0].endswith('chardev "c" not found')


def test_a_monitor_wants_a_device_that_is_opened() -> None:
    text = refusal("-qemu 7.2 -chardev msmouse,id=a -mon chardev=a")[0]
    assert text.startswith("-mon chardev=a: monitors on a character device")


def test_mon_is_deprecated_once() -> None:
    settings = read("-chardev null,id=a -mon a -chardev null,id=b -mon b")
    assert settings.warnings == [f"-mon a: {MON_DEPRECATED}"]
    assert read("-qemu 10.0 -chardev null,id=a -mon a").warnings == []


MON_WARNING = f"-mon c: {MON_DEPRECATED}"


@pytest.mark.parametrize(
    ("line", "messages"),
    [
        ("-qtest foo", ["'foo' is not a valid char driver", 'Failed to initialize device for qtest: "foo"']),
        ("-qtest chardev:a", ['Failed to initialize device for qtest: "chardev:a"']),
        (
            "-chardev null,id=qtest -qtest null",
            ["Duplicate ID 'qtest' for chardev", 'Failed to initialize device for qtest: "null"'],
        ),
        ("-qtest null -qtest chardev:x", ['Failed to initialize device for qtest: "chardev:x"']),
        ("-chardev null,id=c -qtest chardev:c -mon c", [MON_WARNING, "-mon c: chardev 'c' is already in use"]),
        ("--qemu 10.0 -chardev null,id=c -qtest chardev:c -mon c", ["-mon c: Device 'c' is in use"]),
        ("-qtest", ["-qtest: requires an argument"]),
    ],
)
def test_devices_of_qtest_are_refused_as_by_qemu(line: str, messages: list[str]) -> None:
    assert refusal(line) == messages


def test_the_device_of_qtest() -> None:
    settings = parse(["x", "-chardev", "null,id=c", "-qtest", "foo", "-qtest", "chardev:c", "-qtest-log", "none"])
    assert (settings.qtest, settings.qtest_log, list(settings.chardevs)) == ("c", "none", ["c"])
    settings = parse(["x", "-qtest", "unix:path=/tmp/a,server=on", "-qtest-log", "a"])
    assert (settings.qtest, settings.qtest_log) == ("qtest", "a")
    assert settings.chardevs["qtest"].options == {
        "backend": "socket",
        "path": "/tmp/a",
        "server": "on",
        "id": "qtest",
    }


@pytest.mark.parametrize("line", ["-nographic -daemonize", "-daemonize -nographic"])
def test_a_monitor_on_standard_input_cannot_go_to_the_background(line: str) -> None:
    assert refusal(line) == ["-nographic cannot be used with -daemonize"]
    assert read(f"{line} -nodefaults").daemonize
    assert read(f"{line} -qmp null").daemonize
