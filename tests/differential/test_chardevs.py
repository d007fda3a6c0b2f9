"""Character devices beside real QEMU's: their options, their names with and without a client, what is refused."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from .oracle import OUR_ENVIRONMENT, QUIET, RELEASES, our_command, qemu, without_hints

INSTALLED = [release for release in RELEASES if qemu("x86_64", release)]
pytestmark = pytest.mark.skipif(not INSTALLED, reason="no qemu-system-x86_64 is installed")

OPTIONS = r"""
socket,id=c,path=no.sock
socket,id=c,path=no.sock,reconnect=0
socket,id=c,path=no.sock,reconnect=-1
socket,id=c,path=no.sock,reconnect=x
socket,id=c,path=no.sock,reconnect-ms=0
socket,id=c,path=no.sock,reconnect-ms=x
socket,id=c,path=no.sock,reconnect-ms=100,reconnect=1
socket,id=c,path=s,server=on,wait=off,reconnect=1
socket,id=c,path=s,server=on,wait=off,reconnect-ms=1
socket,id=c,fd=7,reconnect=1
socket,id=c,path=nobody,abstract=on
socket,id=c,path=here,abstract=on,tight=off,server=on,wait=off
socket,id=c,path=s,tight=on,server=on,wait=off
socket,id=c,host=127.0.0.1,port=0,server=on,wait=off,abstract=on
socket,id=c,host=127.0.0.1,port=0,server=on,wait=off,ipv4=on
socket,id=c,host=localhost,port=0,server=on,wait=off,ipv4=on,ipv6=off
socket,id=c,host=127.0.0.1,port=0,server=on,wait=off,ipv6=on
socket,id=c,host=127.0.0.1,port=0,server=on,wait=off,ipv6=on,ipv4=on
socket,id=c,host=127.0.0.1,port=0,server=on,wait=off,ipv6=off,ipv4=off
socket,id=c,host=::1,port=0,server=on,wait=off,ipv4=on
socket,id=c,host=127.0.0.1,port=1,to=1
socket,id=c,host=127.0.0.1,port=40000,to=x,server=on,wait=off
socket,id=c,path=s,server=on,wait=off,telnet=on
socket,id=c,host=127.0.0.1,port=0,server=on,wait=off,telnet=on
socket,id=c
socket,id=c,fd=99
socket,id=c,fd=x
socket,id=c,path=s,fd=3
socket,id=c,path=no.sock,localaddr=1
socket,id=c,host=127.0.0.1,port=2,delay=on
socket,id=c,host=127.0.0.1,port=2,nodelay=off
socket,id=c,path=no.sock,yank=on
pty,id=c
pty,id=c,path=link
pty,id=c,path=nowhere/link
pty,id=c,server=on
file,id=c
file,id=c,path=
file,id=c,path=nowhere/x
file,id=c,path=out
file,id=c,path=out,append=on,server=on
file,id=c,path=out,input-path=in
pipe,id=c
pipe,id=c,path=nopipe
pipe,id=c,path=pipe
null,id=c,logfile=nowhere/log
null,id=c,logfile=log
null,id=c,logfile=log,logappend=on
null,id=c,logappend=on
null,id=c,path=x
null,id=c,foo=1
""".strip().splitlines()

SHORT = r"""
pty
pty:link
file:o,x
pipe:pipe
telnet:127.0.0.1:0,server=on,wait=off
tcp:localhost:0,server=on,wait=off,ipv4=on
unix:s2,server=on,wait=off,abstract=on
unix:s2,server=on,wait=off,logfile=log
tcp:127.0.0.1:1,reconnect-ms=x
fd:3
file:
pipe:
""".strip().splitlines()


def command(release: str, ours: bool, *options: str) -> list[str]:
    arguments = ["-M", "none", *QUIET, *options]
    return our_command("x86_64", arguments, release) if ours else [str(qemu("x86_64", release)), *arguments]


def without_numbers(text: str) -> str:
    return re.sub(r"/dev/pts/\d+", "/dev/pts/N", re.sub(r":\d{4,}\b", ":PORT", text))


def outcome(release: str, ours: bool, folder: Path, *options: str) -> tuple[int, str, list[str], list[str]]:
    """Status, standard error, what the devices are connected to, and what else was said."""
    folder.mkdir()
    for end in ("in", "out"):
        os.mkfifo(folder / f"pipe.{end}")
    questions = '{"execute": "qmp_capabilities"}{"execute": "query-chardev"}{"execute": "quit"}'
    done = subprocess.run(
        command(release, ours, *options),
        input=questions.encode(),
        capture_output=True,
        cwd=folder,
        timeout=60,
        check=False,
        env=OUR_ENVIRONMENT,
    )
    errors = re.sub(r"^[\w.-]+: ", "", without_hints(done.stderr.decode()), flags=re.MULTILINE)
    names, said = [], []
    for line in done.stdout.decode().splitlines():
        if line.startswith("{"):
            found = json.loads(line).get("return")
            if isinstance(found, list):
                names = [without_numbers(str(sorted(each.items()))) for each in found]
        else:
            said.append(without_numbers(line))
    # A terminal that cannot have its link was told of already.
    return done.returncode, errors, names, said if done.returncode == 0 else []


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("release", INSTALLED)
def test_options(release: str, options: str, tmp_path: Path) -> None:
    real, ours = (outcome(release, us, tmp_path / str(us), "-chardev", options) for us in (False, True))
    assert ours == real


@pytest.mark.parametrize("text", SHORT)
@pytest.mark.parametrize("release", INSTALLED)
def test_short_spellings(release: str, text: str, tmp_path: Path) -> None:
    real, ours = (outcome(release, us, tmp_path / str(us), "-monitor", text) for us in (False, True))
    assert ours == real


# With clients


class Asked:
    """A QEMU or a ramslot that is asked by its standard input."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def ask(self, question: str, **arguments: Any) -> Any:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps({"execute": question, "arguments": arguments}).encode())
        while True:
            line = self._process.stdout.readline()
            assert line, self._process.communicate()
            message = json.loads(line) if line.startswith(b"{") else {}
            if "return" in message:
                return message["return"]
            assert "error" not in message, message

    def name(self) -> tuple[str, bool]:
        [found] = [each for each in self.ask("query-chardev") if each["label"] == "c"]
        return found["filename"], found["frontend-open"]

    def name_once(self, condition: Callable[[str], bool]) -> tuple[str, bool]:
        deadline = time.monotonic() + 20
        while not condition((found := self.name())[0]):
            assert time.monotonic() < deadline, found
            time.sleep(0.01)
        return found


