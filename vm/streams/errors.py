"""What is wrong with a stream that is looked at."""

from __future__ import annotations

from ..errors import VMError

FOREIGN = {
    b"\x11\x22\x33\x44": "a channel of multifd",
    b"QEVM": "an old format of QEMU",
    b"Libv": "a save file of libvirt",
    b"\x7fELF": "an ELF file",
    b"QFI\xfb": "a disk image",
}
"""What else begins so."""
FIXED_PLACES = (
    "the stream was made with the capability 'mapped-ram': its pages have fixed places in a file, so that it is to be "
    "read from that, and neither from a pipe nor compressed"
)


class BrokenStreamError(VMError):
    """A stream that contradicts itself or ends too early. The text says where."""


class NotUnderstoodError(VMError):
    """Something that may be right and is not known here: another format, or a capability that is not modelled."""


def foreign(magic: bytes) -> NotUnderstoodError:
    """Something else that begins with these four bytes."""
    if magic[:2] == b"\x16\x03":
        return NotUnderstoodError("this is TLS, and who is not one of its ends cannot read it")
    also = f", but {FOREIGN[magic]}" if magic in FOREIGN else ""
    return NotUnderstoodError(f"this is no migration stream{also}: it begins with {magic.hex(' ')}")
