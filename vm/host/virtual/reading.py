"""Reading the description of a host: JSON, or the short form that `--host` takes; every mistake names its place.

The JSON is what `HostDescription.to_json` writes. Only the nodes and their memory must be there.
"""

from __future__ import annotations

import json
import os

from ...errors import VMError
from ...sizes import parse_size
from ..description import (
    LOCAL_DISTANCE,
    OVERCOMMIT_POLICIES,
    REMOTE_DISTANCE,
    HostDescription,
    LimitsDescription,
    MountDescription,
    NodeDescription,
    OvercommitDescription,
    PoolDescription,
    parse_cpu_list,
    size_text,
)
from .memory import MAX_NODES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MOST = 1 << 56
"""No size in a host, nor all its memory, is so large; so no sum overflows what QMP can say."""
MAX_RATIO = 10000
LARGEST_PAGE = 64 << 10
"""Of ordinary pages, on any architecture."""
LARGEST_HUGE_PAGE = 1 << 40
MAX_CPUS = 1 << 16
SHORT_FORM = {
    "nodes": "nodes",
    "memory": "nodes",
    "page-size": "",
    "default-hugepage-size": "",
    "overcommit": "overcommit",
    "ratio": "overcommit",
    "swap": "overcommit",
    "memlock": "limits",
    "max-memslots": "limits",
    "max-memslot-size": "limits",
    "phys-bits": "limits",
    "cpu-vendor": "",
}
"""The keys of the short form, with the part of the JSON that they stand in; besides, `hugepages-SIZE=COUNT`."""


class _Place:
    """A value in the description and where it stands."""

    def __init__(self, value: Any, where: str) -> None:
        self.value = value
        self.where = where

    def wrong(self, text: str) -> VMError:
        return VMError(f"{self.where}: {text}" if self.where else text)

    def members(self, *allowed: str) -> dict[str, _Place]:
        """The members of an object, none but those that are `allowed` if any are named; null is as if absent."""
        if not isinstance(self.value, dict):
            raise self.wrong("expects an object")
        for name in self.value:
            if allowed and name not in allowed:
                raise self.wrong(f"'{name}' is not known; there are {', '.join(allowed)}")
        prefix = f"{self.where}." if self.where else ""
        return {name: _Place(value, prefix + name) for name, value in self.value.items() if value is not None}

    def items(self) -> list[_Place]:
        if not isinstance(self.value, list):
            raise self.wrong("expects an array")
        return [_Place(value, f"{self.where}[{number}]") for number, value in enumerate(self.value)]

    def size(self) -> int:
        """Bytes, as a number or as a text with a suffix."""
        number = self.value
        if isinstance(number, str):
            try:
                number = parse_size(number)
            except ValueError:
                number = None
        if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number < MOST:
            raise self.wrong('expects a size in bytes, or a text such as "64G"')
        return number

    def integer(self, lowest: int, most: int) -> int:
        number = self.value
        if isinstance(number, str) and number.isdecimal() and number.isascii() and len(number) < 20:
            number = int(number)
        if not isinstance(number, int) or isinstance(number, bool) or not lowest <= number <= most:
            raise self.wrong(f"expects a whole number from {lowest} to {most}")
        return number

    def text(self) -> str:
        if not isinstance(self.value, str) or "\0" in self.value:
            raise self.wrong("expects a text")
        return self.value


def read_description(source: str) -> HostDescription:
    """The host that `--host` names: a JSON file, or the short form, which has a `=` before any slash.

    Raises `VMError`.
    """
    try:
        if "=" in source.partition("/")[0]:
            return parse_description(expand_short_form(source))
        try:
            with open(source, encoding="utf-8") as file:
                document = json.load(file)
        except (OSError, ValueError, RecursionError) as error:
            reason = error.strerror if isinstance(error, OSError) else f"not JSON: {error}"
            raise VMError(f"cannot read the description of a host: {reason}") from None
        return parse_description(document)
    except VMError as error:
        raise VMError(f"-host {source}: {error}") from None


def expand_short_form(text: str) -> dict[str, Any]:
    """The JSON that `nodes=8,memory=2T,hugepages-1G=64` stands for; memory and huge pages are those of each node.

    Each node has one CPU, of its own number.
    """
    document: dict[str, Any] = {"overcommit": {}, "limits": {}}
    node: dict[str, Any] = {"huge-pages": {}}
    nodes = 1
    for part in text.split(","):
        key, equals, value = part.partition("=")
        if not equals:
            raise VMError(f"'{part}' has no value")
        if key.startswith("hugepages-"):
            node["huge-pages"][key.removeprefix("hugepages-")] = value
        elif key == "nodes":
            nodes = _Place(value, key).integer(1, MAX_NODES)
        elif key == "memory":
            node["memory"] = value
        elif key in SHORT_FORM:
            part_name = SHORT_FORM[key]
            name = {"overcommit": "policy", "default-hugepage-size": "default-huge-page-size"}.get(key, key)
            (document[part_name] if part_name else document)[name] = value
        else:
            raise VMError(f"'{key}' is not known; there are {', '.join(SHORT_FORM)} and hugepages-SIZE")
    if "memory" not in node:
        raise VMError("memory= is missing: how much each node has")
    document["nodes"] = [{**node, "cpus": [number]} for number in range(nodes)]
    return document


