"""`ramslot stream`: saved migration streams, looked into, verified, compared, taken apart and rewritten."""

from __future__ import annotations

import os
import sys

from ...vm.errors import VMError
from ...vm.streams.contents import Digests, deliver
from ...vm.streams.diff import Side, differences
from ...vm.streams.errors import BrokenStreamError
from ...vm.streams.page_sizes import PAGE_SIZES
from ...vm.streams.parts import BlockList, PageRun
from ...vm.streams.summary import Summary
from ...vm.streams.walk import Walker
from .files import StreamFile
from .memory import DigestFile, MemoryFiles
from .remap import run_remap
from .text import diff_text, info_text, list_text, verdict_text
from .words import BROKEN, NOT_UNDERSTOOD, Progress, Words, print_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Protocol

    from ...vm.streams.parts import Part

    class Sink(Protocol):
        """Who wants more of a stream than what is counted of it."""

        def take(self, part: Part, walker: Walker) -> None:
            """See a part."""


USAGE = """\
usage: {program} stream info|verify FILE
       {program} stream ls FILE [-hash]
       {program} stream diff FILE FILE
       {program} stream extract FILE -o DIRECTORY [-format sparse|raw]
       {program} stream extract FILE -block NAME -o FILE [-format sparse|raw]
       {program} stream extract FILE -o FILE -format elf -machine 'COMMAND LINE'
       {program} stream remap -map SOURCE=NAME[@START][+LENGTH][,...] ... [FILE] [-o FILE]
       {program} stream remap -fit DESTINATION [-from SOURCE] [FILE] [-o FILE]

A FILE is a migration stream that QEMU saved (migrate "exec:cat > FILE", or file:, also
with mapped-ram) or libvirt (virsh save); compressed by gzip, bzip2, xz, zstd or lzop,
if at all.

info tells what is in it, ls lists its RAMBlocks, with -hash what they hold, and the
sections of its devices. verify reads all of it and says whether it is whole. diff
compares two: configuration, RAMBlocks, pages, devices. extract writes the memory to
files, sparse ones if not told otherwise, one for each RAMBlock; as elf to a core file
in which a debugger finds it by the guest's physical addresses, as the machine of QEMU's
command line has it after a reset (what is below 1 MiB, firmware may have changed).

remap rewrites a stream for a machine with other RAMBlocks. Each -map says what one
block becomes: one or several pieces of it, from START on (in the source's block; the
end of the piece before, if left out), LENGTH bytes long, become NAME. What goes to
one NAME comes there one behind the other. Blocks without a -map stay. Without FILE it
reads standard input, without -o it writes to standard output (but not with mapped-ram,
whose pages have fixed places in files):

    migrate "exec:{program} stream remap -map pc.ram=ram0@0+1G,ram1@1G > FILE"
    -incoming "exec:{program} stream remap -map s390.ram=m -map s390.ram.1=m FILE"

-fit makes the maps by itself where they are certain: of other names, and of RAM in one
block that goes to several or the other way round. DESTINATION and SOURCE are command
lines of QEMU, quoted, or monitors of machines that run (unix:PATH, tcp:HOST:PORT);
-from is needed where several blocks are RAM, for a stream does not tell their order.

All take -json, -offset SIZE where a stream begins later in its file (file:PATH,offset=),
and -page-size SIZE where a stream does not tell its target's. A stream that postcopy,
multifd (but into such a file) or TLS took part in is refused. The exit status is 0, or 1
for a broken stream or where two differ, or 2 for what is not understood."""
VALUES = ("-block", "-fit", "-format", "-from", "-machine", "-map", "-o", "-offset", "-page-size")
FLAGS = ("-hash", "-json")
ACTIONS = {
    "info": ((1, 1), ()),
    "ls": ((1, 1), ("-hash",)),
    "verify": ((1, 1), ()),
    "diff": ((2, 2), ()),
    "extract": ((1, 1), ("-o", "-block", "-format", "-machine")),
    "remap": ((0, 1), ("-o", "-map", "-fit", "-from")),
}
"""How many files each wants, and which options it has besides those that all have."""
COMMON = ("-json", "-offset", "-page-size")


