"""Machines that are refused: the same words on stderr, the same exit status."""

from __future__ import annotations

from pathlib import Path

import pytest

from .oracle import BOTH, compare

RAM = "-object memory-backend-ram,id=m,size="
BAD_CONTEXT = "-object thread-context,id=tc,node-affinity=9"
FILES = {"small.img": 65536, "empty.bin": 0, "odd.bin": 100000, "bios.bin": 65536, "huge.bin": 32 << 20}

X86 = f"""
-M zzz
-M PC
-M ''
-M s390-ccw-virtio
-M pc-i440fx-99.1
-M type=
-machine accel=tcg,foo
-M none,foo=bar
-M pc,foo=bar
-M q35,hpet=maybe
-M pc,vmport=perhaps
-M pc,vmport=auto
-M pc,hpet=
-M pc -m 1G,maxmem=18446744073709551615B
-M q35 -m 1G,slots=1,maxmem=18446744073709551615B
-M pc -m 1G,slots=1,maxmem=18446744073709547520B
-M q35 -m 1G,slots=1,maxmem=18446744073709547520B
-M none -object memory-backend-file,id=m,mem-path=empty.bin,size=18446744073709551615B
-M none -object memory-backend-file,id=m,mem-path=small.img,size=18446744073709551615B
-M none -object memory-backend-memfd,id=m,size=18446744073709551615B
-M none,mem-merge=2
-M none,mem-merge=ON
-M none,dump-guest-core=maybe
-M none,type=pc,foo=1
-M pc,max-ram-below-4g=5G
-M pc,max-ram-below-4g=4294967297
-M q35,max-ram-below-4g=5G -m 8G
-M pc,max-ram-below-4g=x
-M pc,max-ram-below-4g=-1
-M none,max-ram-below-4g=1G
-M pc,memory-backend=m
-M none,memory-backend=m
-M none,memory-backend=
-M none,memory-backend=/objects/m
-M none,memory-backend=/machine
-M pc,memory-backend=m -m 1G {RAM}2G
-M none,memory-backend=m -m 1G {RAM}1000001
-M none,memory-backend=m -m 1000001B {RAM}1000001
-M none,memory-backend=m -m 1007616B {RAM}1007616
-M pc,memory-backend=m,memory-backend=n {RAM}128M
-M pc,memory-backend=m {RAM}128M -mem-path .
-M pc,memory-backend=m {RAM}128M -mem-prealloc
-M pc -object memory-backend-ram,id=pc.ram,size=128M
-M none -m 64M -object memory-backend-ram,id=ram,size=1M
-M none -object memory-backend-ram,id=ram,size=1M
-M none,memory-backend=ram -object memory-backend-ram,id=ram,size=1M
-M none,memory-backend=ram -object memory-backend-ram,id=ram,size=1M -m 2M
-M pc -mem-path absent/folder
-M none -mem-path absent/folder
-M none -m 64M -mem-path absent/folder
-M pc -mem-path small.img
-M pc -mem-path /dev/null
-M pc -m 1G,maxmem=512M
-M pc -m 1G,slots=2
-M pc -m 1G,maxmem=1G
-M pc -m 1G,maxmem=1G,slots=2
-M pc -m 1G,maxmem=2G,slots=257
-M none -m 1G,maxmem=512M
-M none -m 1G,slots=2
-M pc -m maxmem=64M
-M pc -m 1025G
-M q35 -m 1009G
-M pc -m 2T
-M q35 -m 979G
-M pc -m 8E
-M none -m 15E
-M none -m 64T
-M none -smp 2
-M none -smp 1,maxcpus=2
-M pc -smp 256
-M pc -smp 289,maxcpus=289
-M q35 -smp 289
-M pc -smp 0
-M pc -smp 3,cores=2
-M pc -smp cpus=4,sockets=1,cores=1,threads=1
-M pc -smp 4,maxcpus=2
-M pc -smp 2,dies=2,cores=2,sockets=2
-M pc -smp sockets=0
-M pc -smp clusters=2
-M none -bios bios.bin
-M pc -bios absent.bin
-M q35 -bios absent.bin
-M pc -bios empty.bin
-M pc -bios odd.bin
-M pc -bios huge.bin
-M pc -bios .
-M pc -accel zzz
-M pc -accel zzz -accel yyy
-M pc,accel=zzz
-M pc,accel=zzz:tcg
-M pc -accel zzz -accel tcg
-M none {RAM}1M {RAM}2M
-M zzz {RAM}0
-M pc,memory-backend=x {RAM}0
-M pc,foo=bar {RAM}0
-M pc,foo=bar -m 1G,maxmem=512M
-M pc -mem-path x -M memory-backend=m -m 1G,maxmem=512M
-M pc,memory-backend=x -smp 3,cores=2
-M pc,max-ram-below-4g=5G,memory-backend=x
-M pc -bios absent.bin,memory-backend=x
-M pc -smp 3,cores=2 {RAM}0
-M pc -m 2T -bios absent.bin
-M pc,memory-backend=x -object memory-backend-ram,id=pc.ram,size=1M
-M pc,foo=bar {BAD_CONTEXT}
-M pc,max-ram-below-4g=5G {BAD_CONTEXT}
-M pc -smp 3,cores=2 {BAD_CONTEXT}
-M pc {RAM}0 {BAD_CONTEXT}
-M pc -m 1X {BAD_CONTEXT}
-M pc -object thread-context,id=pc.ram
-M pc,memory-backend=t -object thread-context,id=t
-M pc,memory-backend=m {RAM}128M,prealloc-context=t -object thread-context,id=t,cpu-affinity=0
-M pc -object memory-backend-ram,id=m,size=1M,prealloc-context=n {RAM[:-7]},id=n,size=1M
-M pc -object thread-context,id=t -object thread-context,id=t
-M pc -numa node,memdev=t -object thread-context,id=t
-M none -mem-path small.img
-M none -m 64k -mem-path small.img
-M none -m 8k -mem-path small.img -mem-prealloc
-M none -m 64k -mem-path small.img/x
-M none -m 64k -mem-path ''
-M none -m 64k -mem-path . -mem-prealloc
-M none -m 64k -mem-prealloc
-M none -m 64k -mem-path . -mem-path absent/folder
-M none,memory-backend=m -mem-prealloc {RAM}64k,reserve=off
-M none,memory-backend=m -mem-prealloc {RAM}64k,prealloc=off
-M none -mem-prealloc {RAM}64k,prealloc=off -m 8k
-M none,memory.size=64k -mem-path small.img
-M none,memory.size=64k -m 128k -mem-path small.img
-M none,memory.size=64k,memory-backend=m {RAM}128k
-M none,memory.size=x -mem-path absent/folder
-M pc,memory.max-size=1G,memory.slots=2 -mem-path absent/folder
-M pc,memory.max-size=1G -m 2G -mem-path absent/folder
-M none -m 64T -mem-path .
-M none -m 64T -mem-prealloc
""".strip().splitlines()

