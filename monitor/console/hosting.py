"""Our event loop under asyncio's: asyncio watches its descriptor and its next timer, and lets it work."""

from __future__ import annotations

import asyncio
import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from ..loop import Loop


class LoopHost:
    """Serves a `Loop` from the running asyncio loop, as a context; `on_round` follows each of its rounds."""

    def __init__(self, loop: Loop, on_round: Callable[[], object]) -> None:
        self._loop = loop
        self._on_round = on_round
        self._host = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None

    def __enter__(self) -> LoopHost:
        # asyncio and prompt_toolkit take the wake-up descriptor for their signals and would drop it in between; a
        # handler that stays keeps it in place, so that no signal is seen late.
        self._wakeup_fd = signal.set_wakeup_fd(-1)
        self._host.add_signal_handler(signal.SIGWINCH, lambda: None)
        self._host.add_reader(self._loop.fileno(), self.serve)
        self.serve()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._host.remove_reader(self._loop.fileno())
        self._host.remove_signal_handler(signal.SIGWINCH)
        signal.set_wakeup_fd(self._wakeup_fd)

    def serve(self) -> None:
        """Let the loop do what is to be done now, and come back for its next timer."""
        self._loop.run_once(0)
        self.watch_timer()
        self._on_round()

    def watch_timer(self) -> None:
        """Wait for the loop's next timer, which may be a new one."""
        if self._timer is not None:
            self._timer.cancel()
        seconds = self._loop.timeout()
        self._timer = None if seconds is None else self._host.call_later(seconds, self.serve)