def run_stream_command(program: str, words: list[str]) -> int:
    """Carry out `stream WORDS...` and return the exit status."""
    if not words or any(word in ("-help", "--help", "-h") for word in words):
        print(USAGE.format(program=program), file=sys.stdout if words else sys.stderr)
        return 0 if words else NOT_UNDERSTOOD
    action, rest = words[0], words[1:]
    try:
        if action not in ACTIONS:
            raise VMError(f"expects {', '.join(ACTIONS)}; see '{program} stream -help'")
        (least, most), own = ACTIONS[action]
        said = Words(rest, VALUES, FLAGS)
        for name in said.options:
            if name not in own + COMMON:
                raise VMError(f"{action} has no {name}")
        if not least <= len(said.files) <= most:
            raise VMError(f"expects {'one file' if most == 1 else 'two files'}; see '{program} stream -help'")
        doing: Callable[[Words], int] = {
            "info": _info,
            "ls": _list,
            "verify": _verify,
            "diff": _diff,
            "extract": _extract,
            "remap": run_remap,
        }[action]
        return doing(said)
    except VMError as error:
        print(f"{program}: stream {action}: {error}", file=sys.stderr)
        return BROKEN if isinstance(error, BrokenStreamError) else NOT_UNDERSTOOD
    except BrokenPipeError:
        raise
    except OSError as error:
        print(f"{program}: stream {action}: {error.strerror or error}", file=sys.stderr)
        return NOT_UNDERSTOOD


def _read(
    file: StreamFile, page_size: int | None, sinks: list[Sink], *, reads_pages: bool = True
) -> tuple[Summary, Walker]:
    """Read a whole stream, and give each of its parts to those who want them."""
    walker = Walker(page_size, origin=file.start, reads_pages=reads_pages)
    summary, progress = Summary(), Progress(file)
    count = 1
    try:
        while count:
            room = walker.room()
            file.go_to(walker.place)
            count = file.read_into(room)
            for part in walker.walk(count):
                summary.take(part, walker)
                for sink in sinks:
                    sink.take(part, walker)
            progress.tell()
    finally:
        progress.end()
    return summary, walker


class _Hashing:
    """Keeps digests."""

    def __init__(self) -> None:
        self.digests: Digests | None = None
        self._blocks: list[tuple[str, int]] = []

    def take(self, part: Part, walker: Walker) -> None:
        if isinstance(part, BlockList):
            self._blocks = [(name, length) for name, length, _address in part.blocks]
        elif isinstance(part, PageRun):
            deliver(part, walker, self.made(walker))

    def made(self, walker: Walker) -> Digests:
        """The digests, of no pages if none came."""
        if self.digests is None:
            self.digests = Digests(walker.page_size or PAGE_SIZES[0], DigestFile)
            for name, length in self._blocks:
                self.digests.add_block(name, length)
        return self.digests


def _told(file: StreamFile, summary: Summary, walker: Walker) -> dict[str, Any]:
    found: dict[str, Any] = {"file": file.path, "file-size": file.size, "compression": file.compression}
    if file.save is not None:
        found["libvirt"] = {"was-running": file.save.was_running, "xml-bytes": file.save.xml_bytes}
    return {**found, **summary.to_json(walker)}


def _info(said: Words) -> int:
    with StreamFile(said.files[0], said.offset(0)) as file:
        summary, walker = _read(file, said.page_size, [], reads_pages=False)
        told = _told(file, summary, walker)
    if "-json" in said:
        print_json(told)
    else:
        print(info_text(told), end="")
    return 0


def _list(said: Words) -> int:
    hashing, hashes = _Hashing(), "-hash" in said
    with StreamFile(said.files[0], said.offset(0)) as file:
        summary, walker = _read(file, said.page_size, [hashing] if hashes else [], reads_pages=hashes)
        told = _told(file, summary, walker)
    if "-hash" in said:
        digests = hashing.made(walker)
        for block in told["blocks"]:
            block["hash"] = digests.of_block(block["name"])
        digests.close()
    if "-json" in said:
        print_json({key: told[key] for key in ("file", "blocks", "live-sections", "devices")})
    else:
        print(list_text(told), end="")
    return 0