def parse_description(document: Any) -> HostDescription:
    """A description out of its JSON; raises `VMError` whose text begins with the place of the mistake."""
    members = _Place(document, "").members(
        "page-size",
        "nodes",
        "local-node",
        "default-huge-page-size",
        "reserved-huge-pages",
        "overcommit",
        "limits",
        "cpu-vendor",
        "mounts",
    )
    if "nodes" not in members:
        raise VMError("'nodes' is missing")
    page_size = _page_size(members["page-size"], 4096, LARGEST_PAGE) if "page-size" in members else 4096
    description = HostDescription(page_size, _nodes(members["nodes"], page_size))
    numbers = [node.node for node in description.nodes]
    description.local_node = next((node.node for node in description.nodes if node.memory), numbers[0])
    if "local-node" in members:
        description.local_node = members["local-node"].integer(0, MAX_NODES - 1)
        if description.local_node not in numbers:
            raise members["local-node"].wrong("there is no such node")
    _take_huge_pages(description, members)
    if "overcommit" in members:
        description.overcommit = _overcommit(members["overcommit"])
    if "limits" in members:
        description.limits = _limits(members["limits"], page_size)
    if "cpu-vendor" in members:
        description.cpu_vendor = members["cpu-vendor"].text()
    if "mounts" in members:
        description.mounts = [_mount(place, description) for place in members["mounts"].items()]
    else:
        description.mounts = _usual_mounts(description)
    return description


def _page_size(place: _Place, smallest: int, largest: int) -> int:
    size = place.size()
    if not smallest <= size <= largest or size & (size - 1):
        raise place.wrong(f"expects a power of two from {size_text(smallest)} to {size_text(largest)}")
    return size


def _nodes(place: _Place, page_size: int) -> list[NodeDescription]:
    described: dict[int, tuple[NodeDescription, _Place]] = {}
    for position, item in enumerate(place.items()):
        node = _node(item, position, page_size)
        if node.node in described:
            raise item.wrong(f"there is a node {node.node} already")
        described[node.node] = (node, item)
    numbers = sorted(described)
    memory = sum(node.memory for node, _ in described.values())
    if not 0 < memory < MOST:
        raise place.wrong(f"all have less than {size_text(MOST)} of memory" if memory else "no node has memory")
    taken: dict[int, int] = {}
    for number, (node, item) in described.items():
        for cpu in node.cpus:
            if taken.setdefault(cpu, number) != number:
                raise item.wrong(f"cpus: CPU {cpu} is on node {taken[cpu]} already")
        usual = [LOCAL_DISTANCE if number == other else REMOTE_DISTANCE for other in numbers]
        node.distances = node.distances or usual
        if len(node.distances) != len(numbers):
            raise item.wrong(f"distances: expects {len(numbers)}, one for each node")
        if node.distances[numbers.index(number)] != LOCAL_DISTANCE:
            raise item.wrong(f"distances: a node is {LOCAL_DISTANCE} from itself")
    return [described[number][0] for number in numbers]


def _node(place: _Place, position: int, page_size: int) -> NodeDescription:
    members = place.members("node", "memory", "available", "huge-pages", "cpus", "distances")
    if "memory" not in members:
        raise place.wrong("'memory' is missing")
    number = members["node"].integer(0, MAX_NODES - 1) if "node" in members else position
    node = NodeDescription(number, members["memory"].size(), 0)
    if "huge-pages" in members:
        for name, pool in members["huge-pages"].members().items():
            node.huge_pages[_page_size(_Place(name, pool.where), 2 * page_size, LARGEST_HUGE_PAGE)] = _pool(pool)
    ordinary = node.memory - node.huge_memory
    if ordinary < 0:
        raise place.wrong(
            f"huge-pages: {size_text(node.huge_memory)} do not fit into {size_text(node.memory)} of memory"
        )
    node.available = members["available"].size() if "available" in members else ordinary
    if node.available > ordinary:
        raise members["available"].wrong(f"is more than there is besides huge pages, {size_text(ordinary)}")
    if "cpus" in members:
        node.cpus = _cpus(members["cpus"])
    if "distances" in members:
        node.distances = [item.integer(LOCAL_DISTANCE, 255) for item in members["distances"].items()]
    return node


def _pool(place: _Place) -> PoolDescription:
    """A pool: how many pages it has, all of them free; or an object with both numbers."""
    if not isinstance(place.value, dict):
        count = place.integer(0, MOST)
        return PoolDescription(count, count)
    members = place.members("total", "free")
    if "total" not in members:
        raise place.wrong("'total' is missing")
    total = members["total"].integer(0, MOST)
    return PoolDescription(total, members["free"].integer(0, total) if "free" in members else total)


