"""What follows the RAM in a stream: sections of devices, which are kept as they are, and their description.

Devices are not modelled. What a stream brought is told by name and goes on as it came, but for the run state that is in
it. A machine without such has the two sections that every machine has.
"""

from __future__ import annotations

import json
from struct import Struct, pack
from struct import error as struct_error

from . import format as fmt

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..releases import Release

MOST_LOOKS = 1 << 12
"""How often something may look like the beginning of a description and be none."""
HEADER = Struct(">BI")
NUMBERS = Struct(">II")
DESCRIPTION_START = bytes((fmt.END_OF_STREAM, fmt.DESCRIPTION))
TIMER = "timer"
GLOBAL_STATE = "globalstate"
OURS = "ramslot"
"""What is ours in a description."""
RUN_STATE_BYTES = 100
RUN_STATE_BYTES_NEWER = 32
"""Of the run state's name; since QEMU 8.2 something else follows it."""


class DeviceSection:
    """The state of one device: where in the data it is, from its header to its footer, and what it begins with."""

    __slots__ = ("content", "end", "instance", "name", "section_id", "start", "version")

    def __init__(self, section_id: int, name: str, instance: int, version: int, start: int, content: int) -> None:
        self.section_id = section_id
        self.name = name
        self.instance = instance
        self.version = version
        self.start = start
        self.content = content
        """Where the state itself begins."""
        self.end = content


def end_of_devices(data: bytes | bytearray) -> bool:
    """Whether data is complete, because it ends with a description that begins where it says."""
    return data.endswith(b"}") and description_start(data) is not None


def description_start(data: bytes | bytearray) -> int | None:
    """Where the end of the sections and then the description begin, the description being the last."""
    position = data.rfind(DESCRIPTION_START)
    for _ in range(MOST_LOOKS):
        if position < 0:
            return None
        length = int.from_bytes(data[position + 2 : position + 6])
        if length and position + 6 + length == len(data) and data[position + 6 : position + 7] == b"{":
            return position
        position = data.rfind(DESCRIPTION_START, 0, position + 1)
    return None


def description(data: bytes) -> dict[str, Any] | None:
    """The description of devices that data ends with, if there is one that can be read."""
    start = description_start(data)
    if start is None:
        return None
    try:
        found = json.loads(data[start + 6 :])
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def sections(data: bytes, *, footers: bool = True) -> list[DeviceSection]:
    """The sections of devices in data, found by the description; without one, or where it does not fit, none.

    How long a section is, nobody tells: it ends where its footer is and another one begins, or nothing more.
    """
    described = (description(data) or {}).get("devices")
    limit = description_start(data)
    if not isinstance(described, list) or limit is None:
        return []
    found: list[DeviceSection] = []
    for entry in described:
        section = _described(data, found[-1].content if found else 0, limit, entry, footers=footers)
        if section is None and not found:
            continue  # what was told before the memory is described first
        if section is None:
            return []
        if found:
            found += _close(data, found[-1], section.start, footers=footers)
        found.append(section)
    if found:
        found += _close(data, found[-1], limit, footers=footers)
    return found


def _described(data: bytes, position: int, limit: int, entry: Any, *, footers: bool) -> DeviceSection | None:
    """The first section from a position on that is what was described."""
    try:
        name = entry["name"].encode("latin-1")
        tail = pack(">B", len(name)) + name + pack(">I", entry["instance_id"] & 0xFFFFFFFF)
        if "version" in entry:  # what QEMU keeps in an older form has none there
            tail += pack(">I", entry["version"])
    except (TypeError, KeyError, AttributeError, ValueError, UnicodeError, struct_error):
        return None
    at = data.find(tail, position, limit)
    while at >= 0:
        start = at - HEADER.size
        before = start - HEADER.size
        follows = start == 0 or not footers or (before >= 0 and data[before] == fmt.FOOTER)
        if start >= 0 and data[start] == fmt.SECTION_FULL and follows:
            return _read_head(data, start, limit)
        at = data.find(tail, at + 1, limit)
    return None


def _close(data: bytes, section: DeviceSection, end: int, *, footers: bool) -> list[DeviceSection]:
    """Say where a section ends that the next described one follows at `end`; returns those between, which nobody
    described."""
    found: list[DeviceSection] = []
    while True:
        section.end = end
        if not footers or data[end - HEADER.size : end] == HEADER.pack(fmt.FOOTER, section.section_id):
            return found
        hidden = _hidden(data, section, end)
        if hidden is None:
            return found
        section.end = hidden.start
        found.append(hidden)
        section = hidden


def _hidden(data: bytes, section: DeviceSection, end: int) -> DeviceSection | None:
    """The section that begins where another one's footer is, if there is one before `end`."""
    boundary = HEADER.pack(fmt.FOOTER, section.section_id) + bytes((fmt.SECTION_FULL,))
    at = data.find(boundary, section.content, end)
    while at >= 0:
        hidden = _read_head(data, at + HEADER.size, end)
        if hidden is not None:
            return hidden
        at = data.find(boundary, at + 1, end)
    return None


