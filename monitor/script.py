"""Scripted use: lines of HMP and values of QMP JSON from `-c`, a file or a pipe, answered on standard output."""

from __future__ import annotations

import os

from ..commands.json_output import encode
from ..commands.json_stream import NEED_MORE, JSONError, JSONStream
from ..vm.errors import VMError
from .dispatch import HMPLineError, execute, is_task, run_hmp_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from .loop import Loop
    from .program import Program


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
    except OSError as error:
        raise VMError(f"cannot read script '{path}': {error.strerror}") from None
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


class ScriptRunner:
    """Runs commands one after another and counts the failures."""

    def __init__(self, program: Program, keep_going: bool) -> None:
        self._program = program
        self._keep_going = keep_going
        self.failed = False

    def run(self, lines: Iterable[tuple[str, str]]) -> None:
        """Run all lines, or those up to the first that fails."""
        stream: JSONStream | None = None
        for place, line in lines:
            if self._program.loop.stopping:
                return
            stripped = line.strip()
            if stream is None and (not stripped or stripped.startswith("#")):
                continue
            if stream is None and not stripped.startswith("{"):
                done = self._run_hmp(place, stripped)
            else:
                stream = stream or JSONStream()
                stream.feed(line.encode("utf-8", "surrogateescape") + b"\n")
                done, stream = self._run_values(place, stream)
            if not done and not self._keep_going:
                return
            self._program.loop.run_once(0)
        if stream is not None:
            self._fail("end of script", "JSON parse error, premature EOI")
        self._wait_for_migration()

    def _wait_for_migration(self) -> None:
        """See a migration through that the script began: the program's end would stop it."""
        vm = self._program.vm
        if vm is None or not vm.is_migrating:
            return
        while vm.is_migrating and not self._program.loop.stopping:
            self._program.loop.run_once()
        if vm.migration.status == "failed":
            self._fail("migrate", vm.migration.error)

    def _run_values(self, place: str, stream: JSONStream) -> tuple[bool, JSONStream | None]:
        """Run the values that are complete; the stream is returned while a value is begun in it.

        Bad JSON ends with its line, so that what follows can be understood again.
        """
        done, broken = True, False
        while (value := stream.take()) is not NEED_MORE:
            done = self._run_qmp(place, value) and done
            broken = broken or isinstance(value, JSONError)
            if not done and not self._keep_going:
                return False, None
        return done, None if broken or stream.idle else stream

    def _run_hmp(self, place: str, line: str) -> bool:
        try:
            text = self._program.worker.wait(run_hmp_line(self._program.context, line))
        except HMPLineError as failure:
            return self._fail(place, str(failure), failure)
        write_output(self._program.loop, text)
        return True

    def _run_qmp(self, place: str, value: Any) -> bool:
        try:
            name, arguments, request_id = _request(value)
            result = execute(self._program.context, name, arguments)
            if is_task(result):
                result = self._program.worker.wait(result)
            answer = {"return": result}
        except VMError as error:
            answer = {"error": {"class": error.qmp_class, "desc": str(error)}}
            return self._fail(place, encode(answer).decode(), error)
        if request_id is not None:
            answer["id"] = request_id
        write_output(self._program.loop, encode(answer).decode().replace("\r\n", "\n"))
        return True

    def _fail(self, place: str, text: str, error: Exception | None = None) -> bool:
        # What a signal cut short has not failed: the program ends with 0 then, as QEMU.
        if not self._program.loop.stopping:
            self.failed = True
            self._program.warn(f"{place}: {text.strip()}")
            if error is not None:
                self._program.context.failure = error
                self._program.tell_remedy(str(error), getattr(error, "hint", None))
        return False


def _request(value: Any) -> tuple[str, dict[str, Any], Any]:
    """Name, arguments and id of a request; raises `VMError` with QEMU's text."""
    if isinstance(value, JSONError):
        raise VMError(value.text)
    if not isinstance(value, dict):
        raise VMError("QMP input must be a JSON object")
    if "execute" not in value:
        raise VMError("QMP input lacks member 'execute'")
    for member in value:
        if member not in ("execute", "arguments", "id"):
            raise VMError(f"QMP input member '{member}' is unexpected")
    name, arguments = value["execute"], value.get("arguments", {})
    if not isinstance(name, str):
        raise VMError("QMP input member 'execute' must be a string")
    if not isinstance(arguments, dict):
        raise VMError("QMP input member 'arguments' must be an object")
    return name, arguments, value.get("id")
