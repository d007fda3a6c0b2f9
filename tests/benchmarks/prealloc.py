"""Preallocation beside real QEMU, and beside what the machine can do: python tests/benchmarks/prealloc.py [GIB] [PAIRS]

Times `object-add` of a memory-backend-ram with `prealloc=on`, from the request to its answer, for 1, 2 and as many threads as
there are CPUs. `limit` is the bare touching of as much memory by as many threads, each its share in one madvise call, in
a process that does nothing else. Prints medians and fastest runs; judges nothing.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import threading
import time
from functools import partial
from typing import TYPE_CHECKING

from ramslot.vm.host.linux import LinuxHost

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

OPTIONS = ("-S", "-display", "none", "-nodefaults", "-qmp", "stdio")


def commands() -> dict[str, list[str]]:
    """What is compared, by its name: the command line that makes a QMP server on stdio."""
    installed = os.path.join(os.path.dirname(sys.executable), "ramslot")
    start = [installed] if os.path.exists(installed) else [sys.executable, "-m", "ramslot"]
    found = {"ramslot": [*start, "-M", "none", *OPTIONS]}
    if shutil.which("qemu-system-x86_64"):
        found["QEMU"] = ["qemu-system-x86_64", "-M", "none", *OPTIONS]
    return found


def object_add(command: list[str], size: int, threads: int) -> float:
    """Seconds from the request to its answer, in a process of its own; an object was made before."""
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None and process.stdout is not None
    stdin, stdout = process.stdin, process.stdout

    def call(name: str, **arguments: Any) -> None:
        stdin.write(json.dumps({"execute": name, "arguments": arguments}).encode())
        stdin.flush()
        while "event" in (message := json.loads(stdout.readline())):
            pass
        assert "return" in message, message

    stdout.readline()
    call("qmp_capabilities")
    backend: dict[str, Any] = {"qom-type": "memory-backend-ram", "prealloc": True, "prealloc-threads": threads}
    call("object-add", id="first", size=1 << 20, **backend)
    begin = time.perf_counter()
    call("object-add", id="m", size=size, **backend)
    seconds = time.perf_counter() - begin
    call("quit")
    process.communicate()
    return seconds


def bare(size: int, threads: int) -> float:
    """Seconds for `threads` threads to touch `size` bytes, in a process of its own."""
    command = [sys.executable, __file__, "touch", str(size), str(threads)]
    return float(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)


def touch(size: int, threads: int) -> float:
    """Seconds for `threads` threads to touch `size` bytes in this process."""
    memory = LinuxHost().map_anonymous(size)
    share = size // threads
    workers = [threading.Thread(target=memory.populate, args=(number * share, share)) for number in range(threads)]
    begin = time.perf_counter()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return time.perf_counter() - begin


def main() -> None:
    """Measure and print the table."""
    numbers = [int(word) for word in sys.argv[1:]]
    size = (numbers or [4])[0] << 30
    pairs = numbers[1] if len(numbers) > 1 else 9
    print(f"{size >> 30} GiB, medians (fastest) of {pairs} runs in ms; ratios are of runs next to each other")
    for threads in sorted({1, 2, os.cpu_count() or 1}):
        measures: dict[str, Callable[[], float]] = {
            name: partial(object_add, command, size, threads) for name, command in commands().items()
        }
        measures["limit"] = partial(bare, size, threads)
        runs: dict[str, list[float]] = {name: [] for name in measures}
        for number in range(pairs):
            # Each in turn comes first, for what one leaves behind serves the next.
            for position in range(len(measures)):
                name = list(measures)[(number + position) % len(measures)]
                runs[name].append(measures[name]() * 1e3)
        texts = []
        for name, taken in runs.items():
            ratio = statistics.median(own / other for own, other in zip(runs["ramslot"], taken, strict=True))
            fastest = min(runs["ramslot"]) / min(taken)
            text = f"{name} {statistics.median(taken):.0f} ({min(taken):.0f})"
            texts.append(text if name == "ramslot" else f"{text}, ratio {ratio:.3f} ({fastest:.3f})")
        print(f"{threads} thread{'' if threads == 1 else 's'}: {'; '.join(texts)}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["touch"]:
        print(touch(int(sys.argv[2]), int(sys.argv[3])))
    else:
        main()
