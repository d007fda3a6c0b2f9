"""Descriptions of hosts: what they mean, what is refused and where the mistake is, what is written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ramslot.vm.errors import VMError
from ramslot.vm.host.description import HostDescription, cpu_list_text, parse_cpu_list, size_text
from ramslot.vm.host.linux import LinuxHost
from ramslot.vm.host.virtual.reading import parse_description, read_description

MIB, GIB, TIB = 1 << 20, 1 << 30, 1 << 40
NODE: dict[str, Any] = {"memory": "1G"}


def test_the_short_form_describes_equal_nodes() -> None:
    found = read_description("nodes=8,memory=2T,hugepages-1G=64,hugepages-2M=5,swap=1G")
    assert [node.node for node in found.nodes] == list(range(8))
    assert {node.memory for node in found.nodes} == {2 * TIB}
    assert {node.available for node in found.nodes} == {2 * TIB - 64 * GIB - 10 * MIB}
    assert {size: pool.free for size, pool in found.nodes[3].huge_pages.items()} == {GIB: 64, 2 * MIB: 5}
    assert found.nodes[1].distances == [20, 10, 20, 20, 20, 20, 20, 20]
    assert (found.default_huge_page_size, found.overcommit.swap, found.page_size) == (2 * MIB, GIB, 4096)
    assert [(mount.path, mount.type) for mount in found.mounts] == [
        ("/dev/shm", "tmpfs"),
        ("/dev/hugepages", "hugetlbfs"),
    ]


def test_all_keys_of_the_short_form() -> None:
    found = read_description(
        "memory=1G,page-size=64K,hugepages-2M=8,hugepages-1G=0,default-hugepage-size=1G,overcommit=never,ratio=80,"
        "swap=64M,memlock=8M,max-memslots=509,max-memslot-size=512M,phys-bits=46,cpu-vendor=AuthenticAMD"
    )
    limits = found.limits
    assert (found.page_size, found.default_huge_page_size, found.cpu_vendor) == (65536, GIB, "AuthenticAMD")
    assert (limits.memlock, limits.max_memslots, limits.max_memslot_size, limits.phys_bits) == (
        8 * MIB,
        509,
        512 * MIB,
        46,
    )
    assert (found.overcommit.policy, found.commit_limit) == (2, (GIB - 16 * MIB) * 80 // 100 + 64 * MIB)


def test_a_whole_description() -> None:
    found = parse_description(
        {
            "nodes": [
                {"node": 4, "memory": "2G", "available": "1G", "cpus": "0-2,8", "distances": [31, 10], "huge-pages": {"2M": {"total": 4, "free": 1}}},
                {"node": 2, "memory": 0, "cpus": [3], "distances": [10, 31]},
            ],
            "local-node": 2,
            "reserved-huge-pages": {"2M": 1},
            "overcommit": {"policy": 2, "limit": "3G", "swap": "1G", "committed": 5},
            "limits": {"memlock": "unlimited", "max-memslots": None, "address-space-bits": 48},
            "mounts": [{"path": "/mnt/huge/", "type": "hugetlbfs"}, {"path": "/", "type": "ext4"}],
        }
    )  # fmt: skip
    assert [(node.node, node.memory, node.available, node.cpus) for node in found.nodes] == [
        (2, 0, 0, [3]),
        (4, 2 * GIB, GIB, [0, 1, 2, 8]),
    ]
    assert (found.local_node, found.reserved_huge_pages, found.commit_limit) == (2, {2 * MIB: 1}, 4 * GIB)
    assert (found.limits.memlock, found.limits.max_memslots, found.limits.address_space_bits) == (None, None, 48)
    assert [(mount.path, mount.page_size) for mount in found.mounts] == [("/mnt/huge", 2 * MIB), ("/", None)]


@pytest.mark.parametrize(
    "source",
    ["memory=1G", "nodes=3,memory=5G,hugepages-2M=7,overcommit=2,memlock=64K,max-memslots=32,phys-bits=40,swap=3"],
)
def test_what_is_written_reads_back(source: str) -> None:
    described = read_description(source)
    assert parse_description(json.loads(json.dumps(described.to_json()))) == described


def test_this_machine_reads_back() -> None:
    described = LinuxHost().describe()
    assert isinstance(described, HostDescription)
    assert parse_description(json.loads(json.dumps(described.to_json()))) == described
    assert sum(node.memory for node in described.nodes) > 0
    assert all(len(node.distances) == len(described.nodes) for node in described.nodes)


WRONG: list[tuple[Any, str]] = [
    (None, "expects an object"),
    ([], "expects an object"),
    ({}, "'nodes' is missing"),
    ({"nodes": {}}, "nodes: expects an array"),
    ({"nodes": []}, "nodes: no node has memory"),
    ({"nodes": [{"memory": 0}]}, "nodes: no node has memory"),
    ({"nodes": [{}]}, "nodes[0]: 'memory' is missing"),
    ({"nodes": [NODE, {"memory": "lots"}]}, 'nodes[1].memory: expects a size in bytes, or a text such as "64G"'),
    ({"nodes": [{"memory": -1}]}, 'nodes[0].memory: expects a size in bytes, or a text such as "64G"'),
    ({"nodes": [{"memory": True}]}, 'nodes[0].memory: expects a size in bytes, or a text such as "64G"'),
    ({"nodes": [{"memory": 1.5}]}, 'nodes[0].memory: expects a size in bytes, or a text such as "64G"'),
    ({"nodes": [{"memory": 10**30}]}, 'nodes[0].memory: expects a size in bytes, or a text such as "64G"'),
    ({"nodes": [{**NODE, "node": 1024}]}, "nodes[0].node: expects a whole number from 0 to 1023"),
    ({"nodes": [{**NODE, "node": 1}, NODE]}, "nodes[1]: there is a node 1 already"),
    ({"nodes": [{**NODE, "huge-pages": {"3M": 1}}]}, "nodes[0].huge-pages.3M: expects a power of two from 8K to 1T"),
    ({"nodes": [{**NODE, "huge-pages": {"4K": 1}}]}, "nodes[0].huge-pages.4K: expects a power of two from 8K to 1T"),
    ({"nodes": [{**NODE, "huge-pages": {"2M": -1}}]}, f"nodes[0].huge-pages.2M: expects a whole number from 0 to {1 << 56}"),
    ({"nodes": [{**NODE, "huge-pages": {"2M": {"free": 1}}}]}, "nodes[0].huge-pages.2M: 'total' is missing"),
    ({"nodes": [{**NODE, "huge-pages": {"2M": {"total": 1, "free": 2}}}]}, "nodes[0].huge-pages.2M.free: expects a whole number from 0 to 1"),
    ({"nodes": [{**NODE, "huge-pages": {"1G": 2}}]}, "nodes[0]: huge-pages: 2G do not fit into 1G of memory"),
    ({"nodes": [{**NODE, "available": "2G"}]}, "nodes[0].available: is more than there is besides huge pages, 1G"),
    ({"nodes": [{**NODE, "distances": [10, 20]}]}, "nodes[0]: distances: expects 1, one for each node"),
    ({"nodes": [{**NODE, "distances": [11]}]}, "nodes[0]: distances: a node is 10 from itself"),
    ({"nodes": [{**NODE, "cpus": "0-3"}, {**NODE, "cpus": "2"}]}, "nodes[1]: cpus: CPU 2 is on node 0 already"),
    ({"nodes": [{**NODE, "cpus": "3-1"}]}, 'nodes[0].cpus: expects CPU numbers, as in [0, 1] or "0-15,32"'),
    ({"nodes": [{**NODE, "distances": [256]}]}, "nodes[0].distances[0]: expects a whole number from 10 to 255"),
    ({"nodes": [{**NODE, "cpus": "0-x"}]}, 'nodes[0].cpus: expects CPU numbers, as in [0, 1] or "0-15,32"'),
    ({"nodes": [{**NODE, "cpus": "0-99999999999"}]}, 'nodes[0].cpus: expects CPU numbers, as in [0, 1] or "0-15,32"'),
    ({"nodes": [{**NODE, "memroy": 1}]}, "nodes[0]: 'memroy' is not known; there are node, memory, available, huge-pages, cpus, distances"),
    ({"nodes": [{"memory": "48P"}, {"memory": "16P"}]}, "nodes: all have less than 64P of memory"),
    ({"nodes": [NODE], "local-node": 3}, "local-node: there is no such node"),
    ({"nodes": [NODE], "page-size": 5000}, "page-size: expects a power of two from 4K to 64K"),
    ({"nodes": [NODE], "default-huge-page-size": "2M"}, "default-huge-page-size: no node has huge pages of 2M"),
    ({"nodes": [NODE], "reserved-huge-pages": {"1G": 1}}, "reserved-huge-pages.1G: no node has huge pages of 1G"),
    ({"nodes": [NODE], "overcommit": {"policy": 3}}, "overcommit.policy: expects 0, 1, 2, or heuristic, always, never"),
    ({"nodes": [NODE], "limits": {"phys-bits": 8}}, "limits.phys-bits: expects a whole number from 32 to 64"),
    ({"nodes": [NODE], "limits": {"max-memslot-size": 5000}}, "limits.max-memslot-size: expects a multiple of the page size, 4K"),
    ({"nodes": [NODE], "limits": {"max-memslots": 0}}, "limits.max-memslots: expects a whole number from 1 to 65536"),
    ({"nodes": [NODE], "mounts": [{"path": "/x"}]}, "mounts[0]: 'type' is missing"),
    ({"nodes": [NODE], "mounts": [{"path": "x", "type": "tmpfs"}]}, "mounts[0].path: expects an absolute path"),
    ({"nodes": [NODE], "mounts": [{"path": "/x", "type": "hugetlbfs"}]}, "mounts[0]: no node has huge pages"),
    ({"nodes": [NODE], "mounts": [{"path": "/x", "type": "tmpfs", "page-size": "2M"}]}, "mounts[0].page-size: only hugetlbfs has one"),
    ({"nodes": [NODE], "cpu-vendor": 7}, "cpu-vendor: expects a text"),
]  # fmt: skip


@pytest.mark.parametrize(("document", "text"), WRONG)
def test_mistakes_are_told_with_their_place(document: Any, text: str, tmp_path: Path) -> None:
    path = tmp_path / "host.json"
    path.write_text(json.dumps(document))
    with pytest.raises(VMError) as refused:
        read_description(str(path))
    assert str(refused.value) == f"-host {path}: {text}"


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("nodes=2", "memory= is missing: how much each node has"),
        ("nodes=0,memory=1G", "nodes: expects a whole number from 1 to 1024"),
        ("nodes=x,memory=1G", "nodes: expects a whole number from 1 to 1024"),
        ("memory=1G,hugepages-1G=2", "nodes[0]: huge-pages: 2G do not fit into 1G of memory"),
        ("memory=1G,hugepages-=2", "nodes[0].huge-pages.: expects a size in bytes, or a text such as \"64G\""),
        ("memory=1G,foo=2", "'foo' is not known; there are nodes, memory, "),
        ("memory=1G,swap", "'swap' has no value"),
        ("memory=1G,", "'' has no value"),
        ("/nonexistent/host.json", "cannot read the description of a host: No such file or directory"),
        ("/", "cannot read the description of a host: Is a directory"),
    ],
)  # fmt: skip
def test_mistakes_in_the_short_form(source: str, text: str) -> None:
    with pytest.raises(VMError) as refused:
        read_description(source)
    assert str(refused.value).startswith(f"-host {source}: {text}")


@pytest.mark.parametrize("contents", [b"", b"{", b"\xff\xfe", b"[" * 100000, b'{"nodes": NaN}'])
def test_a_file_that_is_no_description(contents: bytes, tmp_path: Path) -> None:
    path = tmp_path / "host.json"
    path.write_bytes(contents)
    with pytest.raises(
        VMError, match=r"^-host .*host\.json: (cannot read the description of a host: not JSON|nodes: )"
    ):
        read_description(str(path))


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0"), (1, "1"), (1024, "1K"), (3 << 29, "1536M"), (1 << 60, "1E"), (1 << 70, "1024E")]
)
def test_sizes_are_written_exactly(size: int, text: str) -> None:
    assert size_text(size) == text


@pytest.mark.parametrize(("cpus", "text"), [([], ""), ([0], "0"), ([0, 1, 2, 8], "0-2,8"), ([3, 1], "1,3")])
def test_cpu_lists(cpus: list[int], text: str) -> None:
    assert cpu_list_text(cpus) == text
    assert parse_cpu_list(text) == sorted(cpus)
