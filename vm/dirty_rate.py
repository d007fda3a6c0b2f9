"""How much memory the guest writes per second, measured in the three ways that QEMU has."""

from __future__ import annotations

from time import monotonic, sleep, time

from .errors import VMError
from .host import MissingPage
from .memory.ramblock import BlockPageMissing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .machine import VirtualMachine
    from .memory.ramblock import RAMBlock
    from .steps import Cancellation, Step, Task

CALC_TIMES = 1, 60
"""Seconds; up to QEMU 8.1."""
SHORTEST, LONGEST = 50, 60000
"""Milliseconds."""
SAMPLE_PAGES = 128, 16384
DEFAULT_SAMPLE_PAGES = 512
SMALLEST_BLOCK = 128 << 10
"""Bytes; QEMU samples no smaller blocks."""
SAMPLED_PAGE = 4096
MIB = 1 << 20
POLL_SECONDS = 0.05
PORTION = 1024
"""Pages that are hashed between two looks at whether to stop."""


class Sample:
    """A page that was looked at: whose, which, and a hash of it."""

    __slots__ = ("block", "hash", "offset")

    def __init__(self, block: RAMBlock, offset: int, hash: int) -> None:
        self.block = block
        self.offset = offset
        self.hash = hash


class DirtyRate:
    """The latest measurement, or none. Fields are as `query-dirty-rate` tells them."""

    __slots__ = ("_vm", "megabytes_per_second", "milliseconds", "mode", "sample_pages", "start_time", "status", "vcpus")

    def __init__(self, vm: VirtualMachine) -> None:
        self._vm = vm
        self.status = "unstarted"
        self.mode = "page-sampling"
        self.milliseconds = 0
        """How long it measures."""
        self.sample_pages = 0
        self.start_time = 0
        self.megabytes_per_second = 0
        self.vcpus: list[int] | None = None

    def start(self, calc_time: int, unit: str, sample_pages: int | None, mode: str) -> Task[None]:
        """Begin to measure for so many of a `second` or `millisecond`, and return the task that does.

        Raises `VMError`.
        """
        if self.status == "measuring":
            raise VMError("the dirty rate is already being measured.")
        milliseconds = calc_time * 1000 if unit == "second" else calc_time
        older = self._vm.release.settings("dirty rate")
        if older.get("whole seconds"):
            _check_range("calc-time", calc_time, CALC_TIMES)
        elif not SHORTEST <= milliseconds <= LONGEST:
            raise VMError(f"Calculation time is out of range [{SHORTEST}ms, {LONGEST}ms].")
        if sample_pages is not None:
            if mode not in older.get("modes with samples", ("page-sampling",)):
                text = "sample-pages is used only in page-sampling mode"
                raise VMError(self._vm.release.text("samples without sampling", text))
            _check_range("sample-pages", sample_pages, SAMPLE_PAGES)
        accelerator = self._vm.accelerator
        ring = accelerator.in_kernel and bool(getattr(accelerator.slots, "ring_entries", 0))
        usable = {"dirty-ring": ring, "dirty-bitmap": accelerator.follows and not ring}
        if not usable.get(mode, True):
            raise VMError(f"mode {mode} is not enabled, use other method instead.")
        self.status, self.mode, self.milliseconds = "measuring", mode, milliseconds
        self.sample_pages = DEFAULT_SAMPLE_PAGES if sample_pages is None else sample_pages
        self.start_time = int(monotonic() if older.get("since the host's start") else time())
        self.vcpus = None
        return self._measure()

    def _measure(self) -> Task[None]:
        done = False
        try:
            if self.mode == "page-sampling":
                yield from self._by_sampling()
            else:
                yield from self._by_logging()
                self.sample_pages = 0
            done = True
        finally:
            self.status = "measured" if done else "unstarted"

    def _by_logging(self) -> Task[None]:
        vm = self._vm
        table = vm.accelerator.slots
        watched = vm.dirty_log.start()
        before, began = getattr(table, "ring_pages", 0), monotonic()
        try:
            yield _sleep(self.milliseconds / 1000)
        finally:
            vm.dirty_log.stop(watched)
        milliseconds = int((monotonic() - began) * 1000)
        page_size = table.page_size
        if self.mode == "dirty-ring":
            rate = _rate((getattr(table, "ring_pages", 0) - before) * page_size, milliseconds)
            self.vcpus = [rate, *[0] * (vm.machine.board.cpus - 1)]
        else:
            rate = _rate(watched.count() * page_size, milliseconds)
        self.megabytes_per_second = rate

    def _by_sampling(self) -> Task[None]:
        blocks = [block for block in self._vm.topology.ram_blocks if block.name and block.used_length >= SMALLEST_BLOCK]
        began = monotonic()
        try:
            samples: list[Sample] = yield lambda cancellation: _sampled(blocks, self.sample_pages, cancellation)
            yield _sleep(self.milliseconds / 1000 - (monotonic() - began))
            milliseconds = max(int((monotonic() - began) * 1000), 1)
            changed: int = yield lambda cancellation: _changed(samples, cancellation)
        except BlockPageMissing as sample:
            missing = sample.missing
            reason = self._vm.objects.why_missing(sample.block, missing.offset, missing)
            raise VMError(f"the dirty rate cannot be sampled: the host has no page for {reason}") from None
        sampled = {sample.block for sample in samples}
        megabytes = sum(block.used_length for block in sampled) // MIB
        self.megabytes_per_second = megabytes * 1000 * changed // (len(samples) * milliseconds) if samples else 0


def _check_range(name: str, value: int, limits: tuple[int, int]) -> None:
    if not limits[0] <= value <= limits[1]:
        raise VMError(f"{name} is out of range[{limits[0]}, {limits[1]}].")


def _rate(written: int, milliseconds: int) -> int:
    return written // MIB * 1000 // max(milliseconds, 1)


def _sleep(seconds: float) -> Step:
    """A step that lets time pass."""
    deadline = monotonic() + seconds

    def wait(cancellation: Cancellation) -> None:
        while (left := deadline - monotonic()) > 0:
            cancellation.check()
            sleep(min(left, POLL_SECONDS))

    return wait


def _sampled(blocks: list[RAMBlock], per_gigabyte: int, cancellation: Cancellation) -> list[Sample]:
    """Pages drawn at random, with their hashes."""
    from random import randrange

    samples = []
    for block in blocks:
        for number in range(block.used_length * per_gigabyte >> 30):
            if number % PORTION == 0:
                cancellation.check()
            offset = randrange(block.used_length // SAMPLED_PAGE) * SAMPLED_PAGE
            found = _hash(block, offset)
            if found is None:
                break
            samples.append(Sample(block, offset, found))
    return samples


def _changed(samples: list[Sample], cancellation: Cancellation) -> int:
    """How many pages have another hash now."""
    changed = 0
    for number, sample in enumerate(samples):
        if number % PORTION == 0:
            cancellation.check()
        found = _hash(sample.block, sample.offset)
        changed += found is not None and found != sample.hash
    return changed


def _hash(block: RAMBlock, offset: int) -> int | None:
    """Of a page; None if the block has gone meanwhile."""
    from zlib import crc32

    try:
        return crc32(block.host.read(offset, SAMPLED_PAGE))
    except MissingPage as missing:
        raise BlockPageMissing(block, missing) from None
    except ValueError:
        if not block.closed:
            raise
        return None