@contextmanager
def asked(release: str, ours: bool, folder: Path, *options: str, pass_fds: tuple[int, ...] = ()) -> Iterator[Asked]:
    folder.mkdir(exist_ok=True)
    with subprocess.Popen(
        command(release, ours, *options),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        bufsize=0,
        cwd=folder,
        env=OUR_ENVIRONMENT,
        pass_fds=pass_fds,
    ) as process:
        try:
            found = Asked(process)
            found.ask("qmp_capabilities")
            yield found
        finally:
            process.kill()


def connect(name: str, folder: Path) -> socket.socket:
    """To what a device that listens is called."""
    kind, _, rest = name.removeprefix("disconnected:").partition(":")
    place = rest.split(",", 1)
    if kind == "unix":
        result = socket.socket(socket.AF_UNIX)
        path = str(folder / place[0])
        if "abstract" in name:
            path = "\0" + place[0]
            if "tight" not in name:
                path = path.ljust(108, "\0")
        result.connect(path)
        return result
    host, _, port = place[0].rpartition(":")
    return socket.create_connection((host, int(port)), timeout=20)


SERVERS = (
    "socket,id=c,path=s,server=on,wait=off",
    "socket,id=c,path=named-{number},abstract=on,server=on,wait=off",
    "socket,id=c,path=named-{number},abstract=on,tight=off,server=on,wait=off",
    "socket,id=c,host=127.0.0.1,port=0,server=on,wait=off",
    "socket,id=c,host=::1,port=0,server=on,wait=off",
    "socket,id=c,host=127.0.0.1,port=0,server=on,wait=off,telnet=on",
)


@pytest.mark.parametrize("monitor", [("-mon", "chardev=c,mode=control"), ()], ids=["monitor", "unused"])
@pytest.mark.parametrize("options", SERVERS)
@pytest.mark.parametrize("release", INSTALLED)
def test_names_of_servers(release: str, options: str, monitor: tuple[str, ...], tmp_path: Path) -> None:
    if release == "5.2" and "abstract=on,server" in options:
        pytest.skip("QEMU 5.2 writes beyond the end of such a name")
    if "host" in options and not monitor:
        pytest.skip("QEMU does not see a client leave by TCP that it does not read from")

    def story(ours: bool) -> list[Any]:
        device = options.format(number=f"{os.getpid()}-{ours}")
        with asked(release, ours, tmp_path / str(ours), "-chardev", device, *monitor) as program:
            told: list[Any] = [program.name()]
            addr = program.ask("qom-get", path="/chardevs/c", property="addr")
            told += [sorted(addr.items()), program.ask("qom-get", path="/chardevs/c", property="connected")]
            with connect(told[0][0], tmp_path / str(ours)) as client:
                told.append(program.name_once(lambda name: not name.startswith("disconnected")))
                told.append(program.ask("qom-get", path="/chardevs/c", property="connected"))
                if "telnet" in options:
                    told.append(client.recv(12))
            told.append(program.name_once(lambda name: name.startswith("disconnected")))
            text = re.sub(r"(:|'port', ')\d{4,}", r"\1PORT", str(told))
            return [text.replace(f"-{os.getpid()}-{ours}", ""), program.ask("qom-list", path="/chardevs/c")]

    assert story(True) == story(False)


