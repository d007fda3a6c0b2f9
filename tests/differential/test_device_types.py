"""The types of devices that a QEMU lists, and the properties of each, by name and type: clients choose by them what to use."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from .oracle import RELEASES, our_command, qemu

BY_LIBVIRT = (
    "virtio-blk-pci", "virtio-net-pci", "virtio-scsi-pci", "vfio-pci", "scsi-hd", "ide-hd", "usb-redir", "usb-storage",
    "VGA", "vmware-svga", "virtio-gpu-pci", "virtio-balloon-pci", "nvdimm", "pcie-root-port", "usb-host", "intel-iommu",
    "vhost-user-fs-device", "virtio-mem-pci", "virtio-iommu-pci", "virtio-vga", "pc-dimm", "ivshmem-plain", "isa-serial",
    "pci-bridge", "i82801b11-bridge", "vhost-user-gpu-pci", "vhost-scsi-pci", "absent", "device", "memory-backend-ram",
)  # fmt: skip
"""What libvirt asks for before it uses a QEMU for the first time, and more."""
OF_OTHER_TARGETS = {("loadparm", "string")}
"""Properties that are recorded without the targets that have them."""


def answers(program: list[str], requests: list[tuple[str, dict[str, Any]]]) -> list[dict[str, Any]]:
    lines = [json.dumps({"execute": command, "arguments": arguments}) for command, arguments in requests]
    run = subprocess.run(
        [*program, "-M", "none", "-display", "none", "-nodefaults", "-S", "-qmp", "stdio"],
        input="\n".join(['{"execute": "qmp_capabilities"}', *lines, '{"execute": "quit"}']),
        capture_output=True, text=True, timeout=60, check=True, pipesize=1 << 20,
    )  # fmt: skip
    messages = [json.loads(line) for line in run.stdout.splitlines()]
    return [message for message in messages if "return" in message or "error" in message][1:-1]


def properties(answer: dict[str, Any]) -> object:
    if "error" in answer:
        return answer["error"]
    found = [(declared["name"], declared["type"]) for declared in answer["return"]]
    assert len(set(found)) == len(found), "libvirt takes nothing twice"
    return set(found) - OF_OTHER_TARGETS


@pytest.mark.parametrize("release", RELEASES)
def test_properties_of_devices_are_those_of_qemu(release: str) -> None:
    program = qemu("x86_64", release)
    if program is None:
        pytest.skip(f"QEMU {release} is not installed")
    requests = [("device-list-properties", {"typename": name}) for name in BY_LIBVIRT]
    ours = answers(our_command("x86_64", (), release), requests)
    for name, mine, theirs in zip(BY_LIBVIRT, ours, answers([program], requests), strict=True):
        assert properties(mine) == properties(theirs), name


@pytest.mark.parametrize("release", ["5.2", "7.2"])
@pytest.mark.parametrize("arch", ["x86_64", "s390x", "aarch64"])
def test_types_are_listed(arch: str, release: str) -> None:
    """A newer QEMU, when it lists its types, dies of modules that its package has not."""
    program = qemu(arch, release)
    if program is None:
        pytest.skip(f"QEMU {release} is not installed")
    request = [("qom-list-types", {"implements": "device"})]
    (ours,), (theirs,) = answers(our_command(arch, (), release), request), answers([program], request)
    known = {found["name"] for found in theirs["return"]}
    told = [found["name"] for found in ours["return"] if found["name"] != "xen-platform"]  # whose module may be missing
    assert len(set(told)) == len(told) >= 100
    assert ("virtio-blk-ccw" if arch == "s390x" else "pcie-root-port") in told
    assert set(told) <= known
