"""How much memory can be touched before the kernel kills somebody for it: what is free, and the control groups' limits.

The kernel answers a touch beyond a memory limit with a signal and not with an error, so whoever touches much asks
before. Source: the kernel's documentation of control groups, versions 1 and 2, and of /proc/meminfo.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

MARGIN = 32 << 20
"""Bytes that are left for page tables and for the process itself."""


def populate_room(sys: str, proc: str) -> int:
    """Bytes that this process may still populate."""
    meminfo = _fields(f"{proc}/meminfo")
    swap = meminfo.get("SwapFree", 0) << 10
    rooms = [(meminfo.get("MemAvailable", meminfo.get("MemFree", 0)) << 10) + swap]
    for folder, names in _groups(sys, proc):
        rooms.append(_room(folder, names) + swap)
    return max(min(rooms) - MARGIN, 0)


VERSION_1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_")
VERSION_2 = ("memory.max", "memory.current", "")
UNLIMITED = 1 << 62


def _groups(sys: str, proc: str) -> Iterator[tuple[str, tuple[str, str, str]]]:
    """The memory control groups that this process is in, from its own to the root of what can be seen."""
    for line in _text(f"{proc}/self/cgroup").splitlines():
        _number, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):
            root, names = f"{sys}/fs/cgroup/memory", VERSION_1
        elif not controllers:
            root, names = f"{sys}/fs/cgroup", VERSION_2
        else:
            continue
        parts = [part for part in path.split("/") if part not in ("", "..")]
        for depth in range(len(parts), -1, -1):
            yield "/".join((root, *parts[:depth])), names


def _room(folder: str, names: tuple[str, str, str]) -> int:
    """Bytes that a group may still take; the page cache of files is given back when it has to be."""
    limit, usage, prefix = names
    most, used = _text(f"{folder}/{limit}").strip(), _text(f"{folder}/{usage}").strip()
    if not most.isdecimal() or not used.isdecimal():
        return UNLIMITED
    statistics = _fields(f"{folder}/memory.stat")
    cache = statistics.get(f"{prefix}inactive_file", 0) + statistics.get(f"{prefix}active_file", 0)
    return max(int(most) - int(used) + cache, 0)


def _fields(path: str) -> dict[str, int]:
    """The numbers of a file of lines such as `name: 1 kB` or `name 1`."""
    found = {}
    for line in _text(path).splitlines():
        name, *numbers = line.replace(":", " ").split()
        if numbers and numbers[0].isdecimal():
            found[name] = int(numbers[0])
    return found


def _text(path: str) -> str:
    try:
        with open(path, encoding="ascii") as file:
            return file.read()
    except OSError:
        return ""
