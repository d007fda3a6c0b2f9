"""Two-phase slow work: what may take seconds is a generator whose steps run off the thread that owns the VM.

A task is a generator. Each value it yields is a `Step`: a callable that may run on a worker thread and touches nothing
shared; the task is resumed with its result (or its exception thrown in) on the thread that owns the VM, where it
commits. A step is handed a `Cancellation` and looks at it between portions of work.
"""

from __future__ import annotations

from .errors import VMError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from typing import Any, TypeAlias, TypeVar

    T = TypeVar("T")
    Step: TypeAlias = Callable[["Cancellation"], Any]
    Task: TypeAlias = Generator[Step, Any, T]


class Cancellation:
    """Tells a running step to stop; set from the owning thread, read from the worker."""

    __slots__ = ("requested",)

    def __init__(self) -> None:
        self.requested = False

    def check(self) -> None:
        """Raise `VMError` if the work was cancelled."""
        if self.requested:
            raise VMError("Operation cancelled")


def run_now(task: Task[T]) -> T:
    """Run a task to its end on this thread and return its result."""
    cancellation = Cancellation()
    try:
        step = next(task)
        while True:
            try:
                result = step(cancellation)
            except Exception as error:
                step = task.throw(error)
            else:
                step = task.send(result)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]  # StopIteration.value is untyped
