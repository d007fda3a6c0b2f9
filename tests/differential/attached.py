"""Real QEMUs with a QMP socket to attach to, and the machines that are looked at."""

from __future__ import annotations

import json
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ramslot.vm.releases import VERSIONS

from .oracle import qemu

MACHINES: dict[str, tuple[str, ...]] = {
    "pc": (
        *("x86_64", "-M", "pc", "-m", "2G,slots=4,maxmem=4G"),
        *("-object", "memory-backend-ram,id=m1,size=512M", "-device", "pc-dimm,memdev=m1,id=d1"),
    ),
    "q35": (
        *("x86_64", "-M", "q35", "-m", "4G,slots=2,maxmem=8G", "-smp", "2"),
        *("-object", "memory-backend-ram,id=n0,size=1G", "-object", "memory-backend-ram,id=n1,size=3G"),
        *("-numa", "node,memdev=n0,cpus=0", "-numa", "node,memdev=n1,cpus=1"),
    ),
    "virtio-mem": (
        *("x86_64", "-M", "pc", "-m", "1G,maxmem=4G"),
        *("-object", "memory-backend-ram,id=m2,size=512M", "-device", "virtio-mem-pci,id=vm0,memdev=m2"),
    ),
    "virt": ("aarch64", "-M", "virt", "-m", "2G"),
    "pseries": ("ppc64", "-M", "pseries", "-m", "1G,slots=2,maxmem=2G"),
    "s390x": ("s390x", "-M", "s390-ccw-virtio", "-m", "1G"),
    "none": ("x86_64", "-M", "none", "-m", "64M"),
}
BOARDS: dict[str, tuple[str, ...]] = {
    "devices": (
        *("x86_64", "-M", "q35", "-m", "6G", "-device", "VGA", "-device", "virtio-net-pci", "-device", "e1000"),
        *("-object", "memory-backend-ram,id=iv,size=1M,share=on", "-device", "ivshmem-plain,memdev=iv"),
    ),
    "powernv9": ("ppc64", "-M", "powernv9"),
    "g3beige": ("ppc", "-M", "g3beige"),
    "malta": ("mips", "-M", "malta"),
    "riscv": ("riscv64", "-M", "virt", "-m", "4G"),
    "SS-5": ("sparc", "-M", "SS-5"),
    "sun4u": ("sparc64", "-M", "sun4u"),
    "versal": ("aarch64", "-M", "xlnx-versal-virt"),
    "secure": ("aarch64", "-M", "virt,gic-version=3,secure=on", "-cpu", "max", "-m", "2G"),
}
"""Boards that are looked at alone: with registers and devices that are not modelled here."""
RELEASES = tuple(reversed(VERSIONS))
PATIENCE = 30


def options_of(machine: str) -> tuple[str, list[str]]:
    arch, *options = (MACHINES | BOARDS)[machine]
    return arch, [*options, "-nodefaults", "-display", "none", "-S"]


@contextmanager
def running(machine: str, release: str, *more: str) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """The address of the QMP monitor of a QEMU, which ends with the context; skips where there is no such QEMU."""
    arch, options = options_of(machine)
    program = qemu(arch, release)
    if program is None:
        pytest.skip(f"there is no qemu-system-{arch} {release}")
    if "-cont" in more:  # a guest that runs
        options.remove("-S")
        more = tuple(word for word in more if word != "-cont")
    with tempfile.TemporaryDirectory(prefix="ramslot-") as folder:
        path = Path(folder) / "qmp"
        process = subprocess.Popen(
            [program, *options, *more, "-qmp", f"unix:{path},server=on,wait=off"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        try:
            wait_for_socket(path, process)
            yield f"unix:{path}", process
        finally:
            process.kill()
            process.communicate()


def wait_for_socket(path: Path, process: subprocess.Popen[bytes]) -> None:
    """Until somebody listens there; nobody is connected to, for that may be all that a server serves."""
    deadline = time.monotonic() + PATIENCE
    while not (path.exists() and _listens(path)):
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline, f"no listener on {path}"
        time.sleep(0.01)


def _listens(path: Path) -> bool:
    """Whether the kernel has a listener of this path (proc(5): the flag 0x10000 is __SO_ACCEPTCON)."""
    with open("/proc/net/unix") as file:
        return any(line.split()[3] == "00010000" for line in file if line.rstrip().endswith(f" {path}"))


def ask(address: str, *questions: str) -> list[Any]:
    """What a monitor answers to HMP lines and QMP JSON, by the plainest of clients."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(PATIENCE)
        connection.connect(address.removeprefix("unix:"))
        file = connection.makefile("rwb")
        file.readline()
        answers = []
        for question in ('{"execute": "qmp_capabilities"}', *questions):
            line = {"execute": "human-monitor-command", "arguments": {"command-line": question}}
            file.write(question.encode() if question.startswith("{") else json.dumps(line).encode())
            file.flush()
            while "event" in (message := json.loads(file.readline())):
                pass
            answers.append(message.get("return", message))
        return answers[1:]
