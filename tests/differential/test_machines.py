"""Whole machines: every table of memory that real QEMU shows, and ours."""

from __future__ import annotations

from pathlib import Path

import pytest

from ramslot.vm.boards.targets import targets
from ramslot.vm.releases import find_release

from .oracle import BOTH, REFERENCE, RELEASES, compare

TABLES = [
    "info ramblock", "info memdev", "info mtree", "info mtree -f", "info mtree -o", "info mtree -f -o", "info mtree -D",
    "info mtree -D -o", "info memory_size_summary", '{"execute": "query-memory-size-summary"}',
    '{"execute": "query-memdev"}', '{"execute": "query-cpus-fast"}',
    '{"execute": "qom-list", "arguments": {"path": "/objects"}}', "info status", '{"execute": "query-status"}',
]  # fmt: skip
IDENTITY = [
    "info name", "info uuid", "info kvm", '{"execute": "query-name"}', '{"execute": "query-uuid"}',
    '{"execute": "query-kvm"}', '{"execute": "query-target"}', '{"execute": "query-machines"}',
]  # fmt: skip
SIZES = ("", "128M", "2G", "2815M", "2816M", "3583M", "3584M", "4G", "6G", "9G")
FILES = {"ram.img": 2 << 30, **{f"bios{size}K": size << 10 for size in (64, 128, 256, 512, 1024)}}

RAM = "-object memory-backend-ram,id=m,size="
MEMFD = "-object memory-backend-memfd,id=m,size="
FILE = "-object memory-backend-file,id=m,mem-path=ram.img,size="

X86 = [
    *(f"-M {machine} -m {size}".removesuffix(" -m ") for machine in ("pc", "q35") for size in SIZES),
    *(
        f"-M {machine}{options}"
        for machine in ("pc", "q35")
        for options in (
            f",memory-backend=m {RAM}2G", f",memory-backend=m {RAM}1000001", f",memory-backend=m -m 6G {MEMFD}6G",
            f",memory-backend=m {FILE}1G", f",memory-backend=m {FILE}2G,share=on -object memory-backend-ram,id=n,size=8M",
            f",memory-backend=/objects/m {RAM}3G,x-use-canonical-path-for-ramblock-id=on",
            " -smp 1", " -smp 3", " -smp 2,cores=2,sockets=2,maxcpus=4", " -smp 8,sockets=2,dies=2,cores=2 -cpu qemu64",
            ",max-ram-below-4g=1G -m 4G", ",max-ram-below-4g=4G -m 3968M", ",max-ram-below-4g=2500M -m 6G",
            ",max-ram-below-4g=2G -m 2G", ",max-ram-below-4g=3G -m 9G", ",max-ram-below-4g=512K -m 128M",
            ",max-ram-below-4g=512K -m 4G", ",hpet=off", ",vmport=off", ",vmport=on", ",i8042=off", ",pit=off",
            ",pic=off", ",hpet=off,pit=off,i8042=off,vmport=off", ",smm=off", ",mem-merge=off", ",dump-guest-core=off",
            " -mem-path .", " -mem-path ram.img -m 1G", " -mem-prealloc -m 64M", " -bios bios64K", " -bios bios128K",
            " -bios bios256K", " -bios bios512K", " -bios bios1024K", " -m 1010G -cpu qemu64,phys-bits=42", " -m 9B",
            " -m 700001k", " -m 2G,slots=2,maxmem=4G", " -m 2G,maxmem=8G", " -m 1000G", " -m 977G", " -m 1009G",
            " -object memory-backend-ram,id=n,size=8M -object memory-backend-memfd,id=k,size=16M",
        )
    ),
    "-M pc-i440fx-7.2", "-M pc-q35-7.2", "", "-m 1G -name vm1 -uuid 6ba7b810-9dad-11d1-80b4-00c04fd430c8",
]  # fmt: skip
NONE = [
    *(f"-M none -m {size}".removesuffix(" -m ") for size in SIZES),
    "-M none -m 1B", "-M none -m 1000001B", f"-M none,memory-backend=m {RAM}1000001", f"-M none,memory-backend=m {RAM}1",
    f"-M none,memory-backend=m {MEMFD}1024k,share=off", f"-M none,memory-backend=m {FILE}999999",
    f"-M none,memory-backend=m {FILE}1G,readonly=on,share=on", f"-M none,memory-backend=m {RAM}12T,reserve=off",
    f"-M none,memory-backend=m -m 64M {RAM}64M -object memory-backend-ram,id=pc.ram,size=1M", "-M none -smp 1",
    "-M none -m 64M -mem-path .", "-M none -m 64M -mem-path ram.img -mem-prealloc", "-M none,mem-merge=off -m 64M",
    "-M none,dump-guest-core=off -m 64M", f"-M none {RAM}1M,merge=off -object memory-backend-ram,id=ram,size=2M",
    f"-M none {RAM}1M,dump=off,share=on,prealloc=on,policy=preferred,host-nodes=0",
    f"-M none {RAM}1M -m 64M -object memory-backend-ram,id=b,size=300k -object memory-backend-ram,id=c,size=1M",
    "-M none,memory-backend=j -object '{\"qom-type\":\"memory-backend-ram\",\"id\":\"j\",\"size\":8192}'",
    "-M none -m 8M,slots=3,maxmem=1G",
]  # fmt: skip
S390 = [
    *(f"-M s390-ccw-virtio -m {size}".removesuffix(" -m ") for size in SIZES),
    *(
        f"-M s390-ccw-virtio{options}"
        for options in (
            f",memory-backend=m {RAM}2G", f",memory-backend=m {MEMFD}1G", f",memory-backend=m {FILE}1G,share=on",
            f",memory-backend=m -m 12T {RAM}12T,reserve=off", " -smp 1", " -smp 3", ",mem-merge=off",
            ",dump-guest-core=off", ",aes-key-wrap=off,dea-key-wrap=off", " -mem-path . -m 1G", " -m 2G,maxmem=4G",
            f" {RAM}1M -m 256M", " -cpu qemu",
        )
    ),
]  # fmt: skip
ELSEWHERE = [
    (arch, f"-M none -m {size} {RAM}300k -object memory-backend-ram,id=n,size=65k")
    for arch in ("s390x", "aarch64", "arm", "alpha", "avr", "cris", "or1k", "sparc64", "tricore", "loongarch64", "ppc64", "mips",
                 "i386", "riscv64", "m68k")
    for size in ("1000001B", "64M")
]  # fmt: skip


