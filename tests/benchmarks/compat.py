"""How many pairs of machines a process compares in a second, and what reading their command lines costs.

Run as `python -m ramslot.tests.benchmarks.compat [SIDES]`.
"""

from __future__ import annotations

import sys
from time import perf_counter

from ramslot.monitor.compat.sides import read_side
from ramslot.vm.compat.fleet import outcomes

SHAPES = (
    "qemu-system-x86_64-7.2 -nodefaults -M pc -m {}M",
    "qemu-system-x86_64-11.1 -nodefaults -M pc-q35-7.2 -m {}M",
    "qemu-system-x86_64-10.0 -nodefaults -M q35,memory-backend=m -m {0}M -object memory-backend-memfd,id=m,size={0}M",
    "qemu-system-s390x-11.1 -nodefaults -m {}M",
)


def main(count: int) -> None:
    texts = [SHAPES[number % len(SHAPES)].format(1024 + number // len(SHAPES)) for number in range(count)]
    start = perf_counter()
    sides = [read_side(text) for text in texts]
    read = perf_counter() - start
    start = perf_counter()
    pairs = sum(1 for _ in outcomes(sides, range(count)))
    compared = perf_counter() - start
    print(f"{count} command lines read in {read:.2f} s, {1000 * read / count:.1f} ms each")
    print(
        f"{pairs} pairs in {compared:.2f} s, {pairs / compared:.0f} a second; with the reading {pairs / (read + compared):.0f}"
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
