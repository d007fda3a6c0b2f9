"""qtest for programs: launched as QEMU's own drivers launch it, beside other monitors, with clients that misbehave."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ramslot.monitor.command_line.device_options import MON_DEPRECATED
from ramslot.vm.host.kvm import KVM, KVMError
from ramslot.vm.host.linux import LinuxHost

from .program import ENVIRONMENT, PATIENCE, Client, Program, opened, wait_for

Launch = Callable[..., Program]
MIB = 1 << 20

try:
    KVM(LinuxHost()).close()
    no_kvm = ""
except KVMError as error:
    no_kvm = error.reason
ACCELERATORS = [
    "sim",
    "tcg",
    "qtest",
    pytest.param("kvm", marks=pytest.mark.skipif(bool(no_kvm), reason=no_kvm)),
]


class QtestClient:
    """The requests of the protocol; `ask` gives the reply without its end."""

    def __init__(self, connection: socket.socket) -> None:
        connection.settimeout(PATIENCE)
        self.connection = connection
        self._stream = connection.makefile("rb")
        opened.append(self)

    def ask(self, line: str) -> str:
        self.connection.sendall(f"{line}\n".encode())
        return self.reply()

    def reply(self) -> str:
        return self._stream.readline().decode().removesuffix("\n")

    def close(self) -> None:
        self._stream.close()
        self.connection.close()


def connect(path: Path) -> QtestClient:
    def connected() -> socket.socket | None:
        connection = socket.socket(socket.AF_UNIX)
        if connection.connect_ex(str(path)) == 0:
            return connection
        connection.close()
        return None

    connection: socket.socket = wait_for(connected, "qtest server")
    return QtestClient(connection)


@contextmanager
def listener(path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as found:
        found.bind(str(path))
        found.listen()
        found.settimeout(PATIENCE)
        yield found


def test_launched_by_pythons_qtest_machine(tmp_path: Path) -> None:
    """The command line that `qemu.machine.QEMUQtestMachine` makes, with a machine of the test's."""
    pairs = [socket.socketpair() for _ in range(2)]
    (monitor, monitor_end), (driver, driver_end) = pairs
    command = [
        *(sys.executable, "-m", "ramslot", "-display", "none", "-vga", "none"),
        *("-chardev", f"socket,id=mon,fd={monitor_end.fileno()}", "-mon", "chardev=mon,mode=control"),
        *("-machine", "q35", "-serial", "null", "-chardev", f"socket,id=qtest,fd={driver_end.fileno()}"),
        *("-qtest", "chardev:qtest", "-accel", "qtest", "-m", "64M", "-nodefaults"),
    ]
    process = subprocess.Popen(
        command,
        cwd=tmp_path,
        env=ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        pass_fds=[monitor_end.fileno(), driver_end.fileno()],
    )
    for end in (monitor_end, driver_end):
        end.close()
    qmp, qtest = Client(monitor), QtestClient(driver)
    assert qtest.ask("clock_step 100") == "OK 100"
    assert qtest.ask("writel 0x500000 0x12345678") == "OK"
    assert qmp.hmp("xp /xw 0x500000") == "00500000: 0x12345678\r\n"
    assert qtest.ask("readw 0x500002") == "OK 0x0000000000001234"
    qmp.call("quit")
    output, errors = process.communicate(timeout=PATIENCE)
    assert (process.returncode, output) == (0, "")
    assert errors.count("OPENED") == errors.count("CLOSED") == 1  # the log is on stderr where no file is named
    qmp.close()
    qtest.close()


def test_launched_by_libqtest(tmp_path: Path, launch: Launch) -> None:
    """libqtest listens at two places and has the program connect to both."""
    with listener(tmp_path / "qtest.sock") as first, listener(tmp_path / "mon.sock") as second:
        program = launch(
            *("-qtest", "unix:qtest.sock", "-qtest-log", "/dev/null", "-chardev", "socket,path=mon.sock,id=char0"),
            *("-mon", "chardev=char0,mode=control", "-display", "none", "-audio", "none", "-accel", "qtest"),
            qmp=False,
            machine="pc",
        )
        qtest = QtestClient(first.accept()[0])
        qmp = Client(second.accept()[0])
    assert qtest.ask("endianness") == "OK little"
    qmp.call("quit")
    status, output, errors = program.end()
    assert (status, output) == (0, "")
    assert errors.endswith(f"{MON_DEPRECATED}\n")


@pytest.mark.parametrize("accelerator", ACCELERATORS)
def test_written_pages_are_dirty(accelerator: str, launch: Launch, tmp_path: Path) -> None:
    program = launch(
        *("-accel", accelerator, "-m", "16M", "-qtest", "unix:q,server=on,wait=off", "-qtest-log", "none"),
        machine="none,ram-partition=low:4M+high",
    )
    qmp, qtest = program.client(), connect(tmp_path / "q")
    assert qtest.ask("memset 0x1000 0x1000 1") == "OK"
    if accelerator in ("tcg", "qtest"):  # it has no slots, so nobody logs for people; migration has its own
        with pytest.raises(Exception, match="dirty"):
            qmp.call("dirty-log-start")
        return
    qmp.call("dirty-log-start")
    assert qtest.ask("writeb 0x5fff 1") == "OK"
    assert qtest.ask("writew 0x7fff 0x102") == "OK"
    assert qtest.ask("read 0 0x100000")[:5] == "OK 0x"
    assert qtest.ask("memset 0x3ff000 0x3000 7") == "OK"
    assert qtest.ask("write 0xffffff 4 0x01020304") == "OK"
    told = {block["ramblock"]: block for block in qmp.call("query-dirty-log", ranges=True)["blocks"]}
    pages = [(each["offset"], each["length"]) for each in told["low"]["ranges"]]
    assert pages == [(0x5000, 0x1000), (0x7000, 0x2000), (0x3FF000, 0x1000)]
    pages = [(each["offset"], each["length"]) for each in told["high"]["ranges"]]
    assert pages == [(0, 0x2000), (0xBFF000, 0x1000)]
    qmp.call("dirty-log-clear")
    assert all(block["pages"] == 0 for block in qmp.call("query-dirty-log")["blocks"])


