"""What arrives is in memory, byte by byte, and zeros touch nothing that is not there."""

from __future__ import annotations

import os
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ramslot.vm.config import Config
from ramslot.vm.machine import VirtualMachine
from ramslot.vm.memory.ramblock import RAMBlock
from ramslot.vm.migration import arriving
from ramslot.vm.migration.arriving import Arrivals
from ramslot.vm.migration.events import Pages
from ramslot.vm.migration.ram import stream_blocks

PAGE = 4096
COUNT = 96
STRIDE = PAGE + 8


def machine() -> VirtualMachine:
    config = Config()
    config.machine_type, config.paused = "none", True
    config.objects = [{"qom-type": "memory-backend-ram", "id": "m", "size": COUNT * PAGE}]
    config.machine_options = {"memory-backend": "m", "ram-partition": f"a:{40 * PAGE}+b"}
    return VirtualMachine(config)


def resident(block: RAMBlock) -> int:
    host = block.aliased.host if block.aliased is not None else block.host
    return sum(length for _first, length in host.populated(0, host.size)) // PAGE


@settings(max_examples=40, deadline=None)
@given(st.integers())
def test_what_arrives_is_there(seed: int) -> None:
    dice = Random(seed)
    vm = machine()
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(arriving, "CHUNK", 16 * PAGE)
            arrivals = Arrivals(PAGE)
            blocks = {block.name: block for block in stream_blocks(vm.topology.ram_blocks)}
            assert set(blocks) == {"a", "b"}
            expected = {name: bytearray(block.used_length) for name, block in blocks.items()}
            written = False
            for _ in range(dice.randint(1, 12)):
                name = dice.choice("ab")
                block, memory = blocks[name], expected[name]
                first = dice.randrange(len(memory) // PAGE)
                count = dice.randint(1, len(memory) // PAGE - first)
                kind, offset = dice.randrange(3), first * PAGE
                data = os.urandom(count * STRIDE)
                if kind == 0:
                    arrivals.put(block, Pages(name, [(offset, count, memoryview(data))], STRIDE))
                    pages = [data[at : at + PAGE] for at in range(0, len(data), STRIDE)]
                    memory[offset : offset + count * PAGE] = b"".join(pages)
                elif kind == 1:
                    arrivals.write_bytes(block, offset, data[: count * PAGE])
                    memory[offset : offset + count * PAGE] = data[: count * PAGE]
                else:
                    arrivals.clear(block, offset, count * PAGE)
                    memory[offset : offset + count * PAGE] = bytes(count * PAGE)
                written |= kind != 2
            if not written:
                assert resident(blocks["a"]) == 0
            for name, block in blocks.items():
                owner, at = block.aliased or block, block.aliased_offset
                assert owner.host.read(at, block.used_length) == expected[name]
    finally:
        vm.close()


def test_zeros_populate_nothing() -> None:
    vm = machine()
    arrivals = Arrivals(PAGE)
    blocks = stream_blocks(vm.topology.ram_blocks)
    for block in blocks:
        arrivals.clear(block, 0, block.used_length)
    assert resident(blocks[0]) == 0
    vm.close()
