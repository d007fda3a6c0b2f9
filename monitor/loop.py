"""The event loop: one thread, the file descriptors it watches, callbacks put off, signals.

Nothing here knows what the descriptors carry. `select.epoll` is used directly: `selectors` costs 1.5 ms to import and
adds nothing on Linux. The epoll descriptor is itself readable when something is to be done, which lets another event
loop (asyncio, under the interactive console) host this one.
"""

from __future__ import annotations

import os
import select
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Callable
    from typing import Any, TypeAlias

    Callback: TypeAlias = Callable[[], object]
else:
    import _signal as signal  # what `signal` gives, without the 2.5 ms of making enumerations of its constants

ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Those that ask a program to end."""
_READABLE = select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR
_WRITABLE = select.EPOLLOUT | select.EPOLLHUP | select.EPOLLERR
_GONE = select.EPOLLHUP | select.EPOLLERR
_UNWATCHED = (None, None, None)


def print_error(error: Exception) -> None:
    """Report an exception that no one handled, with its traceback on stderr."""
    sys.excepthook(type(error), error, error.__traceback__)


class Timer:
    """A callback that waits for its time; `cancel` may be called at any moment."""

    __slots__ = ("arguments", "callback", "deadline")

    def __init__(self, deadline: float, callback: Callable[..., object], arguments: tuple[Any, ...]) -> None:
        self.deadline = deadline
        self.callback: Callable[..., object] | None = callback
        self.arguments = arguments

    def cancel(self) -> None:
        """Forget the callback."""
        self.callback = None


class Loop:
    """Watches descriptors and calls back, on the thread that runs it.

    Every method but `call_threadsafe` belongs to that thread. A callback that raises does not end the loop: the
    exception goes to `on_error`. A callback may be called although nothing can be read or written (another callback
    took it, or a nested `run_once` did), so descriptors are non-blocking.
    """

    __slots__ = (
        "_depth",
        "_epoll",
        "_files",
        "_old_handlers",
        "_old_wakeup_fd",
        "_ready",
        "_running",
        "_timers",
        "_wakeup",
        "_watched",
        "_woken",
        "on_error",
        "stopping",
    )

    def __init__(self, on_error: Callable[[Exception], object] = print_error) -> None:
        self.on_error = on_error
        self.stopping = False
        """True from the first `stop` on; whoever waits inside a callback looks at it."""
        self._epoll = select.epoll()
        self._watched: dict[int, tuple[Callback | None, Callback | None, Callback | None]] = {}
        self._files: set[int] = set()
        """Watched descriptors that epoll refuses (regular files, /dev/null): as for poll(2), they are always ready."""
        self._ready: list[tuple[Callable[..., object], tuple[Any, ...]]] = []
        self._timers: list[Timer] = []
        self._running = False
        self._depth = 0
        self._woken = False
        # A pipe and no eventfd: the C signal handler writes single bytes, which an eventfd refuses.
        self._wakeup = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._epoll.register(self._wakeup[0], select.EPOLLIN)
        self._watched[self._wakeup[0]] = (self._on_wakeup, None, None)
        self._old_handlers: dict[int, Any] = {}
        self._old_wakeup_fd: int | None = None

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when `run_once(0)` has something to do; see also `timeout`."""
        return self._epoll.fileno()

    def watch(
        self,
        fd: int,
        on_readable: Callback | None = None,
        on_writable: Callback | None = None,
        on_hangup: Callback | None = None,
    ) -> None:
        """Call back while `fd` is readable, writable, or of no more use, in place of what was asked for `fd` before.

        End of file, hang-up and errors count as both of the first. `unwatch` a descriptor before closing it.

        :raise OSError: `fd` is not open.
        """
        if on_readable is None and on_writable is None and on_hangup is None:
            self.unwatch(fd)
            return
        mask = (select.EPOLLIN if on_readable else 0) | (select.EPOLLOUT if on_writable else 0)
        before = self._watched.get(fd)
        if before is None:
            try:
                self._epoll.register(fd, mask)
            except PermissionError:
                self._files.add(fd)
        elif fd not in self._files and (bool(before[0]), bool(before[1])) != (bool(on_readable), bool(on_writable)):
            self._epoll.modify(fd, mask)
        self._watched[fd] = (on_readable, on_writable, on_hangup)
        if fd in self._files:
            self._wake_host()

    def unwatch(self, fd: int) -> None:
        """Watch `fd` no more; allowed for one that is not watched."""
        if self._watched.pop(fd, None) is None:
            return
        if fd in self._files:
            self._files.remove(fd)
        else:
            self._epoll.unregister(fd)

    def call_soon(self, callback: Callable[..., object], *arguments: Any) -> None:
        """Call back in the next round."""
        self._ready.append((callback, arguments))
        self._wake_host()

    def call_later(self, seconds: float, callback: Callable[..., object], *arguments: Any) -> Timer:
        """Call back once, after `seconds`."""
        timer = Timer(time.monotonic() + seconds, callback, arguments)
        self._timers.append(timer)
        self._wake_host()
        return timer

    def call_threadsafe(self, callback: Callable[..., object], *arguments: Any) -> None:
        """`call_soon` for other threads and for signal handlers."""
        self._ready.append((callback, arguments))
        self._wake()

    def on_signal(self, signum: int, callback: Callable[..., object], *arguments: Any) -> None:
        """Call back on the loop when the process is sent `signum`; for the main thread only."""
        if self._old_wakeup_fd is None:
            self._old_wakeup_fd = signal.set_wakeup_fd(self._wakeup[1], warn_on_full_buffer=False)
        # Both are needed: the byte the C handler writes ends a wait that the Python handler alone would come too late
        # for (or that another thread took the signal from); the Python handler works under a host that took the
        # wake-up descriptor for itself.
        old = signal.signal(signum, lambda *_: self.call_threadsafe(callback, *arguments))
        self._old_handlers.setdefault(signum, old)

    def run(self) -> None:
        """Run until `stop`."""
        self._running = True
        try:
            while not self.stopping:
                self.run_once()
        finally:
            self._running = False

    def stop(self) -> None:
        """Let `run` return after this round."""
        self.stopping = True
        self._wake()

    def timeout(self) -> float | None:
        """Return the seconds until the next timer is due, which a host has to wait for; None when there is none."""
        deadlines = [timer.deadline for timer in self._timers if timer.callback is not None]
        return max(0.0, min(deadlines) - time.monotonic()) if deadlines else None

    def run_once(self, timeout: float | None = None) -> None:
        """Wait up to `timeout` seconds (None: without end) for something to do and do it. May be nested."""
        if self._ready or self._files:
            timeout = 0
        elif self._timers:
            due = self.timeout()
            timeout = due if timeout is None or (due is not None and due < timeout) else timeout
        self._depth += 1
        try:
            for fd, mask in self._epoll.poll(timeout):
                self._dispatch(fd, mask)
            for fd in tuple(self._files):
                self._dispatch(fd, select.EPOLLIN | select.EPOLLOUT)
            if self._timers:
                self._run_timers()
            for _ in range(len(self._ready)):
                if self._ready:  # a nested round may have emptied it
                    callback, arguments = self._ready.pop(0)
                    self._call(callback, *arguments)
        finally:
            self._depth -= 1
        if self._ready or self._files:
            self._wake_host()

    def close(self) -> None:
        """Give back descriptors and signal handlers; the loop cannot be used again."""
        if self._epoll.closed:
            return
        if self._old_wakeup_fd is not None:
            for signum, handler in self._old_handlers.items():
                signal.signal(signum, signal.SIG_DFL if handler is None else handler)
            signal.set_wakeup_fd(self._old_wakeup_fd)
        self._epoll.close()
        for fd in self._wakeup:
            os.close(fd)
        self._watched.clear()

    def _dispatch(self, fd: int, mask: int) -> None:
        for which, condition in enumerate((_READABLE, _WRITABLE, _GONE)):
            # Asked each time: a callback may have unwatched the descriptor.
            callback = self._watched.get(fd, _UNWATCHED)[which]
            if callback is not None and mask & condition:
                self._call(callback)

    def _call(self, callback: Callable[..., object], *arguments: Any) -> None:
        try:
            callback(*arguments)
        except Exception as error:
            self.on_error(error)

    def _run_timers(self) -> None:
        now = time.monotonic()
        for timer in sorted(self._timers, key=lambda timer: timer.deadline):
            callback = timer.callback
            if callback is not None and timer.deadline <= now:
                timer.cancel()
                self._call(callback, *timer.arguments)
        self._timers = [timer for timer in self._timers if timer.callback is not None]

    def _wake_host(self) -> None:
        """Make a foreign host call `run_once`, where no round of our own is under way to see the change."""
        if not self._running and not self._depth:
            self._wake()

    def _wake(self) -> None:
        if not self._woken:
            self._woken = True
            try:
                os.write(self._wakeup[1], b"\0")
            except BlockingIOError:
                pass  # full, and so readable

    def _on_wakeup(self) -> None:
        os.read(self._wakeup[0], 4096)
        # Cleared after reading: whoever appended in between and wrote nothing is served later in this round.
        self._woken = False
