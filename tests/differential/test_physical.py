"""Memory that is looked at: xp, pmemsave, gpa2hva, against real QEMU, whose memory is the same file's."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from .oracle import RELEASES
from .partners import ours, partner

MIB = 1 << 20
SIZE = 16 * MIB
LINES = (
    *("xp 0", "xp /4xb 0x1000", "xp/4xb 0x1000", "xp /2xg 0x1008", "xp /g 0x2000", "xp /2c 0x1000", "xp /40cb 0x1000"),
    *("xp /s 0", "xp /8xw 0x100000000", "xp /3dh 0x1000", "xp /3uh 0x1000", "xp /3oh 0x1000", "xp /5dw 0x1000"),
    *("xp /9dg 0x1000", "xp /3ob 0x1001", "xp /x 0", "xp /0x 0", "xp /2xz 0", "xp", "xp 0x1000000", "xp /4 0x1000"),
    *("xp /xx 0x1000", "xp /20xb 0x1000", "xp /9xb 0xffffff", "xp /16xb 0xfffff8", "xp /3xg 0xfffff8", "xp /-1x 0"),
    *("xp /4x", "xp 1+", "xp 0 0", "xp /d 0xfffffffffffffff0", "xp /4xw 0x1000+0x20", "xp /3", "xp /b 0x1003"),
    *("gpa2hva", "gpa2hva 0x20000000", "gpa2hva 0xfffffffffffffff0", "pmemsave 0", "pmemsave 0 16"),
    *('pmemsave 0 16 "/nonexistent/x"', "xp /2147483647xb 0x1000000"),
)


def memory(path: Path) -> list[str]:
    return ["-object", f"memory-backend-file,id=r,size={SIZE},mem-path={path},share=on", "-M", "none,memory-backend=r"]


@pytest.mark.parametrize("release", RELEASES)
def test_memory_looks_the_same(release: str, tmp_path: Path) -> None:
    path = tmp_path / "memory"
    path.write_bytes(Random(1).randbytes(SIZE - 4096) + bytes(range(256)) * 16)
    found = []
    for kind in ("real", "ours"):
        with partner(kind, release, memory(path), tmp_path) as machine:
            told = [(line, machine.ask("human-monitor-command", **{"command-line": line})) for line in LINES]
            for address, size in ((0x1234, 5000), (0xFFF000, 0x3000), (1 << 40, 10), (0, 0)):
                saved = tmp_path / "saved"
                told.append(
                    (f"save {address:#x}", machine.ask("pmemsave", val=address, size=size, filename=str(saved)))
                )
                told.append((f"saved {address:#x}", saved.read_bytes().hex()))
            found.append(told)
    assert [pair for pair in zip(*found, strict=True) if pair[0] != pair[1]] == []


def test_memory_is_read_in_bulk_and_where_the_host_has_it(tmp_path: Path) -> None:
    path = tmp_path / "memory"
    content = Random(2).randbytes(SIZE)
    path.write_bytes(content)
    with ours("11.1", memory(path), tmp_path) as machine:
        told = machine.ask("read-memory", address=4096, size=8 * MIB)
        assert bytes.fromhex(told["data"]) == content[4096 : 4096 + 8 * MIB]
        end = machine.ask("read-memory", address=SIZE - 8, size=64)
        assert bytes.fromhex(end["data"]) == content[-8:]
        assert machine.ask("read-memory", address=1 << 40, size=8)["data"] == ""
        assert machine.ask("read-memory", address=0, size=1 << 40).startswith("Error: Parameter 'size'")
        assert machine.ask("read-memory", address=2**64 - 1, size=8)["data"] == ""
        (block,) = machine.ask("query-ramblocks")
        where = machine.ask("query-host-address", address=0x1234)
        assert where["host-address"] == block["host-address"] + 0x1234
        line = machine.ask("human-monitor-command", **{"command-line": "gpa2hva 0x1234"})
        assert line == f"Host virtual address for 0x1234 (r) is {where['host-address']:#x}\r\n"
        assert machine.ask("pmemsave", val=0, size=-1, filename=str(tmp_path / "x")).startswith(
            "Error: Parameter 'size'"
        )
        assert machine.ask("pmemsave", val=0, size=1, filename="a\0b").startswith("Error: Could not open")
