"""What is at an address, a guest-physical one or a CPU's: shown, saved, and where the host has it."""

from __future__ import annotations

import re

from ..vm.errors import VMError
from ..vm.host import MissingPage
from .hmp import Format, HMPCommand, HMPError, Number, Word

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..vm.machine import VirtualMachine
    from ..vm.memory.flatview import FlatRange
    from ..vm.memory.ramblock import RAMBlock
    from ..vm.steps import Cancellation, Task
    from . import Arguments, Context
    from .hmp import Request

MASK = (1 << 64) - 1
MOST_AT_ONCE = 64 << 20
"""Bytes of one answer."""
PORTION = 4 << 20
NO_RAM = "Memory at address {:#x} is not RAM"
NO_CPU = "Can not dump without CPU\n"
NO_CODE = "instructions are not shown: nothing here knows what they mean"


def read_memory(context: Context, arguments: Arguments) -> dict[str, Any]:
    """Memory as text, up to the first address that is none."""
    from ..vm.memory.access import read, readable

    start, size = arguments["address"] & MASK, arguments["size"] & MASK
    if size > MOST_AT_ONCE:
        raise VMError(f"Parameter 'size' expects at most {MOST_AT_ONCE} bytes")
    view = context.vm.machine.memory_space.view
    end = readable(view, start, min(start + size, MASK + 1))
    try:
        data = read(view, start, end)
    except MissingPage as missing:
        raise VMError(f"the host has no page for memory from {start:#x} on: {missing.strerror}") from None
    return {"address": start, "data": _encoded(data, arguments.get("encoding", "hex"))}


def _encoded(data: bytes, encoding: str) -> str:
    if encoding == "hex":
        return data.hex()
    from binascii import b2a_base64

    return b2a_base64(data, newline=False).decode()


def pmemsave(context: Context, arguments: Arguments) -> Task[dict[str, Any]]:
    """Save memory in a file; a task, for it may take long."""
    start, size = arguments["val"] & MASK, arguments["size"]
    if size < 0:
        raise VMError("Parameter 'size' expects a size")
    return _save(context.vm, arguments["filename"], start, size)


def memsave(context: Context, arguments: Arguments) -> Task[dict[str, Any]]:
    """Save memory that a CPU sees in a file; a task, for it may take long."""
    from ..vm.memory.access import readable
    from ..vm.translation import check_cpu, physical_address

    vm, val, size = context.vm, arguments["val"] & MASK, arguments["size"]
    check_cpu(vm, arguments.get("cpu-index"))
    start = physical_address(vm, val)
    end = start + size
    if size < 0 or end > MASK + 1 or readable(vm.machine.memory_space.view, start, end) < end:
        raise VMError(f"Invalid addr 0x{val:016x}/size {size & MASK} specified")
    return _save(vm, arguments["filename"], start, size)


def _save(vm: VirtualMachine, filename: str, start: int, size: int) -> Task[dict[str, Any]]:
    try:
        file = open(filename, "wb")  # noqa: SIM115 (the task closes it)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise VMError(f"Could not open '{filename}': {reason}") from None
    return _write(vm, file, start, size)


def _write(vm: VirtualMachine, file: Any, start: int, size: int) -> Task[dict[str, Any]]:
    from ..vm.memory.access import read

    def save(cancellation: Cancellation) -> None:
        view = vm.machine.memory_space.view
        end = start + size
        for position in range(start, end, PORTION):
            cancellation.check()
            last = min(position + PORTION, end)
            data = read(view, position, min(last, MASK + 1)) if position <= MASK else b""
            file.write(data.ljust(last - position, b"\0"))

    try:
        with file:
            yield save
    except MissingPage as missing:
        raise VMError(f"the host has no page for some of this memory: {missing.strerror}") from None
    except ValueError:
        raise VMError("some of this memory has gone meanwhile") from None
    except OSError as error:
        raise VMError(f"An IO error has occurred: {error.strerror}") from None
    return {}


