"""TLS on monitors: with clients of Python's and QEMU's own, who is let in, and who does not harm the others."""

from __future__ import annotations

import json
import os
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from .program import PATIENCE, Client, Program, opened, wait_for

Launch = Callable[..., Program]
pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl makes certificates")
QEMU = shutil.which("qemu-system-x86_64")


def openssl(folder: Path, *words: str) -> None:
    subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)


def make_authority(folder: Path) -> None:
    """A folder with the files that QEMU and ramslot look for."""
    folder.mkdir()
    extensions = ("-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign")
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    openssl(
        folder, "req", "-x509", *key, "-keyout", "ca-key.pem", "-out", "ca-cert.pem", "-days", "30",
        "-subj", "/CN=authority", *extensions,
    )  # fmt: skip
    for role in ("server", "client"):
        openssl(folder, "req", *key, "-keyout", f"{role}-key.pem", "-out", "csr.pem", "-subj", f"/CN={role}")
        (folder / "extensions").write_text(
            f"subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage={role}Auth\nkeyUsage=critical,digitalSignature\n"
            "basicConstraints=critical,CA:FALSE\n"
        )
        openssl(
            folder, "x509", "-req", "-in", "csr.pem", "-CA", "ca-cert.pem", "-CAkey", "ca-key.pem", "-CAcreateserial",
            "-out", f"{role}-cert.pem", "-days", "30", "-extfile", "extensions",
        )  # fmt: skip


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tls") / "right"
    make_authority(folder)
    return folder


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tls") / "wrong"
    make_authority(folder)
    return folder


def serve(launch: Launch, authority: Path, *more: str, verify: str = "on") -> Program:
    """A program with a monitor behind TLS on `tls.sock`, and a plain one."""
    return launch(
        *("-object", f"tls-creds-x509,id=t,dir={authority},endpoint=server,verify-peer={verify}"),
        *("-chardev", "socket,id=c,path=tls.sock,server=on,wait=off,tls-creds=t", "-qmp", "chardev:c"),
        *more,
    )


def secured(connection: socket.socket, authority: Path, own: Path | None) -> ssl.SSLSocket:
    context = ssl.create_default_context(cafile=str(authority / "ca-cert.pem"))
    if own is not None:
        context.load_cert_chain(own / "client-cert.pem", own / "client-key.pem")
    found = context.wrap_socket(connection, server_hostname="localhost")
    opened.append(found)
    return found


def test_a_client_with_the_right_certificate_is_served(launch: Launch, authority: Path) -> None:
    program = serve(launch, authority)
    plain = program.client()
    for _ in range(3):
        client = Client(secured(program.connect("tls.sock"), authority, authority))
        assert client.call("query-status")["running"] is False
        assert len(json.dumps(client.call("query-qmp-schema"))) > 50_000
        [device] = [each for each in plain.call("query-chardev") if each["label"] == "c"]
        assert device["filename"].startswith("unix:")
        assert device["frontend-open"]
        client.close()
    # What is asked at once with the end of the handshake, and much of it.
    tls = secured(program.connect("tls.sock"), authority, authority)
    questions = b'{"execute": "qmp_capabilities"}' + b'{"execute": "query-qmp-schema"}' * 20
    tls.sendall(questions)
    answers = tls.makefile("rb")
    kinds = [set(json.loads(answers.readline())) for _ in range(22)]
    assert kinds == [{"QMP"}] + [{"return"}] * 21
    plain.call("quit")
    assert tls.recv(1000).startswith(b'{"timestamp"')
    assert program.end() == (0, "", "")


def is_refused(program: Program, authority: Path, own: Path | None) -> bool:
    try:
        with secured(program.connect("tls.sock"), authority, own) as tls:
            return tls.recv(100) == b""
    except (ssl.SSLError, ConnectionError):
        return True


def test_others_are_refused(launch: Launch, authority: Path, stranger: Path) -> None:
    program = serve(launch, authority)
    plain = program.client()
    descriptors = program.descriptors()
    assert is_refused(program, authority, None)  # who has no certificate
    assert is_refused(program, authority, stranger)  # whose certificate is another's word
    assert is_refused(program, stranger, authority)  # who does not trust us
    for garbage in (b'{"execute": "quit"}\n' * 100, b"\x16\x03\x01" + os.urandom(2000), b"\0" * 100_000):
        with program.connect("tls.sock") as connection:
            try:
                connection.sendall(garbage)
                while connection.recv(4096):
                    pass
            except ConnectionError:
                pass
    assert not is_refused(program, authority, authority)
    wait_for(lambda: program.descriptors() == descriptors or None, "end of connections")
    assert plain.call("query-status")["running"] is False


