"""Memory looked at in bulk, beside real QEMU: python tests/benchmarks/physical.py [ROUNDS]

Asks QEMU for 4 MiB by `xp`, and ramslot for as much by `read-memory`, in both of its encodings. Prints medians in MiB a
second, with the client's reading of the answer, and their ratio to QEMU's. Judges nothing.
"""

from __future__ import annotations

import shutil
import statistics
import sys
import time
from collections.abc import Callable

from plug import Monitor  # type: ignore[import-not-found]  # it is beside this file

MIB = 1 << 20
MACHINE = ["-M", "none", "-m", "64M", "-display", "none", "-S", "-qmp", "stdio"]


def rate(ask: Callable[[], object], size: int, rounds: int) -> float:
    """MiB a second."""
    found = []
    for _ in range(rounds):
        began = time.perf_counter()
        ask()
        found.append(size / MIB / (time.perf_counter() - began))
    return statistics.median(found)


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    theirs = 0.0
    program = shutil.which("qemu-system-x86_64")
    if program:
        monitor, line = Monitor([program], MACHINE), f"xp /{4 * MIB // 8}gx 0"
        theirs = rate(lambda: monitor.ask("human-monitor-command", **{"command-line": line}), 4 * MIB, rounds)
        print(f"QEMU, xp: {theirs:.0f} MiB/s")
        monitor.process.kill()
        monitor.process.wait()
    monitor = Monitor([sys.executable, "-m", "ramslot"], MACHINE)
    for encoding in ("hex", "base64"):
        mine = rate(lambda: monitor.ask("read-memory", address=0, size=4 * MIB, encoding=encoding), 4 * MIB, rounds)  # noqa: B023 (asked at once)
        print(f"ramslot, read-memory, {encoding}: {mine:.0f} MiB/s{f'  ratio {mine / theirs:.1f}' if theirs else ''}")
    monitor.process.kill()
    monitor.process.wait()


if __name__ == "__main__":
    main()
