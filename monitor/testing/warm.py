"""A warm process from which endpoints are forked: `python -m ramslot.monitor.testing.warm FD`.

It has loaded what a ramslot loads, and has served one, so that a further one costs a fork and a machine: some
milliseconds. Each endpoint is a process of its own all the same. What to start comes over the socket FD as JSON with
descriptors; it answers with the new process' pidfd. When the other end is gone all that was started is ended, and its
scratch folders, if they are there still, are removed.
"""

from __future__ import annotations

import gc
import json
import os
import shutil
import signal
import socket
import sys
from typing import Any

MOST_DESCRIPTORS = 16
LONGEST_REQUEST = 1 << 17


def serve(requests: socket.socket) -> None:
    """Start what is asked for until nobody asks any more."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for them: pidfds tell of their end
    gc.freeze()
    scratch: list[str] = []
    while True:
        data, descriptors, _flags, _address = socket.recv_fds(requests, LONGEST_REQUEST, MOST_DESCRIPTORS)
        if not data:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            os.killpg(0, signal.SIGTERM)
            for folder in scratch:
                shutil.rmtree(folder, ignore_errors=True)
            return
        wanted = json.loads(data)
        scratch = [folder for folder in (*scratch, wanted["scratch"]) if os.path.exists(folder)]
        if os.fork() == 0:
            _become(wanted, descriptors, requests)
        for fd in descriptors:
            os.close(fd)


def _become(wanted: dict[str, Any], descriptors: list[int], requests: socket.socket) -> None:
    """Be the endpoint, to the end of this process."""
    status = 1
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        pidfd = os.pidfd_open(os.getpid())
        socket.send_fds(requests, [str(os.getpid()).encode()], [pidfd])
        os.close(pidfd)
        requests.close()
        for fd, number in zip(descriptors, wanted["numbers"], strict=True):
            os.dup2(fd, number)
            os.close(fd)
        os.chdir(wanted["folder"])
        sys.argv = wanted["arguments"]
        if wanted["program"] is not None:
            os.execvp(wanted["program"], sys.argv)
        status = run_ramslot()
    except OSError as error:
        print(f"{wanted['program'] or 'ramslot'}: {error.strerror}", file=sys.stderr)
    except Exception as error:
        print(f"ramslot: internal error: {type(error).__name__}: {error}", file=sys.stderr)
    finally:
        sys.stderr.flush()
        os._exit(status)


def run_ramslot() -> int:
    """The command, with `sys.argv`."""
    from ..main import main

    return main()


def warm_up(machine: str) -> None:
    """Serve a machine and let it go, so that all is loaded."""
    own, its = socket.socketpair()
    with own:
        own.sendall(b'{"execute": "qmp_capabilities"}{"execute": "query-status"}{"execute": "quit"}')
        chardev = f"socket,id=warm,fd={its.detach()}"
        sys.argv = ["ramslot", "-M", machine, "-display", "none", "-chardev", chardev, "-qmp", "chardev:warm"]
        gc.disable()
        if run_ramslot():
            raise RuntimeError("a machine to warm up with could not be had")
        gc.disable()  # as at the start of the command


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as channel:
        warm_up("q35")
        serve(channel)
