"""The sides of the matrix that `compat` is compared with real QEMU in: release, target, options.

Within a group each side is asked of each other one, in both directions.
"""

from __future__ import annotations

from itertools import permutations
from typing import NamedTuple

from .oracle import RELEASES


class Side(NamedTuple):
    """One machine; both QEMU and ramslot get `-nodefaults` and `-S` besides."""

    release: str
    arch: str
    options: str

    @property
    def text(self) -> str:
        """As `compat` is given it."""
        return f"qemu-system-{self.arch}-{self.release} -nodefaults {self.options}"


def sides(text: str) -> list[Side]:
    """Lines of `RELEASE[,RELEASE...] TARGET OPTIONS`; `*` is all releases."""
    found = []
    for line in text.strip().splitlines():
        releases, arch, options = line.strip().split(maxsplit=2)
        found += [Side(each, arch, options) for each in (RELEASES if releases == "*" else releases.split(","))]
    return found


RAM = "-object memory-backend-ram"
DIMM = "-m 32M,slots=2,maxmem=1G"
NODES = "-smp 2 -m 32M"

GROUPS = {
    "no board": sides(f"""
        * x86_64 -M none -m 4
        7.2,11.1 x86_64 -M none -m 8
        7.2,11.1 x86_64 -M none,memory-backend=m {RAM},id=m,size=4M
        7.2 x86_64 -M none,memory-backend=m {RAM},id=m,size=8M
        7.2 x86_64 -M none,memory-backend=ram {RAM},id=ram,size=4M
        7.2 x86_64 -M none,memory-backend=ram -object memory-backend-memfd,id=ram,size=4M,share=off
        7.2 x86_64 -M none,memory-backend=ram {RAM},id=ram,size=4M,share=on,prealloc=on
        7.2 x86_64 -M none,memory-backend=m {RAM},id=m,size=4M,x-use-canonical-path-for-ramblock-id=on
        7.2 x86_64 -M none -m 4 {RAM},id=x,size=4M
        7.2 i386 -M none -m 4
    """),
    "pages of other targets": sides("""
        7.2,10.0,11.1 x86_64 -M none -m 4
        7.2,11.1 arm -M none -m 4
        7.2,11.1 sparc64 -M none -m 4
        7.2 or1k -M none -m 4
        10.0,11.1 tricore -M none -m 4
        7.2 s390x -M none -m 4
        7.2 avr -M none -m 4
        7.2 ppc64 -M none -m 8
    """),
    "pc and its RAM": sides(f"""
        7.2 x86_64 -M pc -m 32M
        7.2 x86_64 -M pc-i440fx-7.2 -m 64M
        7.2 x86_64 -M pc,memory-backend=m -m 32M {RAM},id=m,size=32M
        7.2 x86_64 -M pc,memory-backend=pc.ram -m 32M -object memory-backend-memfd,id=pc.ram,size=32M,share=on
        7.2 x86_64 -M pc-i440fx-4.0,memory-backend=m -m 32M -object memory-backend-memfd,id=m,size=32M
        7.2 x86_64 -M pc-i440fx-4.0,memory-backend=m -m 32M {RAM},id=m,size=32M
        7.2 x86_64 -M pc-i440fx-3.1,memory-backend=m -m 32M -object memory-backend-memfd,id=m,size=32M
        7.2 x86_64 -M pc-i440fx-3.1,memory-backend=m -m 32M {RAM},id=m,size=32M
        7.2 x86_64 -M pc-i440fx-4.0 -m 32M
        7.2 x86_64 -M pc-i440fx-2.3 -m 32M
        7.2 x86_64 -M pc-i440fx-2.2 -m 32M
        7.2 x86_64 -M pc-i440fx-2.3 -m 64M
        7.2 x86_64 -M q35 -m 32M
        7.2 x86_64 -M isapc -m 32M
        7.2 x86_64 -M microvm -m 32M
        7.2 i386 -M pc -m 64M
    """),
    "pc over versions": sides("""
        5.2,7.2,10.0 x86_64 -M pc-i440fx-5.2 -m 32M
        5.2,7.2,10.0 x86_64 -M pc-i440fx-5.2 -m 64M
        7.2,10.0,11.1 x86_64 -M pc-i440fx-7.2 -m 32M
        7.2,10.0,11.1 x86_64 -M pc-i440fx-6.2 -m 32M
        10.0,11.1 x86_64 -M pc-i440fx-10.0 -m 32M
        * x86_64 -M pc -m 32M
    """),
    "q35 over versions": sides(f"""
        5.2,7.2,10.0 x86_64 -M pc-q35-5.2 -m 32M
        7.2,10.0,11.1 x86_64 -M pc-q35-7.2 -m 32M
        7.2,10.0,11.1 x86_64 -M pc-q35-7.2,memory-backend=pc.ram -m 32M {RAM},id=pc.ram,size=32M
        7.2,10.0,11.1 x86_64 -M pc-q35-7.2,memory-backend=m0 -m 32M {RAM},id=m0,size=32M
        5.2,7.2,10.0 x86_64 -M pc-q35-2.4 -m 32M
        11.1 x86_64 -M q35 -m 32M
    """),
    "NUMA": sides(f"""
        7.2 x86_64 -M pc {NODES}
        7.2,11.1 x86_64 -M pc-i440fx-7.2 {NODES} {RAM},id=a,size=16M {RAM},id=b,size=16M -numa node,memdev=a -numa node,memdev=b
        7.2,11.1 x86_64 -M pc-i440fx-7.2 {NODES} {RAM},id=a,size=16M {RAM},id=b,size=16M -numa node,memdev=b -numa node,memdev=a
        7.2 x86_64 -M pc {NODES} {RAM},id=a,size=8M {RAM},id=b,size=24M -numa node,memdev=a -numa node,memdev=b
        7.2 x86_64 -M pc {NODES} {RAM},id=r0,size=16M {RAM},id=r1,size=16M -numa node,memdev=r0 -numa node,memdev=r1
        7.2 x86_64 -M pc {NODES} {RAM},id=a,size=32M -numa node,memdev=a -numa node
        7.2 x86_64 -M pc-i440fx-5.0 {NODES} -numa node,mem=16M -numa node,mem=16M
        7.2 x86_64 -M pc-i440fx-5.1 {NODES} {RAM},id=a,size=16M {RAM},id=b,size=16M -numa node,memdev=a -numa node,memdev=b
        7.2 x86_64 -M pc,memory-backend=a {NODES} {RAM},id=a,size=32M
    """),
    "DIMMs": sides(f"""
        7.2,11.1 x86_64 -M pc-i440fx-7.2 {DIMM}
        7.2,11.1 x86_64 -M pc-i440fx-7.2 {DIMM} {RAM},id=d,size=32M -device pc-dimm,memdev=d,id=d0
        7.2 x86_64 -M pc {DIMM} {RAM},id=d,size=64M -device pc-dimm,memdev=d,id=d0
        7.2 x86_64 -M pc {DIMM} {RAM},id=e,size=32M -device pc-dimm,memdev=e,id=d0
        7.2 x86_64 -M pc {DIMM} {RAM},id=d,size=32M {RAM},id=e,size=32M -device pc-dimm,memdev=d -device pc-dimm,memdev=e
        7.2 x86_64 -M pc {DIMM} {RAM},id=d,size=32M {RAM},id=e,size=32M -device pc-dimm,memdev=e -device pc-dimm,memdev=d
        7.2 x86_64 -M pc {DIMM} {RAM},id=d,size=32M -device pc-dimm,memdev=d,addr=0x110000000
        7.2 x86_64 -M pc {DIMM} {RAM},id=d,size=32M
        7.2 x86_64 -M pc,nvdimm=on {DIMM} {RAM},id=d,size=32M -device nvdimm,memdev=d
        7.2 x86_64 -M pc {DIMM} {RAM},id=d,size=32M -device virtio-mem-pci,memdev=d
    """),
    "slots for memory": sides("""
        7.2,11.1 x86_64 -M pc-i440fx-7.2 -m 32M
        7.2,11.1 x86_64 -M pc-i440fx-7.2 -m 32M,slots=2,maxmem=1G
        7.2 x86_64 -M pc -m 32M,slots=3,maxmem=1G
        7.2 x86_64 -M pc -m 32M,slots=2,maxmem=2G
        7.2,10.0 x86_64 -M pc-q35-7.2 -m 32M
        7.2,10.0 x86_64 -M pc-q35-7.2 -m 32M,slots=4,maxmem=1G
        7.2 x86_64 -M microvm -m 32M
        7.2 x86_64 -M microvm -m 32M,slots=4,maxmem=1G
        7.2 aarch64 -M virt -cpu cortex-a57 -m 32M
        7.2 aarch64 -M virt -cpu cortex-a57 -m 32M,slots=4,maxmem=1G
    """),
    "memory map": sides("""
        7.2 x86_64 -M q35 -m 2G
        7.2 x86_64 -M q35,max-ram-below-4g=1G -m 2G
        7.2 x86_64 -M q35 -m 2560M
        7.2,11.1 x86_64 -M pc-i440fx-7.2,max-ram-below-4g=1G -m 2G
        7.2,11.1 x86_64 -M pc-i440fx-7.2 -m 2G
    """),
    "virt": sides(f"""
        7.2,10.0,11.1 aarch64 -M virt-7.2 -cpu cortex-a57 -m 32M
        7.2,11.1 aarch64 -M virt-7.2 -cpu cortex-a57 -m 64M
        7.2 aarch64 -M virt-6.0 -cpu cortex-a57 -m 32M
        7.2 aarch64 -M virt-7.2,memory-backend=m -cpu cortex-a57 -m 32M {RAM},id=m,size=32M
        7.2 aarch64 -M virt-7.2,virtualization=on,secure=on -cpu cortex-a57 -m 32M
        7.2 aarch64 -M virt-2.6 -cpu cortex-a57 -m 32M
        7.2 arm -M virt-7.2 -m 32M
        7.2 riscv64 -M virt -m 32M
        7.2 m68k -M virt-7.2 -m 32M
        7.2 m68k -M virt-7.1 -m 32M
        11.1 riscv64 -M virt -m 32M
    """),
    "pseries": sides(f"""
        7.2,10.0,11.1 ppc64 -M pseries-7.2 -m 256M
        7.2,11.1 ppc64 -M pseries-7.2 -m 512M
        7.2 ppc64 -M pseries-6.0 -m 256M
        5.2,7.2,10.0 ppc64 -M pseries-5.2 -m 256M
        7.2 ppc64 -M pseries-7.2,memory-backend=m -m 256M {RAM},id=m,size=256M
        7.2 ppc64 -M pseries-7.2 -m 256M,slots=2,maxmem=2G {RAM},id=d,size=256M -device pc-dimm,memdev=d
        7.2 ppc64 -M pseries-7.2 -m 256M,slots=2,maxmem=2G
    """),
    "s390x": sides(f"""
        7.2,10.0,11.1 s390x -M s390-ccw-virtio-7.2 -m 32M
        7.2,11.1 s390x -M s390-ccw-virtio-7.2 -m 64M
        5.2,7.2,10.0 s390x -M s390-ccw-virtio-5.2 -m 32M
        5.2,7.2 s390x -M s390-ccw-virtio-4.1 -m 32M
        7.2 s390x -M s390-ccw-virtio-2.4 -m 32M
        7.2 s390x -M s390-ccw-virtio-7.2,memory-backend=m -m 32M {RAM},id=m,size=32M
    """),
    "other boards": sides("""
        7.2,11.1 sparc -M SS-5 -m 32M
        7.2,11.1 sparc -M SS-5 -m 64M
        7.2,11.1 mips -M malta -m 32M
        7.2 mips -M malta -m 64M
        7.2 hppa -M hppa -m 64M
        7.2,11.1 ppc -M g3beige -m 64M
        7.2,11.1 arm -M kzm -m 64M
    """),
}


def pairs(group: str) -> list[tuple[Side, Side]]:
    """Every source with every destination."""
    return list(permutations(GROUPS[group], 2))
