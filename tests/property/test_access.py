"""Memory written and read through a view, against a model that asks of every byte by itself."""

from __future__ import annotations

import errno
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ramslot.vm.host import MissingPage
from ramslot.vm.memory.access import read, write
from ramslot.vm.memory.address_space import AddressSpace, MemoryTopology
from ramslot.vm.memory.ramblock import RAMBlock

SPACE = 200
KINDS = ("ram", "rom", "rom device", "i/o", "reservation", "alias", "readonly alias")
REGIONS = st.lists(
    st.tuples(
        st.sampled_from(KINDS), st.integers(0, SPACE - 1), st.integers(1, 60), st.integers(0, 40), st.integers(0, 2)
    ),
    max_size=8,
)
"""Kind, address, size, offset in what an alias shows, priority."""


class Host:
    """Host memory that ends at `missing`."""

    address = 0
    page_size = 4096

    def __init__(self, size: int, missing: int) -> None:
        self.data = bytearray(size)
        self.missing = missing

    def write(self, offset: int, data: bytes) -> None:
        fitting = max(self.missing - offset, 0)
        self.data[offset : offset + min(fitting, len(data))] = data[:fitting]
        if fitting < len(data):
            raise MissingPage(max(self.missing, offset), errno.EFAULT, "no page")

    def read(self, offset: int, length: int) -> bytes:
        return bytes(self.data[offset : offset + length])


def build(rows: list[tuple[str, int, int, int, int]], missing: int) -> AddressSpace:
    topology = MemoryTopology()
    system = topology.container("system")
    space = topology.add_space("memory", system)
    hosts: dict[str, Any] = {name: Host(100, missing) for name in ("low", "high")}
    ram = topology.ram("low", 100, RAMBlock("low", 100, 100, hosts["low"]))
    part = RAMBlock.alias("part", RAMBlock("high", 100, 100, hosts["high"]), 30, 60)
    makers: dict[str, Any] = {
        "ram": lambda name, size: topology.ram(name, size, part),
        "rom": lambda name, size: topology.rom(name, size, RAMBlock(name, 60, 60, Host(60, 60))),  # type: ignore[arg-type]
        "rom device": lambda name, size: topology.rom_device(name, size, RAMBlock(name, 60, 60, Host(60, 60))),  # type: ignore[arg-type]
        "i/o": topology.io,
        "reservation": topology.reservation,
    }
    with topology.transaction():
        system.add_subregion(0, ram)
        for number, (kind, address, size, offset, priority) in enumerate(rows):
            if kind in makers:
                region = makers[kind](str(number), size)
            else:
                region = topology.alias(str(number), ram, offset, size)
                region.set_readonly(kind == "readonly alias")
            system.add_subregion(address, region, priority)
    return space


@given(REGIONS, st.integers(0, SPACE), st.binary(max_size=120), st.integers(0, 100))
def test_what_is_written_is_kept_where_memory_is(
    rows: list[tuple[str, int, int, int, int]], start: int, data: bytes, missing: int
) -> None:
    space = build(rows, missing)
    marks: set[tuple[RAMBlock, int]] = set()
    raised = False
    try:
        write(
            space.view,
            start,
            data,
            lambda block, offset, length: marks.update((block, at) for at in range(offset, offset + length)),
        )
    except MissingPage:
        raised = True
    hosts: dict[Any, bytearray] = {}
    expected: set[tuple[RAMBlock, int]] = set()
    model_raised = False
    for number, byte in enumerate(data):
        found = space.view.find(start + number)
        if found is None or found.region.kind != "ram" or found.readonly:
            continue
        block = found.region.ram_block
        assert block is not None
        offset = found.offset + start + number - found.start
        if block.aliased_offset + offset >= missing:
            model_raised = True
            break
        expected.add((block, offset))
        hosts.setdefault(block.host, bytearray(100))[block.aliased_offset + offset] = byte
    assert (raised, marks) == (model_raised, expected)
    for host, content in hosts.items():
        assert host.data == content
    for address in range(SPACE + 120):
        found = space.view.find(address)
        block = found.region.ram_block if found is not None and found.is_memory else None
        shown = b"\0"
        if found is not None and block is not None:
            shown = block.host.read(block.aliased_offset + found.offset + address - found.start, 1)
        assert read(space.view, address, address + 1) == shown
