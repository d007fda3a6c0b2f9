"""One dump of a machine's memory: prepared on the thread that owns the VM, written by a step, watched by anybody."""

from __future__ import annotations

from time import monotonic

from ..errors import VMError
from ..host import MissingPage
from .elf import core_layout
from .pieces import machine_pieces
from .target import core_format

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..machine import VirtualMachine
    from ..steps import Cancellation, Task
    from .elf import CoreLayout
    from .file import DumpFile
    from .pieces import Piece

PORTION = 1 << 20
"""Bytes that are read at once."""
NO_LENGTH = "parameter 'length' expects a non-zero size"


class Dump:
    """The latest dump of a machine, or none so far. Sizes are in bytes and count memory alone.

    Any thread may read what is public.
    """

    __slots__ = (
        "_cancellation",
        "_cancelled",
        "_current",
        "_layout",
        "_pieces",
        "_started",
        "_vm",
        "done",
        "length",
        "name",
        "status",
    )

    def __init__(self, vm: VirtualMachine) -> None:
        self._vm = vm
        self.status = "none"
        """`none`, `running`, `completed` or `failed`."""
        self.name = ""
        """What people call the file."""
        self.done = 0
        self.length = 0
        self._layout: CoreLayout | None = None
        self._pieces: list[Piece] = []
        self._current: Piece | None = None
        self._cancellation: Cancellation | None = None
        self._cancelled = False
        self._started = monotonic()

    @property
    def seconds(self) -> float:
        """Seconds since the beginning."""
        return monotonic() - self._started

    @property
    def is_running(self) -> bool:
        """Whether memory is being written."""
        return self.status == "running"

    def describe(self) -> dict[str, object]:
        """What `query-dump` tells of it."""
        status = "active" if self.is_running else self.status
        return {"status": status, "completed": self.done, "total": self.length}

    def start(self, file: DumpFile, begin: int | None = None, length: int = 0) -> Task[None]:
        """Begin to dump all memory, or what is at `length` addresses from `begin` on, and return the task that does.

        The guest stands still until that has ended. Raises `VMError`, as does the task; the file is closed then.
        """
        self._vm.run_state.stop_for_dump()
        self.done = self.length = 0
        self.status = "failed"
        try:
            self._prepare(begin, length)
        except VMError:
            file.close(keep=False)
            self._vm.run_state.resume_after_dump()
            raise
        self.status, self.name = "running", file.name
        self._started, self._cancellation, self._cancelled = monotonic(), None, False
        return self._run(file)

    def _prepare(self, begin: int | None, length: int) -> None:
        vm = self._vm
        found = machine_pieces(vm)
        end = found[-1].end if found else 0
        if begin is not None:
            if not length:
                raise VMError(vm.release.text("empty dump", NO_LENGTH))
            found = [part for piece in found if (part := piece.within(begin, begin + length)) is not None]
        self.length = sum(piece.length for piece in found)
        if not found:
            raise VMError("dump: no guest memory to dump")
        loads = [(piece.start, piece.length) for piece in found]
        self._layout = core_layout(core_format(vm, end), loads, has_names=vm.release.covers("7.2"))
        self._pieces = found

    def cancel(self) -> None:
        """Stop at the next portion; the dump has failed then."""
        self._cancelled = True
        if self._cancellation is not None:
            self._cancellation.requested = True

    def _run(self, file: DumpFile) -> Task[None]:
        try:
            yield lambda cancellation: self._write(file, cancellation)
        except Exception as error:
            failure = self._told(error)
            self._end(file, failure)
            raise failure from None
        self._end(file, None)

    def _told(self, error: Exception) -> Exception:
        if isinstance(error, MissingPage) and self._current is not None:
            where = self._vm.objects.why_missing(self._current.block, error.offset, error)
            return VMError(f"dump: failed to save memory: the host has no page for {where}")
        if isinstance(error, OSError):
            what = "write elf header" if self._current is None else "save memory"
            return VMError(f"dump: failed to {what}: {error.strerror}")
        return error

    def _end(self, file: DumpFile, failure: Exception | None) -> None:
        file.close(keep=failure is None)
        self.status = "completed" if failure is None else "failed"
        self._pieces, self._layout, self._current = [], None, None
        told: dict[str, object] = {"result": self.describe()}
        self._vm.emit("DUMP_COMPLETED", told if failure is None else {**told, "error": str(failure)})
        self._vm.run_state.resume_after_dump()

    def _write(self, file: DumpFile, cancellation: Cancellation) -> None:
        self._cancellation = cancellation
        cancellation.requested = cancellation.requested or self._cancelled
        layout = self._layout
        assert layout is not None, "it was prepared"
        file.write(layout.head, cancellation)
        buffer = memoryview(bytearray(PORTION))
        for piece in self._pieces:
            self._current = piece
            try:
                self._write_piece(piece, file, buffer, cancellation)
            except ValueError:
                raise VMError("dump: some of this memory has gone meanwhile") from None
        file.write(layout.tail, cancellation)
        file.finish()

    def _write_piece(self, piece: Piece, file: DumpFile, buffer: memoryview, cancellation: Cancellation) -> None:
        host = piece.block.host
        for begin, end, is_there in piece.parts():
            cancellation.check()
            if not is_there:
                file.write_zeros(end - begin, cancellation)
                self.done += end - begin
                continue
            for start in range(begin, end, PORTION):
                part = buffer[: min(PORTION, end - start)]
                host.read_into(start, part)
                file.write(part, cancellation)
                self.done += len(part)
