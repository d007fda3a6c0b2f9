"""Whole command lines as libvirt, Proxmox VE, Incus, kata and Lima write them, beside real QEMU of each version.

Both get the same words; parts that need a host that is not here (taps, sockets of other programs, disks) are those that
run anywhere. The devices are left out, which are another subject.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from .oracle import QUIET, RELEASES, compare, finish, our_command, qemu, start

QUESTIONS = (
    "info ramblock",
    "info mtree -f",
    "info numa",
    "info memdev",
    '{"execute": "query-memory-size-summary"}',
    '{"execute": "query-hotpluggable-cpus"}',
    '{"execute": "qom-list", "arguments": {"path": "/objects"}}',
)
FILES = {
    "OVMF_CODE.fd": 3653632,
    "OVMF_VARS.fd": 540672,
    "AAVMF_CODE.fd": 64 << 20,
    "AAVMF_VARS.fd": 64 << 20,
    "disk": 1 << 20,
}

LIBVIRT_Q35 = """-name guest=web,debug-threads=on -S
 -object '{"qom-type":"secret","id":"masterKey0","format":"raw","data":"c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"}'
 -blockdev '{"driver":"file","filename":"OVMF_CODE.fd","node-name":"libvirt-pflash0-storage","auto-read-only":true,"discard":"unmap"}'
 -blockdev '{"node-name":"libvirt-pflash0-format","read-only":true,"driver":"raw","file":"libvirt-pflash0-storage"}'
 -blockdev '{"driver":"file","filename":"OVMF_VARS.fd","node-name":"libvirt-pflash1-storage","read-only":false}'
 -machine pc-q35-VERSION,usb=off,vmport=off,smm=on,dump-guest-core=off,pflash0=libvirt-pflash0-format,pflash1=libvirt-pflash1-storage,memory-backend=pc.ram,hpet=off,acpi=on
 -accel tcg -cpu qemu64,svm=off -global driver=cfi.pflash01,property=secure,value=on -m size=2097152k
 -object '{"qom-type":"memory-backend-ram","id":"pc.ram","size":2147483648}'
 -overcommit mem-lock=off -smp 2,sockets=2,cores=1,threads=1 -object '{"qom-type":"iothread","id":"iothread1"}'
 -uuid 12345678-1234-1234-1234-123456789abc -no-user-config -nodefaults
 -chardev null,id=charmonitor -mon chardev=charmonitor,id=monitor,mode=control
 -rtc base=utc,driftfix=slew -global kvm-pit.lost_tick_policy=delay -no-shutdown
 -global ICH9-LPC.disable_s3=1 -global ICH9-LPC.disable_s4=1 -boot strict=on
 -blockdev '{"driver":"file","filename":"disk","node-name":"libvirt-1-storage","auto-read-only":true,"discard":"unmap"}'
 -blockdev '{"node-name":"libvirt-1-format","read-only":false,"driver":"raw","file":"libvirt-1-storage"}'
 -audiodev '{"id":"audio1","driver":"none"}'
 -sandbox on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny -msg timestamp=on"""

LIBVIRT_PC = """-name guest=old,debug-threads=on -S -object secret,id=masterKey0,format=raw,data=c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0
 -machine pc-i440fx-VERSION,accel=tcg,usb=off,dump-guest-core=off -cpu qemu64
 -m size=1048576k,slots=4,maxmem=4194304k -overcommit mem-lock=off -smp 4,maxcpus=8,sockets=2,cores=4,threads=1
 -object memory-backend-ram,id=ram-node0,size=512M,prealloc=no -numa node,nodeid=0,cpus=0-3,memdev=ram-node0
 -object memory-backend-ram,id=ram-node1,size=512M -numa node,nodeid=1,cpus=4-7,memdev=ram-node1
 -no-user-config -nodefaults -rtc base=localtime -global kvm-pit.lost_tick_policy=delay -no-shutdown
 -global PIIX4_PM.disable_s3=1 -global PIIX4_PM.disable_s4=1 -boot menu=on,strict=on
 -chardev ringbuf,id=charserial0 -audiodev id=audio1,driver=none -msg timestamp=on"""

LIBVIRT_VIRT = """-name guest=arm,debug-threads=on -S
 -blockdev '{"driver":"file","filename":"AAVMF_CODE.fd","node-name":"s0","auto-read-only":true,"discard":"unmap"}'
 -blockdev '{"node-name":"f0","read-only":true,"driver":"raw","file":"s0"}'
 -blockdev '{"driver":"file","filename":"AAVMF_VARS.fd","node-name":"s1","read-only":false}'
 -machine virt-VERSION,usb=off,gic-version=3,dump-guest-core=off,pflash0=f0,pflash1=s1,memory-backend=mach-virt.ram
 -accel tcg -cpu cortex-a57 -m size=1048576k -object '{"qom-type":"memory-backend-ram","id":"mach-virt.ram","size":1073741824}'
 -overcommit mem-lock=off -smp 2,sockets=2,cores=1,threads=1 -no-user-config -nodefaults -rtc base=utc -no-shutdown
 -boot strict=on -msg timestamp=on"""

PROXMOX = """-name 'vm,debug-threads=on' -no-shutdown -chardev null,id=qmp -mon chardev=qmp,mode=control
 -chardev socket,id=qmp-event,path=/nonesuch/qmeventd.sock,server=on,wait=off,reconnect=0
 -smbios type=1,uuid=7b10d7af-b932-4c66-b2c3-3996152ec465
 -drive if=pflash,unit=0,format=raw,readonly=on,file=OVMF_CODE.fd
 -drive if=pflash,unit=1,id=drive-efidisk0,format=raw,file=OVMF_VARS.fd,size=540672
 -smp 4,sockets=1,cores=4,maxcpus=4 -nodefaults -boot menu=on,strict=on,reboot-timeout=1000 -vnc none
 -cpu qemu64,+aes,enforce=off,+pni -m 2048 -object iothread,id=iothread-virtioscsi0 -object rng-builtin,id=rng0
 -drive file=disk,if=none,id=drive-scsi0,format=raw,cache=none,aio=threads,detect-zeroes=on
 -rtc base=localtime,driftfix=slew -machine hpet=off,type=pc-q35-VERSION -global kvm-pit.lost_tick_policy=discard""".replace(
    " -chardev socket,id=qmp-event,path=/nonesuch/qmeventd.sock,server=on,wait=off,reconnect=0\n", ""
)

KATA_MICROVM = """-name sandbox-1,debug-threads=on -uuid 12345678-1234-1234-1234-123456789abc
 -machine microvm,accel=tcg,pic=off,pit=off,rtc=on -cpu qemu64 -m 512M -no-user-config -nodefaults -nographic --no-reboot
 -object memory-backend-memfd,id=dimm1,size=512M,share=on -numa node,memdev=dimm1 -smp 1,cores=1,threads=1,sockets=1,maxcpus=1
 -object rng-random,id=rng0,filename=/dev/urandom -rtc base=utc,driftfix=slew,clock=host -global kvm-pit.lost_tick_policy=discard
 -vga none -no-shutdown"""

KATA_Q35 = """-name sandbox-2,debug-threads=on -machine q35,accel=tcg,nvdimm=on -cpu qemu64 -m 1024M,slots=10,maxmem=4096M
 -object memory-backend-ram,id=dimm1,size=1024M -numa node,memdev=dimm1 -object rng-random,id=rng0,filename=/dev/urandom
 -rtc base=utc,driftfix=slew,clock=host -global kvm-pit.lost_tick_policy=discard -vga none -no-user-config -nodefaults
 -nographic --no-reboot -smp 1,cores=1,threads=1,sockets=2,maxcpus=2 -chardev null,id=charconsole0"""

LIMA = """-m 4096 -cpu qemu64 -machine q35,vmport=off -accel tcg,thread=multi,tb-size=512 -smp 4,sockets=1,cores=4,threads=1
 -drive if=pflash,format=raw,readonly=on,file=OVMF_CODE.fd -boot order=c,splash-time=0,menu=on
 -drive file=disk,if=none,format=raw,id=d0 -parallel none -chardev null,id=char-serial -serial chardev:char-serial
 -chardev null,id=char-qmp -qmp chardev:char-qmp -name lima-default -object rng-builtin,id=rng0"""

INCUS = """# Machine
[machine]
graphics = "off"
type = "q35"
accel = "tcg"
usb = "off"

