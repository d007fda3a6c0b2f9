"""-daemonize: the program goes on in the background; the command ends once it serves, with the status that tells."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


def run_daemon(run: Callable[[Callable[[], None]], int]) -> int:
    """Call `run` in a background process and return, in the foreground, 0 as soon as it reports that it serves.

    `run` is given the function to report with, and returns the exit status. This must happen before any guest memory is
    mapped, for that is not inherited by child processes (MADV_DONTFORK).
    """
    reader, writer = os.pipe2(os.O_CLOEXEC)
    child = os.fork()
    if child:
        os.close(writer)
        started = os.read(reader, 1)
        os.close(reader)
        return 0 if started else os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    os.close(reader)
    os.setsid()

    def report() -> None:
        null = os.open(os.devnull, os.O_RDWR)
        for standard in (0, 1, 2):
            os.dup2(null, standard)
        os.close(null)
        os.write(writer, b"+")
        os.close(writer)

    return run(report)