def _cpus(place: _Place) -> list[int]:
    """Numbers, or the kernel's text for them: `0-15,32`; sorted, each once."""
    if isinstance(place.value, list):
        return sorted({item.integer(0, MAX_CPUS) for item in place.items()})
    text = place.text()
    try:
        if all(0 <= int(word) <= MAX_CPUS for part in text.split(",") if text for word in part.split("-")):
            return sorted(set(parse_cpu_list(text)))
    except ValueError:
        pass
    raise place.wrong('expects CPU numbers, as in [0, 1] or "0-15,32"')


def _take_huge_pages(description: HostDescription, members: dict[str, _Place]) -> None:
    sizes = description.huge_page_sizes
    description.default_huge_page_size = sizes[0] if sizes else None
    if "default-huge-page-size" in members:
        place = members["default-huge-page-size"]
        description.default_huge_page_size = _offered(place, place, description)
    if "reserved-huge-pages" in members:
        for name, place in members["reserved-huge-pages"].members().items():
            size = _offered(_Place(name, place.where), place, description)
            free = sum(node.huge_pages[size].free for node in description.nodes if size in node.huge_pages)
            description.reserved_huge_pages[size] = place.integer(0, free)


def _offered(size_place: _Place, place: _Place, description: HostDescription) -> int:
    """A size of huge pages that some node has a pool of."""
    size = size_place.size()
    if size not in description.huge_page_sizes:
        raise place.wrong(f"no node has huge pages of {size_text(size)}")
    return size


def _overcommit(place: _Place) -> OvercommitDescription:
    members = place.members("policy", "ratio", "limit", "swap", "committed")
    rule = OvercommitDescription()
    if "policy" in members:
        policy = members["policy"]
        if policy.value in OVERCOMMIT_POLICIES:
            rule.policy = OVERCOMMIT_POLICIES.index(policy.value)
        else:
            try:
                rule.policy = policy.integer(0, 2)
            except VMError:
                raise policy.wrong(f"expects 0, 1, 2, or {', '.join(OVERCOMMIT_POLICIES)}") from None
    if "ratio" in members:
        rule.ratio = members["ratio"].integer(0, MAX_RATIO)
    for name in ("limit", "swap", "committed"):
        if name in members:
            setattr(rule, name, members[name].size())
    return rule


def _limits(place: _Place, page_size: int) -> LimitsDescription:
    members = place.members("memlock", "max-memslot-size", "max-memslots", "phys-bits", "address-space-bits")
    limits = LimitsDescription()
    if "memlock" in members and members["memlock"].value != "unlimited":
        limits.memlock = members["memlock"].size()
    if "max-memslot-size" in members:
        limits.max_memslot_size = members["max-memslot-size"].size()
        if not limits.max_memslot_size or limits.max_memslot_size % page_size:
            raise members["max-memslot-size"].wrong(f"expects a multiple of the page size, {size_text(page_size)}")
    if "max-memslots" in members:
        limits.max_memslots = members["max-memslots"].integer(1, 1 << 16)
    if "phys-bits" in members:
        limits.phys_bits = members["phys-bits"].integer(32, 64)
    if "address-space-bits" in members:
        limits.address_space_bits = members["address-space-bits"].integer(32, 57)
    return limits


def _mount(place: _Place, description: HostDescription) -> MountDescription:
    members = place.members("path", "type", "page-size", "size")
    for name in ("path", "type"):
        if name not in members:
            raise place.wrong(f"'{name}' is missing")
    mount = MountDescription(members["path"].text(), members["type"].text())
    if not mount.path.startswith("/"):
        raise members["path"].wrong("expects an absolute path")
    mount.path = os.path.normpath("/" + mount.path.strip("/"))
    if "page-size" in members:
        if mount.type != "hugetlbfs":
            raise members["page-size"].wrong("only hugetlbfs has one")
        mount.page_size = _offered(members["page-size"], members["page-size"], description)
    if "size" in members:
        if mount.type != "tmpfs":
            raise members["size"].wrong("only of tmpfs it is known")
        mount.size = members["size"].size()
    if mount.type == "hugetlbfs" and mount.page_size is None:
        mount.page_size = description.default_huge_page_size
        if mount.page_size is None:
            raise place.wrong("no node has huge pages")
    return mount


def _usual_mounts(description: HostDescription) -> list[MountDescription]:
    """What distributions mount: /dev/shm, of half the memory, and /dev/hugepages, of the default size."""
    mounts = [MountDescription("/dev/shm", "tmpfs", size=description.memory // 2)]
    if description.default_huge_page_size is not None:
        mounts.append(MountDescription("/dev/hugepages", "hugetlbfs", page_size=description.default_huge_page_size))
    return mounts
