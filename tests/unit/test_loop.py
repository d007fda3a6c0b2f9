"""The event loop and the worker: what is called back, when, on which thread, and what happens to exceptions."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from ramslot.monitor.loop import Loop
from ramslot.monitor.worker import Worker
from ramslot.vm.errors import VMError
from ramslot.vm.steps import Cancellation


def each(*callbacks: Callable[[], object]) -> Callable[[], None]:
    """Return a callback that calls all of these."""

    def call() -> None:
        for callback in callbacks:
            callback()

    return call


def open_descriptors() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


@pytest.fixture
def loop() -> Iterator[Loop]:
    before = open_descriptors()
    errors: list[Exception] = []
    loop = Loop(on_error=errors.append)
    yield loop
    loop.close()
    assert open_descriptors() == before
    assert not errors


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe2(os.O_NONBLOCK)
    yield ends
    for fd in ends:
        os.close(fd)


def test_readable_and_writable(loop: Loop, pipe: tuple[int, int]) -> None:
    source, sink = pipe
    seen: list[str] = []
    loop.watch(source, lambda: seen.append(os.read(source, 100).decode()))
    loop.run_once(0)
    assert seen == []
    loop.watch(sink, on_writable=lambda: os.write(sink, b"x"))
    loop.run_once(0)
    loop.unwatch(sink)
    loop.run_once(0)
    loop.run_once(0)
    assert seen == ["x"]


def test_end_of_file_is_readable(loop: Loop) -> None:
    source, sink = os.pipe()
    os.close(sink)
    seen: list[bytes] = []
    loop.watch(
        source, each(lambda: seen.append(os.read(source, 1)), lambda: loop.unwatch(source), lambda: os.close(source))
    )
    loop.run_once(1)
    assert seen == [b""]


def test_watching_for_nothing_is_unwatching(loop: Loop, pipe: tuple[int, int]) -> None:
    os.write(pipe[1], b"x")
    loop.watch(pipe[0], lambda: pytest.fail("was unwatched"))
    loop.watch(pipe[0])
    loop.run_once(0)


def test_a_hang_up_is_told_where_nothing_else_is_watched(loop: Loop) -> None:
    ours, theirs = socket.socketpair()
    calls: list[str] = []

    def gone() -> None:
        calls.append("gone")
        loop.unwatch(ours.fileno())

    with ours:
        loop.watch(ours.fileno(), on_hangup=gone)
        theirs.send(b"x")
        theirs.shutdown(socket.SHUT_WR)
        loop.run_once(0)
        assert calls == []
        theirs.close()
        loop.run_once(1)
        loop.run_once(0)
        assert calls == ["gone"]


def test_one_callback_may_unwatch_another_that_is_ready(loop: Loop) -> None:
    pipes = [os.pipe() for _ in range(2)]
    seen: list[int] = []

    def take(mine: int, other: int) -> None:
        seen.append(mine)
        loop.unwatch(other)

    (a, a_sink), (b, b_sink) = pipes
    os.write(a_sink, b"x")
    os.write(b_sink, b"x")
    loop.watch(a, lambda: take(a, b))
    loop.watch(b, lambda: take(b, a))
    loop.run_once(1)
    assert len(seen) == 1
    for fd in (a, b):
        loop.unwatch(fd)
    for ends in pipes:
        for fd in ends:
            os.close(fd)


def test_a_regular_file_is_always_ready(loop: Loop, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    with open(tmp_path / "file", "rb", buffering=0) as file:
        seen: list[bytes] = []
        loop.watch(file.fileno(), lambda: seen.append(os.read(file.fileno(), 2)))
        for _ in range(3):
            loop.run_once()
        loop.unwatch(file.fileno())
        loop.run_once(0)
    assert seen == [b"ab", b"c", b""]


def test_a_closed_descriptor_is_refused(loop: Loop) -> None:
    with pytest.raises(OSError, match="Bad file descriptor"):
        loop.watch(999, lambda: None)
    loop.run_once(0)


def test_call_soon_runs_in_order_and_what_it_adds_in_the_next_round(loop: Loop) -> None:
    seen: list[str] = []
    loop.call_soon(each(lambda: seen.append("a"), lambda: loop.call_soon(seen.append, "c")))
    loop.call_soon(seen.append, "b")
    loop.run_once()
    assert seen == ["a", "b"]
    loop.run_once()
    assert seen == ["a", "b", "c"]


def test_timers_run_in_the_order_of_their_time(loop: Loop) -> None:
    seen: list[str] = []
    loop.call_later(0.02, each(lambda: seen.append("late"), loop.stop))
    loop.call_later(0.01, seen.append, "early")
    loop.call_later(0.015, seen.append, "never").cancel()
    started = time.monotonic()
    loop.run()
    assert seen == ["early", "late"]
    assert time.monotonic() - started >= 0.02
    assert loop.timeout() is None


def test_a_round_waits_no_longer_than_it_is_told(loop: Loop) -> None:
    loop.call_later(100, lambda: None)
    assert 99 < (loop.timeout() or 0) <= 100
    started = time.monotonic()
    loop.run_once(0.01)
    assert time.monotonic() - started < 50


def test_an_exception_goes_to_the_hook_and_the_loop_goes_on() -> None:
    errors: list[Exception] = []
    loop = Loop(on_error=errors.append)
    loop.call_soon(lambda: 1 // 0)
    loop.call_soon(loop.stop)
    loop.run()
    loop.close()
    assert [type(error) for error in errors] == [ZeroDivisionError]


def test_by_default_an_exception_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    loop = Loop()
    loop.call_soon(lambda: 1 // 0)
    loop.run_once()
    loop.close()
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_a_keyboard_interrupt_ends_the_run(loop: Loop) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    loop.call_soon(interrupt)
    with pytest.raises(KeyboardInterrupt):
        loop.run()


def test_another_thread_wakes_the_loop(loop: Loop) -> None:
    seen: list[int] = []

    def call() -> None:
        for number in range(1000):
            loop.call_threadsafe(seen.append, number)

    threads = [threading.Thread(target=call) for _ in range(2)]
    for thread in threads:
        thread.start()
    loop.call_later(60, loop.stop)
    while len(seen) < 2000 and not loop.stopping:
        loop.run_once()
    for thread in threads:
        thread.join()
    assert len(seen) == 2000


def test_a_signal_is_called_back_on_the_loop_and_its_handler_given_back() -> None:
    before = signal.getsignal(signal.SIGHUP)
    loop = Loop()
    seen: list[str] = []
    loop.on_signal(signal.SIGHUP, each(lambda: seen.append("hup"), loop.stop))
    threading.Timer(0.02, os.kill, (os.getpid(), signal.SIGHUP)).start()
    loop.run()
    loop.close()
    assert seen == ["hup"]
    assert signal.getsignal(signal.SIGHUP) == before
    assert signal.set_wakeup_fd(-1) == -1


def test_nested_rounds(loop: Loop) -> None:
    seen: list[str] = []

    def outer() -> None:
        loop.call_soon(seen.append, "nested")
        loop.run_once()
        seen.append("outer")

    loop.call_soon(outer)
    loop.call_soon(seen.append, "last")
    loop.run_once()
    loop.run_once(0)
    assert seen == ["last", "nested", "outer"]


def test_asyncio_hosts_the_loop(loop: Loop, pipe: tuple[int, int], tmp_path: Path) -> None:
    """Everything but timers makes the loop's descriptor readable."""
    seen: list[str] = []

    async def host() -> None:
        asyncio_loop = asyncio.get_running_loop()
        asyncio_loop.add_reader(loop.fileno(), loop.run_once, 0)

        async def until(name: str) -> None:
            async with asyncio.timeout(20):
                while name not in seen:
                    await asyncio.sleep(0.001)

        loop.watch(pipe[0], lambda: seen.append(os.read(pipe[0], 10).decode()))
        os.write(pipe[1], b"pipe")
        await until("pipe")
        loop.call_soon(lambda: loop.call_soon(seen.append, "soon"))
        await until("soon")
        threading.Thread(target=loop.call_threadsafe, args=(seen.append, "thread")).start()
        await until("thread")
        (tmp_path / "file").touch()
        with open(tmp_path / "file", "rb") as file:
            loop.watch(file.fileno(), each(lambda: loop.unwatch(file.fileno()), lambda: seen.append("file")))
            await until("file")
        loop.unwatch(pipe[0])
        asyncio_loop.remove_reader(loop.fileno())

    asyncio.run(host())


