"""The guest's memory, dumped to a file for debuggers."""

from __future__ import annotations

import os

from ..vm.descriptors import NoSuchDescriptor
from ..vm.errors import VMError
from ..vm.run_state import DUMP_IN_PROGRESS
from .hmp import Flag, HMPCommand, HMPError, Number, Word, fixed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..vm.dump.file import DumpFile
    from ..vm.machine import VirtualMachine
    from ..vm.steps import Task
    from . import Arguments, Context

WAITING = "Dump not allowed during migration."
MIGRATING = (
    "disallowing migration blocker (migration/snapshot in progress) for: "
    "Live migration disabled: dump-guest-memory in progress"
)
NO_PROTOCOL = "parameter 'protocol' must start with 'file:' or 'fd:'"
NO_FILE = "Could not create '{}': {}"
FORMATS = ("elf",)
"""What can be written."""


def dump_guest_memory(context: Context, arguments: Arguments) -> Any:
    """Write the memory to a file; a task, unless it is to go on by itself."""
    vm = context.vm
    _check(vm, arguments)
    task = vm.dump.start(_open(vm, arguments["protocol"]), arguments.get("begin"), arguments.get("length", 0))
    if arguments.get("detach"):
        context.program.start_task(_shown(context, task))
        return {}
    return _shown(context, task)


def _shown(context: Context, task: Task[None]) -> Task[dict[str, Any]]:
    """The same task, people being shown how far it is."""
    from .prealloc import describe

    program, dump = context.program, context.vm.dump
    program.show_progress_of(dump, lambda: describe(dump))
    try:
        yield from task
    finally:
        program.end_progress_of(dump)
    return {}


def _check(vm: VirtualMachine, arguments: Arguments) -> None:
    """Raise `VMError` for what cannot be dumped now; the order is QEMU's."""
    if vm.run_state.name == "inmigrate":
        raise VMError(vm.release.text("dump while waiting", WAITING))
    if vm.is_dumping:
        raise VMError(DUMP_IN_PROGRESS)
    chosen = arguments.get("format", "elf")
    if chosen.startswith("kdump") and (arguments["paging"] or "begin" in arguments or "length" in arguments):
        raise VMError("kdump-compressed format doesn't support paging or filter")
    for name, other in (("length", "begin"), ("begin", "length")):
        if other in arguments and name not in arguments:
            raise VMError(f"Parameter '{name}' is missing")
    if arguments.get("begin", 0) < 0:
        raise VMError("Invalid parameter 'begin'")
    if chosen not in FORMATS:
        raise VMError(f"{chosen.replace('-raw', '')} is not available now")
    if arguments["paging"] and vm.has_foreign_cpus:
        raise VMError("what the CPUs have mapped came with a migration and is not known: paging cannot be used")
    if vm.is_migrating:
        raise VMError(MIGRATING)


def _open(vm: VirtualMachine, protocol: str) -> DumpFile:
    from ..vm.dump.file import DumpFile

    kind, colon, rest = protocol.partition(":")
    if kind == "fd" and colon:
        return DumpFile(vm.migration.take_descriptor(rest), protocol)
    if kind != "file" or not colon:
        raise VMError(vm.release.text("bad dump protocol", NO_PROTOCOL))
    try:
        given = vm.descriptors.open(rest, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        return DumpFile.create(rest) if given is None else DumpFile(given, rest)
    except NoSuchDescriptor as error:
        if vm.release.covers("8.2"):
            raise
        raise VMError(vm.release.text("dump file", NO_FILE).format(rest, os.strerror(error.number))) from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise VMError(vm.release.text("dump file", NO_FILE).format(rest, reason)) from None


def query_dump(context: Context, _arguments: Arguments) -> dict[str, Any]:
    """How far the latest one is."""
    return context.vm.dump.describe()


def query_dump_guest_memory_capability(_context: Context, _arguments: Arguments) -> dict[str, Any]:
    """The kinds of files that can be written."""
    return {"formats": list(FORMATS)}


def dump_cancel(context: Context, _arguments: Arguments) -> dict[str, Any]:
    """Stop the one that is being written."""
    if not context.vm.is_dumping:
        raise VMError("no dump is being written")
    context.vm.dump.cancel()
    return {}


# HMP

LETTERS = {"windmp": "win-dmp", "zlib": "kdump-zlib", "lzo": "kdump-lzo", "snappy": "kdump-snappy"}


def _dump_request(_vm: VirtualMachine, words: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    chosen = [LETTERS[name] for name in LETTERS if words.get(name)]
    if len(chosen) > 1:
        raise HMPError("Error: only one of '-z|-l|-s|-w' can be set\n")
    arguments: dict[str, Any] = {"paging": words.get("paging", False), "protocol": f"file:{words['filename']}"}
    if words.get("detach"):
        arguments["detach"] = True
    arguments |= {name: words[name] for name in ("begin", "length") if name in words}
    if chosen:
        arguments["format"] = chosen[0].replace("kdump-", "kdump-raw-") if words.get("raw") else chosen[0]
    return "dump-guest-memory", arguments


def _render_dump(result: dict[str, Any], _words: Any) -> str:
    text = f"Status: {result['status']}\n"
    if result["status"] == "active":
        text += f"Finished: {100 * result['completed'] / result['total']:.2f} %\n"
    return text


_FLAGS = tuple(Flag(*flag) for flag in (("p", "paging"), ("d", "detach"), *zip("wzls", LETTERS, strict=True)))
_PLACES = (Word("filename", "path", what="filename"), Number("begin", optional=True), Number("length", optional=True))


def _dump_command(
    *flags: Flag, guests: str = "x86 and x64", since: str | None = None, until: str | None = None
) -> HMPCommand:
    """The command with some more flags; `guests` are of Windows, as the help has it."""
    raw = (
        "-R: when using kdump (-z, -l, -s), use raw rather than makedumpfile-flattened",
        "    format",
    )
    lines = (
        "dump guest memory into file 'filename'.",
        "-p: do paging to get guest's memory mapping.",
        "-d: return immediately (do not wait for completion).",
        "-z: dump in kdump-compressed format, with zlib compression.",
        "-l: dump in kdump-compressed format, with lzo compression.",
        "-s: dump in kdump-compressed format, with snappy compression.",
        *(raw if flags else ()),
        "-w: dump in Windows crashdump format (can be used instead of ELF-dump converting),",
        f"    for Windows {guests} guests with vmcoreinfo driver only.",
        "begin: the starting physical address.",
        "length: the memory size, in bytes.",
    )
    return HMPCommand(
        "dump-guest-memory",
        _dump_request,
        help="\n\t\t\t".join(lines),
        syntax=f"[-p] [-d] [-z|-l|-s|-w] {'[-R] ' if flags else ''}filename [begin length]",
        parameters=(*_FLAGS, *flags, *_PLACES),
        since=since,
        until=until,
        example="dump-guest-memory core",
    )


HMP = (
    _dump_command(Flag("R", "raw"), since="8.2"),
    _dump_command(since="6.0", until="8.1"),
    _dump_command(guests="x64", until="5.2"),
    HMPCommand("dump_cancel", fixed("dump-cancel"), help="stop the dump that is being written"),
    HMPCommand("info dump", fixed("query-dump"), _render_dump, help="Display the latest dump status"),
)
