"""What `compat` makes of the texts that people have, and what it says of two of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import ramslot
from ramslot.monitor.compat.asking import ask
from ramslot.monitor.compat.pasted import find_command_line
from ramslot.monitor.compat.sides import read_side, read_text
from ramslot.vm.compat.contract import Contract
from ramslot.vm.errors import VMError
from ramslot.vm.releases import find_release

GIB = 1 << 30
PC = "qemu-system-x86_64-7.2 -nodefaults -M pc"

LIBVIRT = r"""
2024-03-02 09:14:55.204+0000: starting up libvirt version: 9.0.0, qemu version: 7.2.9Debian 1:7.2+dfsg-7, hostname: one
LC_ALL=C \
PATH=/usr/sbin:/usr/bin:/sbin:/bin \
HOME=/var/lib/libvirt/qemu/domain-3-web \
/usr/bin/qemu-system-x86_64 \
-name guest=web,debug-threads=on \
-S \
-object '{"qom-type":"secret","id":"masterKey0","format":"raw","file":"/var/lib/master-key.aes"}' \
-machine pc-q35-7.2,usb=off,vmport=off,dump-guest-core=off,memory-backend=pc.ram \
-accel kvm \
-cpu host,migratable=on \
-m 4096 \
-object '{"qom-type":"memory-backend-memfd","id":"pc.ram","hugetlb":true,"hugetlbsize":2097152,"share":true,"size":4294967296}' \
-overcommit mem-lock=off \
-smp 4,sockets=4,cores=1,threads=1 \
-uuid 4dea22b3-1d52-d8f3-2516-782e98ab3fa0 \
-no-user-config \
-nodefaults \
-chardev socket,id=charmonitor,fd=29,server=on,wait=off \
-mon chardev=charmonitor,id=monitor,mode=control \
-rtc base=utc,driftfix=slew \
-boot strict=on \
-blockdev '{"driver":"file","filename":"/var/lib/web.qcow2","node-name":"libvirt-1-storage"}' \
-device '{"driver":"virtio-net-pci","netdev":"hostnet0","id":"net0","bus":"pci.1","addr":"0x0"}' \
-netdev tap,fd=31,id=hostnet0 \
-device '{"driver":"virtio-balloon-pci","id":"balloon0","bus":"pci.4","addr":"0x0"}' \
-sandbox on,obsolete=deny \
-msg timestamp=on
char device redirected to /dev/pts/1 (label charserial0)
2024-03-02 10:00:00.000+0000: shutting down, reason=migrated
"""
PROXMOX = (
    "/usr/bin/kvm -id 100 -name 'vm100,debug-threads=on' -no-shutdown -chardev 'socket,id=qmp,path=/run/100.qmp,server=on,"
    "wait=off' -mon 'chardev=qmp,mode=control' -pidfile /run/100.pid -daemonize -smp '4,sockets=1,cores=4,maxcpus=4' "
    "-nodefaults -vnc 'unix:/run/100.vnc,password=on' -cpu kvm64,enforce,+kvm_pv_eoi -m 4096 -device "
    "'VGA,id=vga,bus=pci.0,addr=0x2' -drive 'file=/dev/zvol/vm-100,if=none,id=drive-scsi0' -machine 'type=pc-i440fx-7.2+pve0'"
)
XML = """
<domain type='kvm'>
  <name>web</name>
  <maxMemory slots='16' unit='GiB'>32</maxMemory>
  <memory unit='KiB'>5242880</memory>
  <vcpu placement='static'>4</vcpu>
  <memoryBacking><hugepages><page size='1' unit='GiB'/></hugepages><access mode='shared'/></memoryBacking>
  <os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type></os>
  <cpu><numa>
    <cell id='0' cpus='0-1' memory='2' unit='GiB'/>
    <cell id='1' cpus='2-3' memory='2' unit='GiB'/>
  </numa></cpu>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <interface type='network'><model type='virtio'/></interface>
    <memory model='dimm'><target><size unit='GiB'>1</size><node>0</node></target></memory>
  </devices>