@pytest.mark.parametrize("options", X86)
@pytest.mark.parametrize("release", BOTH)
def test_x86(release: str, options: str, tmp_path: Path) -> None:
    compare("machines", "x86_64", options, TABLES, tmp_path, FILES, release=release)


@pytest.mark.parametrize("options", NONE)
@pytest.mark.parametrize("release", BOTH)
def test_none(release: str, options: str, tmp_path: Path) -> None:
    if release == "11.1" and "size=999999" in options:
        options = options.replace("999999", "999424")  # whole pages, since QEMU 10.0
    compare("machines", "x86_64", options, [*TABLES, "info qom-tree"], tmp_path, FILES, release=release)


@pytest.mark.parametrize("options", S390)
@pytest.mark.parametrize("release", BOTH)
def test_s390(release: str, options: str, tmp_path: Path) -> None:
    compare("machines", "s390x", options, [*TABLES, "info qom-tree"], tmp_path, FILES, release=release)


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize(("arch", "options"), ELSEWHERE)
def test_none_of_other_targets(arch: str, options: str, release: str, tmp_path: Path) -> None:
    if arch not in targets(find_release(release)):
        pytest.skip("this QEMU has no such target")
    record = "machines" if release == REFERENCE else ""
    compare(record, arch, options, [*TABLES, "info qom-tree"], tmp_path, release=release)


@pytest.mark.parametrize(
    ("arch", "options"),
    [
        ("x86_64", "-M none"),
        ("x86_64", "-M pc -name vm1,process=p -uuid 6ba7b810-9dad-11d1-80b4-00c04fd430c8"),
        ("x86_64", "-M q35 -name guest=vm2"),
        ("s390x", "-M s390-ccw-virtio"),
        ("aarch64", "-M none"),
        ("alpha", "-M none"),
    ],
)
@pytest.mark.parametrize("release", BOTH)
def test_identity(arch: str, options: str, release: str, tmp_path: Path) -> None:
    compare("machines" if release == REFERENCE else "", arch, options, IDENTITY, tmp_path, release=release)