def query_host_address(context: Context, arguments: Arguments) -> dict[str, Any]:
    """Where the host has a guest address."""
    return _host_address(context.vm, arguments["address"] & MASK)


def query_host_physical_address(context: Context, arguments: Arguments) -> dict[str, Any]:
    """Which of the host's physical addresses has a guest address; the page is made if it is not there."""
    address = arguments["address"] & MASK
    found, block = _find(context.vm, address)
    try:
        physical = block.host.physical_address(block.aliased_offset + found.offset + address - found.start)
    except OSError as error:
        raise VMError(f"the host does not tell where {address:#x} is: {error.strerror}") from None
    return {"address": address, "region": found.region.name, "host-physical-address": physical}


def _host_address(vm: VirtualMachine, address: int) -> dict[str, Any]:
    found, block = _find(vm, address)
    host_address = block.host_address + found.offset + address - found.start
    return {"address": address, "region": found.region.name, "host-address": host_address}


def _find(vm: VirtualMachine, address: int) -> tuple[FlatRange, RAMBlock]:
    """The range and the block of memory at a guest address; raises `VMError` if there is none."""
    found = vm.machine.memory_space.view.find(address)
    if found is None:
        raise VMError(f"No memory is mapped at address {address:#x}")
    block = found.region.ram_block
    if block is None or not found.is_memory:
        raise VMError(vm.release.text("no RAM there", NO_RAM).format(address))
    return found, block


# HMP


class Dump:
    """How memory is shown: what was said last holds until something else is."""

    kind = "x"
    size = 4


SIZES = {"b": 1, "h": 2, "w": 4, "g": 8, "L": 8}


def _read_format(text: str, command: str) -> tuple[int, str, int]:
    """Count, kind and size of a format as `4xb`; raises `HMPError`."""
    count_text = re.match("[0-9]*", text)
    count = int(count_text[0]) if count_text and count_text[0] else 1
    kind, size = "", 0
    for letter in text[len(count_text[0]) if count_text else 0 :]:
        if letter in "oduxic":
            kind = letter
        elif letter in SIZES:
            size = SIZES[letter]
        else:
            raise HMPError(f"invalid char in format: '{letter}'\nTry \"help {command}\" for more information\n")
    Dump.kind = kind or Dump.kind
    Dump.size = size or Dump.size
    return count, Dump.kind, Dump.size