OTHERS = f"""
s390x -M s390-ccw-virtio -m 1000001B
s390x -M s390-ccw-virtio -m 1500K
s390x -M s390-ccw-virtio -m 8K
s390x -M s390-ccw-virtio,memory-backend=m {RAM}1500K
s390x -M s390-ccw-virtio,memory-backend=m -m 2G {RAM}1G
s390x -M s390-ccw-virtio -m 1G,slots=1,maxmem=2G
s390x -M s390-ccw-virtio -smp 249
s390x -M s390-ccw-virtio -smp 2,cores=2,threads=2
s390x -M s390-ccw-virtio -smp 2,dies=2
s390x -M s390-ccw-virtio -object memory-backend-ram,id=s390.ram,size=1M
s390x -M s390-ccw-virtio,hpet=off
s390x -M pc
aarch64 -M pc
aarch64
alpha -M q35
avr -m 1G
s390x -M zzz
aarch64 -M none -smp 2
""".strip().splitlines()


@pytest.mark.parametrize("options", X86)
@pytest.mark.parametrize("release", BOTH)
def test_x86(release: str, options: str, tmp_path: Path) -> None:
    compare("start_errors", "x86_64", options, ["info ramblock"], tmp_path, FILES, release=release)


@pytest.mark.parametrize("line", OTHERS)
@pytest.mark.parametrize("release", BOTH)
def test_other_targets(release: str, line: str, tmp_path: Path) -> None:
    arch, _, options = line.partition(" ")
    compare("start_errors", arch, options, ["info ramblock"], tmp_path, FILES, release=release)
