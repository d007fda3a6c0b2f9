"""What telnet adds to a connection: RFC 854, RFC 855. Bytes in, bytes out."""

from __future__ import annotations

IAC = 255
_NEGOTIATIONS = (251, 252, 253, 254)
"""WILL, WON'T, DO and DON'T, which an option follows."""

GREETING = bytes((IAC, 251, 1, IAC, 251, 3, IAC, 251, 0, IAC, 253, 0))
"""Will echo, will not wait for a go-ahead, will and wants to send bytes as they are."""


class TelnetInput:
    """Takes telnet's own commands out of what a client sends; nothing is answered, as QEMU does."""

    __slots__ = ("_command",)

    def __init__(self) -> None:
        self._command = b""
        """What has come of a command that is not complete."""

    def feed(self, data: bytes) -> bytes:
        """Return what is left of the bytes that came."""
        if not self._command and IAC not in data:
            return data
        kept = bytearray()
        for byte in data:
            if not self._command:
                if byte == IAC:
                    self._command = bytes((byte,))
                else:
                    kept.append(byte)
            elif len(self._command) == 1 and byte == IAC:
                kept.append(byte)
                self._command = b""
            elif len(self._command) == 1 and byte in _NEGOTIATIONS:
                self._command += bytes((byte,))
            else:
                self._command = b""
        return bytes(kept)
