"""Where a script's lines come from, and where its answers go, while the loop is served."""

from __future__ import annotations

import os

from ...vm.errors import VMError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..loop import Loop


READ_SIZE = 0x10000
PIPE_PORTION = 4096
"""Bytes that a pipe takes without waiting once it can take any (PIPE_BUF)."""
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def script_lines(loop: Loop, path: str) -> Iterator[tuple[str, str]]:
    """The lines of a script, each with its place for messages; `-` is standard input. Raises `VMError`.

    While a pipe has nothing to read the loop is served: other monitors are answered, and signals end the wait.
    """
    name = "stdin" if path == "-" else path
    try:
        # A FIFO is opened without waiting for its writer; what is read is waited for below.
        descriptor = 0 if path == "-" else os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (OSError, ValueError) as error:  # a name with a null character is none
        raise VMError(f"cannot read script '{path}': {getattr(error, 'strerror', error)}") from None
    try:
        for number, line in enumerate(_lines(loop, descriptor, name), 1):
            text = line.removeprefix(BYTE_ORDER_MARK) if number == 1 else line
            yield f"{name}:{number}", text.decode("utf-8", "surrogateescape")
    finally:
        if descriptor:
            os.close(descriptor)


def _lines(loop: Loop, descriptor: int, name: str) -> Iterator[bytes]:
    begun = b""
    while not loop.stopping:
        try:
            read = _read_when_ready(loop, descriptor)
        except OSError as error:
            raise VMError(f"cannot read script '{name}': {error.strerror}") from None
        if not read:
            break
        *complete, begun = (begun + read).split(b"\n")
        yield from complete
    if begun and not loop.stopping:
        yield begun


def _read_when_ready(loop: Loop, descriptor: int) -> bytes:
    """What can be read next, empty at the end or when the loop is stopped meanwhile."""
    return os.read(descriptor, READ_SIZE) if _wait(loop, descriptor) else b""


def _wait(loop: Loop, descriptor: int, *, writing: bool = False) -> bool:
    """Serve the loop until a descriptor is ready; whether it is, or the loop was stopped meanwhile."""
    ready: list[bool] = []

    def note() -> None:
        ready.append(True)

    loop.watch(descriptor, None if writing else note, note if writing else None)
    try:
        while not ready and not loop.stopping:
            loop.run_once()
    finally:
        loop.unwatch(descriptor)
    return bool(ready)


def write_output(loop: Loop, text: str) -> None:
    """Write to standard output, serving the loop while a reader lets us wait, until the loop is stopped.

    Raises `OSError` when the reader has gone or the disk is full.
    """
    data = memoryview(text.encode("utf-8", "surrogateescape"))
    while data and _wait(loop, 1, writing=True):
        data = data[os.write(1, data[:PIPE_PORTION]) :]