@pytest.mark.parametrize("kind", ["listening", "connected"])
@pytest.mark.parametrize("release", INSTALLED)
def test_inherited_sockets(release: str, kind: str, tmp_path: Path) -> None:
    """As libvirt and QEMU's own Python drivers pass them."""

    def story(ours: bool) -> list[Any]:
        folder = tmp_path / str(ours)
        folder.mkdir()
        with socket.socket(socket.AF_UNIX) as listener:
            client, theirs = socket.socketpair()
            given = theirs if kind == "connected" else listener
            if kind == "listening":
                listener.bind(str(folder / "l"))
                listener.listen()
            options = f"socket,id=c,fd={given.fileno()}" + (",server=on,wait=off" if kind == "listening" else "")
            with (
                asked(
                    release,
                    ours,
                    folder,
                    "-chardev",
                    options,
                    "-mon",
                    "chardev=c,mode=control",
                    pass_fds=(given.fileno(),),
                ) as program,
                client,
            ):
                theirs.close()
                told = [program.name()]
                if kind == "listening":
                    client.close()
                    client = socket.socket(socket.AF_UNIX)
                    client.connect(str(folder / "l"))
                assert client.recv(7) == b'{"QMP":'
                told.append(program.name())
                client.close()
                told.append(program.name_once(lambda name: name.startswith("disconnected")))
            return [str(told).replace(str(folder), "").replace(str(given.fileno()), "N")]

    assert story(True) == story(False)


@pytest.mark.parametrize("place", ["path=l", "host=localhost,port={port}"])
@pytest.mark.parametrize("release", INSTALLED)
def test_a_client_comes_back(release: str, place: str, tmp_path: Path) -> None:
    reconnect = "reconnect=1" if release in ("5.2", "7.2") else "reconnect-ms=100"

    def story(ours: bool) -> list[Any]:
        folder = tmp_path / str(ours)
        folder.mkdir()
        with socket.socket(socket.AF_UNIX if "path" in place else socket.AF_INET) as listener:
            listener.settimeout(20)
            listener.bind(str(folder / "l") if "path" in place else ("127.0.0.1", 0))
            listener.listen()
            port = "" if "path" in place else listener.getsockname()[1]
            options = f"socket,id=c,{place.format(port=port)},{reconnect}"
            with asked(release, ours, folder, "-chardev", options, "-mon", "chardev=c,mode=control") as program:
                told = []
                for _ in range(3):
                    with listener.accept()[0] as peer:
                        assert peer.recv(7) == b'{"QMP":'
                        told.append(program.name())
                    told.append(program.name_once(lambda name: name.startswith("disconnected")))
        return [re.sub(r":\d{4,}", ":PORT", str(told)).replace(str(folder), "")]

    assert story(True) == story(False)


def test_order_of_many(tmp_path: Path) -> None:
    """They are listed as the object tree has them."""
    names = [f"{letter}{number}" for number in range(4) for letter in ("dev", "char", "mon")]
    options = [word for name in names for word in ("-chardev", f"null,id={name}")]
    for release in INSTALLED:
        orders = []
        for ours in (False, True):
            with asked(release, ours, tmp_path, *options) as program:
                order = [each["label"] for each in program.ask("query-chardev")]
                assert [each["name"] for each in program.ask("qom-list", path="/chardevs")] == ["type", *order]
                text = program.ask("human-monitor-command", **{"command-line": "info chardev"})
                orders.append((order, text))
        assert orders[1] == orders[0], release


@pytest.mark.parametrize("release", INSTALLED)
def test_removal(release: str, tmp_path: Path) -> None:
    questions = ["zz", "compat_monitor0", "n", "n"]

    def story(ours: bool) -> list[Any]:
        with asked(release, ours, tmp_path, "-chardev", "null,id=n", "-chardev", "null,id=o") as program:
            lines = [f"chardev-remove {name}" for name in questions]
            told = [program.ask("human-monitor-command", **{"command-line": line}) for line in lines]
            return [*told, sorted(each["label"] for each in program.ask("query-chardev"))]

    assert story(True) == story(False)
