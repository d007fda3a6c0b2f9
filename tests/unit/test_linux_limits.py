"""How much may be populated, out of files as the kernel writes them."""

from __future__ import annotations

from pathlib import Path

import pytest

from ramslot.vm.host.linux_limits import MARGIN, populate_room

GIB = 1 << 30
MEMINFO = "MemTotal: 9000000 kB\nMemAvailable:    8388608 kB\nSwapFree:        {} kB\n"


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def room(tmp_path: Path, groups: str, swap: int = 0) -> int:
    write(tmp_path / "meminfo", MEMINFO.format(swap))
    write(tmp_path / "self/cgroup", groups)
    return populate_room(str(tmp_path), str(tmp_path)) + MARGIN


@pytest.mark.parametrize("groups", ["", "0::/\n", "3:cpu:/\n1:name=systemd:/a:b\n"])
def test_without_a_group_it_is_the_host_s(tmp_path: Path, groups: str) -> None:
    assert room(tmp_path, groups) == 8 * GIB
    assert room(tmp_path, groups, swap=1 << 20) == 9 * GIB


@pytest.mark.parametrize(
    ("line", "root", "limit", "usage", "prefix"),
    [
        ("0::/a/b", "fs/cgroup", "memory.max", "memory.current", ""),
        ("4:memory:/a/b", "fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_"),
        ("4:cpu,memory:/a/b", "fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_"),
    ],
)
def test_the_tightest_group_counts(tmp_path: Path, line: str, root: str, limit: str, usage: str, prefix: str) -> None:
    write(tmp_path / root / "a/b" / limit, f"{4 * GIB}\n")
    write(tmp_path / root / "a/b" / usage, f"{GIB}\n")
    assert room(tmp_path, line) == 3 * GIB
    write(tmp_path / root / "a/b/memory.stat", f"{prefix}inactive_file {GIB}\n{prefix}active_file 4096\nanon 5\n")
    assert room(tmp_path, line) == 4 * GIB + 4096
    write(tmp_path / root / "a" / limit, f"{2 * GIB}\n")
    write(tmp_path / root / "a" / usage, f"{2 * GIB}\n")
    assert room(tmp_path, line) == MARGIN, "a group above is full"
    write(tmp_path / root / "a" / limit, "max\n")
    assert room(tmp_path, line) == 4 * GIB + 4096