def _xp_request(vm: VirtualMachine, words: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    request = _dump_request(vm, words, "xp", words["addr"] & MASK)
    words["digits"] = 8 if vm.release.covers("11.0") else 16
    return request


def _x_request(vm: VirtualMachine, words: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    from ..vm.translation import is_narrow, physical_address, shown_address

    _command, arguments = _dump_request(vm, words, "x", shown_address(vm, words["addr"] & MASK))
    if not vm.has_cpus:
        raise HMPError(NO_CPU)
    words["digits"] = 8 if is_narrow(vm) else 16
    return "read-memory", {**arguments, "address": physical_address(vm, arguments["address"])}


def _dump_request(vm: VirtualMachine, words: dict[str, Any], name: str, start: int) -> tuple[str, dict[str, Any]]:
    count, kind, size = _read_format(words.get("format", ""), name)
    if kind == "i":
        raise VMError(NO_CODE) if vm.has_cpus else HMPError(NO_CPU)
    words["kind"], words["width"], words["newer"] = kind, size, vm.release.covers("11.0")
    words["start"], words["order"] = start, vm.target.byte_order
    words["length"] = length = min(count * size, MOST_AT_ONCE)
    return "read-memory", {"address": start, "size": length}


def _memsave_request(vm: VirtualMachine, words: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    if not vm.has_cpus:
        raise HMPError("No CPU available\n")
    return "memsave", {"val": words["addr"], "size": words["size"], "filename": words["file"]}


def _render_dump(result: dict[str, Any], words: dict[str, Any]) -> str:
    kind, width, length, newer = words["kind"], words["width"], words["length"], words["newer"]
    data, address = bytes.fromhex(result["data"]), words["start"]
    step = 8 if width == 1 else 16
    width = 1 if kind == "c" else width
    lines = []
    for start in range(0, length, step):
        end = min(start + step, length)
        place = f"{address + start & MASK:0{words['digits']}x}:"
        if end > len(data):
            lines.append(f"{place} Cannot access memory\n")
            break
        numbers = (int.from_bytes(data[at : at + width], words["order"]) for at in range(start, end, width))
        items = [_item(number, 8 * width, kind, newer) for number in numbers]
        lines.append(f"{place}{''.join(items)}\n")
    return "".join(lines)


def _item(number: int, bits: int, kind: str, newer: bool) -> str:
    if kind == "x":
        return f" 0x{number:0{bits // 4}x}"
    if kind == "o":
        digits = -(-bits // 3)
        return f" 0{number:{digits}o}" if newer else f" {f'0{number:o}' if number else '0':>{digits}}"
    if kind == "c":
        return f" '{_character(number)}'"
    if kind == "d" and bits == 64:  # narrower ones have no sign
        number -= number >> (bits - 1) << bits
    return f" {number:{-(-bits * 10 // 33)}}"


def _character(number: int) -> str:
    named = {0x27: "\\'", 0x5C: "\\\\", 0x0A: "\\n", 0x0D: "\\r"}
    if number in named:
        return named[number]
    return chr(number) if 32 <= number <= 126 else f"\\x{number:02x}"


def _asking(command: str) -> Request:
    """The request for a place in the host; that there is no memory people are told without a word before it."""

    def request(vm: VirtualMachine, words: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        try:
            _find(vm, words["addr"] & MASK)
        except VMError as error:
            raise HMPError(f"{error}\n") from None
        return command, {"address": words["addr"]}

    return request


def _render_host_address(result: dict[str, Any], _words: Any) -> str:
    place = f"{result['address']:#x} ({result['region']})"
    return f"Host virtual address for {place} is {result['host-address']:#x}\n"


def _render_host_physical_address(result: dict[str, Any], _words: Any) -> str:
    place = f"{result['address']:#x} ({result['region']})"
    return f"Host physical address for {place} is {result['host-physical-address']:#x}\n"


HMP = (
    HMPCommand(
        "x",
        _x_request,
        _render_dump,
        help="virtual memory dump starting at 'addr'",
        syntax="/fmt addr",
        parameters=(Format("format"), Number("addr")),
        example="x /4xw 0x1000",
    ),
    HMPCommand(
        "xp",
        _xp_request,
        _render_dump,
        help="physical memory dump starting at 'addr'",
        syntax="/fmt addr",
        parameters=(Format("format"), Number("addr")),
        example="xp /4xw 0x1000",
    ),
    HMPCommand(
        "pmemsave",
        lambda _vm, words: (
            "pmemsave",
            {"val": words["addr"], "size": words["size"], "filename": words["file"]},
        ),
        help="save to disk physical memory dump starting at 'addr' of size 'size'",
        syntax="addr size file",
        parameters=(Number("addr"), Number("size", short=True), Word("file", "path")),
        example="pmemsave 0x1000 4096 page",
    ),
    HMPCommand(
        "memsave",
        _memsave_request,
        help="save to disk virtual memory dump starting at 'addr' of size 'size'",
        syntax="addr size file",
        parameters=(Number("addr"), Number("size", short=True), Word("file", "path")),
        example="memsave 0x1000 4096 page",
    ),
    HMPCommand(
        "gpa2hva",
        _asking("query-host-address"),
        _render_host_address,
        help="print the host virtual address corresponding to a guest physical address",
        syntax="addr",
        parameters=(Number("addr"),),
        example="gpa2hva 0x1000",
    ),
    HMPCommand(
        "gpa2hpa",
        _asking("query-host-physical-address"),
        _render_host_physical_address,
        help="print the host physical address corresponding to a guest physical address",
        syntax="addr",
        parameters=(Number("addr"),),
        example="gpa2hpa 0x1000",
    ),
)
