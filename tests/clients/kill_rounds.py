"""Migrations one side of which is killed at a random moment: python -m tests.clients.kill_rounds [ROUNDS] [SEED]

A guest writes meanwhile. Each round ends in one of a few ways, all of them clear to who is left, or in an `AssertionError`. Prints
how often each came, what went wrong with its seed, and how long it took; ends with 1 if anything did. The suite runs a few rounds.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

from tests.differential.oracle import qemu
from tests.differential.partners import Partner, ours, real

MIB = 1 << 20
SIZE = 32 * MIB
PAGE = 4096
VALUE = 1 << 40
RELEASES = ("7.2", "11.1")
PAIRS = (("ours", "ours"), ("ours", "ours"), ("ours", "real"), ("real", "ours"))
SECONDS = 60.0
GRACE_SECONDS = 3.0


class Round:
    """One migration, and what becomes of who is left."""

    def __init__(self, seed: int, folder: Path) -> None:
        self._dice = dice = Random(seed)
        self._folder = folder
        self.pair = dice.choice(PAIRS)
        self._release = dice.choice(RELEASES)
        if "real" in self.pair and qemu("x86_64", self._release) is None:
            self.pair = "ours", "ours"
        self._kills_source = dice.random() < 0.5
        self._way = dice.choice(("unix", "unix", "tcp"))
        self._hears_back = dice.random() < 0.5
        self._where = (
            f"unix:{folder}/socket" if self._way == "unix" else f"tcp:127.0.0.1:{dice.randrange(20000, 30000)}"
        )
        self._guest = {
            "start": dice.randrange(0, 8) * MIB,
            "length": dice.randrange(8, 24) * MIB,
            "mode": "pattern",
            "value": VALUE,
            "rate": dice.choice((16, 32, 96)) * MIB,
        }
        """Writes once to each page of a range: a page that is lost is as it was before."""
        self._has_guest = self.pair == ("ours", "ours")
        self._noise = dice.randbytes(SIZE)

    def run(self) -> str:
        """Do it; returns how it ended. Raises `AssertionError`."""
        (self._folder / "old").write_bytes(self._noise)
        source, destination = (self._machine(number) for number in range(2))
        try:
            return self._run(source, destination)
        finally:
            source.close()
            destination.close()

    def _machine(self, number: int) -> Partner:
        path = self._folder / ("old", "new")[number]
        ram = f"memory-backend-file,id=ram0,size={SIZE},mem-path={path},share=on"
        incoming = ["-incoming", self._where] if number else []
        start = ours if self.pair[number] == "ours" else real
        return start(self._release, ["-object", ram, "-M", "none,memory-backend=ram0", *incoming], self._folder)

    def _run(self, source: Partner, destination: Partner) -> str:
        dice = self._dice
        if self._hears_back:
            both = [{"capability": "return-path", "state": True}]
            source.ask("migrate-set-capabilities", capabilities=both)
        source.ask("migrate-set-parameters", **{"max-bandwidth": dice.choice((0, 16 * MIB, 64 * MIB))})
        source.ask("cont")
        destination.ask("cont")
        if self._has_guest:
            assert source.ask("guest-run", **self._guest) == {}
        before = self._kept_at_rest(source)
        moment = dice.random() ** 2
        assert source.ask("migrate", uri=self._where) == {}
        time.sleep(moment)
        killed, left = (source, destination) if self._kills_source else (destination, source)
        killed.process.send_signal(signal.SIGKILL)
        killed.process.wait()
        return self._destination_is_left(left) if self._kills_source else self._source_is_left(left, before)

    def _kept_at_rest(self, machine: Partner) -> tuple[int, int]:
        """The same, without the file of a module that is just being loaded."""
        seen = []
        for _ in range(5):
            seen.append(self._kept(machine))
            time.sleep(0.005)
        return min(seen)

    def _kept(self, machine: Partner) -> tuple[int, int]:
        """How many descriptors and child processes a machine has."""
        process = Path(f"/proc/{machine.process.pid}")
        children = [path.read_text().split() for path in process.glob("task/*/children")]
        return len(os.listdir(process / "fd")), sum(map(len, children))

    # The source is left

    def _source_is_left(self, source: Partner, before: tuple[int, int]) -> str:
        told = source.wait_for("failed", "completed")
        if told["status"] == "completed":
            assert source.wait_for_state("postmigrate")
            return "source: had sent everything"
        assert source.wait_for_state("running")
        if self.pair[0] == "ours":
            assert told.get("error-desc"), "it says why"
            self._same_again(source, before)
        (self._folder / "socket").unlink(missing_ok=True)  # what was killed could not
        self._guest_ends(source, self._folder / "old")
        self._goes_elsewhere(source)
        return "source: runs on, and went elsewhere later"

    def _same_again(self, source: Partner, before: tuple[int, int]) -> None:
        deadline = time.monotonic() + SECONDS
        while (kept := self._kept(source)) != before:
            assert time.monotonic() < deadline, f"descriptors and children were {before} and are {kept}"
            time.sleep(0.01)

    def _goes_elsewhere(self, source: Partner) -> None:
        source.ask("migrate-set-parameters", **{"max-bandwidth": 0})
        (self._folder / "new").unlink()
        following = self._machine(1)
        try:
            assert source.ask("migrate", uri=self._where) == {}
            assert source.wait_for("failed", "completed")["status"] == "completed"
            following.wait_for_state("running", "paused")
            assert (self._folder / "old").read_bytes() == (self._folder / "new").read_bytes()
        finally:
            following.close()

    # The destination is left

    def _destination_is_left(self, destination: Partner) -> str:
        try:
            if not self._somebody_came(destination):
                return "destination: waits, nobody had come"
            state = destination.wait_for_state("running", "paused")
        except (EOFError, BrokenPipeError, ConnectionResetError):
            return self._destination_has_ended(destination)
        assert state == "running"
        self._guest_ends(destination, self._folder / "new")
        return "destination: had everything and runs"

    def _somebody_came(self, destination: Partner) -> bool:
        """Whether the source had got so far as to connect; it does not come any more."""
        deadline = time.monotonic() + GRACE_SECONDS
        while destination.ask("query-migrate").get("status") in (None, "none", "setup"):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.01)
        return True

    def _destination_has_ended(self, destination: Partner) -> str:
        assert destination.process.wait(SECONDS) == 1
        assert destination.errors
        assert "Traceback" not in destination.errors
        if self.pair[1] == "ours":
            assert "load of migration failed" in destination.errors, destination.errors
            assert not (self._folder / "socket").exists()
        return "destination: ended with 1 and the reason"

    # The guest

    def _guest_ends(self, machine: Partner, path: Path) -> None:
        """The guest does all that it was to do, and nothing of the rest has changed."""
        expected = bytearray(self._noise)
        if self._has_guest:
            start, length = self._guest["start"], self._guest["length"]
            assert isinstance(start, int)
            assert isinstance(length, int)
            for gpa in range(start, start + length, PAGE):
                expected[gpa : gpa + 8] = (VALUE + gpa).to_bytes(8, "little")
            job = self._ended_job(machine)
            if path.name == "old" or job["status"] != "none":  # otherwise it had ended before the machine came here
                assert (job["status"], job["accesses"], job["passes"]) == ("completed", length // PAGE, 1), job
        content = path.read_bytes()
        lost = [
            number
            for number in range(0, SIZE, PAGE)
            if content[number : number + PAGE] != expected[number : number + PAGE]
        ]
        assert not lost, f"{len(lost)} pages, the first at {lost[0]:#x}"

    def _ended_job(self, machine: Partner) -> dict[str, Any]:
        deadline = time.monotonic() + SECONDS
        while (job := machine.ask("query-guest"))["status"] == "running":
            assert time.monotonic() < deadline, job
            time.sleep(0.01)
        return job  # type: ignore[no-any-return]  # QMP has objects


def main(rounds: int, first: int) -> int:
    """Run many rounds and print what came of them; returns the exit status."""
    ends: Counter[str] = Counter()
    began = time.monotonic()
    failed = 0
    for seed in range(first, first + rounds):
        folder = Path(tempfile.mkdtemp())
        try:
            migration = Round(seed, folder)
            ends[f"{' to '.join(migration.pair)}, {migration.run()}"] += 1
        except Exception as error:
            failed += 1
            print(f"seed {seed}: {type(error).__name__}: {error}", flush=True)
        finally:
            with suppress(FileNotFoundError):
                shutil.rmtree(folder)
    for end, count in sorted(ends.items()):
        print(f"{count:5}  {end}")
    print(f"{failed:5}  went wrong, of {rounds} rounds in {time.monotonic() - began:.0f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(*(int(word) for word in (*sys.argv[1:], *("150", "0")[len(sys.argv) - 1 :]))))
