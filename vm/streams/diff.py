"""What two streams have different: configuration, RAMBlocks, pages, devices."""

from __future__ import annotations

from .contents import differing_pages

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .contents import Digests
    from .summary import Summary

MOST_RANGES = 1000
"""That are told of one block."""


class Side:
    """One of the two: what was in the stream, and the digests of its pages."""

    __slots__ = ("digests", "page_size", "summary")

    def __init__(self, summary: Summary, digests: Digests, page_size: int) -> None:
        self.summary = summary
        self.digests = digests
        self.page_size = page_size

    def _devices(self) -> dict[str, bytes]:
        found: dict[str, bytes] = {}
        data = bytes(self.summary.devices)
        for section in self.summary.sections():
            name = f"{section.name} (instance {section.instance}, version {section.version})"
            end = section.end - 5 if self.summary.configuration.machine_type is not None else section.end
            found[name] = data[section.content : end]
        return found


def differences(first: Side, second: Side) -> list[dict[str, Any]]:
    """What differs, in the order of the streams; equal streams have none."""
    found: list[dict[str, Any]] = []
    for what, one, other in _configurations(first, second):
        if one != other:
            found.append({"what": what, "from": one, "to": other})
    found += _blocks(first, second)
    one, other = first._devices(), second._devices()
    if not one and not other and first.summary.devices != second.summary.devices:
        found.append({"what": "devices", "from": len(first.summary.devices), "to": len(second.summary.devices)})
    for name in {**one, **other}:
        before, after = one.get(name), other.get(name)
        if before != after:
            found.append({"what": "device", "name": name, "from": _size(before), "to": _size(after)})
            if before is not None and after is not None:
                found[-1]["first-difference"] = _first_difference(before, after)
    return found


def _configurations(first: Side, second: Side) -> list[tuple[str, Any, Any]]:
    one, other = first.summary.configuration, second.summary.configuration
    return [
        ("machine-type", one.machine_type, other.machine_type),
        ("page-size", first.page_size, second.page_size),
        ("capabilities", one.capabilities, other.capabilities),
        ("uuid", one.uuid and one.uuid.hex(), other.uuid and other.uuid.hex()),
    ]


def _blocks(first: Side, second: Side) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    one, other = first.summary.blocks, second.summary.blocks
    for name in {**one, **other}:
        before, after = one.get(name), other.get(name)
        if before is None or after is None or before.length != after.length:
            sizes = {"from": before and before.length, "to": after and after.length}
            found.append({"what": "block", "name": name, **sizes})
        elif first.page_size == second.page_size:
            found += _contents(name, first, second)
    return found


def _contents(name: str, first: Side, second: Side) -> list[dict[str, Any]]:
    size = first.page_size
    pages = 0
    ranges: list[list[int]] = []
    for start, end in differing_pages(first.digests.tables[name], second.digests.tables[name]):
        pages += end - start
        if len(ranges) < MOST_RANGES:
            ranges.append([start * size, end * size])
    return [{"what": "pages", "name": name, "pages": pages, "ranges": ranges}] if pages else []


def _size(data: bytes | None) -> int | None:
    return None if data is None else len(data)


def _first_difference(one: bytes, other: bytes) -> int:
    """The first byte at which two states differ."""
    return next(
        (at for at, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]), min(len(one), len(other))
    )
