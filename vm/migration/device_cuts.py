"""Where a stream was cut that ended among the sections of devices, in QEMU's words.

How long a section is, nobody tells; but the stream's end has a mark behind the last section's footer. What follows
that, the description, may be cut or missing: QEMU reads over it. Observed of QEMU 5.2 to 11.1.
"""

from __future__ import annotations

import errno

from . import format as fmt
from .devices import DESCRIPTION_START, HEADER, NUMBERS, own_fields
from .errors import StreamError, cut

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

    from ..releases import Release

    Fields: TypeAlias = dict[str, list[tuple[str, int]]]

NO_SECTION = "Failed to load section ID: stream error: -5: Channel error: Input/output error"
MOST_LOOKS = 64


def device_cut(data: bytes, release: Release, *, footers: bool = True) -> StreamError | None:
    """What is wrong with the sections of devices at the end of a stream; None if they are there wholly."""
    if _has_end(data, footers=footers):
        return None
    if not footers:  # then nothing tells one section from the next
        return cut(NO_SECTION)
    fields = {name: [(each["name"], each["size"]) for each in told] for name, told in own_fields(release).items()}
    return _cut_at(data, fields)


def _has_end(data: bytes, *, footers: bool) -> bool:
    def is_end(place: int) -> bool:
        behind_footer = place >= HEADER.size and data[place - HEADER.size] == fmt.FOOTER
        return not place or not footers or behind_footer

    if data.endswith(b"\0") and is_end(len(data) - 1):
        return True
    place = data.find(DESCRIPTION_START) if data.startswith(DESCRIPTION_START) else data.rfind(DESCRIPTION_START)
    for _ in range(MOST_LOOKS):
        if place < 0:
            return False
        if is_end(place) and data[place + 6 : place + 7] in (b"", b"{"):
            return True
        place = data.rfind(DESCRIPTION_START, 0, place + 1)
    return False


def _cut_at(data: bytes, fields: Fields) -> StreamError:
    """The error of the section that the cut is in, the first that has no footer."""
    position = 0
    while position < len(data) and data[position] == fmt.SECTION_FULL:
        head, name_at = data[position : position + HEADER.size], position + HEADER.size + 1
        section_id = HEADER.unpack(head)[1] if len(head) == HEADER.size else 0
        name_end = name_at + (data[name_at - 1] if name_at <= len(data) else 1)
        if name_end > len(data):
            return StreamError(f"Unable to read ID string for section {section_id}")
        name, content = data[name_at:name_end].decode("latin-1"), name_end + NUMBERS.size
        known = fields.get(name, [])
        end = _end_of_section(data, content + sum(size for _field, size in known), section_id)
        if end is None:
            instance = int.from_bytes(data[name_end : name_end + 4])
            return _content_cut(name, instance, len(data) - content, known, section_id)
        position = end
    return cut(NO_SECTION)


def _end_of_section(data: bytes, start: int, section_id: int) -> int | None:
    """Where the footer of a section ends, if it is there, from some place on."""
    footer = HEADER.pack(fmt.FOOTER, section_id)
    place = data.find(footer, start)
    while place >= 0:
        end = place + len(footer)
        if data[end : end + 1] in (b"", bytes([fmt.SECTION_FULL])):
            return end
        place = data.find(footer, place + 1)
    return None


def _content_cut(name: str, instance: int, length: int, fields: list[tuple[str, int]], section_id: int) -> StreamError:
    read, failed = 0, f"error while loading state for instance {instance:#x} of device '{name}'"
    newer = f"{failed}: Failed to load {name} state: stream error: -5"
    for field, size in fields:
        read += size
        if length < read:
            older = (f"Failed to load {name}:{field}",)
            return StreamError(failed, errno.EIO, older=older, newer=newer, newer_code=errno.EINVAL)
    if not fields:
        return StreamError(failed, errno.EIO, newer=newer, newer_code=errno.EINVAL)
    if length > read:
        return cut(NO_SECTION)
    text = "check_section_footer: Read section footer failed: -5"
    return StreamError(text, newer=f"Section footer error, section_id: {section_id}", reported=True)
