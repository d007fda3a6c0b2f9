"""What the kernel tells of another process's memory: its mappings, their pages and nodes (proc(5))."""

from __future__ import annotations

import re

from ...vm.errors import VMError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_MAPPING = re.compile(r"([0-9a-f]+)-([0-9a-f]+) \S{4} ([0-9a-f]+) \S+ \d+ *(.*)")
_NODE = re.compile(r"N(\d+)=(\d+)")
_PAGE = re.compile(r"kernelpagesize_kB=(\d+)")


class Mapping:
    """Addresses `[start, end)` of a process. `nodes` are pages by NUMA node, None where that was not told."""

    __slots__ = ("end", "nodes", "page_size", "path", "policy", "start")

    def __init__(self, start: int, end: int, path: str) -> None:
        self.start = start
        self.end = end
        self.path = path
        self.policy = ""
        self.page_size = 4096
        self.nodes: dict[int, int] | None = None


def parse_maps(maps: str, numa_maps: str = "") -> list[Mapping]:
    """The mappings that two files of /proc tell of; lines that are none are left out."""
    found = [
        Mapping(int(match[1], 16), int(match[2], 16), match[4])
        for line in maps.splitlines()
        if (match := _MAPPING.fullmatch(line)) is not None
    ]
    starts = {mapping.start: mapping for mapping in found}
    for line in numa_maps.splitlines():
        words = line.split()
        mapping = starts.get(int(words[0], 16)) if words and re.fullmatch("[0-9a-f]+", words[0]) else None
        if mapping is not None:
            page = _PAGE.search(line)
            mapping.policy = words[1] if len(words) > 1 else ""
            mapping.page_size = int(page[1]) * 1024 if page is not None else 4096
            mapping.nodes = {int(node): int(pages) for node, pages in _NODE.findall(line)}
    return found


def read_maps(pid: int) -> list[Mapping]:
    """The mappings of a process; raises `VMError` where they may not be looked at."""
    try:
        maps = _read(f"/proc/{pid}/maps")
        try:
            return parse_maps(maps, _read(f"/proc/{pid}/numa_maps"))
        except FileNotFoundError:  # a kernel that knows no NUMA
            return parse_maps(maps)
    except OSError as error:
        raise VMError(f"the memory of process {pid} cannot be looked at: {error.strerror}") from None


def _read(path: str) -> str:
    with open(path, encoding="utf-8", errors="surrogateescape") as file:
        return file.read()


def mapping_at(mappings: Iterable[Mapping], address: int) -> Mapping | None:
    """The mapping that has an address."""
    return next((each for each in mappings if each.start <= address < each.end), None)
