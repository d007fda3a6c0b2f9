"""What a machine promises of its memory: what its migration stream would tell, or what it would take."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

Place = tuple[int, int, int]
"""Guest-physical address, offset in the block, and length of a piece of memory, in bytes."""


@dataclass(frozen=True, slots=True)
class Block:
    """One RAMBlock. What a side cannot tell is None."""

    name: str
    used_length: int
    max_length: int
    resizeable: bool = False
    page_size: int | None = None
    """Bytes of a page of the host's memory behind it."""
    shared: bool | None = None
    role: str = ""
    """What it is to its machine: ram, node, device, part (of RAM that is divided), board; empty where unknown."""
    owner: str = ""
    """The id of the backend that is its memory, if one is."""
    places: tuple[Place, ...] | None = None
    """Where a guest finds it from 1 MiB on, ascending; below that, firmware decides."""


@dataclass(frozen=True, slots=True)
class Unchecked:
    """RAMBlocks that a machine has, or may have, and that nothing is known of here."""

    what: str
    """What brings them, as it was written."""
    blocks: str = ""
    """Their names, without the path of the device, as far as they are known, between commas."""


@dataclass(frozen=True, slots=True)
class Contract:
    """One machine; `blocks` are in the order of the stream."""

    origin: str
    """What the machine was read from, for people."""
    blocks: tuple[Block, ...]
    release: str | None = None
    """The QEMU that it is of, one of those that are modelled."""
    target: str | None = None
    machine_type: str | None = None
    """By its full name, no alias."""
    page_size: int | None = None
    """Bytes of a page of the stream."""
    least_page_size: int | None = None
    """What it takes a source for that does not tell."""
    configured: bool = True
    """Whether the stream begins with the machine type, which those of old do not."""
    told_page_bits: int | None = None
    capabilities: tuple[str, ...] = ()
    """Those that the stream tells, and that both sides must have alike."""
    uuid: str | None = None
    """Hexadecimal; what the stream tells, where it does."""
    own_uuid: str | None = None
    """Hexadecimal; the machine's own."""
    last_command: int | None = None
    """The newest command of a stream that it knows."""
    sends_switchover_start: bool = False
    ram_section: int = 2
    """The number of the stream's section that is memory."""
    ram_slots: int | None = None
    max_ram_size: int | None = None
    """Bytes, with what can be plugged."""
    default_ram_id: str = ""
    exact: bool = True
    """Whether it is of that very QEMU and machine type, and not of those that stand for others."""
    unchecked: tuple[Unchecked, ...] = ()
    surroundings: tuple[str, ...] = ()
    """Options that decide on blocks that are unchecked: sides alike in these have the same."""
    words: tuple[str, ...] = ()
    """The program and the options that it was built from, where it was."""
    notes: tuple[str, ...] = ()
    """What people should know of how the machine was understood."""
    lookup: dict[str, Block] = field(init=False, repr=False, compare=False)
    """The blocks by name."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "lookup", {block.name: block for block in self.blocks})

    def may_have(self, name: str) -> bool:
        """Whether a block that is not among these may be one of those that nothing is known of."""
        if not self.unchecked or name.startswith(("/rom@", "/objects/")):
            return False
        known = {block.strip() for each in self.unchecked for block in each.blocks.split(",")}
        return "/" in name or name in known

    def to_json(self) -> dict[str, Any]:
        """All of it as values for JSON."""
        found = _members(self)
        found["blocks"] = [_members(block) for block in self.blocks]
        found["unchecked"] = [_members(each) for each in self.unchecked]
        return found

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Contract:
        """What `to_json` made; raises `ValueError` for anything else."""
        try:
            members = dict(value)
            members["blocks"] = tuple(_block(each) for each in members["blocks"])
            members["unchecked"] = tuple(Unchecked(**each) for each in members.get("unchecked", ()))
            for name in ("capabilities", "surroundings", "words", "notes"):
                members[name] = tuple(members.get(name, ()))
            return cls(**members)
        except (TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"this is no contract: {error}") from None


def _members(value: Contract | Block | Unchecked) -> dict[str, Any]:
    return {each.name: getattr(value, each.name) for each in fields(value) if each.init}


def _block(value: dict[str, Any]) -> Block:
    members = dict(value)
    places = members.get("places")
    members["places"] = None if places is None else tuple(tuple(place) for place in places)
    return Block(**members)
