"""Tables of QEMU's human monitor, read back into what our structured commands tell.

Members that QEMU's text does not have are not there.
"""

from __future__ import annotations

import re

from ...commands.shown import Shown
from .errors import AnswerError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_BLOCK = re.compile(
    r" *(.*?) +(\d{1,6}) (B|KiB|MiB|GiB|TiB) +0x([0-9a-f]{1,16}) 0x([0-9a-f]{1,16}) 0x([0-9a-f]{1,16})"
    r"(?: 0x([0-9a-f]{1,16}) +(ro|rw))?"
    r"(?:  alias of (.*) @0x([0-9a-f]{16}))?"
)
_UNITS = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
_HVA = re.compile(r"Host virtual address for 0x[0-9a-f]+ \((.*)\) is (?:0x)?([0-9a-f]{1,16})")
_NODE = re.compile(r"node (\d{1,5}) (cpus|size|plugged):(?: (.*))?")
_MEGABYTE = 1 << 20
_DEVICE = re.compile(r'Memory device \[([a-z0-9-]+)\]: "(.*)"')
_MEMBER = re.compile(r"  ([a-z-]+): (.*)")


def _lines(text: str) -> list[str]:
    return text.replace("\r\n", "\n").rstrip("\n").split("\n")


def parse_ramblocks(text: str) -> list[Shown]:
    """What `query-ramblocks` tells, of `info ramblock`; addresses and access since QEMU 8.0. Raises `AnswerError`."""
    head, *lines = _lines(text)
    if head.split()[:3] != ["Block", "Name", "PSize"]:
        raise AnswerError("this is no table of info ramblock")
    return [_block(line) for line in lines]


def _block(line: str) -> Shown:
    match = _BLOCK.fullmatch(line)
    if match is None:
        raise AnswerError(f"'{line}' is no RAMBlock of info ramblock")
    name, count, unit, offset, used, most, address, access, aliased, aliased_offset = match.groups()
    described: dict[str, Any] = {
        "name": name,
        "page-size": int(count) * _UNITS[unit],
        "offset": int(offset, 16),
        "used-length": int(used, 16),
        "max-length": int(most, 16),
        "migratable": name != "",
    }
    if address is not None:
        described |= {"host-address": int(address, 16), "readonly": access == "ro"}
    if aliased is not None:
        described["aliases"] = {"region": aliased, "offset": int(aliased_offset, 16)}
    return Shown(described)


def parse_numa(text: str) -> list[dict[str, Any]]:
    """What `query-numa` tells, of `info numa`: sizes in bytes, told in MiB. Raises `AnswerError`."""
    head, *lines = _lines(text)
    count = re.fullmatch(r"(\d{1,5}) nodes", head)
    if count is None:
        raise AnswerError("this is no table of info numa")
    nodes: dict[int, dict[str, Any]] = {}
    for line in lines:
        match = _NODE.fullmatch(line)
        if match is None:
            raise AnswerError(f"'{line}' is no line of info numa")
        node = nodes.setdefault(int(match[1]), {"node-id": int(match[1])})
        node[match[2]] = _cpus(line, match[3]) if match[2] == "cpus" else _megabytes(line, match[3])
    if len(nodes) != int(count[1]) or any(len(node) != 4 for node in nodes.values()):
        raise AnswerError("info numa does not tell of all nodes")
    return list(nodes.values())


def _cpus(line: str, text: str | None) -> list[int]:
    try:
        return [int(word) for word in (text or "").split()]
    except ValueError:
        raise AnswerError(f"'{line}' is no line of info numa") from None


def _megabytes(line: str, text: str | None) -> int:
    match = re.fullmatch(r"(\d{1,20}) MB", text or "")
    if match is None:
        raise AnswerError(f"'{line}' is no line of info numa")
    return int(match[1]) * _MEGABYTE


def parse_memory_devices(text: str) -> list[dict[str, Any]]:
    """What `query-memory-devices` tells, of `info memory-devices`; raises `AnswerError`."""
    found: list[dict[str, Any]] = []
    for line in _lines(text):
        device, member = _DEVICE.fullmatch(line), _MEMBER.fullmatch(line)
        if device is not None:
            found.append({"type": device[1], "data": {"id": device[2]} if device[2] else {}})
        elif member is not None and found:
            name = {"memaddr": "memaddr"}.get(member[1], member[1])
            found[-1]["data"][name] = _value(member[2])
        elif line:
            raise AnswerError(f"'{line}' is no line of info memory-devices")
    return found


def _value(text: str) -> int | bool | str:
    if text in ("true", "false"):
        return text == "true"
    if re.fullmatch(r"0x[0-9a-f]{1,16}|\d{1,20}", text):
        return int(text, 0)
    return text


def parse_host_address(text: str) -> tuple[str, int] | None:
    """The region and the address that `gpa2hva` tells; None where no memory is. Raises `AnswerError`."""
    line = text.strip()
    match = _HVA.fullmatch(line)
    if match is not None:
        return match[1], int(match[2], 16)
    if line.startswith(("No memory is mapped at", "Memory at address")):
        return None
    raise AnswerError(f"'{line[:80]}' is no answer of gpa2hva")
