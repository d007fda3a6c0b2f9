"""TLS on a connection: credentials from a folder of PEM files, and the stream between bytes and ciphertext.

No socket is read or written here but during a handshake, which `Handshake` does in the loop. Imported, and `ssl` with
it, where somebody has credentials.
"""

from __future__ import annotations

import os
import ssl
from functools import partial

from .device import READ_SIZE, ChardevError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket
    from collections.abc import Callable

    from ..loop import Loop

HANDSHAKE_SECONDS = 20.0
"""How long a peer may take to say who it is."""


class Credentials:
    """`tls-creds-x509`: who we are, and whose word we take for who the peer is.

    The folder has QEMU's files: `ca-cert.pem`, `ca-crl.pem` if there is one, and `server-cert.pem` with
    `server-key.pem`; a client's `client-cert.pem` and `client-key.pem` may be left out.

    :raise ChardevError: a file is not there or is none.
    """

    __slots__ = ("context", "endpoint", "folder", "verify_peer")

    def __init__(self, folder: str, endpoint: str, verify_peer: bool) -> None:
        self.folder = folder
        self.endpoint = endpoint
        """`server` or `client`."""
        self.verify_peer = verify_peer
        server = endpoint == "server"
        authority = self._file("ca-cert.pem", needed=True)
        revoked = self._file("ca-crl.pem")
        certificate = self._file(f"{endpoint}-cert.pem", needed=server)
        key = self._file(f"{endpoint}-key.pem", needed=server)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
        self.context.check_hostname = False  # asked for with each connection that has a host's name
        self.context.verify_mode = ssl.CERT_REQUIRED if verify_peer else ssl.CERT_NONE
        for path in (authority, revoked):
            if path is not None:
                self._load(partial(self.context.load_verify_locations, path), path)
        if revoked is not None:
            self.context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
        if certificate is not None and key is not None:
            self._load(partial(self.context.load_cert_chain, certificate, key, _no_password), certificate)

    def _file(self, name: str, needed: bool = False) -> str | None:
        path = f"{self.folder}/{name}"
        try:
            with open(path, "rb"):
                return path
        except OSError as error:
            if isinstance(error, FileNotFoundError) and not needed:
                return None
            raise ChardevError(f"Unable to access credentials {path}: {error.strerror}") from None

    def _load(self, load: Callable[[], object], path: str) -> None:
        try:
            load()
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)
            raise ChardevError(f"Unable to load credentials {path}: {reason}") from None

    def stream(self, host: str | None) -> TLSStream:
        """Return the stream of a new connection, to the host of that name if we are the client."""
        return TLSStream(self, host)


def _no_password() -> str:
    raise ValueError("it is encrypted, and there is no password")


class TLSStream:
    """One connection's: ciphertext in, bytes out, and the other way round.

    :raise ssl.SSLError: from any method: the peer does not speak TLS, or is not to be trusted.
    """

    __slots__ = ("_incoming", "_object", "_outgoing", "ended")

    def __init__(self, credentials: Credentials, host: str | None) -> None:
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        server = credentials.endpoint == "server"
        context = credentials.context
        context.check_hostname = not server and credentials.verify_peer and bool(host)
        self._object = context.wrap_bio(self._incoming, self._outgoing, server, None if server else host)
        self.ended = False
        """Whether the peer has said that nothing more comes."""

    def shake_hands(self, data: bytes) -> bool:
        """Take what came of a handshake, and return whether it is done; what is to be sent is in `output`."""
        self._incoming.write(data)
        try:
            self._object.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True

    def output(self) -> bytes:
        """Return the ciphertext that is to be sent."""
        return self._outgoing.read()

    def decrypt(self, data: bytes) -> bytes:
        """Return the bytes that came with some ciphertext, which may be none."""
        self._incoming.write(data)
        found = bytearray()
        while True:
            try:
                part = self._object.read(READ_SIZE)
            except ssl.SSLWantReadError:
                return bytes(found)
            except ssl.SSLZeroReturnError:
                part = b""
            if not part:
                self.ended = True
                return bytes(found)
            found += part

    def encrypt(self, data: bytes) -> bytes:
        """Return bytes as ciphertext."""
        if data:
            self._object.write(data)
        return self.output()

    def end(self) -> bytes:
        """Return what tells the peer that nothing more comes."""
        try:
            self._object.unwrap()
        except (ssl.SSLError, OSError, ValueError):
            pass  # it need not answer
        return self.output()


class Handshake:
    """A connection that is being secured; `on_done` gets it with its stream, `on_failure` is told where it is lost."""

    __slots__ = ("_connection", "_loop", "_on_done", "_on_failure", "_output", "_ready", "_stream", "_timer")

    def __init__(
        self,
        loop: Loop,
        connection: socket,
        stream: TLSStream,
        on_done: Callable[[Handshake, socket, TLSStream], object],
        on_failure: Callable[[Handshake], object],
    ) -> None:
        self._loop = loop
        self._connection = connection
        self._stream = stream
        self._on_done = on_done
        self._on_failure = on_failure
        self._output = b""
        self._ready = False
        self._timer = loop.call_later(HANDSHAKE_SECONDS, self._fail)
        loop.call_soon(self._begin)

    def abort(self) -> None:
        """Close the connection and tell nobody."""
        self._timer.cancel()
        self._loop.unwatch(self._connection.fileno())
        self._connection.close()

    def _begin(self) -> None:
        if self._timer.callback is not None:
            self._take(b"")

    def _on_readable(self) -> None:
        try:
            data = self._connection.recv(READ_SIZE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self._take(data)
        else:
            self._fail()

    def _take(self, data: bytes) -> None:
        try:
            self._ready = self._stream.shake_hands(data)
        except (ssl.SSLError, ValueError):
            self._output += self._stream.output()  # an alert: why not
            self._send()
            self._fail()
            return
        self._output += self._stream.output()
        self._go_on()

    def _go_on(self) -> None:
        if not self._send():
            self._fail()
        elif self._output:
            self._loop.watch(self._connection.fileno(), None, self._go_on)
        elif self._ready:
            self._timer.cancel()
            self._loop.unwatch(self._connection.fileno())
            self._on_done(self, self._connection, self._stream)
        else:
            self._loop.watch(self._connection.fileno(), self._on_readable)

    def _send(self) -> bool:
        """Send what goes now, and return whether the peer is there."""
        try:
            while self._output:
                self._output = self._output[self._connection.send(self._output) :]
        except BlockingIOError:
            pass
        except OSError:
            return False
        return True

    def _fail(self) -> None:
        self.abort()
        self._on_failure(self)


def find_folder(path: str) -> str:
    """Return the folder of credentials as QEMU keeps it.

    :raise ChardevError: none was named.
    """
    if not path:
        raise ChardevError("Missing 'dir' property value")
    return os.fspath(path)
