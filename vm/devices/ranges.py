"""Where in the host the memory of a guest is: the RAM of the machine and its DIMMs."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..boards.machine import Machine
    from ..host import HostMemory
    from ..memory.region import MemoryRegion
    from .space import DeviceMemory


def guest_memory(
    machine: Machine, room: DeviceMemory | None, start: int, end: int
) -> Iterator[tuple[HostMemory, int, int]]:
    """The pieces of host memory, each with the interval in it, that are bytes `start` to `end` of the guest's.

    They are counted backend by backend: the RAM's in the order of the NUMA nodes, then the DIMMs' by address.
    """
    position = 0
    regions = [machine.ram] if machine.ram is not None else []
    regions += [module.region for module in (room.modules if room is not None else [])]
    for memory, size in (found for region in regions for found in _memories(region)):
        low, high = max(start - position, 0), min(end - position, size)
        if low < high:
            yield memory, low, high
        position += size


def _memories(ram: MemoryRegion) -> Iterator[tuple[HostMemory, int]]:
    """The memory behind a region: a backend's, the beginning of one, or those of several."""
    target = ram.alias or ram
    if target.ram_block is not None:
        yield target.ram_block.host, ram.size
    else:
        for part in sorted(target.subregions, key=lambda part: part.address):
            yield from _memories(part)
