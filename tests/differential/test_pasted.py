"""Whole command lines as libvirt, Proxmox VE, Incus, kata and Lima write them, beside real QEMU of each version.

Both get the same words; parts that need a host that is not here (taps, sockets of other programs) are those that run
anywhere. With devices the RAMBlocks are compared, without them the whole memory map.
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


LIBVIRT_DEVICES = """
 -device '{"driver":"pcie-root-port","port":16,"chassis":1,"id":"pci.1","bus":"pcie.0","multifunction":true,"addr":"0x2"}'
 -device '{"driver":"pcie-root-port","port":17,"chassis":2,"id":"pci.2","bus":"pcie.0","addr":"0x2.0x1"}'
 -device '{"driver":"pcie-root-port","port":18,"chassis":3,"id":"pci.3","bus":"pcie.0","addr":"0x2.0x2"}'
 -device '{"driver":"pcie-root-port","port":19,"chassis":4,"id":"pci.4","bus":"pcie.0","addr":"0x2.0x3"}'
 -device '{"driver":"qemu-xhci","p2":15,"p3":15,"id":"usb","bus":"pci.2","addr":"0x0"}'
 -device '{"driver":"virtio-serial-pci","id":"virtio-serial0","bus":"pci.3","addr":"0x0"}'
 -device '{"driver":"virtio-blk-pci","bus":"pci.4","addr":"0x0","drive":"libvirt-1-format","id":"virtio-disk0","bootindex":1}'
 -device '{"driver":"ide-cd","bus":"ide.0","id":"sata0-0-0"}'
 -netdev '{"type":"user","id":"hostnet0"}'
 -device '{"driver":"virtio-net-pci","netdev":"hostnet0","id":"net0","mac":"52:54:00:01:02:03","bus":"pci.1","addr":"0x0"}'
 -chardev ringbuf,id=charserial0 -device '{"driver":"isa-serial","chardev":"charserial0","id":"serial0","index":0}'
 -chardev null,id=charchannel0
 -device '{"driver":"virtserialport","bus":"virtio-serial0.0","nr":1,"chardev":"charchannel0","id":"channel0","name":"org.qemu.guest_agent.0"}'
 -device '{"driver":"usb-tablet","id":"input0","bus":"usb.0","port":"1"}'
 -device '{"driver":"VGA","id":"video0","vgamem_mb":16,"bus":"pcie.0","addr":"0x1"}' -global ICH9-LPC.noreboot=off -watchdog-action reset
 -device '{"driver":"virtio-balloon-pci","id":"balloon0","bus":"pcie.0","addr":"0x3"}'
 -object '{"qom-type":"rng-random","id":"objrng0","filename":"/dev/urandom"}'
 -device '{"driver":"virtio-rng-pci","rng":"objrng0","id":"rng0","bus":"pcie.0","addr":"0x4"}'"""

PROXMOX_DEVICES = """
 -device pcie-pci-bridge,id=pci.1,addr=0x1e -device pci-bridge,id=pci.2,chassis_nr=3,bus=pci.1,addr=0x5
 -device vmgenid,guid=d3b1a1a5-1111-2222-3333-123456789abc -device qemu-xhci,id=uhci,addr=0x7
 -device usb-tablet,id=tablet,bus=uhci.0,port=1 -device VGA,id=vga,bus=pcie.0,addr=0x1 -chardev null,id=qga0
 -device virtio-serial,id=qga0,addr=0x8 -device virtserialport,chardev=qga0,name=org.qemu.guest_agent.0
 -device virtio-balloon-pci,id=balloon0,addr=0x3,free-page-reporting=on
 -device virtio-scsi-pci,id=virtioscsi0,bus=pci.2,addr=0x1,iothread=iothread-virtioscsi0
 -device scsi-hd,bus=virtioscsi0.0,channel=0,scsi-id=0,lun=0,drive=drive-scsi0,id=scsi0,bootindex=100 -netdev type=user,id=net0
 -device virtio-net-pci,mac=BC:24:11:00:00:01,netdev=net0,addr=0x12,id=net0,rx_queue_size=1024,tx_queue_size=256,bootindex=101
 -device e1000,netdev=net1,id=net1,romfile= -netdev user,id=net1"""

KATA_DEVICES = """
 -device pci-bridge,bus=pcie.0,id=pci-bridge-0,chassis_nr=1,shpc=off,addr=2,io-reserve=4k,mem-reserve=1m,pref64-reserve=1m
 -device virtio-serial-pci,disable-modern=false,id=serial0 -device virtconsole,chardev=charconsole0,id=console0
 -object memory-backend-file,id=mem0,mem-path=disk,size=1M,share=on -device nvdimm,id=nv0,memdev=mem0
 -device virtio-scsi-pci,id=scsi0,disable-modern=false -device virtio-rng-pci,rng=rng0
 -netdev user,id=network-0 -device driver=virtio-net-pci,netdev=network-0,mac=02:42:ac:11:00:02,disable-modern=false"""

LIMA_DEVICES = """
 -device virtio-blk-pci,drive=d0 -device virtio-rng-pci,rng=rng0 -netdev user,id=net0,net=192.168.5.0/24,dhcpstart=192.168.5.15
 -device virtio-net-pci,netdev=net0,mac=52:55:55:01:02:03 -vga none -device virtio-vga -device virtio-keyboard-pci
 -device virtio-mouse-pci -device qemu-xhci,id=usb-bus -device virtio-serial-pci,id=virtio-serial0
 -chardev null,id=lima-ga -device virtserialport,chardev=lima-ga,name=io.lima-vm.guest_agent.0"""

INCUS_DEVICES = """
[device "qemu_pcie0"]
driver = "pcie-root-port"
bus = "pcie.0"
addr = "1.0"
chassis = "0"
multifunction = "on"