def test_closing_twice_is_harmless() -> None:
    loop = Loop()
    loop.close()
    loop.close()


@pytest.mark.parametrize("module", ["loop", "worker", "chardevs.opening", "readline"])
def test_nothing_heavy_is_imported(module: str) -> None:
    heavy = ["asyncio", "collections", "enum", "json", "re", "selectors", "signal", "socket", "threading", "typing"]
    code = f"import sys; before = set(sys.modules); import ramslot.monitor.{module}\n"
    code += f"print(*[name for name in {heavy} if name in sys.modules and name not in before])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ})
    assert run.stdout.split() == []


# The worker.


def plain(value: Any) -> Generator[Any, Any, Any]:
    """A task without slow steps."""
    if isinstance(value, Exception):
        raise value
    return value
    yield


def test_a_task_that_never_yields_is_done_at_once_and_starts_no_thread(loop: Loop) -> None:
    done: list[Any] = []
    before = threading.active_count()
    Worker(loop).start(plain(7), lambda *outcome: done.append(outcome))
    assert done == [(7, None)]
    assert threading.active_count() == before


def test_the_error_of_a_task_is_handed_over(loop: Loop) -> None:
    done: list[Any] = []
    error = VMError("no")
    Worker(loop).start(plain(error), lambda *outcome: done.append(outcome))
    assert done == [(None, error)]


