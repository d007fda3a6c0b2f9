"""DIMMs beside real QEMU: python tests/benchmarks/plug.py [DIMMS] [PAIRS]

Times over QMP, each request answered before the next, how long it takes to plug so many DIMMs, what the second half takes of
the first, and the text views with all of them plugged. Prints medians and ratios (ours / QEMU's). Judges nothing.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from itertools import pairwise
from typing import Any

VIEWS = ("info mtree", "info mtree -f", "info ramblock", "info memory-devices")
OURS = [sys.executable, "-m", "ramslot"]
MACHINE = ["-M", "pc", "-m", "1G,slots=255,maxmem=64G", "-nodefaults", "-display", "none", "-S", "-qmp", "stdio"]


class Monitor:
    """A QMP monitor of a new process."""

    def __init__(self, command: list[str], machine: list[str] = MACHINE) -> None:
        self.process = subprocess.Popen(
            [*command, *machine], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        self.ask("qmp_capabilities")

    def ask(self, command: str, **arguments: Any) -> Any:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")
        self.process.stdin.flush()
        while True:
            answer = json.loads(self.process.stdout.readline())
            if "error" in answer:
                raise SystemExit(answer["error"]["desc"])
            if "return" in answer:
                return answer["return"]


def measure(command: list[str], count: int) -> dict[str, float]:
    """Milliseconds, by what took them."""
    monitor = Monitor(command)
    for number in range(count):
        monitor.ask("object-add", **{"qom-type": "memory-backend-ram", "id": f"m{number}", "size": 4 << 20})
    times = [time.perf_counter()]
    for number in range(count):
        monitor.ask("device_add", driver="pc-dimm", id=f"d{number}", memdev=f"m{number}")
        if number + 1 in (count // 2, count):
            times.append(time.perf_counter())
    first, second = (1000 * (end - start) for start, end in pairwise(times))
    found = {"plug": first + second, "second half of first": second / first}
    for number, view in enumerate(VIEWS, count):
        monitor.ask("human-monitor-command", **{"command-line": view})
        monitor.ask("object-add", **{"qom-type": "memory-backend-ram", "id": f"m{number}", "size": 4 << 20})
        monitor.ask("device_add", driver="pc-dimm", id=f"d{number}", memdev=f"m{number}")
        for label in (f"{view} after a change", f"{view} again"):
            start = time.perf_counter()
            monitor.ask("human-monitor-command", **{"command-line": view})
            found[label] = 1000 * (time.perf_counter() - start)
    monitor.process.kill()
    monitor.process.wait()
    return found


def main() -> None:
    count, pairs = (int(word) for word in (*sys.argv[1:], *("200", "5")[len(sys.argv) - 1 :]))
    theirs_command = shutil.which("qemu-system-x86_64")
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    measure(OURS, 2)  # the modules of an installed command are compiled
    rounds: list[tuple[dict[str, float], dict[str, float]]] = []
    for _ in range(pairs):
        ours = measure(OURS, count)
        rounds.append((ours, measure([theirs_command], count) if theirs_command else ours))
    for name in rounds[0][0]:
        ours_median = statistics.median(ours[name] for ours, _ in rounds)
        theirs_median = statistics.median(theirs[name] for _, theirs in rounds)
        ratio = f"  ratio {ours_median / theirs_median:.2f}" if theirs_command else ""
        print(f"{name}: ours {ours_median:.2f}, QEMU {theirs_median:.2f}{ratio}")


if __name__ == "__main__":
    main()
