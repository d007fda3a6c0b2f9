"""`file` and `pipe`: what is written goes into a file, or through a pair of named pipes."""

from __future__ import annotations

import os

from .device import Chardev, ChardevError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..loop import Loop
    from .options import ChardevOptions


class FileChardev(Chardev):
    """`file`: output into a file, input from another if there is one.

    :raise ChardevError: a file cannot be opened.
    """

    __slots__ = ()

    kind = "file"

    def __init__(self, loop: Loop, options: ChardevOptions) -> None:
        super().__init__(loop, options.id)
        in_fd = -1 if options.input_path is None else _open(options.input_path, os.O_RDONLY)
        try:
            flags = os.O_WRONLY | os.O_CREAT | (os.O_APPEND if options.append else os.O_TRUNC)
            out_fd = _open(options.path or "", flags)
        except ChardevError:
            if in_fd >= 0:
                os.close(in_fd)
            raise
        self._connect(in_fd, out_fd)

    @property
    def filename(self) -> str:
        """What the device is connected to, as QEMU writes it."""
        return self.kind

    def _end_of_input(self) -> None:
        """Go on without input: there may still be something to write."""
        self._ended = True
        self._update()

    def _release(self) -> None:
        for fd in {self._in, self._out} - {-1}:
            os.close(fd)


class PipeChardev(FileChardev):
    """`pipe`: the named pipes PATH.in and PATH.out, seen from the client, or PATH for both.

    They are opened for both directions, so that nobody waits for anybody and clients come and go unnoticed.

    :raise ChardevError: neither can be opened.
    """

    __slots__ = ()

    kind = "pipe"

    def __init__(self, loop: Loop, options: ChardevOptions) -> None:
        Chardev.__init__(self, loop, options.id)
        path = options.path or ""
        found: list[int] = []
        try:
            for suffix in (".in", ".out"):
                found.append(_open(path + suffix, os.O_RDWR))
        except ChardevError:
            for fd in found:
                os.close(fd)
            fd = _open(path, os.O_RDWR)
            found = [fd, fd]
        self._connect(*found)


def _open(path: str, flags: int) -> int:
    try:
        return os.open(path, flags | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY, 0o666)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ChardevError(f"Could not open '{path}': {reason}") from None


def open_log(options: ChardevOptions) -> int:
    """Open the file that gets all that is written to a device.

    :raise ChardevError: it cannot be opened.
    """
    path = options.log_file or ""
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | (os.O_APPEND if options.log_append else os.O_TRUNC)
        return os.open(path, flags, 0o666)
    except OSError as error:
        text = f"Could not create '{path}'" if options.release.covers("6.0") else f"Unable to open logfile {path}"
        raise ChardevError(f"{text}: {error.strerror}") from None
