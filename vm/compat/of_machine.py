"""The contract of a machine that stands."""

from __future__ import annotations

from ..memory.stream import stream_pieces
from ..migration.ram import stream_blocks
from ..migration.versions import ram_section
from .contract import Block, Contract, Place

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..machine import VirtualMachine
    from ..memory.ramblock import RAMBlock

FIRMWARE_DECIDES_BELOW = 1 << 20
"""Where a guest's firmware chooses whether it sees RAM or ROM."""


def contract_of(vm: VirtualMachine, origin: str = "this machine") -> Contract:
    """What a machine would send and take, as it is now. Its capabilities count, too."""
    migration = vm.migration
    places = _places(vm)
    owners, roles = _owners(vm), _roles(vm)
    return Contract(
        origin=origin,
        blocks=tuple(_block(block, owners, roles, places) for block in stream_blocks(vm.topology.ram_blocks)),
        release=vm.release.name,
        target=vm.target.name,
        machine_type=vm.machine_type.name,
        page_size=vm.page_size,
        least_page_size=1 << migration.least_page_bits,
        configured=migration.has_footers,
        told_page_bits=migration.page_bits,
        capabilities=tuple(migration.told_capabilities),
        uuid=_hexadecimal(migration.told_uuid),
        own_uuid=_hexadecimal(migration.own_uuid),
        last_command=migration.last_command,
        sends_switchover_start=migration.sends_switchover_start,
        ram_section=ram_section(vm.release),
        ram_slots=vm.machine.ram_slots,
        max_ram_size=vm.machine.max_ram_size,
        default_ram_id=vm.machine_type.default_ram_id,
    )


def _hexadecimal(uuid: bytes | None) -> str | None:
    return None if uuid is None else uuid.hex()


def _owners(vm: VirtualMachine) -> dict[int, str]:
    """The ids of backends by the memory they have."""
    return {id(backend.memory): backend.name for backend in vm.objects.backends()}


def _roles(vm: VirtualMachine) -> dict[str, str]:
    """What backends are, by their ids."""
    roles = {backend.name: "device" for backend in vm.objects.backends() if backend.in_use}
    roles |= {node.backend.name: "node" for node in vm.machine.numa_nodes if node.backend is not None}
    if vm.machine.memory_backend is not None:
        roles[vm.machine.memory_backend.name] = "ram"
    return roles


def _block(block: RAMBlock, owners: dict[int, str], roles: dict[str, str], places: dict[str, list[Place]]) -> Block:
    owner = owners.get(id(block.host), "")
    return Block(
        name=block.name,
        used_length=block.used_length,
        max_length=block.max_length,
        resizeable=block.resizeable,
        page_size=block.page_size,
        shared=block.shared,
        role="part" if block.aliased is not None else roles.get(owner, "board"),
        owner=owner,
        places=tuple(places.get(block.name, ())),
    )


def _places(vm: VirtualMachine) -> dict[str, list[Place]]:
    """Where the guest finds writable memory, by the names that the stream has for it."""
    found: dict[str, list[Place]] = {}
    for shown in vm.machine.memory_space.view.ranges:
        block = shown.region.ram_block
        if block is None or not shown.is_memory or shown.readonly:
            continue
        start = max(shown.start, FIRMWARE_DECIDES_BELOW)
        if start >= shown.end:
            continue
        first = shown.offset + start - shown.start + block.aliased_offset
        for holder, offset, length in stream_pieces(block.aliased or block, first, shown.end - start):
            _add(found.setdefault(holder.name, []), (start, offset, length))
            start += length
    return found


def _add(places: list[Place], place: Place) -> None:
    """Add a piece, as one with the last where it goes on there."""
    if places:
        address, offset, length = places[-1]
        if (address + length, offset + length) == place[:2]:
            places[-1] = address, offset, length + place[2]
            return
    places.append(place)
