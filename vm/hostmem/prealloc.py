"""Touching all pages of a mapping, with several threads, in portions, so that it can be cancelled."""

from __future__ import annotations

import threading

from ..errors import VMError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..host import HostMemory
    from ..steps import Cancellation


def populate_memory(memory: HostMemory, length: int, threads: int, portion: int, cancellation: Cancellation) -> None:
    """Populate the first `length` bytes of `memory`; each of the threads takes the next portion that is free.

    Raises `VMError` when the host has no memory (left), or when cancelled.
    """
    starts = iter(range(0, length, portion))
    failures: list[OSError] = []

    def work() -> None:
        for start in starts:
            if failures or cancellation.requested:
                return
            try:
                memory.populate(start, min(portion, length - start))
            except OSError as error:
                failures.append(error)

    helpers = [threading.Thread(target=work, daemon=True) for _ in range(min(threads, -(-length // portion)) - 1)]
    for helper in helpers:
        helper.start()
    work()
    for helper in helpers:
        helper.join()
    if failures:
        raise VMError(f"qemu_prealloc_mem: preallocating memory failed: {failures[0].strerror}")
    cancellation.check()