def test_whoever_need_not_say_who_it_is(launch: Launch, authority: Path) -> None:
    program = serve(launch, authority, verify="off")
    client = Client(secured(program.connect("tls.sock"), authority, None))
    assert client.call("query-name") == {}


def test_half_a_handshake_harms_nobody(launch: Launch, authority: Path) -> None:
    """As many as may be under way at once, less one, that say nothing, and one that says a little."""
    program = serve(launch, authority)
    plain = program.client()
    idle = plain.call("query-status")
    silent = [program.connect("tls.sock") for _ in range(15)]
    silent[0].sendall(b"\x16\x03\x01\x02\x00\x01")
    client = Client(secured(program.connect("tls.sock"), authority, authority))
    assert client.call("query-status") == idle
    used = cpu(program)
    time.sleep(0.3)
    assert cpu(program) - used < 0.2  # nobody spins
    for connection in silent:
        connection.close()
    client.close()
    descriptors = wait_for(lambda: program.descriptors(), "descriptors")
    for _ in range(100):
        program.connect("tls.sock").close()
    for _ in range(3):
        Client(secured(program.connect("tls.sock"), authority, authority)).close()
    wait_for(lambda: program.descriptors() <= descriptors or None, "end of connections")
    assert plain.call("query-status") == idle


def cpu(program: Program) -> float:
    fields = Path(f"/proc/{program.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_the_next_waits_for_its_turn(launch: Launch, authority: Path) -> None:
    program = serve(launch, authority)
    first = Client(secured(program.connect("tls.sock"), authority, authority))
    waiting = program.connect("tls.sock")
    assert first.call("query-name") == {}
    first.close()
    second = Client(secured(waiting, authority, authority))
    assert second.call("query-name") == {}


def test_a_client_that_dies_in_mid_command(launch: Launch, authority: Path) -> None:
    program = serve(launch, authority)
    plain = program.client()
    for _ in range(20):
        tls = secured(program.connect("tls.sock"), authority, authority)
        tls.sendall(b'{"execute": "qmp_capabilities"}' + b'{"execute": "query-qmp-schema"}' * 10 + b'{"execute": "quer')
        tls.close()
    assert Client(secured(program.connect("tls.sock"), authority, authority)).call("query-name") == {}
    assert plain.call("query-name") == {}


@contextmanager
def listener(host: str) -> Iterator[socket.socket]:
    with socket.socket() as found:
        found.settimeout(PATIENCE)
        found.bind((host, 0))
        found.listen()
        yield found


@pytest.mark.parametrize(("trusted", "host"), [("right", "localhost"), ("wrong", "localhost"), ("right", "127.0.0.2")])
def test_as_a_client_we_look_who_answers(
    launch: Launch, authority: Path, stranger: Path, trusted: str, host: str
) -> None:
    own = authority if trusted == "right" else stranger
    with listener("127.0.0.2" if host == "127.0.0.2" else "127.0.0.1") as server:
        program = launch(
            *("-object", f"tls-creds-x509,id=t,dir={own},endpoint=client"),
            *("-chardev", f"socket,id=c,host={host},port={server.getsockname()[1]},tls-creds=t", "-qmp", "chardev:c"),
        )
        plain = program.client()
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(authority / "ca-cert.pem"))
        context.load_cert_chain(authority / "server-cert.pem", authority / "server-key.pem")
        context.verify_mode = ssl.CERT_REQUIRED
        connection = server.accept()[0]
        connection.settimeout(PATIENCE)
        try:
            with context.wrap_socket(connection, server_side=True) as tls:
                good = tls.recv(7) == b'{"QMP":'
        except (ssl.SSLError, ConnectionError):
            good = False
        assert good == (trusted == "right" and host == "localhost")
        assert plain.call("query-name") == {}