</domain>
"""


def ram(contract: Contract) -> dict[str, int]:
    return {block.name: block.used_length for block in contract.blocks if block.role != "board"}


def reasons(source: str, destination: str) -> list[tuple[str, str | None]]:
    verdict = ask(source, destination)[0][0]
    return [(reason.subject, reason.text) for reason in verdict.reasons]


# Sides


def test_a_log_of_libvirt() -> None:
    found = read_text(LIBVIRT, "web.log")
    assert (found.release, found.machine_type, found.target) == ("7.2", "pc-q35-7.2", "x86_64")
    assert ram(found) == {"pc.ram": 4 * GIB}
    (memory,) = [block for block in found.blocks if block.name == "pc.ram"]
    assert (memory.page_size, memory.shared) == (2 << 20, True)
    (note,) = found.notes
    assert note.startswith("not modelled, memory does not depend on it: -object secret, -rtc, -boot, -blockdev")
    (unchecked,) = [each.what for each in found.unchecked if "virtio-net" in each.what]
    assert unchecked == "-device virtio-net-pci (Bus 'pci.1' not found)"


def test_a_line_of_proxmox_also_where_it_failed() -> None:
    for text in (PROXMOX, f"TASK ERROR: start failed: command '{PROXMOX}' failed: exit code 1"):
        found = read_text(text, "task")
        assert (found.machine_type, found.target) == ("pc-i440fx-7.2", "x86_64")
        assert ram(found) == {"pc.ram": 4 * GIB}
        assert not found.exact
        assert {"0000:00:02.0/vga.vram", "0000:00:02.0/vga.rom"} <= {block.name for block in found.blocks}
        assert not found.unchecked


def test_the_xml_of_a_domain() -> None:
    found = read_text(XML, "web.xml", "7.2")
    assert ram(found) == {"ram-node0": 2 * GIB, "ram-node1": 2 * GIB, "memdimm0": GIB}
    assert {block.page_size for block in found.blocks if block.role != "board"} == {GIB}
    assert found.ram_slots == 16
    plain = XML.replace("<cpu><numa>", "<cpu><!--").replace("</numa></cpu>", "--></cpu>")
    assert ram(read_text(plain, "web.xml", "7.2")) == {"pc.ram": 4 * GIB, "memdimm0": GIB}


@pytest.mark.parametrize(
    ("text", "release", "machine"),
    [
        ("-M pc -nodefaults", "11.1", "pc-i440fx-11.1"),
        ("/opt/qemu-7.2.1/bin/qemu-system-x86_64 -M q35", "7.2", "pc-q35-7.2"),
        ("qemu-system-s390x-10.0 -m 1G", "10.0", "s390-ccw-virtio-10.0"),
        ("ramslot -qemu 5.2 -M pc", "5.2", "pc-i440fx-5.2"),
        ("qemu-system-x86_64 -M pc-i440fx-2.2", "7.2", "pc-i440fx-2.2"),
        ("qemu-system-x86_64-8.2.4 -M pc-q35-7.2", "7.2", "pc-q35-7.2"),
        ("qemu-system-x86_64-9.0 -M q35", "10.0", "pc-q35-9.0"),
        ("qemu-system-x86_64-9.0 -m 1G", "10.0", "pc-i440fx-9.0"),
        ("qemu-system-s390x-8.1 -m 1G", "10.0", "s390-ccw-virtio-8.1"),
        ("A=1 B='2 3' exec qemu-system-x86_64-7.2 -machine q35", "7.2", "pc-q35-7.2"),
    ],
)
def test_versions_are_found_where_people_write_them(text: str, release: str, machine: str) -> None:
    found = read_side(text)
    assert (found.release, found.machine_type) == (release, machine)
    assert found.exact == (not any(f"-{other}" in text for other in ("8.1", "8.2", "9.0")))


def test_the_last_command_of_a_log_counts() -> None:
    line = find_command_line(f"{PC} -m 1G\nnothing\n{PC} -m 2G\nit's over")
    assert line is not None
    assert line.words[-2:] == ("-m", "2G")
    assert find_command_line("nothing to see\nhere") is None


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("nonsense", "is no command line"),
        ("qemu-system-x86_64 -nosuch", "-nosuch: invalid option"),
        ("qemu-system-x86_64 -m", "-m: requires an argument"),
        ("qemu-system-x86_64 -M nosuch", "unsupported machine type"),
        ("qemu-system-x86_64 -M none -help", "-help: asks for help"),
        ("<domain/>", "names no machine type"),
        ("<html/>", "describes no domain"),
        ("<domain", "is no XML"),
        ('{"blocks": 1}', "is no contract"),
        ("unix:/nonexistent/monitor", "No such file or directory"),
    ],
)
def test_what_is_not_understood_is_said(text: str, error: str) -> None:
    with pytest.raises(VMError, match=error):
        read_side(text)


def test_a_contract_goes_through_json() -> None:
    import json

    found = read_text(LIBVIRT, "log")
    assert Contract.from_json(json.loads(json.dumps(found.to_json()))) == found


def test_hostile_files_are_told(tmp_path: Path) -> None:
    path = tmp_path / "stream"
    for data in (b"QEVM", b"QEVM\0\0\0\3\7\xff\xff\xff\xff", b"QEVM\0\0\0\3\1\0\0\0\2\3ram" + b"\0" * 40, b"\xff" * 99):
        path.write_bytes(data)
        with pytest.raises(VMError):
            read_side(str(path))


def test_devices_of_a_domain_are_where_it_says() -> None:
    devices = """
    <controller type='pci' index='0' model='pcie-root'/>
    <controller type='pci' index='1' model='pcie-root-port'><target chassis='1' port='0x10'/>
      <address type='pci' domain='0x0000' bus='0x00' slot='0x02' function='0x0' multifunction='on'/></controller>
    <controller type='pci' index='2' model='pcie-root-port'><target chassis='2' port='0x11'/>
      <address type='pci' domain='0x0000' bus='0x00' slot='0x02' function='0x1'/></controller>
    <interface type='network'><model type='virtio'/>
      <address type='pci' domain='0x0000' bus='0x02' slot='0x00' function='0x0'/></interface>
    <video><model type='vga'/><address type='pci' domain='0x0000' bus='0x00' slot='0x01' function='0x0'/></video>
    </devices>"""
    told = XML.replace("<interface type='network'><model type='virtio'/></interface>", "").replace(
        "</devices>", devices
    )
    found = read_text(told, "web.xml", "7.2")
    assert not found.unchecked
    names = {block.name for block in found.blocks}
    assert {"0000:00:02.1:00.0/virtio-net-pci.rom", "0000:00:01.0/vga.vram", "0000:00:01.0/vga.rom"} <= names
    (unchecked,) = read_text(XML, "web.xml", "7.2").unchecked
    assert unchecked.what == "-device virtio-net-pci (Bus 'not-told' not found)"


# What is not modelled


def test_what_may_bring_blocks_makes_a_yes_uncertain() -> None:
    plain = f"{PC} -m 1G"
    assert ask(plain, plain)[0][0].certain
    for other in (f"{plain} -device vfio-pci,host=01:00.0", f"{plain} -device nosuch-card"):
        verdict = ask(plain, other)[0][0]
        assert verdict.compatible
        assert not verdict.certain, other


def test_blocks_of_devices_are_missing_where_there_is_no_such_device() -> None:
    plain = f"{PC} -m 1G"
    assert reasons(f"{plain} -device VGA,addr=5", f"{plain} -device VGA,addr=6") == [
        ("block", f'Unknown ramblock "0000:00:05.0/{name}", cannot accept migration')
        for name in ("vga.vram", "vga.rom")
    ]
    assert "vga.vram" in str(reasons(plain.replace("-nodefaults ", ""), plain)[0][1])
    assert "e1000.rom" in str(
        reasons(plain.replace("-nodefaults ", ""), plain.replace("-nodefaults ", "-net none "))[0][1]
    )
    for other in (f"{plain} -device VGA", plain.replace("-nodefaults ", "")):
        verdict = ask(other, other)[0][0]
        assert (verdict.compatible, verdict.certain) == (True, True)


def test_the_same_unknown_on_both_sides_is_the_same() -> None:
    side = f"{PC} -m 1G -device vfio-pci,host=01:00.0 -pflash x"
    assert ask(side, f"{side} -rtc base=utc")[0][0].certain
    assert not ask(side, side.replace("7.2", "10.0").replace("pc ", "pc-i440fx-7.2 "))[0][0].certain


def test_firmware_in_flash_memory_takes_the_place_of_the_rom() -> None:
    told = reasons(f"{PC} -m 1G", f"{PC} -m 1G -drive if=pflash,file=x")
    assert told == [("block", 'Unknown ramblock "pc.bios", cannot accept migration')]


def test_flash_memory_counts_where_its_files_are_here(tmp_path: Path) -> None:
    code, variables = tmp_path / "code.fd", tmp_path / "vars.fd"
    code.write_bytes(bytes(8192))
    variables.write_bytes(bytes(4096))
    nodes = "".join(
        f" -blockdev file,filename={path},node-name=s{number} -blockdev raw,file=s{number},node-name=f{number}"
        for number, path in enumerate((code, variables))
    )
    by_nodes = f"{PC} -m 1G -machine pflash0=f0,pflash1=f1{nodes}"
    by_drives = f"{PC} -m 1G -drive if=pflash,format=raw,file={code} -drive if=pflash,format=raw,file={variables}"
    verdict = ask(by_nodes, by_drives)[0][0]
    assert (verdict.compatible, verdict.certain) == (True, True)
    told = reasons(by_drives, by_drives.replace(str(variables), str(code)))
    assert len(told) == 1 and "system.flash1" in str(told[0][1])
    assert "pc.bios" in str(reasons(f"{PC} -m 1G", by_drives)[0][1])


def test_a_no_is_certain_whatever_is_unknown() -> None:
    verdict = ask(f"{PC} -m 1G -pflash x", f"{PC} -m 2G -pflash y")[0][0]
    assert (verdict.compatible, verdict.certain) == (False, True)


# Verdicts


def test_pc_is_another_machine_in_each_qemu() -> None:
    told: dict[str, Any] = ramslot.compat(f"{PC} -m 1G", f"{PC} -m 1G".replace("7.2", "11.1"), both=True)
    assert (told["compatible"], told["accepted"], told["certain"]) == (False, False, True)
    (reason,) = told["reasons"]
    assert reason["error"] == "Machine type received is 'pc-i440fx-7.2' and local is 'pc-i440fx-11.1'"
    assert reason["stderr"][-1].startswith("load of migration failed: Invalid argument: post load hook failed")
    assert "an alias such as 'pc'" in reason["why"]
    assert told["fix"]["changes"] == ["-machine pc-i440fx-7.2"]
    assert [each["subject"] for each in told["back"]["reasons"]] == ["machine type", "command"]


NODES = (
    "-smp 2 -m 2G -object memory-backend-ram,id=a,size=1G -object memory-backend-ram,id=b,size=1G -numa node,memdev={} "
    "-numa node,memdev={}"
)


def test_memory_that_would_lie_elsewhere_is_told_although_qemu_takes_it() -> None:
    source, destination = f"{PC} {NODES.format('a', 'b')}", f"{PC} {NODES.format('b', 'a')}"
    verdict, fix = ask(source, destination)[0]
    assert (verdict.compatible, verdict.accepted) == (False, True)
    assert [(reason.subject, reason.block, reason.text) for reason in verdict.reasons] == [
        ("memory map", "a", None),
        ("memory map", "b", None),
    ]
    assert fix is not None
    assert fix.changes == ("-numa nodes with memdev=a, b in this order",)


@pytest.mark.parametrize(
    ("source", "destination", "changes"),
    [
        ("-m 2G", "-m 1G", ["-m 2G"]),
        ("-m 1G,slots=2,maxmem=4G", "-m 1G", ["-m slots=2,maxmem=4G"]),
        ("-m 1G", "-m 1G,slots=2,maxmem=4G", ["-m without slots"]),
        ("-m 1G,maxmem=8G,slots=2", "-m 1G,slots=2,maxmem=4G", []),
        (
            "-m 1G",
            "-m 1G -M pc,memory-backend=m -object memory-backend-memfd,id=m,size=1G,share=on",
            ["id=pc.ram instead of id=m"],
        ),
        (
            "-m 1G -M pc,memory-backend=m -object memory-backend-ram,id=m,size=1G",
            "-m 1G",
            ["-machine memory-backend=m -object memory-backend-ram,id=m,size=1G"],
        ),
        (
            "-m 1G,slots=1,maxmem=4G -object memory-backend-ram,id=d,size=1G -device pc-dimm,memdev=d",
            "-m 1G,slots=1,maxmem=4G",
            ["-object memory-backend-ram,id=d,size=1G -device pc-dimm,memdev=d,addr=0x100000000"],
        ),
        (NODES.format("a", "b"), "-m 2G -smp 2", None),
        ("-m 2G -smp 2", NODES.format("a", "b"), ["no -numa nodes with memory of their own"]),
        ("-m 2G -M pc,max-ram-below-4g=1G", "-m 2G", ["-machine max-ram-below-4g=1G"]),
        ("-m 2G", "-m 1G -M q35", ["-machine pc-i440fx-7.2", "-m 2G"]),
    ],
)
def test_the_change_that_is_proposed_fits(source: str, destination: str, changes: list[str] | None) -> None:
    verdict, fix = ask(f"{PC} {source}", f"{PC} {destination}")[0]
    if changes == []:
        assert verdict.compatible
        return
    assert fix is not None
    if changes is not None:
        assert list(fix.changes) == changes
    import shlex

    assert ask(f"{PC} {source}", shlex.join(fix.words))[0][0].compatible


def test_names_by_path() -> None:
    old = "-M pc-i440fx-3.1,memory-backend=m -m 1G -object memory-backend-memfd,id=m,size=1G"
    verdict, fix = ask(f"{PC} {old}", f"{PC} {old},x-use-canonical-path-for-ramblock-id=off")[0]
    assert verdict.refusal is not None
    assert verdict.refusal.text == 'Unknown ramblock "/objects/m", cannot accept migration'
    assert fix is not None
    assert fix.changes == ("x-use-canonical-path-for-ramblock-id=on for 'm'",)


def test_a_log_can_be_changed_too(tmp_path: Path) -> None:
    path = tmp_path / "web.log"
    path.write_text(LIBVIRT)
    _verdict, fix = ask("qemu-system-x86_64-7.2 -nodefaults -M q35 -m 8G", str(path))[0]
    assert fix is not None
    assert fix.changes == ("-m 8G",)
    assert "memory-backend-memfd,id=pc.ram,hugetlb=on,hugetlbsize=2097152,share=on,size=8G" in fix.words


def test_no_change_is_proposed_where_none_helps() -> None:
    source = "qemu-system-x86_64-11.1 -M none -m 4"
    verdict, fix = ask(source, source.replace("11.1", "7.2"))[0]
    assert [reason.text for reason in verdict.reasons] == ["MIG_CMD 0xb unknown (len 0x0)"]
    assert fix is None


def test_what_differs_and_does_not_matter_is_told() -> None:
    shared = "-M pc,memory-backend=pc.ram -m 1G -object memory-backend-memfd,id=pc.ram,size=1G,hugetlb=on,share=on"
    told = ramslot.compat(f"{PC} {shared}", f"{PC} -m 1G")
    assert told["compatible"]
    assert told["blocks"][0]["differs"] == ["page size", "sharing"]
    assert len(told["remarks"]) == 2


def test_texts_are_in_the_words_of_the_destination() -> None:
    source, destination = f"{PC} -m 1G", f"{PC} -m 2G"
    told = reasons(source, destination)
    assert told == [("block", "Size mismatch: pc.ram: 0x40000000 != 0x80000000: Invalid argument")]
    verdict = ask(source, destination.replace("7.2", "11.1").replace("pc ", "pc-i440fx-7.2 "))[0][0]
    assert verdict.release is find_release("11.1")
    assert verdict.reasons[0].lines(verdict.release)[-1].endswith("Failed to load vmstate version_id: 4, ret: -22")