def test_steps_run_elsewhere_and_the_rest_on_the_loops_thread(loop: Loop) -> None:
    here = threading.get_ident()

    def task() -> Generator[Any, Any, list[int]]:
        idents = [threading.get_ident()]
        for _ in range(2):
            idents.append((yield lambda cancellation: threading.get_ident()))
            idents.append(threading.get_ident())
        return idents

    first, step, between, second_step, last = Worker(loop).wait(task())
    assert first == between == last == here
    assert here not in (step, second_step)


def test_the_error_of_a_step_is_thrown_into_its_task(loop: Loop) -> None:
    def task() -> Generator[Any, Any, str]:
        try:
            yield lambda cancellation: 1 // 0
        except ZeroDivisionError as error:
            return f"rolled back after {error}"
        return "committed"

    assert Worker(loop).wait(task()).startswith("rolled back")


def test_wait_raises_what_the_task_raised(loop: Loop) -> None:
    def task() -> Generator[Any, Any, None]:
        yield lambda cancellation: None
        raise VMError("refused")

    with pytest.raises(VMError, match="refused"):
        Worker(loop).wait(task())


def slow(started: threading.Event) -> Generator[Any, Any, str]:
    def step(cancellation: Cancellation) -> None:
        started.set()
        while True:
            cancellation.check()
            time.sleep(0.001)

    yield step
    return "done"


def test_the_loop_serves_others_during_a_step_which_can_be_cancelled(loop: Loop) -> None:
    done: list[Any] = []
    started = threading.Event()
    served: list[int] = []
    worker = Worker(loop)
    cancellation = worker.start(slow(started), lambda *outcome: done.append(outcome))
    assert started.wait(20)
    loop.call_soon(served.append, 1)
    loop.run_once()
    assert (served, done) == ([1], [])
    cancellation.requested = True
    while not done:
        loop.run_once(20)
    assert str(done[0][1]) == "Operation cancelled"


def test_a_cancelled_task_may_still_clean_up_in_a_step(loop: Loop) -> None:
    cleaned: list[bool] = []

    def task() -> Generator[Any, Any, None]:
        try:
            yield from slow(threading.Event())
        except VMError:
            yield lambda cancellation: cleaned.append(cancellation.requested)
            raise

    done: list[Any] = []
    cancellation = Worker(loop).start(task(), lambda *outcome: done.append(outcome))
    cancellation.requested = True
    while not done:
        loop.run_once(20)
    assert cleaned == [True]
    assert str(done[0][1]) == "Operation cancelled"


def test_stopping_the_loop_cancels_what_is_waited_for(loop: Loop) -> None:
    started = threading.Event()
    loop.call_later(0.01, loop.stop)
    with pytest.raises(VMError, match="cancelled"):
        Worker(loop).wait(slow(started))


def test_closing_cancels_everything(loop: Loop) -> None:
    done: list[Any] = []
    worker = Worker(loop)
    for _ in range(3):
        worker.start(slow(threading.Event()), lambda *outcome: done.append(outcome))
    worker.close()
    assert [str(error) for _, error in done] == ["Operation cancelled"] * 3