@pytest.mark.skipif(QEMU is None, reason="no qemu-system-x86_64 is installed")
def test_qemu_is_served(launch: Launch, authority: Path, tmp_path: Path) -> None:
    """QEMU's TLS on the other side: its monitor and ours greet each other, and find that to be no request."""
    program = launch(
        *("-object", f"tls-creds-x509,id=t,dir={authority},endpoint=server", "-qmp", "chardev:c"),
        *("-chardev", "socket,id=c,host=localhost,port=0,ipv4=on,server=on,wait=off,tls-creds=t"),
    )
    plain = program.client()
    [device] = [each for each in plain.call("query-chardev") if each["label"] == "c"]
    port = device["filename"].rpartition(":")[2].partition(",")[0]
    with subprocess.Popen(
        [
            *(str(QEMU), "-M", "none", "-display", "none", "-nodefaults", "-S"),
            *("-object", f"tls-creds-x509,id=t,dir={authority},endpoint=client"),
            *(
                "-chardev",
                f"socket,id=c,host=localhost,port={port},tls-creds=t,logfile=log",
                "-mon",
                "chardev=c,mode=control",
            ),
        ],
        cwd=tmp_path,
    ) as qemu:
        try:
            log = tmp_path / "log"
            wait_for(lambda: log.exists() and "QMP input member 'QMP' is unexpected" in log.read_text(), "answer")
            [device] = [each for each in plain.call("query-chardev") if each["label"] == "c"]
            assert not device["filename"].startswith("disconnected")
        finally:
            qemu.kill()


MISTAKES: list[tuple[str, str, str]] = [
    ("dir={empty},endpoint=server", "", "Unable to access credentials {empty}/ca-cert.pem: No such file or directory"),
    ("endpoint=server", "", "Missing 'dir' property value"),
    ("dir={right},endpoint=x", "", "Parameter 'endpoint' does not accept value 'x'"),
    ("dir={right}", ",server=on,wait=off", "Expected TLS credentials for a server endpoint"),
    ("dir={right},endpoint=server", "", "Expected TLS credentials for a client endpoint"),
]


@pytest.mark.parametrize(("credentials", "device", "text"), MISTAKES)
def test_mistakes_are_told_as_by_qemu(
    launch: Launch, authority: Path, tmp_path: Path, credentials: str, device: str, text: str
) -> None:
    (tmp_path / "empty").mkdir()
    names: dict[str, Any] = {"empty": tmp_path / "empty", "right": authority}
    options: tuple[str, ...] = ("-object", f"tls-creds-x509,id=t,{credentials.format(**names)}")
    options += ("-chardev", f"socket,id=c,path=tls.sock,tls-creds=t{device}")
    status, _, errors = launch(*options, qmp=False).end()
    assert (status, text.format(**names) in errors) == (1, True), errors
    if QEMU is not None:
        done = subprocess.run(
            [QEMU, "-M", "none", "-display", "none", *options],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, text.format(**names) in done.stderr) == (1, True), done.stderr


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (("-chardev", "socket,id=c,path=s,server=on,wait=off,tls-creds=x"), "No TLS credentials with id 'x'"),
        (
            ("-chardev", "socket,id=c,path=s,server=on,wait=off,tls-authz=x"),
            "'tls_authz' option requires 'tls_creds' option",
        ),
        (("-object", "tls-creds-psk,id=t,dir=/"), "objects of the type 'tls-creds-psk' are not supported"),
        (("-object", "tls-creds-anon,id=t"), "objects of the type 'tls-creds-anon' are not supported"),
        (("-object", "tls-creds-x509,id=t,dir=/,priority=NORMAL"), "property 'priority' of tls-creds-x509 is not"),
        (("-object", '{"qom-type":"tls-creds-x509","id":"t","dir":"/nowhere","endpoint":"server"}'), "ca-cert.pem"),
    ],
)
def test_what_is_not_there_is_refused(launch: Launch, options: tuple[str, ...], text: str) -> None:
    status, _, errors = launch(*options, qmp=False).end()
    assert (status, text in errors) == (1, True), errors


def test_files_that_are_none(launch: Launch, authority: Path, tmp_path: Path) -> None:
    for broken in ("ca-cert.pem", "server-cert.pem", "server-key.pem"):
        folder = tmp_path / broken
        shutil.copytree(authority, folder)
        (folder / broken).write_text("no certificate\n")
        status, _, errors = launch(
            "-object", f"tls-creds-x509,id=t,dir={folder},endpoint=server", "-c", "info status", qmp=False
        ).end()
        assert status == 1
        assert "Unable to load credentials" in errors
        assert "Traceback" not in errors