# Balloon driver
[device "qemu_balloon"]
driver = "virtio-balloon-pci"
bus = "qemu_pcie0"
addr = "00.0"
multifunction = "on"

# Random number generator
[object "qemu_rng"]
qom-type = "rng-random"
filename = "/dev/urandom"

[device "dev-qemu_rng"]
driver = "virtio-rng-pci"
bus = "qemu_pcie0"
addr = "00.1"
rng = "qemu_rng"

[device "dev-qemu_serial"]
driver = "virtio-serial-pci"
bus = "qemu_pcie0"
addr = "00.2"

[device "qemu_pcie1"]
driver = "pcie-root-port"
bus = "pcie.0"
addr = "1.1"
chassis = "1"

# SCSI controller
[device "qemu_scsi"]
driver = "virtio-scsi-pci"
bus = "qemu_pcie1"
addr = "00.0"

[device "qemu_pcie2"]
driver = "pcie-root-port"
bus = "pcie.0"
addr = "1.2"
chassis = "2"

# GPU
[device "dev-qemu_gpu"]
driver = "virtio-vga"
bus = "qemu_pcie2"
addr = "00.0"
"""


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize(
    "line",
    [
        pytest.param(LIBVIRT_Q35 + LIBVIRT_DEVICES, id="libvirt q35"),
        pytest.param(PROXMOX + PROXMOX_DEVICES, id="proxmox"),
        pytest.param(KATA_Q35 + KATA_DEVICES, id="kata q35"),
        pytest.param(LIMA + LIMA_DEVICES, id="lima"),
        pytest.param(INCUS_LINE, id="incus"),
    ],
)
def test_lines_with_devices(line: str, release: str, tmp_path: Path) -> None:
    for side in ("theirs", "ours"):
        path = tmp_path / side / "qemu.conf"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(INCUS + INCUS_DEVICES)
    outcome = compare("pasted", "x86_64", versioned(line, release), QUESTIONS[:1], tmp_path, FILES, release)
    assert outcome.status == 0


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize(
    "flags",
    [
        "+aes,-vme,pni=off,kvm_pv_eoi=on,+kvm_pv_unhalt",
        "hv_relaxed,hv_spinlocks=0x1fff,hv-vapic,model-id=x,stepping=3,tsc-freq=1000000000",
        "check=off,enforce=off,",
        "+foo",
        "-foo",
        "foo",
        "foo=on",
        "aes=bogus",
        "migratable=on",
        "+foo,bar=1",
    ],
)
def test_flags_of_cpus(flags: str, release: str, tmp_path: Path) -> None:
    compare("pasted", "x86_64", f"-M pc -cpu qemu64,{flags}", QUESTIONS[:2], tmp_path, release=release)


def versioned(line: str, release: str) -> str:
    line = re.sub(r"\s+", " ", line.replace("VERSION", release))
    if release == "5.2":  # which reads no JSON there
        line = re.sub(r"-(object|device|netdev) '({.*?})'", lambda found: f"-{found[1]} {as_pairs(found[2])}", line)
        line = re.sub(r"-audiodev '({.*?})'", "-audiodev id=audio1,driver=none", line)
    return line


def as_pairs(text: str) -> str:
    import json

    pairs = json.loads(text).items()
    return ",".join(f"{key}={('off', 'on')[value] if isinstance(value, bool) else value}" for key, value in pairs)


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