def test_one_client_after_another(launch: Launch, tmp_path: Path) -> None:
    launch("-accel", "qtest", "-qtest", "unix:q,server=on,wait=off", "-qtest-log", "log", "-m", "1M")
    first = connect(tmp_path / "q")
    assert first.ask("clock_step 5") == "OK 5"
    assert first.ask("writeb 0 7") == "OK"
    first.connection.sendall(b"writeb 0 9\nwriteb 1 ")
    first.close()
    second = connect(tmp_path / "q")
    assert second.ask("read 0 2") == "OK 0x0900"
    assert second.ask("clock_step 5") == "OK 10"
    second.connection.sendall(b"end")
    time.sleep(0.05)
    second.connection.sendall(b"ianness\nreadb 0\nfoo\nreadb 0")
    assert [second.reply() for _ in range(3)] == ["OK little", "OK 0x0000000000000009", "FAIL Unknown command 'foo'"]
    second.close()
    wait_for(lambda: (tmp_path / "log").read_text().count("CLOSED") == 2, "log")


def test_a_client_that_does_not_read_waits_alone(launch: Launch, tmp_path: Path) -> None:
    program = launch("-m", "64M", "-qtest", "unix:q,server=on,wait=off", "-qtest-log", "none")
    qtest = connect(tmp_path / "q")
    qmp = program.client()
    before = program.resident()
    qtest.connection.sendall(b"memset 0 0x1000000 0xff\n" + b"read 0 0x100000\n" * 400)
    for _ in range(5):
        assert qmp.call("query-status")["running"] is False
    assert program.resident() - before < 128 * MIB
    assert qtest.reply() == "OK"
    assert [len(qtest.reply()) for _ in range(400)] == [5 + 2 * MIB] * 400
    qtest.connection.sendall(b"read 0 0x4000000\n")
    qtest.close()
    assert connect(tmp_path / "q").ask("readb 0") == "OK 0x00000000000000ff"


def test_a_page_that_the_host_has_not(launch: Launch, tmp_path: Path) -> None:
    path = tmp_path / "memory"
    launch(
        *("-object", f"memory-backend-file,id=m,size=2M,mem-path={path},share=on", "-m", "2M"),
        *("-qtest", "unix:q,server=on,wait=off", "-qtest-log", "none"),
        machine="none,memory-backend=m",
    )
    qtest = connect(tmp_path / "q")
    assert qtest.ask("writeb 0x1fffff 3") == "OK"
    os.truncate(path, MIB)
    for line in ("readb 0x1fffff", "memset 0 0x200000 8", "writeq 0x100000 1", "b64read 0xfffff 2"):
        assert qtest.ask(line).startswith("FAIL the host has no page for some of this memory: "), line
    assert qtest.ask("readb 0xfffff") == "OK 0x0000000000000008"


def test_before_there_is_a_machine(launch: Launch, tmp_path: Path) -> None:
    program = launch("-preconfig", "-m", "1M", "-qtest", "unix:q,server=on,wait=off", "-qtest-log", "none")
    qtest = connect(tmp_path / "q")
    assert qtest.ask("writeb 0 1") == "FAIL there is no machine yet"
    program.client().call("x-exit-preconfig")
    assert (qtest.ask("writeb 0 1"), qtest.ask("readb 0")) == ("OK", "OK 0x0000000000000001")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["-qtest", "unix:/nonexistent/a"], ["Failed to connect to '/nonexistent/a': No such file or directory"]),
        (["-qtest", "null", "-qtest-log", "/nonexistent/a"], []),
    ],
)
def test_a_device_that_cannot_be_had(options: list[str], said: list[str], launch: Launch) -> None:
    status, output, errors = launch(*options, qmp=False).end()
    last = (
        'Failed to initialize device for qtest: "unix:/nonexistent/a"'
        if said
        else "-qtest-log /nonexistent/a: Could not open '/nonexistent/a': No such file or directory"
    )
    assert (status, output) == (1, "")
    assert errors.splitlines() == [f"ramslot: {line}" for line in [*said, last]]


def test_what_is_not_asked_for_is_not_loaded(tmp_path: Path) -> None:
    script = "import sys; from ramslot.monitor.main import main; main(); print(*sys.modules)"
    loaded: dict[bool, Any] = {}
    for asked in (False, True):
        options = ["-M", "none", "-c", "info status", *(["-qtest", "null", "-qtest-log", "none"] if asked else [])]
        command = [sys.executable, "-c", f"import sys; sys.argv = ['ramslot', *{options!r}]; {script}"]
        done = subprocess.run(command, env=ENVIRONMENT, cwd=tmp_path, capture_output=True, text=True, check=True)
        loaded[asked] = "ramslot.monitor.qtest" in done.stdout.split()
    assert loaded == {False: False, True: True}
