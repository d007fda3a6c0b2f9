"""A guest that touches memory: what it is to do, and how it does it in slices that can be held and stopped.

The slices are run by a processor: a virtual CPU of KVM (`kvm_guest`), or a plain writer where slots are simulated
(`sim_guest`). They run on a worker's thread; everything else belongs to the thread that owns the machine.
"""

from __future__ import annotations

from threading import Condition
from time import monotonic

from ..errors import VMError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    from ..memory.ramblock import RAMBlock
    from ..steps import Cancellation, Task
    from .guest_job import GuestJob
    from .memslots import Memslot

    class Processor(Protocol):
        """What executes a guest. `begin` and `end` are called by the owning thread, `run` by the guest's."""

        address_bits: int

        def begin(self) -> None:
            """Get ready; raises `VMError`."""

        def run(self, job: GuestJob, gpa: int, count: int) -> int:
            """Do the next accesses from `gpa` on, at most `count`, and return how many were done.

            Raises `VMError` when the guest cannot go on, `HostPageMissing` when it is the host that cannot.
            """

        def end(self) -> None:
            """Give back what `begin` took; a second time does nothing."""

        def close(self) -> None:
            """Give everything back."""


SLICE_SECONDS = 0.01
"""How long a slice is to take: whoever holds the guest waits as long."""
FIRST_SLICE = 64
LONGEST_SLICE = 1 << 20
POLL_SECONDS = 0.05
"""How often a guest that must wait looks whether it was told to stop."""


class HostPageMissing(Exception):  # noqa: N818 (named for what it tells)
    """The guest touched memory of a slot that the host has no page for, at an offset of the slot's block."""

    def __init__(self, memslot: Memslot, offset: int, error: OSError) -> None:
        super().__init__(error.strerror)
        self.block = memslot.block
        self.offset = offset
        self.gpa = memslot.gpa + offset - memslot.offset
        self.error = error


class Gate:
    """Lets the guest's thread through in slices, unless the owner's thread holds it back (`with gate:`)."""

    __slots__ = ("_condition", "_holders", "_inside")

    def __init__(self) -> None:
        self._condition = Condition()
        self._holders = 0
        self._inside = False

    def __enter__(self) -> None:
        with self._condition:
            self._holders += 1
            while self._inside:
                self._condition.wait()

    def __exit__(self, *_error: object) -> None:
        with self._condition:
            self._holders -= 1
            self._condition.notify_all()

    def enter(self, may_run: Callable[[], bool], stopped: Callable[[], bool]) -> bool:
        """Begin a slice as soon as that is allowed; False when the guest was stopped instead."""
        with self._condition:
            while not stopped():
                if not self._holders and may_run():
                    self._inside = True
                    return True
                self._condition.wait(POLL_SECONDS)
            return False

    def leave(self) -> None:
        """End a slice."""
        with self._condition:
            self._inside = False
            self._condition.notify_all()

    def pause(self, seconds: float) -> None:
        """Let time pass, or somebody wake us."""
        with self._condition:
            self._condition.wait(seconds)


class Guest:
    """The guest of a machine: one job at a time."""

    __slots__ = ("_active", "_explain", "_may_run", "gate", "job", "processor", "throttle")

    def __init__(
        self, processor: Processor, may_run: Callable[[], bool], explain: Callable[[RAMBlock, int, OSError], str]
    ) -> None:
        """`explain` tells of a block and an offset why the host has no page there."""
        self.processor = processor
        self.gate = Gate()
        self.job: GuestJob | None = None
        """What runs now or ran last."""
        self.throttle = 0.0
        """The part of the time that it is kept from running, less than 1."""
        self._active: GuestJob | None = None
        """What the processor was made ready for."""
        self._may_run = may_run
        self._explain = explain

    def start(self, job: GuestJob) -> Task[GuestJob]:
        """Begin a job, and return the task that carries it out; what was begun must be run.

        Raises `VMError` if a job runs already or this one cannot be.
        """
        if self._active is not None:
            raise VMError("a guest is running already")
        if job.start + job.length > 1 << self.processor.address_bits:
            raise VMError(f"the guest's addresses have only {self.processor.address_bits} bits")
        self.processor.begin()
        self.job = self._active = job
        return self._run(job)

    def stop(self) -> None:
        """Stop the job at the end of its slice; nothing if none runs. Another one may begin at once."""
        if self._active is not None:
            self._active.status = "stopped"
            with self.gate:  # its thread is between slices, and begins no more
                self._end(self._active)

    def _end(self, job: GuestJob) -> None:
        """Let the processor rest, unless it works at another job by now."""
        if self._active is job:
            self._active = None
            self.processor.end()

    def close(self) -> None:
        """Stop, and give everything back."""
        self.stop()
        with self.gate:
            self.processor.close()

    def _run(self, job: GuestJob) -> Task[GuestJob]:
        try:
            finished: bool = yield lambda cancellation: self._work(job, cancellation)
            if finished:
                job.status = "completed"
        except VMError as error:
            job.status, job.error = "failed", str(error)
        except HostPageMissing as missing:
            reason = self._explain(missing.block, missing.offset, missing.error)
            job.status, job.error = "failed", f"the host has no page for the guest at {missing.gpa:#x}: {reason}"
        finally:
            if job.status == "running":
                job.status = "stopped"
            self._end(job)
        return job

    def _work(self, job: GuestJob, cancellation: Cancellation) -> bool:
        """All passes, on the guest's thread; False when it was stopped before their end."""

        def stopped() -> bool:
            return cancellation.requested or job.status != "running"

        pace = _Pace(job)
        pause = 0.0
        while not stopped() and (not job.passes or job.passes_done < job.passes):
            gpa, end = job.position, job.start + job.length
            while gpa < end:
                self._wait(job, pause, stopped)
                count = min(pace.count, -(-(end - gpa) // job.stride))
                if not self.gate.enter(self._may_run, stopped):
                    return False
                began = monotonic()
                try:
                    done = self.processor.run(job, gpa, count)
                    gpa = job.advance(done)
                except HostPageMissing as missing:
                    job.accesses += max((missing.gpa - gpa) // job.stride, 0)
                    raise
                finally:
                    self.gate.leave()
                seconds = monotonic() - began
                pause = pace.next(done, seconds) + seconds * self.throttle / (1 - self.throttle)
        return not stopped()

    def _wait(self, job: GuestJob, seconds: float, stopped: Callable[[], bool]) -> None:
        began = monotonic()
        while (left := began + seconds - monotonic()) > 0 and not stopped():
            self.gate.pause(min(left, POLL_SECONDS))
        job.seconds += monotonic() - began


class _Pace:
    """How many accesses the next slice makes, and how long to wait after it."""

    __slots__ = ("_job", "_most", "count")

    def __init__(self, job: GuestJob) -> None:
        self._job = job
        self._most = LONGEST_SLICE
        if job.rate:
            self._most = max(1, min(self._most, int(job.rate * POLL_SECONDS) // job.stride))
        self.count = min(FIRST_SLICE, self._most)

    def next(self, done: int, seconds: float) -> float:
        """Take in how long a slice took; returns seconds to wait before the next."""
        job = self._job
        if seconds < SLICE_SECONDS / 2 and done == self.count:
            self.count = min(2 * self.count, self._most)
        elif seconds > 2 * SLICE_SECONDS:
            self.count = max(1, self.count // 2)
        pause = max(done * job.stride / job.rate - seconds, 0.0) if job.rate else 0.0
        job.seconds += seconds
        return pause
