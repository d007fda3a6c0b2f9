"""Wrong options and addresses of character devices, in the words of QEMU 7.2; and what is taken where none is given."""

from __future__ import annotations

import socket

import pytest

from ramslot.monitor.chardevs.device import ChardevError
from ramslot.monitor.chardevs.opening import open_chardev
from ramslot.monitor.chardevs.options import ChardevOptions
from ramslot.monitor.loop import Loop
from ramslot.vm.releases import find_release

from .chardev_clients import loop

__all__ = ("loop",)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"id": "a"}, 'chardev: "a" missing backend'),
        ({"backend": "nosuch", "id": "a"}, "'nosuch' is not a valid char driver name"),
        ({"backend": "null"}, "chardev: no id specified"),
        ({"backend": "socket", "id": "a", "foo": "x"}, "Invalid parameter 'foo'"),
        ({"backend": "null", "id": "a", "server": "maybe"}, "Parameter 'server' expects 'on' or 'off'"),
        ({"backend": "socket", "id": "a", "wait": "maybe"}, "Parameter 'wait' expects 'on' or 'off'"),
        ({"backend": "stdio", "id": "a", "signal": "maybe"}, "Parameter 'signal' expects 'on' or 'off'"),
        ({"backend": "socket", "id": "a", "reconnect": "a"}, "Parameter 'reconnect' expects a number"),
        ({"backend": "socket", "id": "a"}, "Unable to parse FD number "),
        ({"backend": "socket", "id": "a", "fd": "3x"}, "Unable to parse FD number 3x"),
        ({"backend": "socket", "id": "a", "fd": "-1"}, "File descriptor '-1' is not a socket"),
        ({"backend": "socket", "id": "a", "fd": "777"}, "File descriptor '777' is not a socket"),
        ({"backend": "socket", "id": "a", "fd": "777", "server": "on"}, "File descriptor '777' is not a socket"),
        ({"backend": "socket", "id": "a", "fd": "9" * 30}, f"File descriptor '{'9' * 30}' is not a socket"),
        (
            {"backend": "socket", "id": "a", "path": "x", "host": "y"},
            "None or one of 'path', 'fd' or 'host' option required.",
        ),
        ({"backend": "socket", "id": "a", "host": "h", "wait": "on"}, "chardev: socket: no port given"),
        (
            {"backend": "socket", "id": "a", "path": "x", "wait": "off"},
            "'wait' option is incompatible with socket in client connect mode",
        ),
        (
            {"backend": "socket", "id": "a", "path": "x", "server": "on", "reconnect": "1"},
            "'reconnect' option is incompatible with socket in server listen mode",
        ),
        (
            {"backend": "socket", "id": "a", "fd": "9", "reconnect": "3"},
            "'reconnect' option is incompatible with 'fd' address type",
        ),
        (
            {"backend": "socket", "id": "a", "path": "/nope/x", "server": "on"},
            "Failed to bind socket to /nope/x: No such file or directory",
        ),
        (
            {"backend": "socket", "id": "a", "path": "/nope/x"},
            "Failed to connect to '/nope/x': No such file or directory",
        ),
        ({"backend": "socket", "id": "a", "path": "/", "server": "on"}, "Failed to unlink socket /: Is a directory"),
        (
            {"backend": "socket", "id": "a", "path": "x" * 110},
            f"UNIX socket path '{'x' * 110}' is too long\nPath must be less than 108 bytes",
        ),
        (
            {"backend": "socket", "id": "a", "host": "127.0.0.1", "port": "abc"},
            "address resolution failed for 127.0.0.1:abc: Servname not supported for ai_socktype",
        ),
        (
            {"backend": "socket", "id": "a", "host": "127.0.0.1", "port": "-1", "server": "on"},
            "address resolution failed for 127.0.0.1:-1: Servname not supported for ai_socktype",
        ),
        (
            {"backend": "socket", "id": "a", "host": "127.0.0.1", "port": "70000"},
            "address resolution failed for 127.0.0.1:70000: Servname not supported for ai_socktype",
        ),
        (
            {"backend": "socket", "id": "a", "host": "192.0.2.1", "port": "99", "server": "on"},
            "Failed to bind socket: Cannot assign requested address",
        ),
        (
            {"backend": "socket", "id": "a", "path": "", "server": "on"},
            "Failed to bind socket to : No such file or directory",
        ),
    ],
)
def test_refusals(loop: Loop, options: dict[str, str], text: str) -> None:
    with pytest.raises(ChardevError) as refusal:
        open_chardev(loop, options)
    assert str(refusal.value) == text


def test_a_port_in_use(loop: Loop) -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = str(busy.getsockname()[1])
        with pytest.raises(ChardevError, match=r"^Failed to find an available port: Address already in use$"):
            open_chardev(loop, {"backend": "socket", "id": "a", "host": "127.0.0.1", "port": port, "server": "on"})
    with pytest.raises(ChardevError, match=rf"^Failed to connect to '127.0.0.1:{port}': Connection refused$"):
        open_chardev(loop, {"backend": "socket", "id": "a", "host": "127.0.0.1", "port": port})


def test_a_socket_that_cannot_listen(loop: Loop) -> None:
    mine, theirs = socket.socketpair()
    with theirs, pytest.raises(ChardevError, match=r"^Failed to listen on fd socket: Invalid argument$"):
        open_chardev(loop, {"backend": "socket", "id": "a", "fd": str(mine.detach()), "server": "on"})


def test_options_have_the_defaults_of_qemu() -> None:
    options = ChardevOptions({"backend": "socket", "id": "a", "path": "p", "server": "on"}, find_release(None))
    assert (options.server, options.wait, options.signal) == (True, True, True)
