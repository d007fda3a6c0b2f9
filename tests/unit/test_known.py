"""What QEMU has and ramslot does not model is told as that; what neither has is QEMU's to refuse."""

from __future__ import annotations

import subprocess
import sys

import pytest

from ramslot.vm import known
from ramslot.vm.releases import find_release


def refusal(*options: str) -> str:
    command = [sys.executable, "-m", "ramslot", *options, "-c", "info status"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (1, "")
    return done.stderr.splitlines()[0]


def told(*options: str) -> str:
    command = [sys.executable, "-m", "ramslot", *options, "-c", "info status"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    return done.stderr


@pytest.mark.parametrize(
    ("target", "machine", "name", "where"),
    [
        ("x86_64", "pc", "kernel_irqchip=on", "not modelled, memory does not depend on it: "),
        ("x86_64", "pc", "nvdimm-persistence=cpu", "not modelled, memory does not depend on it: "),
        ("x86_64", "pc-q35-7.2", "confidential-guest-support=x", "not modelled, and memory depends on it: "),
        ("aarch64", "virt", "iommu=smmuv3", "not modelled, memory does not depend on it: "),
        ("s390x", "s390-ccw-virtio", "loadparm=1", "not modelled, memory does not depend on it: "),
        ("arm", "ast2600-evb", "fmc-model=x", "not modelled, memory does not depend on it: "),
    ],
)
def test_properties_of_machines_that_are_not_modelled(target: str, machine: str, name: str, where: str) -> None:
    said = told("--target", target, "-M", f"{machine},{name}", *(("-m", "1G") if "ast" in machine else ()))
    assert said.splitlines()[0] == f"ramslot: {where}-machine {name.partition('=')[0].replace('_', '-')}="


def test_properties_that_there_are_not() -> None:
    assert refusal("-M", "pc,nonesuch=on") == "ramslot: Property 'pc-i440fx-11.1-machine.nonesuch' not found"
    assert refusal("-M", "pc,loadparm=1") == "ramslot: Property 'pc-i440fx-11.1-machine.loadparm' not found"


def test_options() -> None:
    assert (
        told("-rtc", "base=utc", "-snapshot")
        == "ramslot: not modelled, memory does not depend on it: -rtc, -snapshot\n"
    )
    assert refusal("-dump-vmstate", "x") == "ramslot: -dump-vmstate x: this option is not modelled (QEMU has it)"
    assert refusal("-nonesuch") == "ramslot: -nonesuch: invalid option"


def test_objects() -> None:
    command = [
        sys.executable,
        "-m",
        "ramslot",
        "-object",
        "rng-builtin,id=s",
        "-c",
        "qom-list /objects",
        "-c",
        "object_del s",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.stderr == "ramslot: not modelled, memory does not depend on it: -object rng-builtin\n"
    assert "s (child<rng-builtin>)" in done.stdout
    refused = ["-object", '{"qom-type": "nonesuch", "id": "s"}']
    assert refusal(*refused) == f"ramslot: -object {refused[1]}: Parameter 'qom-type' does not accept value 'nonesuch'"


def test_names_come_and_go_with_releases() -> None:
    old, new = find_release("5.2"), find_release("11.1")
    assert (known.option("realtime", old), known.option("realtime", new)) == (True, None)
    assert (known.option("run-with", old), known.option("run-with", new)) == (None, True)
    assert known.option("snapshot", new) is False
    assert known.machine_property("pc-i440fx-5.2", "usb", old)
    assert not known.machine_property("pc-i440fx-5.2", "confidential-guest-support", old)
    assert known.machine_property("pc-i440fx-11.1", "confidential-guest-support", new)
    assert known.object_type("secret", old)
    assert (known.object_type("memory-backend-shm", old), known.object_type("memory-backend-shm", new)) == (False, True)


def test_cpu_models() -> None:
    old, new = find_release("5.2"), find_release("11.1")
    assert known.cpu_model("x86_64", "EPYC", old)
    assert not known.cpu_model("x86_64", "epyc", old)
    assert (known.cpu_model("aarch64", "neoverse-n2", old), known.cpu_model("aarch64", "neoverse-n2", new)) == (
        False,
        True,
    )
    assert known.cpu_model("ppc64", "Power9", old)
    assert known.cpu_model("ppc64", "004e1200", old)
    assert not known.cpu_model("ppc64", "power99", old)
    assert known.cpu_model("sparc", "Fujitsu MB86904", old)
    assert (known.cpu_model("alpha", "nonesuch", old), known.cpu_model("alpha", "nonesuch", new)) == (True, False)


def test_the_hosts_cpu_wants_kvm_or_a_described_host() -> None:
    assert refusal("-M", "pc", "-cpu", "host") == "ramslot: CPU model 'host' requires KVM or HVF"
    assert refusal("--target", "aarch64", "-M", "virt", "-cpu", "host") == "ramslot: unable to find CPU model 'host'"
    described = ("--host", "nodes=1,memory=128G,phys-bits=36", "--target", "aarch64", "-M", "virt", "-cpu", "host")
    assert refusal(*described, "-m", "96G") == (
        "ramslot: Addressing limited to 36 bits, but memory exceeds it by 35433480192 bytes"
    )
    command = [sys.executable, "-m", "ramslot", *described, "-m", "60G", "-c", "info status"]
    assert subprocess.run(command, capture_output=True, text=True).stdout == "VM status: running\n"


def test_all_of_a_machine_type_and_the_versions_with_it() -> None:
    questions = ("info machines pc-q35-8.0", "info machines -v", "info machines zzz")
    command = [sys.executable, "-m", "ramslot", "-M", "none", *(word for line in questions for word in ("-c", line))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.stdout.startswith(
        "pc-q35-8.0           Standard PC (Q35 + ICH9, 2009) (deprecated)\n"
        "  default RAM: 128 MiB, pc.ram\n"
        "  CPUs: qemu64-x86_64-cpu, at most 288, can be plugged\n"
        "  deprecated: machines more than 3 years old are subject to deletion after 6 years\n"
        "  in QEMU 11.1, 10.0\n"
    )
    assert done.stdout.count("\n  in QEMU 11.1") == 40
    assert "There is no machine 'zzz' for this target" in done.stderr
