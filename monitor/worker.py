"""Runs the two-phase tasks of `vm.steps`: slow steps on worker threads, all the rest on the loop's thread.

It knows neither what a task does nor who asked for it.
"""

from __future__ import annotations

from ..vm.steps import Cancellation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeAlias, TypeVar

    from ..vm.steps import Step, Task
    from .loop import Loop

    T = TypeVar("T")
    OnDone: TypeAlias = Callable[[Any, Exception | None], object]


class Worker:
    """Drives tasks. No thread is started for a task that never yields; each step that is yielded gets one."""

    __slots__ = ("_loop", "_running")

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._running: set[Cancellation] = set()

    def start(self, task: Task[Any], on_done: OnDone) -> Cancellation:
        """Start a task; `on_done(result, error)` follows, before this returns if the task never yields.

        Setting `requested` on what is returned cancels: it is for the steps to look at.
        """
        cancellation = Cancellation()
        self._running.add(cancellation)
        self._advance(task, on_done, cancellation, None, None)
        return cancellation

    def wait(self, task: Task[T]) -> T:
        """Run a task to its end and return its result, serving the loop meanwhile; `Loop.stop` cancels the task.

        :raise Exception: whatever the task raised.
        """
        outcome: list[tuple[T, Exception | None]] = []
        cancellation = self.start(task, lambda result, error: outcome.append((result, error)))
        while not outcome:
            if self._loop.stopping:
                cancellation.requested = True
            self._loop.run_once()
        result, error = outcome.pop()
        if error is not None:
            raise error
        return result

    def close(self) -> None:
        """Cancel every task and serve the loop until all have ended."""
        for cancellation in self._running:
            cancellation.requested = True
        while self._running:
            self._loop.run_once()

    def _advance(
        self,
        task: Task[Any],
        on_done: OnDone,
        cancellation: Cancellation,
        value: Any,
        error: BaseException | None,
    ) -> None:
        """Resume the task with what its last step gave, up to its next step or its end. On the loop's thread."""
        result, failure = None, None
        try:
            step = task.send(value) if error is None else task.throw(error)
        except StopIteration as stop:
            result = stop.value
        except Exception as raised:
            failure = raised
        else:
            self._start_thread(task, on_done, cancellation, step)
            return
        self._running.discard(cancellation)
        try:
            on_done(result, failure)
        finally:
            del failure  # it holds this frame: a cycle that would keep what the task mapped

    def _start_thread(self, task: Task[Any], on_done: OnDone, cancellation: Cancellation, step: Step) -> None:
        # `_thread`: the step needs nothing of what `threading` adds for 2 ms.
        import _thread

        def run() -> None:
            value, error = _outcome(step, cancellation)
            self._loop.call_threadsafe(self._advance, task, on_done, cancellation, value, error)

        try:
            _thread.start_new_thread(run, ())
        except RuntimeError as error:  # no more threads
            self._loop.call_soon(self._advance, task, on_done, cancellation, None, error)


def _outcome(step: Step, cancellation: Cancellation) -> tuple[Any, BaseException | None]:
    try:
        return step(cancellation), None
    except BaseException as error:  # a thread must hand over whatever happened, or the task would never end
        return None, error
