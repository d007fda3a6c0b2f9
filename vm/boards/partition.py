"""How a machine's RAM is divided into blocks of the migration stream: as `-machine ram-partition=` or its version says.

One backend stays below them. Loaded only where there is something to divide.
"""

from __future__ import annotations

from ..errors import VMError
from ..memory.ramblock import RAMBlock
from ..sizes import SizeError, parse_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..memory.region import MemoryRegion
    from .machine import Machine

MAX_NAME_LENGTH = 255
"""The stream has one byte for the length of a block's name."""


def parse_partition(text: str) -> list[tuple[str, int | None]]:
    """The blocks of `ID:SIZE+ID:SIZE+...`, a size in bytes or with a suffix; the last may be left out and is None then.

    Raises `VMError`.
    """
    parts: list[tuple[str, int | None]] = []
    pieces = text.split("+")
    for piece in pieces:
        name, colon, size = piece.rpartition(":") if ":" in piece else (piece, "", "")
        _check_name(name)
        if any(name == other for other, _ in parts):
            raise VMError(f'RAMBlock "{name}" already registered')
        if not colon and len(parts) + 1 < len(pieces):
            raise VMError(f"ram-partition: '{name}' has no size, which only the last block may leave out")
        parts.append((name, _parse_size(name, size) if colon else None))
    return parts


def _check_name(name: str) -> None:
    if not name:
        raise VMError("ram-partition: a block has no name (expected ID:SIZE+ID:SIZE+...)")
    if len(name) > MAX_NAME_LENGTH or not name.isascii() or not name.isprintable() or " " in name:
        raise VMError(f"ram-partition: {name!r} is not a name of at most {MAX_NAME_LENGTH} printable ASCII characters")


def _parse_size(name: str, text: str) -> int:
    try:
        size = parse_size(text)
    except SizeError:
        raise VMError(f"ram-partition: '{text}' is no size for block '{name}'") from None
    if not size:
        raise VMError(f"ram-partition: block '{name}' is empty")
    return size


def plan(machine: Machine) -> list[tuple[str, int]]:
    """Names and sizes of the blocks of a machine with `ram_size` bytes: what was asked for, or what its version has.

    Raises `VMError` if they are not all of the RAM.
    """
    if machine.ram_partition:
        return fit_partition(parse_partition(machine.ram_partition), machine.ram_size)
    assert machine.max_ram_block is not None
    parts = equal_partition(machine.machine_type.default_ram_id, machine.ram_size, machine.max_ram_block)
    machine.ram_partition = "+".join(f"{name}:{size}" for name, size in parts)
    return parts


def fit_partition(parts: list[tuple[str, int | None]], ram_size: int) -> list[tuple[str, int]]:
    """The blocks with all their sizes; raises `VMError` if they do not make up `ram_size` bytes."""
    if not ram_size:
        raise VMError("ram-partition: the machine has no RAM")
    rest = ram_size - sum(size or 0 for _, size in parts)
    open_ended = parts[-1][1] is None
    if rest < open_ended or (rest and not open_ended):
        relation = "less than" if open_ended else "equal to"
        raise VMError(
            f"ram-partition: the sizes add up to {ram_size - rest:#x}, not {relation} the RAM size ({ram_size:#x})"
        )
    return [(name, rest if size is None else size) for name, size in parts]


def equal_partition(name: str, ram_size: int, most: int) -> list[tuple[str, int]]:
    """Blocks of `most` bytes, the last of what is left: `name`, `name.1`, `name.2` and so on."""
    return [
        (f"{name}.{number}" if number else name, min(most, ram_size - start))
        for number, start in enumerate(range(0, ram_size, most))
    ]


def divide_ram(machine: Machine, ram: MemoryRegion, parts: list[tuple[str, int]]) -> MemoryRegion:
    """Let `ram`, a backend's region that the machine uses, migrate as `parts`; returns the machine's RAM.

    That is an alias of all of `ram` with the migratable aliases below it: what an alias shows is its target, so the
    memory map stays as it is. Raises `VMError` if a part does not begin with a page, or a name is taken.
    """
    below = ram.ram_block
    assert below is not None
    machine.topology.ram_blocks.rename(below, "")
    whole = machine.own_region(machine.topology.alias(ram.name, ram, 0, ram.size))
    page_size = max(machine.board.backend_defaults.length_unit, below.page_size)
    offset = 0
    for name, size in parts:
        if offset % page_size:
            raise VMError(f"ram-partition: block '{name}' begins at {offset:#x}, not at a multiple of {page_size:#x}")
        end = offset + size
        length = (below.max_length if end == ram.size else end) - offset
        block = machine.add_block(RAMBlock.alias(name, below, offset, length))
        alias = machine.topology.ram_alias(name, ram, offset, size, block)
        whole.add_subregion(offset, machine.own_region(alias))
        offset = end
    return whole
