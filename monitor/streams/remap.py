"""`ramslot stream remap`: rewrites a stream for a machine with other RAMBlocks, from a file or a pipe to another."""

from __future__ import annotations

import os
import sys

from ...vm.errors import VMError
from ...vm.streams.remap import Remapper
from .files import StreamFile, write_all
from .map import read_map
from .remap_mapped import has_fixed_places, remap_mapped
from .words import Progress, Words, print_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...vm.streams.block_map import Layout
    from ...vm.streams.remap import Map


def run_remap(said: Words) -> int:
    """Carry out `stream remap`; raises `VMError`."""
    target = said.value("-o")
    if target is None and sys.stdout.isatty():
        raise VMError("a stream is nothing for a terminal; -o says where it is to go")
    if "-json" in said and target is None:
        raise VMError("-json needs -o, for the stream goes to standard output")
    block_map = read_map(said)
    remapper = Remapper(block_map, said.page_size)
    with StreamFile(said.files[0] if said.files else "-", said.offset(0)) as file:
        progress = Progress(file)
        if has_fixed_places(file):
            return _remap_mapped(said, file, block_map, progress)
        output = _Output(target)
        done = False
        try:
            count = 1
            while count:
                count = file.read_into(remapper.room())
                output.write(remapper.take(count))
                progress.tell()
            done = True
        finally:
            progress.end()
            output.close(keep=done)
    assert remapper.layout is not None, "all pages have come"
    return _report(said, remapper.layout)


def _remap_mapped(said: Words, file: StreamFile, block_map: Map, progress: Progress) -> int:
    target = said.value("-o")
    if target is None:
        raise VMError(
            "the pages have fixed places in their file (mapped-ram), so that -o has to say which is the new one"
        )
    try:
        layout = remap_mapped(file, target, block_map, said.page_size, progress.tell)
    finally:
        progress.end()
    return _report(said, layout)


def _report(said: Words, layout: Layout) -> int:
    if "-json" in said:
        print_json({"blocks": [{"name": name, "size": length} for name, length in layout.blocks]})
    return 0


class _Output:
    """Where a rewritten stream goes: a new file, or standard output."""

    def __init__(self, path: str | None) -> None:
        self._path = path
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        try:
            self._fd = os.dup(1) if path is None else os.open(path, flags, 0o600)
        except OSError as error:
            raise VMError(f"Could not create '{path}': {error.strerror}") from None

    def write(self, buffers: list[bytes | memoryview]) -> None:
        """Write all."""
        write_all(self._fd, buffers)

    def close(self, *, keep: bool) -> None:
        """Close it; a file that is not whole goes."""
        os.close(self._fd)
        if not keep and self._path is not None:
            os.unlink(self._path)
