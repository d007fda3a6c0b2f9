"""The header of libvirt's save files (`virsh save`), as its documentation and its files have it.

A magic, numbers in the host's byte order, XML that describes the machine (and a cookie), and then the stream, which may
be compressed.
"""

from __future__ import annotations

from struct import Struct

from .errors import BrokenStreamError, NotUnderstoodError

MAGIC = b"LibvirtQemudSave"
PARTIAL = b"LibvirtQemudPart"
NUMBERS = "5I56x"
HEAD_BYTES = len(MAGIC) + 76
VERSIONS = (1, 2)
MOST_DATA = 64 << 20
FORMATS = ("raw", "gzip", "bzip2", "xz", "lzop", "zstd")
"""By the number that the header has."""


class SaveHeader:
    """What the header says: whether the machine ran, how the stream is compressed, and how much XML comes before it."""

    __slots__ = ("data_bytes", "format", "was_running", "xml_bytes")

    def __init__(self, data: bytes) -> None:
        """Read the first `HEAD_BYTES` of a file; raises `BrokenStreamError` and `NotUnderstoodError`."""
        if data.startswith(PARTIAL):
            raise BrokenStreamError("libvirt did not finish this save file")
        if len(data) < HEAD_BYTES or not data.startswith(MAGIC):
            raise BrokenStreamError("the save file ends in its header")
        numbers: tuple[int, ...] = Struct("<" + NUMBERS).unpack_from(data, len(MAGIC))
        if numbers[0] >= 1 << 16:  # of a host of the other kind
            numbers = Struct(">" + NUMBERS).unpack_from(data, len(MAGIC))
        version, self.data_bytes, running, compressed, cookie = numbers
        if version not in VERSIONS:
            raise NotUnderstoodError(
                f"libvirt's save file has version {version}, and only up to {VERSIONS[-1]} is known"
            )
        if compressed >= len(FORMATS):
            raise NotUnderstoodError(f"libvirt's save file is in format {compressed}, which is not known")
        if self.data_bytes > MOST_DATA:
            raise BrokenStreamError(f"the save file's XML has {self.data_bytes} bytes")
        self.was_running = running == 1
        self.format = FORMATS[compressed]
        self.xml_bytes = min(cookie or self.data_bytes, self.data_bytes)

    @property
    def stream_start(self) -> int:
        """Where in the file the stream begins."""
        return HEAD_BYTES + self.data_bytes
