"""Offsets and order of RAMBlocks against the rules observed of QEMU, stated naively."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ramslot.vm.memory.ramblock import RAM_ADDRESS_END, RAMBlock, RAMBlockTable


class Host:
    address = 0
    page_size = 4096


class NaiveTable:
    """Blocks in the order of the list, searched anew for every offset."""

    def __init__(self, alignment: int) -> None:
        self.alignment = alignment
        self.blocks: list[RAMBlock] = []

    def offset_for(self, size: int) -> int | None:
        """The smallest gap behind a block that fits, the first in the list among equals; None if none fits."""
        if not self.blocks:
            return 0
        best, best_gap = None, RAM_ADDRESS_END + 1
        for block in self.blocks:
            end = block.offset + block.max_length
            candidate = (end + self.alignment - 1) // self.alignment * self.alignment
            behind = (other.offset for other in self.blocks if other.offset >= candidate)
            following = min(behind, default=RAM_ADDRESS_END)
            if size <= following - candidate < best_gap:
                best, best_gap = candidate, following - candidate
        return best

    def add(self, block: RAMBlock) -> None:
        """Put it behind all that are as large or larger."""
        place = sum(other.max_length >= block.max_length for other in self.blocks)
        self.blocks.insert(place, block)


def make_block(used: int, reserved: int) -> RAMBlock:
    return RAMBlock("", used, used + reserved, Host())  # type: ignore[arg-type]  # only these two are looked at


PAGES = st.integers(1, 300) | st.sampled_from((1 << 49, 1 << 50, 1 << 51))
STEPS = st.lists(st.tuples(st.sampled_from(("add", "add", "remove")), PAGES, st.just(0) | PAGES), max_size=40)


@given(st.sampled_from((1 << 14, 1 << 16, 1 << 18, 1 << 19, 1 << 20)), STEPS)
def test_every_block_goes_where_the_rules_say(alignment: int, steps: list[tuple[str, int, int]]) -> None:
    table, naive = RAMBlockTable(alignment), NaiveTable(alignment)
    for step, used, reserved in steps:
        if step == "add":
            block = make_block(used * 4096, reserved * 4096)
            expected = naive.offset_for(block.max_length)
            if expected is None:
                with pytest.raises(OverflowError):
                    table.add(block)
            else:
                table.add(block)
                assert block.offset == expected
                naive.add(block)
        elif naive.blocks:
            table.remove(naive.blocks.pop(used % len(naive.blocks)))
        assert list(table) == naive.blocks
        assert len(table) == len(naive.blocks)


@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from(("", "a", "b", "c"))), max_size=20))
def test_names_are_unique_but_for_the_empty_one(steps: list[tuple[int, str]]) -> None:
    table = RAMBlockTable()
    blocks = [make_block(4096, 0) for _ in range(6)]
    for block in blocks:
        table.add(block)
    for number, name in steps:
        taken = name and any(other.name == name for other in blocks if other is not blocks[number])
        before = blocks[number].name
        if taken:
            with pytest.raises(ValueError, match=name):
                table.rename(blocks[number], name)
        else:
            table.rename(blocks[number], name)
        assert blocks[number].name == (before if taken else name)
        for known in ("a", "b", "c"):
            assert table.named(known) is next((block for block in blocks if block.name == known), None)
        assert table.named("") is None
