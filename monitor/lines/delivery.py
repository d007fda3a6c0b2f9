"""Carries out a redirection: the text goes to a file, or to a command of the shell on a thread of its own."""

from __future__ import annotations

import os
from signal import SIGINT, SIGKILL, SIGTERM

from ...vm.errors import VMError
from ..dispatch import HMPLineError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import BinaryIO

    from ...vm.steps import Cancellation, Step, Task
    from .redirection import Redirection

INTERRUPTED = (-SIGINT, 128 + SIGINT)
"""How a command, and a shell that ran it, tell that Ctrl-C ended it."""
PATIENCE = 0.05
"""Seconds between two looks at whether a command that runs is to be stopped."""


def deliver(text: str, redirection: Redirection, *, captured: bool, ending: Callable[[], bool]) -> Task[str]:
    """Bring `text` where it is to go and return what is to be printed after all; raises `HMPLineError`.

    A shell's command that is `captured` has its output returned and fails with its exit status; another one has our
    terminal, where it is interrupted without us. `ending` says whether it is to be stopped all the same.
    """
    data = text.encode("utf-8", "surrogateescape")
    if redirection.operator != "|":
        _write(redirection, data)
        return ""
    status: int
    output: bytes
    try:
        status, output = yield _run_shell(redirection.target, data, captured, ending)
    except (OSError, ValueError) as error:
        raise HMPLineError(f"Error: cannot run '{redirection.target}': {getattr(error, 'strerror', error)}\n") from None
    except VMError as error:
        raise HMPLineError(f"Error: {error}\n") from None
    if captured and status:
        how = f"status {status}" if status > 0 else f"signal {-status}"
        raise HMPLineError(f"{output.decode('utf-8', 'surrogateescape')}'{redirection.target}' ended with {how}\n")
    if not captured and status in INTERRUPTED:
        return "\n"  # behind the terminal's own "^C"
    return output.decode("utf-8", "surrogateescape")


def _write(redirection: Redirection, data: bytes) -> None:
    path = os.path.expanduser(redirection.target)
    if not path:
        raise HMPLineError(f"Error: '{redirection.operator}' wants the name of a file\n")
    try:
        with open(path, "ab" if redirection.operator == ">>" else "wb") as file:
            file.write(data)
    except (OSError, ValueError) as error:
        raise HMPLineError(f"Error: cannot write '{path}': {getattr(error, 'strerror', error)}\n") from None


def _run_shell(command: str, data: bytes, captured: bool, ending: Callable[[], bool]) -> Step:
    def step(cancellation: Cancellation) -> tuple[int, bytes]:
        from subprocess import PIPE, Popen, TimeoutExpired

        with _as_file(data) as source:
            # What is captured has no terminal to be interrupted from, and is stopped with all that it began.
            process = Popen(
                command,
                shell=True,
                stdin=source,
                stdout=PIPE if captured else None,
                process_group=0 if captured else None,
            )
        signals: list[int] = [SIGKILL, SIGTERM]
        while True:
            try:
                output, _ = process.communicate(timeout=PATIENCE)
                break
            except TimeoutExpired:
                if ending() or (captured and cancellation.requested):
                    _stop(process.pid, captured, signals)
        if captured:
            cancellation.check()
        return process.returncode, output or b""

    return step


def _as_file(data: bytes) -> BinaryIO:
    """`data` as a file without a name, to be read from its beginning."""
    file = open(os.memfd_create("answer"), "w+b")  # noqa: SIM115 - the caller closes it
    file.write(data)
    file.seek(0)
    return file


def _stop(pid: int, group: bool, signals: list[int]) -> None:
    """Ask a process, or its group, to end; then no longer ask."""
    number = signals.pop() if len(signals) > 1 else signals[0]
    try:
        (os.killpg if group else os.kill)(pid, number)
    except ProcessLookupError:
        pass
