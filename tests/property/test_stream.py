"""What migrates as which block, against a model that asks of every page by itself."""

from __future__ import annotations

import random
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from ramslot.vm.memory.dirty import DirtyPages
from ramslot.vm.memory.ramblock import RAMBlock, RAMBlockTable
from ramslot.vm.memory.stream import owned_pieces, stream_pages, stream_pieces

PAGE = 4096
PAGES = 40


class Mapping:
    """Host memory that is to be unmapped once, when nothing shows it any more."""

    address = 0
    page_size = PAGE

    def __init__(self) -> None:
        self.closed = 0

    def close(self) -> None:
        self.closed += 1


class World:
    """A block of some pages with aliases on parts of it; `holders` is what each page migrates as, None for nothing."""

    def __init__(self, cuts: list[int], unused: set[int], unnamed: set[int], owner_named: bool) -> None:
        self.mapping = Mapping()
        self.table = RAMBlockTable()
        size = PAGES * PAGE
        self.owner = RAMBlock("m", size, size, self.mapping)  # type: ignore[arg-type]  # only these are looked at
        self.blocks = [self.owner]
        self.holders: list[RAMBlock | None] = [self.owner if owner_named else None] * PAGES
        self.add(self.owner, "m" if owner_named else "")
        borders = sorted({0, PAGES, *cuts})
        parts = list(pairwise(borders))
        for number in sorted(range(len(parts)), key=lambda number: (number * 7) % 5):
            start, end = parts[number]
            if number not in unused:
                alias = RAMBlock.alias(str(number), self.owner, start * PAGE, (end - start) * PAGE)
                self.add(alias, "" if number in unnamed else f"part{number}")
                if number not in unnamed:
                    self.holders[start:end] = [alias] * (end - start)
                self.blocks.append(alias)

    def add(self, block: RAMBlock, name: str) -> None:
        self.table.add(block)
        self.table.rename(block, name)

    def place(self, page: int) -> tuple[RAMBlock, int] | None:
        """Block and page number in it of a page of the owner."""
        holder = self.holders[page]
        return None if holder is None else (holder, page - holder.aliased_offset // PAGE)


WORLDS = st.builds(
    World,
    st.lists(st.integers(1, PAGES - 1), max_size=6),
    st.sets(st.integers(0, 6), max_size=2),
    st.sets(st.integers(0, 6), max_size=2),
    st.booleans(),
)


@given(WORLDS, st.integers(0, PAGES * PAGE), st.integers(0, PAGES * PAGE))
def test_every_byte_goes_where_its_page_does(world: World, first: int, second: int) -> None:
    start, end = min(first, second), max(first, second)
    told = list(stream_pieces(world.owner, start, end - start))
    assert all(length > 0 for _, _, length in told)
    position = {}
    for block, offset, length in told:
        for byte in {offset, offset + length - 1}:
            position[byte + block.aliased_offset] = (block, byte // PAGE)
    for byte, place in position.items():
        assert start <= byte < end
        assert world.place(byte // PAGE) == place
    covered = sum(length for _, _, length in told)
    inside = [min(end, (page + 1) * PAGE) - max(start, page * PAGE) for page in range(PAGES) if world.place(page)]
    assert covered == sum(size for size in inside if size > 0), "nothing is left out, and nothing told twice"


@given(WORLDS)
def test_the_way_back_is_the_way(world: World) -> None:
    """All that the stream has comes from where it goes to, and is all that goes anywhere."""
    back = {}
    for block in world.blocks:
        for owner, owned, offset, length in owned_pieces(block, 0, block.used_length):
            assert owner is world.owner
            assert list(stream_pieces(owner, owned, length)) == [(block, offset, length)]
            for page in range(length // PAGE):
                back[owned // PAGE + page] = (block, offset // PAGE + page)
    assert back == {page: place for page in range(PAGES) if (place := world.place(page)) is not None}


@given(WORLDS, st.sets(st.integers(0, PAGES - 1)))
def test_a_dirty_page_is_dirty_in_the_block_that_it_migrates_as(world: World, dirty: set[int]) -> None:
    pages = DirtyPages(PAGE)
    for page in dirty:
        pages.mark(world.owner, page, 1)
    found = stream_pages(pages)
    told = {
        (block, page)
        for block, bitmap in found.blocks.items()
        for first, count in bitmap.runs()
        for page in range(first, first + count)
    }
    assert told == {place for page in dirty if (place := world.place(page)) is not None}


@given(WORLDS, st.randoms(use_true_random=False))
def test_in_whatever_order_they_go_the_memory_goes_with_the_last(world: World, dice: random.Random) -> None:
    blocks = list(world.blocks)
    dice.shuffle(blocks)
    for number, block in enumerate(blocks):
        assert not world.mapping.closed
        assert len(world.table) == len(blocks) - number
        world.table.remove(block)
        block.close()
    assert world.mapping.closed == 1
    assert not world.owner.aliases
