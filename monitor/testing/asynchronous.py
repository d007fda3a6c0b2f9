"""Endpoints for asyncio: what would block the loop is done in a thread. Loaded by those who want it.

An endpoint lives in a process and a thread of its own, so that only its start, its end and the commands from behind
take time. Faults, and what clients have sent, are there at once, in both kinds of endpoint.
"""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, Generic, ParamSpec, TypeVar

from .async_commands import AsyncCommands
from .endpoint import AttachedEndpoint, Endpoint, ReplayEndpoint, StartedEndpoint

EVENT_CHECK = 0.005
"""Seconds between two looks for an event."""

E = TypeVar("E", bound=Endpoint)
P = ParamSpec("P")


class AsyncMachineEndpoint(AsyncCommands, StartedEndpoint):
    """A started machine, the second monitor's commands being its coroutine methods, one carried out after another.

    One that is cancelled before its turn is not sent; later it is carried out, and its answer is dropped.
    """

    @functools.cached_property
    def _worker(self) -> ThreadPoolExecutor:
        """One thread, not one for each command: those that were given up would take all that there are."""
        return ThreadPoolExecutor(1, thread_name_prefix="endpoint commands")

    async def execute(self, command: str, arguments: dict[str, Any] | None = None) -> Any:
        """Ask from behind: through no proxy, past all faults, and not in `sent`.

        :raise CommandError: the command is refused.
        """
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._worker, self.control.execute, command, arguments)

    async def wait_event(self, name: str, timeout: float = 10.0) -> dict[str, Any]:
        """Return the last event of a name, waiting for one if there was none.

        :raise EndpointError: none came within `timeout` seconds.
        """
        deadline = time.monotonic() + timeout
        while (event := self._seen_event(name, deadline)) is None:
            await asyncio.sleep(EVENT_CHECK)
        return event

    def _end_server(self) -> None:
        super()._end_server()
        self._worker.shutdown()


class Opening(Generic[E]):
    """An endpoint that `async with` starts and ends, both wholly, also if it is cancelled meanwhile."""

    def __init__(self, make: Callable[[], E]) -> None:
        self._make = make
        self._endpoint: E | None = None

    async def __aenter__(self) -> E:
        try:
            await _wholly(self._start)
        except asyncio.CancelledError:
            if self._endpoint is not None:
                await _wholly(self._endpoint.close)
            raise
        assert self._endpoint is not None
        return self._endpoint

    async def __aexit__(self, kind: type[BaseException] | None, value: object, traceback: TracebackType | None) -> None:
        if self._endpoint is not None:
            await _wholly(functools.partial(self._endpoint.__exit__, kind, value, traceback))

    def _start(self) -> None:
        self._endpoint = self._make()


async def _wholly(function: Callable[[], None]) -> None:
    """Call a function in a thread and wait for its end, also if cancelled: that is raised when it has ended.

    The thread is its own. Those of the loop may all be with clients that wait for just this.
    """
    cancelled: asyncio.CancelledError | None = None
    with ThreadPoolExecutor(1) as thread:
        call = asyncio.get_running_loop().run_in_executor(thread, function)
        while not call.done():
            try:
                await asyncio.wait([call])
            except asyncio.CancelledError as error:
                cancelled = error
    if cancelled is not None:
        raise cancelled from call.exception()
    call.result()


def _opening(start: Callable[P, E]) -> Callable[P, Opening[E]]:
    @functools.wraps(start, updated=())
    def open_(*args: P.args, **kwargs: P.kwargs) -> Opening[E]:
        return Opening(functools.partial(start, *args, **kwargs))

    return open_


async_endpoint = _opening(AsyncMachineEndpoint)
async_attach = _opening(AttachedEndpoint)
async_replay = _opening(ReplayEndpoint)
