"""ramslot beside real QEMU, in pairs: python tests/benchmarks/beside_qemu.py [monitor|boards] [PAIRS]

`monitor`: start to the first answer, round trip, idle memory. `boards`: whole processes that build a large machine, render
`info mtree -f` and end. Prints medians and the ratio ours/QEMU; judges nothing. Run it with the interpreter that ramslot
is installed for.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import time

MACHINES = (("x86_64", "none"), ("x86_64", "pc"), ("x86_64", "q35"), ("s390x", "s390-ccw-virtio"))
LARGE_MACHINES = (
    ("x86_64", "pc", "-smp 8 -m 6G,slots=16,maxmem=64G"),
    ("x86_64", "q35", "-smp 8 -m 6G,slots=16,maxmem=64G"),
    ("x86_64", "microvm", "-m 6G"),
    ("aarch64", "virt", "-cpu cortex-a57 -smp 8 -m 6G,slots=16,maxmem=64G"),
    ("ppc64", "pseries", "-m 6G,slots=16,maxmem=64G"),
    ("s390x", "s390-ccw-virtio", "-m 6G"),
)
QUESTIONS = (
    '{"execute": "qmp_capabilities"}',
    json.dumps({"execute": "human-monitor-command", "arguments": {"command-line": "info mtree -f"}}),
    '{"execute": "quit"}',
)


ROUND_TRIPS = 1000
ASK = b'{"execute": "query-status"}\n'


def ours(machine: str, *options: str) -> list[str]:
    """The command line of ramslot: the installed command, or the module where it is not installed."""
    command = os.path.join(os.path.dirname(sys.executable), "ramslot")
    start = [command] if os.path.exists(command) else [sys.executable, "-m", "ramslot"]
    return [*start, "-M", machine, *options, "-S", "-display", "none", "-qmp", "stdio"]


def theirs(target: str, machine: str) -> list[str]:
    """The command line of real QEMU for the same."""
    return [f"qemu-system-{target}", "-M", machine, "-S", "-display", "none", "-nodefaults", "-qmp", "stdio"]


def measure(command: list[str]) -> dict[str, float]:
    """One run: milliseconds to the first answer, CPU time till then, microseconds a round trip, memory."""
    begin = time.perf_counter()
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(b'{"execute": "qmp_capabilities"}' + ASK)
    process.stdin.flush()
    for _ in range(3):
        process.stdout.readline()
    start = time.perf_counter() - begin
    cpu = cpu_seconds(process.pid)
    begin = time.perf_counter()
    for _ in range(ROUND_TRIPS):
        process.stdin.write(ASK)
        process.stdin.flush()
        process.stdout.readline()
    round_trip = (time.perf_counter() - begin) / ROUND_TRIPS
    memory = resident(process.pid)
    process.stdin.write(b'{"execute": "quit"}\n')
    process.stdin.close()
    process.stdout.read()
    process.stdout.close()
    process.wait()
    return {"start ms": start * 1e3, "start CPU ms": cpu * 1e3, "round trip us": round_trip * 1e6} | memory


def cpu_seconds(pid: int) -> float:
    """CPU time of a process so far, user and system, all threads."""
    with open(f"/proc/{pid}/schedstat") as file:
        main_thread = int(file.read().split()[0])
    total = 0
    for thread in os.listdir(f"/proc/{pid}/task"):
        try:
            with open(f"/proc/{pid}/task/{thread}/schedstat") as file:
                total += int(file.read().split()[0])
        except OSError:
            continue
    return max(total, main_thread) / 1e9


def resident(pid: int) -> dict[str, float]:
    """Memory of a process: what is its own, and all that is resident."""
    found = {}
    with open(f"/proc/{pid}/smaps_rollup") as file:
        for line in file:
            name, _, rest = line.partition(":")
            if name in ("Rss", "Private_Clean", "Private_Dirty"):
                found[name] = int(rest.split()[0]) / 1024
    return {"resident MiB": found["Rss"], "private MiB": found["Private_Clean"] + found["Private_Dirty"]}


def seconds(command: list[str]) -> float:
    """How long a process takes for all of it; raises if it does not end well."""
    begin = time.perf_counter()
    subprocess.run(command, input="".join(QUESTIONS), capture_output=True, text=True, check=True)
    return time.perf_counter() - begin


def compare_monitors(pairs: int) -> None:
    """Print the table of monitors."""
    print(f"{'machine':16} {'figure':14} {'ramslot':>9} {'QEMU':>9} {'ratio':>6}")
    for target, machine in MACHINES:
        if shutil.which(f"qemu-system-{target}") is None:
            print(f"{machine:16} qemu-system-{target} is not installed")
            continue
        runs = [(measure(ours(machine)), measure(theirs(target, machine))) for _ in range(pairs + 1)][1:]
        for figure in runs[0][0]:
            own = statistics.median(run[0][figure] for run in runs)
            real = statistics.median(run[1][figure] for run in runs)
            ratio = statistics.median(run[0][figure] / run[1][figure] for run in runs)
            print(f"{machine:16} {figure:14} {own:9.1f} {real:9.1f} {ratio:6.2f}")


def compare_boards(pairs: int) -> None:
    """Print the table of large machines."""
    print(f"{'machine':16} {'ramslot ms':>10} {'QEMU ms':>10} {'ratio':>6}")
    for target, machine, options in LARGE_MACHINES:
        if shutil.which(f"qemu-system-{target}") is None:
            print(f"{machine:16} qemu-system-{target} is not installed")
            continue
        commands = [ours(machine, "--target", target, *options.split()), [*theirs(target, machine), *options.split()]]
        runs = [[seconds(command) for command in commands] for _ in range(pairs + 1)][1:]
        own, real = (statistics.median(run[side] for run in runs) * 1e3 for side in (0, 1))
        print(f"{machine:16} {own:10.1f} {real:10.1f} {statistics.median(run[0] / run[1] for run in runs):6.2f}")


def main() -> None:
    """Run the comparisons that the command line names; without a name both."""
    words = sys.argv[1:]
    names = [word for word in words if not word.isdecimal()] or ["monitor", "boards"]
    pairs = next((int(word) for word in words if word.isdecimal()), 9)
    for name in names:
        {"monitor": compare_monitors, "boards": compare_boards}[name](pairs)


if __name__ == "__main__":
    main()
