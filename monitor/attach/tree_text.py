"""`info mtree` of QEMU, read back into what `query-mtree` and `query-flatviews` tell.

The texts of QEMU 5.2 to 11.1 are the same but for types that only newer ones tell, and so are ours. Trees are whole
where they were asked for with `-D`: without it what is disabled is not there, and what is below it seems to be
elsewhere.
"""

from __future__ import annotations

import re

from ...commands.mtree import OVERFLOW, ShownTree
from ...commands.shown import Shown
from .errors import AnswerError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

DEEPEST = 64
"""Regions that may be one in another; QEMU's have some ten."""
_REGION = re.compile(r"( *)([0-9a-f]{16})-([0-9a-f]{16}) \(prio (-?\d{1,10}), ([a-z/ -]+)\): (.*)")
_ALIAS = re.compile(r"alias (.*?) @(.*) ([0-9a-f]{16})-[0-9a-f]{16}")
_OWNER = re.compile(r"(?: owner:\{obj type=([^{}]*)\})?(?: (owner|parent):\{(dev|obj) (id|path|type)=([^{}]*)\})$")
_RANGE = re.compile(r"  ([0-9a-f]{16})-([0-9a-f]{16}) \(prio (-?\d{1,10}), ([a-z/ -]+)\): (.*)")
_OFFSET = re.compile(r"(.*) @([0-9a-f]{16})")
_SPACE = re.compile(r' AS "(.*)", root: (.*)')
_DISABLED = " [disabled]"
_ACCELERATED = (" KVM", " HVF", " MSHV", " WHPX", " NVMM")
"""What is written behind a range that an accelerator has in its slots."""


def parse_mtree(text: str) -> dict[str, Any]:
    """What `query-mtree` would tell of `info mtree -D`; raises `AnswerError`."""
    spaces: list[dict[str, Any]] = []
    regions: list[ShownTree] = []
    names: list[str] = []
    for section in _sections(text):
        names, lines = _heads(section, "address-space: ")
        if names:
            spaces.append({"names": names, "root": _tree(lines)})
            continue
        names, lines = _heads(section, "memory-region: ")
        if len(names) != 1:
            raise AnswerError(f"'{section[0]}' begins no part of info mtree")
        regions.append(_tree(lines))
    if not spaces:
        raise AnswerError("info mtree tells of no address space")
    return {"address-spaces": spaces, "regions": regions}


def _sections(text: str) -> list[list[str]]:
    """The paragraphs of a text, as lines."""
    paragraphs = text.replace("\r\n", "\n").split("\n\n")
    found = [[line for line in paragraph.split("\n") if line] for paragraph in paragraphs]
    return [lines for lines in found if lines]


def _heads(section: list[str], head: str) -> tuple[list[str], list[str]]:
    """The names in the lines that begin as `head`, and the lines behind them."""
    count = 0
    while count < len(section) and section[count].startswith(head):
        count += 1
    return [line.removeprefix(head) for line in section[:count]], section[count:]


def _tree(lines: list[str]) -> ShownTree:
    """The tree in the lines of a section; a line belongs to the last before it that is one step less deep."""
    way: list[ShownTree] = []
    for line in lines:
        depth, region = _region(line)
        if depth > len(way) or depth > DEEPEST or (way and not depth):
            raise AnswerError(f"'{line}' is not where a region of this depth can be")
        del way[depth:]
        if way:
            way[-1]["subregions"].append(region)
        way.append(region)
    if not way:
        raise AnswerError("a tree of info mtree has no region")
    return way[0]


def _region(line: str) -> tuple[int, ShownTree]:
    """The depth of a line, and its region without those below it."""
    overflows = line.startswith(OVERFLOW)
    match = _REGION.fullmatch(line.removeprefix(OVERFLOW) if overflows else line)
    if match is None or len(match[1]) % 2 or not match[1]:
        raise AnswerError(f"'{line}' is no region of info mtree")
    name, owner = _take_owner(match[6])
    enabled = not name.endswith(_DISABLED)
    name = name.removesuffix(_DISABLED)
    described: dict[str, Any] = {
        "name": name,
        "start": int(match[2], 16),
        "end": int(match[3], 16),
        "priority": int(match[4]),
        "type": match[5],
        "enabled": enabled,
    }
    alias = _ALIAS.fullmatch(name)
    if alias is not None:
        described["name"] = alias[1]
        described["alias"] = {"name": alias[2], "offset": int(alias[3], 16)}
    described |= owner
    described["subregions"] = []
    return len(match[1]) // 2 - 1, ShownTree(described)


def _take_owner(text: str) -> tuple[str, dict[str, Any]]:
    """What stands before a region's owner, and the owner as a member, if one is told."""
    match = _OWNER.search(text)
    if match is None:
        return text, {}
    through, relation, kind, key, value = match.groups()
    owner = {"kind": kind, "relation": relation, key: value}
    if through is not None:
        owner["through"] = through
    return text[: match.start()], {"owner": owner}


def parse_flatviews(text: str) -> list[dict[str, Any]]:
    """What `query-flatviews` would tell of `info mtree -f`; raises `AnswerError`."""
    views = [_view(section) for section in _sections(text)]
    if not views:
        raise AnswerError("info mtree -f tells of no view")
    return views


def _view(section: list[str]) -> dict[str, Any]:
    head, *lines = section
    spaces = []
    while lines and (match := _SPACE.fullmatch(lines[0])) is not None:
        spaces.append({"name": match[1], "root": match[2]})
        del lines[0]
    root = lines.pop(0) if lines else ""
    if not re.fullmatch(r"FlatView #\d+", head) or not root.startswith(" Root memory region: "):
        raise AnswerError(f"'{head}' begins no view of info mtree -f")
    view: dict[str, Any] = {"address-spaces": spaces}
    name = root.removeprefix(" Root memory region: ")
    if name != "(none)":
        view["root"] = name
    view["ranges"] = [] if lines == ["  No rendered FlatView"] else [_range(line) for line in lines]
    return view


def _range(line: str) -> Shown:
    match = _RANGE.fullmatch(line)
    if match is None or int(match[1], 16) > int(match[2], 16):
        raise AnswerError(f"'{line}' is no range of info mtree -f")
    rest = match[5]
    accelerated = rest.endswith(_ACCELERATED)
    rest, owner = _take_owner(rest.rpartition(" ")[0] if accelerated else rest)
    offset = _OFFSET.fullmatch(rest)
    described = {
        "start": int(match[1], 16),
        "end": int(match[2], 16),
        "priority": int(match[3]),
        "type": match[4],
        "name": offset[1] if offset is not None else rest,
        "offset": int(offset[2], 16) if offset is not None else 0,
        "readonly": match[4].removeprefix("nv-") == "rom",
        "accelerated": accelerated,
    }
    return Shown(described | owner)
