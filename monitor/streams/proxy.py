"""`ramslot proxy`: stands between two QEMUs and rewrites the migration that goes through it."""

from __future__ import annotations

import os
import socket
import sys
import threading

from ...vm.errors import VMError
from ...vm.streams.errors import BrokenStreamError, NotUnderstoodError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...vm.migration.address import Address
    from ...vm.streams.remap import Remapper
    from .words import Words

USAGE = """\
usage: {program} proxy FROM TO -map SOURCE=NAME[@START][+LENGTH][,...] ... [-json]
       {program} proxy FROM TO -fit DESTINATION [-from SOURCE] [-json]

waits at FROM for a QEMU that migrates there, and sends what it says on to TO, where
another QEMU waits, with its RAMBlocks rewritten as '{program} stream -help' tells. FROM
and TO are unix:PATH or tcp:HOST:PORT. So a running guest moves between machines that
differ in RAMBlocks only:

    qemu-system-x86_64 -m 2G -object memory-backend-ram,id=ram0,size=1G \\
        -object memory-backend-ram,id=ram1,size=1G \\
        -numa node,memdev=ram0 -numa node,memdev=ram1 -incoming unix:b ...
    {program} proxy unix:a unix:b -map pc.ram=ram0@0+1G,ram1@1G
    (qemu) migrate unix:a

Instead of the maps, -fit DESTINATION (and -from SOURCE), command lines or monitors,
makes them, as '{program} stream -help' tells.

What the destination tells the source (return-path) passes as it is. A migration that is
not understood (multifd, postcopy, TLS, mapped-ram), or that the maps do not fit, is
refused before the destination is so much as connected to, and the source's guest
goes on. The exit status is 0, or 1 for a migration that broke off, or 2 for what is
refused."""
BROKEN, REFUSED = 1, 2
BACKLOG = 32
"""So that a source which makes further connections gets on with them, and is noticed."""
RETURN_BYTES = 1 << 16
SOCKET_BYTES = 1 << 22


def run_proxy_command(program: str, words: list[str]) -> int:
    """Carry out `proxy WORDS...` and return the exit status."""
    from .words import Words, print_json

    if not words or any(word in ("-help", "--help", "-h") for word in words):
        print(USAGE.format(program=program), file=sys.stdout if words else sys.stderr)
        return 0 if words else REFUSED
    try:
        said = Words(words, ("-fit", "-from", "-map", "-page-size"), ("-json",))
        if len(said.files) != 2 or not ("-map" in said or "-fit" in said):
            raise VMError(f"expects FROM, TO and -map or -fit; see '{program} proxy -help'")
        moved = _serve(said)
    except VMError as error:
        print(f"{program}: proxy: {error}", file=sys.stderr)
        return BROKEN if isinstance(error, BrokenStreamError) else REFUSED
    except OSError as error:
        print(f"{program}: proxy: {error.strerror}", file=sys.stderr)
        return BROKEN
    if "-json" in said:
        print_json(moved)
    return 0


def _serve(said: Words) -> dict[str, object]:
    """Wait for one migration and see it through; returns what is told of it."""
    from ...vm.streams.remap import Remapper
    from .map import read_map

    block_map = read_map(said)
    here, there = (_address(text) for text in said.files)
    listening = _listen(here)
    try:
        connection, _ = listening.accept()
        with connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SOCKET_BYTES)
            migration = _Migration(connection, listening, there, Remapper(block_map, said.page_size))
            return migration.run()
    finally:
        listening.close()
        if here.kind == "unix" and os.path.exists(here.path):
            os.unlink(here.path)


def _address(text: str) -> Address:
    from ...vm.migration.address import parse_address
    from ...vm.releases import DEFAULT, find_release

    address = parse_address(text, find_release(DEFAULT))
    if address.kind not in ("unix", "tcp"):
        raise VMError(f"'{text}': a proxy stands between unix: and tcp: sockets")
    return address


def _listen(address: Address) -> socket.socket:
    try:
        if address.kind == "tcp":
            return socket.create_server((address.host or "127.0.0.1", int(address.port)), backlog=BACKLOG)
        listening = socket.socket(socket.AF_UNIX)
        try:
            if os.path.exists(address.path):
                os.unlink(address.path)
            os.fchmod(listening.fileno(), 0o600)  # of the file, too
            listening.bind(address.path)
            listening.listen(BACKLOG)
        except BaseException:
            listening.close()
            raise
    except (OSError, ValueError, OverflowError) as error:
        raise VMError(f"cannot listen at {address}: {getattr(error, 'strerror', None) or error}") from None
    return listening


def _connect(address: Address) -> socket.socket:
    try:
        if address.kind == "tcp":
            connection = socket.create_connection((address.host or "127.0.0.1", int(address.port)))
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return connection
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.connect(address.path)
        except BaseException:
            connection.close()
            raise
    except (OSError, ValueError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise VMError(f"cannot connect to the destination at {address}: {reason}") from None
    return connection


class _Migration:
    """One migration on its way, from a source that has come to a destination that is connected to when all is clear."""

    def __init__(self, source: socket.socket, listening: socket.socket, there: Address, remapper: Remapper) -> None:
        self._source = source
        self._listening = listening
        self._there = there
        self._remapper = remapper
        self._destination: socket.socket | None = None
        self._way_back: threading.Thread | None = None
        self.bytes_back = 0

    def run(self) -> dict[str, object]:
        """See it through; raises `VMError`."""
        from .files import write_all

        received = 0
        try:
            count = 1
            while count:
                count = self._receive()
                received += count
                buffers = self._remapper.take(count)
                if not buffers:
                    continue
                if self._destination is None:
                    self._check_alone()
                    self._destination = self._open()
                try:
                    write_all(self._destination.fileno(), buffers)
                except OSError as error:
                    text = f"the destination broke off after {received} bytes: {error.strerror}"
                    raise BrokenStreamError(text) from None
            self._finish()
        finally:
            self._close()
        return {"received": received, "sent-back": self.bytes_back}

    def _receive(self) -> int:
        try:
            return self._source.recv_into(self._remapper.room())
        except ConnectionResetError:
            return 0

    def _check_alone(self) -> None:
        """Refuse a source that has made another connection: all of it is made by the end of its setup."""
        self._listening.setblocking(False)
        try:
            second, _ = self._listening.accept()
        except BlockingIOError:
            return
        second.close()
        raise NotUnderstoodError("the source makes several connections (multifd or postcopy-preempt)")

    def _open(self) -> socket.socket:
        destination = _connect(self._there)
        destination.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BYTES)
        self._way_back = threading.Thread(target=self._pass_back, args=(destination,), daemon=True)
        self._way_back.start()
        return destination

    def _pass_back(self, destination: socket.socket) -> None:
        """Send what the destination tells back to the source, until it has no more to tell."""
        try:
            while data := destination.recv(RETURN_BYTES):
                self._source.sendall(data)
                self.bytes_back += len(data)
            self._source.shutdown(socket.SHUT_WR)
        except OSError:  # one of them has gone, which the other way notices
            pass

    def _finish(self) -> None:
        """The source has no more to say: so will the destination, when it has everything."""
        if self._destination is None or self._way_back is None:
            raise BrokenStreamError("the source broke off before its memory came")
        try:
            self._destination.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        self._way_back.join()
        if not self._remapper.complete:
            raise BrokenStreamError("the source broke off before all of its memory had come")

    def _close(self) -> None:
        for connection in (self._source, self._destination):
            if connection is not None:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
        if self._way_back is not None:
            self._way_back.join()
        if self._destination is not None:
            self._destination.close()