def _verify(said: Words) -> int:
    with StreamFile(said.files[0], said.offset(0)) as file:
        try:
            summary, walker = _read(file, said.page_size, [])
        except BrokenStreamError as error:
            if "-json" not in said:
                raise
            print_json({"file": file.path, "ok": False, "problems": [str(error)]})
            return BROKEN
        told, problems = _told(file, summary, walker), summary.problems()
    if "-json" in said:
        print_json({"file": file.path, "ok": not problems, "problems": problems, "ram": told["ram"]})
    else:
        for problem in problems:
            print(f"{file.path}: {problem}")
        if not problems:
            print(verdict_text(told))
    return BROKEN if problems else 0


def _diff(said: Words) -> int:
    sides = []
    try:
        for number, path in enumerate(said.files):
            hashing = _Hashing()
            with StreamFile(path, said.offset(number)) as file:
                try:
                    summary, walker = _read(file, said.page_size, [hashing])
                except VMError as error:
                    # That one cannot be read is not that the two differ.
                    raise VMError(f"{path}: {error}") from None
            sides.append(Side(summary, hashing.made(walker), walker.page_size or PAGE_SIZES[0]))
        found = differences(sides[0], sides[1])
    finally:
        for side in sides:
            side.digests.close()
    if "-json" in said:
        print_json({"from": said.files[0], "to": said.files[1], "differences": found})
    else:
        print(diff_text(found), end="")
    return 1 if found else 0


class _Extracting:
    """Writes memory to files."""

    def __init__(self, said: Words) -> None:
        self._block = said.value("-block")
        self._target = said.value("-o") or ""
        self._allocate = (said.value("-format") or "sparse") == "raw"
        self.files: MemoryFiles | None = None
        self.paths: dict[str, str] = {}

    def take(self, part: Part, walker: Walker) -> None:
        if isinstance(part, BlockList):
            self._make(part)
        elif isinstance(part, PageRun):
            assert self.files is not None, "pages of unknown blocks are refused"
            deliver(part, walker, self.files)

    def _make(self, told: BlockList) -> None:
        names = [name for name, _length, _address in told.blocks]
        if self._block is None:
            os.makedirs(self._target, exist_ok=True)
            self.paths = {name: os.path.join(self._target, _file_name(name)) for name in names}
            if len(set(self.paths.values())) < len(names):
                raise VMError("two RAMBlocks would be one file; take them one by one, with -block")
        elif self._block in names:
            self.paths = {self._block: self._target}
        else:
            raise VMError(f"there is no RAMBlock '{self._block}'; there are: {', '.join(names)}")
        self.files = MemoryFiles(self.paths, allocate=self._allocate)
        for name, length, _address in told.blocks:
            self.files.add_block(name, length)


def _file_name(block: str) -> str:
    """A name for the file of a block."""
    return block.replace("/", "_") + ".raw"


def _extract(said: Words) -> int:
    if "-o" not in said:
        raise VMError("-o has to say where the memory is to go")
    if said.value("-format") not in (None, "sparse", "raw", "elf"):
        raise VMError(f"-format {said.value('-format')}: expects sparse, raw or elf")
    if said.value("-format") == "elf":
        return _extract_core(said)
    if "-machine" in said:
        raise VMError("-machine is for -format elf")
    extracting = _Extracting(said)
    done = False
    try:
        with StreamFile(said.files[0], said.offset(0)) as file:
            summary, _walker = _read(file, said.page_size, [extracting])
        done = True
    finally:
        if extracting.files is not None:
            extracting.files.close(keep=done)
    if "-json" in said:
        blocks = [
            {"name": name, "size": summary.blocks[name].length, "path": path} for name, path in extracting.paths.items()
        ]
        print_json({"file": said.files[0], "blocks": blocks})
    return 0


def _extract_core(said: Words) -> int:
    from .core import CoreExtraction

    if "-block" in said or "-machine" not in said:
        raise VMError("-format elf is of all memory, and -machine has to say of which machine")
    extraction = CoreExtraction(said.value("-o") or "", said.value("-machine") or "")
    done = False
    try:
        with StreamFile(said.files[0], said.offset(0)) as file:
            _read(file, said.page_size, [extraction])
        done = True
    finally:
        if extraction.file is not None:
            extraction.file.close(keep=done)
    if "-json" in said:
        print_json({"file": said.files[0], "loads": extraction.to_json()})
    return 0