[global]
driver = "ICH9-LPC"
property = "disable_s3"
value = "1"

[global]
driver = "ICH9-LPC"
property = "disable_s4"
value = "0"

[boot-opts]
strict = "on"

# Console
[chardev "console"]
backend = "ringbuf"

# Memory
[memory]
size = "1024M"
slots = "8"
maxmem = "4096M"

# CPU
[smp-opts]
cpus = "2"
sockets = "1"
cores = "2"
threads = "1"
maxcpus = "2"

[object "mem0"]
qom-type = "memory-backend-memfd"
size = "1024M"
share = "on"

[numa]
type = "node"
nodeid = "0"
memdev = "mem0"

# Firmware
[drive]
file = "OVMF_CODE.fd"
if = "pflash"
format = "raw"
unit = "0"
readonly = "on"

[drive]
file = "OVMF_VARS.fd"
if = "pflash"
format = "raw"
unit = "1"

[fsdev "incus_config"]
fsdriver = "local"
security_model = "none"
readonly = "on"
path = "."
"""

INCUS_LINE = """-S -name vm1 -uuid 12345678-1234-1234-1234-123456789abc -nographic -serial null -nodefaults -no-user-config
 -sandbox on,obsolete=deny,elevateprivileges=allow,spawn=allow,resourcecontrol=deny -readconfig qemu.conf -cpu qemu64"""


def versioned(line: str, release: str) -> str:
    line = re.sub(r"\s+", " ", line.replace("VERSION", release))
    if release == "5.2":  # which reads no JSON there
        line = re.sub(r"-object '({.*?})'", lambda found: "-object " + as_pairs(found[1]), line)
        line = re.sub(r"-audiodev '({.*?})'", "-audiodev id=audio1,driver=none", line)
    return line


def as_pairs(text: str) -> str:
    import json

    return ",".join(f"{key}={value}" for key, value in json.loads(text).items())


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize(
    ("arch", "line"),
    [
        pytest.param("x86_64", LIBVIRT_Q35, id="libvirt q35"),
        pytest.param("x86_64", LIBVIRT_PC, id="libvirt pc"),
        pytest.param("aarch64", LIBVIRT_VIRT, id="libvirt virt"),
        pytest.param("x86_64", PROXMOX, id="proxmox"),
        pytest.param("x86_64", KATA_MICROVM, id="kata microvm"),
        pytest.param("x86_64", KATA_Q35, id="kata q35"),
        pytest.param("x86_64", LIMA, id="lima"),
        pytest.param("x86_64", INCUS_LINE, id="incus"),
    ],
)
def test_lines(arch: str, line: str, release: str, tmp_path: Path) -> None:
    for side in ("theirs", "ours"):
        path = tmp_path / side / "qemu.conf"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(INCUS)
    # A serial port is seen among the I/O ports.
    questions = [question for question in QUESTIONS if "mtree" not in question or "-serial" not in line]
    outcome = compare("pasted", arch, versioned(line, release), questions, tmp_path, FILES, release)
    assert outcome.status == 0


CONFIGURATIONS = {
    "all": INCUS,
    "pairs": '# a\n\n[memory]\n  size = "64M" rest\n[machine]\ntype = "q35"\n[object "m"]\nqom-type = "iothread"\n[rtc]\nbase = ""\n',
    "nothing": "",
    "no group": 'a = "b"\n',
    "unknown group": '[nosuch]\na = "b"\n',
    "unknown key": '[memory]\na = "b"\n',
    "unknown key among others": '[mon]\nfoo = "a"\nmode = "control"\n\n[rtc]\nbase = "utc"\n',
    "no spaces": '[rtc]\nbase="utc"\n',
    "unknown property": '[machine]\nfoo = "64M"\n',
    "unknown type": '[object "m"]\nqom-type = "nosuch"\n',
    "no type": '[object "m"]\nsize = "1M"\n',
    "unknown boot key": '[boot-opts]\nbogus = "1"\n',
}


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_configuration_files(name: str, release: str, tmp_path: Path) -> None:
    for side in ("theirs", "ours"):
        path = tmp_path / side / "some.conf"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(CONFIGURATIONS[name])
    compare_located(release, tmp_path)


def compare_located(release: str, folder: Path) -> None:
    """QEMU has no space before the name of a file in which a mistake is."""
    found = {}
    for side, command in (
        ("theirs", [qemu("x86_64", release) or "", *QUIET]),
        ("ours", our_command("x86_64", QUIET, release)),
    ):
        if not command[0]:
            pytest.skip("this QEMU is not installed")
        for name, size in FILES.items():
            path = folder / side / name
            path.touch()
            os.truncate(path, size)
        program = "qemu-system-x86_64" if side == "theirs" else "ramslot"
        outcome = finish(start([*command, "-readconfig", "some.conf"], folder / side), QUESTIONS[:1], program)
        errors = re.sub(r"^qemu-system-x86_64:(?=some.conf:)", "", outcome.errors, flags=re.MULTILINE)
        found[side] = outcome.status, errors, outcome.replies
    assert found["ours"] == found["theirs"]


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize(
    "options",
    [
        "-chardev null,id=c -set chardev.c.mux=off",
        "-chardev null,id=c -set chardev.c.bogus=on",
        "-chardev null,id=c -set chardev.c",
        "-set chardev.c.mux=on -chardev null,id=c",
        "-set foo.bar.baz=1",
        "-set object.m.size=1M",
        "-set machine.x.y=1",
        "-set netdev.a.b=c",
        "-set device.x.y=1",
        "-object memory-backend-ram,id=m,size=2M -set object.m.size=1M",
        "-readconfig absent.conf",
    ],
)
def test_values_that_are_set(options: str, release: str, tmp_path: Path) -> None:
    compare("pasted", "x86_64", f"-M none {options}", QUESTIONS[3:4], tmp_path, release=release)
