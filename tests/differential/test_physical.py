"""Memory that is looked at: xp, pmemsave, gpa2hva, against real QEMU, whose memory is the same file's."""

from __future__ import annotations

from base64 import b64decode
from pathlib import Path
from random import Random

import pytest

from ramslot.vm.boards.targets import targets
from ramslot.vm.releases import find_release

from .oracle import RELEASES, qemu
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
    *('pmemsave 0 16 "/nonexistent/x"', "xp /2147483647xb 0x1000000", "x 0", "x /4xw 0x1000", "x/4xb 0", "x", "x /4x"),
    *("x /i 0", "xp /i 0", "x /2z 0", 'memsave 0 10 "x"', "memsave", "memsave 0", "memsave 0 10", "memsave 0 -1"),
    *('memsave 0 0x100000000 "x"', 'pmemsave 0 0x100000000 "x"', 'pmemsave 0 0-1 "x"', "gpa2hpa", "gpa2hpa 0x20000000"),
    *("gpa2hpa 0xfffffffffffffff0", "gpa2hpa 1 2", "help x", "help memsave", "help gpa2hpa"),
)
BOARDS = (
    ("x86_64", "pc", ()), ("x86_64", "q35", ("-smp", "2")), ("i386", "pc", ()), ("s390x", "s390-ccw-virtio", ()),
    ("aarch64", "virt", ("-cpu", "cortex-a57")), ("arm", "virt", ()), ("ppc64", "pseries", ()),
    ("riscv64", "virt", ()),
)  # fmt: skip
BASES = {"aarch64": 0x40000000, "arm": 0x40000000, "riscv64": 0x80000000}
"""Where boards have the memory that is not at 0."""
FORMATS = ("/4xb", "/3xg", "/2dw", "/9cb", "/20ob", "/0x", "/xw")


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
        coded = machine.ask("read-memory", address=4096, size=8 * MIB, encoding="base64")
        assert b64decode(coded["data"], validate=True).hex() == told["data"]
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


def asked_of_cpus(base: int, size: int) -> list[str]:
    """Addresses that say nothing of firmware, which is not executed here and may be another one."""
    places = [base + (5 << 20), base + (5 << 20) + 3, base + size - 8, base + size - 20, base + size, base + size + 9]
    places += [(1 << bits) + base + (5 << 20) for bits in (32, 44, 47, 49, 52, 56, 60, 62, 63)]
    places += [2**64 - (1 << 30), 2**63 - (1 << 30)]
    return [f"x {shown} {place:#x}" for place in places for shown in FORMATS]


@pytest.mark.parametrize(("arch", "board", "options"), BOARDS)
@pytest.mark.parametrize("release", RELEASES)
def test_cpus_see_memory_as_a_reset_leaves_them(
    release: str, arch: str, board: str, options: tuple[str, ...], tmp_path: Path
) -> None:
    if release == "5.2" and arch == "riscv64":
        pytest.skip("this board is not offered in this version")
    size = (256 if board == "pseries" else 64) * MIB
    base = BASES.get(arch, 0)
    backend = f"memory-backend-file,id=r,size={size},mem-path={tmp_path / 'memory'},share=on"
    (tmp_path / "memory").write_bytes(bytes(5 * MIB) + Random(5).randbytes(size - 5 * MIB))
    lines = asked_of_cpus(base, size)
    saves = [(base + (6 << 20), 5000, 0), (base + size - 10, 10, 0), (base + size - 10, 11, 0), (base, 0, 0)]
    saves += [(base, 1, 9), (base, 1, -1), (base + size, 1, 0)]
    if (release, arch) not in (
        ("5.2", "i386"),
        ("5.2", "arm"),
        ("7.2", "arm"),
    ):  # these cut the address off, and go on at 0 after its end
        saves += [(-1, 10, 0), ((1 << 32) + base + size - 10, 10, 0)]
    found = []
    for kind in ("real", "ours"):
        machine_options = ["-object", backend, "-M", f"{board},memory-backend=r", "-m", str(size >> 20), *options]
        with partner(kind, release, machine_options, tmp_path, arch) as machine:
            told = [(line, machine.ask("human-monitor-command", **{"command-line": line})) for line in lines]
            for val, length, cpu in saves:
                saved = tmp_path / "saved"
                saved.write_bytes(b"")
                arguments = {"val": val, "size": length, "filename": str(saved), "cpu-index": cpu}
                answer = machine.ask("memsave", **arguments)
                told.append((str(arguments), (answer, saved.read_bytes().hex() if answer == {} else "")))
            told.append(("nowhere", machine.ask("memsave", val=base, size=1, filename="/nonexistent/x")))
            found.append(told)
    assert [pair for pair in zip(*found, strict=True) if pair[0] != pair[1]] == []


@pytest.mark.parametrize("release", RELEASES)
def test_words_are_of_the_target_s_byte_order(release: str, tmp_path: Path) -> None:
    path = tmp_path / "memory"
    path.write_bytes(Random(6).randbytes(SIZE))
    asked = []
    for arch in targets(find_release(release)):
        if qemu(arch, release) is None:
            continue
        found = []
        for kind in ("real", "ours"):
            with partner(kind, release, memory(path), tmp_path, arch) as machine:
                lines = ("xp /4xb 0", "xp /2xh 3", "xp /3dw 8", "xp /2dg 8", "xp /3og 0", "xp /4cw 1")
                found.append([machine.ask("human-monitor-command", **{"command-line": line}) for line in lines])
        assert found[0] == found[1], arch
        asked.append(arch)
    if not asked:
        pytest.skip("no QEMU of this version is installed")


@pytest.mark.parametrize("release", RELEASES)
def test_pages_are_where_qemu_finds_them(release: str, tmp_path: Path) -> None:
    """Both map the same file, so both have its pages at the same place."""
    path = tmp_path / "memory"
    path.write_bytes(bytes(SIZE))
    with partner("real", release, memory(path), tmp_path) as theirs, ours(release, memory(path), tmp_path) as mine:
        for address in (0, 0x1234, SIZE - 1, 0x5000):
            line = {"command-line": f"gpa2hpa {address:#x}"}
            told, found = theirs.ask("human-monitor-command", **line), mine.ask("human-monitor-command", **line)
            if "CAP_SYS_ADMIN" in found:
                pytest.skip("only the privileged are told")
            assert told == found and "Host physical address for" in found


def test_what_is_not_known_is_refused(tmp_path: Path) -> None:
    with ours("7.2", ["-M", "malta"], tmp_path, "mips") as machine:
        refused = "Error: what virtual addresses mean on 'malta' of mips is not modelled (QEMU has it)"
        assert machine.ask("memsave", val=0, size=1, filename=str(tmp_path / "x")) == refused
        assert machine.ask("human-monitor-command", **{"command-line": "x 0"}) == f"{refused}\r\n"
    with ours("11.1", ["--host", "nodes=1,memory=1G", "-M", "none", "-m", "64"], tmp_path) as machine:
        told = machine.ask("human-monitor-command", **{"command-line": "gpa2hpa 0x1000"})
        assert told == "Error: the host does not tell where 0x1000 is: a described host has no physical addresses\r\n"
