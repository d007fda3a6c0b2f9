"""Touching all pages of a mapping, on several threads, in portions, so that it can be watched and cancelled."""

from __future__ import annotations

# Not `threading`, which takes 2 ms to import and has nothing more that is needed here.
import _thread
import errno
import os
from time import monotonic

from ..errors import VMError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ..host import Host, HostMemory
    from ..steps import Cancellation

PORTION = 64 << 20
"""Bytes that a thread takes at a time, unless a page is larger: at most some 0.05 s of work."""
NEAR = 1 << 30
"""With less room than this it is looked up before each portion: others may need memory, too."""
MOST_PORTIONS = 1 << 13
"""Memory so large (above 512 GiB) that it would be more portions is taken in larger ones."""


class Preallocation:
    """The memory of one backend on its way to being there.

    `run` is a step for a worker thread; everything else may be read from any thread meanwhile. Sizes are in bytes.
    """

    __slots__ = (
        "_cancellation",
        "_cancelled",
        "_done",
        "_failures",
        "_room",
        "_started",
        "host",
        "length",
        "memory",
        "name",
        "status",
        "threads",
    )

    def __init__(self, host: Host, name: str, memory: HostMemory, length: int, threads: int) -> None:
        self.host = host
        self.name = name
        """The backend's id."""
        self.memory = memory
        self.length = length
        self.threads = threads
        self.status = "running"
        """`running`, and in the end `completed`, `failed` or `cancelled`."""
        self._done = [0]
        self._failures: list[Exception] = []
        self._room = 0
        """Bytes that could surely be populated when somebody looked, less what was since."""
        self._cancelled = False
        self._cancellation: Cancellation | None = None
        self._started = monotonic()

    @property
    def done(self) -> int:
        """How much is there by now."""
        return sum(self._done)

    @property
    def seconds(self) -> float:
        """Seconds since the beginning."""
        return monotonic() - self._started

    def cancel(self) -> None:
        """Stop at the next portion; `run` then raises."""
        self._cancelled = True
        if self._cancellation is not None:
            self._cancellation.requested = True

    def run(self, cancellation: Cancellation) -> None:
        """Populate the memory; each thread takes the next portion that is free.

        Raises `VMError` when the host has no memory (left), or when cancelled.
        """
        self._cancellation = cancellation
        if self._cancelled:
            cancellation.requested = True
        page_size = self.memory.page_size
        portion = -(-max(PORTION, self.length // MOST_PORTIONS) // page_size) * page_size
        starts = iter(range(0, self.length, portion))
        # More threads than CPUs would only stand in each other's way; QEMU has the same limit.
        count = min(self.threads, len(os.sched_getaffinity(0)), -(-self.length // portion))
        self._done = [0] * count

        def work(number: int) -> None:
            for start in starts:
                if self._failures or cancellation.requested:
                    return
                length = min(portion, self.length - start)
                try:
                    self._make_sure_of_room(start, length, count)
                    self.memory.populate(start, length)
                except Exception as error:  # of whatever kind: no thread may end in silence
                    self._failures.append(error)
                else:
                    self._done[number] += length

        _run_together(work, count)
        self._check(cancellation)

    def _make_sure_of_room(self, start: int, length: int, threads: int) -> None:
        """Raise ENOMEM where populating a portion would make the kernel kill a process, us most likely."""
        if not self.memory.counted:
            return
        if self._room < max(length * threads, NEAR):
            room = self.host.populate_room
            threads = min(threads, -(-(self.length - self.done) // length))  # at the end not all have work
            if room is not None and room < length * threads:
                page_size = self.memory.page_size
                nodes = self.memory.page_nodes(range(start, start + length, page_size))
                if room < nodes.count(None) * page_size * threads:
                    raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))
            self._room = NEAR if room is None else room
        self._room -= length

    def _check(self, cancellation: Cancellation) -> None:
        if self._failures:
            self.status = "failed"
            failure = self._failures[0]
            if not isinstance(failure, OSError):
                raise failure
            raise VMError(f"qemu_prealloc_mem: preallocating memory failed: {failure.strerror}")
        if cancellation.requested:
            self.status = "cancelled"
        cancellation.check()
        self.status = "completed"


def _run_together(work: Callable[[int], None], count: int) -> None:
    """Call `work` with the numbers below `count`, 0 on this thread; one for which there is no thread is left out."""
    ended = []

    def run(number: int, end: _thread.LockType) -> None:
        try:
            work(number)
        finally:
            end.release()

    for number in range(1, count):
        end = _thread.allocate_lock()
        end.acquire()
        try:
            _thread.start_new_thread(run, (number, end))
        except RuntimeError:  # no more threads: the others do its share
            break
        ended.append(end)
    try:
        work(0)
    finally:
        for end in ended:
            end.acquire()
