"""`ramslot mux`: several QMP clients on the one socket that QEMU gives."""

from __future__ import annotations

import sys

from ...commands.json_stream import tells_places
from ...vm.errors import VMError
from ...vm.releases import find_release
from ..attach.addresses import Address, connect
from ..attach.client import Client
from ..chardevs.device import ChardevError
from ..chardevs.options import ChardevOptions
from ..compat.nearest import nearest_release
from ..loop import ENDING_SIGNALS, Loop
from ..qmp import QMPSession
from .clients import Mux

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

USAGE = """\
usage: {program} mux QMP-ADDRESS|-pid N LISTEN-ADDRESS[,access=read-only]...

serves any number of QMP clients on the one monitor that a QEMU gives. QMP-ADDRESS
is that monitor, unix:PATH or tcp:HOST:PORT (-pid N finds it in the command line of
process N); clients come to any LISTEN-ADDRESS, unix:PATH or tcp:HOST:PORT (port 0 is
one that is free), which are printed once they are there.

    {program} mux unix:/run/vm.qmp unix:/run/vm.all unix:/run/vm.look,access=read-only

Each client has a greeting, a negotiation (out-of-band commands, too, if QEMU has
them) and ids of its own; events go to all. With access=read-only a command that may
change something is answered with an error and not sent. Descriptors (getfd, add-fd)
are passed on between unix sockets. A client that dies, or does not read, harms no
other; when QEMU ends, all are told by the end of their connection.

The exit status is 0 when QEMU shut down or a signal ended it, and 1 otherwise."""

ACCESS = ("read-write", "read-only")


def run_mux_command(program: str, words: list[str]) -> int:
    """Carry out `mux WORDS...` and return the exit status."""
    if not words or any(word in ("-h", "-help", "--help") for word in words):
        print(USAGE.format(program=program), file=sys.stdout if words else sys.stderr)
        return 0 if words else 1
    loop = Loop()
    try:
        return _run(program, words, loop)
    except (VMError, ChardevError) as error:
        print(f"{program}: mux: {error}", file=sys.stderr)
        return 1
    finally:
        loop.close()


def _run(program: str, words: list[str], loop: Loop) -> int:
    address, listeners = _addresses(words)
    upstream = Client(loop, connect(address), str(address), oob=True)
    mux = Mux(upstream, _sessions(upstream), loop.stop)
    try:
        for listener, options, read_only in listeners:
            place = mux.listen(options, read_only=read_only)
            shown = place if options.path is None else str(listener)
            print(f"{shown}{',access=read-only' if read_only else ''}", flush=True)
        for number in ENDING_SIGNALS:
            loop.on_signal(number, loop.stop)
        loop.run()
    finally:
        lost = mux.ended
        mux.close()
    if lost and not upstream.shut_down:
        print(f"{program}: mux: {address}: QEMU has ended, or has closed the connection", file=sys.stderr)
        return 1
    return 0


def _addresses(words: list[str]) -> tuple[Address, list[tuple[Address, ChardevOptions, bool]]]:
    """QEMU's address, and those to listen at, each with its options and whether it is read-only; raises `VMError`."""
    if words[0] in ("-pid", "--pid"):
        from ..attach.process import find_address

        if len(words) < 2 or not words[1].isdecimal():
            raise VMError(f"{words[0]}: expects the number of a process")
        address, rest = find_address(int(words[1])), words[2:]
    else:
        address, rest = Address(words[0]), words[1:]
    if not rest:
        raise VMError("expects an address to listen at; see -help")
    return address, [_listener(text) for text in rest]


def _listener(text: str) -> tuple[Address, ChardevOptions, bool]:
    address = Address(text)
    access = address.options.pop("access", ACCESS[0])
    if access not in ACCESS or address.options:
        wrong = next(iter(address.options), f"access={access}")
        raise VMError(f"'{text}': '{wrong}' is no option; there is access={'|'.join(ACCESS)}")
    told = {"backend": "socket", "id": text, "server": "on", "wait": "off"}
    if address.path is not None:
        told["path"] = address.path
    else:
        told |= {"host": address.host, "port": str(address.port)}
    return address, ChardevOptions(told, find_release(None)), access == "read-only"


def _sessions(upstream: Client) -> Callable[[], QMPSession]:
    """What makes the protocol's side of a client, with the texts of a QEMU like this one."""
    told = upstream.ask_now("query-version")["qemu"]
    version = told["major"], told["minor"], told["micro"]
    places = tells_places(nearest_release(f"{version[0]}.{version[1]}", None, None, []))
    return lambda: QMPSession(version, places=places)
