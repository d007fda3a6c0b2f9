"""A proxy between two real QEMUs: python tests/benchmarks/proxy.py [MIB] [ROUNDS]

Moves the memory of a machine from QEMU to QEMU over a unix socket, unlimited, once as it is and once through `proxy`, which
renames the block; with noise, and with a mixture of noise and zeros. Prints medians and the ratio. Judges nothing.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from migrate import MIB, Monitor, fill  # type: ignore[import-not-found]  # it is beside this file

KINDS = ("noise", "mixture")


def measure(kind: str, size: int, folder: Path, *, proxied: bool) -> float:
    """Seconds until the destination has it."""
    near, far = folder / "near", folder / "far"
    for socket in (near, far):
        socket.unlink(missing_ok=True)
    names = ("ram0", "ram1" if proxied else "ram0")
    destination, source = (
        Monitor("QEMU", ["-object", f"{memory},size={size},id={name}", *more], name)
        for memory, name, more in (
            ("memory-backend-ram", names[1], ["-incoming", f"unix:{far}"]),
            (f"memory-backend-file,mem-path={folder / kind},share=on", names[0], []),
        )
    )
    proxy = None
    if proxied:
        command = [sys.executable, "-m", "ramslot", "proxy", f"unix:{near}", f"unix:{far}", "-map", "ram0=ram1"]
        proxy = subprocess.Popen(command)
        while not near.exists():
            time.sleep(0.01)
    source.ask("migrate-set-parameters", **{"max-bandwidth": 0})
    began = time.perf_counter()
    source.ask("migrate", uri=f"unix:{near if proxied else far}")
    while destination.ask("query-status")["status"] == "inmigrate":
        time.sleep(0.002)
    seconds = time.perf_counter() - began
    source.close()
    destination.close()
    if proxy is not None:
        proxy.wait()
    return seconds


def main() -> None:
    size, rounds = (int(word) for word in (*sys.argv[1:], *("1024", "5")[len(sys.argv) - 1 :]))
    if not shutil.which("qemu-system-x86_64"):
        raise SystemExit("there is no QEMU to stand between")
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # the modules of an installed command are compiled
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None) as name:
        for kind in KINDS:
            folder = Path(name)
            fill(folder / kind, kind, size * MIB)
            found: dict[bool, list[float]] = {False: [], True: []}
            for _ in range(rounds):
                for proxied, seconds in found.items():
                    seconds.append(measure(kind, size * MIB, folder, proxied=proxied))
            (folder / kind).unlink()
            direct, through = (statistics.median(found[proxied]) for proxied in (False, True))
            print(
                f"{kind}: QEMU to QEMU {direct:.2f} s, through the proxy {through:.2f} s  ratio {through / direct:.2f}"
            )


if __name__ == "__main__":
    main()
