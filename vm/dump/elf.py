"""The headers of an ELF core file, made of numbers: pure, no memory and no file.

Layouts as QEMU writes them. Up to 7.1: ELF header, program headers, a section header where there are very many of
those, notes, memory. Since 7.2: ELF header, section headers, program headers, notes, memory, names of sections.
Source of the fields: the System V ABI, "ELF Header" and "Program Header"; PN_XNUM as in elf(5).
"""

from __future__ import annotations

import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

ET_CORE = 4
EV_CURRENT = 1
PT_LOAD, PT_NOTE = 1, 4
SHT_STRTAB = 3
PN_XNUM = 0xFFFF
"""As the number of program headers: it is too large for its field, and stands in the first section header."""
NAMES = b"\0.shstrtab\0"
NAME_OF_NAMES = NAMES.index(b".")
TOLD_HEADER_SIZE = 8
"""What QEMU since 7.2 says that the ELF header's size is; readers go by the class of the file."""


class CoreFormat:
    """The kind of an ELF file: `bits` 32 or 64, byte order `<` or `>` as in `struct`, and `e_machine`."""

    __slots__ = ("bits", "machine", "order")

    def __init__(self, bits: int, order: str, machine: int) -> None:
        self.bits = bits
        self.order = order
        self.machine = machine

    @property
    def header_size(self) -> int:
        """Bytes of the ELF header."""
        return 64 if self.bits == 64 else 52

    @property
    def segment_size(self) -> int:
        """Bytes of a program header."""
        return 56 if self.bits == 64 else 32

    @property
    def section_size(self) -> int:
        """Bytes of a section header."""
        return 64 if self.bits == 64 else 40

    def ident(self) -> bytes:
        """The first 16 bytes of a file."""
        kind = 2 if self.bits == 64 else 1
        return bytes((0x7F, *b"ELF", kind, 1 if self.order == "<" else 2, EV_CURRENT)).ljust(16, b"\0")

    def pack_header(
        self, segments_at: int, sections_at: int, told_size: int, segments: int, sections: int, names: int
    ) -> bytes:
        """The ELF header; `names` is the number of the section with the sections' names."""
        word = "Q" if self.bits == 64 else "I"
        section_size = self.section_size if sections else 0
        fields = struct.pack(
            f"{self.order}HHI3{word}I6H",
            *(ET_CORE, self.machine, EV_CURRENT),
            *(0, segments_at, sections_at, 0),
            *(told_size, self.segment_size, min(segments, PN_XNUM), section_size, sections, names),
        )
        return self.ident() + fields

    def pack_segment(self, kind: int, offset: int, address: int, length: int) -> bytes:
        """A program header: `length` bytes of the file from `offset` on are at a guest-physical address."""
        if self.bits == 64:
            return struct.pack(f"{self.order}II6Q", kind, 0, offset, address, address, length, length, 0)
        return struct.pack(f"{self.order}8I", kind, offset, address, address, length, length, 0, 0)

    def pack_section(self, name: int, kind: int, offset: int, size: int, info: int) -> bytes:
        """A section header."""
        word = "Q" if self.bits == 64 else "I"
        return struct.pack(f"{self.order}II4{word}II2{word}", name, kind, 0, 0, offset, size, 0, info, 0, 0)


class CoreLayout:
    """Where everything of a core file is, in bytes from its beginning: `head`, then the memory, then `tail`."""

    __slots__ = ("head", "memory_at", "memory_size", "tail")

    def __init__(self, head: bytes, memory_size: int, tail: bytes) -> None:
        self.head = head
        self.memory_at = len(head)
        self.memory_size = memory_size
        self.tail = tail

    @property
    def size(self) -> int:
        """Bytes of the whole file."""
        return self.memory_at + self.memory_size + len(self.tail)


def core_layout(
    file: CoreFormat, loads: Sequence[tuple[int, int]], notes: bytes = b"", *, has_names: bool = True
) -> CoreLayout:
    """The layout of a core file with memory as `loads`, address and length each, one behind the other.

    `has_names` is the layout with sections' names, since QEMU 7.2.
    """
    count = 1 + len(loads)
    sections = 2 if has_names else int(count >= PN_XNUM)
    size = sum(length for _address, length in loads)
    room_for_sections = sections * file.section_size
    segments_at = file.header_size + (room_for_sections if has_names else 0)
    sections_at = file.header_size if has_names else segments_at + count * file.segment_size
    notes_at = file.header_size + room_for_sections + count * file.segment_size
    memory_at = notes_at + len(notes)
    headers = [file.pack_segment(PT_NOTE, notes_at, 0, len(notes))]
    position = memory_at
    for address, length in loads:
        headers.append(file.pack_segment(PT_LOAD, position, address, length))
        position += length
    described = [file.pack_section(0, 0, 0, 0, count if count >= PN_XNUM else 0)] if sections else []
    if has_names:
        described.append(file.pack_section(NAME_OF_NAMES, SHT_STRTAB, memory_at + size, len(NAMES), 0))
    header = file.pack_header(
        segments_at,
        sections_at if sections else 0,
        TOLD_HEADER_SIZE if has_names else file.header_size,
        count,
        sections,
        1 if has_names else 0,
    )
    parts = [*described, *headers] if has_names else [*headers, *described]
    return CoreLayout(b"".join((header, *parts, notes)), size, NAMES if has_names else b"")