def _read_head(data: bytes, start: int, end: int) -> DeviceSection | None:
    """The section that begins at a place, if that looks like one."""
    name_start = start + HEADER.size + 1
    if name_start >= end:
        return None
    name = data[name_start : name_start + data[name_start - 1]]
    content = name_start + len(name) + NUMBERS.size
    if not name.isascii() or not name.decode("ascii").isprintable() or content > end:
        return None
    instance, version = NUMBERS.unpack_from(data, name_start + len(name))
    section_id = HEADER.unpack_from(data, start)[1]
    return DeviceSection(section_id, name.decode("ascii"), instance, version, start, content)


def with_guest(data: bytes, guest: dict[str, Any]) -> bytes:
    """The same data, telling of what our guest does; QEMU reads over what it does not know in a description."""
    start, described = description_start(data), description(data)
    if start is None or described is None:
        return data
    text = json.dumps({**described, OURS: {"guest": guest}}).encode()
    return data[:start] + DESCRIPTION_START + pack(">I", len(text)) + text


def guest_in(data: bytes) -> dict[str, Any] | None:
    """What data tells of a guest of ours."""
    ours = (description(data) or {}).get(OURS)
    guest = ours.get("guest") if isinstance(ours, dict) else None
    return guest if isinstance(guest, dict) else None


def without_guest(data: bytes) -> bytes:
    """The same data, telling of no guest of ours."""
    start, described = description_start(data), description(data)
    if start is None or described is None or OURS not in described:
        return data
    text = json.dumps({name: value for name, value in described.items() if name != OURS}).encode()
    return data[:start] + DESCRIPTION_START + pack(">I", len(text)) + text


def run_state_in(data: bytes, *, footers: bool = True) -> str | None:
    """The run state that data tells the machine to be in."""
    for section in sections(data, footers=footers):
        if section.name == GLOBAL_STATE:
            size = int.from_bytes(data[section.content : section.content + 4])
            name = data[section.content + 4 : section.content + 4 + min(size, RUN_STATE_BYTES)]
            return name.partition(b"\0")[0].decode("latin-1")
    return None


def with_run_state(data: bytes, run_state: str, *, footers: bool = True) -> bytes:
    """The same data, telling the machine to be in another run state."""
    for section in sections(data, footers=footers):
        if section.name == GLOBAL_STATE:
            name = run_state.encode().ljust(RUN_STATE_BYTES_NEWER, b"\0")
            state = pack(">I", len(run_state) + 1) + name
            return data[: section.content] + state + data[section.content + len(state) :]
    return data


def own_devices(machine_type: str, release: Release, page_size: int, run_state: str) -> bytes:
    """What a machine without known devices sends: the clock's and the run state's section, and their description."""
    suspended = b"\1\0" if release.covers("8.2") else b""
    state = pack(">I", len(run_state) + 1) + run_state.encode().ljust(RUN_STATE_BYTES_NEWER, b"\0") + suspended
    sections_of = [(TIMER, 0, 2, bytes(24)), (GLOBAL_STATE, 4, 1, state.ljust(4 + RUN_STATE_BYTES, b"\0"))]
    data = b"".join(
        HEADER.pack(fmt.SECTION_FULL, section_id)
        + pack(">B", len(name))
        + name.encode()
        + pack(">II", 0, version)
        + content
        + HEADER.pack(fmt.FOOTER, section_id)
        for name, section_id, version, content in sections_of
    )
    text = json.dumps(_own_description(machine_type, release, page_size)).encode()
    return data + DESCRIPTION_START + pack(">I", len(text)) + text


def own_fields(release: Release) -> dict[str, list[dict[str, Any]]]:
    """What the sections hold that every machine has, by their names."""
    state = [_field("size", "uint32", 4), _field("runstate", "buffer", RUN_STATE_BYTES)]
    if release.covers("8.2"):
        state[1] = _field("runstate", "buffer", RUN_STATE_BYTES_NEWER)
        state += _field("has_vm_was_suspended", "uint8", 1), _field("vm_was_suspended", "uint8", 1)
        state.append(_field("unused", "buffer", RUN_STATE_BYTES - RUN_STATE_BYTES_NEWER - 2))
    clock = [_field("cpu_ticks_offset", "int64", 8), _field("unused", "unused_buffer", 8)]
    return {TIMER: [*clock, _field("cpu_clock_offset", "int64", 8)], GLOBAL_STATE: state}


def _field(name: str, kind: str, size: int) -> dict[str, Any]:
    return {"name": name, "type": kind, "size": size}


def _own_description(machine_type: str, release: Release, page_size: int) -> dict[str, Any]:
    known = own_fields(release)
    devices = [
        {"name": name, "instance_id": 0, "vmsd_name": name, "version": version, "fields": known[name]}
        for name, version in ((TIMER, 2), (GLOBAL_STATE, 1))
    ]
    if not release.covers("8.2"):
        return {"page_size": page_size, "devices": devices}
    fields = [_field("len", "uint32", 4), _field("name", "buffer", len(machine_type))]
    configuration = {"vmsd_name": "configuration", "version": 1, "fields": fields}
    return {"configuration": configuration, "page_size": page_size, "devices": devices}
