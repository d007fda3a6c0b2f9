"""Flash memory with firmware in it, as people's command lines have it, beside real QEMU of each version."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from .oracle import RELEASES, compare

QUESTIONS = (
    "info ramblock",
    "info mtree",
    "info mtree -f",
    '{"execute": "qom-list", "arguments": {"path": "/machine"}}',
)
FILES = {
    "code.fd": 3653632,
    "vars.fd": 540672,
    "odd.fd": 5000,
    "empty.fd": 0,
    "small.fd": 64 << 10,
    "8M.fd": 8 << 20,
    "16M.fd": 16 << 20,
    "64M.fd": 64 << 20,
}
CODE, VARS = "-drive if=pflash,format=raw,readonly=on,file=code.fd", "-drive if=pflash,format=raw,file=vars.fd"
LIBVIRT = """-blockdev '{"driver":"file","filename":"code.fd","node-name":"s0","auto-read-only":true,"discard":"unmap"}'
    -blockdev '{"node-name":"f0","read-only":true,"driver":"raw","file":"s0"}'
    -blockdev '{"driver":"file","filename":"vars.fd","node-name":"s1","auto-read-only":true,"discard":"unmap"}'
    -blockdev '{"node-name":"f1","read-only":false,"driver":"raw","file":"s1"}'"""


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize(
    "options",
    [
        f"-M pc {CODE} {VARS}",
        f"-M q35,pflash0=f0,pflash1=f1 {LIBVIRT}",
        "-M pc -pflash small.fd",
        "-M q35 -drive if=pflash,unit=0,format=raw,file=8M.fd",
        "-M pc -drive if=pflash,unit=0,format=raw,file=code.fd,size=8k",
        "-M pc,pflash0=a -drive if=none,id=a,format=raw,file=code.fd -bios /usr/share/seabios/bios.bin",
        "-M q35 -drive if=pflash,format=raw,file.driver=file,file.filename=code.fd",
        "-M pc,pflash0=a,pflash1=a -blockdev file,filename=code.fd,node-name=a",
        f"-M pc -accel kvm {CODE} {VARS}",
    ],
)
def test_on_pcs(options: str, release: str, tmp_path: Path) -> None:
    on_kvm = "-accel kvm" in options
    if on_kvm:
        if not os.access("/dev/kvm", os.R_OK | os.W_OK):
            pytest.skip("/dev/kvm cannot be opened")
        options += " -cpu qemu64,pni=off"
    compare("" if on_kvm else "flash", "x86_64", options, QUESTIONS, tmp_path, FILES, release)


@pytest.mark.parametrize("release", ["10.0", "11.1"])
@pytest.mark.parametrize("version", ["9.0", "9.1"])
def test_older_pcs_have_a_copy_below_1_mib(version: str, release: str, tmp_path: Path) -> None:
    compare("flash", "x86_64", f"-M pc-q35-{version} {CODE}", QUESTIONS, tmp_path, FILES, release)


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize(
    "options",
    [
        "-M virt -drive if=pflash,format=raw,file=64M.fd",
        "-M virt,pflash0=a -blockdev file,filename=64M.fd,node-name=a",
        "-M virt -drive if=pflash,format=raw,file=64M.fd,unit=1",
        "-M virt -drive if=pflash,format=raw,file=code.fd",
        "-M virt -drive if=pflash,format=raw,file=64M.fd -bios code.fd",
    ],
)
def test_on_virt(options: str, release: str, tmp_path: Path) -> None:
    compare("flash", "aarch64", options, QUESTIONS, tmp_path, FILES, release)


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize(
    "options",
    [
        "-M pc -drive if=pflash,format=raw,file=odd.fd",
        "-M pc -drive if=pflash,format=raw,file=empty.fd",
        "-M pc -drive if=pflash,format=raw,file=16M.fd",
        f"-M pc -drive if=pflash,format=raw,file=8M.fd {VARS}",
        "-M pc -drive if=pflash,format=raw,file=absent.fd",
        "-M pc -drive if=pflash,format=qcow2,file=code.fd",
        "-M pc,pflash0=a -blockdev file,filename=absent.fd,node-name=a",
        "-M pc,pflash0=a",
        "-M pc,pflash1=a -blockdev file,filename=code.fd,node-name=a",
        "-M pc,pflash0=a -blockdev file,filename=code.fd,node-name=a " + CODE,
        "-M pc -drive if=pflash,unit=1,format=raw,file=vars.fd",
        f"-M pc {CODE},unit=0 {VARS},unit=0",
        f"-M pc {CODE} {VARS} {VARS}",
        f"-M isapc {CODE}",
        "-M microvm -pflash code.fd",
        "-M microvm,pflash0=a -blockdev file,filename=code.fd,node-name=a",
        "-M pc,firmware=absent.fd",
    ],
)
def test_mistakes(options: str, release: str, tmp_path: Path) -> None:
    assert compare("flash", "x86_64", options, (), tmp_path, FILES, release).status == 1
