"""Migration beside real QEMU: python tests/benchmarks/migrate.py [MIB] [ROUNDS]

Moves the memory of a machine without a board over a unix socket, unlimited, in all four pairings, with zeros, noise and a
mixture of both in it, the latter two also by two channels of pages (multifd). Prints medians of the seconds until the
destination has it, their ratio to QEMU's to QEMU, the longest time that a monitor took to answer meanwhile, and the most
memory that ramslot held beside the guest's. Judges nothing.
"""

from __future__ import annotations

import os
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

from plug import Monitor as Asked  # type: ignore[import-not-found]  # it is beside this file

MIB = 1 << 20
CASES = (*((kind, 0) for kind in ("zeros", "noise", "mixture")), ("noise", 2), ("mixture", 2))
"""What is in the memory, and how many channels of pages there are."""
PAIRS = (("QEMU", "QEMU"), ("ours", "QEMU"), ("QEMU", "ours"), ("ours", "ours"))
PROGRAMS = {
    "ours": [sys.executable, "-m", "ramslot", "--qemu", "7.2"],
    "QEMU": [shutil.which("qemu-system-x86_64") or ""],
}


class Monitor(Asked):  # type: ignore[misc]  # see above
    """A QMP monitor of a new process."""

    def __init__(self, kind: str, options: list[str], backend: str = "ram0") -> None:
        machine = ["-M", f"none,memory-backend={backend}", "-nodefaults", "-display", "none", "-S", "-qmp", "stdio"]
        super().__init__([*PROGRAMS[kind], *options], machine)

    def answer_seconds(self) -> float:
        began = time.perf_counter()
        self.ask("query-status")
        return time.perf_counter() - began

    def peak(self) -> int:
        """MiB that it ever held."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) >> 10

    def close(self) -> None:
        self.process.kill()
        self.process.wait()


def fill(path: Path, kind: str, size: int) -> None:
    noise = os.urandom(16 * MIB)
    with path.open("wb") as file:
        file.truncate(size)
        for start in range(0, size, 1 << 16 if kind == "mixture" else 16 * MIB):
            if kind != "zeros":
                file.seek(start)
                file.write(noise[start % (8 * MIB) :][: 1 << 15] if kind == "mixture" else noise[: size - start])


def measure(
    source_kind: str, destination_kind: str, kind: str, channels: int, size: int, folder: Path
) -> dict[str, float]:
    socket, old = folder / "socket", folder / kind
    socket.unlink(missing_ok=True)
    if kind == "zeros":  # QEMU has filled the hole
        fill(old, kind, size)
    ram = f"size={size},id=ram0"
    incoming = ["-object", f"memory-backend-ram,{ram}", "-incoming", "defer"]
    destination = Monitor(destination_kind, incoming)
    source = Monitor(source_kind, ["-object", f"memory-backend-file,mem-path={old},share=on,{ram}"])
    for each in (source, destination) if channels else ():
        each.ask("migrate-set-capabilities", capabilities=[{"capability": "multifd", "state": True}])
        each.ask("migrate-set-parameters", **{"multifd-channels": channels})
    destination.ask("migrate-incoming", uri=f"unix:{socket}")
    source.ask("migrate-set-parameters", **{"max-bandwidth": 0})
    began, answers = time.perf_counter(), [0.0]
    source.ask("migrate", uri=f"unix:{socket}")
    while destination.ask("query-status")["status"] == "inmigrate":
        for kind_of_monitor, monitor in ((source_kind, source), (destination_kind, destination)):
            if kind_of_monitor == "ours":
                answers.append(monitor.answer_seconds())
        time.sleep(0.005)
    found = {"seconds": time.perf_counter() - began, "answer": 1000 * max(answers)}
    guests = size // MIB
    ours = [each.peak() - guests for name, each in ((source_kind, source),) if name == "ours"]
    ours += [
        each.peak() - (0 if kind == "zeros" else guests)
        for name, each in ((destination_kind, destination),)
        if name == "ours"
    ]
    found["beside"] = max([0, *ours])  # memory that is a hole of the file is not touched at all
    source.close()
    destination.close()
    return found


def report(kind: str, channels: int, found: dict[tuple[str, str], list[dict[str, float]]]) -> None:
    medians = {pair: statistics.median(each["seconds"] for each in runs) for pair, runs in found.items()}
    theirs = medians[next(iter(found))]
    for pair, runs in found.items():
        line = f"{kind}{f', {channels} channels' if channels else ''}, {' to '.join(pair)}: {medians[pair]:.2f} s"
        if "ours" in pair:
            answer, beside = (max(each[name] for each in runs) for name in ("answer", "beside"))
            line += f"  ratio {medians[pair] / theirs:.2f}  answer {answer:.0f} ms, {beside:.0f} MiB beside the guest's"
        print(line, flush=True)


def main() -> None:
    size, rounds = (int(word) for word in (*sys.argv[1:], *("1024", "3")[len(sys.argv) - 1 :]))
    pairs = PAIRS if PROGRAMS["QEMU"][0] else PAIRS[-1:]
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # the modules of an installed command are compiled
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None) as name:
        for kind, channels in CASES:
            fill(Path(name) / kind, kind, size * MIB)
            found: dict[tuple[str, str], list[dict[str, float]]] = {pair: [] for pair in pairs}
            for _ in range(rounds):  # interleaved: what the host does meanwhile meets all of them
                for pair in pairs:
                    found[pair].append(measure(*pair, kind, channels, size * MIB, Path(name)))
            (Path(name) / kind).unlink()
            report(kind, channels, found)


if __name__ == "__main__":
    main()
