"""From a key to the screen, on a machine with thousands of objects: `python -m ramslot.tests.benchmarks.console [OBJECTS]`.

Each row is a thing typed, with the median and the worst time until the terminal shows what it leads to.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time

from ..clients.terminal import Terminal

ROUNDS = 9


def measure(console: Terminal, before: str, key: str, shown: str) -> list[float]:
    """Milliseconds from `key`, behind `before`, until the screen has `shown`, several times."""
    times = []
    for _ in range(ROUNDS):
        console.type(before)
        console.until(lambda: console.line.startswith(f"(ramslot) {before}"))
        settle(console)
        start = time.perf_counter()
        console.type(key)
        console.until(lambda: shown in console.text)
        times.append((time.perf_counter() - start) * 1000)
        settle(console)
        console.type("\x03")
        console.until_prompt()
        settle(console)
        console.type("\x0c")  # what was shown is not to be taken for what is
        console.until(lambda: shown not in console.text and console.line == "(ramslot)")
    return times


def settle(console: Terminal) -> None:
    """Read what is still to come."""
    end = time.monotonic() + 0.2
    console.until(lambda: time.monotonic() > end)


def main() -> None:
    """Print the table."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    with tempfile.TemporaryDirectory() as folder:
        console = Terminal("-M", "none", XDG_STATE_HOME=folder, XDG_CONFIG_HOME=folder)
        console.until_prompt()
        console.child.delaybeforesend = None  # which pexpect would wait first
        with open(f"{folder}/many", "w") as file:
            file.writelines(f"object_add memory-backend-ram,id=mem{n},size=4K,reserve=off\n" for n in range(count))
        console.type(f"source {folder}/many\r")
        console.until(lambda: console.line == "(ramslot)", 120)
        print(f"{count} objects                    median    worst")
        for what, before, key, shown in (
            ("a letter", "info memde", "v", "info memdev"),
            ("Tab, one word fits", "info memd", "\t", "info memdev"),
            ("Tab, all objects fit", "object_del m", "\t", "mem1"),
            ("Tab, some fit by letters", "object_del m99", "\t", "mem99"),
            ("Tab, none fits, of all", "object_del zz", "\tz", "object_del zzz"),
            ("Tab, paths", "qom-get /objects/mem5", "\t", "mem55"),
        ):
            times = measure(console, before, key, shown)
            print(f"{what:28} {statistics.median(times):8.1f} {max(times):8.1f} ms")
        console.child.close(force=True)


if __name__ == "__main__":
    main()
