"""Processes of endpoints, started by a warm one (see `warm`), which is started when it is first needed."""

from __future__ import annotations

import atexit
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence

from . import warm

PATIENCE = 10.0
"""Seconds after which a process that was told to end is killed."""


class Process:
    """A started process. Nobody learns its exit status: it is no child of ours."""

    def __init__(self, pid: int, pidfd: int) -> None:
        self.pid = pid
        self._pidfd = pidfd

    def ended(self, timeout: float = 0) -> bool:
        """Whether it has ended, or does so within `timeout` seconds."""
        if self._pidfd < 0:
            return True
        poll = select.poll()
        poll.register(self._pidfd, select.POLLIN)
        return bool(poll.poll(timeout * 1000))

    def end(self) -> None:
        """Ask it to end, kill it if it does not, and forget it. Allowed more than once."""
        if self._pidfd < 0:
            return
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                signal.pidfd_send_signal(self._pidfd, number)
            except ProcessLookupError:
                break
            if self.ended(PATIENCE):
                break
        os.close(self._pidfd)
        self._pidfd = -1


class Starter:
    """The warm process of this one; every process has its own, also one that was forked."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._owner = 0
        self._channel: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def start(
        self, program: str | None, arguments: Sequence[str], files: Sequence[tuple[int, int]], folder: str, scratch: str
    ) -> Process:
        """Start `program` (ramslot, if it is None) in `folder`, with `files`: our descriptor, its number there.

        The folder `scratch` is removed when this process ends without having done it.

        :raise OSError: there is no warm process to be had.
        """
        request = {
            "program": program,
            "arguments": [program or "ramslot", *arguments],
            "numbers": [number for _fd, number in files],
            "folder": folder,
            "scratch": scratch,
        }
        data = json.dumps(request).encode()
        if len(data) > warm.LONGEST_REQUEST:
            raise OSError("these arguments are too long")
        with self._lock:
            for _ in range(2):
                if self._owner != os.getpid():
                    self._begin()
                started = self._ask(data, [fd for fd, _number in files])
                if started is not None:
                    return started
                self._owner = 0  # somebody has ended the warm process: another one may be had
        raise OSError("the process that starts endpoints has ended")

    def _ask(self, data: bytes, descriptors: list[int]) -> Process | None:
        assert self._channel is not None
        try:
            socket.send_fds(self._channel, [data], descriptors)
            answer, received, _flags, _address = socket.recv_fds(self._channel, 64, 1)
        except ConnectionError:
            return None
        return Process(int(answer), received[0]) if answer else None

    def _begin(self) -> None:
        if self._channel is not None:
            self._channel.close()
        if self._process is not None:
            self._process.wait(PATIENCE)
        self._channel, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        number = its.fileno()
        with its:
            self._process = subprocess.Popen(
                [sys.executable, "-m", warm.__name__, str(number)],
                env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                pass_fds=[number],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                start_new_session=True,
            )
        self._owner = os.getpid()
        atexit.register(self._close, self._owner)

    def _close(self, owner: int) -> None:
        if owner == os.getpid() and self._channel is not None and self._process is not None:
            self._channel.close()
            self._process.wait(PATIENCE)


starter = Starter()
