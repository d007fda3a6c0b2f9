"""Devices that are no memory themselves: their RAMBlocks and the view of memory with them, as real QEMU has them.

Each alone, on several machines; whole command lines as libvirt, Proxmox VE and others write them; default devices;
and what is refused.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .oracle import QUIET, RELEASES, compare
from .test_devices import PSERIES

QUESTIONS = ["info ramblock", "info mtree -f"]
BLOCKS = ["info ramblock"]
WITH_DEFAULTS = tuple(word for word in QUIET if word != "-nodefaults")

PCI = (
    *("VGA", "VGA,vgamem_mb=64", "VGA,vgamem_mb=3", "VGA,edid=off", "cirrus-vga", "cirrus-vga,vgamem_mb=16"),
    *("vmware-svga", "secondary-vga", "bochs-display", "bochs-display,vgamem=33554432", "virtio-gpu-pci", "ati-vga"),
    *("e1000,netdev=n", "e1000e,netdev=n", "rtl8139,netdev=n", "pcnet,netdev=n", "ne2k_pci,netdev=n"),
    *(
        "virtio-net-pci,netdev=n",
        "virtio-net-pci-non-transitional,netdev=n",
        "e1000,romfile=",
        "virtio-net-pci,rombar=0",
    ),
    *("virtio-scsi-pci", "virtio-serial-pci", "virtio-rng-pci", "virtio-keyboard-pci", "virtio-balloon-pci"),
    *("qemu-xhci", "nec-usb-xhci", "ich9-usb-ehci1", "piix3-usb-uhci", "megasas", "pvscsi", "nvme-subsys", "sdhci-pci"),
    *("ich9-intel-hda", "i6300esb", "edu", "pci-testdev", "pcie-root-port", "pcie-pci-bridge", "i82801b11-bridge"),
)
X86 = (
    *("virtio-vga", "vmxnet3,netdev=n", "tulip,netdev=n", "i82559er,netdev=n", "isa-vga", "isa-cirrus-vga", "ramfb"),
    *("vmcoreinfo", "vmgenid", "pxb-pcie,bus_nr=9", "usb-hub"),
)
OTHER = {
    "x86_64": ("-M q35 -device qemu-xhci", (*PCI, *X86)),
    "aarch64": ("-M virt", PCI[::3]),
    "ppc64": (f"-M {PSERIES}", PCI[1::3]),
    "s390x": ("-M s390-ccw-virtio", ("virtio-net-pci,netdev=n", "virtio-net-ccw,netdev=n", "virtio-rng-ccw", "VGA")),
}
LIBVIRT = """
-M q35,usb=off,dump-guest-core=off -m 1G -smp 2
-device '{"driver":"pcie-root-port","port":16,"chassis":1,"id":"pci.1","bus":"pcie.0","multifunction":true,"addr":"0x2"}'
-device '{"driver":"pcie-root-port","port":17,"chassis":2,"id":"pci.2","bus":"pcie.0","addr":"0x2.0x1"}'
-device '{"driver":"pcie-root-port","port":18,"chassis":3,"id":"pci.3","bus":"pcie.0","addr":"0x2.0x2"}'
-device '{"driver":"qemu-xhci","p2":15,"p3":15,"id":"usb","bus":"pci.2","addr":"0x0"}'
-device '{"driver":"virtio-serial-pci","id":"virtio-serial0","bus":"pci.3","addr":"0x0"}'
-netdev user,id=hostnet0
-device '{"driver":"virtio-net-pci","netdev":"hostnet0","id":"net0","mac":"52:54:00:c6:4b:38","bus":"pci.1","addr":"0x0"}'
-device '{"driver":"usb-tablet","id":"input0","bus":"usb.0","port":"1"}'
-device '{"driver":"virtio-vga","id":"video0","max_outputs":1,"bus":"pcie.0","addr":"0x1"}'
-device '{"driver":"virtio-balloon-pci","id":"balloon0","bus":"pcie.0","addr":"0x3"}'
"""
PROXMOX = """
-M pc-i440fx-{version} -m 512 -vga std
-device pci-bridge,id=pci.1,chassis_nr=1,bus=pci.0,addr=0x1e -device pci-bridge,id=pci.2,chassis_nr=2,bus=pci.0,addr=0x1f
-device piix3-usb-uhci,id=uhci,bus=pci.0,addr=0x1.0x2 -device usb-tablet,id=tablet,bus=uhci.0,port=1
-device virtio-balloon-pci,id=balloon0,bus=pci.0,addr=0x3 -device virtio-scsi-pci,id=scsihw0,bus=pci.0,addr=0x5
-netdev user,id=net0
-device virtio-net-pci,mac=AA:BB:CC:DD:EE:FF,netdev=net0,bus=pci.0,addr=0x12,id=net0,romsize=262144
-netdev user,id=net1 -device e1000,netdev=net1,bus=pci.1,addr=0x4,id=net1
"""
KATA = """
-M q35 -m 2G,slots=10,maxmem=8G -object memory-backend-ram,id=d,size=64M -device pc-dimm,memdev=d
-device pci-bridge,bus=pcie.0,id=pci-bridge-0,chassis_nr=1,shpc=off,addr=2 -device virtio-serial-pci,disable-modern=false,id=s0
-device virtio-scsi-pci,id=scsi0,disable-modern=false -device virtio-rng-pci -netdev user,id=network-0
-device driver=virtio-net-pci,netdev=network-0,mac=02:42:ac:11:00:02,disable-modern=false,mq=on,vectors=4
-device pcie-root-port,id=rp0,bus=pcie.0,chassis=0,slot=0
"""


def line(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize(
    ("arch", "machine", "device"),
    [(arch, machine, device) for arch, (machine, devices) in OTHER.items() for device in devices],
)
def test_a_device_brings_its_blocks(arch: str, machine: str, device: str, release: str, tmp_path: Path) -> None:
    network = " -netdev user,id=n" if "netdev=n" in device else ""
    options = f"{machine}{network} -device {device}"
    compare("other_devices", arch, options, QUESTIONS if arch == "x86_64" else BLOCKS, tmp_path, release=release)


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("device", PCI[:24])
def test_on_the_older_pc_too(device: str, release: str, tmp_path: Path) -> None:
    network = " -netdev user,id=n" if "netdev=n" in device else ""
    compare("other_devices", "x86_64", f"-M pc{network} -device {device}", QUESTIONS, tmp_path, release=release)


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("name", ["libvirt", "proxmox", "kata"])
def test_whole_lines(name: str, release: str, tmp_path: Path) -> None:
    text = {
        "libvirt": LIBVIRT,
        "proxmox": PROXMOX.replace("{version}", "5.2" if release != "11.1" else "10.0"),
        "kata": KATA,
    }[name]
    if release == "5.2":
        text = text.replace("romsize=262144", "romfile=")
        text = (
            text.replace("'{", "")
            .replace("}'", "")
            .replace('"driver":', "")
            .replace('":"', "=")
            .replace('":', "=")
            .replace('"', "")
            .replace("=true", "=on")
        )
    compare("other_devices", "x86_64", line(text), QUESTIONS, tmp_path, release=release)


DEFAULTS = (
    *("-M q35", "-M pc", "-M isapc", "-M microvm", "-M q35 -vga none", "-M pc -vga cirrus", "-M q35 -vga vmware"),
    *(
        "-M q35 -vga virtio",
        "-M pc -net none",
        "-M q35 -nic none",
        "-M pc -nic user,model=virtio -nic user,model=rtl8139",
    ),
    *("-M q35 -net nic,model=pcnet -net user", "-M pc -netdev user,id=n -device e1000e,netdev=n", "-M pc -device VGA"),
    *(
        "-M q35 -device ati-vga",
        "-M pc -device secondary-vga",
        "-M q35 -device virtio-rng-pci -device e1000e,romfile=,netdev=n -netdev user,id=n",
    ),
    "-M q35 -m 1G,slots=1,maxmem=2G -object memory-backend-ram,id=d,size=64M -device pc-dimm,memdev=d",
)


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("options", DEFAULTS)
def test_what_is_there_unasked(options: str, release: str, tmp_path: Path) -> None:
    compare("other_devices", "x86_64", options, BLOCKS, tmp_path, release=release, quiet=WITH_DEFAULTS)


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize(
    ("arch", "options"),
    [
        ("aarch64", "-M virt"),
        ("aarch64", "-M virt -vga std"),
        ("aarch64", "-M virt -net none -device VGA"),
        ("ppc64", f"-M {PSERIES}"),
        (
            "ppc64",
            f"-M {PSERIES} -device virtio-net-pci,netdev=n -netdev user,id=n",
        ),
        ("ppc64", f"-M {PSERIES} -nic user,model=virtio"),
        ("s390x", "-M s390-ccw-virtio"),
        ("sparc", "-M SS-10"),
        ("mips", "-M malta"),
    ],
)
def test_what_other_targets_have_unasked(arch: str, options: str, release: str, tmp_path: Path) -> None:
    compare("other_devices", arch, options, BLOCKS, tmp_path, release=release, quiet=WITH_DEFAULTS)


MISTAKES = (
    *("nonsense", "e1000,nonsense=1", "e1000,bus=nowhere", "e1000,bus=ide.0", "e1000,romfile=/nonexistent"),
    *("usb-tablet", "scsi-hd", "pcie-root-port -device pcie-root-port", "pci-bridge", "e1000,addr=zz", "e1000,addr=0"),
    *("e1000,addr=3 -device e1000,addr=3", "VGA,vgamem_mb=x", "virtio-blk-pci", "nvme", "usb-tablet,bus=usb.0"),
    *("pxb-pcie,id=p,bus_nr=9 -device virtio-rng-pci,bus=p", "vmcoreinfo -device vmcoreinfo", "virtio-rng-pci,disable-modern=7"),
)  # fmt: skip


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("device", MISTAKES)
def test_mistakes(device: str, release: str, tmp_path: Path) -> None:
    compare("other_devices", "x86_64", f"-M q35 -device {device}", BLOCKS, tmp_path, release=release)


def add(driver: str, **properties: object) -> str:
    return json.dumps({"execute": "device_add", "arguments": {"driver": driver, **properties}})


def remove(device: str) -> str:
    return json.dumps({"execute": "device_del", "arguments": {"id": device}})


PLUGGED = '{"execute": "qom-list", "arguments": {"path": "/machine/peripheral"}}'
ON_PC = [
    *(add("e1000", id="n"), add("VGA", id="v"), add("virtio-scsi-pci", id="s"), add("qemu-xhci", id="u")),
    *(add("usb-tablet", id="t"), add("usb-tablet"), add("pcie-root-port", id="r"), add("ide-cd", id="i")),
    *(add("scsi-cd", id="c"), add("vmcoreinfo"), add("isa-serial"), add("e1000", id="n"), add("intel-iommu")),
    *("info ramblock", remove("n"), remove("n"), remove("u"), "info ramblock", PLUGGED),
]
BEHIND_PORTS = [
    *(add("e1000", id="n"), add("e1000", id="n", bus="r2"), add("virtio-net-pci", id="n3", bus="r2")),
    *(add("virtio-net-pci", id="n2", bus="b", addr="3"), "info ramblock", remove("g"), remove("g"), remove("r")),
    *(remove("n"), remove("n"), add("VGA", bus="b", addr="4"), add("e1000", rombar=0, bus="b", addr="5"), PLUGGED),
]
PORTS = (
    "-M q35 -device pcie-root-port,id=r,chassis=1 -device virtio-rng-pci,id=g,bus=r -device pcie-root-port,id=r2,chassis=2 "
    "-device pci-bridge,chassis_nr=4,id=b,addr=7"
)


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize(
    ("arch", "options", "questions"),
    [
        ("x86_64", "-M pc", ON_PC),
        ("x86_64", PORTS, BEHIND_PORTS),
        (
            "s390x",
            "-device virtio-scsi-ccw,id=s",
            [add("virtio-net-ccw", id="n"), add("virtio-rng-pci", id="r"), PLUGGED],
        ),
        (
            *("aarch64", "-M virt -device pcie-root-port,id=r,chassis=1"),
            [add("virtio-net-pci", id="n", bus="r"), add("virtio-net-pci"), "info ramblock", PLUGGED],
        ),
    ],
)
def test_they_come_and_go_later(arch: str, options: str, questions: list[str], release: str, tmp_path: Path) -> None:
    compare("other_devices", arch, options, questions, tmp_path, release=release)
