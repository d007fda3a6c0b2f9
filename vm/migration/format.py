"""The numbers of QEMU's migration stream, as observed in streams of 5.2 to 11.1. All integers are big endian."""

from __future__ import annotations

MAGIC = 0x5145564D
"""`QEVM`."""
VERSION = 3
OLD_VERSION = 2

# What a section begins with.
END_OF_STREAM = 0x00
SECTION_START = 0x01
SECTION_PART = 0x02
SECTION_END = 0x03
SECTION_FULL = 0x04
SUBSECTION = 0x05
DESCRIPTION = 0x06
CONFIGURATION = 0x07
COMMAND = 0x08
FOOTER = 0x7E
SECTION_KINDS = bytes((END_OF_STREAM, SECTION_START, SECTION_PART, SECTION_END, SECTION_FULL, COMMAND))
"""What may follow a section."""

RAM = "ram"
"""The name of the section that is guest memory."""
RAM_VERSION = 4
RAM_SECTION_ID = 2

# What a word of the RAM section tells, in the bits below a page's address.
ZERO = 0x02
MEM_SIZE = 0x04
PAGE = 0x08
END_OF_SECTION = 0x10
CONTINUE = 0x20
"""The block is that of the page before."""
XBZRLE = 0x40
COMPRESSED_PAGE = 0x100
MULTIFD_FLUSH = 0x200
"""All channels are to be waited for."""

MULTIFD_MAGIC = 0x11223344
MULTIFD_VERSION = 1

# Commands, and how long what they carry is; None is any length.
OPEN_RETURN_PATH = 1
PING = 2
PACKAGED = 7
SWITCHOVER_START = 11
COMMANDS: dict[int, tuple[str, int | None]] = {
    OPEN_RETURN_PATH: ("OPEN_RETURN_PATH", 0),
    PING: ("PING", 4),
    3: ("POSTCOPY_ADVISE", None),
    4: ("POSTCOPY_LISTEN", 0),
    5: ("POSTCOPY_RUN", 0),
    6: ("POSTCOPY_RAM_DISCARD", None),
    PACKAGED: ("PACKAGED", 4),
    8: ("POSTCOPY_RESUME", 0),
    9: ("RECV_BITMAP", None),
    10: ("ENABLE_COLO", 0),
    SWITCHOVER_START: ("SWITCHOVER_START", 0),
}
LAST_COMMAND_BEFORE_10 = 10
"""The newest command that QEMU knew before 10.0."""
POSTCOPY_COMMANDS = frozenset({3, 4, 5, 6, PACKAGED, 8, 9, 10})

# Messages of the way back.
SHUT = 1
PONG = 2
SWITCHOVER_ACK = 7

HASH_TABLE = "spapr/htab"
STORAGE_ATTRIBUTES = "s390-storage_attributes"
LIVE_DEVICES = frozenset({HASH_TABLE, STORAGE_ATTRIBUTES})
"""Devices whose state is sent in several sections, which tell how long they are."""
EARLY_DEVICE = b"virtio-mem-device-early"
"""What the name of a device ends with whose state is told before the memory, since QEMU 8.0."""
ATTRIBUTES_END = 0x01
ATTRIBUTES_MORE = 0x02
ATTRIBUTES_FLAGS = 0xFFF
"""What a word of a mainframe's storage attributes tells, in the bits below an address."""
HASH_TABLE_ENTRY = 16
"""Bytes of an entry of a pseries machine's hash table."""

LONGEST_NAME = 255
"""Bytes of a name whose length is told in one byte."""
