"""Where in the host the RAM of a machine is, without what is in its memory devices."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..boards.machine import Machine
    from ..host import HostMemory
    from ..memory.region import MemoryRegion


def base_memory(machine: Machine, start: int, end: int) -> Iterator[tuple[HostMemory, int, int]]:
    """The pieces of host memory, each with the interval in it, that are bytes `start` to `end` of the RAM.

    The RAM is counted backend by backend, in the order of the NUMA nodes.
    """
    position = 0
    for memory, size in _memories(machine.ram) if machine.ram is not None else ():
        low, high = max(start - position, 0), min(end - position, size)
        if low < high:
            yield memory, low, high
        position += size


def _memories(ram: MemoryRegion) -> Iterator[tuple[HostMemory, int]]:
    """The memory behind a machine's RAM: a backend's region, an alias of one, or those of several."""
    target = ram.alias or ram
    if target.ram_block is not None:
        yield target.ram_block.host, target.size
    else:
        for part in sorted(target.subregions, key=lambda part: part.address):
            yield from _memories(part)
