"""Machines that real QEMU saves, in one block or in two nodes, and `ramslot stream`, which looks at what it saved."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from .oracle import OUR_ENVIRONMENT
from .partners import Partner

MIB = 1 << 20
SIZE = 64 * MIB
PROGRAM = [sys.executable, "-m", "ramslot"]
FAMILIES = {
    "pc": ("x86_64", ["-M", "pc,memory-backend=m"]),
    "q35": ("x86_64", ["-M", "q35,memory-backend=m"]),
    "none": ("x86_64", ["-M", "none,memory-backend=m"]),
    "virt": ("aarch64", ["-M", "virt,memory-backend=m", "-cpu", "cortex-a57"]),
    "pseries": ("ppc64", ["-M", "pseries,memory-backend=m"]),
    "s390x": ("s390x", ["-M", "s390-ccw-virtio,memory-backend=m", "-accel", "tcg"]),
    "sun4u": ("sparc64", ["-M", "sun4u,memory-backend=m"]),
    "xilinx-zynq-a9": ("arm", ["-M", "xilinx-zynq-a9,memory-backend=m"]),
}
BOARDS = {
    "pc": ("x86_64", ["-M", "pc"]),
    "q35": ("x86_64", ["-M", "q35"]),
    "virt": ("aarch64", ["-M", "virt", "-cpu", "cortex-a57"]),
}
SPLIT = "m=ram0@0+16M,ram1@16M"


def stream(*words: str | Path, status: int = 0) -> str:
    """What `ramslot stream WORDS...` prints on the stream that the status is about."""
    command = [*PROGRAM, "stream", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, env=OUR_ENVIRONMENT, timeout=100)
    assert (done.returncode, "Traceback" in done.stderr) == (status, False), done.stderr
    return done.stdout or done.stderr


def as_json(*words: str | Path, status: int = 0) -> Any:
    return json.loads(stream(*words, "--json", status=status))


def backend(name: str, path: Path, size: int = SIZE) -> list[str]:
    return ["-object", f"memory-backend-file,id={name},size={size},mem-path={path},share=on"]


def one_block(folder: Path) -> list[str]:
    return ["-m", "64", "-smp", "2", *backend("m", folder / "memory")]


def two_nodes(folder: Path) -> list[str]:
    """A machine whose memory is in two nodes."""
    backends = [*backend("ram0", folder / "0", SIZE // 4), *backend("ram1", folder / "1", SIZE // 4 * 3)]
    return ["-m", "64", *backends, "-smp", "2", "-numa", "node,memdev=ram0", "-numa", "node,memdev=ram1"]


def prepared(machine: Partner, *capabilities: str) -> None:
    """Have it tell of its migrations, and switch these capabilities on."""
    switched = [{"capability": name, "state": True} for name in ("events", *capabilities)]
    assert machine.ask("migrate-set-capabilities", capabilities=switched) == {}


def saved(machine: Partner, path: Path, *capabilities: str) -> None:
    """Save a machine's stream to a file."""
    prepared(machine, *capabilities)
    assert machine.ask("migrate-set-parameters", **{"max-bandwidth": 0}) == {}
    assert machine.ask("migrate", uri=f"exec:cat > {path}") == {}
    assert machine.wait_for("completed", "failed")["status"] == "completed"


def contents(*paths: Path) -> str:
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()
