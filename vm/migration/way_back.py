"""What a destination tells its source: messages of a kind, a length and some data. Bytes in, messages out."""

from __future__ import annotations

from struct import Struct

from . import format as fmt

HEAD = Struct(">HH")
LENGTHS: dict[int, int | None] = {fmt.SHUT: 4, fmt.PONG: 4, 3: 12, 4: None, 5: None, 6: 4, fmt.SWITCHOVER_ACK: 0}
"""Of the messages that there are; None is any."""


class WayBackError(Exception):
    """A destination that tells of a failure, or tells nothing that could be understood."""


class WayBack:
    """Messages as they come."""

    __slots__ = ("_data", "acknowledged", "closed")

    def __init__(self) -> None:
        self._data = b""
        self.closed = False
        """Whether the destination has said that it has everything."""
        self.acknowledged = False
        """Whether it has said that the guest may be stopped."""

    def feed(self, data: bytes) -> None:
        """Take bytes, none at their end; raises `WayBackError`."""
        if not data and not self.closed:
            raise WayBackError("Channel error: Input/output error")
        self._data += data
        while len(self._data) >= HEAD.size:
            kind, length = HEAD.unpack_from(self._data)
            if kind not in LENGTHS:
                raise WayBackError(f"Received invalid message 0x{kind:04x} length 0x{length:04x}")
            if LENGTHS[kind] not in (None, length):
                raise WayBackError(f"Received message 0x{kind:04x} with incorrect length {length}")
            if len(self._data) < HEAD.size + length:
                return
            content = self._data[HEAD.size : HEAD.size + length]
            self._data = self._data[HEAD.size + length :]
            self.acknowledged |= kind == fmt.SWITCHOVER_ACK
            if kind == fmt.SHUT:
                self._shut(int.from_bytes(content))

    def _shut(self, value: int) -> None:
        if value:
            raise WayBackError(f"Sibling indicated error {value}")
        self.closed = True
